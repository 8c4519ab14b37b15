import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { isIP } from 'node:net';
import { EADDRINUSE, EADDRNOTAVAIL } from '../stack/errno.ts';
import { checkPort, parseIPv4 } from './address.ts';
import { errnoOf, listenError, usageError } from './errors.ts';
import { type AddressInfo, Socket, type SocketOptions } from './socket.ts';
import type { StreamHandler, StreamListener, StreamSocket, Transport } from './transport.ts';

/** Options of a Server; those of a Socket go to every connection that it accepts. */
export type ServerOptions = SocketOptions;

/** Where to listen. */
export interface ListenTo {
  port?: number | string;
  /** IPv4 address; default any. */
  host?: string;
  backlog?: number;
  /** Clients may open with data in their SYN (TCP Fast Open), where net.inet.tcp.fastopen.server_enable is 1. Not in `node:net`. */
  fastOpen?: boolean;
  signal?: AbortSignal;
}

/** What a 'drop' event tells of a connection over `maxConnections`. */
export interface DropInfo {
  localAddress: string;
  localPort: number;
  remoteAddress: string;
  remotePort: number;
}

const DYNAMIC_FIRST = 49152;
const DYNAMIC_PORTS = 65536 - DYNAMIC_FIRST;

/** A connection that nobody wants any more: what it has to say is taken and forgotten. */
const dropped: StreamHandler = {
  connected() {},
  data: (_so, _u8, _off, len) => len,
  writable() {},
  end() {},
  closed() {},
};

/** A listening port of the stack that behaves like `net.Server` of Node. Events: listening, connection, drop, close, error. */
export class Server extends EventEmitter {
  /** Connections above this number are refused with 'drop'; undefined is no limit. */
  maxConnections: number | undefined = undefined;

  readonly #transport: Transport;
  readonly #options: ServerOptions;
  #listener: StreamListener | null = null;
  #host = '0.0.0.0';
  #count = 0;
  #closing = false;

  constructor(transport: Transport, options: ServerOptions = {}, connectionListener?: (socket: Socket) => void) {
    super();
    this.#transport = transport;
    this.#options = options;
    if (connectionListener !== undefined) this.on('connection', connectionListener);
  }

  get listening(): boolean {
    return this.#listener !== null;
  }

  /** Open connections that this server accepted. */
  get connections(): number {
    return this.#count;
  }

  /** `listen(port, host?, backlog?, cb?)` or `listen(options, cb?)`; a failure is an 'error' event, wrong use throws. */
  listen(options: ListenTo, cb?: () => void): this;
  listen(port?: number | string, host?: string, backlog?: number, cb?: () => void): this;
  listen(port?: number | string, host?: string, cb?: () => void): this;
  listen(port?: number | string, backlog?: number, cb?: () => void): this;
  listen(port?: number | string, cb?: () => void): this;
  listen(...args: unknown[]): this {
    const cb = args.findLast((a) => typeof a === 'function') as (() => void) | undefined;
    const first = args[0];
    const to: ListenTo = typeof first === 'object' && first !== null ? first : {};
    const port = checkPort(typeof first === 'object' ? (to.port ?? 0) : typeof first === 'function' ? 0 : (first ?? 0));
    const host = to.host ?? (args.slice(1).find((a) => typeof a === 'string') as string | undefined) ?? '0.0.0.0';
    const backlog = to.backlog ?? (args.slice(1).find((a) => typeof a === 'number') as number | undefined);
    if (this.#listener !== null) {
      throw usageError('ERR_SERVER_ALREADY_LISTEN', 'Listen method has been called more than once without closing.');
    }
    if (cb !== undefined) this.once('listening', cb);
    if (to.signal !== undefined) to.signal.addEventListener('abort', () => this.close(), { once: true });
    // "::" is what callers say for "any" when they think of both families
    const addr = host === '::' ? 0 : parseIPv4(host);
    if (addr === undefined) {
      if (isIP(host) === 0)
        throw usageError('ERR_INVALID_ARG_VALUE', `listen: "${host}" is not an address of this stack`);
      process.nextTick(() => this.emit('error', listenError(EADDRNOTAVAIL, host, port)));
      return this;
    }
    this.#host = host;
    try {
      this.#listener = this.#listen(addr, port, backlog, to.fastOpen);
    } catch (e) {
      const errno = errnoOf(e);
      const err = errno === 0 ? e : listenError(errno, host, port);
      process.nextTick(() => this.emit('error', err));
      return this;
    }
    this.#closing = false;
    process.nextTick(() => {
      if (this.#listener !== null) this.emit('listening');
    });
    return this;
  }

  /** The stack knows no port 0: a free port of the dynamic range (RFC 6335, section 6) is looked for here. */
  #listen(addr: number, port: number, backlog?: number, fastOpen?: boolean): StreamListener {
    const accept = (so: StreamSocket): StreamHandler => this.#accept(so);
    if (port !== 0)
      return this.#transport.listen({ addr, port, backlog, fastOpen, options: this.#options.tcp }, accept);
    const first = randomInt(DYNAMIC_PORTS);
    for (let i = 1; ; i++) {
      try {
        const chosen = DYNAMIC_FIRST + ((first + i) % DYNAMIC_PORTS);
        return this.#transport.listen({ addr, port: chosen, backlog, fastOpen, options: this.#options.tcp }, accept);
      } catch (e) {
        if (errnoOf(e) !== EADDRINUSE || i === DYNAMIC_PORTS) throw e;
      }
    }
  }

  #accept(so: StreamSocket): StreamHandler {
    if (this.maxConnections !== undefined && this.#count >= this.maxConnections) {
      const info: DropInfo = {
        localAddress: so.localAddress,
        localPort: so.localPort,
        remoteAddress: so.remoteAddress,
        remotePort: so.remotePort,
      };
      so.close();
      this.emit('drop', info);
      return dropped;
    }
    this.#count++;
    const socket = new Socket(this.#transport, this.#options, so, this);
    socket.server = this;
    if (this.#options.pauseOnConnect) socket.pause();
    this.emit('connection', socket);
    return socket.handler;
  }

  /** One accepted connection has closed; called by its Socket. */
  connectionGone(): void {
    this.#count--;
    this.#emitCloseIfDrained();
  }

  /** Stops accepting; 'close' and `cb` follow when the last connection has ended. */
  close(cb?: (err?: Error) => void): this {
    if (this.#listener === null) {
      if (cb !== undefined) process.nextTick(cb, usageError('ERR_SERVER_NOT_RUNNING', 'Server is not running.'));
      return this;
    }
    if (cb !== undefined) this.once('close', () => cb());
    this.#listener.close();
    this.#listener = null;
    this.#closing = true;
    this.#emitCloseIfDrained();
    return this;
  }

  #emitCloseIfDrained(): void {
    if (!this.#closing || this.#count > 0) return;
    this.#closing = false;
    process.nextTick(() => this.emit('close'));
  }

  /** Where it listens; null when it does not. */
  address(): AddressInfo | null {
    return this.#listener === null ? null : { address: this.#host, family: 'IPv4', port: this.#listener.port };
  }

  getConnections(cb: (err: Error | null, count: number) => void): this {
    process.nextTick(cb, null, this.#count);
    return this;
  }

  /** No effect: what keeps the process alive is the shard. */
  ref(): this {
    return this;
  }

  /** No effect, see `ref`. */
  unref(): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.close(() => resolve()));
  }
}
