import { type Native, WAKE } from '../driver/native.ts';
import type { ShardClock } from './shard-clock.ts';

/** What the loop drives: the work of one shard. */
export interface ShardWork {
  /** One pass over everything that may have something to do; true when there was. The clock is up to date on return. */
  pass(): boolean;
  /** µs until the next timer is due (0 or less: now), or -1 when none is armed. */
  untilTimer(): number;
  /** µs until a packet is to be released to the microsecond, a part of what `untilTimer` waits for; 0 when due, -1 when there is none. */
  untilRelease(): number;
  /** Tells the other shards that this one sleeps, or no longer does. */
  setSleeping(on: boolean): void;
  /** Packets are being sent by another thread, so many that looking for received ones again at once is worth little. */
  sending(): boolean;
  /** There is work that no file descriptor announces: packets in a hand-over ring, frames that wait to be sent. */
  hasWork(): boolean;
}

export interface ShardLoopOptions {
  /** Queue handles of this thread. */
  readonly queues: Int32Array;
  /** Eventfd by which others wake this shard, or -1. */
  readonly eventfd: number;
  /** Never sleep. */
  readonly busyPoll: boolean;
  /** How long passes may find nothing before the loop goes to sleep, µs. */
  readonly idleUs?: number;
}

/** Passes in a row before the event loop gets its turn (messages, timers of the application). */
const PASSES_A_TURN = 16;
/** Passes more in a turn while a release is near. */
const SPINS_A_TURN = 512;
const IDLE_US = 30;
/**
 * How long a pass that found nothing to do is put off while another thread sends, µs: interrupt moderation, so to say. Spinning, the
 * shard would take a processor from the receiver whose ACKs it waits for, and handle each ACK by itself.
 */
const NAP_US = 100;
/**
 * The shard is up some time before a release and spins for it: waking takes a while, longer the deeper the processor sleeps. The time follows
 * what wake-ups take, so that one in twenty takes longer: a step up for each that does, a twentieth down for each other one. µs.
 */
const LEAD = { FIRST: 100, LEAST: 30, MOST: 500, UP: 20, DOWN: 1, MARGIN: 10 } as const;

/**
 * The event loop of a shard (DESIGN.md, "Shards"): it spins while there is work; idle, it sleeps in the thread's event loop on its
 * sockets, its eventfd and one timerfd armed for the timing wheel's next deadline.
 *
 *   spinning --(idle for 30 µs)--> sleeping flag set, hand-over rings looked at again --(empty)--> asleep
 *      ^                                                                            |              |
 *      +------------------------------(not empty)-----------------------------------+              |
 *      +--------------------(socket, eventfd, timerfd or wake())---------------------------------- +
 */
export class ShardLoop {
  readonly #native: Native;
  readonly #work: ShardWork;
  readonly #clock: ShardClock;
  readonly #poll: number;
  readonly #busyPoll: boolean;
  readonly #idleUs: number;
  readonly #turn: () => void;
  #state: 'new' | 'spinning' | 'asleep' | 'stopped';
  #inPass: boolean;
  /** µs before a release from which on the shard stays awake. */
  #lead: number;
  /** The timerfd is armed for the sake of a release, and when it should fire, in `clock.us`. */
  #forRelease: boolean;
  #wakeAt: number;
  /** `clock.us` of the last pass that had work. */
  #lastWork: number;
  /** The last pass had work. */
  #worked: boolean;
  #onError: ((err: unknown) => void) | null;

  constructor(native: Native, work: ShardWork, clock: ShardClock, options: ShardLoopOptions) {
    this.#native = native;
    this.#work = work;
    this.#clock = clock;
    this.#busyPoll = options.busyPoll;
    this.#idleUs = options.idleUs ?? IDLE_US;
    this.#poll = native.openPoll(options.queues, options.eventfd, clock.page, (mask) => this.#woken(mask));
    this.#turn = () => this.#spin();
    this.#state = 'new';
    this.#inPass = false;
    this.#lead = LEAD.FIRST;
    this.#forRelease = false;
    this.#wakeAt = 0;
    this.#lastWork = 0;
    this.#worked = false;
    this.#onError = null;
  }

