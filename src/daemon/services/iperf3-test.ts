import type { StreamHandler, StreamSocket } from '../../net/transport.ts';
import { ccNames } from '../../stack/tcp/cc/registry.ts';
import {
  ACCESS_DENIED,
  CLIENT_TERMINATE,
  ControlReader,
  CREATE_STREAMS,
  DISPLAY_RESULTS,
  EXCHANGE_RESULTS,
  frameJson,
  IERECVPARAMS,
  IESTREAMLISTEN,
  IPERF_DONE,
  PARAM_EXCHANGE,
  parseParameters,
  parseResults,
  resultsJson,
  SERVER_TERMINATE,
  serverError,
  TEST_END,
  TEST_RUNNING,
  TEST_START,
  type TestParameters,
} from './iperf3-wire.ts';

/** EBADMSG and EPROTONOSUPPORT as Linux numbers them: what a refused client prints behind iperf3's own words. */
const EBADMSG = 74;
const EPROTONOSUPPORT = 93;

/** Milliseconds that a client may take for each step of the set-up and for its results. */
const STEP_MS = 10_000;
/** Seconds past its own end that a timed test may last, as the original has it. */
const GRACE_S = 5;
/**
 * How the last bytes on the way are waited for: a look each POLL_MS, given up after QUIET_MS without progress or DRAIN_MS. A sender whose last
 * window is lost is silent for its timeout, 200 ms at the least with Linux, and for twice as long each time that what it sends again is lost, too.
 */
const POLL_MS = 5;
const QUIET_MS = 2000;
const DRAIN_MS = 6000;
/** Silence on the control connection after which TCP asks whether the client still lives. */
const KEEPALIVE_MS = 10_000;

/** A data stream as its shard reports it. */
export interface StreamCount {
  n: number;
  bytes: number;
  retransmits: number;
  seconds: number;
}

/** What the shards of a process tell each other. `from` and `to` are shard numbers; a message without `to` is for all. */
export type Message =
  | { t: 'claim'; cookie: string; from: number }
  | { t: 'answer'; cookie: string; to: number; from: number; ok: boolean }
  | { t: 'stream'; cookie: string; to: number; from: number; n: number; at: number }
  | { t: 'start'; cookie: string; senders: string[]; rate: number; block: number; noDelay: boolean; congestion: string }
  | { t: 'omit'; cookie: string }
  | { t: 'stop'; cookie: string }
  | { t: 'count'; cookie: string; from: number }
  | { t: 'counts'; cookie: string; to: number; from: number; streams: StreamCount[] }
  | { t: 'release'; cookie: string; abort: boolean };

/** How the streams of a `start` message are named. */
export function streamName(shard: number, n: number): string {
  return `${shard}.${n}`;
}

/** What a test needs of its shard. */
export interface TestHome {
  readonly shard: number;
  readonly nshards: number;
  /** Delivers to the one shard that `to` names, else to all of them, this one included; a claim goes to the others only. */
  send(msg: Message): void;
  /** Brings the stack's clock up to date, see Transport.enter. */
  enter(): void;
  log(text: string): void;
  /** The test holds the server no longer. */
  free(test: Iperf3Test): void;
}

interface KnownStream {
  shard: number;
  n: number;
  at: number;
  id: number;
  send: boolean;
  count: StreamCount | null;
}

type Phase = 'claim' | 'params' | 'create' | 'running' | 'results' | 'draining' | 'done';

/** A test, on the shard that its control connection came to: the coordinator of the data streams on all shards. */
export class Iperf3Test implements StreamHandler {
  readonly cookie: string;
  phase: Phase = 'claim';
  readonly #home: TestHome;
  /** The control connection. */
  readonly control: StreamSocket;
  readonly #peer: string;
  readonly #reader = new ControlReader();
  #params: TestParameters | null = null;
  /** The control connection is no more. */
  #gone = false;
  #answers = 0;
  readonly #streams: KnownStream[] = [];
  #awaited = new Set<number>();
  #clientBytes = new Map<number, number>();
  #timer: NodeJS.Timeout | null = null;
  #omitTimer: NodeJS.Timeout | null = null;
  #cpu0 = process.cpuUsage();
  #began = 0;
  #cpu = { total: 0, user: 0, system: 0 };
  #drainSince = 0;
  #drainTotal = -1;
  #progressAt = 0;

  constructor(home: TestHome, control: StreamSocket, cookie: string) {
    this.#home = home;
    this.control = control;
    this.#peer = control.remoteAddress;
    this.cookie = cookie;
  }

  /** Asks the other shards whether the server is free: they know the cookie before any stream of the test can come to them. */
  begin(): void {
    if (this.#home.nshards === 1) {
      this.#admitted();
      return;
    }
    this.#arm(STEP_MS, () => this.deny());
    this.#home.send({ t: 'claim', cookie: this.cookie, from: this.#home.shard });
  }

