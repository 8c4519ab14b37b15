import type { SockBuf } from '../stack/socket/sockbuf.ts';
import { TCP_RTT_SHIFT, type Tcpcb } from '../stack/tcp/tcpcb.ts';
import { TCPCB_FIELDS } from '../stack/tcp/tcpcb-fields.ts';
import {
  R_CWND,
  R_FLAGS,
  R_INFLIGHT,
  R_RCV_CC,
  R_RCV_WND,
  R_RXTCUR,
  R_SEGQLEN,
  R_SND_CC,
  R_SND_WND,
  R_SRTT,
  R_SSTHRESH,
  S_FLAGS2,
  S_MAXSEG,
  S_RCV_HIWAT,
  S_RCV_SCALE,
  S_SND_HIWAT,
  S_SND_SCALE,
  S_STATE,
} from './record.ts';

/** Copies what is the packet's of a control block and its socket buffers into the record whose first word is `r`. */
export type Snapshot = (w: Int32Array, r: number, tp: Tcpcb, snd: SockBuf, rcv: SockBuf) => void;

/** Brings `last`, the SETTLED_WORDS of a connection's record before, up to date; true when one of them has changed. */
export type Settle = (last: Int32Array, tp: Tcpcb, snd: SockBuf, rcv: SockBuf, state: number) => boolean;

/** Word of the record for each field of the data line that comes from the control block or the socket, first half. */
const WORD_OF_FIELD: Readonly<Record<number, number>> = {
  7: R_SSTHRESH,
  8: R_CWND,
  10: R_SND_WND,
  11: R_RCV_WND,
  16: R_SRTT,
  18: R_FLAGS,
  19: R_RXTCUR,
  21: R_SND_CC,
  23: R_RCV_CC,
  24: R_INFLIGHT,
  25: R_SEGQLEN,
};

/** The same of the second half: index from R_SETTLED on. */
const SETTLED_OF_FIELD: Readonly<Record<number, number>> = {
  9: S_FLAGS2,
  12: S_SND_SCALE,
  13: S_RCV_SCALE,
  14: S_STATE,
  15: S_MAXSEG,
  20: S_SND_HIWAT,
  22: S_RCV_HIWAT,
};

/** Fields that no single field of the control block holds (spec/siftr.md section 3). */
const DERIVED: Readonly<Record<number, string>> = {
  14: 'state',
  16: `tp.t_srtt >> ${TCP_RTT_SHIFT}`,
  20: 'snd.sb_hiwat',
  21: 'snd.sb_cc',
  22: 'rcv.sb_hiwat',
  23: 'rcv.sb_cc',
  24: 'tp.snd_max - tp.snd_una',
};

/** Field 24 with `inflight=pipe`: what the sender holds against its window, RFC 6675 section 4's pipe, 0 at least. */
const PIPE = 'tp.pipe';

/** What gives each field: an expression in `tp`, `snd`, `rcv` and `state`. */
function sources(pipe: boolean): ReadonlyMap<number, string> {
  const source = new Map<number, string>(Object.entries(DERIVED).map(([field, expr]) => [Number(field), expr]));
  if (pipe) source.set(24, PIPE);
  for (const f of TCPCB_FIELDS) {
    if (f.siftr !== undefined && !source.has(f.siftr)) source.set(f.siftr, `tp.${f.name}`);
  }
  return source;
}

/** A line of code for each field of a table. Throws when the declaration leaves a field of the data line without a source. */
function lines(
  table: Readonly<Record<number, number>>,
  pipe: boolean,
  line: (at: number, expr: string) => string,
): string {
  const source = sources(pipe);
  return Object.entries(table)
    .map(([field, at]) => {
      const expr = source.get(Number(field));
      if (expr === undefined) throw new Error(`no control-block field is declared for SIFTR field ${field}`);
      return line(at, expr);
    })
    .join('\n');
}

/**
 * Makes the snapshot function from the declaration of the control block's fields: one store a field, no loop.
 * @param pipe field 24 is the pipe (spec/siftr.md section 14 item 6)
 */
export function makeSnapshot(pipe = false): Snapshot {
  const body = lines(WORD_OF_FIELD, pipe, (at, expr) => `w[r + ${at}] = ${expr};`);
  return new Function('w', 'r', 'tp', 'snd', 'rcv', body) as Snapshot;
}

/** Makes the function for the second half of a record in the same way. */
export function makeSettle(): Settle {
  const body = lines(
    SETTLED_OF_FIELD,
    false,
    (at, expr) => `v = ${expr}; if (last[${at}] !== v) { last[${at}] = v; changed = true; }`,
  );
  return new Function(
    'last',
    'tp',
    'snd',
    'rcv',
    'state',
    `let v, changed = false;\n${body}\nreturn changed;`,
  ) as Settle;
}
