/**
 * One series of a plot in bounded memory, however long the log is. Up to `4 * stretches` points every change is kept. From there on time is cut into
 * stretches of equal length, and of each the first, the last, the least and the greatest sample are kept (the M4 aggregation of Jugel, Jerzak,
 * Hackenbroich and Markl, VLDB 2014): extremes are never lost, and a line that is drawn with no more than `stretches` columns looks as if nothing
 * had been left out. Lost are the order and the number of the ups and downs within a stretch, and gaps that are shorter than one.
 *
 * A value holds until the next sample, so of a run of equal values only the first and the last point are kept. NaN is a gap: from there on
 * nothing is drawn.
 */
export class ReducedSeries {
  readonly #stretches: number;
  /** Every point, in the order in which it came, until there are too many. */
  #t: Float64Array;
  #v: Float64Array;
  #n = 0;
  /** Length of a stretch in µs, a power of two; 0 while every point is kept. */
  #width = 0;
  /** Lowest and highest stretch in use, counted from time 0. Stretch k lies at row `k mod #stretches` of the table. */
  #lo = 0;
  #hi = 0;
  #table: Float64Array;

  /** @param stretches columns of the widest picture to be drawn without a difference, 2 or more */
  constructor(stretches = 2048) {
    this.#stretches = stretches;
    this.#t = new Float64Array(64);
    this.#v = new Float64Array(64);
    this.#table = new Float64Array(0);
  }

  /** @param t µs, in any order, though in the log's is best. @param v a finite value, or NaN for a gap */
  add(t: number, v: number): void {
    if (this.#width > 0) this.#insert(t, v);
    else this.#keep(t, v);
  }

  /** What is left, ordered by time. */
  points(): Points {
    if (this.#width === 0) return withoutRuns(sorted(this.#t.subarray(0, this.#n), this.#v.subarray(0, this.#n)));
    const t: number[] = [];
    const v: number[] = [];
    for (let k = this.#lo; k <= this.#hi; k++) this.#emit(this.#row(k), t, v);
    return withoutRuns({ t: Float64Array.from(t), v: Float64Array.from(v) });
  }

  #keep(t: number, v: number): void {
    const n = this.#n;
    const ts = this.#t;
    const vs = this.#v;
    if (n >= 2 && t >= ts[n - 1]! && Object.is(v, vs[n - 1]) && Object.is(v, vs[n - 2])) {
      ts[n - 1] = t;
      return;
    }
    if (n === 4 * this.#stretches) {
      this.#divide();
      this.#insert(t, v);
      return;
    }
    if (n === ts.length) {
      this.#t = grown(ts);
      this.#v = grown(vs);
    }
    this.#t[n] = t;
    this.#v[n] = v;
    this.#n = n + 1;
  }

  /** From single points to stretches. */
  #divide(): void {
    this.#width = 1;
    this.#table = this.#empty();
    this.#lo = this.#hi = Math.floor(this.#t[0]!);
    for (let i = 0; i < this.#n; i++) this.#insert(this.#t[i]!, this.#v[i]!);
    this.#t = this.#v = new Float64Array(0);
  }

  #empty(): Float64Array {
    return new Float64Array(this.#stretches * COLUMNS).fill(Number.NaN);
  }

  /** Index of the first column of stretch k. */
  #row(k: number): number {
    const r = k % this.#stretches;
    return (r < 0 ? r + this.#stretches : r) * COLUMNS;
  }

  #insert(t: number, v: number): void {
    let k = Math.floor(t / this.#width);
    while (Math.max(k, this.#hi) - Math.min(k, this.#lo) >= this.#stretches) {
      this.#widen();
      k = Math.floor(t / this.#width);
    }
    if (k < this.#lo) this.#lo = k;
    if (k > this.#hi) this.#hi = k;
    const a = this.#table;
    const r = this.#row(k);
    // Written out, as this runs for each field of each line of a log: NaN compares false, so an empty row takes what comes.
    if (!(t >= a[r + FIRST]!)) {
      a[r + FIRST] = t;
      a[r + FIRST + 1] = v;
    }
    if (!(t < a[r + LAST]!)) {
      a[r + LAST] = t;
      a[r + LAST + 1] = v;
    }
    if (Number.isNaN(v)) return;
    if (!(v >= a[r + LEAST + 1]!)) {
      a[r + LEAST] = t;
      a[r + LEAST + 1] = v;
    }
    if (!(v <= a[r + GREATEST + 1]!)) {
      a[r + GREATEST] = t;
      a[r + GREATEST + 1] = v;
    }
  }

  /** Stretches of twice the length: each takes two neighbours up. */
  #widen(): void {
    const old = this.#table;
    const lo = this.#lo;
    const hi = this.#hi;
    const rows: number[] = [];
    for (let k = lo; k <= hi; k++) rows.push(this.#row(k));
    this.#width *= 2;
    this.#table = this.#empty();
    this.#lo = Math.floor(lo / 2);
    this.#hi = Math.floor(hi / 2);
    for (const r of rows) {
      // The last one last: of several with its time it is the one that holds on.
      for (let c = 0; c < COLUMNS; c += 2) {
        if (!Number.isNaN(old[r + c]!)) this.#insert(old[r + c]!, old[r + c + 1]!);
      }
    }
  }

  /** The points of a row in the order of time, none twice. */
  #emit(r: number, t: number[], v: number[]): void {
    const a = this.#table;
    if (Number.isNaN(a[r + FIRST]!)) return;
    const put = (c: number) => {
      const at = a[r + c]!;
      if (Number.isNaN(at) || (at === t.at(-1) && Object.is(a[r + c + 1], v.at(-1)))) return;
      t.push(at);
      v.push(a[r + c + 1]!);
    };
    const leastFirst = a[r + LEAST]! <= a[r + GREATEST]!;
    put(FIRST);
    put(leastFirst ? LEAST : GREATEST);
    put(leastFirst ? GREATEST : LEAST);
    put(LAST);
  }
}

/** Points of a series, ordered by time. NaN among the values is a gap. */
export interface Points {
  readonly t: Float64Array;
  readonly v: Float64Array;
}

/** Columns of a row, time and value each. NaN: none yet. */
const FIRST = 0;
const LEAST = 2;
const GREATEST = 4;
const LAST = 6;
const COLUMNS = 8;

function grown(a: Float64Array): Float64Array {
  const b = new Float64Array(2 * a.length);
  b.set(a);
  return b;
}

/** By time; equal times keep their order. */
function sorted(t: Float64Array, v: Float64Array): Points {
  let i = 1;
  while (i < t.length && t[i - 1]! <= t[i]!) i++;
  if (i >= t.length) return { t, v };
  const order = Uint32Array.from(t.keys()).sort((a, b) => t[a]! - t[b]! || a - b);
  return { t: Float64Array.from(order, (k) => t[k]!), v: Float64Array.from(order, (k) => v[k]!) };
}

/** Without the points inside of runs of one value, where the line goes on as it was. */
function withoutRuns({ t, v }: Points): Points {
  const inside = (i: number) => i > 0 && i < v.length - 1 && Object.is(v[i - 1], v[i]) && Object.is(v[i], v[i + 1]);
  return { t: t.filter((_, i) => !inside(i)), v: v.filter((_, i) => !inside(i)) };
}

/** The points that a picture of so many columns needs, at most four each. */
export function thinned(p: Points, columns: number): Points {
  if (p.t.length <= 4 * columns) return p;
  const less = new ReducedSeries(columns);
  for (let i = 0; i < p.t.length; i++) less.add(p.t[i]!, p.v[i]!);
  return less.points();
}
