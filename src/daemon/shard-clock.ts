import { CLK, CLOCK_WORDS, type Native } from '../driver/native.ts';
import type { Clock } from '../rings/clock.ts';

/**
 * The clock of a shard: a page that the addon writes at every receive, wake-up and `read`, copied at the start of a pass. Once it is
 * virtual it stands still but for `forward`.
 */
export class ShardClock implements Clock {
  readonly page: Float64Array;
  us: number;
  ms: number;
  /** Time goes on by `forward` only. */
  virtual: boolean;
  /** Virtual time, Float64 µs whose low words are `us` and, by thousands, `ms`. */
  #now: number;
  #wall: number;

  constructor() {
    this.page = new Float64Array(CLOCK_WORDS);
    this.us = 0;
    this.ms = 0;
    this.virtual = false;
    this.#now = 0;
    this.#wall = 0;
  }

  /** Takes over what the addon wrote last. */
  sync(): void {
    if (this.virtual) return;
    const page = this.page;
    this.us = page[CLK.US]! | 0;
    this.ms = page[CLK.MS]! | 0;
    this.#wall = page[CLK.WALL]!;
  }

  /** Reads the machine's clock. */
  read(native: Pick<Native, 'readClock'>): void {
    if (this.virtual) return;
    native.readClock(this.page);
    this.sync();
  }

  wallUs(): number {
    return this.#wall;
  }

  /** µs: of the machine's monotonic clock, or virtual ones, which go on from there. Float64, whole. */
  now(): number {
    return this.virtual ? this.#now : Math.floor(Number(process.hrtime.bigint() / 1000n));
  }

  /** Stands still from now on. */
  freeze(native: Pick<Native, 'readClock'>): void {
    if (this.virtual) return;
    this.read(native);
    this.#now = this.now();
    this.virtual = true;
    this.#set();
  }

  /** Puts a virtual clock forward by whole `us`, 0 to 2^52. */
  forward(us: number): void {
    if (!this.virtual) throw new Error('the clock is the machine’s');
    this.#now += us;
    this.#wall += us;
    this.#set();
  }

  #set(): void {
    this.us = this.#now | 0;
    this.ms = Math.floor(this.#now / 1000) | 0;
  }
}
