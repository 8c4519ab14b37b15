/** One handshake: what is kept of it, its SYN,ACK, and the connection that it leads to (`syncache_respond`, `syncache_socket`). */
import { tcps } from '../../metrics/layout.ts';
import { F_TX_L4CSUM } from '../../rings/link.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import { FlowKey } from '../flow.ts';
import { ipOutput } from '../net/ip-output.ts';
import { type RouteCache, routeLookup } from '../net/route.ts';
import type { Listener } from '../socket/listener.ts';
import { sockOptDf } from '../socket/sockopt.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';
import {
  TCP_HDR_LEN,
  TH_ACK,
  TH_ECE,
  TH_SYN,
  TOF_FASTOPEN,
  TOF_MSS,
  TOF_SACKPERM,
  TOF_SCALE,
  TOF_TS,
  tcpAddoptions,
  tcpEmit,
} from '../wire/tcp.ts';
import { IPTOS_ECN_MASK } from './tcp-ecn.ts';
import { TCPS_SYN_RECEIVED } from './tcp-fsm.ts';
import { tcpRequestScale } from './tcp-outopt.ts';
import { tcpMss, tcpNewtcpcb, tcpSetFlowid } from './tcp-subr.ts';
import { tcpKeepRestart } from './tcp-timer.ts';
import {
  type Tcpcb,
  TF_RCVD_SCALE,
  TF_RCVD_TSTMP,
  TF_REQ_SCALE,
  TF_REQ_TSTMP,
  TF_SACK_PERMIT,
  TF2_ECN_PERMIT,
} from './tcpcb.ts';

const IPPROTO_TCP = 6;

/** Whoever is told that a SYN,ACK was not answered in time. */
interface HandshakeCache {
  timeout(e: SyncacheEntry): void;
}

export class SyncacheEntry {
  readonly key = new FlowKey();
  readonly timer: Timer;
  readonly cache: HandshakeCache;
  hash = 0;
  prev: SyncacheEntry | null = null;
  next: SyncacheEntry | null = null;
  listener: Listener | null = null;
  iss = 0;
  irs = 0;
  flags = 0;
  tsoff = 0;
  tsrecent = 0;
  mss = 0;
  wscale = 0;
  wnd = 0;
  rcvWnd = 0;
  rexmits = 0;
  sentUs = 0;
  flowid = 0;
  flowtype = 0;
  dirHash = 0;
  /** The peer asked for ECN, and gets it (RFC 3168 section 6.1.1). */
  ecn = false;
  /** Challenge ACKs sent since `challengeMs`, in clock.ms. */
  challenges = 0;
  challengeMs = 0;

  constructor(cache: HandshakeCache) {
    this.cache = cache;
    this.timer = new Timer((e: SyncacheEntry) => e.cache.timeout(e), this);
  }
}

/** The connection that a handshake has led to (`syncache_socket`). */
export function syncacheSocket(st: Stack, e: SyncacheEntry, l: Listener, k: FlowKey): Tcpcb {
  const cnt = st.cnt;
  const so = l.makeSocket();
  const tp = tcpNewtcpcb(st, k, so);
  tp.t_state = TCPS_SYN_RECEIVED;
  tp.iss = e.iss;
  tp.rack_fack = e.iss;
  tp.irs = e.irs;
  tp.snd_una = e.iss;
  tp.snd_nxt = (e.iss + 1) | 0;
  tp.snd_max = tp.snd_nxt;
  tp.snd_recover = e.iss;
  tp.snd_wl1 = e.irs;
  tp.snd_wnd = e.wnd;
  tp.max_sndwnd = e.wnd;
  tp.rcv_nxt = (e.irs + 1) | 0;
  tp.rcv_wnd = e.rcvWnd;
  tp.rcv_adv = (tp.rcv_nxt + e.rcvWnd) | 0;
  tp.last_ack_sent = tp.rcv_nxt;
  tp.t_flags &= ~(TF_SACK_PERMIT | TF_REQ_SCALE | TF_REQ_TSTMP);
  tp.t_flags |= e.flags;
  if (e.flags & TF_RCVD_SCALE) {
    tp.t_flags |= TF_REQ_SCALE;
    tp.snd_scale = e.wscale;
    tp.rcv_scale = tcpRequestScale(st.tune.ipc_maxsockbuf);
  }
  if (e.flags & TF_RCVD_TSTMP) {
    tp.t_flags |= TF_REQ_TSTMP;
    tp.ts_recent = e.tsrecent;
    tp.ts_recent_age = st.clock.ms;
    tp.ts_offset = e.tsoff;
  }
  if (e.ecn) {
    tp.t_flags2 |= TF2_ECN_PERMIT;
    cnt[tcps.tcps_ecn_accepts]!++;
  }
  tp.ecn_recover = e.iss;
  tcpMss(tp, e.mss);
  tcpSetFlowid(st, tp.t_inpcb!, e.flowid, e.flowtype);
  tcpKeepRestart(tp);
  so.passiveFrom(l);
  so.startUs = e.sentUs;
  // The handshake's segments are the connection's.
  tp.rcv_segs = 1;
  tp.snd_segs = 1 + e.rexmits;
  cnt[tcps.tcps_sc_completed]!++;
  cnt[tcps.tcps_accepts]!++;
  return tp;
}

