/** Which packets a pipe loses on the way: independently, in bursts, or by number. */
import type { Random } from '../rings/clock.ts';
import type { GilbertConfig, PipeConfig } from './config.ts';

const TWO32 = 4294967296;

/** True with probability `p`, to within 2^-32; draws one word unless `p` is 0. */
export function chance(random: Random, p: number): boolean {
  return p > 0 && (random.next32() >>> 0) / TWO32 < p;
}

/** Uniform in [0, 1). */
export function unit(random: Random): number {
  return (random.next32() >>> 0) / TWO32;
}

/**
 * The Gilbert-Elliott chain as tc-netem(8) has it ("gemodel"): a packet is lost by the probability of the state that it finds, and
 * each packet may change the state for the next. The share lost in the long run is
 * `(p * lossBad + r * lossGood) / (p + r)`.
 */
export class GilbertElliott {
  readonly #c: GilbertConfig;
  #bad: boolean;

  constructor(c: GilbertConfig) {
    this.#c = c;
    this.#bad = false;
  }

  /** Whether the next packet is lost. */
  lose(random: Random): boolean {
    const c = this.#c;
    const bad = this.#bad;
    if (chance(random, bad ? c.r : c.p)) this.#bad = !bad;
    return chance(random, bad ? c.lossBad : c.lossGood);
  }
}

/** The loss of a pipe: any of the three kinds loses the packet. */
export class Loss {
  readonly #p: number;
  readonly #gilbert: GilbertElliott | null;
  readonly #drop: Float64Array;
  #next: number;
  /** Packets asked about. */
  #count: number;

  constructor(c: PipeConfig) {
    this.#p = c.loss;
    this.#gilbert = c.gilbert === null ? null : new GilbertElliott(c.gilbert);
    this.#drop = Float64Array.from(c.drop);
    this.#next = 0;
    this.#count = 0;
  }

  /** Whether the next packet is lost. */
  lose(random: Random): boolean {
    let lost = false;
    this.#count++;
    if (this.#next < this.#drop.length && this.#drop[this.#next] === this.#count) {
      this.#next++;
      lost = true;
    }
    if (this.#gilbert?.lose(random)) lost = true;
    if (chance(random, this.#p)) lost = true;
    return lost;
  }
}
