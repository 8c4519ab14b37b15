import type { BrokenLine } from './model.ts';

/** Broken lines that are kept. */
const KEPT = 100;

/** Counts the lines that could not be read, and keeps the first. */
export class BrokenLines {
  count = 0;
  readonly first: BrokenLine[] = [];

  add(line: BrokenLine): void {
    this.count++;
    if (this.first.length < KEPT) this.first.push(line);
  }
}
