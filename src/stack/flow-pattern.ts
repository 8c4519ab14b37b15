/**
 * Patterns of connections, spelt as in SIFTR's `flow_list` with `*` for any part and `/len` behind an address (spec/siftr.md section 14
 * item 2): `192.0.2.1;*-198.51.100.0/24;80`. A pattern has 18 words:
 *
 *   local address | its mask | foreign address | its mask | local port | foreign port     (4 + 4 + 4 + 4 + 1 + 1)
 *
 * Addresses are mapped as everywhere; any address is a mask of zeros, any port is -1.
 */
import { inetPton } from './net/in6-addr.ts';

/** Words of a pattern. */
export const FLOW_PATTERN_WORDS = 18;
/** What a pattern may look like, for refusals. */
export const FLOW_PATTERN_ALLOWED = 'laddr;lport-faddr;fport, as 192.0.2.1;*-198.51.100.0/24;80, * for any part';

const LADDR = 0;
const FADDR = 8;
const LPORT = 16;
const FPORT = 17;
const ANY_PORT = -1;
const FORM = /^([^;-]+);([^;-]+)-([^;-]+);([^;-]+)$/;

/** The words of a pattern; null when the text is none. */
export function parseFlowPattern(text: string): number[] | null {
  const m = FORM.exec(text);
  if (m === null) return null;
  const local = network(m[1]!);
  const foreign = network(m[3]!);
  const lport = port(m[2]!);
  const fport = port(m[4]!);
  if (local === null || foreign === null || lport === null || fport === null) return null;
  return [...local, ...foreign, lport, fport];
}

/** Address and mask of `*`, `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`. */
function network(text: string): number[] | null {
  if (text === '*') return new Array<number>(8).fill(0);
  const [addr = '', len, more] = text.split('/');
  const words = inetPton(addr);
  if (words === null || more !== undefined) return null;
  const bits = addr.includes(':') ? 128 : 32;
  if (len !== undefined && !/^(0|[1-9]\d{0,2})$/.test(len)) return null;
  const n = len === undefined ? bits : Number(len);
  if (n > bits) return null;
  const mask = [0, 1, 2, 3].map((i) => prefixWord(128 - bits + n - 32 * i));
  return [...words.map((w, i) => w & mask[i]!), ...mask];
}

/** The mask of a word whose first `n` bits count; below 0 none, beyond 32 all. */
function prefixWord(n: number): number {
  return n <= 0 ? 0 : n >= 32 ? -1 : -1 << (32 - n);
}

function port(text: string): number | null {
  if (text === '*') return ANY_PORT;
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 0xffff ? Number(text) : null;
}

/** Whether one of the `n` patterns in `w` fits the connection: local address and port, then the foreign ones. Allocates nothing. */
export function flowMatches(
  w: ArrayLike<number>,
  n: number,
  l0: number,
  l1: number,
  l2: number,
  l3: number,
  lport: number,
  f0: number,
  f1: number,
  f2: number,
  f3: number,
  fport: number,
): boolean {
  for (let i = 0, r = 0; i < n; i++, r += FLOW_PATTERN_WORDS) {
    const lp = w[r + LPORT]!;
    const fp = w[r + FPORT]!;
    if ((lp === lport || lp === ANY_PORT) && (fp === fport || fp === ANY_PORT)) {
      if (inNetwork(w, r + LADDR, l0, l1, l2, l3) && inNetwork(w, r + FADDR, f0, f1, f2, f3)) return true;
    }
  }
  return false;
}

function inNetwork(w: ArrayLike<number>, r: number, a0: number, a1: number, a2: number, a3: number): boolean {
  return (
    (((a3 ^ w[r + 3]!) & w[r + 7]!) |
      ((a2 ^ w[r + 2]!) & w[r + 6]!) |
      ((a1 ^ w[r + 1]!) & w[r + 5]!) |
      ((a0 ^ w[r]!) & w[r + 4]!)) ===
    0
  );
}
