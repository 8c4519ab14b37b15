import type { Clock } from '../../rings/clock.ts';

/**
 * What the stacks' wrapping clock shows at virtual time 0, µs. Not 0, because a connection would then begin at what a control block
 * may hold before it is set.
 */
const OFFSET_US = 1_000_000;

/** The one clock of a simulation. Virtual time begins at 0; so does wall time, so that logs show seconds of the experiment. */
export class VirtualClock implements Clock {
  us: number;
  ms: number;
  /** Virtual time, Float64 µs with fractions. */
  now: number;
  #wall: number;

  constructor() {
    this.us = 0;
    this.ms = 0;
    this.now = 0;
    this.#wall = 0;
    this.set(0);
  }

  /** Sets virtual time. Stacks see whole microseconds, the past ones. */
  set(now: number): void {
    this.now = now;
    const whole = Math.floor(now);
    if (whole === this.#wall && this.us !== 0) return;
    this.#wall = whole;
    this.us = (whole + OFFSET_US) | 0;
    this.ms = Math.floor((whole + OFFSET_US) / 1000) | 0;
  }

  wallUs(): number {
    return this.#wall;
  }
}
