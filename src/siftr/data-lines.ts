import { TF_SACK_PERMIT } from '../stack/tcp/tcpcb.ts';
import type { Flow } from './flow-table.ts';
import { DATA_LINE_MAX, put6, putField, putU32 } from './format.ts';
import {
  KIND_FLOWTYPE_SHIFT,
  KIND_OUT,
  R_FLAGS,
  R_FLOWID,
  R_KIND,
  R_SEC,
  R_SEGQLEN,
  R_SETTLED,
  R_SSTHRESH,
  R_USEC,
  WORD_OF_FIELD,
} from './record.ts';

/** Slots, a power of two: connections that are busy at one time. */
const SLOTS = 256;
const SLOT_SHIFT = 4;
/** Numbers of a line that each record has: those of its words from R_SSTHRESH on, and the seconds of field 2 behind them. */
const WORDS = R_SEGQLEN - R_SSTHRESH + 1;
const N_SEC = WORDS;
const N_FLAGS = R_FLAGS - R_SSTHRESH;
/** Words of fields 7 to 25, in the line's order. */
const LINE_WORDS = Object.values(WORD_OF_FIELD);
/** Bytes of a slot's text: the longest line in whole groups of eight. */
const TEXT_BYTES = DATA_LINE_MAX;

const ZERO = 0x30;
const COMMA = 0x2c;
const DOT = 0x2e;
const LF = 0x0a;
const IN = 0x69;
const OUT = 0x6f;

/** A number of `w` digits is at least LEAST[w] and less than LEAST[w + 1]. */
const LEAST = Float64Array.from({ length: 12 }, (_, w) => (w <= 1 ? 0 : 10 ** (w - 1)));

/**
 * Writes the data lines of a SIFTR log (spec/siftr.md section 3). The last line of each connection is kept, and the next one made
 * from it: between two packets few of the 27 fields change, mostly not in length, so it takes a few digits and a copy.
 */
export class DataLines {
  /** Whose line a slot holds. */
  readonly #flows: (Flow | null)[];
  /** Its count of changes (`Flow.changes`) when the line was made. */
  readonly #changes: Float64Array;
  readonly #text: DataView;
  readonly #length: Uint16Array;
  /** Value, place in the text and digits of each number. */
  readonly #values: Uint32Array;
  readonly #at: Uint16Array;
  readonly #digits: Uint8Array;
  readonly #type: Uint8Array;
  readonly #usecAt: Uint8Array;

  constructor() {
    this.#flows = new Array<Flow | null>(SLOTS).fill(null);
    this.#changes = new Float64Array(SLOTS);
    this.#text = new DataView(new ArrayBuffer(SLOTS * TEXT_BYTES));
    this.#length = new Uint16Array(SLOTS);
    this.#values = new Uint32Array(SLOTS << SLOT_SHIFT);
    this.#at = new Uint16Array(SLOTS << SLOT_SHIFT);
    this.#digits = new Uint8Array(SLOTS << SLOT_SHIFT);
    this.#type = new Uint8Array(SLOTS);
    this.#usecAt = new Uint8Array(SLOTS);
  }

  /**
   * Writes one data line, 27 fields and LF.
   * @param dv   output; DATA_LINE_MAX bytes are free at `p`, and those behind the line may be overwritten
   * @param rec  a ring's words
   * @param r    first word of the record
   * @param flow the record's connection
   * @returns position after the LF
   */
  put(dv: DataView, p: number, rec: Uint32Array, r: number, flow: Flow): number {
    const slot = rec[r + R_FLOWID]! & (SLOTS - 1);
    if (this.#flows[slot] !== flow || this.#changes[slot] !== flow.changes || !this.#update(slot, rec, r)) {
      this.#compose(slot, rec, r, flow);
    }
    const text = this.#text;
    const from = slot * TEXT_BYTES;
    const length = this.#length[slot]!;
    // Eight bytes at a time. As text has no byte above 0x7e, none of these doubles is a NaN, whose bits might change on the way.
    for (let i = 0; i < length; i += 8) dv.setFloat64(p + i, text.getFloat64(from + i, true), true);
    dv.setUint8(p, (rec[r + R_KIND]! & KIND_OUT) !== 0 ? OUT : IN);
    put6(dv, p + this.#usecAt[slot]!, rec[r + R_USEC]!);
    return p + length;
  }

  /** Brings a slot's text up to date; false when a number has more or fewer digits than before, and the line moves. */
  #update(slot: number, rec: Uint32Array, r: number): boolean {
    const values = this.#values;
    const base = slot << SLOT_SHIFT;
    const from = r + R_SSTHRESH;
    for (let i = 0; i < WORDS; i++) {
      const n = rec[from + i]!;
      if (n !== values[base + i] && !this.#patch(slot, i, n)) return false;
    }
    const sec = rec[r + R_SEC]!;
    if (sec !== values[base + N_SEC] && !this.#patch(slot, N_SEC, sec)) return false;
    return this.#type[slot] === flowType(rec, r);
  }

  #patch(slot: number, i: number, n: number): boolean {
    const k = (slot << SLOT_SHIFT) + i;
    const digits = this.#digits[k]!;
    if (n < LEAST[digits]! || n >= LEAST[digits + 1]!) return false;
    const at = slot * TEXT_BYTES + this.#at[k]!;
    putU32(this.#text, at, n);
    // Field 17 is one digit, and stands right before the flags that it is a bit of.
    if (i === N_FLAGS) this.#text.setUint8(at - 2, sackPermitted(n));
    this.#values[k] = n;
    return true;
  }

  /** Writes a slot's whole text. */
  #compose(slot: number, rec: Uint32Array, r: number, flow: Flow): void {
    const text = this.#text;
    const start = slot * TEXT_BYTES;
    text.setUint16(start, (IN << 8) | COMMA);
    let p = this.#number(slot, N_SEC, start + 2, rec[r + R_SEC]!);
    text.setUint8(p - 1, DOT);
    this.#usecAt[slot] = p - start;
    p = put6(text, p, rec[r + R_USEC]!);
    for (let i = 0; i < flow.text.length; i++) text.setUint8(p++, flow.text[i]!);
    for (const word of LINE_WORDS) {
      if (word >= R_SETTLED) {
        p = putField(text, p, flow.settled[word - R_SETTLED]!);
        continue;
      }
      const n = rec[r + word]!;
      if (word === R_FLAGS) {
        text.setUint16(p, (sackPermitted(n) << 8) | COMMA);
        p += 2;
      }
      p = this.#number(slot, word - R_SSTHRESH, p, n);
    }
    p = putField(text, p, rec[r + R_FLOWID]!);
    const type = flowType(rec, r);
    p = putU32(text, p, type);
    text.setUint8(p++, LF);
    this.#type[slot] = type;
    this.#length[slot] = p - start;
    this.#flows[slot] = flow;
    this.#changes[slot] = flow.changes;
  }

  /** Writes number `i` of a slot with a comma behind it at `p` of the text; returns the position after it. */
  #number(slot: number, i: number, p: number, n: number): number {
    const k = (slot << SLOT_SHIFT) + i;
    const end = putField(this.#text, p, n);
    this.#values[k] = n;
    this.#at[k] = p - slot * TEXT_BYTES;
    this.#digits[k] = end - p - 1;
    return end;
  }
}

function sackPermitted(flags: number): number {
  return (flags & TF_SACK_PERMIT) !== 0 ? ZERO + 1 : ZERO;
}

function flowType(rec: Uint32Array, r: number): number {
  return (rec[r + R_KIND]! >>> KIND_FLOWTYPE_SHIFT) & 0xff;
}
