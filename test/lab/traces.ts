/**
 * Two SIFTR logs laid over each other: the step functions of one flow in each, and how alike they are. For a flow in simulation beside the
 * same flow on a network.
 */

/** Numbers of fields, from 0 (spec/siftr.md section 3). */
const DIRECTION = 0;
const TIME = 1;
const SSTHRESH = 6;
const CWND = 7;
const FLAGS = 17;
const IN_FLIGHT = 23;
const FIELDS = 27;
/** TF_FASTRECOVERY and TF_CONGRECOVERY of t_flags (section 3.2). */
const RECOVERY = 0x20100000;

/** What can be compared, each a function over a trace's points. */
export type Quantity = 'cwnd' | 'inFlight';
/** Over what: seconds since the first data packet, or packets sent since then, which stays in step where the same ordinals are lost. */
export type Axis = 'seconds' | 'sent';

/** One flow of a log from its first data packet on: what each line showed, which holds until the next. */
export interface Trace {
  /** `laddr;lport-faddr;fport`, as in flow_list. */
  readonly flow: string;
  /** Since the first data packet. */
  readonly seconds: readonly number[];
  /** `o` lines so far, the first data packet's is 1. */
  readonly sent: readonly number[];
  /** Bytes. */
  readonly cwnd: readonly number[];
  /** Bytes; as the log has it, so without the segment being sent unless the log's hook is tcp. */
  readonly inFlight: readonly number[];
  /**
   * Seconds of the congestion events: where a recovery began, or ssthresh was set anew to less than the cwnd before (a timeout). A timeout
   * that finds ssthresh as low as it leaves it goes unseen.
   */
  readonly reductions: readonly number[];
  /** For each of them the packets sent until then, and the window right before it, bytes. */
  readonly at: readonly { readonly sent: number; readonly cwnd: number }[];
}

/**
 * Reads one flow of a log.
 * @param flow its name as in flow_list; without, the flow with the most lines
 * @throws when there is no such flow, when a data line has not 27 fields, or when the flow never had data in flight
 */
export function readTrace(log: string, flow?: string): Trace {
  const lines = log.split('\n');
  const flows = new Map<string, string[][]>();
  for (const [i, line] of lines.entries()) {
    if (!/^[io],/.test(line)) continue;
    const row = line.split(',');
    if (row.length !== FIELDS) throw new Error(`line ${i + 1}: ${row.length} fields instead of ${FIELDS}`);
    const name = `${row[2]};${row[3]}-${row[4]};${row[5]}`;
    const rows = flows.get(name);
    if (rows === undefined) flows.set(name, [row]);
    else rows.push(row);
  }
  const name = flow ?? [...flows].reduce((most, one) => (one[1].length > most[1].length ? one : most), ['', []])[0];
  const rows = flows.get(name);
  if (rows === undefined) throw new Error(`no flow ${name} in the log`);
  // Records of one connection are in order but for those that moved between shards; a stable sort keeps equal times.
  rows.sort((a, b) => Number(a[TIME]) - Number(b[TIME]));
  return trace(name, rows.slice(firstData(name, rows, /\bxsiftr=\S*hook:tcp/.test(lines[0]!))));
}

/**
 * The line of the first data packet. By default a line shows the state before its packet is entered, so it is the last `o` before
 * the first line with data in flight; with hook=tcp that line itself.
 */
function firstData(name: string, rows: readonly string[][], after: boolean): number {
  const first = rows.findIndex((row) => Number(row[IN_FLIGHT]) > 0);
  if (first < 0) throw new Error(`${name} never had data in flight`);
  const before = after ? -1 : rows.slice(0, first).findLastIndex((row) => row[DIRECTION] === 'o');
  // None before: the log began in the middle of the flow.
  return before < 0 ? first : before;
}

