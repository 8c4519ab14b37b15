/**
 * The acknowledgment field (RFC 9293 section 3.10.7.4, fifth check): handshake's end, the scoreboard, loss detection, recovery, congestion
 * control, timers.
 */
import { tcps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Stack } from '../stack.ts';
import { TH_ECE, TH_FIN, TOF_SACK, TOF_TS } from '../wire/tcp.ts';
import type { CcAck } from './cc/cc.ts';
import { ccAckReceived, ccInit, ccOwnsRecovery } from './cc/glue.ts';
import { seqGeq, seqGt, seqLeq, seqLt } from './seq.ts';
import { CHRONO_IDLE, chronoSet } from './tcp-chrono.ts';
import { cwvAcked } from './tcp-cwv.ts';
import { tcpChallengeAck } from './tcp-do-segment.ts';
import { eceReceived, ecnHold } from './tcp-ecn.ts';
import { tfoEstablished, tfoServed } from './tcp-fastopen.ts';
import {
  TCPS_CLOSING,
  TCPS_ESTABLISHED,
  TCPS_FIN_WAIT_1,
  TCPS_FIN_WAIT_2,
  TCPS_LAST_ACK,
  TCPS_SYN_RECEIVED,
} from './tcp-fsm.ts';
import { tcpDropWithReset } from './tcp-input.ts';
import { plpStart } from './tcp-plpmtud.ts';
import { pmtuAcked } from './tcp-pmtu.ts';
import { rackDetectLoss, rackDsack, rackOn, rackWait, sackDetectLoss, tlpAcked, tlpSchedule } from './tcp-rack.ts';
import { rateSampled } from './tcp-rate.ts';
import { frtoAck, prrUpdate, recoveryEnter, recoveryExit, tryUndo } from './tcp-recovery.ts';
import { rtxAcked, rtxLost, rtxSplit, SEG_LOST } from './tcp-rtxq.ts';
import { sackReceived } from './tcp-sack.ts';
import { tcpClose, tcpTwstart } from './tcp-subr.ts';
import { tcpFinWait2, tcpHandshakeRto, tcpKeepIdle, tcpXmitTimer } from './tcp-timer.ts';
import { type Tcpcb, TF_FASTRECOVERY, TF_RCVD_TSTMP, TF_SACK_PERMIT, TF2_ECN_PERMIT } from './tcpcb.ts';

/** Duplicate ACKs that mean a loss (RFC 5681 section 3.2). */
const TCP_REXMTTHRESH = 3;

/**
 * Processes the acknowledgment of a segment in a synchronised state or SYN_RECEIVED.
 * @returns false when the segment goes no further (the connection may be gone)
 */
export function tcpAckReceived(
  st: Stack,
  tp: Tcpcb,
  m: Mbuf,
  seq: number,
  ack: number,
  flags: number,
  tiwin: number,
  tlen: number,
): boolean {
  const cnt = st.cnt;
  if (tp.t_state === TCPS_SYN_RECEIVED) {
    if (seqGt(tp.snd_una, ack) || seqGt(ack, tp.snd_max) || ack === tp.iss) {
      const inp = tp.t_inpcb!;
      cnt[tcps.tcps_rcvbadack]!++;
      tcpDropWithReset(st, m, inp.f3, inp.l3, inp.fport, inp.lport, seq, ack, flags, tlen);
      return false;
    }
    establish(st, tp, seq, ack, tiwin);
    if (tp.t_inpcb === null) return false;
    if (ack === tp.snd_una) {
      // It acknowledged the SYN and nothing else: neither new data nor a duplicate.
      if (ack === tp.snd_max) st.wheel.cancel(tp.t_rexmt);
      return true;
    }
  }
  if (seqGt(ack, tp.snd_max)) {
    cnt[tcps.tcps_rcvacktoomuch]!++;
    tcpChallengeAck(tp);
    return false;
  }
  if (seqLt(ack, (tp.snd_una - tp.max_sndwnd) | 0) && st.tune.tcp_insecure_ack === 0) {
    // RFC 5961 section 5.2: older than any window we ever had.
    cnt[tcps.tcps_rcvacktooold]!++;
    tcpChallengeAck(tp);
    return false;
  }
  if (seqGt(ack, tp.snd_una)) return ackProcess(st, tp, ack, false, (flags & TH_ECE) !== 0);

  const sack = (st.tcp.optIn.flags & TOF_SACK) !== 0 && (tp.t_flags & TF_SACK_PERMIT) !== 0;
  // RFC 5681 section 2: no data, no FIN, the same window and number, and something is in flight.
  const dup = tlen === 0 && (flags & TH_FIN) === 0 && tiwin === tp.snd_wnd && ack === tp.snd_una;
  if (dup) {
    cnt[tcps.tcps_rcvdupack]!++;
    if (tp.snd_nxt === tp.snd_una) tp.t_dupacks = 0;
    else tp.t_dupacks++;
  } else if (tlen !== 0 || tiwin !== tp.snd_wnd) {
    // Data or a window update in it: it breaks a row of duplicates.
    tp.t_dupacks = 0;
  }
  if (sack || (dup && tp.t_dupacks > 0)) return ackProcess(st, tp, ack, dup, (flags & TH_ECE) !== 0);
  return true;
}

