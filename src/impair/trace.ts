/**
 * A recorded link: at which milliseconds it could take a packet. The format is that of Mahimahi's mm-link(1): one number a line, ms since the
 * start, not descending; each line is one opportunity to send OPPORTUNITY bytes; after the last the trace begins anew, its last
 * time being its length. What no packet uses is lost; a large packet uses several, small ones share one.
 */
import { UnitError } from './units.ts';

export const OPPORTUNITY = 1500;

export class RateTrace {
  /** Times of the opportunities within one round, ms. */
  readonly #ms: Float64Array;
  readonly #roundMs: number;

  /** @param ms times as the file has them, at least one, the last above 0 */
  constructor(ms: readonly number[]) {
    this.#ms = Float64Array.from(ms);
    this.#roundMs = ms.at(-1) ?? 0;
    if (!(this.#roundMs > 0)) throw new UnitError('an empty trace: lines of milliseconds, the last above 0');
  }

  /** Mean rate, bits a second. */
  get rate(): number {
    return (this.#ms.length * OPPORTUNITY * 8 * 1000) / this.#roundMs;
  }

  /** Time of opportunity `n` (from 0, over all rounds), µs since the start. */
  at(n: number): number {
    const len = this.#ms.length;
    const round = Math.floor(n / len);
    return (round * this.#roundMs + this.#ms[n - round * len]!) * 1000;
  }

  /** Number of the first opportunity after `now`, µs since the start. */
  after(now: number): number {
    const ms = this.#ms;
    const round = now < 0 ? 0 : Math.floor(now / 1000 / this.#roundMs);
    const within = now / 1000 - round * this.#roundMs;
    let lo = 0;
    let hi = ms.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (ms[mid]! <= within) lo = mid + 1;
      else hi = mid;
    }
    return round * ms.length + lo;
  }
}

/**
 * Reads a trace.
 * @param text the file's content
 * @throws UnitError with the number of the line that is wrong
 */
export function parseTrace(text: string): RateTrace {
  const ms: number[] = [];
  let before = 0;
  text.split('\n').forEach((line, i) => {
    const word = line.trim();
    if (word === '') return;
    if (!/^\d+$/.test(word)) throw new UnitError(`line ${i + 1}: ${word}: a whole number of milliseconds`);
    const n = Number(word);
    if (n < before) throw new UnitError(`line ${i + 1}: ${word}: not before the ${before} of an earlier line`);
    before = n;
    ms.push(n);
  });
  return new RateTrace(ms);
}
