import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type nodeNet from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StackTransport } from '../../../src/daemon/transport.ts';
import { type NetApi, netApi, type Socket } from '../../../src/net/index.ts';
import { SeededRandom, TwoStacks } from '../../lab/twostacks.ts';

// The net API on our own TCP: two stacks on a wire, virtual time moved on by the event loop.

const A = '192.0.2.1';
let wire: TwoStacks;
let near: NetApi;
let far: NetApi;
let running = false;

beforeEach(() => {
  wire = new TwoStacks({ delayUs: 100 });
  near = netApi(new StackTransport(wire.a.st, () => {}));
  far = netApi(new StackTransport(wire.b.st, () => {}));
  running = true;
  const turn = (): void => {
    if (!running) return;
    wire.run(500);
    setImmediate(turn);
  };
  turn();
});

afterEach(() => {
  running = false;
});

function lose(perCent: number): void {
  const random = new SeededRandom(7);
  wire.filter = () => (random.unit() * 100 < perCent ? [] : [0]);
}

async function read(s: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const c of s) chunks.push(c as Buffer);
  return Buffer.concat(chunks);
}

describe('streams on the stack', () => {
  test.each([0, 3])('300 kB come back unchanged with %i per cent of the frames lost', async (loss) => {
    near.createServer((s) => s.pipe(s)).listen(7);
    lose(loss);
    const sent = randomBytes(300_000);
    const s = far.connect(7, A);
    s.end(sent);
    expect((await read(s)).equals(sent)).toBe(true);
  });

  test('a paused reader closes the window, and what was sent is whole after resume', async () => {
    const sent = randomBytes(6_000_000);
    let source!: Socket;
    near
      .createServer((s) => {
        source = s;
        s.end(sent);
      })
      .listen(7);
    const s = far.connect(7, A);
    await once(s, 'connect');
    s.pause();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(s.bytesRead).toBeLessThan(200_000);
    expect(source.writableLength).toBeGreaterThan(0);
    s.resume();
    const hash = createHash('sha256');
    s.on('data', (b) => hash.update(b));
    await once(s, 'end');
    expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
  });

  test('both sides see the end of the other and close without error', async () => {
    const closed: unknown[] = [];
    near.createServer((s) => s.resume().on('close', (e: boolean) => closed.push(e))).listen(7);
    const s = far.connect(7, A);
    s.resume().end('bye');
    await once(s, 'close');
    await expect.poll(() => closed).toEqual([false]);
  });

  test('a port that nobody listens on refuses, a reset is ECONNRESET', async () => {
    const [refused] = await once(far.connect(9, A), 'error');
    expect(refused).toMatchObject({ code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 192.0.2.1:9' });
    near.createServer((s) => s.resetAndDestroy()).listen(9);
    const [reset] = await once(far.connect(9, A).resume(), 'error');
    expect(reset).toMatchObject({ code: 'ECONNRESET', message: 'read ECONNRESET' });
  });

  test('a host that answers to its address but not to TCP is ETIMEDOUT', async () => {
    wire.filter = (frame) => (frame[12] === 0x08 && frame[13] === 0x06 ? [0] : []);
    const [err] = await once(far.connect(9, A), 'error');
    expect(err).toMatchObject({ code: 'ETIMEDOUT', message: 'connect ETIMEDOUT 192.0.2.1:9' });
  });

  test('a host that is gone is EHOSTUNREACH: at R1 its neighbour entry is asked for anew (RFC 9293 section 3.8.3)', async () => {
    wire.filter = () => [];
    const [err] = await once(far.connect(9, A), 'error');
    expect(err).toMatchObject({ code: 'EHOSTUNREACH', message: 'connect EHOSTUNREACH 192.0.2.1:9' });
  });

  test('an address without a route fails at once with ENETUNREACH', async () => {
    const [err] = await once(far.connect(9, '203.0.113.1'), 'error');
    expect(err.code).toBe('ENETUNREACH');
    expect(err.message).toBe('connect ENETUNREACH 203.0.113.1:9 - Local (0.0.0.0:0)');
  });

  test('a socket destroyed while data arrives frees everything', async () => {
    near.createServer((s) => s.on('error', () => {}).end(Buffer.alloc(500_000))).listen(7);
    for (let i = 0; i < 10; i++) {
      const s = far.connect({ port: 7, host: A, highWaterMark: 5000 });
      let n = 0;
      s.on('data', (b: Buffer) => {
        n += b.length;
        if (n > 50_000) s.destroy();
        else if (i % 2 === 1) {
          s.pause();
          setImmediate(() => s.resume());
        }
      });
      await once(s, 'close');
    }
    await expect.poll(() => [wire.leaked(wire.a), wire.leaked(wire.b)]).toEqual([0, 0]);
  });

  test('a listening port in use is EADDRINUSE', async () => {
    near.createServer().listen(7);
    const [err] = await once(near.createServer().listen(7), 'error');
    expect(err.message).toBe('listen EADDRINUSE: address already in use 0.0.0.0:7');
  });
});

describe("Node's http on the stack", () => {
  class Agent extends http.Agent {
    made = 0;
    override createConnection(): Socket & nodeNet.Socket {
      this.made++;
      return far.connect(80, A) as Socket & nodeNet.Socket;
    }
  }

  function fetchBody(agent: http.Agent, path: string, body: Buffer): Promise<[number, Buffer]> {
    return new Promise((resolve, reject) => {
      const req = http.request({ host: A, path, method: 'POST', agent }, (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (c) => chunks.push(c));
        res.on('end', () => resolve([res.statusCode ?? 0, Buffer.concat(chunks)]));
      });
      req.on('error', reject);
      req.end(body);
    });
  }

  test.each([0, 2])('twenty requests over four connections get their bodies back, %i per cent lost', async (loss) => {
    const web = http.createServer((req, res) => req.pipe(res));
    near.createServer({ allowHalfOpen: true }, (s) => web.emit('connection', s)).listen(80);
    lose(loss);
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const body = randomBytes(i * 1500);
        const [status, got] = await fetchBody(agent, `/${i}`, body);
        expect(status).toBe(200);
        expect(got.equals(body)).toBe(true);
      }),
    );
    expect(agent.made).toBe(4);
    agent.destroy();
  });
});

