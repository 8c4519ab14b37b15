import { Dumbbell } from '../driver/sim/dumbbell.ts';
import { Flow } from './flow.ts';
import type { ExperimentOptions } from './options.ts';
import { checkOutput } from './output.ts';
import { PcapngWriter } from './pcapng.ts';
import { type Plan, planExperiment } from './plan.ts';
import { collectWarnings, type ExperimentReport, makeReport, NOTHING, startCounting } from './report.ts';
import { describeExperiment } from './run-meta.ts';
import { SimSiftrLog } from './siftr-log.ts';

/** Virtual time between two calls of `onProgress`, as parts of the whole. */
const PROGRESS_STEPS = 100;

/** What a caller may look at while an experiment runs, or after it. */
export interface ExperimentHooks {
  /** The network is made and the flows are set up; nothing has run. For taps, traces, events of one's own (`d.net.at`). */
  readonly onReady?: (d: Dumbbell, flows: readonly Flow[]) => void;
  /** After each event: a link's packets, a host's pass, something on the agenda. For checks that are to hold at every step; costs accordingly. */
  readonly onStep?: (d: Dumbbell, flows: readonly Flow[]) => void;
  /** Share of the virtual time that has passed, 0..1. */
  readonly onProgress?: (done: number) => void;
  /** It is over; nothing is taken down yet. */
  readonly onEnd?: (d: Dumbbell, flows: readonly Flow[]) => void;
}

/**
 * Runs an experiment to its end, in this thread. The same options give the same report, log and capture, byte for byte.
 * @throws SimError, one line: `exitCode` 2 for options that make no sense, 1 for files that cannot be read or written
 */
export function runExperiment(options: ExperimentOptions, hooks: ExperimentHooks = {}): ExperimentReport {
  return runPlan(options, planExperiment(options), hooks);
}

/** @internal As runExperiment, with the options checked already. */
export function runPlan(options: ExperimentOptions, plan: Plan, hooks: ExperimentHooks): ExperimentReport {
  if (plan.siftrLog !== null) checkOutput('--siftr-log', plan.siftrLog);
  if (plan.pcap !== null) checkOutput('--pcap', plan.pcap);
  const d = new Dumbbell({
    seed: plan.seed,
    mtu: plan.mtu,
    data: plan.data,
    ack: plan.ack,
    accessUs: plan.flows.map((f) => f.accessUs),
    separateReceivers: plan.separateReceivers,
    ...(plan.path === null ? {} : { path: plan.path }),
    tune: plan.tune,
    receiverFrames: plan.receiverFrames,
  });
  const siftr =
    plan.siftrLog === null
      ? null
      : new SimSiftrLog(plan.siftrLog, d.senders, plan.siftr, describeExperiment(options, plan));
  const pcap = plan.pcap === null ? null : new PcapngWriter(plan.pcap, d.net.clock, plan.snaplen);
  pcap?.watch(d.data, d.ack);
  const flows = plan.flows.map((f, i) => new Flow(d, i, f));
  Flow.listen(flows);
  const warnings = collectWarnings(d);
  let before = NOTHING;
  if (plan.warmupUs > 0) {
    d.net.at(plan.warmupUs, () => {
      before = startCounting(d, flows);
    });
  }
  hooks.onReady?.(d, flows);

  const { onStep } = hooks;
  const step =
    onStep === undefined
      ? null
      : () => {
          onStep(d, flows);
          return false;
        };
  if (hooks.onProgress === undefined) {
    d.net.run(plan.timeUs, step);
  } else {
    for (let i = 1; i <= PROGRESS_STEPS; i++) {
      d.net.run((plan.timeUs * i) / PROGRESS_STEPS, step);
      hooks.onProgress(i / PROGRESS_STEPS);
    }
  }
  for (const f of flows) f.finish();
  siftr?.close(plan.timeUs);
  if (siftr !== null && siftr.warning !== null) warnings.push(siftr.warning);
  pcap?.close();
  hooks.onEnd?.(d, flows);
  return makeReport(options, plan, d, flows, before, warnings);
}
