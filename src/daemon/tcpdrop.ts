import { inetAton } from '../stack/net/in-addr.ts';
import type { DropSlice, DropWanted, Flow } from './drop-slice.ts';
import type { ShardRequest } from './messages.ts';

/** What is needed of a shard: src/daemon/shard-port.ts. */
export interface DropSource {
  request(req: ShardRequest & { op: 'drop' }): Promise<DropSlice>;
  request(req: ShardRequest & { op: 'dropFlow' }): Promise<boolean>;
}

/**
 * Drops connections of all shards, a slice at a time, the next one only when the lines of this one were taken: whoever stops reading
 * stops the rest.
 * @param done told how many were dropped, at the end or where it was stopped
 * @returns a line of JSON (Flow) for each
 */
export async function* dropLines(
  shards: readonly DropSource[],
  wanted: DropWanted,
  done: (dropped: number) => void,
): AsyncGenerator<string> {
  let dropped = 0;
  try {
    for (const shard of shards) {
      for (let cursor = 0; cursor >= 0; ) {
        const slice: DropSlice = await shard.request({ op: 'drop', cursor, ...wanted });
        dropped += slice.flows.length;
        cursor = slice.next;
        if (slice.flows.length > 0) yield slice.flows.map((f) => `${JSON.stringify(f)}\n`).join('');
      }
    }
  } finally {
    done(dropped);
  }
}

/** Drops one connection, whatever shard has it; false when none has. */
export async function dropOne(shards: readonly DropSource[], flow: Flow): Promise<boolean> {
  const laddr = inetAton(flow.laddr);
  const faddr = inetAton(flow.faddr);
  const { lport, fport } = flow;
  const had = await Promise.all(shards.map((s) => s.request({ op: 'dropFlow', laddr, lport, faddr, fport })));
  return had.includes(true);
}
