/**
 * A SIFTR record: what one packet leaves behind for the writer thread, 32 words in a bounded ring with one producer (a shard)
 * and one consumer (the writer). Nothing is allocated for one.
 *
 * Ring buffer layout (one SharedArrayBuffer):
 *
 *   word 0        word 16       word 64                                 word 64 + 32 * records
 *   | head …      | tail …      | record 0 | record 1 | … | record n-1 |
 *
 * head counts records ever pushed, tail records ever taken; both wrap at 2^32. n is a power of two. Behind the head lies the *cut*: where one
 * enable/disable cycle ends and the next begins while records go on coming. The pages of records that
 * were never written are never touched, so an idle ring costs no memory.
 */

/** Words in a record. */
export const RECORD_WORDS = 32;
const RECORD_SHIFT = 5;

/**
 * The words of a record, in order. Numbers are 32-bit; the formatter reads them unsigned. The first half, a cache line, is of this packet. The
 * second is what a connection mostly keeps: with KIND_SAME it is not written, and as in the connection's record before.
 */
export const RECORD_FIELDS = [
  'kind', // KIND_*: direction in bit 0 (0 = in, 1 = out), flow type in bits 8..15, connection in bits 16..31
  'sec', // wall time of the packet
  'usec',
  'flowid',
  'nth', // number of the packet in its connection, from 1; with KIND_NTH_DIR in its direction. 0 is none
  'ssthresh', // fields of the data line from here on
  'cwnd',
  'snd_wnd',
  'rcv_wnd',
  'srtt',
  'flags',
  'rxtcur',
  'snd_cc',
  'rcv_cc',
  'inflight',
  'segqlen',
  'flags2', // the second half
  'snd_scale',
  'rcv_scale',
  'state',
  'maxseg',
  'snd_hiwat',
  'rcv_hiwat',
  'l0', // local address, four words in network order
  'l1',
  'l2',
  'l3',
  'f0', // foreign address
  'f1',
  'f2',
  'f3',
  'ports', // local port in the upper half, foreign in the lower
] as const;

export type RecordField = (typeof RECORD_FIELDS)[number];

export const R_KIND = 0;
export const R_SEC = 1;
export const R_USEC = 2;
export const R_FLOWID = 3;
export const R_NTH = 4;
export const R_SSTHRESH = 5;
export const R_CWND = 6;
export const R_SND_WND = 7;
export const R_RCV_WND = 8;
export const R_SRTT = 9;
export const R_FLAGS = 10;
export const R_RXTCUR = 11;
export const R_SND_CC = 12;
export const R_RCV_CC = 13;
export const R_INFLIGHT = 14;
export const R_SEGQLEN = 15;
/** Where the second half begins: SETTLED_WORDS numbers, then the addresses. */
export const R_SETTLED = 16;
export const SETTLED_WORDS = 7;
export const R_FLAGS2 = 16;
export const R_SND_SCALE = 17;
export const R_RCV_SCALE = 18;
export const R_STATE = 19;
export const R_MAXSEG = 20;
export const R_SND_HIWAT = 21;
export const R_RCV_HIWAT = 22;
export const R_L0 = 23;
export const R_F0 = 27;
export const R_PORTS = 31;

/** Word of each field of the data line that comes from the control block or the socket, by its number (spec/siftr.md section 3); 17 is a bit of 18. */
export const WORD_OF_FIELD: Readonly<Record<number, number>> = {
  7: R_SSTHRESH,
  8: R_CWND,
  9: R_FLAGS2,
  10: R_SND_WND,
  11: R_RCV_WND,
  12: R_SND_SCALE,
  13: R_RCV_SCALE,
  14: R_STATE,
  15: R_MAXSEG,
  16: R_SRTT,
  18: R_FLAGS,
  19: R_RXTCUR,
  20: R_SND_HIWAT,
  21: R_SND_CC,
  22: R_RCV_HIWAT,
  23: R_RCV_CC,
  24: R_INFLIGHT,
  25: R_SEGQLEN,
};

/** `kind` bits. */
export const KIND_OUT = 1;
/** `nth` counts the packets of this direction, not those of both (`net.inet.siftr.ppl_dir`). */
export const KIND_NTH_DIR = 2;
/** No packet: a note that the connection is gone. */
export const KIND_GONE = 4;
/** The second half is that of the connection's record before. */
export const KIND_SAME = 8;
export const KIND_FLOWTYPE_SHIFT = 8;
/** Low 16 bits of `inp_gencnt`: which connection of its tuple. */
export const KIND_GEN_SHIFT = 16;

/** Default records in a ring, and the range allowed (spec/siftr.md section 14 item 1). */
export const QLEN_DEFAULT = 65536;
export const QLEN_MIN = 2;
export const QLEN_MAX = 1048576;

const HEAD = 0;
/** The head at a cut, and 1 while the consumer may not go beyond it. */
const CUT = 1;
const CUT_SET = 2;
const TAIL = 16;
const HEADER_WORDS = 64;
/** Below a quarter of its length the fill level of a ring is looked at each so many records. */
const SAMPLE = 64;

/**
 * Memory of a ring for `records` records.
 * @param records power of two, QLEN_MIN..QLEN_MAX; else RangeError
 */
