/**
 * What an application sets on a connection, or on a listener for the connections that it accepts from then on (setsockopt(2)). The
 * stack's own unit of time is the millisecond; 0 stands for the stack's default where a row says so.
 */
import { EINVAL } from '../errno.ts';
import type { Tunables } from '../sysctl.ts';
import type { Inpcb } from '../tcp/tcb.ts';
import { IPTOS_ECN_MASK } from '../tcp/tcp-ecn.ts';
import { haveEstablished } from '../tcp/tcp-fsm.ts';
import { tcpPush, tcpUncork } from '../tcp/tcp-nopush.ts';
import { tcpKeepRestart } from '../tcp/tcp-timer.ts';
import { userTimeoutChanged } from '../tcp/tcp-user-timeout.ts';
import { type Tcpcb, TF_NODELAY, TF_NOPUSH } from '../tcp/tcpcb.ts';
import type { Socket } from './socket.ts';
import { SocketError } from './socket-error.ts';

/** The options and their values. */
export interface SockOptValues {
  /** TCP_NODELAY: Nagle's algorithm is off. */
  readonly noDelay: boolean;
  /**
   * TCP_NOPUSH, TCP_CORK: only full segments leave, until it is set off, the connection is closed, or 200 ms have passed (Linux's ceiling)
   * since a part of one began to wait. Setting `noDelay` lets what waits go, and what follows waits again.
   */
  readonly noPush: boolean;
  /**
   * SO_LINGER, ms: -1 off; 0 close throws away what is queued and sends RST; else for how long `close(done)` puts off telling that it is
   * done, unless all is acknowledged before. What is not sent by then goes on being sent.
   */
  readonly linger: number;
  /** SO_KEEPALIVE; net.inet.tcp.always_keepalive stands for all connections. */
  readonly keepAlive: boolean;
  /** TCP_KEEPIDLE, ms without a segment before the first probe; 0 takes net.inet.tcp.keepidle. */
  readonly keepIdle: number;
  /** TCP_KEEPINTVL, ms between probes; 0 takes net.inet.tcp.keepintvl. */
  readonly keepIntvl: number;
  /** TCP_KEEPCNT, probes without an answer before the connection is given up; 0 takes net.inet.tcp.keepcnt. */
  readonly keepCnt: number;
  /** TCP_KEEPINIT, longest handshake, ms; 0 takes net.inet.tcp.keepinit. */
  readonly keepInit: number;
  /**
   * TCP_USER_TIMEOUT (RFC 9293 section 3.9.1, RFC 5482), TCP_MAXUNACKTIME, ms: how long what was sent may stay without a new acknowledgment,
   * or what waits find no window, before the connection ends with ETIMEDOUT; 0 takes net.inet.tcp.maxunacktime, which is none by default.
   * It takes the place of the limit on retransmissions, and of `keepCnt`.
   */
  readonly userTimeout: number;
  /** TCP_MAXSEG, bytes: largest segment to send and, set before the connection is opened, to announce; 0 leaves it to the path. */
  readonly maxSeg: number;
  /** SO_SNDBUF, bytes, at most kern.ipc.maxsockbuf; 0 begins with net.inet.tcp.sendspace and lets it grow. */
  readonly sndBuf: number;
  /** SO_RCVBUF, the same with net.inet.tcp.recvspace. What has been offered to the peer is still taken. */
  readonly rcvBuf: number;
  /** TCP_NOTSENT_LOWAT, bytes: no more than this is taken for sending while it cannot be sent; 0 is no limit. */
  readonly notsentLowat: number;
  /** SO_RCVLOWAT, bytes that must have come before they are offered; half of the receive buffer is always enough. */
  readonly rcvLowat: number;
  /** TCP_QUICKACK: every segment is acknowledged at once; stays until it is set off. */
  readonly quickAck: boolean;
  /** TCP_DEFER_ACCEPT, ms, of a listener: a connection is offered when data has come, or after this time; 0 at once. */
  readonly deferAccept: number;
  /**
   * IP_TOS, the Differentiated Services field of what is sent, 0..255; the two bits of ECN in it are not looked at (RFC 3168 section 5). It can be
   * changed at any time, though RFC 7657 section 5.1 advises against it.
   */
  readonly tos: number;
  /** IP_TTL, 1..255; 0 takes net.inet.ip.ttl. */
  readonly ttl: number;
  /**
   * IP_MTU_DISCOVER of Linux's ip(7), as TCP takes it there: 1 (want, the default) and 2 (do) set don't-fragment, the others do not; 0 (don't), 4
   * (interface) and 5 (omit) leave the segment size alone when ICMP names a smaller MTU, 3 (probe) does not. net.inet.tcp.path_mtu_discovery 0
   * is off for all.
   */
  readonly mtuDiscover: number;
}

