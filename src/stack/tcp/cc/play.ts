/** Moments of a connection's life for a module under test: a made-up connection whose numbers stay consistent, and calls that are watched. */
import {
  CC_NDUPACK,
  CC_RTO,
  CC_RTO_ERR,
  CcAck,
  CcLost,
  type CcModule,
  type CcSignal,
  type CongestionControl,
  TCP_MAXWINDOW,
} from './cc.ts';
import { FakeConn } from './fake.ts';

/** The surroundings of a run. */
export interface PlayOptions {
  readonly maxseg: number;
  /** µs. */
  readonly rtt: number;
  /** Initial window, segments. */
  readonly initcwnd: number;
  readonly seed: number;
}

/** What went wrong in a call: which check, and a line. */
export class PlayFault extends Error {
  override readonly name = 'PlayFault';
  readonly check: string;

  constructor(check: string, text: string) {
    super(text);
    this.check = check;
  }
}

/** More than any path takes: bytes of a window before it is cut to what can be, bytes a second of a pacing rate. */
const ABSURD_WINDOW = 2 ** 53;
const ABSURD_RATE = 1e17;

/** One ACK, as far as it differs from one for a full segment that found the window used up. */
export interface PlayAck {
  readonly segs?: number;
  readonly rtt?: number;
  readonly limited?: boolean;
  readonly ece?: boolean;
  /** Segments newly marked lost. */
  readonly lost?: number;
  /** µs since the event before. */
  readonly after?: number;
}

export class Play {
  readonly c: FakeConn;
  readonly cc: CongestionControl;
  readonly own: boolean;
  /** Sums up all windows and rates so far: two runs alike have the same. */
  trace = 0;
  #ack = new CcAck();
  #lost = new CcLost();
  readonly #fields: Float64Array;
  readonly #rtt: number;
  #roundEnd = 0;
  #roundDelivered = 0;
  #oldCwnd = 0;
  #oldSsthresh = 0;

  constructor(module: CcModule, o: PlayOptions) {
    // Numbers and clock wrap early in the run.
    this.c = new FakeConn(o.maxseg, o.seed, 0x7ffffff0 - 20 * o.maxseg, 0x7fffffff - 3 * o.rtt);
    this.c.initcwnd = o.initcwnd * o.maxseg;
    this.c.snd_cwnd = this.c.initcwnd;
    this.c.srtt = o.rtt;
    this.c.rttmin = o.rtt;
    this.#rtt = o.rtt;
    this.#fields = new Float64Array((module.fields?.length ?? 0) + 1);
    this.cc = this.#call('create', () => module.create());
    this.own = this.cc.recovery === 'own';
    this.#call('init', () => this.cc.init(this.c));
    this.fill();
  }

  /** Sends what the window has room for. */
  fill(appLimited = false): void {
    const { c } = this;
    const room = Math.floor(c.snd_cwnd) - c.pipe;
    const bytes = room - (room % c.maxseg);
    if (bytes <= 0) return;
    // A billion bytes in flight are as good as any more, and keep sequence numbers comparable.
    const most = 0x3fffffff - ((c.snd_max - c.snd_una) | 0);
    const n = bytes < most ? bytes : most;
    if (n <= 0) return;
    c.snd_max = (c.snd_max + n) | 0;
    c.pipe += n;
    this.#call('sent', () => this.cc.sent?.(c, n, appLimited));
  }

