import { expect, it } from 'vitest';
import { cellsOf, goodputOf, mathis, offTheory } from '../lab/golden.ts';

const BW = 40e6;

const cells = cellsOf(
  'newreno',
  (loss) => (loss > 0.0001 ? 60 : 160),
  (loss) => (loss > 0.0001 ? 20 : 60),
);

it('goodput of newreno under independent loss at 100 ms is within a fifth of what Mathis gives', () => {
  const theory = (c: (typeof cells)[number]) => goodputOf(mathis(c.loss), BW, c.loss);
  expect(offTheory(cells, BW, theory, 0.8, 1.2)).toEqual([]);
}, 300_000);
