import {
  CC_ECN,
  CC_NDUPACK,
  CC_RTO,
  CcAck,
  CcLost,
  type CcModule,
  type CongestionControl,
} from '../../src/stack/tcp/cc/cc.ts';
import { FakeConn } from '../../src/stack/tcp/cc/fake.ts';

export interface PathOptions {
  /** Bottleneck, bytes a second. */
  readonly rate: number;
  /** Propagation there and back, µs. */
  readonly rtt: number;
  /** Queue, bytes; drop-tail. Default: no limit. */
  readonly queue?: number;
  /** Queue above which packets are marked, bytes. Default: none. */
  readonly mark?: number;
  /** Transmissions that are lost, counted from 1. */
  readonly drop?: (n: number) => boolean;
  readonly seed?: number;
  readonly maxseg?: number;
}

/** A segment on its way, with what the rate sample needs (draft-ietf-ccwg-bbr-06 section 4.1.2). */
interface Sent {
  readonly n: number;
  readonly seq: number;
  readonly time: number;
  readonly delivered: number;
  readonly deliveredTime: number;
  readonly firstSent: number;
  readonly lost: number;
  readonly txInFlight: number;
  readonly appLimited: boolean;
  /** Infinity when the path lost it. */
  readonly arrives: number;
  readonly ce: boolean;
}

const REORDER = 3;

/**
 * A sender with endless data over one queue of fixed rate, in virtual time: enough of TCP (exact ACKs of each segment, loss after three
 * later ones, recovery, timeout, pacing, rate samples) to see what a module does with a path. Times µs, counted from 0.
 */
export class ToyPath {
  readonly c: FakeConn;
  readonly cc: CongestionControl;
  time = 0;
  /** The application has something to send. */
  busy = true;
  signals: { time: number; type: number }[] = [];
  /** Called after each ACK. */
  onAck: ((p: ToyPath, ack: CcAck) => void) | null = null;
  /** Path's own numbers, to be changed while it runs. */
  rate: number;
  rtt: number;
  readonly #o: PathOptions;
  readonly #ack = new CcAck();
  readonly #lost = new CcLost();
  readonly #iss: number;
  #flight: Sent[] = [];
  #rexmt: number[] = [];
  #done = new Set<number>();
  #next = 0;
  #una = 0;
  #n = 0;
  #busyUntil = 0;
  #nextSend = 0;
  #deliveredTime = 0;
  #firstSent = 0;
  #recover = 0;
  #ecnUntil = 0;
  #lastProgress = 0;
  #limited = false;
  #repair = false;
  /** Segments of the flight that the path lost. */
  #gone = 0;

  constructor(module: CcModule, o: PathOptions) {
    this.#o = o;
    this.rate = o.rate;
    this.rtt = o.rtt;
    // Both the clock and the numbers wrap soon.
    this.c = new FakeConn(o.maxseg ?? 1448, o.seed ?? 1, 0x7fff0000, 0x7ff00000);
    this.#iss = this.c.snd_una;
    this.cc = module.create();
    this.cc.init(this.c);
  }

  get queued(): number {
    const left = this.#busyUntil - this.time;
    return left > 0 ? (left * this.rate) / 1e6 : 0;
  }

  /** Runs until `until` µs. */
  run(until: number): void {
    for (;;) {
      const paced = this.cc.pacingRate?.(this.c) ?? 0;
      const send = this.#mayTransmit() ? (paced > 0 ? Math.max(this.time, this.#nextSend) : this.time) : Infinity;
      let ack = Infinity;
      for (const s of this.#flight) {
        if (s.arrives < Infinity) {
          ack = s.arrives;
          break;
        }
      }
      const rto = this.#flight.length > 0 ? this.#lastProgress + Math.max(1e6, 4 * this.c.srtt) : Infinity;
      const at = Math.min(send, ack, rto);
      if (at > until) {
        this.#setTime(until);
        return;
      }
      this.#setTime(at);
      if (at === ack) this.#arrive();
      else if (at === send) this.#transmit(paced);
      else this.#timeout();
    }
  }

