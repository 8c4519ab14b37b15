/** One writer's histogram of times: counts into the slots of a declaration with `bounds` (declare.ts). */
export class Histogram {
  readonly #cnt: Float64Array;
  readonly #slot: number;
  readonly #bounds: Float64Array;

  /**
   * @param cnt    the writer's block
   * @param slot   first slot of the declaration
   * @param bounds its bounds
   */
  constructor(cnt: Float64Array, slot: number, bounds: readonly number[]) {
    this.#cnt = cnt;
    this.#slot = slot;
    this.#bounds = Float64Array.from(bounds);
  }

  /** Counts a time, µs. */
  observe(us: number): void {
    const bounds = this.#bounds;
    let i = 0;
    while (i < bounds.length && us > bounds[i]!) i++;
    this.#cnt[this.#slot + i]!++;
    this.#cnt[this.#slot + bounds.length + 1]! += us;
  }
}
