/**
 * One direction of a connection of the log: its lines on one hand, the captured segments on the other, each in the order of its file. They are paired in
 * that order, by what the lines say of their segments where they do (facts.ts), and by time.
 */
import { TH_ACK, TH_FIN } from '../../stack/wire/tcp.ts';
import { align, type Band, bandCells } from './align.ts';
import type { Waiting } from './conn.ts';
import { BOUND, EXACT, type Line } from './facts.ts';
import type { Segment } from './segment.ts';

/** Pairs whose time differences are remembered for what is usual. */
const HISTORY = 63;
/** Lines that are aligned ahead of those that are settled, so that the last of these do not take a later one's segment. */
const AHEAD = 64;
/** Lines by which the usual difference is found at first. */
const FIRST_LINES = 128;
/** How far from the usual difference a partner is looked for, µs, before the whole window is. */
const REACH = 5000;
const WIDER = 8;
/** Difference from the usual that halves what a pair is worth, µs, at least. */
const SPREAD = 1000;
/** Lines known by their numbers that tell together what difference is usual among them. */
const NEIGHBOURS = 32;
/** Units on both sides of the one that a line has when none was left out. */
const BESIDE = 16;
/** Share of them that is not later than that. */
const SHARE = 0.2;
/** Lines that must be late before that is taken for usual. */
const HELD = 512;
/** Cells of one alignment: half a second of work at most. */
const CELLS = 1 << 25;
/** Share of the round-trip time by which a segment can be late and still be no retransmission. */
const LATE = 0.75;
/** What a pair is worth: 1 at the expected time, less by this far from it, more when the numbers agree. */
const BY_TIME = 0.1;
const AGREED = 4;
/** The same where it may be a retransmission: better than none, but the line of that one comes first. */
const MAYBE = 0.05;
/** What it costs to leave a segment out that was not sent again later: as likely as not it was received, and has a line. */
const LEFT_OUT = 1;
/** Segments for each line from which on most of them have none (ppl). */
const SPARSE = 1.5;

/** How sure a pair is: by sequence or acknowledgment number, by order and count, or where most packets have no line by time alone. */
export type Sureness = 'seq' | 'ack' | 'order' | 'time';

/** A segment, or one of the equal pieces of a larger one, as one line may stand for. */
export interface Unit {
  readonly waiting: Waiting;
  readonly timeUs: number;
  readonly seq: number;
  readonly end: number;
  /** From 1, of `pieces`. */
  readonly piece: number;
  readonly pieces: number;
  line: Line | null;
  /** Its bytes were sent again later, so maybe it was lost. */
  resent: boolean;
  /** Its bytes are in the segment of a line that another piece stands for. */
  covered: boolean;
}

export interface Pair {
  readonly unit: Unit;
  readonly by: Sureness;
}

/** Most bytes of a segment as the lines know it, without the options of this one. */
function pieceSize(mss: number, { len, optlen }: Segment): number {
  const size = mss - optlen;
  return size > 0 && len > size ? size : len;
}

export class Stream {
  readonly out: boolean;
  /** Lines that are not settled. */
  readonly lines: Line[] = [];
  readonly units: Unit[] = [];
  /** The last unit with data that begins at a number. */
  readonly #sent = new Map<number, Unit>();
  /** Segments that are not cut into units yet, as the size of these is not known. */
  #waiting: Waiting[] = [];
  /** The unit behind the last one that was paired in order. */
  #next = 0;
  /** Lines that are paired by their number alone, out of the order, while lines are settled. */
  readonly #aside = new Map<Line, Unit>();
  /** Where on the capture's clock each line's segment is expected, while lines are settled, µs. */
  #expected = new Float64Array(0);
  /** `isSparse`, while lines are settled. */
  #sparse = false;
  /** Time of the next line that may be of a retransmission; Infinity without one. */
  #again = new Float64Array(0);
  /** The last lines told it by their numbers. */
  #numbered = false;
  readonly #history: number[] = [];
  readonly #offs: number[] = [];
  #historyAt = 0;
  /** Usual time difference, capture − log, µs; NaN before the first pair. */
  center = Number.NaN;
  #spread = SPREAD;
  readonly #windowUs: number;

