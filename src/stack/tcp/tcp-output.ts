/**
 * tcpOutput: decides whether a segment should go out and sends as many as windows and the interface queue allow
 * (RFC 9293 sections 3.8.4 and 3.8.6, RFC 1122 4.2.3.4; BSD's tcp_output in structure).
 *
 * The packet is handed to IP before the block's own bookkeeping, so an outbound pfil hook sees the state before the segment
 * (spec/siftr.md 5.3: snd_max without the segment, ACKNOW still set, SENTFIN not yet).
 */
import { tcps } from '../../metrics/layout.ts';
import { F_TX_L4CSUM } from '../../rings/link.ts';
import { EMSGSIZE, ENOBUFS } from '../errno.ts';
import { ipOutput } from '../net/ip-output.ts';
import { routeLookup } from '../net/route.ts';
import {
  TCP_HDR_LEN,
  TCP_MAXWIN,
  TCPOLEN_TSTAMP_APPA,
  TH_ACK,
  TH_FIN,
  TH_PUSH,
  TH_RST,
  TH_SYN,
  TH_URG,
  TOF_SACK,
  tcpEmit,
  thSetUrp,
} from '../wire/tcp.ts';
import { ccAfterIdle, ccOwnsRecovery, ccSent } from './cc/glue.ts';
import { seqGt, seqLt } from './seq.ts';
import { cwndValidate } from './tcp-ack.ts';
import { sendbufAutosize } from './tcp-autobuf.ts';
import { CHRONO_BUSY, chronoSet, chronoUpdate } from './tcp-chrono.ts';
import { cwvIdle, cwvOn, cwvResent } from './tcp-cwv.ts';
import { ecnOutput, IPTOS_ECN_ECT0, IPTOS_ECN_MASK } from './tcp-ecn.ts';
import { TFO_NONE, tfoEarly, tfoSynData } from './tcp-fastopen.ts';
import { haveRcvdFin, TCPS_ESTABLISHED, TCPS_SYN_SENT, tcpOutflags } from './tcp-fsm.ts';
import { nopushHolds } from './tcp-nopush.ts';
import { tcpBuildOptions, tcpSackOptLen } from './tcp-outopt.ts';
import { paceAllows, paceSent } from './tcp-pacing.ts';
import { PLP_DISABLED, plpProbe, plpSent } from './tcp-plpmtud.ts';
import { pmtuExpire, pmtuHeld, pmtuRoute, pmtuSent } from './tcp-pmtu.ts';
import { tlpSchedule } from './tcp-rack.ts';
import { rateAppLimited } from './tcp-rate.ts';
import { undoNoteRexmit } from './tcp-recovery.ts';
import { rtxAppend, rtxFull, rtxNextLost, rtxResent, rtxSplit, SEG_FIN, type SndSeg } from './tcp-rtxq.ts';
import { tcpSetpersist } from './tcp-timer.ts';
import { TA_OUTPUT, TA_OUTPUT_CALL, TA_OUTPUT_DONE, TA_OUTPUT_FAIL } from './tcp-trace.ts';
import { urgentPointer } from './tcp-urgent.ts';
import { userTimeoutStart } from './tcp-user-timeout.ts';
import {
  type Tcpcb,
  TF_ACKNOW,
  TF_DELACK,
  TF_FASTRECOVERY,
  TF_FORCEDATA,
  TF_LASTIDLE,
  TF_MORETOCOME,
  TF_NODELAY,
  TF_NOPUSH,
  TF_RCVD_TSTMP,
  TF_REQ_TSTMP,
  TF_RXWIN0SENT,
  TF_SACK_PERMIT,
  TF_SENTFIN,
  TF2_ECN_PERMIT,
  TF2_PLPMTU_PMTUD,
} from './tcpcb.ts';

const IPPROTO_TCP = 6;
const TSTMP = TF_RCVD_TSTMP | TF_REQ_TSTMP;

