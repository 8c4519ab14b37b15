import type { Mbuf } from './mbuf.ts';

/** A list of packets linked by `nextpkt` (`struct mbuf_list`), with its length in packets and in bytes. */
export class MbufList {
  head: Mbuf | null;
  tail: Mbuf | null;
  len: number;
  bytes: number;

  constructor() {
    this.head = null;
    this.tail = null;
    this.len = 0;
    this.bytes = 0;
  }

  /** Appends a packet (`ml_enqueue`). */
  enqueue(m: Mbuf): void {
    m.nextpkt = null;
    if (this.tail === null) this.head = m;
    else this.tail.nextpkt = m;
    this.tail = m;
    this.len++;
    this.bytes += m.len;
  }

  /** Takes the oldest packet, or null (`ml_dequeue`). */
  dequeue(): Mbuf | null {
    const m = this.head;
    if (m === null) return null;
    this.head = m.nextpkt;
    if (this.head === null) this.tail = null;
    m.nextpkt = null;
    this.len--;
    this.bytes -= m.len;
    return m;
  }

  /** Moves all packets of `ml` to the end of this list (`ml_enlist`). */
  enlist(ml: MbufList): void {
    if (ml.head === null) return;
    if (this.tail === null) this.head = ml.head;
    else this.tail.nextpkt = ml.head;
    this.tail = ml.tail;
    this.len += ml.len;
    this.bytes += ml.bytes;
    ml.clear();
  }

  /** Frees every packet and returns how many there were (`ml_purge`). */
  purge(): number {
    const n = this.len;
    for (let m = this.dequeue(); m !== null; m = this.dequeue()) m.pool.put(m);
    return n;
  }

  /** Forgets the packets without freeing them. */
  clear(): void {
    this.head = null;
    this.tail = null;
    this.len = 0;
    this.bytes = 0;
  }
}
