import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, ROOT, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peerWords } from '../lab/peer.ts';
import type { Running } from '../lab/process.ts';
import { FixedReader, havePandas, type Parsed, parseSiftr, readTable } from '../lab/siftr-readers.ts';

const SENT = 200_000;
const BODY = 300_000;
const PORT = 9000;
/** Each look takes three commands. */
const PATIENCE = { timeout: 30_000 };

/** A connection of ours by the stack's own counters. */
interface Conn {
  /** `laddr,lport,faddr,fport`. */
  readonly flow: string;
  readonly lport: number;
  readonly segs_in: number;
  readonly segs_out: number;
}

/** Connections over the socket endpoint to an echo of Linux; argv: its folder, the endpoint, port, count, bytes. They stay until standard input ends. */
const CLIENT = `
import sys
sys.path.insert(0, sys.argv[1])
from xsiftr_sockets import Endpoint
ep = Endpoint(sys.argv[2])
held = []
for _ in range(int(sys.argv[4])):
    s = ep.socket()
    s.connect(("192.0.2.2", int(sys.argv[3])))
    left = int(sys.argv[5])
    s.sendall(b"x" * left)
    while left > 0:
        left -= len(s.recv(65536))
    held.append(s)
print("held", flush=True)
import signal
signal.pause()
`;

const missing = labMissing('python3', 'nstat', 'cc') || (havePandas() ? '' : 'needs pandas');
const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

/**
 * The acceptance list of spec/siftr.md section 13 rule 10, on one running instance: each cycle logs connections that are still open and at rest when it
 * ends, so that the stack's own counters say how many packets each had. (a), and the order within ppl: test/unit/siftr.
 */
