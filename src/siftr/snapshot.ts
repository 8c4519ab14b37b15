import type { SockBuf } from '../stack/socket/sockbuf.ts';
import { TCP_RTT_SHIFT, type Tcpcb } from '../stack/tcp/tcpcb.ts';
import { TCPCB_FIELDS } from '../stack/tcp/tcpcb-fields.ts';
import { R_SETTLED, WORD_OF_FIELD } from './record.ts';

/** Copies what is the packet's of a control block and its socket buffers into the record whose first word is `r`. */
export type Snapshot = (w: Int32Array, r: number, tp: Tcpcb, snd: SockBuf, rcv: SockBuf) => void;

/** Brings `last`, the SETTLED_WORDS of a connection's record before, up to date; true when one of them has changed. */
export type Settle = (last: Int32Array, tp: Tcpcb, snd: SockBuf, rcv: SockBuf, state: number) => boolean;

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

/**
 * Lines of code for the fields of one half of a record. Throws when the declaration of the control block leaves one without a source.
 * @param line makes the line from the field's word and an expression in `tp`, `snd`, `rcv` and `state`
 */
function lines(settled: boolean, pipe: boolean, line: (word: number, expr: string) => string): string {
  const source = new Map<number, string>(Object.entries(DERIVED).map(([field, expr]) => [Number(field), expr]));
  if (pipe) source.set(24, PIPE);
  for (const f of TCPCB_FIELDS) {
    if (f.siftr !== undefined && !source.has(f.siftr)) source.set(f.siftr, `tp.${f.name}`);
  }
  return Object.entries(WORD_OF_FIELD)
    .filter(([, word]) => word >= R_SETTLED === settled)
    .map(([field, word]) => {
      const expr = source.get(Number(field));
      if (expr === undefined) throw new Error(`no control-block field is declared for SIFTR field ${field}`);
      return line(word, expr);
    })
    .join('\n');
}

/**
 * Makes the snapshot function from the declaration of the control block's fields: one store a field, no loop.
 * @param pipe field 24 is the pipe (spec/siftr.md section 14 item 6)
 */
export function makeSnapshot(pipe = false): Snapshot {
  const body = lines(false, pipe, (word, expr) => `w[r + ${word}] = ${expr};`);
  return new Function('w', 'r', 'tp', 'snd', 'rcv', body) as Snapshot;
}

/** Makes the function for the second half of a record in the same way. */
export function makeSettle(): Settle {
  const body = lines(true, false, (word, expr) => {
    const last = `last[${word - R_SETTLED}]`;
    return `v = ${expr}; if (${last} !== v) { ${last} = v; changed = true; }`;
  });
  return new Function(
    'last',
    'tp',
    'snd',
    'rcv',
    'state',
    `let v, changed = false;\n${body}\nreturn changed;`,
  ) as Settle;
}
