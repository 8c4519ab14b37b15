import { expect, test } from 'vitest';
import { cksum, cksumAdd, cksumFold, cksumOk, cksumPseudoOk } from '../../../../src/stack/wire/checksum.ts';
import { checksum, ip4, ipv4, sum16, tcp } from '../../../lab/frames.ts';
import fc from '../../../lab/property.ts';

const view = (bytes: readonly number[]): DataView => new DataView(Uint8Array.from(bytes).buffer);
const addr = (text: string): number => ip4(text).reduce((a, b) => (a << 8) | b, 0);

test('the example of RFC 1071 section 3 gives ddf2', () => {
  const v = view([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
  expect(cksumFold(cksumAdd(v, 0, 8, 0))).toBe(0xddf2);
  expect(cksum(v, 0, 8)).toBe(0xffff - 0xddf2);
});

test('agrees with a word-by-word sum for every length and alignment', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat(7), (bytes, shift) => {
      const at = Math.min(shift, bytes.length - 1);
      const part = bytes.slice(at);
      const v = new DataView(bytes.buffer);
      // 0 and ffff are the same number in ones' complement.
      expect(cksumFold(cksumAdd(v, at, part.length, 0)) % 0xffff).toBe(sum16(part) % 0xffff);
      expect(cksum(v, at, part.length) % 0xffff).toBe(checksum(part) % 0xffff);
    }),
  );
});

test('64 KiB of ones do not overflow the sum', () => {
  const v = new DataView(new Uint8Array(65536).fill(0xff).buffer);
  expect(cksumFold(cksumAdd(v, 0, 65536, 0))).toBe(0xffff);
});

test('a header with its checksum is intact, and any flipped bit shows', () => {
  const h = ipv4({ src: '192.0.2.7', dst: '198.51.100.9' });
  expect(cksumOk(view(h), 0, 20)).toBe(true);
  for (let bit = 0; bit < 160; bit++) {
    const bad = [...h];
    bad[bit >> 3]! ^= 0x80 >> (bit & 7);
    expect(cksumOk(view(bad), 0, 20)).toBe(false);
  }
});

test('a TCP segment is checked with its pseudo-header (RFC 9293 section 3.1)', () => {
  const s = tcp({ src: '192.0.2.2', dst: '192.0.2.1', sport: 1234, dport: 80, flags: 2 }, [1, 2, 3]);
  expect(cksumPseudoOk(view(s), 0, s.length, addr('192.0.2.2'), addr('192.0.2.1'), 6)).toBe(true);
  expect(cksumPseudoOk(view(s), 0, s.length, addr('192.0.2.3'), addr('192.0.2.1'), 6)).toBe(false);
  expect(cksumPseudoOk(view(s), 0, s.length, addr('192.0.2.2'), addr('192.0.2.1'), 17)).toBe(false);
});
