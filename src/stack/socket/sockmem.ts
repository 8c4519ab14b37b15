/**
 * What the socket buffers of a shard take together, and the limit on it (kern.ipc.maxmbufmem). From three quarters of it on no buffer is
 * given more room than it has, so that windows stop to open and applications are told to wait; at the limit what would need more is
 * dropped before it is acknowledged. The first few kilobytes of each buffer are its own, whatever the others hold.
 */
import { tcps } from '../../metrics/layout.ts';
import type { Tunables } from '../sysctl.ts';

export class SockMem {
  /** Bytes of all stores. */
  used: number;
  readonly #tune: Tunables;
  readonly #cnt: Float64Array;

  constructor(tune: Tunables, cnt: Float64Array) {
    this.used = 0;
    this.#tune = tune;
    this.#cnt = cnt;
  }

  /** Little is left: nothing grows. */
  get tight(): boolean {
    const limit = this.#tune.ipc_maxmbufmem;
    return this.used > limit - limit / 4;
  }

  /** So much more is within the limit. */
  has(bytes: number): boolean {
    return this.used + bytes <= this.#tune.ipc_maxmbufmem;
  }

  /** A store has changed its size by so much. */
  add(bytes: number): void {
    this.used += bytes;
    this.#cnt[tcps.tcps_sockbufmem] = this.used;
  }
}
