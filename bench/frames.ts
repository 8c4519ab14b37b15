import { join } from 'node:path';
import { type Lab, ROOT, withLab } from '../test/lab/netns.ts';
import { run } from '../test/lab/process.ts';
import type { Effort, Pair, Run } from './pairs.ts';

/**
 * (a) 64-byte frames. Both sides use the same XDP program, ring sizes, batch and bind flags; the other end of the veth pair is the
 * same for both: the twin's sender, or an XDP program that drops and counts.
 */

const TWIN = join(ROOT, 'build/Release/twin');
const CHILD = join(ROOT, 'bench/frames-child.ts');
/** Processor of the end that is measured, and of the other end. */
const OURS_CPU = '1';
const OTHER_CPU = '0';
/** Station address that our side takes for its own; the twin takes every frame. */
const NEAR_MAC = '02:00:00:00:00:01';
/** How much longer the other end works, so that it is there all the time, s. */
const LEAD = 1.5;

interface Line {
  readonly seconds: number;
  readonly packets: number;
}

const lastLine = (text: readonly string[]): Line => JSON.parse(text.at(-1) ?? '') as Line;

/** The words that start a side: ours by Node, theirs the twin. */
const side = (ours: boolean): string[] =>
  ours ? [process.execPath, '--disable-warning=ExperimentalWarning', CHILD] : [TWIN];

function mpps({ packets, seconds }: Line): Run {
  if (packets === 0) throw new Error('no frame was counted');
  return { value: packets / seconds / 1e6 };
}

/** The near end receives what the twin sends from the far end. */
async function receive(lab: Lab, ours: boolean, { seconds }: Effort): Promise<Run> {
  const time = String(seconds);
  const extra = ours ? [] : ['--spin', '--timestamp'];
  const receiver = lab.spawnNear([
    'taskset',
    '-c',
    OURS_CPU,
    ...side(ours),
    'rx',
    '--iface',
    'ix1',
    '--seconds',
    time,
    ...extra,
  ]);
  await receiver.waitLine(/^ready/);
  const words = ['--iface', 'peer0', '--seconds', String(seconds + LEAD), '--dst-mac', NEAR_MAC];
  const sender = lab.spawnFar([
    'taskset',
    '-c',
    OTHER_CPU,
    TWIN,
    'tx',
    ...words,
    '--src',
    '192.0.2.2',
    '--dst',
    '192.0.2.1',
  ]);
  if ((await receiver.exited) !== 0) throw new Error(receiver.output());
  await sender.stop('SIGTERM');
  return mpps(lastLine(receiver.lines));
}

/** The near end sends; the far end's XDP program drops and counts. */
async function transmit(lab: Lab, mac: string, ours: boolean, { seconds }: Effort): Promise<Run> {
  const sink = lab.spawnFar(['taskset', '-c', OTHER_CPU, TWIN, 'sink', '--iface', 'peer0', '--seconds', '600']);
  await sink.waitLine(/^ready/);
  const addresses = ours ? [] : ['--src', '192.0.2.1', '--dst', '192.0.2.2'];
  const words = ['tx', '--iface', 'ix1', '--seconds', String(seconds), '--dst-mac', mac, ...addresses];
  const sender = lab.spawnNear(['taskset', '-c', OURS_CPU, ...side(ours), ...words]);
  if ((await sender.exited) !== 0) throw new Error(sender.output());
  await sink.stop('SIGTERM');
  return mpps({ seconds: lastLine(sender.lines).seconds, packets: lastLine(sink.lines).packets });
}

/** The pairs of (a), on a veth pair of their own. */
export async function framePairs(each: (pairs: readonly Pair[]) => Promise<void>): Promise<void> {
  await run(['cmake', '--build', join(ROOT, 'build'), '--target', 'twin'], { timeout: 300_000 });
  await withLab('bench-a', { peerOffloads: false }, async (lab) => {
    const far = (await lab.far('cat /sys/class/net/peer0/address')).stdout.trim();
    await each([
      {
        name: '64-byte frames, receive, beside C on libxdp',
        unit: 'Mpps',
        wanted: 0.85,
        ours: (effort) => receive(lab, true, effort),
        theirs: (effort) => receive(lab, false, effort),
      },
      {
        name: '64-byte frames, transmit, beside C on libxdp',
        unit: 'Mpps',
        wanted: 0.85,
        ours: (effort) => transmit(lab, far, true, effort),
        theirs: (effort) => transmit(lab, far, false, effort),
      },
    ]);
  });
}
