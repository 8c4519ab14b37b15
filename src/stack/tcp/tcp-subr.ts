/** Control blocks come and go: creation, close, drop, segments without a block, initial sequence numbers, MSS. */
import { tcps } from '../../metrics/layout.ts';
import { F_TX_L4CSUM } from '../../rings/link.ts';
import { toeplitzV4 } from '../../rings/toeplitz.ts';
import { ECONNREFUSED, ECONNRESET, ETIMEDOUT } from '../errno.ts';
import type { FlowKey } from '../flow.ts';
import { ipOutput } from '../net/ip-output.ts';
import { RouteCache } from '../net/route.ts';
import type { Socket } from '../socket/socket.ts';
import { sockOptFlags, sockOptsToInp } from '../socket/sockopt.ts';
import type { Stack } from '../stack.ts';
import { TCP_HDR_LEN, TH_ACK, TH_RST, TOF_TS, tcpAddoptions, tcpEmit } from '../wire/tcp.ts';
import { ccAttach } from './cc/glue.ts';
import { seqGt } from './seq.ts';
import { sipHash, sipHigh } from './siphash.ts';
import { Inpcb } from './tcb.ts';
import { CHRONO_IDLE, chronoSet } from './tcp-chrono.ts';
import { tfoForget } from './tcp-fastopen.ts';
import { haveRcvdSyn, TCPS_CLOSED, TCPS_TIME_WAIT } from './tcp-fsm.ts';
import { tcpMssOffer, tcpTsval } from './tcp-outopt.ts';
import { tcpOutput, tcpRecwin } from './tcp-output.ts';
import { isIp6, TCPIP_HDRS } from './tcp-pmtu.ts';
import { tcpReassFlush } from './tcp-reass.ts';
import { rtxFlush } from './tcp-rtxq.ts';
import { tcp2Msl, tcpTimers } from './tcp-timer.ts';
import { TA_CLOSE, TA_DROP } from './tcp-trace.ts';
import { Tcpcb, TF_CLOSED, TF_RCVD_TSTMP, TF_REQ_SCALE, TF_REQ_TSTMP, TF_SACK_PERMIT } from './tcpcb.ts';

const IPPROTO_TCP = 6;
/** HashType.RSS_TCP_IPV4: the 4-tuple hash over TCP and IPv4. */
const RSS_TCP_IPV4 = 130;

const words = new Int32Array(10);

function hashFlow(st: Stack, k: FlowKey, use: number): number {
  words[0] = k.l3;
  words[1] = k.f3;
  words[2] = (k.lport << 16) | k.fport;
  words[3] = k.l0;
  words[4] = k.l1;
  words[5] = k.l2;
  words[6] = k.f0;
  words[7] = k.f1;
  words[8] = k.f2;
  words[9] = k.zone ^ use;
  return sipHash(st.tcp.secret, words, 10);
}

/** ISN = M + F(flow, secret), M ticking every 4 µs (RFC 6528 section 3). */
export function tcpNewIss(st: Stack, k: FlowKey): number {
  return (Math.imul(st.clock.ms, 250) + hashFlow(st, k, 0)) | 0;
}

/** Offset of the timestamp clock for a flow (RFC 7323 section 5.4). */
export function tcpNewTsOffset(st: Stack, k: FlowKey): number {
  hashFlow(st, k, 1);
  return sipHigh();
}

/** Makes a control block and its Inpcb for the flow `k` and enters both in the table. State CLOSED. */
export function tcpNewtcpcb(st: Stack, k: FlowKey, so: Socket): Tcpcb {
  const tcp = st.tcp;
  const tp = tcp.takeFree() ?? new Tcpcb(st, tcpTimers);
  tp.reset();
  const tune = st.tune;
  if (tune.tcp_rfc1323 !== 0) tp.t_flags |= TF_REQ_SCALE | TF_REQ_TSTMP;
  if (tune.tcp_sack_enable !== 0) tp.t_flags |= TF_SACK_PERMIT;
  tp.t_flags |= sockOptFlags(so.opt);
  const inp = new Inpcb(new RouteCache());
  sockOptsToInp(so.opt, inp, tune);
  tcp.gencnt = (tcp.gencnt + 1) | 0;
  inp.inp_gencnt = tcp.gencnt;
  inp.tp = tp;
  inp.inp_socket = so;
  tp.t_inpcb = inp;
  tp.t_socket = so;
  so.tp = tp;
  ccAttach(tp, so.cc ?? tcp.ccDefault);
  tcp.tcb.insert(inp, k);
  st.cnt[tcps.tcps_active] = tcp.tcb.count;
  return tp;
}

