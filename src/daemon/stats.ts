import { ConnLayout } from '../stack/tcp/conninfo.ts';
import type { SsFilter } from '../views/ss-filter.ts';
import { type StatName, statConnNames, statRecord } from '../views/tcpstats.ts';
import type { ShardRequest } from './messages.ts';
import type { StatSlice } from './stat-slice.ts';

/** What is needed of a shard: src/daemon/shard-port.ts. */
export interface StatSource {
  request(req: ShardRequest & { op: 'stats' }): Promise<StatSlice>;
}

/**
 * One sample of the connections of all shards that `filter` lets through: lines of JSON with those of `names` that have a value. All shards
 * are asked at once, so that their moments are as near as can be; further slices follow as they are taken.
 */
export async function* statLines(
  shards: readonly StatSource[],
  filter: SsFilter,
  names: readonly StatName[],
): AsyncGenerator<string> {
  const fields = statConnNames(names);
  const layout = new ConnLayout(fields);
  const ask = (s: StatSource, cursor: number): Promise<StatSlice> => s.request({ op: 'stats', cursor, fields });
  const first = await Promise.all(shards.map((s) => ask(s, 0)));
  for (let k = 0; k < first.length; k++) {
    for (let slice = first[k]!; ; slice = await ask(shards[k]!, slice.next)) {
      let text = '';
      for (let at = 0; at < slice.rows.length; at += layout.width) {
        if (!filter.matches(slice.rows, at)) continue;
        text += `${JSON.stringify(statRecord(names, layout, slice.timeUs, slice.rows, at, slice.ccs))}\n`;
      }
      if (text !== '') yield text;
      if (slice.next < 0) break;
    }
  }
}
