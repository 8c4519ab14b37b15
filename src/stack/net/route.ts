import { ips } from '../../metrics/layout.ts';
import type { Ifnet } from '../ifnet.ts';
import type { Stack } from '../stack.ts';
import type { ArpEntry } from './arp.ts';
import { inetNtoa, prefixMask } from './in-addr.ts';

/** A route. Immutable: a change replaces it and moves the table's generation. */
export interface Route {
  /** First address of the destination prefix. */
  readonly dst: number;
  readonly prefixLen: number;
  /** Next hop, or 0 when the destination is on the link. */
  readonly gateway: number;
  readonly ifp: Ifnet;
  /** Largest packet, IP header included. */
  readonly mtu: number;
  /** Source address for new flows, or 0: the interface's best. */
  readonly src: number;
  /** The prefix of an interface's own address. */
  readonly connected: boolean;
  /** An address of ours: nothing is sent there, for there is no loopback interface. */
  readonly local: boolean;
}

export interface RouteOptions {
  readonly dst: number;
  readonly prefixLen: number;
  readonly gateway: number;
  readonly ifp: Ifnet;
  readonly mtu?: number;
  readonly src?: number;
  readonly connected?: boolean;
  readonly local?: boolean;
}

/**
 * What a flow remembers of its last lookup, the ARP entry of its next hop included. Valid as long as the generations agree;
 * embed one a connection.
 */
export class RouteCache {
  gen: number;
  dst: number;
  route: Route | null;
  llgen: number;
  ll: ArpEntry | null;

  constructor() {
    this.gen = -1;
    this.dst = 0;
    this.route = null;
    this.llgen = -1;
    this.ll = null;
  }
}

/** Routes of one prefix length, by masked destination. */
interface Level {
  readonly mask: number;
  readonly prefixLen: number;
  readonly routes: Map<number, Route>;
}

/** The routing table: a hash a prefix length, longest first. Tables here have few lengths, so few probes. */
export class RouteTable {
  /** Changes with every change of the table. */
  gen: number;
  #levels: readonly Level[];

  constructor() {
    this.gen = 0;
    this.#levels = [];
  }

  /**
   * Adds a route, or replaces the one to the same prefix. Throws a RangeError for a prefix length outside 0..32, and for a
   * destination that has bits beyond its prefix.
   */
  add(r: RouteOptions): Route {
    const { dst, prefixLen, gateway, ifp } = r;
    if (!Number.isInteger(prefixLen) || prefixLen < 0 || prefixLen > 32)
      throw new RangeError(`prefix length ${prefixLen}`);
    const mask = prefixMask(prefixLen);
    if ((dst & mask) !== (dst | 0)) throw new RangeError(`${inetNtoa(dst)}/${prefixLen} has host bits set`);
    const route: Route = {
      dst: dst | 0,
      prefixLen,
      gateway: gateway | 0,
      ifp,
      mtu: Math.min(r.mtu ?? ifp.mtu, ifp.mtu),
      src: (r.src ?? 0) | 0,
      connected: r.connected ?? false,
      local: r.local ?? false,
    };
    let level = this.#levels.find((l) => l.prefixLen === prefixLen);
    if (level === undefined) {
      level = { mask, prefixLen, routes: new Map() };
      this.#levels = [...this.#levels, level].sort((a, b) => b.prefixLen - a.prefixLen);
    }
    level.routes.set(dst | 0, route);
    this.gen = (this.gen + 1) | 0;
    return route;
  }

  /** Removes the route to exactly this prefix; false when there is none. */
  remove(dst: number, prefixLen: number): boolean {
    const level = this.#levels.find((l) => l.prefixLen === prefixLen);
    if (level === undefined || !level.routes.delete(dst | 0)) return false;
    if (level.routes.size === 0) this.#levels = this.#levels.filter((l) => l !== level);
    this.gen = (this.gen + 1) | 0;
    return true;
  }

  /** Removes every route; caches notice. */
  clear(): void {
    this.#levels = [];
    this.gen = (this.gen + 1) | 0;
  }

  /** The route with the longest prefix that holds `dst`, or null. */
  lookup(dst: number): Route | null {
    const levels = this.#levels;
    for (let i = 0; i < levels.length; i++) {
      const level = levels[i]!;
      const route = level.routes.get(dst & level.mask);
      if (route !== undefined) return route;
    }
    return null;
  }

  /** All routes, longest prefix first. Not for the packet path. */
  list(): Route[] {
    return this.#levels.flatMap((l) => [...l.routes.values()]);
  }
}

/** The route to `dst`, from `ro` while it is current (`ips_rtcachehit`), else from the table (`ips_rtcachemiss`); null: none. */
export function routeLookup(st: Stack, dst: number, ro: RouteCache | null): Route | null {
  if (ro === null) return st.routes.lookup(dst);
  if (ro.gen === st.routes.gen && ro.dst === dst && ro.route !== null) {
    st.cnt[ips.ips_rtcachehit]!++;
    return ro.route;
  }
  st.cnt[ips.ips_rtcachemiss]!++;
  ro.route = st.routes.lookup(dst);
  ro.gen = st.routes.gen;
  ro.dst = dst;
  ro.ll = null;
  return ro.route;
}
