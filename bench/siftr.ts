import { createReadStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { allowCongestion, type Lab, NEAR_ADDRESS, startXsiftr, withLab, type Xsiftr } from '../test/lab/netns.ts';
import { type Direction, iperf, offloadsOff } from './iperf.ts';
import type { Effort, Pair, Run } from './pairs.ts';

/**
 * (c) The cost of SIFTR: TCP in bulk with every packet logged (ppl=1) to a file on the local disk, beside the same without a log.
 * One process serves both; the log is turned on and off by sysctl. A run counts only when no packet was skipped for want of room and
 * the file has a line for each.
 */

const LINE_FEED = 10;

/** Lines of a file, and its last one. */
async function lines(file: string): Promise<{ count: number; last: string }> {
  let count = 0;
  let tail = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) count++;
    tail = Buffer.concat([tail, chunk]).subarray(-8192);
  }
  return { count, last: tail.toString('latin1').trimEnd().split('\n').at(-1) ?? '' };
}

/** Throws unless the log is whole. @returns its data lines */
async function checkLog(file: string): Promise<number> {
  const { count, last } = await lines(file);
  const field = (key: string): number => {
    const found = new RegExp(`\\b${key}=(\\d+)`).exec(last);
    if (found === null) throw new Error(`the log's last line has no ${key}: ${last.slice(0, 200)}`);
    return Number(found[1]);
  };
  const malloc = field('num_inbound_skipped_pkts_malloc') + field('num_outbound_skipped_pkts_malloc');
  if (malloc > 0) throw new Error(`${malloc} of ${field('total_tcp_pkts')} packets found no room in the log`);
  const expected = field('total_tcp_pkts') - field('total_skipped_tcp_pkts');
  // The enable and the disable line are no data.
  if (count - 2 !== expected) throw new Error(`the log has ${count - 2} lines for ${expected} packets`);
  return expected;
}

async function logged(lab: Lab, xsiftr: Xsiftr, direction: Direction, seconds: number): Promise<Run> {
  const file = join(lab.dir, 'bench.log');
  await xsiftr.command(['sysctl', `net.inet.siftr.logfile=${file}`, 'net.inet.siftr.enabled=1']);
  try {
    const run = await iperf(lab, NEAR_ADDRESS, { direction, flows: 1, seconds });
    await xsiftr.command(['sysctl', 'net.inet.siftr.enabled=0']);
    return { ...run, note: `${((await checkLog(file)) / 1e6).toFixed(1)} M lines` };
  } finally {
    rmSync(file, { force: true });
  }
}

export async function siftrPairs(each: (pairs: readonly Pair[]) => Promise<void>): Promise<void> {
  const restore = allowCongestion('cubic');
  try {
    await withLab('bench-c', {}, async (lab) => {
      await offloadsOff(lab);
      const xsiftr = await startXsiftr(lab, ['--no-siftr', '--serve', 'iperf3']);
      const pair = (direction: Direction): Pair => ({
        name: `SIFTR, every packet logged, TCP ${direction === 'in' ? 'received' : 'sent'}, beside no log`,
        unit: 'Gbit/s',
        wanted: 0.9,
        finer: 3,
        ours: ({ seconds }: Effort) => logged(lab, xsiftr, direction, seconds),
        theirs: ({ seconds }: Effort) => iperf(lab, NEAR_ADDRESS, { direction, flows: 1, seconds }),
      });
      await each([pair('in'), pair('out')]);
    });
  } finally {
    restore();
  }
}
