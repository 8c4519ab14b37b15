import type { LogItem } from '../model.ts';

/** Reads one line of a format. */
export interface LineParser {
  /**
   * @param buf bytes of the line, without its end, from `from` up to `to`; not kept
   * @param n number of the line, from 1
   * @param out what the line gives is added here
   */
  line(buf: Buffer, from: number, to: number, n: number, out: LogItem[]): void;
  /** Takes what the scanner says of a line, for a parser that holds an item back which belongs before it; without it `out` has it at once. */
  broken?(item: LogItem, out: LogItem[]): void;
  /** The text is at its end. @param cut what stands behind the last line end, or null */
  end(cut: CutLine | null, out: LogItem[]): void;
}

/** A last line without an end: a writer that was killed, a file that was cut. */
export interface CutLine {
  readonly buf: Buffer;
  readonly n: number;
}

/** Longest line of samples, bytes: no format needs a quarter of it. */
export const LINE_MAX = 16 * 1024;
/** Longest disable line of a SIFTR log, which lists all flows, bytes: some 900,000 flows. */
export const DISABLE_LINE_MAX = 32 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const NUL = 0;
const DISABLE = Buffer.from('disable_time_secs');

/**
 * Cuts a text that comes in chunks into lines. A carriage return before the line end is left out, so are NUL bytes at the start of a line, as a
 * crash leaves them in a file, with a report. What is longer than a line may be is reported, and skipped up to the next line end.
 */
export class LineScanner {
  readonly #parser: LineParser;
  /** Number of the line that is being read, from 1. */
  #n: number;
  /** Start of a line whose end has not come yet. */
  #carry: Buffer;
  #carried: number;
  /** The rest of the line is left out. */
  #skip: boolean;
  /** NUL bytes at the start of the line. */
  #nuls: number;

  constructor(parser: LineParser) {
    this.#parser = parser;
    this.#n = 1;
    this.#carry = Buffer.allocUnsafe(LINE_MAX);
    this.#carried = 0;
    this.#skip = false;
    this.#nuls = 0;
  }

  /** Number of the line that is being read, from 1. */
  get line(): number {
    return this.#n;
  }

  /** Takes the next piece of the text. What its lines give is added to `out`. */
  feed(chunk: Buffer, out: LogItem[]): void {
    let from = 0;
    while (from < chunk.length) {
      if (chunk[from] === NUL && this.#carried === 0 && !this.#skip) {
        from = this.#skipNuls(chunk, from);
        continue;
      }
      const lf = chunk.indexOf(LF, from);
      if (lf < 0) {
        this.#keep(chunk, from, chunk.length, out);
        return;
      }
      if (this.#carried > 0) this.#keep(chunk, from, lf, out);
      if (this.#skip) this.#skip = false;
      else if (this.#carried > 0) this.#line(this.#carry, 0, this.#carried, out);
      else this.#line(chunk, from, lf, out);
      this.#carried = 0;
      this.#n++;
      from = lf + 1;
    }
  }

  /** The text is at its end. */
  end(out: LogItem[]): void {
    this.#reportNuls(out);
    const cut = this.#carried > 0 && !this.#skip ? { buf: this.#carry.subarray(0, this.#carried), n: this.#n } : null;
    this.#parser.end(cut, out);
  }

  #skipNuls(chunk: Buffer, from: number): number {
    let p = from;
    while (p < chunk.length && chunk[p] === NUL) p++;
    this.#nuls += p - from;
    return p;
  }

  #reportNuls(out: LogItem[]): void {
    if (this.#nuls === 0) return;
    this.#broken(`${this.#nuls} NUL bytes`, out);
    this.#nuls = 0;
  }

  #line(buf: Buffer, from: number, to: number, out: LogItem[]): void {
    const end = to > from && buf[to - 1] === CR ? to - 1 : to;
    if (this.#nuls > 0) {
      this.#reportNuls(out);
      if (end === from) return;
    }
    if (end - from > LINE_MAX && !isDisable(buf, from, end)) this.#tooLong(LINE_MAX, out);
    else this.#parser.line(buf, from, end, this.#n, out);
  }

  /** Adds to the line whose end has not come yet. */
  #keep(chunk: Buffer, from: number, to: number, out: LogItem[]): void {
    if (this.#skip) return;
    const length = this.#carried + to - from;
    // What tells a disable line may lie on both sides of the cut between two chunks.
    const rest = Math.min(to, from + Math.max(0, DISABLE.length - this.#carried));
    const head = Buffer.concat([
      this.#carry.subarray(0, Math.min(this.#carried, DISABLE.length)),
      chunk.subarray(from, rest),
    ]);
    const limit = isDisable(head, 0, head.length) ? DISABLE_LINE_MAX : LINE_MAX;
    if (length > limit) {
      this.#tooLong(limit, out);
      this.#skip = true;
      this.#carried = 0;
      return;
    }
    if (length > this.#carry.length) {
      const larger = Buffer.allocUnsafe(Math.min(DISABLE_LINE_MAX, Math.max(length, 2 * this.#carry.length)));
      this.#carry.copy(larger, 0, 0, this.#carried);
      this.#carry = larger;
    }
    chunk.copy(this.#carry, this.#carried, from, to);
    this.#carried = length;
  }

  #tooLong(limit: number, out: LogItem[]): void {
    this.#reportNuls(out);
    this.#broken(`longer than ${limit} bytes`, out);
  }

  #broken(why: string, out: LogItem[]): void {
    const item: LogItem = { type: 'broken', line: this.#n, why };
    if (this.#parser.broken === undefined) out.push(item);
    else this.#parser.broken(item, out);
  }
}

function isDisable(buf: Buffer, from: number, to: number): boolean {
  return to - from >= DISABLE.length && buf.compare(DISABLE, 0, DISABLE.length, from, from + DISABLE.length) === 0;
}
