import { TF_FASTRECOVERY } from '../../stack/tcp/tcpcb.ts';
import { BrokenLines } from '../broken.ts';
import { LogError } from '../error.ts';
import { FlowMap, flowText } from '../flows.ts';
import type { LogFormat, LogItem, LogReader, Sample, Tuple } from '../model.ts';
import { type PlotField, type Shown, shownUnit } from './fields.ts';
import { type Points, ReducedSeries } from './reduce.ts';

/** Where the time axis of a log begins: at its first sample, at each flow's first sample, or at the first sample of all logs. */
export type Align = 'start' | 'flow' | 'wall';

export interface PlotOptions {
  readonly fields: readonly PlotField[];
  /** Which flows, and how that was said. */
  readonly filter: (t: Tuple) => boolean;
  readonly flows: readonly string[];
  /** Most flows of each log, 1..64; the busiest are taken, in which cwnd, srtt or bytes in flight changed most often. */
  readonly maxFlows: number;
  readonly align: Align;
  /** Part of the time axis, µs from its beginning. */
  readonly from: number;
  readonly to: number;
  /** Instead of the logs' names. */
  readonly title?: string;
  /** Told of bytes that were read of a log. */
  readonly onProgress?: (reader: LogReader) => void;
}

/** A log to be drawn. */
export interface PlotSource {
  readonly label: string;
  open(): Promise<LogReader>;
  /** It can be read a second time, a pipe cannot. */
  readonly again: boolean;
}

export interface PlotLog {
  readonly label: string;
  /** What wrote it, in words. */
  readonly about: string;
}

export interface PlotFlow {
  /** Index of its log. */
  readonly log: number;
  /** `laddr;lport-faddr;fport`. */
  readonly name: string;
  readonly samples: number;
  /** By the fields of the options; null where the log says nothing. Times are µs on the time axis. */
  readonly series: readonly (Points | null)[];
  /** Times of fast recovery, µs: 1 within, 0 outside. Null where the log has no flags. */
  readonly recovery: Points | null;
}

/** Fields of one unit that are drawn over each other. */
export interface PlotPanel {
  readonly title: string;
  readonly shown: Shown;
  /** Indexes into the fields of the options. */
  readonly fields: readonly number[];
}

export interface Plot {
  readonly title: string;
  readonly fields: readonly PlotField[];
  readonly timeLabel: string;
  readonly logs: readonly PlotLog[];
  readonly flows: readonly PlotFlow[];
  readonly panels: readonly PlotPanel[];
  /** Ends of the time axis, µs. */
  readonly from: number;
  readonly to: number;
  /** What a reader of the plot should know: lines that could not be read, flows that are not drawn. */
  readonly notes: readonly string[];
}

/** Flows of a log of which points are collected at a time. A log with more is read twice: first to find the busiest. */
export const FLOWS_AT_ONCE = 64;

/** The time axis is no shorter, also of a single sample, µs. */
const SHORTEST = 1000;

/** A flow while its log is read. */
class FlowPoints {
  readonly name: string;
  /** Number among the flows of its log, in the order of their first samples. */
  readonly order: number;
  readonly start: number;
  samples = 0;
  /** Samples that told something new: in polls, idle connections have as many samples as busy ones. */
  changes = 0;
  #cwnd: number | null = null;
  #srtt: number | null = null;
  #inflight: number | null = null;
  series: ReducedSeries[];
  readonly #said: boolean[];
  #flagged = false;
  recovery: ReducedSeries;

  constructor(s: Sample, name: string, order: number, fields: number) {
    this.name = name;
    this.order = order;
    this.start = s.timeUs;
    this.series = Array.from({ length: fields }, () => new ReducedSeries());
    this.#said = new Array(fields).fill(false);
    this.recovery = new ReducedSeries();
  }

