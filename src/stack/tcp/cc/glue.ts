/**
 * Where TCP calls its congestion-control module. What a module throws, or a window that is no number, ends its connection: it goes
 * on for the rest of the pass under `noCc` and is dropped at the end of it, with a counter and a line.
 */
import { tcps } from '../../../metrics/layout.ts';
import { ECONNABORTED } from '../../errno.ts';
import { haveEstablished } from '../tcp-fsm.ts';
import { TA_CONG } from '../tcp-trace.ts';
import type { Tcpcb } from '../tcpcb.ts';
import { type CcAck, type CcLost, type CcModule, type CcSignal, type CongestionControl, TCP_MAXWINDOW } from './cc.ts';
import { noCc } from './none.ts';

/** The first line of what a module threw; it may have thrown anything. */
function reasonOf(why: unknown): string {
  try {
    return String(why)
      .trim()
      .replace(/\n[\s\S]*/, '');
  } catch {
    return 'it threw what has no text';
  }
}

function fail(tp: Tcpcb, why: unknown): void {
  const { st } = tp;
  const name = tp.t_ccmod?.name ?? 'none';
  tp.t_cc = noCc;
  tp.t_pacing_rate = 0;
  if (!(tp.snd_cwnd > 0)) tp.snd_cwnd = tp.maxseg;
  if (!(tp.snd_ssthresh > 0)) tp.snd_ssthresh = 2 * tp.maxseg;
  st.cnt[tcps.tcps_ccfail]!++;
  st.onWarning?.(`congestion control ${name} failed, its connection is dropped: ${reasonOf(why)}`);
  st.tcp.dropLater(tp, ECONNABORTED);
}

/** Holds the windows within what can be: whole bytes, a segment at least. */
function checkWindows(tp: Tcpcb): void {
  const cwnd = tp.snd_cwnd;
  const ssthresh = tp.snd_ssthresh;
  if (Number.isNaN(cwnd) || Number.isNaN(ssthresh)) {
    fail(tp, `snd_cwnd ${cwnd}, snd_ssthresh ${ssthresh}`);
    return;
  }
  const maxseg = tp.maxseg;
  tp.snd_cwnd = cwnd < maxseg ? maxseg : cwnd > TCP_MAXWINDOW ? TCP_MAXWINDOW : Math.trunc(cwnd);
  tp.snd_ssthresh = ssthresh < maxseg ? maxseg : ssthresh > TCP_MAXWINDOW ? TCP_MAXWINDOW : Math.trunc(ssthresh);
}

function setPacing(tp: Tcpcb): void {
  const { t_cc: cc, st } = tp;
  let rate = 0;
  if (cc.pacingRate !== undefined) {
    rate = cc.pacingRate(tp);
    if (!(rate >= 0)) {
      fail(tp, `pacing rate ${rate}`);
      return;
    }
  } else if (st.tune.tcp_pacing !== 0 && tp.t_srtt !== 0) {
    // What Linux paces at: twice the rate in slow start, a fifth more than it after that.
    const percent = tp.snd_cwnd < tp.snd_ssthresh >> 1 ? st.tune.tcp_pacing_ss : st.tune.tcp_pacing_ca;
    rate = (tp.snd_cwnd * 1e6 * percent) / (100 * (tp.srtt < 1 ? 1 : tp.srtt));
  }
  tp.t_pacing_rate = rate;
}

function begin(tp: Tcpcb): void {
  try {
    tp.t_cc.init(tp);
    checkWindows(tp);
    setPacing(tp);
  } catch (e) {
    fail(tp, e);
  }
}

/** Gives the connection the module `mod`. With an established one `ccInit` follows. */
export function ccAttach(tp: Tcpcb, mod: CcModule): void {
  tp.t_ccmod = mod;
  try {
    tp.t_cc = mod.create();
  } catch (e) {
    fail(tp, e);
  }
}

/** The connection is established: initial window (RFC 6928; one segment where the handshake lost some, RFC 5681 section 3.1). */
export function ccInit(tp: Tcpcb): void {
  tp.snd_cwnd = tp.t_rxtshift > 1 && tp.t_rttsamples === 0 ? tp.maxseg : tp.initcwnd;
  begin(tp);
}

/** An established connection changes over to `mod`, with the windows that it has. */
export function ccSwitch(tp: Tcpcb, mod: CcModule): void {
  ccAttach(tp, mod);
  if (haveEstablished(tp.t_state)) begin(tp);
}

export function ccAckReceived(tp: Tcpcb, ack: CcAck): void {
  try {
    tp.t_cc.ackReceived(tp, ack);
    checkWindows(tp);
    setPacing(tp);
  } catch (e) {
    fail(tp, e);
  }
}

export function ccLost(tp: Tcpcb, lost: CcLost): void {
  try {
    tp.t_cc.lost?.(tp, lost);
    checkWindows(tp);
  } catch (e) {
    fail(tp, e);
  }
}

export function ccCongSignal(tp: Tcpcb, type: CcSignal): void {
  try {
    tp.t_cc.congestionSignal(tp, type);
    checkWindows(tp);
    setPacing(tp);
  } catch (e) {
    fail(tp, e);
  }
  if (tp.t_trace !== null) tp.t_trace(tp, TA_CONG, type, tp.snd_una, 0);
}

export function ccPostRecovery(tp: Tcpcb): void {
  try {
    tp.t_cc.postRecovery?.(tp);
    checkWindows(tp);
    setPacing(tp);
  } catch (e) {
    fail(tp, e);
  }
}

export function ccAfterIdle(tp: Tcpcb, idleUs: number): void {
  try {
    tp.t_cc.afterIdle?.(tp, idleUs);
    checkWindows(tp);
    setPacing(tp);
  } catch (e) {
    fail(tp, e);
  }
}

export function ccSent(tp: Tcpcb, bytes: number): void {
  const cc: CongestionControl = tp.t_cc;
  if (cc.sent === undefined) return;
  try {
    cc.sent(tp, bytes, tp.t_app_limited !== 0);
    checkWindows(tp);
    setPacing(tp);
  } catch (e) {
    fail(tp, e);
  }
}

/** The module sets the window in recovery by itself. */
export function ccOwnsRecovery(tp: Tcpcb): boolean {
  return tp.t_cc.recovery === 'own';
}
