import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, ROOT, startXsiftr, XSIFTR, type Xsiftr } from '../lab/netns.ts';
import { Running, run } from '../lab/process.ts';
import { socketDir } from '../lab/unix-peer.ts';

/** Clients of the socket endpoint: the one in C of native/client, the one in Python of docs/examples. */

describe('a stack with only a Unix link', () => {
  const dir = socketDir();
  let x: Running;
  const link = dir.path('link');
  const sockets = dir.path('sockets');

  beforeAll(async () => {
    const words = [`unix:${link},mode=ip,addr=192.0.2.1/24`, '--sockets', sockets, '--control', dir.path('control')];
    x = new Running([XSIFTR, '-i', ...words, '--metrics', 'none', '--no-siftr', '--serve', 'none']);
    await x.waitLine(/sockets/);
    await run([XSIFTR, 'wait', '--control', dir.path('control'), '--timeout', '20']);
  });
  afterAll(async () => {
    await x?.stop('SIGINT', 10_000);
    dir.remove();
  });

  test('is driven by another program over two sockets: packets in order with calls, time to the microsecond (spec/endpoint.md, LINKSYNC and CLOCK)', async () => {
    const r = await run(['python3', '-B', join(ROOT, 'test/lab/endpoint/unixlink.py'), link, sockets], {
      check: false,
    });
    // 30 s of MSL (FreeBSD's net.inet.tcp.msl), 75 s for a handshake (net.inet.tcp.keepinit).
    expect(`${r.stdout}${r.stderr}`.trim().split('\n')).toEqual([
      'time before it is virtual: Operation not supported',
      'time stands still: 0',
      'SYN,ACK: True 1001',
      "accepted: ('192.0.2.2', 1234)",
      "received: b'hello'",
      'port in TIME_WAIT: Address already in use',
      'a microsecond before its end: Address already in use',
      'at its end: ok',
      'time gone by: 60000000',
      'accept with SO_RCVTIMEO: Resource temporarily unavailable 1250000',
      'poll: [0] 400000',
      'connect: Connection timed out 75000000',
      'link 7: Invalid argument',
    ]);
  });
});

/** 24 connections at once, each with 100,000 bytes and the FIN: says how many had them back. */
const ECHOED = `
import socket, threading
sent = bytes(i * 7 % 256 for i in range(100000))
good = []
def one():
    s = socket.create_connection(("192.0.2.1", 7), 30)
    s.sendall(sent)
    s.shutdown(socket.SHUT_WR)
    got = b""
    while part := s.recv(65536):
        got += part
    good.append(got == sent)
threads = [threading.Thread(target=one) for _ in range(24)]
for t in threads: t.start()
for t in threads: t.join()
print(good.count(True))`;

/** Waits for the other end to end it. */
const HELD = `
import socket
print(socket.create_connection(("192.0.2.1", 7), 10).recv(1))`;

const missing = labMissing('cc', 'python3');
describe.skipIf(missing)(`the client in C ${missing}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  let sockets: string;
  let echo: Running;

  beforeAll(async () => {
    lab = await Lab.create('epclient', { queues: 2 });
    sockets = join(lab.dir, 'sockets');
    x = await startXsiftr(lab, ['--sockets', sockets, '--serve', 'none', '--no-siftr']);
    const program = join(lab.dir, 'xs-echo');
    const sources = [join(ROOT, 'test/clients/xs-echo.c'), join(ROOT, 'native/client/xsiftr-client.c')];
    await run(['cc', '-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-o', program, ...sources]);
    echo = lab.keep(new Running([program, sockets, '7']));
    await echo.waitLine(/listening/);
  });
  afterAll(() => lab?.remove());

  test('serves an echo to Linux over two shards, whichever a connection comes in on', async () => {
    expect((await lab.far(['python3', '-c', ECHOED])).stdout.trim()).toBe('24');
    expect(echo.lines.filter((l) => l === 'from 192.0.2.2, port 1')).toHaveLength(24);
    const metrics = await (await fetch(`${x.metrics}/metrics`)).text();
    for (const shard of [0, 1])
      expect(metrics).toMatch(new RegExp(`xsiftr_tcp_accepts_total{.*shard="${shard}".*} [1-9]`));
  });

  test('leaves nothing behind when it is killed: its listener is gone, and its connection is ended', async () => {
    const held = lab.spawnFar(['python3', '-c', HELD]);
    await expect.poll(async () => (await x.command(['netstat', '-an'])).stdout).toMatch(/ESTABLISHED/);
    echo.child.kill('SIGKILL');
    await echo.exited;
    expect(await held.exited).toBe(0);
    expect(held.lines).toEqual(["b''"]);
    await expect.poll(async () => (await x.command(['netstat', '-an'])).stdout).not.toMatch(/LISTEN|ESTABLISHED/);
    expect((await x.command(['netstat', '-s', '-p', 'endpoint'])).stdout).toMatch(/descriptors? closed because/);
  });
});
