import { Command, Option } from 'commander';
import { UserError } from '../daemon/errors.ts';
import { parseTime, UnitError } from '../impair/units.ts';
import type { JoinFormat } from '../log/join/text.ts';
import { ReadingBar, removeOnSignal, warnBroken } from './log-common.ts';

interface Options {
  readonly offset?: string;
  readonly window?: string;
  readonly interface?: string;
  readonly format?: JoinFormat;
  readonly output: string;
  readonly all?: boolean;
}

const NOTES = `
Each row has the fields of a line and of the segment that caused it; "by" says how sure that is: seq and ack by a sequence or acknowledgment number
that the log's lines imply, order by order and time alone. What was counted comes on standard error. See docs/siftr.md, "Joining with a capture".

Examples:
  tcpdump -i eth0 -w peer.pcap --time-stamp-precision=nano tcp        on the peer
  xsiftr log join trace.log peer.pcap | less
  xsiftr log join trace.log peer.pcapng -o joined.csv`;

/** `xsiftr log join`: pairs the lines of a log with captured segments. */
export function logJoinCommand(): Command {
  return new Command('join')
    .description('pair each line of a SIFTR log with the captured segment that caused it')
    .argument('<log>', 'SIFTR log')
    .argument('<capture>', 'pcapng or pcap file from our side or from the peer, also .gz, .xz or .zst')
    .option('--offset <TIME>', "the capture's clock minus the log's: 0, 3.5ms, -2s (default: found out)")
    .option('--window <TIME>', 'how far from its expected time a segment is looked for, after --offset (default 1s)')
    .option('--interface <NAME>', 'only packets of this interface of the capture, by name or number (default: all)')
    .addOption(
      new Option('--format <FORMAT>', 'of the rows; by default the end of the name of FILE, else table').choices([
        'table',
        'csv',
        'ndjson',
      ]),
    )
    .option('-o, --output <FILE>', 'file for the rows, there when it is whole; - is standard output', '-')
    .option('--all', 'also rows for segments without a line')
    .addHelpText('after', NOTES)
    .action(join);
}

async function join(logPath: string, capturePath: string, options: Options): Promise<void> {
  const offsetUs = options.offset === undefined ? undefined : time('--offset', options.offset, true);
  const windowUs = options.window === undefined ? undefined : time('--window', options.window, false);
  const [{ joinFiles }, { joinHeader, joinRow, summaryText }, { AtomicFile }] = await Promise.all([
    import('../log/join/files.ts'),
    import('../log/join/text.ts'),
    import('../log/atomic-file.ts'),
  ]);
  const { format = formatOf(options.output) } = options;
  const file = await AtomicFile.create(options.output, [logPath, capturePath]);
  const stop = removeOnSignal(() => file.abort());
  const bar = new ReadingBar();
  try {
    const it = await joinFiles(logPath, capturePath, {
      ...(offsetUs === undefined ? {} : { offsetUs }),
      ...(windowUs === undefined ? {} : { windowUs }),
      ...(options.interface === undefined ? {} : { iface: options.interface }),
      ...(options.all === undefined ? {} : { all: options.all }),
    });
    if (!it.found) {
      process.stderr.write(
        `xsiftr: ${logPath}: no time difference to ${capturePath} was found; 0 is taken, --offset TIME says another\n`,
      );
    }
    await file.write(joinHeader(format));
    for await (const rows of it.rows()) {
      await file.write(rows.map((row) => joinRow(format, row)).join(''));
      if (options.output !== '-') bar.draw(it.log);
    }
    await file.commit();
    bar.clear();
    warnBroken(logPath, it.summary.broken.count, it.summary.broken.first);
    process.stderr.write(summaryText(it.summary, it.capture.counts.segments - it.capture.notChosen, it.capture.notes));
  } catch (err) {
    file.abort();
    if (!file.gone) throw err;
  } finally {
    bar.clear();
    stop();
  }
}

function formatOf(path: string): JoinFormat {
  const end = /\.(csv|ndjson)$/i.exec(path)?.[1]?.toLowerCase();
  return (end ?? 'table') as JoinFormat;
}

/** A time in µs; seconds without a unit. */
function time(option: string, text: string, negative: boolean): number {
  const minus = negative && text.startsWith('-');
  try {
    const us = parseTime(minus ? text.slice(1) : text, 1e6);
    if (negative || us > 0) return minus ? -us : us;
  } catch (err) {
    if (!(err instanceof UnitError)) throw err;
  }
  const allowed = negative ? 'a time with its sign, as 0, 20ms or -1.5s' : 'a time above 0, as 200ms or 5s';
  throw new UserError(`log join: ${option} ${text}: allowed is ${allowed}`);
}
