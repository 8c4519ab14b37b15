/**
 * Connections of a listener that wait for their first data before anyone is asked to accept them (TCP_DEFER_ACCEPT of Linux, an accept
 * filter of BSD). The handshake is answered as ever; a peer that only connects costs a control block, not the application's time.
 */
import { tcps } from '../../metrics/layout.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';
import type { Socket } from './socket.ts';

export class DeferQueue {
  readonly #st: Stack;
  readonly #ready: (so: Socket) => void;
  /** Each with the timer that ends its wait, oldest first. */
  readonly #waiting: Map<Socket, Timer>;

  /** `ready` is told of each connection whose wait is over. */
  constructor(st: Stack, ready: (so: Socket) => void) {
    this.#st = st;
    this.#ready = ready;
    this.#waiting = new Map();
  }

  /** Lets a connection wait `ms` at most. The oldest is reset when more than `most` wait, as BSD does. */
  add(so: Socket, ms: number, most: number): void {
    const timer = new Timer((s: Socket) => this.done(s), so);
    this.#st.wheel.arm(timer, ms * 1000);
    this.#waiting.set(so, timer);
    if (this.#waiting.size <= most) return;
    for (const oldest of this.#waiting.keys()) {
      this.#st.cnt[tcps.tcps_deferdrop]!++;
      oldest.abort();
      return;
    }
  }

  /** Data or a FIN has come, or the time is over. */
  done(so: Socket): void {
    if (this.remove(so)) this.#ready(so);
  }

  /** The connection waits no longer; false when it did not. */
  remove(so: Socket): boolean {
    const timer = this.#waiting.get(so);
    if (timer === undefined) return false;
    this.#waiting.delete(so);
    this.#st.wheel.cancel(timer);
    return true;
  }

  /** Resets all that wait. */
  abort(): void {
    for (const so of [...this.#waiting.keys()]) so.abort();
  }
}
