/** Recording users of the callback API for tests: what was received, what happened, in order. */

import { type Listener, listen } from '../../src/stack/socket/listener.ts';
import { connect, type Socket, type SocketHandler } from '../../src/stack/socket/socket.ts';
import type { Side } from './twostacks.ts';

export class Recorder implements SocketHandler {
  readonly events: string[] = [];
  /** Faults that the connection survived. */
  readonly softErrors: number[] = [];
  readonly #chunks: Uint8Array[] = [];
  received = 0;
  so: Socket | null = null;
  /** Bytes that `data` takes at most until `resume`; Infinity takes all. */
  appetite = Number.POSITIVE_INFINITY;
  /** Bytes still to send, and the position of the next. */
  #out: Uint8Array | null = null;
  #outAt = 0;
  #thenShutdown = false;
  onEnd: (() => void) | null = null;
  keep = true;

  connected(so: Socket): void {
    this.so = so;
    this.events.push('connected');
    this.#pump();
  }
  data(_so: Socket, u8: Uint8Array, off: number, len: number): number {
    const n = Math.min(len, this.appetite);
    if (this.keep) this.#chunks.push(u8.slice(off, off + n));
    this.received += n;
    this.appetite -= n;
    return n;
  }
  writable(_so: Socket): void {
    this.#pump();
  }
  urgent(so: Socket): void {
    this.events.push(`urgent ${so.urgentAhead}`);
  }
  softError(_so: Socket, errno: number): void {
    this.softErrors.push(errno);
  }
  end(_so: Socket): void {
    this.events.push('end');
    this.onEnd?.();
  }
  closed(_so: Socket, errno: number): void {
    this.events.push(`closed ${errno}`);
  }

  /** Sends all of `bytes`, and FIN after it when asked. */
  sendAll(bytes: Uint8Array, thenShutdown = false): void {
    this.#out = bytes;
    this.#outAt = 0;
    this.#thenShutdown = thenShutdown;
    if (this.so !== null) this.#pump();
  }

  #pump(): void {
    const out = this.#out;
    if (out === null) return;
    while (this.#outAt < out.length) {
      const n = this.so!.send(out, this.#outAt, out.length - this.#outAt);
      if (n <= 0) return;
      this.#outAt += n;
    }
    this.#out = null;
    if (this.#thenShutdown) this.so!.shutdown();
  }

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#chunks));
  }

  has(event: string): boolean {
    return this.events.includes(event);
  }
}

/** Listens on `port`; each accepted connection gets a recorder, pushed to the list. */
export function serve(
  s: Side,
  port: number,
  accepted: Recorder[],
  make: () => Recorder = () => new Recorder(),
): Listener {
  return listen(s.st, { port }, () => {
    const r = make();
    accepted.push(r);
    return r;
  });
}

export function open(s: Side, faddr: number, fport: number, lport = 0): Recorder {
  const r = new Recorder();
  r.so = null;
  const so = connect(s.st, { faddr, fport, lport }, r);
  r.so ??= so;
  return r;
}

/** Bytes that differ at every position, so that a shift or a loss shows. */
export function pattern(n: number): Uint8Array {
  const u = new Uint8Array(n);
  for (let i = 0; i < n; i++) u[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff;
  return u;
}