export type SockOptName = keyof SockOptValues;

interface Range {
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  /** A value outside of the range that has a meaning of its own. */
  readonly or?: number;
}

const MAX = 2147483647;

/** Ranges of the numbers; what is not here is a switch. */
const RANGES: Readonly<Partial<Record<SockOptName, Range>>> = {
  linger: { min: 0, max: MAX, unit: ' ms', or: -1 },
  keepIdle: { min: 1, max: MAX, unit: ' ms', or: 0 },
  keepIntvl: { min: 1, max: MAX, unit: ' ms', or: 0 },
  keepCnt: { min: 1, max: 127, unit: '', or: 0 },
  keepInit: { min: 1, max: MAX, unit: ' ms', or: 0 },
  userTimeout: { min: 1, max: MAX, unit: ' ms', or: 0 },
  maxSeg: { min: 88, max: 32767, unit: ' bytes', or: 0 },
  sndBuf: { min: 1, max: MAX, unit: ' bytes', or: 0 },
  rcvBuf: { min: 1, max: MAX, unit: ' bytes', or: 0 },
  notsentLowat: { min: 0, max: MAX, unit: ' bytes' },
  rcvLowat: { min: 1, max: MAX, unit: ' bytes' },
  deferAccept: { min: 0, max: MAX, unit: ' ms' },
  tos: { min: 0, max: 255, unit: '' },
  ttl: { min: 1, max: 255, unit: '', or: 0 },
  mtuDiscover: { min: 0, max: 5, unit: '' },
};

/** Values of `mtuDiscover` (linux/in.h). */
const PMTUDISC_WANT = 1;
const PMTUDISC_DO = 2;
const PMTUDISC_PROBE = 3;

/** Don't-fragment is set on what is sent with these options, where net.inet.tcp.path_mtu_discovery is on. */
export function sockOptDf(o: SockOpts): boolean {
  return o.mtuDiscover === PMTUDISC_WANT || o.mtuDiscover === PMTUDISC_DO;
}

/** Smallest buffer that an application can ask for. */
const MIN_BUF = 2048;

/** The options of a socket. Not changed once made: sockets that have the same share them. */
export class SockOpts implements SockOptValues {
  readonly noDelay: boolean;
  readonly noPush: boolean;
  readonly linger: number;
  readonly keepAlive: boolean;
  readonly keepIdle: number;
  readonly keepIntvl: number;
  readonly keepCnt: number;
  readonly keepInit: number;
  readonly userTimeout: number;
  readonly maxSeg: number;
  readonly sndBuf: number;
  readonly rcvBuf: number;
  readonly notsentLowat: number;
  readonly rcvLowat: number;
  readonly quickAck: boolean;
  readonly deferAccept: number;
  readonly tos: number;
  readonly ttl: number;
  readonly mtuDiscover: number;

  constructor(o: Partial<SockOptValues> = {}) {
    this.noDelay = o.noDelay ?? false;
    this.noPush = o.noPush ?? false;
    this.linger = o.linger ?? -1;
    this.keepAlive = o.keepAlive ?? false;
    this.keepIdle = o.keepIdle ?? 0;
    this.keepIntvl = o.keepIntvl ?? 0;
    this.keepCnt = o.keepCnt ?? 0;
    this.keepInit = o.keepInit ?? 0;
    this.userTimeout = o.userTimeout ?? 0;
    this.maxSeg = o.maxSeg ?? 0;
    this.sndBuf = o.sndBuf ?? 0;
    this.rcvBuf = o.rcvBuf ?? 0;
    this.notsentLowat = o.notsentLowat ?? 0;
    this.rcvLowat = o.rcvLowat ?? 1;
    this.quickAck = o.quickAck ?? false;
    this.deferAccept = o.deferAccept ?? 0;
    this.tos = o.tos ?? 0;
    this.ttl = o.ttl ?? 0;
    this.mtuDiscover = o.mtuDiscover ?? PMTUDISC_WANT;
  }

  /** These with some changed. Throws SocketError EINVAL for a name or a value that is none; nothing is changed then. */
  with(changes: Partial<SockOptValues>): SockOpts {
    for (const [name, value] of Object.entries(changes)) check(name as SockOptName, value);
    return new SockOpts({ ...this, ...changes });
  }
}

/** Nothing set. */
export const SOCKOPT_DEFAULTS = new SockOpts();

