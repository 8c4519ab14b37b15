import type { Lab } from '../test/lab/netns.ts';
import type { Run } from './pairs.ts';

/** Which way the bulk goes, seen from the near end. */
export type Direction = 'in' | 'out';

export interface Load {
  readonly direction: Direction;
  readonly flows: number;
  readonly seconds: number;
}

interface Totals {
  readonly bytes: number;
  readonly seconds: number;
  readonly bits_per_second: number;
}

interface Report {
  readonly error?: string;
  readonly end?: { readonly sum_received: Totals };
}

/** The first second does not count: slow start, and code that is not compiled yet. */
const OMIT = 1;

/** iperf3 from the far end to the near end's server; Gbit/s as the receiver counted them. Throws when iperf3 reports an error. */
export async function iperf(lab: Lab, near: string, load: Load): Promise<Run> {
  const words = ['iperf3', '-c', near, '-t', String(load.seconds), '-O', String(OMIT), '-P', String(load.flows)];
  words.push('-C', 'cubic', '-J', ...(load.direction === 'out' ? ['-R'] : []));
  const { stdout } = await lab.far(words, { check: false, timeout: (load.seconds + 30) * 1000 });
  const report = JSON.parse(stdout) as Report;
  if (report.error !== undefined || report.end === undefined) throw new Error(`iperf3: ${report.error ?? 'no result'}`);
  return { value: report.end.sum_received.bits_per_second / 1e9 };
}

/** Turns off what would spare a kernel the work of single packets, on both ends. */
export async function offloadsOff(lab: Lab): Promise<void> {
  await lab.near('ethtool -K ix1 tx off tso off gso off gro off');
  await lab.far('ethtool -K peer0 tx off tso off gso off gro off');
}
