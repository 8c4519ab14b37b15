import { LEFT, NOT_OURS, ownerOf, WAITING } from '../endpoint/owner.ts';
import type { SockId } from '../endpoint/sock.ts';
import type { Listener } from '../stack/socket/listener.ts';
import type { Stack } from '../stack/stack.ts';
import { CONN_ROW, CONN_SLOT, connRead, listenRead } from '../stack/tcp/conninfo.ts';
import type { ConnCc } from '../views/conn.ts';

/** Most connections that a shard copies before it goes on with its work. */
export const CONN_SLICE = 256;

/** A part of a shard's connections, or of its listening sockets: plain numbers, so that it goes between threads as it is. */
export interface ConnSlice {
  /** Where the next slice begins; -1 when this was the last. */
  readonly next: number;
  readonly count: number;
  /** Rows of CONN_ROW numbers. */
  readonly rows: Float64Array;
  /** The id of the endpoint's socket for each row, 0 for what is none of its: who has it is known where its descriptors are. */
  readonly sids: Float64Array;
  /** The shard that has that socket: of a listening one another shard's, perhaps. */
  readonly owners: Float64Array;
  /** What the rows' `cc` is an index of. */
  readonly ccs: readonly ConnCc[];
}

/** Takes the rows of one slice. */
class Gather {
  readonly #shard: number;
  readonly #rows = new Float64Array(CONN_SLICE * CONN_ROW);
  readonly #sids = new Float64Array(CONN_SLICE);
  readonly #owners = new Float64Array(CONN_SLICE);
  readonly #ccs: ConnCc[] = [];
  #count = 0;

  constructor(shard: number) {
    this.#shard = shard;
  }

  /** Where the next row goes. */
  get row(): Float64Array {
    return this.#rows;
  }

  get at(): number {
    return this.#count * CONN_ROW;
  }

  /** The row at `at` is filled in; `mod` is its congestion control, `owner` what ownerOf says, `shard` where that socket is. */
  done(
    mod: { readonly name: string; readonly fields?: readonly { readonly name: string }[] } | null,
    owner: number,
    shard = this.#shard,
  ): void {
    const { at } = this;
    if (owner === WAITING) this.#rows[at + CONN_SLOT.queued] = 1;
    else if (owner === LEFT) this.#rows[at + CONN_SLOT.orphan] = 1;
    this.#sids[this.#count] = Math.max(owner, 0);
    this.#owners[this.#count] = shard;
    this.#rows[at + CONN_SLOT.shard] = this.#shard;
    if (mod !== null) {
      let i = this.#ccs.findIndex((c) => c.name === mod.name);
      if (i < 0) i = this.#ccs.push({ name: mod.name, fields: (mod.fields ?? []).map((f) => f.name) }) - 1;
      this.#rows[at + CONN_SLOT.cc] = i;
    }
    this.#count++;
  }

  slice(next: number): ConnSlice {
    const count = this.#count;
    return {
      next,
      count,
      rows: this.#rows.slice(0, count * CONN_ROW),
      sids: this.#sids.slice(0, count),
      owners: this.#owners.slice(0, count),
      ccs: this.#ccs,
    };
  }
}

/**
 * The state of at most CONN_SLICE connections of a shard from `cursor` on (0 at first, then `next` of the slice before). Connections
 * may come and go between slices: those that stay are met exactly once.
 */
export function connSlice(st: Stack, cursor: number): ConnSlice {
  const g = new Gather(st.shard);
  const next = st.tcp.tcb.scan(cursor, CONN_SLICE, (inp) => {
    if (connRead(inp, g.row, g.at)) g.done(inp.tp!.t_ccmod, ownerOf(inp.inp_socket!));
  });
  return g.slice(next);
}

/** The same for listening sockets, in the order in which they began to listen. @param own the endpoint's, as SockHost has them */
export function listenSlice(st: Stack, cursor: number, own?: ReadonlyMap<Listener, SockId>): ConnSlice {
  const rest = st.tcp.listeners
    .all()
    .filter((l) => l.serial >= cursor)
    .sort((a, b) => a.serial - b.serial);
  const g = new Gather(st.shard);
  for (const l of rest.slice(0, CONN_SLICE)) {
    listenRead(l, g.row, g.at);
    const owner = own?.get(l);
    g.done(l.cc ?? st.tcp.ccDefault, owner?.sid ?? NOT_OURS, owner?.shard);
  }
  return g.slice(rest[CONN_SLICE]?.serial ?? -1);
}
