/** Timers of a connection: retransmission (RFC 6298), persist (RFC 9293 3.8.6.1), keepalive (RFC 9293 3.8.4), 2 MSL, delayed ACK. */
import { tcps } from '../../metrics/layout.ts';
import { EHOSTUNREACH, ETIMEDOUT } from '../errno.ts';
import { routeLookup } from '../net/route.ts';
import { blackholeTimeout } from './tcp-blackhole.ts';
import { ecnRelease } from './tcp-ecn.ts';
import { tfoServed, tfoSynLost, tfoTimeout } from './tcp-fastopen.ts';
import { haveEstablished, TCPS_CLOSE_WAIT, TCPS_CLOSING, TCPS_FIN_WAIT_2, TCPS_TIME_WAIT } from './tcp-fsm.ts';
import { nopushTimer } from './tcp-nopush.ts';
import { tcpOutput } from './tcp-output.ts';
import { paceTimer } from './tcp-pacing.ts';
import { plpTimeout } from './tcp-plpmtud.ts';
import { pmtuTimeout } from './tcp-pmtu.ts';
import { rackTimer } from './tcp-rack-timer.ts';
import { rtoEnter } from './tcp-recovery.ts';
import { rtxFlush } from './tcp-rtxq.ts';
import { tcpClose, tcpDrop, tcpKeepProbe } from './tcp-subr.ts';
import { TA_TIMER } from './tcp-trace.ts';
import { userTimeout, userTimer } from './tcp-user-timeout.ts';
import {
  TCP_RTT_SHIFT,
  TCP_RTTVAR_SHIFT,
  type Tcpcb,
  type TcpTimerFns,
  TF_ACKNOW,
  TF_DELACK,
  TF_FORCEDATA,
} from './tcpcb.ts';

/** Attempts before a connection is given up (BSD's TCP_MAXRXTSHIFT). */
export const TCP_MAXRXTSHIFT = 12;
/** Retransmissions after which the way is suspected (RFC 9293 SHLD-10: at least three). */
const TCP_R1 = 3;
/** Longest retransmission timeout, µs (RFC 6298 (2.5): at least 60 s). */
export const TCPTV_REXMTMAX = 64_000_000;

/** Timeout of data after a handshake that timed out and gave no sample, µs (RFC 6298 (5.7)). */
const TCPTV_AFTER_SYN_TIMEOUT = 3_000_000;

/** Retransmission timeout from the estimators: RFC 6298 (2.3), floor and slop as FreeBSD's sysctls say. */
export function tcpRexmtval(tp: Tcpcb): number {
  const tune = tp.st.tune;
  const floor = tune.tcp_rexmit_min * 1000;
  let rto = (tp.t_srtt >> TCP_RTT_SHIFT) + tp.t_rttvar;
  if (rto < floor) rto = floor;
  rto += tune.tcp_rexmit_slop * 1000;
  return rto > TCPTV_REXMTMAX ? TCPTV_REXMTMAX : rto;
}

/** The timeout `shift` doublings later (RFC 6298 (5.5)). */
function backoff(us: number, shift: number, most: number): number {
  const v = us * (1 << (shift > 9 ? 9 : shift));
  return v > most ? most : v;
}

/** Takes a round-trip sample of `rtt` µs into the estimators (RFC 6298 section 2). */
export function tcpXmitTimer(tp: Tcpcb, rttUs: number): void {
  const rtt = rttUs < 1 ? 1 : rttUs;
  tp.st.cnt[tcps.tcps_rttupdated]!++;
  tp.t_rttsamples++;
  tp.t_rttlast = rtt;
  if (tp.t_rttmin === 0 || rtt < tp.t_rttmin) tp.t_rttmin = rtt;
  if (tp.t_srtt === 0) {
    tp.t_srtt = rtt << TCP_RTT_SHIFT;
    tp.t_rttvar = (rtt >> 1) << TCP_RTTVAR_SHIFT;
  } else {
    const delta = rtt - (tp.t_srtt >> TCP_RTT_SHIFT);
    tp.t_srtt += delta;
    if (tp.t_srtt <= 0) tp.t_srtt = 1;
    const dev = delta < 0 ? -delta : delta;
    tp.t_rttvar += dev - (tp.t_rttvar >> TCP_RTTVAR_SHIFT);
    if (tp.t_rttvar <= 0) tp.t_rttvar = 1;
  }
  tp.t_rxtshift = 0;
  tp.t_rxtcur = tcpRexmtval(tp);
  tp.t_softerror = 0;
}

