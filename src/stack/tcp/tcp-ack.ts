/** The acknowledgment field (RFC 9293 section 3.10.7.4, fifth check): handshake's end, duplicates, recovery, new data acknowledged. */
import { tcps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Stack } from '../stack.ts';
import { TH_FIN } from '../wire/tcp.ts';
import {
  CC_NDUPACK,
  ccAckReceived,
  ccCongSignal,
  ccConnInit,
  ccPartialAck,
  ccPostRecovery,
  tcpMaxseg,
} from './cc-newreno.ts';
import { seqGt, seqLeq, seqLt } from './seq.ts';
import { takeRtt, tcpChallengeAck } from './tcp-do-segment.ts';
import {
  TCPS_CLOSING,
  TCPS_ESTABLISHED,
  TCPS_FIN_WAIT_1,
  TCPS_FIN_WAIT_2,
  TCPS_LAST_ACK,
  TCPS_SYN_RECEIVED,
} from './tcp-fsm.ts';
import { tcpDropWithReset } from './tcp-input.ts';
import { tcpOutput } from './tcp-output.ts';
import { tcpClose, tcpTwstart } from './tcp-subr.ts';
import { tcpKeepIdle, tcpXmitTimer } from './tcp-timer.ts';
import { type Tcpcb, TF_ACKNOW, TF_FASTRECOVERY, TF_WASFRECOVERY } from './tcpcb.ts';

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
  if (seqLt(ack, (tp.snd_una - tp.max_sndwnd) | 0)) {
    // RFC 5961 section 5.2: older than any window we ever had.
    cnt[tcps.tcps_rcvacktooold]!++;
    tcpChallengeAck(tp);
    return false;
  }
  if (seqLeq(ack, tp.snd_una)) {
    oldAck(st, tp, ack, flags, tiwin, tlen);
    return tp.t_inpcb !== null;
  }
  return newAck(st, tp, ack);
}

/** The handshake's last ACK. */
function establish(st: Stack, tp: Tcpcb, seq: number, ack: number, tiwin: number): void {
  st.cnt[tcps.tcps_connects]!++;
  if (tp.snd_una === tp.iss) {
    // The SYN is acknowledged; from here on a number is a byte or the FIN.
    if (tp.t_rtttiming && tp.t_rtseq === tp.iss && tp.t_rxtshift === 0)
      tcpXmitTimer(tp, (st.clock.us - tp.t_rtttime) | 0);
    tp.t_rtttiming = false;
    tp.snd_una = (tp.iss + 1) | 0;
    if (seqLt(tp.snd_nxt, tp.snd_una)) tp.snd_nxt = tp.snd_una;
  }
  // The window of an ACK is scaled; so far it was not known whether it would be.
  tp.snd_wnd = tiwin;
  if (tiwin > tp.max_sndwnd) tp.max_sndwnd = tiwin;
  tp.snd_wl1 = (seq - 1) | 0;
  tp.snd_wl2 = ack;
  ccConnInit(tp);
  // What the handshake lost says nothing about the first timeout of data.
  tp.t_rxtshift = 0;
  tp.t_state = tp.t_socket!.noFdRef || tp.t_socket!.cantSendMore ? TCPS_FIN_WAIT_1 : TCPS_ESTABLISHED;
  st.wheel.arm(tp.t_keep, tcpKeepIdle(tp));
  tp.t_socket!.connected();
}

/** ACK for nothing new: perhaps a duplicate in the sense of RFC 5681 section 2. */
function oldAck(st: Stack, tp: Tcpcb, ack: number, flags: number, tiwin: number, tlen: number): void {
  const cnt = st.cnt;
  if (tlen !== 0 || flags & TH_FIN || tiwin !== tp.snd_wnd || ack !== tp.snd_una) {
    // Data or a window update in it, or reordered: it breaks a row of duplicates.
    if (tlen !== 0 || tiwin !== tp.snd_wnd) tp.t_dupacks = 0;
    return;
  }
  cnt[tcps.tcps_rcvdupack]!++;
  if (!tp.t_rexmt.armed) {
    tp.t_dupacks = 0;
    return;
  }
  tp.t_dupacks++;
  if (tp.t_flags & TF_FASTRECOVERY) {
    tp.snd_cwnd += tcpMaxseg(tp);
    tcpOutput(tp);
    return;
  }
  if (tp.t_dupacks !== TCP_REXMTTHRESH) return;
  // RFC 6582 section 3.2 step 1: not for data sent before the last recovery ended.
  if (seqLeq(ack, tp.snd_recover)) {
    tp.t_dupacks = 0;
    return;
  }
  cnt[tcps.tcps_fastrecovery]!++;
  cnt[tcps.tcps_cwr_frecovery]!++;
  cnt[tcps.tcps_sndrexmitfast]!++;
  ccCongSignal(tp, CC_NDUPACK);
  st.wheel.cancel(tp.t_rexmt);
  tp.t_rtttiming = false;
  resendFirst(tp, ack);
}

