import { expect, test } from 'vitest';
import { counter } from '../lab/counters.ts';
import { labMissing, startXsiftr, withLab } from '../lab/netns.ts';

const PACKETS = 10_000_000;
/** Samples of the heap that one figure is the least of: what the collector leaves, not what waits for it. */
const SAMPLES = 12;
/** A byte kept every third packet would show. */
const MARGIN = 3_000_000;

test.skipIf(labMissing('iperf3'))(
  'the heap of a shard is as large after ten million packets as after the first million, SIFTR sampling them all',
  async () => {
    await withLab('heap', { peerOffloads: false }, async (lab) => {
      // One line in 10,000 is written; the hook copies every packet's record all the same.
      const x = await startXsiftr(lab, ['--siftr-ppl', '10000']);
      const least = async (): Promise<number> => {
        let heap = Number.POSITIVE_INFINITY;
        for (let i = 0; i < SAMPLES; i++) {
          const body = (await (await fetch(`${x.metrics}/healthz`)).json()) as { shards: { heapBytes: number }[] };
          heap = Math.min(heap, body.shards[0]!.heapBytes);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return heap;
      };
      const packets = async (): Promise<number> =>
        (await counter(x, 'tcp_rcvtotal')) + (await counter(x, 'tcp_sndtotal'));
      let early = 0;
      let late = 0;
      let n = 0;
      for (let reverse = false; n < PACKETS; reverse = !reverse) {
        const load = lab.spawnFar(['iperf3', '-c', '192.0.2.1', '-t', '5', ...(reverse ? ['-R'] : [])]);
        await new Promise((resolve) => setTimeout(resolve, 3500));
        const heap = await least();
        await load.exited;
        n = await packets();
        if (early === 0 && n > PACKETS / 10) early = heap;
        late = heap;
      }
      expect(early).toBeGreaterThan(0);
      expect(late).toBeLessThan(early + MARGIN);
      expect(await x.stop()).toBe(0);
    });
  },
  180_000,
);