describe('options of the stack', () => {
  test('of a server hold for its connections, those of a connection from the SYN on, and can be changed and read', async () => {
    let accepted!: Socket;
    near
      .createServer({ tcp: { userTimeout: 5000, maxSeg: 1000 } }, (s) => {
        accepted = s.resume();
      })
      .listen(9);
    const s = far.connect({ port: 9, host: A, keepAlive: true, keepAliveInitialDelay: 3000, tcp: { keepIntvl: 700 } });
    expect(s.getTcpOption('keepIntvl')).toBe(700);
    await once(s, 'connect');
    expect(s.getTcpOption('maxSeg')).toBe(1000);
    expect([s.getTcpOption('keepAlive'), s.getTcpOption('keepIdle')]).toEqual([true, 3000]);
    // 0 leaves the time as it is, as in node:net.
    s.setKeepAlive(true, 0);
    expect(s.getTcpOption('keepIdle')).toBe(3000);
    s.setTcpOptions({ linger: 0 });
    expect(s.getTcpOption('linger')).toBe(0);
    expect(() => s.setTcpOptions({ linger: -2 })).toThrow('setsockopt EINVAL linger=-2: -1 or 0..2147483647 ms');
    s.write('x');
    await once(accepted, 'data');
    expect(accepted.getTcpOption('userTimeout')).toBe(5000);
    const gone = once(accepted, 'error');
    s.destroy();
    expect((await gone)[0]).toMatchObject({ code: 'ECONNRESET', syscall: 'read' });
  });

  test('that are refused fail the attempt to connect', async () => {
    const s = far.socket().setTcpOptions({ keepCnt: 1000 });
    s.connect(9, A);
    expect((await once(s, 'error'))[0]).toMatchObject({ code: 'EINVAL' });
  });
});
