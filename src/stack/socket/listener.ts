/** Listening: the queue of connections that wait to be accepted, and the options that they get. */
import { tcps } from '../../metrics/layout.ts';
import { EADDRINUSE, EADDRNOTAVAIL } from '../errno.ts';
import { inetNtoa } from '../net/in-addr.ts';
import type { Stack } from '../stack.ts';
import type { CcModule } from '../tcp/cc/cc.ts';
import { ccFind } from '../tcp/cc/registry.ts';
import { DeferQueue } from './defer-accept.ts';
import { Socket, type SocketHandler } from './socket.ts';
import { SocketError } from './socket-error.ts';
import { SOCKOPT_DEFAULTS, type SockOpts, type SockOptValues, sockBufSize } from './sockopt.ts';

/** How long a Fast Open request that was reset counts as pending, ms: as Linux has it. */
const TFO_RESET_MS = 60_000;

/** A listening socket of one shard. */
export class Listener {
  /** Address, int32; 0 for any. */
  readonly addr: number;
  readonly port: number;
  /** Others that have it set may listen on the same address and port (SO_REUSEPORT). */
  reusePort: boolean;
  /** Its number among those of this stack, in the order in which they began to listen. */
  serial: number;
  /** Connections that may wait to be accepted. */
  backlog: number;
  /** Buffer sizes of the connections. */
  sndBuf: number;
  rcvBuf: number;
  /** Options of the connections from now on. */
  opt: SockOpts;
  /** Congestion control of the connections; null takes the stack's default of the moment. */
  readonly cc: CcModule | null;
  /** Connections that the accept function has taken and that nobody has asked for yet; they count as waiting. */
  held: number;
  /** More than this many may not wait: one and a half backlogs (listen(2) of FreeBSD). */
  limit: number;
  /** Clients may open with data in their SYN where net.inet.tcp.fastopen.server_enable allows it (TCP_FASTOPEN); may be changed. */
  fastOpen: boolean;
  readonly #st: Stack;
  readonly #accept: AcceptFn;
  readonly #queue: Socket[];
  /** Those that wait for data first (TCP_DEFER_ACCEPT). */
  readonly #deferred: DeferQueue;
  #closed: boolean;
  #tfoPending: number;
  /** Such requests that were reset, and the clock.ms of the last. */
  #tfoResets: number;
  #tfoResetMs: number;

  constructor(
    st: Stack,
    addr: number,
    port: number,
    backlog: number,
    cc: CcModule | null,
    fastOpen: boolean,
    reusePort: boolean,
    accept: AcceptFn,
  ) {
    this.#st = st;
    this.addr = addr;
    this.port = port;
    this.reusePort = reusePort;
    this.serial = 0;
    this.backlog = backlog;
    this.sndBuf = st.tune.tcp_sendspace;
    this.rcvBuf = st.tune.tcp_recvspace;
    this.opt = SOCKOPT_DEFAULTS;
    this.cc = cc;
    this.held = 0;
    this.limit = (backlog * 3) >> 1;
    this.fastOpen = fastOpen;
    this.#accept = accept;
    this.#queue = [];
    this.#deferred = new DeferQueue(st, (so) => this.#ready(so));
    this.#closed = false;
    this.#tfoPending = 0;
    this.#tfoResets = 0;
    this.#tfoResetMs = 0;
  }

