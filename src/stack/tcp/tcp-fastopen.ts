/**
 * TCP Fast Open (RFC 7413): data in the SYN, delivered before the handshake ends to a server that has seen the client's address answer
 * before. The cookie that shows it is a keyed hash of both addresses (tcp-fastopen-keys.ts).
 *
 * A server's connection is made in SYN_RECEIVED by the SYN itself, its numbers from iss + 1 on: it may send (tfoEarly) while the SYN,ACK,
 * which has a number below them, is out and is sent again by the retransmission timer.
 */
import { tcps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import type { FlowKey } from '../flow.ts';
import type { Listener } from '../socket/listener.ts';
import type { Stack } from '../stack.ts';
import { TCP_MAXOLEN, type TcpOpt, TOF_FASTOPEN, TOF_MSS } from '../wire/tcp.ts';
import { ccInit } from './cc/glue.ts';
import { TfoCache, type TfoPath } from './tcp-fastopen-cache.ts';
import { TFO_COOKIE, TfoKeys, tfoPskCookie } from './tcp-fastopen-keys.ts';
import { TCPS_SYN_RECEIVED, TCPS_SYN_SENT } from './tcp-fsm.ts';
import { tcpOutput } from './tcp-output.ts';
import { rtxFlush } from './tcp-rtxq.ts';
import { tcpMss } from './tcp-subr.ts';
import { tcpXmitTimer } from './tcp-timer.ts';
import { type Tcpcb, TF_FASTOPEN } from './tcpcb.ts';

/** t_tfo: what the connection has to do with Fast Open. A client asks for a cookie, or sends it and data. */
export const TFO_NONE = 0;
const TFO_ASK = 1;
const TFO_DATA = 2;
/** A server's connection was opened by a good cookie; with the second value by one of an old key, and a new one goes back. */
const TFO_SERVED = 3;
const TFO_RENEW = 4;

/** What a SYN that mentions Fast Open gets. */
export const TFO_PLAIN = 0;
export const TFO_GIVE = 1;
export const TFO_ACCEPT = 2;
export const TFO_ACCEPT_RENEW = 3;

export class FastOpen {
  readonly keys: TfoKeys;
  readonly cache: TfoCache;
  /** The newest cookie for the SYN that was looked at last. */
  readonly cookie: Uint8Array;
  readonly #st: Stack;

  constructor(st: Stack) {
    this.#st = st;
    this.keys = new TfoKeys(st);
    this.cache = new TfoCache(st);
    this.cookie = new Uint8Array(TFO_COOKIE);
  }

  /** Knobs were set from outside: what they forbid is forgotten. */
  tuned(): void {
    this.keys.refresh();
    this.cache.tuned();
  }

  /** What the SYN of flow `k`, its options in `to`, gets from listener `l`: TFO_PLAIN, or with the newest cookie in `cookie` the others. */
  request(l: Listener, k: FlowKey, to: TcpOpt): number {
    const st = this.#st;
    const { cnt, tune } = st;
    const { keys } = this;
    if ((to.flags & TOF_FASTOPEN) === 0 || !l.fastOpen) return TFO_PLAIN;
    keys.refresh();
    if (tune.tcp_fastopen_server_enable === 0) return TFO_PLAIN;
    // RFC 7413 section 5.1: too many handshakes under way, so none more gets ahead of its own.
    if (l.tfoPending(st.clock.ms) > l.backlog >> 1) {
      cnt[tcps.tcps_tfo_listenoverflow]!++;
      return TFO_PLAIN;
    }
    if (to.tfoLen > 0 && tune.tcp_fastopen_acceptany !== 0) return TFO_ACCEPT;
    if (!keys.newest(k, this.cookie)) return TFO_PLAIN;
    if (to.tfoLen === 0) {
      cnt[tcps.tcps_tfo_cookiereqd]!++;
      return TFO_GIVE;
    }
    const key = to.tfoLen === TFO_COOKIE ? keys.find(k, st.pool.u8, to.tfoAt) : -1;
    if (key >= 0) return key === 0 ? TFO_ACCEPT : TFO_ACCEPT_RENEW;
    cnt[tcps.tcps_tfo_passivefail]!++;
    return TFO_GIVE;
  }
}

// The server's side.

/** The connection may send although its handshake is not over (RFC 7413 section 4.2.2). */
export function tfoEarly(tp: Tcpcb): boolean {
  return tfoServed(tp) && tp.t_rxtshift === 0 && tp.snd_nxt !== tp.iss;
}

/** A server's connection that a good cookie opened, its handshake not over: the user has it already. */
export function tfoServed(tp: Tcpcb): boolean {
  return tp.t_tfo >= TFO_SERVED && tp.t_state === TCPS_SYN_RECEIVED;
}

/**
 * A good cookie: the SYN's data, `m` from `hlen` bytes behind its TCP header on, is the user's now. `tp` is new, in SYN_RECEIVED; it may be
 * gone after.
 */
export function tfoOpened(tp: Tcpcb, l: Listener, how: number, m: Mbuf, hlen: number): void {
  const { st } = tp;
  const { cnt } = st;
  const so = tp.t_socket!;
  tp.t_flags |= TF_FASTOPEN;
  tp.t_tfo = how === TFO_ACCEPT_RENEW ? TFO_RENEW : TFO_SERVED;
  tp.t_tfo_listener = l;
  l.tfoBegin();
  tp.snd_una = (tp.iss + 1) | 0;
  tp.snd_segs = 0;
  // What does not fit comes again.
  const len = m.len - hlen < tp.rcv_wnd ? m.len - hlen : tp.rcv_wnd;
  if (len > 0) {
    cnt[tcps.tcps_rcvpack]!++;
    cnt[tcps.tcps_rcvbyte]! += len;
    tp.rcv_nxt = (tp.rcv_nxt + len) | 0;
    tp.rcv_bytes = len;
    tp.rcv_datasegs = 1;
    tp.rcv_maxlen = len;
  }
  cnt[tcps.tcps_tfo_passive]!++;
  st.tcp.hostcache.seed(tp);
  ccInit(tp);
  tp.t_rtttiming = true;
  tp.t_rtttime = st.clock.us;
  sendSynAck(tp);
  so.connected();
  if (len > 0 && tp.t_socket === so) so.deliver(st.pool.u8, m.pos + hlen, len);
}

/** SYN,ACK, out of the order of what is sent; the timer sees to it until it is answered. */
function sendSynAck(tp: Tcpcb): void {
  const nxt = tp.snd_nxt;
  tp.snd_nxt = tp.iss;
  tcpOutput(tp);
  tp.snd_nxt = nxt;
  if (tp.t_tfo === TFO_RENEW) tp.t_tfo = TFO_SERVED;
  if (!tp.t_rexmt.armed) tp.st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
}

/** The client's SYN came again: so does the answer. */
export function tfoDupSyn(tp: Tcpcb): void {
  sendSynAck(tp);
}

/** The SYN,ACK was not answered in time. It goes again, and what was sent behind it once the handshake is over: without it it was nothing. */
export function tfoTimeout(tp: Tcpcb): void {
  rtxFlush(tp);
  tp.snd_nxt = tp.snd_una;
  tp.t_rtttiming = false;
  sendSynAck(tp);
}

/** The handshake is over; `tp` is in SYN_RECEIVED still. */
export function tfoEstablished(tp: Tcpcb): void {
  tfoForget(tp, false);
  if (tp.t_rtttiming && tp.t_rxtshift === 0) tcpXmitTimer(tp, (tp.st.clock.us - tp.t_rtttime) | 0);
  tp.t_rtttiming = false;
  if (tp.snd_nxt !== tp.snd_una) tp.st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
}

/** The connection is no pending request of its listener any more. @param reset the client reset it */
export function tfoForget(tp: Tcpcb, reset: boolean): void {
  const l = tp.t_tfo_listener;
  if (l === null) return;
  tp.t_tfo_listener = null;
  l.tfoEnd(reset, tp.st.clock.ms);
}

// The client's side.

function pathOf(tp: Tcpcb): TfoPath | null {
  const inp = tp.t_inpcb!;
  return tp.st.tcp.tfo.cache.find(inp.l3, inp.f3, inp.fport);
}

/**
 * An active open that wants Fast Open. True when its SYN takes data along, so that it ought to wait until the user has had the time to give
 * some. Asked again when that has taken long, as what is known of the path may have changed.
 */
export function tfoConnect(tp: Tcpcb): boolean {
  const { st } = tp;
  const { cache } = st.tcp.tfo;
  tp.t_flags &= ~TF_FASTOPEN;
  tp.t_tfo = TFO_NONE;
  if (st.tune.tcp_fastopen_client_enable === 0) {
    cache.clear();
    return false;
  }
  const path = pathOf(tp);
  if (path?.disabled) {
    if (((st.clock.ms - path.disabledMs) | 0) < st.tune.tcp_fastopen_path_disable_time * 1000) return false;
    // Perhaps it works now; nothing that was known before counts.
    path.disabled = false;
    path.cookieLen = 0;
  }
  tp.t_flags |= TF_FASTOPEN;
  tp.t_tfo = TFO_ASK;
  if (path === null || path.cookieLen === 0) return false;
  tp.t_tfo = TFO_DATA;
  tcpMss(tp, path.mss);
  return true;
}

/** Bytes that fit into a SYN that takes data along: a segment less all options. */
export function tfoSynRoom(tp: Tcpcb): number {
  return tp.t_maxseg - TCP_MAXOLEN;
}

/** Bytes that the SYN takes along, the first time only (RFC 7413 section 4.2.1). */
export function tfoSynData(tp: Tcpcb): number {
  if (tp.t_tfo !== TFO_DATA || tp.t_state !== TCPS_SYN_SENT || tp.t_rxtshift > 0) return 0;
  const queued = tp.t_socket!.so_snd.sb_cc;
  const room = tfoSynRoom(tp);
  return queued < room ? queued : room;
}

/** The Fast Open option of a SYN or SYN,ACK, none when it is sent again: it may be what was dropped (RFC 7413 section 4.2.1). */
export function tfoSynOption(tp: Tcpcb, to: TcpOpt): void {
  if (tp.t_rxtshift > 0) return;
  const { tfo } = tp.st.tcp;
  if (tp.t_tfo === TFO_RENEW) {
    to.flags |= TOF_FASTOPEN;
    to.tfoLen = TFO_COOKIE;
    to.tfoCookie = tfo.cookie;
    return;
  }
  if (tp.t_state !== TCPS_SYN_SENT) return;
  const path = tp.t_tfo === TFO_DATA ? pathOf(tp) : null;
  to.flags |= TOF_FASTOPEN;
  to.tfoLen = path === null ? 0 : path.cookieLen;
  if (path === null) return;
  to.tfoCookie = path.cookie;
  const psk = tp.t_socket!.fastOpenPsk;
  if (psk === null) return;
  // FreeBSD's pre-shared keys: what shows that we know one, in the place of the cookie.
  tfoPskCookie(psk, path.cookie, path.cookieLen, tfo.cookie);
  to.tfoLen = TFO_COOKIE;
  to.tfoCookie = tfo.cookie;
}

/** SYN,ACK: what it says of Fast Open, and whether it covers the data of our SYN. @param acked bytes of it that it does */
export function tfoSynAcked(tp: Tcpcb, acked: number): void {
  const { st } = tp;
  const to = st.tcp.optIn;
  const sent = tp.t_tfo === TFO_DATA ? (tp.snd_max - tp.iss - 1) | 0 : 0;
  if (sent > 0) st.cnt[acked > 0 ? tcps.tcps_tfo_active : tcps.tcps_tfo_activefail]!++;
  const given = (to.flags & TOF_FASTOPEN) !== 0 && to.tfoLen > 0;
  // A server that has no cookie to give, or takes none of our data and has no other cookie either.
  if (!given && (tp.t_tfo === TFO_ASK || (sent > 0 && acked === 0))) {
    tfoDisablePath(tp);
    return;
  }
  const inp = tp.t_inpcb!;
  const path = given ? st.tcp.tfo.cache.get(inp.l3, inp.f3, inp.fport) : pathOf(tp);
  if (path === null) return;
  path.mss = to.flags & TOF_MSS ? to.mss : 0;
  if (!given) return;
  path.disabled = false;
  path.cookieLen = to.tfoLen;
  for (let i = 0; i < to.tfoLen; i++) path.cookie[i] = st.pool.u8[to.tfoAt + i]!;
}

/** No answer to the first SYN, or an ICMP error: with Fast Open in it, that may be why (RFC 7413 section 4.1.3.1). */
export function tfoSynLost(tp: Tcpcb): void {
  if (tp.t_tfo === TFO_DATA) tfoDisablePath(tp);
}

/** Fast Open is not tried here for net.inet.tcp.fastopen.path_disable_time. */
function tfoDisablePath(tp: Tcpcb): void {
  const { st } = tp;
  const inp = tp.t_inpcb!;
  const path = st.tcp.tfo.cache.get(inp.l3, inp.f3, inp.fport);
  path.cookieLen = 0;
  path.mss = 0;
  if (path.disabled) return;
  path.disabled = true;
  path.disabledMs = st.clock.ms;
  st.cnt[tcps.tcps_tfo_pathdisabled]!++;
}