/**
 * Receive window that may be offered now: the room in so_rcv with silly windows avoided (RFC 9293 section 3.8.6.2.2), never
 * taking back what was offered before.
 */
export function tcpRecwin(tp: Tcpcb): number {
  const rcv = tp.t_socket!.so_rcv;
  let win = rcv.space;
  if (win < rcv.sb_hiwat >> 2 && win < tp.t_maxseg) win = 0;
  const most = TCP_MAXWIN << tp.rcv_scale;
  if (win > most) win = most;
  const known = (tp.rcv_adv - tp.rcv_nxt) | 0;
  return win < known ? known : win;
}

/**
 * Sends what may be sent: first what is lost, then new data.
 * @returns 0, or the errno with which the last segment failed
 */
export function tcpOutput(tp: Tcpcb): number {
  const st = tp.st;
  const cnt = st.cnt;
  const tcp = st.tcp;
  const inp = tp.t_inpcb!;
  const so = tp.t_socket!;
  const snd = so.so_snd;
  const synced = tp.t_state >= TCPS_ESTABLISHED || tfoEarly(tp);
  const trace = tp.t_trace;
  if (trace !== null) trace(tp, TA_OUTPUT_CALL, 0, 0, 0);

  // Nothing is unacknowledged: Nagle has nothing to wait for.
  let idle = (tp.t_flags & TF_LASTIDLE) !== 0 || tp.snd_max === tp.snd_una;
  if (idle && synced) idleRestart(tp);
  tp.t_flags &= ~TF_LASTIDLE;
  if (idle && (tp.t_flags & TF_MORETOCOME) !== 0) {
    tp.t_flags |= TF_LASTIDLE;
    idle = false;
  }
  if (tp.t_pmtu !== 0 && synced) pmtuExpire(tp);
  const force = (tp.t_flags & TF_FORCEDATA) !== 0;
  const tsLen = (tp.t_flags & TSTMP) === TSTMP ? TCPOLEN_TSTAMP_APPA : 0;
  const nblks = tp.rcv_numsacks + (tp.dsack_due ? 1 : 0);
  const sackRoom = nblks > 0 ? tcpSackOptLen(nblks, tsLen) : 0;
  let maxlen = tp.t_maxseg - tsLen - sackRoom;
  if (so.autoSnd && synced) sendbufAutosize(tp);

  for (;;) {
    let sendalot = false;
    let flags = tcpOutflags[tp.t_state]!;
    if (flags & TH_SYN && tp.snd_nxt !== tp.iss) flags &= ~TH_SYN;
    let off = (tp.snd_nxt - tp.snd_una) | 0;
    let seg: SndSeg | null = null;
    let lostFirst = false;
    let probe = false;
    let len = 0;
    if (synced) {
      seg = force || tp.t_frto === 2 ? null : rtxNextLost(tp);
      if (seg !== null) {
        len = mayResend(tp, seg, maxlen);
        if (len < 0) {
          // Lost data first: nothing new before it.
          seg = null;
          len = 0;
          lostFirst = true;
          flags &= ~TH_FIN;
        } else {
          off = (seg.start - tp.snd_una) | 0;
          sendalot = true;
        }
      }
      if (seg === null && !lostFirst) {
        const unsent = snd.sb_cc - off;
        let room = tp.snd_wnd - off;
        if (force) {
          if (room <= 0 && tp.snd_wnd === 0) {
            // A probe into a closed window carries one byte and no FIN, unless the FIN is all there is.
            if (off < snd.sb_cc) flags &= ~TH_FIN;
            room = 1;
          } else {
            st.wheel.cancel(tp.t_persist);
            tp.t_rxtshift = 0;
          }
        }
        const cwndRoom = tp.t_ecnhold ? 0 : tp.snd_cwnd - tp.pipe;
        const wndRoom = room;
        if (cwndRoom < room && !(force && tp.snd_wnd === 0)) room = cwndRoom;
        len = unsent < room ? unsent : room;
        if (len < 0) len = 0;
        if (tp.plp_state !== PLP_DISABLED && len > 0 && !force) {
          const n = plpProbe(tp, unsent, wndRoom, cwndRoom, maxlen);
          probe = n > 0;
          if (n !== 0) len = probe ? n : 0;
        }
      }
    } else if (tp.t_tfo !== TFO_NONE && flags & TH_SYN) {
      if (so.synHeld && tp.t_state === TCPS_SYN_SENT) return 0;
      len = tfoSynData(tp);
    }
    if (probe) {
      sendalot = true;
    } else if (len > maxlen) {
      len = maxlen;
      sendalot = true;
    }
    const rexmit = seg !== null;
    if (rexmit) {
      const whole = ((seg!.end - seg!.start) | 0) === len + (seg!.flags & SEG_FIN ? 1 : 0);
      if (!whole || (seg!.flags & SEG_FIN) === 0) flags &= ~TH_FIN;
    } else if (off + len < snd.sb_cc) {
      flags &= ~TH_FIN;
    }

    const recwin = tcpRecwin(tp);
    const isSyn = (flags & TH_SYN) !== 0;
    let send = rexmit;
    if (len > 0 && !rexmit) {
      send =
        len >= maxlen ||
        force ||
        tp.t_urgdue ||
        ((tp.t_flags & (TF_MORETOCOME | TF_NOPUSH)) === 0 &&
          (idle || ((tp.t_flags & TF_NODELAY) !== 0 && !rtxFull(tp))) &&
          len + off >= snd.sb_cc) ||
        (tp.max_sndwnd > 0 && len >= tp.max_sndwnd >> 1) ||
        seqLt(tp.snd_nxt, tp.snd_max);
    }
    const finDue =
      (flags & TH_FIN) !== 0 &&
      (rexmit || (tp.t_flags & TF_SENTFIN) === 0 || (seqLt(tp.snd_nxt, tp.snd_max) && off >= snd.sb_cc));
    // What TCP_NOPUSH holds back does not go along with an ACK either.
    if ((tp.t_flags & TF_NOPUSH) !== 0 && !send && !finDue) len = 0;
    if ((len > 0 && send) || (finDue && (rexmit || synced))) {
      // The pacer holds data back; what else is due goes without it.
      if (tp.t_pacing_rate > 0 && !force && !paceAllows(tp)) {
        len = 0;
        seg = null;
        send = false;
        flags &= ~TH_FIN;
        sendalot = false;
        off = (tp.snd_nxt - tp.snd_una) | 0;
      } else if (!force && queueFull(tp)) {
        cnt[tcps.tcps_ackretry_nobufs]!++;
        parked(tp);
        tcp.waitForRoom(tp, false);
        return 0;
      }
    }
    const resend = seg !== null;
    if (
      !send &&
      recwin > 0 &&
      (tp.t_flags & TF_DELACK) === 0 &&
      !haveRcvdFin(tp.t_state) &&
      tp.t_state >= TCPS_ESTABLISHED
    ) {
      send = windowUpdateDue(tp, recwin);
    }
    send ||= tp.t_urgdue && synced;
    send ||= (tp.t_flags & TF_ACKNOW) !== 0 || isSyn || (flags & TH_RST) !== 0 || (finDue && (flags & TH_FIN) !== 0);
    if (!send) {
      if (synced) nothingSent(tp);
      return 0;
    }
    const m = st.pool.get();
    if (m === null) {
      cnt[tcps.tcps_sndnobufs]!++;
      parked(tp);
      tcp.waitForRoom(tp, true);
      return ENOBUFS;
    }
    // A FIN that went before keeps its number; it goes again only as a lost segment or where the scoreboard was given up.
    if (!resend && !finDue) flags &= ~TH_FIN;

    const hlen = TCP_HDR_LEN + tcpBuildOptions(tp, m, flags);
    if (len > 0) {
      snd.peek(off, st.pool.u8, m.pos + hlen, len);
      if (off + len === snd.sb_cc && !isSyn) flags |= TH_PUSH;
    } else if (isSyn && tp.t_state === TCPS_SYN_SENT) {
      flags &= ~TH_ACK;
    }
    let seq = resend ? seg!.start : tp.snd_nxt;
    // A pure ACK or probe carries snd_max so that it is acceptable whatever was retransmitted meanwhile.
    if (len === 0 && (flags & (TH_SYN | TH_FIN)) === 0 && !tp.t_persist.armed) seq = tp.snd_max;
    const newData = len > 0 && !resend && !force && tp.snd_nxt === tp.snd_max;
    let tos = inp.inp_tos;
    if (tp.t_flags2 & TF2_ECN_PERMIT || isSyn) {
      flags = ecnOutput(tp, flags, newData);
      if (newData && tp.t_flags2 & TF2_ECN_PERMIT) tos = (tos & ~IPTOS_ECN_MASK) | IPTOS_ECN_ECT0;
    }

    const urp = tp.t_urgent && synced ? urgentPointer(tp, seq) : 0;
    if (urp > 0) flags |= TH_URG;
    let win = recwin >> tp.rcv_scale;
    if (isSyn) win = recwin > TCP_MAXWIN ? TCP_MAXWIN : recwin;
    if (recwin === 0) tp.t_flags |= TF_RXWIN0SENT;
    else tp.t_flags &= ~TF_RXWIN0SENT;

    tcpEmit(st.pool.dv, m.pos, inp.lport, inp.fport, seq, flags & TH_ACK ? tp.rcv_nxt : 0, hlen, flags, win);
    if (urp > 0) thSetUrp(st.pool.dv, m.pos, urp);
    m.len = hlen + len;
    m.l4 = m.pos;
    m.flags = F_TX_L4CSUM;
    m.flowid = inp.inp_flowid;
    m.hashType = inp.inp_flowtype;
    // Segments of the least size may be fragmented: a way out where a path takes less still (BSD).
    const df = st.tune.tcp_path_mtu_discovery !== 0 && tp.t_maxseg > st.tune.tcp_minmss && inp.inp_df && !tp.t_nodf;
    if (df) tp.t_flags2 |= TF2_PLPMTU_PMTUD;
    else tp.t_flags2 &= ~TF2_PLPMTU_PMTUD;

    const delayed = (tp.t_flags & TF_DELACK) !== 0;
    if (trace !== null) trace(tp, TA_OUTPUT, flags, seq, len);
    const nsacks = tcp.optOut.flags & TOF_SACK ? tcp.optOut.nsacks : 0;
    const error = ipOutput(st, m, inp.l3, inp.f3, IPPROTO_TCP, tos, inp.inp_ttl, df, inp, inp.ro);

    if (error === EMSGSIZE && len > 0 && pmtuRoute(tp)) {
      if (trace !== null) trace(tp, TA_OUTPUT_FAIL, flags, seq, len);
      maxlen = tp.t_maxseg - tsLen - sackRoom;
      continue;
    }
    if (error === ENOBUFS || error === EMSGSIZE) {
      // Nothing left: the sequence space is as before. The timer sends again.
      if (len > 0 || flags & (TH_SYN | TH_FIN)) {
        if (!tp.t_rexmt.armed && !tp.t_persist.armed) st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
        if (error === ENOBUFS) cnt[tcps.tcps_sndenobufs]!++;
        if (error === ENOBUFS) tp.snd_cwnd = tp.maxseg;
      }
      if (trace !== null) trace(tp, TA_OUTPUT_FAIL, flags, seq, len);
      return error;
    }
    // Unreachable for now (no neighbour, no route): TCP retries on its timer and reports at the end.
    if (error !== 0) {
      cnt[tcps.tcps_sndnoroute]!++;
      tp.t_softerror = error;
    }

    countSent(tp, flags, len, (tp.snd_max - seq) | 0, force, delayed, nsacks);
    if (len > 0) pmtuSent(tp, seq, len, len >= maxlen, resend);
    if (resend) resent(tp, seg!, len, flags);
    else if (!force || !tp.t_persist.armed) advance(tp, len, flags);
    else probed(tp, len, flags);
    if (probe && len > 0) plpSent(tp, seq);
    if (flags & TH_ACK) {
      const edge = (tp.rcv_nxt + recwin) | 0;
      if (recwin > 0 && seqGt(edge, tp.rcv_adv)) tp.rcv_adv = edge;
      tp.last_ack_sent = tp.rcv_nxt;
      tp.t_flags &= ~(TF_ACKNOW | TF_DELACK);
      if (tp.dsack_due) cnt[tcps.tcps_dsack_sent]!++;
      tp.dsack_due = false;
      if (tp.t_delack.armed) st.wheel.cancel(tp.t_delack);
    }
    // An ACK went and data could not: after a timeout into a closed window nothing else would wake the connection.
    if (len === 0 && snd.sb_cc > 0) persistIfIdle(tp);
    tp.snd_segs++;
    if (trace !== null) trace(tp, TA_OUTPUT_DONE, flags, seq, len);
    if (error !== 0) return error;
    if (!sendalot) {
      if (synced) nothingSent(tp);
      return 0;
    }
  }
}

