/**
 * TCP_NOPUSH, which Linux calls TCP_CORK: a segment that is not full waits for more. It does not wait for ever: 200 ms after the first
 * part of one was held back it goes, as tcp(7) of Linux promises; FreeBSD leaves that to its persist timer.
 */
import { haveEstablished } from './tcp-fsm.ts';
import { tcpOutput } from './tcp-output.ts';
import { TA_TIMER } from './tcp-trace.ts';
import { type Tcpcb, TF_NODELAY, TF_NOPUSH } from './tcpcb.ts';

const CEILING_US = 200_000;

/** Sends what the windows allow, full segments or not. */
export function tcpPush(tp: Tcpcb): void {
  if (tp.t_socket!.so_snd.sb_cc > 0) tcpOutputNow(tp);
}

/** tcpOutput as if neither Nagle nor TCP_NOPUSH held anything back. */
export function tcpOutputNow(tp: Tcpcb): void {
  const held = tp.t_flags & (TF_NODELAY | TF_NOPUSH);
  tp.t_flags = (tp.t_flags & ~TF_NOPUSH) | TF_NODELAY;
  tcpOutput(tp);
  tp.t_flags = (tp.t_flags & ~(TF_NODELAY | TF_NOPUSH)) | held;
}

/** The option was set off: what waits goes, as far as Nagle lets it. */
export function tcpUncork(tp: Tcpcb): void {
  tp.st.wheel.cancel(tp.t_nopush);
  if (haveEstablished(tp.t_state) && tp.t_socket!.so_snd.sb_cc > 0) tcpOutput(tp);
}

/**
 * tcpOutput has nothing more to send: whether that is for the option alone, data being left that the peer's window takes. Then the
 * ceiling's timer runs.
 */
export function nopushHolds(tp: Tcpcb): boolean {
  const off = (tp.snd_nxt - tp.snd_una) | 0;
  const unsent = tp.t_socket!.so_snd.sb_cc - off;
  if (unsent <= 0 || tp.snd_wnd - off < (unsent < tp.maxseg ? unsent : tp.maxseg)) return false;
  if (!tp.t_nopush.armed) tp.st.wheel.arm(tp.t_nopush, CEILING_US);
  return true;
}

/** The ceiling's timer. */
export function nopushTimer(tp: Tcpcb): void {
  if (tp.t_trace !== null) tp.t_trace(tp, TA_TIMER, 8, tp.snd_una, 0);
  tcpPush(tp);
}
