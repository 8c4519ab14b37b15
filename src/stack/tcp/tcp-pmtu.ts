/**
 * Path MTU discovery by ICMP (RFC 1191), with RFC 5927's guards against messages that nobody's router sent. A connection's `t_pmtu` is what it has
 * learnt of its path, 0 for nothing: then the route's MTU rules.
 */
import { tcps } from '../../metrics/layout.ts';
import { V4_MAPPED } from '../flow.ts';
import { routeLookup } from '../net/route.ts';
import type { Stack } from '../stack.ts';
import { IP_HDR_LEN, ipHlen, ipLen } from '../wire/ipv4.ts';
import { TCP_HDR_LEN } from '../wire/tcp.ts';
import { seqGeq, seqGt } from './seq.ts';
import type { Inpcb } from './tcb.ts';
import { TCPS_ESTABLISHED } from './tcp-fsm.ts';
import { tcpOutput } from './tcp-output.ts';
import { PLP_DISABLED, plpConfirmed, plpNeedfrag, plpTold } from './tcp-plpmtud.ts';
import { rtxTooBig } from './tcp-rtxq.ts';
import { type Tcpcb, TF_SACK_PERMIT, TF2_PLPMTU_BLACKHOLE } from './tcpcb.ts';

/** IPv4 and TCP headers without options: what an MTU holds beyond an MSS (RFC 6691 section 2). */
export const TCPIP_HDRS = IP_HDR_LEN + TCP_HDR_LEN;

/** The plateaus of RFC 1191 table 7-1: MTUs that are in use somewhere. */
const PLATEAUS = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296];
/** The least MTU of an IPv4 link (RFC 791); no estimate goes below (RFC 1191 section 3). */
export const IP_MIN_MTU = 68;

/** tp.pmtu_hold: what was too big goes again, of it one segment now (RFC 1191 section 6.4); that one waits for its ACK. */
const HOLD_ONE = 1;
const HOLD_ALL = 2;

/** An IPv6 connection: there are none yet, but its knobs are of it. */
export function isIp6(inp: Inpcb): boolean {
  return inp.f2 !== V4_MAPPED;
}

/** The next smaller plateau under a packet of `len` bytes that was too big for a router that does not say for what (RFC 1191 section 7.1). */
export function nextPlateau(len: number): number {
  for (let i = 0; i < PLATEAUS.length; i++) {
    if (PLATEAUS[i]! < len) return PLATEAUS[i]!;
  }
  return IP_MIN_MTU;
}

/**
 * The next-hop MTU that a "fragmentation needed" stands for, never less than net.inet.tcp.minmss leaves room for.
 * @param mtu   what the message says, 0 from a router of before RFC 1191
 * @param quote position of the quoted IP header
 */
export function needfragMtu(st: Stack, tp: Tcpcb, mtu: number, quote: number): number {
  let claimed = mtu;
  if (claimed === 0) {
    const v = st.pool.dv;
    let len = ipLen(v, quote);
    // Routers that descend from 4.2BSD add the header's length once more: seen where it is longer than all that we send (section 5).
    if (len > tp.t_maxseg + TCPIP_HDRS) len -= ipHlen(v, quote);
    claimed = nextPlateau(len);
  }
  const least = st.tune.tcp_minmss + TCPIP_HDRS;
  return claimed < least ? least : claimed;
}

/**
 * A "fragmentation needed" whose quoted sequence number is in flight.
 * @param mtu as needfragMtu gives it
 * @param seq the quoted sequence number
 */
export function tcpNeedfrag(st: Stack, tp: Tcpcb, mtu: number, seq: number): void {
  const mss = mtu - TCPIP_HDRS;
  if (tp.plp_out && st.tune.tcp_path_mtu_discovery !== 0 && plpNeedfrag(tp, mtu, seq)) return;
  if (st.tune.tcp_path_mtu_discovery === 0 || mss >= tp.t_maxseg) {
    // A message never raises the estimate (RFC 1191 section 3).
    st.cnt[tcps.tcps_icmpmtuignored]!++;
    return;
  }
  if (!tp.t_inpcb!.inp_pmtu) {
    // The user lets routers cut its segments; others to that host do not.
    st.cnt[tcps.tcps_icmpmtuignored]!++;
    if (mss >= tp.pmtu_acked) st.tcp.hostcache.updateMtu(tp.t_inpcb!, mtu);
    return;
  }
  if (mss < tp.pmtu_acked) {
    // Larger segments than that were acknowledged: either the path has changed or the message is a lie. A timeout tells (RFC 5927 section 7.2).
    st.cnt[tcps.tcps_icmpmtupending]!++;
    tp.pmtu_pend = mtu;
    tp.pmtu_pend_seq = seq;
    return;
  }
  st.cnt[tcps.tcps_mtudisc]!++;
  pmtuSet(tp, mtu);
  plpTold(tp, mtu);
  st.tcp.hostcache.updateMtu(tp.t_inpcb!, mtu);
  if (tp.t_state < TCPS_ESTABLISHED) return;
  resendSmaller(tp);
  tcpOutput(tp);
}

/** The path takes packets of `mtu` bytes: segments are cut to it from here on. */
export function pmtuSet(tp: Tcpcb, mtu: number): void {
  const old = tp.t_maxseg;
  tp.t_pmtu = mtu;
  tp.t_pmtu_ms = tp.st.clock.ms;
  tp.t_maxseg = pmtuMss(tp);
  tp.pmtu_timed = false;
  if (tp.t_maxseg < old) {
    tp.pmtu_pend = 0;
    if (tp.pmtu_acked > tp.t_maxseg) tp.pmtu_acked = tp.t_maxseg;
    if (tp.snd_cwnd < tp.maxseg) tp.snd_cwnd = tp.maxseg;
  }
}

