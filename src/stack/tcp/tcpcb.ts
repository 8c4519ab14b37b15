/**
 * The TCP control block. Names are BSD's. Every field that a log, a snapshot or another view may show is declared once in
 * tcpcb-fields.ts; a unit test keeps the table and the class in step.
 */

import type { Mbuf } from '../../rings/mbuf.ts';
import type { Listener } from '../socket/listener.ts';
import type { Socket } from '../socket/socket.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';
import { type CcModule, type CcVar, type CongestionControl, TCP_MAXWINDOW } from './cc/cc.ts';
import { noCc } from './cc/none.ts';
import type { Inpcb } from './tcb.ts';
import { TCPS_CLOSED } from './tcp-fsm.ts';
import { PipeAck } from './tcp-pipeack.ts';
import type { SndSeg } from './tcp-rtxq.ts';
import type { TcpTraceFn } from './tcp-trace.ts';

/** t_flags (spec/siftr.md 3.2). */
export const TF_ACKNOW = 0x00000001;
export const TF_DELACK = 0x00000002;
export const TF_NODELAY = 0x00000004;
export const TF_NOOPT = 0x00000008;
export const TF_SENTFIN = 0x00000010;
export const TF_REQ_SCALE = 0x00000020;
export const TF_RCVD_SCALE = 0x00000040;
export const TF_REQ_TSTMP = 0x00000080;
export const TF_RCVD_TSTMP = 0x00000100;
export const TF_SACK_PERMIT = 0x00000200;
export const TF_NOPUSH = 0x00001000;
export const TF_PREVVALID = 0x00002000;
export const TF_MORETOCOME = 0x00010000;
export const TF_LASTIDLE = 0x00040000;
export const TF_RXWIN0SENT = 0x00080000;
export const TF_FASTRECOVERY = 0x00100000;
export const TF_FORCEDATA = 0x00800000;
export const TF_CLOSED = 0x04000000;
export const TF_CONGRECOVERY = 0x20000000;
export const TF_FASTOPEN = 0x80000000 | 0;

/** t_flags2 (spec/siftr.md 3.3). */
export const TF2_PLPMTU_BLACKHOLE = 0x00000001;
export const TF2_PLPMTU_PMTUD = 0x00000002;
export const TF2_ECN_PERMIT = 0x00000020;
export const TF2_ECN_SND_CWR = 0x00000040;
export const TF2_ECN_SND_ECE = 0x00000080;

/** t_srtt carries this many fraction bits, t_rttvar TCP_RTTVAR_SHIFT (RFC 6298 with gains 1/8 and 1/4). */
export const TCP_RTT_SHIFT = 3;
export const TCP_RTTVAR_SHIFT = 2;

/** Blocks of received data that the receiver reports (RFC 2018 section 3); FreeBSD keeps as many. */
export const MAX_SACK_BLKS = 6;

export class Tcpcb implements CcVar {
  readonly st: Stack;
  t_inpcb: Inpcb | null = null;
  /** Socket of the connection; set as long as the block is in use. */
  t_socket: Socket | null = null;
  /** Listener of the trace point, null when nobody looks. */
  t_trace: TcpTraceFn | null = null;
  t_state: number = TCPS_CLOSED;
  t_flags = 0;
  t_flags2 = 0;

  snd_una = 0;
  snd_nxt = 0;
  snd_max = 0;
  /** Sequence number, acknowledgment and window of the segment that last updated the send window. */
  snd_wl1 = 0;
  snd_wl2 = 0;
  /** The number behind what is urgent, valid in urgent mode (t_urgent); the next segment tells it also without data while t_urgdue. */
  snd_up = 0;
  t_urgent = false;
  t_urgdue = false;
  iss = 0;
  snd_wnd = 0;
  max_sndwnd = 0;
  snd_scale = 0;
  snd_cwnd = TCP_MAXWINDOW;
  snd_ssthresh = TCP_MAXWINDOW;
  /** Highest sequence number sent when recovery began (RFC 6582 "recover"). */
  snd_recover = 0;

