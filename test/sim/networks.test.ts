import { describe, expect, it } from 'vitest';
import { checkNetwork } from '../long/sweeps.ts';

/** The first of the networks of `make test-long` (test/long/run.ts), which goes through thousands. */
const SEEDS = Array.from({ length: 80 }, (_, i) => i + 1);

describe('two hosts over a bad network, both sending, with every loss, order, size and option there is', () => {
  it('deliver what was sent or report an error, contradict nothing on the wire, and leave nothing behind', () => {
    const failed = SEEDS.flatMap((seed) => {
      try {
        checkNetwork(seed, 0);
        return [];
      } catch (err) {
        return [`${(err as Error).message}\nreplay: node test/long/run.ts networks --first ${seed} --count 1`];
      }
    });
    expect(failed).toEqual([]);
  }, 300_000);
});