/** The handshake's last ACK. */
function establish(st: Stack, tp: Tcpcb, seq: number, ack: number, tiwin: number): void {
  st.cnt[tcps.tcps_connects]!++;
  // The user has such a connection since its SYN came, and it may have sent.
  const served = tfoServed(tp);
  if (served) tfoEstablished(tp);
  if (tp.snd_una === tp.iss) {
    // The SYN is acknowledged; from here on a number is a byte or the FIN.
    if (tp.t_rtttiming && tp.t_rxtshift === 0) tcpXmitTimer(tp, (st.clock.us - tp.t_rtttime) | 0);
    tp.t_rtttiming = false;
    tp.snd_una = (tp.iss + 1) | 0;
    if (seqLt(tp.snd_nxt, tp.snd_una)) tp.snd_nxt = tp.snd_una;
  }
  // The window of an ACK is scaled; so far it was not known whether it would be.
  tp.snd_wnd = tiwin;
  if (tiwin > tp.max_sndwnd) tp.max_sndwnd = tiwin;
  tp.snd_wl1 = (seq - 1) | 0;
  tp.snd_wl2 = ack;
  if (!served) st.tcp.hostcache.seed(tp);
  plpStart(tp);
  if (!served) ccInit(tp);
  tcpHandshakeRto(tp);
  tp.t_state = tp.t_socket!.noFdRef || tp.t_socket!.cantSendMore ? TCPS_FIN_WAIT_1 : TCPS_ESTABLISHED;
  st.wheel.arm(tp.t_keep, tcpKeepIdle(tp));
  if (!served) tp.t_socket!.connected();
}

/** Begins an ACK's account. */
function ackBegin(st: Stack, tp: Tcpcb): CcAck {
  const a = st.tcp.ccAck;
  a.acked = 0;
  a.delivered = 0;
  a.lost = 0;
  a.rtt = -1;
  a.ece = false;
  a.priorInFlight = tp.pipe;
  a.cwndLimited = cwndLimited(tp);
  st.tcp.rate.reset(tp.rack_fack);
  return a;
}

/**
 * Everything that an ACK says of what was sent: `ack` is beyond snd_una, or a duplicate, or there are SACK blocks. Room in the send buffer
 * is told by the caller, once the window is up to date.
 * @param ece the segment carried ECE
 * @returns false when the connection is gone, or in TIME_WAIT
 */
export function ackProcess(st: Stack, tp: Tcpcb, ack: number, dup: boolean, ece: boolean): boolean {
  const to = st.tcp.optIn;
  const a = ackBegin(st, tp);
  const una = tp.snd_una;
  tp.t_acktime = st.clock.ms;
  const advanced = seqGt(ack, una);
  const sackOn = (tp.t_flags & TF_SACK_PERMIT) !== 0;
  let dsack = false;
  if (sackOn && (to.flags & TOF_SACK) !== 0) {
    dsack = sackReceived(st, tp, ack, a);
  }
  let ourFinIsAcked = false;
  if (advanced) ourFinIsAcked = unaAdvances(st, tp, ack, a);
  if (dsack) rackDsack(tp);
  if (!sackOn) duplicates(tp, a, advanced, dup);
  takeRtt(st, tp, a, advanced);

  const undone = findLosses(st, tp, ack, a, advanced, dup, dsack);
  rateSampled(tp, a);
  if (ece && (tp.t_flags2 & TF2_ECN_PERMIT) !== 0) eceReceived(tp, tp.snd_una, a);
  cwvAcked(tp, a);
  a.inFlight = tp.pipe;
  const recovering = (tp.t_flags & TF_FASTRECOVERY) !== 0;
  if (recovering && !undone) prrUpdate(tp, a, advanced);
  if ((a.delivered > 0 || a.lost > 0) && (!recovering || ccOwnsRecovery(tp))) ccAckReceived(tp, a);
  timers(st, tp, advanced);
  if (tp.t_ecnhold) ecnHold(tp, advanced, ece);
  return ourFinIsAcked ? finAcked(tp) : true;
}

