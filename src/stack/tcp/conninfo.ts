/**
 * Copies the state of a connection into a row of numbers by the fields of conn-fields.ts: what threads hand on, and what ss, JSON and
 * every other snapshot of a connection are made of. Views give it words (views/conn.ts).
 */

import type { Listener } from '../socket/listener.ts';
import type { Socket } from '../socket/socket.ts';
import { CC_MAX_FIELDS } from './cc/registry.ts';
import { CONN_FIELDS, type ConnField, type ConnName } from './conn-fields.ts';
import type { Inpcb } from './tcb.ts';
import type { Tcpcb } from './tcpcb.ts';

/** First slot of each field in a row. */
export const CONN_SLOT = {} as Record<ConnName, number>;
let slots = 0;
for (const f of CONN_FIELDS) {
  CONN_SLOT[f.name] = slots;
  slots += f.type === 'addr' ? 4 : 1;
}
/** Slot of the first of the congestion-control module's own fields, of which there are CC_MAX_FIELDS. */
export const CONN_CC_SLOT = slots;
/** Numbers in a row. */
export const CONN_ROW = slots + CC_MAX_FIELDS;

type Reader = (tp: Tcpcb, so: Socket, inp: Inpcb, row: Float64Array, at: number) => void;

/** One call a field, each from a place of its own: a loop over the table would take several times as long. */
const readFields = makeReader(CONN_FIELDS, CONN_SLOT);

function makeReader(of: readonly ConnField[], slot: Readonly<Partial<Record<string, number>>>): Reader {
  const from = of.filter((f) => f.get !== undefined);
  const consts = from.map((_, i) => `const g${i} = fields[${i}].get;`);
  const stores = from.map((f, i) => `row[at + ${slot[f.name]}] = g${i}(tp, so, inp);`);
  const body = `${consts.join('\n')}\nreturn (tp, so, inp, row, at) => {\n${stores.join('\n')}\n};`;
  return new Function('fields', body)(from) as Reader;
}

/**
 * Copies a connection into `row[at, at + CONN_ROW)`; what belongs to the gatherer (cc, shard) is NaN.
 * @returns false for one without control block or socket: it is about to go
 */
export function connRead(inp: Inpcb, row: Float64Array, at: number): boolean {
  const { tp, inp_socket: so } = inp;
  if (tp === null || so === null) return false;
  row.fill(Number.NaN, at, at + CONN_ROW);
  readFields(tp, so, inp, row, at);
  readAddrs(inp, row, at);
  try {
    tp.t_cc.readFields?.(row, at + CONN_CC_SLOT);
  } catch {
    // A module that cannot tell its numbers has none to show; what it does to its connection is judged where it acts (cc/glue.ts).
    row.fill(Number.NaN, at + CONN_CC_SLOT, at + CONN_ROW);
  }
  return true;
}

function readAddrs(inp: Inpcb, row: Float64Array, at: number): void {
  const l = at + CONN_SLOT.laddr;
  row[l] = inp.l0;
  row[l + 1] = inp.l1;
  row[l + 2] = inp.l2;
  row[l + 3] = inp.l3;
  const f = at + CONN_SLOT.faddr;
  row[f] = inp.f0;
  row[f + 1] = inp.f1;
  row[f + 2] = inp.f2;
  row[f + 3] = inp.f3;
}

/** Numbers that rows of any layout begin with, at the same slots: state, queues, addresses and ports, which is all that a filter looks at. */
const CONN_HEAD = CONN_SLOT.fport + 1;

/**
 * Rows of some fields only, for who asks often: reading all of them takes several times as long, and what is read has to go to another thread.
 * Numbers of the congestion-control module's own are not among them.
 */
export class ConnLayout {
  /** First slot of each field in such a row. */
  readonly slot: Readonly<Partial<Record<ConnName, number>>>;
  readonly width: number;
  readonly #read: Reader;

  constructor(names: readonly ConnName[]) {
    const fields = CONN_FIELDS.filter((f) => CONN_SLOT[f.name] < CONN_HEAD || names.includes(f.name));
    const slot: Partial<Record<ConnName, number>> = {};
    let width = 0;
    for (const f of fields) {
      slot[f.name] = width;
      width += f.type === 'addr' ? 4 : 1;
    }
    this.slot = slot;
    this.width = width;
    this.#read = makeReader(fields, slot);
  }

  /** Copies a connection into `row[at, at + width)`, as `connRead` does. */
  read(inp: Inpcb, row: Float64Array, at: number): boolean {
    const { tp, inp_socket: so } = inp;
    if (tp === null || so === null) return false;
    row.fill(Number.NaN, at, at + this.width);
    this.#read(tp, so, inp, row, at);
    readAddrs(inp, row, at);
    return true;
  }
}

/** The same for a listening socket. */
export function listenRead(l: Listener, row: Float64Array, at: number): void {
  row.fill(Number.NaN, at, at + CONN_ROW);
  for (const f of CONN_FIELDS) {
    if (f.listen !== undefined) row[at + CONN_SLOT[f.name]] = f.listen(l);
  }
  for (const field of [CONN_SLOT.laddr, CONN_SLOT.faddr]) {
    row[at + field] = 0;
    row[at + field + 1] = 0;
    row[at + field + 2] = 0xffff;
    row[at + field + 3] = 0;
  }
  row[at + CONN_SLOT.laddr + 3] = l.addr;
}
