import type { Clock } from '../rings/clock.ts';

/**
 * The hierarchical timing wheel of a shard: every timer of the stack sits in it (DESIGN.md, "Addresses, time, …"; Varghese and
 * Lauck, "Hashed and Hierarchical Timing Wheels", scheme 7).
 *
 *   level 0: 256 slots of 1 µs | level 1: of 256 µs | level 2: of 65.5 ms | level 3: of 16.8 s
 *
 * A timer sits on the level of the highest byte in which its deadline differs from the wheel's time, and moves down when the
 * wheel enters its slot. One bit a slot says whether it is occupied, so that empty time costs nothing. Resolution 1 µs of
 * `clock.us`; a timer never fires early, and fires in the first `advance` at or after its deadline.
 */
const LEVELS = 4;
const SLOTS = 256;
const WORDS = SLOTS / 32;

/** Longest stretch that the wheel holds in one go; longer timers go round in laps of this many µs. */
const LAP = 0x40000000;

/** A timer (`struct callout`): embed one per use, arm and cancel it as often as wanted. */
export class Timer {
  readonly fn: (arg: never) => void;
  readonly arg: unknown;
  /** Absolute int32 µs; meaningful while armed. Of a timer armed for more than 2^30 µs: the end of the current lap. */
  deadline: number;
  /** Laps of 2^30 µs still to go when `deadline` is reached. */
  laps: number;
  /** Slot index in the wheel, or -1 when not armed. */
  slot: number;
  prev: Timer | null;
  next: Timer | null;

  constructor(fn: (arg: never) => void, arg: unknown) {
    this.fn = fn;
    this.arg = arg;
    this.deadline = 0;
    this.laps = 0;
    this.slot = -1;
    this.prev = null;
    this.next = null;
  }

  get armed(): boolean {
    return this.slot >= 0;
  }
}

export class TimerWheel {
  readonly #clock: Clock;
  /** Everything with a deadline up to here has fired (int32 µs). */
  #now: number;
  readonly #head: (Timer | null)[];
  readonly #tail: (Timer | null)[];
  readonly #occupied: Int32Array;
  /** Armed timers. */
  size: number;
  /** Timers fired since the start. */
  fired: number;
  /** Where `#seek` found the next occupied slot. */
  #foundSlot: number;
  #foundTime: number;

