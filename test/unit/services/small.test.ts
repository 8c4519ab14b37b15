import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { chargen } from '../../../src/daemon/services/chargen.ts';
import { daytime, daytimeLine } from '../../../src/daemon/services/daytime.ts';
import { discard } from '../../../src/daemon/services/discard.ts';
import { echo } from '../../../src/daemon/services/echo.ts';
import { defaultServices, findService, services } from '../../../src/daemon/services/index.ts';
import { netApi, type Socket } from '../../../src/net/index.ts';
import { FakeNet } from '../../lab/fakesocket.ts';
import { makeHost } from './host.ts';

const SERVER = '192.0.2.1';
let net: FakeNet;

beforeEach(() => {
  net = new FakeNet();
});

function connect(port: number): Socket {
  return netApi(net.host('192.0.2.2')).connect(port, SERVER);
}

async function read(s: Socket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let n = 0;
  for await (const chunk of s) {
    chunks.push(chunk as Buffer);
    n += (chunk as Buffer).length;
    if (n >= bytes) break;
  }
  return Buffer.concat(chunks);
}

describe('the registry', () => {
  test('has every service once, on its well-known port, and the default ones among them', () => {
    expect(services.map((s) => [s.name, s.port])).toEqual([
      ['http', 80],
      ['iperf3', 5201],
      ['discard', 9],
      ['echo', 7],
      ['chargen', 19],
      ['daytime', 13],
    ]);
    expect(defaultServices).toEqual(['http', 'iperf3', 'discard']);
    expect(findService('echo')).toBe(echo);
    expect(findService('ssh')).toBe(undefined);
  });

  test('a port in use is thrown by start, a stopped service frees its port and resets what is open', async () => {
    const host = makeHost(net.host(SERVER));
    for (const service of services) {
      const running = service.start(host);
      expect(() => service.start(host), service.name).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
      running.stop();
      service.start(host).stop();
    }
    const running = echo.start(host);
    const s = connect(7);
    await once(s, 'connect');
    running.stop();
    const [err] = await once(s, 'error');
    expect(err.code).toBe('ECONNRESET');
  });
});

describe('discard', () => {
  test('takes all and answers nothing until the user closes (RFC 863)', async () => {
    discard.start(makeHost(net.host(SERVER)));
    const s = connect(9);
    s.end(Buffer.alloc(300_000));
    expect((await read(s, 1)).length).toBe(0);
    expect(s.bytesWritten).toBe(300_000);
  });
});

describe('echo', () => {
  test('sends back what it got, whole and in order (RFC 862)', async () => {
    echo.start(makeHost(net.host(SERVER)));
    const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) & 255));
    const s = connect(7);
    s.end(sent);
    expect((await read(s, Number.POSITIVE_INFINITY)).equals(sent)).toBe(true);
  });

  test('stops taking from a user who does not read', async () => {
    echo.start(makeHost(net.host(SERVER)));
    const s = connect(7);
    await once(s, 'connect');
    s.pause();
    s.write(Buffer.alloc(1_000_000));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(s.writableLength).toBeGreaterThan(800_000);
    let n = 0;
    s.on('data', (b: Buffer) => {
      n += b.length;
    });
    s.end();
    s.resume();
    await once(s, 'end');
    expect(n).toBe(1_000_000);
  });
});

describe('chargen', () => {
  test('sends the ring of printing characters in lines of 72, each a character further on (RFC 864)', async () => {
    chargen.start(makeHost(net.host(SERVER)));
    const got = await read(connect(19), 200_000);
    // the example of RFC 864: 95 characters, space first, ~ last, then space again
    const ring = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 0x20 + i)).repeat(2);
    const lines = got.toString('latin1').split('\r\n');
    expect(lines[0]).toBe(' !"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg');
    lines.pop();
    lines.forEach((line, i) => {
      if (line !== ring.slice(i % 95, (i % 95) + 72)) throw new Error(`line ${i} is ${JSON.stringify(line)}`);
    });
  });

  test('ends when the user closes, and throws away what the user sends (RFC 864)', async () => {
    chargen.start(makeHost(net.host(SERVER)));
    const s = connect(19);
    s.end('ignored');
    await once(s.resume(), 'close');
    expect(s.bytesRead).toBeGreaterThan(0);
  });
});

describe('daytime', () => {
  test('writes weekday, month, day, year, time and zone in the order of RFC 867', () => {
    expect(daytimeLine(new Date(Date.UTC(1982, 1, 22, 17, 37, 43)))).toBe('Monday, February 22, 1982 17:37:43-UTC\r\n');
  });

  test('sends one line and closes, whatever the user sends (RFC 867)', async () => {
    daytime.start(makeHost(net.host(SERVER)));
    const s = connect(13);
    s.write('what time is it?');
    const got = (await read(s, Number.POSITIVE_INFINITY)).toString();
    expect(got).toMatch(/^[A-Z][a-z]+day, [A-Z][a-z]+ \d{1,2}, \d{4} \d\d:\d\d:\d\d-UTC\r\n$/);
    const told = Date.parse(got.replace(/^\w+, /, '').replace('-UTC', ' UTC'));
    expect(Math.abs(Date.now() - told)).toBeLessThan(5000);
  });
});

test('many connections at once each get their own stream', async () => {
  echo.start(makeHost(net.host(SERVER)));
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      const s = connect(7);
      const text = `connection ${i} `.repeat(500);
      const got: Buffer[] = [];
      s.end(text);
      await pipeline(s, async (source) => {
        for await (const b of source) got.push(b as Buffer);
      });
      expect(Buffer.concat(got).toString()).toBe(text);
    }),
  );
});
