/**
 * Experiments in virtual time: what `import … from 'xsiftr/sim'` gives (docs/simulation.md). No root, no interface and no addon is needed.
 */
export { SimError } from './error.ts';
export { type ExperimentHooks, runExperiment } from './experiment.ts';
export { commandOf, type ExperimentOptions, type FlowOptions } from './options.ts';
export type { ExperimentReport, FlowReport, PathReport } from './report.ts';
export { parseSweep, Sweep, type SweepAxis } from './sweep.ts';
export { renderReport } from './text.ts';
