/**
 * The interface of congestion-control modules. A module is a small object a connection, told of each moment below; it reads the
 * connection through `CcVar` and sets `snd_cwnd` and `snd_ssthresh`. Loss detection, retransmission, recovery (PRR) and pacing are the
 * stack's; what a module throws or sets to NaN ends its connection only (glue.ts).
 */

/** What congestion happened. FreeBSD's names and values (cc(9)). */
export const CC_ECN = 0x01;
export const CC_RTO = 0x02;
export const CC_RTO_ERR = 0x04;
export const CC_NDUPACK = 0x08;
export type CcSignal = typeof CC_ECN | typeof CC_RTO | typeof CC_RTO_ERR | typeof CC_NDUPACK;

/** A window that no path fills: what ssthresh and cwnd hold before they are known, and the largest (RFC 7323 section 2.3). */
export const TCP_MAXWINDOW = 65535 << 14;

/** The connection as a module sees it. Bytes and µs; sequence numbers are int32, to be compared as `(a - b) | 0`. */
export interface CcVar {
  /** Congestion window, bytes; set by the module. Fractions are cut off, less than one segment becomes one. */
  snd_cwnd: number;
  /** Slow start threshold, bytes; set by the module. `TCP_MAXWINDOW` until the first signal. */
  snd_ssthresh: number;
  /** Window of the receiver, bytes. */
  readonly snd_wnd: number;
  /** Oldest unacknowledged number, and the one after the last sent. */
  readonly snd_una: number;
  readonly snd_max: number;
  /** Payload of a full segment, bytes: SMSS of RFC 5681 without the options that every segment carries. */
  readonly maxseg: number;
  /** Initial window, bytes (RFC 6928). */
  readonly initcwnd: number;
  /** Bytes in flight as the scoreboard estimates them: sent, neither acknowledged, SACKed nor lost (RFC 6675 "pipe"). */
  readonly pipe: number;
  /** Smoothed round-trip time and the least sample of the connection, µs; 0 before the first. */
  readonly srtt: number;
  readonly rttmin: number;
  /** Bytes delivered to the peer, and bytes marked lost, since the start (Float64). */
  readonly delivered: number;
  readonly lost: number;
  /** Fast recovery is under way. False in the slow start after a timeout: there the window grows as in any slow start. */
  readonly inRecovery: boolean;
  /** clock.us: int32 µs that wrap. */
  readonly now: number;
  /** A uniform int32 from the stack's source of randomness (seeded in simulation). */
  random32(): number;
}

/**
 * What one ACK told. One object, reused: read it during the call only. The rate sample is that of
 * draft-ietf-ccwg-bbr section 4.1 (after draft-cheng-iccrg-delivery-rate-estimation): it belongs to the most recently sent segment
 * that the ACK covers.
 */
export class CcAck {
  /** Bytes newly acknowledged cumulatively. */
  acked = 0;
  /** Bytes newly known to be delivered: cumulatively, and not SACKed before, or by SACK. */
  delivered = 0;
  /** Bytes newly marked lost. */
  lost = 0;
  /** Round-trip sample, µs; -1 when the ACK gave none. */
  rtt = -1;
  /** The ACK carried ECE. */
  ece = false;
  /** The window was what held the sender back: only then may it grow (RFC 7661 section 4.3, RFC 9438 section 5.8). */
  cwndLimited = false;
  /** Bytes in flight before the ACK, and after it. */
  priorInFlight = 0;
  inFlight = 0;
  /** Bytes a second; 0 when there is no valid sample. */
  deliveryRate = 0;
  /** What the rate was taken over: bytes, and µs. */
  rateBytes = 0;
  rateInterval = 0;
  /** `CcVar.delivered` when the sampled segment was sent: a round trip ends when it reaches the value noted at its start. */
  priorDelivered = 0;
  /** The sampled segment was sent while the application had no more to send. */
  isAppLimited = false;
  /** Bytes in flight when the sampled segment was sent, itself included. */
  txInFlight = 0;
  /** Bytes marked lost between the sending of the sampled segment and now. */
  rateLost = 0;
}

