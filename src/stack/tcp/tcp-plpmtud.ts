/**
 * Packetization layer path MTU discovery (RFC 4821, states and names of RFC 8899 section 5.2): now and then a segment that is larger than the others
 * goes out with new data; when it arrives all are as large, when it is lost no more is known than that. Needs no ICMP.
 *
 *             base arrives             range searched
 *   PLP_BASE ─────────────► PLP_SEARCH ─────────────► PLP_COMPLETE ──┐ raise_interval:
 *      ▲  │                     ▲  │                     │  ▲        │ up to the interface's MTU
 *      │  └─ base is lost ─► PLP_ERROR                   │  └────────┘ again
 *      └──────── two timeouts of full segments ──────────┘
 *
 * net.inet.tcp.plpmtud.enable: 1 begins with the first black hole, 2 with the connection. Probing needs SACK, which tells a lost probe from other
 * losses; without it a black hole still makes segments small.
 */
import { tcps } from '../../metrics/layout.ts';
import { routeLookup } from '../net/route.ts';
import { tcpOutput } from './tcp-output.ts';
import { pmtuSet, TCPIP_HDRS } from './tcp-pmtu.ts';
import { rtxHeadLen, rtxMarkProbe, rtxProbeWaits, rtxUnmarkProbe } from './tcp-rtxq.ts';
import { type Tcpcb, TF_FASTRECOVERY, TF_SACK_PERMIT, TF2_PLPMTU_BLACKHOLE, TF2_PLPMTU_PMTUD } from './tcpcb.ts';

/** tp.plp_state (RFC 8899 section 5.2). */
export const PLP_DISABLED = 0;
export const PLP_BASE = 1;
export const PLP_SEARCH = 2;
export const PLP_COMPLETE = 3;
export const PLP_ERROR = 4;

/** net.inet.tcp.plpmtud.enable: from the beginning. */
const ALWAYS = 2;
/** Segments behind a probe that must follow for its loss to be seen (RFC 4821 section 7.4; DupThresh and one more). */
const FOLLOWERS = 4;
/** Timeouts of full segments in a row that mean a black hole, and those after which the base size is too large as well. */
const HOLE_TIMEOUTS = 2;
const ERROR_TIMEOUTS = 4;

/** The largest packet that the first hop and the peer take (RFC 8899 section 5.1.2, MAX_PLPMTU). */
function maxMtu(tp: Tcpcb): number {
  const inp = tp.t_inpcb!;
  const rt = routeLookup(tp.st, inp.f3, inp.ro);
  const peer = tp.t_peermss + TCPIP_HDRS;
  return rt === null || rt.mtu > peer ? peer : rt.mtu;
}

/** The connection is established, the segment size known. */
export function plpStart(tp: Tcpcb): void {
  const { tune } = tp.st;
  if (tune.tcp_plpmtud_enable !== ALWAYS || (tp.t_flags & TF_SACK_PERMIT) === 0 || !tp.t_inpcb!.inp_df) return;
  const max = maxMtu(tp);
  if (tp.t_pmtu !== 0) {
    // Known from the host cache: its age counts.
    complete(tp, tp.t_pmtu, max);
    tp.plp_ms = tp.t_pmtu_ms;
  } else if (tune.tcp_plpmtud_base >= max) {
    complete(tp, max, max);
  } else {
    toBase(tp, max);
  }
}

function complete(tp: Tcpcb, low: number, high: number): void {
  tp.plp_state = PLP_COMPLETE;
  tp.plp_low = low;
  tp.plp_high = high;
  tp.plp_count = 0;
  tp.plp_ms = tp.st.clock.ms;
}

/** Segments of the base size (RFC 8899 section 5.1.2, BASE_PLPMTU; RFC 4821 section 7.2), to be confirmed before more is tried. */
function toBase(tp: Tcpcb, max: number): void {
  const base = tp.st.tune.tcp_plpmtud_base;
  tp.plp_state = PLP_BASE;
  tp.plp_low = base;
  tp.plp_high = max;
  tp.plp_max = max;
  tp.plp_count = 0;
  tp.pmtu_acked = 0;
  pmtuSet(tp, base);
}

