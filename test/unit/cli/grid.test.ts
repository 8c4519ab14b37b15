import { describe, expect, test } from 'vitest';
import { Grid, PROCESS_TICKER, type Ticker } from '../../../src/cli/grid.ts';

/** A clock that goes on by waiting and by `work` only; each wait ends `late` µs late. */
class Virtual implements Ticker {
  us = 123_456;
  readonly late: number;
  waits = 0;
  constructor(late: number) {
    this.late = late;
  }
  now(): number {
    return this.us;
  }
  async wait(us: number): Promise<void> {
    this.waits++;
    this.us += us + this.late;
  }
}

async function run(grid: Grid, ticker: Virtual, work: (k: number) => number): Promise<{ k: number; at: number }[]> {
  const got: { k: number; at: number }[] = [];
  const start = ticker.us;
  for await (const k of grid.moments(new AbortController().signal)) {
    got.push({ k, at: ticker.us - start });
    ticker.us += work(k);
  }
  return got;
}

describe('moments at whole intervals', () => {
  test('come as often as the span has intervals, none early, and lateness does not add up', async () => {
    const ticker = new Virtual(900);
    const grid = new Grid(50_000, 1_000_000, Infinity, ticker);
    const got = await run(grid, ticker, () => 300);
    expect(got.map((g) => g.k)).toEqual(Array.from({ length: 20 }, (_, k) => k));
    expect(got.map((g) => g.at)).toEqual(Array.from({ length: 20 }, (_, k) => (k === 0 ? 0 : k * 50_000 + 900)));
    expect([grid.taken, grid.skipped]).toEqual([20, 0]);
  });

  test('are skipped and counted when the work takes longer than the interval, and never made up for', async () => {
    const ticker = new Virtual(0);
    const grid = new Grid(1000, 10_000, Infinity, ticker);
    const got = await run(grid, ticker, (k) => (k === 2 ? 3500 : 100));
    // Work from 2000 to 5500: the moments 3000, 4000 and 5000 are past.
    expect(got.map((g) => g.k)).toEqual([0, 1, 2, 6, 7, 8, 9]);
    expect(got.map((g) => g.at)).toEqual([0, 1000, 2000, 6000, 7000, 8000, 9000]);
    expect([grid.taken, grid.skipped]).toEqual([7, 3]);
  });

  test('skipped at the end are counted up to the end of the span and not beyond', async () => {
    const ticker = new Virtual(0);
    const grid = new Grid(1000, 10_000, Infinity, ticker);
    await run(grid, ticker, (k) => (k === 8 ? 60_000 : 0));
    expect([grid.taken, grid.skipped]).toEqual([9, 1]);
  });

  test('end after the count, without a wait for the next', async () => {
    const ticker = new Virtual(0);
    const grid = new Grid(50_000, Infinity, 3, ticker);
    expect(await run(grid, ticker, () => 0)).toHaveLength(3);
    expect(ticker.waits).toBe(2);
  });

  test('a wait that ends early is taken up again', async () => {
    const ticker = new Virtual(0);
    ticker.wait = async (us) => {
      ticker.waits++;
      ticker.us += us > 10 ? us - 10 : us;
    };
    const grid = new Grid(1000, 3000, Infinity, ticker);
    expect((await run(grid, ticker, () => 0)).map((g) => g.at)).toEqual([0, 1000, 2000]);
    expect(ticker.waits).toBe(4);
  });

  test('end at once when the signal comes, in the middle of a wait of the real clock', async () => {
    const stop = new AbortController();
    const grid = new Grid(3_600_000_000, Infinity, Infinity, PROCESS_TICKER);
    const got: number[] = [];
    for await (const k of grid.moments(stop.signal)) {
      got.push(k);
      setImmediate(() => stop.abort());
    }
    expect(got).toEqual([0]);
  });
});
