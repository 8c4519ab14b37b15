/** Controlled Delay active queue management (RFC 8289 section 5); names of variables as there. */
import type { CodelConfig } from './config.ts';

/** A queue of which CoDel decides what leaves it. */
export interface CodelQueue<E> {
  /** Bytes waiting. */
  readonly queueBytes: number;
  /** Takes the oldest packet, or null. */
  shift(now: number): E | null;
  /** Time that the packet has waited since it came, µs. */
  sojourn(e: E, now: number): number;
  /** Throws the packet away. */
  discard(e: E): void;
  /** Marks an ECN-capable packet; false when it is not one. */
  mark(e: E): boolean;
}

/** MAXPACKET: with less than this waiting the link is not congested (section 5.3). */
const MAXPACKET = 1514;

export class Codel {
  readonly #target: number;
  readonly #interval: number;
  readonly #ecn: boolean;
  /** When the delay will have been above the target for an interval; 0 while it is not above. */
  #firstAboveTime: number;
  #dropNext: number;
  #count: number;
  #lastcount: number;
  #dropping: boolean;
  #okToDrop: boolean;

  constructor(c: CodelConfig) {
    this.#target = c.targetUs;
    this.#interval = c.intervalUs;
    this.#ecn = c.ecn;
    this.#firstAboveTime = 0;
    this.#dropNext = 0;
    this.#count = 0;
    this.#lastcount = 0;
    this.#dropping = false;
    this.#okToDrop = false;
  }

  /** Drops since the dropping state was entered, and whether it is on. */
  get count(): number {
    return this.#count;
  }

  get dropping(): boolean {
    return this.#dropping;
  }

  /** The next packet to send at `now`, µs, after those that have to go are discarded (section 5.5); null when none is left. */
  dequeue<E>(q: CodelQueue<E>, now: number): E | null {
    let e = this.#doDequeue(q, now);
    if (this.#dropping) {
      if (!this.#okToDrop) this.#dropping = false;
      while (this.#dropping && now >= this.#dropNext) {
        this.#count++;
        if (this.#ecn && q.mark(e!)) {
          this.#dropNext = this.controlLaw(this.#dropNext, this.#count);
          return e;
        }
        q.discard(e!);
        e = this.#doDequeue(q, now);
        if (!this.#okToDrop) this.#dropping = false;
        else this.#dropNext = this.controlLaw(this.#dropNext, this.#count);
      }
    } else if (this.#okToDrop) {
      if (!(this.#ecn && q.mark(e!))) {
        q.discard(e!);
        e = this.#doDequeue(q, now);
      }
      this.#dropping = true;
      // Soon after the last dropping state its rate is a good one to begin with.
      const delta = this.#count - this.#lastcount;
      this.#count = delta > 1 && now - this.#dropNext < 16 * this.#interval ? delta : 1;
      this.#dropNext = this.controlLaw(now, this.#count);
      this.#lastcount = this.#count;
    }
    return e;
  }

  /** Time of the next drop: intervals shrink with the square root of the number of drops (section 5.5). */
  controlLaw(t: number, count: number): number {
    return t + this.#interval / Math.sqrt(count);
  }

  #doDequeue<E>(q: CodelQueue<E>, now: number): E | null {
    this.#okToDrop = false;
    const e = q.shift(now);
    if (e === null) {
      this.#firstAboveTime = 0;
      return null;
    }
    if (q.sojourn(e, now) < this.#target || q.queueBytes <= MAXPACKET) {
      this.#firstAboveTime = 0;
    } else if (this.#firstAboveTime === 0) {
      this.#firstAboveTime = now + this.#interval;
    } else if (now >= this.#firstAboveTime) {
      this.#okToDrop = true;
    }
    return e;
  }
}
