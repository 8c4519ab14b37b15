/**
 * HyStart++ (RFC 9406): leaves the first slow start when round trips grow, before the queue overflows, by way of Conservative Slow
 * Start (CSS), which goes back to slow start when the growth was a false alarm.
 */
import type { CcAck, CcVar } from './cc.ts';

/** RFC 9406 section 4.3, times in µs. */
export const MIN_RTT_THRESH = 4000;
export const MAX_RTT_THRESH = 16000;
export const MIN_RTT_DIVISOR = 8;
export const N_RTT_SAMPLE = 8;
export const CSS_GROWTH_DIVISOR = 4;
export const CSS_ROUNDS = 5;
/** Segments that one ACK may add when nothing paces the sender. With pacing there is no limit. */
export const HYSTART_L = 8;

/** `HyStart.phase`. */
export const HYSTART_OFF = 0;
export const HYSTART_SLOW_START = 1;
export const HYSTART_CSS = 2;

const NONE = Number.POSITIVE_INFINITY;

export class HyStart {
  /** HYSTART_OFF outside the first slow start: the remainder of the connection uses the standard one (section 4.3). */
  phase: number = HYSTART_OFF;
  /** Least round-trip time of the round before and of this one, µs; infinity when there is none. */
  lastRoundMinRtt = NONE;
  currentRoundMinRtt = NONE;
  cssBaselineMinRtt = NONE;
  rttSampleCount = 0;
  /** Rounds of CSS that have begun. */
  cssRounds = 0;
  #windowEnd = 0;

  /** The first slow start begins. */
  start(c: CcVar): void {
    this.phase = HYSTART_SLOW_START;
    this.lastRoundMinRtt = NONE;
    this.currentRoundMinRtt = NONE;
    this.cssBaselineMinRtt = NONE;
    this.rttSampleCount = 0;
    this.cssRounds = 0;
    this.#windowEnd = c.snd_max;
  }

  /** Congestion was signalled, or slow start is over: HyStart++ has no further say. */
  stop(): void {
    this.phase = HYSTART_OFF;
  }

  /**
   * An ACK in slow start.
   * @param bytes what it acknowledges anew
   * @param paced whether the sender paces
   * @returns bytes by which the window grows. When CSS has run its rounds `phase` is HYSTART_OFF after the call, and the caller sets
   *   `snd_ssthresh` to the window (section 4.2).
   */
  ack(c: CcVar, ack: CcAck, bytes: number, paced: boolean): number {
    if (ack.rtt >= 0) {
      if (ack.rtt < this.currentRoundMinRtt) this.currentRoundMinRtt = ack.rtt;
      this.rttSampleCount++;
    }
    let grow = bytes;
    if (!paced && grow > HYSTART_L * c.maxseg) grow = HYSTART_L * c.maxseg;
    if (this.phase === HYSTART_CSS) grow = Math.floor(grow / CSS_GROWTH_DIVISOR);
    if (this.rttSampleCount >= N_RTT_SAMPLE) this.#judge();
    if (((c.snd_una - this.#windowEnd) | 0) >= 0) this.#roundEnd(c);
    return grow;
  }

  #judge(): void {
    if (this.phase === HYSTART_CSS) {
      if (this.currentRoundMinRtt < this.cssBaselineMinRtt) {
        // The queue was another's, or a burst: back to slow start.
        this.cssBaselineMinRtt = NONE;
        this.phase = HYSTART_SLOW_START;
      }
      return;
    }
    if (this.lastRoundMinRtt === NONE || this.currentRoundMinRtt === NONE) return;
    let thresh = this.lastRoundMinRtt / MIN_RTT_DIVISOR;
    if (thresh > MAX_RTT_THRESH) thresh = MAX_RTT_THRESH;
    if (thresh < MIN_RTT_THRESH) thresh = MIN_RTT_THRESH;
    if (this.currentRoundMinRtt >= this.lastRoundMinRtt + thresh) {
      this.cssBaselineMinRtt = this.currentRoundMinRtt;
      this.phase = HYSTART_CSS;
      // The rest of this round counts as the first (section 4.2).
      this.cssRounds = 1;
    }
  }

  #roundEnd(c: CcVar): void {
    this.#windowEnd = c.snd_max;
    this.lastRoundMinRtt = this.currentRoundMinRtt;
    this.currentRoundMinRtt = NONE;
    this.rttSampleCount = 0;
    if (this.phase !== HYSTART_CSS) return;
    if (this.cssRounds >= CSS_ROUNDS) this.phase = HYSTART_OFF;
    else this.cssRounds++;
  }
}
