import { describe, expect, it } from 'vitest';
import { type ConnSlice, connSlice, listenSlice } from '../../../src/daemon/conn-slice.ts';
import { type ConnSource, connLines, ssFilter } from '../../../src/daemon/conns.ts';
import { dropFlow } from '../../../src/daemon/drop-slice.ts';
import * as C from '../../../src/endpoint/codec.ts';
import { Core } from '../../../src/endpoint/core.ts';
import { Endpoint, type Peer } from '../../../src/endpoint/endpoint.ts';
import * as L from '../../../src/endpoint/linux.ts';
import { sockaddrIn } from '../../../src/endpoint/sockaddr.ts';
import { COUNTER_SLOTS } from '../../../src/metrics/layout.ts';
import { CONN_ROW, CONN_SLOT } from '../../../src/stack/tcp/conninfo.ts';
import type { ConnRecord } from '../../../src/views/conn.ts';
import { EpClient, EpLab } from '../../lab/epclient.ts';
import { open, serve } from '../../lab/tcpuser.ts';
import { ADDR_A, ADDR_B, TwoStacks } from '../../lab/twostacks.ts';

const ANN: Peer = { uid: 1000, user: 'ann', pid: 77, command: 'python3' };
const BOB: Peer = { uid: 1001, user: null, pid: null, command: null };
const ANNS = { uid: 1000, user: 'ann', pid: 77, command: 'python3' };
// errno(3) of Linux.
const EBADF = 9;
const EPIPE = 32;
const ECONNABORTED = 103;

/** A shard's end of the requests, without a thread between. */
class Source implements ConnSource {
  readonly #core: Core;
  readonly #shard: number;
  /** Done after each slice was taken. */
  after: () => void = () => {};

  constructor(core: Core, shard: number) {
    this.#core = core;
    this.#shard = shard;
  }

  async request(req: Parameters<ConnSource['request']>[0]): Promise<ConnSlice> {
    const { st, own } = this.#core;
    const s = req.what === 'listen' ? listenSlice(st, req.cursor, own) : connSlice(st, req.cursor);
    for (let at = 0; at < s.rows.length; at += CONN_ROW) s.rows[at + CONN_SLOT.shard] = this.#shard;
    if (req.what === 'connected') s.owners.fill(this.#shard);
    this.after();
    return s;
  }
}

async function records(
  ep: Endpoint,
  sources = ep.cores.map((c, i) => new Source(c as Core, i)),
): Promise<ConnRecord[]> {
  let text = '';
  const holder = (shard: number, sid: number) => ep.holder(shard, sid);
  for await (const chunk of connLines(sources, ssFilter([], { all: true }), holder)) text += chunk;
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ConnRecord);
}

const HOLDER = ['fd', 'pid', 'command', 'uid', 'user'] as const;
const holderOf = (r: ConnRecord) => Object.fromEntries(HOLDER.filter((k) => k in r).map((k) => [k, r[k]]));

/** A listener on port 80 of b, and the descriptor of each of `n` connections of a, of which nobody accepts any. */
function connected(lab: EpLab, cb: EpClient, n: number): { listener: number; fds: number[] } {
  const listener = cb.socket();
  cb.do(C.OP_BIND, listener, 0, 0, 0, sockaddrIn(0, 80));
  cb.do(C.OP_LISTEN, listener, 5);
  const fds = Array.from({ length: n }, () => lab.ca.socket());
  for (const fd of fds) expect(lab.ca.do(C.OP_CONNECT, fd, 0, 0, 0, sockaddrIn(ADDR_B, 80))).toBe(0);
  lab.run(10_000);
  return { listener, fds };
}

/** The local port of a descriptor. */
function port(c: EpClient, fd: number): number {
  const name = c.call(C.OP_GETSOCKNAME, fd).payload;
  return (name[2]! << 8) | name[3]!;
}

