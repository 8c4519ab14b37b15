/** Equal flows that start one after the other over a 1-BDP drop-tail queue: how evenly they share it. */
import { expect } from 'vitest';
import { SimRandom } from '../../src/driver/sim/random.ts';
import { experiment } from './sim.ts';

export interface Fair {
  readonly cc: string;
  readonly flows: number;
}

export const FAIR: readonly Fair[] = [
  { cc: 'newreno', flows: 2 },
  { cc: 'newreno', flows: 8 },
  { cc: 'cubic', flows: 2 },
  { cc: 'cubic', flows: 8 },
];

export const fairCase = (f: Fair): string => `${f.flows} flows of ${f.cc}`;

/** Starts a second or two apart, each up to a second later as the seed has it. */
function starts(n: number, seed: number): string[] {
  const random = new SimRandom(seed, 'starts');
  const step = n === 2 ? 2 : 1;
  return Array.from({ length: n }, (_, i) => (i * step + (random.next32() >>> 0) / 2 ** 32).toFixed(3));
}

/** Jain's index over 70 s. @throws when a flow fails */
export function jainOf(f: Fair, seed: number): number {
  return experiment(
    {
      bw: '20Mbit',
      delay: '20ms',
      queue: '1bdp',
      time: '70s',
      seed,
      flow: starts(f.flows, seed).map((s) => `cc=${f.cc},start=${s}s`),
    },
    (r) => {
      for (const flow of r.flows) expect(flow.error).toBe(null);
    },
  ).jain_index;
}