  constructor(out: boolean, windowUs: number) {
    this.out = out;
    this.#windowUs = windowUs;
  }

  take(waiting: Waiting): void {
    this.#waiting.push(waiting);
  }

  /** Cuts what came since into units. */
  cut(mss: number): void {
    for (const waiting of this.#waiting) {
      const { segment } = waiting;
      const size = pieceSize(mss, segment);
      const pieces = size === 0 ? 1 : Math.ceil(segment.len / size);
      const fin = (segment.flags & TH_FIN) !== 0 ? 1 : 0;
      for (let i = 0; i < pieces; i++) {
        const last = i === pieces - 1;
        const seq = (segment.seq + i * size) >>> 0;
        const unit: Unit = {
          waiting,
          timeUs: segment.timeUs,
          seq,
          end: (segment.seq + (last ? segment.len + fin : (i + 1) * size)) >>> 0,
          piece: i + 1,
          pieces,
          line: null,
          resent: false,
          covered: false,
        };
        this.units.push(unit);
        if (unit.end !== seq) {
          const before = this.#sent.get(seq);
          if (before !== undefined) before.resent = true;
          this.#sent.set(seq, unit);
        }
      }
    }
    this.#waiting = [];
  }

  /**
   * Many more segments than lines in the time of the lines: most have none (ppl), and what lines say by their numbers is wrong.
   * @param otherwise usual time difference, µs, for a stream that knows none
   */
  isSparse(otherwise: number): boolean {
    const { lines, units } = this;
    const center = Number.isNaN(this.center) ? otherwise : this.center;
    const from = (lines[0]?.sample.timeUs ?? 0) + center;
    const to = (lines.at(-1)?.sample.timeUs ?? 0) + center;
    let n = 0;
    for (const { timeUs } of units) if (timeUs >= from && timeUs <= to) n++;
    return lines.length >= NEIGHBOURS / 4 && n > SPARSE * lines.length;
  }

  get isEmpty(): boolean {
    return this.lines.length === 0 && this.units.length === 0 && this.#waiting.length === 0;
  }

  /** The number by which a line's segment is known: where an outgoing one begins, what an incoming one acknowledges. */
  keyOf(unit: Unit): number {
    return this.out ? unit.seq : unit.waiting.segment.ack;
  }

