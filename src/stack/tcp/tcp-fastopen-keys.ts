/**
 * Keys of a Fast Open server's cookies (RFC 7413 section 4.1.2), and pre-shared keys, which FreeBSD has on top: with
 * net.inet.tcp.fastopen.psk_enable a client must show that it knows one of them. Its SYN then takes along not the cookie that it was
 * given but SipHash of that with the key. Of each kind the newest few are good.
 */
import type { FlowKey } from '../flow.ts';
import type { Stack } from '../stack.ts';
import { SipKey, sipDerive, sipHash, sipHashBytes, sipHigh } from './siphash.ts';

/** Bytes of our cookies (FreeBSD's TCP_FASTOPEN_COOKIE_LEN). */
export const TFO_COOKIE = 8;
/** Names the keys of cookies among those that are derived from the secret. */
const USE_FASTOPEN = 0x7f;
/** Names of SipKey.k until it is set. */
const NONE = { next32: () => 0 };

/** The newest keys of one kind. */
class KeyRing {
  num: number;
  readonly #keys: readonly SipKey[];
  #newest: number;

  constructor(max: number) {
    this.#keys = Array.from({ length: max }, () => new SipKey(NONE));
    this.#newest = max - 1;
    this.num = 0;
  }

  /** The key to fill in, which takes the place of the oldest. */
  add(): SipKey {
    const max = this.#keys.length;
    this.#newest = (this.#newest + 1) % max;
    if (this.num < max) this.num++;
    return this.#keys[this.#newest]!;
  }

  /** Key `i`, 0 the newest. */
  at(i: number): SipKey {
    const max = this.#keys.length;
    return this.#keys[(this.#newest + max - i) % max]!;
  }
}

export class TfoKeys {
  readonly #st: Stack;
  readonly #keys: KeyRing;
  readonly #psks: KeyRing;
  /** Number of the derived key that came last, and the period that it counts; -1: none. */
  #gen: number;
  #period: number;
  /** The knobs as they were when they were looked at last: keys go when one is switched off. */
  #server: number;
  #psk: number;
  readonly #words: Int32Array;
  readonly #cookie: Uint8Array;
  readonly #answer: Uint8Array;

  constructor(st: Stack) {
    this.#st = st;
    this.#keys = new KeyRing(st.tune.tcp_fastopen_maxkeys);
    this.#psks = new KeyRing(st.tune.tcp_fastopen_maxpsks);
    this.#gen = -1;
    this.#period = 0;
    this.#server = st.tune.tcp_fastopen_server_enable;
    this.#psk = st.tune.tcp_fastopen_psk_enable;
    this.#words = new Int32Array(8);
    this.#cookie = new Uint8Array(TFO_COOKIE);
    this.#answer = new Uint8Array(TFO_COOKIE);
  }

  /** Cookies can be made with so many keys (net.inet.tcp.fastopen.numkeys). */
  get numKeys(): number {
    this.refresh();
    return this.#keys.num;
  }

  /** Pre-shared keys (net.inet.tcp.fastopen.numpsks). */
  get numPsks(): number {
    this.refresh();
    return this.#psks.num;
  }

  /** Makes `words`, four of them as SipHash reads them, the newest key (net.inet.tcp.fastopen.setkey). */
  setKey(words: ArrayLike<number>): void {
    const period = this.#st.tune.tcp_fastopen_autokey;
    this.#period = period;
    this.#gen = period === 0 ? -1 : this.#now(period);
    this.#keys.add().k.set(words);
  }

  /** The same for pre-shared keys (net.inet.tcp.fastopen.setpsk). */
  setPsk(words: ArrayLike<number>): void {
    this.#psks.add().k.set(words);
  }

  /**
   * Looks at the knobs and the clock. While a server may use Fast Open its keys follow each other every net.inet.tcp.fastopen.autokey
   * seconds: this time's, and the last one's if it was not needed. Where it no longer may, all keys go.
   */
  refresh(): void {
    const { tune } = this.#st;
    const server = tune.tcp_fastopen_server_enable;
    const psk = tune.tcp_fastopen_psk_enable;
    if ((this.#server !== 0 && server === 0) || (this.#psk !== 0 && psk === 0)) this.#psks.num = 0;
    if (this.#server !== 0 && server === 0) {
      this.#keys.num = 0;
      this.#gen = -1;
    }
    this.#server = server;
    this.#psk = psk;
    const period = tune.tcp_fastopen_autokey;
    if (server === 0 || period === 0) return;
    const gen = this.#now(period);
    if (gen === this.#gen && period === this.#period) return;
    if (gen !== this.#gen + 1 || period !== this.#period) this.#derive(period, gen - 1);
    this.#derive(period, gen);
    this.#gen = gen;
    this.#period = period;
  }

  #now(period: number): number {
    return Math.floor((this.#st.clock.ms >>> 0) / (period * 1000));
  }

  #derive(period: number, gen: number): void {
    sipDerive(this.#st.tcp.secret, USE_FASTOPEN ^ (period << 8), gen, this.#keys.add());
  }

  /** Writes the newest cookie for the flow to `out`; false when there is no key. */
  newest(k: FlowKey, out: Uint8Array): boolean {
    if (this.#keys.num === 0) return false;
    this.#make(this.#keys.at(0), k, out);
    return true;
  }

  /** Which key makes the cookie at `u8[at]`, TFO_COOKIE bytes, a good one for the flow, 0 the newest; -1 for none. */
  find(k: FlowKey, u8: Uint8Array, at: number): number {
    for (let i = 0; i < this.#keys.num; i++) {
      this.#make(this.#keys.at(i), k, this.#cookie);
      if (this.#shown(u8, at)) return i;
    }
    return -1;
  }

  /** What a client that has `#cookie` sends stands there. */
  #shown(u8: Uint8Array, at: number): boolean {
    if (this.#psk === 0) return equals(this.#cookie, u8, at);
    for (let i = 0; i < this.#psks.num; i++) {
      tfoPskCookie(this.#psks.at(i), this.#cookie, TFO_COOKIE, this.#answer);
      if (equals(this.#answer, u8, at)) return true;
    }
    return false;
  }

  #make(key: SipKey, k: FlowKey, out: Uint8Array): void {
    const w = this.#words;
    w[0] = k.f3;
    w[1] = k.l3;
    w[2] = k.f0;
    w[3] = k.f1;
    w[4] = k.f2;
    w[5] = k.l0;
    w[6] = k.l1;
    w[7] = k.l2;
    const low = sipHash(key, w, 8);
    put(low, sipHigh(), out);
  }
}

/** What a client with pre-shared key `psk` answers to a cookie of `len` bytes: TFO_COOKIE bytes, to `out`. */
export function tfoPskCookie(psk: SipKey, cookie: Uint8Array, len: number, out: Uint8Array): void {
  const low = sipHashBytes(psk, cookie, len);
  put(low, sipHigh(), out);
}

function put(low: number, high: number, out: Uint8Array): void {
  for (let i = 0; i < 4; i++) {
    out[i] = low >>> (8 * i);
    out[i + 4] = high >>> (8 * i);
  }
}

function equals(cookie: Uint8Array, u8: Uint8Array, at: number): boolean {
  let diff = 0;
  for (let i = 0; i < TFO_COOKIE; i++) diff |= cookie[i]! ^ u8[at + i]!;
  return diff === 0;
}
