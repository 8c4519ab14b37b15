/**
 * Arrival of a segment, up to the control block that it belongs to: checks, demultiplexing, LISTEN (RFC 9293 section 3.10.7.1
 * and 3.10.7.2) and TIME_WAIT. What happens to a connection's segment is tcp-do-segment.ts.
 */
import { tcps } from '../../metrics/layout.ts';
import { F_L4CSUM_BAD, F_L4CSUM_GOOD, F_L4CSUM_PARTIAL } from '../../rings/link.ts';
import { M_BCAST, M_MCAST, type Mbuf } from '../../rings/mbuf.ts';
import type { Listener } from '../socket/listener.ts';
import type { Stack } from '../stack.ts';
import { cksumPseudoOk } from '../wire/checksum.ts';
import {
  TCP_HDR_LEN,
  TH_ACK,
  TH_BASE,
  TH_FIN,
  TH_RST,
  TH_SYN,
  TOF_TS,
  tcpCheckLen,
  tcpDooptions,
  thAck,
  thDport,
  thFlags,
  thSeq,
  thSport,
  thWin,
} from '../wire/tcp.ts';
import { seqGeq, tstmpLt } from './seq.ts';
import { tcpDoSegment } from './tcp-do-segment.ts';
import { TCPS_TIME_WAIT } from './tcp-fsm.ts';
import { tcpClose, tcpRespond, tcpTwstart } from './tcp-subr.ts';
import { TA_INPUT, TA_INPUT_DONE } from './tcp-trace.ts';
import { type Tcpcb, TF_RCVD_TSTMP, TF_REQ_TSTMP } from './tcpcb.ts';

const IPPROTO_TCP = 6;
const IP_SRC = 12;
const IP_DST = 16;
const TSTMP = TF_RCVD_TSTMP | TF_REQ_TSTMP;

/** True when a connection here, or a handshake in the SYN cache, owns the packet: then no directory is asked. */
export function tcpHasLocalFlow(st: Stack, m: Mbuf): boolean {
  const v = st.pool.dv;
  const k = st.tcp.key;
  k.setV4(v.getInt32(m.l3 + IP_DST), thDport(v, m.l4), v.getInt32(m.l3 + IP_SRC), thSport(v, m.l4));
  return st.tcp.tcb.lookup(k) !== null || st.tcp.syncache.has(k);
}

/** Entry from IP: `m.pos` at the TCP header, `m.l3` at the IP header. Takes `m`. */
export function tcpInput(st: Stack, m: Mbuf): void {
  const tap = st.tcp.tap;
  if (tap === null) {
    segmentArrives(st, m);
    return;
  }
  tap.arrives(m);
  segmentArrives(st, m);
  tap.processed();
}

function segmentArrives(st: Stack, m: Mbuf): void {
  const cnt = st.cnt;
  const v = st.pool.dv;
  const at = m.pos;
  cnt[tcps.tcps_rcvtotal]!++;
  if (m.len < TCP_HDR_LEN) {
    cnt[tcps.tcps_rcvshort]!++;
    st.pool.put(m);
    return;
  }
  const src = v.getInt32(m.l3 + IP_SRC);
  const dst = v.getInt32(m.l3 + IP_DST);
  // RFC 9293 MUST-57: never to or from a group or broadcast address.
  if (
    (m.mflags & (M_BCAST | M_MCAST)) !== 0 ||
    (dst & 0xf0000000) === (0xe0000000 | 0) ||
    dst === -1 ||
    (src & 0xf0000000) === (0xe0000000 | 0) ||
    src === -1
  ) {
    cnt[tcps.tcps_rcvmulticast]!++;
    st.pool.put(m);
    return;
  }
  if ((m.flags & (F_L4CSUM_GOOD | F_L4CSUM_PARTIAL)) === 0) {
    let bad = (m.flags & F_L4CSUM_BAD) !== 0;
    if (!bad) {
      cnt[tcps.tcps_inswcsum]!++;
      bad = !cksumPseudoOk(v, at, m.len, src, dst, IPPROTO_TCP);
    }
    if (bad) {
      cnt[tcps.tcps_rcvbadsum]!++;
      st.pool.put(m);
      return;
    }
  }
  const hlen = tcpCheckLen(v, at, m.len);
  if (hlen < 0) {
    cnt[tcps.tcps_rcvbadoff]!++;
    st.pool.put(m);
    return;
  }
  const flags = thFlags(v, at);
  if (st.tune.tcp_drop_synfin !== 0 && (flags & (TH_SYN | TH_FIN)) === (TH_SYN | TH_FIN)) {
    cnt[tcps.tcps_rcvsynfin]!++;
    st.pool.put(m);
    return;
  }
  const k = st.flow;
  const lport = thDport(v, at);
  const fport = thSport(v, at);
  k.setV4(dst, lport, src, fport);
  const seq = thSeq(v, at);
  const ack = thAck(v, at);
  const tlen = m.len - hlen;
  const inp = st.tcp.tcb.lookup(k);
  // The SYN takes the place of a connection in TIME_WAIT, whose numbers ended before `last`.
  let reuse = false;
  let last = 0;
  if (inp !== null) {
    const tp = inp.tp!;
    if (tp.t_state !== TCPS_TIME_WAIT) {
      connectionInput(st, tp, m, at, hlen, seq, ack, flags, tlen);
      return;
    }
    const trace = tp.t_trace;
    if (trace !== null) trace(tp, TA_INPUT, flags, seq, tlen);
    const gone = twInput(st, tp, at, hlen, seq, ack, flags, tlen);
    if (trace !== null) trace(tp, TA_INPUT_DONE, flags, seq, tlen);
    if (!gone) {
      st.pool.put(m);
      return;
    }
    reuse = true;
    last = tp.snd_max;
  }
  cnt[tcps.tcps_pcbhashmiss]!++;
  const l = lport === 0 ? null : st.tcp.listeners.lookup(k);
  if (l === null) {
    cnt[tcps.tcps_noport]!++;
    noPort(st, m, src, dst, fport, lport, seq, ack, flags, tlen);
    st.pool.put(m);
    return;
  }
  listenInput(st, l, m, at, hlen, seq, ack, flags, tlen, reuse, last);
}

