import { connect } from 'node:net';
import { Command } from 'commander';
import { ssFilter } from '../daemon/conns.ts';
import { SystemError, UserError } from '../daemon/errors.ts';
import { parseDuration } from '../daemon/units.ts';
import { loadNative } from '../driver/native.ts';
import {
  parseStatNames,
  STAT_COLUMNS,
  type StatName,
  type StatRecord,
  statHeader,
  statLine,
} from '../views/tcpstats.ts';
import { askLines, call, findInstance, type Instance, type InstanceInfo } from './client.ts';
import { clientOptions, instanceOptions, print, sleep } from './common.ts';
import { FifoDevice } from './fifo-device.ts';
import { Grid } from './grid.ts';
import { StatFile } from './stat-file.ts';

/** Default of -s, as siftr_cdev_logger's (spec/siftr.md section 15), and what is allowed: timers count in milliseconds. */
const INTERVAL_US = 50_000;
const INTERVAL_MIN = 1000;
const INTERVAL_MAX = 3_600_000_000;
const COUNT_MAX = 2 ** 32;
/** Longest -t, ms: that of one timer. */
const TIME_MAX = 2 ** 31 - 1;

interface StatsFlags {
  readonly output?: string;
  readonly sleep?: number;
  readonly count?: number;
  readonly time?: number;
  readonly device?: string;
  readonly fields?: StatName[];
  readonly columns?: boolean;
  readonly all?: boolean;
  readonly ipv4?: boolean;
  /** Commander's name of --no-header, true by default. */
  readonly header?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
  xsiftr tcpstats                                   one line a connection, once
  xsiftr tcpstats -o flow.csv                       twenty samples a second, appended until Ctrl-C
  xsiftr tcpstats -o - -s 1000000 dport = :5201     one a second on standard output, of some connections
  xsiftr tcpstats --device /tmp/tcpstats            then elsewhere: cat /tmp/tcpstats

The filter is that of xsiftr ss. Exit status: 0 also after Ctrl-C, 1 when the instance ended or a file cannot be written. docs/tcpstats.md.`;

/** `xsiftr tcpstats`: samples of the connections, as SIFTR_cdev gave them (spec/siftr.md section 15). */
export function tcpstatsCommand(): Command {
  return clientOptions(new Command('tcpstats'))
    .description('a line a connection with the state of its control block: once, at intervals, or for who reads a FIFO')
    .argument('[filter...]', 'states and an expression, as of ss')
    .option('-o, --output <FILE>', 'sample, and append to this file (-: standard output)')
    .option('-s, --sleep <USEC>', 'sample at this interval, microseconds (default: 50000)', interval)
    .option('-n, --count <N>', 'sample so many times', count)
    .option('-t, --time <TIME>', 'sample for so long, as 10s or 1m', time)
    .option('--device <PATH>', 'serve a FIFO at this path: who reads it gets samples')
    .option('--fields <NAMES>', 'these columns, with commas between; default and all stand for several', parseStatNames)
    .option('--columns', 'list the columns with their units, and ask nobody')
    .option('-a, --all', 'connections in SYN-RECV and TIME-WAIT too')
    .option('-4, --ipv4', 'IPv4 connections (there are no others)')
    .option('-H, --no-header', 'no header line')
    .option('--json', 'one object a line, with the columns that have a value')
    .addHelpText('after', EXAMPLES)
    .action(async (words: string[], flags: StatsFlags, cmd: Command) => {
      if (flags.columns) {
        await print(columnList(flags.json === true));
        return;
      }
      if (flags.device !== undefined && (flags.output !== undefined || flags.count !== undefined)) {
        const other = flags.output === undefined ? `-n ${flags.count}` : `-o ${flags.output}`;
        throw new UserError(
          `tcpstats: --device ${flags.device} and ${other} do not go together; --device takes -s and -t`,
        );
      }
      ssFilter(words, { all: flags.all === true });
      await new TcpStats(await findInstance(instanceOptions(cmd)), words, flags).run();
    });
}

class TcpStats {
  readonly #instance: Instance;
  readonly #flags: StatsFlags;
  readonly #names: readonly StatName[];
  readonly #url: string;
  readonly #head: string;
  #samples = 0;
  #lines = 0;
  #skipped = 0;

  constructor(instance: Instance, words: readonly string[], flags: StatsFlags) {
    this.#instance = instance;
    this.#flags = flags;
    this.#names = flags.fields ?? parseStatNames('default');
    const query = new URLSearchParams(words.map((w): [string, string] => ['w', w]));
    query.set('f', this.#names.join());
    query.set('a', flags.all ? '1' : '0');
    this.#url = `/tcpstats?${query}`;
    this.#head = flags.json || flags.header === false ? '' : statHeader(this.#names);
  }

  async run(): Promise<void> {
    const { output, sleep, count, time, device } = this.#flags;
    const stop = new AbortController();
    const onSignal = (): void => stop.abort();
    // A second one ends the process at once.
    for (const s of ['SIGINT', 'SIGTERM'] as const) process.once(s, onSignal);
    try {
      if (device !== undefined) await this.#serve(device, stop.signal);
      else if (output !== undefined && output !== '-') await this.#append(output, stop.signal);
      else if ([output, sleep, count, time].every((v) => v === undefined)) {
        await print(this.#head + (await this.#sample(stop.signal)));
      } else {
        if (await print(this.#head)) await this.#sampleInto(this.#grid(), stop.signal, print);
        this.#tell('');
      }
    } finally {
      for (const s of ['SIGINT', 'SIGTERM'] as const) process.off(s, onSignal);
    }
  }

  async #append(path: string, signal: AbortSignal): Promise<void> {
    const file = new StatFile(path, this.#head, this.#flags.json === true);
    try {
      await this.#sampleInto(this.#grid(), signal, async (text) => {
        file.write(text);
        return true;
      });
    } finally {
      file.close();
    }
    this.#tell(` to ${path}`);
  }

  async #serve(path: string, signal: AbortSignal): Promise<void> {
    const { time } = this.#flags;
    const gone = new AbortController();
    const ends = [signal, gone.signal, ...(time === undefined ? [] : [AbortSignal.timeout(time)])];
    const end = AbortSignal.any(ends);
    const { sysMkfifo } = loadNative();
    const device = new FifoDevice({ path, head: this.#head, mkfifo: sysMkfifo });
    try {
      process.stderr.write(`xsiftr: tcpstats: serving ${path}\n`);
      void this.#outlive(end).then(() => gone.abort());
      while (!end.aborted) {
        await device.reader(end);
        const grid = new Grid(this.#flags.sleep ?? INTERVAL_US);
        await this.#sampleInto(grid, end, async (text) => {
          device.write(text);
          return device.readers > 0;
        });
      }
      if (gone.signal.aborted && !signal.aborted) throw this.#endLine();
    } finally {
      await device.close();
    }
    const dropped = device.dropped === 0 ? '' : `; ${device.dropped} dropped for readers that were too slow`;
    this.#tell(` to ${plural(device.served, 'reader')}${dropped}`);
  }

  #grid(): Grid {
    const { sleep = INTERVAL_US, time, count } = this.#flags;
    return new Grid(sleep, time === undefined ? Infinity : time * 1000, count);
  }

  /** Samples until the end, or until `write` says that nobody wants more. */
  async #sampleInto(grid: Grid, signal: AbortSignal, write: (text: string) => Promise<boolean>): Promise<void> {
    try {
      for await (const _ of grid.moments(signal)) {
        const text = await this.#sample(signal);
        if (signal.aborted) break;
        this.#samples++;
        if (!(await write(text))) break;
      }
    } finally {
      this.#skipped += grid.skipped;
    }
  }

  /** One sample as text: all of it or an error; '' when the signal came meanwhile. */
  async #sample(signal: AbortSignal): Promise<string> {
    let text = '';
    let lines = 0;
    try {
      for await (const line of askLines(this.#instance, this.#url, undefined, { signal })) {
        text += this.#flags.json ? `${line}\n` : statLine(this.#names, JSON.parse(line) as StatRecord);
        lines++;
      }
    } catch (err) {
      if (signal.aborted) return '';
      throw await this.#ended(err);
    }
    this.#lines += lines;
    return text;
  }

  /** The instance's end has a line of its own; anything else is said as it is. */
  async #ended(err: unknown): Promise<unknown> {
    if (!isGone((err as Error).cause) && !(await this.#stops())) return err;
    return this.#endLine();
  }

  #endLine(): SystemError {
    const { iface, pid } = this.#instance.info;
    return new SystemError(
      `tcpstats: ${iface}: the instance (pid ${pid}) has ended; ${plural(this.#samples, 'sample')} taken before`,
    );
  }

