/**
 * The fields of a connection's state as others may see it: each declared once with name, type, unit, help, source, and the word of
 * ss(8) that shows it. conninfo.ts copies a connection by them.
 */
import { routeLookup } from '../net/route.ts';
import type { Listener } from '../socket/listener.ts';
import type { Socket } from '../socket/socket.ts';
import { TCP_MAXWINDOW } from './cc/cc.ts';
import type { Inpcb } from './tcb.ts';
import { CHRONO_BUSY, CHRONO_RWND, CHRONO_SNDBUF, chronoTime } from './tcp-chrono.ts';
import { haveEstablished, haveRcvdFin, TCPS_LISTEN, TCPS_TIME_WAIT } from './tcp-fsm.ts';
import { TCPIP_HDRS } from './tcp-pmtu.ts';
import { SEG_REXMIT, SEG_SACKED } from './tcp-rtxq.ts';
import { tcpKeepIdle, tcpKeepIntvl } from './tcp-timer.ts';
import {
  TCP_RTT_SHIFT,
  TCP_RTTVAR_SHIFT,
  type Tcpcb,
  TF_FASTRECOVERY,
  TF_RCVD_SCALE,
  TF_RCVD_TSTMP,
  TF_REQ_SCALE,
  TF_REQ_TSTMP,
  TF_SACK_PERMIT,
  TF2_ECN_PERMIT,
  TF2_ECN_SND_ECE,
  TF2_PLPMTU_BLACKHOLE,
} from './tcpcb.ts';

/** Kinds of timers, as ss(8) tells them apart. */
export const CONN_TIMERS = ['off', 'on', 'keepalive', 'timewait', 'persist'] as const;

/**
 * How a field is to be read. `number` is a finite Float64; `bool` 0 or 1; `state` TCPS_*; `addr` takes four slots, the words of the address
 * (flow.ts); `timer` an index of CONN_TIMERS; `cc` and `text` an index of the names and texts that go with the rows. What has no `get` is
 * set by whoever gathers the rows. NaN in any of them: there is no such value.
 */
export type ConnType = 'number' | 'bool' | 'state' | 'addr' | 'timer' | 'cc' | 'shard' | 'text';

export type ConnUnit = '' | 'bytes' | 'bytes/s' | 'us' | 'ms' | 'segments' | 'shift' | 'port';

export interface ConnField {
  readonly name: string;
  readonly type: ConnType;
  readonly unit: ConnUnit;
  /** Where `ss -tinmoe` shows it; empty where it does not. */
  readonly ss: string;
  readonly help: string;
  /** Value of a connection; absent for an address, and for what the stack itself does not know. */
  readonly get?: Get | undefined;
  /** Value of a listening socket; absent for none. */
  readonly listen?: Listen | undefined;
}

type Get = (tp: Tcpcb, so: Socket, inp: Inpcb) => number;
type Listen = (l: Listener) => number;
type Named<N extends string> = ConnField & { readonly name: N };

function num<N extends string>(name: N, unit: ConnUnit, ss: string, help: string, get: Get, listen?: Listen): Named<N> {
  return { name, type: 'number', unit, ss, help, get, listen };
}

function flag<N extends string>(name: N, ss: string, help: string, get: Get, listen?: Listen): Named<N> {
  return { name, type: 'bool', unit: '', ss, help, get, listen };
}

function other<N extends string>(
  name: N,
  type: ConnType,
  ss: string,
  help: string,
  get?: Get,
  listen?: Listen,
): Named<N> {
  return { name, type, unit: '', ss, help, get, listen };
}

const since = (tp: Tcpcb, ms: number): number => (tp.st.clock.ms - ms) | 0;
const both = (tp: Tcpcb, flags: number): boolean => (tp.t_flags & flags) === flags;
const bit = (on: boolean): number => (on ? 1 : 0);
const outstanding = (tp: Tcpcb): number => (tp.snd_nxt - tp.snd_una) | 0;

function notSent(tp: Tcpcb, so: Socket): number {
  const n = so.so_snd.sb_cc - outstanding(tp);
  return n > 0 ? n : 0;
}

