import { ips, pfils } from '../../metrics/layout.ts';
import { F_IPCSUM_BAD, F_IPCSUM_GOOD } from '../../rings/link.ts';
import { M_BCAST, M_MCAST, type Mbuf } from '../../rings/mbuf.ts';
import type { Ifnet } from '../ifnet.ts';
import type { Stack } from '../stack.ts';
import { cksumOk } from '../wire/checksum.ts';
import { ICMP_PARAMPROB, ICMP_UNREACH, ICMP_UNREACH_PROTOCOL, ICMP_UNREACH_SRCFAIL } from '../wire/icmp.ts';
import {
  IP_FRAGMASK,
  IP_HDR_LEN,
  IP_MF,
  IPOPT_EOL,
  IPOPT_LSRR,
  IPOPT_MINOFF,
  IPOPT_NOP,
  IPOPT_OFFSET,
  IPOPT_OLEN,
  IPOPT_RR,
  IPOPT_SSRR,
  IPOPT_TS,
  IPVERSION,
  ipCheckLen,
  ipDst,
  ipHlen,
  ipLen,
  ipOff,
  ipProto,
  ipSrc,
  ipVersion,
} from '../wire/ipv4.ts';
import { icmpError } from './icmp.ts';
import { INADDR_ALLHOSTS_GROUP, inLocalGroup, inLoopback, inMulticast, inZeroNet } from './in-addr.ts';
import { PFIL_DROPPED, PFIL_PASS, type PfilHook, pfilResume, pfilRun } from './pfil.ts';

/**
 * IPv4 input (R9 to R14). `m.pos` at the IP header. Takes `m` over. The checks come in OpenBSD's order (spec/packetflow.md 1.1),
 * each with its counter; then those of source addresses that no host may have (RFC 1122 section 3.2.1.3).
 */
export function ipInput(st: Stack, ifp: Ifnet, m: Mbuf): void {
  m.l3 = m.pos;
  st.cnt[ips.ips_total]!++;
  const fault = headerFault(st, ifp, m);
  if (fault >= 0) {
    drop(st, m, fault);
    return;
  }
  if (st.pfil.inet.in === null || pfilPasses(st, ifp, m, null)) ipInputFiltered(st, ifp, m);
}

/**
 * Gives a received packet back that `hook` of head inet kept (PFIL_CONSUMED): the hooks behind it and the rest of input follow.
 * `m.pos` at the IP header, as the hook got it. Takes `m` over.
 */
export function ipInputResume(st: Stack, ifp: Ifnet, m: Mbuf, hook: PfilHook): void {
  if (st.pfil.inet.in === null || pfilPasses(st, ifp, m, hook)) ipInputFiltered(st, ifp, m);
}

/** The filters (R10), those behind `after` where it is not null. False when one took or dropped the packet. */
function pfilPasses(st: Stack, ifp: Ifnet, m: Mbuf, after: PfilHook | null): boolean {
  const head = st.pfil.inet;
  const chain = head.in!;
  const c = head.ctxIn;
  c.ifp = ifp;
  c.queue = ifp.queue;
  c.now = st.clock.us;
  const verdict = after === null ? pfilRun(st, chain, m, c) : pfilResume(st, chain, after, m, c);
  if (verdict === PFIL_PASS) return true;
  st.cnt[verdict === PFIL_DROPPED ? pfils.pfils_inet_in_drop : pfils.pfils_inet_in_consumed]!++;
  return false;
}

/** What follows the filters (R11 on). */
function ipInputFiltered(st: Stack, ifp: Ifnet, m: Mbuf): void {
  const hlen = ipHlen(st.pool.dv, m.l3);
  if (hlen > IP_HDR_LEN && !optionsPass(st, m, hlen)) return;
  ipLocal(st, ifp, m, hlen);
}

/** The counter of what is wrong with the header, or -1. Trims the packet to the length that the header gives. */
function headerFault(st: Stack, ifp: Ifnet, m: Mbuf): number {
  const v = st.pool.dv;
  const at = m.pos;
  if (!ipCheckLen(m.len)) return ips.ips_toosmall;
  if (ipVersion(v, at) !== IPVERSION) return ips.ips_badvers;
  const hlen = ipHlen(v, at);
  if (hlen < IP_HDR_LEN || hlen > m.len) return ips.ips_badhlen;
  const src = ipSrc(v, at);
  if (inLoopback(src)) return ips.ips_badaddr_src;
  if (inLoopback(ipDst(v, at))) return ips.ips_badaddr_dst;
  if ((m.flags & F_IPCSUM_BAD) !== 0) return ips.ips_badsum;
  if ((m.flags & F_IPCSUM_GOOD) === 0) {
    st.cnt[ips.ips_inswcsum]!++;
    if (!cksumOk(v, at, hlen)) return ips.ips_badsum;
  }
  const len = ipLen(v, at);
  if (len < hlen) return ips.ips_badlen;
  if (len > m.len) return ips.ips_tooshort;
  m.len = len;
  if (inMulticast(src) || ifp.isBroadcast(src)) return ips.ips_src_group;
  if (inZeroNet(src)) return ips.ips_src_zero;
  // There is no loopback here: a packet from the wire that claims one of our addresses is forged (or the land attack).
  if (ifp.hasAddr(src)) return ips.ips_src_own;
  return -1;
}

