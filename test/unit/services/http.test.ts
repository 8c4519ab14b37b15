import { once } from 'node:events';
import { beforeEach, describe, expect, test } from 'vitest';
import { http, MAX_BYTES, parseBytes } from '../../../src/daemon/services/http.ts';
import { netApi, type Socket } from '../../../src/net/index.ts';
import { FakeNet } from '../../lab/fakesocket.ts';
import { makeHost } from './host.ts';

let net: FakeNet;

beforeEach(() => {
  net = new FakeNet();
  http.start(makeHost(net.host('192.0.2.1')));
});

function connect(): Socket {
  return netApi(net.host('192.0.2.2')).connect(80, '192.0.2.1');
}

interface Answer {
  status: number;
  headers: Map<string, string>;
  body: Buffer;
}

async function get(request: string): Promise<Answer> {
  const s = connect();
  s.end(`${request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const chunks: Buffer[] = [];
  for await (const c of s) chunks.push(c as Buffer);
  const all = Buffer.concat(chunks);
  const head = all.indexOf('\r\n\r\n');
  const lines = all.toString('latin1', 0, head).split('\r\n');
  return {
    status: Number(lines[0]?.split(' ')[1]),
    headers: new Map(
      lines.slice(1).map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 2)] as const),
    ),
    body: all.subarray(head + 4),
  };
}

describe('GET /bytes/N', () => {
  test.each([0, 1, 1447, 64_256, 1_000_003])('sends exactly %i bytes, each its position modulo 251', async (n) => {
    const a = await get(`GET /bytes/${n}`);
    expect(a.status).toBe(200);
    expect(a.headers.get('content-length')).toBe(String(n));
    expect(a.body.length).toBe(n);
    expect(a.body.equals(Buffer.from(Array.from({ length: n }, (_, i) => i % 251)))).toBe(true);
  });

  test('HEAD tells the length, up to 2^40, and sends no body', async () => {
    const a = await get('HEAD /bytes/1099511627776');
    expect([a.status, a.headers.get('content-length'), a.body.length]).toEqual([200, '1099511627776', 0]);
  });

  test.each(['', '-1', '1.5', '0x10', '1e3', '1099511627777', '99999999999999', '5/6', '%31'])(
    'N = "%s" is answered with 400 in one line that says what is allowed',
    async (n) => {
      const a = await get(`GET /bytes/${n}`);
      expect(a.status).toBe(400);
      expect(a.body.toString()).toBe(`400 /bytes/${n}: N must be a decimal number of bytes, 0 to 1099511627776\n`);
    },
  );

  test('parseBytes knows the bound', () => {
    expect([parseBytes('0'), parseBytes(String(MAX_BYTES)), parseBytes(String(MAX_BYTES + 1))]).toEqual([
      0,
      2 ** 40,
      undefined,
    ]);
  });

  test('a reader who goes away in the middle ends the connection and nothing else', async () => {
    const s = connect();
    s.write('GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(s, 'data');
    s.resetAndDestroy();
    expect((await get('GET /bytes/10')).body.length).toBe(10);
  });
});

describe('the rest', () => {
  test('GET / is a page with version, interface, shard, uptime and counters, escaped', async () => {
    const a = await get('GET /');
    const page = a.body.toString();
    expect(a.status).toBe(200);
    expect(a.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(Number(a.headers.get('content-length'))).toBe(a.body.length);
    for (const part of [
      'xsiftr on ix&lt;1&gt;',
      '1.2.3',
      '1d 02:03:04',
      'Shard 0 of 1',
      'packets received',
      '1,234,567',
    ]) {
      expect(page).toContain(part);
    }
    expect(page).not.toContain('<1>');
  });

  test('HEAD / has the length of the page and no body', async () => {
    const a = await get('HEAD /');
    expect(Number(a.headers.get('content-length'))).toBeGreaterThan(500);
    expect(a.body.length).toBe(0);
  });

  test('an unknown path is 404, another method is 405 with Allow', async () => {
    expect((await get('GET /nothing')).status).toBe(404);
    const a = await get('DELETE /');
    expect([a.status, a.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('several requests share a connection, pipelined ones included', async () => {
    const s = connect();
    s.write('GET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\nGET /bytes/4 HTTP/1.1\r\nHost: x\r\n\r\n');
    let all = '';
    while ((all.match(/\r\n\r\n/g) ?? []).length < 2) all += String((await once(s, 'data'))[0]);
    s.write('GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    for await (const c of s) all += String(c);
    expect(all.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 404']);
  });

  test('a request whose sender has sent FIN is answered', async () => {
    const s = connect();
    s.end('GET /bytes/100000 HTTP/1.0\r\n\r\n');
    let n = 0;
    for await (const c of s) n += (c as Buffer).length;
    expect(n).toBeGreaterThan(100_000);
  });
});