function routeMtu(tp: Tcpcb, inp: Inpcb): number {
  const rt = routeLookup(tp.st, inp.f3, inp.ro);
  return rt === null ? Number.NaN : rt.mtu;
}

/** What is known of the path, else the MTU of the route. */
function pathMtu(tp: Tcpcb, inp: Inpcb): number {
  const mtu = routeMtu(tp, inp);
  if (tp.t_flags2 & TF2_PLPMTU_BLACKHOLE) return tp.t_maxseg + TCPIP_HDRS;
  return tp.t_pmtu !== 0 && tp.t_pmtu < mtu ? tp.t_pmtu : mtu;
}

/** Bytes of retransmissions that are in flight. */
function retransOut(tp: Tcpcb): number {
  if (tp.snd_rexmitpack === 0) return 0;
  let n = 0;
  for (let s = tp.rtx_head; s !== null; s = s.next) {
    if ((s.flags & (SEG_REXMIT | SEG_SACKED)) === SEG_REXMIT) n += (s.end - s.start) | 0;
  }
  return n;
}

function timerKind(tp: Tcpcb, so: Socket): number {
  if (tp.t_state === TCPS_TIME_WAIT) return 3;
  if (tp.t_rexmt.armed || tp.t_rack.armed) return 1;
  if (tp.t_persist.armed) return 4;
  // The keepalive timer runs on every connection, probes are sent where they are wanted.
  return tp.t_keep.armed && (so.opt.keepAlive || tp.st.tune.tcp_always_keepalive !== 0) ? 2 : 0;
}

function timerLeft(tp: Tcpcb, so: Socket): number {
  const { wheel } = tp.st;
  switch (timerKind(tp, so)) {
    case 1: {
      const rexmt = wheel.remaining(tp.t_rexmt);
      const rack = wheel.remaining(tp.t_rack);
      return rack >= 0 && (rexmt < 0 || rack < rexmt) ? rack : rexmt;
    }
    case 2:
      return wheel.remaining(tp.t_keep);
    case 3:
      return wheel.remaining(tp.t_2msl);
    case 4:
      return wheel.remaining(tp.t_persist);
    default:
      return Number.NaN;
  }
}

/** The persist timer has its first interval doubled in advance (tcpSetpersist). */
function backoff(tp: Tcpcb): number {
  return tp.t_persist.armed && tp.t_rxtshift > 0 ? tp.t_rxtshift - 1 : tp.t_rxtshift;
}

function timerCount(tp: Tcpcb, so: Socket): number {
  const kind = timerKind(tp, so);
  if (kind === 1 || kind === 4) return backoff(tp);
  if (kind !== 2) return kind === 3 ? 0 : Number.NaN;
  const silent = since(tp, tp.t_rcvtime) - tcpKeepIdle(tp) / 1000;
  return silent < 0 ? 0 : 1 + Math.floor(silent / tcpKeepIntvl(tp));
}

