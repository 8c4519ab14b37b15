import { lookup as dnsLookup } from 'node:dns';
import { isIP } from 'node:net';
import { Duplex } from 'node:stream';
import { EPIPE } from '../stack/errno.ts';
import type { SockOptName, SockOptValues } from '../stack/socket/sockopt.ts';
import { checkPort, parseIPv4 } from './address.ts';
import { connectError, errnoOf, ioError, usageError } from './errors.ts';
import type { StreamHandler, StreamSocket, Transport } from './transport.ts';

/** EAFNOSUPPORT: an address of a family that the stack does not speak. */
const EAFNOSUPPORT = 97;

/** Options of a Socket; those of `node:net` that make sense on a stack of our own. */
export interface SocketOptions {
  /** Keep the writing side open after the peer's FIN. Default false. */
  allowHalfOpen?: boolean;
  highWaterMark?: number;
  noDelay?: boolean;
  keepAlive?: boolean;
  /** Milliseconds of silence before the first keepalive probe; 0 leaves the stack's own. */
  keepAliveInitialDelay?: number;
  /** Options of the stack's TCP that node:net has none for: user timeout, linger, keepalive times, TCP_NOPUSH … (sockopt.ts). */
  tcp?: Partial<SockOptValues>;
  /** Take no byte from the stack before the first `resume()` or `read()`. */
  pauseOnConnect?: boolean;
  signal?: AbortSignal;
}

/** Resolves a host name as `dns.lookup` does; only IPv4 is asked for. */
export type Lookup = (
  host: string,
  options: { family: 4 },
  callback: (err: Error | null, address: string, family: number) => void,
) => void;

/** Where to connect to. */
export interface ConnectTo extends SocketOptions {
  port: number | string;
  /** IPv4 address or name. Default 127.0.0.1, as `node:net` has it, which a stack reaches only if it has that route. */
  host?: string;
  localAddress?: string;
  localPort?: number;
  /** Idle time as for `setTimeout`. */
  timeout?: number;
  /**
   * TCP Fast Open: what is written in the same turn rides on the SYN, where the server's cookie is known. For requests that may arrive
   * twice (RFC 7413 section 6.3.1). Not in `node:net`.
   */
  fastOpen?: boolean;
  /** With `fastOpen`, to a server with net.inet.tcp.fastopen.psk_enable: a key of 16 bytes that it knows. Not in `node:net`. */
  fastOpenPsk?: Uint8Array;
  lookup?: Lookup;
}

/** What `address()` tells. */
export interface AddressInfo {
  address: string;
  family: string;
  port: number;
}

/** What a Socket needs of the server that accepted it. */
export interface ConnectionOwner {
  connectionGone(): void;
}

/** A TCP connection of the stack as a Duplex that behaves like `net.Socket` of Node. Made by `connect` or by a Server. */
export class Socket extends Duplex {
  /** True from `connect()` until 'connect'. */
  connecting = false;
  /** The http module stores its server here. */
  server: unknown = undefined;
  /** Milliseconds as given to `setTimeout`; undefined when never set. */
  timeout: number | undefined = undefined;

  readonly #transport: Transport;
  #so: StreamSocket | null = null;
  #owner: ConnectionOwner | null = null;
  /** Opened with Fast Open: what is written does not wait for the handshake. */
  #early = false;
  /** The last push() filled the read buffer: nothing more is taken before _read(). */
  #paused = false;
  #bytesRead = 0;
  #bytesDone = 0;
  /** The write in progress: its rest and its callback. */
  #rest: Buffer | null = null;
  #restOff = 0;
  #restDone: ((err?: Error | null) => void) | null = null;
  #noDelay: boolean;
  #keepAlive: boolean;
  #keepAliveDelay: number;
  #tcp: Partial<SockOptValues>;
  #reset = false;
  /** The peer's FIN was read and half-open is not allowed. */
  #endedByPeer = false;
  #timer: NodeJS.Timeout | null = null;
  #local: AddressInfo | null = null;
  #remote: AddressInfo | null = null;

