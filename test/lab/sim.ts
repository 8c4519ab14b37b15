import {
  commandOf,
  type ExperimentHooks,
  type ExperimentOptions,
  type ExperimentReport,
  runExperiment,
} from '../../src/sim/index.ts';

/**
 * Runs an experiment and checks what it gave. Whatever fails, in the run or in `check`, says by which command it is run again, as DESIGN.md ("Tests")
 * asks.
 */
export function experiment(
  options: ExperimentOptions,
  check: (report: ExperimentReport) => void = () => {},
  hooks: ExperimentHooks = {},
): ExperimentReport {
  try {
    const report = runExperiment(options, hooks);
    check(report);
    return report;
  } catch (err) {
    const replay = `replay: ${commandOf(options)}`;
    if (err instanceof Error) {
      err.message += `\n${replay}`;
      throw err;
    }
    throw new Error(`${String(err)}\n${replay}`);
  }
}
