import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { RunningService } from '../../../src/daemon/services/host.ts';
import { iperf3 } from '../../../src/daemon/services/iperf3.ts';
import { netApi, type Socket } from '../../../src/net/index.ts';
import { FakeNet } from '../../lab/fakesocket.ts';
import { makeBuses, makeHost } from './host.ts';

// The other side of the protocol, written from esnet/iperf's iperf_client_api.c and iperf_api.c.
const TEST_START = 1;
const TEST_RUNNING = 2;
const TEST_END = 4;
const PARAM_EXCHANGE = 9;
const CREATE_STREAMS = 10;
const SERVER_TERMINATE = 11;
const CLIENT_TERMINATE = 12;
const EXCHANGE_RESULTS = 13;
const DISPLAY_RESULTS = 14;
const IPERF_DONE = 16;
const ACCESS_DENIED = -1;
const SERVER_ERROR = -2;

const SERVER = '192.0.2.1';
let net: FakeNet;
let running: RunningService[];
let lines: string[][];

beforeEach(() => {
  net = new FakeNet();
  running = [];
});

afterEach(() => {
  vi.useRealTimers();
  for (const r of running) r.stop();
});

/** From here on time goes by `vi.advanceTimersByTime` alone, whatever the machine does meanwhile. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
}

/** What was written to `s` is with the server. */
async function arrived(s: Socket): Promise<void> {
  while (s.writableLength > 0 || net.sockets.some((so) => so.sendQueued > 0 || so.rcv.length > 0)) await turn();
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function start(shards = 1, delayMs = 0): void {
  const buses = makeBuses(shards, delayMs);
  const hosts = buses.map((_b, k) => makeHost(net.host(SERVER, k), k, buses));
  running = hosts.map((h) => iperf3.start(h));
  lines = hosts.map((h) => h.lines);
}

interface ServerResults {
  cpu_util_total: number;
  sender_has_retransmits: number;
  streams: { id: number; bytes: number; retransmits: number; start_time: number; end_time: number }[];
}

let clients = 0;

/** A client of the protocol; `shard` of a connection is the server's shard that it comes to. */
class Client {
  readonly cookie = `${String(clients++).padStart(36, 'c')}\0`;
  readonly streams: Socket[] = [];
  readonly received: number[] = [];
  control!: Socket;
  #buf = Buffer.alloc(0);

  async connect(shard = 0, slow = false): Promise<void> {
    this.control = await this.#dial(shard);
    this.control.on('error', () => {});
    this.control.on('data', (b: Buffer) => {
      this.#buf = Buffer.concat([this.#buf, b]);
      this.control.emit('more');
    });
    this.control.on('end', () => this.control.emit('more'));
    await this.write(Buffer.from(this.cookie), slow);
  }

  /** Writes at once, or byte by byte with the event loop in between. */
  async write(bytes: Buffer, slow: boolean): Promise<void> {
    for (let i = 0; slow && i < bytes.length; i++) {
      this.control.write(bytes.subarray(i, i + 1));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (!slow) this.control.write(bytes);
  }

  async #dial(shard: number): Promise<Socket> {
    net.turn = shard;
    const s = netApi(net.host('192.0.2.2')).connect({ port: 5201, host: SERVER, allowHalfOpen: true });
    await once(s, 'connect');
    return s;
  }

  async bytes(n: number): Promise<Buffer> {
    while (this.#buf.length < n) {
      if (this.control.readableEnded) throw new Error(`the server closed after ${this.#buf.length} of ${n} bytes`);
      await once(this.control, 'more');
    }
    const got = this.#buf.subarray(0, n);
    this.#buf = this.#buf.subarray(n);
    return got;
  }

  async state(): Promise<number> {
    return (await this.bytes(1)).readInt8();
  }

  sendState(s: number): void {
    this.control.write(Uint8Array.of(s & 255));
  }

  sendJson(value: unknown): void {
    const text = Buffer.from(JSON.stringify(value));
    const len = Buffer.alloc(4);
    len.writeUInt32BE(text.length);
    this.control.write(Buffer.concat([len, text]));
  }

  /** Set-up until the test runs. `shards` are those that the data connections come to, in their order. */
  async begin(params: object, shards: number[]): Promise<void> {
    expect(await this.state()).toBe(PARAM_EXCHANGE);
    this.sendJson({ tcp: true, omit: 0, time: 10, parallel: 1, len: 131072, client_version: '3.12', ...params });
    expect(await this.state()).toBe(CREATE_STREAMS);
    for (const shard of shards) {
      const s = await this.#dial(shard);
      const i = this.streams.push(s) - 1;
      this.received.push(0);
      s.on('data', (b: Buffer) => {
        this.received[i]! += b.length;
      });
      s.on('error', () => {});
      s.write(this.cookie);
    }
    expect(await this.state()).toBe(TEST_START);
    expect(await this.state()).toBe(TEST_RUNNING);
  }

  /** The end of the test: `bytes` is what this side counted, by stream. */
  async finish(bytes: number[]): Promise<ServerResults> {
    this.sendState(TEST_END);
    expect(await this.state()).toBe(EXCHANGE_RESULTS);
    this.sendJson({
      cpu_util_total: 1,
      cpu_util_user: 1,
      cpu_util_system: 0,
      sender_has_retransmits: 1,
      streams: bytes.map((b, i) => ({
        id: i === 0 ? 1 : i + 2,
        bytes: b,
        retransmits: 0,
        jitter: 0,
        errors: 0,
        packets: 0,
      })),
    });
    const results = JSON.parse((await this.bytes((await this.bytes(4)).readUInt32BE())).toString()) as ServerResults;
    expect(await this.state()).toBe(DISPLAY_RESULTS);
    for (const s of this.streams) s.end();
    this.sendState(IPERF_DONE);
    this.control.end();
    return results;
  }
}

async function connected(shard = 0): Promise<Client> {
  const c = new Client();
  await c.connect(shard);
  return c;
}

describe('a test on one shard', () => {
  beforeEach(() => start());

  test("forward: every byte that the client sent is in the server's results", async () => {
    const c = await connected();
    await c.begin({ parallel: 3 }, [0, 0, 0]);
    const sizes = [100_000, 250_000, 1];
    for (const [i, s] of c.streams.entries()) s.write(Buffer.alloc(sizes[i]!));
    const r = await c.finish(sizes);
    expect(r.streams.map((s) => [s.id, s.bytes])).toEqual([
      [1, 100_000],
      [3, 250_000],
      [4, 1],
    ]);
    expect(r.sender_has_retransmits).toBe(-1);
    for (const s of r.streams) {
      expect(s.start_time).toBe(0);
      expect(s.end_time).toBeGreaterThan(0);
      expect(s.retransmits).toBe(-1);
    }
    expect(lines[0]).toEqual([
      expect.stringMatching(/^iperf3: 350001 bytes received from 192\.0\.2\.2 in .* over 3 streams/),
    ]);
  });

  test('bytes that a sender has to send again after its timeout still count, though the results have come before them', async () => {
    const c = await connected();
    await c.begin({}, [0]);
    c.streams[0]!.write(Buffer.alloc(1000));
    // the least timeout of Linux, 200 ms, and the next one
    const rest = setTimeout(() => c.streams[0]!.write(Buffer.alloc(500)), 600);
    const r = await c.finish([1500]);
    clearTimeout(rest);
    expect(r.streams[0]!.bytes).toBe(1500);
  });

  test('reverse: the server sends until TEST_END, counts what it handed over and ends its streams with FIN', async () => {
    const c = await connected();
    await c.begin({ reverse: true }, [0]);
    await expect.poll(() => c.received[0]).toBeGreaterThan(500_000);
    const ended = once(c.streams[0]!, 'end');
    const r = await c.finish([0]);
    await ended;
    expect(r.streams[0]!.bytes).toBe(c.received[0]);
    expect(r.streams[0]!.retransmits).toBe(0);
    expect(r.sender_has_retransmits).toBe(1);
  });

  test('bidirectional: the client sends on its first connections and receives on the others', async () => {
    const c = await connected();
    await c.begin({ bidirectional: true, parallel: 2 }, [0, 0, 0, 0]);
    c.streams[0]!.write(Buffer.alloc(70_000));
    c.streams[1]!.write(Buffer.alloc(80_000));
    await expect.poll(() => Math.min(c.received[2]!, c.received[3]!)).toBeGreaterThan(100_000);
    const r = await c.finish([70_000, 80_000, 0, 0]);
    expect(r.streams.map((s) => s.id)).toEqual([1, 3, 4, 5]);
    expect(r.streams.slice(0, 2).map((s) => s.bytes)).toEqual([70_000, 80_000]);
    expect(c.received.slice(0, 2)).toEqual([0, 0]);
  });

  test('the bytes of the omitted seconds do not count', async () => {
    const c = await connected();
    stopTime();
    await c.begin({ omit: 0.1 }, [0]);
    c.streams[0]!.write(Buffer.alloc(50_000));
    await arrived(c.streams[0]!);
    vi.advanceTimersByTime(200);
    c.streams[0]!.write(Buffer.alloc(30_000));
    await arrived(c.streams[0]!);
    vi.advanceTimersByTime(50);
    const r = await c.finish([30_000]);
    expect(r.streams[0]!.bytes).toBe(30_000);
    expect(r.streams[0]!.end_time).toBeCloseTo(0.15, 6);
  });

  test('a sender held back by -b keeps the rate, in whole blocks', async () => {
    net.buffer = 65536;
    const c = await connected();
    stopTime();
    await c.begin({ reverse: true, bandwidth: 8_000_000, len: 10_000 }, [0]);
    for (let ms = 0; ms < 300; ms++) {
      vi.advanceTimersByTime(1);
      await turn();
    }
    const r = await c.finish([0]);
    // 1 MB a second, to a block.
    expect(r.streams[0]!.bytes).toBeGreaterThanOrEqual(290_000);
    expect(r.streams[0]!.bytes).toBeLessThanOrEqual(310_000);
    expect(r.streams[0]!.bytes % 10_000).toBe(0);
  });

  test('tests follow each other', async () => {
    for (let i = 1; i <= 5; i++) {
      const c = await connected();
      await c.begin({}, [0]);
      c.streams[0]!.write(Buffer.alloc(1000 * i));
      expect((await c.finish([1000 * i])).streams[0]!.bytes).toBe(1000 * i);
    }
  });

  test('a cookie and parameters that come byte by byte are understood', async () => {
    const c = new Client();
    await c.connect(0, true);
    expect(await c.state()).toBe(PARAM_EXCHANGE);
    await c.write(Buffer.from('\0\0\0\x19{"tcp":true,"parallel":1}'), true);
    expect(await c.state()).toBe(CREATE_STREAMS);
    c.control.destroy();
  });
});

describe('refusals', () => {
  beforeEach(() => start());

  test('a second client is told that the server is busy, and is served when the first is done', async () => {
    const a = await connected();
    await a.begin({}, [0]);
    const b = await connected();
    expect(await b.state()).toBe(ACCESS_DENIED);
    await expect.poll(() => b.control.readableEnded).toBe(true);
    await a.finish([0]);
    const c = await connected();
    await c.begin({}, [0]);
    await c.finish([0]);
  });

  test('a client that is refused does not free the server for a third', async () => {
    const a = await connected();
    await a.begin({}, [0]);
    for (let i = 0; i < 2; i++) expect(await (await connected()).state()).toBe(ACCESS_DENIED);
    await a.finish([0]);
  });

  test('UDP is refused with SERVER_ERROR, "unable to start stream listener" (202) and EPROTONOSUPPORT (93)', async () => {
    const c = await connected();
    expect(await c.state()).toBe(PARAM_EXCHANGE);
    c.sendJson({ udp: true, parallel: 1 });
    expect(await c.state()).toBe(SERVER_ERROR);
    const numbers = await c.bytes(8);
    expect([numbers.readInt32BE(0), numbers.readInt32BE(4)]).toEqual([202, 93]);
    const next = await connected();
    expect(await next.state()).toBe(PARAM_EXCHANGE);
  });

  test.each([
    ['no JSON', Buffer.from('\0\0\0\x05hello')],
    ['null', Buffer.from('\0\0\0\x04null')],
    ['129 streams', Buffer.from('\0\0\0\x10{"parallel":129}')],
    ['half a stream', Buffer.from('\0\0\0\x10{"parallel":0.5}')],
    ['a length of 4 GiB', Buffer.from('ffffffff', 'hex')],
  ])('parameters with %s are refused with "unable to receive parameters" (114)', async (_name, bytes) => {
    const c = await connected();
    expect(await c.state()).toBe(PARAM_EXCHANGE);
    c.control.write(bytes);
    expect(await c.state()).toBe(SERVER_ERROR);
    expect((await c.bytes(8)).readInt32BE(0)).toBe(114);
    await (await connected()).begin({}, [0]);
  });

  test('a state that makes no sense ends the test', async () => {
    const c = await connected();
    await c.begin({}, [0]);
    c.sendState(99);
    await expect.poll(() => c.control.readableEnded).toBe(true);
    expect(lines[0]).toEqual([expect.stringContaining('unexpected state 99')]);
    await (await connected()).begin({}, [0]);
  });
});

describe('clients that go away', () => {
  test.each([
    ['resets its control connection', (c: Client) => c.control.resetAndDestroy()],
    ['closes its control connection', (c: Client) => c.control.destroy()],
    ['says CLIENT_TERMINATE', (c: Client) => c.sendState(CLIENT_TERMINATE)],
  ])('one that %s frees the server, and its streams are reset', async (_name, leave) => {
    start(2);
    const c = await connected(0);
    await c.begin({ reverse: true, parallel: 2 }, [0, 1]);
    leave(c);
    await expect.poll(() => c.streams.every((s) => s.destroyed)).toBe(true);
    const next = await connected(1);
    await next.begin({}, [0]);
    await next.finish([0]);
  });

  test('stopping the service tells the client SERVER_TERMINATE', async () => {
    start();
    const c = await connected();
    await c.begin({}, [0]);
    running[0]!.stop();
    running = [];
    expect(await c.state()).toBe(SERVER_TERMINATE);
  });
});

describe('a test spread over four shards', () => {
  test('has its streams counted where they are, whichever shard has the control connection', async () => {
    start(4, 3);
    for (const home of [0, 1, 2, 3]) {
      const c = await connected(home);
      await c.begin({ parallel: 5 }, [3, 1, 0, 2, 3]);
      const sizes = [10_000, 20_000, 30_000, 40_000, 50_000];
      for (const [i, s] of c.streams.entries()) s.write(Buffer.alloc(sizes[i]!));
      const r = await c.finish(sizes);
      expect(r.streams.map((s) => [s.id, s.bytes])).toEqual(sizes.map((n, i) => [i === 0 ? 1 : i + 2, n]));
    }
  });

  test('sends on the right streams in both directions', async () => {
    start(4, 3);
    const c = await connected(2);
    await c.begin({ bidirectional: true, parallel: 2 }, [0, 3, 1, 2]);
    c.streams[0]!.write(Buffer.alloc(60_000));
    c.streams[1]!.write(Buffer.alloc(70_000));
    await expect.poll(() => Math.min(c.received[2]!, c.received[3]!)).toBeGreaterThan(100_000);
    const r = await c.finish([60_000, 70_000, 0, 0]);
    expect(r.streams.slice(0, 2).map((s) => s.bytes)).toEqual([60_000, 70_000]);
    expect(c.received.slice(0, 2)).toEqual([0, 0]);
    expect(r.streams[2]!.bytes).toBeGreaterThanOrEqual(c.received[2]!);
  });

  test('a client on another shard is told that the server is busy', async () => {
    start(4, 3);
    const a = await connected(1);
    await a.begin({}, [2]);
    for (const shard of [0, 1, 2, 3]) expect(await (await connected(shard)).state()).toBe(ACCESS_DENIED);
    await a.finish([0]);
    const b = await connected(3);
    await b.begin({}, [0]);
    await b.finish([0]);
  });

  test('of clients that come to all shards at once exactly one is let in, on the lowest shard', async () => {
    start(4, 5);
    const all = await Promise.all([3, 2, 1, 0].map(async (k) => connected(k)));
    const states = await Promise.all(all.map((c) => c.state()));
    expect(states).toEqual([ACCESS_DENIED, ACCESS_DENIED, ACCESS_DENIED, PARAM_EXCHANGE]);
    all[3]!.control.destroy();
  });

  test('clients one right after the other are all served, whichever shards they come to', async () => {
    start(4, 2);
    for (let i = 0; i < 8; i++) {
      const c = await connected((i * 3) % 4);
      await c.begin({}, [i % 4]);
      await c.finish([0]);
    }
  });
});
