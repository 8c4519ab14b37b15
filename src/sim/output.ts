import { closeSync, openSync, writeSync } from 'node:fs';
import { SimError } from './error.ts';

const BUFFER = 1 << 20;

/** Path of standard output. */
export const STDOUT = '-';
const STDOUT_FD = 1;
const PAUSE_MS = 1;

/** A file that is written from its beginning, or standard output, through a buffer. Errors are one line for the user. */
export class OutputFile {
  readonly path: string;
  readonly #option: string;
  readonly #fd: number;
  readonly #buf: Uint8Array;
  readonly #pause: Int32Array;
  #len: number;

  /** @param option what the line of a refusal begins with, `--pcap` @throws SimError */
  constructor(option: string, path: string) {
    this.path = path;
    this.#option = option;
    this.#buf = new Uint8Array(BUFFER);
    this.#pause = new Int32Array(new SharedArrayBuffer(4));
    this.#len = 0;
    try {
      this.#fd = path === STDOUT ? STDOUT_FD : openSync(path, 'w');
    } catch (err) {
      throw this.#refusal(err);
    }
  }

  /** Room for `len` bytes, at most BUFFER: their place in `bytes`. */
  reserve(len: number): number {
    if (this.#len + len > BUFFER) this.flush();
    const at = this.#len;
    this.#len += len;
    return at;
  }

  get bytes(): Uint8Array {
    return this.#buf;
  }

  /** Writes bytes of the caller. */
  write(u8: Uint8Array, offset: number, length: number): number {
    this.flush();
    return this.#write(u8, offset, length);
  }

  flush(): void {
    for (let done = 0; done < this.#len; ) done += this.#write(this.#buf, done, this.#len - done);
    this.#len = 0;
  }

  close(): void {
    this.flush();
    if (this.#fd !== STDOUT_FD) closeSync(this.#fd);
  }

  #write(u8: Uint8Array, offset: number, length: number): number {
    for (;;) {
      try {
        return writeSync(this.#fd, u8, offset, length);
      } catch (err) {
        if ((err as NodeJS.ErrnoException).code !== 'EAGAIN') throw this.#refusal(err);
        // A full pipe whose end somebody has made non-blocking: its reader is to have some time.
        Atomics.wait(this.#pause, 0, 0, PAUSE_MS);
      }
    }
  }

  #refusal(err: unknown): SimError {
    return new SimError(`${this.#option} ${this.path}: ${(err as Error).message.replace(/, \w+( '.*')?$/s, '')}`, 1);
  }
}
