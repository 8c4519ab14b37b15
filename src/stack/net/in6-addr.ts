/** Addresses of either family as four int32 words in network order. IPv4 addresses are mapped: 0, 0, 0xffff, address (RFC 4291 section 2.5.5.2). */
import { V4_MAPPED } from '../flow.ts';
import { inetNtoa } from './in-addr.ts';

const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const QUAD = new RegExp(`^(?:${OCTET}\\.){3}${OCTET}$`);
const GROUP = /^[0-9a-f]{1,4}$/i;

/**
 * Text of an address: a dotted quad for a mapped IPv4 address (spec/siftr.md section 4: never `::ffff:`), else RFC 5952 section 4: lower
 * case, no leading zeros, the longest run of two or more zero groups as `::`, the first of several. Not for the packet path.
 */
export function inetNtop(w0: number, w1: number, w2: number, w3: number): string {
  if (w0 === 0 && w1 === 0 && w2 >>> 0 === V4_MAPPED) return inetNtoa(w3);
  const groups = [w0, w1, w2, w3].flatMap((w) => [w >>> 16, w & 0xffff]);
  let at = 0;
  let run = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > run) {
      at = i;
      run = n;
    }
  }
  const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(':');
  return run < 2 ? hex(groups) : `${hex(groups.slice(0, at))}::${hex(groups.slice(at + run))}`;
}

/** The four words of an address (RFC 4291 section 2.2, or a dotted quad); null when the text is none. A zone (`%eth0`) is not taken. */
export function inetPton(text: string): [number, number, number, number] | null {
  if (QUAD.test(text)) return [0, 0, V4_MAPPED, quad(text)];
  // A dotted quad at the end stands for two groups.
  const last = text.slice(text.lastIndexOf(':') + 1);
  const plain = QUAD.test(last)
    ? `${text.slice(0, -last.length)}${(quad(last) >>> 16).toString(16)}:${(quad(last) & 0xffff).toString(16)}`
    : text;
  const halves = plain.split('::');
  const [left = [], right = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - left.length - right.length;
  if (halves.length > 2 || (halves.length === 2 ? missing < 1 : missing !== 0)) return null;
  if (!left.every(isGroup) || !right.every(isGroup)) return null;
  const g = [...left, ...new Array<string>(missing).fill('0'), ...right].map((group) => Number.parseInt(group, 16));
  const word = (i: number): number => (g[i]! << 16) | g[i + 1]!;
  return [word(0), word(2), word(4), word(6)];
}

const isGroup = (text: string): boolean => GROUP.test(text);

function quad(text: string): number {
  return text.split('.').reduce((n, part) => (n << 8) | Number(part), 0);
}