  /** Fast Open requests whose handshake is not over; those that were reset count for a while, lest RSTs make room (RFC 7413 section 5.1). */
  tfoPending(nowMs: number): number {
    if (this.#tfoResets > 0 && ((nowMs - this.#tfoResetMs) | 0) > TFO_RESET_MS) this.#tfoResets = 0;
    return this.#tfoPending + this.#tfoResets;
  }

  tfoBegin(): void {
    this.#tfoPending++;
  }

  tfoEnd(reset: boolean, nowMs: number): void {
    this.#tfoPending--;
    if (!reset) return;
    this.#tfoResets++;
    this.#tfoResetMs = nowMs;
  }

  /** Connections that wait to be accepted. */
  get qlen(): number {
    return this.#queue.length + this.held;
  }

  get full(): boolean {
    return this.qlen > this.limit;
  }

  /** Socket for a handshake that has just ended. */
  makeSocket(): Socket {
    const so = new Socket(this.#st, notAccepted, this.sndBuf, this.rcvBuf);
    so.cc = this.cc;
    so.fastOpen = this.fastOpen;
    so.opt = this.opt;
    so.autoSnd = this.opt.sndBuf === 0;
    so.autoRcv = this.opt.rcvBuf === 0;
    return so;
  }

  /** Sets options for the connections from now on. Throws SocketError EINVAL, and changes nothing then. */
  setOptions(changes: Partial<SockOptValues>): void {
    const { tune } = this.#st;
    const o = this.opt.with(changes);
    this.opt = o;
    if (o.sndBuf !== 0) this.sndBuf = sockBufSize(tune, o.sndBuf);
    if (o.rcvBuf !== 0) this.rcvBuf = sockBufSize(tune, o.rcvBuf);
  }

  /** The handshake is complete: the accept function is asked at once, or when data has come (TCP_DEFER_ACCEPT). */
  accepted(so: Socket): void {
    const ms = this.opt.deferAccept;
    if (ms === 0) this.#ready(so);
    else this.#deferred.add(so, ms, this.backlog);
  }

  /** Data or the end has come on a connection that is not accepted yet. */
  readable(so: Socket): void {
    this.#deferred.done(so);
  }

  /** Offers a connection to the accept function; it waits when that returns null. */
  #ready(so: Socket): void {
    if (this.#queue.length > 0) this.#queue.push(so);
    else this.#offer(so);
  }

  /** Offers the connections that wait again, oldest first, until the accept function declines. */
  resume(): void {
    for (let so = this.#queue.shift(); so !== undefined; so = this.#queue.shift()) {
      if (!this.#offer(so)) return;
    }
  }

  /** False when the accept function declined: the connection is the first to wait then. */
  #offer(so: Socket): boolean {
    const handler = this.#accept(so);
    if (handler !== null) {
      so.accept(handler);
      return true;
    }
    // the function may have ended the connection or closed the listener
    if (so.tp !== null) {
      if (this.#closed) so.abort();
      else this.#queue.unshift(so);
    }
    return false;
  }

  /** A connection ended before it was accepted: it waits no longer. */
  forget(so: Socket): void {
    this.#deferred.remove(so);
    const at = this.#queue.indexOf(so);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.#st.cnt[tcps.tcps_acceptaborted]!++;
  }

  /** Stops listening; handshakes under way are forgotten, connections that wait are reset, accepted ones go on. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#st.tcp.listeners.remove(this);
    this.#st.tcp.syncache.closeListener(this);
    for (const so of this.#queue.splice(0)) so.abort();
    this.#deferred.abort();
  }
}

/** Returns the handler of the new connection, or null to let it wait in the queue (`Listener.resume`). */
export type AcceptFn = (so: Socket) => SocketHandler | null;

/** Handler of a connection that nobody has accepted yet: takes nothing. */
const notAccepted: SocketHandler = {
  connected() {},
  data() {
    return 0;
  },
  writable() {},
  end() {},
  closed() {},
};

export interface ListenOptions {
  /** Local address, int32; 0 or absent for any. */
  readonly addr?: number;
  /** 1..65535 */
  readonly port: number;
  /** Connections that may wait to be accepted; default kern.ipc.soacceptqueue. */
  readonly backlog?: number;
  /** Name of a congestion-control module (cc/registry.ts); absent for the default, net.inet.tcp.cc.algorithm. */
  readonly cc?: string;
  /** Whether clients may open with data in their SYN (TCP_FASTOPEN; net.inet.tcp.fastopen.server_enable); default false. */
  readonly fastOpen?: boolean;
  /** Share address and port with others that say so too (SO_REUSEPORT); default false. */
  readonly reusePort?: boolean;
  /** Options of the connections. */
  readonly options?: Partial<SockOptValues>;
}

/** Listens on this shard. Throws SocketError EADDRINUSE, EADDRNOTAVAIL or EINVAL (options), CcError for a module that is not loaded. */
export function listen(st: Stack, opts: ListenOptions, accept: AcceptFn): Listener {
  const addr = opts.addr ?? 0;
  const what = `${addr === 0 ? '*' : inetNtoa(addr)}:${opts.port}`;
  const cc = opts.cc === undefined ? null : ccFind(opts.cc);
  if (addr !== 0 && !st.isLocal(addr)) throw new SocketError(EADDRNOTAVAIL, 'listen', what);
  const backlog = opts.backlog ?? st.tune.ipc_soacceptqueue;
  const l = new Listener(st, addr, opts.port, backlog, cc, opts.fastOpen ?? false, opts.reusePort ?? false, accept);
  if (opts.options !== undefined) l.setOptions(opts.options);
  if (!st.tcp.listeners.add(l)) throw new SocketError(EADDRINUSE, 'listen', what);
  return l;
}
