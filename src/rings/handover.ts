import {
  COL_FLAGS,
  COL_FRAME,
  COL_HASH,
  COL_LENGTH,
  COL_OFFSET,
  COL_TIME,
  COL_VLAN,
  FLAGS_HASHTYPE_SHIFT,
  FRAME_SIZE,
  ROW,
  ROW_SHIFT,
} from './link.ts';
import type { Mbuf } from './mbuf.ts';

/**
 * Rings between two shards, one producer and one consumer each, in shared memory. Frames cross by index; nothing is copied
 * (DESIGN.md, "Shards").
 *
 *   word 0     word 16     word 32
 *   | head …   | tail …    | entry 0 | entry 1 | … | entry n-1 |
 *
 * `head` counts entries ever put in, `tail` entries ever taken; both wrap at 2^32. n is a power of two. Head and tail lie in
 * cache lines of their own. The entry is written before the head is stored (both through Atomics), so the consumer sees it whole.
 */
const HEAD = 0;
const TAIL = 16;
const FIRST = 32;

/** Word of a row in which a hand-over ring carries the index of the receiving interface; the link leaves it unused. */
export const COL_IFINDEX = 7;

/** Bits of the flags word that belong to the hash type. */
const HASHTYPE_MASK = 0xff << FLAGS_HASHTYPE_SHIFT;

function checkedEntries(entries: number): number {
  if (!Number.isInteger(entries) || entries < 2 || (entries & (entries - 1)) !== 0) {
    throw new RangeError(`a ring of ${entries} entries: not a power of two`);
  }
  return entries;
}

/** Received frames on their way to the shard that owns their flow. */
export class HandoverRing {
  readonly #words: Int32Array;
  readonly #mask: number;
  /** The consumer's tail as the producer saw it last: it is looked at again only when the ring seems full. */
  #seenTail: number;

  /** Bytes of shared memory for a ring of `rows` rows, a power of two. */
  static bytes(rows: number): number {
    return (FIRST + checkedEntries(rows) * ROW) * 4;
  }

  /** @param sab zeroed memory of `bytes(rows)` bytes, seen by both ends */
  constructor(sab: SharedArrayBuffer) {
    this.#words = new Int32Array(sab);
    this.#mask = checkedEntries((this.#words.length - FIRST) >> ROW_SHIFT) - 1;
    this.#seenTail = 0;
  }

  /** Rows in the ring. */
  get length(): number {
    return (Atomics.load(this.#words, HEAD) - Atomics.load(this.#words, TAIL)) >>> 0;
  }

  /** Producer: puts a frame in (`m.pos` at its first byte). False when the ring is full: the frame is still the caller's. */
  push(m: Mbuf): boolean {
    const w = this.#words;
    const head = w[HEAD]!;
    if ((head - this.#seenTail) >>> 0 > this.#mask) {
      this.#seenTail = Atomics.load(w, TAIL);
      if ((head - this.#seenTail) >>> 0 > this.#mask) return false;
    }
    const row = FIRST + ((head & this.#mask) << ROW_SHIFT);
    w[row + COL_FRAME] = m.frame;
    w[row + COL_OFFSET] = m.pos & (FRAME_SIZE - 1);
    w[row + COL_LENGTH] = m.len;
    w[row + COL_FLAGS] = (m.flags & ~HASHTYPE_MASK) | (m.hashType << FLAGS_HASHTYPE_SHIFT);
    w[row + COL_HASH] = m.flowid;
    w[row + COL_VLAN] = m.vlan;
    w[row + COL_TIME] = m.time;
    w[row + COL_IFINDEX] = m.rcvif;
    Atomics.store(w, HEAD, (head + 1) | 0);
    return true;
  }

  /** Consumer: moves at most `max` rows to `table` and returns how many. */
  drain(table: Int32Array, max: number): number {
    const w = this.#words;
    const tail = w[TAIL]!;
    const n = Math.min((Atomics.load(w, HEAD) - tail) >>> 0, max);
    for (let i = 0; i < n; i++) {
      const from = FIRST + (((tail + i) & this.#mask) << ROW_SHIFT);
      const to = i << ROW_SHIFT;
      for (let c = 0; c < ROW; c++) table[to + c] = w[from + c]!;
    }
    if (n > 0) Atomics.store(w, TAIL, (tail + n) | 0);
    return n;
  }
}

/**
 * Freed frames on their way home to the pool that owns them. With at least as many entries as the pool has frames it cannot
 * overflow: a frame is in one place at a time.
 */
export class FrameRing {
  readonly #words: Int32Array;
  readonly #mask: number;

  /** Bytes of shared memory for a ring that holds `frames` frames, and the next power of two of them. */
  static bytes(frames: number): number {
    let entries = 2;
    while (entries < frames) entries <<= 1;
    return (FIRST + entries) * 4;
  }

  /** @param sab zeroed memory of `bytes(frames)` bytes, seen by both ends */
  constructor(sab: SharedArrayBuffer) {
    this.#words = new Int32Array(sab);
    this.#mask = checkedEntries(this.#words.length - FIRST) - 1;
  }

  /** Frames in the ring. */
  get length(): number {
    return (Atomics.load(this.#words, HEAD) - Atomics.load(this.#words, TAIL)) >>> 0;
  }

  /** Producer: sends a frame home. Throws when the ring is full, which its size rules out. */
  push(frame: number): void {
    const w = this.#words;
    const head = w[HEAD]!;
    if ((head - Atomics.load(w, TAIL)) >>> 0 > this.#mask)
      throw new Error(`no room for frame ${frame} on its way home`);
    w[FIRST + (head & this.#mask)] = frame;
    Atomics.store(w, HEAD, (head + 1) | 0);
  }

  /** Consumer: moves at most `out.length` frame indexes to `out` and returns how many. */
  drain(out: Int32Array): number {
    const w = this.#words;
    const tail = w[TAIL]!;
    const n = Math.min((Atomics.load(w, HEAD) - tail) >>> 0, out.length);
    for (let i = 0; i < n; i++) out[i] = w[FIRST + ((tail + i) & this.#mask)]!;
    if (n > 0) Atomics.store(w, TAIL, (tail + n) | 0);
    return n;
  }
}

/** Which shards sleep: one word a shard. A sleeper sets its word and then looks at its rings once more before it sleeps. */
export class SleepFlags {
  readonly #words: Int32Array;

  static bytes(nshards: number): number {
    return nshards * 4;
  }

  constructor(sab: SharedArrayBuffer) {
    this.#words = new Int32Array(sab);
  }

  /** For the shard itself: about to sleep, or awake again. */
  set(shard: number, sleeping: boolean): void {
    Atomics.store(this.#words, shard, sleeping ? 1 : 0);
  }

  /** For others, after they put something into a ring of `shard`: true when it sleeps and the caller is the one to wake it. */
  mustWake(shard: number): boolean {
    return Atomics.load(this.#words, shard) === 1 && Atomics.compareExchange(this.#words, shard, 1, 0) === 1;
  }
}
