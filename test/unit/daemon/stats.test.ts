import { describe, expect, test } from 'vitest';
import { connSlice } from '../../../src/daemon/conn-slice.ts';
import { ssFilter } from '../../../src/daemon/conns.ts';
import { StatReader, type StatSlice } from '../../../src/daemon/stat-slice.ts';
import { type StatSource, statLines } from '../../../src/daemon/stats.ts';
import type { Stack } from '../../../src/stack/stack.ts';
import { CONN_SLOT } from '../../../src/stack/tcp/conninfo.ts';
import { connRecord } from '../../../src/views/conn.ts';
import { parseStatNames, STAT_COLUMNS, type StatName, type StatRecord } from '../../../src/views/tcpstats.ts';
import { open, pattern, type Recorder, serve } from '../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../lab/twostacks.ts';

/** A shard's end of the requests, without a thread between. */
class Source implements StatSource {
  readonly reader: StatReader;
  readonly slices: StatSlice[] = [];
  constructor(st: Stack) {
    this.reader = new StatReader(st);
  }
  async request(req: Parameters<StatSource['request']>[0]): Promise<StatSlice> {
    const s = this.reader.slice(req.cursor, req.fields);
    this.slices.push(s);
    return s;
  }
}

function many(n: number): TwoStacks {
  const net = new TwoStacks({ delayUs: 10 });
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted);
  for (let i = 0; i < n; i++) {
    const user = open(net.a, ADDR_B, 80);
    if (i % 100 === 99) net.run(1000);
    if (i % 7 === 0) net.run(100_000, () => user.has('connected')) && user.sendAll(pattern(1000 * (i + 1)), false);
  }
  net.run(1_000_000, () => accepted.length === n);
  return net;
}

async function sample(sources: readonly Source[], names: readonly StatName[], words = ''): Promise<StatRecord[]> {
  let text = '';
  for await (const chunk of statLines(sources, ssFilter(words.split(' ').filter(Boolean), {}), names)) text += chunk;
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as StatRecord);
}

const ALL = STAT_COLUMNS.map((c) => c.name);

describe('a sample of the connections', () => {
  test('has each connection of every shard once, in slices of 256 rows that are no wider than they need be', async () => {
    const net = many(600);
    const sources = [new Source(net.b.st), new Source(net.a.st)];
    const got = await sample(sources, ['time_us', 'laddr', 'lport', 'fport', 'cwnd_bytes']);
    expect(got).toHaveLength(1200);
    expect(new Set(got.map((r) => `${r.laddr} ${r.lport} ${r.fport}`)).size).toBe(1200);
    // State, queues, addresses and ports, and the window: 13 numbers and one.
    const rows = sources.flatMap((s) => s.slices.map((x) => x.rows.length));
    expect(rows.every((n) => n % 14 === 0 && n <= 256 * 14)).toBe(true);
    expect(rows.filter((n) => n > 0).length).toBeGreaterThan(4);
  });

  test('says of every field what ss says, and under all of them when it was', async () => {
    const net = many(30);
    for (const { st } of [net.a, net.b]) {
      const slice = connSlice(st, 0);
      const width = slice.rows.length / slice.count;
      const full = Array.from({ length: slice.count }, (_, i) => connRecord(slice.rows, i * width, slice.ccs));
      const got = await sample([new Source(st)], ALL);
      expect(got).toHaveLength(30);
      for (const [i, { cc_info: _, ...r }] of full.entries()) {
        expect(got[i]).toEqual({ ...r, time_us: st.clock.wallUs() });
      }
      // Read on their own as well as with all others, whatever their place.
      for (const name of ALL) {
        const alone = await sample([new Source(st)], [name]);
        expect(alone.map((r) => r[name])).toEqual(got.map((r) => r[name]));
      }
    }
  });

  test('has the lines that a filter of ss lets through, whichever columns are asked for', async () => {
    const net = many(20);
    const port = net.b.st;
    const ports = (await sample([new Source(port)], ['fport'])).map((r) => r.fport as number);
    const words = `state established ( dport = :${ports[3]} or dport = :${ports[9]} ) and src 192.0.2.2/32`;
    const got = await sample([new Source(port)], ['cc', 'fport'], words);
    expect(got).toEqual([
      { cc: 'cubic', fport: ports[3] },
      { cc: 'cubic', fport: ports[9] },
    ]);
    expect(await sample([new Source(port)], ['cc'], 'state time-wait')).toEqual([]);
  });

  test('shows no value left over from the connection or the columns before', async () => {
    const net = many(20);
    const source = new Source(net.b.st);
    const first = await sample([source], ALL);
    await sample([source], parseStatNames('rtt_us,ssthresh_bytes'));
    expect(await sample([source], ALL)).toEqual(first);
    // The threshold is not set before the first congestion.
    expect(first.every((r) => !('ssthresh_bytes' in r))).toBe(true);
    expect(CONN_SLOT.state).toBe(0);
  });
});
