/**
 * Socket options as data: one row each, with the checks that Linux makes and the value that it reports back. What is set before a connection
 * exists is kept and takes effect with it (`applyOptions`).
 */
import { EINVAL, ENOTCONN } from '../stack/errno.ts';
import type { Listener } from '../stack/socket/listener.ts';
import { ccNames } from '../stack/tcp/cc/registry.ts';
import { pmtuKnown } from '../stack/tcp/tcp-pmtu.ts';
import * as L from './linux.ts';
import type { Sock } from './sock.ts';
import { tcpInfo } from './tcpinfo.ts';
import { type OptValues, stackOptions } from './values.ts';

interface Row {
  readonly level: number;
  readonly name: number;
  /** The value as Linux reports it: an int, or the bytes of another type; a negative int is -errno. Absent: ENOPROTOOPT. */
  readonly get?: (s: Sock) => number | Uint8Array;
  /** @param v the int, @param raw all bytes @returns 0 or an errno. Absent: ENOPROTOOPT. */
  readonly set?: (s: Sock, v: number, raw: Uint8Array) => number;
  /** Least bytes of the value (default 4). */
  readonly min?: number;
  /** The int can be negative. */
  readonly signed?: true;
}

/** Names of OptValues that hold numbers. */
type Num = { [K in keyof OptValues]: OptValues[K] extends number ? K : never }[keyof OptValues];

/** A switch. */
function flag(level: number, name: number, key: Num): Row {
  return {
    level,
    name,
    get: (s) => s.o[key],
    set: (s, v) => {
      s.o[key] = v === 0 ? 0 : 1;
      return 0;
    },
  };
}

/** A number within a range; what is outside of it is EINVAL. */
function range(level: number, name: number, key: Num, min: number, max: number, get?: (s: Sock) => number): Row {
  return {
    level,
    name,
    signed: true,
    get: get ?? ((s) => s.o[key]),
    set: (s, v) => {
      if (v < min || v > max) return EINVAL;
      s.o[key] = v;
      return 0;
    },
  };
}

const readOnly = (level: number, name: number, get: (s: Sock) => number | Uint8Array): Row => ({ level, name, get });

const INT_MAX = 0x7fffffff;
/** Bytes of a pre-shared key of Fast Open (FreeBSD's TCP_FASTOPEN_PSK_LEN). */
const PSK_LEN = 16;
/** Least buffers, as Linux reports them (SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF). */
const MIN_SNDBUF = 4608;
const MIN_RCVBUF = 2304;

/** Linux doubles what it is asked for, to allow for its own overhead, and says so (socket(7)). */
function buffer(s: Sock, v: number, min: number, key: 'sndBuf' | 'rcvBuf'): number {
  const most = s.host.st.tune.ipc_maxsockbuf;
  // As unsigned: a negative size is the largest.
  const asked = v < 0 || v > most ? most : v;
  s.o[key] = Math.max(min, 2 * asked);
  return 0;
}

/** struct timeval: two 64-bit words, seconds and microseconds. */
function timeval(us: number): Uint8Array {
  const b = new Uint8Array(16);
  const v = new DataView(b.buffer);
  v.setBigInt64(0, BigInt(Math.floor(us / 1e6)), true);
  v.setBigInt64(8, BigInt(us % 1e6), true);
  return b;
}

function timeo(name: number, key: 'rcvTimeo' | 'sndTimeo'): Row {
  return {
    level: L.SOL_SOCKET,
    name,
    min: 16,
    get: (s) => timeval(s.o[key]),
    set: (s, _v, raw) => {
      const v = new DataView(raw.buffer, raw.byteOffset);
      const sec = Number(v.getBigInt64(0, true));
      const usec = Number(v.getBigInt64(8, true));
      if (usec < 0 || usec >= 1e6) return L.EDOM;
      // A time in the past does not wait at all.
      s.o[key] = sec < 0 ? -1 : Math.min(sec, 1e9) * 1e6 + usec;
      return 0;
    },
  };
}

