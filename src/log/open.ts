import type { Readable } from 'node:stream';
import { LogError } from './error.ts';
import type { LogFormat, LogItem, LogReader } from './model.ts';
import { ByteSource, CompressionError } from './read/bytes.ts';
import { detectFormat } from './read/detect.ts';
import { type LineParser, LineScanner } from './read/lines.ts';
import { SiftrLines } from './read/siftr-lines.ts';
import { SsLines } from './read/ss-lines.ts';
import { StatLines } from './read/stat-lines.ts';
import { TcpProbeLines } from './read/tcp-probe-lines.ts';

export interface LogOptions {
  /** What wrote the log; by default that is told from its first lines. */
  readonly format?: LogFormat | undefined;
  /**
   * Bytes of a segment, 1..65535: a tcp_probe trace counts windows in segments of a size that it does not tell, and without this they are null. The
   * other formats tell it.
   */
  readonly mss?: number | undefined;
}

/** Bytes in which a line must tell what wrote the log. */
const SNIFF = 64 * 1024;

/** Readers of lines by format. */
const PARSERS: Readonly<Record<LogFormat, (mss: number | null) => LineParser>> = {
  siftr: () => new SiftrLines(),
  tcp_probe: (mss) => new TcpProbeLines(mss),
  ss: () => new SsLines(),
  tcpstats: () => new StatLines(),
};

/**
 * Opens a log, plain or compressed with gzip, xz or zstd (told by its first bytes). What is opened must be read, or the reading ended: the file is
 * closed then.
 * @param from path of a file, `-` for standard input, or a stream of bytes
 * @throws LogError when it cannot be opened or read, or none of its first lines is one of a log. Reading throws it too.
 */
export async function openLog(from: string | Readable, options: LogOptions = {}): Promise<LogReader> {
  const { mss = null } = options;
  if (mss !== null && !(Number.isInteger(mss) && mss >= 1 && mss <= 0xffff)) {
    throw new LogError(`mss ${mss}: allowed is a whole number from 1 to 65535`);
  }
  const source = await ByteSource.open(from);
  const chunks = source.chunks();
  const start = await readStart(chunks, options.format);
  let format = options.format ?? detectFormat(start.bytes.toString('latin1'), start.whole);
  if (format === null) {
    if (start.bytes.length > 0) {
      await chunks.return();
      throw new LogError(
        `${source.name}: no line of a SIFTR log, a tcp_probe trace, polls of ss or samples of tcpstats at its start`,
      );
    }
    // Nothing in it, or nothing that could be decompressed.
    format = 'siftr';
  }
  return new Reader(source, chunks, start, format, PARSERS[format](mss));
}

interface Start {
  /** Text that was read to tell the format. */
  readonly bytes: Buffer;
  /** There is no more. */
  readonly whole: boolean;
  /** What is wrong at its end. */
  readonly damage: CompressionError | null;
}

type Chunks = AsyncGenerator<Buffer, void, void>;

/** A chunk; what is wrong where the text ends; null at its end. */
async function next(chunks: Chunks): Promise<Buffer | CompressionError | null> {
  try {
    return (await chunks.next()).value ?? null;
  } catch (err) {
    if (err instanceof CompressionError) return err;
    throw err;
  }
}

async function readStart(chunks: Chunks, format: LogFormat | undefined): Promise<Start> {
  let bytes: Buffer = Buffer.alloc(0);
  while (format === undefined && bytes.length < SNIFF && detectFormat(bytes.toString('latin1'), false) === null) {
    const chunk = await next(chunks);
    if (!Buffer.isBuffer(chunk)) return { bytes, whole: true, damage: chunk };
    bytes = Buffer.concat([bytes, chunk]);
  }
  return { bytes, whole: false, damage: null };
}

class Reader implements LogReader {
  readonly path: string;
  readonly format: LogFormat;
  readonly #source: ByteSource;
  readonly #chunks: Chunks;
  readonly #start: Start;
  readonly #scanner: LineScanner;

  constructor(source: ByteSource, chunks: Chunks, start: Start, format: LogFormat, parser: LineParser) {
    this.path = source.name;
    this.format = format;
    this.#source = source;
    this.#chunks = chunks;
    this.#start = start;
    this.#scanner = new LineScanner(parser);
  }

  get bytesRead(): number {
    return this.#source.bytesRead;
  }

  get bytesTotal(): number {
    return this.#source.bytesTotal;
  }

  async *batches(): AsyncGenerator<readonly LogItem[]> {
    try {
      const { bytes, damage } = this.#start;
      let chunk: Buffer | CompressionError | null = bytes;
      let items: LogItem[] = [];
      while (Buffer.isBuffer(chunk)) {
        this.#scanner.feed(chunk, items);
        if (items.length > 0) {
          yield items;
          items = [];
        }
        chunk = damage ?? (await next(this.#chunks));
      }
      if (chunk !== null) items.push({ type: 'broken', line: this.#scanner.line, why: chunk.message });
      this.#scanner.end(items);
      if (items.length > 0) yield items;
    } finally {
      await this.#chunks.return();
    }
  }
}
