import { rmSync } from 'node:fs';
import { type FileHandle, open, realpath, rename, stat } from 'node:fs/promises';
import { LogError } from './error.ts';

/**
 * A file that is written piece by piece and appears as a whole or not at all: under another name beside its own until it is renamed. What cannot be replaced that
 * way (a pipe, a device) is written to as it is.
 */
export class AtomicFile {
  readonly #path: string;
  /** Name until it is whole; null where it is written to as it is. */
  readonly #temporary: string | null;
  /** Null for standard output. */
  readonly #file: FileHandle | null;
  /**
   * Nobody takes what is written any more: the reader of a pipe went away, or standard output refused, of which its own `error` event tells. The
   * error of `write` is none to be told of then.
   */
  gone = false;

  private constructor(path: string, temporary: string | null, file: FileHandle | null) {
    this.#path = path;
    this.#temporary = temporary;
    this.#file = file;
  }

  /**
   * @param path `-` is standard output; a file that is there is replaced by one with the same rights
   * @param inputs files that it must not be
   * @throws LogError when it is one of them, a folder, or cannot be written
   */
  static async create(path: string, inputs: readonly string[]): Promise<AtomicFile> {
    if (path === '-') return new AtomicFile(path, null, null);
    // A symbolic link stays one.
    const target = await realpath(path).catch(() => path);
    try {
      const there = await stat(target).catch(() => null);
      if (there !== null) await refuseInputs(path, there, inputs);
      if (there?.isDirectory() === true) throw new LogError(`${path}: is a folder; name a file`);
      if (there !== null && !there.isFile()) return new AtomicFile(target, null, await open(target, 'w'));
      const temporary = `${target}.${process.pid}.tmp`;
      const file = await open(temporary, 'wx');
      if (there !== null) await file.chmod(there.mode & 0o777);
      return new AtomicFile(target, temporary, file);
    } catch (err) {
      throw refusal(path, err);
    }
  }

  /** @throws LogError where the system refuses */
  async write(data: string | Uint8Array): Promise<void> {
    if (data.length === 0) return;
    try {
      if (this.#file !== null) await this.#file.appendFile(data);
      else await toStdout(data);
    } catch (err) {
      this.gone = this.#file === null || (err as NodeJS.ErrnoException).code === 'EPIPE';
      throw refusal(this.#path, err);
    }
  }

  /** It is whole. */
  async commit(): Promise<void> {
    try {
      await this.#file?.close();
      if (this.#temporary !== null) await rename(this.#temporary, this.#path);
    } catch (err) {
      throw refusal(this.#path, err);
    }
  }

  /** Nothing is to be left of it. At once, as a signal leaves no time. */
  abort(): void {
    if (this.#temporary !== null) rmSync(this.#temporary, { force: true });
    void this.#file?.close().catch(() => {});
  }
}

function toStdout(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (err) => (err == null ? resolve() : reject(err)));
  });
}

interface FileId {
  readonly dev: number;
  readonly ino: number;
}

async function refuseInputs(path: string, there: FileId, inputs: readonly string[]): Promise<void> {
  for (const input of inputs) {
    const s = await stat(input).catch(() => null);
    if (s !== null && s.isFile() && s.dev === there.dev && s.ino === there.ino) {
      throw new LogError(`${path}: is read as ${input}; name another file`);
    }
  }
}

function refusal(path: string, err: unknown): LogError {
  if (err instanceof LogError) return err;
  const { code = '' } = err as NodeJS.ErrnoException;
  return new LogError(`${path}: cannot be written (${code})`, 1, code);
}
