/** Inpcb and the table that finds one by its flow, and the range of ephemeral ports. Listeners are found in listen-table.ts. */
import type { Random } from '../../rings/clock.ts';
import { type FlowKey, flowHash, V4_MAPPED } from '../flow.ts';
import type { RouteCache } from '../net/route.ts';
import type { Socket } from '../socket/socket.ts';
import type { Tcpcb } from './tcpcb.ts';

/** `struct inpcb`: addresses and ports of a connection, its flow id and its way to the socket and the control block. */
export class Inpcb {
  l0 = 0;
  l1 = 0;
  l2 = 0;
  l3 = 0;
  f0 = 0;
  f1 = 0;
  f2 = 0;
  f3 = 0;
  lport = 0;
  fport = 0;
  zone = 0;
  /** Non-zero and unique among live flows (spec/siftr.md section 13 rule 5); int32. */
  inp_flowid = 0;
  inp_flowtype = 0;
  /** Serial number of the connection in its shard, int32, wrapping: tells it from others that had or will have its addresses and ports. */
  inp_gencnt = 0;
  inp_ttl = 64;
  inp_tos = 0;
  /** What the user lets path MTU discovery do (SockOptValues.mtuDiscover): set don't-fragment; take smaller segments where ICMP asks for them. */
  inp_df = true;
  inp_pmtu = true;
  /** SIFTR's cycle in which `siftr_in` and `siftr_out` count, and the packets of it, int32 (spec/siftr.md section 14 item 7). */
  siftr_cycle = 0;
  siftr_in = 0;
  siftr_out = 0;
  /** What its last record in the cycle had that seldom changes (src/siftr/record.ts); null when there is none. */
  siftr_settled: Int32Array | null = null;
  tp: Tcpcb | null = null;
  inp_socket: Socket | null = null;
  readonly ro: RouteCache;
  /** Hash chain. */
  hash = 0;
  next: Inpcb | null = null;
  /** Entered in the flow directory under this hash; 0 when not. */
  dirHash = 0;

  constructor(ro: RouteCache) {
    this.ro = ro;
  }
}

export const IPPORT_EPHEMERALFIRST = 49152;
export const IPPORT_EPHEMERALLAST = 65535;

/** Buckets that one slice of a walk looks into. */
const SCAN_BUCKETS = 4096;