describe.skipIf(missing !== '')(`SIFTR logs as others read them (spec/siftr.md section 13 rule 10) ${missing}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  let fixed: FixedReader;
  const file = (name: string): string => join(lab.dir, `${name}.log`);

  beforeAll(async () => {
    fixed = new FixedReader();
    lab = await Lab.create('vaccept', { queues: 2, peerOffloads: false });
    const sockets = join(lab.dir, 'sockets');
    x = await startXsiftr(lab, ['--no-siftr', '--serve', 'http,echo,discard', '--sockets', sockets]);
    await lab.spawnFar(['python3', join(ROOT, 'test/lab/servers.py'), String(PORT)]).waitLine(/serving/);
  });

  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
    fixed?.remove();
  });

  const set = (knob: string): Promise<unknown> => x.command(['sysctl', `net.inet.siftr.${knob}`]);

  async function conns(): Promise<Conn[]> {
    const { stdout } = await x.command(['ss', '--json', 'state', 'connected', 'exclude', 'time-wait']);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, number>)
      .map((r) => ({
        flow: `${r['laddr']},${r['lport']},${r['faddr']},${r['fport']}`,
        lport: r['lport']!,
        segs_in: r['segs_in']!,
        segs_out: r['segs_out']!,
      }));
  }

  /** Segments that Linux has sent and received. */
  async function peerSegments(): Promise<{ sent: number; received: number }> {
    const out = (await lab.far('nstat -asz TcpInSegs TcpOutSegs TcpRetransSegs')).stdout;
    const value = (name: string): number => Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(out)?.[1]);
    return { sent: value('TcpOutSegs') + value('TcpRetransSegs'), received: value('TcpInSegs') };
  }

  /** Three connections of Linux to our echo, http and discard, the last without data. */
  function opened(): Running {
    return lab.spawnFar(peerWords('hold', SENT, BODY, 0));
  }

  interface Cycle {
    readonly log: Parsed;
    readonly path: string;
    readonly conns: readonly Conn[];
    readonly peer: { readonly sent: number; readonly received: number };
    readonly suppressed: number;
  }

  /** Logs one cycle over what `start` begins, until it says so and its connections are at rest; then ends it. @param ppl as it is set */
  async function cycle(name: string, start: () => Running, said: RegExp, ppl = 1): Promise<Cycle> {
    const before = await peerSegments();
    await set(`logfile=${file(name)}`);
    await set('enabled=1');
    const p = start();
    await p.waitLine(said);
    // At rest: no segment came or went between two looks, and Linux has counted the same.
    let last = '';
    let now: Conn[] = [];
    await expect
      .poll(async () => {
        const was = last;
        now = await conns();
        last = JSON.stringify(now);
        const peer = await peerSegments();
        const seen = [sum(now.map((c) => c.segs_in)), sum(now.map((c) => c.segs_out))];
        return was === last && seen[0] === peer.sent - before.sent && seen[1] === peer.received - before.received;
      }, PATIENCE)
      .toBe(true);
    const peer = await peerSegments();
    await set('enabled=0');
    await p.stop('SIGKILL');
    await expect
      .poll(async () => (await x.command(['netstat', '-n'])).stdout, PATIENCE)
      .not.toMatch(/ESTABLISHED|SYN_|FIN_WAIT|CLOS|LAST_ACK/);
    const text = readFileSync(file(name), 'utf8');
    const foot = text.trimEnd().split('\n').at(-1)!;
    const number = (key: string): number => Number(new RegExp(`\\b${key}=(\\d+)`).exec(foot)?.[1]);
    const records = number('total_tcp_pkts') - number('total_skipped_tcp_pkts');
    const suppressed = ppl === 1 ? 0 : records - (text.split('\n').length - 3);
    const r = parseSiftr(file(name), suppressed);
    expect([r.status, r.err]).toEqual([0, '']);
    return {
      log: r.out,
      path: file(name),
      conns: now,
      peer: { sent: peer.sent - before.sent, received: peer.received - before.received },
      suppressed,
    };
  }

  /** Lines of each flow in both directions, as the three readers have them. */
  function readersAgree(c: Cycle): Map<string, { i: number; o: number }> {
    const strict = new Map(Object.values(c.log.flows).map(({ flow, i, o }) => [flow, { i, o }]));
    const asC = fixed.read(c.path);
    expect([asC.status, asC.err]).toEqual([0, '']);
    expect(asC.out).toMatchObject({
      siftrver: '1.3.0',
      sysname: 'xsiftr',
      total_tcp_pkts: c.log.counts['total_tcp_pkts'],
    });
    expect(new Map(asC.out.flows.map((f) => [f.flow, f.records]))).toEqual(
      new Map([...strict].map(([flow, n]) => [flow, n.i + n.o])),
    );
    const table = readTable(c.path);
    expect([table.status, table.err]).toEqual([0, '']);
    expect(table.out.rows).toBe(c.log.data);
    expect(new Map(Object.entries(table.out.flows).map(([flow, f]) => [flow, f.rows]))).toEqual(
      new Map([...strict].map(([flow, n]) => [flow, n.o])),
    );
    return strict;
  }

  test('a server run: two in and one out a connection are skipped_inpcb, every other packet of each flow is a line, for every reader (b, c, d)', async () => {
    const c = await cycle('server', opened, /idle/);
    expect(c.conns).toHaveLength(3);
    expect(c.log.counts).toMatchObject({
      num_inbound_tcp_pkts: c.peer.sent,
      num_outbound_tcp_pkts: c.peer.received,
      num_inbound_skipped_pkts_inpcb: 6,
      num_outbound_skipped_pkts_inpcb: 3,
      num_inbound_skipped_pkts_tcpcb: 0,
      num_outbound_skipped_pkts_tcpcb: 0,
      total_skipped_tcp_pkts: 9,
    });
    // The connection without data had its handshake alone: it is no flow of the log.
    const flows = c.conns.filter((n) => n.segs_in + n.segs_out > 3);
    expect(flows).toHaveLength(2);
    const expected = flows.map((n): [string, object] => [n.flow, { i: n.segs_in - 2, o: n.segs_out - 1 }]);
    expect(readersAgree(c)).toEqual(new Map(expected));
    expect(c.log.data).toBe(c.peer.sent + c.peer.received - 9);
  });

  test('a client run: one in and one out a connection are skipped_tcpcb and none skipped_inpcb (b, c, d)', async () => {
    const words = [join(ROOT, 'docs/examples'), join(lab.dir, 'sockets'), String(PORT), '3', '50000'];
    const c = await cycle('client', () => lab.spawnNear(['python3', '-c', CLIENT, ...words]), /held/);
    expect(c.conns).toHaveLength(3);
    expect(c.log.counts).toMatchObject({
      num_inbound_tcp_pkts: c.peer.sent,
      num_outbound_tcp_pkts: c.peer.received,
      num_inbound_skipped_pkts_tcpcb: 3,
      num_outbound_skipped_pkts_tcpcb: 3,
      num_inbound_skipped_pkts_inpcb: 0,
      num_outbound_skipped_pkts_inpcb: 0,
      total_skipped_tcp_pkts: 6,
    });
    const expected = c.conns.map((n): [string, object] => [n.flow, { i: n.segs_in - 1, o: n.segs_out - 1 }]);
    expect(readersAgree(c)).toEqual(new Map(expected));
  });

  test('ppl 10 leaves a tenth of each flow, rounded down (e)', async () => {
    await set('ppl=10');
    const c = await cycle('ppl', opened, /idle/, 10);
    await set('ppl=1');
    const flows = c.conns.map((n) => ({ flow: n.flow, records: n.segs_in + n.segs_out - 3 }));
    const lines = readersAgree(c);
    for (const { flow, records } of flows.filter((f) => f.records >= 10)) {
      const n = lines.get(flow)!;
      expect([flow, n.i + n.o]).toEqual([flow, Math.floor(records / 10)]);
    }
    expect(c.suppressed).toBe(sum(flows.map((f) => f.records - Math.floor(f.records / 10))));
    expect(lines.size).toBe(2);
  });

  test('port_filter leaves packets of other ports out of the totals too (f)', async () => {
    await set('port_filter=7');
    const c = await cycle('port', opened, /idle/);
    await set('port_filter=0');
    const echo = c.conns.find((n) => n.lport === 7)!;
    expect(c.log.counts).toMatchObject({
      num_inbound_tcp_pkts: echo.segs_in,
      num_outbound_tcp_pkts: echo.segs_out,
      num_inbound_skipped_pkts_inpcb: 2,
      num_outbound_skipped_pkts_inpcb: 1,
      total_skipped_tcp_pkts: 3,
    });
    expect(c.peer.sent).toBeGreaterThan(echo.segs_in + 10);
    expect(readersAgree(c)).toEqual(new Map([[echo.flow, { i: echo.segs_in - 2, o: echo.segs_out - 1 }]]));
  });

  test('a cycle without a flow is two lines, the last with nothing behind flow_list= (g)', async () => {
    await set(`logfile=${file('none')}`);
    await set('enabled=1');
    await set('enabled=0');
    const text = readFileSync(file('none'), 'utf8');
    expect(text.split('\n')).toHaveLength(3);
    expect(text).toMatch(/\ttotal_tcp_pkts=0\t.*\ttotal_skipped_tcp_pkts=0\tflow_list=\n$/);
  });
});
