import { statSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { Command, Option } from 'commander';
import { UserError } from '../daemon/errors.ts';
import type { LogOptions } from '../log/open.ts';
import type { Plot, PlotOptions, PlotSource } from '../log/plot/model.ts';
import { type LogFlags, logChoice, logOptions, ReadingBar, removeOnSignal } from './log-common.ts';

const EXAMPLES = `
Examples:
  xsiftr log plot trace.log -o trace.html                     cwnd, in flight, windows, srtt over time; zoom and choose in a browser
  xsiftr log plot trace.log -o cwnd.svg --fields cwnd,ssthresh --from 2 --to 4
  xsiftr log plot ours.log kernel.ss -o both.png --flow '*;*-*;5001' --label xsiftr --label Linux

FILE appears when it is whole. docs/log-plot.md explains what is drawn, and what is left out of long logs.`;

const collect = (v: string, list: string[] | undefined): string[] => [...(list ?? []), v];

interface Given extends LogFlags {
  readonly output?: string;
  readonly format?: string;
  readonly fields?: string;
  readonly maxFlows?: string;
  readonly label?: string[];
  readonly align: string;
  readonly from?: string;
  readonly to?: string;
  readonly title?: string;
}

const FORMATS = ['html', 'svg', 'png'] as const;
type Format = (typeof FORMATS)[number];

/** Flows of a log that are drawn unless --max-flows says otherwise. In a page they can be switched on and off. */
const MOST_FLOWS: Readonly<Record<Format, number>> = { html: 32, svg: 8, png: 8 };

/** `xsiftr log plot`: logs as a picture or as a page to look around in. */
export function logPlotCommand(): Command {
  return logOptions(new Command('plot'))
    .description('draw the control blocks of flows over time: a page for a browser, SVG or PNG')
    .argument('<log...>', 'logs to draw over each other, plain or compressed; - is standard input')
    .addOption(new Option('-o, --output <FILE>', 'where to write; .html, .svg or .png says what; - is standard output'))
    .addOption(new Option('--format <FORMAT>', 'html, svg or png, whatever the name of the file ends with'))
    .addOption(new Option('--max-flows <N>', 'flows of each log, the busiest ones (default: 8; html 32)'))
    .addOption(
      new Option(
        '--fields <LIST>',
        'of cwnd, ssthresh, inflight, snd_wnd, rcv_wnd, srtt, rto (these by default), snd_hiwat, snd_cc, rcv_hiwat, rcv_cc, mss, segqlen; or all',
      ),
    )
    .addOption(
      new Option('--label <NAME>', 'instead of the name of a log, in their order; repeatable').argParser(collect),
    )
    .addOption(
      new Option('--align <HOW>', 'start: each log at its first sample; flow: each flow; wall: by wall time').default(
        'start',
      ),
    )
    .addOption(new Option('--from <SECONDS>', 'leave out what is earlier on the time axis'))
    .addOption(new Option('--to <SECONDS>', 'leave out what is later'))
    .addOption(new Option('--title <TEXT>', 'heading (default: the names of the logs)'))
    .addHelpText('after', EXAMPLES)
    .action(async (logs: string[], given: Given) => {
      const target = targetOf(given);
      const { open, filter } = await logChoice(given);
      const bar = new ReadingBar();
      const options = await optionsOf(given, target.format, filter, (reader) => bar.draw(reader));
      const sources = await sourcesOf(logs, given.label ?? [], open);
      const { AtomicFile } = await import('../log/atomic-file.ts');
      const { collectPlot } = await import('../log/plot/model.ts');
      const file = await AtomicFile.create(target.file, logs);
      const stop = removeOnSignal(() => file.abort());
      try {
        const plot = await collectPlot(sources, options);
        bar.clear();
        await file.write(await render(plot, target.format));
        await file.commit();
        for (const note of plot.notes) process.stderr.write(`xsiftr: ${note}\n`);
      } catch (err) {
        file.abort();
        if (!file.gone) throw err;
      } finally {
        bar.clear();
        stop();
      }
    });
}

function targetOf({ output, format }: Given): { file: string; format: Format } {
  if (output === undefined) {
    throw new UserError('log plot: -o is missing: name a file that ends in .html, .svg or .png');
  }
  const word = format ?? extname(output).slice(1).toLowerCase();
  const known = FORMATS.find((f) => f === word);
  if (known !== undefined) return { file: output, format: known };
  throw new UserError(
    format === undefined
      ? `log plot: -o ${output}: allowed is a name that ends in .html, .svg or .png, or any with --format`
      : `log plot: --format ${format}: allowed is html, svg or png`,
  );
}

async function optionsOf(
  given: Given,
  format: Format,
  filter: PlotOptions['filter'],
  onProgress: NonNullable<PlotOptions['onProgress']>,
): Promise<PlotOptions> {
  const { DEFAULT_FIELDS, PLOT_FIELDS } = await import('../log/plot/fields.ts');
  const { FLOWS_AT_ONCE } = await import('../log/plot/model.ts');
  const names = given.fields === 'all' ? PLOT_FIELDS.map((f) => f.name) : (given.fields?.split(',') ?? DEFAULT_FIELDS);
  for (const name of names) {
    if (PLOT_FIELDS.some((f) => f.name === name)) continue;
    throw new UserError(
      `log plot: --fields ${name}: allowed are ${PLOT_FIELDS.map((f) => f.name).join(', ')}, with a comma between, or all`,
    );
  }
  const most = given.maxFlows ?? String(MOST_FLOWS[format]);
  if (!/^\d{1,3}$/.test(most) || Number(most) < 1 || Number(most) > FLOWS_AT_ONCE) {
    throw new UserError(`log plot: --max-flows ${most}: allowed is a whole number from 1 to ${FLOWS_AT_ONCE}`);
  }
  const { align } = given;
  if (align !== 'start' && align !== 'flow' && align !== 'wall') {
    throw new UserError(`log plot: --align ${align}: allowed is start, flow or wall`);
  }
  const from = seconds('--from', given.from, Number.NEGATIVE_INFINITY);
  const to = seconds('--to', given.to, Number.POSITIVE_INFINITY);
  if (from >= to) throw new UserError(`log plot: --from ${given.from}: must be less than --to ${given.to}`);
  return {
    fields: PLOT_FIELDS.filter((f) => names.includes(f.name)),
    filter,
    flows: given.flow ?? [],
    maxFlows: Number(most),
    align,
    from,
    to,
    onProgress,
    ...(given.title === undefined ? {} : { title: given.title }),
  };
}

/** Seconds of an option in µs. */
function seconds(option: string, text: string | undefined, absent: number): number {
  if (text === undefined) return absent;
  if (!/^-?(\d+\.?\d*|\.\d+)$/.test(text)) {
    throw new UserError(`log plot: ${option} ${text}: allowed are seconds, as 2 or 0.25`);
  }
  return Number(text) * 1e6;
}

async function sourcesOf(paths: readonly string[], labels: readonly string[], how: LogOptions): Promise<PlotSource[]> {
  if (labels.length > paths.length) {
    throw new UserError(`log plot: --label ${labels.at(-1)}: there are more labels than logs`);
  }
  const { openLog } = await import('../log/open.ts');
  const names = paths.map((p) => (p === '-' ? 'standard input' : basename(p)));
  return paths.map((path, i) => ({
    // Logs of one name in several folders are told apart by the path.
    label: labels[i] ?? (names.indexOf(names[i]!) === names.lastIndexOf(names[i]!) ? names[i]! : path),
    open: () => openLog(path, how),
    again: statSync(path, { throwIfNoEntry: false })?.isFile() === true,
  }));
}

async function render(plot: Plot, format: Format): Promise<string | Buffer> {
  if (format === 'html') return (await import('../log/plot/html.ts')).plotHtml(plot);
  const { plotSvg } = await import('../log/plot/svg.ts');
  const svg = plotSvg(plot);
  return format === 'svg' ? svg : (await import('../log/plot/png.ts')).plotPng(svg);
}