/** Sequence numbers, scoreboard and timer after new data, SYN or FIN. */
function advance(tp: Tcpcb, len: number, flags: number): void {
  const { wheel } = tp.st;
  const fresh = tp.snd_max === tp.snd_una;
  let moved = len;
  if (flags & TH_FIN) {
    moved++;
    tp.t_flags |= TF_SENTFIN;
  }
  // What a SYN takes along is not on the scoreboard: the SYN,ACK says how much of it arrived.
  if (moved > 0 && (flags & TH_SYN) === 0) {
    const again = seqLt(tp.snd_nxt, tp.snd_max);
    rtxAppend(tp, moved, (flags & TH_FIN) !== 0, again);
    if (again) undoNoteRexmit(tp);
    if ((tp.t_flags & TF_FASTRECOVERY) !== 0) tp.prr_out += moved;
    paceSent(tp, len);
  }
  if (flags & TH_SYN) {
    moved++;
    if (!tp.t_rtttiming && tp.snd_nxt === tp.snd_max) {
      tp.t_rtttiming = true;
      tp.t_rtttime = tp.st.clock.us;
      tp.st.cnt[tcps.tcps_segstimed]!++;
    }
  }
  tp.snd_nxt = (tp.snd_nxt + moved) | 0;
  if (seqGt(tp.snd_nxt, tp.snd_max)) tp.snd_max = tp.snd_nxt;
  if (tp.snd_nxt === tp.snd_una) return;
  if (tp.t_nopush.armed && ((tp.snd_nxt - tp.snd_una) | 0) >= tp.t_socket!.so_snd.sb_cc) wheel.cancel(tp.t_nopush);
  if (!tp.t_rexmt.armed) {
    if (fresh || tp.t_persist.armed) userTimeoutStart(tp);
    if (tp.t_persist.armed) {
      wheel.cancel(tp.t_persist);
      tp.t_rxtshift = 0;
    }
    wheel.arm(tp.t_rexmt, tp.t_rxtcur);
  }
  if (moved > 0) {
    if ((flags & TH_SYN) === 0) ccSent(tp, moved);
    tlpSchedule(tp);
  }
}

