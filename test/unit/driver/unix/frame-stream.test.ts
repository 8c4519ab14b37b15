import { describe, expect, test } from 'vitest';
import { BAD_LENGTH, FRAME_MAX, FrameStream, INCOMPLETE } from '../../../../src/driver/unix/frame-stream.ts';
import fc from '../../../lab/property.ts';
import { framed } from '../../../lab/unix-peer.ts';

/** Takes every frame that is there whole. */
function drain(stream: FrameStream): number[][] {
  const out: number[][] = [];
  for (let length = stream.peek(); length >= 0; length = stream.peek()) {
    const bytes = new Uint8Array(length + 2).fill(0xee);
    stream.read(bytes, 1);
    // Nothing is written beside the frame.
    expect([bytes[0], bytes[length + 1]]).toEqual([0xee, 0xee]);
    out.push([...bytes.subarray(1, length + 1)]);
  }
  return out;
}

describe('frames on a stream: u32 big-endian length, then the bytes (spec/endpoint.md, "Link")', () => {
  test('frames come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
        fc.array(fc.nat({ max: 500 }), { maxLength: 40 }),
        fc.boolean(),
        (frames, cuts, oneByOne) => {
          const bytes = Buffer.concat(frames.map(framed));
          const at = oneByOne ? [...bytes.keys()] : cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b);
          const stream = new FrameStream();
          const out: number[][] = [];
          let from = 0;
          for (const to of [...at, bytes.length]) {
            stream.push(bytes.subarray(from, to));
            from = to;
            out.push(...drain(stream));
          }
          expect(out).toEqual(frames.map((f) => [...f]));
          expect(stream.buffered).toBe(0);
          expect(stream.partial).toBe(false);
        },
      ),
    );
  });

  test('a skipped frame leaves the next one whole, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat({ max: 70 }), (skipped, cut) => {
        const bytes = Buffer.concat([framed(skipped), framed([7, 8, 9])]);
        const stream = new FrameStream();
        stream.push(bytes.subarray(0, cut));
        stream.push(bytes.subarray(cut));
        expect(stream.peek()).toBe(skipped.length);
        stream.skip();
        expect(drain(stream)).toEqual([[7, 8, 9]]);
      }),
    );
  });

  test('a frame of length 0 is one', () => {
    const stream = new FrameStream();
    stream.push(Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 5]));
    expect(drain(stream)).toEqual([[], [5]]);
  });

  test.each([
    ['part of a length', [0, 0]],
    ['a length alone', [0, 0, 0, 3]],
    ['part of a frame', [0, 0, 0, 3, 1, 2]],
  ])('%s is incomplete', (_, bytes) => {
    const stream = new FrameStream();
    stream.push(Uint8Array.from(bytes));
    expect(stream.peek()).toBe(INCOMPLETE);
    expect(stream.partial).toBe(true);
  });

  test('the longest frame is what QEMU takes, 64 KiB and 4 KiB; a length beyond never gets well again', () => {
    expect(FRAME_MAX).toBe(65536 + 4096);
    const stream = new FrameStream();
    stream.push(framed(new Uint8Array(FRAME_MAX)));
    expect(stream.peek()).toBe(FRAME_MAX);
    stream.skip();
    stream.push(Uint8Array.of(0, 1, 0x10, 1));
    expect(stream.peek()).toBe(BAD_LENGTH);
    stream.push(framed([1]));
    expect(stream.peek()).toBe(BAD_LENGTH);
  });
});
