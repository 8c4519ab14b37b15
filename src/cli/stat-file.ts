import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { SystemError, UserError } from '../daemon/errors.ts';

/** Bytes of a first line that are looked at. */
const FIRST_MAX = 65536;

/** The file of `xsiftr tcpstats -o`: samples are appended whole. */
export class StatFile {
  readonly path: string;
  readonly #fd: number;
  readonly #regular: boolean;

  /**
   * Opens `path` to append to, makes it with mode 0644 where there is none, and writes the header line into an empty one.
   * @param head the header line; '' for none, as JSON has it
   * @param json lines are objects
   * @throws UserError when it begins with other columns, or is a FIFO or folder; SystemError when the system refuses
   */
  constructor(path: string, head: string, json: boolean) {
    this.path = path;
    try {
      const there = statSync(path, { throwIfNoEntry: false });
      if (there?.isFIFO() || there?.isDirectory()) {
        const what = there.isFIFO() ? 'a FIFO; --device serves one' : 'a folder';
        throw new UserError(
          `tcpstats: -o ${path}: is ${what}; allowed is a file to append to, or - for standard output`,
        );
      }
      const { O_APPEND, O_CREAT } = constants;
      // Read as well, to see how it begins; what may only be written to (a terminal's device) has no beginning.
      const flags = there?.isFile() === false ? constants.O_WRONLY : constants.O_RDWR;
      this.#fd = openSync(path, flags | O_APPEND | O_CREAT, 0o644);
      this.#regular = fstatSync(this.#fd).isFile();
      const size = this.#regular ? fstatSync(this.#fd).size : 0;
      if (size > 0) this.#follow(size, head, json);
      else if (head !== '') this.#append(head);
    } catch (err) {
      throw this.#refusal(err);
    }
  }

  /** @throws SystemError; a part of the text that was written is taken back, so that the last line is whole */
  write(text: string): void {
    try {
      this.#append(text);
    } catch (err) {
      throw this.#refusal(err);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Goes on in a file of that size: the same columns, and on a line of its own when a killed writer left a part of one. */
  #follow(size: number, head: string, json: boolean): void {
    const buf = Buffer.alloc(Math.min(size, FIRST_MAX));
    readSync(this.#fd, buf, 0, buf.length, 0);
    const text = buf.toString('latin1');
    if (!text.startsWith(head) || text.startsWith('{') !== json) {
      throw new UserError(
        `tcpstats: -o ${this.path}: does not begin with these columns; give another file, or --fields and --json as it was begun with`,
      );
    }
    const last = Buffer.alloc(1);
    readSync(this.#fd, last, 0, 1, size - 1);
    if (last[0] !== 0x0a) this.#append('\n');
  }

  #append(text: string): void {
    const bytes = Buffer.from(text);
    let done = 0;
    try {
      while (done < bytes.length) done += writeSync(this.#fd, bytes, done, bytes.length - done);
    } catch (err) {
      if (this.#regular && done > 0) ftruncateSync(this.#fd, fstatSync(this.#fd).size - done);
      throw err;
    }
  }

  #refusal(err: unknown): Error {
    if (err instanceof UserError) return err;
    return new SystemError(`tcpstats: -o ${this.path}: ${(err as Error).message}`);
  }
}
