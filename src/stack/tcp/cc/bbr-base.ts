/**
 * What BBRv1 (draft-cardwell-iccrg-bbr-congestion-control-00) and BBRv3 (draft-ietf-ccwg-bbr-06) share: round trips, the full-pipe
 * test, the minimum round-trip time with ProbeRTT, pacing and the saved window. Section numbers without a draft are those of the
 * latter. Rates are bytes a second, volumes bytes, times µs; `time` never wraps.
 */
import { CC_NDUPACK, type CcAck, type CcSignal, type CcVar, type CongestionControl } from './cc.ts';

/** `state`. v1 has one state of probing, PROBE_BW, and v3 four. */
export const STARTUP = 0;
export const DRAIN = 1;
export const PROBE_BW = 2;
export const PROBE_BW_DOWN = 3;
export const PROBE_BW_CRUISE = 4;
export const PROBE_BW_REFILL = 5;
export const PROBE_BW_UP = 6;
export const PROBE_RTT = 7;

/** Section 5.3.1.2: growth of a round that shows room, and rounds without it that show there is none. */
const FULL_BW_GROWTH = 1.25;
const FULL_BW_ROUNDS = 3;
/** Section 2.16, µs. */
const MIN_RTT_FILTER_LEN = 10e6;
const PROBE_RTT_DURATION = 200e3;
/** Section 2.8. */
const MIN_PIPE_SEGMENTS = 4;

export abstract class BbrBase implements CongestionControl {
  readonly recovery = 'own' as const;
  state: number = STARTUP;
  pacingGain = 1;
  cwndGain = 1;
  /** Bandwidth that the sender goes by, and the largest seen of late. */
  bw = 0;
  maxBw = 0;
  /** Infinity before the first sample. */
  minRtt = Number.POSITIVE_INFINITY;
  minRttStamp = 0;
  fullBwReached = false;
  fullBwNow = false;
  fullBw = 0;
  fullBwCount = 0;
  roundCount = 0;
  roundStart = false;
  nextRoundDelivered = 0;
  /** Window to come back to from loss recovery and ProbeRTT. */
  priorCwnd = 0;
  /** Bytes a second; what `pacingRate` answers. */
  rate = 0;
  sendQuantum = 0;
  /** Now, µs since `init`. */
  time = 0;
  /** Fast recovery, or the repair after a timeout, is under way. */
  protected inLoss = false;
  protected idleRestart = false;
  protected probeRttMinDelay = Number.POSITIVE_INFINITY;
  protected probeRttMinStamp = 0;
  protected probeRttExpired = false;
  #probeRttDoneStamp = 0;
  #probeRttRoundDone = false;
  #last = 0;
  #seenRtt = false;
  /** Rate samples of what was sent at these values of `delivered` say nothing: ProbeRTT held the sender back. */
  #quietFrom = Number.POSITIVE_INFINITY;
  #quietTo = 0;

  /** Interval of ProbeRTT, µs. */
  protected readonly probeRttInterval: number;
  /** Share of the bandwidth at which `pacingGain` 1 paces. */
  readonly #margin: number;

  constructor(probeRttInterval: number, margin: number) {
    this.probeRttInterval = probeRttInterval;
    this.#margin = margin;
  }

  init(c: CcVar): void {
    this.#last = c.now;
    this.time = 0;
    this.minRtt = c.srtt > 0 ? c.srtt : Number.POSITIVE_INFINITY;
    this.probeRttMinDelay = this.minRtt;
    this.nextRoundDelivered = c.delivered;
    this.#initPacing(c);
    this.enterStartup();
  }