function connectionInput(
  st: Stack,
  tp: Tcpcb,
  m: Mbuf,
  at: number,
  hlen: number,
  seq: number,
  ack: number,
  flags: number,
  tlen: number,
): void {
  const v = st.pool.dv;
  const win = thWin(v, at);
  tcpDooptions(v, at, hlen, (flags & TH_SYN) !== 0, st.tcp.optIn);
  m.pos = at + hlen;
  m.len = tlen;
  const trace = tp.t_trace;
  if (trace === null) {
    tcpDoSegment(st, tp, m, seq, ack, flags, win, tlen);
    return;
  }
  trace(tp, TA_INPUT, flags, seq, tlen);
  tcpDoSegment(st, tp, m, seq, ack, flags, win, tlen);
  trace(tp, TA_INPUT_DONE, flags, seq, tlen);
}

/** No connection and no listener (RFC 9293 section 3.10.7.1). */
function noPort(
  st: Stack,
  m: Mbuf,
  src: number,
  dst: number,
  fport: number,
  lport: number,
  seq: number,
  ack: number,
  flags: number,
  tlen: number,
): void {
  // tcp(4), net.inet.tcp.blackhole: 1 leaves SYNs without an answer, 2 everything.
  const hole = st.tune.tcp_blackhole;
  if (hole >= 2 || (hole === 1 && (flags & TH_SYN) !== 0)) {
    st.cnt[tcps.tcps_rstblackholed]!++;
    return;
  }
  tcpDropWithReset(st, m, src, dst, fport, lport, seq, ack, flags, tlen);
}

/**
 * Answers a segment with a RST (RFC 9293 section 3.10.7.1), unless it is one itself; at most as many a second as the ICMP limit
 * lets pass. Does not free `m`.
 */
export function tcpDropWithReset(
  st: Stack,
  m: Mbuf,
  src: number,
  dst: number,
  fport: number,
  lport: number,
  seq: number,
  ack: number,
  flags: number,
  tlen: number,
): void {
  if (flags & TH_RST || (m.mflags & (M_BCAST | M_MCAST)) !== 0) return;
  const tcp = st.tcp;
  if (((st.clock.ms - tcp.rstSecond) | 0) >= 1000) {
    tcp.rstSecond = st.clock.ms;
    tcp.rstCount = 0;
  }
  const limit = st.tune.icmp_icmplim;
  if (limit > 0 && ++tcp.rstCount > limit) {
    st.cnt[tcps.tcps_rstlimited]!++;
    return;
  }
  if (flags & TH_ACK) {
    tcpRespond(st, null, dst, src, lport, fport, ack, 0, TH_RST);
  } else {
    const end = (seq + tlen + (flags & TH_SYN ? 1 : 0) + (flags & TH_FIN ? 1 : 0)) | 0;
    tcpRespond(st, null, dst, src, lport, fport, 0, end, TH_RST | TH_ACK);
  }
}

