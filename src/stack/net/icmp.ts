import { ICMP_MAXTYPE } from '../../metrics/decl/icmp.ts';
import { icps, ips } from '../../metrics/layout.ts';
import { F_L4CSUM_BAD, F_L4CSUM_GOOD, F_TX_L4CSUM, FRAME_SIZE } from '../../rings/link.ts';
import { M_BCAST, M_MCAST, type Mbuf } from '../../rings/mbuf.ts';
import { PpsLimit } from '../ratelimit.ts';
import type { Stack } from '../stack.ts';
import { cksumFold, cksumOk } from '../wire/checksum.ts';
import { ETHER_HDR_LEN } from '../wire/ether.ts';
import {
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_MINLEN,
  ICMP_PARAMPROB,
  ICMP_PARAMPROB_MAXCODE,
  ICMP_REDIRECT,
  ICMP_TIMXCEED,
  ICMP_TIMXCEED_MAXCODE,
  ICMP_UNREACH,
  ICMP_UNREACH_MAXCODE,
  ICMP_UNREACH_NEEDFRAG,
  icmpCheckLen,
  icmpCode,
  icmpEmit,
  icmpIsError,
  icmpNextMtu,
  icmpType,
} from '../wire/icmp.ts';
import {
  IP_HDR_LEN,
  IP_MSS,
  IP_OFFMASK,
  IPPROTO_ICMP,
  ipDst,
  ipHlen,
  ipLen,
  ipOff,
  ipProto,
  ipSrc,
  ipTos,
} from '../wire/ipv4.ts';
import { INADDR_ANY, inExperimental, inLoopback, inMulticast } from './in-addr.ts';
import { ipOutput } from './ip-output.ts';

/** Precedence "internetwork control" of our errors (RFC 1812 section 4.3.2.5). */
const TOS_INTERNETCONTROL = 0xc0;
/** Quoted at least: the IP header and these bytes of what follows (RFC 792). */
const QUOTE_MIN = 8;

/** Rate limits of one shard's ICMP. */
export class Icmp {
  readonly echo: PpsLimit;
  readonly errors: PpsLimit;

  constructor(st: Stack) {
    this.echo = new PpsLimit(st.clock);
    this.errors = new PpsLimit(st.clock);
  }
}

/** ICMP input (R15; RFC 792, RFC 1122 section 3.2.2). Takes `m` over. */
export function icmpInput(st: Stack, m: Mbuf): void {
  const v = st.pool.dv;
  const at = m.pos;
  if (!icmpCheckLen(m.len)) {
    drop(st, m, icps.icps_tooshort);
    return;
  }
  if ((m.flags & F_L4CSUM_BAD) !== 0 || ((m.flags & F_L4CSUM_GOOD) === 0 && !cksumOk(v, at, m.len))) {
    drop(st, m, icps.icps_checksum);
    return;
  }
  const type = icmpType(v, at);
  if (type <= ICMP_MAXTYPE) st.cnt[icps.icps_inhist + type]!++;
  switch (type) {
    case ICMP_ECHO:
      echoReply(st, m);
      return;
    case ICMP_UNREACH:
      errorInput(st, m, ICMP_UNREACH_MAXCODE);
      return;
    case ICMP_TIMXCEED:
      errorInput(st, m, ICMP_TIMXCEED_MAXCODE);
      return;
    case ICMP_PARAMPROB:
      errorInput(st, m, ICMP_PARAMPROB_MAXCODE);
      return;
    case ICMP_REDIRECT:
      // A host behind one gateway gains nothing from redirects, and anyone on the link could send them.
      drop(st, m, icps.icps_redirect);
      return;
    case ICMP_ECHOREPLY:
      // Answers to the echo requests of others' programs on this address: none of ours sends any.
      drop(st, m, icps.icps_echoreply);
      return;
    default:
      // Source quench among them (RFC 6633 section 3: ignored).
      drop(st, m, icps.icps_unhandled);
  }
}

/** Turns the request round in its own frame (RFC 1122 section 3.2.2.6). IP options of the request are not returned. */
function echoReply(st: Stack, m: Mbuf): void {
  const v = st.pool.dv;
  const at = m.pos;
  const group = (m.mflags & (M_BCAST | M_MCAST)) !== 0;
  if (group && st.tune.icmp_bmcastecho === 0) {
    drop(st, m, icps.icps_bmcastecho);
    return;
  }
  const ip = m.l3;
  const src = ipSrc(v, ip);
  const ifp = st.ifnets[m.rcvif]!;
  if (!answerable(src) || ifp.isBroadcast(src)) {
    drop(st, m, icps.icps_badsource);
    return;
  }
  if (!st.icmp.echo.allow(st.tune.icmp_icmplim_echo)) {
    drop(st, m, icps.icps_echolimited);
    return;
  }
  if (st.routes.lookup(src) === null) {
    drop(st, m, ips.ips_noroute_reply);
    return;
  }
  // Only the first word changes, so the sum is adjusted, not made anew (RFC 1624 equation 3): damage to the data stays visible.
  const old = v.getUint16(at);
  const sum = ~cksumFold((~v.getUint16(at + 2) & 0xffff) + (~old & 0xffff)) & 0xffff;
  v.setUint16(at, ICMP_ECHOREPLY << 8);
  v.setUint16(at + 2, sum);
  // A request that was sent to a group is answered from our address (RFC 1122 section 3.2.2.6).
  const dst = ipDst(v, ip);
  const from = group ? 0 : dst;
  const tos = ipTos(v, ip);
  m.flags = 0;
  m.mflags = 0;
  st.cnt[icps.icps_reflect]!++;
  st.cnt[icps.icps_outhist + ICMP_ECHOREPLY]!++;
  ipOutput(st, m, from, src, IPPROTO_ICMP, tos, 0, false, null, null);
}

