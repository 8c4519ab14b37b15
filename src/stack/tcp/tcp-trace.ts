/**
 * The trace point, and who listens at it (DESIGN.md, "The way of a packet"): SIFTR's `hook=tcp`, the simulator's meter, the black-box log to come. While nobody
 * listens each place costs one test against null.
 */
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Stack } from '../stack.ts';
import type { Tcpcb } from './tcpcb.ts';

/** What the trace point reports. */
export const TA_INPUT = 0;
export const TA_INPUT_DONE = 1;
export const TA_OUTPUT = 2;
export const TA_OUTPUT_DONE = 3;
export const TA_TIMER = 4;
export const TA_USER = 5;
export const TA_CONG = 6;
export const TA_DROP = 7;
/** tcpOutput is called: what it is about to do is not known yet, and nothing is changed. */
export const TA_OUTPUT_CALL = 8;
/** A segment that TA_OUTPUT told of did not leave: no bookkeeping but that of the failure follows, and no TA_OUTPUT_DONE. */
export const TA_OUTPUT_FAIL = 9;
/** The block is about to be freed, and everything in it is still there; after a TA_DROP `t_state` may be CLOSED already. */
export const TA_CLOSE = 10;

/**
 * The trace point (DESIGN.md, "The way of a packet"). Listeners come and go with `traceAdd` and `traceRemove`.
 * @param act TA_*
 * @param arg TA_INPUT, TA_OUTPUT, their DONE and FAIL: TH_* flags; TA_TIMER: 0 rexmt, 1 persist, 2 keep, 3 2msl, 4 delack, 5 rack, 6 tail
 *            loss probe, 7 user timeout, 8 TCP_NOPUSH; TA_USER: 0 connect, 1 send, 2 shutdown, 3 close, 4 abort; TA_CONG: CC_*; TA_DROP
 *            and TA_CLOSE: errno
 * @param seq sequence number of the segment, 0 when there is none
 * @param len payload bytes, 0 when there is no segment
 */
export type TcpTraceFn = (tp: Tcpcb, act: number, arg: number, seq: number, len: number) => void;

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
