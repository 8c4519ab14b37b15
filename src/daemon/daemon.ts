import type { FastifyInstance } from 'fastify';
import type { Native } from '../driver/native.ts';
import { dropPrivileges } from '../driver/privileges.ts';
import { DummynetControl } from '../dummynet/control.ts';
import type { Holder } from '../endpoint/endpoint.ts';
import { siftrs } from '../metrics/layout.ts';
import { SiftrControl, type SiftrShard } from '../siftr/control.ts';
import { type CycleCounts, siftrIdent } from '../siftr/format.ts';
import { SIFTR_DECLS } from '../siftr/knobs.ts';
import { closeLog, openLog } from '../siftr/logfile.ts';
import { createRing, QLEN_DEFAULT } from '../siftr/record.ts';
import { createSiftrShared } from '../siftr/shared.ts';
import { CC_DEFAULT } from '../stack/tcp/cc/registry.ts';
import type { Metrics } from '../views/prom.ts';
import { announceLines, type Summary, totalsOf } from './announce.ts';
import { controlServer, listenControl } from './control.ts';
import { Counters } from './counters.ts';
import { EndpointServer } from './endpoint.ts';
import { oneLine, SystemError } from './errors.ts';
import { controlHandlers } from './handlers.ts';
import { trimHeap } from './heap.ts';
import { closeJoint, createJoint } from './joint.ts';
import { LINK_LOOK_MS } from './link-watch.ts';
import type { Logger } from './logger.ts';
import type { ShardRequest } from './messages.ts';
import { listenMetrics, type MetricsHandlers, metricsServer } from './metrics-server.ts';
import { framesPerQueue, type Plan } from './plan.ts';
import { NICE_DEFAULT, setNice } from './priority.ts';
import { MachineRandom } from './random.ts';
import { describeRun } from './run-meta.ts';
import { ShardClock } from './shard-clock.ts';
import { ShardPort } from './shard-port.ts';
import type { ShardJoint, ShardSetup } from './shard-setup.ts';
import { startWriterThread } from './siftr-port.ts';
import { readTotals, statusLine, type Totals } from './status.ts';
import { type GivenBack, setupOf, type Taken, take } from './take.ts';
import { CC_ALGORITHM, Tuning } from './tuning.ts';
import { VERSION } from './version.ts';

/** How long the shards may take to start, ms. */
const START_MS = 20_000;

/**
 * One run of xsiftr on one interface, from set-up to clean-up. Whatever fails, everything that was done before is undone in reverse
 * order, so the interface is left as it was.
 */
export class Daemon {
  readonly plan: Plan;
  readonly log: Logger;
  /** Where lines for people go: standard error when standard output carries SIFTR lines. */
  readonly out: NodeJS.WriteStream;
  readonly native: Native;
  readonly tuning = new Tuning();
  readonly dummynet: DummynetControl;
  readonly shards: ShardPort[] = [];
  readonly startedAt = Date.now();
  ready = false;
  counters: Counters | null = null;
  siftr: SiftrControl | null = null;
  #taken: Taken | null = null;
  #control: FastifyInstance | null = null;
  #metrics: FastifyInstance | null = null;
  #endpoint: EndpointServer | null = null;
  #stopped: Promise<Summary> | null = null;
  #finish: (summary: Summary) => void = () => {};
  /** Why the run failed; null while it has not. */
  failure: Error | null = null;
  readonly finished: Promise<Summary>;
  readonly #timers: NodeJS.Timeout[] = [];
  #link: { look(): void } | null = null;
  #oversizeTold = false;

  constructor(plan: Plan, native: Native, log: Logger) {
    this.plan = plan;
    this.native = native;
    this.log = log;
    this.dummynet = new DummynetControl(plan.options.pipe);
    this.out = plan.options.siftr && plan.options.siftrLog === '-' ? process.stderr : process.stdout;
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Sets everything up; when it returns, packets are forwarded. Throws after having undone what was done. */
  async start(): Promise<void> {
    try {
      await this.#listen();
      this.#checkLog();
      await this.#takeInterface();
      this.#setNice();
      await this.#openSiftr();
      dropPrivileges(this.plan.account ?? undefined);
      await this.#startShards();
      // Only now does the XDP program take frames from the kernel: every queue has a shard that answers.
      this.#taken!.claim();
      trimHeap();
      this.native.sysTrimMemory();
      this.#endpoint?.start({ cores: this.shards.map((s) => s.endpoint), cnt: this.counters!.main });
      this.ready = true;
    } catch (err) {
      await this.#cleanUp();
      throw err;
    }
    this.#watch();
  }

  /** Who has socket `sid` of the endpoint on a shard; null when it was closed. */
  socketHolder(shard: number, sid: number): Holder | null {
    return this.#endpoint?.holder(shard, sid) ?? null;
  }

  #setNice(): void {
    const { nice } = this.plan.options;
    const refused = setNice(nice ?? NICE_DEFAULT);
    if (refused === null) return;
    const line = `--nice ${nice ?? NICE_DEFAULT}: ${refused}; the priority stays as it was`;
    // What nobody asked for is no news.
    if (nice === undefined) this.log.debug(line);
    else this.log.warn(line);
  }

