/**
 * Largest value of a window of time in constant space, after K. Nichols: the best, second best and third best of the window, each
 * later than the one before. Time is any number that only grows: rounds, cycles, µs.
 */
export class WindowedMax {
  #v0 = 0;
  #t0 = 0;
  #v1 = 0;
  #t1 = 0;
  #v2 = 0;
  #t2 = 0;

  get value(): number {
    return this.#v0;
  }

  reset(value: number, time: number): void {
    this.#v0 = this.#v1 = this.#v2 = value;
    this.#t0 = this.#t1 = this.#t2 = time;
  }

  /** Takes a value in and gives the largest of the last `window` units of time. */
  update(value: number, time: number, window: number): number {
    // A new largest, or a window that holds nothing any more: all that is known is this value.
    if (value >= this.#v0 || time - this.#t2 > window) {
      this.reset(value, time);
      return value;
    }
    if (value >= this.#v1) {
      this.#v1 = this.#v2 = value;
      this.#t1 = this.#t2 = time;
    } else if (value >= this.#v2) {
      this.#v2 = value;
      this.#t2 = time;
    }
    if (time - this.#t0 > window) {
      // The best has left the window, perhaps the second too.
      this.#shift(value, time);
      if (time - this.#t0 > window) this.#shift(value, time);
    } else if (this.#t1 === this.#t0 && time - this.#t0 > window / 4) {
      // A quarter has passed without a second best: take one from the rest, so that one is there when the best leaves.
      this.#v1 = this.#v2 = value;
      this.#t1 = this.#t2 = time;
    } else if (this.#t2 === this.#t1 && time - this.#t0 > window / 2) {
      this.#v2 = value;
      this.#t2 = time;
    }
    return this.#v0;
  }

  #shift(value: number, time: number): void {
    this.#v0 = this.#v1;
    this.#t0 = this.#t1;
    this.#v1 = this.#v2;
    this.#t1 = this.#t2;
    this.#v2 = value;
    this.#t2 = time;
  }
}