/** What was just marked lost: one piece of what was sent at one time. One object, reused: read it during the call only. */
export class CcLost {
  /** Its first sequence number, and bytes. */
  start = 0;
  bytes = 0;
  /** Bytes in flight when it was sent, itself included. */
  txInFlight = 0;
  /** Bytes marked lost from its sending to now, itself included. */
  rateLost = 0;
  /** `CcVar.delivered` when it was sent. */
  priorDelivered = 0;
  /** It was sent while the application had no more to send. */
  isAppLimited = false;
}

/** A number of a module's own, shown in logs beside the connection's. */
export interface CcField {
  readonly name: string;
  readonly unit: string;
  readonly help: string;
}

/** Congestion control of one connection. */
export interface CongestionControl {
  /**
   * Who sets the window during fast recovery and at a timeout: the stack ('prr', the default: RFC 9937 towards `snd_ssthresh`, which the
   * window is at the end; one segment at a timeout), or the module.
   */
  readonly recovery?: 'prr' | 'own';
  /** The module reacts to every ECE by itself from `CcAck.ece`, and receivers echo each mark exactly (RFC 8257). Default false. */
  readonly wantsExactEcn?: boolean;
  /** The connection is established, or changes over to this module. `snd_cwnd` is the initial window, or what it was. */
  init(c: CcVar): void;
  /**
   * An ACK that acknowledged or SACKed something new. Not called in fast recovery, where the stack has the window, unless `recovery` is
   * 'own'.
   */
  ackReceived(c: CcVar, ack: CcAck): void;
  /**
   * Something was marked lost, by an ACK or a timer; `c.lost` and `c.pipe` know of it, and so does `c.delivered` of what the ACK told. For modules
   * that judge losses by what was in flight. Called before CC_NDUPACK and `ackReceived`, and after CC_RTO; the windows are set there.
   */
  lost?(c: CcVar, lost: CcLost): void;
  /**
   * Congestion:
   * - CC_NDUPACK: loss found by duplicate ACKs, SACK or RACK; once a recovery. Set `snd_ssthresh`; fast recovery begins after it.
   * - CC_ECN: the peer echoed a mark; once a round trip (RFC 3168). Set `snd_ssthresh` and `snd_cwnd`.
   * - CC_RTO: retransmission timeout, at the first of a row. Set `snd_ssthresh`.
   * - CC_RTO_ERR: the last CC_RTO or CC_NDUPACK was spurious. `snd_cwnd` and `snd_ssthresh` have their old values again; put the module's own
   *   numbers back.
   */
  congestionSignal(c: CcVar, type: CcSignal): void;
  /** Fast recovery, or the repair after a timeout, is over: what was sent before it is acknowledged. */
  postRecovery?(c: CcVar): void;
  /** Data is about to be sent after an idle time of `idleUs` (more than the retransmission timeout). The window has been reduced if the sysctls say so. */
  afterIdle?(c: CcVar, idleUs: number): void;
  /** Something was sent; `c.pipe` includes it. `appLimited`: the application had run dry, with window left, and what is in flight shows it. */
  sent?(c: CcVar, bytes: number, appLimited: boolean): void;
  /** Pace at so many bytes a second; 0 for no pacing. Asked after each ACK. */
  pacingRate?(c: CcVar): number;
  /** Present values of the module's `fields`, in order, into `out[at…]`. */
  readFields?(out: Float64Array, at: number): void;
}

/** A module: what `--cc FILE` loads as the default export. */
export interface CcModule {
  /** Name for `--cc`, the sysctl net.inet.tcp.cc.algorithm and socket options: 1 to 15 of a-z, 0-9, `_`, `-`. */
  readonly name: string;
  /** The numbers that `readFields` gives. */
  readonly fields?: readonly CcField[];
  /** Congestion control of a new connection. */
  create(): CongestionControl;
}
