import { readFileSync } from 'node:fs';
import type { Holder } from '../endpoint/endpoint.ts';
import { CONN_ROW, CONN_SLOT } from '../stack/tcp/conninfo.ts';
import { connRecord } from '../views/conn.ts';
import { parseSsFilter, type SsFilter, type SsWanted } from '../views/ss-filter.ts';
import type { ConnSlice } from './conn-slice.ts';
import type { ShardRequest } from './messages.ts';

/** What is needed of a shard: src/daemon/shard-port.ts. */
export interface ConnSource {
  request(req: ShardRequest & { op: 'conns' }): Promise<ConnSlice>;
}

/** A listening socket, of all shards together. */
interface Listening {
  readonly row: Float64Array;
  readonly ccs: ConnSlice['ccs'];
  /** By port and address. */
  readonly order: number;
}

/** Who has socket `sid` of the endpoint on a shard; null when it was closed. */
export type HolderOf = (shard: number, sid: number) => Holder | null;

/** Writes into rows who has the endpoint's sockets. */
class Holders {
  /** What `text` fields are an index of. */
  readonly texts: string[] = [];
  readonly #of: HolderOf;
  readonly #index = new Map<string, number>();

  constructor(of: HolderOf) {
    this.#of = of;
  }

  /** For socket `sid` (0: none) of `shard`. */
  fill(row: Float64Array, at: number, shard: number, sid: number): void {
    if (sid === 0) return;
    const holder = this.#of(shard, sid);
    if (holder === null) {
      row[at + CONN_SLOT.orphan] = 1;
      return;
    }
    const { fd, peer } = holder;
    row[at + CONN_SLOT.fd] = fd;
    if (peer === null) return;
    row[at + CONN_SLOT.pid] = peer.pid ?? Number.NaN;
    row[at + CONN_SLOT.command] = this.#text(peer.command);
    row[at + CONN_SLOT.uid] = peer.uid;
    row[at + CONN_SLOT.user] = this.#text(peer.user);
  }

  #text(s: string | null): number {
    if (s === null) return Number.NaN;
    let i = this.#index.get(s);
    if (i === undefined) {
      i = this.texts.push(s) - 1;
      this.#index.set(s, i);
    }
    return i;
  }
}

/** TCP ports of /etc/services by name; none where the file is missing. */
export function services(): Map<string, number> {
  const ports = new Map<string, number>();
  let text = '';
  try {
    text = readFileSync('/etc/services', 'utf8');
  } catch {
    return ports;
  }
  for (const line of text.split('\n')) {
    const [name, entry, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const port = /^(\d+)\/tcp$/.exec(entry ?? '')?.[1];
    if (name === undefined || port === undefined) continue;
    for (const n of [name, ...aliases]) if (!ports.has(n)) ports.set(n, Number(port));
  }
  return ports;
}

/** A filter as a user gives it, names of services included. Throws ViewError. */
export function ssFilter(words: readonly string[], wanted: SsWanted): SsFilter {
  let ports: Map<string, number> | null = null;
  return parseSsFilter(words, wanted, (name) => (ports ??= services()).get(name) ?? null);
}

/**
 * The connections of all shards that `filter` lets through, listening sockets first, as lines of JSON (ConnRecord of views/conn.ts). A
 * slice at a time is asked for, and the next one only when this one was taken.
 */
export async function* connLines(
  shards: readonly ConnSource[],
  filter: SsFilter,
  holderOf: HolderOf = () => null,
): AsyncGenerator<string> {
  const holders = new Holders(holderOf);
  // Every shard listens on the same ports: one line says it for all, and one for each socket that shares a port with others.
  const listening = new Map<string, Listening>();
  for (const shard of shards) {
    for await (const slice of slices(shard, 'listen')) {
      for (let i = 0; i < slice.count; i++) {
        const row = slice.rows.slice(i * CONN_ROW, (i + 1) * CONN_ROW);
        const [owner, sid] = [slice.owners[i]!, slice.sids[i]!];
        const addr = row[CONN_SLOT.laddr + 3]! >>> 0;
        const key = `${row[CONN_SLOT.lport]}:${addr}:${sid === 0 ? '' : `${owner}:${sid}`}`;
        const there = listening.get(key);
        if (there === undefined) {
          holders.fill(row, 0, owner, sid);
          listening.set(key, { row, ccs: slice.ccs, order: row[CONN_SLOT.lport]! * 0x1_0000_0000 + addr });
        } else {
          there.row[CONN_SLOT.recv_q] = there.row[CONN_SLOT.recv_q]! + row[CONN_SLOT.recv_q]!;
          there.row[CONN_SLOT.shard] = Number.NaN;
        }
      }
    }
  }
  let text = '';
  for (const { row, ccs } of [...listening.values()].sort((a, b) => a.order - b.order)) {
    if (filter.matches(row, 0)) text += `${JSON.stringify(connRecord(row, 0, ccs, holders.texts))}\n`;
  }
  if (text !== '') yield text;
  for (const shard of shards) {
    for await (const slice of slices(shard, 'connected')) {
      text = '';
      for (let at = 0; at < slice.rows.length; at += CONN_ROW) {
        if (!filter.matches(slice.rows, at)) continue;
        holders.fill(slice.rows, at, slice.owners[at / CONN_ROW]!, slice.sids[at / CONN_ROW]!);
        text += `${JSON.stringify(connRecord(slice.rows, at, slice.ccs, holders.texts))}\n`;
      }
      if (text !== '') yield text;
    }
  }
}

async function* slices(shard: ConnSource, what: 'listen' | 'connected'): AsyncGenerator<ConnSlice> {
  for (let cursor = 0; cursor >= 0; ) {
    const slice: ConnSlice = await shard.request({ op: 'conns', what, cursor });
    yield slice;
    cursor = slice.next;
  }
}