// sockstat(1) and unix(7): a socket is that of the process which holds a descriptor of it; one in an accept queue is nobody's.
describe('the sockets of the endpoint', () => {
  it('have the descriptor and the process that made it, also after another process has used them', async () => {
    const lab = new EpLab();
    const ann = lab.client('b', ANN);
    const bob = lab.client('b', BOB);
    expect(bob.socket()).toBe(3);
    const { listener } = connected(lab, ann, 1);
    const fd = bob.do(C.OP_ACCEPT, listener);
    expect([listener, fd]).toEqual([4, 5]);
    const [listening, conn] = await records(lab.b);
    expect(holderOf(listening!)).toEqual({ fd: 4, ...ANNS });
    // What is not known is left out.
    expect(holderOf(conn!)).toEqual({ fd: 5, uid: 1001 });
    expect([conn!.queued, conn!.orphan]).toEqual([false, false]);
    // A client of which nothing is known.
    expect((await records(lab.a)).map(holderOf)).toEqual([{ fd: 3 }]);
  });

  it('that wait to be accepted are queued and nobody has them, until accept gives them a descriptor', async () => {
    const lab = new EpLab();
    const ann = lab.client('b', ANN);
    const { listener } = connected(lab, ann, 2);
    const waiting = (await records(lab.b)).slice(1);
    expect(waiting.map((r) => [r.queued, r.orphan, holderOf(r)])).toEqual([
      [true, false, {}],
      [true, false, {}],
    ]);
    expect(ann.do(C.OP_ACCEPT, listener)).toBe(4);
    const after = (await records(lab.b)).slice(1);
    expect(after.map((r) => [r.queued, r.fd]).sort()).toEqual([
      [false, 4],
      [true, undefined],
    ]);
  });

  it('are orphans from the close of their descriptor on, also where it comes while the list is taken', async () => {
    const lab = new EpLab();
    const { a } = lab.pair();
    lab.net.filter = () => [];
    const source = new Source(lab.a.cores[0] as Core, 0);
    source.after = () => {
      lab.ca.send(C.OP_CLOSE, a);
      source.after = () => {};
    };
    const state = (r: ConnRecord) => [r.state, r.orphan, holderOf(r)];
    expect((await records(lab.a, [source])).map(state)).toEqual([['FIN-WAIT-1', true, {}]]);
    const other = new EpLab();
    const { a: fd } = other.pair();
    const late = new Source(other.a.cores[0] as Core, 0);
    let slices = 0;
    late.after = () => {
      if (++slices === 2) other.ca.send(C.OP_CLOSE, fd);
    };
    expect((await records(other.a, [late])).map(state)).toEqual([['ESTAB', true, {}]]);
  });

  it('leave a connection in TIME_WAIT behind when they connect again; the descriptor goes with the new one', async () => {
    const lab = new EpLab();
    const { a, b, listener } = lab.pair();
    lab.ca.do(C.OP_SHUTDOWN, a, 1);
    lab.run(10_000);
    lab.cb.do(C.OP_CLOSE, b);
    lab.run(10_000);
    expect((await records(lab.a)).map((r) => [r.state, r.fd])).toEqual([['TIME-WAIT', a]]);
    expect(lab.ca.do(C.OP_CONNECT, a, 0, 0, 0, new Uint8Array(16))).toBe(0);
    expect(lab.ca.do(C.OP_CONNECT, a, 0, 0, 0, sockaddrIn(ADDR_B, 80))).toBe(0);
    expect(lab.cb.do(C.OP_ACCEPT, listener)).toBeGreaterThan(0);
    const two = (await records(lab.a)).sort((x, y) => String(x.state).localeCompare(String(y.state)));
    expect(two.map((r) => [r.state, r.orphan, r.fd])).toEqual([
      ['ESTAB', false, a],
      ['TIME-WAIT', true, undefined],
    ]);
  });

  it('are told from those of the process itself, which have no descriptor', async () => {
    const lab = new EpLab();
    serve(lab.net.b, 7, []);
    open(lab.net.a, ADDR_B, 7);
    lab.pair();
    const all = await records(lab.b);
    expect(all.map((r) => [r.lport, r.fd]).sort()).toEqual([
      [7, undefined],
      [7, undefined],
      [80, 3],
      [80, 4],
    ]);
    expect(all.some((r) => r.queued || r.orphan)).toBe(false);
  });

  it('lie on several shards: one line for a listening socket, with its descriptor; accepted ones where they came in', async () => {
    const net = new TwoStacks();
    const other = new TwoStacks();
    const cores: Core[] = [];
    const core = (st: TwoStacks['b']['st'], shard: number): Core =>
      new Core(st, { shard, nshards: 2, publish: (msg) => cores[1 - shard]!.receive(msg) });
    cores.push(core(other.b.st, 0), core(net.b.st, 1));
    const ep = new Endpoint({ cores, cnt: new Float64Array(COUNTER_SLOTS) });
    const ann = new EpClient(ep, (us, until) => net.run(us, until), ANN);
    const listener = ann.socket();
    ann.do(C.OP_BIND, listener, 0, 0, 0, sockaddrIn(0, 80));
    expect(ann.do(C.OP_LISTEN, listener, 5)).toBe(0);
    open(net.a, ADDR_B, 80);
    net.run(100_000);
    const shown = async () => (await records(ep)).map((r) => [r.state, r.shard, r.queued, holderOf(r)]);
    const listening = ['LISTEN', undefined, undefined, { fd: listener, ...ANNS }];
    expect(await shown()).toEqual([listening, ['ESTAB', 1, true, {}]]);
    // The order of the shards is no matter.
    const turned = [new Source(cores[1]!, 1), new Source(cores[0]!, 0)];
    expect((await records(ep, turned))[0]).toMatchObject({ fd: listener, ...ANNS });
    // Two that share a port are two lines.
    const shared = [1, 2].map(() => {
      const fd = ann.socket();
      ann.setInt(fd, L.SOL_SOCKET, L.SO_REUSEPORT, 1);
      ann.do(C.OP_BIND, fd, 0, 0, 0, sockaddrIn(0, 90));
      expect(ann.do(C.OP_LISTEN, fd, 5)).toBe(0);
      return fd;
    });
    const lines = (await records(ep, turned)).filter((r) => r.lport === 90);
    expect(lines.map((r) => [r.state, r.shard, r.fd])).toEqual(shared.map((fd) => ['LISTEN', undefined, fd]));
    for (const fd of shared) ann.do(C.OP_CLOSE, fd);
    const fd = ann.do(C.OP_ACCEPT, listener);
    expect(await shown()).toEqual([listening, ['ESTAB', 1, false, { fd, ...ANNS }]]);
    ann.client.end();
    net.run(100_000);
    expect((await records(ep)).map((r) => [r.state, r.orphan, holderOf(r)])).toEqual([['FIN-WAIT-2', true, {}]]);
  });
});

