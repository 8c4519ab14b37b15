import { COUNTER_SLOTS, slotOf } from '../../src/metrics/layout.ts';
import type { Clock, Random } from '../../src/rings/clock.ts';
import { Ifiqueue, RXQ_WORDS } from '../../src/rings/ifiqueue.ts';
import { IFQ_MAXLEN, Ifqueue, TXQ_WORDS } from '../../src/rings/ifqueue.ts';
import {
  COL_FLAGS,
  COL_FRAME,
  COL_LENGTH,
  COL_OFFSET,
  COL_TIME,
  COL_VLAN,
  F_EOP,
  F_IPCSUM_GOOD,
  F_L4CSUM_GOOD,
  F_TX_IPCSUM,
  F_TX_L4CSUM,
  FRAME_SHIFT,
  FRAME_SIZE,
  type Link,
  type LinkCaps,
  ROW,
  ROW_SHIFT,
} from '../../src/rings/link.ts';
import { FramePool } from '../../src/rings/mbuf.ts';
import { type Ifnet, ifaddrAdd } from '../../src/stack/ifnet.ts';
import { inetAton } from '../../src/stack/net/in-addr.ts';
import { Stack } from '../../src/stack/stack.ts';
import { Tunables } from '../../src/stack/sysctl.ts';
import { macFromString } from '../../src/stack/wire/ether.ts';

/** Where an injected frame begins in its UMEM frame, as after XDP's headroom. */
const RX_OFFSET = 256;

/** Time that a test sets. */
export class TestClock implements Clock {
  us = 1_000_000;
  ms = 1000;
  /** Wall time of `us === 1_000_000`. */
  readonly epochUs = 1_700_000_000_000_000;
  #elapsed = 0;

  wallUs(): number {
    return this.epochUs + this.#elapsed;
  }

  advance(us: number): void {
    this.us = (this.us + us) | 0;
    this.#elapsed += us;
    this.ms = (1000 + Math.floor(this.#elapsed / 1000)) | 0;
  }
}

/** xorshift32 from a seed. */
export class TestRandom implements Random {
  #x: number;

  constructor(seed = 1) {
    this.#x = seed | 0 || 1;
  }

  next32(): number {
    let x = this.#x;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#x = x | 0;
    return this.#x;
  }
}

/** A frame that left the stack. */
export interface SentFrame {
  readonly bytes: Uint8Array;
  /** The link was to insert these checksums. */
  readonly ipcsum: boolean;
  readonly l4csum: boolean;
}

/** A Link in memory: `inject` puts frames on its receive side, `sent` holds what was transmitted. */
export class MemLink implements Link {
  readonly caps: LinkCaps;
  onReadable: (() => void) | null = null;
  readonly sent: SentFrame[] = [];
  /** Slots of the transmit ring; a transmitted frame occupies one until `complete`. */
  txSlots = 1024;
  /** Frames complete as soon as they are sent. */
  autoComplete = true;
  /** Rows of a batch that the link takes, for refusals. */
  takes = Number.POSITIVE_INFINITY;
  readonly #pool: FramePool;
  readonly #rx: { bytes: Uint8Array; flags: number; vlan: number; time: number }[] = [];
  readonly #inFlight: number[] = [];
  readonly #done: number[] = [];

  constructor(pool: FramePool, csum: boolean) {
    this.#pool = pool;
    this.caps = { csum, rss: false, timestamp: true, sg: false, tso: false, vlan: true };
  }

  /** A frame arrives. `flags` replaces what a good link would say of it. */
  inject(bytes: Uint8Array, options: { flags?: number; vlan?: number; time?: number } = {}): void {
    const good = this.caps.csum ? F_IPCSUM_GOOD | F_L4CSUM_GOOD : 0;
    this.#rx.push({
      bytes,
      flags: options.flags ?? F_EOP | good,
      vlan: options.vlan ?? -1,
      time: options.time ?? 0,
    });
  }

  receive(table: Int32Array, max: number): number {
    let n = 0;
    while (n < max && this.#rx.length > 0 && this.#pool.top[0]! > 0) {
      const { bytes, flags, vlan, time } = this.#rx.shift()!;
      const top = this.#pool.top[0]! - 1;
      this.#pool.top[0] = top;
      const frame = this.#pool.free[top]!;
      this.#pool.u8.set(bytes, (frame << FRAME_SHIFT) + RX_OFFSET);
      const row = n << ROW_SHIFT;
      table.fill(0, row, row + ROW);
      table[row + COL_FRAME] = frame;
      table[row + COL_OFFSET] = RX_OFFSET;
      table[row + COL_LENGTH] = bytes.length;
      table[row + COL_FLAGS] = flags;
      table[row + COL_VLAN] = vlan;
      table[row + COL_TIME] = time;
      n++;
    }
    return n;
  }

