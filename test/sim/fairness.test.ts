import { describe, expect, it } from 'vitest';
import { experiment } from '../lab/sim.ts';
import { SeededRandom } from '../lab/twostacks.ts';

const SEEDS = 10;

/** Starts a second or two apart, each up to a second later as the seed has it. */
function starts(n: number, seed: number): string[] {
  const random = new SeededRandom(seed);
  const step = n === 2 ? 2 : 1;
  return Array.from({ length: n }, (_, i) => (i * step + random.unit()).toFixed(3));
}

describe('equal flows that start one after the other over a 1-BDP drop-tail queue', () => {
  it.each([
    ['newreno', 2],
    ['newreno', 8],
    ['cubic', 2],
    ['cubic', 8],
  ])(
    'of %s share it, %i of them: Jain index 0.95 at least, median of ten seeds',
    (cc, n) => {
      const indexes = Array.from({ length: SEEDS }, (_, i) => {
        let jain = 0;
        experiment(
          {
            bw: '20Mbit',
            delay: '20ms',
            queue: '1bdp',
            time: '90s',
            seed: i + 1,
            flow: starts(n, i + 1).map((s) => `cc=${cc},start=${s}s`),
          },
          (r) => {
            for (const f of r.flows) expect(f.error).toBe(null);
            jain = r.jain_index;
          },
        );
        return jain;
      }).sort((a, b) => a - b);
      console.log(`${cc} x ${n}: ${indexes.map((j) => j.toFixed(3)).join(' ')}`);
      expect(indexes[(SEEDS - 1) >> 1]).toBeGreaterThanOrEqual(0.95);
    },
    120_000,
  );
});
