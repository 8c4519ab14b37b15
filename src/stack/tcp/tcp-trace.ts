/**
 * Who listens at the trace point (DESIGN.md, "The way of a packet"): SIFTR's `hook=tcp`, the black-box log, the simulator's meter. What
 * is told and when stands with TA_* in tcpcb.ts. While nobody listens each place costs one test against null.
 */
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Stack } from '../stack.ts';
import type { TcpTraceFn } from './tcpcb.ts';

/**
 * Hears of every segment that IP hands to TCP, those of no connection among them. What happens to a connection between the two calls
 * comes through the trace point.
 */
export interface TcpTap {
  /** Nothing of it is looked at yet, not even its checksum. It belongs to TCP: what is wanted later is to be copied. */
  arrives(m: Mbuf): void;
  /** It has had all its effects but those that wait for the end of the pass, and may be gone. */
  processed(): void;
}

/** Adds a listener, from now on, for the connections that are there and those to come. Adding it twice is a bug and throws. */
export function traceAdd(st: Stack, fn: TcpTraceFn): void {
  const { tracers } = st.tcp;
  if (tracers.includes(fn)) throw new Error('a listener of the trace point is added twice');
  tracers.push(fn);
  listenersChanged(st);
}

/** Takes a listener away; nothing happens where it is none. It may still be called for what is under way. */
export function traceRemove(st: Stack, fn: TcpTraceFn): void {
  const { tracers } = st.tcp;
  const i = tracers.indexOf(fn);
  if (i < 0) return;
  tracers.splice(i, 1);
  listenersChanged(st);
}

function listenersChanged(st: Stack): void {
  const { tcp } = st;
  const fn = combined([...tcp.tracers]);
  tcp.trace = fn;
  tcp.tcb.forEach((inp) => {
    if (inp.tp !== null) inp.tp.t_trace = fn;
  });
}

/** One function that calls all, in the order in which they were added. */
function combined(fns: readonly TcpTraceFn[]): TcpTraceFn | null {
  if (fns.length <= 1) return fns[0] ?? null;
  return (tp, act, arg, seq, len) => {
    for (let i = 0; i < fns.length; i++) fns[i]!(tp, act, arg, seq, len);
  };
}
