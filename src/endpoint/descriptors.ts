/** The descriptors of the endpoint: one table for all its clients, the lowest free number first, as open files have. */
import type { Client } from './client.ts';

/** The first one; a program's standard files have those below. */
const FIRST = 3;

export interface Descriptor {
  readonly shard: number;
  readonly sid: number;
  /** The connection over which it was made, with which it goes. */
  readonly client: Client;
}

export class Descriptors {
  readonly #max: number;
  /** The numbers by socket: a map of its ids for each shard. */
  readonly #numbers: Map<number, number>[] = [];
  readonly #table: (Descriptor | 'reserved' | null)[] = [];
  /** No number below this one is free. */
  #low = 0;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Descriptors in use, reserved ones too. */
  get size(): number {
    return this.#count;
  }

  /** A number for an operation that may make a socket, or -1. */
  reserve(): number {
    if (this.#count >= this.#max) return -1;
    let i = this.#low;
    while (i < this.#table.length && this.#table[i] !== null) i++;
    this.#table[i] = 'reserved';
    this.#low = i + 1;
    this.#count++;
    return FIRST + i;
  }

  set(fd: number, d: Descriptor): void {
    this.#table[fd - FIRST] = d;
    (this.#numbers[d.shard] ??= new Map()).set(d.sid, fd);
  }

  get(fd: number): Descriptor | null {
    const d = this.#table[fd - FIRST];
    return d === undefined || d === 'reserved' ? null : d;
  }

  /** The number of a socket, or -1. */
  find(shard: number, sid: number): number {
    return this.#numbers[shard]?.get(sid) ?? -1;
  }

  free(fd: number): void {
    const i = fd - FIRST;
    const d = this.get(fd);
    if (d !== null) this.#numbers[d.shard]!.delete(d.sid);
    this.#table[i] = null;
    this.#count--;
    if (i < this.#low) this.#low = i;
  }

  /** The descriptors that were made over a connection. */
  of(client: Client): number[] {
    const fds: number[] = [];
    this.#table.forEach((d, i) => {
      if (d !== null && d !== 'reserved' && d.client === client) fds.push(FIRST + i);
    });
    return fds;
  }
}