/**
 * Sends the SYN,ACK of a handshake. False when it could not be sent.
 * @param byTimer the segment is counted as `tcps_sc_retransmitted` and not among those sent, as OpenBSD does
 * @param cookie Fast Open cookie that it brings; null for none
 */
export function syncacheTransmit(
  st: Stack,
  e: SyncacheEntry,
  ro: RouteCache,
  byTimer: boolean,
  cookie: Uint8Array | null,
): boolean {
  const cnt = st.cnt;
  e.sentUs = st.clock.us;
  const m = st.pool.get();
  if (m === null) {
    cnt[tcps.tcps_sndnobufs]!++;
    return false;
  }
  const k = e.key;
  const rt = routeLookup(st, k.f3, ro);
  const to = st.tcp.optOut;
  to.flags = TOF_MSS;
  to.mss = rt === null ? st.tune.tcp_mssdflt : rt.mtu - 40;
  const most = e.listener!.opt.maxSeg;
  if (most !== 0 && most < to.mss) to.mss = most;
  if (e.flags & TF_RCVD_SCALE) {
    to.flags |= TOF_SCALE;
    to.wscale = tcpRequestScale(st.tune.ipc_maxsockbuf);
  }
  if (e.flags & TF_SACK_PERMIT) to.flags |= TOF_SACKPERM;
  if (e.flags & TF_RCVD_TSTMP) {
    to.flags |= TOF_TS;
    to.tsval = (st.clock.ms + e.tsoff) | 0;
    to.tsecr = e.tsrecent;
  }
  if (cookie !== null) {
    to.flags |= TOF_FASTOPEN;
    to.tfoCookie = cookie;
    to.tfoLen = cookie.length;
  }
  const hlen = TCP_HDR_LEN + tcpAddoptions(st.pool.dv, m.pos, to, st.tcp.noSacks);
  tcpEmit(
    st.pool.dv,
    m.pos,
    k.lport,
    k.fport,
    e.iss,
    (e.irs + 1) | 0,
    hlen,
    TH_SYN | TH_ACK | (e.ecn ? TH_ECE : 0),
    e.rcvWnd,
  );
  if (!output(st, e, m, hlen, ro)) return false;
  if (byTimer) return true;
  cnt[tcps.tcps_sndtotal]!++;
  cnt[tcps.tcps_sndacks]!++;
  return true;
}

/** Sends `m`, a segment of `len` bytes of the handshake, as the listener's options have it. False when it could not be sent. */
function output(st: Stack, e: SyncacheEntry, m: Mbuf, len: number, ro: RouteCache): boolean {
  m.len = len;
  m.l4 = m.pos;
  m.flags = F_TX_L4CSUM;
  m.flowid = e.flowid;
  m.hashType = e.flowtype;
  const { l3, f3 } = e.key;
  const { opt } = e.listener!;
  const df = st.tune.tcp_path_mtu_discovery !== 0 && sockOptDf(opt);
  return ipOutput(st, m, l3, f3, IPPROTO_TCP, opt.tos & ~IPTOS_ECN_MASK, opt.ttl, df, null, ro) === 0;
}

/** An ACK that says where we are, a few in a while (RFC 5961 section 7). */
export function syncacheChallenge(st: Stack, e: SyncacheEntry, ro: RouteCache): void {
  const most = st.tune.tcp_ack_war_cnt;
  if (((st.clock.ms - e.challengeMs) | 0) >= st.tune.tcp_ack_war_timewindow) {
    e.challengeMs = st.clock.ms;
    e.challenges = 0;
  }
  if (e.challenges++ >= most && most !== 0) {
    st.cnt[tcps.tcps_challengelimited]!++;
    return;
  }
  const m = st.pool.get();
  if (m === null) {
    st.cnt[tcps.tcps_sndnobufs]!++;
    return;
  }
  st.cnt[tcps.tcps_challengeack]!++;
  const k = e.key;
  let hlen = TCP_HDR_LEN;
  if (e.flags & TF_RCVD_TSTMP) {
    const to = st.tcp.optOut;
    to.flags = TOF_TS;
    to.tsval = (st.clock.ms + e.tsoff) | 0;
    to.tsecr = e.tsrecent;
    hlen += tcpAddoptions(st.pool.dv, m.pos, to, st.tcp.noSacks);
  }
  const win = e.flags & TF_RCVD_SCALE ? e.rcvWnd >> tcpRequestScale(st.tune.ipc_maxsockbuf) : e.rcvWnd;
  const { dv } = st.pool;
  tcpEmit(dv, m.pos, k.lport, k.fport, (e.iss + 1) | 0, (e.irs + 1) | 0, hlen, TH_ACK, win);
  if (!output(st, e, m, hlen, ro)) return;
  st.cnt[tcps.tcps_sndtotal]!++;
  st.cnt[tcps.tcps_sndacks]!++;
}
