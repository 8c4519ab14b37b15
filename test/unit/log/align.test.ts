import { expect, test } from 'vitest';
import { align, type Band } from '../../../src/log/join/align.ts';
import fc from '../../lab/property.ts';

/** The best that any choice of pairs without crossings gives. */
function bestOf(scores: readonly (readonly number[])[], prices: readonly number[]): number {
  let best = 0;
  const go = (row: number, column: number, sum: number): void => {
    best = Math.max(best, sum);
    if (row === scores.length) return;
    go(row + 1, column, sum);
    let skipped = 0;
    for (let c = column; c < prices.length; c++) {
      if (scores[row]![c]! > 0) go(row + 1, c + 1, sum - skipped + scores[row]![c]!);
      skipped += prices[c]!;
    }
  };
  go(0, 0, 0);
  return best;
}

test('an alignment is as good as the best of all that there are, and its pairs are worth what it says', () => {
  const column = fc.integer({ min: -1, max: 5 });
  const input = fc
    .integer({ min: 1, max: 5 })
    .chain((m) =>
      fc.tuple(
        fc.array(fc.array(column, { minLength: m, maxLength: m }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.integer({ min: 0, max: 2 }), { minLength: m, maxLength: m }),
      ),
    );
  fc.assert(
    fc.property(input, ([scores, prices]) => {
      const n = scores.length;
      const band: Band = { from: new Int32Array(n), to: new Int32Array(n).fill(prices.length) };
      const pairs = new Int32Array(n);
      const total = align(
        n,
        band,
        (i, c) => scores[i]![c]!,
        (c) => prices[c]!,
        pairs,
      );
      expect(total).toBe(bestOf(scores, prices));
      let sum = 0;
      let next = 0;
      for (const [i, c] of pairs.entries()) {
        if (c < 0) continue;
        expect(c).toBeGreaterThanOrEqual(next);
        for (; next < c; next++) sum -= prices[next]!;
        next = c + 1;
        sum += scores[i]![c]!;
      }
      expect(sum).toBe(total);
    }),
    { numRuns: 500 },
  );
});

test('columns that no row may pair with cost nothing', () => {
  const band: Band = { from: Int32Array.of(0, 50), to: Int32Array.of(1, 52) };
  const pairs = new Int32Array(2);
  expect(
    align(
      2,
      band,
      () => 1,
      () => 1,
      pairs,
    ),
  ).toBe(2);
  expect([...pairs]).toEqual([0, 50]);
});
