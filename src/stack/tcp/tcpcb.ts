/**
 * The TCP control block. Names are BSD's. Every field that a log, a snapshot or another view may show is declared once in
 * TCPCB_FIELDS; a unit test keeps the table and the class in step.
 */
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Socket } from '../socket/socket.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';
import type { Inpcb } from './tcb.ts';
import { TCPS_CLOSED } from './tcp-fsm.ts';

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
export const TF_PREVVALID = 0x00002000;
export const TF_MORETOCOME = 0x00010000;
export const TF_LASTIDLE = 0x00040000;
export const TF_RXWIN0SENT = 0x00080000;
export const TF_FASTRECOVERY = 0x00100000;
export const TF_WASFRECOVERY = 0x00200000;
export const TF_FORCEDATA = 0x00800000;
export const TF_CLOSED = 0x04000000;
export const TF_CONGRECOVERY = 0x20000000;

/** t_flags2 (spec/siftr.md 3.3). */
export const TF2_PLPMTU_PMTUD = 0x00000002;

/** t_srtt carries this many fraction bits, t_rttvar TCP_RTTVAR_SHIFT (RFC 6298 with gains 1/8 and 1/4). */
export const TCP_RTT_SHIFT = 3;
export const TCP_RTTVAR_SHIFT = 2;

/** A window that no path fills: what ssthresh and cwnd hold before they are known (spec/siftr.md fields 7 and 8). */
export const TCP_MAXWINDOW = 65535 << 14;

/** Blocks of received data that the receiver reports (RFC 2018 section 3); FreeBSD keeps as many. */
export const MAX_SACK_BLKS = 6;

export class Tcpcb {
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
  iss = 0;
  snd_wnd = 0;
  max_sndwnd = 0;
  snd_scale = 0;
  snd_cwnd = TCP_MAXWINDOW;
  snd_ssthresh = TCP_MAXWINDOW;
  /** Highest sequence number sent when recovery began (RFC 6582 "recover"). */
  snd_recover = 0;
  /** Bytes acknowledged since cwnd last grew (RFC 3465, congestion avoidance). */
  t_bytes_acked = 0;

  irs = 0;
  rcv_nxt = 0;
  /** Right edge of the window that the peer knows. */
  rcv_adv = 0;
  rcv_wnd = 0;
  rcv_scale = 0;
  last_ack_sent = 0;

  t_maxseg = 0;
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
  /** The segment being timed was sent at this clock.us; valid while t_rtttiming. */
  t_rtttime = 0;
  t_rtttiming = false;
  t_rtseq = 0;
  /** Least sample since the connection began, µs; 0 until the first. */
  t_rttmin = 0;
  t_rttsamples = 0;
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
  t_segqlen = 0;
  t_segqbytes = 0;
  /** A FIN that waits behind a gap: its sequence number, valid with t_finqueued. */
  t_finseq = 0;
  t_finqueued = false;

  /** What we would report: pairs start, end; the latest change first. */
  readonly sackblks: Int32Array;
  rcv_numsacks = 0;

  /** Retransmitted segments and the bytes each way since the start. */
  snd_rexmitpack = 0;
  snd_bytes = 0;
  rcv_bytes = 0;
  snd_segs = 0;
  rcv_segs = 0;
  /** Challenge ACKs sent in the window that began at t_challenge_start (clock.ms). */
  t_challenges = 0;
  t_challenge_start = 0;
  /** Idle time before keepalive probes, ms; 0 takes the sysctl. */
  t_keepidle = 0;
  /** On the list of connections whose ACK goes out at the end of the pass. */
  onAckq = false;
  /** On the list of connections that wait for room on the interface queue. */
  onWaitq = false;

