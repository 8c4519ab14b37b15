/**
 * Two things measured in turn, A B A B …, so that what changes slowly on the machine meets both alike. Each round gives one ratio;
 * the pair's figure is the median of them.
 */

/** How long and how often. */
export interface Effort {
  /** Seconds of one run. */
  readonly seconds: number;
  /** Runs of each side. */
  readonly rounds: number;
}

/** What one run gave. */
export interface Run {
  /** The receiver's figure, in the unit of the pair. */
  readonly value: number;
  /** Shown behind the figure, such as the processor time it took. */
  readonly note?: string;
}

export interface Pair {
  readonly name: string;
  /** What the two values are, "Mpps". */
  readonly unit: string;
  /** The ratio that the project promises. */
  readonly wanted: number;
  /** Our side. A run that may not count throws. */
  readonly ours: (effort: Effort) => Promise<Run>;
  /** What it is compared with. */
  readonly theirs: (effort: Effort) => Promise<Run>;
  /** Rounds for one of the others', each as much shorter: for a ratio near one, on a machine whose speed changes from run to run. */
  readonly finer?: number;
}

/** A pair's outcome. */
export interface Outcome {
  readonly name: string;
  readonly wanted: number;
  /** Ours by theirs, a round each. */
  readonly ratios: readonly number[];
  readonly median: number;
  /** Why it has no ratio; empty when it has. */
  readonly failed: string;
}

/** The middle of `values`, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Runs a pair and prints a line a round. A run that throws ends the pair: a ratio of the rounds that went well would flatter. */
export async function measure(pair: Pair, whole: Effort, print: (line: string) => void): Promise<Outcome> {
  const { finer = 1 } = pair;
  const effort = { seconds: Math.ceil(whole.seconds / finer), rounds: whole.rounds * finer };
  const ratios: number[] = [];
  print(`\n${pair.name}: ${effort.rounds} rounds, ${effort.seconds} s a run`);
  try {
    for (let round = 1; round <= effort.rounds; round++) {
      const ours = await pair.ours(effort);
      const theirs = await pair.theirs(effort);
      const ratio = ours.value / theirs.value;
      if (!Number.isFinite(ratio)) throw new Error(`round ${round}: ${ours.value} by ${theirs.value}`);
      ratios.push(ratio);
      const text = (run: Run): string => `${run.value.toPrecision(4)}${run.note === undefined ? '' : ` (${run.note})`}`;
      print(`  round ${round}: ${ratio.toFixed(2)}   ${text(ours)} : ${text(theirs)} ${pair.unit}`);
    }
  } catch (error) {
    const failed = (error as Error).message;
    print(`  ${failed}`);
    return { name: pair.name, wanted: pair.wanted, ratios, median: Number.NaN, failed };
  }
  return { name: pair.name, wanted: pair.wanted, ratios, median: median(ratios), failed: '' };
}

/** The outcomes as a table in Markdown, the form in which docs/benchmarks.md has them. */
export function table(outcomes: readonly Outcome[]): string[] {
  const rows = outcomes.map((o) => {
    const spread =
      o.ratios.length === 0 ? '' : `${Math.min(...o.ratios).toFixed(2)} – ${Math.max(...o.ratios).toFixed(2)}`;
    const figure = o.failed === '' ? o.median.toFixed(2) : 'failed';
    return `| ${o.name} | ${figure} | ${spread} | ≥ ${o.wanted} |`;
  });
  return ['| measured | ratio | lowest – highest round | wanted |', '|---|---|---|---|', ...rows];
}
