/** Explicit congestion notification (RFC 3168 section 6), and the exact echo of marks that DCTCP needs (RFC 8257 section 3.2). */
import { tcps } from '../../metrics/layout.ts';
import { TH_ACK, TH_CWR, TH_ECE, TH_SYN } from '../wire/tcp.ts';
import { CC_ECN, type CcAck } from './cc/cc.ts';
import { ccOwnsRecovery } from './cc/glue.ts';
import { seqGt } from './seq.ts';
import { cwvSignal } from './tcp-cwv.ts';
import { TCPS_SYN_SENT } from './tcp-fsm.ts';
import { tcpOutput } from './tcp-output.ts';
import { type Tcpcb, TF_ACKNOW, TF_FASTRECOVERY, TF2_ECN_PERMIT, TF2_ECN_SND_CWR, TF2_ECN_SND_ECE } from './tcpcb.ts';

/** The ECN field of the IP header (RFC 3168 section 5). */
export const IPTOS_ECN_MASK = 0x03;
export const IPTOS_ECN_ECT0 = 0x02;
export const IPTOS_ECN_CE = 0x03;

/** Values of net.inet.tcp.ecn.enable (tcp(4)). */
const ECN_OUT = 1;

/** The peer's SYN or SYN,ACK with `flags`: does it want ECN, and do we? For a SYN ECE and CWR, for a SYN,ACK ECE alone. */
export function ecnWanted(flags: number, enable: number): boolean {
  const bits = flags & (TH_ECE | TH_CWR);
  return enable !== 0 && bits === (flags & TH_ACK ? TH_ECE : TH_ECE | TH_CWR);
}

/** Flags of a segment that goes out; `data` when it carries data for the first time. */
export function ecnOutput(tp: Tcpcb, flagsIn: number, data: boolean): number {
  const { cnt, tune } = tp.st;
  let flags = flagsIn;
  if (flags & TH_SYN) {
    if (tp.t_state === TCPS_SYN_SENT) {
      // Some boxes drop a SYN that asks for ECN: the next ones do without (RFC 3168 section 6.1.1.1).
      if (tune.tcp_ecn_enable === ECN_OUT && tp.t_rxtshift <= tune.tcp_ecn_maxretries) flags |= TH_ECE | TH_CWR;
    } else if (tp.t_flags2 & TF2_ECN_PERMIT) {
      flags |= TH_ECE;
    }
    return flags;
  }
  if (data) {
    cnt[tcps.tcps_ecn_sndect]!++;
    if (tp.t_flags2 & TF2_ECN_SND_CWR) {
      flags |= TH_CWR;
      tp.t_flags2 &= ~TF2_ECN_SND_CWR;
      cnt[tcps.tcps_ecn_sndcwr]!++;
    }
  }
  if (tp.t_flags2 & TF2_ECN_SND_ECE && flags & TH_ACK) {
    flags |= TH_ECE;
    cnt[tcps.tcps_ecn_sndece]!++;
  }
  return flags;
}

/** A segment of an ECN connection came: marks, and the peer's answer to our echo. `tos` is the IP header's field. */
export function ecnInput(tp: Tcpcb, flags: number, tos: number, tlen: number): void {
  const { cnt } = tp.st;
  const ce = (tos & IPTOS_ECN_MASK) === IPTOS_ECN_CE;
  if (flags & TH_CWR) cnt[tcps.tcps_ecn_rcvcwr]!++;
  if (ce) cnt[tcps.tcps_ecn_rcvce]!++;
  if ((tos & IPTOS_ECN_MASK) !== 0) tp.t_ecnseen = true;
  if (tp.t_cc.wantsExactEcn === true) {
    if (tlen === 0) return;
    const was = (tp.t_flags2 & TF2_ECN_SND_ECE) !== 0;
    if (ce === was) return;
    // What is owed an ACK came under the old state: it is told with that one (section 3.2).
    if (tp.rcv_nxt !== tp.last_ack_sent) {
      tp.t_flags |= TF_ACKNOW;
      tcpOutput(tp);
    }
    tp.t_flags2 ^= TF2_ECN_SND_ECE;
    return;
  }
  if (flags & TH_CWR) {
    tp.t_flags2 &= ~TF2_ECN_SND_ECE;
    // The sender learns soon whether its answer was enough (RFC 3168 section 6.1.3).
    if (tlen > 0) tp.t_flags |= TF_ACKNOW;
  }
  if (ce) tp.t_flags2 |= TF2_ECN_SND_ECE;
}

/** The ACK `ack` carried ECE: congestion, answered once a window of data (RFC 3168 section 6.1.2). */
export function eceReceived(tp: Tcpcb, ack: number, a: CcAck): void {
  const { cnt } = tp.st;
  cnt[tcps.tcps_ecn_rcvece]!++;
  a.ece = true;
  tp.t_delivered_ce += a.delivered;
  if (!seqGt(ack, tp.ecn_recover) || (tp.t_flags & TF_FASTRECOVERY) !== 0) return;
  tp.ecn_recover = tp.snd_max;
  tp.t_flags2 |= TF2_ECN_SND_CWR;
  if (tp.t_cc.wantsExactEcn === true) return;
  cnt[tcps.tcps_cwr_ecn]!++;
  // Less than one segment a round trip is one a timeout (RFC 3168 section 6.1.2).
  const least = tp.snd_cwnd <= tp.maxseg && !ccOwnsRecovery(tp);
  cwvSignal(tp, CC_ECN);
  if (least) tp.t_ecnhold = true;
}

/** The hold on new data, after an ACK that may have begun or ended it; the timer runs also where nothing is in flight. */
export function ecnHold(tp: Tcpcb, advanced: boolean, ece: boolean): void {
  if (tp.t_persist.armed || (advanced && !ece)) tp.t_ecnhold = false;
  else if (ece) tp.st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);
}

/** The retransmission timer has run out: true when it had only held back what may go now, one segment of it. */
export function ecnRelease(tp: Tcpcb): boolean {
  tp.t_ecnhold = false;
  if (tp.snd_una !== tp.snd_max) return false;
  tp.snd_cwnd = tp.maxseg;
  tcpOutput(tp);
  return true;
}