/** An error about a packet of ours goes to the protocol that sent it. */
function errorInput(st: Stack, m: Mbuf, maxCode: number): void {
  const v = st.pool.dv;
  const at = m.pos;
  const type = icmpType(v, at);
  const code = icmpCode(v, at);
  const quote = at + ICMP_MINLEN;
  const quoteLen = m.len - ICMP_MINLEN;
  const fault = code > maxCode ? icps.icps_badcode : quoteFault(st, quote, quoteLen);
  if (fault >= 0) {
    drop(st, m, fault);
    return;
  }
  const mtu = type === ICMP_UNREACH && code === ICMP_UNREACH_NEEDFRAG ? icmpNextMtu(v, at) : 0;
  m.pos = quote;
  m.len = quoteLen;
  st.ctlinput[ipProto(v, quote)]!(st, type, code, m, mtu);
  st.pool.put(m);
}

/** The counter of what is wrong with a quoted packet, or -1: it is whole, we sent it, and its protocol listens. */
function quoteFault(st: Stack, quote: number, len: number): number {
  const v = st.pool.dv;
  if (len < IP_HDR_LEN + QUOTE_MIN) return icps.icps_badlen;
  const hlen = ipHlen(v, quote);
  if (hlen < IP_HDR_LEN || len < hlen + QUOTE_MIN) return icps.icps_badlen;
  if (inMulticast(ipDst(v, quote))) return icps.icps_badcode;
  if (!st.isLocal(ipSrc(v, quote)) || st.ctlinput[ipProto(v, quote)] === null) return icps.icps_badquote;
  return -1;
}

/**
 * Sends an ICMP error about a received packet, in the same frame, and takes the packet over (`icmp_error`). Nothing is sent, and
 * the reason counted, where RFC 1122 section 3.2.2 forbids it: about an ICMP error, a packet to a group address, a fragment other
 * than the first, or a source that is no single host; nor beyond the rate limit.
 *
 * @param m    `m.l3` is the position of its IP header
 * @param word the second word of the ICMP header: 0, the next-hop MTU, or the pointer of "parameter problem" in its upper byte
 */
export function icmpError(st: Stack, m: Mbuf, type: number, code: number, word: number): void {
  const v = st.pool.dv;
  const ip = m.l3;
  st.cnt[icps.icps_error]!++;
  const refusal = errorRefusal(st, m);
  if (refusal >= 0) {
    drop(st, m, refusal);
    return;
  }
  const src = ipSrc(v, ip);
  const dst = ipDst(v, ip);
  const ifp = st.ifnets[m.rcvif]!;
  const end = m.pos + m.len;
  // As much of the packet as 576 bytes hold (RFC 1812 section 4.3.2.3).
  const quoteLen = Math.min(end - ip, ipLen(v, ip), IP_MSS - IP_HDR_LEN - ICMP_MINLEN);
  const base = m.frame * FRAME_SIZE;
  const room = ETHER_HDR_LEN + IP_HDR_LEN + ICMP_MINLEN;
  let quote = ip;
  if (ip - base < room) {
    quote = base + room;
    st.pool.u8.copyWithin(quote, ip, ip + quoteLen);
  }
  m.pos = quote - ICMP_MINLEN;
  m.len = quoteLen + ICMP_MINLEN;
  m.flags = F_TX_L4CSUM;
  m.mflags = 0;
  icmpEmit(v, m.pos, type, code, word);
  st.cnt[icps.icps_outhist + type]!++;
  // From the address that the packet was sent to, where that is ours (RFC 1122 section 3.2.2).
  ipOutput(st, m, ifp.hasAddr(dst) ? dst : 0, src, IPPROTO_ICMP, TOS_INTERNETCONTROL, 0, false, null, null);
}

/** The counter of the rule that forbids an error about `m`, or -1. */
function errorRefusal(st: Stack, m: Mbuf): number {
  const v = st.pool.dv;
  const ip = m.l3;
  const icmp = ip + ipHlen(v, ip);
  if ((ipOff(v, ip) & IP_OFFMASK) !== 0) return icps.icps_fragerror;
  if (ipProto(v, ip) === IPPROTO_ICMP && (icmp >= m.pos + m.len || icmpIsError(icmpType(v, icmp)))) {
    return icps.icps_oldicmp;
  }
  const src = ipSrc(v, ip);
  const dst = ipDst(v, ip);
  const ifp = st.ifnets[m.rcvif]!;
  const group = (m.mflags & (M_BCAST | M_MCAST)) !== 0 || inMulticast(dst) || ifp.isBroadcast(dst);
  if (group || !answerable(src) || ifp.isBroadcast(src)) return icps.icps_bmcasterror;
  if (!st.icmp.errors.allow(st.tune.icmp_icmplim)) return icps.icps_toofreq;
  if (st.routes.lookup(src) === null) return ips.ips_noroute_reply;
  return -1;
}

/** An address of a single other host. */
function answerable(src: number): boolean {
  return src !== INADDR_ANY && !inMulticast(src) && !inLoopback(src) && !inExperimental(src);
}

function drop(st: Stack, m: Mbuf, slot: number): void {
  st.cnt[slot]!++;
  st.pool.put(m);
}
