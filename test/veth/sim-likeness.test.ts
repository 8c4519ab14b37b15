import { describe, expect, test } from 'vitest';
import { labMissing } from '../lab/netns.ts';
import { inSimulation, onVeth, type Twin } from '../lab/simtwin.ts';
import { describeLikeness, likeness, type Trace } from '../lab/traces.ts';

/**
 * The same flow in simulation and over the link emulator (docs/simulation.md, "Beside a real network"). What differs besides the machine is the
 * receiver: Linux acknowledges each segment of a young connection at once and every second one later, our stack what came in one pass. So the
 * sender hears of the same losses a few packets sooner or later, and its window, of 25 to 50 segments, stands a segment or two apart.
 */

/** Far below the rate, so that nothing queues: losses alone limit the window. A loss in the first slow start, then one in some 400 packets. */
const PATH: Omit<Twin, 'cc'> = {
  rate: 20e6,
  delayUs: 20_000,
  seconds: 6,
  drop: [40, 300, 700, 1100, 1600, 2000, 2500],
};
/** Packets between the places at which the same loss is answered, and shares of the window. */
const PLACES = 10;
const WINDOW = 0.1;
const MEAN = 0.05;

function compare(veth: Trace, sim: Trace): string {
  const each = sim.at.map(({ sent, cwnd }, i) => `${veth.at[i]?.sent}/${sent}: ${veth.at[i]?.cwnd}/${cwnd}`);
  return `${describeLikeness(likeness(veth, sim, { axis: 'sent' }))}; at packet: window, veth/simulation: ${each.join(', ')}`;
}

describe.skipIf(labMissing('python3', 'cmake', 'nstat'))('a flow over veth and the same one in simulation', () => {
  test.each(['newreno', 'cubic'])(
    '%s answers the same losses, at the same packets, with the same windows',
    async (cc) => {
      const twin = { ...PATH, cc };
      const { trace: veth, run } = await onVeth(twin);
      const sim = inSimulation(twin);
      const said = compare(veth, sim);
      console.log(`${cc}: ${said}`);
      // All of the list was sent and lost, and nothing else.
      expect(run.emulator.toPeer.lost).toEqual(PATH.drop.map((n) => n + 1));
      expect(run.emulator.toPeer.queue_drops).toBe(0);

      expect(sim.at).toHaveLength(PATH.drop.length);
      expect(veth.at, said).toHaveLength(PATH.drop.length);
      sim.at.forEach(({ sent, cwnd }, i) => {
        expect(Math.abs(veth.at[i]!.sent - sent), said).toBeLessThanOrEqual(PLACES);
        expect(Math.abs(veth.at[i]!.cwnd / cwnd - 1), said).toBeLessThanOrEqual(WINDOW);
      });
      expect(likeness(veth, sim, { axis: 'sent' }).difference, said).toBeLessThanOrEqual(MEAN);
    },
  );
});
