/**
 * Where urgent data ends in what a user has yet to read. It is delivered in line, as RFC 6093 section 6 asks: the mark is all that sets it apart.
 */
export class OobMark {
  /** Bytes up to the end of the urgent data, the last urgent byte among them; 0 where none is ahead. */
  ahead = 0;

  /** Urgent data ends `n` bytes ahead. True when the user is to be told: it is not reading urgent data already. */
  note(n: number): boolean {
    const told = this.ahead > 0;
    if (n > this.ahead) this.ahead = n;
    return !told;
  }

  /** How many of `len` bytes are shown at once: reading stops before the last urgent byte, so that the user can tell where it is (SIOCATMARK). */
  limit(len: number): number {
    return this.ahead > 1 && len >= this.ahead ? this.ahead - 1 : len;
  }

  /** The user took `n` bytes. */
  take(n: number): void {
    this.ahead = n < this.ahead ? this.ahead - n : 0;
  }
}
