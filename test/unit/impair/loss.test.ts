import { describe, expect, it } from 'vitest';
import type { GilbertConfig } from '../../../src/impair/config.ts';
import { GilbertElliott } from '../../../src/impair/loss.ts';
import { TestRandom } from '../../lab/memlink.ts';
import { Rig } from './harness.ts';

/** Packets lost of `n`, and how many runs of losses they form. */
function run(c: GilbertConfig, n: number): { lost: number; bursts: number } {
  const chain = new GilbertElliott(c);
  const random = new TestRandom(11);
  let lost = 0;
  let bursts = 0;
  let before = false;
  for (let i = 0; i < n; i++) {
    const now = chain.lose(random);
    if (now) lost++;
    if (now && !before) bursts++;
    before = now;
  }
  return { lost, bursts };
}

describe('loss', () => {
  it.each([
    { p: 0.01, r: 0.2, lossBad: 1, lossGood: 0 },
    { p: 0.02, r: 0.5, lossBad: 0.7, lossGood: 0.001 },
    { p: 0.3, r: 0.3, lossBad: 0.5, lossGood: 0.1 },
  ])('of a Gilbert-Elliott chain %j is (p(1-h) + r(1-k))/(p + r) in the long run', (c) => {
    const n = 2_000_000;
    const expected = (c.p * c.lossBad + c.r * c.lossGood) / (c.p + c.r);
    expect(run(c, n).lost / n / expected).toBeCloseTo(1, 1);
    expect(Math.abs(run(c, n).lost / n / expected - 1)).toBeLessThan(0.02);
  });

  it('of a Gilbert chain comes in bursts of 1/r packets on average', () => {
    const { lost, bursts } = run({ p: 0.01, r: 0.25, lossBad: 1, lossGood: 0 }, 1_000_000);
    expect(lost / bursts).toBeGreaterThan(3.9);
    expect(lost / bursts).toBeLessThan(4.1);
  });

  it('hits the share of packets that was asked for', () => {
    const rig = new Rig({ loss: 0.1 });
    for (let i = 0; i < 20_000; i++) rig.offer(i, i);
    // 2000 ± 5 times the deviation of 42.4
    expect(Math.abs(rig.pipe.stats.lost - 2000)).toBeLessThan(212);
  });

  it('of packets by number hits exactly these, counted from 1', () => {
    const rig = new Rig({ drop: [1, 4, 5] });
    for (let i = 1; i <= 7; i++) rig.offer(i, i);
    rig.run();
    expect(rig.dropped.map(([n]) => n)).toEqual([1, 4, 5]);
    expect(rig.names).toEqual([2, 3, 6, 7]);
  });
});