  /**
   * Settled when the instance has ended, or the signal came: of that nobody who only waits for a reader would hear. It holds a connection, which the
   * instance's end closes; the instance itself closes one on which nothing is asked after a minute, and it is made anew.
   */
  async #outlive(signal: AbortSignal): Promise<void> {
    for (;;) {
      await new Promise<void>((resolve) => {
        const socket = connect({ path: this.#instance.path, signal });
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.resume();
      });
      if (signal.aborted || (await this.#stops())) return;
      await sleep(1000);
    }
  }

  /** It is on its way out, or gone since. */
  async #stops(): Promise<boolean> {
    try {
      const { status, text } = await call(this.#instance.path, 'GET', '/info');
      return status === 200 && (JSON.parse(text) as InstanceInfo).ready === false;
    } catch (err) {
      return isGone(err);
    }
  }

  #tell(where: string): void {
    const us = this.#flags.sleep ?? INTERVAL_US;
    const n = this.#skipped;
    const skipped = n === 0 ? '' : `; ${plural(n, 'sample')} skipped, as the one before took longer than ${us} us`;
    process.stderr.write(
      `xsiftr: tcpstats: ${plural(this.#samples, 'sample')}, ${plural(this.#lines, 'line')}${where}${skipped}\n`,
    );
  }
}

/** A socket's error that says that nobody is at the other end. */
function isGone(err: unknown): boolean {
  return ['ECONNRESET', 'ECONNREFUSED', 'ENOENT', 'EPIPE'].includes(
    (err as NodeJS.ErrnoException | undefined)?.code ?? '',
  );
}

function plural(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function whole(option: string, text: string, min: number, max: number): number {
  const n = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (n >= min && n <= max) return n;
  throw new UserError(`tcpstats: ${option} ${text}: allowed is a whole number from ${min} to ${max}`);
}

function interval(text: string): number {
  return whole('-s', text, INTERVAL_MIN, INTERVAL_MAX);
}

function count(text: string): number {
  return whole('-n', text, 1, COUNT_MAX);
}

function time(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0 && ms <= TIME_MAX) return ms;
  throw new UserError(`tcpstats: -t ${text}: allowed is a time up to 24d, as 10s or 1m`);
}

function columnList(json: boolean): string {
  return STAT_COLUMNS.map((c) =>
    json ? `${JSON.stringify(c)}\n` : `${c.name.padEnd(20)} ${c.unit.padEnd(9)} ${c.help}\n`,
  ).join('');
}
