import {
  COL_FLAGS,
  COL_FRAME,
  COL_HASH,
  COL_LENGTH,
  COL_OFFSET,
  COL_TIME,
  COL_VLAN,
  F_EOP,
  FRAME_SHIFT,
  type Link,
  type LinkCaps,
  ROW_SHIFT,
} from '../../rings/link.ts';
import type { FramePool } from '../../rings/mbuf.ts';
import type { VirtualClock } from './clock.ts';
import type { FrameStore, SimFrame } from './frame.ts';

/** Where a received packet begins in its frame: room for outer headers, as behind a real card. */
const RX_OFFSET = 256;
/** Free slots that the link shows: it sends within the call, so all of them, always. */
const TX_SLOTS = 1024;

/**
 * A link in virtual time. It offers nothing: checksums are the stack's own work, so that damage done on the way is found as it would be. What is
 * transmitted leaves at once; rate and delay are those of the wire behind `send`.
 */
export class SimLink implements Link {
  readonly caps: LinkCaps = { csum: false, rss: false, timestamp: true, sg: false, tso: false, vlan: false };
  onReadable: (() => void) | null;
  /** Arrived, not received yet. */
  pending: number;
  /** Frames that found no room in the pool. */
  dropped: number;
  readonly #pool: FramePool;
  readonly #clock: VirtualClock;
  readonly #store: FrameStore;
  readonly #send: (f: SimFrame) => void;
  readonly #inbox: (SimFrame | null)[];
  #first: number;
  readonly #done: number[];
  #ndone: number;

  /** @param send takes each frame sent */
  constructor(pool: FramePool, clock: VirtualClock, store: FrameStore, send: (f: SimFrame) => void) {
    this.onReadable = null;
    this.pending = 0;
    this.dropped = 0;
    this.#pool = pool;
    this.#clock = clock;
    this.#store = store;
    this.#send = send;
    this.#inbox = [];
    this.#first = 0;
    this.#done = [];
    this.#ndone = 0;
  }

  /** A frame arrives; it is the link's from here on. */
  arrive(f: SimFrame): void {
    this.#inbox[this.#first + this.pending++] = f;
  }

  receive(table: Int32Array, max: number): number {
    const pool = this.#pool;
    let n = 0;
    while (n < max && this.pending > 0) {
      const f = this.#inbox[this.#first]!;
      this.#inbox[this.#first++] = null;
      this.pending--;
      const top = pool.top[0]! - 1;
      if (top < 0) {
        this.dropped++;
        this.#store.give(f);
        continue;
      }
      pool.top[0] = top;
      const frame = pool.free[top]!;
      f.copyTo(pool.u8, (frame << FRAME_SHIFT) + RX_OFFSET);
      const row = n++ << ROW_SHIFT;
      table[row + COL_FRAME] = frame;
      table[row + COL_OFFSET] = RX_OFFSET;
      table[row + COL_LENGTH] = f.len;
      table[row + COL_FLAGS] = F_EOP;
      table[row + COL_HASH] = 0;
      table[row + COL_VLAN] = -1;
      table[row + COL_TIME] = this.#clock.us;
      this.#store.give(f);
    }
    if (this.pending === 0) this.#first = 0;
    return n;
  }

  transmit(table: Int32Array, n: number): number {
    const u8 = this.#pool.u8;
    for (let i = 0; i < n; i++) {
      const row = i << ROW_SHIFT;
      const frame = table[row + COL_FRAME]!;
      const f = this.#store.take();
      f.copyFrom(u8, (frame << FRAME_SHIFT) + table[row + COL_OFFSET]!, table[row + COL_LENGTH]!);
      this.#done[this.#ndone++] = frame;
      this.#send(f);
    }
    return n;
  }

  reclaim(out: Int32Array): number {
    const n = this.#ndone < out.length ? this.#ndone : out.length;
    for (let i = 0; i < n; i++) out[i] = this.#done[--this.#ndone]!;
    return n;
  }

  txRoom(): number {
    return TX_SLOTS;
  }

  close(): void {}
}
