import type { Mbuf } from './mbuf.ts';
import { MbufList } from './mbuf-list.ts';

/**
 * The input queue of an interface (`struct ifiqueue`) with OpenBSD's accounting (spec/counters.md 4.2). The counters lie in shared
 * memory in the order of the kstat keys.
 */

/** A list that meets a queue longer than this is dropped (2048 * 5). */
export const IFIQ_MAXLEN_DROP = 2048 * 5;
/** Beyond this length `input` asks the driver to receive less (2048 * 3). */
export const IFIQ_MAXLEN_RETURN = 2048 * 3;

/** Words of the counter block, in the order of the kstat keys. */
export const RXQ_PACKETS = 0;
export const RXQ_BYTES = 1;
export const RXQ_FDROPS = 2;
export const RXQ_QDROPS = 3;
export const RXQ_ERRORS = 4;
export const RXQ_QLEN = 5;
export const RXQ_ENQUEUES = 6;
export const RXQ_DEQUEUES = 7;
export const RXQ_WORDS = 8;

/** The kstat keys of `IF:0:rxq:Q`, by word. */
export const RXQ_KEYS = ['packets', 'bytes', 'fdrops', 'qdrops', 'errors', 'qlen', 'enqueues', 'dequeues'] as const;

/** Directions of a tap. */
export const BPF_DIR_IN = 1;
export const BPF_DIR_OUT = 2;

/** Where a packet can be looked at (bpf(4)): called for each packet at R3 and T11 while somebody listens. */
export interface Tap {
  /**
   * @param direction BPF_DIR_IN or BPF_DIR_OUT
   * @returns true when a reader with the drop filter option takes the packet away (input only); the caller frees it
   */
  tap(m: Mbuf, direction: number): boolean;
}

export class Ifiqueue {
  /** Counter block of RXQ_WORDS; one writer. */
  readonly kv: Float64Array;
  readonly #list: MbufList;

  /** @param kv RXQ_WORDS words, zero */
  constructor(kv: Float64Array) {
    if (kv.length < RXQ_WORDS) throw new RangeError('an ifiqueue needs 8 counter words');
    this.kv = kv;
    this.#list = new MbufList();
  }

  /** Packets on the queue. */
  get len(): number {
    return this.#list.len;
  }

  /**
   * Takes a list of received packets (`ifiq_input`) and leaves it empty. Every packet counts, also those that the tap filters or
   * that a full queue refuses; a refused list is freed as a whole.
   *
   * @returns true when the queue is so long that the driver ought to receive less
   */
  input(ml: MbufList, tap: Tap | null): boolean {
    if (ml.len === 0) return false;
    const kv = this.kv;
    kv[RXQ_PACKETS] = kv[RXQ_PACKETS]! + ml.len;
    kv[RXQ_BYTES] = kv[RXQ_BYTES]! + ml.bytes;
    if (tap !== null) {
      const n = ml.len;
      for (let i = 0; i < n; i++) {
        const m = ml.dequeue()!;
        if (tap.tap(m, BPF_DIR_IN)) {
          kv[RXQ_FDROPS] = kv[RXQ_FDROPS]! + 1;
          m.pool.put(m);
        } else {
          ml.enqueue(m);
        }
      }
      if (ml.len === 0) return false;
    }
    const len = this.#list.len;
    if (len > IFIQ_MAXLEN_DROP) {
      kv[RXQ_QDROPS] = kv[RXQ_QDROPS]! + ml.purge();
    } else {
      kv[RXQ_ENQUEUES] = kv[RXQ_ENQUEUES]! + 1;
      this.#list.enlist(ml);
      kv[RXQ_QLEN] = this.#list.len;
    }
    return len > IFIQ_MAXLEN_RETURN;
  }

  /** Moves everything to `out` (first half of `ifiq_process`); false when there was nothing. */
  takeAll(out: MbufList): boolean {
    if (this.#list.len === 0) return false;
    this.kv[RXQ_DEQUEUES] = this.kv[RXQ_DEQUEUES]! + 1;
    out.enlist(this.#list);
    this.kv[RXQ_QLEN] = 0;
    return true;
  }
}
