/**
 * What a loss does to the connection: fast recovery with proportional rate reduction (RFC 6675 section 5, RFC 6582 without SACK,
 * RFC 9937), repair after a timeout (RFC 5681 section 3.1, RFC 5682), and taking both back when they were spurious (RFC 3522, 4015).
 */
import { tcps } from '../../metrics/layout.ts';
import { TOF_TS } from '../wire/tcp.ts';
import { CC_NDUPACK, CC_RTO, CC_RTO_ERR, type CcAck } from './cc/cc.ts';
import { ccCongSignal, ccOwnsRecovery, ccPostRecovery } from './cc/glue.ts';
import { seqGeq, tstmpLt } from './seq.ts';
import { cwvForget, cwvRecovered, cwvSignal } from './tcp-cwv.ts';
import { tcpTsval } from './tcp-outopt.ts';
import { rackOn, rackRecovered } from './tcp-rack.ts';
import { rtxAllLost, rtxAnyResent, rtxUnlose } from './tcp-rtxq.ts';
import { tcpSpuriousRto } from './tcp-timer.ts';
import { type Tcpcb, TF_CONGRECOVERY, TF_FASTRECOVERY, TF_RCVD_TSTMP, TF_REQ_TSTMP, TF_SACK_PERMIT } from './tcpcb.ts';

const TSTMP = TF_RCVD_TSTMP | TF_REQ_TSTMP;

/** Keeps what a spurious reduction would have to give back. */
function saveUndo(tp: Tcpcb): void {
  tp.undo_valid = true;
  tp.undo_una = tp.snd_una;
  tp.undo_cwnd = tp.snd_cwnd;
  tp.undo_ssthresh = tp.snd_ssthresh;
  tp.undo_srtt = tp.t_srtt;
  tp.undo_rttvar = tp.t_rttvar;
  tp.undo_samples = tp.t_rttsamples;
  tp.undo_rexmits = 0;
  tp.undo_sent = false;
  // The answer to a retransmission of before would look like one to an original.
  tp.undo_eifel = !rtxAnyResent(tp);
}

/** A segment is sent again. */
export function undoNoteRexmit(tp: Tcpcb): void {
  if (!tp.undo_valid) return;
  tp.undo_rexmits++;
  if (tp.undo_sent) return;
  tp.undo_sent = true;
  tp.undo_ts = tcpTsval(tp);
}

/** A loss was found outside of any recovery: fast recovery begins (RFC 5681 section 3.2). */
export function recoveryEnter(tp: Tcpcb, ack: CcAck): void {
  const { cnt } = tp.st;
  cnt[tcps.tcps_fastrecovery]!++;
  cnt[tcps.tcps_cwr_frecovery]!++;
  if (tp.t_flags & TF_SACK_PERMIT) cnt[tcps.tcps_sack_recovery_episode]!++;
  saveUndo(tp);
  tp.snd_recover = tp.snd_max;
  tp.prr_delivered = 0;
  tp.prr_out = 0;
  // What was in flight before the ACK that told of the loss.
  tp.prr_recover_fs = ((tp.snd_nxt - tp.snd_una) | 0) - tp.snd_sacked + ack.delivered;
  if (tp.rack_tlp) tp.st.wheel.cancel(tp.t_rack);
  cwvSignal(tp, CC_NDUPACK);
  tp.t_flags |= TF_FASTRECOVERY | TF_CONGRECOVERY;
}

/**
 * The window for this ACK of a recovery (RFC 9937 section 6.2): proportional while too much is in flight, then by what is delivered, and by
 * a segment more while all goes well.
 */
export function prrUpdate(tp: Tcpcb, ack: CcAck, advanced: boolean): void {
  if (ccOwnsRecovery(tp) || (ack.delivered === 0 && tp.prr_out !== 0)) return;
  const maxseg = tp.maxseg;
  const ssthresh = tp.snd_ssthresh;
  const inflight = tp.pipe;
  tp.prr_delivered += ack.delivered;
  let limit: number;
  if (inflight > ssthresh) {
    const fs = tp.prr_recover_fs > 0 ? tp.prr_recover_fs : 1;
    limit = Math.ceil((tp.prr_delivered * ssthresh) / fs) - tp.prr_out;
  } else {
    limit = tp.prr_delivered - tp.prr_out;
    if (limit < ack.delivered) limit = ack.delivered;
    if (advanced && ack.lost === 0) limit += maxseg;
    if (limit > ssthresh - inflight) limit = ssthresh - inflight;
  }
  if (limit < 0) limit = 0;
  // The first segment goes again whatever the window.
  if (tp.prr_out === 0 && limit < maxseg) limit = maxseg;
  tp.snd_cwnd = inflight + limit;
}

