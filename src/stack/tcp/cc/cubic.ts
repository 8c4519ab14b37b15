/**
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406) for the first slow start. Windows are bytes here and segments in the RFC; C stays
 * segments / s³.
 */
import {
  CC_ECN,
  CC_RTO,
  CC_RTO_ERR,
  type CcAck,
  type CcModule,
  type CcSignal,
  type CcVar,
  type CongestionControl,
} from './cc.ts';
import { HYSTART_L, HYSTART_OFF, HyStart } from './hystart.ts';
import { flightSize, shareOfFlight } from './window.ts';

/** RFC 9438 section 4.6 and section 5, and α of the Reno-friendly region (section 4.3). */
export const BETA_CUBIC = 0.7;
export const C_CUBIC = 0.4;
export const ALPHA_CUBIC = (3 * (1 - BETA_CUBIC)) / (1 + BETA_CUBIC);
/** Growth in a round trip stays under half the window (section 4.2). */
const TARGET_MAX = 1.5;

export class Cubic implements CongestionControl {
  /** W_max and cwnd_prior, bytes; 0 before the first congestion event. */
  wMax = 0;
  cwndPrior = 0;
  /** K and the time in congestion avoidance, s. */
  k = 0;
  t = 0;
  /** W_est, bytes with fractions. */
  wEst = 0;
  readonly hystart = new HyStart();
  /** A stage of congestion avoidance has begun: `k`, `t`, `wEst` and `#origin` are of it. */
  #stage = false;
  /** W_max of the stage: the window at its beginning where nothing was lost on the way (sections 4.8 and 4.10). */
  #origin = 0;
  /** The next stage begins on its plateau (K = 0). */
  #flat = true;
  /** Clock at the last ACK that counted for `t`, int32 µs. */
  #last = 0;
  /** Growth that is no whole byte yet. */
  #fraction = 0;
  /** The repair after a timeout is under way. */
  #repair = false;
  /** The next ACK may be the one that ended recovery: it covers what was reported long ago. */
  #skip = false;
  /** The numbers before the last reduction (section 4.9), and when it was. */
  #undoAt = 0;
  #undoWMax = 0;
  #undoCwndPrior = 0;
  #undoK = 0;
  #undoT = 0;
  #undoWEst = 0;
  #undoOrigin = 0;
  #undoStage = false;
  #undoFlat = true;

  init(c: CcVar): void {
    this.wMax = 0;
    this.cwndPrior = 0;
    this.#stage = false;
    this.#flat = true;
    this.#last = c.now;
    this.#fraction = 0;
    this.#repair = false;
    this.#skip = false;
    this.hystart.start(c);
    this.#save(c);
  }

  ackReceived(c: CcVar, ack: CcAck): void {
    if (c.inRecovery) return;
    if (this.#skip) {
      this.#skip = false;
      this.#last = c.now;
      return;
    }
    if (ack.acked <= 0) return;
    if (!ack.cwndLimited) {
      // The window did not move because the application held back: that time does not count (section 5.8).
      this.#last = c.now;
      return;
    }
    if (c.snd_cwnd < c.snd_ssthresh) this.#slowStart(c, ack);
    else this.#avoid(c, ack.acked);
  }

  #slowStart(c: CcVar, ack: CcAck): void {
    const hystart = this.hystart;
    this.#stage = false;
    if (hystart.phase === HYSTART_OFF) {
      // One segment an ACK after a timeout (RFC 3465 section 2.3).
      const most = (this.#repair ? 1 : HYSTART_L) * c.maxseg;
      c.snd_cwnd += ack.acked < most ? ack.acked : most;
      return;
    }
    c.snd_cwnd += hystart.ack(c, ack, ack.acked, false);
    if (hystart.phase === HYSTART_OFF) {
      c.snd_ssthresh = c.snd_cwnd;
      this.cwndPrior = c.snd_cwnd;
    }
  }