  readonly t_rexmt: Timer;
  readonly t_persist: Timer;
  readonly t_keep: Timer;
  readonly t_2msl: Timer;
  readonly t_delack: Timer;
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
    this.iss = 0;
    this.snd_wnd = 0;
    this.max_sndwnd = 0;
    this.snd_scale = 0;
    this.snd_cwnd = TCP_MAXWINDOW;
    this.snd_ssthresh = TCP_MAXWINDOW;
    this.snd_recover = 0;
    this.t_bytes_acked = 0;
    this.irs = 0;
    this.rcv_nxt = 0;
    this.rcv_adv = 0;
    this.rcv_wnd = 0;
    this.rcv_scale = 0;
    this.last_ack_sent = 0;
    this.t_maxseg = st.tune.tcp_mssdflt;
    this.t_optlen = 0;
    this.t_dupacks = 0;
    this.t_rxtshift = 0;
    this.t_rxtcur = st.tune.tcp_rexmit_initial * 1000;
    this.t_srtt = 0;
    this.t_rttvar = 0;
    this.t_rtttime = 0;
    this.t_rtttiming = false;
    this.t_rtseq = 0;
    this.t_rttmin = 0;
    this.t_rttsamples = 0;
    this.t_softerror = 0;
    this.ts_recent = 0;
    this.ts_recent_age = 0;
    this.ts_offset = 0;
    this.t_rcvtime = st.clock.ms;
    this.t_starttime = st.clock.ms;
    this.t_segq = null;
    this.t_segqlen = 0;
    this.t_segqbytes = 0;
    this.t_finseq = 0;
    this.t_finqueued = false;
    this.rcv_numsacks = 0;
    this.snd_rexmitpack = 0;
    this.snd_bytes = 0;
    this.rcv_bytes = 0;
    this.snd_segs = 0;
    this.rcv_segs = 0;
    this.t_challenges = 0;
    this.t_challenge_start = 0;
    this.t_keepidle = 0;
    this.nextFree = null;
  }
}

/** What the trace point reports. */
export const TA_INPUT = 0;
export const TA_INPUT_DONE = 1;
export const TA_OUTPUT = 2;
export const TA_OUTPUT_DONE = 3;
export const TA_TIMER = 4;
export const TA_USER = 5;
export const TA_CONG = 6;
export const TA_DROP = 7;

/**
 * The trace point (DESIGN.md, "The way of a packet").
 * @param act TA_*
 * @param arg TA_INPUT, TA_OUTPUT and their DONE: TH_* flags; TA_TIMER: 0 rexmt, 1 persist, 2 keep, 3 2msl, 4 delack; TA_USER:
 *            0 connect, 1 send, 2 shutdown, 3 close, 4 abort; TA_CONG: CC_*; TA_DROP: errno
 * @param seq sequence number of the segment, 0 when there is none
 * @param len payload bytes, 0 when there is no segment
 */
export type TcpTraceFn = (tp: Tcpcb, act: number, arg: number, seq: number, len: number) => void;

/** What each timer of a control block calls (tcp-timer.ts). */
export interface TcpTimerFns {
  rexmt(tp: Tcpcb): void;
  persist(tp: Tcpcb): void;
  keep(tp: Tcpcb): void;
  msl2(tp: Tcpcb): void;
  delack(tp: Tcpcb): void;
}

/** How a field is to be read. */
export type FieldType = 'i32' | 'u32' | 'bool' | 'f64';

export interface TcpcbField {
  readonly name: keyof Tcpcb & string;
  readonly type: FieldType;
  readonly unit: 'bytes' | 'segments' | 'us' | 'ms' | 'seq' | 'bits' | 'shift' | 'state' | 'count';
  /** Field of the SIFTR data line (spec/siftr.md section 3) that shows it. */
  readonly siftr?: number;
  readonly help: string;
}