export function createRing(records: number = QLEN_DEFAULT): SharedArrayBuffer {
  if (records < QLEN_MIN || records > QLEN_MAX || (records & (records - 1)) !== 0) {
    throw new RangeError(`a SIFTR ring of ${records} records: use a power of two from ${QLEN_MIN} to ${QLEN_MAX}`);
  }
  return new SharedArrayBuffer((HEADER_WORDS + records * RECORD_WORDS) * 4);
}

function ringMask(buf: SharedArrayBuffer): number {
  return (buf.byteLength / 4 - HEADER_WORDS) / RECORD_WORDS - 1;
}

/** Records that wait in a ring from which on its consumer should hurry: a quarter. */
function hurryLevel(mask: number): number {
  return (mask + 1) >>> 2;
}

/** The shard's end of a ring. */
export class RecordProducer {
  /** Write the record that `reserve` gave here. */
  readonly words: Int32Array;
  readonly #mask: number;
  /** Fill level above which `reserve` looks whether the writer sleeps. */
  readonly #wakeLevel: number;
  #head: number;
  /** The head as the consumer sees it. */
  #published: number;
  /** The tail as last read; refreshed only when the ring looks full or a quarter full. */
  #tail: number;
  /** Set when the ring went over a quarter: the owner calls the writer and clears it. */
  wantWake: boolean;
  /** Most records that waited since `resetHigh`: exact from a quarter of the length on, below it within SAMPLE records. */
  high: number;

  constructor(buf: SharedArrayBuffer) {
    this.words = new Int32Array(buf);
    this.#mask = ringMask(buf);
    this.#wakeLevel = hurryLevel(this.#mask);
    this.#head = Atomics.load(this.words, HEAD);
    this.#published = this.#head;
    this.#tail = Atomics.load(this.words, TAIL);
    this.wantWake = false;
    this.high = 0;
  }

  resetHigh(): void {
    this.high = 0;
  }

  /** Index of the first word of a free record, or -1 when the ring is full. `commit` makes it one of the ring's. */
  reserve(): number {
    if (((this.#head - this.#tail) | 0) > this.#wakeLevel || (this.#head & (SAMPLE - 1)) === 0) {
      this.publish();
      this.#tail = Atomics.load(this.words, TAIL);
      const used = (this.#head - this.#tail) | 0;
      if (used > this.high) this.high = used;
      if (used > this.#wakeLevel) {
        this.wantWake = true;
        if (used > this.#mask) return -1;
      }
    }
    return HEADER_WORDS + ((this.#head & this.#mask) << RECORD_SHIFT);
  }

  /** The record that `reserve` gave is complete. The consumer sees it from the next `publish` on. */
  commit(): void {
    this.#head = (this.#head + 1) | 0;
  }

  /**
   * Lets the consumer see what was committed. Once for a batch: the store waits until all that was written to the records has reached
   * the cache, whose lines the consumer's processor had last.
   */
  publish(): void {
    if (this.#published === this.#head) return;
    this.#published = this.#head;
    Atomics.store(this.words, HEAD, this.#head);
  }

  /** The consumer takes what was committed before, and nothing that comes after, until it calls `uncut`. */
  cut(): void {
    this.publish();
    Atomics.store(this.words, CUT, this.#head);
    Atomics.store(this.words, CUT_SET, 1);
  }
}

/** The writer's end of a ring. */
export class RecordConsumer {
  /** The ring, unsigned: the formatter reads records here. */
  readonly words: Uint32Array;
  readonly #ctl: Int32Array;
  readonly #mask: number;
  #tail: number;
  #head: number;

  constructor(buf: SharedArrayBuffer) {
    this.words = new Uint32Array(buf);
    this.#ctl = new Int32Array(buf);
    this.#mask = ringMask(buf);
    this.#head = Atomics.load(this.#ctl, HEAD);
    this.#tail = Atomics.load(this.#ctl, TAIL);
  }

  /** Looks how far the producer is and returns how many records can be taken: those before the cut where there is one. */
  refresh(): number {
    this.#head = Atomics.load(this.#ctl, HEAD);
    // Read after the head: a cut that comes in between lies at this head or behind it.
    if (Atomics.load(this.#ctl, CUT_SET) === 1) {
      const cut = Atomics.load(this.#ctl, CUT);
      if (((cut - this.#head) | 0) < 0) this.#head = cut;
    }
    return (this.#head - this.#tail) | 0;
  }

  /** Lets the records behind the cut through. */
  uncut(): void {
    Atomics.store(this.#ctl, CUT_SET, 0);
  }

  /** More than a quarter of the ring waits, as of now: its producer would end the consumer's sleep. */
  get pressing(): boolean {
    return ((Atomics.load(this.#ctl, HEAD) - this.#tail) | 0) > hurryLevel(this.#mask);
  }

  /** Index of the first word of the oldest record as of the last `refresh`, or -1 when there is none. */
  peek(): number {
    return this.#head === this.#tail ? -1 : HEADER_WORDS + ((this.#tail & this.#mask) << RECORD_SHIFT);
  }

  /** Takes the record that `peek` gave; its slot is the producer's again after `release`. */
  advance(): void {
    this.#tail = (this.#tail + 1) | 0;
  }

  /** Gives the slots of taken records back to the producer. */
  release(): void {
    Atomics.store(this.#ctl, TAIL, this.#tail);
  }
}
