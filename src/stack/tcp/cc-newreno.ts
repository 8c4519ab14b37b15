/**
 * NewReno congestion control: slow start and congestion avoidance by bytes acknowledged (RFC 5681 section 3.1, RFC 3465 with
 * L = 2), the reactions to loss (RFC 5681 sections 3.1 and 3.2) and the end of recovery (RFC 6582). Loss detection and
 * retransmission are tcp-input.ts and tcp-timer.ts.
 */
import { TA_CONG, TCP_MAXWINDOW, type Tcpcb, TF_CONGRECOVERY, TF_FASTRECOVERY } from './tcpcb.ts';

/** Congestion signals. */
export const CC_NDUPACK = 1;
export const CC_RTO = 2;

/** RFC 3465 limit on the growth in slow start, segments an ACK. */
const ABC_L = 2;

/** Payload of a full segment: the MSS without the options that every segment carries. */
export function tcpMaxseg(tp: Tcpcb): number {
  return tp.t_maxseg - tp.t_optlen;
}

/** Connection established: initial window (RFC 6928 section 2, bounded by the sysctl). */
export function ccConnInit(tp: Tcpcb): void {
  const maxseg = tcpMaxseg(tp);
  if (tp.t_rxtshift > 1 && tp.t_rttsamples === 0) {
    // The SYN or SYN,ACK was lost: one segment (RFC 5681 section 3.1).
    tp.snd_cwnd = maxseg;
    return;
  }
  const segs = tp.st.tune.tcp_initcwnd_segments;
  const floor = 2 * maxseg > 14600 ? 2 * maxseg : 14600;
  const iw = segs * maxseg;
  tp.snd_cwnd = segs === 10 && iw > floor ? floor : iw;
}

/** New data acknowledged outside recovery: `acked` bytes. `limited` is true when the window was not what held the sender back. */
export function ccAckReceived(tp: Tcpcb, acked: number, limited: boolean): void {
  if (limited) return;
  const maxseg = tcpMaxseg(tp);
  if (tp.snd_cwnd < tp.snd_ssthresh) {
    const most = ABC_L * maxseg;
    tp.snd_cwnd += acked < most ? acked : most;
  } else {
    tp.t_bytes_acked += acked;
    if (tp.t_bytes_acked >= tp.snd_cwnd) {
      tp.t_bytes_acked -= tp.snd_cwnd;
      tp.snd_cwnd += maxseg;
    }
  }
  if (tp.snd_cwnd > TCP_MAXWINDOW) tp.snd_cwnd = TCP_MAXWINDOW;
}

/** Half of what is in flight, at least two segments (RFC 5681 equation 4). */
function ssthreshAfterLoss(tp: Tcpcb): number {
  const maxseg = tcpMaxseg(tp);
  const half = ((tp.snd_max - tp.snd_una) | 0) >> 1;
  return half > 2 * maxseg ? half : 2 * maxseg;
}

export function ccCongSignal(tp: Tcpcb, type: number): void {
  const maxseg = tcpMaxseg(tp);
  if (type === CC_NDUPACK) {
    tp.snd_ssthresh = ssthreshAfterLoss(tp);
    tp.snd_cwnd = tp.snd_ssthresh + 3 * maxseg;
    tp.t_flags |= TF_FASTRECOVERY | TF_CONGRECOVERY;
  } else {
    // Only the first timeout of a segment halves (RFC 5681 section 3.1, last paragraph on ssthresh).
    if (tp.t_rxtshift === 1) tp.snd_ssthresh = ssthreshAfterLoss(tp);
    tp.snd_cwnd = maxseg;
    tp.t_flags &= ~(TF_FASTRECOVERY | TF_CONGRECOVERY);
  }
  tp.snd_recover = tp.snd_max;
  tp.t_bytes_acked = 0;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_CONG, type, tp.snd_una, 0);
}

/** All data of the recovery is acknowledged (RFC 6582 section 3.2 step 3, first option: no burst). */
export function ccPostRecovery(tp: Tcpcb, flight: number): void {
  const maxseg = tcpMaxseg(tp);
  const open = (flight > maxseg ? flight : maxseg) + maxseg;
  tp.snd_cwnd = open < tp.snd_ssthresh ? open : tp.snd_ssthresh;
  tp.t_bytes_acked = 0;
  tp.t_flags &= ~(TF_FASTRECOVERY | TF_CONGRECOVERY);
}

/** Partial ACK in recovery (RFC 6582 section 3.2 step 3): deflate by what was acknowledged, add back one segment. */
export function ccPartialAck(tp: Tcpcb, acked: number): void {
  const maxseg = tcpMaxseg(tp);
  let cwnd = tp.snd_cwnd - acked;
  if (acked >= maxseg) cwnd += maxseg;
  tp.snd_cwnd = cwnd > maxseg ? cwnd : maxseg;
}

/** Nothing was sent for longer than an RTO: restart from the initial window (RFC 5681 section 4.1). */
export function ccAfterIdle(tp: Tcpcb): void {
  const cwnd = tp.snd_cwnd;
  ccConnInit(tp);
  if (tp.snd_cwnd > cwnd) tp.snd_cwnd = cwnd;
}
