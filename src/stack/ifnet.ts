import { stks } from '../metrics/layout.ts';
import type { Ifiqueue, Tap } from '../rings/ifiqueue.ts';
import { BPF_DIR_OUT } from '../rings/ifiqueue.ts';
import type { Ifqueue } from '../rings/ifqueue.ts';
import {
  COL_FLAGS,
  COL_FRAME,
  COL_HASH,
  COL_LENGTH,
  COL_OFFSET,
  COL_TIME,
  COL_VLAN,
  F_EOP,
  F_TX_IPCSUM,
  F_TX_L4CSUM,
  FRAME_SIZE,
  type Link,
  ROW,
  ROW_SHIFT,
} from '../rings/link.ts';
import type { Mbuf } from '../rings/mbuf.ts';
import { ENETDOWN, ENOBUFS } from './errno.ts';
import { INADDR_BROADCAST, prefixMask } from './net/in-addr.ts';
import type { Stack } from './stack.ts';
import { ETHER_GROUP, ethDstHi } from './wire/ether.ts';

/** Packets on the queue that start the transmitter at once; fewer wait for the end of the pass (default of `if_txmit`). */
export const IF_TXMIT = 16;
/** Rows of a transmit batch. */
const TX_BATCH = 64;
/** Times that one flush lets waiting senders fill the queue again before it returns to the loop. */
const FLUSH_ROUNDS = 4;

/** An address of an interface. */
export interface Ifaddr {
  /** IPv4 address, int32 in host order (192.0.2.1 is 0xc0000201 | 0). */
  readonly addr: number;
  readonly prefixLen: number;
  /** Directed broadcast address, or 0 for /31 and /32 (RFC 3021). */
  readonly broadcast: number;
}

export interface IfnetOptions {
  readonly name: string;
  readonly index: number;
  readonly queue: number;
  readonly mtu: number;
  readonly macHi: number;
  readonly macLo: number;
  readonly ifq: Ifqueue;
  readonly ifiq: Ifiqueue;
  readonly link: Link;
  /** Packets that start the transmitter at once, at least 1; default IF_TXMIT. */
  readonly txmit?: number;
  /** It carries IP packets without a link header; default false. */
  readonly bare?: boolean;
}

/** `struct ifnet`: an interface as one shard sees it, that is with the one queue of it that the shard serves. */
export class Ifnet {
  /** Name as the kernel has it, "ix1". */
  readonly name: string;
  /** Index in the stack's interface table. */
  readonly index: number;
  /** Queue of the interface that this shard serves. */
  readonly queue: number;
  readonly mtu: number;
  /** Station address as two words: bytes 0..1 and bytes 2..5. */
  readonly macHi: number;
  readonly macLo: number;
  readonly ifq: Ifqueue;
  readonly ifiq: Ifiqueue;
  readonly link: Link;
  /** Packets on the queue that start the transmitter at once (`if_txmit`). */
  readonly txmit: number;
  /** Frames are IP packets, without a link header and without neighbours to resolve (net/bare.ts); else they are Ethernet's. */
  readonly bare: boolean;
  /** IFF_RUNNING: output is refused with ENETDOWN while false. */
  running: boolean;
  /** Readers of the packets on the wire, or null. */
  bpf: Tap | null;
  /** Frames given to the link that have not come back. */
  txPending: number;
  /** The queue has fallen below half: `flush` is to call `st.ifqResume`. */
  resumeDue: boolean;
  /** A packet of several frames is being thrown away, up to its last row. */
  skipToEop: boolean;
  /** Replaced as a whole by ifaddrAdd and ifaddrDel. */
  addrs: readonly Ifaddr[];
  readonly txTable: Int32Array;
  readonly txMbufs: (Mbuf | null)[];
  readonly txDone: Int32Array;

  constructor(o: IfnetOptions) {
    this.name = o.name;
    this.index = o.index;
    this.queue = o.queue;
    this.mtu = o.mtu;
    this.macHi = o.macHi;
    this.macLo = o.macLo;
    this.ifq = o.ifq;
    this.ifiq = o.ifiq;
    this.link = o.link;
    this.txmit = o.txmit ?? IF_TXMIT;
    this.bare = o.bare ?? false;
    this.running = true;
    this.bpf = null;
    this.txPending = 0;
    this.resumeDue = false;
    this.skipToEop = false;
    this.addrs = [];
    this.txTable = new Int32Array(TX_BATCH * ROW);
    this.txMbufs = new Array<Mbuf | null>(TX_BATCH).fill(null);
    this.txDone = new Int32Array(256);
  }

  /** The address of ours on this interface that answers for `dst` (same subnet first), or 0 when it has none. */
  addrFor(dst: number): number {
    const addrs = this.addrs;
    for (let i = 0; i < addrs.length; i++) {
      const a = addrs[i]!;
      if (((a.addr ^ dst) & prefixMask(a.prefixLen)) === 0) return a.addr;
    }
    return addrs.length === 0 ? 0 : addrs[0]!.addr;
  }

  /** One of our addresses on this interface. */
  hasAddr(addr: number): boolean {
    const addrs = this.addrs;
    for (let i = 0; i < addrs.length; i++) {
      if (addrs[i]!.addr === addr) return true;
    }
    return false;
  }

  /** The limited broadcast address, or the directed one of a subnet of this interface. */
  isBroadcast(addr: number): boolean {
    if (addr === INADDR_BROADCAST) return true;
    const addrs = this.addrs;
    for (let i = 0; i < addrs.length; i++) {
      if (addrs[i]!.broadcast === addr && addr !== 0) return true;
    }
    return false;
  }
}

