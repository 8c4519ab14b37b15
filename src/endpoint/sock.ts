/**
 * One socket of the endpoint: what Linux keeps in struct socket and struct sock, on top of the stack's callback socket. The rules are those of
 * Linux's tcp(7), connect(2), listen(2), accept(2), shutdown(2) and poll(2), and where the manuals leave it open those of net/ipv4 of the
 * kernel, by observation (docs/endpoint.md).
 */
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  ECONNABORTED,
  ECONNRESET,
  EINVAL,
  EISCONN,
  ENOTCONN,
  EPIPE,
} from '../stack/errno.ts';
import { inMulticast } from '../stack/net/in-addr.ts';
import { type Listener, listen } from '../stack/socket/listener.ts';
import type { Socket } from '../stack/socket/socket.ts';
import { SocketError } from '../stack/socket/socket-error.ts';
import type { Stack } from '../stack/stack.ts';
import { tcpConnectSocket } from './connect.ts';
import {
  EAFNOSUPPORT,
  EALREADY,
  EINPROGRESS,
  icmpErrno,
  LX_CLOSE,
  LX_CLOSE_WAIT,
  LX_CLOSING,
  LX_ESTABLISHED,
  LX_FIN_WAIT1,
  LX_FIN_WAIT2,
  LX_LAST_ACK,
  LX_LISTEN,
  LX_SYN_RECV,
  LX_SYN_SENT,
  O_NONBLOCK,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from './linux.ts';
import { applyOptions, setListener } from './options.ts';
import type { PortOwner, PortTable } from './ports.ts';
import type { OptValues } from './values.ts';

/** sk_shutdown. */
export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;
const SHUTDOWN_MASK = 3;

/** State of the socket above the connection's (enum socket_state). */
const SS_UNCONNECTED = 1;
const SS_CONNECTING = 2;
const SS_CONNECTED = 3;
const SS_DISCONNECTING = 4;

/** Linux's number of each state of the stack (tcp-fsm.ts). TIME_WAIT is none of a socket's: it is closed then. */
const LX_STATE = [
  LX_CLOSE,
  LX_LISTEN,
  LX_SYN_SENT,
  LX_SYN_RECV,
  LX_ESTABLISHED,
  LX_CLOSE_WAIT,
  LX_FIN_WAIT1,
  LX_CLOSING,
  LX_LAST_ACK,
  LX_FIN_WAIT2,
  LX_CLOSE,
] as const;

/** Which socket, on which shard. */
export interface SockId {
  readonly shard: number;
  readonly sid: number;
}

/** A connection that waits to be accepted, on whatever shard it is. */
export interface Child extends SockId {
  readonly faddr: number;
  readonly fport: number;
}

/** What a socket needs of the shard's endpoint. */
export interface SockHost {
  readonly st: Stack;
  readonly ports: PortTable;
  /** `ports` knows of the listening sockets of this shard; of others their listeners stand for them. */
  readonly decides: boolean;
  readonly shard: number;
  /** Listeners of the endpoint's sockets, of other shards too, and whose they are. */
  readonly own: Map<Listener, SockId>;
  /** The socket may now be able to do what somebody waits for. */
  wake(sock: Sock): void;
  /** A passive connection is complete; the host makes a socket of it and gives it to the listener. */
  incoming(listener: Sock, so: Socket): void;
  /** The socket listens, on all shards from now on; `ready` follows when they do, with an errno when one cannot. */
  listening(sock: Sock, ready: (errno: number) => void): void;
  /** It no longer does; connections that nobody has accepted end. */
  unlisten(sock: Sock, children: readonly Child[]): void;
}

export class Sock implements PortOwner {
  readonly sid: number;
  readonly host: SockHost;
  /** The stack's socket: that of the connection, or of the last one. */
  so: Socket | null = null;
  listener: Listener | null = null;
  /** O_NONBLOCK, O_APPEND and O_ASYNC as set. */
  fileFlags = 0;
  fdFlags = 0;
  /** sk_err: told once. */
  err = 0;
  /** sk_err_soft: what ICMP said last of the way to the peer. */
  soft = 0;
  shut = 0;
  /** The peer's FIN has come (SOCK_DONE). */
  done = false;
  rcvAddr = 0;
  lport = 0;
  faddr = 0;
  fport = 0;
  /** The port that it holds in the table, 0 for none. */
  num = 0;
  readonly o: OptValues;
  /** Connections that wait to be accepted. */
  readonly queue: Child[] = [];
  backlog = 0;
  /** Operations under way that wait for this socket; it is released after the last. */
  busy = 0;
  /** It waits in the queue of its listening socket. */
  waiting = false;
  /** A listener got it. It can read and write before the handshake ends where Fast Open allows it. */
  passive = false;
  /** What was sent last was said to be followed by more (MSG_MORE). */
  more = false;
  /**
   * A send with MSG_FASTOPEN is EALREADY: another one is under way. After a connect that asked for a cookie (TCP_FASTOPEN_CONNECT) it stays so,
   * which Linux does by observation.
   */
  fastOpening = false;
  /** The user has closed it, but an operation is still under way. */
  dropped = false;
  /** It is closed. */
  closed = false;
  #ss = SS_UNCONNECTED;
  /** The user has chosen address and port by himself. */
  #addrLock = false;
  #portLock = false;
  /** Bytes that had come when both directions were shut down. */
  #heard = 0;
  /** What the end of the connection means has been taken in. */
  #ended = true;

  constructor(host: SockHost, sid: number, o: OptValues) {
    this.host = host;
    this.sid = sid;
    this.o = o;
  }

  get reuseAddr(): boolean {
    return this.o.reuseAddr !== 0;
  }

  get reusePort(): boolean {
    return this.o.reusePort !== 0;
  }

  get listening(): boolean {
    return this.listener !== null;
  }

  get nonBlocking(): boolean {
    return (this.fileFlags & O_NONBLOCK) !== 0;
  }

  /** State of the connection by Linux's numbers. */
  get state(): number {
    if (this.listener !== null) return LX_LISTEN;
    const { so } = this;
    if (so === null || so.tp === null || this.#ended) return LX_CLOSE;
    return LX_STATE[so.tp.t_state]!;
  }

  /** It is connecting, and its SYN waits for the first write (TCP_FASTOPEN_CONNECT). */
  get deferred(): boolean {
    return this.so?.synHeld === true && this.state === LX_SYN_SENT;
  }

  /** Bytes that can be read. */
  get readable(): number {
    return this.so === null ? 0 : this.so.so_rcv.sb_cc;
  }

  /** Bytes that make it readable (SO_RCVLOWAT); half of the buffer always does, as no more may come. */
  get lowat(): number {
    const { so } = this;
    const low = this.o.rcvLowat;
    return low <= 1 || so === null ? low : Math.min(low, Math.max(1, so.so_rcv.sb_hiwat >> 1));
  }

  /** sock_error(): the error is told and forgotten. */
  takeError(): number {
    const e = this.err;
    this.err = 0;
    return e;
  }

  /** sk_err_soft, told and forgotten, too; with what the stack itself found wrong. */
  takeSoft(): number {
    const tp = this.so?.tp ?? null;
    if (tp === null || this.#ended) return 0;
    const e = this.soft || tp.t_softerror;
    this.soft = 0;
    tp.t_softerror = 0;
    return e;
  }

  /** @returns 0 or an errno */
  bind(addr: number, port: number): number {
    const { st } = this.host;
    const group = inMulticast(addr) || addr === -1 || st.ifnets.some((ifp) => ifp.isBroadcast(addr));
    if (addr !== 0 && !group && !st.isLocal(addr)) return EADDRNOTAVAIL;
    if (this.state !== LX_CLOSE || this.num !== 0) return EINVAL;
    this.rcvAddr = addr;
    const e = this.#getPort(port);
    if (e !== 0) {
      this.rcvAddr = 0;
      return e;
    }
    this.#addrLock = addr !== 0;
    this.#portLock = port !== 0;
    this.faddr = 0;
    this.fport = 0;
    return 0;
  }

  /** Takes a port, or any with 0. */
  #getPort(port: number): number {
    const { st, ports } = this.host;
    let p = port;
    if (p === 0) {
      p = ports.pick(st.random.next32(), (n) => !this.#foreign(n));
      if (p === 0) return EADDRINUSE;
    }
    if (this.#foreign(p) || !ports.bind(this, p)) return EADDRINUSE;
    this.num = p;
    this.lport = p;
    return 0;
  }

  /** Another user of the stack, a service of its own for instance, listens there. */
  #foreign(port: number): boolean {
    const { st, own, decides, shard } = this.host;
    const meets = (a: number): boolean => a === 0 || this.rcvAddr === 0 || a === this.rcvAddr;
    const known = (l: Listener): boolean => decides && own.get(l)?.shard === shard;
    return st.tcp.listeners
      .all()
      .some((l) => l.port === port && meets(l.addr) && !known(l) && !(l.reusePort && this.reusePort));
  }

  #putPort(): void {
    if (this.num === 0) return;
    this.host.ports.release(this, this.num);
    this.num = 0;
  }

  /**
   * @param ready called with 0 when connections are taken in, with an errno when it listens no longer
   * @returns 0, or an errno and `ready` is not called
   */
  listen(backlog: number, ready: (errno: number) => void): number {
    if (this.#ss !== SS_UNCONNECTED) return EINVAL;
    const { state } = this;
    if (state !== LX_CLOSE && state !== LX_LISTEN) return EINVAL;
    this.backlog = backlog;
    if (this.listener !== null) {
      this.listener.backlog = backlog;
      this.listener.limit = backlog;
      ready(0);
      return 0;
    }
    if (this.num === 0) {
      const e = this.#getPort(0);
      if (e !== 0) return e;
    } else if (!this.host.ports.bind(this, this.num, true)) {
      return EADDRINUSE;
    }
    try {
      const at = { addr: this.rcvAddr, port: this.num, backlog, reusePort: this.reusePort };
      this.listener = listen(this.host.st, at, (so) => {
        this.host.incoming(this, so);
        return so.handler;
      });
    } catch (err) {
      if (!(err instanceof SocketError)) throw err;
      return -err.errno;
    }
    this.listener.limit = backlog;
    setListener(this.listener, this.o);
    this.host.own.set(this.listener, { shard: this.host.shard, sid: this.sid });
    this.host.listening(this, (errno) => {
      if (errno !== 0) this.#unlisten();
      ready(errno);
    });
    return 0;
  }

  /** A connection has come in for this listener. */
  enqueue(child: Child): void {
    this.queue.push(child);
    this.host.wake(this);
  }

  /** Becomes the socket of a connection that a listener got. */
  adopt(so: Socket): void {
    this.so = so;
    this.#listenTo(so);
    this.#ss = SS_CONNECTED;
    this.passive = true;
    this.#ended = false;
    this.rcvAddr = so.tp!.t_inpcb!.l3;
    this.lport = so.localPort;
    this.faddr = so.tp!.t_inpcb!.f3;
    this.fport = so.remotePort;
    this.num = this.lport;
    this.host.ports.take(this, this.num);
    applyOptions(this);
  }

  /**
   * connect(2). EINPROGRESS and EALREADY where the caller may wait for the end of the handshake, and EISCONN while it is `deferred`.
   * @param family of the address; AF_UNSPEC dissolves the association
   * @param send   it is the connect of a send(2) with MSG_FASTOPEN
   * @returns 0 or an errno; 0 also when the SYN waits for the first write (`deferred`)
   */
  connect(family: number, addr: number, port: number, long: boolean, send = false): number {
    let answer = this.deferred ? EISCONN : EALREADY;
    if (family === 0) return this.disconnect();
    switch (this.#ss) {
      case SS_CONNECTED:
        return EISCONN;
      case SS_CONNECTING:
        break;
      case SS_UNCONNECTED: {
        if (this.state !== LX_CLOSE) return EISCONN;
        if (!long) return EINVAL;
        if (family !== 2) return EAFNOSUPPORT;
        const fast = this.o.fastOpenConnect !== 0;
        const e = this.#open(addr, port, fast || send);
        if (e !== 0) return e;
        this.#ss = SS_CONNECTING;
        if (this.deferred) return 0;
        if (fast && !send) this.fastOpening = true;
        answer = EINPROGRESS;
        break;
      }
      default:
        return EINVAL;
    }
    return this.connectResult(answer);
  }

  /** Where an attempt to connect stands: 0 done, `pending` while it goes on, else why it failed. */
  connectResult(pending: number): number {
    const { state } = this;
    if (state === LX_SYN_SENT || state === LX_SYN_RECV) return pending;
    if (state === LX_CLOSE) {
      const e = this.takeError() || ECONNABORTED;
      this.#ss = SS_UNCONNECTED;
      this.disconnect();
      return e;
    }
    this.#ss = SS_CONNECTED;
    return 0;
  }

  #open(addr: number, port: number, fast: boolean): number {
    const made = tcpConnectSocket(this, addr, port, fast);
    if (typeof made === 'number') return made;
    this.err = 0;
    this.soft = 0;
    this.done = false;
    this.so = made;
    this.#ended = false;
    this.#listenTo(made);
    const inp = made.tp?.t_inpcb;
    this.faddr = addr;
    this.fport = port;
    if (inp !== null && inp !== undefined) {
      this.rcvAddr = inp.l3;
      this.lport = inp.lport;
      if (this.num === 0) {
        this.num = inp.lport;
        this.host.ports.take(this, this.num);
      }
    }
    return 0;
  }

  /** tcp_disconnect(): whatever it is, it is a fresh socket afterwards, but for what was bound and set. */
  disconnect(): number {
    const was = this.state;
    if (was === LX_LISTEN) {
      this.#unlisten();
    } else if (was !== LX_CLOSE) {
      if (was !== LX_CLOSING && was !== LX_LAST_ACK) this.err = ECONNRESET;
      this.#ended = true;
      this.so!.abort();
      if (!this.#portLock) this.#putPort();
    }
    if (this.so !== null) this.so.so_rcv.release();
    this.fport = 0;
    if (!this.#addrLock) this.rcvAddr = 0;
    this.shut = 0;
    this.done = false;
    this.fastOpening = false;
    this.#ss = SS_UNCONNECTED;
    this.host.wake(this);
    return 0;
  }

  #unlisten(): void {
    const l = this.listener;
    if (l === null) return;
    this.listener = null;
    l.close();
    this.host.own.delete(l);
    if (!this.#portLock) this.#putPort();
    this.host.unlisten(this, this.queue.splice(0));
  }

  /** shutdown(2). @param how 0 reading, 1 writing, 2 both */
  shutdown(how: number): number {
    const bits = how + 1;
    if (how < 0 || (bits & ~SHUTDOWN_MASK) !== 0) return EINVAL;
    const { state } = this;
    if (this.#ss === SS_CONNECTING) {
      this.#ss = state === LX_SYN_SENT || state === LX_SYN_RECV || state === LX_CLOSE ? SS_DISCONNECTING : SS_CONNECTED;
    }
    let e = 0;
    if (state === LX_LISTEN) {
      if (bits & RCV_SHUTDOWN) this.disconnect();
    } else if (state === LX_SYN_SENT) {
      this.disconnect();
    } else {
      if (state === LX_CLOSE) e = ENOTCONN;
      this.shut |= bits;
      if (this.shut === SHUTDOWN_MASK) this.#heard = this.so?.tp?.rcv_bytes ?? 0;
      if (bits & SEND_SHUTDOWN && state !== LX_CLOSE) this.so!.shutdown();
    }
    this.host.wake(this);
    return e;
  }

  /** The last reference is gone (tcp_close): FIN or RST, by what was read and SO_LINGER says. */
  release(): void {
    this.closed = true;
    if (this.listener !== null) this.#unlisten();
    const { so } = this;
    if (so !== null) {
      // Nobody is told of what is left unread on a connection that has ended.
      if (so.tp === null || this.#ended) so.so_rcv.release();
      if (this.o.lingerOn !== 0 && this.o.lingerTime === 0 && !this.#ended) so.abort();
      else so.close();
    }
    if (so === null || so.tp === null || this.#ended) this.#putPort();
  }

  #listenTo(so: Socket): void {
    so.ctx = this;
    so.upcall = (o) => this.changed(o);
    so.icmpUpcall = (o, type, code) => this.#icmp(o, type, code);
  }

  /**
   * An ICMP error that the connection survives (tcp_v4_err): kept for SO_ERROR, or with IP_RECVERR the error of the socket, for the next call to
   * tell. While it connects it is advice in either case (RFC 9293 section 3.9.2.2), where Linux gives up.
   */
  #icmp(so: Socket, type: number, code: number): void {
    if (so !== this.so || this.closed || this.#ended || so.tp === null) return;
    const e = icmpErrno(type, code);
    const { state } = this;
    if (this.o.recvErr === 0 || state === LX_SYN_SENT || state === LX_SYN_RECV) {
      this.soft = e;
      return;
    }
    so.tp.t_softerror = 0;
    this.err = e;
    this.host.wake(this);
  }

  /** What a close with SO_LINGER waits for has come: all is sent and acknowledged, or the connection is gone. */
  get lingered(): boolean {
    const { state } = this;
    return state !== LX_FIN_WAIT1 && state !== LX_CLOSING && state !== LX_LAST_ACK;
  }

  /** The stack says that something has changed. */
  changed(so: Socket): void {
    if (so !== this.so) return;
    if (this.closed) {
      if (so.tp === null) this.#putPort();
      this.host.wake(this);
      return;
    }
    if (this.#ended) return;
    if (so.error > 0) {
      // A reset in CLOSE_WAIT tells the writer of it, who is the only one that can still do something (tcp_reset).
      const closeWait = this.done && (this.shut & SEND_SHUTDOWN) === 0;
      this.err = so.error === ECONNRESET && closeWait ? EPIPE : so.error;
      this.#end();
    } else if (so.eof) {
      this.done = true;
      this.shut |= RCV_SHUTDOWN;
      if (so.error === 0) this.#end();
    } else if (this.shut === SHUTDOWN_MASK && so.tp !== null && so.tp.rcv_bytes !== this.#heard && this.#unwanted()) {
      this.#refuse(so, so.tp.rcv_bytes - this.#heard);
    }
    this.host.wake(this);
  }

  /** Data after both directions were shut down, which nobody will read: Linux answers it with RST. */
  #unwanted(): boolean {
    const { state } = this;
    return state === LX_FIN_WAIT1 || state === LX_FIN_WAIT2;
  }

  /** Resets the connection for the last `n` bytes, which nobody wants; what came before them can still be read. */
  #refuse(so: Socket, n: number): void {
    const left = new Uint8Array(Math.max(0, so.so_rcv.sb_cc - n));
    if (left.length > 0) so.so_rcv.peek(0, left, 0, left.length);
    this.err = ECONNRESET;
    this.#end();
    so.abort();
    if (left.length > 0) so.so_rcv.append(left, 0, left.length);
  }

  /** tcp_done(). */
  #end(): void {
    this.#ended = true;
    this.shut = SHUTDOWN_MASK;
    this.#leaveTimeWait(this.so!);
    if (!this.#portLock) this.#putPort();
  }

  /** A connection in TIME_WAIT is no socket's any more, and holds its port by itself. */
  #leaveTimeWait(so: Socket): void {
    const port = this.lport;
    if (so.tp === null) return;
    const { ports } = this.host;
    const ghost: PortOwner = {
      rcvAddr: this.rcvAddr,
      reuseAddr: this.reuseAddr,
      reusePort: this.reusePort,
      listening: false,
    };
    ports.take(ghost, port);
    so.upcall = () => {
      if (so.tp === null) ports.release(ghost, port);
    };
  }

  /** What poll(2) reports (tcp_poll). */
  poll(): number {
    const { state } = this;
    if (state === LX_LISTEN) return this.queue.length > 0 ? POLLIN | POLLRDNORM : 0;
    let mask = 0;
    if (this.shut === SHUTDOWN_MASK || state === LX_CLOSE) mask |= POLLHUP;
    if (this.shut & RCV_SHUTDOWN) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (state !== LX_SYN_SENT && (state !== LX_SYN_RECV || this.passive)) {
      if (this.readable >= this.lowat) mask |= POLLIN | POLLRDNORM;
      if (this.shut & SEND_SHUTDOWN || this.writable) mask |= POLLOUT | POLLWRNORM;
    } else if (this.deferred) {
      mask |= POLLOUT | POLLWRNORM;
    }
    if (this.so !== null && this.so.urgentAhead > 0 && !this.#ended) mask |= POLLPRI;
    if (this.err !== 0) mask |= POLLERR;
    return mask;
  }

  /** A third of the send buffer is free (sk_stream_is_writeable). */
  get writable(): boolean {
    const { so } = this;
    if (so === null || so.tp === null || this.#ended) return true;
    const { sb_cc, sb_hiwat } = so.so_snd;
    return sb_hiwat - sb_cc >= sb_cc >> 1 && sb_hiwat > sb_cc;
  }

  /** True where getpeername(2) has an answer. @param accepted the call is accept(2), which knows the peer of a dead connection too */
  hasPeer(accepted: boolean): boolean {
    const { state } = this;
    return this.fport !== 0 && (accepted || (state !== LX_CLOSE && state !== LX_SYN_SENT));
  }
}