  /** Section 5.6.2: before anything is measured, the initial window in a round trip. */
  #initPacing(c: CcVar): void {
    this.#seenRtt = c.srtt > 0;
    const rtt = this.#seenRtt ? c.srtt : 1000;
    this.rate = (this.startupGain() * c.initcwnd * 1e6) / rtt;
    this.setSendQuantum(c);
  }

  abstract ackReceived(c: CcVar, ack: CcAck): void;
  abstract congestionSignal(c: CcVar, type: CcSignal): void;
  abstract readFields(out: Float64Array, at: number): void;
  protected abstract startupGain(): number;
  protected abstract enterStartup(): void;
  /** ProbeRTT is over and the pipe was full before. */
  protected abstract enterProbeBwFromRtt(c: CcVar): void;
  /** What ProbeRTT lets in flight. */
  protected abstract probeRttCwnd(c: CcVar): number;
  /** A phase of probing bandwidth. */
  protected abstract inProbeBw(): boolean;

  /** Brings `time` up to date. Call it first at each event. */
  protected tick(c: CcVar): void {
    this.time += (c.now - this.#last) | 0;
    this.#last = c.now;
    if (!this.#seenRtt && c.srtt > 0) this.#initPacing(c);
  }

  /** A round trip ends with the ACK for something sent after it began (section 5.5.1). */
  protected updateRound(c: CcVar, ack: CcAck): void {
    this.roundStart = ack.rateBytes > 0 && ack.priorDelivered >= this.nextRoundDelivered;
    if (!this.roundStart) return;
    this.startRound(c);
    this.roundCount++;
  }

  protected startRound(c: CcVar): void {
    this.nextRoundDelivered = c.delivered;
  }

  /** What was sent at this value of `delivered` was sent while ProbeRTT held back. */
  protected quiet(priorDelivered: number): boolean {
    return priorDelivered >= this.#quietFrom && priorDelivered <= this.#quietTo;
  }

  /** The sample was taken while the application, or ProbeRTT, held back. */
  protected appLimited(ack: CcAck): boolean {
    return ack.isAppLimited || this.quiet(ack.priorDelivered);
  }

  protected resetFullBw(): void {
    this.fullBw = 0;
    this.fullBwCount = 0;
    this.fullBwNow = false;
  }

  /** Section 5.3.1.2, by `rate` of this round. */
  protected checkFullBw(ack: CcAck, rate: number): void {
    if (this.fullBwNow || !this.roundStart || this.appLimited(ack)) return;
    if (rate >= this.fullBw * FULL_BW_GROWTH) {
      this.resetFullBw();
      this.fullBw = rate;
      return;
    }
    this.fullBwCount++;
    this.fullBwNow = this.fullBwCount >= FULL_BW_ROUNDS;
    if (this.fullBwNow) this.fullBwReached = true;
  }

  /** Section 5.3.4.3. `equal`: a sample that equals the least renews it. */
  protected updateMinRtt(ack: CcAck, equal: boolean): void {
    this.probeRttExpired = this.time > this.probeRttMinStamp + this.probeRttInterval;
    const rtt = ack.rtt;
    const least = this.probeRttMinDelay;
    if (rtt >= 0 && (rtt < least || (equal && rtt === least) || this.probeRttExpired)) {
      this.probeRttMinDelay = rtt;
      this.probeRttMinStamp = this.time;
    }
    const expired = this.time > this.minRttStamp + MIN_RTT_FILTER_LEN;
    if (this.probeRttMinDelay < this.minRtt || expired) {
      this.minRtt = this.probeRttMinDelay;
      this.minRttStamp = this.probeRttMinStamp;
    }
  }

  /** Section 5.3.4.3. Gives true when ProbeRTT begins. */
  protected checkProbeRtt(c: CcVar, ack: CcAck): boolean {
    let began = false;
    if (this.state !== PROBE_RTT && this.probeRttExpired && !this.idleRestart) {
      this.saveCwnd(c);
      this.state = PROBE_RTT;
      this.#probeRttDoneStamp = 0;
      this.#quietFrom = c.delivered;
      began = true;
    }
    if (this.state === PROBE_RTT) this.#handleProbeRtt(c);
    if (ack.rateBytes > 0) this.idleRestart = false;
    return began;
  }

  #handleProbeRtt(c: CcVar): void {
    this.#quietTo = c.delivered + c.pipe;
    if (this.#probeRttDoneStamp === 0) {
      if (c.pipe > this.probeRttCwnd(c)) return;
      this.#probeRttDoneStamp = this.time + PROBE_RTT_DURATION;
      this.#probeRttRoundDone = false;
      this.startRound(c);
      return;
    }
    if (this.roundStart) this.#probeRttRoundDone = true;
    if (this.#probeRttRoundDone) this.#checkProbeRttDone(c);
  }

  #checkProbeRttDone(c: CcVar): void {
    if (this.#probeRttDoneStamp === 0 || this.time <= this.#probeRttDoneStamp) return;
    this.probeRttMinStamp = this.time;
    this.restoreCwnd(c);
    if (this.fullBwReached) this.enterProbeBwFromRtt(c);
    else this.enterStartup();
  }

  /** Section 5.4.1: nothing was in flight, and not because it was lost: the application was silent. */
  sent(c: CcVar, bytes: number, _appLimited: boolean): void {
    this.tick(c);
    if (c.pipe > bytes || this.inLoss) return;
    this.idleRestart = true;
    this.restarted();
    if (this.inProbeBw()) this.setRate(c, 1);
    else if (this.state === PROBE_RTT) this.#checkProbeRttDone(c);
  }

  /** A sender that was idle sends again. */
  protected restarted(): void {}

  afterIdle(c: CcVar, idleUs: number): void {
    // The clock may have wrapped while nothing was sent.
    this.time += idleUs;
    this.#last = c.now;
  }

  /** `gain` times the bandwidth-delay product (section 5.6.4.2). */
  protected bdp(c: CcVar, bw: number, gain: number): number {
    if (this.minRtt === Number.POSITIVE_INFINITY) return c.initcwnd;
    return gain * bw * this.minRtt * 1e-6;
  }

  protected minPipeCwnd(c: CcVar): number {
    return MIN_PIPE_SEGMENTS * c.maxseg;
  }

  /** Section 5.6.2: `gain` times the bandwidth; never slower until the pipe was full. */
  protected setRate(c: CcVar, gain: number): void {
    const rate = gain * this.bw * this.#margin;
    if (rate > 0 && (this.fullBwReached || rate > this.rate)) this.rate = rate;
    this.setSendQuantum(c);
  }

  /** Section 5.6.3: a millisecond's worth. */
  protected setSendQuantum(c: CcVar): void {
    let q = this.rate * 1e-3;
    if (q > 65536) q = 65536;
    const least = 2 * c.maxseg;
    this.sendQuantum = q > least ? q : least;
  }

  /** Section 5.6.4.4. */
  protected saveCwnd(c: CcVar): void {
    if ((!this.inLoss && this.state !== PROBE_RTT) || c.snd_cwnd > this.priorCwnd) this.priorCwnd = c.snd_cwnd;
  }

  postRecovery(c: CcVar): void {
    this.inLoss = false;
    this.restoreCwnd(c);
  }

  protected restoreCwnd(c: CcVar): void {
    if (this.priorCwnd > c.snd_cwnd) c.snd_cwnd = this.priorCwnd;
  }

  /** Section 5.6.4.4: at a timeout all in flight counts as lost, and one segment goes out. */
  protected enterLoss(c: CcVar, type: CcSignal): void {
    this.saveCwnd(c);
    this.inLoss = true;
    if (type !== CC_NDUPACK) c.snd_cwnd = c.maxseg;
  }

  pacingRate(_c: CcVar): number {
    return this.rate;
  }
}
