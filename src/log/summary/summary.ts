import { BrokenLines } from '../broken.ts';
import { FlowMap } from '../flows.ts';
import { type CycleMeta, readFlowsFile, readMeta } from '../meta.ts';
import type { BrokenLine, EnableLine, LogFormat, LogItem, LogReader, Sample, Tuple } from '../model.ts';
import { CycleChecks, type CycleSummary } from './cycle-checks.ts';
import { FlowStats, type FlowSummary } from './flow-stats.ts';

/** What is in a log. */
export interface LogSummary {
  readonly log: string;
  readonly format: LogFormat;
  /** Of a SIFTR log. */
  readonly cycles: readonly CycleSummary[];
  /** In the order of their first samples. */
  readonly flows: readonly FlowSummary[];
  /** Lines that could not be read, and the first of them. */
  readonly broken: number;
  readonly broken_lines: readonly BrokenLine[];
}

export interface SummaryOptions {
  /** Chooses the flows that are shown; the checks are of all. */
  readonly filter?: (t: Tuple) => boolean;
  /** Called after each batch. */
  readonly onProgress?: () => void;
}

/** Reads a log to its end. Memory grows with the number of flows only. */
export async function summarize(reader: LogReader, options: SummaryOptions = {}): Promise<LogSummary> {
  const { path, format } = reader;
  const [meta, unlisted] = await Promise.all([readMeta(path), readFlowsFile(path)]);
  const gather = new Gather(format === 'siftr', options.filter ?? (() => true), meta, unlisted);
  for await (const batch of reader.batches()) {
    for (const item of batch) gather.add(item);
    options.onProgress?.();
  }
  return { log: path, format, ...gather.end() };
}

/** Whether a summary says that something is wrong with the log. */
export function hasFaults(s: LogSummary): boolean {
  return s.broken > 0 || s.cycles.some((c) => c.checks.some((check) => check.result === 'failed'));
}

class Gather {
  /** Only SIFTR's logs have cycles. */
  readonly #siftr: boolean;
  readonly #chosen: (t: Tuple) => boolean;
  readonly #meta: readonly CycleMeta[];
  readonly #unlisted: FlowMap<true>;
  readonly #flows = new FlowMap<FlowStats>();
  readonly #order: FlowStats[] = [];
  readonly #cycles: CycleSummary[] = [];
  #cycle: CycleChecks | null = null;
  #enable: EnableLine | null = null;
  readonly #broken = new BrokenLines();

  constructor(siftr: boolean, chosen: (t: Tuple) => boolean, meta: readonly CycleMeta[], unlisted: FlowMap<true>) {
    this.#siftr = siftr;
    this.#chosen = chosen;
    this.#meta = meta;
    this.#unlisted = unlisted;
  }

  add(item: LogItem): void {
    switch (item.type) {
      case 'sample':
        if (this.#siftr) {
          this.#cycle ??= new CycleChecks(item.line, null);
          this.#cycle.add(item);
        }
        if (this.#chosen(item)) this.#sample(item);
        return;
      case 'enable':
        this.#close(null);
        this.#enable = item;
        this.#cycle = new CycleChecks(item.line, item);
        return;
      case 'disable':
        this.#cycle ??= new CycleChecks(item.line, null);
        this.#close(item);
        return;
      case 'broken':
        this.#broken.add(item);
        this.#cycle?.addBroken();
    }
  }

  #sample(s: Sample): void {
    let stats = this.#flows.get(s);
    if (stats === undefined) {
      stats = new FlowStats(s);
      this.#flows.add(s, stats);
      this.#order.push(stats);
    }
    stats.add(s);
  }

  #close(disable: Parameters<CycleChecks['end']>[0]): void {
    if (this.#cycle === null) return;
    this.#cycles.push(this.#cycle.end(disable, this.#metaOf(this.#enable), this.#unlisted));
    this.#cycle = null;
    this.#enable = null;
  }

  #metaOf(enable: EnableLine | null): CycleMeta | null {
    if (enable === null) return null;
    const secs = Math.floor(enable.timeUs / 1e6);
    const time = `${secs}.${String(enable.timeUs - secs * 1e6).padStart(6, '0')}`;
    return this.#meta.find((m) => m.enable_time === time) ?? null;
  }

  end(): Omit<LogSummary, 'log' | 'format'> {
    this.#close(null);
    return {
      cycles: this.#cycles,
      flows: this.#order.map((stats) => stats.summary()),
      broken: this.#broken.count,
      broken_lines: this.#broken.first,
    };
  }
}
