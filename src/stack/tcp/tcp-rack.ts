/** RACK-TLP (RFC 8985): losses by time, and a probe where the tail of a flight may be lost. Without SACK neither works. */
import { tcps } from '../../metrics/layout.ts';
import type { CcAck } from './cc/cc.ts';
import { seqGeq, seqGt } from './seq.ts';
import { haveEstablished } from './tcp-fsm.ts';
import { rtxLost, SEG_LOST, SEG_REXMIT, SEG_SACKED, type SndSeg, sentAfter } from './tcp-rtxq.ts';
import { type Tcpcb, TF_FASTRECOVERY, TF_SACK_PERMIT } from './tcpcb.ts';

const DUPTHRESH = 3;
/** Recoveries after which a reordering window that DSACKs have widened is narrow again (section 6.2 step 4). */
const REO_WND_PERSIST = 16;
/** Longest delay of an ACK to be expected, µs (section 7.2: TLP.max_ack_delay). */
const TLP_MAX_ACK_DELAY = 200_000;
/** Probe timeout before the first round-trip sample, µs. */
const TLP_PTO_UNKNOWN = 1_000_000;
/** By so much the timeout comes after the probe that goes in its place, µs. */
const PROBE_TURN = 1000;

/** RACK is in use on this connection. */
export function rackOn(tp: Tcpcb): boolean {
  return (tp.t_flags & TF_SACK_PERMIT) !== 0 && tp.st.tune.tcp_rack !== 0;
}

/** Section 6.2 step 4: a DSACK widens the reordering window, once a round. */
export function rackDsack(tp: Tcpcb): void {
  if (tp.rack_dsack_inround && seqGt(tp.rack_dsack_round, tp.snd_una)) return;
  tp.rack_dsack_inround = true;
  tp.rack_dsack_round = tp.snd_max;
  if (tp.rack_reo_mult < 255) tp.rack_reo_mult++;
  tp.rack_reo_persist = REO_WND_PERSIST;
}

/** A recovery has ended: after some the window is narrow again. */
export function rackRecovered(tp: Tcpcb): void {
  if (tp.rack_reo_persist > 0 && --tp.rack_reo_persist === 0) tp.rack_reo_mult = 1;
}

/** Time that a segment may be overtaken by later ones before it counts as lost, µs. */
function reoWnd(tp: Tcpcb): number {
  if (!tp.rack_reordering) {
    if ((tp.t_flags & TF_FASTRECOVERY) !== 0 || tp.t_rtorecovery) return 0;
    if (tp.snd_sacked >= DUPTHRESH * tp.maxseg) return 0;
  }
  const wnd = (tp.rack_reo_mult * tp.t_rttmin) >> 2;
  const srtt = tp.srtt;
  return wnd < srtt ? wnd : srtt;
}

/**
 * Marks lost what was sent a reordering window before the latest delivered segment (section 6.2 step 5).
 * @returns µs until the next segment would be lost, 0 when there is none to wait for
 */
export function rackDetectLoss(tp: Tcpcb, ack: CcAck): number {
  if (tp.rack_rtt === 0) return 0;
  const now = tp.st.clock.us;
  const limit = tp.rack_rtt + reoWnd(tp);
  let timeout = 0;
  let s = tp.ts_head;
  while (s !== null) {
    if (!sentAfter(tp.rack_xmit_us, tp.rack_end_seq, s.xmit, s.end)) break;
    const next: SndSeg | null = s.tnext;
    const left = limit - ((now - s.xmit) | 0);
    if (left <= 0) rtxLost(tp, s, ack);
    else if (left > timeout) timeout = left;
    s = next;
  }
  return timeout;
}

/**
 * Loss by counting, where RACK is off: more than two segments' worth, or three separate blocks, are SACKed above (RFC 6675 section 4,
 * IsLost).
 */
export function sackDetectLoss(tp: Tcpcb, ack: CcAck): void {
  const enough = (DUPTHRESH - 1) * tp.maxseg;
  let above = 0;
  let blocks = 0;
  let inBlock = false;
  for (let s = tp.rtx_tail; s !== null; s = s.prev) {
    if (s.flags & SEG_SACKED) {
      above += (s.end - s.start) | 0;
      if (!inBlock) blocks++;
      inBlock = true;
      continue;
    }
    inBlock = false;
    if ((above > enough || blocks >= DUPTHRESH) && (s.flags & (SEG_LOST | SEG_REXMIT)) === 0) rtxLost(tp, s, ack);
  }
}

/** Arms the probe timer after new data or a cumulative ACK, when a probe may be sent (section 7.2). */
export function tlpSchedule(tp: Tcpcb): void {
  const { wheel, tune } = tp.st;
  if (
    tune.tcp_tlp === 0 ||
    !rackOn(tp) ||
    !haveEstablished(tp.t_state) ||
    (tp.t_flags & TF_FASTRECOVERY) !== 0 ||
    tp.t_rtorecovery ||
    tp.tlp_out ||
    tp.snd_sacked !== 0 ||
    tp.rtx_head === null ||
    (tp.t_rack.armed && !tp.rack_tlp) ||
    !tp.t_rexmt.armed
  ) {
    return;
  }
  let pto = TLP_PTO_UNKNOWN;
  if (tp.t_srtt !== 0) {
    pto = 2 * tp.srtt;
    // An ACK is due for every second full-sized segment (RFC 9293 section 3.8.6.3). What is more than one full segment is two at least, which
    // Linux and BSD acknowledge at once, by bytes the one and by segments the other.
    pto += tp.pipe <= tp.maxseg ? TLP_MAX_ACK_DELAY : 0;
    const floor = tune.tcp_rexmit_min * 1000;
    if (pto < floor) pto = floor;
  }
  const rto = wheel.remaining(tp.t_rexmt);
  if (pto >= rto) {
    // The probe goes instead of the timeout, which is armed anew when it is sent.
    pto = rto;
    wheel.arm(tp.t_rexmt, rto + PROBE_TURN);
  }
  tp.rack_tlp = true;
  wheel.arm(tp.t_rack, pto);
}

/** Waits for the rest of the reordering window. */
export function rackWait(tp: Tcpcb, us: number): void {
  if (us > 0) {
    tp.rack_tlp = false;
    tp.st.wheel.arm(tp.t_rack, us);
  } else if (!tp.rack_tlp) {
    tp.st.wheel.cancel(tp.t_rack);
  }
}

/**
 * Does the ACK settle a probe (section 7.4.2)?
 * @param dup it repeats an earlier ACK and reports nothing
 * @returns true when the probe repaired a loss: congestion control is to hear of it
 */
export function tlpAcked(tp: Tcpcb, th_ack: number, dup: boolean): boolean {
  if (!tp.tlp_out || !seqGeq(th_ack, tp.tlp_end_seq)) return false;
  if (tp.tlp_rexmit && th_ack === tp.tlp_end_seq && !dup) return false;
  tp.tlp_out = false;
  if (!tp.tlp_rexmit || th_ack === tp.tlp_end_seq) return false;
  tp.st.cnt[tcps.tcps_tlp_repaired]!++;
  return true;
}
