import { type CopyText, putHead, putTail } from './format.ts';
import { KIND_FLOWTYPE_SHIFT, R_FLOWID, R_KIND, R_SEGQLEN } from './record.ts';

/** Slots, a power of two: connections that are busy at one time. */
const SLOTS = 256;
/** Words of a record that decide fields 7 to 27, from the flow id on; the flow type is kept behind them. */
const VALUES = R_SEGQLEN - R_FLOWID + 1;
const SLOT_WORDS = 32;
/** A slot that never finds its last values again is looked at only once in so many lines. */
const MISSES_MAX = 16;
/** Room for the longest tail: 217 bytes. */
const TEXT_WORDS = 56;

/**
 * Writes data lines, and remembers the second half of each connection's last one: while a connection receives, its control block
 * often stays as it is for many packets, and copying the text costs a fraction of formatting it.
 */
export class LineCache {
  readonly #values: Uint32Array;
  readonly #text: Uint32Array;
  /** Bytes of the remembered text; 0 while the values were seen only once. */
  readonly #length: Uint8Array;
  /** Looks in a row that found other values, and lines to go until the next look. */
  readonly #misses: Uint8Array;
  readonly #skip: Uint8Array;

  constructor() {
    this.#values = new Uint32Array(SLOTS * SLOT_WORDS);
    this.#text = new Uint32Array(SLOTS * TEXT_WORDS);
    this.#length = new Uint8Array(SLOTS);
    this.#misses = new Uint8Array(SLOTS);
    this.#skip = new Uint8Array(SLOTS);
  }

  /**
   * Writes one data line, 27 fields and LF.
   * @param dv   output; DATA_LINE_MAX bytes are free at `p`
   * @param rec  a ring's words
   * @param r    first word of the record
   * @param flow fields 3 to 6, see `putHead`
   * @returns position after the LF
   */
  putLine(dv: DataView, p: number, rec: Uint32Array, r: number, flow: CopyText): number {
    p = putHead(dv, p, rec, r, flow);
    const slot = rec[r + R_FLOWID]! & (SLOTS - 1);
    if (this.#skip[slot]! > 0) {
      this.#skip[slot]!--;
      return putTail(dv, p, rec, r);
    }
    if (!this.#same(slot, rec, r)) {
      this.#length[slot] = 0;
      this.#skip[slot] = this.#misses[slot]!;
      if (this.#misses[slot]! < MISSES_MAX) this.#misses[slot]!++;
      return putTail(dv, p, rec, r);
    }
    this.#misses[slot] = 0;
    const text = this.#text;
    const length = this.#length[slot]!;
    const base = slot * TEXT_WORDS;
    if (length !== 0) {
      for (let i = 0; i < length; i += 4) dv.setUint32(p + i, text[base + (i >>> 2)]!, true);
      return p + length;
    }
    const end = putTail(dv, p, rec, r);
    for (let i = p; i < end; i += 4) text[base + ((i - p) >>> 2)] = dv.getUint32(i, true);
    this.#length[slot] = end - p;
    return end;
  }

  /** Compares a record with the slot's values, and makes it the slot's when it differs. */
  #same(slot: number, rec: Uint32Array, r: number): boolean {
    const values = this.#values;
    const base = slot * SLOT_WORDS;
    const type = rec[r + R_KIND]! >>> KIND_FLOWTYPE_SHIFT;
    const from = r + R_FLOWID;
    let i = 0;
    while (i < VALUES && values[base + i] === rec[from + i]) i++;
    if (i === VALUES && values[base + VALUES] === type) return true;
    for (; i < VALUES; i++) values[base + i] = rec[from + i]!;
    values[base + VALUES] = type;
    return false;
  }
}