/**
 * A timeout was spurious: what came late says how late an answer may be. The estimators are set from it, not less than they were before (RFC 4015
 * section 3.4).
 */
export function tcpSpuriousRto(tp: Tcpcb): void {
  if (tp.t_rttsamples === tp.undo_samples) return;
  const srtt = tp.t_rttlast << TCP_RTT_SHIFT;
  const rttvar = (tp.t_rttlast >> 1) << TCP_RTTVAR_SHIFT;
  tp.t_srtt = srtt > tp.undo_srtt ? srtt : tp.undo_srtt;
  tp.t_rttvar = rttvar > tp.undo_rttvar ? rttvar : tp.undo_rttvar;
  tp.t_rxtcur = tcpRexmtval(tp);
}

/** The handshake is over: what it lost says nothing about the timeouts of data, but for the first (RFC 6298 (5.7)). */
export function tcpHandshakeRto(tp: Tcpcb): void {
  if (tp.t_rxtshift > 0 && tp.t_rttsamples === 0) tp.t_rxtcur = TCPTV_AFTER_SYN_TIMEOUT;
  tp.t_rxtshift = 0;
}

/** Arms the persist timer with its back-off. */
export function tcpSetpersist(tp: Tcpcb): void {
  const base = ((tp.t_srtt >> 2) + tp.t_rttvar) >> 1;
  const floor = tp.st.tune.tcp_persmin * 1000;
  let us = backoff(base, tp.t_rxtshift, tp.st.tune.tcp_persmax * 1000);
  if (us < floor) us = floor;
  tp.st.wheel.arm(tp.t_persist, us);
  if (tp.t_rxtshift < TCP_MAXRXTSHIFT) tp.t_rxtshift++;
}

/** Idle time before the first keepalive probe, µs. */
export function tcpKeepIdle(tp: Tcpcb): number {
  const set = tp.t_socket!.opt.keepIdle;
  return (set !== 0 ? set : tp.st.tune.tcp_keepidle) * 1000;
}

/** Time between two probes, ms. */
export function tcpKeepIntvl(tp: Tcpcb): number {
  const set = tp.t_socket!.opt.keepIntvl;
  return set !== 0 ? set : tp.st.tune.tcp_keepintvl;
}

/** Time that a handshake may take, µs. */
function keepInit(tp: Tcpcb): number {
  const set = tp.t_socket!.opt.keepInit;
  return (set !== 0 ? set : tp.st.tune.tcp_keepinit) * 1000;
}

/** Silence of the peer after which a connection is given up, ms: the probes' time, or the user timeout where one is set (as on Linux). */
function keepLimit(tp: Tcpcb, idleMs: number): number {
  const user = userTimeout(tp);
  const intvl = tcpKeepIntvl(tp);
  if (user !== 0) return user > idleMs + intvl ? user : idleMs + intvl;
  const cnt = tp.t_socket!.opt.keepCnt;
  return idleMs + (cnt !== 0 ? cnt : tp.st.tune.tcp_keepcnt) * intvl;
}

/** Arms the keepalive timer as the state wants it: the handshake's limit first, idle time after. */
export function tcpKeepRestart(tp: Tcpcb): void {
  tp.st.wheel.arm(tp.t_keep, haveEstablished(tp.t_state) ? tcpKeepIdle(tp) : keepInit(tp));
}

/** Time that TIME_WAIT lasts, µs. */
export function tcp2Msl(tp: Tcpcb): number {
  return 2 * tp.st.tune.tcp_msl * 1000;
}

/**
 * R1 retransmissions without an answer (RFC 9293 section 3.8.3): IP is advised that the way may be dead, so that the route is looked up anew and
 * the neighbour asked, and the user is told. False when the user has ended the connection.
 */
