/**
 * The sockets of the endpoint that live on one shard, and the operations on them. Sockets are made on shard 0, and connect from there; a
 * listening socket has a listener on every shard, and a connection that it gets stays on the shard that got it.
 */
import { EINVAL, ENOTCONN } from '../stack/errno.ts';
import type { Listener } from '../stack/socket/listener.ts';
import { listen } from '../stack/socket/listener.ts';
import type { Socket } from '../stack/socket/socket.ts';
import { SocketError } from '../stack/socket/socket-error.ts';
import type { Stack } from '../stack/stack.ts';
import { Timer } from '../stack/timers.ts';
import { controlOk, socketRefused } from './checks.ts';
import * as C from './codec.ts';
import { failure, malformed, type Reply, success } from './codec.ts';
import { FastSend } from './fastopen.ts';
import { fcntl, ioctl } from './fcntl.ts';
import * as L from './linux.ts';
import { Accept, Connect, type CoreReply, Linger, Poll, type PollItem } from './operations.ts';
import { getOption, setListener, setOption } from './options.ts';
import { type PortOwner, PortTable, type PortWatch } from './ports.ts';
import { type Child, Sock, type SockHost, type SockId } from './sock.ts';
import { type Operation, Receive, Send, withHead } from './sock-io.ts';
import { SOCKADDR_IN_LEN, saAddr, saFamily, saPort, sockaddrIn } from './sockaddr.ts';
import { type OptValues, optDefaults } from './values.ts';

/**
 * What the endpoints of a process's shards tell each other. `owner` and `key` name the listening socket; each time that it begins to listen it
 * has another key, lest connections of an earlier time be taken for those of a later one.
 */
export type CoreMessage =
  | {
      readonly kind: 'listen';
      readonly owner: number;
      readonly key: number;
      readonly sid: number;
      readonly addr: number;
      readonly port: number;
      readonly backlog: number;
      readonly o: OptValues;
    }
  | {
      readonly kind: 'port';
      readonly shard: number;
      readonly id: number;
      readonly port: number;
      readonly holder: PortOwner;
    }
  | { readonly kind: 'portfree'; readonly shard: number; readonly id: number }
  | { readonly kind: 'listening'; readonly owner: number; readonly key: number; readonly errno: number }
  | {
      readonly kind: 'options';
      readonly owner: number;
      readonly key: number;
      readonly backlog: number;
      readonly o: OptValues;
    }
  | { readonly kind: 'held'; readonly owner: number; readonly key: number; readonly n: number }
  | { readonly kind: 'unlisten'; readonly owner: number; readonly key: number }
  | { readonly kind: 'child'; readonly owner: number; readonly key: number; readonly child: Child }
  | {
      readonly kind: 'taken';
      readonly owner: number;
      readonly key: number;
      readonly shard: number;
      readonly sid: number;
      readonly flags: number;
    };

/** What an operation is given: `sid` is the socket, -1 where there is none yet. */
export interface CoreRequest {
  readonly op: number;
  readonly sid: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly payload: Uint8Array;
}

export interface CoreOptions {
  readonly shard: number;
  readonly nshards: number;
  /** To the endpoints of all other shards. */
  readonly publish: (msg: CoreMessage) => void;
  /** Told whenever an operation has to wait; what it returns is called when it waits no longer. For a stack whose time moves with it. */
  readonly wait?: () => () => void;
}

/** An operation that waits. */
interface Pending {
  readonly id: number;
  readonly socks: readonly Sock[];
  readonly op: Operation;
  readonly timer: Timer;
  readonly done: (r: CoreReply) => void;
  /** It waits no longer. */
  readonly over: () => void;
  /** A step is being made: what it changes is no news for itself. */
  stepping: boolean;
}

/** A listener here for a socket of another shard, and its connections that nobody has accepted. */
interface Remote {
  readonly listener: Listener;
  o: OptValues;
  readonly waiting: Set<Sock>;
}

const NEVER = -1;
/** The shard where sockets are made, whose table of ports decides. */
const MAKER = 0;

