/**
 * The callback API of a connection: synchronous, one thread, no allocation a call. Everything else (the Node-like sockets, the
 * services) stands on it.
 */
import { EINVAL, EPIPE } from '../errno.ts';
import { inetNtoa } from '../net/in-addr.ts';
import type { Stack } from '../stack.ts';
import type { CcModule } from '../tcp/cc/cc.ts';
import { ccSwitch } from '../tcp/cc/glue.ts';
import { ccFind, ccNames } from '../tcp/cc/registry.ts';
import { type SipKey, sipKeyOfBytes } from '../tcp/siphash.ts';
import { tfoConnect, tfoEarly, tfoSynRoom } from '../tcp/tcp-fastopen.ts';
import {
  finIsAcked,
  haveEstablished,
  TCPS_CLOSE_WAIT,
  TCPS_ESTABLISHED,
  TCPS_SYN_SENT,
  TCPS_TIME_WAIT,
} from '../tcp/tcp-fsm.ts';
import { tcpOutput } from '../tcp/tcp-output.ts';
import { tcpKeepRestart } from '../tcp/tcp-timer.ts';
import { TA_USER } from '../tcp/tcp-trace.ts';
import { urgentSend } from '../tcp/tcp-urgent.ts';
import { tcpConnect, tcpUsrAbort, tcpUsrClose, tcpUsrShutdown } from '../tcp/tcp-usrreq.ts';
import type { Tcpcb } from '../tcp/tcpcb.ts';
import { Linger } from './linger.ts';
import type { Listener } from './listener.ts';
import { OobMark } from './oobmark.ts';
import { SockBuf } from './sockbuf.ts';
import { SocketError } from './socket-error.ts';
import {
  SOCKOPT_DEFAULTS,
  type SockOptName,
  type SockOpts,
  type SockOptValues,
  sockOptInForce,
  sockOptsChanged,
} from './sockopt.ts';

/** What a user of a socket is told. Calls back into the socket are allowed from every one of these. */
export interface SocketHandler {
  /** The connection is established; for a passive one right after the listener's accept function returned. */
  connected(so: Socket): void;
  /**
   * Bytes in sequence, `u8[off, off + len)`, valid only during the call. Returns how many were taken; the rest stays in the
   * receive buffer, closing the window, until `so.resume()` offers it again.
   */
  data(so: Socket, u8: Uint8Array, off: number, len: number): number;
  /** There is room to send again, after `send` had taken less than it was given. */
  writable(so: Socket): void;
  /**
   * There is urgent data among what has not been taken yet, or on its way: `so.urgentAhead` tells how far it goes. Told once, until all of it is
   * taken (RFC 9293 section 3.8.5). What is urgent comes through `data` as everything else, in a call of its own that does not begin before the
   * mark, `so.atMark`.
   */
  urgent?(so: Socket): void;
  /**
   * Something is wrong, and the connection goes on (RFC 9293 section 3.9.1.8): an ICMP error about a segment of ours (EHOSTUNREACH, ENETUNREACH,
   * ECONNREFUSED), or ETIMEDOUT after three retransmissions without an answer (R1, section 3.8.3).
   */
  softError?(so: Socket, errno: number): void;
  /** The peer's FIN; all data before it was taken. */
  end(so: Socket): void;
  /** Last event, exactly once: 0 for an orderly end, else an errno (ECONNRESET, ETIMEDOUT, ECONNREFUSED, …). */
  closed(so: Socket, errno: number): void;
}

