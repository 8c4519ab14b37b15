/**
 * What a segment does to its connection (RFC 9293 sections 3.10.7.3 and 3.10.7.4 with RFC 5961's checks, RFC 7323, RFC 5681,
 * RFC 6582). Order of the checks: RST, SYN, timestamp, window, ACK, window update, data, FIN.
 */
import { tcps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import { ECONNRESET } from '../errno.ts';
import type { Socket } from '../socket/socket.ts';
import type { Stack } from '../stack.ts';
import { TH_ACK, TH_ECE, TH_FIN, TH_PUSH, TH_RST, TH_SYN, TH_URG, TOF_SACK, TOF_TS } from '../wire/tcp.ts';
import { seqGeq, seqGt, seqLeq, seqLt, tstmpLt } from './seq.ts';
import { ackProcess, tcpAckReceived } from './tcp-ack.ts';
import { recvbufAutosize } from './tcp-autobuf.ts';
import { ecnInput } from './tcp-ecn.ts';
import { tfoDupSyn, tfoForget, tfoServed } from './tcp-fastopen.ts';
import {
  haveEstablished,
  haveRcvdFin,
  TCPS_CLOSE_WAIT,
  TCPS_CLOSING,
  TCPS_ESTABLISHED,
  TCPS_FIN_WAIT_1,
  TCPS_FIN_WAIT_2,
  TCPS_LAST_ACK,
  TCPS_SYN_RECEIVED,
  TCPS_SYN_SENT,
} from './tcp-fsm.ts';
import { tcpDropWithReset } from './tcp-input.ts';
import { tcpOutput } from './tcp-output.ts';
import { cleanSackReport, noteDsack, tcpReassInsert, tcpReassNext, tcpReassPrune } from './tcp-reass.ts';
import { tcpClose, tcpDrop, tcpResetByPeer, tcpRespond, tcpTwstart } from './tcp-subr.ts';
import { tcpSynSentInput } from './tcp-syn-sent.ts';
import { tcpKeepIdle } from './tcp-timer.ts';
import { urgentReceived } from './tcp-urgent.ts';
import {
  type Tcpcb,
  TF_ACKNOW,
  TF_DELACK,
  TF_RCVD_TSTMP,
  TF_REQ_TSTMP,
  TF_RXWIN0SENT,
  TF2_ECN_PERMIT,
} from './tcpcb.ts';

/** Offset of the type of service, with the ECN field, in the IPv4 header. */
const IP_TOS = 1;
/** An ACK may wait for the end of the receive pass until this much is unacknowledged: what one LRO aggregate would hold. */
const ACK_BATCH_BYTES = 65535;
/** ts_recent is not believed after this long without a segment, ms (RFC 7323 section 5.5). */
const TCP_PAWS_IDLE = 24 * 24 * 60 * 60 * 1000;

/** Processes one segment: `m.pos` and `m.len` are its payload, options are in `st.tcp.optIn`. Takes `m`. */
export function tcpDoSegment(
  st: Stack,
  tp: Tcpcb,
  m: Mbuf,
  seq: number,
  ack: number,
  flags: number,
  win: number,
  tlen: number,
): void {
  const cnt = st.cnt;
  const to = st.tcp.optIn;
  const so = tp.t_socket!;
  tp.t_rcvtime = st.clock.ms;
  tp.rcv_segs++;
  if (tp.t_flags2 & TF2_ECN_PERMIT) {
    // What lies outside of the window says nothing: a forged mark, or one that an earlier copy has told (RFC 3168 section 6.1.5).
    const inside = seqGt(seq + tlen, tp.rcv_nxt) && seqLt(seq, tp.rcv_adv);
    ecnInput(tp, flags, inside ? st.pool.dv.getUint8(m.l3 + IP_TOS) : 0, inside ? tlen : 0);
    if (tp.t_inpcb === null) {
      st.pool.put(m);
      return;
    }
  }
  if (tlen > 0) {
    tp.rcv_datasegs++;
    tp.t_datatime = st.clock.ms;
    if (tlen > tp.rcv_maxlen) tp.rcv_maxlen = tlen;
    if (so.autoRcv) recvbufAutosize(tp, tlen);
  }
  const tiwin = flags & TH_SYN ? win : win << tp.snd_scale;

  let room = so.so_rcv.space;
  const known = (tp.rcv_adv - tp.rcv_nxt) | 0;
  if (known > room) room = known;
  tp.rcv_wnd = room;

  // Header prediction: the next segment in order, nothing unusual about it (RFC 9293 has no name for it; Van Jacobson, 1990).
  if (
    tp.t_state === TCPS_ESTABLISHED &&
    seq === tp.rcv_nxt &&
    (flags & (TH_SYN | TH_FIN | TH_RST | TH_URG | TH_ACK)) === TH_ACK &&
    tp.snd_nxt === tp.snd_max &&
    tiwin !== 0 &&
    tiwin === tp.snd_wnd &&
    tp.t_segq === null &&
    !tp.t_finqueued &&
    (to.flags & TOF_TS
      ? !tstmpLt(to.tsval, tp.ts_recent)
      : (tp.t_flags & (TF_REQ_TSTMP | TF_RCVD_TSTMP)) !== (TF_REQ_TSTMP | TF_RCVD_TSTMP))
  ) {
    if (to.flags & TOF_TS && seqLeq(seq, tp.last_ack_sent)) {
      tp.ts_recent_age = st.clock.ms;
      tp.ts_recent = to.tsval;
    }
    if (tlen === 0) {
      if (seqGt(ack, tp.snd_una) && seqLeq(ack, tp.snd_max)) {
        fastAck(st, tp, ack, tiwin, (flags & TH_ECE) !== 0);
        st.pool.put(m);
        return;
      }
    } else if (ack === tp.snd_una && tlen <= so.so_rcv.space) {
      cnt[tcps.tcps_preddat]!++;
      cnt[tcps.tcps_rcvpack]!++;
      cnt[tcps.tcps_rcvbyte]! += tlen;
      tp.snd_wl1 = seq;
      tp.rcv_nxt = (seq + tlen) | 0;
      tp.rcv_bytes += tlen;
      if (tp.rcv_numsacks > 0) cleanSackReport(tp);
      ackInOrder(st, tp, tlen);
      so.deliver(st.pool.u8, m.pos, tlen);
      st.pool.put(m);
      if (tp.t_socket === so && (tp.t_flags & TF_ACKNOW) !== 0) ackNow(st, tp);
      return;
    }
  }

  if (tp.t_state === TCPS_SYN_SENT) {
    tcpSynSentInput(st, tp, m, seq, ack, flags, tiwin, tlen);
    return;
  }
  slowPath(st, tp, m, seq, ack, flags, tiwin, tlen);
}

/** A pure ACK for new data with nothing else in it. */
function fastAck(st: Stack, tp: Tcpcb, ack: number, tiwin: number, ece: boolean): void {
  const so = tp.t_socket!;
  st.cnt[tcps.tcps_predack]!++;
  if (!ackProcess(st, tp, ack, false, ece)) return;
  tp.snd_wnd = tiwin;
  tp.snd_wl2 = ack;
  so.sowwakeup();
  if (tp.t_socket === so && (so.so_snd.sb_cc > 0 || tp.snd_lost > 0)) tcpOutput(tp);
}

/** Decides how data in order is acknowledged: the first segment may wait, the second asks for an ACK (RFC 5681 section 4.2). */
function ackInOrder(st: Stack, tp: Tcpcb, tlen: number): void {
  if (tp.t_ackquick > 0) {
    tp.t_ackquick--;
    tp.t_flags |= TF_ACKNOW;
  } else if (
    !tp.t_delack.armed &&
    (tp.t_flags & (TF_RXWIN0SENT | TF_ACKNOW)) === 0 &&
    tlen <= tp.t_maxseg &&
    st.tune.tcp_delayed_ack !== 0 &&
    !tp.t_socket!.opt.quickAck
  ) {
    tp.t_flags |= TF_DELACK;
    st.wheel.arm(tp.t_delack, st.tune.tcp_delacktime * 1000);
  } else {
    tp.t_flags |= TF_ACKNOW;
  }
}

/** Sends an ACK that data in order asked for: with what follows in this pass, unless too much would hang on it. */
function ackNow(st: Stack, tp: Tcpcb): void {
  const owed = (tp.rcv_nxt - tp.last_ack_sent) | 0;
  if (owed >= ACK_BATCH_BYTES || owed >= tp.rcv_wnd >> 1) tcpOutput(tp);
  else st.tcp.ackLater(tp);
}

/** ACK that a peer can be made to ask for again and again, at most a few in a while (RFC 5961 section 7). */
export function tcpChallengeAck(tp: Tcpcb): void {
  const st = tp.st;
  const now = st.clock.ms;
  if (((now - tp.t_challenge_start) | 0) >= st.tune.tcp_ack_war_timewindow) {
    tp.t_challenge_start = now;
    tp.t_challenges = 0;
  }
  const most = st.tune.tcp_ack_war_cnt;
  if (tp.t_challenges++ >= most && most !== 0) {
    st.cnt[tcps.tcps_challengelimited]!++;
    return;
  }
  st.cnt[tcps.tcps_challengeack]!++;
  const inp = tp.t_inpcb!;
  tcpRespond(st, tp, inp.l3, inp.f3, inp.lport, inp.fport, tp.snd_max, tp.rcv_nxt, TH_ACK);
  tp.last_ack_sent = tp.rcv_nxt;
}

function slowPath(
  st: Stack,
  tp: Tcpcb,
  m: Mbuf,
  seqIn: number,
  ack: number,
  flagsIn: number,
  tiwin: number,
  tlenIn: number,
): void {
  const cnt = st.cnt;
  const to = st.tcp.optIn;
  const so = tp.t_socket!;
  const inp = tp.t_inpcb!;
  let seq = seqIn;
  let flags = flagsIn;
  let tlen = tlenIn;
  // Where the segment stands in the order of window updates.
  let winSeq = seqIn;

  if (flags & TH_RST) {
    rstReceived(st, tp, seq);
    st.pool.put(m);
    return;
  }
  if (flags & TH_SYN) {
    // RFC 5961 section 4: whatever the sequence number, an ACK says where we are. Before ESTABLISHED a repeated SYN of a
    // simultaneous open is answered by the SYN,ACK that the retransmission timer sends.
    if (tp.t_state === TCPS_SYN_RECEIVED && seq === tp.irs) {
      if ((flags & TH_ACK) === 0) {
        if (tfoServed(tp)) {
          tfoDupSyn(tp);
          st.pool.put(m);
          return;
        }
        tp.t_flags |= TF_ACKNOW;
        tp.snd_nxt = tp.snd_una;
        tcpOutput(tp);
        st.pool.put(m);
        return;
      }
      // SYN,ACK of a simultaneous open: its SYN is known, its ACK counts.
      flags &= ~TH_SYN;
      seq = (seq + 1) | 0;
    } else {
      if (st.tune.tcp_insecure_syn !== 0 && seqGeq(seq, tp.rcv_nxt) && seqLt(seq, (tp.rcv_nxt + tp.rcv_wnd) | 0)) {
        // As RFC 793 had it: inside the window it is an error.
        tcpDrop(tp, ECONNRESET);
      } else {
        cnt[tcps.tcps_synchallenge]!++;
        tcpChallengeAck(tp);
      }
      st.pool.put(m);
      return;
    }
  }
  const agreed = (tp.t_flags & (TF_RCVD_TSTMP | TF_REQ_TSTMP)) === (TF_RCVD_TSTMP | TF_REQ_TSTMP);
  const tsOn = agreed && (to.flags & TOF_TS) !== 0;
  if (agreed && !tsOn && st.tune.tcp_tolerate_missing_ts === 0) {
    // RFC 7323 section 3.2: agreed to, so a segment without it should be dropped. Many stacks leave it out all the same (tcp(4)).
    cnt[tcps.tcps_rcvnots]!++;
    st.pool.put(m);
    return;
  }
  if (tsOn && tp.ts_recent !== 0 && tstmpLt(to.tsval, tp.ts_recent)) {
    if (((st.clock.ms - tp.ts_recent_age) | 0) > TCP_PAWS_IDLE) {
      tp.ts_recent = 0;
    } else {
      cnt[tcps.tcps_rcvduppack]!++;
      cnt[tcps.tcps_rcvdupbyte]! += tlen;
      cnt[tcps.tcps_pawsdrop]!++;
      if (tlen > 0) dropAfterAck(st, tp);
      st.pool.put(m);
      return;
    }
  }
  if (tp.t_state === TCPS_SYN_RECEIVED && seqLt(seq, tp.irs)) {
    // Of another connection. The answer is one of a few, so that two ends cannot go on answering each other (the LAND attack).
    cnt[tcps.tcps_badsyn]!++;
    tcpChallengeAck(tp);
    st.pool.put(m);
    return;
  }

  // What is left of the window goes.
  const todrop = (tp.rcv_nxt - seq) | 0;
  if (todrop > 0) {
    if (todrop > tlen || (todrop === tlen && (flags & TH_FIN) === 0)) {
      cnt[tcps.tcps_rcvduppack]!++;
      cnt[tcps.tcps_rcvdupbyte]! += tlen;
      if (tlen > 0) noteDsack(tp, seq, (seq + tlen) | 0);
      flags &= ~TH_FIN;
      tp.t_flags |= TF_ACKNOW;
      seq = (seq + tlen) | 0;
      m.pos += tlen;
      tlen = 0;
      // All of it is old: the ACK may count, the sequence number is taken as in order.
      seq = tp.rcv_nxt;
    } else {
      cnt[tcps.tcps_rcvpartduppack]!++;
      cnt[tcps.tcps_rcvpartdupbyte]! += todrop;
      noteDsack(tp, seq, tp.rcv_nxt);
      m.pos += todrop;
      tlen -= todrop;
      seq = (seq + todrop) | 0;
      winSeq = seq;
    }
    m.len = tlen;
  }
  // The user has gone and cannot take more.
  if (so.noFdRef && tp.t_state > TCPS_CLOSE_WAIT && tlen > 0) {
    cnt[tcps.tcps_rcvafterclose]!++;
    tcpDropWithReset(st, m, inp.f3, inp.l3, inp.fport, inp.lport, seqIn, ack, flags, tlenIn);
    st.pool.put(m);
    tcpClose(tp, 0);
    return;
  }
  // What is right of the window goes.
  const after = (seq + tlen - (tp.rcv_nxt + tp.rcv_wnd)) | 0;
  if (after > 0) {
    cnt[tcps.tcps_rcvpackafterwin]!++;
    if (after >= tlen) {
      cnt[tcps.tcps_rcvbyteafterwin]! += tlen;
      if (tp.rcv_wnd === 0 && seq === tp.rcv_nxt) {
        tp.t_flags |= TF_ACKNOW;
        cnt[tcps.tcps_rcvwinprobe]!++;
      } else {
        dropAfterAck(st, tp);
        st.pool.put(m);
        return;
      }
    } else {
      cnt[tcps.tcps_rcvbyteafterwin]! += after;
    }
    tlen = after >= tlen ? 0 : tlen - after;
    m.len = tlen;
    flags &= ~(TH_PUSH | TH_FIN);
  }
  // RFC 7323 section 4.3 (2): also for a segment that came before, so that the answer to it echoes its own timestamp.
  if (tsOn && seqLeq(seqIn, tp.last_ack_sent)) {
    tp.ts_recent_age = st.clock.ms;
    tp.ts_recent = to.tsval;
  }
  if ((flags & TH_ACK) === 0) {
    cnt[tcps.tcps_rcvnoack]!++;
    st.pool.put(m);
    return;
  }
  if (to.flags & TOF_SACK) cnt[tcps.tcps_sack_rcv_opts]!++;

  const una = tp.snd_una;
  const alive = tcpAckReceived(st, tp, m, seq, ack, flags, tiwin, tlen);
  if (!alive) {
    st.pool.put(m);
    return;
  }

  // Window update (RFC 9293 section 3.10.7.4, fifth check): of a segment that is not older than what told the window last. One that
  // acknowledges more is not, whatever its number.
  let needOutput = tp.snd_nxt === tp.snd_una && (so.so_snd.sb_cc > 0 || so.cantSendMore);
  if (
    ack === tp.snd_una &&
    (seqLt(tp.snd_wl2, ack) || seqLt(tp.snd_wl1, winSeq) || (tp.snd_wl1 === winSeq && tiwin > tp.snd_wnd))
  ) {
    if (tlen === 0 && tp.snd_wl2 === ack && tiwin > tp.snd_wnd) cnt[tcps.tcps_rcvwinupd]!++;
    tp.snd_wnd = tiwin;
    tp.snd_wl1 = winSeq;
    tp.snd_wl2 = ack;
    if (tp.snd_wnd > tp.max_sndwnd) tp.max_sndwnd = tp.snd_wnd;
    needOutput = true;
  }

  if (tp.snd_una !== una) {
    so.sowwakeup();
    if (tp.t_socket !== so) {
      st.pool.put(m);
      return;
    }
  }
  if (flags & TH_URG && haveEstablished(tp.t_state) && !haveRcvdFin(tp.t_state)) {
    urgentReceived(tp, m, seqIn);
    if (tp.t_socket !== so) {
      st.pool.put(m);
      return;
    }
  }
  tcpDataReceived(st, tp, m, seq, flags, tlen);
  if (tp.t_socket !== so) return;
  if (needOutput || so.so_snd.sb_cc > 0 || tp.snd_lost > 0 || (tp.t_flags & TF_ACKNOW) !== 0) tcpOutput(tp);
}

/** Segment text and FIN (RFC 9293 section 3.10.7.4, seventh and eighth checks). Takes `m`. */
export function tcpDataReceived(st: Stack, tp: Tcpcb, m: Mbuf, seq: number, flags: number, tlen: number): void {
  const cnt = st.cnt;
  const so = tp.t_socket!;
  if (haveRcvdFin(tp.t_state) || !haveEstablished(tp.t_state)) {
    st.pool.put(m);
    return;
  }
  if (flags & TH_FIN) {
    tp.t_finqueued = true;
    tp.t_finseq = (seq + tlen) | 0;
  }
  if (tlen > 0 && seq !== tp.rcv_nxt) {
    tp.t_flags |= TF_ACKNOW;
    tcpReassInsert(tp, m, seq);
    return;
  }
  if (tlen > 0) {
    if (!so.canTake(tlen)) {
      // Not acknowledged, so that it comes again; the ACK says that we are here.
      cnt[tcps.tcps_sockmemdrop]!++;
      tp.t_flags |= TF_ACKNOW;
      st.pool.put(m);
      return;
    }
    if (tp.t_segq === null) {
      cnt[tcps.tcps_rcvpack]!++;
      cnt[tcps.tcps_rcvbyte]! += tlen;
      ackInOrder(st, tp, tlen);
    } else {
      cnt[tcps.tcps_rcvoopack]!++;
      cnt[tcps.tcps_rcvoobyte]! += tlen;
      // A gap closes, wholly or in part: at once (RFC 5681 section 4.2).
      tp.t_flags |= TF_ACKNOW;
    }
    tp.rcv_nxt = (tp.rcv_nxt + tlen) | 0;
    tp.rcv_bytes += tlen;
    so.deliver(st.pool.u8, m.pos, tlen);
    st.pool.put(m);
    if (tp.t_socket !== so) return;
    let q = tp.t_segq === null ? null : nextQueued(tp, so);
    while (q !== null) {
      tp.rcv_nxt = (tp.rcv_nxt + q.len) | 0;
      tp.rcv_bytes += q.len;
      so.deliver(st.pool.u8, q.pos, q.len);
      st.pool.put(q);
      if (tp.t_socket !== so) return;
      q = nextQueued(tp, so);
    }
    if (tp.rcv_numsacks > 0) cleanSackReport(tp);
  } else {
    if (flags & TH_FIN && seq === tp.rcv_nxt) cnt[tcps.tcps_rcvpack]!++;
    st.pool.put(m);
  }
  if (tp.t_finqueued && tp.t_finseq === tp.rcv_nxt && !haveRcvdFin(tp.t_state)) finReceived(st, tp);
  else if (tp.t_finqueued && flags & TH_FIN) tp.t_flags |= TF_ACKNOW;
}

/** The queued segment that is next in order, or null. Where there is no memory to hold it, the queue goes, to be sent again. */
function nextQueued(tp: Tcpcb, so: Socket): Mbuf | null {
  const head = tp.t_segq;
  if (head === null || seqGt(head.seq, tp.rcv_nxt) || so.canTake(head.len)) return tcpReassNext(tp);
  tcpReassPrune(tp);
  return null;
}

function finReceived(st: Stack, tp: Tcpcb): void {
  const so = tp.t_socket!;
  tp.t_finqueued = false;
  tp.rcv_nxt = (tp.rcv_nxt + 1) | 0;
  tp.t_flags |= TF_ACKNOW;
  switch (tp.t_state) {
    case TCPS_ESTABLISHED:
      tp.t_state = TCPS_CLOSE_WAIT;
      so.cantRcvMore();
      break;
    case TCPS_FIN_WAIT_1:
      tp.t_state = TCPS_CLOSING;
      so.cantRcvMore();
      break;
    case TCPS_FIN_WAIT_2:
      tcpTwstart(tp);
      // The ACK of the FIN leaves before the user hears of it, and with the state that it belongs to.
      tcpOutput(tp);
      so.cantRcvMore();
      so.disconnected(0);
      break;
  }
  if (tp.t_socket === so && tp.t_state === TCPS_ESTABLISHED) st.wheel.arm(tp.t_keep, tcpKeepIdle(tp));
}

/**
 * RFC 5961 section 3.2: only the exact next number resets, one inside the window is challenged. Next is RCV.NXT and not the last ACK
 * sent, as an ACK may be waiting for its timer or the end of the pass.
 */
function rstReceived(st: Stack, tp: Tcpcb, seq: number): void {
  const cnt = st.cnt;
  const inWindow = seq === tp.rcv_nxt || (seqGeq(seq, tp.rcv_nxt) && seqLt(seq, (tp.rcv_nxt + tp.rcv_wnd) | 0));
  if (!inWindow) {
    cnt[tcps.tcps_badrst]!++;
    return;
  }
  if (seq === tp.rcv_nxt || st.tune.tcp_insecure_rst !== 0) {
    const served = tfoServed(tp);
    if (served) tfoForget(tp, true);
    if (tp.t_state === TCPS_CLOSING || tp.t_state === TCPS_LAST_ACK) tcpClose(tp, 0);
    else tcpResetByPeer(tp, tp.t_state === TCPS_SYN_RECEIVED && !served);
    return;
  }
  cnt[tcps.tcps_badrstack]!++;
  tcpChallengeAck(tp);
}

/** The segment is not acceptable; the peer learns where we are (RFC 9293 section 3.10.7.4, first check). */
function dropAfterAck(st: Stack, tp: Tcpcb): void {
  if (tp.t_state === TCPS_SYN_RECEIVED) {
    st.cnt[tcps.tcps_badsyn]!++;
    tcpChallengeAck(tp);
    return;
  }
  st.cnt[tcps.tcps_rcvoutwin]!++;
  tp.t_flags |= TF_ACKNOW;
  tcpOutput(tp);
}
