import { arps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import { MbufList } from '../../rings/mbuf-list.ts';
import { EHOSTUNREACH, ENOBUFS } from '../errno.ts';
import type { Ifnet } from '../ifnet.ts';
import { PpsLimit } from '../ratelimit.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';
import {
  ARP_LEN,
  ARPOP_REPLY,
  ARPOP_REQUEST,
  arpCheckLen,
  arpCheckType,
  arpEmit,
  arpOp,
  arpShaHi,
  arpShaLo,
  arpSpa,
  arpTpa,
} from '../wire/arp.ts';
import { ETHER_GROUP, ETHERTYPE_ARP, ETHERTYPE_IP, macToString } from '../wire/ether.ts';
import { ICMP_UNREACH, ICMP_UNREACH_HOST } from '../wire/icmp.ts';
import { ipProto } from '../wire/ipv4.ts';
import { etherSend } from './ether.ts';
import { inetNtoa, inLoopback, inMulticast } from './in-addr.ts';

/** Address resolution (RFC 826), with what RFC 5227 says about conflicts and RFC 1122 section 2.3.2 about ageing and queues. */

/** Requests are out, packets wait. */
export const ARP_INCOMPLETE = 0;
/** Nobody answered: packets are refused until the entry goes. */
export const ARP_FAILED = 1;
/** Resolved. */
export const ARP_REACHABLE = 2;
/** Resolved and about to expire: asked again by unicast while in use. */
export const ARP_PROBE = 3;

/** Entries that one shard keeps. */
export const ARP_MAXENTRIES = 1024;
/** Packets that wait in all entries together: a scan must not tie up the frame pool. */
const ARP_MAXHELD = 512;
/** Requests, replies and messages to other shards a second and shard. */
const ARP_REQUEST_PPS = 200;
const ARP_REPLY_PPS = 1000;
const ARP_PUBLISH_PPS = 1000;

const SECOND = 1_000_000;
/** RFC 5227 section 1.1: ANNOUNCE_NUM, ANNOUNCE_INTERVAL, DEFEND_INTERVAL. */
const ANNOUNCE_NUM = 2;
const ANNOUNCE_INTERVAL = 2 * SECOND;
const DEFEND_INTERVAL = 10 * SECOND;

/** A neighbour (`struct llinfo_arp`). */
export class ArpEntry {
  readonly addr: number;
  readonly ifp: Ifnet;
  state: number;
  macHi: number;
  macLo: number;
  /** Requests sent since the state began. */
  asked: number;
  /** A packet was sent through the entry since it was last confirmed. */
  used: boolean;
  /** Packets that wait, `m.pos` at the IP header. */
  readonly hold: MbufList;
  readonly timer: Timer;

  constructor(addr: number, ifp: Ifnet, fire: (e: ArpEntry) => void) {
    this.addr = addr;
    this.ifp = ifp;
    this.state = ARP_INCOMPLETE;
    this.macHi = 0;
    this.macLo = 0;
    this.asked = 0;
    this.used = false;
    this.hold = new MbufList();
    this.timer = new Timer(fire, this);
  }
}

/** The station address of the entry can be used. */
export const arpUsable = (e: ArpEntry): boolean => e.state >= ARP_REACHABLE;

/** An address that is being announced. */
interface Announcement {
  readonly ifp: Ifnet;
  readonly addr: number;
  left: number;
}

/** The neighbours of one shard. */
export class ArpTable {
  /** Changes when an entry goes: what caches an entry compares it. */
  gen: number;
  /** Packets that wait. */
  held: number;
  readonly #st: Stack;
  readonly #entries: Map<number, ArpEntry>;
  readonly #fire: (e: ArpEntry) => void;
  readonly #requests: PpsLimit;
  readonly #replies: PpsLimit;
  readonly #publishes: PpsLimit;
  /** When our address was last defended, int32 µs; no time while `#defended` is false. */
  #defendedAt: number;
  #defended: boolean;

  constructor(st: Stack) {
    this.gen = 0;
    this.held = 0;
    this.#st = st;
    this.#entries = new Map();
    this.#fire = (e) => this.#timeout(e);
    this.#requests = new PpsLimit(st.clock);
    this.#replies = new PpsLimit(st.clock);
    this.#publishes = new PpsLimit(st.clock);
    this.#defendedAt = 0;
    this.#defended = false;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The entry of an address, in whatever state, or null. */
  lookup(addr: number): ArpEntry | null {
    return this.#entries.get(addr) ?? null;
  }

  /** All entries. Not for the packet path. */
  list(): ArpEntry[] {
    return [...this.#entries.values()];
  }

  /**
   * Takes a packet (`m.pos` at the IP header) whose next hop has no usable entry: it waits for the answer, the oldest waiting one
   * making room (RFC 1122 section 2.3.2.2).
   *
   * @returns 0 (it waits), EHOSTUNREACH (the next hop did not answer a short while ago) or ENOBUFS (table full)
   */
  resolve(ifp: Ifnet, m: Mbuf, addr: number): number {
    const st = this.#st;
    let e = this.lookup(addr);
    if (e !== null && e.ifp !== ifp) {
      this.remove(e);
      e = null;
    }
    if (e === null) {
      e = this.#create(ifp, addr);
      if (e === null) {
        st.cnt[arps.arps_tablefull]!++;
        st.pool.put(m);
        return ENOBUFS;
      }
      this.#ask(e);
    }
    if (e.state === ARP_FAILED) {
      st.cnt[arps.arps_hostdown]!++;
      st.pool.put(m);
      return EHOSTUNREACH;
    }
    if (e.hold.len >= st.tune.arp_maxhold) {
      const oldest = this.#unhold(e);
      st.cnt[arps.arps_queuefull]!++;
      if (oldest === null) {
        st.pool.put(m);
        return ENOBUFS;
      }
      st.pool.put(oldest);
    }
    if (this.held >= ARP_MAXHELD) {
      st.cnt[arps.arps_holdfull]!++;
      st.pool.put(m);
      return ENOBUFS;
    }
    e.hold.enqueue(m);
    this.held++;
    st.cnt[arps.arps_queued]!++;
    return 0;
  }

  /** What another shard learned: enters it, or confirms the entry and sends what waits for it. */
  learn(ifp: Ifnet, addr: number, macHi: number, macLo: number): void {
    const e = this.lookup(addr) ?? this.#create(ifp, addr);
    if (e !== null && e.ifp === ifp) this.confirm(e, macHi, macLo);
  }

  /** The station at `e.addr` has told its address. */
  confirm(e: ArpEntry, macHi: number, macLo: number): void {
    const st = this.#st;
    if (!arpUsable(e)) st.cnt[arps.arps_resolved]!++;
    else if (e.macHi !== macHi || e.macLo !== macLo) st.cnt[arps.arps_updates]!++;
    e.macHi = macHi;
    e.macLo = macLo;
    e.state = ARP_REACHABLE;
    e.asked = 0;
    e.used = false;
    st.wheel.arm(e.timer, Math.max(1, st.tune.arp_max_age - st.tune.arp_maxtries) * SECOND);
    for (let m = this.#unhold(e); m !== null; m = this.#unhold(e)) {
      etherSend(st, e.ifp, m, macHi, macLo, ETHERTYPE_IP);
    }
  }

  /**
   * A transport gets no answer through this neighbour (RFC 1122 section 3.3.1.4): it is asked whether it is still there, and forgotten where it
   * does not say so.
   */
  suspect(addr: number): void {
    const e = this.lookup(addr);
    if (e === null || e.state !== ARP_REACHABLE) return;
    e.state = ARP_PROBE;
    e.used = true;
    this.#probe(e);
  }

  /** Forgets an entry and drops what waits for it. */
  remove(e: ArpEntry): void {
    this.#st.wheel.cancel(e.timer);
    if (this.#entries.get(e.addr) === e) this.#entries.delete(e.addr);
    this.held -= e.hold.len;
    this.#st.cnt[arps.arps_dropped]! += e.hold.purge();
    e.state = ARP_FAILED;
    this.gen = (this.gen + 1) | 0;
  }

  /**
   * The link of an interface came up. Who is at the far end now may be another, so what is known of it is forgotten, also that it did not
   * answer; what was asked is asked again, and packets go on waiting for it.
   */
  linkUp(ifp: Ifnet): void {
    for (const e of this.#entries.values()) {
      if (e.ifp !== ifp) continue;
      if (e.state !== ARP_INCOMPLETE) this.remove(e);
      else {
        e.asked = 0;
        this.#ask(e);
      }
    }
  }

  /** Announces one of our addresses (RFC 5227 section 2.3): twice, two seconds apart. For one shard of a process. */
  announce(ifp: Ifnet, addr: number): void {
    const a: Announcement = { ifp, addr, left: ANNOUNCE_NUM };
    const timer: Timer = new Timer(() => this.#announceOnce(a, timer), a);
    this.#announceOnce(a, timer);
  }

  /** Whether a reply is within its rate limit; counts it when not. */
  mayReply(): boolean {
    if (this.#replies.allow(ARP_REPLY_PPS)) return true;
    this.#st.cnt[arps.arps_ratelimited]!++;
    return false;
  }

  /** Tells the other shards about a station that answered or asked us. */
  publish(ifp: Ifnet, addr: number, macHi: number, macLo: number): void {
    const st = this.#st;
    if (st.onArpResolved === null) return;
    if (this.#publishes.allow(ARP_PUBLISH_PPS)) st.onArpResolved(ifp, addr, macHi, macLo);
    else st.cnt[arps.arps_unpublished]!++;
  }

  /**
   * Another station uses our address: warn, and defend it by one announcement unless that was done within DEFEND_INTERVAL
   * (RFC 5227 section 2.4 (b)).
   */
  conflict(ifp: Ifnet, addr: number, macHi: number, macLo: number): void {
    const st = this.#st;
    st.cnt[arps.arps_dupips]!++;
    const age = (st.clock.us - this.#defendedAt) | 0;
    if (this.#defended && age >= 0 && age < DEFEND_INTERVAL) return;
    this.#defended = true;
    this.#defendedAt = st.clock.us;
    st.onWarning?.(
      `${ifp.name}: duplicate IP address ${inetNtoa(addr)} sent from ethernet address ${macToString(macHi, macLo)}`,
    );
    this.#send(ifp, addr, addr, 0xffff, -1);
    st.cnt[arps.arps_announced]!++;
  }

  #announceOnce(a: Announcement, timer: Timer): void {
    if (!a.ifp.hasAddr(a.addr)) return;
    this.#send(a.ifp, a.addr, a.addr, 0xffff, -1);
    this.#st.cnt[arps.arps_announced]!++;
    if (--a.left > 0) this.#st.wheel.arm(timer, ANNOUNCE_INTERVAL);
  }

  #unhold(e: ArpEntry): Mbuf | null {
    const m = e.hold.dequeue();
    if (m !== null) this.held--;
    return m;
  }

  #create(ifp: Ifnet, addr: number): ArpEntry | null {
    if (this.#entries.size >= ARP_MAXENTRIES && !this.#evict()) return null;
    const e = new ArpEntry(addr, ifp, this.#fire);
    this.#entries.set(addr, e);
    return e;
  }

  /** Makes room: the oldest entry that nothing was sent through lately. */
  #evict(): boolean {
    for (const e of this.#entries.values()) {
      if (!e.used && e.state !== ARP_INCOMPLETE) {
        this.remove(e);
        this.#st.cnt[arps.arps_evicted]!++;
        return true;
      }
    }
    return false;
  }

  /** A broadcast request now, and the next look at the entry in a second (RFC 1122 section 2.3.2.1: at most one a second). */
  #ask(e: ArpEntry): void {
    const st = this.#st;
    e.asked++;
    st.wheel.arm(e.timer, SECOND);
    this.#request(e, 0xffff, -1);
  }

  #request(e: ArpEntry, dstHi: number, dstLo: number): void {
    const st = this.#st;
    const src = e.ifp.addrFor(e.addr);
    if (src === 0) st.cnt[arps.arps_nosource]!++;
    else if (this.#requests.allow(ARP_REQUEST_PPS)) this.#send(e.ifp, src, e.addr, dstHi, dstLo);
    else st.cnt[arps.arps_ratelimited]!++;
  }

  #send(ifp: Ifnet, spa: number, tpa: number, dstHi: number, dstLo: number): void {
    const st = this.#st;
    const m = st.pool.get();
    if (m === null) {
      st.cnt[arps.arps_txerrors]!++;
      return;
    }
    m.len = ARP_LEN;
    arpEmit(st.pool.dv, m.pos, ARPOP_REQUEST, ifp.macHi, ifp.macLo, spa, 0, 0, tpa);
    st.cnt[arps.arps_txrequests]!++;
    etherSend(st, ifp, m, dstHi, dstLo, ETHERTYPE_ARP);
  }

  #timeout(e: ArpEntry): void {
    const st = this.#st;
    switch (e.state) {
      case ARP_INCOMPLETE:
        if (e.asked < st.tune.arp_maxtries) this.#ask(e);
        else this.#fail(e);
        return;
      case ARP_REACHABLE:
        e.state = ARP_PROBE;
        this.#probe(e);
        return;
      case ARP_PROBE:
        if (e.asked < st.tune.arp_maxtries) {
          this.#probe(e);
          return;
        }
        st.cnt[arps.arps_timeouts]!++;
        this.remove(e);
        return;
      default:
        this.remove(e);
    }
  }

  /** A second of the last ones of an entry: an entry in use is asked about, another runs out. */
  #probe(e: ArpEntry): void {
    e.asked++;
    this.#st.wheel.arm(e.timer, SECOND);
    if (e.used) this.#request(e, e.macHi, e.macLo);
  }

  /** Nobody answered: those who wait are told as a router would tell them, and the address stays refused for a while. */
  #fail(e: ArpEntry): void {
    const st = this.#st;
    e.state = ARP_FAILED;
    st.wheel.arm(e.timer, st.tune.arp_wait * SECOND);
    for (let m = this.#unhold(e); m !== null; m = this.#unhold(e)) {
      st.cnt[arps.arps_dropped]!++;
      const ctlinput = st.ctlinput[ipProto(st.pool.dv, m.pos)];
      if (ctlinput) ctlinput(st, ICMP_UNREACH, ICMP_UNREACH_HOST, m, 0);
      st.pool.put(m);
    }
  }
}

/** ARP input (R8; RFC 826 "Packet Reception"). `m.pos` behind the Ethernet header. Takes `m` over. */
export function arpInput(st: Stack, ifp: Ifnet, m: Mbuf): void {
  const v = st.pool.dv;
  const at = m.pos;
  st.cnt[arps.arps_received]!++;
  const fault = packetFault(st, ifp, m);
  if (fault >= 0) {
    st.cnt[fault]!++;
    st.pool.put(m);
    return;
  }
  const op = arpOp(v, at);
  const shaHi = arpShaHi(v, at);
  const shaLo = arpShaLo(v, at);
  const spa = arpSpa(v, at);
  const tpa = arpTpa(v, at);
  const ours = ifp.hasAddr(tpa);
  if (ifp.hasAddr(spa)) st.arp.conflict(ifp, spa, shaHi, shaLo);
  else if (spa !== 0) learnFrom(st, ifp, op, ours, spa, shaHi, shaLo);

  if (op === ARPOP_REQUEST && ours) {
    if (!st.arp.mayReply()) {
      st.pool.put(m);
      return;
    }
    // The reply is the request turned round, in the same frame.
    arpEmit(v, at, ARPOP_REPLY, ifp.macHi, ifp.macLo, tpa, shaHi, shaLo, spa);
    m.len = ARP_LEN;
    m.flags = 0;
    st.cnt[arps.arps_txreplies]!++;
    etherSend(st, ifp, m, shaHi, shaLo, ETHERTYPE_ARP);
    return;
  }
  if (op === ARPOP_REQUEST) st.cnt[arps.arps_notours]!++;
  st.pool.put(m);
}

/**
 * The sender's address pair: an entry that exists is confirmed by any packet; one is made only for a station on our link that
 * asks for us, because we are about to answer it (RFC 826). A reply to us that this shard did not wait for may be another shard's.
 */
function learnFrom(st: Stack, ifp: Ifnet, op: number, ours: boolean, spa: number, shaHi: number, shaLo: number): void {
  const e = st.arp.lookup(spa);
  if (e !== null && e.ifp === ifp) {
    const news = !arpUsable(e) || e.macHi !== shaHi || e.macLo !== shaLo;
    st.arp.confirm(e, shaHi, shaLo);
    if (news || (ours && op === ARPOP_REPLY)) st.arp.publish(ifp, spa, shaHi, shaLo);
    return;
  }
  if (!ours) return;
  const route = st.routes.lookup(spa);
  if (route === null || route.gateway !== 0 || route.ifp !== ifp) {
    st.cnt[arps.arps_offlink]!++;
    return;
  }
  if (op === ARPOP_REQUEST) st.arp.learn(ifp, spa, shaHi, shaLo);
  st.arp.publish(ifp, spa, shaHi, shaLo);
}

/** The counter of what is wrong with the packet, or -1. */
function packetFault(st: Stack, ifp: Ifnet, m: Mbuf): number {
  const v = st.pool.dv;
  const at = m.pos;
  if (!arpCheckLen(m.len)) return arps.arps_short;
  if (!arpCheckType(v, at)) return arps.arps_badtype;
  const op = arpOp(v, at);
  if (op === ARPOP_REQUEST) st.cnt[arps.arps_rxrequests]!++;
  else if (op === ARPOP_REPLY) st.cnt[arps.arps_rxreplies]!++;
  else return arps.arps_badop;
  const shaHi = arpShaHi(v, at);
  const spa = arpSpa(v, at);
  if ((shaHi & ETHER_GROUP) !== 0 || inMulticast(spa) || inLoopback(spa) || ifp.isBroadcast(spa)) {
    return arps.arps_badsender;
  }
  // Our own frames come back on a looped link; they say nothing.
  if (shaHi === ifp.macHi && arpShaLo(v, at) === ifp.macLo) return arps.arps_own;
  return -1;
}
