/**
 * Black holes (RFC 2923 section 2.1): routers that drop what is too big for the next link and say nothing, or whose messages are filtered on their
 * way. FreeBSD's answer, net.inet.tcp.pmtud_blackhole_detection: after two timeouts of full segments in a row smaller ones are tried.
 */
import { tcps } from '../../metrics/layout.ts';
import { isIp6 } from './tcp-pmtu.ts';
import { rtxHeadLen } from './tcp-rtxq.ts';
import { type Tcpcb, TF2_PLPMTU_BLACKHOLE, TF2_PLPMTU_PMTUD } from './tcpcb.ts';

/** The timeout at which the first smaller size is tried; each has two. */
const ENTER = 2;
const TRIES = 2;
/** net.inet.tcp.pmtud_blackhole_detection: 1 all, 2 IPv4, 3 IPv6 connections. */
const ONLY_IP4 = 2;
const ONLY_IP6 = 3;

/** The retransmission timer has run out for the t_rxtshift-th time in a row; what is in flight is not marked lost yet. */
export function blackholeTimeout(tp: Tcpcb): void {
  const { tune, cnt } = tp.st;
  const mode = tune.tcp_pmtud_blackhole_detection;
  const ip6 = isIp6(tp.t_inpcb!);
  if (mode === 0 || mode === (ip6 ? ONLY_IP4 : ONLY_IP6)) return;
  const mid = ip6 ? tune.tcp_v6pmtud_blackhole_mss : tune.tcp_pmtud_blackhole_mss;
  const least = ip6 ? tune.tcp_v6mssdflt : tune.tcp_mssdflt;
  const shift = tp.t_rxtshift;
  if (shift === 1) {
    tp.t_blackhole_exit = ENTER;
    if (tp.t_maxseg > mid) tp.t_blackhole_exit += TRIES;
    if (tp.t_maxseg > least && mid > least) tp.t_blackhole_exit += TRIES;
  }
  const toMid = tp.t_maxseg > mid && mid > least;
  // Size is what kills a segment only if it has DF and is larger than what would be tried. (FreeBSD asks whether the last one sent was full.)
  const suspect = (tp.t_flags2 & TF2_PLPMTU_PMTUD) !== 0 && rtxHeadLen(tp) > (toMid ? mid : least) - tp.t_optlen;
  if (suspect && shift >= ENTER && shift < tp.t_blackhole_exit && (shift - ENTER) % TRIES === 0) {
    if ((tp.t_flags2 & TF2_PLPMTU_BLACKHOLE) === 0) {
      tp.t_flags2 |= TF2_PLPMTU_BLACKHOLE;
      tp.t_saved_maxseg = tp.t_maxseg;
    }
    if (toMid) {
      tp.t_maxseg = mid;
      cnt[tcps.tcps_pmtud_blackhole_activated]!++;
    } else {
      tp.t_maxseg = least;
      // The last resort: whoever must may fragment it.
      tp.t_nodf = true;
      cnt[tcps.tcps_pmtud_blackhole_activated_min_mss]!++;
    }
    resized(tp);
  } else if ((tp.t_flags2 & TF2_PLPMTU_BLACKHOLE) !== 0 && shift >= tp.t_blackhole_exit) {
    // Small ones do not get through either: it was no black hole.
    tp.t_flags2 &= ~TF2_PLPMTU_BLACKHOLE;
    tp.t_nodf = false;
    tp.t_maxseg = tp.t_saved_maxseg;
    cnt[tcps.tcps_pmtud_blackhole_failed]!++;
    resized(tp);
  }
}

function resized(tp: Tcpcb): void {
  tp.pmtu_timed = false;
  if (tp.pmtu_acked > tp.t_maxseg) tp.pmtu_acked = tp.t_maxseg;
}