/** The MTU of the path as it is known now (IP_MTU of Linux's ip(7)), 0 without a route. Not for the packet path. */
export function pmtuKnown(tp: Tcpcb): number {
  const inp = tp.t_inpcb!;
  const rt = routeLookup(tp.st, inp.f3, inp.ro);
  if (rt === null) return 0;
  // A connection that does not listen to ICMP has what others have learnt since it began.
  const told = tp.st.tcp.hostcache.pathMtu(inp);
  const known = inp.inp_pmtu ? tp.t_pmtu || told : told || tp.t_pmtu;
  return known !== 0 && known < rt.mtu ? known : rt.mtu;
}

/** Segment size of the connection: the peer's offer, bounded by the route and by what is known of the path. */
export function pmtuMss(tp: Tcpcb): number {
  const inp = tp.t_inpcb!;
  const rt = routeLookup(tp.st, inp.f3, inp.ro);
  let mss = tp.t_peermss;
  if (rt !== null && mss > rt.mtu - TCPIP_HDRS) mss = rt.mtu - TCPIP_HDRS;
  if (tp.t_pmtu !== 0 && mss > tp.t_pmtu - TCPIP_HDRS) mss = tp.t_pmtu - TCPIP_HDRS;
  return mss;
}

/**
 * What is in flight in larger segments did not get through and goes again at once in smaller ones, of which one now and the others when ACKs arrive;
 * it says nothing of congestion, so the window stays and no loss is counted (RFC 1191 section 6.4).
 */
function resendSmaller(tp: Tcpcb): void {
  const { wheel } = tp.st;
  if (!rtxTooBig(tp, tp.maxseg)) return;
  if ((tp.t_flags & TF_SACK_PERMIT) === 0) {
    tp.snd_sacked = 0;
    tp.t_dupacks = 0;
  }
  // What was sent is no longer what a spurious reduction would have to prove.
  tp.undo_valid = false;
  tp.t_frto = 0;
  tp.tlp_out = false;
  wheel.cancel(tp.t_rack);
  tp.pmtu_hold = HOLD_ONE;
  tp.pmtu_resend = true;
  tp.pmtu_recover = tp.snd_max;
  if (!tp.t_persist.armed) wheel.arm(tp.t_rexmt, tp.t_rxtcur);
}

/** The one segment that may go again has gone. */
export function pmtuHeld(tp: Tcpcb): boolean {
  return tp.pmtu_hold === HOLD_ALL;
}

/** A segment with `len` bytes of payload from `seq` on was sent. */
export function pmtuSent(tp: Tcpcb, seq: number, len: number, full: boolean, rexmit: boolean): void {
  if (rexmit && tp.pmtu_hold === HOLD_ONE) tp.pmtu_hold = HOLD_ALL;
  if (!full || tp.pmtu_timed || tp.pmtu_acked >= tp.t_maxseg) return;
  tp.pmtu_timed = true;
  tp.pmtu_seq = (seq + len) | 0;
}

/** snd_una is about to move to `ack`. */
export function pmtuAcked(tp: Tcpcb, ack: number): void {
  tp.pmtu_hold = 0;
  if (tp.pmtu_resend && seqGeq(ack, tp.pmtu_recover)) tp.pmtu_resend = false;
  if (tp.pmtu_timed && seqGeq(ack, tp.pmtu_seq)) {
    tp.pmtu_timed = false;
    tp.pmtu_acked = tp.t_maxseg;
    if (tp.plp_state !== PLP_DISABLED) plpConfirmed(tp);
  }
  // What the message called too big has arrived.
  if (tp.pmtu_pend !== 0 && seqGt(ack, tp.pmtu_pend_seq)) tp.pmtu_pend = 0;
}

/**
 * The retransmission timer has run out: a message that waited for that is believed now (RFC 5927 section 7.2). The timeout is answered as any
 * other: what it says of congestion nobody knows.
 */
export function pmtuTimeout(tp: Tcpcb): void {
  tp.pmtu_hold = 0;
  const mtu = tp.pmtu_pend;
  if (mtu === 0) return;
  tp.pmtu_pend = 0;
  if (mtu - TCPIP_HDRS >= tp.t_maxseg) return;
  tp.st.cnt[tcps.tcps_mtudisc]!++;
  pmtuSet(tp, mtu);
  plpTold(tp, mtu);
  tp.st.tcp.hostcache.updateMtu(tp.t_inpcb!, mtu);
}

/** The estimate is old: the path may have changed, and the first hop's MTU is tried again (RFC 1191 section 6.3), if not by a probe. */
export function pmtuExpire(tp: Tcpcb): void {
  if (tp.plp_state !== PLP_DISABLED) return;
  const age = (tp.st.clock.ms - tp.t_pmtu_ms) | 0;
  const most = tp.st.tune.ip_mtudisctimeout;
  if (most === 0 || age < most * 1000 || tp.t_flags2 & TF2_PLPMTU_BLACKHOLE) return;
  tp.t_pmtu = 0;
  const mss = pmtuMss(tp);
  if (mss <= tp.t_maxseg) return;
  tp.st.cnt[tcps.tcps_pmtu_raised]!++;
  tp.t_maxseg = mss;
  tp.pmtu_timed = false;
}

/**
 * A segment was larger than the interface takes: the route's MTU has shrunk.
 * @returns the segment size is smaller now
 */
export function pmtuRoute(tp: Tcpcb): boolean {
  const mss = pmtuMss(tp);
  if (mss >= tp.t_maxseg || mss <= tp.t_optlen) return false;
  tp.t_maxseg = mss;
  tp.pmtu_timed = false;
  return true;
}
