import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LinkLab, type LinkXsiftr } from '../lab/links.ts';
import { Lab, labMissing } from '../lab/netns.ts';
import { readIperf3 } from './iperf3-json.ts';

/** Links over Unix sockets (spec/endpoint.md, "Link") between processes, without a NIC and without rights. */

const ECHO = join(import.meta.dirname, 'children/link-echo.ts');
const BYTES = 300_000;

describe.skipIf(labMissing('setpriv'))('two xsiftr joined by a Unix link, as nobody', () => {
  let lab: LinkLab;

  beforeEach(() => {
    lab = new LinkLab();
  });
  afterEach(() => lab.remove());

  const server = (more: readonly string[] = [], settings = ''): Promise<LinkXsiftr> =>
    lab.start('server', [
      '--iface',
      `unix:${lab.path('link')},addr=192.0.2.1/24${settings}`,
      '--serve',
      'echo,http',
      ...more,
    ]);

  const echo = async (settings = ''): Promise<unknown> => {
    const link = `unix:${lab.path('link')},role=client,addr=192.0.2.2/24${settings}`;
    return JSON.parse((await lab.node(ECHO, link, '192.0.2.1', '7', String(BYTES))).stdout);
  };
  const whole = { bytes: BYTES, same: true, uid: 65534 };

  test('bytes come back whole, over Ethernet and over bare IP; counters, metrics, SIFTR, ss and pipes work as on a NIC', async () => {
    const log = lab.path('siftr.log');
    const x = await server(['--siftr-log', log, '--pipe', 'out,delay=1ms']);
    expect(lstatSync(lab.path('link')).mode & 0o777).toBe(0o600);
    expect(await echo()).toEqual(whole);
    const stat = async () => (await x.command(['kstat', 'unix0::ulink:0', 'unix0::rxq:0'])).stdout;
    // The peer has ended before its end is seen here.
    await expect.poll(stat).toContain('up: false');
    const kstat = await stat();
    const value = (key: string): number => Number(new RegExp(`\\b${key}: (\\d+)`).exec(kstat)![1]);
    expect(value('rx_packets')).toBeGreaterThan(200);
    expect(value('rx_done')).toBe(value('rx_packets'));
    expect(value('packets')).toBe(value('rx_packets'));
    expect(value('ups')).toBe(1);
    const metrics = await (await fetch(x.metrics)).text();
    expect(metrics).toContain(`xsiftr_ulink_rx_packets_total{iface="unix0",queue="0"} ${value('rx_packets')}`);
    expect((await x.command(['netstat', '-s', '-p', 'tcp'])).stdout).toMatch(/1 connection accept/);
    expect((await x.command(['ss', '-tln'])).stdout).toMatch(/LISTEN .* 0.0.0.0:7 /);
    expect((await x.command(['dnctl', 'pipe', 'show'])).stdout).toContain('1 ms');
    expect(await x.stop()).toBe(0);
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    expect(lines.filter((l) => /^[io],.*,192\.0\.2\.1,7,192\.0\.2\.2,/.test(l)).length).toBeGreaterThan(200);
    expect(existsSync(lab.path('link'))).toBe(false);
    expect(x.running.lines.at(-1)).toMatch(/^unix0: SIFTR wrote \d+ lines/);

    const bare = await server([], ',mode=ip');
    expect(await echo(',mode=ip')).toEqual(whole);
    expect(await bare.stop()).toBe(0);
  });

  test('kill -9 leaves a socket that the next start replaces; a client in its place comes back by itself', async () => {
    const first = await server();
    const client = await lab.start('client', [
      '--iface',
      `unix:${lab.path('link')},role=client,addr=192.0.2.2/24`,
      '--serve',
      'none',
    ]);
    await client.running.waitLine(/link state changed to UP/);
    const refused = lab.spawn([
      join(import.meta.dirname, '../../bin/xsiftr'),
      '--iface',
      `unix:${lab.path('link')},addr=192.0.2.3/24`,
      '--metrics',
      'none',
      '--control',
      lab.path('x.control'),
    ]);
    expect(await refused.exited).toBe(2);
    expect(refused.errorLines.join('\n')).toMatch(/another process listens there; give the link a path of its own/);

    first.running.signal('SIGKILL');
    await first.running.exited;
    await client.running.waitLine(/link state changed to DOWN \(the peer closed the connection\)/);
    expect(existsSync(lab.path('link'))).toBe(true);
    const second = await server();
    await expect.poll(async () => (await client.command(['kstat', 'ulink'])).stdout).toMatch(/ups: 2\n/);
    expect(await client.stop()).toBe(0);
    expect(await echo()).toEqual(whole);
    expect(await second.stop()).toBe(0);
    expect(existsSync(lab.path('link'))).toBe(false);
  });

  test('two links in one process are two networks, each with counters of its own', async () => {
    const x = await lab.start('two', [
      '--iface',
      `unix:${lab.path('link')},addr=192.0.2.1/24`,
      '--iface',
      `unix:${lab.path('other')},addr=198.51.100.1/24,mode=ip,name=other`,
      '--serve',
      'echo',
    ]);
    const at = (path: string, more: string, host: string) =>
      lab.node(ECHO, `unix:${path},role=client,${more}`, host, '7', '20000');
    const both = await Promise.all([
      at(lab.path('link'), 'addr=192.0.2.2/24', '192.0.2.1'),
      at(lab.path('other'), 'addr=198.51.100.2/24,mode=ip', '198.51.100.1'),
    ]);
    expect(both.map((r) => JSON.parse(r.stdout).same)).toEqual([true, true]);
    const kstat = (await x.command(['kstat', 'ulink'])).stdout;
    expect(kstat.match(/^\w+:0:ulink:0$/gm)).toEqual(['other:0:ulink:0', 'unix0:0:ulink:0']);
    expect(await x.stop()).toBe(0);
  });
});

