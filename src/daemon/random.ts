import { randomFillSync } from 'node:crypto';
import type { Random } from '../rings/clock.ts';

const WORDS = 1024;

/** Randomness of the machine, fetched 4 KiB at a time because one call of the system costs far more than a word. */
export class MachineRandom implements Random {
  readonly #words = new Int32Array(WORDS);
  #next = WORDS;

  next32(): number {
    if (this.#next === WORDS) {
      randomFillSync(this.#words);
      this.#next = 0;
    }
    return this.#words[this.#next++]!;
  }
}