export class Socket {
  handler: SocketHandler;
  /** For the user; the stack does not look at it. */
  ctx: unknown;
  /**
   * `so_upcall` of BSD: once set, the handler is told nothing any more. This is called instead whenever the state of the socket may have
   * changed (`tp`, `eof`, `error`, `so_rcv`, `sendSpace` say how), what comes waits for `receive`, and stays there on an error.
   */
  upcall: ((so: Socket) => void) | null;
  /** Told, in the place of `handler.softError`, of an ICMP error that the connection survives, by type and code; it may end the connection. */
  icmpUpcall: ((so: Socket, type: number, code: number) => void) | null;
  /** Control block, null before it exists and after the connection has ended. */
  tp: Tcpcb | null;
  readonly so_snd: SockBuf;
  readonly so_rcv: SockBuf;
  /** SS_NOFDREF: the user has closed. */
  noFdRef: boolean;
  /** SBS_CANTSENDMORE: FIN is queued or sent. */
  cantSendMore: boolean;
  /** Fast Open is wanted (active open), or the listener offers it (TCP_FASTOPEN). Whether it was used `tp.t_tfo` tells. */
  fastOpen: boolean;
  /** Pre-shared key of an active open (FreeBSD's TCP_FASTOPEN); null for none. */
  fastOpenPsk: SipKey | null;
  /** The SYN waits for `sendSyn` (ConnectOptions.holdSyn). */
  synHeld: boolean;
  /** What the application has set; changed by `setOptions` only. */
  opt: SockOpts;
  /** Congestion control asked for; null takes the stack's default. */
  cc: CcModule | null;
  /** The buffers grow with the path, until their sizes are set. */
  autoSnd: boolean;
  autoRcv: boolean;
  /** `clock.us` at which a passive connection's SYN was answered: connections of one peer are in its order, whatever shard they are on. */
  startUs: number;
  readonly #st: Stack;
  /** The peer's FIN has come. */
  #eof: boolean;
  #endTold: boolean;
  #closedTold: boolean;
  /** Errno to tell once what was received has been taken; -1 while connected. */
  #pendingClose: number;
  #wantWrite: boolean;
  /** The handler took less than it was offered; nothing is offered until `resume`. */
  #paused: boolean;
  /** Bytes that a call of the handler's `data` is looking at, 0 outside of one. */
  #offering: number;
  /** `resume` was called from inside that call. */
  #resumed: boolean;
  /** Urgent data that the user has yet to take. */
  readonly #oob: OobMark;
  /** Whose queue a passive connection waits in; null once it was accepted. No event is told before. */
  #listener: Listener | null;
  /** The wait of `close` with SO_LINGER. */
  #linger: Linger | null;

  constructor(st: Stack, handler: SocketHandler, snd: number, rcv: number) {
    this.#st = st;
    this.handler = handler;
    this.ctx = null;
    this.upcall = null;
    this.icmpUpcall = null;
    this.tp = null;
    this.so_snd = new SockBuf(snd, st.tcp.sockMem);
    this.so_rcv = new SockBuf(rcv, st.tcp.sockMem);
    this.noFdRef = false;
    this.cantSendMore = false;
    this.fastOpen = false;
    this.fastOpenPsk = null;
    this.synHeld = false;
    this.opt = SOCKOPT_DEFAULTS;
    this.cc = null;
    this.autoSnd = true;
    this.autoRcv = true;
    this.startUs = 0;
    this.#eof = false;
    this.#endTold = false;
    this.#closedTold = false;
    this.#pendingClose = -1;
    this.#wantWrite = false;
    this.#paused = false;
    this.#offering = 0;
    this.#resumed = false;
    this.#oob = new OobMark();
    this.#listener = null;
    this.#linger = null;
  }

  get localAddress(): string {
    return this.#inp === null ? '' : inetNtoa(this.#inp.l3);
  }

  get localPort(): number {
    return this.#inp === null ? 0 : this.#inp.lport;
  }

  get remoteAddress(): string {
    return this.#inp === null ? '' : inetNtoa(this.#inp.f3);
  }

  get remotePort(): number {
    return this.#inp === null ? 0 : this.#inp.fport;
  }

