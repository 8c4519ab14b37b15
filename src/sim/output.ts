import { closeSync, constants, lstatSync, openSync, type Stats, statSync, unlinkSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { SimError } from './error.ts';

const BUFFER = 1 << 20;

/** Path of standard output. */
export const STDOUT = '-';
const STDOUT_FD = 1;
const PAUSE_MS = 1;

function refusal(option: string, path: string, err: unknown): SimError {
  const { message, code } = err as NodeJS.ErrnoException;
  return new SimError(`${option} ${path}: ${message.replace(/, \w+( '.*')?$/s, '')}`, 1, code);
}

/** What lies at a path, or at the end of the link there; null where there is nothing. */
function look(path: string, follow = true): Stats | null {
  try {
    return follow ? statSync(path) : lstatSync(path);
  } catch {
    return null;
  }
}

/** Two paths lead to one regular file, or will when it is made. */
export function sameFile(a: string, b: string): boolean {
  const one = look(a);
  const two = look(b);
  if (one === null || two === null) return one === two && resolve(a) === resolve(b);
  return one.isFile() && one.dev === two.dev && one.ino === two.ino;
}

/** Throws SimError for a path that an `OutputFile` could not be written to, and leaves what lies there as it is. */
export function checkOutput(option: string, path: string): void {
  if (path === STDOUT) return;
  const there = look(path);
  // Opening a pipe would tell its reader that something comes.
  if (there !== null && !there.isFile() && !there.isDirectory()) return;
  const fresh = look(path, false) === null;
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o666));
    if (fresh) unlinkSync(path);
  } catch (err) {
    throw refusal(option, path, err);
  }
}

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
      throw refusal(this.#option, this.path, err);
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
        if ((err as NodeJS.ErrnoException).code !== 'EAGAIN') throw refusal(this.#option, this.path, err);
        // A full pipe whose end somebody has made non-blocking: its reader is to have some time.
        Atomics.wait(this.#pause, 0, 0, PAUSE_MS);
      }
    }
  }
}