describe.skipIf(labMissing('passt', 'setpriv', 'curl', 'iperf3', 'python3'))('passt at the other end', () => {
  /**
   * passt gives its guest (us) the address of the namespace that it runs in, listens there on the ports that it is told, and makes the
   * connections of the guest with sockets of that namespace.
   *
   *   far 192.0.2.2 ── veth ── near 192.0.2.1: passt ══ unix:… ══ xsiftr 192.0.2.1
   */
  test('curl and iperf3 of Linux reach our servers through it, and our client reaches an echo server of Linux', async () => {
    const links = new LinkLab();
    const lab = await Lab.create('passt', { address: true });
    try {
      await lab.near('ip route add default via 192.0.2.2');
      const dir = links.path('passt');
      mkdirSync(dir);
      chmodSync(dir, 0o777);
      const path = join(dir, 'passt.sock');
      const passt = lab.spawnNear([
        'passt',
        '-f',
        '-4',
        '--socket',
        path,
        '-t',
        '80,5201',
        '-u',
        'none',
        '--no-map-gw',
      ]);
      await passt.waitLine(/You can now start qemu/);
      chmodSync(path, 0o777);

      const link = `unix:${path},role=client,addr=192.0.2.1/24,gw=192.0.2.2`;
      const x = await links.start('guest', ['--iface', link, '--serve', 'http,iperf3']);
      await x.running.waitLine(/link state changed to UP/);
      const page = await lab.far(
        "curl -sS -m 20 -o /dev/null -w '%{http_code} %{size_download}' http://192.0.2.1/bytes/3000000",
      );
      expect(page.stdout).toBe('200 3000000');
      for (const reverse of [[], ['-R']]) {
        const run = readIperf3(await lab.far(['iperf3', '-c', '192.0.2.1', '-n', '5M', '-J', ...reverse]));
        expect(run.error).toBeUndefined();
        expect(run.main.received).toBeGreaterThanOrEqual(5 * 2 ** 20);
      }
      const stat = (await x.command(['netstat', '-s', '-s'])).stdout;
      expect(stat).not.toMatch(/bad (header )?checksum/);
      expect(await x.stop()).toBe(0);

      const servers = lab.spawnFar(['python3', join(import.meta.dirname, '../lab/servers.py'), '7000']);
      await servers.waitLine(/^serving$/);
      const echoed = await links.node(ECHO, link, '192.0.2.2', '7000', String(BYTES));
      expect(JSON.parse(echoed.stdout)).toEqual({ bytes: BYTES, same: true, uid: 65534 });
    } finally {
      await lab.remove();
      await links.remove();
    }
  });
});
