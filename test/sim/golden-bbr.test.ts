import { expect, it } from 'vitest';
import { goldenFaults, SEEDS } from '../lab/golden.ts';

it('goodput of bbr under independent loss at 100 ms is within a tenth of the bottleneck, but for what section 5.3.3.8.3 of its draft takes at 1 %', () => {
  expect(goldenFaults('bbr', SEEDS)).toEqual([]);
}, 300_000);