/** Scoreboard and timer after a retransmission of the first `len` bytes of `seg`. */
function resent(tp: Tcpcb, seg: SndSeg, len: number, flags: number): void {
  const { cnt, wheel } = tp.st;
  const all = len + (flags & TH_FIN ? 1 : 0);
  if (all < ((seg.end - seg.start) | 0)) rtxSplit(tp, seg, (seg.start + all) | 0);
  cwvResent(tp, seg);
  rtxResent(tp, seg);
  undoNoteRexmit(tp);
  if ((tp.t_flags & TF_FASTRECOVERY) !== 0) {
    tp.prr_out += all;
    if (tp.t_flags & TF_SACK_PERMIT) {
      cnt[tcps.tcps_sack_rexmits]!++;
      cnt[tcps.tcps_sack_rexmit_bytes]! += len;
    }
  }
  paceSent(tp, len);
  ccSent(tp, all);
  if (!tp.t_rexmt.armed && !tp.t_persist.armed) wheel.arm(tp.t_rexmt, tp.t_rxtcur);
}

/** A window probe: what it carries counts as sent, snd_nxt stays. */
function probed(tp: Tcpcb, len: number, flags: number): void {
  const end = (tp.snd_nxt + len + (flags & TH_FIN ? 1 : 0)) | 0;
  if (flags & TH_FIN) tp.t_flags |= TF_SENTFIN;
  if (seqGt(end, tp.snd_max)) tp.snd_max = end;
}

