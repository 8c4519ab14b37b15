/**
 * Two stacks joined by a wire in virtual time: what the TCP unit tests run on. The wire delays every frame by `delayUs`, and a
 * filter may drop, change, hold or double it. Checksums are computed and verified by the stacks in software, so that path is
 * exercised as well.
 */
import { COUNTER_SLOTS } from '../../src/metrics/layout.ts';
import type { Clock, Random } from '../../src/rings/clock.ts';
import { Ifiqueue } from '../../src/rings/ifiqueue.ts';
import { Ifqueue } from '../../src/rings/ifqueue.ts';
import {
  COL_FLAGS,
  COL_FRAME,
  COL_LENGTH,
  COL_OFFSET,
  COL_TIME,
  COL_VLAN,
  F_EOP,
  FRAME_SHIFT,
  FRAME_SIZE,
  type Link,
  type LinkCaps,
  ROW,
} from '../../src/rings/link.ts';
import { FramePool } from '../../src/rings/mbuf.ts';
import { type Ifnet, ifaddrAdd } from '../../src/stack/ifnet.ts';
import { Stack } from '../../src/stack/stack.ts';
import { Tunables } from '../../src/stack/sysctl.ts';
import { tcpInit } from '../../src/stack/tcp/tcp.ts';

/** mulberry32: small, seeded, good enough to choose losses. */
export class SeededRandom implements Random {
  #s: number;
  constructor(seed: number) {
    this.#s = seed | 0;
  }
  next32(): number {
    this.#s = (this.#s + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#s ^ (this.#s >>> 15), 1 | this.#s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) | 0;
  }
  /** Uniform in [0, 1). */
  unit(): number {
    return (this.next32() >>> 0) / 4294967296;
  }
}

export class VirtualClock implements Clock {
  /** Virtual time in µs since the beginning; Float64, does not wrap. */
  now = 1_000_000;
  get us(): number {
    return this.now | 0;
  }
  set us(_: number) {
    throw new Error('virtual time is set by the wire');
  }
  get ms(): number {
    return (this.now / 1000) | 0;
  }
  set ms(_: number) {
    throw new Error('virtual time is set by the wire');
  }
  wallUs(): number {
    return 1_700_000_000_000_000 + this.now;
  }
}

const NFRAMES = 2048;

class WireLink implements Link {
  readonly caps: LinkCaps = { csum: false, rss: false, timestamp: true, sg: false, tso: false, vlan: false };
  onReadable: (() => void) | null = null;
  readonly pool: FramePool;
  readonly inbox: Uint8Array[] = [];
  readonly #done: number[] = [];
  readonly #clock: VirtualClock;
  readonly #send: (bytes: Uint8Array) => void;
  /** Room that transmit offers; tests lower it. */
  room = 1024;

  constructor(pool: FramePool, clock: VirtualClock, send: (bytes: Uint8Array) => void) {
    this.pool = pool;
    this.#clock = clock;
    this.#send = send;
  }

  receive(table: Int32Array, max: number): number {
    let n = 0;
    while (n < max && this.inbox.length > 0) {
      const m = this.pool.get();
      if (m === null) break;
      const bytes = this.inbox.shift()!;
      this.pool.u8.set(bytes, m.pos);
      const row = n * ROW;
      table[row + COL_FRAME] = m.frame;
      table[row + COL_OFFSET] = m.pos & (FRAME_SIZE - 1);
      table[row + COL_LENGTH] = bytes.length;
      table[row + COL_FLAGS] = F_EOP;
      table[row + COL_FLAGS + 1] = 0;
      table[row + COL_VLAN] = -1;
      table[row + COL_TIME] = this.#clock.us;
      n++;
    }
    return n;
  }

  transmit(table: Int32Array, n: number): number {
    const taken = Math.min(n, this.room);
    for (let i = 0; i < taken; i++) {
      const row = i * ROW;
      const at = (table[row + COL_FRAME]! << FRAME_SHIFT) + table[row + COL_OFFSET]!;
      this.#send(this.pool.u8.slice(at, at + table[row + COL_LENGTH]!));
      this.#done.push(table[row + COL_FRAME]!);
    }
    return taken;
  }

