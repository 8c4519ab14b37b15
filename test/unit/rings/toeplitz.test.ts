import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../src/driver/native.ts';
import { toeplitzV4, toeplitzV4Pair, toeplitzV6 } from '../../../src/rings/toeplitz.ts';

/** "192.0.2.1" as int32. */
function v4(text: string): number {
  return text.split('.').reduce((word, part) => (word << 8) | Number(part), 0);
}

/** An uncompressed or `::`-compressed IPv6 address as four int32. */
function v6(text: string): [number, number, number, number] {
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right];
  const words = groups.map((group) => Number.parseInt(group, 16));
  const word = (i: number) => (words[i]! << 16) | words[i + 1]!;
  return [word(0), word(2), word(4), word(6)];
}

// Microsoft, "Verifying the RSS Hash Calculation": destination, source, hash with ports, hash of the pair.
const V4 = [
  ['161.142.100.80', 1766, '66.9.149.187', 2794, 0x51ccc178, 0x323e8fc2],
  ['65.69.140.83', 4739, '199.92.111.2', 14230, 0xc626b0ea, 0xd718262a],
  ['12.22.207.184', 38024, '24.19.198.95', 12898, 0x5c2b394a, 0xd2d0a5de],
  ['209.142.163.6', 2217, '38.27.205.30', 48228, 0xafc7327f, 0x82989176],
  ['202.188.127.2', 1303, '153.39.163.191', 44251, 0x10e828a2, 0x5d1809c5],
] as const;

const V6 = [
  ['3ffe:2501:200:3::1', 1766, '3ffe:2501:200:1fff::7', 2794, 0x40207d3d, 0x2cc18cd5],
  ['ff02::1', 4739, '3ffe:501:8::260:97ff:fe40:efab', 14230, 0xdde51bbf, 0x0f0c461c],
  ['fe80::200:f8ff:fe21:67cf', 38024, '3ffe:1900:4545:3:200:f8ff:fe21:67cf', 44251, 0x02d1feef, 0x4b61e985],
] as const;

describe("the RSS hash agrees with Microsoft's verification suite", () => {
  test.each(V4)('IPv4 to %s:%i from %s:%i', (dst, dport, src, sport, ports, pair) => {
    expect(toeplitzV4(v4(src), v4(dst), sport, dport) >>> 0).toBe(ports);
    expect(toeplitzV4Pair(v4(src), v4(dst)) >>> 0).toBe(pair);
  });

  test.each(V6)('IPv6 to %s:%i from %s:%i', (dst, dport, src, sport, ports, pair) => {
    expect(toeplitzV6(...v6(src), ...v6(dst), sport, dport) >>> 0).toBe(ports);
    expect(toeplitzV6(...v6(src), ...v6(dst), 0, 0) >>> 0).toBe(pair);
  });

  test.each(V4)('the receive path hashes IPv4 to %s:%i from %s:%i the same', (dst, dport, src, sport, ports) => {
    expect(loadNative().toeplitzV4(v4(src), v4(dst), sport, dport) >>> 0).toBe(ports);
  });
});
