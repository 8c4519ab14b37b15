/**
 * One way of an emulated link. What an item is, and what becomes of it, is the caller's affair; so is time: everything due is done
 * by `advance`, at the exact times at which it was due, however late the call comes.
 *
 *   offer → loss → duplicate, corrupt → queue (limit, AQM, mark) → server (rate or trace) → delay (jitter, reorder) → deliver
 *
 * Times are Float64 µs and fractions are kept, so that a rate is met exactly. Nothing is allocated per packet once the pool of entries has
 * grown to what is in the pipe.
 */
import type { Random } from '../rings/clock.ts';
import { Codel, type CodelQueue } from './codel.ts';
import { checkPipeConfig, type PipeConfig } from './config.ts';
import { chance, Loss, unit } from './loss.ts';
import { RED_FORCED, RED_PASS, Red } from './red.ts';
import { OPPORTUNITY } from './trace.ts';

/** Why an item was dropped: lost on the way, queue full, chosen by the AQM, or the pipe was purged. */
export const DROP_LOSS = 0;
export const DROP_OVERFLOW = 1;
export const DROP_AQM = 2;
export const DROP_PURGE = 3;
export type DropReason = typeof DROP_LOSS | typeof DROP_OVERFLOW | typeof DROP_AQM | typeof DROP_PURGE;

/** What a pipe tells its owner. Calls back into the pipe are allowed from `deliver` and `drop`. */
export interface PipeOutput<T> {
  /** The item comes out of the far end. */
  deliver(item: T): void;
  /** The item is gone. */
  drop(item: T, why: DropReason): void;
  /** The item, offered with `ect`, is to carry CE from here on. */
  mark(item: T): void;
  /** A second copy of the item, which travels by itself; null when there can be none. */
  duplicate(item: T): T | null;
  /** One bit of the item is to be flipped; `random`, an int32, chooses which. */
  corrupt(item: T, random: number): void;
}

/** Counters and gauges of a pipe. Packets unless the name says bytes. */
export class PipeStats {
  /** Given to `offer`. */
  offered = 0;
  offeredBytes = 0;
  delivered = 0;
  deliveredBytes = 0;
  /** Dropped, by reason. */
  lost = 0;
  overflow = 0;
  aqm = 0;
  purged = 0;
  /** Marked CE, by the threshold or by the AQM. */
  marked = 0;
  duplicated = 0;
  corrupted = 0;
  /** Delivered after one that had entered the delay behind it (RFC 4737 section 3.3). */
  reordered = 0;
  /** Most that has waited. */
  maxPackets = 0;
  maxBytes = 0;
  /** What waited, times how long: divided by the time it gives the mean. */
  packetUs = 0;
  byteUs = 0;
}

class Entry<T> {
  item: T | null = null;
  bytes = 0;
  ect = false;
  /** When it came into the queue, µs. */
  at = 0;
  /** When it comes out of the pipe, µs. */
  due = 0;
  /** Place in the order in which packets entered the delay. */
  seq = 0;
  next: Entry<T> | null = null;
  prev: Entry<T> | null = null;
}

export class Pipe<T> {
  config: PipeConfig;
  readonly stats: PipeStats;
  /** Waiting for the server now; the packet in service does not count. */
  queuePackets: number;
  queueBytes: number;
  readonly #random: Random;
  readonly #out: PipeOutput<T>;
  readonly #view: CodelQueue<Entry<T>>;
  #loss: Loss;
  #red: Red | null;
  #codel: Codel | null;
  /** µs a byte; 0 without a rate. */
  #usPerByte: number;
  /** When the server can take the next packet, µs. */
  #startAt: number;
  /** Next opportunity of the trace, and what is left of the one before it. */
  #opportunity: number;
  #oppLeft: number;
  /** The trace began at this time. */
  #traceBegin: number;
  #head: Entry<T> | null;
  #tail: Entry<T> | null;
  /** In the delay, by time; the latest last. */
  #first: Entry<T> | null;
  #last: Entry<T> | null;
  /** Packets in the delay. */
  #flying: number;
  /** Latest time given to a packet that keeps the order. */
  #orderDue: number;
  #seq: number;
  #seqDelivered: number;
  /** Packets since one last jumped ahead. */
  #gap: number;
  #accountedTo: number;
  #free: Entry<T> | null;