/**
 * Gives the connection its flow id: the Toeplitz hash of the packets that the peer sends, which is what steers them
 * (spec/siftr.md section 13 rule 5). Zero becomes 1, and an id that is taken is raised by one until it is free.
 * @param hash hash of a received packet of the flow, 0 when there was none (active open)
 */
export function tcpSetFlowid(st: Stack, inp: Inpcb, hash: number, type: number): void {
  let id = type === RSS_TCP_IPV4 ? hash : toeplitzV4(inp.f3, inp.l3, inp.fport, inp.lport);
  if (id === 0) id = 1;
  inp.dirHash = id;
  if (st.dir !== null) st.dir.insert(id, st.shard);
  while (st.tcp.flowids.has(id)) {
    id = (id + 1) | 0;
    if (id === 0) id = 1;
  }
  st.tcp.flowids.add(id);
  inp.inp_flowid = id;
  inp.inp_flowtype = RSS_TCP_IPV4;
}

function cancelTimers(tp: Tcpcb): void {
  const w = tp.st.wheel;
  w.cancel(tp.t_rexmt);
  w.cancel(tp.t_persist);
  w.cancel(tp.t_keep);
  w.cancel(tp.t_2msl);
  w.cancel(tp.t_delack);
  w.cancel(tp.t_rack);
  w.cancel(tp.t_pace);
  w.cancel(tp.t_user);
  w.cancel(tp.t_nopush);
}

/**
 * Ends a connection: timers, queues, tables, and the last event to the user (`closed`, errno 0 for an orderly end). The block
 * is used again from the next pass on.
 */
export function tcpClose(tp: Tcpcb, errno: number): void {
  const inp = tp.t_inpcb;
  if (inp === null) return;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_CLOSE, errno, 0, 0);
  const st = tp.st;
  const so = tp.t_socket!;
  st.tcp.hostcache.update(tp);
  cancelTimers(tp);
  tfoForget(tp, false);
  tcpReassFlush(tp);
  rtxFlush(tp);
  st.tcp.tcb.remove(inp);
  if (inp.inp_flowid !== 0) st.tcp.flowids.delete(inp.inp_flowid);
  if (inp.dirHash !== 0 && st.dir !== null) st.dir.remove(inp.dirHash);
  st.cnt[tcps.tcps_closed]!++;
  st.cnt[tcps.tcps_active] = st.tcp.tcb.count;
  if (st.tcp.gone !== null) st.tcp.gone(inp);
  tp.t_state = TCPS_CLOSED;
  tp.t_flags |= TF_CLOSED;
  tp.t_inpcb = null;
  tp.t_socket = null;
  inp.tp = null;
  st.tcp.bury(tp);
  so.detached(errno);
}

/** Ends a connection in error: a synchronised peer gets a RST first (RFC 9293 section 3.10.5). */
export function tcpDrop(tp: Tcpcb, errno: number): void {
  if (tp.t_inpcb === null) return;
  const cnt = tp.st.cnt;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_DROP, errno, 0, 0);
  if (haveRcvdSyn(tp.t_state)) {
    tp.t_state = TCPS_CLOSED;
    tcpOutput(tp);
    cnt[tcps.tcps_drops]!++;
  } else {
    cnt[tcps.tcps_conndrops]!++;
  }
  tcpClose(tp, errno === ETIMEDOUT && tp.t_softerror !== 0 ? tp.t_softerror : errno);
}

/** The peer reset the connection in `tp.t_state`. */
export function tcpResetByPeer(tp: Tcpcb, refused: boolean): void {
  tp.st.cnt[refused ? tcps.tcps_conndrops : tcps.tcps_drops]!++;
  if (tp.t_trace !== null) tp.t_trace(tp, TA_DROP, refused ? ECONNREFUSED : ECONNRESET, 0, 0);
  tcpClose(tp, refused ? ECONNREFUSED : ECONNRESET);
}

/** Enters or restarts TIME_WAIT. */
export function tcpTwstart(tp: Tcpcb): void {
  const w = tp.st.wheel;
  if (tp.t_state !== TCPS_TIME_WAIT) {
    tp.t_state = TCPS_TIME_WAIT;
    tp.st.cnt[tcps.tcps_timewait]!++;
    w.cancel(tp.t_rexmt);
    w.cancel(tp.t_persist);
    w.cancel(tp.t_keep);
    w.cancel(tp.t_rack);
    w.cancel(tp.t_pace);
    w.cancel(tp.t_user);
    w.cancel(tp.t_nopush);
    chronoSet(tp, CHRONO_IDLE);
    rtxFlush(tp);
    tp.t_socket!.so_snd.release();
  }
  w.arm(tp.t_2msl, tcp2Msl(tp));
}

