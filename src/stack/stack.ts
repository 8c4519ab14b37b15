import { stks } from '../metrics/layout.ts';
import type { Clock, Random } from '../rings/clock.ts';
import { COL_IFINDEX } from '../rings/handover.ts';
import {
  COL_FLAGS,
  COL_FRAME,
  COL_HASH,
  COL_LENGTH,
  COL_OFFSET,
  COL_TIME,
  COL_VLAN,
  F_EOP,
  FLAGS_HASHTYPE_SHIFT,
  FRAME_SHIFT,
  ROW_SHIFT,
} from '../rings/link.ts';
import type { FramePool, Mbuf } from '../rings/mbuf.ts';
import { MbufList } from '../rings/mbuf-list.ts';
import { FlowKey } from './flow.ts';
import { Ifnet, type IfnetOptions, ifFlush } from './ifnet.ts';
import { ArpTable } from './net/arp.ts';
import { bareInput } from './net/bare.ts';
import { etherInput } from './net/ether.ts';
import { Icmp, icmpInput } from './net/icmp.ts';
import { Pfil } from './net/pfil.ts';
import { RouteTable } from './net/route.ts';
import type { Tunables } from './sysctl.ts';
import type { Tcp } from './tcp/tcp.ts';
import { TimerWheel } from './timers.ts';
import { IPPROTO_ICMP } from './wire/ipv4.ts';

/**
 * Input of a transport protocol (`pr_input`). `m.l3` is the absolute position of the IP header, `m.pos` and `m.l4` that of the
 * transport header, `m.len` the length from there to the end of the datagram (link padding trimmed). The protocol owns `m` from
 * here on and frees it with `st.pool.put(m)`. M_BCAST or M_MCAST in `m.mflags`: link or network address was a group address.
 */
export type ProtoInput = (st: Stack, m: Mbuf) => void;

/**
 * An ICMP error about a packet that the protocol sent (`pr_ctlinput`): `m.pos` is at the quoted IP header, `m.len` reaches to the
 * end of the quotation, at least 8 bytes beyond that header. `mtu` is the next-hop MTU of "fragmentation needed", else 0. The
 * packet stays the caller's.
 */
export type ProtoCtlinput = (st: Stack, type: number, code: number, m: Mbuf, mtu: number) => void;

/** The flow directory as TCP uses it (steer.ts): which shard owns the flow with an RSS hash. */
export interface FlowDir {
  /** Claims `hash` for `shard` and counts the use. Returns the owner, another shard's when that was first; -1 when there is no room. */
  insert(hash: number, shard: number): number;
  /** Ends one use of `hash`. */
  remove(hash: number): void;
}

export interface StackOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** COUNTER_SLOTS words of this shard. */
  readonly cnt: Float64Array;
  readonly pool: FramePool;
  readonly tune: Tunables;
  readonly shard: number;
  readonly nshards: number;
  /**
   * Four random words that all shards have in common, the root of what a peer must not guess: a SYN cookie that one shard gave is
   * answered to another. Absent or null: words of `random`.
   */
  readonly secret?: ArrayLike<number> | null;
}

/** Everything that a shard's stack holds. A pass of the shard's loop is `input`, `inputHandedOver`, `runTimers`, `flush`. */
export class Stack {
  readonly clock: Clock;
  readonly random: Random;
  /** Counters of this shard, indexed by the slots of src/metrics/layout.ts (`st.cnt[ips.ips_total]!++`). */
  readonly cnt: Float64Array;
  readonly pool: FramePool;
  readonly tune: Tunables;
  readonly shard: number;
  readonly nshards: number;
  /** See StackOptions; null where the shard is alone. */
  readonly secret: ArrayLike<number> | null;
  readonly wheel: TimerWheel;
  readonly ifnets: Ifnet[];
  readonly routes: RouteTable;
  readonly arp: ArpTable;
  readonly icmp: Icmp;
  readonly pfil: Pfil;
  /** Transport protocols by IP protocol number. */
  readonly protosw: (ProtoInput | null)[];
  readonly ctlinput: (ProtoCtlinput | null)[];
  /** The packet's flow, filled by tcpInput; reused. */
  readonly flow: FlowKey;
  /** Set by tcpInit. */
  tcp: Tcp;
  /**
   * Decides the owner shard of a received frame (`m.pos` at the Ethernet header); null with one shard. True: it was handed over and
   * is no longer ours.
   */
  steer: ((m: Mbuf) => boolean) | null;
  /** Flow directory, shared by all shards; null with one shard. */
  dir: FlowDir | null;
  /** Gives a received packet to another shard; null with one shard. */
  handOver: ((m: Mbuf, shard: number) => void) | null;
  /** Whether a TCP packet belongs to a connection of this shard (`m.l3` and `m.l4` set); asked before the flow directory. */
  hasLocalFlow: ((m: Mbuf) => boolean) | null;
  /** Senders that stopped because `ifp.ifq` was half full may go on; called from `flush`. */
  ifqResume: ((ifp: Ifnet) => void) | null;
  /** An ARP reply or a request for us told a station address: for the other shards' `arp.learn`. */
  onArpResolved: ((ifp: Ifnet, addr: number, macHi: number, macLo: number) => void) | null;
  /** A thing that a person ought to know; rate-limited by the caller. */
  onWarning: ((text: string) => void) | null;
  /** End of a pass, before the interface queues are started: what a transport put off until now (ACKs that stand for many segments). */
  passEnd: (() => void) | null;
  /** End of a pass: wakes the shards that were handed something. */
  onFlush: (() => void) | null;
  readonly #rxList: MbufList;

