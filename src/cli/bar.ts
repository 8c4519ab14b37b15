const WIDTH = 40;

/** A progress bar on standard error, when that is a terminal. */
export class Bar {
  readonly shown = process.stderr.isTTY === true;
  readonly #suffix: string;
  #last = '';

  /** @param suffix text behind the share */
  constructor(suffix: string) {
    this.#suffix = suffix;
  }

  /** @param done share that is done, 0..1 */
  draw(done: number): void {
    if (!this.shown) return;
    const full = Math.round(done * WIDTH);
    const text = `\r[${'#'.repeat(full)}${'.'.repeat(WIDTH - full)}] ${Math.floor(done * 100)}%${this.#suffix}`;
    if (text === this.#last) return;
    this.#last = text;
    process.stderr.write(text);
  }

  clear(): void {
    if (this.shown && this.#last !== '') process.stderr.write(`\r${' '.repeat(this.#last.length)}\r`);
    this.#last = '';
  }
}