  get #inp(): import('../tcp/tcb.ts').Inpcb | null {
    return this.tp === null ? null : this.tp.t_inpcb;
  }

  /** The peer's FIN has come, or the end. */
  get eof(): boolean {
    return this.#eof;
  }

  /** How the connection ended: 0 in order, an errno, -1 not yet. */
  get error(): number {
    return this.#pendingClose;
  }

  /** Bytes that `send` would take now. */
  get sendSpace(): number {
    return this.tp === null || this.cantSendMore ? 0 : this.#room(this.tp);
  }

  /** Room in the send buffer, and below TCP_NOTSENT_LOWAT. */
  #room(tp: Tcpcb): number {
    const { space } = this.so_snd;
    const low = this.opt.notsentLowat;
    if (low === 0) return space;
    const left = low - this.#unsent(tp);
    return left < space ? (left < 0 ? 0 : left) : space;
  }

  #unsent(tp: Tcpcb): number {
    return this.so_snd.sb_cc - ((tp.snd_nxt - tp.snd_una) | 0);
  }

  /** Bytes that have not been taken yet, or have not come, up to the end of the urgent data; 0 where there is none (RFC 9293 MUST-33). */
  get urgentAhead(): number {
    return this.#oob.ahead;
  }

  /** How many of `len` bytes a read may take at once: it stops before the last urgent byte. */
  urgentLimit(len: number): number {
    return this.#oob.ahead > 0 ? this.#oob.limit(len) : len;
  }

  /** The next byte is the last one that is urgent (SIOCATMARK, sockatmark(3)). */
  get atMark(): boolean {
    return this.#oob.ahead === 1;
  }

  /** Bytes in the send buffer, unsent or unacknowledged. */
  get sendQueued(): number {
    return this.so_snd.sb_cc;
  }

  /** `send` took less than it was given, and `writable` has not been called since. */
  get wantsRoom(): boolean {
    return this.#wantWrite;
  }

  /** A passive connection that nobody has accepted yet. */
  get queued(): boolean {
    return this.#listener !== null;
  }

  /**
   * Queues bytes for sending and sends what may go.
   * @param urgent they and what is queued before them are urgent (MSG_OOB, in line): the peer is told at once, also where its window is shut
   * @returns bytes taken, 0..len (`writable` is called when there is room again), or -EPIPE after shutdown, close or the end
   */
  send(u8: Uint8Array, off: number, len: number, urgent = false): number {
    const tp = this.tp;
    if (tp === null || this.cantSendMore) return -EPIPE;
    const room = this.#room(tp);
    const n = len < room ? len : room;
    if (n < len) this.#wantWrite = true;
    if (n > 0) {
      this.so_snd.append(u8, off, n);
      if (urgent) urgentSend(tp);
      if (tp.t_trace !== null) tp.t_trace(tp, TA_USER, 1, tp.snd_nxt, n);
      if (tp.t_state === TCPS_ESTABLISHED || tp.t_state === TCPS_CLOSE_WAIT || tfoEarly(tp)) tcpOutput(tp);
    }
    return n;
  }

  /**
   * Sends the SYN that ConnectOptions.holdSyn keeps back, and with it the first of `len` bytes, unless the server's cookie is not to be used
   * any more (RFC 7413 section 4.1.3.1).
   * @returns bytes that it takes along, 0..len; the others are for `send`
   */
  sendSyn(u8: Uint8Array, off: number, len: number): number {
    const tp = this.tp;
    if (tp === null || !this.synHeld) return 0;
    this.synHeld = false;
    if (tp.t_state !== TCPS_SYN_SENT) return 0;
    const room = tfoConnect(tp) ? Math.min(tfoSynRoom(tp) - this.so_snd.sb_cc, this.so_snd.space) : 0;
    const n = Math.max(0, Math.min(len, room));
    if (n > 0) {
      this.so_snd.append(u8, off, n);
      if (tp.t_trace !== null) tp.t_trace(tp, TA_USER, 1, tp.snd_nxt, n);
    }
    tcpKeepRestart(tp);
    tcpOutput(tp);
    return n;
  }

  /**
   * Offers what the receive buffer holds to the handler again, and opens the window by what it takes (`tcp_usr_rcvd`). Called from
   * inside `data` it offers the rest after that call, if that took anything.
   */
  resume(): void {
    if (this.upcall !== null) return;
    if (this.#offering > 0) {
      this.#resumed = true;
      return;
    }
    this.#paused = false;
    const rcv = this.so_rcv;
    let took = 0;
    while (rcv.sb_cc > 0 && !this.noFdRef && !this.#paused && this.#enough(rcv.sb_cc)) {
      const n = rcv.contiguous;
      const taken = this.#offer(rcv.store, rcv.headAt, n);
      // the handler may have closed: its buffer is gone then
      if (taken > 0 && !this.noFdRef) {
        rcv.drop(taken);
        took += taken;
      }
    }
    const tp = this.tp;
    if (took > 0 && tp !== null && haveEstablished(tp.t_state) && tp.t_state !== TCPS_TIME_WAIT) tcpOutput(tp);
    this.#tellEnd();
  }

  /**
   * Takes bytes from the receive buffer, of a socket with an upcall, and opens the window by them (`soreceive`, `tcp_usr_rcvd`).
   * @param skip  bytes to pass over; 0 unless `peek`
   * @param dst   where they are copied, or null to throw them away
   * @param len   at most what is held beyond `skip`
   * @param peek  they stay
   */
  receive(skip: number, dst: Uint8Array | null, at: number, len: number, peek: boolean): void {
    const rcv = this.so_rcv;
    if (dst !== null && len > 0) rcv.peek(skip, dst, at, len);
    if (peek || len === 0) return;
    rcv.drop(len);
    if (this.#oob.ahead > 0) this.#oob.take(len);
    const tp = this.tp;
    if (tp !== null && haveEstablished(tp.t_state) && tp.t_state !== TCPS_TIME_WAIT) tcpOutput(tp);
  }

  /** Sends FIN after what is queued; receiving goes on. */
  shutdown(): void {
    if (this.cantSendMore) return;
    this.cantSendMore = true;
    if (this.tp !== null) tcpUsrShutdown(this.tp);
  }

  /**
   * Closes both ways: FIN after what is queued, RST for what still comes or was not read; with `linger` 0 RST at once.
   * @param done called once, when close(2) would return: with `linger` above 0 when all is acknowledged or the connection has ended (0, or
   *             its errno), or when the time is over (EWOULDBLOCK), else before `close` returns
   */
  close(done: ((errno: number) => void) | null = null): void {
    if (this.noFdRef) {
      if (done !== null) done(0);
      return;
    }
    this.noFdRef = true;
    this.cantSendMore = true;
    // what a `data` call has before it is being read
    const unread = this.so_rcv.sb_cc > this.#offering;
    this.so_rcv.release();
    if (this.tp !== null) {
      if (this.opt.linger === 0) tcpUsrAbort(this.tp);
      else tcpUsrClose(this.tp, unread);
    } else if (this.#pendingClose >= 0) {
      this.#tellEnd();
    }
    if (done === null) return;
    if (this.opt.linger <= 0 || this.tp === null || finIsAcked(this.tp.t_state)) done(0);
    else this.#linger = new Linger(this.#st, this.opt.linger, done);
  }

  /** Sends RST and ends the connection. */
  abort(): void {
    this.noFdRef = true;
    this.cantSendMore = true;
    this.so_rcv.release();
    if (this.tp !== null) tcpUsrAbort(this.tp);
    else if (this.#pendingClose >= 0) this.#tellEnd();
  }

  /** Nagle's algorithm off (true) or on. */
  setNoDelay(on: boolean): void {
    this.setOptions({ noDelay: on });
  }

  /** Sets options; what holds back or times the connection changes at once. Throws SocketError EINVAL, and changes nothing then. */
  setOptions(changes: Partial<SockOptValues>): void {
    const was = this.opt;
    this.opt = was.with(changes);
    sockOptsChanged(this, this.#st.tune, was);
  }

  /** The value of an option that is in force: what was set, or the stack's default. */
  getOption<N extends SockOptName>(name: N): SockOptValues[N] {
    return sockOptInForce(this, this.#st.tune, name);
  }

  /** Name of the congestion-control module in use; empty when the connection is gone. */
  get congestion(): string {
    return this.tp?.t_ccmod?.name ?? '';
  }

  /** Changes over to a loaded congestion-control module, which goes on with the window as it is; false when there is none of that name. */
  setCongestion(name: string): boolean {
    if (!ccNames().includes(name)) return false;
    if (this.tp !== null) ccSwitch(this.tp, ccFind(name));
    return true;
  }

  /** Keepalive probes after `idleMs` without a segment; 0 leaves the time as it is. */
  setKeepAlive(on: boolean, idleMs: number): void {
    this.setOptions(idleMs > 0 ? { keepAlive: on, keepIdle: idleMs } : { keepAlive: on });
  }

  /** Limits of both buffers in bytes, fixed from here on, within kern.ipc.maxsockbuf. */
  setBuffers(snd: number, rcv: number): void {
    this.setOptions({ sndBuf: snd, rcvBuf: rcv });
  }

  // What follows is called by TCP.

  /** Payload in sequence. */
  deliver(u8: Uint8Array, off: number, len: number): void {
    if (this.noFdRef) return;
    if (this.upcall !== null) {
      this.so_rcv.append(u8, off, len);
      this.upcall(this);
      return;
    }
    let taken = 0;
    if (!this.#paused && this.so_rcv.sb_cc === 0 && this.#listener === null && this.#enough(len)) {
      taken = this.#offer(u8, off, len);
      if (this.noFdRef || taken >= len) return;
    }
    this.so_rcv.append(u8, off + taken, len - taken);
    if (this.#listener !== null) this.#listener.readable(this);
    else if (!this.#paused && this.#enough(this.so_rcv.sb_cc)) this.resume();
  }

  /** Whether so many bytes are offered (SO_RCVLOWAT). A window that closes before that would never bring more: half of the buffer will do. */
  #enough(bytes: number): boolean {
    const low = this.opt.rcvLowat;
    return low <= 1 || bytes >= low || bytes >= this.so_rcv.sb_hiwat >> 1 || this.#eof;
  }

  /** SO_RCVLOWAT is less than it was: what waited may be enough now. */
  rcvLowatFell(): void {
    if (!this.#paused && this.#listener === null) this.resume();
  }

  /** Whether there is memory for `len` bytes more, or a user who takes them at once. */
  canTake(len: number): boolean {
    if (!this.#st.tcp.sockMem.tight || this.noFdRef || this.so_rcv.fits(len)) return true;
    return !this.#paused && this.so_rcv.sb_cc === 0 && this.#listener === null && this.#enough(len);
  }

  /** Shows bytes to the handler; one that takes less pauses, unless it took some and has called `resume` meanwhile. */
  #offer(u8: Uint8Array, off: number, lenIn: number): number {
    const oob = this.#oob;
    const len = oob.limit(lenIn);
    this.#offering = lenIn;
    this.#resumed = false;
    const taken = this.handler.data(this, u8, off, len);
    this.#offering = 0;
    if (oob.ahead > 0) oob.take(taken);
    if (taken < len && !(this.#resumed && taken > 0)) this.#paused = true;
    return taken;
  }

  /**
   * Room in the send buffer after an ACK (`sowwakeup`), told once a quarter of the buffer is free, or sooner when less than that waits to be
   * sent: where most of it is in flight the sender would run dry.
   */
  sowwakeup(): void {
    if (this.upcall !== null) {
      this.upcall(this);
      return;
    }
    if (!this.#wantWrite || this.cantSendMore) return;
    const snd = this.so_snd;
    const { space } = snd;
    const tp = this.tp;
    const unsent = tp === null ? 0 : this.#unsent(tp);
    if (space < snd.sb_hiwat >> 2 && space < unsent) return;
    const low = this.opt.notsentLowat;
    if (low !== 0 && 2 * unsent >= low) return;
    this.#wantWrite = false;
    this.handler.writable(this);
  }

  /** The peer's FIN (`socantrcvmore`). */
  cantRcvMore(): void {
    this.#eof = true;
    if (this.#listener !== null) this.#listener.readable(this);
    // What was too little for SO_RCVLOWAT is all there will be.
    else if (this.so_rcv.sb_cc > 0 && !this.#paused && this.upcall === null) this.resume();
    else this.#tellEnd();
  }

  /** Data and FIN are acknowledged. */
  allAcked(): void {
    const l = this.#linger;
    this.#linger = null;
    if (l !== null) l.end(0);
  }

  /** The handshake is complete (`soisconnected`): a passive socket goes to its listener first. */
  connected(): void {
    if (this.#listener !== null) this.#listener.accepted(this);
    else if (this.upcall !== null) this.upcall(this);
    else if (!this.noFdRef) this.handler.connected(this);
  }

  /** Belongs to a listener until accepted. */
  passiveFrom(l: Listener): void {
    this.#listener = l;
  }

  /** Accepted: from here on `handler` is told what happens, and what has happened while the connection waited. */
  accept(handler: SocketHandler): void {
    this.#listener = null;
    this.handler = handler;
    if (this.upcall === null) {
      if (!this.noFdRef) handler.connected(this);
      if (this.#oob.ahead > 0 && !this.noFdRef) this.handler.urgent?.(this);
    }
    this.resume();
  }

  /** Urgent data ends `ahead` bytes beyond what the user has taken. */
  urgent(ahead: number): void {
    const news = this.#oob.note(ahead) && this.#listener === null && !this.noFdRef;
    if (this.upcall !== null) this.upcall(this);
    else if (news) this.handler.urgent?.(this);
  }

  /** A fault that the connection survives. */
  softError(errno: number): void {
    if (this.#listener === null && !this.noFdRef) this.handler.softError?.(this, errno);
  }

  /** Nothing will come or go any more, though the block may live on in TIME_WAIT (`soisdisconnected`). */
  disconnected(errno: number): void {
    if (this.#pendingClose < 0) this.#pendingClose = errno;
    if (errno !== 0 && this.upcall === null) this.so_rcv.release();
    this.cantSendMore = true;
    this.cantRcvMore();
    const l = this.#linger;
    this.#linger = null;
    if (l !== null) l.end(errno);
  }

  /** The control block is gone. */
  detached(errno: number): void {
    this.tp = null;
    this.so_snd.release();
    if (this.#listener !== null) this.#listener.forget(this);
    this.disconnected(errno);
  }

  #tellEnd(): void {
    if (this.#listener !== null) return;
    if (this.upcall !== null) {
      this.upcall(this);
      return;
    }
    if (this.#eof && this.so_rcv.sb_cc === 0) {
      if (!this.#endTold) {
        this.#endTold = true;
        if (!this.noFdRef && this.#pendingClose <= 0) this.handler.end(this);
      }
      if (this.#pendingClose >= 0 && !this.#closedTold) {
        this.#closedTold = true;
        this.handler.closed(this, this.#pendingClose);
      }
    }
  }
}

export interface ConnectOptions {
  /** Addresses are int32, ports 1..65535; what is absent is chosen. */
  readonly faddr: number;
  readonly fport: number;
  readonly laddr?: number;
  readonly lport?: number;
  /** Name of a congestion-control module (cc/registry.ts); absent for the default, net.inet.tcp.cc.algorithm. */
  readonly cc?: string;
  /**
   * Fast Open (RFC 7413; net.inet.tcp.fastopen.client_enable): what is sent before the end of the pass rides on the SYN, where the server's
   * cookie is known; else one is asked for. Only for requests that may arrive twice (section 6.3.1).
   */
  readonly fastOpen?: boolean;
  /**
   * With `fastOpen`, a key of 16 bytes that the server knows too (FreeBSD's net.inet.tcp.fastopen.psk_enable): the SYN shows that we have it, by
   * a hash of the cookie in the place of the cookie.
   */
  readonly fastOpenPsk?: Uint8Array;
  /** With `fastOpen`, where the server's cookie is known: the SYN waits for `sendSyn`, without a limit of time. */
  readonly holdSyn?: boolean;
  readonly options?: Partial<SockOptValues>;
}

/** Opens a connection. Throws SocketError when it cannot begin; later failures come through `handler.closed`. */
export function connect(st: Stack, opts: ConnectOptions, handler: SocketHandler): Socket {
  const so = new Socket(st, handler, st.tune.tcp_sendspace, st.tune.tcp_recvspace);
  if (opts.cc !== undefined) so.cc = ccFind(opts.cc);
  so.fastOpen = opts.fastOpen ?? false;
  if (opts.fastOpenPsk !== undefined) {
    const key = sipKeyOfBytes(opts.fastOpenPsk);
    if (key === null) throw new SocketError(EINVAL, 'connect', `fastOpenPsk of ${opts.fastOpenPsk.length} bytes: 16`);
    so.fastOpenPsk = key;
  }
  so.synHeld = so.fastOpen && (opts.holdSyn ?? false);
  if (opts.options !== undefined) so.setOptions(opts.options);
  const errno = tcpConnect(st, so, opts.laddr ?? 0, opts.lport ?? 0, opts.faddr, opts.fport);
  if (errno !== 0) throw new SocketError(errno, 'connect', `${inetNtoa(opts.faddr)}:${opts.fport}`);
  return so;
}
