import { describe, expect, test } from 'vitest';
import { ReducedSeries, thinned } from '../../../src/log/plot/reduce.ts';
import fc from '../../lab/property.ts';

type Point = [t: number, v: number];

function reduce(points: readonly Point[], stretches: number): Point[] {
  const s = new ReducedSeries(stretches);
  for (const [t, v] of points) s.add(t, v);
  const { t, v } = s.points();
  return [...t].map((at, i) => [at, v[i]!]);
}

const anyPoints = fc.array(
  fc.tuple(fc.integer({ min: -1_000_000, max: 10_000_000 }), fc.integer({ min: 0, max: 1000 })),
  { minLength: 1, maxLength: 400 },
);
const stretches = fc.integer({ min: 2, max: 16 });

describe('a series of a plot', () => {
  test('keeps every point while there are no more than four times the stretches', () => {
    const points: Point[] = [
      [0, 5],
      [1, 7],
      [1.5, 6],
      [900_000_000, 1],
    ];
    expect(reduce(points, 4)).toEqual(points);
  });

  test('keeps the first and the last point of a run of equal values, gaps among them', () => {
    const points: Point[] = [];
    for (let t = 0; t < 1000; t++) points.push([t, t < 300 ? 1 : t < 600 ? Number.NaN : 2]);
    expect(reduce(points, 2)).toEqual([
      [0, 1],
      [299, 1],
      [300, Number.NaN],
      [599, Number.NaN],
      [600, 2],
      [999, 2],
    ]);
  });

  test('orders points by time, those of one time as they came', () => {
    const points: Point[] = [
      [5, 1],
      [3, 2],
      [5, 3],
      [4, 4],
    ];
    expect(reduce(points, 4)).toEqual([
      [3, 2],
      [4, 4],
      [5, 1],
      [5, 3],
    ]);
  });

  // 100 points at 0..99 µs in no more than 2 stretches: their length is a power of two that makes 99 µs fit, 64 µs.
  test('of a stretch keeps first, least, greatest and last', () => {
    const points: Point[] = [];
    for (let t = 0; t < 100; t++) points.push([t, t === 20 ? 0 : t === 30 ? 99 : 50 + (t % 3)]);
    expect(reduce(points, 2)).toEqual([
      [0, 50],
      [20, 0],
      [30, 99],
      [63, 50],
      [64, 51],
      [65, 52],
      [66, 50],
      [99, 50],
    ]);
  });

  test('never grows over four points a stretch', () => {
    fc.assert(
      fc.property(anyPoints, stretches, (points, n) => {
        expect(reduce(points, n).length).toBeLessThanOrEqual(4 * n);
      }),
    );
  });

  test('keeps the least and the greatest value, the first and the last point, and makes none up', () => {
    fc.assert(
      fc.property(anyPoints, stretches, (points, n) => {
        const kept = reduce(points, n);
        const values = points.map(([, v]) => v);
        const left = kept.map(([, v]) => v);
        expect(Math.min(...left)).toBe(Math.min(...values));
        expect(Math.max(...left)).toBe(Math.max(...values));
        const byTime = points.toSorted((a, b) => a[0] - b[0]);
        expect(kept[0]).toEqual(byTime[0]);
        expect(kept.at(-1)).toEqual(byTime.at(-1));
        for (const [t, v] of kept) expect(points).toContainEqual([t, v]);
        expect(kept.map(([t]) => t)).toEqual(kept.map(([t]) => t).toSorted((a, b) => a - b));
      }),
    );
  });

  test('keeps the extremes of every stretch of time that is as long as the picture has columns', () => {
    fc.assert(
      fc.property(anyPoints, stretches, (points, n) => {
        const kept = reduce(points, n);
        const at = points.map(([t]) => t);
        const span = Math.max(...at) - Math.min(...at);
        // No stretch is longer than this: the power of two with which the next shorter one no longer fitted.
        const width = 2 ** Math.ceil(Math.log2(Math.max(1, (2 * span) / (n - 1))));
        for (const [t, v] of points) {
          const near = kept.filter(([k]) => Math.abs(k - t) <= width).map(([, value]) => value);
          expect(Math.min(...near)).toBeLessThanOrEqual(v);
          expect(Math.max(...near)).toBeGreaterThanOrEqual(v);
        }
      }),
    );
  });

  test('is thinned to what a picture of so many columns needs', () => {
    const t = Float64Array.from({ length: 1000 }, (_, i) => i);
    const v = Float64Array.from({ length: 1000 }, (_, i) => (i === 501 ? 1e6 : i % 7));
    expect(thinned({ t, v }, 250)).toEqual({ t, v });
    const less = thinned({ t, v }, 10);
    expect(less.t.length).toBeLessThanOrEqual(40);
    expect([...less.v]).toContain(1e6);
  });
});