  /** Congestion control, and the module that it comes from. */
  t_cc: CongestionControl = noCc;
  t_ccmod: CcModule | null = null;

  /** The scoreboard (tcp-rtxq.ts): what is in flight in order of sequence numbers, and in order of sending. */
  rtx_head: SndSeg | null = null;
  rtx_tail: SndSeg | null = null;
  ts_head: SndSeg | null = null;
  ts_tail: SndSeg | null = null;
  /** No lost segment that waits to be sent again lies before this one. */
  rtx_hint: SndSeg | null = null;
  /** Bytes that the peer holds beyond a gap; without SACK what its duplicate ACKs stand for. */
  snd_sacked = 0;
  /** Bytes that are lost and not sent again yet. */
  snd_lost = 0;
  /** Pieces of the scoreboard, and runs of SACKed ones among them: each has a hole before it. */
  snd_numsegs = 0;
  snd_numholes = 0;

  /** RACK (RFC 8985 section 5.2): the latest sent segment that was delivered, its round trip, the highest number delivered. */
  rack_xmit_us = 0;
  rack_end_seq = 0;
  rack_rtt = 0;
  rack_fack = 0;
  rack_reordering = false;
  rack_reo_mult = 1;
  rack_reo_persist = 0;
  /** snd_max when reo_mult last grew, valid while dsack_inround. */
  rack_dsack_round = 0;
  rack_dsack_inround = false;
  /** Tail loss probe that waits for its answer, up to tlp_end_seq (RFC 8985 section 7). */
  tlp_out = false;
  /** The timer t_rack is that of a probe, not of the reordering window. */
  rack_tlp = false;
  tlp_rexmit = false;
  tlp_end_seq = 0;

  /** Proportional rate reduction (RFC 9937 section 6). */
  prr_delivered = 0;
  prr_out = 0;
  prr_recover_fs = 0;

  /** Repair after a retransmission timeout goes on until snd_recover is acknowledged. */
  t_rtorecovery = false;
  /** F-RTO (RFC 5682): 1 the first segment was sent again, 2 new data went out instead of more. */
  t_frto = 0;
  /** Windows before the last reduction, valid while undo_valid (RFC 4015 section 3). */
  undo_valid = false;
  undo_una = 0;
  undo_cwnd = 0;
  undo_ssthresh = 0;
  /** The estimators then, and how many samples they had taken. */
  undo_srtt = 0;
  undo_rttvar = 0;
  undo_samples = 0;
  /** Segments sent again since then that no DSACK has called unnecessary. */
  undo_rexmits = 0;
  /** There was one, and its TSval (RFC 3522). */
  undo_sent = false;
  /** That TSval tells answers to originals from others. */
  undo_eifel = false;
  undo_ts = 0;

  /** snd_max at the last answer to an ECN echo: the next comes a window later. */
  ecn_recover = 0;
  /** A window of one segment was marked: nothing new goes until the retransmission timer runs out. */
  t_ecnhold = false;

  /** Receive buffer autotuning: bytes that came since rfbuf_us, in clock.ms rfbuf_ts. */
  rfbuf_cnt = 0;
  rfbuf_us = 0;
  rfbuf_ts = 0;

  /** Delivery rate (draft-ietf-ccwg-bbr section 4.1): bytes delivered, when last, and when the sampled flight began. */
  t_delivered = 0;
  t_delivered_us = 0;
  t_first_sent_us = 0;
  /** Value of t_delivered up to which samples are limited by the application; 0 for none. */
  t_app_limited = 0;
  /** Bytes marked lost since the start. */
  t_lost = 0;
  /** Last valid rate, bytes a second. */
  t_rate = 0;
  /** It was limited by the application. */
  t_rate_applim = false;
  /** Bytes delivered by ACKs that carried ECE. */
  t_delivered_ce = 0;

