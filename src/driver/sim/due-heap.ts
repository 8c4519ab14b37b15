/**
 * Which of a fixed set of things is due first: a binary heap of their numbers that knows where each stands, so that a time can change.
 * At the same time the lower number comes first, which makes the order of events a function of the experiment alone.
 */
export class DueHeap {
  readonly #time: number[];
  readonly #heap: number[];
  /** Where in the heap each number stands. */
  readonly #place: number[];

  constructor() {
    this.#time = [];
    this.#heap = [];
    this.#place = [];
  }

  /** Adds the next number, due never. */
  add(): number {
    const id = this.#time.length;
    this.#time.push(Number.POSITIVE_INFINITY);
    this.#heap.push(id);
    this.#place.push(id);
    return id;
  }

  /** The number that is due first; there must be one. */
  get first(): number {
    return this.#heap[0]!;
  }

  /** When it is due, or Infinity. */
  get time(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#time[this.#heap[0]!]!;
  }

  timeOf(id: number): number {
    return this.#time[id]!;
  }

  /** Sets when `id` is due. */
  set(id: number, time: number): void {
    const before = this.#time[id]!;
    if (time === before) return;
    this.#time[id] = time;
    if (time < before) this.#up(this.#place[id]!, id, time);
    else this.#down(this.#place[id]!, id, time);
  }

  #up(at: number, id: number, time: number): void {
    const heap = this.#heap;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = heap[parent]!;
      if (!this.#before(id, time, other)) break;
      heap[at] = other;
      this.#place[other] = at;
      at = parent;
    }
    heap[at] = id;
    this.#place[id] = at;
  }

  #down(at: number, id: number, time: number): void {
    const heap = this.#heap;
    const n = heap.length;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= n) break;
      const right = child + 1;
      if (right < n && this.#before(heap[right]!, this.#time[heap[right]!]!, heap[child]!)) child = right;
      const other = heap[child]!;
      if (this.#before(id, time, other)) break;
      heap[at] = other;
      this.#place[other] = at;
      at = child;
    }
    heap[at] = id;
    this.#place[id] = at;
  }

  #before(id: number, time: number, other: number): boolean {
    const t = this.#time[other]!;
    return time < t || (time === t && id < other);
  }
}
