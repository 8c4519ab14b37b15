import { type FileHandle, open } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';
import type { XzReadableStream } from 'xz-decompress';
import { LogError } from '../error.ts';

/** Bytes that are read or decompressed at a time. */
const CHUNK = 256 * 1024;

/** Bytes that a decompressor is given at a time: what they give can be lost where they are damaged. */
const SLICE = 16 * 1024;

/** Compressed data that are damaged or end early. What came before them was given. */
export class CompressionError extends Error {
  override readonly name = 'CompressionError';
}

/** How a file begins: RFC 1952 section 2.3.1, RFC 8878 sections 3.1.1 and 3.1.2 (a skippable frame), the .xz format's section 2.1.1. */
const MAGICS: readonly { readonly bytes: readonly number[]; readonly decode: Decoder }[] = [
  { bytes: [0x1f, 0x8b], decode: gunzip },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], decode: unzstd },
  { bytes: [0x50, 0x2a, 0x4d, 0x18], decode: unzstd },
  { bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], decode: unxz },
];
const MAGIC_MAX = 6;

type Chunks = AsyncGenerator<Buffer, void, void>;
type Decoder = (source: Chunks) => Chunks;

/**
 * The bytes of a file, of standard input or of a stream, decompressed. What compressed them is told by the first bytes, not by a name. A chunk is
 * valid until the next one is asked for.
 */
export class ByteSource {
  /** Path, or `-`. */
  readonly name: string;
  /** Bytes read, as they lie in the file, and all of them; NaN where their number is unknown. */
  bytesRead: number;
  readonly bytesTotal: number;
  readonly #file: FileHandle | null;
  readonly #stream: Readable | null;

  private constructor(name: string, total: number, file: FileHandle | null, stream: Readable | null) {
    this.name = name;
    this.bytesRead = 0;
    this.bytesTotal = total;
    this.#file = file;
    this.#stream = stream;
  }

  /**
   * @param from path of a file, `-` for standard input, or a stream of bytes
   * @throws LogError when it cannot be opened
   */
  static async open(from: string | Readable): Promise<ByteSource> {
    if (typeof from !== 'string') return new ByteSource('-', Number.NaN, null, from);
    if (from === '-') return new ByteSource('-', Number.NaN, null, process.stdin);
    try {
      const file = await open(from);
      const stat = await file.stat();
      if (stat.isDirectory()) {
        await file.close();
        throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
      }
      return new ByteSource(from, stat.isFile() ? stat.size : Number.NaN, file, null);
    } catch (err) {
      throw refused(from, err);
    }
  }

  /** The text. Throws CompressionError where it cannot be decompressed, LogError where it cannot be read. */
  async *chunks(): Chunks {
    const raw = this.#raw();
    try {
      let head: Buffer = Buffer.alloc(0);
      while (head.length < MAGIC_MAX) {
        const { done, value } = await raw.next();
        if (done) break;
        head = head.length === 0 ? value : Buffer.concat([head, value]);
      }
      const magic = MAGICS.find(({ bytes }) => bytes.every((b, i) => head[i] === b));
      const all = prepend(head, raw);
      yield* magic === undefined ? all : magic.decode(all);
    } finally {
      await raw.return();
    }
  }

  /** The bytes as they lie there. A chunk of a file is valid until the next one is asked for. */
  async *#raw(): Chunks {
    try {
      if (this.#file !== null) {
        const buf = Buffer.allocUnsafeSlow(CHUNK);
        for (;;) {
          const { bytesRead } = await this.#file.read(buf, 0, CHUNK);
          if (bytesRead === 0) return;
          this.bytesRead += bytesRead;
          yield buf.subarray(0, bytesRead);
        }
      }
      for await (const chunk of this.#stream as AsyncIterable<Buffer | string>) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
        this.bytesRead += bytes.length;
        yield bytes;
      }
    } catch (err) {
      throw refused(this.name, err);
    } finally {
      await this.#file?.close();
    }
  }
}

