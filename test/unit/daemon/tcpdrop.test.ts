import { describe, expect, it } from 'vitest';
import { CONN_SLICE } from '../../../src/daemon/conn-slice.ts';
import { type DropSlice, dropFlow, dropSlice, type Flow } from '../../../src/daemon/drop-slice.ts';
import type { ShardRequest } from '../../../src/daemon/messages.ts';
import { dropLines, dropOne } from '../../../src/daemon/tcpdrop.ts';
import { tcps } from '../../../src/metrics/layout.ts';
import { ECONNABORTED, ECONNRESET } from '../../../src/stack/errno.ts';
import type { Stack } from '../../../src/stack/stack.ts';
import { open, type Recorder, serve } from '../../lab/tcpuser.ts';
import { ADDR_A, ADDR_B, TwoStacks } from '../../lab/twostacks.ts';

/** A shard's end of the requests, without a thread between. */
class Source {
  readonly st: Stack;
  readonly slices: DropSlice[] = [];
  constructor(st: Stack) {
    this.st = st;
  }
  async request(req: ShardRequest & { op: 'drop' | 'dropFlow' }): Promise<never> {
    if (req.op === 'dropFlow') return dropFlow(this.st, req.laddr, req.lport, req.faddr, req.fport) as never;
    const slice = dropSlice(this.st, req.cursor, req);
    this.slices.push(slice);
    return slice as never;
  }
}

async function dropAll(
  sources: readonly Source[],
  wanted: Parameters<typeof dropLines>[1] = {},
): Promise<{ flows: Flow[]; told: number }> {
  let told = -1;
  let text = '';
  for await (const chunk of dropLines(sources, wanted, (n) => {
    told = n;
  })) {
    text += chunk;
  }
  return {
    flows: text
      .split('\n')
      .filter(Boolean)
      .map((l) => JSON.parse(l) as Flow),
    told,
  };
}

function many(n: number, seed = 1): { net: TwoStacks; opened: Recorder[]; accepted: Recorder[] } {
  const net = new TwoStacks({ delayUs: 10, seed });
  const accepted: Recorder[] = [];
  const opened: Recorder[] = [];
  serve(net.b, 80, accepted);
  for (let i = 0; i < n; i++) {
    opened.push(open(net.a, ADDR_B, 80));
    if (i % 100 === 99) net.run(1000);
  }
  net.run(1_000_000, () => accepted.length === n && opened.every((r) => r.has('connected')));
  return { net, opened, accepted };
}

const PORT = 45_678;

function pair(): { net: TwoStacks; client: Recorder; server: Recorder } {
  const net = new TwoStacks();
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted);
  const client = open(net.a, ADDR_B, 80, PORT);
  net.run(100_000, () => accepted.length === 1 && client.has('connected'));
  return { net, client, server: accepted[0]! };
}

// tcp_drop(tp, ECONNABORTED), as net.inet.tcp.drop of FreeBSD calls it; RFC 9293 section 3.10.5 for the RST.
describe('a connection that an operator drops', () => {
  it('resets the peer, tells its user ECONNABORTED, and counts as dropped', async () => {
    const { net, client, server } = pair();
    const flow = { laddr: '192.0.2.2', lport: 80, faddr: '192.0.2.1', fport: PORT };
    expect(await dropOne([new Source(net.b.st)], flow)).toBe(true);
    net.run(10_000);
    expect(server.events).toEqual(['connected', `closed ${ECONNABORTED}`]);
    expect(client.events).toEqual(['connected', `closed ${ECONNRESET}`]);
    expect([net.b.st.cnt[tcps.tcps_drops], net.b.st.tcp.tcb.count, net.a.st.tcp.tcb.count]).toEqual([1, 0, 0]);
    expect(await dropOne([new Source(net.b.st)], flow)).toBe(false);
    expect([net.leaked(net.a), net.leaked(net.b)]).toEqual([0, 0]);
  });

  it('is the one between exactly these ends: the mirrored one and its listening socket stay', async () => {
    const { net } = pair();
    const { st } = net.b;
    for (const [la, lp, fa, fp] of [
      [ADDR_A, PORT, ADDR_B, 80],
      [ADDR_B, 80, ADDR_A, PORT + 1],
      [ADDR_B, 81, ADDR_A, PORT],
      [ADDR_B, 80, ADDR_B, PORT],
      [0, 80, 0, 0],
    ] as const) {
      expect(dropFlow(st, la, lp, fa, fp)).toBe(false);
    }
    expect([st.tcp.tcb.count, st.tcp.listeners.all().length]).toEqual([1, 1]);
  });

  it('in SYN_SENT ends without a RST, in TIME_WAIT with one', async () => {
    const net = new TwoStacks();
    net.filter = () => [];
    const lost = open(net.a, ADDR_B, 80, PORT);
    net.run(1000);
    const before = net.sent[0];
    expect(dropFlow(net.a.st, ADDR_A, PORT, ADDR_B, 80)).toBe(true);
    net.run(1000);
    expect(lost.events).toEqual([`closed ${ECONNABORTED}`]);
    expect([net.sent[0] - before, net.a.st.cnt[tcps.tcps_conndrops], net.a.st.cnt[tcps.tcps_drops]]).toEqual([0, 1, 0]);

    const { net: two, client, server } = pair();
    client.so!.close();
    server.onEnd = () => server.so!.close();
    two.run(100_000);
    expect((await dropAll([new Source(two.a.st)], { list: true, state: 10 })).flows).toHaveLength(1);
    const flags: number[] = [];
    two.filter = (frame) => {
      flags.push(frame[14 + 20 + 13]!);
      return [0];
    };
    expect(dropFlow(two.a.st, ADDR_A, PORT, ADDR_B, 80)).toBe(true);
    two.run(1000);
    // RST and ACK.
    expect(flags).toEqual([0x14]);
    expect(two.a.st.tcp.tcb.count).toBe(0);
    expect(client.events.filter((e) => e.startsWith('closed'))).toEqual(['closed 0']);
  });

  it('and that waits to be accepted leaves the queue of its listening socket', () => {
    const net = new TwoStacks();
    const l = serve(net.b, 80, [], () => null as never);
    open(net.a, ADDR_B, 80, PORT);
    net.run(100_000, () => l.qlen === 1);
    expect(dropFlow(net.b.st, ADDR_B, 80, ADDR_A, PORT)).toBe(true);
    expect([l.qlen, net.b.st.cnt[tcps.tcps_acceptaborted]]).toEqual([0, 1]);
  });
});