  /** Servers first: a port in use is a refusal before anything is touched. */
  async #listen(): Promise<void> {
    const { plan } = this;
    this.#control = await controlServer(controlHandlers(this));
    await listenControl(this.#control, plan.controlPath);
    if (plan.options.metrics !== null) {
      this.#metrics = await metricsServer(this.#metricsHandlers());
      await listenMetrics(this.#metrics, plan.options.metrics);
    }
    if (plan.options.sockets !== undefined) {
      this.#endpoint = new EndpointServer(this.native);
      await this.#endpoint.listen(plan.options.sockets);
    }
  }

  #metricsHandlers(): MetricsHandlers {
    // prom-client is loaded at the first scrape: an instance that nobody scrapes does without.
    let metrics: Metrics | null = null;
    const render = async () => {
      const { createMetrics } = await import('../views/prom.ts');
      metrics ??= createMetrics({
        build: { version: VERSION, node: process.versions.node },
        processMetrics: true,
        source: () => {
          const c = this.counters;
          return c === null
            ? { shards: [], others: [], kstat: [] }
            : { shards: c.shards, others: [c.writer, c.main], kstat: c.kstat() };
        },
      });
      return { contentType: metrics.contentType, body: await metrics.render() };
    };
    return {
      metrics: render,
      health: async () => {
        const heaps = await Promise.all(this.shards.map((s) => s.request({ op: 'ping' }).then(Number, () => null)));
        return {
          ok: this.ready && !heaps.includes(null),
          iface: this.plan.name,
          shards: heaps.map((bytes) => ({ alive: bytes !== null, heapBytes: bytes ?? 0 })),
        };
      },
    };
  }

