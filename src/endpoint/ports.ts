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

/** Nobody knows whether SO_REUSEPORT lets another in. */
const ASK = 0;
/** All who bound the port had SO_REUSEPORT then: whoever has it may bind it too. */
const ANYBODY = 1;
/** The same of those who bound `reuseAddr` or any address. */
const AT_ADDRESS = 2;

/** A port, and what Linux remembers of it (inet_bind_bucket): who changes an option afterwards does not change that. */
interface Bucket {
  readonly owners: Set<PortOwner>;
  /** All who bound it had SO_REUSEADDR then, and none listens: whoever has it may bind it too. */
  reuse: boolean;
  /** One of the above. */
  reusePort: number;
  reuseAddr: number;
}

const meets = (a: number, b: number): boolean => a === 0 || b === 0 || a === b;

export class PortTable {
  readonly #byPort = new Map<number, Bucket>();
  readonly #watch: PortWatch | null;

  constructor(watch: PortWatch | null = null) {
    this.#watch = watch;
  }

  /**
   * True when `who` cannot have the port: another is bound to an address that is the same or any, and not both allow to share it.
   * Sockets with SO_REUSEADDR share a port as long as none listens, those with SO_REUSEPORT always.
   */
  #conflicts(who: PortOwner, b: Bucket): boolean {
    for (const o of b.owners) {
      if (o === who || !meets(o.rcvAddr, who.rcvAddr)) continue;
      if (who.reuseAddr && o.reuseAddr && !o.listening) continue;
      if (who.reusePort && o.reusePort) continue;
      return true;
    }
    return false;
  }

  /** SO_REUSEPORT lets it in without a look at the others (sk_reuseport_match). */
  #shares(who: PortOwner, b: Bucket): boolean {
    if (!who.reusePort || b.reusePort === ASK) return false;
    return b.reusePort === ANYBODY || meets(b.reuseAddr, who.rcvAddr);
  }

  /**
   * bind(2); and listen(2), which asks again for the port that the socket has.
   * @param listens it is about to listen
   * @returns false when it cannot have the port
   */
  bind(who: PortOwner, port: number, listens = false): boolean {
    const b = this.#byPort.get(port);
    const reuse = who.reuseAddr && !listens;
    if (b === undefined) {
      this.take(who, port);
      const made = this.#byPort.get(port)!;
      made.reuse = reuse;
      made.reusePort = who.reusePort ? ANYBODY : ASK;
      return true;
    }
    const shares = this.#shares(who, b);
    if (!shares && !(b.reuse && reuse) && this.#conflicts(who, b)) return false;
    if (!reuse) b.reuse = false;
    if (!who.reusePort) {
      b.reusePort = ASK;
    } else if (!shares) {
      b.reusePort = AT_ADDRESS;
      b.reuseAddr = who.rcvAddr;
    }
    if (!b.owners.has(who)) this.take(who, port);
    return true;
  }

  /** Enters who has the port already: a connection. */
  take(who: PortOwner, port: number): void {
    const b = this.#byPort.get(port);
    if (b !== undefined) b.owners.add(who);
    else this.#byPort.set(port, { owners: new Set([who]), reuse: false, reusePort: ASK, reuseAddr: 0 });
    this.#watch?.taken(who, port);
  }

  release(who: PortOwner, port: number): void {
    const b = this.#byPort.get(port);
    if (b === undefined || !b.owners.delete(who)) return;
    this.#watch?.released(who, port);
    if (b.owners.size === 0) this.#byPort.delete(port);
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
