import type { Mbuf } from './mbuf.ts';
import { MbufList } from './mbuf-list.ts';

/**
 * The output queue of an interface (`struct ifqueue`, priority queueing): eight lists under one limit, with OpenBSD's accounting
 * (spec/counters.md 4.1). The counters lie in shared memory in the order of the kstat keys (spec/counters.md 2), so that a reader
 * needs no copy.
 *
 *   prio 7 (first out) | 6 | 5 | 4 | 3 (default) | 2 | 1 | 0 (first to lose a packet)
 */
export const IFQ_NQUEUES = 8;
/** Limit of a queue whose driver sets none. */
export const IFQ_MAXLEN = 256;

/** Words of the counter block, in the order of the kstat keys. */
export const TXQ_PACKETS = 0;
export const TXQ_BYTES = 1;
export const TXQ_QDROPS = 2;
export const TXQ_ERRORS = 3;
export const TXQ_QLEN = 4;
export const TXQ_MAXQLEN = 5;
export const TXQ_OACTIVE = 6;
export const TXQ_OACTIVES = 7;
export const TXQ_WORDS = 8;

/** The kstat keys of `IF:0:txq:Q`, by word. */
export const TXQ_KEYS = ['packets', 'bytes', 'qdrops', 'errors', 'qlen', 'maxqlen', 'oactive', 'oactives'] as const;

export class Ifqueue {
  /** Counter block of TXQ_WORDS; one writer. */
  readonly kv: Float64Array;
  /** Packets on the queue. */
  len: number;
  readonly maxlen: number;
  /** The transmit ring is full: nothing is started until a completion clears it. */
  oactive: boolean;
  /** Accepted packets that go to a group address (`ifq_mcasts`; not part of kstat). */
  mcasts: number;
  /** The queue was at least half full and has not fallen below since: whoever waits for room is to be woken once. */
  wasHalfFull: boolean;
  readonly #lists: MbufList[];
  /** A bit for each list that holds a packet. */
  #busy: number;

  /** At least half full: the one test by which senders stop and, once it is false again, are resumed. */
  get halfFull(): boolean {
    return this.len << 1 >= this.maxlen;
  }

  /**
   * @param kv     TXQ_WORDS words, zero
   * @param maxlen limit for the sum of all priorities, at least 1
   */
  constructor(kv: Float64Array, maxlen: number = IFQ_MAXLEN) {
    if (kv.length < TXQ_WORDS || maxlen < 1)
      throw new RangeError('an ifqueue needs 8 counter words and a limit of at least 1');
    this.kv = kv;
    this.len = 0;
    this.maxlen = maxlen;
    this.oactive = false;
    this.mcasts = 0;
    this.wasHalfFull = false;
    this.#busy = 0;
    this.#lists = Array.from({ length: IFQ_NQUEUES }, () => new MbufList());
    kv[TXQ_MAXQLEN] = maxlen;
  }

  /**
   * Puts a packet on the list of its priority (`ifq_enqueue`) and takes it over. A full queue drops the oldest packet of the lowest
   * list that is below the packet's own priority; when there is none, the packet itself is freed and false is returned (ENOBUFS).
   */
  enqueue(m: Mbuf, multicast: boolean): boolean {
    const kv = this.kv;
    const prio = m.prio & (IFQ_NQUEUES - 1);
    if (this.len >= this.maxlen) {
      let victim: Mbuf | null = null;
      for (let p = 0; p < prio && victim === null; p++) victim = this.#takeOf(p);
      kv[TXQ_QDROPS] = kv[TXQ_QDROPS]! + 1;
      if (victim === null) {
        m.pool.put(m);
        return false;
      }
      victim.pool.put(victim);
    } else {
      this.len++;
      kv[TXQ_QLEN] = this.len;
      if (this.halfFull) this.wasHalfFull = true;
    }
    this.#lists[prio]!.enqueue(m);
    this.#busy |= 1 << prio;
    kv[TXQ_PACKETS] = kv[TXQ_PACKETS]! + 1;
    kv[TXQ_BYTES] = kv[TXQ_BYTES]! + m.len;
    if (multicast) this.mcasts++;
    return true;
  }

  /** Takes the oldest packet of the highest priority, or null (`ifq_dequeue`). */
  dequeue(): Mbuf | null {
    if (this.#busy === 0) return null;
    const prio = 31 - Math.clz32(this.#busy);
    const m = this.#takeOf(prio);
    this.len--;
    this.kv[TXQ_QLEN] = this.len;
    return m;
  }

  #takeOf(prio: number): Mbuf | null {
    const list = this.#lists[prio]!;
    const m = list.dequeue();
    if (list.head === null) this.#busy &= ~(1 << prio);
    return m;
  }

  /** Frees what is queued, counted in qdrops (`ifq_purge`: the link went down). Returns how many packets there were. */
  purge(): number {
    let n = 0;
    for (let p = 0; p < IFQ_NQUEUES; p++) n += this.#lists[p]!.purge();
    this.#busy = 0;
    this.len = 0;
    this.kv[TXQ_QLEN] = 0;
    this.kv[TXQ_QDROPS] = this.kv[TXQ_QDROPS]! + n;
    return n;
  }

  /** A dequeued packet that the link did not take. */
  countError(): void {
    this.kv[TXQ_ERRORS] = this.kv[TXQ_ERRORS]! + 1;
  }

  /** The transmit ring is full (`ifq_set_oactive`); `oactives` counts the change only. */
  setOactive(): void {
    if (this.oactive) return;
    this.oactive = true;
    this.kv[TXQ_OACTIVE] = 1;
    this.kv[TXQ_OACTIVES] = this.kv[TXQ_OACTIVES]! + 1;
  }

  /** There is room again (`ifq_clr_oactive`). */
  clrOactive(): void {
    this.oactive = false;
    this.kv[TXQ_OACTIVE] = 0;
  }
}
