import { setImmediate as nextRound } from 'node:timers/promises';
import type { Native } from '../driver/native.ts';
import type { TimerWheel } from '../stack/timers.ts';
import { UserError } from './errors.ts';
import type { ShardClock } from './shard-clock.ts';

/**
 * Time of a stack as a program outside of it may see and set it (spec/endpoint.md, CLOCK). A stack begins on the machine's clock. One
 * that has only Unix links can be put on virtual time, for good: it stands still then, but for two things.
 *
 *   advance(us)   goes on by so much. Each timer on the way fires at its own time; what it sends is with the kernel before time goes on.
 *   wait()        somebody waits: time jumps to the next timer as often as nothing comes in or goes out for a while.
 *
 * What comes in is taken in at the time that it is then.
 */

/** How long the links must have been quiet before time jumps, ms of the machine's clock: a peer that answers gets its turn first. */
const QUIET_MS = 5;
/**
 * Rounds of the event loop after that in which nothing came either: where the process was kept from running, what came meanwhile is still to be read, and
 * a peer in the same process has not even read yet what it answers to.
 */
const READ_ROUNDS = 3;
/** How long a peer may take to read what was sent to it before time goes on without it, ms of the machine's clock. */
const DRAIN_MS = 5000;
/** Longest step of `advance`, µs: 2^52. */
const ADVANCE_MAX = 2 ** 52;

/** The shard, as its time needs it. */
export interface TimedShard {
  readonly clock: ShardClock;
  readonly wheel: TimerWheel;
  /** One pass of the loop; true when there was something to do. */
  pass(): boolean;
  /** Called before the stack is used from outside a pass. */
  enter(): void;
  /** Frames that came in and went out so far, over all links. */
  frames(): number;
  /** Frames sent that the kernel has yet to take, over all links. */
  backlog(): number;
  /** Settles when there are none. */
  drained(): Promise<void>;
  /** Only Unix links: nothing comes in by the machine's time. */
  readonly canBeVirtual: boolean;
}

export class ShardTime {
  readonly #native: Pick<Native, 'readClock'>;
  readonly #shard: TimedShard;
  /** Who waits. */
  readonly #waiting: Set<object>;
  #jump: NodeJS.Timeout | null;
  /** What is being done with time, one thing after the other. */
  #work: Promise<void>;
  /** The peer did not read for DRAIN_MS, and has not since: it is not waited for again. */
  #stuck: boolean;
  #stopped: boolean;

  constructor(native: Pick<Native, 'readClock'>, shard: TimedShard) {
    this.#native = native;
    this.#shard = shard;
    this.#waiting = new Set();
    this.#jump = null;
    this.#work = Promise.resolve();
    this.#stuck = false;
    this.#stopped = false;
  }

  get virtual(): boolean {
    return this.#shard.clock.virtual;
  }

  /** µs since some time before the start, whole, Float64; virtual time goes on where the machine's was. */
  read(): number {
    return this.#shard.clock.now();
  }

  /** Puts the stack on virtual time; again changes nothing. @throws UserError for a stack with a network interface */
  setVirtual(): void {
    const { clock, canBeVirtual } = this.#shard;
    if (!canBeVirtual)
      throw new UserError('virtual time: allowed is a stack of Unix links only; a network has its own time');
    if (clock.virtual) return;
    this.#shard.enter();
    clock.freeze(this.#native);
    // The loop sleeps until the next timer of real time; it is to look again.
    this.#shard.enter();
    this.#schedule();
  }

  /**
   * Lets virtual time go on by `us`, whole, 0 to 2^52. Settles when all that was due is done and the kernel has what was sent.
   * @returns the time then
   * @throws UserError on the machine's time or for another `us`
   */
  async advance(us: number): Promise<number> {
    if (!this.virtual) throw new UserError('time is not virtual: set it so before it is advanced');
    if (!Number.isInteger(us) || us < 0 || us > ADVANCE_MAX) {
      throw new UserError(`advance by ${us}: allowed is a whole number of microseconds from 0 to 2^52`);
    }
    await this.#exclusively(() => this.#advance(us));
    return this.read();
  }

  /**
   * Somebody waits for something of the stack: as long as anybody does, virtual time jumps from timer to timer. On the machine's time
   * it changes nothing.
   * @returns to be called when the waiting is over; again changes nothing
   */
  wait(): () => void {
    const who = {};
    this.#waiting.add(who);
    this.#schedule();
    return () => {
      this.#waiting.delete(who);
      if (this.#waiting.size === 0 && this.#jump !== null) this.#cancel();
    };
  }

  /** No more jumps. */
  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #cancel(): void {
    if (this.#jump !== null) clearTimeout(this.#jump);
    this.#jump = null;
  }

  /** Looks again in QUIET_MS, as long as somebody waits: time jumps when no frame came or went since. */
  #schedule(): void {
    if (this.#jump !== null || this.#stopped || !this.virtual || this.#waiting.size === 0) return;
    const frames = this.#shard.frames();
    this.#jump = setTimeout(() => {
      this.#jump = null;
      void this.#exclusively(async () => {
        for (let i = 0; i < READ_ROUNDS; i++) await nextRound();
        if (this.#shard.frames() === frames) await this.#toNextTimer();
      }).finally(() => this.#schedule());
    }, QUIET_MS);
  }

  #exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }

  async #advance(us: number): Promise<void> {
    const { clock } = this.#shard;
    this.#settle();
    const end = clock.now() + us;
    for (let due = this.#due(); due >= 0 && clock.now() + due <= end; due = this.#due()) await this.#step(due);
    clock.forward(end - clock.now());
    this.#settle();
    await this.#drained();
  }

  /** Goes on to the time of the next timer that fires, if there is one. */
  async #toNextTimer(): Promise<void> {
    const { wheel } = this.#shard;
    if (this.#waiting.size === 0) return;
    this.#settle();
    const fired = wheel.fired;
    for (let due = this.#due(); due >= 0 && wheel.fired === fired; due = this.#due()) await this.#step(due);
    await this.#drained();
  }

  /** µs until the wheel has something to look at, at least 1; -1 when no timer is armed. */
  #due(): number {
    const due = this.#shard.wheel.nextDeadline();
    return due < 0 ? -1 : Math.max(1, due);
  }

  async #step(due: number): Promise<void> {
    this.#shard.clock.forward(due);
    this.#settle();
    if (this.#shard.backlog() > 0) await this.#drained();
  }

  /** Does all that there is to do at the present time. */
  #settle(): void {
    this.#shard.enter();
    while (this.#shard.pass());
  }

  /** The kernel has taken what was sent, or the peer has been given up on. */
  async #drained(): Promise<void> {
    if (this.#shard.backlog() === 0) this.#stuck = false;
    if (this.#shard.backlog() === 0 || this.#stuck) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#stuck = true;
        resolve();
      }, DRAIN_MS);
    });
    await Promise.race([this.#shard.drained(), late]);
    clearTimeout(timer);
    // What waited on an interface queue for room goes now.
    this.#settle();
  }
}
