import type { Clock } from '../rings/clock.ts';

const WINDOW_US = 1_000_000;

/** At most so many events in each second (`ppsratecheck`): what answers to strangers goes through one of these. */
export class PpsLimit {
  readonly #clock: Clock;
  #start: number;
  #count: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#start = clock.us;
    this.#count = 0;
  }

  /** True when one more event is within `limit` a second; 0 is no limit. */
  allow(limit: number): boolean {
    if (limit === 0) return true;
    const age = (this.#clock.us - this.#start) | 0;
    if (age >= WINDOW_US || age < 0) {
      this.#start = this.#clock.us;
      this.#count = 0;
    }
    if (this.#count >= limit) return false;
    this.#count++;
    return true;
  }
}
