import { describe, expect, test } from 'vitest';
import { labMissing } from '../lab/netns.ts';
import { describeRun, lossyPath, runLinux, unequalLosses } from '../lab/sidebyside.ts';

/** Seconds of a run. */
const SECONDS = 8;

/** The comparison's own ground: two senders that are the same give nearly the same goodput. */
describe.skipIf(labMissing('python3', 'cmake', 'nstat', 'ss'))(
  'over 1 % loss and 40 ms, the same seed for both',
  () => {
    test.each([
      { name: 'in order', reorder: false },
      { name: 'with 1 % reordered', reorder: true },
    ])('$name, Linux cubic beside Linux cubic', { timeout: 60_000 }, async ({ reorder }) => {
      const conditions = { emulator: lossyPath(1, reorder), seconds: SECONDS };
      const first = await runLinux(conditions);
      const second = await runLinux(conditions);
      console.log(
        `${describeRun(first)}\n${describeRun(second)}\nratio ${(first.goodput / second.goodput).toFixed(3)}`,
      );
      for (const run of [first, second]) {
        expect(run.emulator.toPeer.lost_data).toBeGreaterThan(0);
        expect(run.bytes).toBeGreaterThan(0);
        expect(run.anomalies).toEqual({});
      }
      expect(unequalLosses(first, second)).toEqual([]);
    });
  },
);