  constructor(o: StackOptions) {
    this.clock = o.clock;
    this.random = o.random;
    this.cnt = o.cnt;
    this.pool = o.pool;
    this.tune = o.tune;
    this.shard = o.shard;
    this.nshards = o.nshards;
    this.secret = o.secret ?? null;
    this.wheel = new TimerWheel(o.clock);
    this.ifnets = [];
    this.routes = new RouteTable();
    this.protosw = new Array<ProtoInput | null>(256).fill(null);
    this.ctlinput = new Array<ProtoCtlinput | null>(256).fill(null);
    this.flow = new FlowKey();
    this.pfil = new Pfil();
    this.tcp = null as never;
    this.steer = null;
    this.dir = null;
    this.handOver = null;
    this.hasLocalFlow = null;
    this.ifqResume = null;
    this.onArpResolved = null;
    this.onWarning = null;
    this.passEnd = null;
    this.onFlush = null;
    this.#rxList = new MbufList();
    this.arp = new ArpTable(this);
    this.icmp = new Icmp(this);
    this.protosw[IPPROTO_ICMP] = icmpInput;
  }

  /** Adds an interface; its index is its place in `ifnets`, the same in every shard. Addresses and routes come separately. */
  ifAttach(o: Omit<IfnetOptions, 'index'>): Ifnet {
    const ifp = new Ifnet({ ...o, index: this.ifnets.length });
    this.ifnets.push(ifp);
    return ifp;
  }

  /**
   * One receive pass (R1 to R7): `n` rows of `table` from `ifp` go all the way up.
   *
   * @returns true when the input queue is so long that the link ought to receive less
   */
  input(ifp: Ifnet, table: Int32Array, n: number): boolean {
    const list = this.#rxList;
    for (let i = 0; i < n; i++) {
      const row = i << ROW_SHIFT;
      const m = this.#fromRow(table, row);
      m.rcvif = ifp.index;
      if ((m.flags & F_EOP) === 0 || ifp.skipToEop) this.#skipFrame(ifp, m);
      else list.enqueue(m);
    }
    const livelock = ifp.ifiq.input(list, ifp.bpf);
    if (ifp.ifiq.takeAll(list)) {
      for (let m = list.dequeue(); m !== null; m = list.dequeue()) {
        if (ifp.bare) {
          bareInput(this, ifp, m);
          continue;
        }
        if (this.steer?.(m)) continue;
        etherInput(this, ifp, m);
      }
    }
    return livelock;
  }

  /** A frame that another shard received on interface `m.rcvif` and handed over: enters at etherInput. */
  inputHandedOver(m: Mbuf): void {
    this.cnt[stks.stks_handover_in]!++;
    etherInput(this, this.ifnets[m.rcvif]!, m);
  }

  /** The same for `n` rows of a hand-over ring; word 7 of a row is the interface. */
  inputHandedOverRows(table: Int32Array, n: number): void {
    for (let i = 0; i < n; i++) {
      const row = i << ROW_SHIFT;
      const m = this.#fromRow(table, row);
      m.rcvif = table[row + COL_IFINDEX]!;
      this.inputHandedOver(m);
    }
  }

  /** Runs due timers; sets nothing on the clock (the shard does). */
  runTimers(): void {
    this.wheel.advance(this.clock.us);
  }

  /**
   * End of a pass: reclaims completions, starts every interface queue that has packets, resumes senders, wakes other shards.
   *
   * @returns true when there is more to do at once: the shard should not sleep
   */
  flush(): boolean {
    let more = false;
    if (this.passEnd !== null) this.passEnd();
    for (let i = 0; i < this.ifnets.length; i++) {
      if (ifFlush(this, this.ifnets[i]!)) more = true;
    }
    if (this.onFlush !== null) this.onFlush();
    return more;
  }

  /** Our address on the way to `dst` (RFC 1122 section 3.3.4.3), or 0 when there is no route. */
  sourceFor(dst: number): number {
    const route = this.routes.lookup(dst);
    if (route === null) return 0;
    if (route.src !== 0) return route.src;
    return route.ifp.addrFor(route.gateway === 0 ? dst : route.gateway);
  }

  /** True when `addr` is an address of any of our interfaces. */
  isLocal(addr: number): boolean {
    for (let i = 0; i < this.ifnets.length; i++) {
      if (this.ifnets[i]!.hasAddr(addr)) return true;
    }
    return false;
  }

  #fromRow(table: Int32Array, row: number): Mbuf {
    const m = this.pool.mbufOf(table[row + COL_FRAME]!);
    const flags = table[row + COL_FLAGS]!;
    m.pos = (m.frame << FRAME_SHIFT) + table[row + COL_OFFSET]!;
    m.len = table[row + COL_LENGTH]!;
    m.flags = flags;
    m.flowid = table[row + COL_HASH]!;
    m.hashType = (flags >> FLAGS_HASHTYPE_SHIFT) & 0xff;
    m.vlan = table[row + COL_VLAN]!;
    m.time = table[row + COL_TIME]!;
    m.l2 = -1;
    m.l3 = -1;
    m.l4 = -1;
    m.mflags = 0;
    m.prio = 3;
    m.nextpkt = null;
    m.next = null;
    return m;
  }

  /** Packets of several frames are not taken yet; each counts once, at its last frame. */
  #skipFrame(ifp: Ifnet, m: Mbuf): void {
    ifp.skipToEop = (m.flags & F_EOP) === 0;
    if (!ifp.skipToEop) this.cnt[stks.stks_ether_multiframe]!++;
    this.pool.put(m);
  }
}
