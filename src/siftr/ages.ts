import { siftrs } from '../metrics/layout.ts';

/** Classes but the last: upper bounds 2^0 to 2^20 µs (AGE_US in metrics/decl/siftr.ts). */
const CLASSES = 21;

/**
 * How far the times of a log can be from the moments that they stand for: two histograms of a shard (docs/siftr.md, "Time"). The bounds
 * are powers of two, so a value costs two additions and no search.
 */
export class Ages {
  readonly #cnt: Float64Array;
  /** An outbound record took its time from the clock since `batchEnd`. */
  clockUsed: boolean;

  constructor(cnt: Float64Array) {
    this.#cnt = cnt;
    this.clockUsed = false;
  }

  /** A frame whose record is made `us` after its receive stamp. A stamp in the future, from another clock, counts as 0. */
  frame(us: number): void {
    this.#count(siftrs.siftrs_age, us);
  }

  /** A batch has ended `us` after the reading of the clock that its outbound records have. */
  batchEnd(us: number): void {
    this.clockUsed = false;
    this.#count(siftrs.siftrs_clock_age, us);
  }

  #count(slot: number, us: number): void {
    const cnt = this.#cnt;
    const age = us > 0 ? us : 0;
    const i = age <= 1 ? 0 : 32 - Math.clz32(age - 1);
    cnt[slot + (i < CLASSES ? i : CLASSES)]!++;
    cnt[slot + CLASSES + 1]! += age;
  }
}
