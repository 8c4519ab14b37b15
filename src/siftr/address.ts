/** Addresses of a record, four words in network order, as text and back. IPv4 addresses are mapped: 0, 0, 0xffff, address. */
import { isIPv4, isIPv6 } from 'node:net';

/**
 * Text of an address: a dotted quad for a mapped IPv4 address (spec/siftr.md section 4: never `::ffff:`), else RFC 5952: lower case, no
 * leading zeros, the longest run of two or more zero groups as `::`, the first of several. No zone.
 */
export function addressText(w0: number, w1: number, w2: number, w3: number): string {
  if (w0 === 0 && w1 === 0 && w2 >>> 0 === 0xffff) {
    return `${w3 >>> 24}.${(w3 >>> 16) & 255}.${(w3 >>> 8) & 255}.${w3 & 255}`;
  }
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

/** The four words of an address, int32; null when the text is none. A zone (`%eth0`) is not taken. */
export function parseAddress(text: string): number[] | null {
  if (isIPv4(text)) return [0, 0, 0xffff, quad(text)];
  if (!isIPv6(text) || text.includes('%')) return null;
  // A dotted quad at the end stands for two groups.
  const plain = text.replace(
    /[^:]*\.[^:]*$/,
    (q) => `${(quad(q) >>> 16).toString(16)}:${(quad(q) & 0xffff).toString(16)}`,
  );
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((g) => Number.parseInt(g, 16)));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return [0, 2, 4, 6].map((i) => (all[i]! << 16) | all[i + 1]!);
}

function quad(text: string): number {
  return text.split('.').reduce((n, part) => (n << 8) | Number(part), 0);
}