export class Core implements SockHost {
  readonly st: Stack;
  readonly ports: PortTable;
  readonly decides: boolean;
  readonly own = new Map<Listener, SockId>();
  readonly shard: number;
  readonly #nshards: number;
  readonly #publish: (msg: CoreMessage) => void;
  readonly #wait: () => () => void;
  readonly #socks = new Map<number, Sock>();
  readonly #pending = new Map<number, Pending>();
  readonly #waiting = new Map<Sock, Set<Pending>>();
  /** The listening sockets by key, and their keys. */
  readonly #listening = new Map<number, Sock>();
  readonly #keys = new Map<Sock, number>();
  /** By key, how many shards have not said yet that they listen. */
  readonly #opening = new Map<number, { left: number; errno: number; ready: (errno: number) => void }>();
  readonly #remote = new Map<string, Remote>();
  /** On the shard that decides: ports that connections of other shards hold. */
  readonly #holders = new Map<string, { readonly holder: PortOwner; readonly port: number }>();
  #nextSid = 1;
  #nextPort = 1;
  #nextKey = 1;

  constructor(st: Stack, o: CoreOptions) {
    this.st = st;
    this.shard = o.shard;
    this.#nshards = o.nshards;
    this.#publish = o.publish;
    this.decides = o.shard === MAKER;
    this.ports = new PortTable(o.shard === MAKER ? null : this.#watchPorts());
    this.#wait = o.wait ?? (() => () => {});
  }

  /** Sockets that are open. */
  get size(): number {
    return this.#socks.size;
  }

  /**
   * Begins an operation.
   * @param id   by which it can be cancelled, unique among those under way
   * @param done called once, during this call or later
   */
  request(id: number, r: CoreRequest, done: (reply: CoreReply) => void): void {
    if (r.op === C.OP_SOCKET) {
      done(this.#socket(r));
      return;
    }
    const sock = this.#socks.get(r.sid);
    if (sock === undefined) {
      done(failure(L.EBADF));
      return;
    }
    switch (r.op) {
      case C.OP_ACCEPT:
        this.#accept(id, sock, r, done);
        return;
      case C.OP_CONNECT:
        this.#connect(id, sock, r, done);
        return;
      case C.OP_RECV:
      case C.OP_RECVMSG:
        this.#receive(id, sock, r, done);
        return;
      case C.OP_SEND:
      case C.OP_SENDMSG:
        this.#send(id, sock, r, done);
        return;
      case C.OP_LISTEN: {
        const e = sock.listen(r.a < 0 || r.a > L.SOMAXCONN ? L.SOMAXCONN : r.a, (errno) => done(result(errno)));
        if (e !== 0) done(failure(e));
        else this.#tellOptions(sock);
        return;
      }
      case C.OP_CLOSE:
        this.#close(id, sock, done);
        return;
      default:
        done(this.#atOnce(sock, r));
    }
  }

  /** Operations that never wait. */
  #atOnce(sock: Sock, r: CoreRequest): Reply {
    switch (r.op) {
      case C.OP_BIND:
        return this.#bind(sock, r.payload);
      case C.OP_SHUTDOWN:
        return result(sock.shutdown(r.a));
      case C.OP_FCNTL:
        return fcntl(sock, r.a, r.b);
      case C.OP_IOCTL:
        return ioctl(sock, r.a);
      case C.OP_GETSOCKOPT: {
        const v = getOption(sock, r.a, r.b, r.c);
        return typeof v === 'number' ? failure(v) : success(0, v);
      }
      case C.OP_SETSOCKOPT: {
        const e = setOption(sock, r.a, r.b, r.payload);
        if (e === 0 && sock.listening) this.#tellOptions(sock);
        return result(e);
      }
      case C.OP_GETSOCKNAME:
        return success(0, sockaddrIn(sock.rcvAddr, sock.lport));
      case C.OP_GETPEERNAME:
        return sock.hasPeer(false) ? success(0, sockaddrIn(sock.faddr, sock.fport)) : failure(ENOTCONN);
      default:
        return malformed();
    }
  }

  /** poll(2) of sockets of this shard; one that is not there any more is POLLNVAL's business, not this one's. */
  poll(id: number, items: readonly { sid: number; events: number }[], us: number, done: (r: CoreReply) => void): void {
    const list: PollItem[] = [];
    for (const { sid, events } of items) {
      const sock = this.#socks.get(sid);
      if (sock === undefined) {
        done(failure(L.EBADF));
        return;
      }
      list.push({ sock, events });
    }
    this.#run(
      id,
      list.map((i) => i.sock),
      new Poll(list),
      us,
      done,
    );
  }

  /** Ends an operation under way, which answers as if its time were up. Nothing happens when it has ended. */
  cancel(id: number): void {
    const p = this.#pending.get(id);
    if (p !== undefined) this.#finish(p, p.op.late());
  }

  /** The ports that connections of this shard hold, for the shard that decides who may have one. */
  #watchPorts(): PortWatch {
    const shard = this.shard;
    const ids = new Map<PortOwner, number>();
    return {
      taken: (who, port) => {
        const id = this.#nextPort++;
        ids.set(who, id);
        const { rcvAddr, reuseAddr, reusePort } = who;
        this.#publish({ kind: 'port', shard, id, port, holder: { rcvAddr, reuseAddr, reusePort, listening: false } });
      },
      released: (who) => {
        this.#publish({ kind: 'portfree', shard, id: ids.get(who)! });
        ids.delete(who);
      },
    };
  }

