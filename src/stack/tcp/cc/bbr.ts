/**
 * BBRv3 (draft-ietf-ccwg-bbr-06). Names follow the draft; `…Longterm` and `…Shortterm` are inflight_hi, inflight_lo and bw_lo of older
 * texts. Two things differ: no loss round ends with a sample of ProbeRTT (#updateLatestDelivery), and a connection without SACK is judged
 * by the share that is lost as any other, where section 5.5.10.2 takes its first loss for too much. Marks count as loss (section 3.7).
 */
import {
  BbrBase,
  DRAIN,
  PROBE_BW_CRUISE,
  PROBE_BW_DOWN,
  PROBE_BW_REFILL,
  PROBE_BW_UP,
  PROBE_RTT,
  STARTUP,
} from './bbr-base.ts';
import {
  CC_ECN,
  CC_NDUPACK,
  CC_RTO,
  CC_RTO_ERR,
  type CcAck,
  type CcLost,
  type CcModule,
  type CcSignal,
  type CcVar,
} from './cc.ts';
import { WindowedMax } from './minmax.ts';

/** Sections 2.5 to 2.8. */
const STARTUP_PACING_GAIN = 2.77;
const DRAIN_PACING_GAIN = 0.5;
const DEFAULT_CWND_GAIN = 2;
const UP_CWND_GAIN = 2.25;
const PROBE_RTT_CWND_GAIN = 0.5;
const PACING_MARGIN = 0.99;
export const LOSS_THRESH = 0.02;
export const BETA = 0.7;
export const HEADROOM = 0.15;
/** Section 2.16.2, µs. */
export const PROBE_RTT_INTERVAL = 5e6;
const EXTRA_ACKED_FILTER_LEN = 10;
/** Section 5.3.1.3. */
const STARTUP_FULL_LOSS_CNT = 6;
const DRAIN_ROUNDS = 3;
const RENO_ROUNDS = 63;

/** `ackPhase` (section 2.14). */
const ACKS_INIT = 0;
const ACKS_REFILLING = 1;
const ACKS_PROBE_STARTING = 2;
const ACKS_PROBE_FEEDBACK = 3;
const ACKS_PROBE_STOPPING = 4;

const NONE = Number.POSITIVE_INFINITY;
const NO_STATE = -1;

export class Bbr extends BbrBase {
  /** Bounds of the short-term model and of the long-term one; infinity for none. */
  bwShortterm = NONE;
  inflightShortterm = NONE;
  inflightLongterm = NONE;
  extraAcked = 0;
  #maxBwCycle = 0;
  #maxBwLastCycle = 0;
  #bwLatest = 0;
  #inflightLatest = 0;
  #lossRoundDelivered = 0;
  #lossRoundStart = false;
  #lossInRound = false;
  #lossEvents = 0;
  /** The number behind what was lost last: a loss that begins there belongs to the same range. */
  #lostEnd = 0;
  /** `CcVar.lost` when the round of Startup began. */
  #lostAtRound = 0;
  #deliveredAtRound = 0;
  #recoveryRounds = 0;
  readonly #extraAckedFilter = new WindowedMax();
  #extraStart = 0;
  #extraDelivered = 0;
  #drainStartRound = 0;
  #ackPhase = ACKS_INIT;
  #isBwProbeSample = false;
  #prevProbeTooHigh = false;
  #prevProbePrecautionary = false;
  #bwProbeUpAcked = 0;
  #probeUpAckedPerInc = NONE;
  #bwProbeUpRounds = 0;
  #roundsSinceProbeUp = 0;
  #bwProbeWait = 0;
  #cycleStamp = 0;
  #undoState = NO_STATE;
  #undoBwShortterm = NONE;
  #undoInflightShortterm = NONE;
  #undoInflightLongterm = NONE;
  /** `CcVar.delivered` at the beginning. */
  #base = 0;

  constructor() {
    super(PROBE_RTT_INTERVAL, PACING_MARGIN);
  }

  override init(c: CcVar): void {
    super.init(c);
    this.#base = c.delivered;
    this.#lossRoundDelivered = c.delivered;
    this.#deliveredAtRound = c.delivered;
    this.#lostAtRound = c.lost;
  }