  reclaim(out: Int32Array): number {
    const n = Math.min(out.length, this.#done.length);
    for (let i = 0; i < n; i++) out[i] = this.#done.shift()!;
    return n;
  }

  txRoom(): number {
    return this.room;
  }

  close(): void {}
}

/** What a filter may do with a frame: numbers are extra delays in µs, one a copy; an empty list drops it. */
export type WireFilter = (frame: Uint8Array, toSide: 0 | 1, index: number) => number[];

export interface Side {
  readonly st: Stack;
  readonly ifp: Ifnet;
  readonly link: WireLink;
  readonly addr: number;
}

interface InFlight {
  at: number;
  order: number;
  to: 0 | 1;
  bytes: Uint8Array;
}

/** 192.0.2.1 and 192.0.2.2. */
export const ADDR_A = 0xc0000201 | 0;
export const ADDR_B = 0xc0000202 | 0;

export class TwoStacks {
  readonly clock = new VirtualClock();
  readonly a: Side;
  readonly b: Side;
  filter: WireFilter | null = null;
  delayUs: number;
  /** Frames that left each side, counted. */
  readonly sent: [number, number] = [0, 0];
  readonly #flight: InFlight[] = [];
  #order = 0;
  readonly #table = new Int32Array(256 * ROW);

  constructor(
    o: { seed?: number; delayUs?: number; tune?: Partial<Tunables>; tuneB?: Partial<Tunables>; mtu?: number } = {},
  ) {
    const rnd = new SeededRandom(o.seed ?? 1);
    this.delayUs = o.delayUs ?? 500;
    this.a = this.#side(0, ADDR_A, 1, rnd, o.tune ?? {}, o.mtu ?? 1500);
    this.b = this.#side(1, ADDR_B, 2, rnd, { ...(o.tune ?? {}), ...(o.tuneB ?? {}) }, o.mtu ?? 1500);
    this.a.st.arp.learn(this.a.ifp, ADDR_B, 0x0200, 2);
    this.b.st.arp.learn(this.b.ifp, ADDR_A, 0x0200, 1);
  }

  #side(side: 0 | 1, addr: number, mac: number, random: Random, tune: Partial<Tunables>, mtu: number): Side {
    const pool = new FramePool(new ArrayBuffer(NFRAMES * FRAME_SIZE), 0, NFRAMES);
    const st = new Stack({
      clock: this.clock,
      random,
      cnt: new Float64Array(COUNTER_SLOTS),
      pool,
      tune: Object.assign(new Tunables(), tune),
      shard: 0,
      nshards: 1,
    });
    tcpInit(st);
    const link = new WireLink(pool, this.clock, (bytes) => this.#onWire(side, bytes));
    const ifp = st.ifAttach({
      name: side === 0 ? 'sim0' : 'sim1',
      queue: 0,
      mtu,
      macHi: 0x0200,
      macLo: mac,
      ifq: new Ifqueue(new Float64Array(8), 1023),
      ifiq: new Ifiqueue(new Float64Array(8)),
      link,
    });
    ifaddrAdd(st, ifp, addr, 24);
    return { st, ifp, link, addr };
  }

  #onWire(from: 0 | 1, bytes: Uint8Array): void {
    const to = from === 0 ? 1 : 0;
    const index = this.sent[from]++;
    const copies = this.filter === null ? [0] : this.filter(bytes, to, index);
    for (const extra of copies) {
      this.#flight.push({ at: this.clock.now + this.delayUs + extra, order: this.#order++, to, bytes: bytes.slice() });
    }
  }

  /** Frees, timers and queues of both sides once. */
  #pass(s: Side): void {
    for (;;) {
      const n = s.link.receive(this.#table, 256);
      if (n === 0) break;
      s.st.input(s.ifp, this.#table, n);
    }
    s.st.wheel.advance(this.clock.us);
    s.st.flush();
  }

  /** Lets virtual time go on for `us`, or until `until` is true. Returns whether `until` became true. */
  run(us: number, until: () => boolean = () => false): boolean {
    const end = this.clock.now + us;
    this.#pass(this.a);
    this.#pass(this.b);
    while (!until()) {
      let next = end;
      for (const f of this.#flight) if (f.at < next) next = f.at;
      for (const s of [this.a, this.b]) {
        const d = s.st.wheel.nextDeadline();
        if (d >= 0 && this.clock.now + d < next) next = this.clock.now + Math.max(d, 1);
      }
      this.clock.now = Math.max(next, this.clock.now);
      const due = this.#flight.filter((f) => f.at <= this.clock.now).sort((x, y) => x.at - y.at || x.order - y.order);
      for (const f of due) {
        this.#flight.splice(this.#flight.indexOf(f), 1);
        (f.to === 0 ? this.a : this.b).link.inbox.push(f.bytes);
      }
      this.#pass(this.a);
      this.#pass(this.b);
      if (this.clock.now >= end) return until();
    }
    return true;
  }

  /** Frames that neither the pool, nor a queue of TCP holds: must be zero when everything is at rest. */
  leaked(s: Side): number {
    return NFRAMES - s.st.pool.available;
  }
}
