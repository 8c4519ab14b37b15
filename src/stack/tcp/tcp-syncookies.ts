/**
 * SYN cookies (RFC 4987 section 3.6; D. J. Bernstein, 1996): an initial sequence number that holds what the peer's SYN asked for, and that
 * only we can have made. The layout and the tables are FreeBSD's, so that the odds are the ones known:
 *
 *    0                   1                   2                   3
 *   |                   MAC, 24 bits                | W W W M M M S P |
 *
 *   W index of the peer's window shift (0: none offered), M index of its MSS, S SACK permitted, P generation of the key, odd or even
 *
 * The MAC covers the flow, the peer's initial number and the low byte, which is XORed with bits of the hash so as not to show. A key lives
 * for 15 s and is believed for 15 s more. Keys are derived from the secret that all shards share and the number of the generation, so that
 * they change without a timer; after 49 days of clock.ms the numbers begin again.
 */
import type { FlowKey } from '../flow.ts';
import type { Stack } from '../stack.ts';
import { SipKey, sipDerive, sipHash, sipHigh } from './siphash.ts';

/** How long a key makes cookies, ms. */
const SYNCOOKIE_LIFETIME_MS = 15_000;
/** Longest time that a cookie is good for, ms. */
export const SYNCOOKIE_VALID_MS = 2 * SYNCOOKIE_LIFETIME_MS;

/** What an index stands for; others are rounded down. Shift -1: the peer offered none. */
const MSS_TABLE = [216, 536, 1200, 1360, 1400, 1440, 1452, 1460] as const;
const WSCALE_TABLE = [-1, 0, 1, 2, 4, 6, 7, 8] as const;
/** The index of 536, which holds where the peer offers nothing (RFC 9293 MUST-15). */
const MSS_DEFAULT_INDEX = 1;

const COOKIE_ODD = 0x01;
const COOKIE_SACK = 0x02;
const COOKIE_MSS_SHIFT = 2;
const COOKIE_WSCALE_SHIFT = 5;

/** Names the keys of cookies among those that are derived from the secret. */
const USE_SYNCOOKIE = 0x5c;

/** Cookies that were answered and are remembered, so that a copy of the answer is worth nothing. A power of two. */
const USED = 1024;

/** Largest index of an ascending table whose value is not above `v`; 0 where all are. */
function indexOf(table: readonly number[], v: number): number {
  let i = table.length - 1;
  while (i > 0 && table[i]! > v) i--;
  return i;
}

/** Makes and reads the cookies of a shard. */
export class Syncookies {
  readonly #st: Stack;
  /** Keys of even and of odd generations, and the generations that they are of. */
  readonly #keys: readonly [SipKey, SipKey];
  readonly #gens: Int32Array;
  readonly #words: Int32Array;
  readonly #used: Int32Array;
  /** What the cookie that was read last says: MSS in bytes, window shift or -1, SACK permitted. */
  mss: number;
  wscale: number;
  sack: boolean;

  constructor(st: Stack) {
    this.#st = st;
    const none = { next32: () => 0 };
    this.#keys = [new SipKey(none), new SipKey(none)];
    this.#gens = Int32Array.of(-1, -1);
    this.#words = new Int32Array(12);
    this.#used = new Int32Array(USED);
    this.mss = 0;
    this.wscale = -1;
    this.sack = false;
  }

  /**
   * An initial sequence number for the answer to a SYN.
   * @param irs the peer's initial sequence number
   * @param mss its MSS option, 0 for none
   * @param wscale its window shift, -1 for none
   */
  make(k: FlowKey, irs: number, mss: number, wscale: number, sack: boolean): number {
    const gen = this.#gen();
    const m = mss === 0 ? MSS_DEFAULT_INDEX : indexOf(MSS_TABLE, mss);
    const w = indexOf(WSCALE_TABLE, wscale);
    const low =
      (w << COOKIE_WSCALE_SHIFT) | (m << COOKIE_MSS_SHIFT) | (sack ? COOKIE_SACK : 0) | (gen & 1 ? COOKIE_ODD : 0);
    const mac = this.#mac(k, irs, low, gen);
    return (mac & ~0xff) | (low ^ (mac >>> 24));
  }

  /** True when `iss` is a cookie of ours for this flow and `irs`, of this generation or the last, and was not taken before. */
  check(k: FlowKey, irs: number, iss: number): boolean {
    if (this.#used[(iss >>> 8) & (USED - 1)] === iss) return false;
    const low = (iss & 0xff) ^ (iss >>> 24);
    const now = this.#gen();
    const gen = (now & 1) === (low & COOKIE_ODD) ? now : now - 1;
    if (((this.#mac(k, irs, low, gen) ^ iss) & ~0xff) !== 0) return false;
    this.mss = MSS_TABLE[(low >> COOKIE_MSS_SHIFT) & 7]!;
    this.wscale = WSCALE_TABLE[(low >> COOKIE_WSCALE_SHIFT) & 7]!;
    this.sack = (low & COOKIE_SACK) !== 0;
    return true;
  }

  /** As `check`; a cookie that is good is remembered and is not any more. */
  take(k: FlowKey, irs: number, iss: number): boolean {
    if (!this.check(k, irs, iss)) return false;
    this.#used[(iss >>> 8) & (USED - 1)] = iss;
    return true;
  }

  #gen(): number {
    return Math.floor((this.#st.clock.ms >>> 0) / SYNCOOKIE_LIFETIME_MS);
  }

  #mac(k: FlowKey, irs: number, low: number, gen: number): number {
    const odd = gen & 1;
    const key = this.#keys[odd]!;
    if (this.#gens[odd] !== gen) {
      sipDerive(this.#st.tcp.secret, USE_SYNCOOKIE, gen, key);
      this.#gens[odd] = gen;
    }
    const w = this.#words;
    w[0] = k.f3;
    w[1] = k.l3;
    w[2] = (k.fport << 16) | k.lport;
    w[3] = irs;
    w[4] = low;
    w[5] = k.f0;
    w[6] = k.f1;
    w[7] = k.f2;
    w[8] = k.l0;
    w[9] = k.l1;
    w[10] = k.l2;
    w[11] = k.zone;
    return sipHash(key, w, 12) ^ sipHigh();
  }
}
