import type { LinkCaps } from '../rings/link.ts';
import type { FramePool } from '../rings/mbuf.ts';
import { CLOCK_WORDS, type Native, type PortInfo, QSTAT_WORDS, RING_WORDS } from './native.ts';
import type { ShardLink } from './shard-link.ts';

/** What `XskLink` needs beside the port. */
export interface XskLinkOptions {
  /** Queue of the port that this thread serves. */
  readonly queue: number;
  readonly pool: FramePool;
  /** Frames that receive refills leave for transmission; default an eighth of the pool. */
  readonly reserve?: number;
  /** Clock page (length CLOCK_WORDS) that every receive brings up to date; several links of a thread share one. */
  readonly page: Float64Array;
  /** Descriptors in the transmit ring; for `hasWork` only, which without it does not look into the ring. */
  readonly ringSize?: number;
}

/**
 * One queue of an interface over AF_XDP. It is made in the thread that serves the queue, after the main thread opened the port;
 * all work is done by the addon, a call a batch.
 */
export class XskLink implements ShardLink {
  readonly caps: LinkCaps;
  /** Queue handle, for `Native.openPoll`. */
  readonly handle: number;
  onReadable: (() => void) | null;
  readonly #native: Native;
  readonly #port: number;
  readonly #queue: number;
  readonly #ringSize: number;
  #open: boolean;

  /** Throws what `Native.openQueue` throws (EBUSY: another thread serves the queue). */
  constructor(native: Native, port: Pick<PortInfo, 'port' | 'timestamp'>, options: XskLinkOptions) {
    if (options.page.length < CLOCK_WORDS) throw new RangeError(`a clock page has ${CLOCK_WORDS} words`);
    const { pool } = options;
    const reserve = options.reserve ?? pool.count >>> 3;
    this.caps = { csum: true, rss: true, timestamp: port.timestamp, sg: false, tso: false, vlan: false };
    this.handle = native.openQueue(port.port, options.queue, pool.free, pool.top, reserve, options.page);
    this.onReadable = null;
    this.#native = native;
    this.#port = port.port;
    this.#queue = options.queue;
    this.#ringSize = options.ringSize ?? 0;
    this.#open = true;
  }

  receive(table: Int32Array, max: number): number {
    return this.#native.receive(this.handle, table, max);
  }

  transmit(table: Int32Array, n: number): number {
    return this.#native.transmit(this.handle, table, n);
  }

  reclaim(out: Int32Array): number {
    return this.#native.reclaim(this.handle, out);
  }

  txRoom(): number {
    return this.#native.txRoom(this.handle);
  }

  /** A packet that the kernel did not take, on our queue or in the ring, is announced by nobody: only coming again sends it. */
  hasWork(queued: number): boolean {
    return queued > 0 || this.txRoom() < this.#ringSize;
  }

  /** In copy mode, has batches of at least `rows` packets sent by another thread (`Native.useSender`). */
  useSender(rows: number): void {
    this.#native.useSender(this.handle, rows);
  }

  /** Packets that the other thread has yet to send. */
  senderBacklog(): number {
    return this.#native.senderBacklog(this.handle);
  }

  /** Counters of this queue by `QSTAT` index; `out` has at least QSTAT_WORDS words. */
  stats(out: Float64Array = new Float64Array(QSTAT_WORDS)): Float64Array {
    this.#native.queueStats(this.#port, this.#queue, out);
    return out;
  }

  /** State of the four rings, four words each (`RINGS`); `out` has at least RING_WORDS words. */
  rings(out: Int32Array = new Int32Array(RING_WORDS)): Int32Array {
    this.#native.queueRings(this.#port, this.#queue, out);
    return out;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.onReadable = null;
    this.#native.closeQueue(this.handle);
  }
}
