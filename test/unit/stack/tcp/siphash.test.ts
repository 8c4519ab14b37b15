import { describe, expect, it } from 'vitest';
import { SipKey, sipHash, sipHashBytes, sipHigh, sipKeyOfBytes } from '../../../../src/stack/tcp/siphash.ts';

describe('siphash', () => {
  it('equals the vectors of the reference implementation for messages of whole words (key 00..0f, message 00..)', () => {
    const key = new SipKey({ next32: () => 0 });
    key.k.set([0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c]);
    const words = Int32Array.of(0x03020100, 0x07060504, 0x0b0a0908);
    const got = [0, 1, 2, 3].map((n) => {
      const low = sipHash(key, words, n) >>> 0;
      return [sipHigh() >>> 0, low];
    });
    expect(got).toEqual([
      [0x726fdb47, 0xdd0e0e31],
      [0xcf2794e0, 0x277187b7],
      [0x93f5f579, 0x9a932462],
      [0x751e8fbc, 0x860ee5fb],
    ]);
  });

  // What `openssl mac -macopt size:8 SIPHASH` says of the same key and messages.
  it.each([
    [0, '310e0edd47db6f72'],
    [1, 'fd67dc93c539f874'],
    [4, 'b7877127e09427cf'],
    [6, 'cee3fe586e46c9cb'],
    [7, '37d1018bf50002ab'],
    [8, '6224939a79f5f593'],
    [10, 'f3b9dd94c5bb5d7a'],
    [14, 'eef27a8e90ca23f7'],
    [15, 'e545be4961ca29a1'],
    [16, 'db9bc2577fcc2a3f'],
  ])('equals OpenSSL for a message of %i bytes', (n, expected) => {
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => i);
    const key = sipKeyOfBytes(bytes)!;
    const low = sipHashBytes(key, bytes, n);
    const out = Buffer.alloc(8);
    out.writeInt32LE(low | 0, 0);
    out.writeInt32LE(sipHigh() | 0, 4);
    expect(out.toString('hex')).toBe(expected);
  });

  it('has keys of 16 bytes', () => {
    expect([0, 15, 17].map((n) => sipKeyOfBytes(new Uint8Array(n)))).toEqual([null, null, null]);
  });
});
