/**
 * SipHash-2-4 over a few 32-bit words, for initial sequence numbers (RFC 6528), timestamp offsets and the SYN cache: a keyed
 * function that a peer cannot predict. 64-bit words are held as two int32 halves. Reference: Aumasson and Bernstein, "SipHash:
 * a fast short-input PRF", 2012; test vectors from its appendix A.
 */
import type { Random } from '../../rings/clock.ts';

export class SipKey {
  /** k0 low, k0 high, k1 low, k1 high. */
  readonly k: Int32Array;

  constructor(random: Random) {
    this.k = new Int32Array(4);
    for (let i = 0; i < 4; i++) this.k[i] = random.next32();
  }
}

/** The key that four words make; they are copied. */
export function sipKeyOf(words: ArrayLike<number>): SipKey {
  let i = 0;
  return new SipKey({ next32: () => words[i++]! });
}

const tag = new Int32Array(3);

/**
 * Makes `out` the key that `master` gives for a use and a number of it (a generation): whoever has the master finds the same one, and
 * no key tells anything of another.
 */
export function sipDerive(master: SipKey, use: number, n: number, out: SipKey): void {
  tag[0] = use;
  tag[1] = n;
  for (let i = 0; i < 2; i++) {
    tag[2] = i;
    out.k[2 * i] = sipHash(master, tag, 3);
    out.k[2 * i + 1] = sipHigh();
  }
}

/** State v0..v3 as (low, high) pairs; one for all, the function does not re-enter. */
const v = new Int32Array(8);

function add(a: number, b: number): void {
  const lo = (v[a]! >>> 0) + (v[b]! >>> 0);
  v[a + 1] = (v[a + 1]! + v[b + 1]! + (lo > 0xffffffff ? 1 : 0)) | 0;
  v[a] = lo | 0;
}

function rotlXor(a: number, bits: number, b: number): void {
  const lo = v[a]!;
  const hi = v[a + 1]!;
  v[a] = ((lo << bits) | (hi >>> (32 - bits))) ^ v[b]!;
  v[a + 1] = ((hi << bits) | (lo >>> (32 - bits))) ^ v[b + 1]!;
}

function swap(a: number): void {
  const lo = v[a]!;
  v[a] = v[a + 1]!;
  v[a + 1] = lo;
}

function round(): void {
  add(0, 2);
  rotlXor(2, 13, 0);
  swap(0);
  add(4, 6);
  rotlXor(6, 16, 4);
  add(0, 6);
  rotlXor(6, 21, 0);
  add(4, 2);
  rotlXor(2, 17, 4);
  swap(4);
}

/**
 * Hashes `n` words (little-endian byte order, as the reference reads bytes). The result's low half is returned, the high half
 * is in `sipHigh()`.
 */
export function sipHash(key: SipKey, words: Int32Array, n: number): number {
  const k = key.k;
  v[0] = k[0]! ^ 0x70736575;
  v[1] = k[1]! ^ 0x736f6d65;
  v[2] = k[2]! ^ 0x6e646f6d;
  v[3] = k[3]! ^ 0x646f7261;
  v[4] = k[0]! ^ 0x6e657261;
  v[5] = k[1]! ^ 0x6c796765;
  v[6] = k[2]! ^ 0x79746573;
  v[7] = k[3]! ^ 0x74656462;
  let i = 0;
  for (; i + 1 < n; i += 2) block(words[i]!, words[i + 1]!);
  const last = i < n ? words[i]! : 0;
  block(last, (n << 2) << 24);
  v[4] = v[4]! ^ 0xff;
  round();
  round();
  round();
  round();
  high = v[1]! ^ v[3]! ^ v[5]! ^ v[7]!;
  return v[0]! ^ v[2]! ^ v[4]! ^ v[6]!;
}

function block(lo: number, hi: number): void {
  v[6] = v[6]! ^ lo;
  v[7] = v[7]! ^ hi;
  round();
  round();
  v[0] = v[0]! ^ lo;
  v[1] = v[1]! ^ hi;
}

let high = 0;

/** High half of the last `sipHash`. */
export function sipHigh(): number {
  return high;
}
