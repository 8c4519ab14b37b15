import { loadNative } from '../driver/native.ts';
import { DummynetControl } from '../dummynet/control.ts';
import { loadCc } from '../load/cc-load.ts';
import { type NetApi, netApi } from '../net/index.ts';
import { createRing, QLEN_MIN } from '../siftr/record.ts';
import { createSiftrShared } from '../siftr/shared.ts';
import { CC_DEFAULT } from '../stack/tcp/cc/registry.ts';
import { renderKstat } from '../views/kstat.ts';
import { renderStatistics } from '../views/netstat.ts';
import { Counters } from './counters.ts';
import { UserError } from './errors.ts';
import { LINK_LOOK_MS } from './link-watch.ts';
import { createLogger, type Level } from './logger.ts';
import { parseRunOptions } from './options.ts';
import { checkLinks, makePlan, obstacles } from './plan.ts';
import { Shard } from './shard.ts';
import type { ShardTime } from './shard-time.ts';
import { setupOf, take } from './take.ts';
import { CC_ALGORITHM, Tuning } from './tuning.ts';
import { UNIX_PREFIX } from './unix-option.ts';
import { VERSION } from './version.ts';

/** Options of `attach`: those of the command line that make sense for one queue in the caller's thread. */
export interface AttachOptions {
  /** A network interface, or Unix links (`unix:PATH,addr=A/LEN`, docs/unix-link.md). */
  readonly iface: string | readonly string[];
  readonly netns?: string;
  /** Addresses of the stack's own as `A.B.C.D/LEN`; none: the kernel's are adopted. */
  readonly addr?: readonly string[];
  readonly gateway?: string;
  readonly xdp?: 'auto' | 'native' | 'generic';
  readonly zeroCopy?: 'auto' | 'on' | 'off';
  readonly exclusive?: boolean;
  readonly ringSize?: number;
  readonly mtu?: number;
  readonly rxcsum?: 'auto' | 'strict' | 'accept-partial' | 'ignore';
  readonly keepChannels?: boolean;
  readonly force?: readonly string[];
  /** Congestion-control modules to load, by name, file or package; the first is the default. */
  readonly cc?: readonly string[];
  /** `name=value` */
  readonly sysctl?: readonly string[];
  /** Emulated links, as `out,bw=10Mbit/s,delay=20ms` (docs/dummynet.md). */
  readonly pipe?: readonly string[];
  readonly busyPoll?: boolean;
  readonly logLevel?: Level | 'silent';
  /** Called once with what went wrong when the stack breaks or the interface is gone; the interface is given back then. Default: the error is thrown. */
  readonly onFailure?: (err: unknown) => void;
}

/** Time of the stack (spec/endpoint.md, CLOCK). */
export type StackClock = Pick<ShardTime, 'virtual' | 'read' | 'setVirtual' | 'advance' | 'wait'>;

const isLink = (iface: string | readonly string[]): boolean =>
  typeof iface === 'string' ? iface.startsWith(UNIX_PREFIX) : true;

/** An interface taken over by this thread, with `node:net` on it. */
export interface Attached extends NetApi {
  /** What was attached to, in dmesg's manner. */
  readonly attachLine: string;
  /** Text of `netstat -s`, without the lines that are zero. */
  netstat(): string;
  /** Text of `kstat`. */
  kstat(...selectors: string[]): string;
  /** Time; of a stack on Unix links it can be made virtual. */
  readonly clock: StackClock;
  /** Settles once Unix link `index` has finished with `count` frames since its start; rejects after 5 s (`code` ETIMEDOUT). */
  linksync(index: number, count: number): Promise<void>;
  /** Resets what is open, gives the interface back. Idempotent. */
  close(): Promise<void>;
}

/**
 * Takes queue 0 of an interface over and runs the stack in the calling thread, so that a program's own servers and clients can use it
 * like `node:net`; Node's `http` server runs on its sockets. An interface with more queues is narrowed to one. The process keeps its
 * privileges. One network interface a process; stacks on Unix links as many as wanted.
 * @throws UserError for refused options or an interface that is in use, SystemError or DriverError for what the system refuses; nothing is
 * changed then
 */
export async function attach(options: AttachOptions): Promise<Attached> {
  const { logLevel, onFailure, ...given } = options;
  const run = parseRunOptions({
    ...given,
    // The only number there is for Unix links, and not to be named there.
    ...(isLink(given.iface) ? {} : { queues: 1 }),
    serve: 'none',
    metrics: 'none',
    siftr: false,
    ...(logLevel && { logLevel }),
  });
  const log = await createLogger(run.logLevel, true);
  const plan = makePlan(run, await loadCc(run.cc));
  const inTheWay = obstacles(plan);
  if (inTheWay.length > 0) throw new UserError(inTheWay.map((f) => `--iface ${run.iface}: ${f.text}`).join(' | '));
  const tuning = new Tuning();
  tuning.boot(plan.sysctls);
  const native = loadNative();
  await checkLinks(run);
  const taken = await take(plan, native, log);
  let closed: Promise<void> | null = null;
  let shard: Shard | null = null;
  let timer: NodeJS.Timeout | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      clearInterval(timer);
      shard?.drain();
      shard?.stop();
      const { failed } = await taken.giveBack();
      for (const text of failed) log.error(`could not undo: ${text}`);
    })();
    return closed;
  };
  const fail = (err: unknown): void => {
    void close().then(() => {
      if (onFailure === undefined) throw err;
      onFailure(err);
    });
  };
  try {
    const counters = new Counters(native, taken.counted, 1);
    const running = new Shard(
      native,
      {
        shard: 0,
        nshards: 1,
        version: VERSION,
        secret: null,
        tfoKeys: tuning.tfoKeys,
        ...setupOf(taken, 0),
        ringSize: run.ringSize,
        tunables: tuning.fields(),
        cc: { urls: [], algorithm: tuning.text(CC_ALGORITHM) ?? CC_DEFAULT },
        counters: counters.memory,
        queues: counters.queueMemory,
        ulinks: counters.ulinkMemory,
        siftr: { ring: createRing(QLEN_MIN), cfg: createSiftrShared(), enableUs: null },
        dummynet: new DummynetControl(run.pipe).state,
        joint: null,
        services: [],
        endpoint: false,
        busyPoll: run.busyPoll,
      },
      {
        log: (level, text) => log[level](text),
        broadcast: () => {},
        failed: fail,
      },
    );
    shard = running;
    const watch = taken.watch({ log, changed: (ifIndex, up) => running.setLink(ifIndex, up), gone: fail });
    await running.start();
    taken.claim();
    timer = setInterval(() => watch.look(), LINK_LOOK_MS).unref();
    return {
      ...netApi(running.transport),
      attachLine: taken.attachLines().join('\n'),
      clock: running.time,
      linksync: (index, count) => running.linkSync.wait(index, count),
      netstat: () => renderStatistics(counters.total(), true),
      kstat: (...selectors) => renderKstat(counters.kstat(), selectors),
      close,
    };
  } catch (err) {
    await close();
    throw err;
  }
}
