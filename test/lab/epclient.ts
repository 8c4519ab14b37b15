import type { Client } from '../../src/endpoint/client.ts';
import * as C from '../../src/endpoint/codec.ts';
import { Core } from '../../src/endpoint/core.ts';
import { Endpoint, type Peer } from '../../src/endpoint/endpoint.ts';
import { sockaddrIn } from '../../src/endpoint/sockaddr.ts';
import { COUNTER_SLOTS } from '../../src/metrics/layout.ts';
import type { Stack } from '../../src/stack/stack.ts';
import { TwoStacks } from './twostacks.ts';

/** An answer, as the client reads it. */
export interface Answer {
  readonly ret: number;
  readonly errno: number;
  readonly aux: number;
  readonly payload: Uint8Array;
}

/** One connection to an endpoint, whose calls are bytes as on the wire. */
export class EpClient {
  readonly client: Client;
  readonly answers: Answer[] = [];
  /** The endpoint has closed the connection. */
  cut = false;
  readonly #run: (us: number, until: () => boolean) => boolean;
  #buf: Uint8Array = new Uint8Array(0);

  constructor(ep: Endpoint, run: (us: number, until: () => boolean) => boolean, peer: Peer | null = null) {
    this.#run = run;
    this.client = ep.connect(
      (bytes) => this.#take(bytes),
      () => {
        this.cut = true;
      },
      peer,
    );
  }

  #take(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#buf.length + bytes.length);
    all.set(this.#buf);
    all.set(bytes, this.#buf.length);
    this.#buf = all;
    while (this.#buf.length >= 4) {
      const v = new DataView(this.#buf.buffer, this.#buf.byteOffset);
      const len = v.getUint32(0);
      if (this.#buf.length < 4 + len) return;
      this.answers.push({
        ret: v.getInt32(4),
        errno: v.getInt32(8),
        aux: v.getInt32(12),
        payload: this.#buf.slice(16, 4 + len),
      });
      this.#buf = this.#buf.slice(4 + len);
    }
  }

  /** Sends a request and does not wait. */
  send(op: number, fd = -1, a = 0, b = 0, c = 0, payload: Uint8Array = new Uint8Array(0)): void {
    const bytes = new Uint8Array(24 + payload.length);
    const v = new DataView(bytes.buffer);
    v.setUint32(0, 20 + payload.length);
    v.setUint16(4, op);
    v.setInt32(8, fd);
    v.setInt32(12, a);
    v.setInt32(16, b);
    v.setInt32(20, c);
    bytes.set(payload, 24);
    this.client.feed(bytes);
  }

  /** The answer to what was sent, once it has come; null when `us` of virtual time do not bring it. */
  answer(us = 100_000_000): Answer | null {
    this.#run(us, () => this.answers.length > 0);
    return this.answers.shift() ?? null;
  }

  call(op: number, fd = -1, a = 0, b = 0, c = 0, payload?: Uint8Array): Answer {
    this.send(op, fd, a, b, c, payload);
    const r = this.answer();
    if (r === null) throw new Error(`operation ${op} does not end`);
    return r;
  }

  /** `ret`, or -errno. */
  do(op: number, fd = -1, a = 0, b = 0, c = 0, payload?: Uint8Array): number {
    const r = this.call(op, fd, a, b, c, payload);
    return r.ret < 0 ? -r.errno : r.ret;
  }

  socket(flags = 0): number {
    return this.do(C.OP_SOCKET, -1, 2, 1 | flags, 0);
  }

  setInt(fd: number, level: number, name: number, value: number): number {
    return this.do(C.OP_SETSOCKOPT, fd, level, name, 0, int32(value));
  }

  /** The int of an option, or -errno. */
  getInt(fd: number, level: number, name: number): number {
    const r = this.call(C.OP_GETSOCKOPT, fd, level, name, 4);
    return r.ret < 0 ? -r.errno : new DataView(r.payload.buffer, r.payload.byteOffset).getInt32(0, true);
  }

  /** What poll reports for one descriptor at once. */
  poll(fd: number, events = 0x7fff, timeout = 0): number {
    const r = this.call(C.OP_POLL, -1, 1, timeout, 0, pollfds([[fd, events]]));
    return new DataView(r.payload.buffer, r.payload.byteOffset).getInt16(6, true);
  }
}

export function int32(value: number): Uint8Array {
  const b = new Uint8Array(4);
  new DataView(b.buffer).setInt32(0, value, true);
  return b;
}

export function pollfds(list: readonly (readonly [number, number])[]): Uint8Array {
  const b = new Uint8Array(8 * list.length);
  const v = new DataView(b.buffer);
  list.forEach(([fd, events], i) => {
    v.setInt32(8 * i, fd, true);
    v.setInt16(8 * i + 4, events, true);
  });
  return b;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (b: Uint8Array): string => new TextDecoder().decode(b);

/** An endpoint on each of two stacks in virtual time, and a client of each. */
export class EpLab {
  readonly net: TwoStacks;
  readonly a: Endpoint;
  readonly b: Endpoint;
  readonly ca: EpClient;
  readonly cb: EpClient;

  constructor(options: ConstructorParameters<typeof TwoStacks>[0] = {}) {
    this.net = new TwoStacks(options);
    this.a = endpointOn(this.net.a.st);
    this.b = endpointOn(this.net.b.st);
    this.ca = this.client('a');
    this.cb = this.client('b');
  }

  /** One more client, of process `peer`. */
  client(side: 'a' | 'b', peer: Peer | null = null): EpClient {
    return new EpClient(this[side], (us, until) => this.net.run(us, until), peer);
  }

  run(us: number): void {
    this.net.run(us);
  }

  /** A connection from a to a listener of b. */
  pair(port = 80): { a: number; b: number; listener: number } {
    const { ca, cb } = this;
    const listener = cb.socket();
    cb.do(C.OP_BIND, listener, 0, 0, 0, sockaddrIn(0, port));
    cb.do(C.OP_LISTEN, listener, 5);
    const a = ca.socket();
    const e = ca.do(C.OP_CONNECT, a, 0, 0, 0, sockaddrIn(this.net.b.addr, port));
    if (e !== 0) throw new Error(`connect: ${e}`);
    const b = cb.do(C.OP_ACCEPT, listener);
    this.run(10_000);
    return { a, b, listener };
  }
}

function endpointOn(st: Stack): Endpoint {
  const core = new Core(st, { shard: 0, nshards: 1, publish: () => {} });
  return new Endpoint({ cores: [core], cnt: new Float64Array(COUNTER_SLOTS) });
}
