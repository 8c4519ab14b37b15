import { once } from 'node:events';
import net from 'node:net';
import { constants } from 'node:os';
import type {
  ConnectOptions,
  ListenOptions,
  StreamHandler,
  StreamListener,
  StreamSocket,
  Transport,
} from '../../src/net/transport.ts';
import { EPIPE } from '../../src/stack/errno.ts';

/** The callback API on the kernel's TCP over loopback: real client programs can judge a service before, and without, our stack. */

/** Bytes of send buffer that are reported; the kernel's own buffer comes on top. */
const SNDBUF = 256 * 1024;

class NodeSocket implements StreamSocket {
  handler!: StreamHandler;
  ctx: unknown = null;
  tp: { snd_rexmitpack: number } | null = { snd_rexmitpack: 0 };
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly s: net.Socket;
  kept: Buffer[] = [];
  wanted = false;
  ended = false;
  detached = false;
  done = false;
  errno = 0;

  constructor(s: net.Socket) {
    this.s = s;
    this.localAddress = s.localAddress ?? '';
    this.localPort = s.localPort ?? 0;
    this.remoteAddress = s.remoteAddress ?? '';
    this.remotePort = s.remotePort ?? 0;
    s.on('data', (b) => {
      if (this.detached) return;
      this.kept.push(b);
      if (this.kept.length === 1) this.resume();
      if (this.kept.length > 0) s.pause();
    });
    s.on('end', () => {
      this.ended = true;
      this.resume();
    });
    s.on('drain', () => {
      if (this.wanted && !this.detached) {
        this.wanted = false;
        this.handler.writable(this);
      }
    });
    s.on('error', (e: NodeJS.ErrnoException) => {
      this.errno = Math.abs(e.errno ?? constants.errno.ECONNRESET);
    });
    s.on('close', () => {
      this.tp = null;
      this.handler.closed(this, this.errno);
    });
  }

  get sendSpace(): number {
    return Math.max(0, SNDBUF - this.s.writableLength);
  }

  get sendQueued(): number {
    return this.s.writableLength;
  }

  send(u8: Uint8Array, off: number, len: number): number {
    if (this.s.writableEnded || this.s.destroyed) return -EPIPE;
    const n = Math.min(len, this.sendSpace);
    if (n < len) this.wanted = true;
    if (n > 0) this.s.write(Buffer.from(u8.subarray(off, off + n)));
    return n;
  }

  resume(): void {
    while (this.kept.length > 0 && !this.detached) {
      const b = this.kept[0]!;
      const n = this.handler.data(this, b, 0, b.length);
      if (n < b.length) {
        this.kept[0] = b.subarray(n);
        return;
      }
      this.kept.shift();
    }
    if (this.s.isPaused()) this.s.resume();
    if (this.ended && !this.done && !this.detached) {
      this.done = true;
      this.handler.end(this);
    }
  }

  shutdown(): void {
    this.s.end();
  }

  close(): void {
    this.detached = true;
    this.s.destroySoon();
  }

  abort(): void {
    this.detached = true;
    this.s.resetAndDestroy();
  }

  setNoDelay(on: boolean): void {
    this.s.setNoDelay(on);
  }

  setKeepAlive(on: boolean, idleMs: number): void {
    this.s.setKeepAlive(on, idleMs);
  }

  setBuffers(): void {}
}

/**
 * A Transport on 127.0.0.1. Whatever port a service asks for, the kernel chooses a free one; what further shards `listen` to joins it,
 * and connections are dealt out to them in turn.
 */
export class NodeTransport implements Transport {
  private readonly accepts: ((so: StreamSocket) => StreamHandler)[] = [];
  private server: net.Server | null = null;
  private turn = 0;

  enter(): void {}

  /** The port that the kernel chose. */
  async port(): Promise<number> {
    if (this.server === null) throw new Error('nobody listens');
    if (!this.server.listening) await once(this.server, 'listening');
    return (this.server.address() as net.AddressInfo).port;
  }

  listen(opts: ListenOptions, accept: (so: StreamSocket) => StreamHandler): StreamListener {
    this.accepts.push(accept);
    if (this.server === null) {
      this.server = net.createServer({ allowHalfOpen: true }, (s) => {
        const so = new NodeSocket(s);
        const take = this.accepts[this.turn++ % this.accepts.length]!;
        so.handler = take(so);
        so.handler.connected(so);
      });
      this.server.listen(0, '127.0.0.1');
    }
    return { port: opts.port, close: () => this.server?.close() };
  }

  connect(opts: ConnectOptions, handler: StreamHandler): StreamSocket {
    const s = net.connect({ port: opts.fport, host: '127.0.0.1', allowHalfOpen: true });
    const so = new NodeSocket(s);
    so.handler = handler;
    s.on('connect', () => handler.connected(so));
    return so;
  }
}