/** All that was in flight when it began is acknowledged. */
export function recoveryExit(tp: Tcpcb): void {
  const fast = (tp.t_flags & TF_FASTRECOVERY) !== 0;
  tp.t_flags &= ~(TF_FASTRECOVERY | TF_CONGRECOVERY);
  tp.t_rtorecovery = false;
  tp.t_frto = 0;
  tp.t_dupacks = 0;
  if ((tp.t_flags & TF_SACK_PERMIT) === 0) tp.snd_sacked = 0;
  if (fast && !ccOwnsRecovery(tp)) tp.snd_cwnd = tp.snd_ssthresh;
  cwvRecovered(tp, fast);
  rackRecovered(tp);
  ccPostRecovery(tp);
}

/** The retransmission timer has run out (RFC 6298 section 5.4, RFC 5681 section 3.1): everything unSACKed counts as lost. */
export function rtoEnter(tp: Tcpcb): void {
  const { st } = tp;
  const again = tp.t_rtorecovery && !seqGeq(tp.snd_una, tp.snd_recover);
  if (tp.t_rxtshift === 1) {
    st.cnt[tcps.tcps_cwr_timeout]!++;
    saveUndo(tp);
    cwvForget(tp);
    ccCongSignal(tp, CC_RTO);
  }
  // RFC 5682 section 2.1 step 1: not where a timeout hits the repair of another.
  tp.t_frto = st.tune.tcp_frto !== 0 && !again && tp.t_rxtshift === 1 ? 1 : 0;
  const ack = st.tcp.ccAck;
  ack.lost = 0;
  if ((tp.t_flags & TF_SACK_PERMIT) === 0) tp.snd_sacked = 0;
  rtxAllLost(tp, ack);
  tp.snd_recover = tp.snd_max;
  tp.t_rtorecovery = true;
  tp.t_flags &= ~(TF_FASTRECOVERY | TF_CONGRECOVERY);
  tp.t_dupacks = 0;
  tp.tlp_out = false;
  st.wheel.cancel(tp.t_rack);
  if (!ccOwnsRecovery(tp)) tp.snd_cwnd = tp.maxseg;
}

/**
 * Follows F-RTO after a timeout (RFC 5682 section 3.1, with what SACK tells).
 * @param dup the ACK was a duplicate or SACKed something
 * @returns true when the timeout was spurious and has been undone
 */
export function frtoAck(tp: Tcpcb, advanced: boolean, dup: boolean): boolean {
  const rs = tp.st.tcp.rate;
  // Something arrived that was sent before the timeout and not after it.
  if (rs.original && seqGeq(tp.snd_recover, rs.origEnd)) {
    undo(tp);
    return true;
  }
  if (tp.t_frto === 2) {
    if (dup) {
      // Step 3a: the new segments fill the window; the repair needs room to begin (RFC 5682 section 2.1 allows three segments).
      tp.t_frto = 0;
      if (!ccOwnsRecovery(tp) && tp.snd_cwnd < 3 * tp.maxseg) tp.snd_cwnd = 3 * tp.maxseg;
    }
    return false;
  }
  const { so_snd } = tp.t_socket!;
  const off = (tp.snd_nxt - tp.snd_una) | 0;
  // Step 2b: new data instead of more that may not be lost; where there is none, the usual repair.
  tp.t_frto = advanced && so_snd.sb_cc > off && tp.snd_wnd > off ? 2 : 0;
  return false;
}

/**
 * Was the last reduction spurious? By Eifel detection (an answer to the original, RFC 3522 section 3.2) or because each retransmission was
 * reported as a duplicate (RFC 3708). Undoes it then.
 */
export function tryUndo(tp: Tcpcb, advanced: boolean): boolean {
  if (!tp.undo_valid || !tp.undo_sent) return false;
  const to = tp.st.tcp.optIn;
  const eifel =
    advanced &&
    tp.undo_eifel &&
    (tp.t_flags & TSTMP) === TSTMP &&
    (to.flags & TOF_TS) !== 0 &&
    to.tsecr !== 0 &&
    tp.undo_rexmits > 0 &&
    tstmpLt(to.tsecr, tp.undo_ts);
  if (!eifel && tp.undo_rexmits > 0) return false;
  undo(tp);
  return true;
}

function undo(tp: Tcpcb): void {
  tp.st.cnt[tcps.tcps_undo]!++;
  rtxUnlose(tp);
  if (tp.t_rtorecovery) tcpSpuriousRto(tp);
  tp.undo_valid = false;
  cwvForget(tp);
  tp.t_flags &= ~(TF_FASTRECOVERY | TF_CONGRECOVERY);
  tp.t_rtorecovery = false;
  tp.t_frto = 0;
  tp.t_dupacks = 0;
  if (tp.undo_cwnd > tp.snd_cwnd) tp.snd_cwnd = tp.undo_cwnd;
  tp.snd_ssthresh = tp.undo_ssthresh;
  // What was overtaken for so long was reordered (RFC 8985 section 6.2 step 3).
  if (rackOn(tp)) tp.rack_reordering = true;
  ccCongSignal(tp, CC_RTO_ERR);
}
