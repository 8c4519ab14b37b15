import { pfils, stks } from '../../metrics/layout.ts';
import { M_BCAST, M_MCAST, type Mbuf } from '../../rings/mbuf.ts';
import { EACCES } from '../errno.ts';
import { type Ifnet, ifEnqueue } from '../ifnet.ts';
import type { Stack } from '../stack.ts';
import {
  ETHER_GROUP,
  ETHER_HDR_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IP,
  ETHERTYPE_IPV6,
  ETHERTYPE_MIN,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  ethDstHi,
  ethDstLo,
  ethEmit,
  etherCheckLen,
  ethSrcHi,
  ethType,
} from '../wire/ether.ts';
import { arpInput } from './arp.ts';
import { ipInput } from './ip-input.ts';
import { PFIL_DROPPED, PFIL_PASS, pfilRun } from './pfil.ts';

/** Ethernet input (R7): checks, filters, strips the header and hands the packet to its protocol. Takes `m` over. */
export function etherInput(st: Stack, ifp: Ifnet, m: Mbuf): void {
  const v = st.pool.dv;
  const at = m.pos;
  st.cnt[stks.stks_ether_in]!++;
  m.l2 = at;
  if (!etherCheckLen(m.len)) {
    drop(st, m, stks.stks_ether_short);
    return;
  }
  const head = st.pfil.ethernet;
  if (head.in !== null) {
    const c = head.ctxIn;
    c.ifp = ifp;
    c.queue = ifp.queue;
    c.now = st.clock.us;
    const verdict = pfilRun(st, head.in, m, c);
    if (verdict !== PFIL_PASS) {
      st.cnt[verdict === PFIL_DROPPED ? pfils.pfils_ether_in_drop : pfils.pfils_ether_in_consumed]!++;
      return;
    }
  }
  const type = ethType(v, at);
  if (m.vlan >= 0 || type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) {
    drop(st, m, stks.stks_ether_vlan);
    return;
  }
  const hi = ethDstHi(v, at);
  if ((hi & ETHER_GROUP) !== 0) {
    m.mflags |= hi === 0xffff && ethDstLo(v, at) === -1 ? M_BCAST : M_MCAST;
  } else if (hi !== ifp.macHi || ethDstLo(v, at) !== ifp.macLo) {
    drop(st, m, stks.stks_ether_notours);
    return;
  }
  if ((ethSrcHi(v, at) & ETHER_GROUP) !== 0) {
    drop(st, m, stks.stks_ether_badsrc);
    return;
  }
  m.pos = at + ETHER_HDR_LEN;
  m.len -= ETHER_HDR_LEN;
  if (type === ETHERTYPE_IP) ipInput(st, ifp, m);
  else if (type === ETHERTYPE_ARP) arpInput(st, ifp, m);
  else if (type === ETHERTYPE_IPV6) drop(st, m, stks.stks_ether_noip6);
  else if (type < ETHERTYPE_MIN) drop(st, m, stks.stks_ether_llc);
  else drop(st, m, stks.stks_ether_unktype);
}

/**
 * Puts an Ethernet header before the packet and sends it (second half of T8). Takes `m` over. 14 bytes before `m.pos` are free.
 *
 * @returns 0, EACCES (filter), ENETDOWN or ENOBUFS
 */
export function etherSend(st: Stack, ifp: Ifnet, m: Mbuf, dstHi: number, dstLo: number, type: number): number {
  m.pos -= ETHER_HDR_LEN;
  m.len += ETHER_HDR_LEN;
  m.l2 = m.pos;
  m.vlan = -1;
  ethEmit(st.pool.dv, m.pos, dstHi, dstLo, ifp.macHi, ifp.macLo, type);
  const head = st.pfil.ethernet;
  if (head.out !== null) {
    const c = head.ctxOut;
    c.ifp = ifp;
    c.queue = ifp.queue;
    c.now = st.clock.us;
    const verdict = pfilRun(st, head.out, m, c);
    if (verdict !== PFIL_PASS) {
      const dropped = verdict === PFIL_DROPPED;
      st.cnt[dropped ? pfils.pfils_ether_out_drop : pfils.pfils_ether_out_consumed]!++;
      return dropped ? EACCES : 0;
    }
  }
  st.cnt[stks.stks_ether_out]!++;
  return ifEnqueue(st, ifp, m);
}

function drop(st: Stack, m: Mbuf, slot: number): void {
  st.cnt[slot]!++;
  st.pool.put(m);
}
