/**
 * Congestion window validation by pipeACK (RFC 7661), with net.inet.tcp.newcwv 1. A window of which less than half is used is kept as it is
 * for five minutes, does not grow, and counts for no more than was used when the path turns out to be congested. Modules that set the
 * window in recovery by themselves know better what the path carries, and are left alone.
 */
import { CC_ECN, type CcAck, type CcSignal } from './cc/cc.ts';
import { ccCongSignal, ccOwnsRecovery } from './cc/glue.ts';
import { flightSize } from './cc/window.ts';
import { SEG_EVER, type SndSeg } from './tcp-rtxq.ts';
import { type Tcpcb, TF_FASTRECOVERY } from './tcpcb.ts';

/** How long a window that is not used is kept, ms (RFC 7661 section 5). */
const NVP_MS = 300_000;
/** The sampling period is three round trips, and not less than this, ms (section 4.2). */
const PERIOD_MIN_MS = 1000;

/** The window of `tp` is validated so. */
export function cwvOn(tp: Tcpcb): boolean {
  return tp.st.tune.tcp_newcwv !== 0 && !ccOwnsRecovery(tp);
}

function samplingPeriod(tp: Tcpcb): number {
  const ms = (3 * tp.srtt) / 1000;
  return ms > PERIOD_MIN_MS ? ms : PERIOD_MIN_MS;
}

/** Less than half of the window is used (section 4.3). */
function isNonvalidated(tp: Tcpcb): boolean {
  const used = tp.cwv.value(tp.st.clock.ms, samplingPeriod(tp));
  return tp.cwv.defined && 2 * used < tp.snd_cwnd;
}

/** The window was not used for longer than it may be kept (section 4.4.3). */
function expire(tp: Tcpcb): void {
  const keep = Math.floor((tp.snd_cwnd * 3) / 4);
  if (tp.snd_ssthresh < keep) tp.snd_ssthresh = keep;
  const half = tp.snd_cwnd >> 1;
  const least = tp.initcwnd;
  const most = half > least ? half : least;
  if (tp.snd_cwnd > most) tp.snd_cwnd = most;
}

/** Which phase it is now; a non-validated one that was not known of began at `began` (clock.ms). */
function phase(tp: Tcpcb, began: number): void {
  const { cwv, st } = tp;
  const was = cwv.nonvalidated;
  cwv.nonvalidated = isNonvalidated(tp);
  if (!was && !cwv.nonvalidated) return;
  if (!was) cwv.nonvalidatedMs = began;
  if ((st.clock.ms - cwv.nonvalidatedMs) >>> 0 < NVP_MS) return;
  expire(tp);
  // Five minutes more for what is left.
  cwv.nonvalidatedMs = st.clock.ms;
  cwv.nonvalidated = isNonvalidated(tp);
}

/** An ACK with its rate sample: takes that in, and says whether the window may grow. */
export function cwvAcked(tp: Tcpcb, a: CcAck): void {
  if (!cwvOn(tp)) return;
  const { cwv, st } = tp;
  // The repair after a timeout is a slow start like any other (section 4.4), and no recovery gives samples (section 4.2).
  a.cwndLimited = true;
  if (tp.t_rtorecovery || (tp.t_flags & TF_FASTRECOVERY) !== 0) return;
  // What was delivered since the acknowledged segment was sent: a round trip's worth.
  if (a.rateBytes > 0 && a.priorDelivered > cwv.since) cwv.sample(a.rateBytes, st.clock.ms, samplingPeriod(tp));
  phase(tp, st.clock.ms);
  a.cwndLimited = !cwv.nonvalidated;
}

/** Data goes out, and nothing was in flight. This takes the place of the restart of RFC 5681 section 4.1. */
export function cwvIdle(tp: Tcpcb): void {
  const { cwv, st } = tp;
  const now = st.clock.ms;
  const period = samplingPeriod(tp);
  // What the peer sent meanwhile says nothing of the window.
  const idleMs = (now - tp.t_acktime) >>> 0;
  let began = now;
  if (idleMs > period) {
    began = (now - (idleMs - period)) | 0;
    // A whole period without an ACK is a sample too, but not before the first data.
    if (!cwv.defined && tp.t_delivered > 0) {
      cwv.undefine(0);
      cwv.sample(0, now, period);
    }
  }
  phase(tp, began);
}

/** Congestion outside of a recovery, CC_NDUPACK or CC_ECN: tells the module, and puts what was used in the place of its window (section 4.4.1). */
export function cwvSignal(tp: Tcpcb, type: CcSignal): void {
  const { cwv } = tp;
  cwvForget(tp);
  if (!cwvOn(tp) || !isNonvalidated(tp)) {
    ccCongSignal(tp, type);
    return;
  }
  const pipeAck = cwv.value(tp.st.clock.ms, samplingPeriod(tp));
  const flight = flightSize(tp);
  const used = pipeAck > flight ? pipeAck : flight;
  // What the module remembers of this congestion is to be of what the path has carried.
  tp.snd_cwnd = used > tp.maxseg ? used : tp.maxseg;
  ccCongSignal(tp, type);
  const half = halfOf(tp, used);
  tp.snd_ssthresh = half;
  if (type === CC_ECN) {
    tp.snd_cwnd = half;
    cwv.undefine(tp.t_delivered);
  } else {
    cwv.used = used;
  }
}

/** A segment goes again. */
export function cwvResent(tp: Tcpcb, seg: SndSeg): void {
  // The cost of sending the same data more than once does not count (section 4.4.1).
  if (tp.cwv.used !== 0 && (seg.flags & SEG_EVER) === 0) tp.cwv.resent += (seg.end - seg.start) | 0;
}

/** A recovery is over, `fast` or after a timeout: what had to be sent again was too much for the path (section 4.4.1). */
export function cwvRecovered(tp: Tcpcb, fast: boolean): void {
  if (!cwvOn(tp)) return;
  const { cwv } = tp;
  if (fast && cwv.used !== 0) {
    tp.snd_cwnd = halfOf(tp, cwv.used - cwv.resent);
    tp.snd_ssthresh = tp.snd_cwnd;
  }
  cwvForget(tp);
  cwv.undefine(tp.t_delivered);
}

/** A timeout, or a reduction that was undone: no adjustment is due at the end. */
export function cwvForget(tp: Tcpcb): void {
  const { cwv } = tp;
  cwv.nonvalidated = false;
  cwv.used = 0;
  cwv.resent = 0;
  cwv.since = tp.t_delivered;
}

/** Half of `bytes`, a segment at least. */
function halfOf(tp: Tcpcb, bytes: number): number {
  const half = bytes >> 1;
  return half > tp.maxseg ? half : tp.maxseg;
}