  /** `accepted` is an established connection and `owner` the server that counts it; without them the socket is for `connect()`. */
  constructor(transport: Transport, options: SocketOptions = {}, accepted?: StreamSocket, owner?: ConnectionOwner) {
    super({
      allowHalfOpen: options.allowHalfOpen ?? false,
      autoDestroy: true,
      // 'close' carries hadError and is emitted by _destroy, as in node:net
      emitClose: false,
      highWaterMark: options.highWaterMark,
      signal: options.signal,
    });
    this.#transport = transport;
    this.#noDelay = options.noDelay ?? false;
    this.#keepAlive = options.keepAlive ?? false;
    this.#keepAliveDelay = options.keepAliveInitialDelay ?? 0;
    this.#tcp = options.tcp ?? {};
    this.on('end', this.#onEnd);
    if (accepted !== undefined) {
      this.#owner = owner ?? null;
      this.#paused = options.pauseOnConnect ?? false;
      this.#attach(accepted);
      this.#established();
    }
  }

  /** The events of this connection's control block end: what the transport is to call. */
  readonly handler: StreamHandler = {
    connected: () => this.#connected(),
    data: (_so, u8, off, len) => this.#data(u8, off, len),
    writable: () => this.#continueWrite(),
    end: () => this.#fin(),
    closed: (_so, errno) => this.#closed(errno),
  };

  /** Opens a connection: `connect(port, host?, cb)` or `connect(options, cb)`; `cb` hears 'connect'. */
  connect(options: ConnectTo, cb?: () => void): this;
  connect(port: number | string, host?: string, cb?: () => void): this;
  connect(port: number | string, cb?: () => void): this;
  connect(a: ConnectTo | number | string, b?: string | (() => void), c?: () => void): this {
    const to: ConnectTo = typeof a === 'object' ? a : { port: a };
    if (typeof b === 'string') to.host = b;
    const cb = typeof b === 'function' ? b : c;
    const port = checkPort(to.port);
    if (this.#so !== null || this.connecting) throw usageError('EISCONN', 'the socket is already connected');
    if (cb !== undefined) this.once('connect', cb);
    if (to.timeout !== undefined) this.setTimeout(to.timeout);
    if (to.noDelay !== undefined) this.#noDelay = to.noDelay;
    if (to.keepAlive !== undefined) this.#keepAlive = to.keepAlive;
    if (to.keepAliveInitialDelay !== undefined) this.#keepAliveDelay = to.keepAliveInitialDelay;
    if (to.tcp !== undefined) this.#tcp = to.tcp;
    this.connecting = true;
    this.#touch();
    const host = to.host ?? '127.0.0.1';
    if (isIP(host) !== 0) {
      this.#open(host, port, to);
      return this;
    }
    const lookup: Lookup = to.lookup ?? dnsLookup;
    lookup(host, { family: 4 }, (err, address, family) => {
      this.emit('lookup', err, address, family, host);
      if (!this.connecting) return;
      if (err !== null) this.destroy(err);
      else this.#open(address, port, to);
    });
    return this;
  }

  #open(address: string, port: number, to: ConnectTo): void {
    const faddr = parseIPv4(address);
    const laddr = to.localAddress === undefined ? undefined : parseIPv4(to.localAddress);
    const local = `${to.localAddress ?? '0.0.0.0'}:${to.localPort ?? 0}`;
    if (faddr === undefined || (to.localAddress !== undefined && laddr === undefined)) {
      process.nextTick(() => this.destroy(connectError(EAFNOSUPPORT, address, port, local)));
      return;
    }
    this.#remote = { address, family: 'IPv4', port };
    this.#transport.enter();
    try {
      const fastOpen = to.fastOpen ?? false;
      const { fastOpenPsk } = to;
      const ends = { faddr, fport: port, laddr, lport: to.localPort, fastOpen, fastOpenPsk, options: this.#tcp };
      const so = this.#transport.connect(ends, this.handler);
      this.#attach(so);
      this.#early = fastOpen;
      // what was written while the name was looked up
      if (fastOpen && this.#rest !== null) this.#continueWrite();
    } catch (e) {
      const errno = errnoOf(e);
      const err = errno === 0 ? (e as Error) : connectError(errno, address, port, local);
      process.nextTick(() => this.destroy(err));
    }
  }

  #attach(so: StreamSocket): void {
    this.#so = so;
    so.ctx = this;
    if (this.#noDelay) so.setNoDelay(true);
    if (this.#keepAlive) so.setKeepAlive(true, this.#keepAliveDelay);
  }

  #established(): void {
    const so = this.#so;
    if (so === null) return;
    this.#local = { address: so.localAddress, family: 'IPv4', port: so.localPort };
    this.#remote = { address: so.remoteAddress, family: 'IPv4', port: so.remotePort };
  }

  #connected(): void {
    if (!this.connecting || this.destroyed) return;
    this.connecting = false;
    this.#established();
    this.#touch();
    this.emit('connect');
    this.emit('ready');
    if (this.#rest !== null) this.#continueWrite();
    if (!this.isPaused()) this.read(0);
  }

  #data(u8: Uint8Array, off: number, len: number): number {
    // a destroyed socket has no reader: taking the bytes lets the FIN behind them come through
    if (this.destroyed) return len;
    if (this.#paused) return 0;
    this.#touch();
    const copy = Buffer.allocUnsafe(len);
    copy.set(off === 0 && len === u8.length ? u8 : u8.subarray(off, off + len));
    this.#bytesRead += len;
    if (!this.push(copy)) this.#paused = true;
    return len;
  }

  #fin(): void {
    if (this.destroyed) return;
    this.#touch();
    this.push(null);
    this.read(0);
  }

  #onEnd(): void {
    // Duplex itself answers with end() when half-open is not allowed
    if (!this.allowHalfOpen) this.#endedByPeer = true;
  }

  override write(chunk: unknown, cb?: (err?: Error | null) => void): boolean;
  override write(chunk: unknown, encoding?: BufferEncoding, cb?: (err?: Error | null) => void): boolean;
  override write(
    chunk: unknown,
    a?: BufferEncoding | ((err?: Error | null) => void),
    b?: (err?: Error | null) => void,
  ): boolean {
    if (!this.#endedByPeer) return typeof a === 'function' ? super.write(chunk, a) : super.write(chunk, a ?? 'utf8', b);
    const err = usageError('EPIPE', 'This socket has been ended by the other party');
    const cb = typeof a === 'function' ? a : b;
    if (cb !== undefined) process.nextTick(cb, err);
    this.destroy(err);
    return false;
  }

  #closed(errno: number): void {
    const connecting = this.connecting;
    this.#so = null;
    if (this.destroyed) return;
    if (errno === 0) {
      if (this.#rest !== null) this.#finishWrite(ioError('write', EPIPE));
      if (!this.readableEnded) this.#fin();
      return;
    }
    if (connecting) this.destroy(connectError(errno, this.#remote?.address ?? '', this.#remote?.port ?? 0));
    else this.destroy(ioError(this.#rest !== null ? 'write' : 'read', errno));
  }

  override _read(): void {
    if (this.connecting) {
      this.#paused = false;
      return;
    }
    if (!this.#paused) return;
    this.#paused = false;
    const so = this.#so;
    if (so === null) return;
    this.#transport.enter();
    so.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, cb: (err?: Error | null) => void): void {
    this.#rest = chunk;
    this.#restOff = 0;
    this.#restDone = cb;
    if (this.connecting && !this.#early) return;
    this.#transport.enter();
    this.#continueWrite();
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], cb: (err?: Error | null) => void): void {
    // one send for a head and its body: two would be two segments, the second held back by Nagle
    this._write(
      chunks.length === 1 && chunks[0] ? chunks[0].chunk : Buffer.concat(chunks.map((c) => c.chunk)),
      'utf8',
      cb,
    );
  }

  #continueWrite(): void {
    const rest = this.#rest;
    if (rest === null) return;
    if (this.#so === null) {
      this.#finishWrite(ioError('write', EPIPE));
      return;
    }
    const n = this.#so.send(rest, this.#restOff, rest.length - this.#restOff);
    if (n < 0) {
      this.#finishWrite(ioError('write', -n));
      return;
    }
    if (n > 0) this.#touch();
    this.#restOff += n;
    if (this.#restOff === rest.length) {
      this.#bytesDone += rest.length;
      this.#finishWrite(null);
    }
  }

  #finishWrite(err: Error | null): void {
    const done = this.#restDone;
    this.#rest = null;
    this.#restDone = null;
    done?.(err);
  }

  override _final(cb: (err?: Error | null) => void): void {
    if (this.connecting) {
      this.once('connect', () => this._final(cb));
      return;
    }
    if (this.#so !== null) {
      this.#transport.enter();
      this.#so.shutdown();
    }
    cb();
  }

  override _destroy(err: Error | null, cb: (err?: Error | null) => void): void {
    this.connecting = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const so = this.#so;
    this.#so = null;
    if (so !== null) {
      this.#transport.enter();
      if (this.#reset) so.abort();
      else so.close();
    }
    const done = this.#restDone;
    this.#rest = null;
    this.#restDone = null;
    cb(err);
    done?.(err ?? usageError('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed'));
    const owner = this.#owner;
    this.#owner = null;
    process.nextTick(() => {
      this.emit('close', err !== null);
      owner?.connectionGone();
    });
  }

  /** Ends the writing side and destroys the socket once all is handed to the stack. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', this.destroy);
  }

  /** Destroys the socket with a RST instead of a FIN. */
  resetAndDestroy(): this {
    if (this.#so === null && !this.connecting) {
      this.destroy(usageError('ERR_SOCKET_CLOSED', 'Socket is closed'));
      return this;
    }
    this.#reset = true;
    return this.destroy();
  }

  /** Emits 'timeout' after `ms` without a byte in or out; 0 turns it off. The connection stays as it is. */
  setTimeout(ms: number, cb?: () => void): this {
    if (this.destroyed) return this;
    this.timeout = ms;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (ms === 0) {
      if (cb !== undefined) this.removeListener('timeout', cb);
      return this;
    }
    this.#timer = setTimeout(() => this.emit('timeout'), ms).unref();
    if (cb !== undefined) this.once('timeout', cb);
    return this;
  }

  #touch(): void {
    if (this.#timer !== null) this.#timer.refresh();
  }

  /** Turns Nagle's algorithm off. */
  setNoDelay(noDelay = true): this {
    this.#noDelay = noDelay;
    this.#so?.setNoDelay(noDelay);
    return this;
  }

  /** Turns keepalive probes on after `initialDelay` ms of silence. */
  setKeepAlive(enable = false, initialDelay = 0): this {
    this.#keepAlive = enable;
    this.#keepAliveDelay = initialDelay;
    this.#so?.setKeepAlive(enable, initialDelay);
    return this;
  }

  /**
   * Sets options of the stack's TCP that `node:net` has no call for (SockOptValues); before `connect` they hold from the SYN on. Throws
   * an Error with `code` EINVAL when one is refused, once there is a connection; before that the attempt to connect fails with it.
   */
  setTcpOptions(changes: Partial<SockOptValues>): this {
    this.#so?.setOptions?.(changes);
    this.#tcp = { ...this.#tcp, ...changes };
    return this;
  }

  /** The value of such an option that is in force, the stack's default where none was set; undefined while there is no connection. */
  getTcpOption<N extends SockOptName>(name: N): SockOptValues[N] | undefined {
    return this.#so?.getOption?.(name);
  }

  /** No effect: what keeps the process alive is the shard, not a connection of it. */
  ref(): this {
    return this;
  }

  /** No effect, see `ref`. */
  unref(): this {
    return this;
  }

  /** The local end, or {} before there is one. */
  address(): AddressInfo | Record<string, never> {
    return this.#local === null ? {} : { ...this.#local };
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes given to write() and not failed, those still buffered here included. */
  get bytesWritten(): number {
    return this.#bytesDone + this.writableLength;
  }

  /** No connection yet, or not any more. */
  get pending(): boolean {
    return this.#so === null || this.connecting;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get localAddress(): string | undefined {
    return this.#local?.address;
  }

  get localPort(): number | undefined {
    return this.#local?.port;
  }

  get localFamily(): string | undefined {
    return this.#local?.family;
  }

  get remoteAddress(): string | undefined {
    return this.connecting ? undefined : this.#remote?.address;
  }

  get remotePort(): number | undefined {
    return this.connecting ? undefined : this.#remote?.port;
  }

  get remoteFamily(): string | undefined {
    return this.connecting ? undefined : this.#remote?.family;
  }
}