function linger(s: Sock): Uint8Array {
  const b = new Uint8Array(8);
  const v = new DataView(b.buffer);
  v.setInt32(0, s.o.lingerOn, true);
  v.setInt32(4, s.o.lingerTime, true);
  return b;
}

/** Retransmissions of a SYN,ACK that fit into so many seconds, and the seconds that they take (secs_to_retrans). */
function deferSeconds(seconds: number): number {
  if (seconds <= 0) return 0;
  let period = 1;
  let timeout = 1;
  for (let n = 1; seconds > period && n < 255; n++) {
    timeout = Math.min(timeout * 2, 120);
    period += timeout;
  }
  return period;
}

/** Name in the 16 bytes that Linux keeps for it. */
function ccName(s: Sock): Uint8Array {
  const b = new Uint8Array(16);
  const name = s.so?.congestion || s.o.congestion || s.host.st.tcp.ccDefault.name;
  for (let i = 0; i < Math.min(15, name.length); i++) b[i] = name.charCodeAt(i);
  return b;
}

const TABLE: readonly Row[] = [
  flag(L.SOL_SOCKET, L.SO_DEBUG, 'debug'),
  flag(L.SOL_SOCKET, L.SO_REUSEADDR, 'reuseAddr'),
  flag(L.SOL_SOCKET, L.SO_REUSEPORT, 'reusePort'),
  flag(L.SOL_SOCKET, L.SO_BROADCAST, 'broadcast'),
  flag(L.SOL_SOCKET, L.SO_KEEPALIVE, 'keepAlive'),
  flag(L.SOL_SOCKET, L.SO_OOBINLINE, 'oobInline'),
  readOnly(L.SOL_SOCKET, L.SO_TYPE, () => L.SOCK_STREAM),
  readOnly(L.SOL_SOCKET, L.SO_PROTOCOL, () => L.IPPROTO_TCP),
  readOnly(L.SOL_SOCKET, L.SO_DOMAIN, () => L.AF_INET),
  readOnly(L.SOL_SOCKET, L.SO_ACCEPTCONN, (s) => (s.listening ? 1 : 0)),
  readOnly(L.SOL_SOCKET, L.SO_SNDLOWAT, () => 1),
  readOnly(L.SOL_SOCKET, L.SO_ERROR, (s) => s.takeError() || s.takeSoft()),
  {
    level: L.SOL_SOCKET,
    name: L.SO_SNDBUF,
    signed: true,
    get: (s) => s.o.sndBuf || 2 * (s.so?.so_snd.sb_hiwat ?? s.host.st.tune.tcp_sendspace),
    set: (s, v) => buffer(s, v, MIN_SNDBUF, 'sndBuf'),
  },
  {
    level: L.SOL_SOCKET,
    name: L.SO_RCVBUF,
    signed: true,
    get: (s) => s.o.rcvBuf || 2 * (s.so?.so_rcv.sb_hiwat ?? s.host.st.tune.tcp_recvspace),
    set: (s, v) => buffer(s, v, MIN_RCVBUF, 'rcvBuf'),
  },
  {
    level: L.SOL_SOCKET,
    name: L.SO_LINGER,
    min: 8,
    get: linger,
    set: (s, on, raw) => {
      s.o.lingerOn = on === 0 ? 0 : 1;
      if (on !== 0) s.o.lingerTime = new DataView(raw.buffer, raw.byteOffset).getInt32(4, true);
      return 0;
    },
  },
  {
    level: L.SOL_SOCKET,
    name: L.SO_RCVLOWAT,
    signed: true,
    get: (s) => s.o.rcvLowat,
    set: (s, v) => {
      const most = (s.o.rcvBuf || s.host.st.tune.ipc_maxsockbuf) >> 1;
      s.o.rcvLowat = Math.min(v < 0 ? INT_MAX : v || 1, most);
      return 0;
    },
  },
  timeo(L.SO_RCVTIMEO, 'rcvTimeo'),
  timeo(L.SO_SNDTIMEO, 'sndTimeo'),

  flag(L.SOL_TCP, L.TCP_NODELAY, 'noDelay'),
  flag(L.SOL_TCP, L.TCP_CORK, 'cork'),
  {
    level: L.SOL_TCP,
    name: L.TCP_MAXSEG,
    signed: true,
    get: (s) => {
      if (s.so?.tp !== null && s.so?.tp !== undefined) return s.so.tp.maxseg;
      return s.o.maxSeg || s.host.st.tune.tcp_mssdflt;
    },
    set: (s, v) => {
      if (v !== 0 && (v < 88 || v > 32767)) return EINVAL;
      s.o.maxSeg = v;
      return 0;
    },
  },
  range(L.SOL_TCP, L.TCP_KEEPIDLE, 'keepIdle', 1, 32767, (s) => s.o.keepIdle || s.host.st.tune.tcp_keepidle / 1000),
  range(L.SOL_TCP, L.TCP_KEEPINTVL, 'keepIntvl', 1, 32767, (s) => s.o.keepIntvl || s.host.st.tune.tcp_keepintvl / 1000),
  range(L.SOL_TCP, L.TCP_KEEPCNT, 'keepCnt', 1, 127, (s) => s.o.keepCnt || s.host.st.tune.tcp_keepcnt),
  {
    level: L.SOL_TCP,
    name: L.TCP_DEFER_ACCEPT,
    signed: true,
    get: (s) => s.o.deferAccept,
    set: (s, v) => {
      s.o.deferAccept = deferSeconds(v);
      return 0;
    },
  },
  readOnly(L.SOL_TCP, L.TCP_INFO, tcpInfo),
  {
    level: L.SOL_TCP,
    name: L.TCP_QUICKACK,
    signed: true,
    get: (s) => (s.o.quickAck < 0 ? 1 : s.o.quickAck),
    set: (s, v) => {
      s.o.quickAck = v & 1;
      return 0;
    },
  },
  {
    level: L.SOL_TCP,
    name: L.TCP_CONGESTION,
    min: 1,
    get: ccName,
    set: (s, _v, raw) => {
      const end = raw.indexOf(0);
      const name = String.fromCharCode(...raw.subarray(0, Math.min(15, end < 0 ? raw.length : end)));
      if (!ccNames().includes(name)) return L.ENOENT;
      s.o.congestion = name;
      s.so?.setCongestion(name);
      return 0;
    },
  },
  range(L.SOL_TCP, L.TCP_USER_TIMEOUT, 'userTimeout', 0, INT_MAX),
  {
    level: L.SOL_TCP,
    name: L.TCP_FASTOPEN,
    signed: true,
    get: (s) => s.o.fastOpen,
    set: (s, v, raw) => {
      if (v < 0 || (s.state !== L.LX_CLOSE && s.state !== L.LX_LISTEN)) return EINVAL;
      s.o.fastOpen = Math.min(v, L.SOMAXCONN);
      // FreeBSD's struct tcp_fastopen: with a pre-shared key behind the int.
      s.o.fastOpenPsk = v !== 0 && raw.length === 4 + PSK_LEN ? raw.slice(4) : null;
      return 0;
    },
  },
  {
    level: L.SOL_TCP,
    name: L.TCP_FASTOPEN_CONNECT,
    signed: true,
    get: (s) => s.o.fastOpenConnect,
    set: (s, v) => {
      if (v < 0 || v > 1) return EINVAL;
      if (s.host.st.tune.tcp_fastopen_client_enable === 0) return L.EOPNOTSUPP;
      if (s.state !== L.LX_CLOSE) return EINVAL;
      s.o.fastOpenConnect = v;
      return 0;
    },
  },
  {
    level: L.SOL_TCP,
    name: L.TCP_NOTSENT_LOWAT,
    signed: true,
    get: (s) => s.o.notsentLowat,
    set: (s, v) => {
      s.o.notsentLowat = v;
      return 0;
    },
  },

  {
    level: L.SOL_IP,
    name: L.IP_TOS,
    min: 0,
    get: (s) => s.o.tos,
    set: (s, v) => {
      // The two bits of ECN are TCP's own.
      s.o.tos = v & 0xfc;
      return 0;
    },
  },
  {
    level: L.SOL_IP,
    name: L.IP_TTL,
    min: 1,
    signed: true,
    get: (s) => (s.o.ttl < 0 ? s.host.st.tune.ip_ttl : s.o.ttl),
    set: (s, v) => {
      if (v !== -1 && (v < 1 || v > 255)) return EINVAL;
      s.o.ttl = v;
      return 0;
    },
  },
  range(L.SOL_IP, L.IP_MTU_DISCOVER, 'mtuDiscover', 0, 5),
  flag(L.SOL_IP, L.IP_RECVERR, 'recvErr'),
  readOnly(L.SOL_IP, L.IP_MTU, (s) => {
    const tp = s.so?.tp;
    if (tp === null || tp === undefined || tp.t_inpcb === null) return -ENOTCONN;
    return pmtuKnown(tp) || -ENOTCONN;
  }),
];