/** Sends the first unacknowledged segment again, and only that. */
function resendFirst(tp: Tcpcb, ack: number): void {
  const onxt = tp.snd_nxt;
  const cwnd = tp.snd_cwnd;
  tp.snd_nxt = ack;
  tp.snd_cwnd = tcpMaxseg(tp);
  tcpOutput(tp);
  if (tp.t_inpcb === null) return;
  tp.snd_cwnd = cwnd;
  if (seqGt(onxt, tp.snd_nxt)) tp.snd_nxt = onxt;
}

/** ACK for new data. */
function newAck(st: Stack, tp: Tcpcb, ack: number): boolean {
  const cnt = st.cnt;
  const so = tp.t_socket!;
  const acked = (ack - tp.snd_una) | 0;
  const flight = (tp.snd_max - tp.snd_una) | 0;
  cnt[tcps.tcps_rcvackpack]!++;
  cnt[tcps.tcps_rcvackbyte]! += acked;
  takeRtt(st, tp, ack);

  const recovering = (tp.t_flags & TF_FASTRECOVERY) !== 0;
  const partial = recovering && seqLt(ack, tp.snd_recover);
  if (!recovering) {
    ccAckReceived(tp, acked, tp.snd_cwnd > tp.snd_wnd || flight << 1 < tp.snd_cwnd);
    tp.t_dupacks = 0;
  } else if (!partial) {
    ccPostRecovery(tp, (tp.snd_max - ack) | 0);
    tp.t_dupacks = 0;
  }
  tp.t_rxtshift = 0;

  // What was acknowledged leaves the buffer; one more than it held is the FIN.
  const held = so.so_snd.sb_cc;
  const ourFinIsAcked = acked > held;
  const bytes = ourFinIsAcked ? held : acked;
  if (bytes > 0) so.so_snd.drop(bytes);
  tp.snd_wnd = tp.snd_wnd >= bytes ? tp.snd_wnd - bytes : 0;
  tp.snd_una = ack;
  if (seqLt(tp.snd_nxt, ack)) tp.snd_nxt = ack;
  if (!recovering && seqGt(ack, tp.snd_recover)) tp.snd_recover = (ack - 1) | 0;

  if (ack === tp.snd_max) {
    st.wheel.cancel(tp.t_rexmt);
    if (so.so_snd.sb_cc === 0) st.wheel.cancel(tp.t_persist);
  } else if (!tp.t_persist.armed && !(partial && tp.t_flags & TF_WASFRECOVERY)) {
    // RFC 6298 (5.3); in recovery only the first partial ACK restarts it (RFC 6582 section 4, "impatient").
    st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
  }
  if (partial) {
    cnt[tcps.tcps_newrenopartial]!++;
    tp.t_flags |= TF_WASFRECOVERY | TF_ACKNOW;
    ccPartialAck(tp, acked);
    tp.t_rtttiming = false;
    resendFirst(tp, ack);
    if (tp.t_inpcb === null) return false;
  } else {
    tp.t_flags &= ~TF_WASFRECOVERY;
  }
  so.sowwakeup();
  if (tp.t_socket !== so) return false;

  switch (tp.t_state) {
    case TCPS_FIN_WAIT_1:
      if (ourFinIsAcked) {
        tp.t_state = TCPS_FIN_WAIT_2;
        // Nobody will read what comes: do not wait for ever (BSD; RFC 9293 section 3.6 leaves it open).
        if (so.noFdRef) st.wheel.arm(tp.t_2msl, st.tune.tcp_finwait2_timeout * 1000);
      }
      break;
    case TCPS_CLOSING:
      if (ourFinIsAcked) {
        tcpTwstart(tp);
        so.disconnected(0);
        return false;
      }
      break;
    case TCPS_LAST_ACK:
      if (ourFinIsAcked) {
        tcpClose(tp, 0);
        return false;
      }
      break;
  }
  return true;
}