/**
 * MSS after the peer's SYN: its offer bounded by what our route carries (RFC 9293 section 3.7.1); `offer` 0 means none came.
 * Buffers are rounded up to whole segments, as BSD does.
 */
export function tcpMss(tp: Tcpcb, offer: number): void {
  const tune = tp.st.tune;
  const ours = tcpMssOffer(tp);
  let mss = offer === 0 ? (isIp6(tp.t_inpcb!) ? tune.tcp_v6mssdflt : tune.tcp_mssdflt) : offer;
  if (mss < tune.tcp_minmss) {
    tp.st.cnt[tcps.tcps_minmss]!++;
    mss = tune.tcp_minmss;
  }
  tp.t_peermss = mss;
  if (mss > ours) mss = ours;
  tp.st.tcp.hostcache.takeMtu(tp);
  if (tp.t_pmtu !== 0 && mss > tp.t_pmtu - TCPIP_HDRS) mss = tp.t_pmtu - TCPIP_HDRS;
  tp.t_maxseg = mss;
  tp.t_optlen = tp.t_flags & TF_RCVD_TSTMP && tp.t_flags & TF_REQ_TSTMP ? 12 : 0;
  const so = tp.t_socket!;
  so.so_snd.sb_hiwat = roundUp(so.so_snd.sb_hiwat, mss);
  so.so_rcv.sb_hiwat = roundUp(so.so_rcv.sb_hiwat, mss);
}

function roundUp(n: number, unit: number): number {
  return Math.ceil(n / unit) * unit;
}

/**
 * Sends a segment that is not part of a connection's stream (`tcp_respond`): a RST, or an ACK for a block that TIME_WAIT or the
 * SYN cache holds.
 * @param tp with a block the ACK carries its timestamp; null for none
 * @param probe it is a keepalive probe, which its timer has counted
 */
export function tcpRespond(
  st: Stack,
  tp: Tcpcb | null,
  laddr: number,
  faddr: number,
  lport: number,
  fport: number,
  seq: number,
  ack: number,
  flags: number,
  probe = false,
): void {
  const m = st.pool.get();
  if (m === null) {
    st.cnt[tcps.tcps_sndnobufs]!++;
    return;
  }
  let hlen = TCP_HDR_LEN;
  let win = 0;
  if (tp !== null && (flags & TH_RST) === 0) {
    const recwin = tcpRecwin(tp);
    win = recwin >> tp.rcv_scale;
    // What is offered here may not be taken back later (RFC 9293 section 3.8.6, SHLD-14).
    const edge = (tp.rcv_nxt + recwin) | 0;
    if (seqGt(edge, tp.rcv_adv)) tp.rcv_adv = edge;
    if (tp.t_flags & TF_RCVD_TSTMP && tp.t_flags & TF_REQ_TSTMP) {
      const to = st.tcp.optOut;
      to.flags = TOF_TS;
      to.tsval = tcpTsval(tp);
      to.tsecr = tp.ts_recent;
      hlen += tcpAddoptions(st.pool.dv, m.pos, to, st.tcp.noSacks);
    }
  }
  tcpEmit(st.pool.dv, m.pos, lport, fport, seq, ack, hlen, flags, win);
  m.len = hlen;
  m.l4 = m.pos;
  m.flags = F_TX_L4CSUM;
  const inp = tp === null ? null : tp.t_inpcb;
  if (inp !== null) {
    m.flowid = inp.inp_flowid;
    m.hashType = inp.inp_flowtype;
  }
  const ro = inp === null ? st.tcp.respondRo : inp.ro;
  const tos = inp === null ? 0 : inp.inp_tos;
  const ttl = inp === null ? st.tune.ip_ttl : inp.inp_ttl;
  const df = st.tune.tcp_path_mtu_discovery !== 0 && (inp === null || inp.inp_df);
  if (ipOutput(st, m, laddr, faddr, IPPROTO_TCP, tos, ttl, df, inp, ro) === 0) {
    if (tp !== null) tp.snd_segs++;
    if (flags & TH_RST) {
      // RSTs and keepalive probes have counters of their own and are no part of the total (as in OpenBSD).
      st.cnt[tcps.tcps_sndrst]!++;
    } else if (!probe) {
      st.cnt[tcps.tcps_sndacks]!++;
      st.cnt[tcps.tcps_sndtotal]!++;
    }
  }
}

/** Keepalive probe: one sequence number before the window, no data, so that the peer must answer (RFC 9293 section 3.8.4). */
export function tcpKeepProbe(tp: Tcpcb): void {
  const inp = tp.t_inpcb!;
  tcpRespond(tp.st, tp, inp.l3, inp.f3, inp.lport, inp.fport, (tp.snd_una - 1) | 0, tp.rcv_nxt, TH_ACK, true);
}
