import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import nodeNet from 'node:net';
import { pipeline } from 'node:stream/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type NetApi, netApi, type Server, type Socket } from '../../../src/net/index.ts';
import { FakeNet } from '../../lab/fakesocket.ts';

const SERVER = '192.0.2.1';
const PORT = 7777;

let net: FakeNet;
let far: NetApi;
let near: NetApi;

beforeEach(() => {
  net = new FakeNet();
  near = netApi(net.host(SERVER));
  far = netApi(net.host('192.0.2.2'));
});

function serve(onConnection: (s: Socket) => void, options = {}): Server {
  return near.createServer(options, onConnection).listen(PORT);
}

async function text(s: Socket): Promise<string> {
  let all = '';
  for await (const chunk of s) all += String(chunk);
  return all;
}

/** The error that Node's own net raises for a connection to a port of loopback that nobody listens on. */
async function refusedByNode(): Promise<NodeJS.ErrnoException & { address: string; port: number }> {
  const server = nodeNet.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as nodeNet.AddressInfo;
  server.close();
  await once(server, 'close');
  const s = nodeNet.connect(port, '127.0.0.1');
  const [err] = await once(s, 'error');
  return err as NodeJS.ErrnoException & { address: string; port: number };
}

describe('a connection', () => {
  test('emits connect, ready, data, end and close(false) in the order of node:net', async () => {
    serve((s) => s.end('hello'));
    const s = far.connect(PORT, SERVER);
    const seen: string[] = [];
    for (const e of ['connect', 'ready', 'data', 'end', 'finish', 'close']) {
      s.on(e, (v: unknown) => seen.push(e === 'close' ? `close ${v}` : e));
    }
    await once(s, 'close');
    expect(seen).toEqual(['connect', 'ready', 'data', 'end', 'finish', 'close false']);
  });

  test('carries a megabyte both ways unchanged through buffers of eight kilobytes', async () => {
    serve((s) => void pipeline(s, s).catch(() => {}));
    const sent = randomBytes(1 << 20);
    const s = far.connect({ port: PORT, host: SERVER });
    s.end(sent);
    const hash = createHash('sha256');
    for await (const chunk of s) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
    expect(s.bytesRead).toBe(1 << 20);
    expect(s.bytesWritten).toBe(1 << 20);
  });

  test('keeps many small writes in order', async () => {
    serve((s) => {
      for (let i = 0; i < 500; i++) s.write(`${i},`);
      s.end();
    });
    const got = await text(far.connect(PORT, SERVER));
    expect(got).toBe(`${Array.from({ length: 500 }, (_, i) => i).join(',')},`);
  });

  test('holds the peer back while its reader is paused, and goes on after resume', async () => {
    let source!: Socket;
    serve((s) => {
      source = s;
      s.end(Buffer.alloc(1 << 20, 1));
    });
    const s = far.connect({ port: PORT, host: SERVER, highWaterMark: 16384 });
    await once(s, 'connect');
    s.pause();
    await new Promise((resolve) => setTimeout(resolve, 50));
    // 16 KiB of stream, then the buffers of the two sockets: nothing like the whole
    expect(s.bytesRead).toBeLessThan(64 * 1024);
    expect(source.writableLength).toBeGreaterThan(900_000);
    let n = 0;
    s.on('data', (b: Buffer) => {
      n += b.length;
    });
    s.resume();
    await once(s, 'end');
    expect(n).toBe(1 << 20);
  });

  test('write() returns false when the stream buffer is full, and drain follows', async () => {
    serve((s) => s.resume());
    const s = far.connect(PORT, SERVER);
    await once(s, 'connect');
    expect(s.write(Buffer.alloc(200_000))).toBe(false);
    await once(s, 'drain');
    expect(s.writableLength).toBe(0);
    s.end();
  });

  test('sends what was written before the handshake was done', async () => {
    serve((s) => s.pipe(s));
    const s = far.connect(PORT, SERVER);
    s.write('early ');
    s.end('bird');
    expect(await text(s)).toBe('early bird');
  });

  test('tells its ends, its state and whether it is connecting', async () => {
    let accepted!: Socket;
    const server = serve((s) => {
      accepted = s;
    });
    const s = far.connect(PORT, SERVER);
    expect([s.connecting, s.pending, s.readyState, s.remoteAddress]).toEqual([true, true, 'opening', undefined]);
    await once(s, 'connect');
    expect([s.connecting, s.pending, s.readyState]).toEqual([false, false, 'open']);
    expect([s.remoteAddress, s.remotePort, s.remoteFamily]).toEqual([SERVER, PORT, 'IPv4']);
    expect(s.address()).toEqual({ address: '192.0.2.2', family: 'IPv4', port: s.localPort });
    expect([accepted.remoteAddress, accepted.remotePort]).toEqual([s.localAddress, s.localPort]);
    expect([accepted.localAddress, accepted.localPort]).toEqual([SERVER, PORT]);
    s.end();
    expect(s.readyState).toBe('readOnly');
    await once(s, 'close');
    expect([s.readyState, s.pending]).toEqual(['closed', true]);
    server.close();
  });
});

