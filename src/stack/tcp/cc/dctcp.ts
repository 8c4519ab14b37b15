/**
 * DCTCP (RFC 8257 section 3.3): the window shrinks in proportion to the share of bytes that met a queue above the mark. Growth and the
 * reaction to loss are NewReno's (section 3.5). For networks under one administration only: marks must be exact and early.
 */
import { CC_ECN, type CcAck, type CcModule, type CcSignal, type CcVar } from './cc.ts';
import { NewReno } from './newreno.ts';

/** Weight of a window's share in the average (section 4.2: 1/16). */
export const DCTCP_G = 1 / 16;

export class Dctcp extends NewReno {
  readonly wantsExactEcn = true;
  /** DCTCP.Alpha: 1 until it is known better (section 3.3 step 1 and section 4.2). */
  alpha = 1;
  bytesAckedWindow = 0;
  bytesMarked = 0;
  #windowEnd = 0;

  override init(c: CcVar): void {
    super.init(c);
    this.alpha = 1;
    this.#newWindow(c);
  }

  override ackReceived(c: CcVar, ack: CcAck): void {
    this.bytesAckedWindow += ack.acked;
    if (ack.ece) this.bytesMarked += ack.acked;
    if (((c.snd_una - this.#windowEnd) | 0) > 0) this.#windowDone(c);
    super.ackReceived(c, ack);
  }

  /** A window of data is acknowledged (section 3.3 steps 4 to 9). */
  #windowDone(c: CcVar): void {
    const share = this.bytesAckedWindow > 0 ? this.bytesMarked / this.bytesAckedWindow : 0;
    this.alpha = this.alpha * (1 - DCTCP_G) + DCTCP_G * (share > 1 ? 1 : share);
    // In recovery the loss has reduced the window already (section 3.5).
    if (this.bytesMarked > 0 && !c.inRecovery) {
      const least = 2 * c.maxseg;
      const less = Math.floor(c.snd_cwnd * (1 - this.alpha / 2));
      c.snd_cwnd = less > least ? less : least;
      c.snd_ssthresh = c.snd_cwnd;
      this.reduced();
    }
    this.#newWindow(c);
  }

  #newWindow(c: CcVar): void {
    this.#windowEnd = c.snd_max;
    this.bytesAckedWindow = 0;
    this.bytesMarked = 0;
  }

  override congestionSignal(c: CcVar, type: CcSignal): void {
    // Marks are dealt with once a window, from each ACK's echo.
    if (type !== CC_ECN) super.congestionSignal(c, type);
  }

  override readFields(out: Float64Array, at: number): void {
    out[at] = this.alpha;
    out[at + 1] = this.bytesAckedWindow;
    out[at + 2] = this.bytesMarked;
  }
}

export const dctcp: CcModule = {
  name: 'dctcp',
  fields: [
    { name: 'alpha', unit: '', help: 'average share of marked bytes, 0 to 1' },
    { name: 'bytes_acked', unit: 'bytes', help: 'acknowledged in this window' },
    { name: 'bytes_marked', unit: 'bytes', help: 'of these, acknowledged with a mark' },
  ],
  create: () => new Dctcp(),
};
