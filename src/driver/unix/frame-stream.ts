const { copy } = Buffer.prototype;

/**
 * Frames on a byte stream (spec/endpoint.md, "Link"), as QEMU's `-netdev stream` and passt write them:
 *
 *   | length, u32 big-endian | that many bytes | length | …
 */

/** Bytes of the length before each frame. */
export const LENGTH_BYTES = 4;

/**
 * The longest frame that a peer can mean: 64 KiB and 4 KiB for headers, what QEMU takes (NET_BUFSIZE). A length beyond is none: the
 * stream is out of step and never comes back into it.
 */
export const FRAME_MAX = 69632;

/** `peek`: the next frame has not come in whole. */
export const INCOMPLETE = -1;
/** `peek`: the next length is beyond FRAME_MAX. */
export const BAD_LENGTH = -2;

/** The receiving half of a stream: chunks go in as they come, frames come out. Nothing is copied before `read`. */
export class FrameStream {
  /** Bytes that came in and were not taken. */
  buffered: number;
  readonly #chunks: Uint8Array[];
  /** Bytes of the first chunk that are taken. */
  #at: number;
  /** Length of the frame that stands next, its length word taken; INCOMPLETE while that has not come. */
  #length: number;

  constructor() {
    this.buffered = 0;
    this.#chunks = [];
    this.#at = 0;
    this.#length = INCOMPLETE;
  }

  /** Takes a chunk, which is not to change afterwards. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.buffered += chunk.length;
  }

  /** Something of a frame has come in, but not all of it. To be asked when `peek` says INCOMPLETE. */
  get partial(): boolean {
    return this.buffered > 0 || this.#length !== INCOMPLETE;
  }

  /** Length of the next frame when it is there whole, 0 to FRAME_MAX; INCOMPLETE or BAD_LENGTH. */
  peek(): number {
    if (this.#length === INCOMPLETE) {
      if (this.buffered < LENGTH_BYTES) return INCOMPLETE;
      let length = 0;
      for (let i = 0; i < LENGTH_BYTES; i++) length = length * 256 + this.#byte();
      this.#length = length > FRAME_MAX ? BAD_LENGTH : length;
    }
    if (this.#length === BAD_LENGTH) return BAD_LENGTH;
    return this.buffered < this.#length ? INCOMPLETE : this.#length;
  }

  /** Copies the frame that `peek` gave to `u8[at…]`, and goes on to the next one. */
  read(u8: Uint8Array, at: number): void {
    for (let left = this.#length; left > 0; ) {
      const chunk = this.#chunks[0]!;
      const n = Math.min(left, chunk.length - this.#at);
      copy.call(chunk, u8, at, this.#at, this.#at + n);
      at += n;
      left -= n;
      this.#took(n);
    }
    this.#length = INCOMPLETE;
  }

  /** Goes on to the next frame without a look at the one that `peek` gave. */
  skip(): void {
    for (let left = this.#length; left > 0; ) {
      const n = Math.min(left, this.#chunks[0]!.length - this.#at);
      left -= n;
      this.#took(n);
    }
    this.#length = INCOMPLETE;
  }

  #byte(): number {
    const b = this.#chunks[0]![this.#at]!;
    this.#took(1);
    return b;
  }

  #took(n: number): void {
    this.#at += n;
    this.buffered -= n;
    if (this.#at < this.#chunks[0]!.length) return;
    this.#chunks.shift();
    this.#at = 0;
  }
}