  /** Another shard's answer to the claim. */
  answer(ok: boolean): void {
    if (this.phase !== 'claim') return;
    if (!ok) this.deny();
    else if (++this.#answers === this.#home.nshards - 1) this.#admitted();
  }

  /** The server is busy: the client gets iperf3's own refusal. */
  deny(): void {
    if (this.phase !== 'claim') return;
    this.#state(ACCESS_DENIED);
    this.control.shutdown();
    this.#over(false);
  }

  #admitted(): void {
    this.phase = 'params';
    this.control.setKeepAlive(true, KEEPALIVE_MS);
    this.#step();
    this.#state(PARAM_EXCHANGE);
  }

  /** A data connection of this test, wherever it arrived. `at` is the int32 µs of its SYN, on the clock that all shards share. */
  stream(shard: number, n: number, at: number): void {
    const p = this.#params;
    if (this.phase !== 'create' || p === null) return;
    this.#streams.push({ shard, n, at, id: 0, send: false, count: null });
    if (this.#streams.length === p.parallel * (p.bidirectional ? 2 : 1)) this.#start(p);
  }

  #start(p: TestParameters): void {
    this.phase = 'running';
    // The client numbers its connections in the order in which it made them, 1 3 4 5 …, those that it sends on first.
    this.#streams.sort((a, b) => (a.at - b.at) | 0);
    this.#streams.forEach((s, i) => {
      s.id = i === 0 ? 1 : i + 2;
      s.send = p.bidirectional ? i >= p.parallel : p.reverse;
    });
    this.#state(TEST_START);
    this.#home.send({
      t: 'start',
      cookie: this.cookie,
      senders: this.#streams.filter((s) => s.send).map((s) => streamName(s.shard, s.n)),
      rate: p.bandwidth,
      block: p.len,
      noDelay: p.noDelay,
      congestion: p.congestion,
    });
    this.#state(TEST_RUNNING);
    this.#cpu0 = process.cpuUsage();
    this.#began = performance.now();
    if (p.omit > 0) {
      this.#omitTimer = setTimeout(() => {
        this.#home.enter();
        this.#home.send({ t: 'omit', cookie: this.cookie });
      }, p.omit * 1000);
    }
    if (p.time > 0) this.#arm((p.time + p.omit + GRACE_S) * 1000, () => this.#fail('did not end in time'));
    else this.#disarm();
  }

  connected(): void {}

  data(_so: StreamSocket, u8: Uint8Array, off: number, len: number): number {
    if (this.phase !== 'done') {
      this.#reader.push(u8, off, len);
      while (this.#next());
    }
    return len;
  }

  /** Handles what the control connection brought next; true when there may be more. */
  #next(): boolean {
    if (this.phase === 'params') return this.#readParameters();
    if (this.phase === 'results') return this.#readResults();
    if (this.phase !== 'create' && this.phase !== 'running') return false;
    const s = this.#reader.state();
    if (s === undefined) return false;
    if (s === TEST_END && this.phase === 'running') this.#testEnd();
    else if (s === CLIENT_TERMINATE || s === IPERF_DONE) this.#fail('terminated by the client');
    else this.#fail(`unexpected state ${s} from the client`);
    return true;
  }

  #readParameters(): boolean {
    const text = this.#reader.json();
    if (text === undefined) return false;
    const p = text === null ? undefined : parseParameters(text);
    if (p === undefined) {
      this.#refuse(IERECVPARAMS, EBADMSG, 'parameters that cannot be read');
      return false;
    }
    if (p.udp || p.sctp) {
      this.#refuse(IESTREAMLISTEN, EPROTONOSUPPORT, `${p.udp ? 'UDP' : 'SCTP'} is not served`);
      return false;
    }
    this.#params = p;
    this.phase = 'create';
    this.#step();
    this.#state(CREATE_STREAMS);
    return true;
  }

  #testEnd(): void {
    const used = process.cpuUsage(this.#cpu0);
    const perCent = 100 / (1000 * (performance.now() - this.#began));
    this.#cpu = {
      total: (used.user + used.system) * perCent,
      user: used.user * perCent,
      system: used.system * perCent,
    };
    this.phase = 'results';
    this.#home.send({ t: 'stop', cookie: this.cookie });
    this.#step();
    this.#state(EXCHANGE_RESULTS);
  }

  #readResults(): boolean {
    const text = this.#reader.json();
    if (text === undefined) return false;
    if (text === null) {
      this.#fail('results that cannot be read');
      return false;
    }
    this.#clientBytes = parseResults(text);
    this.phase = 'draining';
    this.#drainSince = performance.now();
    this.#progressAt = this.#drainSince;
    this.#askCounts();
    return false;
  }

  #askCounts(): void {
    this.#awaited = new Set(this.#streams.map((s) => s.shard));
    this.#arm(STEP_MS, () => this.#fail('a shard does not answer'));
    this.#home.send({ t: 'count', cookie: this.cookie, from: this.#home.shard });
  }

  /** A shard's counts of its streams. */
  counts(from: number, counts: readonly StreamCount[]): void {
    if (this.phase !== 'draining') return;
    for (const count of counts) {
      const s = this.#streams.find((x) => x.shard === from && x.n === count.n);
      if (s !== undefined) s.count = count;
    }
    this.#awaited.delete(from);
    if (this.#awaited.size > 0) return;
    if (this.#drained()) this.#sendResults();
    else this.#arm(POLL_MS, () => this.#askCounts());
  }

  /** Whether every byte that the client says it sent has come, or no more are to be expected. */
  #drained(): boolean {
    // with omitted seconds the two sides count from different moments
    if ((this.#params?.omit ?? 0) > 0) return true;
    const now = performance.now();
    let total = 0;
    let missing = false;
    for (const s of this.#streams) {
      if (s.send) continue;
      const got = s.count?.bytes ?? 0;
      total += got;
      if (got < (this.#clientBytes.get(s.id) ?? 0)) missing = true;
    }
    if (total !== this.#drainTotal) this.#progressAt = now;
    this.#drainTotal = total;
    return !missing || now - this.#progressAt > QUIET_MS || now - this.#drainSince > DRAIN_MS;
  }

  /** What the streams ran under: as the client asked, where such a module is loaded. */
  #congestion(): string {
    const asked = this.#params?.congestion ?? '';
    return asked !== '' && ccNames().includes(asked) ? asked : (this.control.congestion ?? '');
  }

  #sendResults(): void {
    this.control.setNoDelay(true);
    this.#write(
      frameJson(
        resultsJson({
          cpuTotal: this.#cpu.total,
          cpuUser: this.#cpu.user,
          cpuSystem: this.#cpu.system,
          sends: this.#streams.some((s) => s.send),
          congestion: this.#congestion(),
          streams: this.#streams.map((s) => ({
            id: s.id,
            bytes: s.count?.bytes ?? 0,
            retransmits: s.send ? (s.count?.retransmits ?? 0) : -1,
            seconds: s.count?.seconds ?? 0,
          })),
        }),
      ),
    );
    this.#state(DISPLAY_RESULTS);
    this.#summary();
    this.#over(false);
  }

  #summary(): void {
    for (const send of [false, true]) {
      const streams = this.#streams.filter((s) => s.send === send);
      if (streams.length === 0) continue;
      const bytes = streams.reduce((sum, s) => sum + (s.count?.bytes ?? 0), 0);
      const seconds = Math.max(...streams.map((s) => s.count?.seconds ?? 0));
      const rate = seconds > 0 ? (bytes * 8) / seconds / 1e6 : 0;
      const verb = send ? 'sent to' : 'received from';
      const count = `${streams.length} stream${streams.length === 1 ? '' : 's'}`;
      this.#home.log(
        `iperf3: ${bytes} bytes ${verb} ${this.#peer} in ${seconds.toFixed(2)} s over ${count}, ${rate.toFixed(1)} Mbit/s`,
      );
    }
  }

  writable(): void {}

  end(so: StreamSocket): void {
    if (this.phase !== 'done') this.#fail('the client closed the control connection');
    else so.close();
  }

  closed(): void {
    this.#gone = true;
    this.#disarm();
    if (this.phase !== 'done') this.#fail('the control connection was lost');
  }

  /** The server stops: the client is told. */
  terminate(): void {
    if (this.phase === 'done') return;
    this.#state(SERVER_TERMINATE);
    this.#over(true);
    this.#disarm();
    if (!this.#gone) this.control.close();
  }

  #refuse(code: number, errno: number, why: string): void {
    this.#home.log(`iperf3: test of ${this.#peer} refused: ${why}`);
    this.#write(serverError(code, errno));
    this.control.shutdown();
    this.#over(true);
  }

  #fail(why: string): void {
    this.#home.log(`iperf3: test of ${this.#peer} broken off: ${why}`);
    this.#over(true);
    if (!this.#gone) this.control.close();
  }

  /** The server is free for the next test; the control connection stays until the client closes it, for a while. */
  #over(abort: boolean): void {
    this.phase = 'done';
    if (this.#omitTimer !== null) clearTimeout(this.#omitTimer);
    if (this.#gone) this.#disarm();
    else this.#arm(STEP_MS, () => this.control.abort());
    this.#home.send({ t: 'release', cookie: this.cookie, abort });
    this.#home.free(this);
  }

  #state(s: number): void {
    this.#write(Uint8Array.of(s & 0xff));
  }

  /** The control connection's messages are small beside any send buffer: one that does not fit means that the client reads nothing. */
  #write(bytes: Uint8Array): void {
    if (this.#gone) return;
    const n = this.control.send(bytes, 0, bytes.length);
    if (n !== bytes.length && this.phase !== 'done') this.#fail('the client does not read');
  }

  #step(): void {
    this.#arm(STEP_MS, () => this.#fail(`no answer in ${STEP_MS / 1000} s`));
  }

  #arm(ms: number, fn: () => void): void {
    this.#disarm();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#home.enter();
      fn();
    }, ms);
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
