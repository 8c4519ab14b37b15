/** The wait of a close with SO_LINGER: until all is acknowledged, the connection has ended, or the time is over. */
import { EWOULDBLOCK } from '../errno.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';

export class Linger {
  readonly #st: Stack;
  readonly #timer: Timer;
  readonly #done: (errno: number) => void;
  #over: boolean;

  /** Calls `done` once, in `ms` with EWOULDBLOCK unless `end` comes before. */
  constructor(st: Stack, ms: number, done: (errno: number) => void) {
    this.#st = st;
    this.#done = done;
    this.#over = false;
    this.#timer = new Timer((l: Linger) => l.end(EWOULDBLOCK), this);
    st.wheel.arm(this.#timer, ms * 1000);
  }

  end(errno: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#st.wheel.cancel(this.#timer);
    this.#done(errno);
  }
}
