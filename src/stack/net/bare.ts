import { stks } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import { type Ifnet, ifEnqueue } from '../ifnet.ts';
import type { Stack } from '../stack.ts';
import { IPVERSION } from '../wire/ipv4.ts';
import { ipInput } from './ip-input.ts';

/**
 * Interfaces that carry bare IP packets, as tun(4) and gif(4) do: no link header, and one neighbour, so that there is nobody to be asked
 * for. What a packet is, its first four bits say.
 */

/** Version of IPv6 (RFC 8200 section 3). */
const IPV6_VERSION = 6;

/** Input of a bare interface (R7). Takes `m` over; `m.pos` is at the IP header. */
export function bareInput(st: Stack, ifp: Ifnet, m: Mbuf): void {
  st.cnt[stks.stks_bare_in]!++;
  const version = m.len > 0 ? st.pool.u8[m.pos]! >> 4 : 0;
  if (version === IPVERSION) {
    ipInput(st, ifp, m);
    return;
  }
  st.cnt[version === IPV6_VERSION ? stks.stks_bare_noip6 : stks.stks_bare_badvers]!++;
  st.pool.put(m);
}

/**
 * Sends an IP packet as it is (second half of T8). Takes `m` over.
 *
 * @returns 0, ENETDOWN or ENOBUFS
 */
export function bareSend(st: Stack, ifp: Ifnet, m: Mbuf): number {
  st.cnt[stks.stks_bare_out]!++;
  return ifEnqueue(st, ifp, m);
}
