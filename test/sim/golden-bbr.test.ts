import { expect, it } from 'vitest';
import { bottleneck, cellsOf, offTheory } from '../lab/golden.ts';

const BW = 20e6;

/** Cells that are further from the bottleneck than a tenth, and why. */
const LOSSY =
  'each round with a loss lowers bw_lo to the latest delivery rate, which loss and the pacing margin keep below the bandwidth (draft-ietf-ccwg-bbr section 5.5.10.3)';
const EXCEPTIONS: Readonly<Record<string, string>> = { 'bbr 1 0.5bdp': LOSSY, 'bbr 1 2bdp': LOSSY };

const cells = cellsOf(
  'bbr',
  () => 40,
  () => 5,
);

it('goodput of bbr under independent loss at 100 ms is within a tenth of the bottleneck', () => {
  const theory = (c: (typeof cells)[number]) => bottleneck(BW, c.loss);
  expect(offTheory(cells, BW, theory, 0.9, 1.1)).toEqual(Object.keys(EXCEPTIONS));
}, 300_000);
