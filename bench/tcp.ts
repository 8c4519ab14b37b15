import { allowCongestion, NEAR_ADDRESS, startXsiftr, withLab } from '../test/lab/netns.ts';
import { type Direction, iperf, offloadsOff } from './iperf.ts';
import type { Effort, Pair } from './pairs.ts';

/**
 * (b) TCP in bulk, iperf3's protocol on both sides: xsiftr with four queues and its iperf3 service, beside iperf3's own server on Linux,
 * each on one end of a veth pair of its own; the far end is Linux in either case, its sender uses CUBIC. Offloads are off on all four
 * ends, so that every segment is a packet for everyone. The receiver counts.
 */

/** Of every end. */
const QUEUES = 4;

export async function tcpPairs(each: (pairs: readonly Pair[]) => Promise<void>): Promise<void> {
  const restore = allowCongestion('cubic');
  try {
    await withLab('bench-b', { queues: QUEUES }, (lab) =>
      withLab('bench-l', { queues: QUEUES }, async (linux) => {
        await offloadsOff(lab);
        await offloadsOff(linux);
        await startXsiftr(lab, ['--no-siftr', '--serve', 'iperf3']);
        const server = linux.spawnNear(['iperf3', '-s', '--forceflush']);
        await server.waitLine(/listening/);
        const pair = (direction: Direction, flows: number): Pair => ({
          name: `TCP, ${direction === 'in' ? 'received' : 'sent'} by xsiftr, ${flows === 1 ? 'one flow' : `${flows} flows`}, beside Linux`,
          unit: 'Gbit/s',
          wanted: 0.7,
          ours: ({ seconds }: Effort) => iperf(lab, NEAR_ADDRESS, { direction, flows, seconds }),
          theirs: ({ seconds }: Effort) => iperf(linux, NEAR_ADDRESS, { direction, flows, seconds }),
        });
        await each([pair('in', 1), pair('in', 4), pair('out', 1), pair('out', 4)]);
      }),
    );
  } finally {
    restore();
  }
}
