/** SACK blocks that the peer sends (RFC 2018 section 5, RFC 2883): into the scoreboard, duplicates to those who learn from them. */
import { tcps } from '../../metrics/layout.ts';
import type { Stack } from '../stack.ts';
import type { CcAck } from './cc/cc.ts';
import { seqGeq, seqGt, seqLeq, seqLt } from './seq.ts';
import { rtxSacked } from './tcp-rtxq.ts';
import type { Tcpcb } from './tcpcb.ts';

/**
 * Reads the blocks of the option in `st.tcp.optIn`; blocks that name nothing sent are left out and counted.
 * @param th_ack acknowledgment number of the segment; below snd_una where later ACKs have overtaken it: then it is still its own number
 *   that tells a DSACK from a block that has been acknowledged since
 * @returns true when the first block is a DSACK: it reports a segment that came twice
 */
export function sackReceived(st: Stack, tp: Tcpcb, th_ack: number, ack: CcAck): boolean {
  const to = st.tcp.optIn;
  const v = st.pool.dv;
  const cnt = st.cnt;
  let dsack = false;
  for (let i = 0; i < to.nsacks; i++) {
    const at = to.sackAt + 8 * i;
    let start = v.getInt32(at);
    const end = v.getInt32(at + 4);
    if (i === 0 && isDsack(v, to.sackAt, to.nsacks, th_ack)) {
      // RFC 2883 section 4; of what left longer ago than a window nothing is believed.
      dsack = seqLt(start, end) && seqLeq(end, tp.snd_max) && seqGeq(start, (tp.snd_una - tp.max_sndwnd) | 0);
      if (dsack) {
        cnt[tcps.tcps_dsack_rcvd]!++;
        dsackReceived(tp, start, end);
      } else {
        cnt[tcps.tcps_sack_badblock]!++;
      }
      continue;
    }
    if (seqLt(start, tp.snd_una)) start = tp.snd_una;
    if (seqLt(start, th_ack)) start = th_ack;
    if (seqGeq(start, end)) continue;
    if (seqGt(end, tp.snd_max)) {
      cnt[tcps.tcps_sack_badblock]!++;
      continue;
    }
    rtxSacked(tp, start, end, ack);
  }
  return dsack;
}

/** The first block lies below the acknowledgment, or inside the second (RFC 2883 section 4). */
function isDsack(v: DataView, at: number, n: number, th_ack: number): boolean {
  const start = v.getInt32(at);
  const end = v.getInt32(at + 4);
  if (seqLeq(end, th_ack)) return true;
  return n > 1 && seqGeq(start, v.getInt32(at + 8)) && seqLeq(end, v.getInt32(at + 12));
}

function dsackReceived(tp: Tcpcb, start: number, end: number): void {
  const len = (end - start) | 0;
  const segs = len > tp.maxseg ? Math.ceil(len / tp.maxseg) : 1;
  tp.t_dsack_pack += segs;
  // A retransmission of this episode was not needed, one for each segment that the block covers.
  if (tp.undo_valid && seqGt(end, tp.undo_una)) tp.undo_rexmits -= segs;
  // What came twice because a probe repeated it was not lost (RFC 8985 section 7.4.2).
  if (tp.tlp_out && tp.tlp_rexmit && end === tp.tlp_end_seq) tp.tlp_out = false;
}