/** Segment for a listening port (RFC 9293 section 3.10.7.2), the SYN cache before the listener. */
function listenInput(
  st: Stack,
  l: Listener,
  m: Mbuf,
  at: number,
  hlen: number,
  seq: number,
  ack: number,
  flags: number,
  tlen: number,
  reuse: boolean,
  last: number,
): void {
  const cnt = st.cnt;
  const v = st.pool.dv;
  const k = st.flow;
  const tcp = st.tcp;
  if (flags & TH_RST) {
    tcp.syncache.chkrst(k, seq);
    st.pool.put(m);
    return;
  }
  tcpDooptions(v, at, hlen, (flags & TH_SYN) !== 0, tcp.optIn);
  if ((flags & (TH_ACK | TH_SYN)) === TH_ACK) {
    // The one that took the SYN: others may have come to share the port since then, or one that is bound to the address.
    const taker = tcp.syncache.listenerOf(k) ?? l;
    if (taker.full && tcp.syncache.awaits(k, seq, ack)) {
      // Too many handshakes ended at once. This one stays open: the peer's next segment may find room.
      cnt[tcps.tcps_listen_overflow]!++;
      st.pool.put(m);
      return;
    }
    if (tcp.syncache.outside(k, seq, tlen + (flags & TH_FIN ? 1 : 0))) {
      cnt[tcps.tcps_badsyn]!++;
      st.pool.put(m);
      return;
    }
    const tp = tcp.syncache.expand(taker, k, m, seq, ack, thWin(v, at));
    if (tp !== null) {
      connectionInput(st, tp, m, at, hlen, seq, ack, flags, tlen);
      return;
    }
    cnt[tcps.tcps_badsyn]!++;
    tcpDropWithReset(st, m, k.f3, k.l3, k.fport, k.lport, seq, ack, flags, tlen);
  } else if (flags & TH_ACK) {
    cnt[tcps.tcps_badsyn]!++;
    tcpDropWithReset(st, m, k.f3, k.l3, k.fport, k.lport, seq, ack, flags, tlen);
  } else if ((flags & TH_SYN) === 0 || (k.l3 === k.f3 && k.lport === k.fport)) {
    cnt[tcps.tcps_badsyn]!++;
  } else if (tcp.syncache.add(l, k, m, seq, flags, thWin(v, at), reuse, last)) {
    // Another shard owns the flow and has the packet now.
    return;
  }
  st.pool.put(m);
}

/**
 * Segment for a connection in TIME_WAIT (RFC 9293 section 3.10.7.4, RFC 1337: a RST does not end it).
 * @returns true when a new connection may take the place of the old one, which is gone then
 */
function twInput(
  st: Stack,
  tp: Tcpcb,
  at: number,
  hlen: number,
  seq: number,
  ack: number,
  flags: number,
  tlen: number,
): boolean {
  const cnt = st.cnt;
  if (flags & TH_RST) {
    cnt[tcps.tcps_tw_rst]!++;
    return false;
  }
  const inp = tp.t_inpcb!;
  if ((flags & (TH_SYN | TH_ACK)) === TH_SYN) {
    tcpDooptions(st.pool.dv, at, hlen, true, st.tcp.optIn);
    // Where nobody listens there is no new connection to give way to.
    if (!twReusable(st, tp, seq) || !st.tcp.listeners.has(inp.l3, inp.lport)) {
      cnt[tcps.tcps_tw_synrefused]!++;
      return false;
    }
    cnt[tcps.tcps_tw_recycled]!++;
    tcpClose(tp, 0);
    return true;
  }
  if ((flags & TH_ACK) === 0) {
    cnt[tcps.tcps_tw_dropped]!++;
    return false;
  }
  if (flags & TH_FIN && ((seq + tlen + 1 - tp.rcv_nxt) | 0) === 0) tcpTwstart(tp);
  if ((flags & TH_BASE) !== TH_ACK || tlen !== 0 || seq !== tp.rcv_nxt || ack !== tp.snd_nxt) {
    if (tlen > 0) cnt[tcps.tcps_rcvdata_timewait]!++;
    tcpDooptions(st.pool.dv, at, hlen, false, st.tcp.optIn);
    tcpRespond(st, tp, inp.l3, inp.f3, inp.lport, inp.fport, tp.snd_nxt, tp.rcv_nxt, TH_ACK);
  }
  return false;
}

/**
 * Whether a SYN is newer than everything of a connection in TIME_WAIT, so that a new one may take its place (RFC 9293 section 3.6.1,
 * MAY-2; with timestamps RFC 6191 section 2). The SYN's options are in `optIn`.
 */
function twReusable(st: Stack, tp: Tcpcb, seq: number): boolean {
  const to = st.tcp.optIn;
  // Beyond the peer's FIN, the last number that it used.
  const beyond = seqGeq(seq, tp.rcv_nxt);
  // The new connection would not use timestamps: nothing but the numbers can tell.
  if ((to.flags & TOF_TS) === 0 || st.tune.tcp_rfc1323 === 0) return beyond;
  // Only the new one would: the peer drops what is left of the old one, which has none (RFC 7323 section 3.2).
  if ((tp.t_flags & TSTMP) !== TSTMP) return true;
  if (to.tsval === tp.ts_recent) return beyond;
  return tstmpLt(tp.ts_recent, to.tsval);
}
