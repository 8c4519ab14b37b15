/**
 * Random Early Detection: S. Floyd and V. Jacobson, "Random Early Detection Gateways for Congestion Avoidance", IEEE/ACM Transactions
 * on Networking 1(4), 1993, figure 2 (names of variables as there), with the gentle variant of Floyd's note of 2000.
 */
import type { Random } from '../rings/clock.ts';
import type { RedConfig } from './config.ts';
import { unit } from './loss.ts';

export const RED_PASS = 0;
/** Chosen early, by probability. */
export const RED_EARLY = 1;
/** Chosen because the average is too large for any. */
export const RED_FORCED = 2;

/** Packet size for which `maxP` holds when thresholds are in bytes. */
const MEAN_PACKET = 1500;

export class Red {
  readonly config: RedConfig;
  /** Average queue, packets or bytes. */
  avg: number;
  /** Packets passed since one was last chosen, the present one not counted; -1 before the first. */
  #count: number;

  constructor(config: RedConfig) {
    this.config = config;
    this.avg = 0;
    this.#count = -1;
  }

  /**
   * A packet arrives.
   * @param queued what is waiting, without it: packets or bytes as the thresholds
   * @param bytes its length
   * @param idleUs for how long the server has had nothing to do, µs
   * @param slotUs time that a typical packet takes to be sent, µs: an idle queue ages by so many samples (section 4); 0 when the
   *   server has no rate
   * @returns RED_*
   */
  arrive(queued: number, bytes: number, idleUs: number, slotUs: number, random: Random): number {
    const c = this.config;
    if (idleUs > 0) this.avg = slotUs > 0 && this.avg > 0 ? this.avg * (1 - c.wq) ** (idleUs / slotUs) : 0;
    else this.avg += c.wq * (queued - this.avg);
    const avg = this.avg;
    if (avg < c.minTh) {
      this.#count = -1;
      return RED_PASS;
    }
    let pb: number;
    if (avg < c.maxTh) {
      pb = (c.maxP * (avg - c.minTh)) / (c.maxTh - c.minTh);
    } else if (c.gentle && avg < 2 * c.maxTh) {
      pb = c.maxP + ((1 - c.maxP) * (avg - c.maxTh)) / c.maxTh;
    } else {
      this.#count = -1;
      return RED_FORCED;
    }
    if (c.bytes) pb = (pb * bytes) / MEAN_PACKET;
    this.#count++;
    // Spaces the chosen packets evenly: gaps uniform over 1 to 1/pb, not geometric (section 7). That counts the packets passed
    // before this one, from 0; figure 2 would begin at 1.
    const spread = 1 - this.#count * pb;
    if (spread > 0 && unit(random) >= pb / spread) return RED_PASS;
    this.#count = -1;
    return RED_EARLY;
  }
}
