import { Worker } from 'node:worker_threads';
import { SimError } from './error.ts';
import { type ExperimentHooks, runPlan } from './experiment.ts';
import { type ExperimentOptions, keyOf, SIM_OPTIONS } from './options.ts';
import { type Plan, planExperiment } from './plan.ts';
import type { ExperimentReport } from './report.ts';
import type { SweepAnswer, SweepThreadData } from './sweep-thread.ts';

/** One option and the values that it takes in turn. */
export interface SweepAxis {
  /** As on the command line without dashes in front, `loss-ack`. */
  readonly name: string;
  readonly key: keyof ExperimentOptions;
  readonly values: readonly string[];
}

/** Runs of one sweep at the most. */
const RUNS_MAX = 100_000;

/**
 * `seed=1..50`, `loss=0.01%,0.1%,1%`, `queue=10..100..10` (with a step). Values that have commas of their own are separated by semicolons:
 * `aqm=red:min=5,max=15;codel`.
 * @throws SimError
 */
export function parseSweep(text: string): SweepAxis {
  const m = /^([\w-]+)=(.+)$/s.exec(text);
  if (m === null) throw new SimError(`--sweep ${text}: allowed is name=values, as seed=1..50 or loss=0.01%,0.1%,1%`);
  const key = keyOf(m[1]!);
  const names = SIM_OPTIONS.filter((o) => o.output !== true && o.repeat !== true).map((o) => sweepName(o.key));
  if (key === null || !names.includes(sweepName(key))) {
    throw new SimError(`--sweep ${text}: no option ${m[1]}; allowed are ${names.join(', ')}`);
  }
  const values = m[2]!.split(m[2]!.includes(';') ? ';' : ',').flatMap((part) => range(text, part));
  return { name: sweepName(key), key, values };
}

const sweepName = (key: string): string => key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

function range(text: string, part: string): string[] {
  const m = /^(\d+)\.\.(\d+)(?:\.\.(\d+))?$/.exec(part);
  if (m === null) {
    if (part === '') throw new SimError(`--sweep ${text}: an empty value`);
    return [part];
  }
  const [first, last, step] = [Number(m[1]), Number(m[2]), Number(m[3] ?? 1)];
  if (last < first || step < 1 || (last - first) / step >= RUNS_MAX) {
    throw new SimError(`--sweep ${text}: ${part}: from the smaller to the larger, at most ${RUNS_MAX} values`);
  }
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => String(first + i * step));
}

/** One run of a sweep. */
interface Run {
  readonly options: ExperimentOptions;
  readonly plan: Plan;
  readonly sweep: Readonly<Record<string, string>>;
}

function withSweep({ version, command, ...rest }: ExperimentReport, { sweep }: Run): ExperimentReport {
  return { version, command, sweep, ...rest };
}

function startThread(data: SweepThreadData): Worker {
  // TypeScript in the checkout, JavaScript in the package.
  const file = import.meta.url.endsWith('.ts') ? './sweep-thread.ts' : './sweep-thread.js';
  return new Worker(new URL(file, import.meta.url), { workerData: data, name: 'sweep' });
}

/** Every combination of the values, the last axis changing fastest; all are checked before the first one runs. */
export class Sweep {
  readonly #runs: readonly Run[];

  /** @throws SimError for any of the combinations */
  constructor(options: ExperimentOptions, axes: readonly SweepAxis[]) {
    const count = axes.reduce((n, a) => n * a.values.length, 1);
    if (count > RUNS_MAX) throw new SimError(`--sweep: ${count} runs, at most ${RUNS_MAX} are allowed`);
    const twice = axes.find((a, i) => axes.findIndex((b) => b.key === a.key) < i);
    if (twice !== undefined) throw new SimError(`--sweep ${twice.name}: given twice; give all its values at once`);
    if (options.siftrLog !== undefined || options.pcap !== undefined) {
      throw new SimError("--sweep: each run would overwrite the last one's --siftr-log and --pcap; leave them out");
    }
    let sets: Record<string, string>[] = [{}];
    for (const a of axes) sets = sets.flatMap((set) => a.values.map((v) => ({ ...set, [a.name]: v })));
    this.#runs = sets.map((sweep) => {
      const chosen = Object.fromEntries(axes.map((a) => [a.key, sweep[a.name]]));
      const run = { ...options, ...chosen };
      return { options: run, plan: planExperiment(run), sweep };
    });
  }

  get length(): number {
    return this.#runs.length;
  }

  /** Runs one after the other; each report comes when its run is over. */
  *reports(hooks: ExperimentHooks = {}): Generator<ExperimentReport> {
    for (const run of this.#runs) yield withSweep(runPlan(run.options, run.plan, hooks), run);
  }

  /**
   * The same reports in the same order, from several threads.
   * @param threads at least 1
   * @param ccs what `loadCc` is to load in each of them
   */
  async *parallel(threads: number, ccs: readonly string[]): AsyncGenerator<ExperimentReport> {
    const runs = this.#runs;
    const results = runs.map(() => Promise.withResolvers<ExperimentReport>());
    // One that fails is looked at when its turn comes; the others are not anybody's fault then.
    for (const r of results) r.promise.catch(() => {});
    let next = 0;
    const workers = Array.from({ length: Math.min(threads, runs.length) }, () => {
      const worker = startThread({ ccs });
      let at = next++;
      worker.postMessage(runs[at]!.options);
      worker.on('message', (answer: SweepAnswer) => {
        if ('error' in answer) results[at]!.reject(new Error(answer.error));
        else results[at]!.resolve(withSweep(answer.report, runs[at]!));
        at = next++;
        if (at < runs.length) worker.postMessage(runs[at]!.options);
      });
      worker.on('error', (err) => results[at]?.reject(err));
      return worker;
    });
    try {
      for (const r of results) yield await r.promise;
    } finally {
      await Promise.all(workers.map((w) => w.terminate()));
    }
  }
}