  /** The window held the sender back in the round that ends at cwnd_round (RFC 7661). */
  cwnd_limited = false;
  cwnd_round = 0;
  cwnd_round_valid = false;
  max_inflight = 0;
  readonly cwv = new PipeAck();
  /** Pacing: bytes a second (0: none), bytes that may go now, and when that was reckoned. */
  t_pacing_rate = 0;
  t_pacing_credit = 0;
  t_pacing_us = 0;

  irs = 0;
  rcv_nxt = 0;
  /** Right edge of the window that the peer knows. */
  rcv_adv = 0;
  rcv_wnd = 0;
  rcv_scale = 0;
  last_ack_sent = 0;

  t_maxseg = 0;
  /** What the peer said of its own, or the default. */
  t_peermss = 0;
  /** Path MTU that a router or a probe told, 0 for none, and clock.ms when it did (tcp-pmtu.ts). */
  t_pmtu = 0;
  t_pmtu_ms = 0;
  /** Segment size that was acknowledged; the end of a segment of t_maxseg whose ACK would show it, valid while pmtu_timed. */
  pmtu_acked = 0;
  pmtu_seq = 0;
  pmtu_timed = false;
  /** An ICMP message that waits for a timeout to be believed: its MTU, 0 for none, and the sequence number that it quotes. */
  pmtu_pend = 0;
  pmtu_pend_seq = 0;
  /** Of what was too big one segment goes again, 1, or has gone, 2; all of it has when pmtu_recover is acknowledged, valid while pmtu_resend. */
  pmtu_hold = 0;
  pmtu_resend = false;
  pmtu_recover = 0;
  /** Segments may be fragmented on their way, whatever net.inet.tcp.path_mtu_discovery says. */
  t_nodf = false;
  /** Black holes (tcp-blackhole.ts): segment size before one was suspected, and the timeout at which it is no longer. */
  t_saved_maxseg = 0;
  t_blackhole_exit = 0;
  /** Probing for the path MTU (tcp-plpmtud.ts): PLP_*, the range of MTUs in doubt, and the largest that may be. */
  plp_state = 0;
  plp_low = 0;
  plp_high = 0;
  plp_max = 0;
  /** Size of the last probe as an MTU, and its sequence number; plp_out: it is in flight. */
  plp_size = 0;
  plp_seq = 0;
  plp_out = false;
  /** Probes of that size that failed; plp_failed: the last one did, or told nothing. */
  plp_count = 0;
  plp_failed = false;
  /** clock.ms of the last failure, or of the end of the search. */
  plp_ms = 0;
  /** Bytes of options on every segment of this connection. */
  t_optlen = 0;
  t_dupacks = 0;
  t_rxtshift = 0;
  /** Retransmission timeout now, µs. */
  t_rxtcur = 0;
  /** µs << TCP_RTT_SHIFT; 0 until the first sample. */
  t_srtt = 0;
  /** µs << TCP_RTTVAR_SHIFT. */
  t_rttvar = 0;
  /** The SYN was sent at this clock.us; valid while t_rtttiming. */
  t_rtttime = 0;
  t_rtttiming = false;
  /** Least sample since the connection began, µs; 0 until the first. */
  t_rttmin = 0;
  t_rttsamples = 0;
  /** The last of them, µs. */
  t_rttlast = 0;
  t_softerror = 0;
  ts_recent = 0;
  /** clock.ms when ts_recent was taken. */
  ts_recent_age = 0;
  ts_offset = 0;

  /** clock.ms of the last segment received, and of the start. */
  t_rcvtime = 0;
  t_starttime = 0;

  /** Segments that wait for a gap to close: a list by sequence number. */
  t_segq: Mbuf | null = null;
  /** The one that came last, if it still waits. */
  t_seglast: Mbuf | null = null;
  t_segqlen = 0;
  t_segqbytes = 0;
  /** Segments in order that are acknowledged at once: as many as came behind a gap and were not kept. */
  t_ackquick = 0;
  /** The list of connections that have such a queue. */
  t_reassnext: Tcpcb | null = null;
  t_reassprev: Tcpcb | null = null;
  /** A FIN that waits behind a gap: its sequence number, valid with t_finqueued. */
  t_finseq = 0;
  t_finqueued = false;

