import type { SockBuf } from '../stack/socket/sockbuf.ts';
import { TCP_RTT_SHIFT, type Tcpcb } from '../stack/tcp/tcpcb.ts';
import { TCPCB_FIELDS } from '../stack/tcp/tcpcb-fields.ts';
import {
  R_CWND,
  R_FLAGS,
  R_FLAGS2,
  R_INFLIGHT,
  R_MAXSEG,
  R_RCV_CC,
  R_RCV_HIWAT,
  R_RCV_SCALE,
  R_RCV_WND,
  R_RXTCUR,
  R_SEGQLEN,
  R_SND_CC,
  R_SND_HIWAT,
  R_SND_SCALE,
  R_SND_WND,
  R_SRTT,
  R_SSTHRESH,
  R_STATE,
} from './record.ts';

/** Copies a control block and its socket buffers into the record whose first word is `r`. */
export type Snapshot = (w: Int32Array, r: number, tp: Tcpcb, snd: SockBuf, rcv: SockBuf) => void;

/** Word of the record for each field of the data line that comes from the control block or the socket. */
const WORD_OF_FIELD: Readonly<Record<number, number>> = {
  7: R_SSTHRESH,
  8: R_CWND,
  9: R_FLAGS2,
  10: R_SND_WND,
  11: R_RCV_WND,
  12: R_SND_SCALE,
  13: R_RCV_SCALE,
  14: R_STATE,
  15: R_MAXSEG,
  16: R_SRTT,
  18: R_FLAGS,
  19: R_RXTCUR,
  20: R_SND_HIWAT,
  21: R_SND_CC,
  22: R_RCV_HIWAT,
  23: R_RCV_CC,
  24: R_INFLIGHT,
  25: R_SEGQLEN,
};

/** Fields that no single field of the control block holds (spec/siftr.md section 3). */
const DERIVED: Readonly<Record<number, string>> = {
  16: `tp.t_srtt >> ${TCP_RTT_SHIFT}`,
  20: 'snd.sb_hiwat',
  21: 'snd.sb_cc',
  22: 'rcv.sb_hiwat',
  23: 'rcv.sb_cc',
  24: 'tp.snd_max - tp.snd_una',
};

/** Field 24 with `inflight=pipe`: what the sender holds against its window, RFC 6675 section 4's pipe, 0 at least. */
const PIPE = 'tp.pipe';

/**
 * Makes the snapshot function from the declaration of the control block's fields: one store a field, no loop. Throws when the
 * declaration leaves a field of the data line without a source.
 * @param pipe field 24 is the pipe (spec/siftr.md section 14 item 6)
 */
export function makeSnapshot(pipe = false): Snapshot {
  const source = new Map<number, string>(Object.entries(DERIVED).map(([field, expr]) => [Number(field), expr]));
  if (pipe) source.set(24, PIPE);
  for (const f of TCPCB_FIELDS) {
    if (f.siftr !== undefined && !source.has(f.siftr)) source.set(f.siftr, `tp.${f.name}`);
  }
  const body = Object.entries(WORD_OF_FIELD).map(([field, word]) => {
    const expr = source.get(Number(field));
    if (expr === undefined) throw new Error(`no control-block field is declared for SIFTR field ${field}`);
    return `w[r + ${word}] = ${expr};`;
  });
  return new Function('w', 'r', 'tp', 'snd', 'rcv', body.join('\n')) as Snapshot;
}
