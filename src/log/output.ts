import { accessSync, constants, lstatSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LogError } from './error.ts';

/**
 * A file that is written as a whole or not at all: first under another name beside it, then renamed. What cannot be replaced that way (a pipe, a device)
 * is written to as it is.
 */
export class Output {
  readonly #option: string;
  readonly #path: string;
  readonly #whole: boolean;

  /**
   * Looks whether it can be written, before work is put into what is to be in it.
   * @param option its name, for refusals
   * @throws LogError
   */
  constructor(option: string, path: string) {
    this.#option = option;
    this.#path = realOf(path);
    const there = statSync(this.#path, { throwIfNoEntry: false });
    this.#whole = there === undefined || there.isFile();
    if (there?.isDirectory() === true) throw new LogError(`${option} ${path}: is a folder; name a file`);
    try {
      if (this.#whole) accessSync(dirname(this.#path), constants.W_OK | constants.X_OK);
    } catch (err) {
      throw this.#refusal(err);
    }
  }

  /** @throws LogError */
  write(content: string | Buffer): void {
    if (!this.#whole) {
      this.#put(this.#path, content);
      return;
    }
    const temp = join(dirname(this.#path), `.${basename(this.#path)}.${process.pid}.tmp`);
    try {
      this.#put(temp, content);
      renameSync(temp, this.#path);
    } catch (err) {
      rmSync(temp, { force: true });
      throw err instanceof LogError ? err : this.#refusal(err);
    }
  }

  #put(path: string, content: string | Buffer): void {
    try {
      writeFileSync(path, content);
    } catch (err) {
      throw this.#refusal(err);
    }
  }

  #refusal(err: unknown): LogError {
    const { code = '' } = err as NodeJS.ErrnoException;
    return new LogError(`${this.#option} ${this.#path}: cannot be written (${code})`, 1, code);
  }
}

/** The file that a symbolic link leads to, so that the link stays one. */
function realOf(path: string): string {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? realpathSync(path) : path;
  } catch {
    return path;
  }
}
