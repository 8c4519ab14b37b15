/**
 * BBRv1 (draft-cardwell-iccrg-bbr-congestion-control-00): eight phases of pacing gain, no reaction to loss but packet conservation for
 * one round. Section numbers are that draft's.
 */
import { BbrBase, DRAIN, PROBE_BW, PROBE_RTT, STARTUP } from './bbr-base.ts';
import { CC_NDUPACK, CC_RTO, CC_RTO_ERR, type CcAck, type CcModule, type CcSignal, type CcVar } from './cc.ts';
import { WindowedMax } from './minmax.ts';

/** Section 4.3.1.1: 2/ln 2. */
const HIGH_GAIN = 2 / Math.LN2;
const CWND_GAIN = 2;
/** Section 4.1.1.3, round trips, and section 4.1.2.3, µs. */
const BTLBW_FILTER_LEN = 10;
const RTPROP_FILTER_LEN = 10e6;
/** Section 4.3.3.1. */
const CYCLE_LEN = 8;

function cycleGain(index: number): number {
  return index === 0 ? 1.25 : index === 1 ? 0.75 : 1;
}

export class Bbr1 extends BbrBase {
  readonly #btlBw = new WindowedMax();
  #cycleIndex = 0;
  #cycleStamp = 0;
  #packetConservation = false;
  /** The next round ends packet conservation. */
  #conserveUntil = 0;
  #lost = 0;
  #base = 0;

  constructor() {
    super(RTPROP_FILTER_LEN, 1);
  }

  override init(c: CcVar): void {
    super.init(c);
    this.#lost = c.lost;
    this.#base = c.delivered;
  }

  ackReceived(c: CcVar, ack: CcAck): void {
    this.tick(c);
    const lost = c.lost - this.#lost;
    this.#lost = c.lost;
    this.#updateBtlBw(c, ack);
    if (this.#packetConservation && ack.priorDelivered >= this.#conserveUntil) this.#packetConservation = false;
    this.#checkCyclePhase(c, ack, lost);
    if (!this.fullBwReached) this.checkFullBw(ack, this.maxBw);
    if (this.state === STARTUP && this.fullBwReached) {
      this.state = DRAIN;
      this.pacingGain = 1 / HIGH_GAIN;
      this.cwndGain = HIGH_GAIN;
    }
    if (this.state === DRAIN && c.pipe <= this.#inflight(c, 1)) this.#enterProbeBw(c);
    this.updateMinRtt(ack, true);
    if (this.checkProbeRtt(c, ack)) {
      this.pacingGain = 1;
      this.cwndGain = 1;
    }
    this.setRate(c, this.pacingGain);
    this.#setCwnd(c, ack, lost);
  }

  /** Section 4.1.1.5. */
  #updateBtlBw(c: CcVar, ack: CcAck): void {
    this.updateRound(c, ack);
    const rate = ack.deliveryRate;
    if (rate <= 0 || (rate < this.maxBw && this.appLimited(ack))) return;
    this.maxBw = this.#btlBw.update(rate, this.roundCount, BTLBW_FILTER_LEN);
    this.bw = this.maxBw;
  }

  protected startupGain(): number {
    return HIGH_GAIN;
  }

  protected enterStartup(): void {
    this.state = STARTUP;
    this.pacingGain = HIGH_GAIN;
    this.cwndGain = HIGH_GAIN;
  }

  protected inProbeBw(): boolean {
    return this.state === PROBE_BW;
  }

  protected enterProbeBwFromRtt(c: CcVar): void {
    this.#enterProbeBw(c);
  }

  /** Any phase may be the first but the one that drains (section 4.3.4.2). */
  #enterProbeBw(c: CcVar): void {
    this.state = PROBE_BW;
    this.cwndGain = CWND_GAIN;
    this.#cycleIndex = CYCLE_LEN - 1 - ((c.random32() >>> 0) % (CYCLE_LEN - 1));
    this.#advanceCycle();
  }

