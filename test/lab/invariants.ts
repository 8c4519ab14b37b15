/** What holds of a connection's control block between any two events, whatever the network does. */
import type { Stack } from '../../src/stack/stack.ts';
import { TCPS_ESTABLISHED, TCPS_TIME_WAIT } from '../../src/stack/tcp/tcp-fsm.ts';
import { SEG_LOST, SEG_REXMIT, SEG_SACKED, sentAfter } from '../../src/stack/tcp/tcp-rtxq.ts';
import { type Tcpcb, TF_ACKNOW, TF_DELACK, TF_SACK_PERMIT } from '../../src/stack/tcp/tcpcb.ts';

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
  if (tp.t_state === TCPS_TIME_WAIT && !tp.t_2msl.armed) fail(tp, 'TIME_WAIT without an end');
  if (tp.t_state < TCPS_ESTABLISHED || tp.t_state === TCPS_TIME_WAIT) return;
  checkScoreboard(tp);
  checkReceiver(tp);
  const inFlight = tp.snd_nxt !== tp.snd_una;
  if (inFlight && !tp.t_rexmt.armed && !tp.t_persist.armed) fail(tp, 'data in flight and no timer');
  if (tp.t_rexmt.armed && tp.t_persist.armed) fail(tp, 'both timers');
  const { so_snd } = tp.t_socket!;
  const unsent = so_snd.sb_cc - ((tp.snd_nxt - tp.snd_una) | 0);
  // One more than the buffer held is the FIN.
  if (unsent < -1) fail(tp, `${-unsent} more sent than there was`);
  if (tp.pipe < 0) fail(tp, `pipe ${tp.pipe}`);
  if (!inFlight && unsent > 0 && tp.snd_wnd === 0 && !tp.t_persist.armed)
    fail(tp, 'a closed window that nobody probes');
  const waits = tp.t_rexmt.armed || tp.t_persist.armed || tp.t_pace.armed || tp.onWaitq;
  if (!inFlight && unsent > 0 && !waits) fail(tp, `${unsent} bytes that nothing will ever send`);
}

/** What came and is not the user's yet: in order, within its bounds, and all of what is SACKed is held. */
function checkReceiver(tp: Tcpcb): void {
  if ((tp.t_flags & (TF_DELACK | TF_ACKNOW)) === TF_DELACK && !tp.t_delack.armed) fail(tp, 'an ACK delayed for ever');
  let frames = 0;
  let bytes = 0;
  let at = tp.rcv_nxt;
  for (let q = tp.t_segq; q !== null; q = q.nextpkt) {
    if (((q.seq - at) | 0) < (frames === 0 ? 1 : 0)) fail(tp, `segment ${(q.seq - tp.irs) | 0} out of place`);
    if (q.len !== q.seglen || q.len <= 0) fail(tp, `a queued segment of ${q.len} and ${q.seglen} bytes`);
    frames++;
    bytes += q.len;
    at = (q.seq + q.len) | 0;
  }
  if (frames !== tp.t_segqlen || bytes !== tp.t_segqbytes) fail(tp, `${frames} segments and ${bytes} bytes queued`);
  for (let i = 0; i < tp.rcv_numsacks; i++) checkBlock(tp, tp.sackblks[2 * i]!, tp.sackblks[2 * i + 1]!);
}

function checkBlock(tp: Tcpcb, start: number, end: number): void {
  if (((end - start) | 0) <= 0) fail(tp, 'an empty SACK block');
  let at = ((start - tp.rcv_nxt) | 0) < 0 ? tp.rcv_nxt : start;
  for (let q = tp.t_segq; q !== null && ((end - at) | 0) > 0; q = q.nextpkt) {
    const stop = (q.seq + q.len) | 0;
    if (((q.seq - at) | 0) <= 0 && ((stop - at) | 0) > 0) at = stop;
  }
  if (((end - at) | 0) > 0) fail(tp, `SACKed up to ${(end - tp.irs) | 0}, held up to ${(at - tp.irs) | 0}`);
}

function checkScoreboard(tp: Tcpcb): void {
  let at = tp.snd_una;
  let sacked = 0;
  let lost = 0;
  let timed = 0;
  let pieces = 0;
  let runs = 0;
  let prev = null;
  for (let s = tp.rtx_head; s !== null; s = s.next) {
    if (s.start !== at) fail(tp, `a gap in the scoreboard at ${(at - tp.iss) | 0}`);
    const len = (s.end - s.start) | 0;
    if (len <= 0) fail(tp, 'an empty piece');
    if (s.prev !== prev) fail(tp, 'links of the scoreboard disagree');
    pieces++;
    if (s.flags & SEG_SACKED) {
      sacked += len;
      runs++;
    }
    const waiting = (s.flags & (SEG_LOST | SEG_REXMIT | SEG_SACKED)) === SEG_LOST;
    if (waiting) lost += len;
    if (s.timed) timed++;
    if (s.timed === (waiting || (s.flags & SEG_SACKED) !== 0)) fail(tp, `flags ${s.flags}, timed ${s.timed}`);
    at = s.end;
    prev = s;
  }
  if (tp.rtx_tail !== prev) fail(tp, 'tail of the scoreboard');
  if (pieces !== tp.snd_numsegs || runs !== tp.snd_numholes)
    fail(tp, `${pieces} pieces, ${runs} SACKed, noted as ${tp.snd_numsegs} and ${tp.snd_numholes}`);
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