/** A full segment of the present size was acknowledged. */
export function plpConfirmed(tp: Tcpcb): void {
  if (tp.plp_state === PLP_BASE) tp.plp_state = PLP_SEARCH;
}

/** The size to be probed: the largest first, which is right for most paths, and when that has failed the middle of what is left. */
function nextSize(tp: Tcpcb): number {
  return tp.plp_high === tp.plp_max ? tp.plp_high : (tp.plp_low + tp.plp_high + 1) >> 1;
}

/** Nothing is in doubt: no loss, no recovery, no probe (RFC 4821 section 7.4 (1)). */
function calm(tp: Tcpcb): boolean {
  return (
    !tp.plp_out &&
    (tp.t_flags & TF_SACK_PERMIT) !== 0 &&
    (tp.t_flags & TF_FASTRECOVERY) === 0 &&
    !tp.t_rtorecovery &&
    tp.snd_lost === 0 &&
    tp.snd_sacked === 0 &&
    tp.t_rxtshift === 0 &&
    tp.snd_nxt === tp.snd_max
  );
}

/**
 * Is new data to go as a probe now (RFC 4821 section 7.4)?
 * @param unsent  bytes that wait
 * @param wnd     room in the peer's window, bytes
 * @param cwnd    room in the congestion window, bytes
 * @param maxlen  payload of a full segment now
 * @returns payload of the probe, 0 for none, -1 to send nothing until the window has room for it
 */
export function plpProbe(tp: Tcpcb, unsent: number, wnd: number, cwnd: number, maxlen: number): number {
  const { tune, clock } = tp.st;
  if (tp.plp_state === PLP_COMPLETE) {
    // RFC 8899 section 5.1.1, PMTU_RAISE_TIMER; looked at when there is something to send.
    if (((clock.ms - tp.plp_ms) | 0) < tune.tcp_plpmtud_raise_interval * 1000) return 0;
    const max = maxMtu(tp);
    tp.plp_ms = clock.ms;
    if (max - tp.plp_low < tune.tcp_plpmtud_threshold) return 0;
    tp.plp_max = max;
    tp.plp_high = max;
    tp.plp_failed = false;
    tp.plp_state = PLP_SEARCH;
  } else if (tp.plp_state !== PLP_SEARCH) {
    return 0;
  }
  // (2): some time has passed since the last one failed.
  if (tp.plp_failed && ((clock.ms - tp.plp_ms) | 0) < tune.tcp_plpmtud_probe_interval) return 0;
  if (!calm(tp) || (tp.t_flags2 & TF2_PLPMTU_PMTUD) === 0) return 0;
  const size = nextSize(tp);
  const len = maxlen + size - TCPIP_HDRS - tp.t_maxseg;
  // (3), (4): data and windows for it and for those behind it, by which its loss would show.
  const need = len + FOLLOWERS * maxlen;
  if (len <= maxlen || unsent < need || wnd < need || tp.snd_cwnd < need) return 0;
  if (cwnd < len) return -1;
  tp.plp_size = size;
  return len;
}

/** The probe was sent, and its sequence numbers from `seq` on are on the scoreboard. */
export function plpSent(tp: Tcpcb, seq: number): void {
  tp.st.cnt[tcps.tcps_plpmtud_probes]!++;
  tp.plp_out = true;
  tp.plp_failed = false;
  tp.plp_seq = seq;
  rtxMarkProbe(tp, seq);
}

/** The probe arrived: segments are as large from here on (RFC 4821 section 7.6.1). */
export function plpAcked(tp: Tcpcb): void {
  if (!tp.plp_out) return;
  tp.plp_out = false;
  tp.st.cnt[tcps.tcps_plpmtud_successes]!++;
  tp.plp_count = 0;
  tp.plp_low = tp.plp_size;
  pmtuSet(tp, tp.plp_size);
  tp.pmtu_acked = tp.t_maxseg;
  narrow(tp);
}

