/** Socket buffers that grow with the path, as tcp(4) of FreeBSD does it (sendbuf_auto, recvbuf_auto). */
import { TOF_TS } from '../wire/tcp.ts';
import type { Tcpcb } from './tcpcb.ts';

/** Round trip assumed before the first sample, µs. */
const RTT_UNKNOWN = 100_000;

/**
 * Grows the send buffer where it holds the window back: the peer's window has room for more, the buffer is nearly full, and the congestion
 * window would let more go.
 */
export function sendbufAutosize(tp: Tcpcb): void {
  const { tune } = tp.st;
  if (tune.tcp_sendbuf_auto === 0) return;
  const snd = tp.t_socket!.so_snd;
  const hiwat = snd.sb_hiwat;
  if (hiwat >= tune.tcp_sendbuf_max || snd.sb_cc < hiwat - (hiwat >> 3) || tp.snd_wnd + (tp.snd_wnd >> 2) < hiwat)
    return;
  // Two windows: one in flight, one to follow while its ACKs come. What is kept because of a gap, SACKed or sent again, is neither.
  const held = (tp.snd_nxt - tp.snd_una) | 0;
  const wanted = tp.snd_cwnd + (held > tp.snd_cwnd ? held : tp.snd_cwnd);
  if (wanted <= hiwat) return;
  const grown = Math.max(hiwat + tune.tcp_sendbuf_inc, Math.min(wanted, 2 * hiwat));
  snd.sb_hiwat = Math.min(grown, tune.tcp_sendbuf_max);
}

/**
 * Grows the receive buffer where more than seven eighths of it came within a round trip and the user takes it: the window would hold the sender
 * back. While there is a gap the window has to hold what comes until it is closed too, a round trip and a second one where the
 * retransmission is lost: then a quarter is enough. To be called as data arrives, before it is counted.
 * @param bytes payload of the segment
 */
export function recvbufAutosize(tp: Tcpcb, bytes: number): void {
  const { tune, clock } = tp.st;
  if (tune.tcp_recvbuf_auto === 0) return;
  const rcv = tp.t_socket!.so_rcv;
  if (rcv.sb_hiwat >= tune.tcp_recvbuf_max) return;
  tp.rfbuf_cnt += bytes;
  const to = tp.st.tcp.optIn;
  if (to.flags & TOF_TS) {
    // A round trip is over when the peer echoes what was sent after its start.
    if (((to.tsecr - tp.ts_offset - tp.rfbuf_ts) | 0) <= 0) return;
  } else if (((clock.us - tp.rfbuf_us) | 0) < (tp.t_srtt !== 0 ? tp.srtt : RTT_UNKNOWN)) {
    // One that only receives has the sample of the handshake; where that was spoilt, a long round trip is assumed.
    return;
  }
  // A slow start that goes on doubles what comes each round trip: room for the next two.
  const full = tp.t_segq !== null ? rcv.sb_hiwat >> 2 : (rcv.sb_hiwat >> 3) * 7;
  if (tp.rfbuf_cnt > full && rcv.sb_cc < rcv.sb_hiwat >> 1) {
    rcv.sb_hiwat = Math.min(4 * tp.rfbuf_cnt > rcv.sb_hiwat ? 4 * tp.rfbuf_cnt : rcv.sb_hiwat, tune.tcp_recvbuf_max);
  }
  tp.rfbuf_cnt = 0;
  tp.rfbuf_us = clock.us;
  tp.rfbuf_ts = clock.ms;
}
