/** Joins two files: what `xsiftr log join` does but for its command line and output. */
import { statSync } from 'node:fs';
import { LogError } from '../error.ts';
import type { LogReader } from '../model.ts';
import { openLog } from '../open.ts';
import { ByteSource } from '../read/bytes.ts';
import { CaptureReader } from './capture.ts';
import { Joiner, type JoinRow, WINDOW_US } from './join.ts';
import { estimateOffset, type Offset } from './offset.ts';
import type { JoinSummary } from './summary.ts';

export interface JoinFilesOptions {
  /** Time of the capture − time of the log for one packet, µs; by default it is found out. */
  readonly offsetUs?: number;
  /** How far a segment may be from where it is expected, µs. */
  readonly windowUs?: number;
  /** Name or number of the capture's interface; by default all. */
  readonly iface?: string;
  /** Also rows for segments without a line. */
  readonly all?: boolean;
}

/** A join under way: read `rows` to their end, then look at the rest. */
export interface Join {
  rows(): AsyncGenerator<readonly JoinRow[]>;
  readonly summary: JoinSummary;
  readonly capture: CaptureReader;
  /** The log's reader, for how far it is. */
  readonly log: LogReader;
  /** What is taken for the usual time difference in the beginning; `found` is false when none was found, and it is 0. */
  readonly offset: Offset;
  readonly found: boolean;
}

/** @throws LogError when one of the files cannot be read or is not what it should be */
export async function joinFiles(logPath: string, capturePath: string, options: JoinFilesOptions = {}): Promise<Join> {
  const { offsetUs, windowUs = WINDOW_US, iface = null, all = false } = options;
  const openCapture = async (): Promise<CaptureReader> =>
    new CaptureReader(capturePath, (await ByteSource.open(capturePath)).chunks(), iface);
  const open = async (): Promise<LogReader> => {
    const log = await openLog(logPath);
    if (log.format !== 'siftr')
      throw new LogError(`${logPath}: is no SIFTR log (${log.format}); only the lines of one can be joined`);
    return log;
  };
  let offset: Offset | null = null;
  if (offsetUs !== undefined) offset = { out: offsetUs, in: offsetUs, share: Number.NaN };
  else {
    for (const path of [logPath, capturePath]) {
      if (path !== '-' && statSync(path, { throwIfNoEntry: false })?.isFIFO() !== true) continue;
      throw new LogError(
        `${path}: a pipe can be read only once; give a file, or --offset, without which it is read twice`,
      );
    }
    offset = await estimateOffset((await open()).batches(), (await openCapture()).batches(), windowUs);
  }
  const found = offset !== null;
  offset ??= { out: 0, in: 0, share: 0 };
  const log = await open();
  const capture = await openCapture();
  const joiner = new Joiner(log.batches(), capture.batches(), { windowUs, offset, all });
  return { rows: () => joiner.rows(), summary: joiner.summary, capture, log, offset, found };
}
