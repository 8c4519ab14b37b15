import { describe, expect, it } from 'vitest';
import { FAIR, fairCase, jainOf } from '../lab/fairness.ts';

const SEEDS = 10;

describe('equal flows that start one after the other over a 1-BDP drop-tail queue share it', () => {
  it.each(FAIR.map((f) => [fairCase(f), f] as const))(
    '%s: Jain index 0.95 at least, median of ten seeds',
    (name, f) => {
      const indexes = Array.from({ length: SEEDS }, (_, i) => jainOf(f, i + 1)).sort((a, b) => a - b);
      console.log(`${name}: ${indexes.map((j) => j.toFixed(3)).join(' ')}`);
      expect(indexes[(SEEDS - 1) >> 1]).toBeGreaterThanOrEqual(0.95);
    },
    120_000,
  );
});
