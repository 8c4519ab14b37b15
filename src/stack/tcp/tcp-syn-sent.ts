/** SYN_SENT (RFC 9293 section 3.10.7.3): our SYN is answered, refused, or crosses the peer's (simultaneous open). */
import { tcps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Stack } from '../stack.ts';
import { TH_ACK, TH_FIN, TH_RST, TH_SYN, TH_URG, TOF_MSS, TOF_SACKPERM, TOF_SCALE, TOF_TS } from '../wire/tcp.ts';
import { ccInit } from './cc/glue.ts';
import { seqGt, seqLeq } from './seq.ts';
import { tcpDataReceived } from './tcp-do-segment.ts';
import { ecnWanted } from './tcp-ecn.ts';
import { TFO_NONE, tfoSynAcked } from './tcp-fastopen.ts';
import { TCPS_ESTABLISHED, TCPS_FIN_WAIT_1, TCPS_SYN_RECEIVED } from './tcp-fsm.ts';
import { tcpDropWithReset } from './tcp-input.ts';
import { tcpRequestScale } from './tcp-outopt.ts';
import { tcpOutput } from './tcp-output.ts';
import { plpStart } from './tcp-plpmtud.ts';
import { tcpMss, tcpResetByPeer } from './tcp-subr.ts';
import { tcpHandshakeRto, tcpKeepIdle, tcpXmitTimer } from './tcp-timer.ts';
import { urgentReceived } from './tcp-urgent.ts';
import {
  type Tcpcb,
  TF_ACKNOW,
  TF_RCVD_SCALE,
  TF_RCVD_TSTMP,
  TF_REQ_SCALE,
  TF_REQ_TSTMP,
  TF_SACK_PERMIT,
  TF2_ECN_PERMIT,
} from './tcpcb.ts';

/** Takes what the peer's SYN says of itself into the block. */
export function tcpTakeSynOptions(st: Stack, tp: Tcpcb): void {
  const to = st.tcp.optIn;
  if (to.flags & TOF_SCALE && tp.t_flags & TF_REQ_SCALE) {
    tp.t_flags |= TF_RCVD_SCALE;
    tp.snd_scale = to.wscale;
    tp.rcv_scale = tcpRequestScale(st.tune.ipc_maxsockbuf);
  }
  if (to.flags & TOF_TS && tp.t_flags & TF_REQ_TSTMP) {
    tp.t_flags |= TF_RCVD_TSTMP;
    tp.ts_recent = to.tsval;
    tp.ts_recent_age = st.clock.ms;
  }
  if ((to.flags & TOF_SACKPERM) === 0) tp.t_flags &= ~TF_SACK_PERMIT;
  tcpMss(tp, to.flags & TOF_MSS ? to.mss : 0);
}

/** Processes a segment in SYN_SENT. Takes `m`. */
export function tcpSynSentInput(
  st: Stack,
  tp: Tcpcb,
  m: Mbuf,
  seq: number,
  ack: number,
  flagsIn: number,
  win: number,
  tlenIn: number,
): void {
  const cnt = st.cnt;
  const inp = tp.t_inpcb!;
  const so = tp.t_socket!;
  let flags = flagsIn;
  let tlen = tlenIn;
  if (flags & TH_ACK && (seqLeq(ack, tp.iss) || seqGt(ack, tp.snd_max))) {
    cnt[tcps.tcps_rcvbadack]!++;
    tcpDropWithReset(st, m, inp.f3, inp.l3, inp.fport, inp.lport, seq, ack, flags, tlen);
    st.pool.put(m);
    return;
  }
  if (flags & TH_RST) {
    if (flags & TH_ACK) tcpResetByPeer(tp, true);
    else cnt[tcps.tcps_badrst]!++;
    st.pool.put(m);
    return;
  }
  if ((flags & TH_SYN) === 0) {
    cnt[tcps.tcps_badsyn]!++;
    st.pool.put(m);
    return;
  }
  tp.irs = seq;
  tp.rcv_nxt = (seq + 1) | 0;
  tp.rcv_adv = tp.rcv_nxt;
  tp.last_ack_sent = tp.rcv_nxt;
  tcpTakeSynOptions(st, tp);
  tp.snd_wnd = win;
  tp.max_sndwnd = win;
  tp.snd_wl1 = seq;
  tp.snd_wl2 = ack;
  tp.t_flags |= TF_ACKNOW;
  const space = so.so_rcv.space;
  const most = 65535 << tp.rcv_scale;
  tp.rcv_wnd = space < most ? space : most;
  if (flags & TH_ACK) {
    cnt[tcps.tcps_connects]!++;
    if (st.tune.tcp_ecn_enable === 1 && tp.t_rxtshift <= st.tune.tcp_ecn_maxretries && ecnWanted(flags, 1)) {
      tp.t_flags2 |= TF2_ECN_PERMIT;
      cnt[tcps.tcps_ecn_accepts]!++;
    }
    tp.ecn_recover = tp.iss;
    tp.snd_una = ack;
    tp.snd_nxt = ack;
    const data = (ack - tp.iss - 1) | 0;
    tp.snd_acked = 1 + data;
    if (data > 0) {
      cnt[tcps.tcps_rcvackpack]!++;
      cnt[tcps.tcps_rcvackbyte]! += data;
      so.so_snd.drop(data);
    }
    if (tp.t_tfo !== TFO_NONE) tfoSynAcked(tp, data);
    tp.t_acktime = st.clock.ms;
    st.wheel.cancel(tp.t_rexmt);
    if (tp.t_rtttiming && tp.t_rxtshift === 0) tcpXmitTimer(tp, (st.clock.us - tp.t_rtttime) | 0);
    tp.t_rtttiming = false;
    st.tcp.hostcache.seed(tp);
    plpStart(tp);
    ccInit(tp);
    tcpHandshakeRto(tp);
    tp.snd_recover = tp.iss;
    const wantsFin = so.noFdRef || so.cantSendMore;
    tp.t_state = wantsFin ? TCPS_FIN_WAIT_1 : TCPS_ESTABLISHED;
    st.wheel.arm(tp.t_keep, tcpKeepIdle(tp));
  } else {
    // Both opened at once: answer with SYN,ACK and wait for theirs.
    tp.t_state = TCPS_SYN_RECEIVED;
    tp.snd_nxt = tp.iss;
    tp.t_rtttiming = false;
    st.wheel.cancel(tp.t_rexmt);
  }
  // What is beyond the window that we offer is not ours to take.
  if (tlen > tp.rcv_wnd) {
    cnt[tcps.tcps_rcvpackafterwin]!++;
    cnt[tcps.tcps_rcvbyteafterwin]! += tlen - tp.rcv_wnd;
    tlen = tp.rcv_wnd;
    m.len = tlen;
    flags &= ~TH_FIN;
  }
  if (tp.t_state === TCPS_SYN_RECEIVED) {
    // Data on the SYN of a simultaneous open will come again.
    st.pool.put(m);
    tcpOutput(tp);
    return;
  }
  so.connected();
  // What the SYN took along has made room.
  if (tp.t_socket === so && tp.snd_acked > 1) so.sowwakeup();
  if (tp.t_socket !== so) {
    st.pool.put(m);
    return;
  }
  if (flags & TH_URG) {
    urgentReceived(tp, m, seq);
    if (tp.t_socket !== so) {
      st.pool.put(m);
      return;
    }
  }
  if (tlen > 0 || flags & TH_FIN) tcpDataReceived(st, tp, m, tp.rcv_nxt, flags, tlen);
  else st.pool.put(m);
  if (tp.t_socket === so) tcpOutput(tp);
}