/**
 * How much of a lost segment may be sent now: -1 when the window says not yet. The first of all may always go where the receiver's window
 * has shrunk below it (RFC 9293 section 3.8.6: data once sent is sent again).
 */
function mayResend(tp: Tcpcb, seg: SndSeg, maxlen: number): number {
  const total = ((seg.end - seg.start) | 0) - (seg.flags & SEG_FIN ? 1 : 0);
  const len = total < maxlen ? total : maxlen;
  if (tp.pmtu_hold !== 0) return pmtuHeld(tp) ? -1 : len;
  if (tp.pipe + len > tp.snd_cwnd && tp.pipe > 0) return -1;
  const off = (seg.start - tp.snd_una) | 0;
  if (off > 0 && off + len > tp.snd_wnd) return -1;
  return len;
}

/** What follows when nothing (more) can be sent: the probe timer, and notes on who is to blame. */
function nothingSent(tp: Tcpcb): void {
  // Data waits, nothing is in flight to bring an ACK, and the window is the reason: probe (RFC 9293 section 3.8.6.1).
  if (tp.t_socket!.so_snd.sb_cc > 0) persistIfIdle(tp);
  const off = (tp.snd_nxt - tp.snd_una) | 0;
  const room = tp.snd_cwnd - tp.pipe;
  // No other segment fits, and the receiver would have taken it.
  const limited = room < tp.maxseg && room < tp.snd_wnd - off;
  cwndValidate(tp, limited);
  chronoUpdate(tp, limited);
  if (tp.t_socket!.so_snd.sb_cc <= off && tp.snd_lost === 0 && room > 0) rateAppLimited(tp);
}