/** `ack` is beyond snd_una: what it covers leaves the buffer and the scoreboard. True when our FIN is among it. */
function unaAdvances(st: Stack, tp: Tcpcb, ack: number, a: CcAck): boolean {
  const cnt = st.cnt;
  const so = tp.t_socket!;
  const acked = (ack - tp.snd_una) | 0;
  a.acked = acked;
  pmtuAcked(tp, ack);
  cnt[tcps.tcps_rcvackpack]!++;
  cnt[tcps.tcps_rcvackbyte]! += acked;
  rtxAcked(tp, ack, a);
  // What was acknowledged leaves the buffer; one more than it held is the FIN.
  const held = so.so_snd.sb_cc;
  const fin = acked > held;
  const bytes = fin ? held : acked;
  if (bytes > 0) so.so_snd.drop(bytes);
  tp.snd_wnd = tp.snd_wnd >= bytes ? tp.snd_wnd - bytes : 0;
  tp.snd_una = ack;
  tp.snd_acked += acked;
  tp.t_progtime = st.clock.ms;
  if (held === bytes) chronoSet(tp, CHRONO_IDLE);
  if (seqLt(tp.snd_nxt, ack)) tp.snd_nxt = ack;
  // Outside of recovery the mark moves along, so that it never is half the sequence space behind.
  if ((tp.t_flags & TF_FASTRECOVERY) === 0 && !tp.t_rtorecovery && seqGt(ack, tp.snd_recover)) {
    tp.snd_recover = (ack - 1) | 0;
  }
  if (seqGt(ack, tp.ecn_recover)) tp.ecn_recover = (ack - 1) | 0;
  tp.t_rxtshift = 0;
  return fin;
}

/** Without SACK each duplicate ACK stands for one segment that arrived beyond the gap (RFC 6582, RFC 9937 section 6.2). */
function duplicates(tp: Tcpcb, a: CcAck, advanced: boolean, dup: boolean): void {
  const maxseg = tp.maxseg;
  if (advanced) {
    // The gap's own segment was lost; what the duplicates stood for is counted already.
    let known = a.acked - maxseg;
    if (known > tp.snd_sacked) known = tp.snd_sacked;
    if (known > 0) {
      tp.snd_sacked -= known;
      a.delivered -= known < a.delivered ? known : a.delivered;
      tp.t_delivered -= known;
    }
    if ((tp.t_flags & TF_FASTRECOVERY) === 0 && !tp.t_rtorecovery) {
      tp.snd_sacked = 0;
      tp.t_dupacks = 0;
    }
    return;
  }
  if (!dup || tp.t_rtorecovery) return;
  const room = ((tp.snd_nxt - tp.snd_una) | 0) - tp.snd_sacked - tp.snd_lost - maxseg;
  const n = room < maxseg ? room : maxseg;
  if (n <= 0) return;
  // Until recovery begins, the window opens for two of them only (RFC 3042), or for none.
  const inRecovery = (tp.t_flags & TF_FASTRECOVERY) !== 0;
  if (!inRecovery && tp.st.tune.tcp_rfc3042 === 0 && tp.t_dupacks < TCP_REXMTTHRESH) return;
  tp.snd_sacked += n;
  tp.t_delivered += n;
  a.delivered += n;
}

/**
 * A round-trip sample: of what was sent once (Karn), else of the timestamp echo, in its milliseconds (RFC 7323 section 4.1).
 */
function takeRtt(st: Stack, tp: Tcpcb, a: CcAck, advanced: boolean): void {
  if (a.rtt >= 0) {
    tcpXmitTimer(tp, a.rtt);
    return;
  }
  const to = st.tcp.optIn;
  if (!advanced || (to.flags & TOF_TS) === 0 || to.tsecr === 0 || (tp.t_flags & TF_RCVD_TSTMP) === 0) return;
  const ms = (st.clock.ms - (to.tsecr - tp.ts_offset)) | 0;
  if (ms >= 0 && ms < 64000) tcpXmitTimer(tp, ms === 0 ? 1000 : ms * 1000);
}

/** Loss detection and the states of recovery. True when a reduction was undone. */
function findLosses(
  st: Stack,
  tp: Tcpcb,
  ack: number,
  a: CcAck,
  advanced: boolean,
  dup: boolean,
  dsack: boolean,
): boolean {
  const sackOn = (tp.t_flags & TF_SACK_PERMIT) !== 0;
  const nothingNew = a.delivered === 0 && !dsack;
  if (tlpAcked(tp, ack, dup && nothingNew) && !tp.t_rtorecovery && (tp.t_flags & TF_FASTRECOVERY) === 0) {
    // The probe repaired a loss that nobody saw: congestion control answers to it (RFC 8985 section 7.4.2).
    recoveryEnter(tp, a);
    tp.snd_cwnd = tp.snd_ssthresh;
    recoveryExit(tp);
    tp.undo_valid = false;
  }
  if (tryUndo(tp, advanced)) return true;
  if (tp.t_rtorecovery) {
    if (seqGeq(ack, tp.snd_recover)) recoveryExit(tp);
    else if (tp.t_frto !== 0 && frtoAck(tp, advanced, dup || (!advanced && a.delivered > 0))) return true;
  } else if ((tp.t_flags & TF_FASTRECOVERY) !== 0 && seqGeq(ack, tp.snd_recover)) {
    recoveryExit(tp);
  }
  if (sackOn) {
    if (rackOn(tp)) rackWait(tp, rackDetectLoss(tp, a));
    else if (tp.snd_sacked > 0) sackLoss(tp, a);
  } else {
    renoLoss(st, tp, a, advanced);
  }
  // What waits because it was too big for the path is no loss.
  const lost = tp.pmtu_resend ? a.lost : tp.snd_lost;
  if (lost > 0 && (tp.t_flags & TF_FASTRECOVERY) === 0 && !tp.t_rtorecovery) recoveryEnter(tp, a);
  return false;
}

