/**
 * NewReno: slow start and congestion avoidance by bytes acknowledged (RFC 5681 section 3.1, RFC 3465 with L = 2), half the flight after
 * a loss (RFC 5681 equation 4, RFC 6582 section 3.2 step 2) or a mark (RFC 3168 section 6.1.2).
 */
import {
  CC_ECN,
  CC_NDUPACK,
  CC_RTO,
  CC_RTO_ERR,
  type CcAck,
  type CcModule,
  type CcSignal,
  type CcVar,
  type CongestionControl,
} from './cc.ts';
import { HYSTART_OFF, HyStart } from './hystart.ts';
import { shareOfFlight } from './window.ts';

/** RFC 3465 section 2.2: segments that one ACK may add in slow start; one after a timeout (section 2.3). */
const ABC_L = 2;
const ABC_L_RTO = 1;
/** What remains after a loss. */
const BETA = 0.5;
/** What remains after a mark with ABE (RFC 8511 section 3.1, and FreeBSD's net.inet.tcp.cc.newreno.beta_ecn). */
const BETA_ECN = 0.8;

export interface NewRenoOptions {
  /** Leave the first slow start by HyStart++ (RFC 9406). Default false. */
  readonly hystart?: boolean;
  /** Alternative backoff with ECN (RFC 8511). Default false, as FreeBSD's net.inet.tcp.cc.abe. */
  readonly abe?: boolean;
}

export class NewReno implements CongestionControl {
  /** Bytes acknowledged since the window last grew in congestion avoidance (RFC 3465 section 2.1). */
  bytesAcked = 0;
  /** The repair after a timeout is under way. */
  #repair = false;
  /** The next ACK may be the one that ended recovery: it covers what was reported long ago. */
  #skip = false;
  readonly #hystart: HyStart | null;
  readonly #betaEcn: number;

  constructor(o: NewRenoOptions = {}) {
    this.#hystart = o.hystart === true ? new HyStart() : null;
    this.#betaEcn = o.abe === true ? BETA_ECN : BETA;
  }

  init(c: CcVar): void {
    this.bytesAcked = 0;
    this.#repair = false;
    this.#skip = false;
    this.#hystart?.start(c);
  }

  ackReceived(c: CcVar, ack: CcAck): void {
    if (c.inRecovery) return;
    if (this.#skip) {
      this.#skip = false;
      return;
    }
    if (!ack.cwndLimited || ack.acked <= 0) return;
    if (c.snd_cwnd < c.snd_ssthresh) this.#slowStart(c, ack);
    else this.#avoid(c, ack.acked);
  }

  #slowStart(c: CcVar, ack: CcAck): void {
    const hystart = this.#hystart;
    if (hystart !== null && hystart.phase !== HYSTART_OFF) {
      c.snd_cwnd += hystart.ack(c, ack, ack.acked, false);
      if (hystart.phase === HYSTART_OFF) c.snd_ssthresh = c.snd_cwnd;
      return;
    }
    const most = (this.#repair ? ABC_L_RTO : ABC_L) * c.maxseg;
    c.snd_cwnd += ack.acked < most ? ack.acked : most;
  }

  #avoid(c: CcVar, acked: number): void {
    this.bytesAcked += acked;
    if (this.bytesAcked < c.snd_cwnd) return;
    this.bytesAcked -= c.snd_cwnd;
    // A window that shrank since leaves no more than the next step to come.
    if (this.bytesAcked > c.snd_cwnd) this.bytesAcked = c.snd_cwnd;
    c.snd_cwnd += c.maxseg;
  }

  congestionSignal(c: CcVar, type: CcSignal): void {
    this.#hystart?.stop();
    this.bytesAcked = 0;
    this.#repair = type === CC_RTO;
    this.#skip = false;
    switch (type) {
      case CC_NDUPACK:
      case CC_RTO:
        c.snd_ssthresh = shareOfFlight(c, BETA);
        break;
      case CC_ECN:
        c.snd_ssthresh = shareOfFlight(c, this.#betaEcn);
        c.snd_cwnd = c.snd_ssthresh;
        break;
      case CC_RTO_ERR:
        break;
    }
  }

  /** The window was reduced by other means than a signal: the first slow start is over. */
  protected reduced(): void {
    this.#hystart?.stop();
    this.bytesAcked = 0;
  }

  postRecovery(_c: CcVar): void {
    this.bytesAcked = 0;
    this.#skip = !this.#repair;
    this.#repair = false;
  }

  afterIdle(_c: CcVar, _idleUs: number): void {
    this.bytesAcked = 0;
  }

  readFields(out: Float64Array, at: number): void {
    out[at] = this.bytesAcked;
  }
}

/** A module of this kind under a name of its own. */
export function newRenoModule(name: string, options: NewRenoOptions = {}): CcModule {
  return {
    name,
    fields: [{ name: 'bytes_acked', unit: 'bytes', help: 'acknowledged since the window grew (RFC 3465)' }],
    create: () => new NewReno(options),
  };
}

export const newreno: CcModule = newRenoModule('newreno');