describe('half-open connections', () => {
  test('without allowHalfOpen the end of the peer ends this side too', async () => {
    serve((s) => s.resume());
    const s = far.connect(PORT, SERVER);
    await once(s, 'connect');
    s.resume();
    s.end('bye');
    const [hadError] = await once(s, 'close');
    expect(hadError).toBe(false);
  });

  test('with allowHalfOpen this side may answer after the end of the peer', async () => {
    serve(
      (s) => {
        s.resume();
        s.on('end', () => setTimeout(() => s.end('after your FIN'), 20));
      },
      { allowHalfOpen: true },
    );
    const s = far.connect(PORT, SERVER);
    s.end('question');
    expect(await text(s)).toBe('after your FIN');
  });

  test('a write after the end of the peer fails with EPIPE', async () => {
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => {
      serve((s) => {
        s.resume();
        s.on('error', resolve);
        s.on('end', () => s.write('too late'));
      });
    });
    far.connect(PORT, SERVER).resume().end();
    expect(await failed).toMatchObject({ code: 'EPIPE', message: 'This socket has been ended by the other party' });
  });
});

describe('errors', () => {
  test('a refused connection fails as node:net fails: same message, code, errno, syscall, address and port', async () => {
    const model = await refusedByNode();
    const s = far.connect(PORT, SERVER);
    const closed = new Promise((resolve) => s.once('close', resolve));
    const [err] = (await once(s, 'error')) as [typeof model];
    expect(err.message).toBe(model.message.replace('127.0.0.1', SERVER).replace(String(model.port), String(PORT)));
    expect(Object.keys(err).sort()).toEqual(Object.keys(model).sort());
    expect([err.code, err.errno, err.syscall]).toEqual([model.code, model.errno, model.syscall]);
    expect([err.address, err.port]).toEqual([SERVER, PORT]);
    expect(await closed).toBe(true);
  });

  test('resetAndDestroy() reaches the peer as `read ECONNRESET`', async () => {
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => {
      serve((s) => s.on('error', resolve).resume());
    });
    const s = far.connect(PORT, SERVER);
    await once(s, 'connect');
    s.resetAndDestroy();
    expect(await once(s, 'close')).toEqual([false]);
    const err = await failed;
    expect(err).toMatchObject({ message: 'read ECONNRESET', code: 'ECONNRESET', errno: -104, syscall: 'read' });
  });

  test('destroy() sends a FIN and emits close(false); destroy(err) emits error and close(true)', async () => {
    let ended = 0;
    serve((s) => s.on('end', () => ended++).resume());
    const a = far.connect(PORT, SERVER);
    await once(a, 'connect');
    a.destroy();
    expect(await once(a, 'close')).toEqual([false]);
    const b = far.connect(PORT, SERVER);
    await once(b, 'connect');
    const mine = new Error('mine');
    b.destroy(mine);
    const closed = new Promise((resolve) => b.once('close', resolve));
    expect(await once(b, 'error')).toEqual([mine]);
    expect(await closed).toBe(true);
    await expect.poll(() => ended).toBe(2);
  });

  test('a connection that is destroyed while connecting emits close and nothing else', async () => {
    serve(() => {});
    const s = far.connect(PORT, SERVER);
    const seen: string[] = [];
    for (const e of ['connect', 'error', 'end']) s.on(e, () => seen.push(e));
    s.destroy();
    await once(s, 'close');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen).toEqual([]);
  });

  test('a pending write fails when the peer resets', async () => {
    serve((s) => setTimeout(() => s.resetAndDestroy(), 10).unref());
    const s = far.connect(PORT, SERVER);
    s.on('error', () => {});
    const err = await new Promise<NodeJS.ErrnoException>((resolve) => {
      s.write(Buffer.alloc(1 << 20), (e) => resolve(e as NodeJS.ErrnoException));
    });
    expect(err.code).toBe('ECONNRESET');
  });

  test('wrong ports throw ERR_SOCKET_BAD_PORT, IPv6 addresses fail with EAFNOSUPPORT', async () => {
    expect(() => far.connect(65536, SERVER)).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    expect(() => far.connect('http', SERVER)).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    const [err] = await once(far.connect(PORT, '2001:db8::1'), 'error');
    expect(err).toMatchObject({ code: 'EAFNOSUPPORT', address: '2001:db8::1', port: PORT });
  });

  test('a local end that is taken fails with EADDRINUSE and names it', async () => {
    const transport = net.host('192.0.2.3');
    transport.connect = () => {
      throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' });
    };
    const s = netApi(transport).connect({ port: PORT, host: SERVER, localAddress: '192.0.2.3', localPort: 5 });
    const [err] = await once(s, 'error');
    expect(err.message).toBe(`connect EADDRINUSE ${SERVER}:${PORT} - Local (192.0.2.3:5)`);
  });
});