function trace(flow: string, rows: readonly string[][]): Trace {
  const start = Number(rows[0]![TIME]);
  const seconds: number[] = [];
  const sent: number[] = [];
  const reductions: number[] = [];
  const at: { sent: number; cwnd: number }[] = [];
  let before = 0;
  let packets = 0;
  let ssthresh = Number(rows[0]![SSTHRESH]);
  let recovering = 0;
  // The most since the last event: some algorithms lower cwnd step by step.
  let most = 0;
  for (const row of rows) {
    if (row[DIRECTION] === 'o') packets++;
    seconds.push(Number(row[TIME]) - start);
    sent.push(packets);
    const now = Number(row[SSTHRESH]);
    const flags = Number(row[FLAGS]) & RECOVERY;
    if ((flags !== 0 && recovering === 0) || (now !== ssthresh && now < most)) {
      reductions.push(seconds.at(-1)!);
      at.push({ sent: packets, cwnd: before });
      most = 0;
    }
    recovering = flags;
    ssthresh = now;
    before = Number(row[CWND]);
    most = Math.max(most, before);
  }
  const column = (field: number) => rows.map((row) => Number(row[field]));
  return { flow, seconds, sent, cwnd: column(CWND), inFlight: column(IN_FLIGHT), reductions, at };
}

/** Values of a step function at 0, step, 2 step, … up to `end`. */
export function sample(t: Trace, quantity: Quantity, axis: Axis, step: number, end: number): number[] {
  const xs = t[axis];
  const ys = t[quantity];
  const out: number[] = [];
  let i = 0;
  for (let n = 0; n * step <= end; n++) {
    while (i + 1 < xs.length && xs[i + 1]! <= n * step) i++;
    out.push(ys[i]!);
  }
  return out;
}

export interface LikenessOptions {
  /** Default cwnd. */
  readonly quantity?: Quantity;
  /** Default seconds. */
  readonly axis?: Axis;
  /** Distance of the grid's points (default 0.01 s, 1 packet). */
  readonly step?: number;
}

export interface Likeness {
  /** Points of the common grid, from the first data packet to the end of the shorter trace. */
  readonly points: number;
  readonly means: readonly [number, number];
  /** Mean of |a - b| over the mean of both: 0 for the same, 1 where they differ by as much as they are. */
  readonly difference: number;
  /** Pearson's, -1 to 1; NaN where one of them never changes. */
  readonly correlation: number;
  /** Congestion events of each within the common part. */
  readonly reductions: readonly [number, number];
}

const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** How alike two traces are over their common part. */
export function likeness(a: Trace, b: Trace, options: LikenessOptions = {}): Likeness {
  const { quantity = 'cwnd', axis = 'seconds' } = options;
  const step = options.step ?? (axis === 'seconds' ? 0.01 : 1);
  const end = Math.min(a[axis].at(-1)!, b[axis].at(-1)!);
  const [x, y] = [a, b].map((t) => sample(t, quantity, axis, step, end)) as [number[], number[]];
  const means = [mean(x), mean(y)] as const;
  let [distance, xy, xx, yy] = [0, 0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [x[i]! - means[0], y[i]! - means[1]];
    distance += Math.abs(x[i]! - y[i]!);
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  const until = (t: Trace) => {
    // The last point within the common part, whichever the axis, tells how many seconds of the trace count.
    const last = t[axis].findLastIndex((v) => v <= end);
    return t.reductions.filter((s) => s <= t.seconds[last]!).length;
  };
  return {
    points: x.length,
    means,
    difference: distance / x.length / ((means[0] + means[1]) / 2),
    correlation: xy / Math.sqrt(xx * yy),
    reductions: [until(a), until(b)],
  };
}

/** One line for people. */
export function describeLikeness(l: Likeness): string {
  const kb = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
  return (
    `${l.points} points, means ${l.means.map(kb).join(' and ')}, mean difference ${(l.difference * 100).toFixed(1)} %, ` +
    `correlation ${l.correlation.toFixed(3)}, reductions ${l.reductions.join(' and ')}`
  );
}
