import { describe, expect, it } from 'vitest';
import { bottleneck, type Cell, HEAD, line, median, runCell } from '../lab/golden.ts';

const BW = 20e6;

const LOSSY =
  "each round with a loss lowers bw_lo to the latest delivery rate, which loss and the pacing margin keep below the path's (draft-ietf-ccwg-bbr section 5.5.10.3)";
/** Cells that are further from the bottleneck than a tenth, and why. */
const EXCEPTIONS: Readonly<Record<string, string>> = { 'bbr 1 0.5bdp': LOSSY, 'bbr 1 2bdp': LOSSY };

const cells = [0.0001, 0.001, 0.01].flatMap((loss) =>
  ['0.5bdp', '2bdp'].map((queue): Cell => ({ cc: 'bbr', loss, queue, warmup: 5, seconds: 40 })),
);

describe('goodput of bbr under independent loss at 100 ms', () => {
  it('is within a tenth of the bottleneck', () => {
    const table = [HEAD];
    const outside: string[] = [];
    for (const cell of cells) {
      const { goodput_bps: got } = median(runCell(cell, BW));
      const wanted = bottleneck(BW, cell.loss);
      const key = `${cell.cc} ${cell.loss * 100} ${cell.queue}`;
      if (got < 0.9 * wanted) outside.push(key);
      table.push(line(cell, got, wanted, EXCEPTIONS[key] ?? ''));
    }
    console.log(table.join('\n'));
    expect(outside).toEqual(Object.keys(EXCEPTIONS));
  }, 300_000);
});
