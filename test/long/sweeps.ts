/** What `make test-long` runs over many seeds, a task at a time, in whichever process; and how all of it is judged. */
import fc from 'fast-check';
import { FAIR, fairCase, jainOf } from '../lab/fairness.ts';
import { type CellRun, cellName, cellRun, GOLDEN, judge, runCell } from '../lab/golden.ts';
import { networkCase } from './network-case.ts';
import { runNetwork } from './network-run.ts';

export interface Task {
  readonly sweep: string;
  readonly seed: number;
  /** Which of the sweep's cases; one run is a seed of one of them. */
  readonly part: number;
}

/** What a task gave; `fault` when it failed by itself. */
export interface Outcome {
  readonly task: Task;
  readonly value: unknown;
  readonly fault: string | null;
}

export interface Sweep {
  readonly help: string;
  /** Seeds unless told otherwise. */
  readonly count: number;
  /** Parts of each seed. */
  readonly parts: number;
  run(seed: number, part: number): unknown;
  /** Judges all values together, by part in the order of the seeds. */
  judge(values: readonly (readonly unknown[])[]): { text: string; faults: string[] };
}

/** Time that fast-check may take to make a failing case smaller, ms. */
const SHRINK_MS = 60_000;

/** The network of a seed: fast-check draws it. @throws with the case when something is wrong, made smaller first where that is possible */
export function checkNetwork(seed: number, shrinkMs = SHRINK_MS): void {
  const property = fc.property(networkCase, (c) => {
    runNetwork(c);
  });
  const once = fc.check(property, { seed, numRuns: 1, endOnFailure: true });
  if (!once.failed) return;
  const small = fc.check(property, { seed, numRuns: 1, interruptAfterTimeLimit: shrinkMs });
  const worst = small.failed && small.counterexample !== null ? small : once;
  const message = worst.errorInstance instanceof Error ? worst.errorInstance.message : String(worst.errorInstance);
  throw new Error(`${message}\n  case: ${JSON.stringify(worst.counterexample?.[0])}`);
}

const cells = Object.entries(GOLDEN).flatMap(([cc, g]) => g.cells.map((cell) => ({ cc, cell })));

export const SWEEPS: Readonly<Record<string, Sweep>> = {
  networks: {
    help: 'two hosts over a random bad network: bytes, invariants at each event, every segment on the wire, leaks',
    count: 3000,
    parts: 1,
    run: (seed) => checkNetwork(seed),
    judge: ([runs]) => ({ text: `${runs!.length} networks`, faults: [] }),
  },
  golden: {
    help: 'goodput for loss, buffer and algorithm beside theory, by medians (docs/simulation.md)',
    count: 30,
    parts: cells.length,
    run: (seed, part) => cellRun(runCell(cells[part]!.cell, seed)),
    judge: (values) => {
      const verdicts = Object.entries(GOLDEN).map(([cc, g]) => {
        const own = values.filter((_, i) => cells[i]!.cc === cc) as CellRun[][];
        return judge(g, own);
      });
      return { text: verdicts.map((v) => v.table).join('\n'), faults: verdicts.flatMap((v) => v.faults) };
    },
  },
  fairness: {
    help: 'Jain index of 2 and 8 equal flows, by medians',
    count: 20,
    parts: FAIR.length,
    run: (seed, part) => jainOf(FAIR[part]!, seed),
    judge: (values) => {
      const rows = FAIR.map((f, i) => {
        const sorted = [...(values[i] as number[])].sort((a, b) => a - b);
        return { name: fairCase(f), median: sorted[(sorted.length - 1) >> 1]!, least: sorted[0]! };
      });
      return {
        text: rows.map((r) => `${r.name}: Jain index ${r.median.toFixed(3)}, least ${r.least.toFixed(3)}`).join('\n'),
        faults: rows.filter((r) => !(r.median >= 0.95)).map((r) => `${r.name}: Jain index ${r.median.toFixed(3)}`),
      };
    },
  },
};

/** What a person reads of a task. */
export function taskName(t: Task): string {
  if (t.sweep === 'golden') return `${cells[t.part]!.cc} ${cellName(cells[t.part]!.cell)}, seed ${t.seed}`;
  if (t.sweep === 'fairness') return `${fairCase(FAIR[t.part]!)}, seed ${t.seed}`;
  return `seed ${t.seed}`;
}

/** The command that runs a task again. */
export function replayOf(t: Task): string {
  return `node test/long/run.ts ${t.sweep} --first ${t.seed} --count 1`;
}