  ackReceived(c: CcVar, ack: CcAck): void {
    this.tick(c);
    this.#updateLatestDelivery(c, ack);
    this.#updateCongestion(c, ack);
    this.#updateAckAggregation(c, ack);
    this.checkFullBw(ack, ack.deliveryRate);
    this.#checkStartupDone(c);
    this.#checkDrainDone(c);
    this.#updateProbeBw(c, ack);
    this.updateMinRtt(ack, false);
    if (this.checkProbeRtt(c, ack)) {
      this.pacingGain = 1;
      this.cwndGain = PROBE_RTT_CWND_GAIN;
      this.#ackPhase = ACKS_PROBE_STOPPING;
      this.startRound(c);
    }
    if (this.#lossRoundStart) {
      this.#bwLatest = ack.deliveryRate;
      this.#inflightLatest = ack.rateBytes;
    }
    this.bw = this.maxBw < this.bwShortterm ? this.maxBw : this.bwShortterm;
    this.setRate(c, this.pacingGain);
    this.#setCwnd(c, ack);
    if (this.roundStart) {
      this.#lostAtRound = c.lost;
      this.#deliveredAtRound = c.delivered;
      this.#lossEvents = 0;
      this.#recoveryRounds = this.inLoss ? this.#recoveryRounds + 1 : 0;
    }
  }

  /** Section 5.5.10.2: HandleLostPacket. */
  lost(c: CcVar, l: CcLost): void {
    this.tick(c);
    if (l.start !== this.#lostEnd) this.#lossEvents++;
    this.#lostEnd = (l.start + l.bytes) | 0;
    this.#noteLoss(c);
    if (!this.#isBwProbeSample || l.rateLost <= l.txInFlight * LOSS_THRESH) return;
    // At which prefix of this piece did losses cross the threshold (InflightAtLoss)?
    const before = l.txInFlight - l.bytes;
    const prefix = (LOSS_THRESH * before - (l.rateLost - l.bytes)) / (1 - LOSS_THRESH);
    this.#handleTooHigh(c, before + prefix, l.isAppLimited || this.quiet(l.priorDelivered));
  }

  #noteLoss(c: CcVar): void {
    if (!this.#lossInRound) {
      this.#lossRoundDelivered = c.delivered;
      this.#saveUponLoss(c);
    }
    this.#lossInRound = true;
  }

  /** Section 5.5.11.1. */
  #saveUponLoss(c: CcVar): void {
    this.saveCwnd(c);
    this.#undoState = NO_STATE;
    this.#undoBwShortterm = this.bwShortterm;
    this.#undoInflightShortterm = this.inflightShortterm;
    this.#undoInflightLongterm = this.inflightLongterm;
  }