  #holder(msg: CoreMessage & { kind: 'port' | 'portfree' }): void {
    if (this.shard !== MAKER) return;
    const key = `${msg.shard}:${msg.id}`;
    if (msg.kind === 'port') {
      this.#holders.set(key, msg);
      this.ports.take(msg.holder, msg.port);
      return;
    }
    const held = this.#holders.get(key);
    if (held === undefined) return;
    this.#holders.delete(key);
    this.ports.release(held.holder, held.port);
  }

  /** A message of another shard's endpoint. */
  receive(msg: CoreMessage): void {
    if (msg.kind === 'port' || msg.kind === 'portfree') {
      this.#holder(msg);
      return;
    }
    const key = `${msg.owner}:${msg.key}`;
    if (msg.owner === this.shard) {
      if (msg.kind === 'listening') this.#opened(msg.key, msg.errno);
      else if (msg.kind === 'child') {
        const sock = this.#listening.get(msg.key);
        if (sock !== undefined) this.#enqueue(sock, msg.child);
      }
      return;
    }
    if (msg.kind === 'listen') {
      this.#listenFor(key, msg);
      return;
    }
    const remote = this.#remote.get(key);
    if (remote === undefined) return;
    if (msg.kind === 'options') {
      remote.o = msg.o;
      setListener(remote.listener, msg.o);
      remote.listener.backlog = msg.backlog;
      remote.listener.limit = msg.backlog;
    } else if (msg.kind === 'held') {
      remote.listener.held = msg.n;
    } else if (msg.kind === 'unlisten') {
      this.#remote.delete(key);
      remote.listener.close();
      this.own.delete(remote.listener);
      for (const sock of remote.waiting) this.#discard(sock);
    } else if (msg.kind === 'taken' && msg.shard === this.shard) {
      const sock = this.#socks.get(msg.sid);
      if (sock === undefined) return;
      sock.waiting = false;
      sock.fileFlags = msg.flags;
      remote.waiting.delete(sock);
    }
  }

  // What the sockets ask for.

  wake(sock: Sock): void {
    const waiting = this.#waiting.get(sock);
    if (waiting === undefined) return;
    for (const p of [...waiting]) {
      if (p.stepping) continue;
      p.stepping = true;
      const r = p.op.step(true);
      p.stepping = false;
      if (r !== null) this.#finish(p, r);
    }
  }

  incoming(listener: Sock, so: Socket): void {
    this.#enqueue(listener, this.#child(so, listener.o));
  }

  #enqueue(sock: Sock, child: Child): void {
    sock.enqueue(child);
    this.#tellHeld(sock);
  }

  /** How many wait, for the listeners of all shards: together they take in what the backlog allows. */
  #tellHeld(sock: Sock): void {
    const { listener } = sock;
    if (listener === null) return;
    const n = sock.queue.length;
    listener.held = n;
    const key = this.#keys.get(sock);
    if (key !== undefined) this.#publish({ kind: 'held', owner: this.shard, key, n });
  }

  listening(sock: Sock, ready: (errno: number) => void): void {
    if (this.#nshards === 1) {
      ready(0);
      return;
    }
    const key = this.#nextKey++;
    this.#keys.set(sock, key);
    this.#listening.set(key, sock);
    this.#opening.set(key, { left: this.#nshards - 1, errno: 0, ready });
    this.#publish({
      kind: 'listen',
      owner: this.shard,
      key,
      sid: sock.sid,
      addr: sock.rcvAddr,
      port: sock.num,
      backlog: sock.backlog,
      o: { ...sock.o },
    });
  }

  unlisten(sock: Sock, children: readonly Child[]): void {
    for (const { shard, sid } of children) {
      const child = shard === this.shard ? this.#socks.get(sid) : undefined;
      if (child !== undefined) this.#discard(child);
    }
    const key = this.#keys.get(sock);
    if (key === undefined) return;
    this.#keys.delete(sock);
    this.#listening.delete(key);
    this.#publish({ kind: 'unlisten', owner: this.shard, key });
  }

  #opened(key: number, errno: number): void {
    const o = this.#opening.get(key);
    if (o === undefined) return;
    o.errno ||= errno;
    if (--o.left > 0) return;
    this.#opening.delete(key);
    o.ready(o.errno);
  }

  #listenFor(key: string, msg: CoreMessage & { kind: 'listen' }): void {
    const { owner } = msg;
    let errno = 0;
    try {
      const at = { addr: msg.addr, port: msg.port, backlog: msg.backlog, reusePort: msg.o.reusePort !== 0 };
      const listener = listen(this.st, at, (so) => {
        const remote = this.#remote.get(key)!;
        const child = this.#child(so, remote.o);
        remote.waiting.add(this.#socks.get(child.sid)!);
        listener.held++;
        this.#publish({ kind: 'child', owner, key: msg.key, child });
        return so.handler;
      });
      listener.limit = msg.backlog;
      setListener(listener, msg.o);
      this.own.set(listener, { shard: owner, sid: msg.sid });
      this.#remote.set(key, { listener, o: msg.o, waiting: new Set() });
    } catch (err) {
      // A socket of this shard has come to listen there at the same time.
      if (!(err instanceof SocketError)) throw err;
      errno = -err.errno;
    }
    this.#publish({ kind: 'listening', owner, key: msg.key, errno });
  }

  #tellOptions(sock: Sock): void {
    const key = this.#keys.get(sock);
    if (key === undefined) return;
    const { backlog } = sock;
    this.#publish({ kind: 'options', owner: this.shard, key, backlog, o: { ...sock.o } });
  }

  /** A socket for a connection that a listener got; it waits to be accepted. */
  #child(so: Socket, o: OptValues): Child {
    const sock = new Sock(this, this.#nextSid++, { ...o });
    this.#socks.set(sock.sid, sock);
    sock.adopt(so);
    sock.waiting = true;
    return { shard: this.shard, sid: sock.sid, faddr: sock.faddr, fport: sock.fport };
  }

  /** A connection that nobody will accept: it is reset. */
  #discard(sock: Sock): void {
    this.#socks.delete(sock.sid);
    sock.so?.abort();
    sock.release();
  }

  // The operations.

  #socket(r: CoreRequest): CoreReply {
    const e = socketRefused(r.a, r.b, r.c);
    if (e !== 0) return failure(e);
    const sock = new Sock(this, this.#nextSid++, optDefaults());
    setFlags(sock, r.b);
    this.#socks.set(sock.sid, sock);
    return { ...success(), made: { shard: this.shard, sid: sock.sid } };
  }

  #bind(sock: Sock, sa: Uint8Array): Reply {
    if (sa.length > L.SOCKADDR_MAX || sa.length < SOCKADDR_IN_LEN) return failure(EINVAL);
    const family = saFamily(sa);
    const addr = saAddr(sa);
    // What some programs leave out is taken for IPv4 where it can mean nothing else.
    if (family !== L.AF_INET && (family !== L.AF_UNSPEC || addr !== 0)) return failure(L.EAFNOSUPPORT);
    return result(sock.bind(addr, saPort(sa)));
  }

  #accept(id: number, sock: Sock, r: CoreRequest, done: (r: CoreReply) => void): void {
    if ((r.a & ~(L.SOCK_CLOEXEC | L.SOCK_NONBLOCK)) !== 0) {
      done(failure(EINVAL));
      return;
    }
    const flags = r.a & L.SOCK_NONBLOCK ? L.O_NONBLOCK : 0;
    const op = new Accept(sock, ({ shard, sid }) => {
      this.#tellHeld(sock);
      if (shard !== this.shard) {
        this.#publish({ kind: 'taken', owner: this.shard, key: this.#keys.get(sock)!, shard, sid, flags });
        return;
      }
      const child = this.#socks.get(sid)!;
      child.waiting = false;
      setFlags(child, r.a);
    });
    this.#run(id, [sock], op, sock.nonBlocking ? 0 : timeout(sock.o.rcvTimeo), done);
  }

  #connect(id: number, sock: Sock, r: CoreRequest, done: (r: CoreReply) => void): void {
    const sa = r.payload;
    if (sa.length < 2 || sa.length > L.SOCKADDR_MAX) {
      done(failure(EINVAL));
      return;
    }
    const long = sa.length >= SOCKADDR_IN_LEN;
    const op = new Connect(sock, saFamily(sa), long ? saAddr(sa) : 0, long ? saPort(sa) : 0, long);
    this.#run(id, [sock], op, sock.nonBlocking ? 0 : timeout(sock.o.sndTimeo), done);
  }

  #receive(id: number, sock: Sock, r: CoreRequest, done: (r: CoreReply) => void): void {
    if (r.a < 0 || (r.op === C.OP_RECVMSG && r.c < 0)) {
      done(failure(EINVAL));
      return;
    }
    const now = sock.nonBlocking || (r.b & L.MSG_DONTWAIT) !== 0;
    const finish = r.op === C.OP_RECV ? done : (reply: CoreReply) => done(withHead(reply));
    this.#run(id, [sock], new Receive(sock, r.a, r.b), now ? 0 : timeout(sock.o.rcvTimeo), finish);
  }

  #send(id: number, sock: Sock, r: CoreRequest, done: (r: CoreReply) => void): void {
    const controllen = r.op === C.OP_SENDMSG ? r.c : 0;
    const { payload } = r;
    let e = 0;
    if (r.b < 0 || r.b > L.SOCKADDR_MAX || controllen < 0) e = EINVAL;
    else if (r.b + controllen > payload.length) {
      done(malformed());
      return;
    } else if (controllen > 0 && !controlOk(payload.subarray(r.b, r.b + controllen))) e = EINVAL;
    if (e !== 0) {
      done(failure(e));
      return;
    }
    const now = sock.nonBlocking || (r.a & L.MSG_DONTWAIT) !== 0;
    const data = payload.subarray(r.b + controllen);
    const opens = (r.a & L.MSG_FASTOPEN) !== 0 || sock.deferred;
    const op = opens ? new FastSend(sock, payload.subarray(0, r.b), data, r.a) : new Send(sock, data, r.a);
    this.#run(id, [sock], op, now ? 0 : timeout(sock.o.sndTimeo), done);
  }

  #close(id: number, sock: Sock, done: (r: CoreReply) => void): void {
    this.#socks.delete(sock.sid);
    if (sock.busy > 0) {
      // Who waits for it has it still; it goes with the last of them.
      sock.dropped = true;
      done(success());
      return;
    }
    const { lingerOn, lingerTime } = sock.o;
    sock.release();
    const us = lingerOn !== 0 && lingerTime > 0 ? lingerTime * 1e6 : 0;
    this.#run(id, [sock], new Linger(sock), us, done);
  }

  /** Does what it can at once, and has the rest wait. @param us how long it may wait, 0 not at all, NEVER for ever */
  #run(id: number, socks: readonly Sock[], op: Operation, us: number, done: (r: CoreReply) => void): void {
    const r = op.step(us !== 0);
    if (r !== null) {
      done(r);
      return;
    }
    const timer = new Timer(() => this.#finish(p, p.op.late()), null);
    const p: Pending = { id, socks, op, timer, done, over: this.#wait(), stepping: false };
    if (us !== NEVER) this.st.wheel.arm(p.timer, us);
    this.#pending.set(id, p);
    for (const s of socks) {
      s.busy++;
      const set = this.#waiting.get(s);
      if (set === undefined) this.#waiting.set(s, new Set([p]));
      else set.add(p);
    }
  }

  #finish(p: Pending, r: CoreReply): void {
    if (!this.#pending.delete(p.id)) return;
    this.st.wheel.cancel(p.timer);
    p.over();
    for (const s of p.socks) {
      s.busy--;
      const set = this.#waiting.get(s);
      set?.delete(p);
      if (set?.size === 0) this.#waiting.delete(s);
    }
    p.done(r);
    for (const s of p.socks) if (s.dropped && s.busy === 0) s.release();
  }

  /** Closes everything: the shard stops. */
  close(): void {
    for (const p of [...this.#pending.values()]) this.#finish(p, p.op.late());
    for (const s of [...this.#socks.values()]) this.#discard(s);
  }
}

function result(e: number): Reply {
  return e === 0 ? success() : failure(e);
}

/** A timeout option in µs as `#run` takes it. */
function timeout(us: number): number {
  return us === 0 ? NEVER : us < 0 ? 0 : us;
}

function setFlags(sock: Sock, type: number): void {
  if (type & L.SOCK_NONBLOCK) sock.fileFlags |= L.O_NONBLOCK;
  if (type & L.SOCK_CLOEXEC) sock.fdFlags |= L.FD_CLOEXEC;
}