/** An interface address; computes the broadcast address. */
export function makeIfaddr(addr: number, prefixLen: number): Ifaddr {
  const broadcast = prefixLen >= 31 ? 0 : addr | ~prefixMask(prefixLen);
  return { addr: addr | 0, prefixLen, broadcast };
}

/**
 * Adds an address with its routes: the subnet, and the address itself as local. The same address again changes nothing.
 */
export function ifaddrAdd(st: Stack, ifp: Ifnet, addr: number, prefixLen: number): void {
  if (ifp.hasAddr(addr | 0)) return;
  const dst = addr & prefixMask(prefixLen);
  ifp.addrs = [...ifp.addrs, makeIfaddr(addr, prefixLen)];
  if (prefixLen < 32) st.routes.add({ dst, prefixLen, gateway: 0, ifp, connected: true });
  st.routes.add({ dst: addr, prefixLen: 32, gateway: 0, ifp, connected: true, local: true });
}

/** Removes an address and the routes that came with it, unless another address of the interface lies in the same subnet. */
export function ifaddrDel(st: Stack, ifp: Ifnet, addr: number): void {
  const old = ifp.addrs.find((a) => a.addr === (addr | 0));
  if (old === undefined) return;
  ifp.addrs = ifp.addrs.filter((a) => a !== old);
  st.routes.remove(old.addr, 32);
  const dst = old.addr & prefixMask(old.prefixLen);
  const shared = ifp.addrs.some((a) => a.prefixLen === old.prefixLen && (a.addr & prefixMask(a.prefixLen)) === dst);
  if (!shared && old.prefixLen < 32) st.routes.remove(dst, old.prefixLen);
}

/**
 * Queues a whole frame for sending (`if_enqueue`, T9) and takes it over. The transmitter starts at once when `txmit` packets
 * wait, else at the end of the pass (T10).
 *
 * @returns 0, ENETDOWN, or ENOBUFS when the queue refused the packet
 */
export function ifEnqueue(st: Stack, ifp: Ifnet, m: Mbuf): number {
  if (!ifp.running) {
    st.cnt[stks.stks_ether_netdown]!++;
    st.pool.put(m);
    return ENETDOWN;
  }
  const ifq = ifp.ifq;
  m.time = st.clock.us;
  const group = !ifp.bare && (ethDstHi(st.pool.dv, m.pos) & ETHER_GROUP) !== 0;
  if (!ifq.enqueue(m, group)) return ENOBUFS;
  if (ifq.len >= ifp.txmit || ifq.len >= ifq.maxlen) ifqStart(st, ifp);
  return 0;
}

/** Moves packets from the queue to the link while both have something to give (`ifq_start` and the driver's start routine, T11). */
export function ifqStart(st: Stack, ifp: Ifnet): void {
  const ifq = ifp.ifq;
  const link = ifp.link;
  const table = ifp.txTable;
  const mbufs = ifp.txMbufs;
  while (ifq.len > 0 && !ifq.oactive && ifp.running) {
    const room = link.txRoom();
    if (room <= 0) {
      ifq.setOactive();
      break;
    }
    const want = Math.min(room, ifq.len, TX_BATCH);
    for (let i = 0; i < want; i++) {
      const m = ifq.dequeue()!;
      if (ifp.bpf !== null) ifp.bpf.tap(m, BPF_DIR_OUT);
      const row = i << ROW_SHIFT;
      mbufs[i] = m;
      table[row + COL_FRAME] = m.frame;
      table[row + COL_OFFSET] = m.pos & (FRAME_SIZE - 1);
      table[row + COL_LENGTH] = m.len;
      table[row + COL_FLAGS] = (m.flags & (F_TX_IPCSUM | F_TX_L4CSUM)) | F_EOP;
      table[row + COL_HASH] = m.flowid;
      table[row + COL_VLAN] = m.vlan;
      table[row + COL_TIME] = m.time;
    }
    const taken = link.transmit(table, want);
    ifp.txPending += taken;
    // A link that sends within the call gives the frames back at once: used again while they are in the cache.
    if (ifp.txPending >= TX_BATCH) ifReclaim(st, ifp);
    for (let i = taken; i < want; i++) {
      // There was room, so the link refused the packet itself.
      ifq.countError();
      st.pool.put(mbufs[i]!);
    }
  }
  if (ifq.wasHalfFull && !ifq.halfFull) {
    ifq.wasHalfFull = false;
    ifp.resumeDue = true;
  }
}

/** Takes completed frames back into the pool; the queue starts again when they have made room (`ifq_restart`, T12). */
export function ifReclaim(st: Stack, ifp: Ifnet): void {
  const done = ifp.txDone;
  while (ifp.txPending > 0) {
    const n = ifp.link.reclaim(done);
    for (let i = 0; i < n; i++) st.pool.putFrame(done[i]!);
    ifp.txPending -= n;
    if (n < done.length) break;
  }
  if (ifp.ifq.oactive && ifp.link.txRoom() > 0) ifp.ifq.clrOactive();
}

/**
 * End of a pass: completions come back, what waits is sent, and senders that stopped at a half full queue are resumed here, not
 * from inside the send path of one of them.
 *
 * @returns true when there is more to do at once
 */
export function ifFlush(st: Stack, ifp: Ifnet): boolean {
  ifReclaim(st, ifp);
  ifqStart(st, ifp);
  for (let i = 0; ifp.resumeDue && i < FLUSH_ROUNDS; i++) {
    ifp.resumeDue = false;
    if (st.ifqResume === null) break;
    st.ifqResume(ifp);
    ifqStart(st, ifp);
  }
  return ifp.resumeDue;
}