  #tooHigh(ack: CcAck): boolean {
    return ack.rateBytes > 0 && ack.rateLost > ack.txInFlight * LOSS_THRESH;
  }

  #handleTooHigh(c: CcVar, inflight: number, appLimited: boolean): void {
    this.#prevProbeTooHigh = true;
    this.#isBwProbeSample = false;
    if (!appLimited) {
      const least = this.#targetInflight(c) * BETA;
      this.inflightLongterm = inflight > least ? inflight : least;
    }
    if (this.state === PROBE_BW_UP) {
      this.#undoState = PROBE_BW_UP;
      this.#startDown(c);
    }
  }

  /**
   * Section 5.5.10.3: UpdateLatestDeliverySignals. A round does not end with a sample of ProbeRTT, but goes on to the first one after it: else a
   * loss in the round trip after ProbeRTT would pull the model down to what ProbeRTT let through, from which ExitProbeRTT has just freed it
   * (section 5.3.4.4).
   */
  #updateLatestDelivery(c: CcVar, ack: CcAck): void {
    this.#lossRoundStart = false;
    if (ack.deliveryRate > this.#bwLatest) this.#bwLatest = ack.deliveryRate;
    if (ack.rateBytes > this.#inflightLatest) this.#inflightLatest = ack.rateBytes;
    if (ack.rateBytes > 0 && ack.priorDelivered >= this.#lossRoundDelivered && !this.quiet(ack.priorDelivered)) {
      this.#lossRoundDelivered = c.delivered;
      this.#lossRoundStart = true;
    }
  }

  #updateCongestion(c: CcVar, ack: CcAck): void {
    this.#updateMaxBw(c, ack);
    if (!this.#lossRoundStart) return;
    if (this.#lossInRound && !this.#probing()) this.#adaptLowerBounds(c);
    this.#lossInRound = false;
  }

  /** Section 5.5.5. */
  #updateMaxBw(c: CcVar, ack: CcAck): void {
    this.updateRound(c, ack);
    if (this.roundStart) this.#roundsSinceProbeUp++;
    const rate = ack.deliveryRate;
    if (rate <= 0 || (rate < this.maxBw && this.appLimited(ack))) return;
    if (rate > this.#maxBwCycle) this.#maxBwCycle = rate;
    this.maxBw = this.#maxBwCycle > this.#maxBwLastCycle ? this.#maxBwCycle : this.#maxBwLastCycle;
  }

  /** The filter covers this cycle of probing and the one before (section 5.5.6). */
  #advanceMaxBwFilter(): void {
    if (this.#maxBwCycle === 0) return;
    this.#maxBwLastCycle = this.#maxBwCycle;
    this.#maxBwCycle = 0;
  }

  #probing(): boolean {
    return this.state === STARTUP || this.state === PROBE_BW_REFILL || this.state === PROBE_BW_UP;
  }

  /** Once a round with losses: slow down towards what was delivered, no more than β at a time (section 5.5.10.3). */
  #adaptLowerBounds(c: CcVar): void {
    const bw = BETA * (this.bwShortterm === NONE ? this.maxBw : this.bwShortterm);
    this.bwShortterm = bw > this.#bwLatest ? bw : this.#bwLatest;
    const inflight = BETA * (this.inflightShortterm === NONE ? c.snd_cwnd : this.inflightShortterm);
    this.inflightShortterm = inflight > this.#inflightLatest ? inflight : this.#inflightLatest;
  }

  #resetShortterm(): void {
    this.bwShortterm = NONE;
    this.inflightShortterm = NONE;
  }

  /** Section 5.5.9. */
  #updateAckAggregation(c: CcVar, ack: CcAck): void {
    let expected = this.bw * (this.time - this.#extraStart) * 1e-6;
    if (this.#extraDelivered <= expected) {
      this.#extraDelivered = 0;
      this.#extraStart = this.time;
      expected = 0;
    }
    this.#extraDelivered += ack.delivered;
    let extra = this.#extraDelivered - expected;
    if (extra > c.snd_cwnd) extra = c.snd_cwnd;
    const len = this.fullBwReached ? EXTRA_ACKED_FILTER_LEN : 1;
    this.extraAcked = this.#extraAckedFilter.update(extra, this.roundCount, len);
  }

  protected override restarted(): void {
    this.#extraStart = this.time;
  }

  protected startupGain(): number {
    return STARTUP_PACING_GAIN;
  }

  protected enterStartup(): void {
    this.state = STARTUP;
    this.pacingGain = STARTUP_PACING_GAIN;
    this.cwndGain = DEFAULT_CWND_GAIN;
  }

  #checkStartupDone(c: CcVar): void {
    if (this.state !== STARTUP) return;
    if (
      !this.fullBwReached &&
      this.roundStart &&
      this.#recoveryRounds > 0 &&
      this.#lossEvents >= STARTUP_FULL_LOSS_CNT
    ) {
      const lost = c.lost - this.#lostAtRound;
      const sent = lost + c.delivered - this.#deliveredAtRound;
      if (lost > LOSS_THRESH * sent) this.#startupFullByLoss(c);
    }
    if (this.fullBwReached) this.#enterDrain();
  }

  /** Section 5.3.1.3. */
  #startupFullByLoss(c: CcVar): void {
    this.#undoState = STARTUP;
    this.fullBwReached = true;
    const bdp = this.bdp(c, this.bw, 1);
    this.inflightLongterm = bdp > this.#inflightLatest ? bdp : this.#inflightLatest;
  }

  #enterDrain(): void {
    this.state = DRAIN;
    this.pacingGain = DRAIN_PACING_GAIN;
    this.cwndGain = DEFAULT_CWND_GAIN;
    this.#drainStartRound = this.roundCount;
  }

  #checkDrainDone(c: CcVar): void {
    if (this.state !== DRAIN) return;
    if (c.pipe <= this.#inflight(c, this.bw) || this.roundCount > this.#drainStartRound + DRAIN_ROUNDS) {
      this.cwndGain = DEFAULT_CWND_GAIN;
      this.#startDown(c);
    }
  }

  protected inProbeBw(): boolean {
    return this.state >= PROBE_BW_DOWN && this.state <= PROBE_BW_UP;
  }

  protected enterProbeBwFromRtt(c: CcVar): void {
    this.#resetShortterm();
    this.#startDown(c);
    this.#startCruise();
  }

  /** Section 5.3.3.9. */
  #startDown(c: CcVar): void {
    this.#lossInRound = false;
    this.#bwLatest = 0;
    this.#inflightLatest = 0;
    this.#probeUpAckedPerInc = NONE;
    // How long to wait for the next probe: so many rounds, or 2 to 3 s (section 5.3.3.8).
    const r = c.random32() >>> 0;
    this.#roundsSinceProbeUp = r & 1;
    this.#bwProbeWait = 2e6 + (r / 0x1_0000_0000) * 1e6;
    this.#cycleStamp = this.time;
    this.#ackPhase = ACKS_PROBE_STOPPING;
    this.startRound(c);
    this.state = PROBE_BW_DOWN;
    this.pacingGain = 0.9;
    this.cwndGain = DEFAULT_CWND_GAIN;
  }

  #startCruise(): void {
    this.state = PROBE_BW_CRUISE;
    this.pacingGain = 1;
    this.cwndGain = DEFAULT_CWND_GAIN;
  }

  #startRefill(c: CcVar): void {
    this.#resetShortterm();
    this.#bwProbeUpRounds = 0;
    this.#bwProbeUpAcked = 0;
    this.#prevProbePrecautionary = false;
    this.#ackPhase = ACKS_REFILLING;
    this.startRound(c);
    this.state = PROBE_BW_REFILL;
    this.pacingGain = 1;
    this.cwndGain = DEFAULT_CWND_GAIN;
  }

  #startUp(c: CcVar, ack: CcAck): void {
    this.#ackPhase = ACKS_PROBE_STARTING;
    this.startRound(c);
    this.resetFullBw();
    this.fullBw = ack.deliveryRate;
    this.state = PROBE_BW_UP;
    this.pacingGain = 1.25;
    this.cwndGain = UP_CWND_GAIN;
    this.#raiseSlope(c);
  }

  #updateProbeBw(c: CcVar, ack: CcAck): void {
    if (!this.fullBwReached || this.#adaptLongterm(c, ack) || !this.inProbeBw()) return;
    switch (this.state) {
      case PROBE_BW_DOWN:
        if (!this.#checkProbeTime(c) && this.#timeToCruise(c)) this.#startCruise();
        break;
      case PROBE_BW_CRUISE:
        this.#checkProbeTime(c);
        break;
      case PROBE_BW_REFILL:
        if (this.roundStart) {
          this.#isBwProbeSample = true;
          this.#startUp(c, ack);
        }
        break;
      case PROBE_BW_UP:
        if (this.#timeToGoDown(c, ack)) {
          this.#prevProbeTooHigh = false;
          this.#startDown(c);
        }
        break;
    }
  }

  #checkProbeTime(c: CcVar): boolean {
    let rounds = this.#targetInflight(c) / c.maxseg;
    if (rounds > RENO_ROUNDS) rounds = RENO_ROUNDS;
    if (this.time <= this.#cycleStamp + this.#bwProbeWait && this.#roundsSinceProbeUp < rounds) return false;
    this.#startRefill(c);
    return true;
  }

  #targetInflight(c: CcVar): number {
    const bdp = this.bdp(c, this.bw, 1);
    return bdp < c.snd_cwnd ? bdp : c.snd_cwnd;
  }

  #timeToCruise(c: CcVar): boolean {
    return c.pipe <= this.#inflightWithHeadroom(c) && c.pipe <= this.#inflight(c, this.maxBw);
  }

  #timeToGoDown(c: CcVar, ack: CcAck): boolean {
    if (this.#prevProbeTooHigh && c.pipe >= this.inflightLongterm) {
      this.#prevProbePrecautionary = true;
      return true;
    }
    if (ack.cwndLimited && c.snd_cwnd >= this.inflightLongterm) {
      this.resetFullBw();
      this.fullBw = ack.deliveryRate;
      return false;
    }
    return this.fullBwNow;
  }

  #inflightWithHeadroom(c: CcVar): number {
    if (this.inflightLongterm === NONE) return NONE;
    const share = HEADROOM * this.inflightLongterm;
    const left = this.inflightLongterm - (share > c.maxseg ? share : c.maxseg);
    const least = this.minPipeCwnd(c);
    return left > least ? left : least;
  }

  #raiseSlope(c: CcVar): void {
    const growth = 1 << this.#bwProbeUpRounds;
    if (this.#bwProbeUpRounds < 30) this.#bwProbeUpRounds++;
    const per = c.snd_cwnd / growth;
    this.#probeUpAckedPerInc = per > c.maxseg ? per : c.maxseg;
  }

  #probeUpward(c: CcVar, ack: CcAck): void {
    if (!ack.cwndLimited || c.snd_cwnd < this.inflightLongterm) return;
    this.#bwProbeUpAcked += ack.delivered;
    if (this.#bwProbeUpAcked >= this.#probeUpAckedPerInc) {
      const n = Math.floor(this.#bwProbeUpAcked / this.#probeUpAckedPerInc);
      this.#bwProbeUpAcked -= n * this.#probeUpAckedPerInc;
      this.inflightLongterm += n * c.maxseg;
    }
    if (this.roundStart) this.#raiseSlope(c);
  }

  /** Gives true when it decided on a new state. */
  #adaptLongterm(c: CcVar, ack: CcAck): boolean {
    if (this.#ackPhase === ACKS_PROBE_STARTING && this.roundStart) this.#ackPhase = ACKS_PROBE_FEEDBACK;
    if (this.#ackPhase === ACKS_PROBE_STOPPING && this.roundStart) {
      this.#isBwProbeSample = false;
      this.#ackPhase = ACKS_INIT;
      if (this.inProbeBw()) {
        if (!this.appLimited(ack)) this.#advanceMaxBwFilter();
        if (this.#prevProbePrecautionary && !this.#prevProbeTooHigh) {
          this.#startRefill(c);
          return true;
        }
      }
    }
    if (this.#tooHigh(ack) || this.inflightLongterm === NONE) return false;
    if (ack.rateBytes > 0 && ack.txInFlight > this.inflightLongterm) this.inflightLongterm = ack.txInFlight;
    if (this.state === PROBE_BW_UP) this.#probeUpward(c, ack);
    return false;
  }

  /** Bandwidth-delay product with room for quanta (section 5.6.4.2). */
  #inflight(c: CcVar, bw: number): number {
    return this.#quantize(c, this.bdp(c, bw, 1));
  }

  #quantize(c: CcVar, inflight: number): number {
    const budget = 3 * this.sendQuantum;
    const least = this.minPipeCwnd(c);
    let cap = inflight > budget ? inflight : budget;
    if (cap < least) cap = least;
    return this.state === PROBE_BW_UP ? cap + 2 * c.maxseg : cap;
  }

  protected probeRttCwnd(c: CcVar): number {
    const cwnd = this.bdp(c, this.bw, PROBE_RTT_CWND_GAIN);
    const least = this.minPipeCwnd(c);
    return cwnd > least ? cwnd : least;
  }

  /** Section 5.6.4.6. */
  #setCwnd(c: CcVar, ack: CcAck): void {
    const max = this.#quantize(c, this.bdp(c, this.bw, this.cwndGain) + this.extraAcked);
    let cwnd = c.snd_cwnd;
    if (this.fullBwReached) {
      cwnd += ack.delivered;
      if (cwnd > max) cwnd = max;
    } else if (cwnd < max || c.delivered - this.#base < c.initcwnd) {
      cwnd += ack.delivered;
    }
    const least = this.minPipeCwnd(c);
    if (cwnd < least) cwnd = least;
    if (this.state === PROBE_RTT) {
      const most = this.probeRttCwnd(c);
      if (cwnd > most) cwnd = most;
    }
    let cap = NONE;
    if (this.state === PROBE_RTT || this.state === PROBE_BW_CRUISE) cap = this.#inflightWithHeadroom(c);
    else if (this.inProbeBw()) cap = this.inflightLongterm;
    if (this.inflightShortterm < cap) cap = this.inflightShortterm;
    if (cap < least) cap = least;
    c.snd_cwnd = Math.floor(cwnd < cap ? cwnd : cap);
  }

  congestionSignal(c: CcVar, type: CcSignal): void {
    this.tick(c);
    switch (type) {
      case CC_NDUPACK:
      case CC_RTO:
        this.#saveUponLoss(c);
        this.enterLoss(c, type);
        break;
      case CC_ECN:
        this.#noteLoss(c);
        if (this.state === STARTUP) this.#startupFullByLoss(c);
        else if (this.#isBwProbeSample) this.#handleTooHigh(c, c.pipe, false);
        break;
      case CC_RTO_ERR:
        this.#undo(c);
        break;
    }
  }

  /** Section 5.5.11.2. */
  #undo(c: CcVar): void {
    this.inLoss = false;
    this.restoreCwnd(c);
    this.#lossInRound = false;
    this.resetFullBw();
    if (this.#undoBwShortterm > this.bwShortterm) this.bwShortterm = this.#undoBwShortterm;
    if (this.#undoInflightShortterm > this.inflightShortterm) this.inflightShortterm = this.#undoInflightShortterm;
    if (this.#undoInflightLongterm > this.inflightLongterm) this.inflightLongterm = this.#undoInflightLongterm;
    if (this.#undoState === STARTUP && this.state !== STARTUP) {
      this.fullBwReached = false;
      if (this.state !== PROBE_RTT) this.enterStartup();
    } else if (this.#undoState === PROBE_BW_UP && this.state !== PROBE_BW_UP && this.state !== PROBE_RTT) {
      this.#startRefill(c);
    }
    this.#undoState = NO_STATE;
  }

  readFields(out: Float64Array, at: number): void {
    out[at] = this.state;
    out[at + 1] = this.bw;
    out[at + 2] = this.maxBw;
    out[at + 3] = this.minRtt === NONE ? 0 : this.minRtt;
    out[at + 4] = this.pacingGain;
    out[at + 5] = this.cwndGain;
    out[at + 6] = this.bwShortterm === NONE ? 0 : this.bwShortterm;
    out[at + 7] = this.inflightShortterm === NONE ? 0 : this.inflightShortterm;
    out[at + 8] = this.inflightLongterm === NONE ? 0 : this.inflightLongterm;
    out[at + 9] = this.extraAcked;
    out[at + 10] = this.roundCount;
  }
}

export const bbr: CcModule = {
  name: 'bbr',
  fields: [
    {
      name: 'state',
      unit: '',
      help: '0 Startup, 1 Drain, 3 ProbeBW_DOWN, 4 ProbeBW_CRUISE, 5 ProbeBW_REFILL, 6 ProbeBW_UP, 7 ProbeRTT',
    },
    { name: 'bw', unit: 'bytes/s', help: 'bandwidth that the sender goes by' },
    { name: 'max_bw', unit: 'bytes/s', help: 'largest bandwidth of this cycle and the last' },
    { name: 'min_rtt', unit: 'us', help: 'least round-trip time of 10 s' },
    { name: 'pacing_gain', unit: '', help: 'pacing rate over bw' },
    { name: 'cwnd_gain', unit: '', help: 'window over bandwidth-delay product' },
    { name: 'bw_lo', unit: 'bytes/s', help: 'bound of bw after losses; 0 is none' },
    { name: 'inflight_lo', unit: 'bytes', help: 'bound of the window after losses; 0 is none' },
    { name: 'inflight_hi', unit: 'bytes', help: 'bound of the window from probes that lost too much; 0 is none' },
    { name: 'extra_acked', unit: 'bytes', help: 'aggregation of ACKs' },
    { name: 'round_count', unit: 'rounds', help: 'round trips by packets' },
  ],
  create: () => new Bbr(),
};
