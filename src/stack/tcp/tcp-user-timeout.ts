/**
 * The user timeout (RFC 9293 section 3.9.1 and MUST-21, RFC 5482; TCP_USER_TIMEOUT of Linux, TCP_MAXUNACKTIME of FreeBSD): how long data may
 * wait for an acknowledgment, or for a window, until the connection is given up. Counted from the last progress: from when something was
 * sent or kept back with nothing in flight, and again from each acknowledgment of something new. The option of RFC 5482 is not sent.
 */
import { tcps } from '../../metrics/layout.ts';
import { ETIMEDOUT } from '../errno.ts';
import { tcpDrop } from './tcp-subr.ts';
import { TA_TIMER } from './tcp-trace.ts';
import type { Tcpcb } from './tcpcb.ts';

/** The limit in ms, 0 for none. */
export function userTimeout(tp: Tcpcb): number {
  const set = tp.t_socket!.opt.userTimeout;
  return set !== 0 ? set : tp.st.tune.tcp_maxunacktime;
}

/** Something was sent, or found no window, and nothing is in flight before it. */
export function userTimeoutStart(tp: Tcpcb): void {
  tp.t_progtime = tp.st.clock.ms;
  const limit = userTimeout(tp);
  if (limit !== 0 && !tp.t_user.armed) tp.st.wheel.arm(tp.t_user, limit * 1000);
}

/** Something is in flight, or waits for a window. */
function waiting(tp: Tcpcb): boolean {
  return tp.snd_max !== tp.snd_una || tp.t_persist.armed;
}

/** The option was set: it holds for what waits already, too. */
export function userTimeoutChanged(tp: Tcpcb): void {
  tp.st.wheel.cancel(tp.t_user);
  const limit = userTimeout(tp);
  if (limit === 0 || !waiting(tp)) return;
  const left = limit - ((tp.st.clock.ms - tp.t_progtime) | 0);
  tp.st.wheel.arm(tp.t_user, left > 0 ? left * 1000 : 0);
}

/** The timer. It is not moved by each acknowledgment, so what it finds may be younger. */
export function userTimer(tp: Tcpcb): void {
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, 7, tp.snd_una, 0);
  const limit = userTimeout(tp);
  if (limit === 0 || !waiting(tp)) return;
  const left = limit - ((tp.st.clock.ms - tp.t_progtime) | 0);
  if (left > 0) {
    tp.st.wheel.arm(tp.t_user, left * 1000);
    return;
  }
  tp.st.cnt[tcps.tcps_progdrops]!++;
  tcpDrop(tp, ETIMEDOUT);
}
