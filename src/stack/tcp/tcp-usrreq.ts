/** What the user asks of a connection (RFC 9293 section 3.9.1): open, send, shut down, close, abort. */
import { tcps } from '../../metrics/layout.ts';
import { toeplitzV4 } from '../../rings/toeplitz.ts';
import { EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH } from '../errno.ts';
import { inExperimental, inLoopback, inMulticast, inZeroNet } from '../net/in-addr.ts';
import type { Socket } from '../socket/socket.ts';
import type { Stack } from '../stack.ts';
import { IPPORT_EPHEMERALFIRST, IPPORT_EPHEMERALLAST } from './tcb.ts';
import { tfoConnect } from './tcp-fastopen.ts';
import {
  TCPS_CLOSE_WAIT,
  TCPS_CLOSING,
  TCPS_ESTABLISHED,
  TCPS_FIN_WAIT_1,
  TCPS_FIN_WAIT_2,
  TCPS_LAST_ACK,
  TCPS_SYN_RECEIVED,
  TCPS_SYN_SENT,
  TCPS_TIME_WAIT,
} from './tcp-fsm.ts';
import { tcpOutput } from './tcp-output.ts';
import { tcpClose, tcpDrop, tcpNewIss, tcpNewTsOffset, tcpNewtcpcb, tcpSetFlowid } from './tcp-subr.ts';
import { tcpFinWait2, tcpKeepRestart } from './tcp-timer.ts';
import { TA_USER } from './tcp-trace.ts';
import type { Tcpcb } from './tcpcb.ts';

/**
 * Active open: chooses what is not given, makes the connection and sends the SYN.
 * @returns 0 or an errno: EADDRNOTAVAIL (no such address of ours, or no port free), EADDRINUSE (the flow exists), ENETUNREACH
 */
export function tcpConnect(st: Stack, so: Socket, laddr: number, lport: number, faddr: number, fport: number): number {
  const tcp = st.tcp;
  const k = tcp.key;
  if (!isHost(st, faddr) || st.routes.lookup(faddr) === null) return ENETUNREACH;
  const src = laddr === 0 ? st.sourceFor(faddr) : laddr;
  if (src === 0) return ENETUNREACH;
  if (!st.isLocal(src)) return EADDRNOTAVAIL;
  if (lport !== 0) {
    k.setV4(src, lport, faddr, fport);
    if (tcp.tcb.lookup(k) !== null) return EADDRINUSE;
    if (!ownFlow(st, src, lport, faddr, fport)) return EADDRNOTAVAIL;
  } else {
    const port = pickPort(st, src, faddr, fport);
    if (port === 0) return EADDRNOTAVAIL;
    k.setV4(src, port, faddr, fport);
  }
  const tp = tcpNewtcpcb(st, k, so);
  tcpSetFlowid(st, tp.t_inpcb!, 0, 0);
  st.cnt[tcps.tcps_connattempt]!++;
  tp.t_state = TCPS_SYN_SENT;
  tp.iss = tcpNewIss(st, k);
  tp.rack_fack = tp.iss;
  tp.ts_offset = tcpNewTsOffset(st, k);
  tp.snd_una = tp.iss;
  tp.snd_nxt = tp.iss;
  tp.snd_max = tp.iss;
  tp.snd_recover = tp.iss;
  tcpKeepRestart(tp);
  if (tp.t_trace !== null) tp.t_trace(tp, TA_USER, 0, tp.iss, 0);
  if (so.fastOpen && tfoConnect(tp)) {
    // A SYN that takes data along leaves at the end of the pass, or when the user says so: he has until then to give some.
    if (so.synHeld) st.wheel.cancel(tp.t_keep);
    else tcp.ackLater(tp);
    return 0;
  }
  so.synHeld = false;
  tcpOutput(tp);
  return 0;
}

/** An address of one other host (RFC 9293 MUST-46): none of a group, and none of ours, as there is no loopback. */
function isHost(st: Stack, addr: number): boolean {
  if (inZeroNet(addr) || inLoopback(addr) || inMulticast(addr) || inExperimental(addr)) return false;
  return !st.isLocal(addr) && !st.ifnets.some((ifp) => ifp.isBroadcast(addr));
}

/** True when packets of the flow would be steered here: no other shard has its hash. */
function ownFlow(st: Stack, src: number, lport: number, faddr: number, fport: number): boolean {
  if (st.dir === null) return true;
  let hash = toeplitzV4(faddr, src, fport, lport);
  if (hash === 0) hash = 1;
  const owner = st.dir.insert(hash, st.shard);
  if (owner < 0) return (hash >>> 0) % st.nshards === st.shard;
  st.dir.remove(hash);
  return owner === st.shard;
}

/** A port from the dynamic range, starting at a random one (RFC 6056 section 3.3.1); 0 when none is free. */
function pickPort(st: Stack, src: number, faddr: number, fport: number): number {
  const tcp = st.tcp;
  const k = tcp.key;
  const range = IPPORT_EPHEMERALLAST - IPPORT_EPHEMERALFIRST + 1;
  let at = ((tcp.nextPort + st.random.next32()) >>> 0) % range;
  for (let i = 0; i < range; i++) {
    const port = IPPORT_EPHEMERALFIRST + at;
    at = at + 1 === range ? 0 : at + 1;
    k.setV4(src, port, faddr, fport);
    if (tcp.tcb.lookup(k) === null && !tcp.listeners.has(src, port) && ownFlow(st, src, port, faddr, fport)) {
      tcp.nextPort = at;
      return port;
    }
  }
  return 0;
}

/** Half close (RFC 9293 section 3.6): FIN after what is queued. Returns false when the connection ended with it. */
export function tcpUsrShutdown(tp: Tcpcb): boolean {
  if (tp.t_trace !== null) tp.t_trace(tp, TA_USER, 2, 0, 0);
  switch (tp.t_state) {
    case TCPS_SYN_SENT:
      // Nothing to finish yet; the FIN follows when the handshake has ended.
      return true;
    case TCPS_SYN_RECEIVED:
      return true;
    case TCPS_ESTABLISHED:
      tp.t_state = TCPS_FIN_WAIT_1;
      break;
    case TCPS_CLOSE_WAIT:
      tp.t_state = TCPS_LAST_ACK;
      break;
    default:
      return true;
  }
  tcpOutput(tp);
  return tp.t_inpcb !== null;
}

/** Full close: the user reads no more. Unread data makes it an abort (RFC 9293 section 3.6.1, RFC 2525 section 2.17). */
export function tcpUsrClose(tp: Tcpcb, unread: boolean): void {
  if (tp.t_trace !== null) tp.t_trace(tp, TA_USER, 3, 0, 0);
  if (tp.t_state === TCPS_SYN_SENT) {
    tp.st.cnt[tcps.tcps_conndrops]!++;
    tcpClose(tp, 0);
    return;
  }
  if (unread) {
    tcpUsrAbort(tp);
    return;
  }
  if (tp.t_state === TCPS_FIN_WAIT_2) {
    tcpFinWait2(tp);
    return;
  }
  tcpUsrShutdown(tp);
}

/** RST now; where both sides have finished none is sent (RFC 9293 section 3.10.5: CLOSING, LAST-ACK, TIME-WAIT). */
export function tcpUsrAbort(tp: Tcpcb): void {
  if (tp.t_trace !== null) tp.t_trace(tp, TA_USER, 4, 0, 0);
  if (tp.t_state === TCPS_CLOSING || tp.t_state === TCPS_LAST_ACK || tp.t_state === TCPS_TIME_WAIT) tcpClose(tp, 0);
  else tcpDrop(tp, 0);
}