/** Every field of the control block that may be shown, declared once. */
export const TCPCB_FIELDS: readonly TcpcbField[] = [
  { name: 't_state', type: 'u32', unit: 'state', siftr: 14, help: 'state' },
  { name: 't_flags', type: 'u32', unit: 'bits', siftr: 18, help: 'flags TF_*' },
  { name: 't_flags2', type: 'u32', unit: 'bits', siftr: 9, help: 'flags TF2_*' },
  { name: 'snd_una', type: 'u32', unit: 'seq', help: 'oldest unacknowledged sequence number' },
  { name: 'snd_nxt', type: 'u32', unit: 'seq', help: 'next sequence number to send' },
  { name: 'snd_max', type: 'u32', unit: 'seq', help: 'highest sequence number sent' },
  { name: 'snd_wl1', type: 'u32', unit: 'seq', help: 'sequence number of the last window update' },
  { name: 'snd_wl2', type: 'u32', unit: 'seq', help: 'acknowledgment number of the last window update' },
  { name: 'iss', type: 'u32', unit: 'seq', help: 'initial send sequence number' },
  { name: 'snd_wnd', type: 'u32', unit: 'bytes', siftr: 10, help: 'send window' },
  { name: 'max_sndwnd', type: 'u32', unit: 'bytes', help: 'largest send window seen' },
  { name: 'snd_scale', type: 'u32', unit: 'shift', siftr: 12, help: 'window scale of the peer' },
  { name: 'snd_cwnd', type: 'u32', unit: 'bytes', siftr: 8, help: 'congestion window' },
  { name: 'snd_ssthresh', type: 'u32', unit: 'bytes', siftr: 7, help: 'slow start threshold' },
  { name: 'snd_recover', type: 'u32', unit: 'seq', help: 'recovery ends when this is acknowledged' },
  { name: 't_bytes_acked', type: 'u32', unit: 'bytes', help: 'bytes acknowledged since cwnd grew' },
  { name: 'irs', type: 'u32', unit: 'seq', help: 'initial receive sequence number' },
  { name: 'rcv_nxt', type: 'u32', unit: 'seq', help: 'next sequence number expected' },
  { name: 'rcv_adv', type: 'u32', unit: 'seq', help: 'right edge of the window that the peer knows' },
  { name: 'rcv_wnd', type: 'u32', unit: 'bytes', siftr: 11, help: 'receive window' },
  { name: 'rcv_scale', type: 'u32', unit: 'shift', siftr: 13, help: 'window scale of ours' },
  { name: 'last_ack_sent', type: 'u32', unit: 'seq', help: 'last acknowledgment number sent' },
  { name: 't_maxseg', type: 'u32', unit: 'bytes', siftr: 15, help: 'maximum segment size, options not subtracted' },
  { name: 't_optlen', type: 'u32', unit: 'bytes', help: 'bytes of options on every segment' },
  { name: 't_dupacks', type: 'u32', unit: 'count', help: 'duplicate ACKs in a row' },
  { name: 't_rxtshift', type: 'u32', unit: 'shift', help: 'back-off of the retransmission timeout' },
  { name: 't_rxtcur', type: 'u32', unit: 'us', siftr: 19, help: 'retransmission timeout' },
  { name: 't_srtt', type: 'u32', unit: 'us', siftr: 16, help: 'smoothed round-trip time, times 8' },
  { name: 't_rttvar', type: 'u32', unit: 'us', help: 'round-trip time variation, times 4' },
  { name: 't_rtttime', type: 'i32', unit: 'us', help: 'when the timed segment was sent' },
  { name: 't_rtttiming', type: 'bool', unit: 'bits', help: 'a segment is being timed' },
  { name: 't_rtseq', type: 'u32', unit: 'seq', help: 'sequence number being timed' },
  { name: 't_rttmin', type: 'u32', unit: 'us', help: 'least round-trip time seen' },
  { name: 't_rttsamples', type: 'u32', unit: 'count', help: 'round-trip samples taken' },
  { name: 't_softerror', type: 'u32', unit: 'count', help: 'errno that ICMP reported' },
  { name: 'ts_recent', type: 'u32', unit: 'ms', help: "peer's timestamp to echo" },
  { name: 'ts_recent_age', type: 'i32', unit: 'ms', help: 'when ts_recent was taken' },
  { name: 'ts_offset', type: 'u32', unit: 'ms', help: 'offset of our timestamp clock' },
  { name: 't_rcvtime', type: 'i32', unit: 'ms', help: 'when the last segment came' },
  { name: 't_starttime', type: 'i32', unit: 'ms', help: 'when the connection began' },
  { name: 't_segqlen', type: 'u32', unit: 'segments', siftr: 25, help: 'segments in the reassembly queue' },
  { name: 't_segqbytes', type: 'u32', unit: 'bytes', help: 'bytes in the reassembly queue' },
  { name: 't_finseq', type: 'u32', unit: 'seq', help: 'sequence number of a FIN behind a gap' },
  { name: 't_finqueued', type: 'bool', unit: 'bits', help: 'a FIN waits behind a gap' },
  { name: 'rcv_numsacks', type: 'u32', unit: 'count', help: 'SACK blocks that we report' },
  { name: 'snd_rexmitpack', type: 'u32', unit: 'segments', help: 'segments retransmitted' },
  { name: 'snd_bytes', type: 'f64', unit: 'bytes', help: 'payload sent, retransmissions not counted' },
  { name: 'rcv_bytes', type: 'f64', unit: 'bytes', help: 'payload received in sequence' },
  { name: 'snd_segs', type: 'u32', unit: 'segments', help: 'segments sent' },
  { name: 'rcv_segs', type: 'u32', unit: 'segments', help: 'segments received' },
  { name: 't_challenges', type: 'u32', unit: 'count', help: 'challenge ACKs in the current window' },
  { name: 't_challenge_start', type: 'i32', unit: 'ms', help: 'when that window began' },
  { name: 't_keepidle', type: 'u32', unit: 'ms', help: 'idle time before keepalive probes' },
];