  transmit(table: Int32Array, n: number): number {
    const taken = Math.min(n, this.takes, this.txRoom());
    for (let i = 0; i < taken; i++) {
      const row = i << ROW_SHIFT;
      const frame = table[row + COL_FRAME]!;
      const at = (frame << FRAME_SHIFT) + table[row + COL_OFFSET]!;
      const flags = table[row + COL_FLAGS]!;
      this.sent.push({
        bytes: this.#pool.u8.slice(at, at + table[row + COL_LENGTH]!),
        ipcsum: (flags & F_TX_IPCSUM) !== 0,
        l4csum: (flags & F_TX_L4CSUM) !== 0,
      });
      (this.autoComplete ? this.#done : this.#inFlight).push(frame);
    }
    return taken;
  }

  /** The first `n` frames in flight have been sent. */
  complete(n = this.#inFlight.length): void {
    this.#done.push(...this.#inFlight.splice(0, n));
  }

  reclaim(out: Int32Array): number {
    const frames = this.#done.splice(0, out.length);
    frames.forEach((f, i) => {
      out[i] = f;
    });
    return frames.length;
  }

  txRoom(): number {
    return this.txSlots - this.#inFlight.length;
  }

  close(): void {}
}

export interface TestHostOptions {
  /** `192.0.2.1/24`; default that one. */
  readonly addrs?: readonly string[];
  readonly mac?: string;
  readonly mtu?: number;
  readonly csum?: boolean;
  readonly frames?: number;
  readonly maxlen?: number;
  readonly nshards?: number;
  /** What shards of one stack share (StackOptions). */
  readonly secret?: readonly number[];
  /** Of the randomness; default 1. */
  readonly seed?: number;
  /** Packets without a link header. */
  readonly bare?: boolean;
}

export const TEST_MAC = '02:00:00:00:00:01';

/** A stack of one shard with one interface over a MemLink, and its counters by name. */
export class TestHost {
  readonly clock = new TestClock();
  readonly st: Stack;
  readonly link: MemLink;
  readonly ifp: Ifnet;
  readonly pool: FramePool;
  readonly rxq = new Float64Array(RXQ_WORDS);
  readonly txq = new Float64Array(TXQ_WORDS);
  readonly #table = new Int32Array(256 * ROW);
  #before = new Float64Array(COUNTER_SLOTS);

  constructor(o: TestHostOptions = {}) {
    const frames = o.frames ?? 256;
    this.pool = new FramePool(new ArrayBuffer(frames * FRAME_SIZE), 0, frames);
    this.st = new Stack({
      clock: this.clock,
      random: new TestRandom(o.seed),
      cnt: new Float64Array(COUNTER_SLOTS),
      pool: this.pool,
      tune: new Tunables(),
      shard: 0,
      nshards: o.nshards ?? 1,
      secret: o.secret ?? null,
    });
    this.link = new MemLink(this.pool, o.csum ?? false);
    const { hi, lo } = macFromString(o.mac ?? TEST_MAC);
    this.ifp = this.st.ifAttach({
      name: 'mem0',
      queue: 0,
      mtu: o.mtu ?? 1500,
      macHi: hi,
      macLo: lo,
      ifq: new Ifqueue(this.txq, o.maxlen ?? IFQ_MAXLEN),
      ifiq: new Ifiqueue(this.rxq),
      link: this.link,
      bare: o.bare ?? false,
    });
    for (const a of o.addrs ?? ['192.0.2.1/24']) {
      const [addr, len] = a.split('/');
      ifaddrAdd(this.st, this.ifp, inetAton(addr!), Number(len));
    }
  }

  /** One pass of a shard's loop over everything injected. */
  pass(): void {
    for (let n = this.link.receive(this.#table, 256); n > 0; n = this.link.receive(this.#table, 256)) {
      this.st.input(this.ifp, this.#table, n);
    }
    this.st.runTimers();
    this.st.flush();
  }

  /** Injects a frame, runs a pass and returns what was sent meanwhile. */
  exchange(bytes: Uint8Array, options?: { flags?: number; vlan?: number; time?: number }): Uint8Array[] {
    this.link.inject(bytes, options);
    return this.run();
  }

  /** Lets time go by in steps of at most `step` µs, a pass each, and returns what was sent meanwhile. */
  run(us = 0, step = 100_000): Uint8Array[] {
    const from = this.link.sent.length;
    this.pass();
    for (let left = us; left > 0; left -= step) {
      this.clock.advance(Math.min(step, left));
      this.pass();
    }
    this.st.flush();
    return this.link.sent.slice(from).map((f) => f.bytes);
  }

  /** Slot of a counter. */
  slot(name: string): number {
    const slot = slotOf.get(name);
    if (slot === undefined) throw new Error(`no counter ${name}`);
    return slot;
  }

  /** Value of a counter. */
  count(name: string): number {
    return this.st.cnt[this.slot(name)]!;
  }

  /** Counters that have moved since the last call, by name. */
  moved(): Record<string, number> {
    const out: Record<string, number> = {};
    for (const [name, slot] of slotOf) {
      const d = this.st.cnt[slot]! - this.#before[slot]!;
      if (d !== 0) out[name] = d;
    }
    this.#before = this.st.cnt.slice();
    return out;
  }

  /** Frames that are neither free nor held by anything that the test knows of. */
  leaked(held = 0): number {
    this.st.flush();
    return this.pool.count - this.pool.available - held;
  }
}