  /** Congestion avoidance: `acked` bytes (sections 4.2 to 4.5). */
  #avoid(c: CcVar, acked: number): void {
    if (!this.#stage) this.#begin(c);
    else this.t += ((c.now - this.#last) | 0) * 1e-6;
    this.#last = c.now;

    const cwnd = c.snd_cwnd;
    const mss = c.maxseg;
    const alpha = this.wEst >= this.cwndPrior ? 1 : ALPHA_CUBIC;
    this.wEst += (alpha * acked * mss) / cwnd;
    const d = this.t - this.k;
    if (C_CUBIC * d * d * d * mss + this.#origin < this.wEst) {
      // Reno-friendly region (section 4.3): this window never lies below what Reno's would be.
      if (this.wEst > cwnd) c.snd_cwnd = Math.floor(this.wEst);
      this.#fraction = 0;
      return;
    }
    const e = d + c.srtt * 1e-6;
    let target = C_CUBIC * e * e * e * mss + this.#origin;
    if (target < cwnd) target = cwnd;
    else if (target > TARGET_MAX * cwnd) target = TARGET_MAX * cwnd;
    const grow = ((target - cwnd) * acked) / cwnd + this.#fraction;
    const whole = Math.floor(grow);
    this.#fraction = grow - whole;
    c.snd_cwnd = cwnd + whole;
  }

  /** A stage of congestion avoidance begins: cwnd_epoch is the window. */
  #begin(c: CcVar): void {
    const cwnd = c.snd_cwnd;
    this.#stage = true;
    this.t = 0;
    this.wEst = cwnd;
    if (this.#flat || cwnd >= this.wMax) {
      this.k = 0;
      this.#origin = cwnd;
    } else {
      this.k = Math.cbrt((this.wMax - cwnd) / c.maxseg / C_CUBIC);
      this.#origin = this.wMax;
    }
  }

  congestionSignal(c: CcVar, type: CcSignal): void {
    this.hystart.stop();
    this.#skip = false;
    if (type === CC_RTO_ERR) {
      this.#undo(c);
      return;
    }
    this.#save(c);
    const cwnd = c.snd_cwnd;
    // Fast convergence (section 4.7): the window stopped growing earlier than last time, so another flow needs room.
    this.wMax = cwnd < this.wMax ? (cwnd * (1 + BETA_CUBIC)) / 2 : cwnd;
    this.cwndPrior = cwnd;
    this.#stage = false;
    this.#fraction = 0;
    this.#repair = type === CC_RTO;
    this.#flat = type === CC_RTO;
    c.snd_ssthresh = shareOfFlight(c, BETA_CUBIC);
    if (type === CC_ECN) {
      const left = Math.floor(flightSize(c) * BETA_CUBIC);
      c.snd_cwnd = left > c.maxseg ? left : c.maxseg;
    }
  }

  #save(c: CcVar): void {
    this.#undoAt = c.now;
    this.#undoWMax = this.wMax;
    this.#undoCwndPrior = this.cwndPrior;
    this.#undoK = this.k;
    this.#undoT = this.t;
    this.#undoWEst = this.wEst;
    this.#undoOrigin = this.#origin;
    this.#undoStage = this.#stage;
    this.#undoFlat = this.#flat;
  }

  /**
   * The reduction was a mistake: as if t_epoch had never changed, so the time since then counts (section 4.9). A window that has grown
   * beyond that of then keeps its new numbers.
   */
  #undo(c: CcVar): void {
    this.#repair = false;
    if (c.snd_cwnd > this.cwndPrior) return;
    this.wMax = this.#undoWMax;
    this.cwndPrior = this.#undoCwndPrior;
    this.k = this.#undoK;
    this.t = this.#undoT + ((c.now - this.#undoAt) | 0) * 1e-6;
    this.wEst = this.#undoWEst;
    this.#origin = this.#undoOrigin;
    this.#stage = this.#undoStage;
    this.#flat = this.#undoFlat;
    this.#last = c.now;
    this.#fraction = 0;
  }

  postRecovery(c: CcVar): void {
    this.#skip = !this.#repair;
    this.#repair = false;
    this.#last = c.now;
  }

  afterIdle(c: CcVar, _idleUs: number): void {
    this.#last = c.now;
  }

  readFields(out: Float64Array, at: number): void {
    out[at] = this.wMax;
    out[at + 1] = this.k;
    out[at + 2] = this.t;
    out[at + 3] = this.wEst;
    out[at + 4] = this.cwndPrior;
    out[at + 5] = this.hystart.phase;
  }
}

export const cubic: CcModule = {
  name: 'cubic',
  fields: [
    { name: 'w_max', unit: 'bytes', help: 'window before the last reduction, less with fast convergence' },
    { name: 'k', unit: 's', help: 'time from the start of congestion avoidance to w_max' },
    { name: 't', unit: 's', help: 'time in congestion avoidance that was limited by the window' },
    { name: 'w_est', unit: 'bytes', help: 'window that Reno would have by now' },
    { name: 'cwnd_prior', unit: 'bytes', help: 'window when ssthresh was last set' },
    { name: 'hystart', unit: '', help: 'HyStart++: 0 over, 1 slow start, 2 conservative slow start' },
  ],
  create: () => new Cubic(),
};
