/**
 * Which packets of a flow are logged with `net.inet.siftr.ppl=N` (spec/siftr.md section 14 item 7): the N-th, 2N-th … of those that the hook
 * numbered, or the 1st, N+1-th … with `ppl_first`. Packets whose record was dropped count as well: when a packet that was due is not
 * there, the next that is takes its place, and those due after it stay the same.
 */
export class PplCount {
  /** Number of the last packet that came here, uint32. */
  #last: number;
  /** Packets since one was due; -1 before the first. */
  #since: number;

  constructor() {
    this.#last = 0;
    this.#since = -1;
  }

  /**
   * Whether a packet is to be logged; to be called for each that comes, in order.
   * @param ppl   1..2^32 - 1; 0 works as 1
   * @param nth   number of the packet, uint32, from 1, wrapping; 0 where nobody numbers them: the one after the last
   * @param first the first packet is due
   */
  due(ppl: number, nth: number, first: boolean): boolean {
    // No two packets have one number: a difference of 0 is none.
    const packets = (nth - this.#last) >>> 0 || 1;
    this.#last = nth;
    if (ppl <= 1) {
      this.#since = 0;
      return true;
    }
    if (this.#since < 0) this.#since = first ? ppl - 1 : 0;
    const since = this.#since + packets;
    this.#since = since % ppl;
    return since >= ppl;
  }
}