  /** @param clock the shard's clock: deadlines count from its `us` */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#now = clock.us | 0;
    this.#head = new Array<Timer | null>(LEVELS * SLOTS).fill(null);
    this.#tail = new Array<Timer | null>(LEVELS * SLOTS).fill(null);
    this.#occupied = new Int32Array(LEVELS * WORDS);
    this.size = 0;
    this.fired = 0;
    this.#foundSlot = 0;
    this.#foundTime = 0;
  }

  /**
   * Arms `t` to fire `us` microseconds from `clock.us` (at least 1; fractions are cut off; any length up to 2^52). A timer that
   * is armed already is moved. O(1), allocates nothing.
   */
  arm(t: Timer, us: number): void {
    if (t.slot >= 0) this.#unlink(t);
    // Nothing advances an empty wheel while a shard sleeps; its time may be any age.
    if (this.size === 0) this.#now = this.#clock.us;
    if (us < LAP) {
      t.laps = 0;
      t.deadline = (this.#clock.us + (us < 1 ? 1 : us | 0)) | 0;
    } else {
      t.laps = Math.floor(us / LAP) - 1;
      t.deadline = (this.#clock.us + LAP + (us % LAP)) | 0;
    }
    this.#insert(t);
  }

  /** Disarms `t`; nothing happens when it is not armed. O(1). */
  cancel(t: Timer): void {
    if (t.slot >= 0) this.#unlink(t);
  }

  /** Microseconds from `clock.us` until `t` fires, 0 when due; Float64 for long timers. -1 when not armed. */
  remaining(t: Timer): number {
    if (t.slot < 0) return -1;
    const us = ((t.deadline - this.#clock.us) | 0) + t.laps * LAP;
    return us < 0 ? 0 : us;
  }

  /**
   * Fires every timer whose deadline is at or before `nowUs` (int32 µs), in the order of their deadlines, equal ones in the order
   * in which they were armed. Callbacks may arm and cancel any timer; what they arm fires in a later `advance`. A `nowUs`
   * before that of an earlier call does nothing. To be called at least every 2^30 µs while timers are armed.
   */
  advance(nowUs: number): void {
    nowUs = nowUs | 0;
    while (this.size > 0 && this.#seek()) {
      const at = this.#foundTime;
      if (((nowUs - at) | 0) < 0) break;
      // A slot that lies behind the wheel's time holds overdue timers only; time does not go back for it.
      if (((at - this.#now) | 0) > 0) this.#now = at;
      if (this.#foundSlot < SLOTS) this.#fire(this.#foundSlot);
      else this.#cascade(this.#foundSlot);
    }
    if (((nowUs - this.#now) | 0) > 0) this.#now = nowUs;
  }

  /**
   * Microseconds from `clock.us` until a timer can be due: exact for near ones, early (never late) for far ones, whose slot has
   * to be looked into first. 0 when one is due, -1 when none is armed.
   */
  nextDeadline(): number {
    if (this.size === 0 || !this.#seek()) return -1;
    const us = (this.#foundTime - this.#clock.us) | 0;
    return us < 0 ? 0 : us;
  }

  #insert(t: Timer): void {
    // An overdue deadline (a frame's time may set the clock back a little) would be far in the future on the wheel.
    if (((t.deadline - this.#now) | 0) <= 0) t.deadline = (this.#now + 1) | 0;
    this.#place(t);
    this.size++;
  }

  /** Appends `t` to the slot of its deadline, which is not before the wheel's time. */
  #place(t: Timer): void {
    const differ = t.deadline ^ this.#now;
    const level = differ === 0 ? 0 : (31 - Math.clz32(differ)) >> 3;
    const slot = (level << 8) | ((t.deadline >>> (level << 3)) & 0xff);
    const tail = this.#tail[slot]!;
    t.slot = slot;
    t.prev = tail;
    t.next = null;
    if (tail === null) {
      this.#head[slot] = t;
      const word = slot >> 5;
      this.#occupied[word] = this.#occupied[word]! | (1 << (slot & 31));
    } else {
      tail.next = t;
    }
    this.#tail[slot] = t;
  }

  #unlink(t: Timer): void {
    const slot = t.slot;
    const { prev, next } = t;
    if (prev === null) this.#head[slot] = next;
    else prev.next = next;
    if (next === null) this.#tail[slot] = prev;
    else next.prev = prev;
    if (prev === null && next === null) {
      const word = slot >> 5;
      this.#occupied[word] = this.#occupied[word]! & ~(1 << (slot & 31));
    }
    t.slot = -1;
    t.prev = null;
    t.next = null;
    this.size--;
  }

  #fire(slot: number): void {
    let t: Timer | null = this.#head[slot]!;
    while (t !== null) {
      this.#unlink(t);
      if (t.laps > 0) {
        t.laps--;
        t.deadline = (t.deadline + LAP) | 0;
        this.#insert(t);
      } else {
        this.fired++;
        (t.fn as (arg: unknown) => void)(t.arg);
      }
      t = this.#head[slot]!;
    }
  }

  /** Moves the timers of a slot of level 1…3, whose time has begun, to the levels below. */
  #cascade(slot: number): void {
    let t: Timer | null = this.#head[slot]!;
    this.#head[slot] = null;
    this.#tail[slot] = null;
    const word = slot >> 5;
    this.#occupied[word] = this.#occupied[word]! & ~(1 << (slot & 31));
    while (t !== null) {
      const next: Timer | null = t.next;
      this.#place(t);
      t = next;
    }
  }

  /** Finds the occupied slot with the earliest start; false when there is none. */
  #seek(): boolean {
    for (let level = 0; level < LEVELS; level++) {
      const shift = level << 3;
      const here = (this.#now >>> shift) & 0xff;
      let found = this.#next(level, here);
      let base = level === LEVELS - 1 ? 0 : (this.#now >>> (shift + 8)) << (shift + 8);
      if (found < 0 && level === LEVELS - 1) {
        // The top level goes round: slots before the present one belong to the next turn.
        found = this.#next(level, 0);
        base = 0;
      }
      if (found >= 0) {
        this.#foundSlot = (level << 8) | found;
        this.#foundTime = base | (found << shift) | 0;
        return true;
      }
    }
    return false;
  }

  /** First occupied slot of `level` at or after `from`, or -1. */
  #next(level: number, from: number): number {
    const first = level * WORDS;
    let w = from >> 5;
    let bits = this.#occupied[first + w]! & (-1 << (from & 31));
    while (bits === 0) {
      if (++w === WORDS) return -1;
      bits = this.#occupied[first + w]!;
    }
    return (w << 5) | (31 - Math.clz32(bits & -bits));
  }
}
