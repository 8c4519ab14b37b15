import { LEFT, ownerOf, WAITING } from '../endpoint/owner.ts';
import type { Stack } from '../stack/stack.ts';
import type { ConnName } from '../stack/tcp/conn-fields.ts';
import { ConnLayout } from '../stack/tcp/conninfo.ts';
import type { ConnCc } from '../views/conn.ts';
import { CONN_SLICE } from './conn-slice.ts';

/** Some fields of a part of a shard's connections, as they were at one moment. */
export interface StatSlice {
  /** Where the next slice begins; -1 when this was the last. */
  readonly next: number;
  /** That moment by the shard's clock, the one of its SIFTR lines: µs since the epoch. */
  readonly timeUs: number;
  /** Rows of `ConnLayout(fields).width` numbers. */
  readonly rows: Float64Array;
  /** What the rows' `cc` is an index of. */
  readonly ccs: readonly ConnCc[];
}

/** Takes slices of a shard's connections, again and again with the same fields. */
export class StatReader {
  readonly #st: Stack;
  #fields = '';
  #layout = new ConnLayout([]);
  #rows = new Float64Array(0);

  constructor(st: Stack) {
    this.#st = st;
  }

  /** As `connSlice` has them: at most CONN_SLICE connections from `cursor` on. */
  slice(cursor: number, fields: readonly ConnName[]): StatSlice {
    const key = fields.join();
    if (key !== this.#fields) {
      this.#fields = key;
      this.#layout = new ConnLayout(fields);
      this.#rows = new Float64Array(0);
    }
    const { slot, width } = this.#layout;
    if (this.#rows.length === 0) this.#rows = new Float64Array(CONN_SLICE * width);
    const rows = this.#rows;
    const ccs: ConnCc[] = [];
    let at = 0;
    const next = this.#st.tcp.tcb.scan(cursor, CONN_SLICE, (inp) => {
      if (!this.#layout.read(inp, rows, at)) return;
      const owner = ownerOf(inp.inp_socket!);
      if (owner === WAITING && slot.queued !== undefined) rows[at + slot.queued] = 1;
      if (owner === LEFT && slot.orphan !== undefined) rows[at + slot.orphan] = 1;
      if (slot.shard !== undefined) rows[at + slot.shard] = this.#st.shard;
      const mod = inp.tp!.t_ccmod;
      if (slot.cc !== undefined && mod !== null) {
        let i = ccs.findIndex((c) => c.name === mod.name);
        if (i < 0) i = ccs.push({ name: mod.name, fields: [] }) - 1;
        rows[at + slot.cc] = i;
      }
      at += width;
    });
    return { next, timeUs: this.#st.clock.wallUs(), rows: rows.slice(0, at), ccs };
  }
}