  count(s: Sample): void {
    this.samples++;
    if (s.cwnd === this.#cwnd && s.srtt === this.#srtt && s.inflight === this.#inflight) return;
    this.changes++;
    this.#cwnd = s.cwnd;
    this.#srtt = s.srtt;
    this.#inflight = s.inflight;
  }

  add(t: number, s: Sample, fields: readonly PlotField[]): void {
    for (let i = 0; i < fields.length; i++) {
      const v = s[fields[i]!.key] as number | null;
      const drawn = v !== null && Number.isFinite(v);
      if (drawn) this.#said[i] = true;
      this.series[i]!.add(t, drawn ? v : Number.NaN);
    }
    if (s.flags === null) return;
    this.#flagged = true;
    this.recovery.add(t, (s.flags & TF_FASTRECOVERY) === 0 ? 0 : 1);
  }

  /** Only counted from here on. */
  drop(): void {
    this.series = [];
    this.recovery = new ReducedSeries(2);
  }

  toFlow(log: number): PlotFlow {
    const { name, samples } = this;
    const series = this.series.map((s, i) => (this.#said[i] ? s.points() : null));
    return { log, name, samples, series, recovery: this.#flagged ? this.recovery.points() : null };
  }
}

/** One log while it is read. */
class LogPoints {
  readonly source: PlotSource;
  readonly #options: PlotOptions;
  format: LogFormat = 'siftr';
  /** Time of the first sample that fits, µs; NaN before it. */
  start = Number.NaN;
  #broken = new BrokenLines();
  readonly #writers = new Set<string>();
  /** Some flows that do not fit, to be told when none does. */
  readonly others = new Set<string>();
  /** Null for flows that fit and are left out in a second reading. */
  #known = new FlowMap<FlowPoints | null>();
  #flows: FlowPoints[] = [];
  /** Names of the flows that a second reading is for. */
  #chosen: ReadonlySet<string> | null = null;
  #collect = true;
  #reader: LogReader | null = null;
  #batches: AsyncGenerator<readonly LogItem[]> | null = null;
  #waiting: readonly LogItem[] = [];

  constructor(source: PlotSource, options: PlotOptions) {
    this.source = source;
    this.#options = options;
  }

  /** Reads as far as the first sample that fits. */
  async peek(): Promise<void> {
    const reader = await this.source.open();
    this.#reader = reader;
    this.#batches = reader.batches();
    this.format = reader.format;
    for (;;) {
      const { value, done } = await this.#batches.next();
      this.#options.onProgress?.(reader);
      if (done === true) return;
      this.format = reader.format;
      const first = value.find((item) => item.type === 'sample' && this.#options.filter(item)) as Sample | undefined;
      if (first !== undefined) {
        this.start = first.timeUs;
        this.#waiting = value;
        return;
      }
      for (const item of value) this.#take(item, 0);
    }
  }

  /** Reads the rest. @param zero where the time axis begins, µs */
  async read(zero: number): Promise<void> {
    await this.#pass(zero);
    if (this.#collect) return;
    if (!this.source.again) {
      throw new LogError(
        `${this.source.label}: more than ${FLOWS_AT_ONCE} flows, and a pipe cannot be read twice to find the busiest; write it to a file, or choose with --flow`,
      );
    }
    this.#chosen = new Set(this.#busiest().map((f) => f.name));
    this.#known = new FlowMap();
    this.#flows = [];
    this.#collect = true;
    this.#broken = new BrokenLines();
    this.#reader = await this.source.open();
    this.#batches = this.#reader.batches();
    await this.#pass(zero);
  }

  /** The flows to be drawn, in the order of their first samples. */
  flows(log: number): PlotFlow[] {
    return this.#busiest().map((f) => f.toFlow(log));
  }

  /** Flows that fit and are not drawn. */
  leftOut = 0;

  get about(): string {
    if (this.format === 'ss') return 'polls with ss(8)';
    if (this.format === 'tcpstats') return 'samples of xsiftr tcpstats';
    if (this.format === 'tcp_probe') return "Linux's tcp_probe trace point";
    return [...this.#writers].join('; ') || 'SIFTR';
  }

  get brokenNote(): string {
    const { count, first } = this.#broken;
    const named = first.slice(0, 3).map((b) => `${b.line} (${b.why})`);
    const more = count > named.length ? `, and ${count - named.length} more` : '';
    return count === 0 ? '' : `${this.source.label}: left out line ${named.join(', ')}${more}`;
  }

  #busiest(): FlowPoints[] {
    const all = this.#flows.filter((f) => f.samples > 0);
    if (this.#chosen === null) this.leftOut = Math.max(0, all.length - this.#options.maxFlows);
    return all
      .sort((a, b) => b.changes - a.changes || a.order - b.order)
      .slice(0, this.#options.maxFlows)
      .sort((a, b) => a.order - b.order);
  }

  async #pass(zero: number): Promise<void> {
    for (const item of this.#waiting) this.#take(item, zero);
    this.#waiting = [];
    for await (const batch of this.#batches!) {
      for (const item of batch) this.#take(item, zero);
      this.#options.onProgress?.(this.#reader!);
    }
  }

  #take(item: LogItem, zero: number): void {
    if (item.type === 'sample') this.#sample(item, zero);
    else if (item.type === 'broken') {
      this.#broken.add(item);
    } else if (item.type === 'enable') {
      const modes = item.modes.length > 0 ? `, ${item.modes.join(', ')}` : '';
      this.#writers.add(`SIFTR ${item.siftrver} of ${item.sysname}${modes}`);
    }
  }

  #sample(s: Sample, zero: number): void {
    const known = this.#known.get(s);
    if (known === null) return;
    const flow = known ?? this.#newFlow(s);
    if (flow === null) return;
    const { align, from, to, fields } = this.#options;
    const t = s.timeUs - (align === 'flow' ? flow.start : zero);
    if (t < from || t > to) return;
    flow.count(s);
    if (this.#collect) flow.add(t, s, fields);
  }

  /** The flow of the first sample of it; null when it is not wanted. */
  #newFlow(s: Sample): FlowPoints | null {
    if (!this.#options.filter(s)) {
      if (this.others.size < 3) this.others.add(flowText(s));
      return null;
    }
    const name = flowText(s);
    if (this.#chosen !== null && !this.#chosen.has(name)) {
      this.#known.add(s, null);
      return null;
    }
    const flow = new FlowPoints(s, name, this.#flows.length, this.#collect ? this.#options.fields.length : 0);
    this.#known.add(s, flow);
    this.#flows.push(flow);
    if (this.#flows.length > FLOWS_AT_ONCE && this.#collect) {
      this.#collect = false;
      for (const f of this.#flows) f.drop();
    }
    return flow;
  }
}

/**
 * Reads logs once (with more than 64 flows that fit, twice) and keeps what a plot needs, in memory that does not grow with their length.
 * @throws LogError when nothing fits, or when the times of logs cannot be laid over each other
 */
export async function collectPlot(sources: readonly PlotSource[], options: PlotOptions): Promise<Plot> {
  const logs = sources.map((s) => new LogPoints(s, options));
  for (const log of logs) await log.peek();
  const starts = logs.map((l) => l.start).filter((t) => !Number.isNaN(t));
  if (starts.length === 0) throw new LogError(nothingFits(logs, options));
  if (options.align === 'wall') sameClock(logs);
  const first = Math.min(...starts);
  for (const log of logs) await log.read(options.align === 'wall' ? first : log.start);
  const flows = logs.flatMap((log, i) => log.flows(i));
  if (flows.length === 0) throw new LogError(nothingFits(logs, options));
  const drawn = flows.flatMap((f) => f.series.filter((s) => s !== null));
  if (drawn.length === 0) {
    throw new LogError(
      `${options.fields.map((f) => f.name).join(',')}: no log has a value of it; see the fields of xsiftr log plot --help`,
    );
  }
  const ends = drawn.flatMap((p) => [p.t[0]!, p.t.at(-1)!]);
  const from = Math.max(options.from, Math.min(0, ...ends));
  return {
    title: options.title ?? sources.map((s) => s.label).join(', '),
    fields: options.fields,
    timeLabel: timeLabel(logs, options.align, first),
    logs: logs.map((l) => ({ label: l.source.label, about: l.about })),
    flows,
    panels: panelsOf(options.fields, flows),
    from,
    to: Math.max(from + SHORTEST, ...ends),
    notes: notesOf(logs),
  };
}

function nothingFits(logs: readonly LogPoints[], { flows, from, to }: PlotOptions): string {
  const names = logs.map((l) => l.source.label).join(', ');
  if (logs.every((l) => Number.isNaN(l.start) && l.others.size === 0)) return `${names}: no sample in it`;
  const some = [...new Set(logs.flatMap((l) => [...l.others]))].slice(0, 3).join(' ');
  if (logs.every((l) => Number.isNaN(l.start))) {
    return `--flow ${flows.join(' ')}: no flow of ${names} fits; there are ${some}`;
  }
  const part =
    from === Number.NEGATIVE_INFINITY
      ? `is as early as --to ${to / 1e6}`
      : to === Number.POSITIVE_INFINITY
        ? `is as late as --from ${from / 1e6}`
        : `lies between --from ${from / 1e6} and --to ${to / 1e6}`;
  return `no sample of ${names} ${part}, in seconds from the beginning of the time axis`;
}

/** A tcp_probe trace counts from the start of its machine, the others from the epoch. */
function sameClock(logs: readonly LogPoints[]): void {
  const probe = logs.filter((l) => l.format === 'tcp_probe');
  if (probe.length === 0 || probe.length === logs.length) return;
  throw new LogError(
    `--align wall: the times of ${probe[0]!.source.label} count from the start of its machine, those of other logs from 1970; use --align start`,
  );
}

function timeLabel(logs: readonly LogPoints[], align: Align, first: number): string {
  if (align === 'flow') return 'time since the first sample of the flow, s';
  if (align === 'start') return `time since the first sample${logs.length > 1 ? ' of the log' : ''}, s`;
  if (logs[0]!.format === 'tcp_probe') return `time since ${(first / 1e6).toFixed(6)} s of uptime, s`;
  return `time since ${new Date(first / 1000).toISOString().replace('T', ' ').replace('Z', ' UTC')}, s`;
}

/** The panels that have something to show. */
function panelsOf(fields: readonly PlotField[], flows: readonly PlotFlow[]): PlotPanel[] {
  const titles = [...new Set(fields.map((f) => f.panel))];
  return titles.flatMap((title) => {
    const inPanel = [...fields.keys()].filter(
      (i) => fields[i]!.panel === title && flows.some((f) => f.series[i] !== null),
    );
    if (inPanel.length === 0) return [];
    let max = 0;
    for (const i of inPanel) {
      for (const f of flows) for (const v of f.series[i]?.v ?? []) if (v > max) max = v;
    }
    return [{ title, shown: shownUnit(fields[inPanel[0]!]!.unit, max), fields: inPanel }];
  });
}

function notesOf(logs: readonly LogPoints[]): string[] {
  return logs.flatMap((log) => {
    const { label } = log.source;
    const notes = log.brokenNote === '' ? [] : [log.brokenNote];
    if (Number.isNaN(log.start)) notes.push(`${label}: no sample fits, nothing of it is drawn`);
    if (log.leftOut > 0) {
      const flows = log.leftOut === 1 ? '1 less busy flow is' : `${log.leftOut} less busy flows are`;
      notes.push(`${label}: ${flows} not drawn; choose with --flow or --max-flows`);
    }
    return notes;
  });
}
