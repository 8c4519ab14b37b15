import { ips, pfils, stks, tcps } from '../../metrics/layout.ts';
import { F_TX_IPCSUM, F_TX_L4CSUM, FRAME_SIZE } from '../../rings/link.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import { EACCES, EADDRNOTAVAIL, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, ENOBUFS } from '../errno.ts';
import type { Ifnet } from '../ifnet.ts';
import type { Stack } from '../stack.ts';
import { cksum, cksumAdd, cksumFold, cksumPseudo } from '../wire/checksum.ts';
import { ETHER_HDR_LEN, ETHERTYPE_IP } from '../wire/ether.ts';
import {
  IP_DF,
  IP_HDR_LEN,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  ipDst,
  ipEmit,
  ipHlen,
  ipLen,
  ipOff,
  ipProto,
  ipSrc,
  setIpSum,
} from '../wire/ipv4.ts';
import { type ArpEntry, arpUsable } from './arp.ts';
import { bareSend } from './bare.ts';
import { etherSend } from './ether.ts';
import { inExperimental, inMulticast, inZeroNet } from './in-addr.ts';
import { PFIL_DROPPED, PFIL_PASS, type PfilHook, pfilResume, pfilRun } from './pfil.ts';
import { type Route, type RouteCache, routeLookup } from './route.ts';

/**
 * IPv4 output of a packet that this host originates (T2 to T8). Always takes `m` over.
 *
 * @param m     `m.pos` and `m.len` at the transport header; 34 bytes before it are free. The caller sets F_TX_L4CSUM in `m.flags`
 *              when the transport checksum is to be inserted (its field may hold anything); other flags are 0
 * @param src   our address, or 0: chosen by the route
 * @param ttl   time to live, 0 = net.inet.ip.ttl
 * @param df    don't fragment
 * @param inp   control block of the sending socket, for the filters; null when there is none
 * @param ro    cache of the flow's route, or null
 * @returns 0 also when the packet waits for ARP; ENETUNREACH (no host has such an address), EHOSTUNREACH (no route, next hop down,
 *          or one of our own addresses), EADDRNOTAVAIL (no source address), EACCES (group destination, or a filter dropped it),
 *          EMSGSIZE (larger than the MTU), ENOBUFS (queue or ARP table full), ENETDOWN
 */
export function ipOutput(
  st: Stack,
  m: Mbuf,
  src: number,
  dst: number,
  proto: number,
  tos: number,
  ttl: number,
  df: boolean,
  inp: unknown,
  ro: RouteCache | null,
): number {
  st.cnt[ips.ips_localout]!++;
  if (inZeroNet(dst) || inExperimental(dst)) return refuse(st, m, ips.ips_badaddr_out, ENETUNREACH);
  let route = routeLookup(st, dst, ro);
  if (route === null) return refuse(st, m, ips.ips_noroute_dst, EHOSTUNREACH);
  if (route.local) return refuse(st, m, ips.ips_selfdst, EHOSTUNREACH);
  let ifp = route.ifp;
  if (inMulticast(dst) || ifp.isBroadcast(dst)) return refuse(st, m, ips.ips_noroute_bmcast, EACCES);
  if (src === 0) {
    src = route.src !== 0 ? route.src : ifp.addrFor(route.gateway === 0 ? dst : route.gateway);
    if (src === 0) return refuse(st, m, ips.ips_noroute_src, EADDRNOTAVAIL);
  }
  if (m.pos % FRAME_SIZE < IP_HDR_LEN + ETHER_HDR_LEN) return refuse(st, m, stks.stks_ether_nobufs, ENOBUFS);
  m.l4 = m.pos;
  m.pos -= IP_HDR_LEN;
  m.len += IP_HDR_LEN;
  m.l3 = m.pos;
  // The identification of a datagram that is never fragmented may be anything (RFC 6864 section 4.1).
  const id = df ? 0 : st.random.next32() & 0xffff;
  ipEmit(st.pool.dv, m.pos, tos, m.len, id, df ? IP_DF : 0, ttl === 0 ? st.tune.ip_ttl : ttl, proto, src, dst);
  m.flags |= F_TX_IPCSUM;

  const head = st.pfil.inet;
  if (head.out !== null) {
    const c = head.ctxOut;
    c.ifp = ifp;
    c.queue = ifp.queue;
    c.inp = inp;
    c.now = st.clock.us;
    const verdict = pfilRun(st, head.out, m, c);
    c.inp = null;
    if (verdict !== PFIL_PASS) {
      const dropped = verdict === PFIL_DROPPED;
      st.cnt[dropped ? pfils.pfils_inet_out_drop : pfils.pfils_inet_out_consumed]!++;
      return dropped ? EACCES : 0;
    }
    const now = ipDst(st.pool.dv, m.pos);
    if (now !== dst) {
      // A filter that rewrote the destination gets one more route lookup, and is not run again.
      dst = now;
      route = st.routes.lookup(dst);
      if (route === null || route.local) return refuse(st, m, ips.ips_noroute_dst, EHOSTUNREACH);
      ifp = route.ifp;
      ro = null;
    }
  }
  return ipOutputFiltered(st, ifp, m, route, dst, df, ro);
}