describe('options', () => {
  test('names are resolved by the lookup function, and the lookup event tells the result', async () => {
    serve((s) => s.end('found'));
    const s = far.connect({
      port: PORT,
      host: 'server.example',
      lookup: (_host, _options, cb) => setImmediate(cb, null, SERVER, 4),
    });
    const looked = once(s, 'lookup');
    expect(await text(s)).toBe('found');
    expect(await looked).toEqual([null, SERVER, 4, 'server.example']);
  });

  test('a name that cannot be resolved is an error event', async () => {
    const none = Object.assign(new Error('getaddrinfo ENOTFOUND nowhere.example'), { code: 'ENOTFOUND' });
    const s = far.connect({
      port: PORT,
      host: 'nowhere.example',
      lookup: (_host, _options, cb) => setImmediate(cb, none, '', 4),
    });
    expect(await once(s, 'error')).toEqual([none]);
  });

  test('setNoDelay and setKeepAlive reach the connection, also when they are asked for before it exists', async () => {
    serve(() => {});
    const s = far.socket().setNoDelay().setKeepAlive(true, 1000);
    s.connect(PORT, SERVER);
    await once(s, 'connect');
    const so = net.sockets[0]!;
    expect([so.noDelay, so.keepAlive]).toEqual([true, true]);
    s.setNoDelay(false);
    expect(so.noDelay).toBe(false);
    s.destroy();
  });

  test('timeout fires after silence, is put off by traffic and closes nothing', async () => {
    let accepted!: Socket;
    serve((s) => {
      accepted = s.resume();
    });
    const s = far.connect(PORT, SERVER);
    await once(s, 'connect');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      let fired = 0;
      s.setTimeout(60, () => fired++);
      expect(s.timeout).toBe(60);
      for (let i = 0; i < 4; i++) {
        vi.advanceTimersByTime(59);
        accepted.write('x');
        await once(s, 'readable');
        s.read();
      }
      expect(fired).toBe(0);
      vi.advanceTimersByTime(60);
      expect([fired, s.destroyed, s.readyState]).toEqual([1, false, 'open']);
      s.destroy();
    } finally {
      vi.useRealTimers();
    }
  });

  test('pauseOnConnect takes nothing from the stack before resume', async () => {
    const accepted = new Promise<Socket>((resolve) => void serve(resolve, { pauseOnConnect: true }));
    const c = far.connect(PORT, SERVER);
    c.end('waiting');
    const s = await accepted;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(s.bytesRead).toBe(0);
    s.resume();
    const [chunk] = await once(s, 'data');
    expect(String(chunk)).toBe('waiting');
  });

  test('an aborted signal destroys the socket', async () => {
    serve(() => {});
    const abort = new AbortController();
    const s = far.connect({ port: PORT, host: SERVER, signal: abort.signal });
    await once(s, 'connect');
    abort.abort();
    const [err] = await once(s, 'error');
    expect(err.name).toBe('AbortError');
  });

  test('calls from the event loop tell the stack to bring its clock up to date', async () => {
    serve((s) => s.resume());
    const transport = net.host('192.0.2.9');
    const s = netApi(transport).connect(PORT, SERVER);
    await once(s, 'connect');
    const before = transport.entered;
    s.write('x');
    expect(transport.entered).toBe(before + 1);
    s.destroy();
  });
});
