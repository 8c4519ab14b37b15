import type { Sample } from '../model.ts';

/** A column of an export. */
export interface Column {
  /** With the unit of times and volumes at its end; flags and states are as FreeBSD numbers them. */
  readonly name: string;
  /** `uint`: a whole number below 2^32. */
  readonly type: 'text' | 'uint' | 'real' | 'bool';
  readonly of: (s: Sample) => string | number | boolean | null;
}

/** Columns behind the first, `log`, which names the log. */
export const COLUMNS: readonly Column[] = [
  { name: 'line', type: 'uint', of: (s) => s.line },
  { name: 'time_us', type: 'real', of: (s) => s.timeUs },
  { name: 'dir', type: 'text', of: (s) => s.dir },
  { name: 'laddr', type: 'text', of: (s) => s.laddr },
  { name: 'lport', type: 'uint', of: (s) => s.lport },
  { name: 'faddr', type: 'text', of: (s) => s.faddr },
  { name: 'fport', type: 'uint', of: (s) => s.fport },
  // No number while none is set, as in what ss leaves out.
  { name: 'ssthresh_bytes', type: 'uint', of: (s) => (s.ssthresh === Infinity ? null : s.ssthresh) },
  { name: 'cwnd_bytes', type: 'uint', of: (s) => s.cwnd },
  { name: 'flags2', type: 'uint', of: (s) => s.flags2 },
  { name: 'snd_wnd_bytes', type: 'uint', of: (s) => s.sndWnd },
  { name: 'rcv_wnd_bytes', type: 'uint', of: (s) => s.rcvWnd },
  { name: 'snd_scale', type: 'uint', of: (s) => s.sndScale },
  { name: 'rcv_scale', type: 'uint', of: (s) => s.rcvScale },
  { name: 'state', type: 'uint', of: (s) => s.state },
  { name: 'mss_bytes', type: 'uint', of: (s) => s.mss },
  { name: 'srtt_us', type: 'real', of: (s) => s.srtt },
  { name: 'sack', type: 'bool', of: (s) => s.sack },
  { name: 'flags', type: 'uint', of: (s) => s.flags },
  { name: 'rto_us', type: 'real', of: (s) => s.rto },
  { name: 'snd_buf_bytes', type: 'uint', of: (s) => s.sndHiwat },
  { name: 'snd_buf_used_bytes', type: 'uint', of: (s) => s.sndCc },
  { name: 'rcv_buf_bytes', type: 'uint', of: (s) => s.rcvHiwat },
  { name: 'rcv_buf_used_bytes', type: 'uint', of: (s) => s.rcvCc },
  { name: 'inflight_bytes', type: 'uint', of: (s) => s.inflight },
  { name: 'reass_segments', type: 'uint', of: (s) => s.segqlen },
  { name: 'flowid', type: 'uint', of: (s) => s.flowid },
  { name: 'flowtype', type: 'uint', of: (s) => s.flowtype },
];
