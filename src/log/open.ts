import { type FileHandle, open } from 'node:fs/promises';
import { LogError } from './error.ts';
import { LineScanner } from './lines.ts';
import type { LogFormat, LogItem, LogReader } from './model.ts';
import { SiftrLines } from './siftr-lines.ts';

export interface LogOptions {
  /** What wrote the log; by default that is told from its first lines. */
  readonly format?: LogFormat;
}

/** Bytes of the file that are read at a time. */
const CHUNK = 256 * 1024;

/**
 * Opens a log.
 * @throws LogError when it cannot be opened
 */
export async function openLog(path: string, options: LogOptions = {}): Promise<LogReader> {
  try {
    const file = await open(path);
    return new PlainReader(path, options.format ?? 'siftr', file, (await file.stat()).size);
  } catch (err) {
    const { code = '' } = err as NodeJS.ErrnoException;
    throw new LogError(`${path}: cannot be read (${code})`, 1, code);
  }
}

class PlainReader implements LogReader {
  readonly path: string;
  readonly format: LogFormat;
  bytesRead = 0;
  readonly bytesTotal: number;
  readonly #file: FileHandle;

  constructor(path: string, format: LogFormat, file: FileHandle, size: number) {
    this.path = path;
    this.format = format;
    this.bytesTotal = size;
    this.#file = file;
  }

  async *batches(): AsyncGenerator<readonly LogItem[]> {
    const buf = Buffer.allocUnsafe(CHUNK);
    const scanner = new LineScanner(new SiftrLines());
    try {
      for (;;) {
        const { bytesRead } = await this.#file.read(buf, 0, CHUNK);
        const items: LogItem[] = [];
        if (bytesRead === 0) {
          scanner.end(items);
          if (items.length > 0) yield items;
          return;
        }
        this.bytesRead += bytesRead;
        scanner.feed(buf.subarray(0, bytesRead), items);
        if (items.length > 0) yield items;
      }
    } finally {
      await this.#file.close();
    }
  }
}