/** For us, and by which kind of address? (R12). Forwarding is off, always. */
function ipLocal(st: Stack, ifp: Ifnet, m: Mbuf, hlen: number): void {
  const dst = ipDst(st.pool.dv, m.l3);
  if (ifp.hasAddr(dst)) {
    ipOurs(st, m, hlen);
  } else if (dst === INADDR_ALLHOSTS_GROUP) {
    m.mflags |= M_MCAST;
    ipOurs(st, m, hlen);
  } else if (inMulticast(dst)) {
    drop(st, m, inLocalGroup(dst) ? ips.ips_notmember_local : ips.ips_notmember_routed);
  } else if (dst === 0 || ifp.isBroadcast(dst)) {
    m.mflags |= M_BCAST;
    ipOurs(st, m, hlen);
  } else if (st.isLocal(dst)) {
    drop(st, m, ips.ips_wrongif);
  } else {
    drop(st, m, (m.mflags & (M_BCAST | M_MCAST)) !== 0 ? ips.ips_notours_bmcast : ips.ips_notours);
  }
}

/** Fragments end here (there is no reassembly yet); whole datagrams go to their protocol (R13, R14). */
function ipOurs(st: Stack, m: Mbuf, hlen: number): void {
  const v = st.pool.dv;
  const ip = m.l3;
  const off = ipOff(v, ip);
  if ((off & IP_FRAGMASK) !== 0) {
    st.cnt[ips.ips_fragments]!++;
    const payload = m.len - hlen;
    const malformed = (off & IP_MF) !== 0 && (payload === 0 || (payload & 7) !== 0);
    drop(st, m, malformed ? ips.ips_badfrags : ips.ips_noreass);
    return;
  }
  const input = st.protosw[ipProto(v, ip)]!;
  if (input === null) {
    // Delivered to the raw input and taken back, as in BSD: the counter stands still.
    st.cnt[ips.ips_noproto]!++;
    icmpError(st, m, ICMP_UNREACH, ICMP_UNREACH_PROTOCOL, 0);
    return;
  }
  st.cnt[ips.ips_delivered]!++;
  m.pos = ip + hlen;
  m.l4 = m.pos;
  m.len -= hlen;
  input(st, m);
}

/**
 * Checks IP options (R11; RFC 791 section 3.1, RFC 1122 section 3.2.1.8). Recorded routes and timestamps are left as they are;
 * source routes are refused (RFC 6274 section 3.13.2.3). False when the packet is gone: an ICMP error went back.
 */
function optionsPass(st: Stack, m: Mbuf, hlen: number): boolean {
  const v = st.pool.dv;
  const ip = m.l3;
  let o = IP_HDR_LEN;
  while (o < hlen) {
    const opt = v.getUint8(ip + o);
    if (opt === IPOPT_EOL) break;
    if (opt === IPOPT_NOP) {
      o++;
      continue;
    }
    if (o + IPOPT_OLEN >= hlen) return badOption(st, m, o);
    const olen = v.getUint8(ip + o + IPOPT_OLEN);
    if (olen < 2 || o + olen > hlen) return badOption(st, m, o + IPOPT_OLEN);
    if (opt === IPOPT_LSRR || opt === IPOPT_SSRR) {
      st.cnt[ips.ips_badoptions]!++;
      icmpError(st, m, ICMP_UNREACH, ICMP_UNREACH_SRCFAIL, 0);
      return false;
    }
    if (opt === IPOPT_RR || opt === IPOPT_TS) {
      if (olen < IPOPT_OFFSET + 1) return badOption(st, m, o + IPOPT_OLEN);
      const min = opt === IPOPT_RR ? IPOPT_MINOFF : IPOPT_MINOFF + 1;
      if (v.getUint8(ip + o + IPOPT_OFFSET) < min) return badOption(st, m, o + IPOPT_OFFSET);
    }
    o += olen;
  }
  return true;
}

/** Parameter problem whose pointer names the byte at fault (RFC 792). */
function badOption(st: Stack, m: Mbuf, pointer: number): boolean {
  st.cnt[ips.ips_badoptions]!++;
  icmpError(st, m, ICMP_PARAMPROB, 0, pointer << 24);
  return false;
}

function drop(st: Stack, m: Mbuf, slot: number): void {
  st.cnt[slot]!++;
  st.pool.put(m);
}