function pathSuspect(tp: Tcpcb): boolean {
  const st = tp.st;
  const { f3, ro } = tp.t_inpcb!;
  ro.route = null;
  const rt = routeLookup(st, f3, ro);
  if (rt !== null) st.arp.suspect(rt.gateway === 0 ? f3 : rt.gateway);
  tp.t_socket!.softError(ETIMEDOUT);
  return tp.t_inpcb !== null;
}

function rexmt(tp: Tcpcb): void {
  const st = tp.st;
  const cnt = st.cnt;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, 0, tp.snd_una, 0);
  if (tp.t_ecnhold && ecnRelease(tp)) return;
  tp.t_rxtshift++;
  // A user timeout takes the place of this limit, be it shorter or longer (RFC 9293 section 3.8.3, MUST-21).
  const mayGiveUp = !haveEstablished(tp.t_state) || userTimeout(tp) === 0;
  if (tp.t_rxtshift > TCP_MAXRXTSHIFT && !mayGiveUp) tp.t_rxtshift = TCP_MAXRXTSHIFT;
  if (tp.t_rxtshift > TCP_MAXRXTSHIFT) {
    tp.t_rxtshift = TCP_MAXRXTSHIFT;
    cnt[tcps.tcps_timeoutdrop]!++;
    tcpDrop(tp, tp.t_softerror !== 0 ? tp.t_softerror : ETIMEDOUT);
    return;
  }
  cnt[tcps.tcps_rexmttimeo]!++;
  if (tp.t_rxtshift === TCP_R1 && !pathSuspect(tp)) return;
  if (haveEstablished(tp.t_state)) {
    tp.t_rxtcur = backoff(tcpRexmtval(tp), tp.t_rxtshift, TCPTV_REXMTMAX);
    // A path that fails this long may have changed: forget the estimate, keep the back-off.
    if (tp.t_rxtshift > TCP_MAXRXTSHIFT / 4) {
      tp.t_rttvar += tp.t_srtt >> TCP_RTT_SHIFT;
      tp.t_srtt = 0;
    }
    pmtuTimeout(tp);
    if (st.tune.tcp_plpmtud_enable !== 0) plpTimeout(tp);
    else blackholeTimeout(tp);
    rtoEnter(tp);
    if (tp.snd_wnd === 0) {
      // The receiver took the window back, and all in flight was refused: from here on it is probed.
      rtxFlush(tp);
      tp.snd_nxt = tp.snd_una;
      tp.t_rxtshift = 0;
      tcpSetpersist(tp);
      return;
    }
  } else {
    tp.t_rxtcur = backoff(st.tune.tcp_rexmit_initial * 1000, tp.t_rxtshift, TCPTV_REXMTMAX);
    if (tfoServed(tp)) {
      tfoTimeout(tp);
      return;
    }
    if (tp.t_rxtshift === 1) tfoSynLost(tp);
    tp.snd_recover = tp.snd_max;
    tp.snd_nxt = tp.snd_una;
    // Karn: what goes again is not timed.
    tp.t_rtttiming = false;
  }
  if (haveEstablished(tp.t_state)) tp.t_flags |= TF_ACKNOW;
  tcpOutput(tp);
}

function persist(tp: Tcpcb): void {
  const st = tp.st;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, 1, tp.snd_una, 0);
  st.cnt[tcps.tcps_persisttimeo]!++;
  // A peer that answers probes may keep the window shut for ever (RFC 9293 section 3.8.6.1); one that is silent may not.
  const silent = (st.clock.ms - tp.t_rcvtime) | 0;
  // Where the user has finished sending there is less to wait for (BSD).
  const leaving = tp.t_state > TCPS_CLOSE_WAIT && silent >= st.tune.tcp_persmax;
  const givenUp = userTimeout(tp) === 0 && tp.t_rxtshift === TCP_MAXRXTSHIFT && silent >= st.tune.tcp_keepidle;
  if (leaving || givenUp) {
    st.cnt[tcps.tcps_persistdrop]!++;
    tcpDrop(tp, ETIMEDOUT);
    return;
  }
  tcpSetpersist(tp);
  tp.t_flags |= TF_FORCEDATA;
  tcpOutput(tp);
  tp.t_flags &= ~TF_FORCEDATA;
}

