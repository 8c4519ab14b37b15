/** pipeACK: what the path has lately carried in a round trip (RFC 7661 section 4.2). State of tcp-cwv.ts, one a connection. */

/** No sample since the start or since the last recovery (RFC 7661 section 4.1). */
export const PIPEACK_UNDEFINED = -1;

/** Measurement periods that a sampling period is kept in (RFC 7661 section 4.5.1). */
const PERIODS = 4;

export class PipeAck {
  /** Largest sample of the measurement period that began at #ms (clock.ms), and of the three before it, bytes. */
  #now = 0;
  #last = 0;
  #third = 0;
  #fourth = 0;
  #ms = 0;
  #defined = false;
  /** Samples are taken of what was sent when more than this was delivered. */
  since = 0;
  /** The non-validated phase is under way, since nonvalidatedMs (clock.ms). */
  nonvalidated = false;
  nonvalidatedMs = 0;
  /** In a recovery that began in it: what was in use then, bytes, 0 otherwise; and what was sent again, each byte once. */
  used = 0;
  resent = 0;

  /** Back to the state of a new connection. */
  reset(): void {
    this.undefine(0);
    this.nonvalidated = false;
    this.nonvalidatedMs = 0;
    this.used = 0;
    this.resent = 0;
  }

  /** Forgets all samples; what was sent before more than `delivered` bytes were delivered gives none either. */
  undefine(delivered: number): void {
    this.#now = this.#last = this.#third = this.#fourth = 0;
    this.#ms = 0;
    this.#defined = false;
    this.since = delivered;
  }

  get defined(): boolean {
    return this.#defined;
  }

  /**
   * Takes a sample in.
   * @param bytes delivered in a round trip
   * @param ms clock.ms
   * @param period sampling period, ms
   */
  sample(bytes: number, ms: number, period: number): void {
    if (!this.#defined) this.#ms = ms;
    this.#defined = true;
    this.#advance(ms, period);
    if (bytes > this.#now) this.#now = bytes;
  }

  /** The largest sample of the period (ms) that ends at `ms`, bytes: 0 when there is none in it, PIPEACK_UNDEFINED when there was none at all. */
  value(ms: number, period: number): number {
    if (!this.#defined) return PIPEACK_UNDEFINED;
    this.#advance(ms, period);
    const a = this.#now > this.#last ? this.#now : this.#last;
    const b = this.#third > this.#fourth ? this.#third : this.#fourth;
    return a > b ? a : b;
  }

  #advance(ms: number, period: number): void {
    const one = Math.ceil(period / PERIODS);
    // Unsigned: a connection may be idle for half the range of the clock.
    let n = Math.floor(((ms - this.#ms) >>> 0) / one);
    if (n >= PERIODS) {
      this.#now = this.#last = this.#third = this.#fourth = 0;
      this.#ms = ms;
      return;
    }
    for (; n > 0; n--) {
      this.#fourth = this.#third;
      this.#third = this.#last;
      this.#last = this.#now;
      this.#now = 0;
      this.#ms = (this.#ms + one) | 0;
    }
  }
}
