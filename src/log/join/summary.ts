/** What a join found, in numbers. */
import { BrokenLines } from '../broken.ts';
import type { DisableLine } from '../model.ts';
import type { Sureness } from './stream.ts';

/** Why a captured segment has no line. Only the last is a surprise. */
export type SegmentFate =
  /** SYN, SYN-ACK, the ACK of a passive open, and what is sent before it: no control block in a state that is logged. */
  | 'handshake'
  /** RST: those that we send, and those that find no connection, have no line. */
  | 'reset'
  /** After the last line of its connection: nobody was there any more. */
  | 'closed'
  /** The log was off. */
  | 'outside'
  /** No line has its addresses and ports: filtered, or not ours. */
  | 'no-connection'
  /** Part of a larger segment that another part is paired with. */
  | 'covered'
  | 'unmatched';

export type LineFate = 'outside' | 'no-connection' | 'unmatched';

/** Differences that are kept for the distribution: with more of them every second, fourth … is. */
const KEPT = 1 << 18;
/** Pairs among which the usual difference is looked for. */
const RECENT = 255;

/** Time differences of one direction, capture − log, in µs. */
export class Differences {
  readonly #kept = new Float64Array(KEPT);
  #n = 0;
  #step = 1;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  readonly #recent: number[] = [];
  #usual = Number.NaN;
  #usualAt = -RECENT;
  count = 0;

  add(us: number): void {
    this.#min = Math.min(this.#min, us);
    this.#max = Math.max(this.#max, us);
    this.#recent[this.count % RECENT] = us;
    if (this.count++ % this.#step !== 0) return;
    if (this.#n === KEPT) {
      for (let i = 0; i < KEPT / 2; i++) this.#kept[i] = this.#kept[2 * i]!;
      this.#n = KEPT / 2;
      this.#step *= 2;
      if ((this.count - 1) % this.#step !== 0) return;
    }
    this.#kept[this.#n++] = us;
  }

  /** The median of the last pairs; `otherwise` before the first. */
  usual(otherwise: number): number {
    if (this.count === 0) return otherwise;
    // A quarter of them may be new before it is looked for again; at the beginning each counts.
    if (this.count - this.#usualAt > Math.min(RECENT, this.count) / 4) {
      this.#usual = [...this.#recent].sort((a, b) => a - b)[this.#recent.length >> 1]!;
      this.#usualAt = this.count;
    }
    return this.#usual;
  }

  /** Smallest, median, 99th percentile and largest; NaN without a pair. */
  distribution(): { min: number; median: number; p99: number; max: number } {
    if (this.count === 0) return { min: Number.NaN, median: Number.NaN, p99: Number.NaN, max: Number.NaN };
    const sorted = this.#kept.slice(0, this.#n).sort();
    const at = (share: number): number => sorted[Math.min(this.#n - 1, Math.ceil(share * this.#n) - 1)]!;
    return { min: this.#min, median: at(0.5), p99: at(0.99), max: this.#max };
  }

  /** The share of differences that are further than … from the median, as the distance that 99 % keep; NaN without a pair. */
  spread(): number {
    const { median } = this.distribution();
    const off = this.#kept.slice(0, this.#n).map((us) => Math.abs(us - median));
    off.sort();
    return this.#n === 0 ? Number.NaN : off[Math.min(this.#n - 1, Math.ceil(0.99 * this.#n) - 1)]!;
  }
}

export class JoinSummary {
  lines = 0;
  /** Lines that could not be read. */
  readonly broken = new BrokenLines();
  readonly by: Record<Sureness, number> = { seq: 0, ack: 0, order: 0, time: 0 };
  readonly linesAlone: Record<LineFate, number> = { outside: 0, 'no-connection': 0, unmatched: 0 };
  readonly segmentsAlone: Record<SegmentFate, number> = {
    handshake: 0,
    reset: 0,
    closed: 0,
    outside: 0,
    'no-connection': 0,
    covered: 0,
    unmatched: 0,
  };
  readonly out = new Differences();
  readonly in = new Differences();
  /** Packets that ppl left out, by the counts of the disable lines and the lines before them; negative values are not counted. */
  suppressed = 0;
  #cycleLines = 0;

  get pairs(): number {
    return this.by.seq + this.by.ack + this.by.order + this.by.time;
  }

  line(): void {
    this.lines++;
    this.#cycleLines++;
  }

  disabled(line: DisableLine): void {
    const total = line.counts['total_tcp_pkts'] ?? 0;
    const skipped = line.counts['total_skipped_tcp_pkts'] ?? 0;
    this.suppressed += Math.max(0, total - skipped - this.#cycleLines);
    this.#cycleLines = 0;
  }

  paired(out: boolean, by: Sureness, diffUs: number): void {
    this.by[by]++;
    (out ? this.out : this.in).add(diffUs);
  }

  lineAlone(fate: LineFate): void {
    this.linesAlone[fate]++;
  }

  segmentAlone(fate: SegmentFate): void {
    this.segmentsAlone[fate]++;
  }
}
