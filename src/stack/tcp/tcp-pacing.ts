/** Pacing: data leaves at `t_pacing_rate`, by a bucket of bytes that the timing wheel refills (µs). */
import { tcpOutput } from './tcp-output.ts';
import type { Tcpcb } from './tcpcb.ts';

/** The bucket holds what the rate gives in this time, µs, and two segments at least: what a late timer may catch up with. */
const QUANTUM_US = 1000;

function refill(tp: Tcpcb): void {
  const now = tp.st.clock.us;
  const dt = (now - tp.t_pacing_us) | 0;
  tp.t_pacing_us = now;
  const rate = tp.t_pacing_rate;
  const most = Math.max((rate * QUANTUM_US) / 1e6, 2 * tp.maxseg);
  const credit = tp.t_pacing_credit + (rate * (dt < 0 ? 0 : dt)) / 1e6;
  tp.t_pacing_credit = credit > most ? most : credit;
}

/** Whether a segment may go now; if not, the timer is armed for when one may. */
export function paceAllows(tp: Tcpcb): boolean {
  if (tp.t_pace.armed) return false;
  refill(tp);
  if (tp.t_pacing_credit >= 0) return true;
  tp.st.wheel.arm(tp.t_pace, Math.ceil((-tp.t_pacing_credit * 1e6) / tp.t_pacing_rate));
  return false;
}

/** `len` bytes have gone. */
export function paceSent(tp: Tcpcb, len: number): void {
  if (tp.t_pacing_rate > 0) tp.t_pacing_credit -= len;
}

/** The timer of the pacer. */
export function paceTimer(tp: Tcpcb): void {
  if (tp.t_inpcb !== null) tcpOutput(tp);
}
