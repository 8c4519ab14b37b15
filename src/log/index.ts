/**
 * For programs that read logs: what `import … from 'xsiftr/siftr'` gives. The manual is docs/log.md.
 */
import type { Readable } from 'node:stream';
import { flowFilter } from './flows.ts';
import type { LogItem } from './model.ts';
import { type LogOptions, openLog } from './open.ts';

export { LogError } from './error.ts';
export { flowText } from './flows.ts';
export type {
  BrokenLine,
  DisableLine,
  EnableLine,
  LogFormat,
  LogItem,
  LogReader,
  Sample,
  Tuple,
} from './model.ts';
export { type LogOptions, openLog } from './open.ts';

export interface ReadOptions extends LogOptions {
  /** Only samples of these flows: `laddr;lport-faddr;fport` with `*` for any part and `/LENGTH` behind an address. Other items come all the same. */
  readonly flow?: string | readonly string[] | undefined;
}

/**
 * Reads a SIFTR log of xsiftr or FreeBSD (1.2.2 to 1.3.0), a tcp_probe trace of Linux or polls with ss(8), in the order of its lines. Memory does not
 * grow with the log, and nothing is read ahead of the loop by more than a buffer. Leaving the loop closes the file.
 *
 * What cannot be read is an item `broken` with the number of its line, and the reading goes on behind it; so is the place where a compressed log ends early.
 *
 *     for await (const item of readSiftr('trace.log.xz')) {
 *       if (item.type === 'sample') console.log(item.timeUs, item.cwnd);
 *     }
 *
 * @param from path of a file, `-` for standard input, or a stream of bytes; plain or compressed with gzip, xz or zstd
 * @throws LogError when it cannot be opened or read, an option is wrong, or nothing at its start looks like a log
 */
export async function* readSiftr(
  from: string | Readable,
  options: ReadOptions = {},
): AsyncGenerator<LogItem, void, void> {
  const { flow = [], ...open } = options;
  const chosen = flowFilter(typeof flow === 'string' ? [flow] : flow);
  const reader = await openLog(from, open);
  for await (const batch of reader.batches()) {
    for (const item of batch) if (item.type !== 'sample' || chosen(item)) yield item;
  }
}
