/** A monotonic clock and a way to wait by it. */
export interface Ticker {
  /** µs, of any origin; never goes back. */
  now(): number;
  /** Waits about `us` microseconds, longer or shorter, or until the signal. */
  wait(us: number, signal: AbortSignal): Promise<void>;
}

/**
 * The clock of the process (CLOCK_MONOTONIC) and Node's timers: the thread sleeps in epoll_wait(2), whose timeout is whole milliseconds, so a wait
 * ends up to a millisecond late.
 */
export const PROCESS_TICKER: Ticker = {
  now: () => performance.now() * 1000,
  wait: (us, signal) =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, Math.ceil(us / 1000));
      signal.addEventListener('abort', end);
    }),
};

/**
 * Moments at whole intervals from the first one. Each is laid from the start, not from the one before, so lateness does not add up. One that is
 * past when the work of the last one is done is skipped and counted: moments never come closer together to catch up.
 */
export class Grid {
  readonly intervalUs: number;
  /** Moments that came. */
  taken = 0;
  /** Moments that were let go. */
  skipped = 0;
  readonly #limit: number;
  readonly #count: number;
  readonly #ticker: Ticker;

  /**
   * @param spanUs moments at this time or later do not come any more
   * @param count  how many come at most
   */
  constructor(intervalUs: number, spanUs = Infinity, count = Infinity, ticker = PROCESS_TICKER) {
    this.intervalUs = intervalUs;
    this.#limit = Math.ceil(spanUs / intervalUs);
    this.#count = count;
    this.#ticker = ticker;
  }

  /** Yields the number of each moment, from 0 on, when it has come; the work for it is done before the next is asked for. */
  async *moments(signal: AbortSignal): AsyncGenerator<number> {
    const ticker = this.#ticker;
    const start = ticker.now();
    for (let k = 0; k < this.#limit && this.taken < this.#count; ) {
      for (let left = 0; !signal.aborted; ) {
        left = start + k * this.intervalUs - ticker.now();
        if (left <= 0) break;
        await ticker.wait(left, signal);
      }
      if (signal.aborted) return;
      this.taken++;
      yield k;
      if (this.taken === this.#count) return;
      const next = Math.ceil((ticker.now() - start) / this.intervalUs);
      const to = Math.min(Math.max(next, k + 1), this.#limit);
      this.skipped += to - k - 1;
      k = to;
    }
  }
}