/** Nothing was in flight: the window may be too old to be believed (RFC 5681 section 4.1, RFC 7661 section 4.4). */
function idleRestart(tp: Tcpcb): void {
  if (tp.t_socket!.so_snd.sb_cc === 0) return;
  const validated = cwvOn(tp);
  if (validated) cwvIdle(tp);
  const idleUs = ((tp.st.clock.ms - tp.t_rcvtime) | 0) * 1000;
  if (idleUs < tp.t_rxtcur) return;
  if (!validated && tp.st.tune.tcp_idle_reduce !== 0 && !ccOwnsRecovery(tp) && tp.snd_cwnd > tp.initcwnd) {
    if (tp.snd_ssthresh < (tp.snd_cwnd >> 2) * 3) tp.snd_ssthresh = (tp.snd_cwnd >> 2) * 3;
    tp.snd_cwnd = tp.initcwnd;
  }
  ccAfterIdle(tp, idleUs);
}

/** The interface queue is half full: data waits for ifqStart. */
function queueFull(tp: Tcpcb): boolean {
  const inp = tp.t_inpcb!;
  const rt = routeLookup(tp.st, inp.f3, inp.ro);
  return rt !== null && rt.ifp.ifq.halfFull;
}

/** Arms the persist timer where data waits and no timer runs. */
function persistIfIdle(tp: Tcpcb): void {
  // The window has shut while a mark held data back: from here on it is probed.
  if (tp.t_ecnhold && tp.snd_wnd === 0 && tp.snd_una === tp.snd_max) {
    tp.t_ecnhold = false;
    tp.st.wheel.cancel(tp.t_rexmt);
  }
  if ((tp.t_flags & TF_NOPUSH) !== 0 && nopushHolds(tp)) return;
  if (tp.t_rexmt.armed || tp.t_persist.armed || tp.t_state < TCPS_ESTABLISHED) return;
  tp.t_rxtshift = 0;
  if (tp.snd_max === tp.snd_una) userTimeoutStart(tp);
  tcpSetpersist(tp);
}