  /** @throws PipeConfigError */
  constructor(config: PipeConfig, random: Random, out: PipeOutput<T>) {
    checkPipeConfig(config);
    this.config = config;
    this.stats = new PipeStats();
    this.queuePackets = 0;
    this.queueBytes = 0;
    this.#random = random;
    this.#out = out;
    this.#loss = new Loss(config);
    this.#red = null;
    this.#codel = null;
    this.#usPerByte = 0;
    this.#startAt = Number.NEGATIVE_INFINITY;
    this.#opportunity = 0;
    this.#oppLeft = 0;
    this.#traceBegin = -1;
    this.#head = null;
    this.#tail = null;
    this.#first = null;
    this.#last = null;
    this.#flying = 0;
    this.#orderDue = Number.NEGATIVE_INFINITY;
    this.#seq = 0;
    this.#seqDelivered = 0;
    this.#gap = 0;
    this.#accountedTo = -1;
    this.#free = null;
    const pipe = this;
    this.#view = {
      get queueBytes() {
        return pipe.queueBytes;
      },
      shift: (now) => this.#shift(now),
      sojourn: (e, now) => now - e.at,
      discard: (e) => this.#discard(e, DROP_AQM),
      mark: (e) => this.#mark(e),
    };
    this.#apply();
  }

  /** Packets in the pipe: waiting, in service or delayed. */
  get inside(): number {
    return this.queuePackets + this.#flying;
  }

  /**
   * Takes `item` over.
   * @param bytes its length, as it counts for rate and queue
   * @param ect it may be marked instead of dropped
   * @param now Float64 µs, not before that of any earlier call
   */
  offer(item: T, bytes: number, ect: boolean, now: number): void {
    const c = this.config;
    const s = this.stats;
    this.#serve(now);
    s.offered++;
    s.offeredBytes += bytes;
    if (this.#loss.lose(this.#random)) {
      s.lost++;
      this.#out.drop(item, DROP_LOSS);
      return;
    }
    let copy: T | null = null;
    if (chance(this.#random, c.duplicate)) copy = this.#out.duplicate(item);
    if (chance(this.#random, c.corrupt)) {
      s.corrupted++;
      this.#out.corrupt(item, this.#random.next32());
    }
    this.#enqueue(item, bytes, ect, now);
    if (copy !== null) {
      s.duplicated++;
      this.#enqueue(copy, bytes, ect, now);
    }
  }

  /** Float64 µs of the next thing to do, Infinity when there is none. */
  nextDue(): number {
    const first = this.#first === null ? Number.POSITIVE_INFINITY : this.#first.due;
    return this.#head !== null && this.#startAt < first ? this.#startAt : first;
  }

  /** Does everything due at or before `now`, in the order of its times. */
  advance(now: number): void {
    for (;;) {
      const e = this.#first;
      if (this.#head !== null && this.#startAt <= now && (e === null || this.#startAt <= e.due)) this.#serveOne();
      else if (e !== null && e.due <= now) this.#deliver(e);
      else return;
    }
  }

  /**
   * Takes a new configuration. What is in the pipe stays there: the packet in service and those in the delay keep their times, those waiting are
   * served at the new rate, and a queue above a new limit takes nothing until it is below. Loss and AQM begin anew.
   * @throws PipeConfigError; nothing has changed then
   */
  reconfigure(config: PipeConfig, now: number): void {
    checkPipeConfig(config);
    this.#serve(now);
    const sameTrace = config.trace === this.config.trace;
    this.config = config;
    this.#loss = new Loss(config);
    if (!sameTrace) this.#traceBegin = -1;
    this.#apply();
    if (config.trace !== null && !sameTrace) this.#seekTrace(now > this.#startAt ? now : this.#startAt);
  }

  /** Drops everything that is in the pipe. */
  purge(now: number): void {
    for (let e = this.#shift(now); e !== null; e = this.#shift(now)) this.#discard(e, DROP_PURGE);
    for (let e = this.#first; e !== null; e = this.#first) {
      this.#unlink(e);
      this.#discard(e, DROP_PURGE);
    }
  }

  /** Brings the time-weighted sums of `stats` up to `now`; they begin with the first packet offered or the first call of this. */
  account(now: number): void {
    const s = this.stats;
    if (this.#accountedTo >= 0 && now > this.#accountedTo) {
      const us = now - this.#accountedTo;
      s.packetUs += us * this.queuePackets;
      s.byteUs += us * this.queueBytes;
    }
    if (now > this.#accountedTo) this.#accountedTo = now;
  }

  #apply(): void {
    const c = this.config;
    this.#usPerByte = c.trace === null && c.rate > 0 ? 8e6 / c.rate : 0;
    this.#red = c.aqm?.kind === 'red' ? new Red(c.aqm) : null;
    this.#codel = c.aqm?.kind === 'codel' ? new Codel(c.aqm) : null;
  }

  #enqueue(item: T, bytes: number, ect: boolean, now: number): void {
    const c = this.config;
    const e = this.#take();
    e.item = item;
    e.bytes = bytes;
    e.ect = ect;
    e.at = now;
    const waiting = this.queuePackets;
    const idle = waiting === 0 && this.#startAt <= now;
    if (!idle) {
      const over =
        (c.limitPackets > 0 && waiting >= c.limitPackets) ||
        (c.limitBytes > 0 && this.queueBytes + bytes > c.limitBytes);
      if (over) {
        this.#discard(e, DROP_OVERFLOW);
        return;
      }
    }
    if (this.#red !== null && !this.#passesRed(this.#red, e, idle ? now - this.#startAt : 0)) {
      this.#discard(e, DROP_AQM);
      return;
    }
    if ((c.ecnPackets > 0 && waiting > c.ecnPackets) || (c.ecnBytes > 0 && this.queueBytes > c.ecnBytes)) this.#mark(e);
    this.account(now);
    if (this.#tail === null) this.#head = e;
    else this.#tail.next = e;
    this.#tail = e;
    this.queuePackets++;
    this.queueBytes += bytes;
    if (idle) {
      if (c.trace === null) this.#startAt = now;
      else this.#seekTrace(now);
      this.#serve(now);
    }
    const s = this.stats;
    if (this.queuePackets > s.maxPackets) s.maxPackets = this.queuePackets;
    if (this.queueBytes > s.maxBytes) s.maxBytes = this.queueBytes;
  }

  /** False when the packet is to go. */
  #passesRed(red: Red, e: Entry<T>, idleUs: number): boolean {
    const c = red.config;
    const rate = this.config.trace === null ? this.config.rate : this.config.trace.rate;
    const slotUs = rate > 0 ? (OPPORTUNITY * 8e6) / rate : 0;
    const queued = c.bytes ? this.queueBytes : this.queuePackets;
    const verdict = red.arrive(queued, e.bytes, idleUs, slotUs, this.#random);
    if (verdict === RED_PASS) return true;
    return c.ecn && !(verdict === RED_FORCED && c.hardDrop) && this.#mark(e);
  }

  /** False when the item cannot carry a mark. */
  #mark(e: Entry<T>): boolean {
    if (!e.ect) return false;
    this.stats.marked++;
    this.#out.mark(e.item!);
    return true;
  }

  #serve(now: number): void {
    while (this.#head !== null && this.#startAt <= now) this.#serveOne();
  }

  /** The server takes a packet at `#startAt`, which moves on to when it takes the next. */
  #serveOne(): void {
    const now = this.#startAt;
    const e = this.#codel === null ? this.#shift(now) : this.#codel.dequeue(this.#view, now);
    if (e === null) return;
    const done = this.config.trace === null ? now + e.bytes * this.#usPerByte : this.#traceDone(e.bytes, now);
    this.#delay(e, done);
  }

  /** Moves the trace to its first opportunity after `now`. */
  #seekTrace(now: number): void {
    if (this.#traceBegin < 0) this.#traceBegin = now;
    const trace = this.config.trace!;
    this.#opportunity = trace.after(now - this.#traceBegin);
    this.#oppLeft = 0;
    this.#startAt = this.#traceBegin + trace.at(this.#opportunity);
  }

  /** When the last of `bytes` is sent that begin with the opportunity at `now`. */
  #traceDone(bytes: number, now: number): number {
    const trace = this.config.trace!;
    let done = now;
    let left = bytes;
    while (left > this.#oppLeft) {
      left -= this.#oppLeft;
      this.#oppLeft = OPPORTUNITY;
      done = this.#traceBegin + trace.at(this.#opportunity++);
    }
    this.#oppLeft -= left;
    this.#startAt = this.#oppLeft > 0 ? done : this.#traceBegin + trace.at(this.#opportunity);
    return done;
  }

  /** A packet leaves the server at `done`. */
  #delay(e: Entry<T>, done: number): void {
    const c = this.config;
    if (c.trace === null) this.#startAt = done;
    e.seq = ++this.#seq;
    let delay = c.delayUs;
    if (c.jitterUs > 0) {
      delay += (2 * unit(this.#random) - 1) * c.jitterUs;
      if (delay < 0) delay = 0;
    }
    let ordered = !(c.jitterUs > 0 && c.jitterReorder);
    if (c.reorder !== null && ++this.#gap >= c.reorder.gap && chance(this.#random, c.reorder.probability)) {
      this.#gap = 0;
      ordered = false;
      delay = c.reorder.extraUs > 0 ? delay + c.reorder.extraUs : 0;
    }
    e.due = done + delay;
    if (ordered) {
      if (e.due < this.#orderDue) e.due = this.#orderDue;
      this.#orderDue = e.due;
    }
    // Nearly always the last; one that overtakes goes before those that are due later.
    let before = this.#last;
    while (before !== null && before.due > e.due) before = before.prev;
    e.prev = before;
    e.next = before === null ? this.#first : before.next;
    if (e.next === null) this.#last = e;
    else e.next.prev = e;
    if (before === null) this.#first = e;
    else before.next = e;
    this.#flying++;
  }

  #deliver(e: Entry<T>): void {
    const s = this.stats;
    const item = e.item!;
    this.#unlink(e);
    s.delivered++;
    s.deliveredBytes += e.bytes;
    if (e.seq < this.#seqDelivered) s.reordered++;
    else this.#seqDelivered = e.seq;
    this.#release(e);
    this.#out.deliver(item);
  }

  /** Takes an entry out of the delay. */
  #unlink(e: Entry<T>): void {
    if (e.prev === null) this.#first = e.next;
    else e.prev.next = e.next;
    if (e.next === null) this.#last = e.prev;
    else e.next.prev = e.prev;
    this.#flying--;
  }

  /** Takes the oldest packet off the queue, or null. */
  #shift(now: number): Entry<T> | null {
    const e = this.#head;
    if (e === null) return null;
    this.account(now);
    this.#head = e.next;
    if (this.#head === null) this.#tail = null;
    e.next = null;
    this.queuePackets--;
    this.queueBytes -= e.bytes;
    return e;
  }

  #discard(e: Entry<T>, why: DropReason): void {
    const s = this.stats;
    const item = e.item!;
    if (why === DROP_OVERFLOW) s.overflow++;
    else if (why === DROP_AQM) s.aqm++;
    else if (why === DROP_PURGE) s.purged++;
    this.#release(e);
    this.#out.drop(item, why);
  }

  #take(): Entry<T> {
    const e = this.#free;
    if (e === null) return new Entry<T>();
    this.#free = e.next;
    e.next = null;
    return e;
  }

  #release(e: Entry<T>): void {
    e.item = null;
    e.prev = null;
    e.next = this.#free;
    this.#free = e;
  }
}
