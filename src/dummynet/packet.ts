import { F_L4CSUM_BAD, F_L4CSUM_GOOD, F_L4CSUM_PARTIAL, F_TX_L4CSUM, FRAME_SHIFT, FRAME_SIZE } from '../rings/link.ts';
import { type FramePool, M_SIFTR_CYCLE, type Mbuf } from '../rings/mbuf.ts';
import { l4Checksum } from '../stack/net/ip-output.ts';
import type { Stack } from '../stack/stack.ts';
import { ipHlen, ipSum, ipTos, setIpSum, setIpTos } from '../stack/wire/ipv4.ts';

/** What a pipe does to a packet itself; `m.pos` at its IP header. */

/** The two ECN bits of the type of service: 0 not capable, 1 and 2 ECT, 3 CE (RFC 3168 section 5). */
const ECN_MASK = 3;

/** The packet may be marked: its sender takes part in ECN. */
export function ecnCapable(v: DataView, ip: number): boolean {
  return (ipTos(v, ip) & ECN_MASK) !== 0;
}

/**
 * Sets CE. The header checksum follows by RFC 1624 section 3, equation 3: HC' = ~(~HC + ~m + m'), m being the word that has the type of
 * service in its lower half.
 */
export function markCe(v: DataView, ip: number): void {
  const before = ipTos(v, ip);
  const after = before | ECN_MASK;
  if (after === before) return;
  setIpTos(v, ip, after);
  let sum = (~ipSum(v, ip) & 0xffff) + (after - before);
  sum = (sum & 0xffff) + (sum >>> 16);
  setIpSum(v, ip, ~sum & 0xffff);
}

/**
 * Flips one bit behind the IP header, chosen by `random` (int32), so that the receiver finds the checksum wrong. A checksum that is yet to be
 * inserted is computed first; one that was verified on receive counts as wrong from here on.
 * @returns false for a packet that has nothing behind its header: it stays as it is
 */
export function flipBit(st: Stack, m: Mbuf, random: number): boolean {
  const hlen = ipHlen(st.pool.dv, m.pos);
  const bytes = m.len - hlen;
  if (bytes <= 0) return false;
  if ((m.flags & F_TX_L4CSUM) !== 0) {
    l4Checksum(st, m);
    m.flags &= ~F_TX_L4CSUM;
  }
  if ((m.flags & (F_L4CSUM_GOOD | F_L4CSUM_PARTIAL)) !== 0) {
    m.flags = (m.flags & ~(F_L4CSUM_GOOD | F_L4CSUM_PARTIAL)) | F_L4CSUM_BAD;
  }
  const bit = (random >>> 0) % (bytes * 8);
  const at = m.pos + hlen + (bit >>> 3);
  st.pool.u8[at] = st.pool.u8[at]! ^ (1 << (bit & 7));
  return true;
}

/** A copy of a packet of one frame, from its first known header on, in a frame of `pool`; null when there is none. */
export function copyPacket(pool: FramePool, m: Mbuf): Mbuf | null {
  if (m.next !== null) return null;
  const c = pool.get();
  if (c === null) return null;
  const from = m.l2 >= 0 && m.l2 < m.pos ? m.l2 : m.pos;
  const offset = from & (FRAME_SIZE - 1);
  const moved = ((c.frame - m.frame) << FRAME_SHIFT) | 0;
  pool.u8.copyWithin((c.frame << FRAME_SHIFT) + offset, from, m.pos + m.len);
  c.pos = m.pos + moved;
  c.len = m.len;
  c.flags = m.flags;
  c.flowid = m.flowid;
  c.hashType = m.hashType;
  c.vlan = m.vlan;
  c.time = m.time;
  c.l2 = m.l2 < 0 ? -1 : m.l2 + moved;
  c.l3 = m.l3 < 0 ? -1 : m.l3 + moved;
  c.l4 = m.l4 < 0 ? -1 : m.l4 + moved;
  // Counted is the packet, not what it is multiplied to.
  c.mflags = m.mflags & ~M_SIFTR_CYCLE;
  c.rcvif = m.rcvif;
  c.prio = m.prio;
  c.seglen = m.seglen;
  c.th_flags = m.th_flags;
  return c;
}
