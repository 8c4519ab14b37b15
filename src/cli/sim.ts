import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { UserError } from '../daemon/errors.ts';
import type { ExperimentHooks, ExperimentReport } from '../sim/index.ts';
import { type ExperimentOptions, SIM_OPTIONS } from '../sim/options.ts';
import { Bar } from './bar.ts';
import { print } from './common.ts';

const EXAMPLES = `
Examples:
  xsiftr sim --cc newreno --bw 100Mbit --delay 20ms --queue 1bdp --loss 0.1% --time 30s
  xsiftr sim --flow rtt=20ms --flow rtt=80ms,start=5s --time 60s        two flows, unlike round trips
  xsiftr sim --aqm codel --siftr-log s.log --pcap s.pcapng              what SIFTR and tcpdump would show
  xsiftr sim --sweep seed=1..10 --sweep loss=0.01%,0.1%,1% > runs.ndjson

The same options and the same seed give the same bytes. docs/simulation.md explains every option and the fields of --json.`;

const collect = (v: string, list: string[] | undefined): string[] => [...(list ?? []), v];

/** `xsiftr sim`: an experiment in virtual time. Needs no interface, no root and no addon. */
export function simCommand(): Command {
  const cmd = new Command('sim')
    .description('run TCP flows over an emulated network in virtual time, and report what they did')
    .usage('[options]')
    .allowExcessArguments()
    .addHelpText('after', EXAMPLES);
  for (const { flags, help, group, repeat } of SIM_OPTIONS) {
    const opt = new Option(flags, help).helpGroup(`${group}:`);
    if (repeat === true) opt.argParser(collect);
    cmd.addOption(opt);
  }
  return cmd
    .addOption(
      new Option(
        '--sweep <NAME=VALUES>',
        'run once for each value, seed=1..50 or loss=0.01%,0.1%,1%; several make the product; prints a line of JSON a run',
      )
        .argParser(collect)
        .helpGroup('Run:'),
    )
    .addOption(
      new Option('--jobs <N>', 'threads that the runs of a sweep share (default: one for each processor)').helpGroup(
        'Run:',
      ),
    )
    .addOption(new Option('--json', 'print the report as JSON').helpGroup('Output:'))
    .action(async (given: ExperimentOptions & { sweep?: string[]; json?: boolean; jobs?: string }, self: Command) => {
      if (self.args.length > 0) throw new UserError(`sim: ${self.args[0]}: takes options only; see xsiftr sim --help`);
      const { sweep, json, jobs, ...options } = given;
      const threads = jobs === undefined ? availableParallelism() : jobCount(jobs);
      const sim = await import('../sim/index.ts');
      const axes = (sweep ?? []).map(sim.parseSweep);
      const swept = axes.filter((a) => a.key === 'cc').flatMap((a) => a.values);
      const ccs = [...sim.ccsOf(options), ...swept];
      for (const cc of ccs) await sim.loadCc(cc);
      if (sweep !== undefined) await sweepAll(new sim.Sweep(options, axes), threads, ccs);
      else runOne(sim, options, json === true);
    });
}

/** The stack takes a while to load, which other commands need not. */
type Sim = typeof import('../sim/index.ts');

function runOne(sim: Sim, options: ExperimentOptions, json: boolean): void {
  const bar = new Bar('');
  const began = performance.now();
  const report = run(sim, options, bar.shown ? { onProgress: (p) => bar.draw(p) } : {});
  if (report === null) return;
  const wallMs = performance.now() - began;
  bar.clear();
  const out = options.siftrLog === '-' || options.pcap === '-' ? process.stderr : process.stdout;
  out.write(json ? `${JSON.stringify(report, null, 2)}\n` : sim.renderReport(report, wallMs));
}

/** The report; null where the reader of a log on standard output went away, and the run ended there. */
function run(sim: Sim, options: ExperimentOptions, hooks: ExperimentHooks): ExperimentReport | null {
  try {
    return sim.runExperiment(options, hooks);
  } catch (err) {
    if (err instanceof sim.SimError && err.code === 'EPIPE') return null;
    throw err;
  }
}

function jobCount(text: string): number {
  const n = /^\d+$/.test(text) ? Number(text) : 0;
  if (n < 1 || n > 256) throw new UserError(`sim: --jobs ${text}: allowed is a whole number from 1 to 256`);
  return n;
}

async function sweepAll(sweep: InstanceType<Sim['Sweep']>, threads: number, ccs: readonly string[]): Promise<void> {
  const bar = new Bar(` of ${sweep.length} runs`);
  let done = 0;
  bar.draw(0);
  for await (const report of threads > 1 && sweep.length > 1 ? sweep.parallel(threads, ccs) : sweep.reports()) {
    bar.clear();
    // What nobody reads need not be computed.
    if (!(await print(`${JSON.stringify(report)}\n`))) return;
    bar.draw(++done / sweep.length);
  }
  bar.clear();
}
