import { connect, createServer, type Server, type Socket } from 'node:net';
import { UL } from '../../metrics/ulinkkv.ts';
import type { UnixLink } from './link.ts';
import { type SocketFile, socketFile } from './socket-file.ts';

/**
 * The socket of a Unix link: listens for a peer, or connects to one and does so again when it has gone. One peer at a time.
 */

/** First and longest pause between two attempts to connect, ms; it doubles with each that fails or does not last. */
const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 2000;
/** A connection that lasted so long was one, ms: the next attempt comes at once. */
const LASTED_MS = 1000;
/**
 * How long a second connection waits for the first to turn out dead, ms: of a peer that was killed and started again the new connection
 * may be seen before the end of the old one.
 */
const REPLACE_MS = 200;

export interface UnixPortOptions {
  /** Interface, for messages. */
  readonly name: string;
  readonly path: string;
  readonly role: 'server' | 'client';
  readonly link: UnixLink;
  /** The link's counter block. */
  readonly counters: Float64Array;
  /** The link went up or down; `why` is empty for up. */
  readonly changed: (up: boolean, why: string) => void;
}

export class UnixPort {
  readonly #o: UnixPortOptions;
  #server: Server | null;
  #file: SocketFile | null;
  /** Connections that wait for the place of the present peer, with what gives it to them. */
  readonly #heirs: Map<Socket, () => void>;
  #attempt: Socket | null;
  #timer: NodeJS.Timeout | null;
  #pause: number;
  /** When the present peer came, ms of performance.now(). */
  #since: number;
  #closed: boolean;

  constructor(o: UnixPortOptions) {
    this.#o = o;
    this.#server = null;
    this.#file = null;
    this.#heirs = new Map();
    this.#attempt = null;
    this.#timer = null;
    this.#pause = RETRY_FIRST_MS;
    this.#since = 0;
    this.#closed = false;
    o.link.onDown = (why) => this.#down(why);
  }

  /** Listens, or begins to connect, which may take for ever. Throws DriverError where it cannot listen. */
  async open(): Promise<void> {
    if (this.#o.role === 'client') this.#connect();
    else await this.#listen();
  }

  /** Ends it all and takes the socket file away. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#o.link.onDown = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#attempt?.destroy();
    for (const s of this.#heirs.keys()) s.destroy();
    this.#o.link.disconnect('closed');
    this.#server?.close();
    this.#file?.remove();
  }

  async #listen(): Promise<void> {
    const server = createServer((s) => this.#accept(s));
    this.#file = await socketFile(server, this.#o.path);
    // What goes wrong with one accept says nothing about the next.
    server.on('error', () => {});
    this.#server = server;
  }

  #accept(s: Socket): void {
    if (this.#closed) {
      s.destroy();
      return;
    }
    if (!this.#o.link.up) {
      this.#up(s);
      return;
    }
    const heirs = this.#heirs;
    const refuse = (): void => {
      if (!heirs.delete(s)) return;
      clearTimeout(timer);
      const { counters } = this.#o;
      counters[UL.REFUSED] = counters[UL.REFUSED]! + 1;
      s.destroy();
    };
    const timer = setTimeout(refuse, REPLACE_MS);
    s.on('error', refuse);
    s.once('close', refuse);
    heirs.set(s, () => {
      clearTimeout(timer);
      heirs.delete(s);
      s.off('error', refuse);
      s.off('close', refuse);
      this.#up(s);
    });
  }

  #connect(): void {
    this.#timer = null;
    const s = connect(this.#o.path);
    this.#attempt = s;
    const failed = (): void => {
      this.#attempt = null;
      const { counters } = this.#o;
      counters[UL.CONNECT_ERRORS] = counters[UL.CONNECT_ERRORS]! + 1;
      this.#again();
    };
    s.once('error', failed);
    s.once('connect', () => {
      s.off('error', failed);
      this.#attempt = null;
      this.#up(s);
    });
  }

  #again(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#connect(), this.#pause);
    this.#pause = Math.min(2 * this.#pause, RETRY_MOST_MS);
  }

  #up(s: Socket): void {
    this.#since = performance.now();
    this.#o.link.connect(s);
    this.#o.changed(true, '');
  }

  #down(why: string): void {
    this.#o.changed(false, why);
    if (this.#o.role === 'server') {
      this.#heirs.values().next().value?.();
      return;
    }
    if (performance.now() - this.#since >= LASTED_MS) this.#pause = RETRY_FIRST_MS;
    this.#again();
  }
}