/**
 * The probe is lost. That alone is no sign of congestion (RFC 4821 section 7.6.2): its data waits to go again, and nothing is counted as lost.
 * @param others something else was lost with it: it tells nothing of the size then (section 7.6.4)
 */
export function plpLost(tp: Tcpcb, others: boolean): void {
  tp.pmtu_resend = true;
  tp.pmtu_recover = tp.snd_max;
  if (!tp.plp_out) return;
  tp.plp_out = false;
  tp.plp_failed = true;
  tp.plp_ms = tp.st.clock.ms;
  if (others || (tp.t_flags & TF_FASTRECOVERY) !== 0) return;
  tp.st.cnt[tcps.tcps_plpmtud_failures]!++;
  if (++tp.plp_count < tp.st.tune.tcp_plpmtud_max_probes) return;
  // RFC 8899 section 5.1.2, MAX_PROBES: so large is too large.
  tp.plp_count = 0;
  tp.plp_high = tp.plp_size - 1;
  narrow(tp);
}

/** The range is smaller: is it small enough (RFC 4821 section 7.3)? */
function narrow(tp: Tcpcb): void {
  if (tp.plp_high - tp.plp_low >= tp.st.tune.tcp_plpmtud_threshold) return;
  complete(tp, tp.plp_low, tp.plp_high);
  if (tp.plp_low < tp.plp_max) tp.st.tcp.hostcache.updateMtu(tp.t_inpcb!, tp.plp_low);
}

/**
 * A "fragmentation needed", its quoted number checked.
 * @returns true when it was about the probe, and is dealt with (RFC 8899 section 4.6.1)
 */
export function plpNeedfrag(tp: Tcpcb, mtu: number, seq: number): boolean {
  if (!tp.plp_out || seq !== tp.plp_seq || mtu >= tp.plp_size || mtu < tp.plp_low) return false;
  tp.st.cnt[tcps.tcps_plpmtud_failures]!++;
  tp.plp_count = 0;
  tp.plp_high = mtu;
  tp.plp_out = false;
  tp.pmtu_resend = true;
  tp.pmtu_recover = tp.snd_max;
  rtxProbeWaits(tp);
  narrow(tp);
  tcpOutput(tp);
  return true;
}

/** A "fragmentation needed" has set the path MTU: that is the end of any search. */
export function plpTold(tp: Tcpcb, mtu: number): void {
  if (tp.plp_state === PLP_DISABLED || tp.plp_state === PLP_ERROR) return;
  tp.plp_max = maxMtu(tp);
  complete(tp, mtu, mtu);
}

/** The retransmission timer has run out for the t_rxtshift-th time in a row (RFC 4821 section 7.7, RFC 8899 section 4.3). */
export function plpTimeout(tp: Tcpcb): void {
  const { cnt, tune } = tp.st;
  if (tp.plp_out) {
    // What is lost with everything else says nothing of its size (RFC 4821 section 7.6.4).
    tp.plp_out = false;
    tp.plp_failed = true;
    tp.plp_ms = tp.st.clock.ms;
    rtxUnmarkProbe(tp);
  }
  if ((tp.t_flags2 & TF2_PLPMTU_PMTUD) === 0) return;
  // Is what does not get through larger than what would be tried?
  const size = rtxHeadLen(tp) + tp.t_optlen + TCPIP_HDRS;
  if (tp.t_rxtshift === HOLE_TIMEOUTS && size > tune.tcp_plpmtud_base) {
    cnt[tcps.tcps_plpmtud_blackholes]!++;
    tp.t_flags2 |= TF2_PLPMTU_BLACKHOLE;
    toBase(tp, maxMtu(tp));
  } else if (tp.t_rxtshift === ERROR_TIMEOUTS && size > tune.tcp_mssdflt + TCPIP_HDRS) {
    tp.plp_state = PLP_ERROR;
    tp.t_flags2 |= TF2_PLPMTU_BLACKHOLE;
    pmtuSet(tp, tune.tcp_mssdflt + TCPIP_HDRS);
    // The last resort, as with net.inet.tcp.pmtud_blackhole_detection.
    tp.t_nodf = true;
  }
}