  #setTime(t: number): void {
    this.c.now = (this.c.now + Math.round(t) - Math.round(this.time)) | 0;
    this.time = t;
  }

  #mayTransmit(): boolean {
    if (!this.busy && this.#rexmt.length === 0) return false;
    const room = this.c.pipe + this.c.maxseg <= this.c.snd_cwnd || this.c.pipe === 0;
    if (!room) this.#limited = true;
    return room;
  }

  #transmit(paced: number): void {
    const c = this.c;
    const size = c.maxseg;
    const again = this.#rexmt.shift();
    const seq = again ?? this.#next;
    if (again === undefined) this.#next += size;
    c.snd_max = (this.#iss + this.#next) | 0;
    if (c.pipe === 0) {
      this.#deliveredTime = this.time;
      this.#firstSent = this.time;
      this.#lastProgress = this.time;
    }
    const full = this.queued + size > (this.#o.queue ?? Infinity);
    const gone = full || this.#o.drop?.(this.#n + 1) === true;
    const ce = this.queued > (this.#o.mark ?? Infinity);
    let arrives = Infinity;
    if (gone) {
      this.#gone++;
    } else {
      this.#busyUntil = Math.max(this.#busyUntil, this.time) + (size * 1e6) / this.rate;
      arrives = this.#busyUntil + this.rtt;
    }
    c.pipe += size;
    this.#flight.push({
      n: ++this.#n,
      seq,
      time: this.time,
      delivered: c.delivered,
      deliveredTime: this.#deliveredTime,
      firstSent: this.#firstSent,
      lost: c.lost,
      txInFlight: c.pipe,
      appLimited: !this.busy,
      arrives,
      ce,
    });
    if (paced > 0) this.#nextSend = Math.max(this.time, this.#nextSend) + (size * 1e6) / paced;
    this.cc.sent?.(c, size, !this.busy);
  }

  #arrive(): void {
    const c = this.c;
    const at = this.#flight.findIndex((s) => s.arrives < Infinity);
    const s = this.#flight.splice(at, 1)[0]!;
    const a = this.#ack;
    const size = c.maxseg;
    a.priorInFlight = c.pipe;
    c.pipe -= size;
    const fresh = !this.#done.has(s.seq);
    if (fresh) this.#done.add(s.seq);
    const una = this.#una;
    while (this.#done.delete(this.#una)) this.#una += size;
    c.snd_una = (this.#iss + this.#una) | 0;
    a.acked = this.#una - una;
    a.delivered = size;
    c.delivered += size;
    a.rtt = Math.round(this.time - s.time);
    c.srtt = c.srtt === 0 ? a.rtt : Math.round(c.srtt + (a.rtt - c.srtt) / 8);
    c.rttmin = c.rttmin === 0 ? a.rtt : Math.min(c.rttmin, a.rtt);
    a.rateBytes = c.delivered - s.delivered;
    a.rateInterval = Math.max(s.time - s.firstSent, this.time - s.deliveredTime);
    a.deliveryRate = a.rateInterval > 0 ? (a.rateBytes * 1e6) / a.rateInterval : 0;
    a.priorDelivered = s.delivered;
    a.isAppLimited = s.appLimited;
    a.txInFlight = s.txInFlight;
    a.ece = s.ce;
    a.cwndLimited = this.#limited;
    this.#limited = false;
    this.#deliveredTime = this.time;
    this.#firstSent = s.time;
    this.#lastProgress = this.time;
    a.lost = this.#detect(s.n);
    a.rateLost = c.lost - s.lost;
    a.inFlight = c.pipe;
    if ((c.inRecovery || this.#repair) && this.#una >= this.#recover) this.#endRecovery();
    if (a.lost > 0 && !c.inRecovery && !this.#repair) this.#enterRecovery();
    if (a.ece && this.cc.wantsExactEcn !== true && this.#una > this.#ecnUntil) {
      this.#ecnUntil = this.#next;
      this.#signal(CC_ECN);
    }
    const own = this.cc.recovery === 'own';
    if (c.inRecovery && !own) c.snd_cwnd = c.snd_ssthresh;
    else this.cc.ackReceived(c, a);
    this.onAck?.(this, a);
  }

  #lose(s: Sent): void {
    if (s.arrives === Infinity) this.#gone--;
    this.c.pipe -= this.c.maxseg;
    this.c.lost += this.c.maxseg;
    this.#rexmt.push(s.seq);
    const l = this.#lost;
    l.start = (this.#iss + s.seq) | 0;
    l.bytes = this.c.maxseg;
    l.txInFlight = s.txInFlight;
    l.rateLost = this.c.lost - s.lost;
    l.priorDelivered = s.delivered;
    l.isAppLimited = s.appLimited;
    this.cc.lost?.(this.c, l);
  }

  #detect(n: number): number {
    if (this.#gone === 0) return 0;
    const before = this.c.lost;
    const keep: Sent[] = [];
    for (const s of this.#flight) {
      if (s.n <= n - REORDER && s.arrives === Infinity) this.#lose(s);
      else keep.push(s);
    }
    this.#flight = keep;
    return this.c.lost - before;
  }

  #signal(type: typeof CC_ECN | typeof CC_NDUPACK | typeof CC_RTO): void {
    this.signals.push({ time: this.time, type });
    this.cc.congestionSignal(this.c, type);
  }

  #enterRecovery(): void {
    this.#recover = this.#next;
    this.#signal(CC_NDUPACK);
    this.c.inRecovery = true;
  }

  #endRecovery(): void {
    this.c.inRecovery = false;
    if (this.cc.recovery !== 'own' && !this.#repair) this.c.snd_cwnd = this.c.snd_ssthresh;
    this.#repair = false;
    this.cc.postRecovery?.(this.c);
  }

  #timeout(): void {
    for (const s of this.#flight) this.#lose(s);
    this.#flight = [];
    this.#lastProgress = this.time;
    this.#recover = this.#next;
    this.#signal(CC_RTO);
    if (this.cc.recovery !== 'own') this.c.snd_cwnd = this.c.maxseg;
    this.c.inRecovery = false;
    this.#repair = true;
  }
}