// tcp_abort() of Linux, which `ss -K` calls: ECONNABORTED is the socket's error, told once, and the descriptor stays until it is closed.
describe('a connection of the endpoint that an operator drops', () => {
  it('ends a blocked recv with ECONNABORTED; its descriptor stays, hung up, until close frees the number', () => {
    const lab = new EpLab();
    const { a } = lab.pair();
    const { ca } = lab;
    const lport = port(ca, a);
    ca.send(C.OP_RECV, a, 100);
    expect(ca.answer(10_000)).toBeNull();
    expect(dropFlow(lab.net.a.st, ADDR_A, lport, ADDR_B, 80)).toBe(true);
    expect(ca.answer(10_000)).toMatchObject({ ret: -1, errno: ECONNABORTED });
    expect(ca.do(C.OP_RECV, a, 100)).toBe(0);
    expect(ca.do(C.OP_SEND, a, 0, 0, 0, new Uint8Array(1))).toBe(-EPIPE);
    expect(ca.poll(a) & (L.POLLHUP | L.POLLERR | L.POLLIN)).toBe(L.POLLHUP | L.POLLIN);
    expect(ca.do(C.OP_CLOSE, a)).toBe(0);
    expect(ca.do(C.OP_CLOSE, a)).toBe(-EBADF);
    expect(lab.a.fds.size).toBe(0);
    expect((lab.a.cores[0] as Core).size).toBe(0);
    expect(ca.socket()).toBe(a);
  });

  it('that waits to be accepted can still be accepted, and is found ended', () => {
    const lab = new EpLab();
    const { listener, fds } = connected(lab, lab.cb, 1);
    expect(dropFlow(lab.net.b.st, ADDR_B, 80, ADDR_A, port(lab.ca, fds[0]!))).toBe(true);
    const fd = lab.cb.do(C.OP_ACCEPT, listener);
    expect(fd).toBeGreaterThan(listener);
    expect(lab.cb.do(C.OP_RECV, fd, 100)).toBe(-ECONNABORTED);
    expect(lab.cb.do(C.OP_CLOSE, fd)).toBe(0);
    expect(lab.b.fds.size).toBe(1);
  });
});