  /** Called with what a pass throws; the loop has stopped then. */
  set onError(fn: ((err: unknown) => void) | null) {
    this.#onError = fn;
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'asleep';
    this.wake();
  }

  /**
   * Called before the stack is used from outside a pass (a message, a timer of the application): sets the clock, and makes sure that
   * a pass follows which sends what is queued.
   */
  wake(): void {
    if (this.#inPass || this.#state === 'stopped' || this.#state === 'new') return;
    this.#clock.read(this.#native);
    if (this.#state === 'spinning') return;
    this.#native.pollStop(this.#poll);
    this.#work.setSleeping(false);
    this.#state = 'spinning';
    this.#lastWork = this.#clock.us;
    setImmediate(this.#turn);
  }

  /** Ends the loop; idempotent. */
  stop(): void {
    if (this.#state === 'stopped') return;
    if (this.#state === 'asleep') this.#native.pollStop(this.#poll);
    this.#state = 'stopped';
    this.#work.setSleeping(false);
    this.#native.closePoll(this.#poll);
  }

  #woken(mask: number): void {
    if (this.#state !== 'asleep') return;
    this.#native.pollStop(this.#poll);
    this.#work.setSleeping(false);
    this.#clock.sync();
    if (this.#forRelease && (mask & WAKE.TIMER) !== 0) this.#learnLead((this.#clock.us - this.#wakeAt) | 0);
    this.#state = 'spinning';
    this.#lastWork = this.#clock.us;
    this.#spin();
  }

  #spin(): void {
    if (this.#state !== 'spinning') return;
    try {
      this.#inPass = true;
      let spins = 0;
      for (let i = 0; i < PASSES_A_TURN && this.#state === 'spinning'; i++) {
        this.#worked = this.#work.pass();
        if (this.#worked) this.#lastWork = this.#clock.us;
        else if (spins < SPINS_A_TURN && this.#releaseWithin(this.#lead)) {
          // A turn of the event loop would take longer than what is left.
          spins++;
          i--;
        } else if (!this.#busyPoll && this.#work.sending() && !this.#releaseWithin(this.#lead + 2 * NAP_US))
          this.#nap();
        else if (!this.#busyPoll && this.#idle()) break;
      }
    } catch (err) {
      this.stop();
      if (this.#onError === null) throw err;
      this.#onError(err);
      return;
    } finally {
      this.#inPass = false;
    }
    // A pass may have stopped the loop.
    if ((this.#state as string) !== 'spinning') return;
    if (this.#busyPoll || !this.#idle() || !this.#sleep()) {
      setImmediate(this.#turn);
    }
  }

  /** Nothing has been found to do for a while; on a clock that stands still, in the last pass. */
  #idle(): boolean {
    return this.#clock.virtual ? !this.#worked : ((this.#clock.us - this.#lastWork) | 0) > this.#idleUs;
  }

  #learnLead(late: number): void {
    if (late > this.#lead - LEAD.MARGIN) this.#lead = Math.min(LEAD.MOST, this.#lead + LEAD.UP);
    else this.#lead = Math.max(LEAD.LEAST, this.#lead - LEAD.DOWN);
  }

  #releaseWithin(us: number): boolean {
    const left = this.#work.untilRelease();
    return left >= 0 && left <= us;
  }

  #nap(): void {
    this.#native.nap(NAP_US);
    this.#clock.read(this.#native);
    this.#lastWork = this.#clock.us;
  }

  /** Goes to sleep unless something came in meanwhile. */
  #sleep(): boolean {
    const work = this.#work;
    if (this.#releaseWithin(this.#lead)) return false;
    work.setSleeping(true);
    // Others look at the flag after they have put something into a ring: what was put there before the flag is seen now.
    if (work.hasWork()) {
      work.setSleeping(false);
      return false;
    }
    const release = work.untilRelease();
    const timer = work.untilTimer();
    const early = Math.max(0, release - this.#lead);
    this.#forRelease = release >= 0 && (timer < 0 || early < timer);
    const us = this.#forRelease ? early : timer;
    this.#wakeAt = (this.#clock.us + us) | 0;
    this.#native.armTimer(this.#poll, us);
    this.#native.pollStart(this.#poll);
    this.#state = 'asleep';
    return true;
  }
}
