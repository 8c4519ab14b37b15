import type { VirtualClock } from '../driver/sim/clock.ts';
import { seqGt, seqLeq, seqLt } from '../stack/tcp/seq.ts';
import { haveEstablished } from '../stack/tcp/tcp-fsm.ts';
import { TA_INPUT_DONE, TA_OUTPUT_DONE, TA_TIMER } from '../stack/tcp/tcp-trace.ts';
import type { Tcpcb } from '../stack/tcp/tcpcb.ts';
import { TH_FIN, TH_SYN } from '../stack/wire/tcp.ts';

const FIRST_ROOM = 1024;

/**
 * Watches a sender through the trace point: round-trip times and the congestion window.
 *
 * A round trip is timed from the outside, by when a segment left the sender's TCP and when the ACK that covers it was processed, so it is exact
 * whatever the stack measures itself. One sample an ACK, that of the last segment covered; none when the ACK covers one that was sent again (Karn's
 * algorithm, RFC 6298 section 3).
 */
export class FlowMeter {
  readonly #clock: VirtualClock;
  /** Segments sent and not acknowledged: a ring, oldest first. */
  #end: Int32Array;
  #sentAt: Float64Array;
  #again: Uint8Array;
  #first: number;
  #count: number;
  /** Nothing was sent up to here yet, and nothing acknowledged. */
  #max: number;
  #una: number;
  #known: boolean;
  #rtt: Uint32Array;
  #nrtt: number;
  #cwnd: number;
  #cwndAt: number;
  #cwndSince: number;
  #cwndUs: number;
  #over: boolean;
  cwndMax: number;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
    this.#end = new Int32Array(FIRST_ROOM);
    this.#sentAt = new Float64Array(FIRST_ROOM);
    this.#again = new Uint8Array(FIRST_ROOM);
    this.#first = 0;
    this.#count = 0;
    this.#max = 0;
    this.#una = 0;
    this.#known = false;
    this.#rtt = new Uint32Array(FIRST_ROOM);
    this.#nrtt = 0;
    this.#cwnd = -1;
    this.#cwndAt = 0;
    this.#cwndSince = 0;
    this.#cwndUs = 0;
    this.#over = false;
    this.cwndMax = 0;
  }

  /** The trace point's listener (TcpTraceFn). */
  trace(tp: Tcpcb, act: number, flags: number, seq: number, len: number): void {
    if (this.#over) return;
    if (act === TA_OUTPUT_DONE) {
      const space = len + ((flags & TH_SYN) !== 0 ? 1 : 0) + ((flags & TH_FIN) !== 0 ? 1 : 0);
      if (space > 0) this.#sent(seq, (seq + space) | 0);
    } else if (act === TA_INPUT_DONE) {
      if (this.#known && seqGt(tp.snd_una, this.#una)) this.#acked(tp.snd_una);
    } else if (act !== TA_TIMER) {
      return;
    }
    if (haveEstablished(tp.t_state)) this.#window(tp.snd_cwnd);
  }

  /** Samples so far, ascending, µs. */
  rtts(): Uint32Array {
    return this.#rtt.slice(0, this.#nrtt).sort();
  }

  /** Mean of the window over the time that the connection was established, bytes; ends the watch. */
  cwndMean(): number {
    this.end();
    const us = this.#cwndAt - this.#cwndSince;
    return us > 0 ? this.#cwndUs / us : Math.max(0, this.#cwnd);
  }

  /** Forgets what was measured so far. */
  restart(): void {
    this.#nrtt = 0;
    this.#cwndUs = 0;
    this.cwndMax = 0;
    if (this.#cwnd >= 0 && !this.#over) {
      this.#cwndSince = this.#clock.now;
      this.#cwndAt = this.#clock.now;
      this.cwndMax = this.#cwnd;
    }
  }

  /** The connection is over: the window counts no longer. */
  end(): void {
    if (!this.#over) this.#window(this.#cwnd);
    this.#over = true;
  }

  #window(cwnd: number): void {
    const { now } = this.#clock;
    if (this.#cwnd >= 0) {
      this.#cwndUs += this.#cwnd * (now - this.#cwndAt);
      this.#cwndAt = now;
    } else if (cwnd >= 0 && this.#cwndAt === 0) {
      this.#cwndSince = now;
      this.#cwndAt = now;
    }
    this.#cwnd = cwnd;
    if (cwnd > this.cwndMax) this.cwndMax = cwnd;
  }

  #sent(start: number, end: number): void {
    if (!this.#known) {
      this.#known = true;
      this.#una = start;
      this.#max = start;
    }
    const mask = this.#end.length - 1;
    if (seqLt(start, this.#max)) {
      // Sent again: the segments that it overlaps are not to be timed.
      for (let i = this.#behind(start); i < this.#count; i++) {
        this.#again[(this.#first + i) & mask] = 1;
        if (!seqLt(this.#end[(this.#first + i) & mask]!, end)) break;
      }
    }
    if (!seqGt(end, this.#max)) return;
    if (this.#count > mask) this.#grow();
    const at = (this.#first + this.#count++) & (this.#end.length - 1);
    this.#end[at] = end;
    this.#sentAt[at] = this.#clock.now;
    this.#again[at] = seqLt(start, this.#max) ? 1 : 0;
    this.#max = end;
  }

  /** Place from the oldest of the first segment that ends behind `seq`. */
  #behind(seq: number): number {
    const mask = this.#end.length - 1;
    let lo = 0;
    let hi = this.#count;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (seqGt(this.#end[(this.#first + mid) & mask]!, seq)) hi = mid;
      else lo = mid + 1;
    }
    return lo;
  }

  #acked(una: number): void {
    const mask = this.#end.length - 1;
    let clean = true;
    let sentAt = -1;
    while (this.#count > 0 && seqLeq(this.#end[this.#first]!, una)) {
      if (this.#again[this.#first] !== 0) clean = false;
      sentAt = this.#sentAt[this.#first]!;
      this.#first = (this.#first + 1) & mask;
      this.#count--;
    }
    this.#una = una;
    if (!clean || sentAt < 0) return;
    if (this.#nrtt === this.#rtt.length) {
      const more = new Uint32Array(2 * this.#nrtt);
      more.set(this.#rtt);
      this.#rtt = more;
    }
    this.#rtt[this.#nrtt++] = Math.round(this.#clock.now - sentAt);
  }

  #grow(): void {
    const room = this.#end.length;
    const order = Array.from({ length: this.#count }, (_, i) => (this.#first + i) & (room - 1));
    const end = new Int32Array(2 * room);
    const sentAt = new Float64Array(2 * room);
    const again = new Uint8Array(2 * room);
    order.forEach((from, to) => {
      end[to] = this.#end[from]!;
      sentAt[to] = this.#sentAt[from]!;
      again[to] = this.#again[from]!;
    });
    this.#end = end;
    this.#sentAt = sentAt;
    this.#again = again;
    this.#first = 0;
  }
}
