/** Listeners by port and address: one for each address and one for any, or a group of them that share it (SO_REUSEPORT). */
import { type FlowKey, flowHash } from '../flow.ts';
import type { Listener } from '../socket/listener.ts';
import type { SipKey } from './siphash.ts';

/** Those of one address, int32, 0 for any: more than one where all have SO_REUSEPORT. */
interface Group {
  readonly addr: number;
  members: readonly Listener[];
}

export class ListenTable {
  readonly #byPort = new Map<number, Group[]>();
  readonly #seed: number;
  #serial = 0;

  constructor(secret: SipKey) {
    this.#seed = secret.k[1]!;
  }

  /** Somebody listens on the address and port. */
  has(laddr: number, lport: number): boolean {
    return this.#group(laddr, lport) !== null;
  }

  /**
   * The listener for a SYN of this flow; null when none. One that is bound to the address comes before one bound to any. Of a group the flow's
   * addresses and ports choose, with a secret: the same one as long as the group stays as it is, and each for its share of all flows.
   */
  lookup(k: FlowKey): Listener | null {
    const members = this.#group(k.l3, k.lport)?.members;
    if (members === undefined) return null;
    const n = members.length;
    // The high bits of the product: the hash scaled to 0..n-1.
    const i = n === 1 ? 0 : Math.floor(((flowHash(k, this.#seed) >>> 0) * n) / 0x1_0000_0000);
    return members[i]!;
  }

  #group(laddr: number, lport: number): Group | null {
    const groups = this.#byPort.get(lport);
    if (groups === undefined) return null;
    let any: Group | null = null;
    for (let i = 0; i < groups.length; i++) {
      const g = groups[i]!;
      if (g.addr === laddr) return g;
      if (g.addr === 0) any = g;
    }
    return any;
  }

  /** False when the address and port are taken, and not both sides allow to share them. */
  add(l: Listener): boolean {
    const groups = this.#byPort.get(l.port) ?? [];
    const g = groups.find((o) => o.addr === l.addr);
    if (g === undefined) groups.push({ addr: l.addr, members: [l] });
    else if (!l.reusePort || !g.members.every((o) => o.reusePort)) return false;
    else g.members = [...g.members, l];
    this.#byPort.set(l.port, groups);
    l.serial = ++this.#serial;
    return true;
  }

  remove(l: Listener): void {
    const groups = this.#byPort.get(l.port);
    const at = groups?.findIndex((g) => g.members.includes(l)) ?? -1;
    if (groups === undefined || at < 0) return;
    const g = groups[at]!;
    g.members = g.members.filter((o) => o !== l);
    if (g.members.length === 0) groups.splice(at, 1);
    if (groups.length === 0) this.#byPort.delete(l.port);
  }

  all(): Listener[] {
    return [...this.#byPort.values()].flat().flatMap((g) => g.members);
  }
}
