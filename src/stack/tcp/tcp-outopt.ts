/** The options of a segment that leaves (RFC 9293 section 3.2, RFC 7323, RFC 2018, RFC 2883), and what they take. */
import type { Mbuf } from '../../rings/mbuf.ts';
import { routeLookup } from '../net/route.ts';
import {
  TCP_MAXWIN,
  TH_ACK,
  TH_SYN,
  TOF_MSS,
  TOF_SACK,
  TOF_SACKPERM,
  TOF_SCALE,
  TOF_TS,
  tcpAddoptions,
} from '../wire/tcp.ts';
import { TFO_NONE, tfoSynOption } from './tcp-fastopen.ts';
import { TCPS_SYN_RECEIVED } from './tcp-fsm.ts';
import { type Tcpcb, TF_RCVD_SCALE, TF_RCVD_TSTMP, TF_REQ_SCALE, TF_REQ_TSTMP, TF_SACK_PERMIT } from './tcpcb.ts';

/** MSS that we announce: what the route's MTU leaves for TCP without options (RFC 9293 section 3.7.1, RFC 6691). */
export function tcpMssOffer(tp: Tcpcb): number {
  const inp = tp.t_inpcb!;
  const rt = routeLookup(tp.st, inp.f3, inp.ro);
  const mss = rt === null ? tp.st.tune.tcp_mssdflt : rt.mtu - 40;
  const most = tp.t_socket!.opt.maxSeg;
  return most !== 0 && most < mss ? most : mss;
}

/** The timestamp that goes into a segment now: milliseconds plus the connection's own offset (RFC 7323 section 5.4). */
export function tcpTsval(tp: Tcpcb): number {
  return (tp.st.clock.ms + tp.ts_offset) | 0;
}

/** Bytes that `n` blocks take behind `before` bytes of other options, padding included (RFC 2018 section 3). */
export function tcpSackOptLen(n: number, before: number): number {
  const room = (40 - before - 4) >> 3;
  return 4 + 8 * (n < room ? n : room);
}

/** Fills the options of the segment in `m` and returns their length. */
export function tcpBuildOptions(tp: Tcpcb, m: Mbuf, flags: number): number {
  const st = tp.st;
  const to = st.tcp.optOut;
  let blks = tp.sackblks;
  to.flags = 0;
  if (flags & TH_SYN) {
    to.mss = tcpMssOffer(tp);
    to.flags |= TOF_MSS;
    const passive = tp.t_state === TCPS_SYN_RECEIVED;
    if (tp.t_flags & TF_REQ_SCALE && (!passive || tp.t_flags & TF_RCVD_SCALE)) {
      to.wscale = tcpRequestScale(st.tune.ipc_maxsockbuf);
      to.flags |= TOF_SCALE;
    }
    if (tp.t_flags & TF_SACK_PERMIT) to.flags |= TOF_SACKPERM;
    if (tp.t_flags & TF_REQ_TSTMP && (!passive || tp.t_flags & TF_RCVD_TSTMP)) to.flags |= TOF_TS;
    if (tp.t_tfo !== TFO_NONE) tfoSynOption(tp, to);
  } else {
    if (tp.t_flags & TF_RCVD_TSTMP && tp.t_flags & TF_REQ_TSTMP) to.flags |= TOF_TS;
    if (tp.dsack_due) {
      to.flags |= TOF_SACK;
      to.nsacks = tp.rcv_numsacks + 1;
      blks = withDsack(tp);
    } else if (tp.t_flags & TF_SACK_PERMIT && tp.rcv_numsacks > 0) {
      to.flags |= TOF_SACK;
      to.nsacks = tp.rcv_numsacks;
    }
  }
  if (to.flags & TOF_TS) {
    to.tsval = tcpTsval(tp);
    to.tsecr = flags & TH_ACK ? tp.ts_recent : 0;
  }
  if (to.flags === 0) return 0;
  return tcpAddoptions(st.pool.dv, m.pos, to, blks);
}

/** The blocks to report behind what came twice (RFC 2883 section 4). */
function withDsack(tp: Tcpcb): Int32Array {
  const all = tp.st.tcp.dsackBlks;
  const blks = tp.sackblks;
  all[0] = tp.dsack_start;
  all[1] = tp.dsack_end;
  for (let i = 0; i < 2 * tp.rcv_numsacks; i++) all[i + 2] = blks[i]!;
  return all;
}

/** Window shift that lets a buffer of `maxbuf` bytes be offered whole (RFC 7323 section 2.3). */
export function tcpRequestScale(maxbuf: number): number {
  let scale = 0;
  while (scale < 14 && TCP_MAXWIN << scale < maxbuf) scale++;
  return scale;
}