  ack(o: PlayAck = {}): void {
    const { c } = this;
    const a = this.#ack;
    this.wait(o.after ?? 0);
    const out = (c.snd_max - c.snd_una) | 0;
    let bytes = (o.segs ?? 1) * c.maxseg;
    if (bytes > out) bytes = out;
    const lost = Math.min((o.lost ?? 0) * c.maxseg, c.pipe);
    Object.assign(a, new CcAck());
    a.priorInFlight = c.pipe;
    a.acked = bytes;
    a.delivered = bytes;
    a.lost = lost;
    a.rtt = o.rtt ?? this.#rtt;
    a.ece = o.ece ?? false;
    a.cwndLimited = o.limited ?? true;
    a.isAppLimited = !a.cwndLimited;
    a.txInFlight = c.pipe;
    a.rateLost = lost;
    a.priorDelivered = this.#roundDelivered;
    c.snd_una = (c.snd_una + bytes) | 0;
    c.pipe = Math.max(0, c.pipe - bytes - lost);
    c.delivered += bytes;
    c.lost += lost;
    a.inFlight = c.pipe;
    if (a.rtt >= 0) {
      c.srtt = Math.max(1, Math.round(c.srtt + (a.rtt - c.srtt) / 8));
      c.rttmin = Math.min(c.rttmin, Math.max(1, a.rtt));
    }
    a.rateBytes = Math.max(bytes, Math.min(a.priorInFlight, c.delivered));
    a.rateInterval = Math.max(1, a.rtt);
    a.deliveryRate = (a.rateBytes * 1e6) / a.rateInterval;
    if (((c.snd_una - this.#roundEnd) | 0) >= 0) {
      this.#roundEnd = c.snd_max;
      this.#roundDelivered = c.delivered;
    }
    this.#tellLost(lost, a.priorInFlight, a.isAppLimited);
    // In fast recovery the stack has the window.
    if (this.own || !c.inRecovery) this.#call('ackReceived', () => this.cc.ackReceived(c, a));
    this.fill(!a.cwndLimited);
  }

  #tellLost(bytes: number, inFlight: number, appLimited: boolean): void {
    const { c } = this;
    const l = this.#lost;
    if (bytes === 0 || this.cc.lost === undefined) return;
    Object.assign(l, new CcLost());
    l.start = c.snd_una;
    l.bytes = bytes;
    l.txInFlight = inFlight;
    l.rateLost = bytes;
    l.priorDelivered = this.#roundDelivered;
    l.isAppLimited = appLimited;
    this.#call('lost', () => this.cc.lost!(c, l));
  }

  /** A round trip: an ACK a segment, at most `most` of them, that cover the window between them. */
  round(o: PlayAck = {}, most = 64): void {
    const n = Math.max(1, Math.floor(this.c.pipe / this.c.maxseg));
    const acks = Math.min(n, most);
    const after = Math.max(1, Math.floor((o.rtt ?? this.#rtt) / acks));
    for (let i = 0; i < acks; i++) this.ack({ ...o, segs: Math.ceil(n / acks), after });
  }

  signal(type: CcSignal): void {
    const { c } = this;
    if (type === CC_RTO_ERR) {
      c.snd_cwnd = Math.max(c.snd_cwnd, this.#oldCwnd);
      c.snd_ssthresh = this.#oldSsthresh;
      c.inRecovery = false;
    } else if (type === CC_NDUPACK || type === CC_RTO) {
      this.#oldCwnd = c.snd_cwnd;
      this.#oldSsthresh = c.snd_ssthresh;
    }
    const out = c.pipe;
    if (type === CC_RTO) {
      c.lost += c.pipe;
      c.pipe = 0;
      c.inRecovery = false;
    }
    this.#call('congestionSignal', () => this.cc.congestionSignal(c, type));
    if (type === CC_RTO) this.#tellLost(out, out, false);
    if (type === CC_NDUPACK) c.inRecovery = true;
    if (type === CC_RTO && !this.own) c.snd_cwnd = c.maxseg;
  }

  /** Everything sent before the loss is acknowledged. */
  recovered(): void {
    const { c } = this;
    if (c.inRecovery && !this.own) c.snd_cwnd = c.snd_ssthresh;
    c.inRecovery = false;
    this.#call('postRecovery', () => this.cc.postRecovery?.(c));
    if (c.pipe > c.snd_cwnd) c.pipe = Math.floor(c.snd_cwnd);
    this.fill();
  }

  idle(us: number): void {
    this.c.pipe = 0;
    this.c.snd_una = this.c.snd_max;
    this.wait(us);
    this.#call('afterIdle', () => this.cc.afterIdle?.(this.c, us));
    this.fill(true);
  }

  wait(us: number): void {
    this.c.now = (this.c.now + us) | 0;
  }

  /** Calls the module and looks at what it left, as the stack's glue does. */
  #call<T>(what: string, fn: () => T): T {
    const { c } = this;
    let result: T;
    try {
      result = fn();
    } catch (err) {
      if (err instanceof PlayFault) throw err;
      throw new PlayFault('throws', `${what}() throws: ${err instanceof Error ? err.message : String(err)}`);
    }
    for (const name of ['snd_cwnd', 'snd_ssthresh'] as const) {
      const w: unknown = c[name];
      if (typeof w !== 'number' || Number.isNaN(w)) throw new PlayFault('nan', `${what}() leaves ${name} ${String(w)}`);
      if (w < 0 || w > ABSURD_WINDOW) throw new PlayFault('absurd', `${what}() leaves ${name} ${w}`);
      c[name] = Math.trunc(Math.min(Math.max(w, c.maxseg), TCP_MAXWINDOW));
    }
    if (what !== 'create') this.#look(what);
    this.trace = (Math.imul(this.trace, 31) + c.snd_cwnd + Math.imul(c.snd_ssthresh, 7)) | 0;
    return result;
  }

  #look(what: string): void {
    let rate: unknown = 0;
    try {
      rate = this.cc.pacingRate?.(this.c) ?? 0;
      this.cc.readFields?.(this.#fields, 0);
    } catch (err) {
      throw new PlayFault(
        'throws',
        `pacingRate() or readFields() throws: ${err instanceof Error ? err.message : String(err)}`,
      );
    }
    if (typeof rate !== 'number' || Number.isNaN(rate)) {
      throw new PlayFault('nan', `pacingRate() after ${what}() is ${String(rate)}`);
    }
    if (rate < 0 || rate > ABSURD_RATE) throw new PlayFault('absurd', `pacingRate() after ${what}() is ${rate}`);
    this.trace = (this.trace + Math.trunc(rate % 0x7fffffff)) | 0;
    const n = this.#fields.length - 1;
    for (let i = 0; i < n; i++) {
      if (Number.isNaN(this.#fields[i]!))
        throw new PlayFault('nan', `readFields() after ${what}() gives NaN as number ${i}`);
    }
    if (this.#fields[n] !== 0) throw new PlayFault('fields', 'readFields() writes more than the declared fields');
  }
}