function check(name: SockOptName, value: unknown): void {
  const range = RANGES[name];
  if (range === undefined) {
    if (!(name in SOCKOPT_DEFAULTS)) throw refused(`${name}: no such option`);
    if (typeof value !== 'boolean') throw refused(`${name}=${String(value)}: true or false`);
    return;
  }
  const { min, max, unit, or } = range;
  if (value === or || (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)) return;
  throw refused(`${name}=${String(value)}: ${or === undefined ? '' : `${or} or `}${min}..${max}${unit}`);
}

function refused(what: string): SocketError {
  return new SocketError(EINVAL, 'setsockopt', what);
}

/** The size that a buffer gets when an application asks for `bytes`. */
export function sockBufSize(tune: Tunables, bytes: number): number {
  return Math.max(MIN_BUF, Math.min(bytes, tune.ipc_maxsockbuf));
}

/** Flags of the control block of a connection with these options. */
export function sockOptFlags(o: SockOpts): number {
  return (o.noDelay ? TF_NODELAY : 0) | (o.noPush ? TF_NOPUSH : 0);
}

/** What goes into the IP header: the Differentiated Services field without the bits of ECN, the time to live, don't-fragment; and path MTUs. */
export function sockOptsToInp(o: SockOpts, inp: Inpcb, tune: Tunables): void {
  inp.inp_tos = o.tos & ~IPTOS_ECN_MASK;
  inp.inp_ttl = o.ttl || tune.ip_ttl;
  inp.inp_df = sockOptDf(o);
  inp.inp_pmtu = o.mtuDiscover >= PMTUDISC_WANT && o.mtuDiscover <= PMTUDISC_PROBE;
}

/** The value of an option as it is in force, the stack's default where none was set. */
export function sockOptInForce<N extends SockOptName>(so: Socket, tune: Tunables, name: N): SockOptValues[N];
export function sockOptInForce(so: Socket, tune: Tunables, name: SockOptName): number | boolean {
  const { opt, tp } = so;
  switch (name) {
    case 'keepIdle':
      return opt.keepIdle || tune.tcp_keepidle;
    case 'keepIntvl':
      return opt.keepIntvl || tune.tcp_keepintvl;
    case 'keepCnt':
      return opt.keepCnt || tune.tcp_keepcnt;
    case 'keepInit':
      return opt.keepInit || tune.tcp_keepinit;
    case 'userTimeout':
      return opt.userTimeout || tune.tcp_maxunacktime;
    case 'ttl':
      return opt.ttl || tune.ip_ttl;
    case 'maxSeg':
      return tp !== null ? tp.t_maxseg : opt.maxSeg || tune.tcp_mssdflt;
    case 'sndBuf':
      return so.so_snd.sb_hiwat;
    case 'rcvBuf':
      return so.so_rcv.sb_hiwat;
    default:
      return opt[name];
  }
}

/** Lets what has changed between `was` and `so.opt` take effect. */
export function sockOptsChanged(so: Socket, tune: Tunables, was: SockOpts): void {
  const now = so.opt;
  if (now.sndBuf !== was.sndBuf) {
    so.autoSnd = now.sndBuf === 0;
    if (now.sndBuf !== 0) so.so_snd.sb_hiwat = sockBufSize(tune, now.sndBuf);
  }
  if (now.rcvBuf !== was.rcvBuf) {
    so.autoRcv = now.rcvBuf === 0;
    if (now.rcvBuf !== 0) so.so_rcv.sb_hiwat = sockBufSize(tune, now.rcvBuf);
  }
  const { tp } = so;
  if (tp === null) return;
  tp.t_flags = (tp.t_flags & ~(TF_NODELAY | TF_NOPUSH)) | sockOptFlags(now);
  sockOptsToInp(now, tp.t_inpcb!, tune);
  if (now.maxSeg !== 0 && now.maxSeg < tp.t_maxseg) tp.t_maxseg = now.maxSeg;
  if (keepChanged(now, was) && !so.synHeld) tcpKeepRestart(tp);
  if (now.userTimeout !== was.userTimeout) userTimeoutChanged(tp);
  push(tp, now, was);
  // What follows calls the user, who may end the connection.
  if (now.notsentLowat !== was.notsentLowat) so.sowwakeup();
  if (now.rcvLowat < was.rcvLowat) so.rcvLowatFell();
}

function keepChanged(now: SockOpts, was: SockOpts): boolean {
  return now.keepAlive !== was.keepAlive || now.keepIdle !== was.keepIdle || now.keepInit !== was.keepInit;
}

/** Lets go what Nagle or the cork held back and now does not. */
function push(tp: Tcpcb, now: SockOpts, was: SockOpts): void {
  if (was.noPush && !now.noPush) tcpUncork(tp);
  else if (now.noDelay && !was.noDelay && haveEstablished(tp.t_state)) tcpPush(tp);
}
