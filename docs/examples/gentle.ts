import type { CcAck, CcModule, CcSignal, CcVar, CongestionControl } from 'xsiftr/cc';
import { CC_ECN, CC_RTO_ERR, shareOfFlight } from 'xsiftr/cc';

/** Grows by a segment a round trip while the queue is short, and holds still while it is long. */
class Gentle implements CongestionControl {
  #acked = 0;
  #queue = 0;

  init(): void {}

  ackReceived(c: CcVar, ack: CcAck): void {
    this.#queue = c.srtt - c.rttmin;
    if (!ack.cwndLimited) return;
    const long = this.#queue > Math.max(c.rttmin / 4, 2000);
    if (c.snd_cwnd < c.snd_ssthresh) {
      if (long) c.snd_ssthresh = c.snd_cwnd;
      else c.snd_cwnd += Math.min(ack.acked, 2 * c.maxseg);
      return;
    }
    this.#acked += ack.acked;
    if (long || this.#acked < c.snd_cwnd) return;
    this.#acked = 0;
    c.snd_cwnd += c.maxseg;
  }

  congestionSignal(c: CcVar, type: CcSignal): void {
    if (type === CC_RTO_ERR) return;
    c.snd_ssthresh = shareOfFlight(c, 0.7);
    if (type === CC_ECN) c.snd_cwnd = c.snd_ssthresh;
    this.#acked = 0;
  }

  readFields(out: Float64Array, at: number): void {
    out[at] = this.#queue;
  }
}

const gentle: CcModule = {
  name: 'gentle',
  fields: [{ name: 'queue', unit: 'us', help: 'round-trip time above the least' }],
  create: () => new Gentle(),
};
export default gentle;
