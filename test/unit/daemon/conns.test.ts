import { describe, expect, it } from 'vitest';
import { CONN_SLICE, type ConnSlice, connSlice, listenSlice } from '../../../src/daemon/conn-slice.ts';
import { type ConnSource, connLines, ssFilter } from '../../../src/daemon/conns.ts';
import type { Stack } from '../../../src/stack/stack.ts';
import { CONN_ROW } from '../../../src/stack/tcp/conninfo.ts';
import type { ConnRecord } from '../../../src/views/conn.ts';
import { open, type Recorder, serve } from '../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../lab/twostacks.ts';

/** A shard's end of the requests, without a thread between. */
class Source implements ConnSource {
  readonly st: Stack;
  readonly slices: ConnSlice[] = [];
  before: (() => void) | null = null;
  constructor(st: Stack) {
    this.st = st;
  }
  async request(req: Parameters<ConnSource['request']>[0]): Promise<ConnSlice> {
    this.before?.();
    const s = req.what === 'listen' ? listenSlice(this.st, req.cursor) : connSlice(this.st, req.cursor);
    this.slices.push(s);
    return s;
  }
}

async function records(sources: readonly Source[], words: string, all = false): Promise<ConnRecord[]> {
  let text = '';
  for await (const chunk of connLines(sources, ssFilter(words === '' ? [] : words.split(' '), { all }))) text += chunk;
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ConnRecord);
}

function many(n: number): { net: TwoStacks; accepted: Recorder[] } {
  const net = new TwoStacks({ delayUs: 10 });
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted);
  for (let i = 0; i < n; i++) {
    open(net.a, ADDR_B, 80);
    if (i % 100 === 99) net.run(1000);
  }
  net.run(1_000_000, () => accepted.length === n);
  return { net, accepted };
}

describe('the connections of the shards', () => {
  it('come in slices of 256 at most, each connection once, as records with names', async () => {
    const { net } = many(700);
    const s = new Source(net.b.st);
    const got = await records([s], 'state established');
    expect(got).toHaveLength(700);
    expect(new Set(got.map((r) => r.fport)).size).toBe(700);
    expect(got.every((r) => r.state === 'ESTAB' && r.laddr === '192.0.2.2' && r.cc === 'cubic')).toBe(true);
    expect(Object.keys(got[0]!.cc_info ?? {})).toContain('w_max');
    const sizes = s.slices.map((x) => x.count);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(CONN_SLICE);
    expect(s.slices.every((x) => x.rows.length === x.count * CONN_ROW)).toBe(true);
    expect(sizes.filter((n) => n > 0).length).toBeGreaterThan(2);
  });

  it('that stay are met once while others close and open between slices', async () => {
    const { net, accepted } = many(600);
    const s = new Source(net.b.st);
    const ports = new Set(accepted.slice(0, 300).map((r) => r.so!.remotePort));
    let closing = 300;
    s.before = () => {
      for (let i = 0; i < 40 && closing < 600; i++) accepted[closing++]!.so!.abort();
      for (let i = 0; i < 40; i++) open(net.a, ADDR_B, 80);
      net.run(5000);
    };
    const got = (await records([s], 'state established')).map((r) => r.fport as number);
    expect(new Set(got).size).toBe(got.length);
    expect([...ports].filter((p) => !got.includes(p))).toEqual([]);
    expect(closing).toBeGreaterThan(300);
  });

  it('of several shards follow each other; a port on which all listen is one line with the queues of all', async () => {
    const one = many(3).net.b.st;
    const two = many(5).net.b.st;
    const got = await records([new Source(one), new Source(two)], '', true);
    expect(got.filter((r) => r.state === 'ESTAB')).toHaveLength(8);
    const listening = got.filter((r) => r.state === 'LISTEN');
    expect(listening).toMatchObject([{ lport: 80, laddr: '0.0.0.0', recv_q: 0 }]);
    expect(listening[0]).not.toHaveProperty('shard');
    expect(listening[0]).not.toHaveProperty('fport');
  });

  it('pass the filter before they become text', async () => {
    const { net, accepted } = many(20);
    const port = accepted[7]!.so!.remotePort;
    expect(await records([new Source(net.b.st)], `dport = :${port}`)).toMatchObject([{ fport: port }]);
    expect(await records([new Source(net.b.st)], 'sport = :http')).toHaveLength(20);
    expect(await records([new Source(net.b.st)], 'state listening')).toHaveLength(1);
  });

  it('of which there are none come as nothing', async () => {
    expect(await records([new Source(new TwoStacks().a.st)], '', true)).toEqual([]);
    expect(await records([], '')).toEqual([]);
  });

  it('are listed slice by slice for listening sockets too, in order of ports', async () => {
    const { st } = new TwoStacks().b;
    const net = { st } as TwoStacks['b'];
    for (let i = 0; i < 600; i++) serve(net, 60_000 - i, []);
    const s = new Source(st);
    const got = await records([s], 'state listening');
    expect(got.map((r) => r.lport)).toEqual(Array.from({ length: 600 }, (_, i) => 59_401 + i));
    expect(s.slices.filter((x) => x.count > 0).map((x) => x.count)).toEqual([256, 256, 88]);
  });
});
