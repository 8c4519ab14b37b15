import { parentPort, workerData } from 'node:worker_threads';
import { loadCc } from './cc.ts';
import { runExperiment } from './experiment.ts';
import type { ExperimentOptions } from './options.ts';
import type { ExperimentReport } from './report.ts';

/** A thread that runs experiments of a sweep one after the other (`Sweep.parallel`). */

export interface SweepThreadData {
  /** Congestion-control modules to load first, as they were given. */
  readonly ccs: readonly string[];
}

/** Answer to one run: its report, or why there is none. */
export type SweepAnswer = { readonly report: ExperimentReport } | { readonly error: string };

const port = parentPort;
if (port === null) throw new Error('sweep-thread: to be started as a worker');
for (const cc of (workerData as SweepThreadData).ccs) await loadCc(cc);
port.on('message', (options: ExperimentOptions) => {
  let answer: SweepAnswer;
  try {
    answer = { report: runExperiment(options) };
  } catch (err) {
    answer = { error: (err as Error).stack ?? String(err) };
  }
  port.postMessage(answer);
});
