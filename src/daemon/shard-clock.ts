import { CLK, CLOCK_WORDS, type Native } from '../driver/native.ts';
import type { Clock } from '../rings/clock.ts';

/** The clock of a shard: a page that the addon writes at every receive, wake-up and `read`, copied at the start of a pass. */
export class ShardClock implements Clock {
  readonly page: Float64Array;
  us: number;
  ms: number;
  #wall: number;

  constructor() {
    this.page = new Float64Array(CLOCK_WORDS);
    this.us = 0;
    this.ms = 0;
    this.#wall = 0;
  }

  /** Takes over what the addon wrote last. */
  sync(): void {
    const page = this.page;
    this.us = page[CLK.US]! | 0;
    this.ms = page[CLK.MS]! | 0;
    this.#wall = page[CLK.WALL]!;
  }

  /** Reads the machine's clock. */
  read(native: Native): void {
    native.readClock(this.page);
    this.sync();
  }

  wallUs(): number {
    return this.#wall;
  }
}
