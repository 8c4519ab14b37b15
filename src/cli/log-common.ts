import { type Command, Option } from 'commander';
import { UserError } from '../daemon/errors.ts';
import type { BrokenLine, LogFormat, LogReader, Tuple } from '../log/model.ts';
import { Bar } from './bar.ts';

/** Options that every command which reads logs has. */
export interface LogFlags {
  readonly input?: LogFormat;
  readonly mss?: string;
  readonly flow?: readonly string[];
}

export function logOptions(cmd: Command): Command {
  return cmd
    .addOption(
      new Option('--input <FORMAT>', 'what wrote the logs; by default their first lines tell').choices([
        'siftr',
        'tcp_probe',
        'ss',
        'tcpstats',
      ]),
    )
    .option('--mss <BYTES>', 'bytes of a segment, in which a tcp_probe trace counts windows and does not tell')
    .addOption(
      new Option(
        '--flow <FLOW>',
        'only flows laddr;lport-faddr;fport, with * for any part and /LENGTH behind an address; repeatable',
      ).argParser((v: string, list: string[] | undefined) => [...(list ?? []), v]),
    );
}

/** What the options say: for `openLog`, and which flows are wanted. @throws UserError or LogError for a wrong one */
export async function logChoice(flags: LogFlags) {
  const { flowFilter } = await import('../log/flows.ts');
  const { input, mss, flow = [] } = flags;
  if (mss !== undefined && !(/^\d{1,5}$/.test(mss) && Number(mss) >= 1 && Number(mss) <= 0xffff)) {
    throw new UserError(`log: --mss ${mss}: allowed is a whole number of bytes from 1 to 65535`);
  }
  return {
    open: { ...(input === undefined ? {} : { format: input }), ...(mss === undefined ? {} : { mss: Number(mss) }) },
    filter: flowFilter(flow) as (t: Tuple) => boolean,
  };
}

/** Shows on a terminal how far the reading of a log is. */
export class ReadingBar {
  readonly #bar = new Bar('');

  /** Nothing where the size of the log is not known. */
  draw(reader: Pick<LogReader, 'bytesRead' | 'bytesTotal'>): void {
    const done = reader.bytesRead / reader.bytesTotal;
    if (!Number.isNaN(done)) this.#bar.draw(Math.min(1, done));
  }

  clear(): void {
    this.#bar.clear();
  }
}

/** Broken lines that a warning names. */
const NAMED = 10;

/** Names the lines of a log that were left out, in one line on standard error. */
export function warnBroken(path: string, count: number, first: readonly BrokenLine[]): void {
  if (count === 0) return;
  const named = first.slice(0, NAMED).map((b) => `${b.line} (${b.why})`);
  const more = count > named.length ? `, and ${count - named.length} more` : '';
  process.stderr.write(`xsiftr: ${path}: left out line ${named.join(', ')}${more}\n`);
}

/** Calls `remove` before a signal ends the process. @returns ends that */
export function removeOnSignal(remove: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const end = (signal: NodeJS.Signals) => {
    remove();
    stop();
    process.kill(process.pid, signal);
  };
  const stop = () => {
    for (const signal of signals) process.off(signal, end);
  };
  for (const signal of signals) process.on(signal, end);
  return stop;
}
