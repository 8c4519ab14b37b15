/**
 * Urgent data (RFC 9293 section 3.8.5, RFC 6093): a pointer to the byte behind it, in every segment that begins before that byte. The data itself stays
 * in line.
 */
import type { Mbuf } from '../../rings/mbuf.ts';
import { thUrp } from '../wire/tcp.ts';
import { seqLeq } from './seq.ts';
import { haveEstablished } from './tcp-fsm.ts';
import type { Tcpcb } from './tcpcb.ts';

/** A segment with URG that begins at `seq` came, before its text is taken (section 3.10.7.4, sixth check). */
export function urgentReceived(tp: Tcpcb, m: Mbuf, seq: number): void {
  const urp = thUrp(tp.st.pool.dv, m.l4);
  const ahead = (seq + urp - tp.rcv_nxt) | 0;
  if (urp === 0 || ahead <= 0) return;
  const so = tp.t_socket!;
  so.urgent(ahead + so.so_rcv.sb_cc);
}

/** All that is in the send buffer is urgent: the next segment says so, with data or without. */
export function urgentSend(tp: Tcpcb): void {
  // A SYN that is not acknowledged lies before the first byte.
  const syn = haveEstablished(tp.t_state) ? 0 : 1;
  tp.snd_up = (tp.snd_una + syn + tp.t_socket!.so_snd.sb_cc) | 0;
  tp.t_urgent = true;
  tp.t_urgdue = true;
}

/** The urgent pointer of a segment that begins at `seq`, 1..65535; 0 for none. Called only in urgent mode, which it ends. */
export function urgentPointer(tp: Tcpcb, seq: number): number {
  tp.t_urgdue = false;
  if (seqLeq(tp.snd_up, tp.snd_una)) {
    tp.t_urgent = false;
    return 0;
  }
  const n = (tp.snd_up - seq) | 0;
  // What is further ahead than the field can tell is told by a later segment.
  return n <= 0 ? 0 : n > 65535 ? 65535 : n;
}