  #advanceCycle(): void {
    this.#cycleStamp = this.time;
    this.#cycleIndex = (this.#cycleIndex + 1) % CYCLE_LEN;
    this.pacingGain = cycleGain(this.#cycleIndex);
  }

  #checkCyclePhase(c: CcVar, ack: CcAck, lost: number): void {
    if (this.state !== PROBE_BW) return;
    const full = this.time - this.#cycleStamp > this.minRtt;
    const gain = this.pacingGain;
    let next = full;
    if (gain > 1) next = full && (lost > 0 || ack.priorInFlight >= this.#inflight(c, gain));
    else if (gain < 1) next = full || ack.priorInFlight <= this.#inflight(c, 1);
    if (next) this.#advanceCycle();
  }

  #inflight(c: CcVar, gain: number): number {
    return this.bdp(c, this.bw, gain) + 3 * this.sendQuantum;
  }

  /** Section 4.2.2: one segment at low rates. */
  protected override setSendQuantum(c: CcVar): void {
    if (this.rate < 1.2e6 / 8) this.sendQuantum = c.maxseg;
    else if (this.rate < 24e6 / 8) this.sendQuantum = 2 * c.maxseg;
    else this.sendQuantum = this.rate * 1e-3 < 65536 ? this.rate * 1e-3 : 65536;
  }

  protected probeRttCwnd(c: CcVar): number {
    return this.minPipeCwnd(c);
  }

  /** Sections 4.2.3.4 to 4.2.3.6. */
  #setCwnd(c: CcVar, ack: CcAck, lost: number): void {
    const target = this.#inflight(c, this.cwndGain);
    const least = this.minPipeCwnd(c);
    let cwnd = c.snd_cwnd;
    if (this.inLoss && lost > 0) {
      cwnd -= lost;
      if (cwnd < c.maxseg) cwnd = c.maxseg;
    }
    if (this.#packetConservation) {
      const conserved = c.pipe + ack.delivered;
      if (conserved > cwnd) cwnd = conserved;
    } else {
      if (this.fullBwReached) {
        cwnd += ack.delivered;
        if (cwnd > target) cwnd = target;
      } else if (cwnd < target || c.delivered - this.#base < c.initcwnd) {
        cwnd += ack.delivered;
      }
      if (cwnd < least) cwnd = least;
    }
    if (this.state === PROBE_RTT && cwnd > least) cwnd = least;
    c.snd_cwnd = Math.floor(cwnd);
  }

  congestionSignal(c: CcVar, type: CcSignal): void {
    this.tick(c);
    if (type === CC_NDUPACK || type === CC_RTO) {
      this.enterLoss(c, type);
      this.#packetConservation = type === CC_NDUPACK;
      this.#conserveUntil = c.delivered;
      if (type === CC_NDUPACK) c.snd_cwnd = c.pipe + c.maxseg;
    } else if (type === CC_RTO_ERR) {
      this.postRecovery(c);
    }
  }

  override postRecovery(c: CcVar): void {
    this.#packetConservation = false;
    super.postRecovery(c);
  }

  readFields(out: Float64Array, at: number): void {
    out[at] = this.state;
    out[at + 1] = this.bw;
    out[at + 2] = this.minRtt === Number.POSITIVE_INFINITY ? 0 : this.minRtt;
    out[at + 3] = this.pacingGain;
    out[at + 4] = this.cwndGain;
    out[at + 5] = this.roundCount;
  }
}

export const bbr1: CcModule = {
  name: 'bbr1',
  fields: [
    { name: 'state', unit: '', help: '0 Startup, 1 Drain, 2 ProbeBW, 7 ProbeRTT' },
    { name: 'bw', unit: 'bytes/s', help: 'largest bandwidth of 10 round trips' },
    { name: 'min_rtt', unit: 'us', help: 'least round-trip time of 10 s' },
    { name: 'pacing_gain', unit: '', help: 'pacing rate over bw' },
    { name: 'cwnd_gain', unit: '', help: 'window over bandwidth-delay product' },
    { name: 'round_count', unit: 'rounds', help: 'round trips by packets' },
  ],
  create: () => new Bbr1(),
};
