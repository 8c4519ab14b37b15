/** Cuts the bytes of a capture file, as they come in chunks, into records. */

/** Larger records are no packets: a capture of the largest IPv6 jumbogram in use today has a few hundred kilobytes. */
export const RECORD_MAX = 16 * 1024 * 1024;

/** What is wrong with a record. The file is read no further; what stood before it is used. */
export class BrokenRecord extends Error {
  override readonly name = 'BrokenRecord';
}

/** Takes the frames of a capture, in the order of the file. */
export interface FrameSink {
  /**
   * One frame; the bytes are the sink's until it returns.
   * @param at      where it begins in `buf`
   * @param caplen  bytes that were kept of it
   * @param len     bytes that it had
   * @param link    link type (LINKTYPE_*)
   * @param iface   number of its interface in the file, from 0, counted over all sections
   * @param sec     seconds since the epoch; NaN for a frame without a time
   * @param nsec    0..999999999
   */
  frame(
    buf: Buffer,
    at: number,
    caplen: number,
    len: number,
    link: number,
    iface: number,
    sec: number,
    nsec: number,
  ): void;
}

/** A format of capture files. */
export interface RecordDecoder {
  /** Names of the interfaces so far, as the file gives them, else their number. */
  readonly interfaces: readonly string[];
  /**
   * Takes the record at `at`.
   * @returns its length, which may reach beyond the buffer when nothing of it is needed; 0 when more bytes must come first
   * @throws BrokenRecord
   */
  record(buf: Buffer, at: number, sink: FrameSink): number;
}

const NOTHING = Buffer.alloc(0);

/** Feeds a decoder with chunks of any length. */
export class RecordStream {
  readonly #decoder: RecordDecoder;
  readonly #sink: FrameSink;
  /** The beginning of a record that is not whole yet. */
  #rest: Buffer;
  /** Bytes still to come of a record that is not needed. */
  #skip: number;
  /** Bytes of the file before the record that comes next. */
  offset: number;

  constructor(decoder: RecordDecoder, sink: FrameSink) {
    this.#decoder = decoder;
    this.#sink = sink;
    this.#rest = NOTHING;
    this.#skip = 0;
    this.offset = 0;
  }

  /** @throws BrokenRecord */
  feed(chunk: Buffer): void {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    const buf = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = skipped;
    this.#rest = NOTHING;
    while (at < buf.length) {
      const length = this.#decoder.record(buf, at, this.#sink);
      if (length === 0) {
        // A copy: the reader may fill the chunk anew.
        this.#rest = Buffer.from(buf.subarray(at));
        return;
      }
      this.offset += length;
      at += length;
    }
    this.#skip += at - buf.length;
  }

  /** Bytes of a record that the file ends in the middle of; 0 for a whole file. */
  get cut(): number {
    return this.#skip > 0 ? 1 : this.#rest.length;
  }
}
