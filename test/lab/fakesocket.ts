import type {
  ConnectOptions,
  ListenOptions,
  StreamHandler,
  StreamListener,
  StreamSocket,
  Transport,
} from '../../src/net/transport.ts';
import { EADDRINUSE, ECONNABORTED, ECONNREFUSED, ECONNRESET, EPIPE } from '../../src/stack/errno.ts';

/**
 * A TCP in memory for unit tests: sockets with limited buffers, events delivered from the event loop in pieces of a segment. The bytes
 * that `data` shows are overwritten when it returns, as the frames of the real stack are.
 */

const SEGMENT = 1448;

function quad(addr: number): string {
  return [24, 16, 8, 0].map((s) => (addr >>> s) & 255).join('.');
}

/** One end of a connection. */
export class FakeSocket implements StreamSocket {
  handler: StreamHandler;
  ctx: unknown = null;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  tp: { snd_rexmitpack: number } | null = { snd_rexmitpack: 0 };
  noDelay = false;
  keepAlive = false;
  /** What reached this end as RST: seen by tests. */
  gotReset = false;
  sndMax: number;
  rcvMax: number;
  peer: FakeSocket | null = null;
  readonly net: FakeNet;
  snd: Buffer = Buffer.alloc(0);
  rcv: Buffer = Buffer.alloc(0);
  wanted = false;
  finQueued = false;
  finSent = false;
  finSeen = false;
  endTold = false;
  detached = false;
  gone = false;

  constructor(net: FakeNet, handler: StreamHandler, local: [string, number], remote: [string, number]) {
    this.net = net;
    this.handler = handler;
    [this.localAddress, this.localPort] = local;
    [this.remoteAddress, this.remotePort] = remote;
    this.sndMax = net.buffer;
    this.rcvMax = net.buffer;
  }

  get sendSpace(): number {
    return this.finQueued || this.gone ? 0 : Math.max(0, this.sndMax - this.snd.length);
  }

  get sendQueued(): number {
    return this.snd.length;
  }

  send(u8: Uint8Array, off: number, len: number): number {
    if (this.finQueued || this.gone) return -EPIPE;
    const n = Math.min(len, this.sendSpace);
    this.snd = Buffer.concat([this.snd, u8.subarray(off, off + n)]);
    if (n < len) this.wanted = true;
    this.net.kick();
    return n;
  }

  resume(): void {
    this.offer();
  }

  shutdown(): void {
    this.finQueued = true;
    this.net.kick();
  }

  close(): void {
    this.detached = true;
    this.rcv = Buffer.alloc(0);
    this.shutdown();
  }

  abort(): void {
    const peer = this.peer;
    this.die(ECONNABORTED);
    if (peer !== null) peer.gotReset = true;
    peer?.die(ECONNRESET);
  }

  setNoDelay(on: boolean): void {
    this.noDelay = on;
  }

  setKeepAlive(on: boolean): void {
    this.keepAlive = on;
  }

  setBuffers(snd: number, rcv: number): void {
    this.sndMax = snd;
    this.rcvMax = rcv;
  }

  /** The connection is over: `closed` comes from the event loop. */
  die(errno: number): void {
    if (this.gone) return;
    this.gone = true;
    this.tp = null;
    this.net.later(() => this.handler.closed(this, errno));
  }

  offer(): void {
    while (!this.gone && !this.detached && this.rcv.length > 0) {
      const len = Math.min(SEGMENT, this.rcv.length);
      const view = new Uint8Array(len + 14);
      view.set(this.rcv.subarray(0, len), 14);
      const n = this.handler.data(this, view, 14, len);
      view.fill(0xee);
      this.rcv = this.rcv.subarray(n);
      if (n < len) {
        this.net.kick();
        return;
      }
    }
    if (this.finSeen && !this.endTold && !this.gone && this.rcv.length === 0) {
      this.endTold = true;
      if (!this.detached) this.handler.end(this);
    }
  }

