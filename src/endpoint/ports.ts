/** Which local ports are taken, and who may share one: the rules of bind(2) and listen(2) on Linux (inet_csk_bind_conflict). */
import { IPPORT_EPHEMERALFIRST, IPPORT_EPHEMERALLAST } from '../stack/tcp/tcb.ts';

/** What the table asks of a socket that has a port. */
export interface PortOwner {
  /** Local address that it is bound to, int32; 0 for any. */
  readonly rcvAddr: number;
  readonly reuseAddr: boolean;
  readonly reusePort: boolean;
  readonly listening: boolean;
}

/** Told of what is taken and released: another thread has the table that decides. */
export interface PortWatch {
  taken(who: PortOwner, port: number): void;
  released(who: PortOwner, port: number): void;
}

export class PortTable {
  readonly #byPort = new Map<number, Set<PortOwner>>();
  readonly #watch: PortWatch | null;

  constructor(watch: PortWatch | null = null) {
    this.#watch = watch;
  }

  /**
   * True when `who` cannot have the port: another is bound to an address that is the same or any, and not both allow to share it.
   * Sockets with SO_REUSEADDR share a port as long as none listens, those with SO_REUSEPORT always.
   */
  conflicts(who: PortOwner, port: number): boolean {
    for (const o of this.#byPort.get(port) ?? []) {
      if (o === who || (o.rcvAddr !== 0 && who.rcvAddr !== 0 && o.rcvAddr !== who.rcvAddr)) continue;
      if (who.reuseAddr && o.reuseAddr && !o.listening) continue;
      if (who.reusePort && o.reusePort) continue;
      return true;
    }
    return false;
  }

  take(who: PortOwner, port: number): void {
    const set = this.#byPort.get(port);
    if (set === undefined) this.#byPort.set(port, new Set([who]));
    else set.add(who);
    this.#watch?.taken(who, port);
  }

  release(who: PortOwner, port: number): void {
    const set = this.#byPort.get(port);
    if (set === undefined || !set.delete(who)) return;
    this.#watch?.released(who, port);
    if (set.size === 0) this.#byPort.delete(port);
  }

  /** A port of the dynamic range that nobody has, from a random one on (RFC 6056 section 3.3.1); 0 when there is none. */
  pick(random: number, usable: (port: number) => boolean): number {
    const range = IPPORT_EPHEMERALLAST - IPPORT_EPHEMERALFIRST + 1;
    let at = (random >>> 0) % range;
    for (let i = 0; i < range; i++) {
      const port = IPPORT_EPHEMERALFIRST + at;
      if (!this.#byPort.has(port) && usable(port)) return port;
      at = at + 1 === range ? 0 : at + 1;
    }
    return 0;
  }
}
