import { expect, it } from 'vitest';
import { goldenFaults, SEEDS } from '../lab/golden.ts';

it('goodput of newreno under independent loss at 100 ms is within a fifth of what Mathis gives', () => {
  expect(goldenFaults('newreno', SEEDS)).toEqual([]);
}, 300_000);
