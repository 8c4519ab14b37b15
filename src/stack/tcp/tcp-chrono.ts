/**
 * What a sender with data waits for, and how long: acknowledgments, the peer's window, or room in its own send buffer (RFC 4898,
 * tcpEStatsPerfSndLim, in the three kinds that Linux's tcp_info has). In clock.ms: what is shorter is right on average.
 */
import type { Tcpcb } from './tcpcb.ts';

/** `t_chrono`: nothing to send and nothing in flight. */
export const CHRONO_IDLE = 0;
/** Data waits or is in flight: the network, congestion control or Nagle decides. */
export const CHRONO_BUSY = 1;
/** Data waits and the peer's window does not take it. */
export const CHRONO_RWND = 2;
/** All is in flight, the window has room, and the application waits for room in the send buffer. */
export const CHRONO_SNDBUF = 3;

/** Ends the time of the present kind and begins that of `kind`. */
export function chronoSet(tp: Tcpcb, kind: number): void {
  const was = tp.t_chrono;
  if (kind === was) return;
  const now = tp.st.clock.ms;
  const ms = (now - tp.t_chrono_ms) | 0;
  if (was === CHRONO_BUSY) tp.t_busytime += ms;
  else if (was === CHRONO_RWND) tp.t_rwndtime += ms;
  else if (was === CHRONO_SNDBUF) tp.t_sndbuftime += ms;
  tp.t_chrono = kind;
  tp.t_chrono_ms = now;
}

/**
 * tcpOutput is done for now.
 * @param limited the congestion window, and not the peer's, keeps another segment back
 */
export function chronoUpdate(tp: Tcpcb, limited: boolean): void {
  const so = tp.t_socket!;
  const held = so.so_snd.sb_cc;
  let kind = CHRONO_BUSY;
  if (held === 0) {
    kind = CHRONO_IDLE;
  } else if (!limited) {
    const off = (tp.snd_nxt - tp.snd_una) | 0;
    const unsent = held - off;
    const maxseg = tp.maxseg;
    if (unsent > 0) {
      if (tp.snd_wnd - off < (unsent < maxseg ? unsent : maxseg)) kind = CHRONO_RWND;
    } else if (so.wantsRoom) {
      kind = CHRONO_SNDBUF;
    }
  }
  chronoSet(tp, kind);
}

/** Time spent in `kind` so far, the present stretch included, ms. */
export function chronoTime(tp: Tcpcb, kind: number): number {
  const past = kind === CHRONO_BUSY ? tp.t_busytime : kind === CHRONO_RWND ? tp.t_rwndtime : tp.t_sndbuftime;
  return tp.t_chrono === kind ? past + ((tp.st.clock.ms - tp.t_chrono_ms) | 0) : past;
}