function keep(tp: Tcpcb): void {
  const st = tp.st;
  const tune = st.tune;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, 2, tp.snd_una, 0);
  if (!haveEstablished(tp.t_state)) {
    st.cnt[tcps.tcps_keeptimeo]!++;
    st.cnt[tcps.tcps_keepdrops]!++;
    tcpDrop(tp, tp.t_softerror === EHOSTUNREACH ? EHOSTUNREACH : ETIMEDOUT);
    return;
  }
  const wants = tune.tcp_always_keepalive !== 0 || tp.t_socket!.opt.keepAlive;
  const idleMs = (st.clock.ms - tp.t_rcvtime) | 0;
  const idleLimit = tcpKeepIdle(tp) / 1000;
  // In FIN_WAIT_2 too: a user who has only shut down waits for a peer that may be gone.
  if (!wants || (tp.t_state > TCPS_CLOSING && tp.t_state !== TCPS_FIN_WAIT_2) || idleMs < idleLimit) {
    st.wheel.arm(tp.t_keep, wants && idleMs < idleLimit ? (idleLimit - idleMs) * 1000 : tcpKeepIdle(tp));
    return;
  }
  st.cnt[tcps.tcps_keeptimeo]!++;
  if (idleMs >= keepLimit(tp, idleLimit)) {
    st.cnt[tcps.tcps_keepdrops]!++;
    tcpDrop(tp, ETIMEDOUT);
    return;
  }
  st.cnt[tcps.tcps_keepprobe]!++;
  tcpKeepProbe(tp);
  st.wheel.arm(tp.t_keep, tcpKeepIntvl(tp) * 1000);
}

/** Silence in FIN_WAIT_2 after which the peer is given up, ms, where nobody reads any more: that of all keepalive probes (BSD's tcp_maxidle). */
function maxIdle(tp: Tcpcb): number {
  const { keepCnt } = tp.t_socket!.opt;
  return (keepCnt !== 0 ? keepCnt : tp.st.tune.tcp_keepcnt) * tcpKeepIntvl(tp);
}

/**
 * The user has closed and the peer has not: what it has to say will not be read, so it is not waited for without end (BSD; RFC 9293 section 3.6
 * leaves it open). With net.inet.tcp.fast_finwait2_recycle the time is net.inet.tcp.finwait2_timeout, whatever comes meanwhile.
 */
export function tcpFinWait2(tp: Tcpcb): void {
  const { tune, wheel } = tp.st;
  wheel.arm(tp.t_2msl, (tune.tcp_fast_finwait2_recycle !== 0 ? tune.tcp_finwait2_timeout : maxIdle(tp)) * 1000);
}

function msl2(tp: Tcpcb): void {
  const { st } = tp;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, 3, 0, 0);
  if (tp.t_state === TCPS_FIN_WAIT_2) {
    if (st.tune.tcp_fast_finwait2_recycle === 0 && ((st.clock.ms - tp.t_rcvtime) | 0) <= maxIdle(tp)) {
      st.wheel.arm(tp.t_2msl, tcpKeepIntvl(tp) * 1000);
      return;
    }
    st.cnt[tcps.tcps_finwait2_drops]!++;
  } else if (tp.t_state !== TCPS_TIME_WAIT && tp.t_state <= TCPS_CLOSE_WAIT) {
    return;
  }
  tcpClose(tp, 0);
}

function delack(tp: Tcpcb): void {
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, 4, 0, 0);
  if ((tp.t_flags & TF_DELACK) === 0) return;
  // DELACK stays set until the segment has left, so that it is counted as delayed.
  tp.t_flags |= TF_ACKNOW;
  tcpOutput(tp);
}

export const tcpTimers: TcpTimerFns = {
  rexmt,
  persist,
  keep,
  msl2,
  delack,
  rack: rackTimer,
  pace: paceTimer,
  user: userTimer,
  nopush: nopushTimer,
};
