import { describe, expect, test } from 'vitest';
import * as C from '../../../src/endpoint/codec.ts';
import { Core, type CoreMessage } from '../../../src/endpoint/core.ts';
import { Endpoint } from '../../../src/endpoint/endpoint.ts';
import * as L from '../../../src/endpoint/linux.ts';
import { sockaddrIn } from '../../../src/endpoint/sockaddr.ts';
import { COUNTER_SLOTS, tcps } from '../../../src/metrics/layout.ts';
import { EpClient, EpLab } from '../../lab/epclient.ts';
import { open, type Recorder } from '../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../lab/twostacks.ts';

// errno(3) of Linux. What is expected here is what socket(7) says of SO_REUSEPORT, and test/veth/endpoint.test.ts finds on Linux.
const EAGAIN = 11;
const EADDRINUSE = 98;
const ECONNRESET = 104;

/** A listener on port 80 that shares it. */
function sharing(c: EpClient, addr = 0): number {
  const fd = c.socket(L.SOCK_NONBLOCK);
  c.setInt(fd, L.SOL_SOCKET, L.SO_REUSEPORT, 1);
  expect(c.do(C.OP_BIND, fd, 0, 0, 0, sockaddrIn(addr, 80))).toBe(0);
  expect(c.do(C.OP_LISTEN, fd, 200)).toBe(0);
  return fd;
}

/** Takes in all that waits. */
function acceptAll(c: EpClient, fd: number): number {
  for (let n = 0; ; n++) {
    const got = c.do(C.OP_ACCEPT, fd);
    if (got === -EAGAIN) return n;
    expect(got).toBeGreaterThan(0);
  }
}

/** Connections of the other stack to port 80. */
function connections(net: TwoStacks, n: number): Recorder[] {
  const made = Array.from({ length: n }, () => open(net.a, ADDR_B, 80));
  net.run(1_000_000);
  return made;
}

const reset = (r: Recorder): boolean => r.events.includes(`closed ${ECONNRESET}`);

describe('sockets that listen on one port with SO_REUSEPORT', () => {
  test('get a fair share of the connections each', () => {
    const lab = new EpLab();
    const fds = [0, 1, 2].map(() => sharing(lab.cb));
    connections(lab.net, 300);
    const shares = fds.map((fd) => acceptAll(lab.cb, fd));
    expect(shares.reduce((a, b) => a + b)).toBe(300);
    // Binomial, 100 each on average with a deviation of 8: five deviations.
    for (const n of shares) expect(Math.abs(n - 100)).toBeLessThan(41);
  });

  test('one that is bound to the address comes before those bound to any', () => {
    const lab = new EpLab();
    const [any, bound] = [sharing(lab.cb), sharing(lab.cb, ADDR_B)];
    connections(lab.net, 10);
    expect([acceptAll(lab.cb, any), acceptAll(lab.cb, bound)]).toEqual([0, 10]);
    lab.cb.do(C.OP_CLOSE, bound);
    connections(lab.net, 10);
    expect(acceptAll(lab.cb, any)).toBe(10);
  });

  test('when one closes, what waits in its queue is reset, and the rest get all that comes from then on', () => {
    const lab = new EpLab();
    const [x, y] = [sharing(lab.cb), sharing(lab.cb)];
    const made = connections(lab.net, 40);
    lab.cb.do(C.OP_CLOSE, x);
    lab.run(100_000);
    const resets = made.filter(reset).length;
    expect(resets).toBeGreaterThan(0);
    expect(resets + acceptAll(lab.cb, y)).toBe(40);
    expect(connections(lab.net, 20).filter(reset)).toEqual([]);
    expect(acceptAll(lab.cb, y)).toBe(20);
  });

  test('a handshake ends with the one that took the SYN, although others have come since', () => {
    const lab = new EpLab({ delayUs: 1000 });
    const first = sharing(lab.cb);
    const made = Array.from({ length: 16 }, () => open(lab.net.a, ADDR_B, 80));
    lab.run(1500);
    const others = [sharing(lab.cb), sharing(lab.cb, ADDR_B)];
    lab.run(100_000);
    expect(made.filter(reset)).toEqual([]);
    expect([first, ...others].map((fd) => acceptAll(lab.cb, fd))).toEqual([16, 0, 0]);
  });

  test('each has its own backlog', () => {
    const lab = new EpLab();
    const [x, y] = [sharing(lab.cb), sharing(lab.cb)];
    expect(lab.cb.do(C.OP_LISTEN, x, 3)).toBe(0);
    connections(lab.net, 60);
    // One more than the backlog, as on Linux (sk_acceptq_is_full).
    expect(acceptAll(lab.cb, x)).toBe(4);
    expect(acceptAll(lab.cb, y)).toBeGreaterThan(10);
    expect(lab.net.b.st.cnt[tcps.tcps_listen_overflow]).toBeGreaterThan(0);
  });

  test('share nothing with one that has not set it, or only SO_REUSEADDR', () => {
    const { cb } = new EpLab();
    sharing(cb);
    const fd = cb.socket();
    const bind = () => cb.do(C.OP_BIND, fd, 0, 0, 0, sockaddrIn(ADDR_B, 80));
    expect(bind()).toBe(-EADDRINUSE);
    cb.setInt(fd, L.SOL_SOCKET, L.SO_REUSEADDR, 1);
    expect(bind()).toBe(-EADDRINUSE);
    cb.setInt(fd, L.SOL_SOCKET, L.SO_REUSEPORT, 1);
    expect(bind()).toBe(0);
    cb.setInt(fd, L.SOL_SOCKET, L.SO_REUSEPORT, 0);
    expect(cb.do(C.OP_LISTEN, fd, 1)).toBe(-EADDRINUSE);
  });

  test('the port is free for all when the last has closed', () => {
    const { cb } = new EpLab();
    for (const fd of [sharing(cb), sharing(cb)]) cb.do(C.OP_CLOSE, fd);
    const fd = cb.socket();
    expect(cb.do(C.OP_BIND, fd, 0, 0, 0, sockaddrIn(0, 80))).toBe(0);
    expect(cb.do(C.OP_LISTEN, fd, 1)).toBe(0);
  });
});

