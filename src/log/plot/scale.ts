/**
 * Where an axis has its ticks: multiples of 1, 2 or 5 times a power of ten, the first at or above `min`, the last at or below `max`.
 * @param most ticks at the most, 2 or more
 */
export function ticks(min: number, max: number, most: number): number[] {
  if (!(max > min)) return [min];
  const step = niceStep((max - min) / most);
  const out: number[] = [];
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-9; i++) out.push(rounded(i * step));
  return out;
}

/** The least of 1, 2, 5 times a power of ten that is not below `least`. */
export function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  for (const m of [1, 2, 5]) if (m * power >= least * (1 - 1e-9)) return rounded(m * power);
  return rounded(10 * power);
}

/** Without the last digits, in which a product of a fraction is wrong. */
function rounded(x: number): number {
  return Number(x.toPrecision(12));
}

/** A tick's value with as many decimals as its neighbours need. */
export function tickText(value: number, step: number): string {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return value.toFixed(Math.min(decimals, 9));
}

/** A straight mapping of `[min, max]` to pixels. */
export class Scale {
  readonly min: number;
  readonly max: number;
  readonly #at: number;
  readonly #factor: number;

  /** @param at pixel of `min`. @param to pixel of `max` */
  constructor(min: number, max: number, at: number, to: number) {
    this.min = min;
    this.max = max > min ? max : min + 1;
    this.#at = at;
    this.#factor = (to - at) / (this.max - this.min);
  }

  px(value: number): number {
    return this.#at + (value - this.min) * this.#factor;
  }
}
