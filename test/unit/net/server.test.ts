import { once } from 'node:events';
import http from 'node:http';
import nodeNet from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { type NetApi, netApi, type Socket } from '../../../src/net/index.ts';
import { FakeNet } from '../../lab/fakesocket.ts';

const SERVER = '192.0.2.1';
let near: NetApi;
let far: NetApi;

beforeEach(() => {
  const net = new FakeNet();
  near = netApi(net.host(SERVER));
  far = netApi(net.host('192.0.2.2'));
});

describe('listening', () => {
  test('listen() emits listening later, and address() tells host, family and port', async () => {
    const server = near.createServer();
    expect(server.address()).toBe(null);
    let early = true;
    server.listen(80, SERVER, 10, () => expect(early).toBe(false));
    early = false;
    await once(server, 'listening');
    expect(server.address()).toEqual({ address: SERVER, family: 'IPv4', port: 80 });
    expect(server.listening).toBe(true);
  });

  test('listen(0) takes a free port of the dynamic range (RFC 6335 section 6), and an options object is as good', async () => {
    const server = near.createServer().listen({ port: 0, host: '0.0.0.0' });
    await once(server, 'listening');
    expect(server.address()?.port).toBeGreaterThanOrEqual(49152);
  });

  test('a port in use is an error event with the message and fields of node:net', async () => {
    const other = nodeNet.createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as nodeNet.AddressInfo;
    const [model] = await once(nodeNet.createServer().listen(port, '127.0.0.1'), 'error');
    other.close();
    near.createServer().listen(80, SERVER);
    const [err] = await once(near.createServer().listen(80, SERVER), 'error');
    expect(err.message).toBe(model.message.replace('127.0.0.1', SERVER).replace(String(port), '80'));
    expect({ ...err, address: 0, port: 0 }).toEqual({ ...model, address: 0, port: 0 });
  });

  test('a second listen() throws, a name or a wrong port throws, an IPv6 address is EADDRNOTAVAIL', async () => {
    const server = near.createServer().listen(80);
    expect(() => server.listen(81)).toThrow(expect.objectContaining({ code: 'ERR_SERVER_ALREADY_LISTEN' }));
    expect(() => near.createServer().listen(-1)).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    expect(() => near.createServer().listen(82, 'name')).toThrow(/"name"/);
    const [err] = await once(near.createServer().listen(82, '2001:db8::1'), 'error');
    expect(err.code).toBe('EADDRNOTAVAIL');
  });
});

describe('closing', () => {
  test('close() stops accepting at once and is done when the last connection has ended', async () => {
    let accepted!: Socket;
    const server = near.createServer((s) => {
      accepted = s.resume();
    });
    server.listen(80);
    const a = far.connect(80, SERVER);
    await once(a, 'connect');
    let closed = false;
    server.close(() => {
      closed = true;
    });
    expect(server.listening).toBe(false);
    const [err] = await once(far.connect(80, SERVER), 'error');
    expect(err.code).toBe('ECONNREFUSED');
    expect(closed).toBe(false);
    accepted.destroy();
    await once(server, 'close');
    expect(closed).toBe(true);
    server.listen(80);
    await once(server, 'listening');
  });

  test('close() of a server that does not listen hands ERR_SERVER_NOT_RUNNING to its callback', async () => {
    const err = await new Promise((resolve) => near.createServer().close(resolve));
    expect(err).toMatchObject({ code: 'ERR_SERVER_NOT_RUNNING' });
  });
});

describe('connections', () => {
  test('are counted, and those above maxConnections are dropped with an event', async () => {
    const server = near.createServer((s) => s.resume()).listen(80);
    server.maxConnections = 1;
    const dropped = once(server, 'drop');
    const a = far.connect(80, SERVER);
    await once(a, 'connect');
    const b = far.connect(80, SERVER).resume();
    expect(await dropped).toMatchObject([{ localPort: 80, remoteAddress: '192.0.2.2' }]);
    await once(b, 'end');
    const count = await new Promise((resolve) => server.getConnections((_e, n) => resolve(n)));
    expect(count).toBe(1);
    a.end();
    await once(a.resume(), 'close');
    await expect.poll(() => server.connections).toBe(0);
  });
});

describe("Node's http on it", () => {
  function request(agent: http.Agent, options: http.RequestOptions, body = ''): Promise<string> {
    return new Promise((resolve, reject) => {
      const req = http.request({ host: SERVER, port: 80, agent, ...options }, (res) => {
        let all = `${res.statusCode} `;
        res.on('data', (b) => {
          all += b;
        });
        res.on('end', () => resolve(all));
      });
      req.on('error', reject);
      req.end(body);
    });
  }

  class Agent extends http.Agent {
    made = 0;
    override createConnection(): Socket & nodeNet.Socket {
      this.made++;
      return far.connect(80, SERVER) as Socket & nodeNet.Socket;
    }
  }

  test('serves requests with bodies, several on one connection, and closes it when asked', async () => {
    const web = http.createServer((req, res) => {
      let body = '';
      req.on('data', (b) => {
        body += b;
      });
      req.on('end', () => res.end(`${req.method} ${req.url} ${body}`));
    });
    const server = near.createServer({ allowHalfOpen: true }, (s) => web.emit('connection', s));
    server.listen(80);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await request(agent, { path: '/a' })).toBe('200 GET /a ');
    expect(await request(agent, { path: '/b', method: 'POST' }, 'x'.repeat(50_000))).toBe(
      `200 POST /b ${'x'.repeat(50_000)}`,
    );
    expect(agent.made).toBe(1);
    expect(await request(agent, { path: '/c', headers: { Connection: 'close' } })).toBe('200 GET /c ');
    await expect.poll(() => server.connections).toBe(0);
    agent.destroy();
  });

  test('answers what is no request with 400', async () => {
    const web = http.createServer(() => {});
    near.createServer({ allowHalfOpen: true }, (s) => web.emit('connection', s)).listen(80);
    const s = far.connect(80, SERVER);
    s.write('rubbish\r\n\r\n');
    let all = '';
    for await (const chunk of s) all += String(chunk);
    expect(all).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });
});
