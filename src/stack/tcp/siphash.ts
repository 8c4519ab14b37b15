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

/** The key of 16 bytes; null for another number of bytes. */
export function sipKeyOfBytes(u8: Uint8Array): SipKey | null {
  if (u8.length !== 16) return null;
  let i = -4;
  return new SipKey({ next32: () => word(u8, (i += 4), 16) });
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
  begin(key.k);
  let i = 0;
  for (; i + 1 < n; i += 2) block(words[i]!, words[i + 1]!);
  return end(i < n ? words[i]! : 0, 0, 4 * n);
}

/** The same for the first `n` bytes of `u8`. */
export function sipHashBytes(key: SipKey, u8: Uint8Array, n: number): number {
  begin(key.k);
  let i = 0;
  for (; i + 8 <= n; i += 8) block(word(u8, i, n), word(u8, i + 4, n));
  return end(word(u8, i, n), word(u8, i + 4, n), n);
}

/** The word at `i`, bytes from `n` on being zero. */
function word(u8: Uint8Array, i: number, n: number): number {
  let w = 0;
  for (let j = i < n - 4 ? 3 : n - i - 1; j >= 0; j--) w = (w << 8) | u8[i + j]!;
  return w;
}

function begin(k: Int32Array): void {
  v[0] = k[0]! ^ 0x70736575;
  v[1] = k[1]! ^ 0x736f6d65;
  v[2] = k[2]! ^ 0x6e646f6d;
  v[3] = k[3]! ^ 0x646f7261;
  v[4] = k[0]! ^ 0x6e657261;
  v[5] = k[1]! ^ 0x6c796765;
  v[6] = k[2]! ^ 0x79746573;
  v[7] = k[3]! ^ 0x74656462;
}

/** What is left of the message, less than 8 bytes, and its length. */
function end(lo: number, hi: number, bytes: number): number {
  block(lo, hi | (bytes << 24));
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

/** High half of the last hash. */
export function sipHigh(): number {
  return high;
}
