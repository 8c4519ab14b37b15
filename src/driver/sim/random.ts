import type { Random } from '../../rings/clock.ts';

/** Words drawn and thrown away, so that similar keys give unlike streams. */
const WARM_UP = 15;

/** FNV-1a over the UTF-16 units of a name (draft-eastlake-fnv), 32 bits. */
function fnv1a(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h | 0;
}

/**
 * The randomness of a simulation: Chris Doty-Humphrey's sfc32 (PractRand), a small chaotic counter generator with 128 bits of
 * state, period at least 2^32. Each component has a stream of its own, keyed by the run's seed and the component's name, so that a
 * component more leaves the others' numbers as they were.
 */
export class SimRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  /** @param seed whole number, 0 to 2^53 @param name of the component */
  constructor(seed: number, name: string) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 4294967296) | 0;
    this.#c = fnv1a(name);
    this.#counter = 1;
    for (let i = 0; i < WARM_UP; i++) this.next32();
  }

  next32(): number {
    const t = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t;
  }
}