/**
 * Gives a packet of ours back that `hook` of head inet kept (PFIL_CONSUMED): the hooks behind it and the rest of output follow, with
 * a route as it is now. `m.pos` at the IP header, as the hook got it. Takes `m` over.
 *
 * @returns as `ipOutput`; the sender has long been told 0
 */
export function ipOutputResume(st: Stack, ifp: Ifnet, m: Mbuf, hook: PfilHook): number {
  const head = st.pfil.inet;
  if (head.out !== null) {
    const c = head.ctxOut;
    c.ifp = ifp;
    c.queue = ifp.queue;
    // The socket may be gone by now.
    c.inp = null;
    c.now = st.clock.us;
    const verdict = pfilResume(st, head.out, hook, m, c);
    if (verdict !== PFIL_PASS) {
      const dropped = verdict === PFIL_DROPPED;
      st.cnt[dropped ? pfils.pfils_inet_out_drop : pfils.pfils_inet_out_consumed]!++;
      return dropped ? EACCES : 0;
    }
  }
  const v = st.pool.dv;
  const dst = ipDst(v, m.pos);
  const route = st.routes.lookup(dst);
  if (route === null || route.local) return refuse(st, m, ips.ips_noroute_dst, EHOSTUNREACH);
  return ipOutputFiltered(st, route.ifp, m, route, dst, (ipOff(v, m.pos) & IP_DF) !== 0, null);
}

/** What follows the filters: length, checksums, next hop (T6, T7). */
function ipOutputFiltered(
  st: Stack,
  ifp: Ifnet,
  m: Mbuf,
  route: Route,
  dst: number,
  df: boolean,
  ro: RouteCache | null,
): number {
  if (m.len > route.mtu) return refuse(st, m, df ? ips.ips_cantfrag : ips.ips_nofrag, EMSGSIZE);
  if (!ifp.link.caps.csum) softwareChecksums(st, m);
  return ipSendTo(st, ifp, m, route, dst, ro);
}

/** Resolves the next hop and sends (first half of T8). */
function ipSendTo(st: Stack, ifp: Ifnet, m: Mbuf, route: Route, dst: number, ro: RouteCache | null): number {
  if (ifp.bare) {
    const error = bareSend(st, ifp, m);
    if (error === ENOBUFS) st.cnt[ips.ips_onobufs]!++;
    return error;
  }
  const nexthop = route.gateway === 0 ? dst : route.gateway;
  const arp = st.arp;
  let e: ArpEntry | null;
  if (ro !== null && ro.ll !== null && ro.llgen === arp.gen) {
    e = ro.ll;
  } else {
    e = arp.lookup(nexthop);
    if (ro !== null) {
      ro.ll = e;
      ro.llgen = arp.gen;
    }
  }
  if (e === null || e.ifp !== ifp || !arpUsable(e)) return arp.resolve(ifp, m, nexthop);
  e.used = true;
  const error = etherSend(st, ifp, m, e.macHi, e.macLo, ETHERTYPE_IP);
  if (error === ENOBUFS) st.cnt[ips.ips_onobufs]!++;
  return error;
}

/** What the link would insert, done here: the link cannot (T6). `m.pos` at the IP header. */
function softwareChecksums(st: Stack, m: Mbuf): void {
  if ((m.flags & F_TX_L4CSUM) !== 0) l4Checksum(st, m);
  if ((m.flags & F_TX_IPCSUM) !== 0) {
    const v = st.pool.dv;
    setIpSum(v, m.pos, 0);
    setIpSum(v, m.pos, cksum(v, m.pos, ipHlen(v, m.pos)));
    st.cnt[ips.ips_outswcsum]!++;
  }
  m.flags &= ~(F_TX_IPCSUM | F_TX_L4CSUM);
}

/**
 * Computes the TCP, UDP or ICMP checksum of an IPv4 packet (`m.pos` at the IP header) and writes it into its field. Other
 * protocols are left alone.
 */
export function l4Checksum(st: Stack, m: Mbuf): void {
  const v = st.pool.dv;
  const ip = m.pos;
  const hlen = ipHlen(v, ip);
  const at = ip + hlen;
  const len = ipLen(v, ip) - hlen;
  const proto = ipProto(v, ip);
  if (proto === IPPROTO_ICMP) {
    v.setUint16(at + 2, 0);
    v.setUint16(at + 2, cksum(v, at, len));
    return;
  }
  if (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP) return;
  const field = at + (proto === IPPROTO_TCP ? 16 : 6);
  v.setUint16(field, 0);
  const sum = ~cksumFold(cksumAdd(v, at, len, cksumPseudo(ipSrc(v, ip), ipDst(v, ip), proto, len))) & 0xffff;
  if (proto === IPPROTO_TCP) st.cnt[tcps.tcps_outswcsum]!++;
  // UDP: a field of 0 means "no checksum" (RFC 768).
  v.setUint16(field, sum === 0 && proto === IPPROTO_UDP ? 0xffff : sum);
}

function refuse(st: Stack, m: Mbuf, slot: number, errno: number): number {
  st.cnt[slot]!++;
  st.pool.put(m);
  return errno;
}