function refused(name: string, err: unknown): LogError {
  const { code = '', message } = err as NodeJS.ErrnoException;
  return new LogError(`${name}: cannot be read (${code === '' ? message : code})`, 1, code);
}

async function* prepend(head: Buffer, rest: Chunks): Chunks {
  if (head.length > 0) yield head;
  yield* rest;
}

/** What a decompressor of Node is: bytes in, bytes out, and how many it took. */
type Decompressor = Gunzip | ZstdDecompress;

/** Members behind one another are one text (RFC 1952 section 2.2). */
function gunzip(source: Chunks): Chunks {
  return members(source, () => createGunzip({ chunkSize: CHUNK }));
}

/** Frames behind one another are one text (RFC 8878 section 3.1). */
function unzstd(source: Chunks): Chunks {
  return members(source, () => createZstdDecompress({ chunkSize: CHUNK }));
}

/** One decompressor after the other: one of zstd ends with its frame, one of gzip before what is no member. */
async function* members(source: Chunks, create: () => Decompressor): Chunks {
  let member: Member | null = null;
  try {
    for await (const chunk of source) {
      let from = 0;
      while (from < chunk.length) {
        // Zeros between members are padding.
        if (member === null && chunk[from] === 0) {
          from++;
          continue;
        }
        member ??= new Member(create());
        const slice = chunk.subarray(from, from + SLICE);
        yield* member.take(slice);
        from += slice.length - member.left;
        if (member.left > 0) {
          member.destroy();
          member = null;
        }
      }
    }
    if (member !== null) yield* member.take(null);
  } catch (err) {
    throw damage(err, member?.ending === true);
  } finally {
    member?.destroy();
  }
}

/** Feeds a decompressor, and reads what that gives before it feeds more: at an error, Node's streams forget what nobody has read yet. */
class Member {
  readonly #out: Decompressor;
  #fed: number;
  #error: Error | null;
  #wake: () => void;
  /** There is no more input. */
  ending: boolean;

  constructor(out: Decompressor) {
    this.#out = out;
    this.#fed = 0;
    this.#error = null;
    this.#wake = () => {};
    this.ending = false;
    out.on('readable', () => this.#wake());
    out.on('error', (err) => {
      this.#error = err;
      this.#wake();
    });
  }

  /** Bytes of the last slice that it did not take, as its member ended before. */
  get left(): number {
    return this.#fed - this.#out.bytesWritten;
  }

  /** @param slice what it is to be given, valid until this ends; null: there is no more */
  async *take(slice: Buffer | null): Chunks {
    let taken = false;
    const done = () => {
      taken = true;
      this.#wake();
    };
    if (slice === null) {
      this.ending = true;
      this.#out.on('end', done);
      this.#out.end();
    } else {
      this.#fed += slice.length;
      this.#out.write(slice, done);
    }
    for (;;) {
      const chunk = this.#out.read() as Buffer | null;
      if (chunk !== null) yield chunk;
      else if (this.#error !== null) throw this.#error;
      else if (taken) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  destroy(): void {
    this.#out.destroy();
  }
}

/** `XZ_BUF_ERROR` of xz-embedded. */
const XZ_EARLY = / 8$/;

async function* unxz(source: Chunks): Chunks {
  const stream: AsyncIterable<Uint8Array> = new (xzStream())(ReadableStream.from(source));
  try {
    for await (const chunk of stream) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  } catch (err) {
    throw damage(err, XZ_EARLY.test((err as Error).message));
  }
}

/** A copy of the package of its own: the streams of one wait until no other is being read, for ever if both are read at a time. */
function xzStream(): typeof XzReadableStream {
  const require = createRequire(import.meta.url);
  delete require.cache[require.resolve('xz-decompress')];
  return (require('xz-decompress') as { XzReadableStream: typeof XzReadableStream }).XzReadableStream;
}

/** The text before the place where a decompressor gives up was given on: only what is wrong is told. */
function damage(err: unknown, early: boolean): Error {
  if (err instanceof LogError) return err;
  const { message } = err as Error;
  return new CompressionError(early ? 'the compressed data end early' : `the compressed data are damaged (${message})`);
}
