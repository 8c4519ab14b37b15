import { describe, expect, it } from 'vitest';
import { SipKey, sipHash, sipHigh } from '../../../../src/stack/tcp/siphash.ts';

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
});
