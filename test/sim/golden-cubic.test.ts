import { expect, it } from 'vitest';
import { goldenFaults, SEEDS } from '../lab/golden.ts';

it('goodput of cubic under independent loss at 100 ms is within a fifth of the response function of RFC 9438 section 5.1', () => {
  expect(goldenFaults('cubic', SEEDS)).toEqual([]);
}, 300_000);