/** Every field, in the order of a row. A rename is a breaking change. */
export const CONN_FIELDS = [
  other(
    'state',
    'state',
    'State',
    'state',
    (tp) => tp.t_state,
    () => TCPS_LISTEN,
  ),
  num(
    'recv_q',
    'bytes',
    'Recv-Q',
    'received in sequence and not taken by the application; of a listening socket the connections that wait to be accepted',
    (_tp, so) => so.so_rcv.sb_cc,
    (l) => l.qlen,
  ),
  num(
    'send_q',
    'bytes',
    'Send-Q',
    'not sent or not acknowledged; of a listening socket the connections that may wait',
    (_tp, so) => so.so_snd.sb_cc,
    (l) => l.backlog,
  ),
  other('laddr', 'addr', 'Local Address', 'local address'),
  num(
    'lport',
    'port',
    'Local Port',
    'local port',
    (_tp, _so, inp) => inp.lport,
    (l) => l.port,
  ),
  other('faddr', 'addr', 'Peer Address', 'address of the peer'),
  num('fport', 'port', 'Peer Port', 'port of the peer', (_tp, _so, inp) => inp.fport),
  other('shard', 'shard', '', 'shard that has the connection'),
  num('flowid', '', 'sk:', 'flow id, as in the SIFTR log', (_tp, _so, inp) => inp.inp_flowid >>> 0),
  num('age_ms', 'ms', '', 'time since the connection began', (tp) => since(tp, tp.t_starttime)),
  other('timer', 'timer', 'timer:', `timer that runs: ${CONN_TIMERS.join(', ')}`, timerKind),
  num('timer_us', 'us', 'timer:', 'time that it has left', timerLeft),
  num('timer_count', '', 'timer:', 'retransmissions or probes in a row so far', timerCount),
  flag(
    'rcv_shut',
    '<-> of -e',
    "the peer's FIN has come, or the application has closed",
    (tp, so) => bit(haveRcvdFin(tp.t_state) || so.noFdRef),
    () => 0,
  ),
  flag(
    'snd_shut',
    '<-> of -e',
    'the application sends no more',
    (_tp, so) => bit(so.cantSendMore),
    () => 0,
  ),
  flag('orphan', 'orphaned of -s', 'the application has closed the socket', (_tp, so) => bit(so.noFdRef)),
  flag('queued', '', 'it waits in the queue of its listening socket to be accepted', (_tp, so) => bit(so.queued)),
  other('fd', 'number', '', 'descriptor, where a program has the socket over the socket endpoint'),
  other(
    'pid',
    'number',
    '',
    'the process of that program: the one whose connection to the endpoint made the descriptor',
  ),
  other('command', 'text', '', 'name of that process when it connected'),
  other('uid', 'number', '', 'user of that process'),
  other('user', 'text', '', 'name of that user'),
  num(
    'rcvmem_bytes',
    'bytes',
    'skmem r',
    'received and held, behind a gap too',
    (tp, so) => so.so_rcv.sb_cc + tp.t_segqbytes,
    () => 0,
  ),
  num(
    'rcvbuf_bytes',
    'bytes',
    'skmem rb',
    'limit of the receive buffer',
    (_tp, so) => so.so_rcv.sb_hiwat,
    (l) => l.rcvBuf,
  ),
  num(
    'sndbuf_bytes',
    'bytes',
    'skmem tb',
    'limit of the send buffer',
    (_tp, so) => so.so_snd.sb_hiwat,
    (l) => l.sndBuf,
  ),
  flag('ts', 'ts', 'timestamps are in use (RFC 7323)', (tp) => bit(both(tp, TF_REQ_TSTMP | TF_RCVD_TSTMP))),
  flag('sack', 'sack', 'SACK is in use (RFC 2018)', (tp) => bit(both(tp, TF_SACK_PERMIT))),
  flag('ecn', 'ecn', 'ECN is in use (RFC 3168)', (tp) => bit((tp.t_flags2 & TF2_ECN_PERMIT) !== 0)),
  flag('ecnseen', 'ecnseen', 'a segment with ECT or CE came', (tp) => bit(tp.t_ecnseen)),
  flag('ce_state', 'dctcp:(ce_state', 'congestion is being echoed to the peer', (tp) =>
    bit((tp.t_flags2 & TF2_ECN_SND_ECE) !== 0),
  ),
  other('cc', 'cc', 'name of it', 'congestion control'),
  num('snd_wscale', 'shift', 'wscale:', 'window scale of the peer', (tp) =>
    both(tp, TF_REQ_SCALE | TF_RCVD_SCALE) ? tp.snd_scale : Number.NaN,
  ),
  num('rcv_wscale', 'shift', 'wscale:', 'window scale of ours', (tp) =>
    both(tp, TF_REQ_SCALE | TF_RCVD_SCALE) ? tp.rcv_scale : Number.NaN,
  ),
  num('rto_us', 'us', 'rto:', 'retransmission timeout', (tp) => tp.t_rxtcur),
  num('backoff', 'shift', 'backoff:', 'doublings of the timeout or of the time between window probes', backoff),
  num('rtt_us', 'us', 'rtt:', 'smoothed round-trip time', (tp) =>
    tp.t_srtt === 0 ? Number.NaN : tp.t_srtt >> TCP_RTT_SHIFT,
  ),
  num('rttvar_us', 'us', 'rtt:', 'variation of the round-trip time', (tp) =>
    tp.t_srtt === 0 ? Number.NaN : tp.t_rttvar >> TCP_RTTVAR_SHIFT,
  ),
  num('min_rtt_us', 'us', 'minrtt:', 'least round-trip time of the connection', (tp) =>
    tp.t_rttmin === 0 ? Number.NaN : tp.t_rttmin,
  ),
  num(
    'ato_ms',
    'ms',
    'ato:',
    'how long an ACK of data may be put off; none before the first data, and where ACKs are not delayed',
    (tp) => (tp.rcv_datasegs > 0 && tp.st.tune.tcp_delayed_ack !== 0 ? tp.st.tune.tcp_delacktime : Number.NaN),
  ),
  num('mss_bytes', 'bytes', 'mss:', 'payload of a full segment sent', (tp) => tp.maxseg),
  num('pmtu_bytes', 'bytes', 'pmtu:', 'MTU of the path', (tp, _so, inp) => pathMtu(tp, inp)),
  num(
    'plpmtud_state',
    '',
    '',
    'probing for the path MTU: 1 base, 2 search, 3 complete, 4 error; none where it is off',
    (tp) => (tp.plp_state === 0 ? Number.NaN : tp.plp_state),
  ),
  num('plpmtud_low_bytes', 'bytes', '', 'largest MTU that probing knows to work', (tp) =>
    tp.plp_state === 0 ? Number.NaN : tp.plp_low,
  ),
  num('plpmtud_high_bytes', 'bytes', '', 'largest MTU that may work', (tp) =>
    tp.plp_state === 0 ? Number.NaN : tp.plp_high,
  ),
  num('rcvmss_bytes', 'bytes', 'rcvmss:', 'largest payload received in a segment', (tp) =>
    tp.rcv_maxlen === 0 ? Number.NaN : tp.rcv_maxlen,
  ),
  num(
    'advmss_bytes',
    'bytes',
    'advmss:',
    'segment size that our SYN announced: the MTU without 40 bytes of headers (RFC 6691)',
    (tp, _so, inp) => routeMtu(tp, inp) - 40,
  ),
  num('cwnd_bytes', 'bytes', 'cwnd:', 'congestion window', (tp) =>
    haveEstablished(tp.t_state) ? tp.snd_cwnd : Number.NaN,
  ),
  num('ssthresh_bytes', 'bytes', 'ssthresh:', 'slow start threshold; none before the first congestion', (tp) =>
    tp.snd_ssthresh >= TCP_MAXWINDOW ? Number.NaN : tp.snd_ssthresh,
  ),
  flag('recovery', '', 'lost segments are being repaired', (tp) =>
    bit((tp.t_flags & TF_FASTRECOVERY) !== 0 || tp.t_rtorecovery),
  ),
  num(
    'bytes_sent',
    'bytes',
    'bytes_sent:',
    'payload sent, retransmissions included',
    (tp) => tp.snd_bytes + tp.snd_rexmitbytes,
  ),
  num('bytes_retrans', 'bytes', 'bytes_retrans:', 'payload sent again', (tp) => tp.snd_rexmitbytes),
  num(
    'bytes_acked',
    'bytes',
    'bytes_acked:',
    'sequence numbers acknowledged: payload, the SYN of an active open, the FIN (as Linux counts)',
    (tp) => tp.snd_acked,
  ),
  num(
    'bytes_received',
    'bytes',
    'bytes_received:',
    'received in sequence: payload and the FIN (as Linux counts)',
    (tp) => tp.rcv_bytes + bit(haveRcvdFin(tp.t_state)),
  ),
  num('segs_out', 'segments', 'segs_out:', 'segments sent, pure ACKs and SYN too', (tp) => tp.snd_segs),
  num('segs_in', 'segments', 'segs_in:', 'segments received', (tp) => tp.rcv_segs),
  num('data_segs_out', 'segments', 'data_segs_out:', 'segments with payload sent', (tp) => tp.snd_datasegs),
  num('data_segs_in', 'segments', 'data_segs_in:', 'segments with payload received', (tp) => tp.rcv_datasegs),
  num('lastsnd_ms', 'ms', 'lastsnd:', 'time since payload was last sent, else since the start', (tp) =>
    since(tp, tp.t_sndtime),
  ),
  num('lastrcv_ms', 'ms', 'lastrcv:', 'time since payload was last received, else since the start', (tp) =>
    since(tp, tp.t_datatime),
  ),
  num('lastack_ms', 'ms', 'lastack:', 'time since an ACK last said something new, else since the start', (tp) =>
    since(tp, tp.t_acktime),
  ),
  num('pacing_rate', 'bytes/s', 'pacing_rate', 'pacing rate; 0 for no pacing', (tp) => tp.t_pacing_rate),
  num('delivery_rate', 'bytes/s', 'delivery_rate', 'latest delivery rate', (tp) => tp.t_rate),
  num('delivered_bytes', 'bytes', 'delivered:', 'acknowledged or SACKed', (tp) => tp.t_delivered),
  num(
    'delivered_ce_bytes',
    'bytes',
    'delivered_ce:',
    'of these, by ACKs that echoed congestion',
    (tp) => tp.t_delivered_ce,
  ),
  flag('app_limited', 'app_limited', 'the application, not the network, limited that rate', (tp) =>
    bit(tp.t_rate_applim),
  ),
  num(
    'busy_ms',
    'ms',
    'busy:',
    'time with data to send or in flight',
    (tp) => chronoTime(tp, CHRONO_BUSY) + chronoTime(tp, CHRONO_RWND) + chronoTime(tp, CHRONO_SNDBUF),
  ),
  num('rwnd_limited_ms', 'ms', 'rwnd_limited:', "of it, limited by the peer's window", (tp) =>
    chronoTime(tp, CHRONO_RWND),
  ),
  num('sndbuf_limited_ms', 'ms', 'sndbuf_limited:', 'of it, limited by the send buffer', (tp) =>
    chronoTime(tp, CHRONO_SNDBUF),
  ),
  num('unacked_bytes', 'bytes', 'unacked:', 'sent and not acknowledged', outstanding),
  num('inflight_bytes', 'bytes', '', 'of these, believed to be in the network (RFC 6675 pipe)', (tp) => tp.pipe),
  num('retrans_bytes', 'bytes', 'retrans: (first)', 'retransmissions in flight', retransOut),
  num('retrans_total', 'segments', 'retrans: (second)', 'segments with payload sent again', (tp) => tp.snd_rexmitpack),
  num('lost_bytes', 'bytes', 'lost:', 'believed lost and not sent again yet', (tp) => tp.snd_lost),
  num('sacked_bytes', 'bytes', 'sacked:', 'held by the peer beyond a gap', (tp) => tp.snd_sacked),
  num(
    'dsack_dups',
    'segments',
    'dsack_dups:',
    'segments that DSACKs called duplicates (RFC 2883)',
    (tp) => tp.t_dsack_pack,
  ),
  num('reord_seen', 'segments', 'reord_seen:', 'segments that arrived after later ones', (tp) => tp.t_reord_seen),
  num('rcv_wnd_bytes', 'bytes', 'rcv_wnd:', 'receive window that the peer knows of', (tp) =>
    Math.max(0, (tp.rcv_adv - tp.rcv_nxt) | 0),
  ),
  num('rcv_space_bytes', 'bytes', 'rcv_space:', 'room in the receive buffer', (_tp, so) => so.so_rcv.space),
  num('notsent_bytes', 'bytes', 'notsent:', 'in the send buffer and never sent', notSent),
  num('rcv_ooopack', 'segments', 'rcv_ooopack:', 'segments received beyond a gap', (tp) => tp.rcv_oopack),
  num('snd_wnd_bytes', 'bytes', 'snd_wnd:', 'window of the peer', (tp) => tp.snd_wnd),
] as const;

export type ConnName = (typeof CONN_FIELDS)[number]['name'];
