import type { Tuple } from '../model.ts';

const COMMA = 0x2c;
const ZERO = 0x30;
/** Slots, a power of two. A connection that has none to itself is only read anew. */
const SLOTS = 4096;

interface Known {
  readonly bytes: Buffer;
  readonly tuple: Tuple;
}

/** Reads `laddr,lport,faddr,fport,` of a line, and remembers connections, so that their texts are made once and not once a line. */
export class TupleTexts {
  readonly #known: (Known | null)[] = new Array<Known | null>(SLOTS).fill(null);
  /** That of the line before. */
  #last: Known | null = null;
  /** Place behind what was read. */
  end = 0;
  /** Why nothing was. */
  why = '';

  /** @returns null when four fields with a comma behind each are not there, see `why` */
  read(buf: Buffer, from: number, to: number): Tuple | null {
    const last = this.#last;
    if (last !== null && starts(buf, from, to, last.bytes)) {
      this.end = from + last.bytes.length;
      return last.tuple;
    }
    let commas = 0;
    let hash = 0;
    let p = from;
    for (; p < to; p++) {
      const c = buf[p]!;
      hash = (Math.imul(hash, 31) + c) | 0;
      if (c === COMMA && ++commas === 4) break;
    }
    if (commas < 4) {
      this.why = 'fewer than 7 fields';
      return null;
    }
    this.end = p + 1;
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const known = this.#known[slot] ?? null;
    if (known !== null && starts(buf, from, to, known.bytes)) {
      this.#last = known;
      return known.tuple;
    }
    const [laddr, lport, faddr, fport] = buf.toString('latin1', from, p).split(',');
    const tuple = { laddr: laddr!, lport: port(lport!), faddr: faddr!, fport: port(fport!) };
    if (laddr === '' || faddr === '' || tuple.lport < 0 || tuple.fport < 0) {
      this.why = 'not an address and a port';
      return null;
    }
    this.#last = { bytes: Buffer.from(buf.subarray(from, this.end)), tuple };
    this.#known[slot] = this.#last;
    return tuple;
  }
}

/** Whether `bytes`, the last of which is a comma, begin the rest of a line. */
function starts(buf: Buffer, from: number, to: number, bytes: Buffer): boolean {
  if (bytes.length > to - from) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== buf[from + i]) return false;
  return true;
}

/** 0..65535; -1 for anything else. */
function port(text: string): number {
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i) - ZERO;
    if (c < 0 || c > 9) return -1;
    n = n * 10 + c;
  }
  return text !== '' && n <= 0xffff ? n : -1;
}
