import { expect, test } from 'vitest';
import { WindowedMax } from '../../../../src/stack/tcp/cc/minmax.ts';
import fc from '../../../lab/property.ts';

test('the windowed maximum is one of the values of the window, and the true one or near it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 100 })), { minLength: 1 }),
      (steps) => {
        const f = new WindowedMax();
        const seen: [number, number][] = [];
        let t = 0;
        for (const [dt, v] of steps) {
          t += dt;
          seen.push([t, v]);
          const got = f.update(v, t, 10);
          const inWindow = seen.filter(([at]) => t - at <= 10).map(([, x]) => x);
          expect(inWindow).toContain(got);
          expect(got).toBeGreaterThanOrEqual(v);
        }
      },
    ),
  );
});

test('the largest leaves when its window is over, and the second best takes its place', () => {
  const f = new WindowedMax();
  f.update(100, 0, 10);
  f.update(50, 3, 10);
  expect(f.update(40, 6, 10)).toBe(100);
  expect(f.update(10, 10, 10)).toBe(100);
  expect(f.update(10, 11, 10)).toBe(50);
});