const ROWS: ReadonlyMap<number, Row> = new Map(TABLE.map((r) => [(r.level << 8) | r.name, r]));

function rowOf(level: number, name: number): Row | undefined {
  return level < 0 || level > 255 || name < 0 || name > 255 ? undefined : ROWS.get((level << 8) | name);
}

/** The int at the start of a value; IP takes shorter ones. */
function intOf(raw: Uint8Array): number {
  if (raw.length >= 4) return new DataView(raw.buffer, raw.byteOffset).getInt32(0, true);
  return raw[0] ?? 0;
}

/** setsockopt(2). @returns 0 or an errno */
export function setOption(s: Sock, level: number, name: number, raw: Uint8Array): number {
  const row = rowOf(level, name);
  const min = row?.min ?? (level === L.SOL_IP ? 0 : 4);
  // Linux reads the int before it looks which option it is.
  if ((level === L.SOL_SOCKET || level === L.SOL_TCP) && raw.length < Math.min(min, 4)) return EINVAL;
  if (row?.set === undefined) return L.ENOPROTOOPT;
  if (raw.length < min) return EINVAL;
  const e = row.set(s, intOf(raw), raw);
  if (e === 0) applyOptions(s);
  return e;
}

/** getsockopt(2). @returns the value cut to `buflen`, or an errno */
export function getOption(s: Sock, level: number, name: number, buflen: number): Uint8Array | number {
  if (buflen < 0) return EINVAL;
  // Reading and setting differ in what they say of a level that is none (do_ip_getsockopt).
  if (level !== L.SOL_SOCKET && level !== L.SOL_TCP && level !== L.SOL_IP) return L.EOPNOTSUPP;
  const row = rowOf(level, name);
  if (row?.get === undefined) return L.ENOPROTOOPT;
  const value = row.get(s);
  if (typeof value !== 'number') return value.subarray(0, buflen);
  if (value < 0 && row.signed === undefined) return -value;
  const b = new Uint8Array(4);
  new DataView(b.buffer).setInt32(0, value, true);
  // A small number goes into a byte where the caller has no more room (do_ip_getsockopt).
  if (level === L.SOL_IP && buflen < 4)
    return buflen > 0 && value >= 0 && value <= 255 ? b.subarray(0, 1) : b.subarray(0, buflen);
  return b.subarray(0, buflen);
}

/** What a listener's connections begin with, and who may share its port. */
export function setListener(l: Listener, o: OptValues): void {
  l.setOptions(stackOptions(o));
  l.fastOpen = o.fastOpen > 0;
  l.reusePort = o.reusePort !== 0;
}

/** Lets what is set take effect on the connection, or on those that the listener gets from now on. */
export function applyOptions(s: Sock): void {
  if (s.listener !== null) setListener(s.listener, s.o);
  else if (s.so !== null && s.so.tp !== null) s.so.setOptions(stackOptions(s.o));
}
