/** TCP_INFO: struct tcp_info of linux/tcp.h, filled from the snapshot of the connection (src/stack/tcp/conn-fields.ts). */

import type { ConnName } from '../stack/tcp/conn-fields.ts';
import { CONN_ROW, CONN_SLOT, connRead } from '../stack/tcp/conninfo.ts';
import type { Sock } from './sock.ts';

/** Bytes up to tcpi_total_rto_time. */
const TCP_INFO_LEN = 248;

/** What Linux shows for "none yet" of ssthresh. */
const SSTHRESH_NONE = 0x7fffffff;

/** tcpi_options. */
const TCPI_OPT_TIMESTAMPS = 1;
const TCPI_OPT_SACK = 2;
const TCPI_OPT_WSCALE = 4;
const TCPI_OPT_ECN = 8;
const TCPI_OPT_ECN_SEEN = 16;

/** tcpi_ca_state: open, or recovery of losses. */
const TCP_CA_RECOVERY = 3;

/** Offset, bytes and field of what is copied; `mss` counts segments where Linux does. */
const COPIED: readonly (readonly [number, 4 | 8, ConnName, 'mss'?])[] = [
  [8, 4, 'rto_us'],
  [16, 4, 'mss_bytes'],
  [24, 4, 'unacked_bytes', 'mss'],
  [28, 4, 'sacked_bytes', 'mss'],
  [32, 4, 'lost_bytes', 'mss'],
  [36, 4, 'retrans_bytes', 'mss'],
  [44, 4, 'lastsnd_ms'],
  [52, 4, 'lastrcv_ms'],
  [56, 4, 'lastack_ms'],
  [60, 4, 'pmtu_bytes'],
  [64, 4, 'rcv_wnd_bytes'],
  [68, 4, 'rtt_us'],
  [72, 4, 'rttvar_us'],
  [80, 4, 'cwnd_bytes', 'mss'],
  [84, 4, 'advmss_bytes'],
  [96, 4, 'rcv_space_bytes'],
  [100, 4, 'retrans_total'],
  [104, 8, 'pacing_rate'],
  [120, 8, 'bytes_acked'],
  [128, 8, 'bytes_received'],
  [136, 4, 'segs_out'],
  [140, 4, 'segs_in'],
  [144, 4, 'notsent_bytes'],
  [148, 4, 'min_rtt_us'],
  [152, 4, 'data_segs_in'],
  [156, 4, 'data_segs_out'],
  [160, 8, 'delivery_rate'],
  [192, 4, 'delivered_bytes', 'mss'],
  [196, 4, 'delivered_ce_bytes', 'mss'],
  [200, 8, 'bytes_sent'],
  [208, 8, 'bytes_retrans'],
  [216, 4, 'dsack_dups'],
  [220, 4, 'reord_seen'],
  [224, 4, 'rcv_ooopack'],
  [228, 4, 'snd_wnd_bytes'],
  [232, 4, 'rcv_wnd_bytes'],
];

/** Times that Linux gives in µs and the snapshot in ms. */
const MS_TO_US: readonly (readonly [number, ConnName])[] = [
  [168, 'busy_ms'],
  [176, 'rwnd_limited_ms'],
  [184, 'sndbuf_limited_ms'],
];

const row = new Float64Array(CONN_ROW);

/** The structure for a socket in any state; without a connection it says little more than that. */
export function tcpInfo(s: Sock): Uint8Array {
  const bytes = new Uint8Array(TCP_INFO_LEN);
  const v = new DataView(bytes.buffer);
  v.setUint8(0, s.state);
  v.setBigUint64(112, 0xffffffffffffffffn, true);
  if (s.listener !== null) {
    // A listening socket shows its queue (tcp_get_info).
    v.setUint32(24, s.queue.length, true);
    v.setUint32(28, s.backlog, true);
    return bytes;
  }
  const tp = s.so?.tp;
  if (tp === null || tp === undefined || tp.t_inpcb === null || !connRead(tp.t_inpcb, row, 0)) return bytes;
  const get = (name: ConnName): number => {
    const n = row[CONN_SLOT[name]]!;
    return Number.isNaN(n) ? 0 : n;
  };
  const mss = get('mss_bytes') || 1;
  for (const [at, size, name, unit] of COPIED) {
    const n = unit === 'mss' ? Math.ceil(get(name) / mss) : get(name);
    if (size === 4) v.setUint32(at, Math.min(n, 0xffffffff), true);
    else v.setBigUint64(at, BigInt(Math.round(n)), true);
  }
  for (const [at, name] of MS_TO_US) v.setBigUint64(at, BigInt(Math.round(get(name) * 1000)), true);
  v.setUint8(1, get('recovery') === 1 ? TCP_CA_RECOVERY : 0);
  v.setUint8(2, Math.min(255, tp.t_rxtshift));
  v.setUint8(4, Math.min(255, get('backoff')));
  const wscale = !Number.isNaN(row[CONN_SLOT.snd_wscale]!);
  v.setUint8(
    5,
    (get('ts') * TCPI_OPT_TIMESTAMPS) |
      (get('sack') * TCPI_OPT_SACK) |
      (wscale ? TCPI_OPT_WSCALE : 0) |
      (get('ecn') * TCPI_OPT_ECN) |
      (get('ecnseen') * TCPI_OPT_ECN_SEEN),
  );
  v.setUint8(6, (get('snd_wscale') & 0xf) | ((get('rcv_wscale') & 0xf) << 4));
  v.setUint8(7, get('app_limited'));
  v.setUint32(12, get('ato_ms') * 1000, true);
  v.setUint32(20, get('rcvmss_bytes') || 536, true);
  const ssthresh = get('ssthresh_bytes');
  v.setUint32(76, ssthresh === 0 ? SSTHRESH_NONE : Math.ceil(ssthresh / mss), true);
  v.setUint32(88, 3, true);
  return bytes;
}
