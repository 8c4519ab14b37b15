/**
 * Sets of numbers, each of `words` int32 words, in typed arrays that grow by doubling: what a Map with an object an entry would need ten times the
 * memory for. An entry is *open* or *closed*; closed ones stand in a queue, the first to be closed first. An entry keeps its index as long as it is there.
 */
export class TupleStore {
  readonly words: number;
  /** Entries. */
  size: number;
  #keys: Int32Array;
  /** Serial number of each entry's insertion, uint32 in an int32. */
  #serials: Int32Array;
  /** A number of the caller's for each entry. */
  #tags: Int32Array;
  /** Next entry in the hash chain, or in the list of free ones; -1 ends both. */
  #next: Int32Array;
  /** Neighbours in the queue of closed entries: NONE at its ends, OPEN for an open entry. */
  #before: Int32Array;
  #after: Int32Array;
  #heads: Int32Array;
  #free: number;
  /** Indexes that were ever used. */
  #used: number;
  #first: number;
  #last: number;

  constructor(words: number) {
    this.words = words;
    this.size = 0;
    this.#keys = new Int32Array(0);
    this.#serials = new Int32Array(0);
    this.#tags = new Int32Array(0);
    this.#next = new Int32Array(0);
    this.#before = new Int32Array(0);
    this.#after = new Int32Array(0);
    this.#heads = new Int32Array(0);
    this.#free = NONE;
    this.#used = 0;
    this.#first = NONE;
    this.#last = NONE;
    this.clear();
  }

  /** Empties it and gives its memory back. */
  clear(): void {
    this.size = 0;
    this.#used = 0;
    this.#free = NONE;
    this.#first = NONE;
    this.#last = NONE;
    this.#allocate(SMALLEST);
    this.#heads.fill(NONE);
  }

  /** Index of the entry with these words, -1 when there is none. */
  find(key: Int32Array): number {
    let i = this.#heads[this.#hash(key, 0) & (this.#heads.length - 1)]!;
    while (i !== NONE && !this.#equals(i, key)) i = this.#next[i]!;
    return i;
  }

  /** Enters words that are not there yet, open. @param serial greater for a later entry @param tag a number to keep with it */
  insert(key: Int32Array, serial: number, tag: number): number {
    let i = this.#free;
    if (i !== NONE) {
      this.#free = this.#next[i]!;
    } else {
      if (this.#used === this.#next.length) this.#grow();
      i = this.#used++;
    }
    const { words } = this;
    for (let w = 0; w < words; w++) this.#keys[i * words + w] = key[w]!;
    this.#serials[i] = serial;
    this.#tags[i] = tag;
    this.#before[i] = OPEN;
    this.#link(i);
    this.size++;
    return i;
  }

  /** Puts an open entry at the end of the queue of closed ones. */
  close(i: number): void {
    if (this.#before[i] !== OPEN) return;
    this.#before[i] = this.#last;
    this.#after[i] = NONE;
    if (this.#last === NONE) this.#first = i;
    else this.#after[this.#last] = i;
    this.#last = i;
  }

  /** Takes a closed entry out of the queue again. */
  reopen(i: number): void {
    if (this.#before[i] === OPEN) return;
    const before = this.#before[i]!;
    const after = this.#after[i]!;
    if (before === NONE) this.#first = after;
    else this.#after[before] = after;
    if (after === NONE) this.#last = before;
    else this.#before[after] = before;
    this.#before[i] = OPEN;
  }

  /** Removes the entry that was closed first; false when none is closed. */
  removeOldest(): boolean {
    const i = this.#first;
    if (i === NONE) return false;
    this.reopen(i);
    const head = this.#hash(this.#keys, i * this.words) & (this.#heads.length - 1);
    let p = this.#heads[head]!;
    if (p === i) {
      this.#heads[head] = this.#next[i]!;
    } else {
      while (this.#next[p] !== i) p = this.#next[p]!;
      this.#next[p] = this.#next[i]!;
    }
    this.#before[i] = FREE;
    this.#next[i] = this.#free;
    this.#free = i;
    this.size--;
    return true;
  }

  /** Calls `fn` for every entry. @param fn `keys[at]` is its first word */
  forEach(fn: (keys: Int32Array, at: number, serial: number, tag: number) => void): void {
    for (let i = 0; i < this.#used; i++) {
      if (this.#before[i] !== FREE) fn(this.#keys, i * this.words, this.#serials[i]! >>> 0, this.#tags[i]!);
    }
  }

  #equals(i: number, key: Int32Array): boolean {
    const { words } = this;
    for (let w = 0; w < words; w++) if (this.#keys[i * words + w] !== key[w]) return false;
    return true;
  }

  /** FNV-1a over words, its bits mixed downwards at the end, as the mask takes the low ones. */
  #hash(from: Int32Array, at: number): number {
    let h = 0x811c9dc5;
    for (let w = 0; w < this.words; w++) h = Math.imul(h ^ from[at + w]!, 0x01000193);
    h ^= h >>> 16;
    h = Math.imul(h, 0x45d9f3b);
    return h ^ (h >>> 15);
  }

  #link(i: number): void {
    const head = this.#hash(this.#keys, i * this.words) & (this.#heads.length - 1);
    this.#next[i] = this.#heads[head]!;
    this.#heads[head] = i;
  }

  #grow(): void {
    this.#allocate(this.#next.length * 2);
    this.#heads.fill(NONE);
    // It grows when every index is in use.
    for (let i = 0; i < this.#used; i++) this.#link(i);
  }

  #allocate(entries: number): void {
    this.#keys = resized(this.#keys, entries * this.words);
    this.#serials = resized(this.#serials, entries);
    this.#tags = resized(this.#tags, entries);
    this.#next = resized(this.#next, entries);
    this.#before = resized(this.#before, entries);
    this.#after = resized(this.#after, entries);
    this.#heads = new Int32Array(entries);
  }
}

const SMALLEST = 1024;
/** No entry. */
const NONE = -1;
/** In place of a neighbour: the entry is open, or there is none. */
const OPEN = -2;
const FREE = -3;

function resized(old: Int32Array, length: number): Int32Array {
  const next = new Int32Array(length);
  next.set(old.subarray(0, length));
  return next;
}
