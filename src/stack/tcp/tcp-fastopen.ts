/**
 * TCP Fast Open (RFC 7413): data in the SYN, delivered before the handshake ends to a server that has seen the client's address answer
 * before. The cookie that shows it is a keyed hash of both addresses; keys follow each other by time and are the same on all shards.
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
import { SipKey, sipDerive, sipHash, sipHigh } from './siphash.ts';
import { TfoCache, type TfoPath } from './tcp-fastopen-cache.ts';
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

/** Bytes of our cookies (FreeBSD's TCP_FASTOPEN_COOKIE_LEN). */
const TFO_COOKIE = 8;
/** Names the keys of cookies among those that are derived from the secret. */
const USE_FASTOPEN = 0x7f;

/** What a SYN that mentions Fast Open gets. */
export const TFO_PLAIN = 0;
export const TFO_GIVE = 1;
export const TFO_ACCEPT = 2;
export const TFO_ACCEPT_RENEW = 3;

export class FastOpen {
  readonly cache: TfoCache;
  /** The newest cookie for the SYN that was looked at last. */
  readonly cookie: Uint8Array;
  readonly #st: Stack;
  /** A ring of keys, the newest at #newest, #num of them valid. */
  readonly #keys: readonly SipKey[];
  #newest: number;
  #num: number;
  /** Number of the derived key that came last, and the period that it counts; -1: none. */
  #gen: number;
  #period: number;
  readonly #words: Int32Array;
  readonly #tried: Uint8Array;
  /** Keys that are believed at a time. */
  readonly #max: number;

  constructor(st: Stack) {
    this.#st = st;
    this.cache = new TfoCache(st);
    this.cookie = new Uint8Array(TFO_COOKIE);
    const none = { next32: () => 0 };
    this.#max = st.tune.tcp_fastopen_maxkeys;
    this.#keys = Array.from({ length: this.#max }, () => new SipKey(none));
    this.#newest = this.#max - 1;
    this.#num = 0;
    this.#gen = -1;
    this.#period = 0;
    this.#words = new Int32Array(8);
    this.#tried = new Uint8Array(TFO_COOKIE);
  }

  /** What the SYN of flow `k`, its options in `to`, gets from listener `l`: TFO_PLAIN, or with the newest cookie in `cookie` the others. */
  request(l: Listener, k: FlowKey, to: TcpOpt): number {
    const st = this.#st;
    const { cnt, tune } = st;
    if ((to.flags & TOF_FASTOPEN) === 0 || !l.fastOpen) return TFO_PLAIN;
    if (tune.tcp_fastopen_server_enable === 0) {
      this.#num = 0;
      this.#gen = -1;
      return TFO_PLAIN;
    }
    // RFC 7413 section 5.1: too many handshakes under way, so none more gets ahead of its own.
    if (l.tfoPending(st.clock.ms) > l.backlog >> 1) {
      cnt[tcps.tcps_tfo_listenoverflow]!++;
      return TFO_PLAIN;
    }
    this.#rotate();
    if (to.tfoLen > 0 && tune.tcp_fastopen_acceptany !== 0) return TFO_ACCEPT;
    if (this.#num === 0) return TFO_PLAIN;
    this.#make(this.#keys[this.#newest]!, k, this.cookie);
    if (to.tfoLen === 0) {
      cnt[tcps.tcps_tfo_cookiereqd]!++;
      return TFO_GIVE;
    }
    if (to.tfoLen === TFO_COOKIE) {
      if (this.#equals(this.cookie, to.tfoAt)) return TFO_ACCEPT;
      for (let i = 1; i < this.#num; i++) {
        this.#make(this.#keys[(this.#newest + this.#max - i) % this.#max]!, k, this.#tried);
        if (this.#equals(this.#tried, to.tfoAt)) return TFO_ACCEPT_RENEW;
      }
    }
    cnt[tcps.tcps_tfo_passivefail]!++;
    return TFO_GIVE;
  }

  /** Makes `words`, four of them as SipHash reads them, the newest key (net.inet.tcp.fastopen.setkey). */
  setKey(words: ArrayLike<number>): void {
    const period = this.#st.tune.tcp_fastopen_autokey;
    this.#period = period;
    this.#gen = period === 0 ? -1 : this.#now(period);
    this.#add().k.set(words);
  }

  /** Keys follow each other every net.inet.tcp.fastopen.autokey seconds: this one's, and the last one's if it was not needed. */
  #rotate(): void {
    const st = this.#st;
    const period = st.tune.tcp_fastopen_autokey;
    if (period === 0) return;
    const gen = this.#now(period);
    if (gen === this.#gen && period === this.#period) return;
    if (gen !== this.#gen + 1 || period !== this.#period) this.#derive(period, gen - 1);
    this.#derive(period, gen);
    this.#gen = gen;
    this.#period = period;
  }

  #now(period: number): number {
    return Math.floor((this.#st.clock.ms >>> 0) / (period * 1000));
  }

  #derive(period: number, gen: number): void {
    sipDerive(this.#st.tcp.secret, USE_FASTOPEN ^ (period << 8), gen, this.#add());
  }

  #add(): SipKey {
    this.#newest = (this.#newest + 1) % this.#max;
    if (this.#num < this.#max) this.#num++;
    return this.#keys[this.#newest]!;
  }

  #make(key: SipKey, k: FlowKey, out: Uint8Array): void {
    const w = this.#words;
    w[0] = k.f3;
    w[1] = k.l3;
    w[2] = k.f0;
    w[3] = k.f1;
    w[4] = k.f2;
    w[5] = k.l0;
    w[6] = k.l1;
    w[7] = k.l2;
    let low = sipHash(key, w, 8);
    let high = sipHigh();
    for (let i = 0; i < 4; i++) {
      out[i] = low & 0xff;
      out[i + 4] = high & 0xff;
      low >>>= 8;
      high >>>= 8;
    }
  }

  #equals(cookie: Uint8Array, at: number): boolean {
    const { u8 } = this.#st.pool;
    let diff = 0;
    for (let i = 0; i < TFO_COOKIE; i++) diff |= cookie[i]! ^ u8[at + i]!;
    return diff === 0;
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
  if (path !== null) to.tfoCookie = path.cookie;
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
