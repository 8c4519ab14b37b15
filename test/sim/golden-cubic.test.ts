import { expect, it } from 'vitest';
import { cellsOf, cubicWindow, goodputOf, offTheory } from '../lab/golden.ts';

const BW = 40e6;

const cells = cellsOf(
  'cubic',
  (loss) => (loss > 0.0001 ? 60 : 100),
  (loss) => (loss > 0.0001 ? 20 : 60),
);

it('goodput of cubic under independent loss at 100 ms is within a fifth of the response function of RFC 9438 section 5.1', () => {
  const theory = (c: (typeof cells)[number]) => goodputOf(cubicWindow(c.loss), BW, c.loss);
  expect(offTheory(cells, BW, theory, 0.8, 1.2)).toEqual([]);
}, 300_000);