/**
 * Loss by the scoreboard, or by the third duplicate ACK where these SACK less than the scoreboard asks for (RFC 6675 section 5 (2)); not for data sent
 * before the last recovery ended.
 */
function sackLoss(tp: Tcpcb, a: CcAck): void {
  sackDetectLoss(tp, a);
  if (tp.t_dupacks < TCP_REXMTTHRESH || tp.snd_lost > 0 || (tp.t_flags & TF_FASTRECOVERY) !== 0) return;
  if (!tp.t_rtorecovery && seqGt(tp.snd_una, tp.snd_recover)) headLost(tp, a, false);
}

/** The first segment is lost. @param advanced it is the first since now, and lost anew although it was before */
function headLost(tp: Tcpcb, a: CcAck, advanced: boolean): void {
  const head = tp.rtx_head!;
  if (((head.end - head.start) | 0) > tp.maxseg) rtxSplit(tp, head, (head.start + tp.maxseg) | 0);
  if ((head.flags & SEG_LOST) === 0 || advanced) rtxLost(tp, head, a);
}

/** Loss without SACK: the third duplicate, and each partial acknowledgment, show that the first segment is lost (RFC 6582). */
function renoLoss(st: Stack, tp: Tcpcb, a: CcAck, advanced: boolean): void {
  if (tp.rtx_head === null || tp.t_rtorecovery) return;
  if ((tp.t_flags & TF_FASTRECOVERY) !== 0) {
    if (!advanced) return;
    st.cnt[tcps.tcps_newrenopartial]!++;
  } else {
    // Section 3.2 step 1: not for data sent before the last recovery ended.
    if (tp.t_dupacks !== TCP_REXMTTHRESH || seqLeq(tp.snd_una, tp.snd_recover)) return;
    st.cnt[tcps.tcps_sndrexmitfast]!++;
  }
  headLost(tp, a, advanced);
}

/** The retransmission timer (RFC 6298 section 5.2, 5.3), and the probe's. */
function timers(st: Stack, tp: Tcpcb, advanced: boolean): void {
  if (!advanced) return;
  if (tp.snd_una === tp.snd_max) {
    st.wheel.cancel(tp.t_rexmt);
    st.wheel.cancel(tp.t_rack);
    if (tp.t_socket!.so_snd.sb_cc === 0) st.wheel.cancel(tp.t_persist);
  } else if (!tp.t_persist.armed) {
    st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
    tlpSchedule(tp);
  }
}

function finAcked(tp: Tcpcb): boolean {
  const so = tp.t_socket!;
  switch (tp.t_state) {
    case TCPS_FIN_WAIT_1:
      tp.t_state = TCPS_FIN_WAIT_2;
      if (so.noFdRef) tcpFinWait2(tp);
      so.allAcked();
      return tp.t_socket === so;
    case TCPS_CLOSING:
      tcpTwstart(tp);
      so.disconnected(0);
      return false;
    case TCPS_LAST_ACK:
      tcpClose(tp, 0);
      return false;
  }
  return true;
}

/** The window, and not the application or the receiver, is what limits the sender (RFC 7661 section 4.3, in Linux's form). */
export function cwndLimited(tp: Tcpcb): boolean {
  if (tp.cwnd_limited) return true;
  // In slow start a window that is half used may double.
  return tp.snd_cwnd < tp.snd_ssthresh && tp.snd_cwnd < 2 * tp.max_inflight;
}

/** Notes after sending whether the window was used up. */
export function cwndValidate(tp: Tcpcb, limited: boolean): void {
  const inflight = tp.pipe;
  if (
    !tp.cwnd_round_valid ||
    seqGeq(tp.snd_una, tp.cwnd_round) ||
    limited ||
    (!tp.cwnd_limited && inflight > tp.max_inflight)
  ) {
    tp.cwnd_limited = limited;
    tp.max_inflight = inflight;
    tp.cwnd_round = tp.snd_nxt;
    tp.cwnd_round_valid = true;
  }
}