/** An endpoint of two shards: sockets are made on the first, packets come to the second, whose messages wait while `held` is an array. */
class TwoShards {
  readonly net = new TwoStacks();
  readonly cores: Core[] = [];
  readonly ep: Endpoint;
  held: CoreMessage[] | null = null;

  constructor() {
    const { cores } = this;
    const first = new TwoStacks().b.st;
    cores.push(new Core(first, { shard: 0, nshards: 2, publish: (msg) => cores[1]!.receive(msg) }));
    const back = (msg: CoreMessage) => (this.held === null ? cores[0]!.receive(msg) : void this.held.push(msg));
    cores.push(new Core(this.net.b.st, { shard: 1, nshards: 2, publish: back }));
    this.ep = new Endpoint({ cores, cnt: new Float64Array(COUNTER_SLOTS) });
  }

  client(): EpClient {
    return new EpClient(this.ep, (us, until) => this.net.run(us, until));
  }

  deliver(): void {
    const late = this.held ?? [];
    this.held = null;
    for (const msg of late) this.cores[0]!.receive(msg);
  }
}

describe('the same on several queues', () => {
  test('connections are shared where they come in, and the closing of one is heard there', () => {
    const two = new TwoShards();
    const c = two.client();
    const [x, y] = [sharing(c), sharing(c)];
    const made = connections(two.net, 40);
    c.do(C.OP_CLOSE, x);
    two.net.run(100_000);
    const resets = made.filter(reset).length;
    expect(resets).toBeGreaterThan(0);
    expect(resets + acceptAll(c, y)).toBe(40);
    connections(two.net, 10);
    expect(acceptAll(c, y)).toBe(10);
  });

  test('what was on its way to a socket that listens anew belongs to the time before, and is reset', () => {
    const two = new TwoShards();
    const c = two.client();
    const x = sharing(c);
    two.held = [];
    const made = connections(two.net, 3);
    expect(c.do(C.OP_SHUTDOWN, x, 0)).toBe(0);
    two.net.run(100_000);
    expect(made.every(reset)).toBe(true);
    c.send(C.OP_LISTEN, x, 5);
    two.deliver();
    expect(c.answer()?.ret).toBe(0);
    expect(acceptAll(c, x)).toBe(0);
    connections(two.net, 2);
    expect(acceptAll(c, x)).toBe(2);
  });

  test('a port on which two come to listen at once, neither of which shares it, is EADDRINUSE', () => {
    const two = new TwoShards();
    const [c, d] = [two.client(), two.client()];
    const listener = sharing(c);
    connections(two.net, 1);
    // A socket that lives on the second shard, as it was accepted there, begins anew.
    const there = c.do(C.OP_ACCEPT, listener);
    expect(c.do(C.OP_CONNECT, there, 0, 0, 0, new Uint8Array(16))).toBe(0);
    c.setInt(there, L.SOL_SOCKET, L.SO_REUSEPORT, 0);
    const here = d.socket();
    const at = sockaddrIn(0, 81);
    two.held = [];
    expect(c.do(C.OP_BIND, there, 0, 0, 0, at)).toBe(0);
    expect(d.do(C.OP_BIND, here, 0, 0, 0, at)).toBe(0);
    c.send(C.OP_LISTEN, there, 5);
    d.send(C.OP_LISTEN, here, 5);
    two.deliver();
    expect([c.answer()?.errno, d.answer()?.errno]).toEqual([EADDRINUSE, EADDRINUSE]);
    expect([c.getInt(there, 1, L.SO_ACCEPTCONN), d.getInt(here, 1, L.SO_ACCEPTCONN)]).toEqual([0, 0]);
    expect(two.net.b.st.tcp.listeners.has(0, 81)).toBe(false);
    // They have the port still; nobody else listens: the next attempt succeeds.
    d.do(C.OP_CLOSE, here);
    expect(c.do(C.OP_LISTEN, there, 5)).toBe(0);
  });
});