  /** What we would report: pairs start, end; the latest change first. */
  readonly sackblks: Int32Array;
  rcv_numsacks = 0;
  /** What came twice, to be told with the next ACK (RFC 2883); valid while dsack_due. */
  dsack_due = false;
  dsack_start = 0;
  dsack_end = 0;

  /** Retransmitted segments and the bytes each way since the start. */
  snd_rexmitpack = 0;
  snd_bytes = 0;
  rcv_bytes = 0;
  snd_segs = 0;
  rcv_segs = 0;
  /** Payload sent again; numbers acknowledged, the SYN of an active open and the FIN among them. */
  snd_rexmitbytes = 0;
  snd_acked = 0;
  /** Segments with payload each way, segments queued behind a gap, and the largest payload received. */
  snd_datasegs = 0;
  rcv_datasegs = 0;
  rcv_oopack = 0;
  rcv_maxlen = 0;
  /** clock.ms of the last payload sent, of the last received, and of the last ACK that said something new; at first of the start. */
  t_sndtime = 0;
  t_datatime = 0;
  t_acktime = 0;
  /** Segments that DSACKs called duplicates, and those that arrived after later ones. */
  t_dsack_pack = 0;
  t_reord_seen = 0;
  /** A segment with ECT or CE came. */
  t_ecnseen = false;
  /** What the sender waits for (tcp-chrono.ts), since which clock.ms, and the time that each took, ms. */
  t_chrono = 0;
  t_chrono_ms = 0;
  t_busytime = 0;
  t_rwndtime = 0;
  t_sndbuftime = 0;
  /** Challenge ACKs sent in the window that began at t_challenge_start (clock.ms). */
  t_challenges = 0;
  t_challenge_start = 0;
  /** What it has to do with Fast Open (tcp-fastopen.ts), and the listener of which it is a pending request. */
  t_tfo = 0;
  t_tfo_listener: Listener | null = null;
  /** clock.ms since when nothing new was acknowledged, with something in flight or kept back by the window. */
  t_progtime = 0;
  /** On the list of connections whose ACK goes out at the end of the pass. */
  onAckq = false;
  /** On the list of connections that wait for room on the interface queue. */
  onWaitq = false;

  readonly t_rexmt: Timer;
  readonly t_persist: Timer;
  readonly t_keep: Timer;
  readonly t_2msl: Timer;
  readonly t_delack: Timer;
  /** RACK's reordering window or the tail loss probe; and the pacer. */
  readonly t_rack: Timer;
  readonly t_pace: Timer;
  /** The user timeout, and the ceiling of TCP_NOPUSH. */
  readonly t_user: Timer;
  readonly t_nopush: Timer;
  /** Free list. */
  nextFree: Tcpcb | null = null;

  constructor(st: Stack, timers: TcpTimerFns) {
    this.st = st;
    this.sackblks = new Int32Array(2 * MAX_SACK_BLKS);
    this.t_rexmt = new Timer(timers.rexmt, this);
    this.t_persist = new Timer(timers.persist, this);
    this.t_keep = new Timer(timers.keep, this);
    this.t_2msl = new Timer(timers.msl2, this);
    this.t_delack = new Timer(timers.delack, this);
    this.t_rack = new Timer(timers.rack, this);
    this.t_pace = new Timer(timers.pace, this);
    this.t_user = new Timer(timers.user, this);
    this.t_nopush = new Timer(timers.nopush, this);
  }

  // What a congestion-control module reads (cc/cc.ts).

  get maxseg(): number {
    return this.t_maxseg - this.t_optlen;
  }