  /** One step of the emulated wire; true when it did something. */
  step(): boolean {
    const peer = this.peer;
    if (this.gone || peer === null || peer.gone) return false;
    let moved = false;
    const room = peer.rcvMax - peer.rcv.length;
    const n = Math.min(room, this.snd.length);
    if (n > 0) {
      moved = true;
      if (peer.detached) {
        peer.die(0);
        this.gotReset = true;
        this.die(ECONNRESET);
        return true;
      }
      const grew = peer.rcv.length === 0;
      peer.rcv = Buffer.concat([peer.rcv, this.snd.subarray(0, n)]);
      this.snd = this.snd.subarray(n);
      // bytes that were refused wait for resume(), as in the real stack
      if (grew) peer.offer();
      if (this.wanted && !this.gone) {
        this.wanted = false;
        this.handler.writable(this);
      }
    }
    if (this.finQueued && !this.finSent && this.snd.length === 0 && !this.gone) {
      moved = true;
      this.finSent = true;
      peer.finSeen = true;
      peer.offer();
    }
    if (this.finSent && peer.finSent && (this.endTold || this.detached) && (peer.endTold || peer.detached)) {
      this.die(0);
      peer.die(0);
    }
    return moved;
  }
}

interface Listening extends StreamListener {
  shard: number;
  accept: (so: StreamSocket) => StreamHandler;
}

/** The network that fake sockets live in; `host(addr)` is a Transport. */
export class FakeNet {
  readonly sockets: FakeSocket[] = [];
  readonly listeners = new Map<string, Listening[]>();
  /** Bytes of send and receive buffer of new sockets. */
  buffer = 8192;
  /** Which of the listeners that share a port the next connection comes to (modulo their number), as RSS chooses a queue. */
  turn = 0;
  private nextPort = 40000;
  private kicked = false;

  later(fn: () => void): void {
    setImmediate(fn);
  }

  kick(): void {
    if (this.kicked) return;
    this.kicked = true;
    setImmediate(() => {
      this.kicked = false;
      let moved = false;
      for (let i = 0; i < this.sockets.length; i++) if (this.sockets[i]!.step()) moved = true;
      if (moved) this.kick();
    });
  }

  /** A TCP at `addr` (dotted quad). With `shard` one of several that share the address and its ports. */
  host(addr: string, shard = -1): Transport & { entered: number } {
    const net = this;
    return {
      entered: 0,
      enter() {
        this.entered++;
      },
      listen(opts: ListenOptions, accept: (so: StreamSocket) => StreamHandler): StreamListener {
        const { port } = opts;
        const key = `${addr}:${port}`;
        const group = net.listeners.get(key) ?? [];
        if (group.some((g) => g.shard === shard)) {
          throw Object.assign(new Error('in use'), { code: 'EADDRINUSE', errno: EADDRINUSE });
        }
        const close = (): void => {
          group.splice(group.indexOf(l), 1);
          if (group.length === 0) net.listeners.delete(key);
        };
        const l: Listening = { port, shard, accept, close };
        group.push(l);
        net.listeners.set(key, group);
        return l;
      },
      connect(opts: ConnectOptions, handler: StreamHandler): StreamSocket {
        const to = quad(opts.faddr);
        const lport = opts.lport ?? net.nextPort++;
        const so = new FakeSocket(net, handler, [addr, lport], [to, opts.fport]);
        const turn = net.turn++;
        net.later(() => net.establish(so, to, turn));
        return so;
      },
    };
  }

  private establish(so: FakeSocket, to: string, turn: number): void {
    if (so.gone || so.detached) return;
    const group = this.listeners.get(`${to}:${so.remotePort}`);
    if (group === undefined) {
      so.die(ECONNREFUSED);
      return;
    }
    const l = group[turn % group.length]!;
    const nobody = null as unknown as StreamHandler;
    const other = new FakeSocket(this, nobody, [to, so.remotePort], [so.localAddress, so.localPort]);
    so.peer = other;
    other.peer = so;
    this.sockets.push(so, other);
    other.handler = l.accept(other);
    other.handler.connected(other);
    so.handler.connected(so);
    this.kick();
  }
}