/** Whoever wanted to retransmit has cancelled the timer and counts on a segment that does not leave now: the timer must run. */
function parked(tp: Tcpcb): void {
  if (tp.t_socket!.so_snd.sb_cc > 0) chronoSet(tp, CHRONO_BUSY);
  if (tp.snd_max === tp.snd_una || tp.t_rexmt.armed || tp.t_persist.armed) return;
  tp.st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
}

/** BSD's rule: two segments more, and that a good part of the buffer; or half of the buffer. */
function windowUpdateDue(tp: Tcpcb, recwin: number): boolean {
  const hiwat = tp.t_socket!.so_rcv.sb_hiwat;
  let adv = recwin;
  let oldwin = 0;
  if (seqGt(tp.rcv_adv, tp.rcv_nxt)) {
    oldwin = (tp.rcv_adv - tp.rcv_nxt) | 0;
    adv = adv > oldwin ? adv - oldwin : 0;
  }
  let shown = (adv + oldwin) >> tp.rcv_scale;
  if (shown > TCP_MAXWIN) shown = TCP_MAXWIN;
  if (oldwin >> tp.rcv_scale === shown) return false;
  if (adv >= 2 * tp.t_maxseg && (adv >= hiwat >> 2 || recwin <= hiwat >> 3 || hiwat <= 8 * tp.t_maxseg)) return true;
  return 2 * adv >= hiwat;
}

/**
 * netstat's account of a segment that IP took (spec/counters.md 5.5 lines 1-9), and the connection's own.
 * @param before sequence numbers from the segment's on that were sent before; 0 or less for none
 */
function countSent(
  tp: Tcpcb,
  flags: number,
  len: number,
  before: number,
  probe: boolean,
  delayed: boolean,
  nsacks: number,
): void {
  const cnt = tp.st.cnt;
  cnt[tcps.tcps_sndtotal]!++;
  if (delayed) cnt[tcps.tcps_delack]!++;
  if (nsacks > 0) cnt[tcps.tcps_sack_snd_opts]!++;
  if (len > 0) {
    const again = before > 0;
    const old = again ? (before < len ? before : len) : 0;
    tp.snd_datasegs++;
    tp.snd_rexmitbytes += old;
    tp.snd_bytes += len - old;
    tp.t_sndtime = tp.st.clock.ms;
    if (probe && len === 1 && tp.snd_wnd === 0) {
      cnt[tcps.tcps_sndprobe]!++;
    } else if (again) {
      cnt[tcps.tcps_sndrexmitpack]!++;
      cnt[tcps.tcps_sndrexmitbyte]! += len;
      tp.snd_rexmitpack++;
    } else {
      cnt[tcps.tcps_sndpack]!++;
      cnt[tcps.tcps_sndbyte]! += len;
    }
  } else if (tp.t_flags & TF_ACKNOW) {
    cnt[tcps.tcps_sndacks]!++;
  } else if (flags & (TH_SYN | TH_FIN | TH_RST)) {
    cnt[tcps.tcps_sndctrl]!++;
  } else if (flags & TH_URG) {
    cnt[tcps.tcps_sndurg]!++;
  } else {
    cnt[tcps.tcps_sndwinup]!++;
  }
}