describe('connections that an operator drops', () => {
  it('go in slices of 256 at most, all of them, each told once; listening sockets stay', async () => {
    const { net, accepted, opened } = many(700);
    const s = new Source(net.b.st);
    const { flows, told } = await dropAll([s]);
    expect([flows.length, new Set(flows.map((f) => f.fport)).size, told]).toEqual([700, 700, 700]);
    expect(flows.every((f) => f.laddr === '192.0.2.2' && f.lport === 80 && f.faddr === '192.0.2.1')).toBe(true);
    expect(Math.max(...s.slices.map((x) => x.flows.length))).toBeLessThanOrEqual(CONN_SLICE);
    net.run(100_000);
    expect(accepted.every((r) => r.has(`closed ${ECONNABORTED}`))).toBe(true);
    expect(opened.every((r) => r.has(`closed ${ECONNRESET}`))).toBe(true);
    expect(net.b.st.tcp.listeners.all()).toHaveLength(1);
    expect(net.b.st.cnt[tcps.tcps_drops]).toBe(700);
  });

  it('are only told with list, and chosen by state and congestion control', async () => {
    const { net, accepted } = many(5);
    const s = new Source(net.b.st);
    accepted[0]!.so!.shutdown();
    accepted[1]!.so!.setCongestion('newreno');
    net.run(10_000);
    const ports = async (wanted: Parameters<typeof dropLines>[1]): Promise<number[]> =>
      (await dropAll([s], { ...wanted, list: true })).flows.map((f) => f.fport).sort();
    const port = (i: number): number => accepted[i]!.so!.remotePort;
    expect(await ports({ state: 9 })).toEqual([port(0)]);
    expect(await ports({ cc: 'newreno' })).toEqual([port(1)]);
    expect(await ports({ cc: 'newreno', state: 9 })).toEqual([]);
    expect((await ports({ state: 4, cc: 'cubic' })).length).toBe(3);
    expect((await ports({})).length).toBe(5);
    expect((await dropAll([s], { cc: 'newreno' })).flows).toHaveLength(1);
    expect(net.b.st.tcp.tcb.count).toBe(4);
  });

  it('stop where nobody reads on, and say how many it were', async () => {
    const { net } = many(700);
    let told = -1;
    for await (const chunk of dropLines([new Source(net.b.st)], {}, (n) => {
      told = n;
    })) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(told).toBeGreaterThan(0);
    expect(net.b.st.tcp.tcb.count).toBe(700 - told);
  });

  it('may close others of their own: what ended so is not told', async () => {
    const { net, accepted } = many(4);
    const seen = new Set<Recorder>();
    for (const r of accepted) {
      r.closed = () => {
        seen.add(r);
        for (const o of accepted) if (o.so!.tp !== null) o.so!.abort();
      };
    }
    const { flows } = await dropAll([new Source(net.b.st)]);
    expect(flows).toHaveLength(1);
    expect([seen.size, net.b.st.tcp.tcb.count]).toEqual([4, 0]);
  });

  it('lie on several shards; one is found on whichever has it', async () => {
    const one = many(3).net.b.st;
    const two = many(5, 2).net.b.st;
    const sources = [new Source(one), new Source(two)];
    const [flow] = (await dropAll([sources[1]!], { list: true })).flows;
    expect(await dropOne(sources, flow!)).toBe(true);
    expect([one.tcp.tcb.count, two.tcp.tcb.count]).toEqual([3, 4]);
    expect((await dropAll(sources)).told).toBe(7);
    expect([one.tcp.tcb.count, two.tcp.tcb.count]).toEqual([0, 0]);
    expect((await dropAll([])).told).toBe(0);
  });
});
