/** The timer of RACK-TLP: the end of a reordering window (RFC 8985 section 6.2 step 5), or a tail loss probe (section 7.3). */
import { tcps } from '../../metrics/layout.ts';
import { tcpOutputNow } from './tcp-nopush.ts';
import { tcpOutput } from './tcp-output.ts';
import { rackDetectLoss, rackOn, rackWait } from './tcp-rack.ts';
import { prrUpdate, recoveryEnter } from './tcp-recovery.ts';
import { rtxSplit, rtxWaits, SEG_LOST, SEG_SACKED } from './tcp-rtxq.ts';
import { TA_TIMER } from './tcp-trace.ts';
import { type Tcpcb, TF_FASTRECOVERY } from './tcpcb.ts';

export function rackTimer(tp: Tcpcb): void {
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, tp.rack_tlp ? 6 : 5, tp.snd_una, 0);
  if (tp.rack_tlp) probe(tp);
  else reorderingEnds(tp);
}

function reorderingEnds(tp: Tcpcb): void {
  if (!rackOn(tp)) return;
  const a = tp.st.tcp.ccAck;
  a.lost = 0;
  a.delivered = 0;
  rackWait(tp, rackDetectLoss(tp, a));
  if (a.lost === 0) return;
  if ((tp.t_flags & TF_FASTRECOVERY) === 0 && !tp.t_rtorecovery) {
    recoveryEnter(tp, a);
    prrUpdate(tp, a, false);
  }
  tcpOutput(tp);
}

/** Section 7.3: new data if there is any and the peer's window takes it, else the last segment again. */
function probe(tp: Tcpcb): void {
  const { st } = tp;
  tp.rack_tlp = false;
  const tail = tp.rtx_tail;
  if (tail === null || tp.tlp_out) return;
  st.cnt[tcps.tcps_tlp_probes]!++;
  const off = (tp.snd_nxt - tp.snd_una) | 0;
  const unsent = tp.t_socket!.so_snd.sb_cc - off;
  tp.tlp_rexmit = unsent <= 0 || tp.snd_wnd - off < Math.min(unsent, tp.maxseg);
  if (tp.tlp_rexmit) {
    if ((tail.flags & (SEG_SACKED | SEG_LOST)) !== 0) return;
    let last = tail;
    if (((tail.end - tail.start) | 0) > tp.maxseg) {
      rtxSplit(tp, tail, (tail.end - tp.maxseg) | 0);
      last = tp.rtx_tail!;
    }
    // Lost by assumption only: it counts when the answer shows it.
    rtxWaits(tp, last);
  }
  tp.tlp_out = true;
  // One segment, whatever window, Nagle and TCP_NOPUSH say.
  const cwnd = tp.snd_cwnd;
  tp.snd_cwnd = tp.pipe + tp.maxseg;
  tcpOutputNow(tp);
  tp.snd_cwnd = cwnd;
  tp.tlp_end_seq = tp.snd_nxt;
  st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
}