/** The 32 bits of `w` in reverse order, unsigned. */
function reverse32(w: number): number {
  let v = w;
  v = ((v >>> 1) & 0x55555555) | ((v & 0x55555555) << 1);
  v = ((v >>> 2) & 0x33333333) | ((v & 0x33333333) << 2);
  v = ((v >>> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4);
  v = ((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8);
  return ((v >>> 16) | (v << 16)) >>> 0;
}

/** Connections of one shard by flow; grows by doubling. */
export class TcbTable {
  count = 0;
  #heads: (Inpcb | null)[];
  #mask: number;
  readonly #seed: number;

  constructor(random: Random) {
    this.#heads = new Array(1024).fill(null);
    this.#mask = 1023;
    this.#seed = random.next32();
  }

  /** Exact match of addresses, ports and zone; listeners are not looked at. */
  lookup(k: FlowKey): Inpcb | null {
    const h = flowHash(k, this.#seed);
    let inp: Inpcb | null = this.#heads[h & this.#mask] ?? null;
    while (inp !== null) {
      if (
        inp.hash === h &&
        inp.f3 === k.f3 &&
        inp.fport === k.fport &&
        inp.lport === k.lport &&
        inp.l3 === k.l3 &&
        inp.f2 === k.f2 &&
        inp.l2 === k.l2 &&
        (k.f2 === V4_MAPPED ||
          (inp.f0 === k.f0 && inp.f1 === k.f1 && inp.l0 === k.l0 && inp.l1 === k.l1 && inp.zone === k.zone))
      ) {
        return inp;
      }
      inp = inp.next;
    }
    return null;
  }

  /** Enters a connection under its key. The caller has made sure that no other has the same. */
  insert(inp: Inpcb, k: FlowKey): void {
    inp.l0 = k.l0;
    inp.l1 = k.l1;
    inp.l2 = k.l2;
    inp.l3 = k.l3;
    inp.f0 = k.f0;
    inp.f1 = k.f1;
    inp.f2 = k.f2;
    inp.f3 = k.f3;
    inp.lport = k.lport;
    inp.fport = k.fport;
    inp.zone = k.zone;
    inp.hash = flowHash(k, this.#seed);
    if (this.count > this.#mask) this.#grow();
    const i = inp.hash & this.#mask;
    inp.next = this.#heads[i] ?? null;
    this.#heads[i] = inp;
    this.count++;
  }

  remove(inp: Inpcb): void {
    const i = inp.hash & this.#mask;
    let p: Inpcb | null = this.#heads[i] ?? null;
    if (p === inp) {
      this.#heads[i] = inp.next;
    } else {
      while (p !== null && p.next !== inp) p = p.next;
      if (p === null) throw new Error('connection is not in the table');
      p.next = inp.next;
    }
    inp.next = null;
    this.count--;
  }

  /** Calls `fn` for every connection; `fn` may close it. */
  forEach(fn: (inp: Inpcb) => void): void {
    for (let i = 0; i <= this.#mask; i++) {
      let p: Inpcb | null = this.#heads[i] ?? null;
      while (p !== null) {
        const next: Inpcb | null = p.next;
        fn(p);
        p = next;
      }
    }
  }

  /**
   * Calls `fn` for at most `max` connections from `cursor` on: a walk in slices, over a table that changes between them. The order is
   * that of the hash with its bits reversed, in which each bucket is an interval and stays one when the table doubles; so a walk
   * meets every connection that is there all the while exactly once. `fn` must leave the table alone.
   * @param cursor 0 at first, then what the call before gave
   * @returns the next cursor, or -1 when all have been seen
   */
  scan(cursor: number, max: number, fn: (inp: Inpcb) => void): number {
    const size = this.#mask + 1;
    const step = 0x1_0000_0000 / size;
    const batch: Inpcb[] = [];
    let left = max;
    let at = cursor;
    // Of a large table that few are left in, a part.
    for (let buckets = SCAN_BUCKETS; at < 0x1_0000_0000; buckets--) {
      if (buckets === 0) return at;
      const end = (Math.floor(at / step) + 1) * step;
      for (let p = this.#heads[reverse32(at) & this.#mask] ?? null; p !== null; p = p.next) {
        if (reverse32(p.hash) >= at) batch.push(p);
      }
      if (batch.length > left) {
        // The bucket is cut where a hash ends; what shares a whole hash with the last one taken stays together with it.
        batch.sort((a, b) => reverse32(a.hash) - reverse32(b.hash));
        let n = left;
        while (n > 0 && batch[n - 1]!.hash === batch[n]!.hash) n--;
        if (n === 0 && left === max) throw new Error(`more than ${max} connections share a hash`);
        for (let i = 0; i < n; i++) fn(batch[i]!);
        return reverse32(batch[n]!.hash);
      }
      for (let i = 0; i < batch.length; i++) fn(batch[i]!);
      left -= batch.length;
      batch.length = 0;
      at = end;
    }
    return -1;
  }

  #grow(): void {
    const old = this.#heads;
    this.#mask = old.length * 2 - 1;
    this.#heads = new Array(old.length * 2).fill(null);
    for (let i = 0; i < old.length; i++) {
      let p: Inpcb | null = old[i] ?? null;
      while (p !== null) {
        const next: Inpcb | null = p.next;
        const j = p.hash & this.#mask;
        p.next = this.#heads[j] ?? null;
        this.#heads[j] = p;
        p = next;
      }
    }
  }
}