  /**
   * Pairs the first `settle` lines.
   * @param base    sequence number that the lines' relative ones are counted from; -1 when it is not known
   * @param centers µs, candidates for the usual time difference while there was no pair
   * @returns a pair, or null, for each of the lines, which are taken out
   */
  settle(settle: number, base: number, centers: readonly number[]): (Pair | null)[] {
    if (settle === 0) return [];
    const n = Math.min(this.lines.length, settle + AHEAD);
    this.#sparse = this.isSparse(centers[0] ?? 0);
    const exact = base >= 0 ? this.#exactDifferences(n, base) : [];
    if (Number.isNaN(this.center)) {
      const early = exact.filter((us) => !Number.isNaN(us)).slice(0, NEIGHBOURS);
      this.center = this.#firstCenter(n, base, early.length === 0 ? centers : [...centers, quantile(early)]);
    }
    this.#expect(n, exact);
    const pairs = new Int32Array(n);
    this.#alignWidening(n, settle, base, pairs);
    if (this.#setAside(n, base, pairs)) this.#alignWidening(n, settle, base, pairs);
    const result: (Pair | null)[] = [];
    let next = this.#next;
    for (let i = 0; i < settle; i++) {
      const at = pairs[i]!;
      if (at >= 0) next = at + 1;
      const unit = at >= 0 ? this.units[at]! : this.#aside.get(this.lines[i]!);
      result.push(unit === undefined ? null : this.#pair(this.lines[i]!, unit, base));
    }
    this.#next = next;
    for (const line of this.lines.slice(settle, n)) {
      const unit = this.#aside.get(line);
      if (unit !== undefined) unit.line = null;
    }
    this.#aside.clear();
    for (let i = 0; i < settle; i++) this.#cover(this.lines[i]!, result[i]!);
    this.lines.splice(0, settle);
    this.#learn(
      result,
      result.map((pair, i) => (pair === null ? 0 : pair.unit.timeUs - this.#expected[i]!)),
    );
    return result;
  }

  /**
   * Takes out the units that no line to come can be of.
   * @param untilUs time of the log, before which all lines are settled
   * @param center  usual time difference, µs, for a stream that knows none
   */
  expire(untilUs: number, center: number): Unit[] {
    const limit = untilUs + (Number.isNaN(this.center) ? center : this.center) - this.#windowUs;
    let n = 0;
    while (n < this.units.length) {
      const unit = this.units[n]!;
      if (unit.line === null && unit.timeUs >= limit && !unit.covered) break;
      n++;
    }
    this.#next = Math.max(0, this.#next - n);
    const old = this.units.splice(0, n);
    for (const unit of old) if (this.#sent.get(unit.seq) === unit) this.#sent.delete(unit.seq);
    return old;
  }

  /** Takes lines out of the order, with the units that their numbers say; true when there are any. */
  #setAside(n: number, base: number, pairs: Int32Array): boolean {
    if (base < 0) return false;
    for (let i = 0; i < n; i++) {
      const line = this.lines[i]!;
      if (pairs[i]! >= 0 || line.fact !== EXACT) continue;
      const unit = this.#outOfOrder(i, base);
      if (unit === null) continue;
      unit.line = line;
      this.#aside.set(line, unit);
    }
    return this.#aside.size > 0;
  }

  #alignWidening(n: number, settle: number, base: number, pairs: Int32Array): void {
    pairs.fill(-1);
    const usual = Math.min(this.#windowUs, Math.max(REACH, 4 * this.#scale()));
    let best = -1;
    for (let reach = usual; ; reach = Math.min(reach * WIDER, this.#windowUs)) {
      const band = this.#band(n, reach);
      if (best >= 0 && bandCells(band, n) > CELLS) return;
      const tried = new Int32Array(n);
      const score = this.#align(n, band, base, tried);
      if (score > best) {
        best = score;
        pairs.set(tried);
      }
      if (reach >= this.#windowUs || !this.#hasRoom(tried, settle, base)) return;
    }
  }

  #align(n: number, band: Band, base: number, pairs: Int32Array): number {
    const sparse = this.#sparse;
    // What comes before the first line of all may be from before the log was on.
    const start = this.#history.length > 0 ? Number.NEGATIVE_INFINITY : this.#expected[0]! - SPREAD;
    const price = (c: number): number => {
      const unit = this.units[c]!;
      return sparse || unit.timeUs < start || unit.resent || unit.covered || unit.line !== null ? 0 : LEFT_OUT;
    };
    return align(n, band, (i, c) => this.#score(i, c, base), price, pairs);
  }

  /** A line without a unit could have one, in the window and between those of its neighbours. */
  #hasRoom(pairs: Int32Array, settle: number, base: number): boolean {
    let before = this.#next;
    for (let i = 0; i < settle; i++) {
      if (pairs[i]! >= 0) {
        before = pairs[i]! + 1;
        continue;
      }
      let behind = i + 1;
      while (behind < pairs.length && pairs[behind]! < 0) behind++;
      const end = pairs[behind] ?? this.units.length;
      for (let c = before; c < end; c++) {
        const off = this.units[c]!.timeUs - this.#expected[i]!;
        if (off > this.#windowUs) break;
        if (off >= -this.#windowUs && this.#score(i, c, base) > 0) return true;
      }
    }
    return false;
  }

  /**
   * Units within `reach` µs of where each line expects its own, and those that it would have if none was left out: lines are late together when the thread that
   * writes them was.
   */
  #band(n: number, reach: number): Band {
    const band: Band = { from: new Int32Array(n), to: new Int32Array(n) };
    const { units } = this;
    const counting = !this.#sparse;
    let next = this.#next;
    let from = next;
    let to = next;
    for (let i = 0; i < n; i++) {
      const at = this.#expected[i]!;
      while (from < units.length && units[from]!.timeUs < at - reach) from++;
      to = Math.max(to, from);
      while (to < units.length && units[to]!.timeUs <= at + reach) to++;
      // What is older than the window is nobody's.
      while (next < units.length && units[next]!.timeUs < at - this.#windowUs) next++;
      const straight = counting ? Math.min(units.length, Math.max(next, this.#next + i - BESIDE)) : units.length;
      band.from[i] = Math.max(band.from[i - 1] ?? 0, Math.min(from, straight));
      band.to[i] = Math.max(band.from[i]!, counting ? Math.max(to, Math.min(units.length, straight + 2 * BESIDE)) : to);
    }
    for (let i = 1; i < n; i++) band.to[i] = Math.max(band.to[i]!, band.to[i - 1]!);
    return band;
  }

  #scale(): number {
    return Math.min(this.#windowUs, Math.max(SPREAD, 8 * this.#spread));
  }

  /** What it is worth to pair a line with a unit. */
  #score(i: number, c: number, base: number): number {
    const line = this.lines[i]!;
    const unit = this.units[c]!;
    if (unit.line !== null || this.#aside.has(line)) return 0;
    const off = unit.timeUs - this.#expected[i]!;
    const near = 1 - BY_TIME * Math.min(1, Math.abs(off) / (2 * this.#scale()));
    if (base < 0) return near;
    const expected = (base + line.rel) >>> 0;
    if (line.fact === EXACT) {
      if (this.keyOf(unit) !== expected) return 0;
      return this.#isAgain(i, off) ? MAYBE : AGREED + near;
    }
    if (line.fact === BOUND && !this.#within(unit, expected)) return 0;
    return near;
  }

  /**
   * A segment with the number of a line, `off` µs later than expected, may be its retransmission: that has the same number, is a round trip later, and has a line of its
   * own, which says nothing new went out.
   */
  #isAgain(i: number, off: number): boolean {
    const { sample } = this.lines[i]!;
    if (!this.out || off <= Math.max((sample.srtt ?? 0) * LATE, 4 * this.#scale())) return false;
    return this.#again[i]! - sample.timeUs <= off + this.#scale();
  }

  /** Nothing of the unit is beyond `bound`. */
  #within(unit: Unit, bound: number): boolean {
    const { segment } = unit.waiting;
    if (!this.out && (segment.flags & TH_ACK) === 0) return true;
    return (((this.out ? unit.end : segment.ack) - bound) | 0) <= 0;
  }

  /** The usual time difference for a start: the candidate that pairs best. */
  #firstCenter(n: number, base: number, centers: readonly number[]): number {
    const lines = Math.min(n, FIRST_LINES);
    const candidates = [...centers];
    if (this.units.length > 0) candidates.push(this.units[0]!.timeUs - this.lines[0]!.sample.timeUs);
    let best = -1;
    let chosen = candidates[0]!;
    const pairs = new Int32Array(lines);
    for (const center of candidates) {
      this.#again = new Float64Array(lines).fill(Number.POSITIVE_INFINITY);
      this.#expected = Float64Array.from({ length: lines }, (_, i) => this.lines[i]!.sample.timeUs + center);
      const band = this.#band(lines, Math.min(this.#windowUs, 4 * REACH));
      const score = this.#align(lines, band, base, pairs);
      // The first candidate is the one that is expected: another must be better by something.
      if (score > best * 1.01) {
        best = score;
        chosen = center;
      }
    }
    return chosen;
  }

  /** Differences to the first segment that has the number of a line; NaN for a line without. */
  #exactDifferences(n: number, base: number): number[] {
    const first = new Map<number, number>();
    for (const unit of this.units) {
      const key = this.keyOf(unit);
      if (!first.has(key)) first.set(key, unit.timeUs);
    }
    return this.lines.slice(0, n).map((line) => {
      const at = line.fact === EXACT ? first.get((base + line.rel) >>> 0) : undefined;
      return at === undefined ? Number.NaN : at - line.sample.timeUs;
    });
  }

  /**
   * When each line's segment is expected: as late as a fifth of its neighbours that are known by number. The others may be lost, and what was found is their
   * retransmission. Where there are no such neighbours it is what was usual before.
   */
  #expect(n: number, exact: readonly number[]): void {
    this.#expected = new Float64Array(n);
    const known = exact.map((us, i) => ({ us, i })).filter(({ us }) => !Number.isNaN(us));
    const all = this.lines.length;
    this.#again = new Float64Array(all);
    for (let i = all - 1, next = Number.POSITIVE_INFINITY; i >= 0; i--) {
      this.#again[i] = next;
      if (this.lines[i]!.fact !== EXACT) next = this.lines[i]!.sample.timeUs;
    }
    let from = 0;
    let now = this.center;
    let held = 0;
    for (let i = 0, k = 0; i < n; i++) {
      if (k < known.length && known[k]!.i === i) {
        from = Math.max(0, Math.min(k - NEIGHBOURS / 2, known.length - NEIGHBOURS));
        const next = quantile(known.slice(from, from + NEIGHBOURS).map(({ us }) => us));
        // All lost: it is their retransmissions that are seen. But what is so for long is a longer way.
        if (!this.#isAgain(i, next - now) || held > HELD) {
          now = next;
          held = 0;
        } else {
          held++;
        }
        k++;
      }
      this.#expected[i] = this.lines[i]!.sample.timeUs + now;
    }
    // Without numbers it is the pairs that tell (`#learn`).
    this.#numbered = known.length >= NEIGHBOURS / 4;
    if (this.#numbered) this.center = now;
  }

  #pair(line: Line, unit: Unit, base: number): Pair {
    unit.line = line;
    const exact = base >= 0 && line.fact === EXACT && this.keyOf(unit) === (base + line.rel) >>> 0;
    return { unit, by: exact ? (this.out ? 'seq' : 'ack') : this.#sparse ? 'time' : 'order' };
  }

  /** The unit of a line that is known by its number but was overtaken on its way, or overtook others. */
  #outOfOrder(i: number, base: number): Unit | null {
    const line = this.lines[i]!;
    const key = (base + line.rel) >>> 0;
    let best: Unit | null = null;
    let least = this.#windowUs;
    for (const unit of this.units) {
      const off = unit.timeUs - this.#expected[i]!;
      if (off > this.#windowUs) break;
      if (
        unit.line !== null ||
        unit.covered ||
        this.keyOf(unit) !== key ||
        Math.abs(off) > least ||
        this.#isAgain(i, off)
      )
        continue;
      best = unit;
      least = Math.abs(off);
    }
    return best;
  }

  /** Marks the units that carry the rest of a line's segment: the card cut it after the line was written (TSO). */
  #cover(line: Line, pair: Pair | null): void {
    if (pair === null || pair.by !== 'seq') return;
    const { unit } = pair;
    if (line.span <= ((unit.end - unit.seq) | 0)) return;
    for (let i = this.units.indexOf(unit) + 1; i < this.units.length; i++) {
      const next = this.units[i]!;
      const at = (next.seq - unit.seq) | 0;
      if (at >= line.span) return;
      if (at > 0 && next.line === null) next.covered = true;
    }
  }

  /** @param off µs by which the units of the pairs came later than expected */
  #learn(pairs: readonly (Pair | null)[], off: readonly number[]): void {
    pairs.forEach((pair, i) => {
      if (pair === null) return;
      this.#history[this.#historyAt] = pair.unit.timeUs - pair.unit.line!.sample.timeUs;
      this.#offs[this.#historyAt] = Math.abs(off[i]!);
      this.#historyAt = (this.#historyAt + 1) % HISTORY;
    });
    if (this.#history.length === 0) return;
    if (!this.#numbered) this.center = median(this.#history);
    this.#spread = median(this.#offs);
  }
}

/** What SHARE of the values are not above; the least of few. */
function quantile(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(SHARE * values.length)]!;
}

/** The middle one; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
