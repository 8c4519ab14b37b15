import { stks } from '../metrics/layout.ts';
import type { FlowDirectory } from '../rings/flowdir.ts';
import type { HandoverRing } from '../rings/handover.ts';
import { HashType } from '../rings/link.ts';
import type { Mbuf } from '../rings/mbuf.ts';
import { toeplitzV4 } from '../rings/toeplitz.ts';
import type { Stack } from './stack.ts';
import { ETHER_HDR_LEN, ETHERTYPE_IP, ethType } from './wire/ether.ts';
import { ICMP_MINLEN, icmpIsError, icmpType } from './wire/icmp.ts';
import {
  IP_FRAGMASK,
  IP_HDR_LEN,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPVERSION,
  ipDst,
  ipHlen,
  ipOff,
  ipProto,
  ipSrc,
  ipVersion,
} from './wire/ipv4.ts';
import { TH_ACK, TH_SYN, thDport, thFlags, thSport } from './wire/tcp.ts';

/** Bytes of a TCP header up to its flags, and of a quoted one: the ports (RFC 792 promises 8 bytes). */
const TCP_STEER_LEN = 14;
const QUOTED_STEER_LEN = 8;

/** What belongs to no other shard. */
const HERE = -1;

export interface SteeringOptions {
  readonly dir: FlowDirectory;
  /** Hand-over ring to each shard; null at this shard's own place. */
  readonly rings: readonly (HandoverRing | null)[];
  /** Wakes a shard if it sleeps: called at the end of a pass, once for each shard that was handed something. */
  readonly wake: (shard: number) => void;
}

/**
 * Steering of received packets to the shard that owns their flow (DESIGN.md, "Shards"): TCP by connections here, then by the flow
 * directory; a SYN that nobody owns is claimed here; other strangers, SYN-cookie ACKs among them, go by their hash; ICMP errors by
 * the flow that they quote. Everything else is handled where it arrives.
 */
export class Steering {
  /** Frames of this shard's pool that it handed over; whoever takes them home again counts them down. */
  abroad: number;
  readonly #st: Stack;
  readonly #dir: FlowDirectory;
  readonly #rings: readonly (HandoverRing | null)[];
  readonly #wake: (shard: number) => void;
  /** Shards that were handed something in this pass. */
  readonly #dirty: boolean[];
  #anyDirty: boolean;

  /** Hooks itself into the stack: `steer`, `handOver`, `dir` and `onFlush`. */
  constructor(st: Stack, o: SteeringOptions) {
    this.abroad = 0;
    this.#st = st;
    this.#dir = o.dir;
    this.#rings = o.rings;
    this.#wake = o.wake;
    this.#dirty = o.rings.map(() => false);
    this.#anyDirty = false;
    st.dir = o.dir;
    st.steer = (m) => this.steer(m);
    st.handOver = (m, shard) => this.handOver(m, shard);
    st.onFlush = () => this.flush();
  }

  /** `m.pos` at the Ethernet header. True when the frame went to another shard (or was dropped because its ring is full). */
  steer(m: Mbuf): boolean {
    const owner = this.#owner(m);
    if (owner === HERE || owner === this.#st.shard) return false;
    this.handOver(m, owner);
    return true;
  }

  /** Gives a received packet to another shard, from its link header on, however far it has come here. Takes `m` over. */
  handOver(m: Mbuf, shard: number): void {
    const st = this.#st;
    if (m.l2 >= 0 && m.l2 < m.pos) {
      m.len += m.pos - m.l2;
      m.pos = m.l2;
    }
    if (!this.#rings[shard]!.push(m)) {
      st.cnt[stks.stks_handover_full]!++;
      st.pool.put(m);
      return;
    }
    st.cnt[stks.stks_handover_out]!++;
    if (st.pool.owns(m.frame)) this.abroad++;
    this.#dirty[shard] = true;
    this.#anyDirty = true;
  }

  /** End of a pass: wakes whoever was handed something. */
  flush(): void {
    if (!this.#anyDirty) return;
    this.#anyDirty = false;
    for (let i = 0; i < this.#dirty.length; i++) {
      if (!this.#dirty[i]) continue;
      this.#dirty[i] = false;
      this.#wake(i);
    }
  }

  #owner(m: Mbuf): number {
    const st = this.#st;
    const v = st.pool.dv;
    const ip = m.pos + ETHER_HDR_LEN;
    const len = m.len - ETHER_HDR_LEN;
    // What cannot be read is dropped and counted here.
    if (len < IP_HDR_LEN || ethType(v, m.pos) !== ETHERTYPE_IP || ipVersion(v, ip) !== IPVERSION) return HERE;
    const hlen = ipHlen(v, ip);
    if (hlen < IP_HDR_LEN || (ipOff(v, ip) & IP_FRAGMASK) !== 0 || !st.isLocal(ipDst(v, ip))) return HERE;
    const proto = ipProto(v, ip);
    if (proto === IPPROTO_TCP) return len < hlen + TCP_STEER_LEN ? HERE : this.#tcpOwner(m, ip, ip + hlen);
    if (proto === IPPROTO_ICMP) return this.#icmpOwner(ip + hlen, len - hlen);
    return HERE;
  }

  #tcpOwner(m: Mbuf, ip: number, at: number): number {
    const st = this.#st;
    const v = st.pool.dv;
    m.l3 = ip;
    m.l4 = at;
    if (st.hasLocalFlow?.(m)) return HERE;
    if (m.hashType !== HashType.RSS_TCP_IPV4) {
      m.flowid = toeplitzV4(ipSrc(v, ip), ipDst(v, ip), thSport(v, at), thDport(v, at));
      m.hashType = HashType.RSS_TCP_IPV4;
    }
    const hash = m.flowid === 0 ? 1 : m.flowid;
    const known = this.#dir.lookup(hash);
    if (known >= 0) return known;
    const home = (hash >>> 0) % st.nshards;
    if ((thFlags(v, at) & (TH_SYN | TH_ACK)) !== TH_SYN) return home;
    const owner = this.#dir.claim(hash, st.shard);
    if (owner < 0) {
      st.cnt[stks.stks_flowdir_full]!++;
      return home;
    }
    if (owner !== st.shard) st.cnt[stks.stks_flowdir_lost]!++;
    return owner;
  }

  /** An error about a TCP segment of ours: the quoted packet went the other way. */
  #icmpOwner(at: number, len: number): number {
    const st = this.#st;
    const v = st.pool.dv;
    if (len < ICMP_MINLEN + IP_HDR_LEN || !icmpIsError(icmpType(v, at))) return HERE;
    const ip = at + ICMP_MINLEN;
    const hlen = ipHlen(v, ip);
    if (hlen < IP_HDR_LEN || len < ICMP_MINLEN + hlen + QUOTED_STEER_LEN || ipProto(v, ip) !== IPPROTO_TCP) return HERE;
    const tcp = ip + hlen;
    const hash = toeplitzV4(ipDst(v, ip), ipSrc(v, ip), thDport(v, tcp), thSport(v, tcp));
    const owner = this.#dir.lookup(hash === 0 ? 1 : hash);
    return owner >= 0 ? owner : HERE;
  }
}
