/** What holds of a connection's control block between any two events, whatever the network does. */
import type { Stack } from '../../src/stack/stack.ts';
import { TCPS_ESTABLISHED, TCPS_TIME_WAIT } from '../../src/stack/tcp/tcp-fsm.ts';
import { SEG_LOST, SEG_REXMIT, SEG_SACKED, sentAfter } from '../../src/stack/tcp/tcp-rtxq.ts';
import { type Tcpcb, TF_SACK_PERMIT } from '../../src/stack/tcp/tcpcb.ts';

function fail(tp: Tcpcb, what: string): never {
  const rel = (n: number): number => (n - tp.iss) | 0;
  throw new Error(
    `${what}: state ${tp.t_state} una ${rel(tp.snd_una)} nxt ${rel(tp.snd_nxt)} max ${rel(tp.snd_max)} wnd ${tp.snd_wnd} cwnd ${tp.snd_cwnd} sacked ${tp.snd_sacked} lost ${tp.snd_lost}`,
  );
}

/** Throws where sequence numbers, scoreboard, windows or timers of `tp` contradict each other. */
export function checkTcb(tp: Tcpcb): void {
  if (((tp.snd_nxt - tp.snd_una) | 0) < 0) fail(tp, 'snd_nxt before snd_una');
  if (((tp.snd_max - tp.snd_nxt) | 0) < 0) fail(tp, 'snd_max before snd_nxt');
  if (!(tp.snd_cwnd > 0) || !Number.isInteger(tp.snd_cwnd)) fail(tp, 'cwnd is no positive whole number');
  if (!(tp.snd_ssthresh > 0)) fail(tp, `ssthresh ${tp.snd_ssthresh}`);
  if (tp.t_rxtshift > 12) fail(tp, `rxtshift ${tp.t_rxtshift}`);
  if (tp.t_state < TCPS_ESTABLISHED || tp.t_state === TCPS_TIME_WAIT) return;
  checkScoreboard(tp);
  const inFlight = tp.snd_nxt !== tp.snd_una;
  if (inFlight && !tp.t_rexmt.armed && !tp.t_persist.armed) fail(tp, 'data in flight and no timer');
  if (tp.t_rexmt.armed && tp.t_persist.armed) fail(tp, 'both timers');
  const unsent = tp.t_socket!.so_snd.sb_cc - ((tp.snd_nxt - tp.snd_una) | 0);
  if (!inFlight && unsent > 0 && tp.snd_wnd === 0 && !tp.t_persist.armed)
    fail(tp, 'a closed window that nobody probes');
}

function checkScoreboard(tp: Tcpcb): void {
  let at = tp.snd_una;
  let sacked = 0;
  let lost = 0;
  let timed = 0;
  let prev = null;
  for (let s = tp.rtx_head; s !== null; s = s.next) {
    if (s.start !== at) fail(tp, `a gap in the scoreboard at ${(at - tp.iss) | 0}`);
    const len = (s.end - s.start) | 0;
    if (len <= 0) fail(tp, 'an empty piece');
    if (s.prev !== prev) fail(tp, 'links of the scoreboard disagree');
    if (s.flags & SEG_SACKED) sacked += len;
    const waiting = (s.flags & (SEG_LOST | SEG_REXMIT | SEG_SACKED)) === SEG_LOST;
    if (waiting) lost += len;
    if (s.timed) timed++;
    if (s.timed === (waiting || (s.flags & SEG_SACKED) !== 0)) fail(tp, `flags ${s.flags}, timed ${s.timed}`);
    at = s.end;
    prev = s;
  }
  if (tp.rtx_tail !== prev) fail(tp, 'tail of the scoreboard');
  if (at !== tp.snd_nxt) fail(tp, `the scoreboard ends at ${(at - tp.iss) | 0}`);
  if (lost !== tp.snd_lost) fail(tp, `${lost} bytes lost by the pieces`);
  if (tp.t_flags & TF_SACK_PERMIT && sacked !== tp.snd_sacked) fail(tp, `${sacked} bytes SACKed by the pieces`);
  let last = null;
  for (let s = tp.ts_head; s !== null; s = s.tnext) {
    timed--;
    if (last !== null && sentAfter(last.xmit, last.end, s.xmit, s.end) && last.xmit !== s.xmit)
      fail(tp, 'order of sending');
    last = s;
  }
  if (timed !== 0 || tp.ts_tail !== last) fail(tp, 'list by time of sending');
}

/** `checkTcb` for every connection. */
export function checkStack(st: Stack): void {
  st.tcp.tcb.forEach((inp) => {
    if (inp.tp !== null) checkTcb(inp.tp);
  });
}