  get initcwnd(): number {
    const segs = this.st.tune.tcp_initcwnd_segments;
    const maxseg = this.maxseg;
    const iw = segs * maxseg;
    if (segs !== 10) return iw;
    const floor = 2 * maxseg > 14600 ? 2 * maxseg : 14600;
    return iw > floor ? floor : iw;
  }

  get pipe(): number {
    const n = ((this.snd_nxt - this.snd_una) | 0) - this.snd_sacked - this.snd_lost;
    return n > 0 ? n : 0;
  }

  get srtt(): number {
    return this.t_srtt >> TCP_RTT_SHIFT;
  }

  get rttmin(): number {
    return this.t_rttmin;
  }

  get delivered(): number {
    return this.t_delivered;
  }

  get lost(): number {
    return this.t_lost;
  }

  get inRecovery(): boolean {
    return (this.t_flags & TF_FASTRECOVERY) !== 0;
  }

  get now(): number {
    return this.st.clock.us;
  }

  random32(): number {
    return this.st.random.next32();
  }

  /** Back to the state of a new block, so that a slot can be used again. */
  reset(): void {
    const st = this.st;
    this.t_inpcb = null;
    this.t_socket = null;
    this.t_trace = st.tcp.trace;
    this.t_state = TCPS_CLOSED;
    this.t_flags = 0;
    this.t_flags2 = 0;
    this.snd_una = 0;
    this.snd_nxt = 0;
    this.snd_max = 0;
    this.snd_wl1 = 0;
    this.snd_wl2 = 0;
    this.snd_up = 0;
    this.t_urgent = false;
    this.t_urgdue = false;
    this.iss = 0;
    this.snd_wnd = 0;
    this.max_sndwnd = 0;
    this.snd_scale = 0;
    this.snd_cwnd = TCP_MAXWINDOW;
    this.snd_ssthresh = TCP_MAXWINDOW;
    this.snd_recover = 0;
    this.t_cc = noCc;
    this.t_ccmod = null;
    this.rtx_head = null;
    this.rtx_tail = null;
    this.ts_head = null;
    this.ts_tail = null;
    this.rtx_hint = null;
    this.snd_sacked = 0;
    this.snd_lost = 0;
    this.snd_numsegs = 0;
    this.snd_numholes = 0;
    this.rack_xmit_us = 0;
    this.rack_end_seq = 0;
    this.rack_rtt = 0;
    this.rack_fack = 0;
    this.rack_reordering = false;
    this.rack_reo_mult = 1;
    this.rack_reo_persist = 0;
    this.rack_dsack_round = 0;
    this.rack_dsack_inround = false;
    this.tlp_out = false;
    this.rack_tlp = false;
    this.tlp_rexmit = false;
    this.tlp_end_seq = 0;
    this.prr_delivered = 0;
    this.prr_out = 0;
    this.prr_recover_fs = 0;
    this.t_rtorecovery = false;
    this.t_frto = 0;
    this.undo_valid = false;
    this.undo_una = 0;
    this.undo_cwnd = 0;
    this.undo_ssthresh = 0;
    this.undo_srtt = 0;
    this.undo_rttvar = 0;
    this.undo_samples = 0;
    this.undo_rexmits = 0;
    this.undo_ts = 0;
    this.undo_sent = false;
    this.undo_eifel = false;
    this.ecn_recover = 0;
    this.t_ecnhold = false;
    this.rfbuf_cnt = 0;
    this.rfbuf_us = st.clock.us;
    this.rfbuf_ts = st.clock.ms;
    this.t_delivered = 0;
    this.t_delivered_us = 0;
    this.t_first_sent_us = 0;
    this.t_app_limited = 0;
    this.t_lost = 0;
    this.t_rate = 0;
    this.t_rate_applim = false;
    this.t_delivered_ce = 0;
    this.cwnd_limited = false;
    this.cwnd_round = 0;
    this.cwnd_round_valid = false;
    this.max_inflight = 0;
    this.cwv.reset();
    this.t_pacing_rate = 0;
    this.t_pacing_credit = 0;
    this.t_pacing_us = 0;
    this.irs = 0;
    this.rcv_nxt = 0;
    this.rcv_adv = 0;
    this.rcv_wnd = 0;
    this.rcv_scale = 0;
    this.last_ack_sent = 0;
    this.t_maxseg = st.tune.tcp_mssdflt;
    this.t_peermss = st.tune.tcp_mssdflt;
    this.t_pmtu = 0;
    this.t_pmtu_ms = 0;
    this.pmtu_acked = 0;
    this.pmtu_seq = 0;
    this.pmtu_timed = false;
    this.pmtu_pend = 0;
    this.pmtu_pend_seq = 0;
    this.pmtu_hold = 0;
    this.pmtu_resend = false;
    this.pmtu_recover = 0;
    this.t_nodf = false;
    this.t_saved_maxseg = 0;
    this.t_blackhole_exit = 0;
    this.plp_state = 0;
    this.plp_low = 0;
    this.plp_high = 0;
    this.plp_max = 0;
    this.plp_size = 0;
    this.plp_seq = 0;
    this.plp_out = false;
    this.plp_count = 0;
    this.plp_failed = false;
    this.plp_ms = 0;
    this.t_optlen = 0;
    this.t_dupacks = 0;
    this.t_rxtshift = 0;
    this.t_rxtcur = st.tune.tcp_rexmit_initial * 1000;
    this.t_srtt = 0;
    this.t_rttvar = 0;
    this.t_rtttime = 0;
    this.t_rtttiming = false;
    this.t_rttmin = 0;
    this.t_rttsamples = 0;
    this.t_rttlast = 0;
    this.t_softerror = 0;
    this.ts_recent = 0;
    this.ts_recent_age = 0;
    this.ts_offset = 0;
    this.t_rcvtime = st.clock.ms;
    this.t_starttime = st.clock.ms;
    this.t_segq = null;
    this.t_seglast = null;
    this.t_segqlen = 0;
    this.t_segqbytes = 0;
    this.t_ackquick = 0;
    this.t_reassnext = null;
    this.t_reassprev = null;
    this.t_finseq = 0;
    this.t_finqueued = false;
    this.rcv_numsacks = 0;
    this.dsack_due = false;
    this.dsack_start = 0;
    this.dsack_end = 0;
    this.snd_rexmitpack = 0;
    this.snd_bytes = 0;
    this.rcv_bytes = 0;
    this.snd_segs = 0;
    this.rcv_segs = 0;
    this.snd_rexmitbytes = 0;
    this.snd_acked = 0;
    this.snd_datasegs = 0;
    this.rcv_datasegs = 0;
    this.rcv_oopack = 0;
    this.rcv_maxlen = 0;
    this.t_sndtime = st.clock.ms;
    this.t_datatime = st.clock.ms;
    this.t_acktime = st.clock.ms;
    this.t_dsack_pack = 0;
    this.t_reord_seen = 0;
    this.t_ecnseen = false;
    this.t_chrono = 0;
    this.t_chrono_ms = st.clock.ms;
    this.t_busytime = 0;
    this.t_rwndtime = 0;
    this.t_sndbuftime = 0;
    this.t_challenges = 0;
    this.t_challenge_start = 0;
    this.t_tfo = 0;
    this.t_tfo_listener = null;
    this.t_progtime = st.clock.ms;
    this.nextFree = null;
  }
}

/** What each timer of a control block calls (tcp-timer.ts). */
export interface TcpTimerFns {
  rexmt(tp: Tcpcb): void;
  persist(tp: Tcpcb): void;
  keep(tp: Tcpcb): void;
  msl2(tp: Tcpcb): void;
  delack(tp: Tcpcb): void;
  rack(tp: Tcpcb): void;
  pace(tp: Tcpcb): void;
  user(tp: Tcpcb): void;
  nopush(tp: Tcpcb): void;
}