  /** A log that cannot be written is a refusal, too; it is opened for good when the interface is ours. */
  #checkLog(): void {
    const { options } = this.plan;
    const path = this.tuning.text('net.inet.siftr.logfile') ?? options.siftrLog;
    if (options.siftr) closeLog(openLog(path, (fd) => this.native.sysLockFile(fd)));
  }

  async #takeInterface(): Promise<void> {
    const { plan, native } = this;
    const taken = await take(plan, native, this.log);
    this.#taken = taken;
    this.counters = new Counters(native, taken.counted, plan.queues);
    this.#link = taken.watch({
      log: this.log,
      changed: (ifIndex, up) => {
        // A shard that has just died says so itself.
        for (const s of this.shards) void s.request({ op: 'link', ifIndex, up }).catch(() => {});
      },
      gone: (err) => void this.stop('failure', err),
    });
  }

  async #openSiftr(): Promise<void> {
    const { options } = this.plan;
    const counters = this.counters!;
    const cfg = createSiftrShared();
    this.#cfg = cfg;
    this.#makeRings(QLEN_DEFAULT);
    const writer = startWriterThread({ rings: this.#rings, cfg, cnt: counters.writer });
    writer.onDeath = (err) => void this.stop('failure', new SystemError(`the SIFTR writer died: ${oneLine(err)}`));
    const siftr = new SiftrControl({
      // Filled by #startShards: the cycle begins before the shards do, so that they start hooked.
      shards: this.#siftrShards,
      counters: counters.shards,
      cnt: counters.main,
      cfg,
      writer,
      makeRings: async (records) => {
        this.#makeRings(records);
        await Promise.all(this.shards.map((s, k) => s.request({ op: 'siftrRing', ring: this.#rings[k]! })));
        return this.#rings;
      },
      nowUs: () => {
        this.#clock.read(this.native);
        return this.#clock.wallUs();
      },
      lockFile: (fd) => this.native.sysLockFile(fd),
      ident: siftrIdent(VERSION),
      logfile: this.tuning.text('net.inet.siftr.logfile') ?? options.siftrLog,
      limit: options.siftrLimit ?? null,
      meta: describeRun(this.plan, this.#taken!.mode, this.tuning),
      warn: (line) => this.log.warn(line),
      error: (line) => this.log.error(line),
    });
    this.siftr = siftr;
    const { tune } = this.tuning;
    tune.siftr_ppl = options.siftrPpl ?? tune.siftr_ppl;
    tune.siftr_port_filter = options.siftrPortFilter ?? tune.siftr_port_filter;
    const before = new Set(['net.inet.siftr.enabled', 'net.inet.siftr.logfile']);
    for (const decl of SIFTR_DECLS)
      if (!before.has(decl.name)) await siftr.setSysctl(decl.name, this.tuning.value(decl));
    if (options.siftr || tune.siftr_enabled === 1) await siftr.enable();
  }

  /** The clock that the shards have, so that their times and those of the enable and disable lines agree. */
  readonly #clock = new ShardClock();
  #joint: ShardJoint | null = null;
  #cfg: Int32Array = new Int32Array(0);
  #rings: SharedArrayBuffer[] = [];
  readonly #siftrShards: SiftrShard[] = [];

  #makeRings(records: number): void {
    this.#rings = Array.from({ length: this.plan.queues }, () => createRing(records));
  }

  async #startShards(): Promise<void> {
    const { plan } = this;
    const counters = this.counters!;
    const per = framesPerQueue(plan.options.ringSize);
    const joint = plan.queues > 1 ? createJoint(this.native, plan.queues, per) : null;
    this.#joint = joint;
    const random = new MachineRandom();
    const secret = Array.from({ length: 4 }, () => random.next32());
    for (let k = 0; k < plan.queues; k++) {
      const setup: ShardSetup = {
        shard: k,
        nshards: plan.queues,
        version: VERSION,
        secret,
        tfoKeys: this.tuning.tfoKeys,
        ...setupOf(this.#taken!, k),
        ringSize: plan.options.ringSize,
        tunables: this.tuning.fields(),
        cc: { urls: plan.cc.urls, algorithm: this.tuning.text(CC_ALGORITHM) ?? CC_DEFAULT },
        counters: counters.memory,
        queues: counters.queueMemory,
        ulinks: counters.ulinkMemory,
        siftr: { ring: this.#rings[k]!, cfg: this.#cfg, enableUs: this.siftr!.enableUs },
        dummynet: this.dummynet.state,
        joint,
        services: plan.options.serve,
        endpoint: plan.options.sockets !== undefined,
        busyPoll: plan.options.busyPoll,
      };
      this.shards.push(
        new ShardPort(setup, {
          log: (shard, level, text) => this.log[level](plan.queues === 1 ? text : `shard ${shard}: ${text}`),
          broadcast: (from, msg) => {
            for (const s of this.shards) if (s.shard !== from) s.post(msg);
          },
          died: (shard, err) => void this.stop('failure', new SystemError(`shard ${shard} died: ${oneLine(err)}`)),
        }),
      );
    }
    for (const s of this.shards) {
      this.#siftrShards.push({
        hook: async (enableUs) => void (await s.request({ op: 'siftr', on: true, enableUs })),
        unhook: async () => void (await s.request({ op: 'siftr', on: false, enableUs: 0 })),
        cut: async (enableUs) => (await s.request({ op: 'siftrCut', enableUs })) as CycleCounts,
      });
    }
    const all = async (req: ShardRequest) => void (await Promise.all(this.shards.map((s) => s.request(req))));
    this.tuning.connect(
      this.siftr!,
      (fields) => all({ op: 'tune', fields }),
      (name) => all({ op: 'cc', name }),
      (key) => all({ op: 'tfoKey', key }),
    );
    this.dummynet.connect({
      count: this.shards.length,
      apply: (change) => all({ op: 'dummynet', change }),
      reports: () => Promise.all(this.shards.map((s) => s.request({ op: 'dummynetReport' }))),
    });
    for (const note of this.dummynet.notes(plan.queues)) this.log.warn(note);
    await withTimeout(Promise.all(this.shards.map((s) => s.ready())), START_MS, 'the shards did not start in time');
  }

  /** What goes on beside the shards while they run. */
  #watch(): void {
    const { options, name } = this.plan;
    if (options.duration !== undefined) {
      this.#timers.push(setTimeout(() => void this.stop('duration'), options.duration));
    }
    let before: Totals = readTotals(this.counters!);
    this.#timers.push(
      setInterval(() => {
        this.#link?.look();
        if (this.#stopped !== null) return;
        void this.siftr?.look();
        this.#hintOversize();
        if (!this.out.isTTY || options.json) return;
        const now = readTotals(this.counters!);
        this.out.write(`\r\x1b[K${statusLine(name, before, now).slice(0, Math.max(20, (this.out.columns || 80) - 1))}`);
        before = now;
      }, LINK_LOOK_MS),
    );
  }

  /** A peer that sends more than a frame at once loses everything; the line that helps is worth telling once. */
  #hintOversize(): void {
    const { plan } = this;
    if (plan.kind === 'unix' || this.#oversizeTold || this.counters!.socketTotal('rx_oversize') === 0) return;
    this.#oversizeTold = true;
    const { peer } = plan.dev;
    const enter = peer?.netns ? `ip netns exec ${peer.netns} ` : '';
    this.log.warn(
      `${plan.name}: frames longer than the MTU came in and were dropped (rx_oversize in xsiftr kstat xsk); the peer segments too late: ${enter}ethtool -K ${peer?.name ?? 'PEER'} tso off gso off`,
    );
  }

  /** Ends the run; the first call counts. `failure` is what made it necessary. */
  stop(reason: string, failure: Error | null = null): Promise<Summary> {
    if (this.#stopped === null) {
      this.failure = failure;
      this.#stopped = this.#stop(failure === null ? reason : oneLine(failure));
      void this.#stopped.then(this.#finish);
    }
    return this.#stopped;
  }

  async #stop(reason: string): Promise<Summary> {
    const { plan } = this;
    this.ready = false;
    await Promise.allSettled(this.shards.map((s) => s.request({ op: 'drain' })));
    await this.siftr?.close().catch((err) => this.log.error(oneLine(err)));
    const counters = this.counters;
    const totals = counters === null ? null : readTotals(counters);
    const cnt = counters?.total();
    const mode = this.#taken?.mode ?? 'none';
    const gone = this.#taken?.gone() ?? false;
    const undo = await this.#cleanUp();
    const c = (slot: number): number => cnt?.[slot] ?? 0;
    return {
      iface: plan.name,
      queues: plan.queues,
      mode,
      seconds: (Date.now() - this.startedAt) / 1000,
      reason,
      ...totalsOf(totals ?? readTotalsNone),
      siftr: {
        logs: this.siftr?.written ?? [],
        lines: c(siftrs.siftrs_lines),
        skipped:
          c(siftrs.siftrs_nskip_in_malloc) +
          c(siftrs.siftrs_nskip_out_malloc) +
          c(siftrs.siftrs_nskip_in_tcpcb) +
          c(siftrs.siftrs_nskip_out_tcpcb) +
          c(siftrs.siftrs_nskip_in_inpcb) +
          c(siftrs.siftrs_nskip_out_inpcb) +
          c(siftrs.siftrs_nskip_in_limit) +
          c(siftrs.siftrs_nskip_out_limit),
      },
      gone,
      undone: undo.done,
      failed: undo.failed,
    };
  }

  /** Gives everything back, in reverse order of `start`. Idempotent; goes on past what fails. */
  async #cleanUp(): Promise<GivenBack> {
    const failed: string[] = [];
    const attempt = async (what: string, work: () => unknown): Promise<void> => {
      try {
        await work();
      } catch (err) {
        failed.push(`${what}: ${oneLine(err)}`);
      }
    };
    for (const t of this.#timers) clearTimeout(t);
    await Promise.all(this.shards.map((s) => s.stop()));
    if (this.#joint !== null) closeJoint(this.native, this.#joint);
    this.#joint = null;
    await attempt('SIFTR', () => this.siftr?.close());
    await attempt('control', () => this.#control?.close());
    await attempt('metrics', () => this.#metrics?.close());
    await attempt('sockets', () => this.#endpoint?.close());
    const taken = this.#taken;
    this.#taken = null;
    const back = taken === null ? { done: [], failed: [] } : await taken.giveBack();
    return { done: back.done, failed: [...failed, ...back.failed] };
  }

  announce(): string[] {
    return announceLines(this.plan, this.#taken!.attachLines());
  }
}

const readTotalsNone: Totals = {
  at: 0,
  rxPackets: 0,
  rxBytes: 0,
  txPackets: 0,
  txBytes: 0,
  drops: 0,
  connections: 0,
  accepted: 0,
  connected: 0,
};

function withTimeout<T>(work: Promise<T>, ms: number, text: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const t = setTimeout(() => reject(new SystemError(text)), ms);
    work.then(resolve, reject).finally(() => clearTimeout(t));
  });
}
