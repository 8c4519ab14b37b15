/** ICMP errors about our segments (RFC 9293 section 3.9.2.2, RFC 5927): believed only when the quoted sequence number is in flight. */
import { tcps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH } from '../errno.ts';
import type { Stack } from '../stack.ts';
import { thSeq } from '../wire/tcp.ts';
import { seqGeq, seqLt } from './seq.ts';
import { tfoSynLost } from './tcp-fastopen.ts';
import { TCPS_ESTABLISHED, TCPS_SYN_SENT } from './tcp-fsm.ts';
import { needfragMtu, tcpNeedfrag } from './tcp-pmtu.ts';
import { tcpDrop } from './tcp-subr.ts';

const ICMP_UNREACH = 3;
const UNREACH_NET = 0;
const UNREACH_PROTOCOL = 2;
const UNREACH_PORT = 3;
const UNREACH_NEEDFRAG = 4;
const UNREACH_ADMIN_PROHIBIT = 13;

/**
 * @param m   `m.pos` at the quoted IP header, which is followed by at least 8 bytes of the TCP header
 * @param mtu next-hop MTU of a needfrag, 0 when not given
 */
export function tcpCtlinput(st: Stack, type: number, code: number, m: Mbuf, mtu: number): void {
  const v = st.pool.dv;
  const ip = m.pos;
  const th = ip + ((v.getUint8(ip) & 0xf) << 2);
  const k = st.tcp.key;
  k.setV4(v.getInt32(ip + 12), v.getUint16(th), v.getInt32(ip + 16), v.getUint16(th + 2));
  const inp = st.tcp.tcb.lookup(k);
  if (inp === null) {
    if (type === ICMP_UNREACH && code !== UNREACH_NEEDFRAG) st.tcp.syncache.unreach(k, thSeq(v, th));
    return;
  }
  st.cnt[tcps.tcps_rcvicmp]!++;
  const tp = inp.tp!;
  const seq = thSeq(v, th);
  if (seqLt(seq, tp.snd_una) || seqGeq(seq, tp.snd_max)) {
    st.cnt[tcps.tcps_icmpbadseq]!++;
    return;
  }
  if (type === ICMP_UNREACH && code === UNREACH_NEEDFRAG) {
    tcpNeedfrag(st, tp, needfragMtu(st, tp, mtu, ip), seq);
    return;
  }
  const errno = icmpErrno(type, code);
  if (tp.t_state === TCPS_SYN_SENT) tfoSynLost(tp);
  // RFC 1122 4.2.3.9: hard errors end an attempt; on an established connection all of them are soft (RFC 5927 section 5.1).
  if (
    tp.t_state === TCPS_SYN_SENT &&
    (code === UNREACH_PROTOCOL || code === UNREACH_PORT || code === UNREACH_ADMIN_PROHIBIT)
  ) {
    tcpDrop(tp, errno);
    return;
  }
  if (tp.t_state < TCPS_ESTABLISHED && tp.t_rxtshift > 3 && tp.t_softerror !== 0) {
    tcpDrop(tp, errno);
    return;
  }
  tp.t_softerror = errno;
  const so = tp.t_socket!;
  if (so.icmpUpcall !== null) so.icmpUpcall(so, type, code);
  else so.softError(errno);
}

function icmpErrno(type: number, code: number): number {
  if (type !== ICMP_UNREACH) return EHOSTUNREACH;
  if (code === UNREACH_PROTOCOL || code === UNREACH_PORT || code === UNREACH_ADMIN_PROHIBIT) return ECONNREFUSED;
  return code === UNREACH_NET ? ENETUNREACH : EHOSTUNREACH;
}
