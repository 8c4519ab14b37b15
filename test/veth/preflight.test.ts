import { openSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadNative } from '../../src/driver/native.ts';
import { readNeighbours, readNetdev, setMtu } from '../../src/driver/netdev.ts';
import { netnsPath } from '../../src/driver/netns.ts';
import { checkFree, preflight } from '../../src/driver/preflight.ts';
import { UndoFile } from '../../src/driver/undo.ts';
import { Lab, labMissing } from '../lab/netns.ts';

const missing = labMissing('ss');
if (missing !== '') console.log(`preflight: skipped: ${missing}`);

/** Listens where it is told and keeps what it accepts; prints a line when it does. */
const SERVER = `
const [host, port] = process.argv.slice(1);
require('node:net').createServer().listen(Number(port), host, () => console.log('listening'));`;
const CLIENT = `
const s = require('node:net').connect(Number(process.argv[2]), process.argv[1], () => console.log('connected'));
s.on('error', (e) => console.log(e.message));`;

describe.skipIf(missing !== '')('the look at an interface before it is taken', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.create('preflight', { queues: 4 });
  });
  afterAll(() => lab?.remove());

  const look = (claimed: string[], more: { exclusive?: boolean; sshConnection?: string | null } = {}) =>
    preflight({ dev: readNetdev('ix1', lab.nearNs), claimed, sshConnection: null, ...more });

  it('finds nothing against an interface that only has an address', () => {
    expect(look(['192.0.2.1'])).toEqual([]);
  });

  it('names the interfaces there are when the given one is not among them, and the namespaces when that is missing', () => {
    expect(() => readNetdev('ix9', lab.nearNs)).toThrow(
      `--iface ix9: no such interface in network namespace ${lab.nearNs}; there is lo, ix1`,
    );
    expect(() => readNetdev('ix1', 'xsiftr-no-such-ns')).toThrow(
      '--netns xsiftr-no-such-ns: no such network namespace; see ip netns list, or: ip netns add xsiftr-no-such-ns',
    );
    expect(() => readNetdev('ix1', '../../etc')).toThrow(/^--netns "\.\.\/\.\.\/etc": a namespace name has no slash/);
    expect(() => readNetdev('ix 1', lab.nearNs)).toThrow(/^--iface "ix 1": an interface name has 1 to 15 bytes/);
  });

  it('names the default route, with its gateway, only while the kernel would lose it', async () => {
    await lab.near('ip route add default via 192.0.2.2');
    try {
      expect(look(['192.0.2.1'])).toEqual([
        {
          reason: 'default-route',
          text: `ix1 in ${lab.nearNs} carries the default route (via 192.0.2.2), which the kernel would lose; use another interface, --addr with an address of its own, or --force=default-route`,
        },
      ]);
      expect(look(['192.0.2.9'])).toEqual([]);
      expect(look(['192.0.2.9'], { exclusive: true }).map((f) => f.reason)).toEqual(['default-route']);
      expect(readNetdev('ix1', lab.nearNs).routes).toContainEqual({
        network: '0.0.0.0',
        prefix: 0,
        gateway: '192.0.2.2',
        prefsrc: null,
        metric: 0,
      });
    } finally {
      await lab.near('ip route del default');
    }
  });

  it('names listeners on the address and on all addresses with port and process, and live connections with both ends', async () => {
    const node = process.execPath;
    const started = [
      lab.spawnNear([node, '-e', SERVER, '192.0.2.1', '8081']),
      lab.spawnNear([node, '-e', SERVER, '0.0.0.0', '8082']),
      lab.spawnNear([node, '-e', SERVER, '127.0.0.1', '8083']),
    ];
    for (const s of started) await s.waitLine(/^listening/);
    const [own, wildcard] = started;
    const listeners = look(['192.0.2.1']);
    expect(listeners.map((f) => f.reason)).toEqual(['listeners']);
    expect(listeners[0]!.text).toBe(
      `2 kernel listeners would no longer be reached at 192.0.2.1: tcp 192.0.2.1:8081 of MainThread (pid ${own!.pid}), tcp *:8082 of MainThread (pid ${wildcard!.pid}); stop them, use --addr, or --force=listeners`,
    );

    const client = lab.spawnFar([node, '-e', CLIENT, '192.0.2.1', '8081']);
    await client.waitLine(/^connected/);
    const both = look(['192.0.2.1']);
    expect(both.map((f) => f.reason)).toEqual(['connections', 'listeners']);
    expect(both[0]!.text).toMatch(
      new RegExp(
        `^1 live TCP connection of the kernel on ix1 in ${lab.nearNs} would hang: 192\\.0\\.2\\.1:8081 with 192\\.0\\.2\\.2:\\d+ of MainThread \\(pid ${own!.pid}\\); end them, use --addr, or --force=connections$`,
      ),
    );
    // An address of its own takes nothing from the kernel.
    expect(look(['192.0.2.9'])).toEqual([]);
    expect(readNeighbours('ix1', lab.nearNs).map((n) => n.address)).toEqual(['192.0.2.2']);
    for (const s of [client, ...started]) await s.stop('SIGKILL');
  });

  it('counts IPv6 addresses, their listeners and an ssh session over them only when every frame is taken', async () => {
    await lab.near(
      'sysctl -qw net.ipv6.conf.ix1.disable_ipv6=0 && ip addr flush dev ix1 scope link && ip addr add 2001:db8::1/64 dev ix1 nodad',
    );
    const server = lab.spawnNear([process.execPath, '-e', SERVER, '2001:db8::1', '8084']);
    try {
      await server.waitLine(/^listening/);
      expect(look(['192.0.2.1'])).toEqual([]);
      const all = look(['192.0.2.1'], { exclusive: true });
      expect(all.map((f) => f.reason)).toEqual(['listeners']);
      expect(all[0]!.text).toContain(
        `would no longer be reached at 192.0.2.1, 2001:db8::1: tcp 2001:db8::1:8084 of MainThread (pid ${server.pid})`,
      );
      const dev = { ...readNetdev('ix1', lab.nearNs), netns: null };
      const ssh = { sshConnection: '2001:db8::2 50122 2001:db8::1 22', claimed: ['192.0.2.1'] };
      expect(preflight({ dev, ...ssh }).filter((f) => f.reason === 'ssh')).toEqual([]);
      expect(preflight({ dev, ...ssh, exclusive: true }).filter((f) => f.reason === 'ssh')).toHaveLength(1);
    } finally {
      await server.stop('SIGKILL');
      await lab.near('sysctl -qw net.ipv6.conf.ix1.disable_ipv6=1');
    }
  });

  it('names the ssh session only where it is in the same namespace as the interface', () => {
    const dev = { ...readNetdev('ix1', lab.nearNs), routes: [] };
    const sshConnection = '192.0.2.77 50122 192.0.2.1 22';
    expect(preflight({ dev, claimed: ['192.0.2.1'], sshConnection })).toEqual([]);
    const here = preflight({ dev: { ...dev, netns: null }, claimed: ['192.0.2.1'], sshConnection });
    expect(here.find((f) => f.reason === 'ssh')?.text).toBe(
      '192.0.2.1 on ix1 carries your ssh session (from 192.0.2.77), which would hang; use --addr, or --force=ssh with --duration',
    );
  });

  it('refuses an interface with an XDP program or another xsiftr on it', () => {
    const runDir = join(lab.dir, 'run');
    const dev = readNetdev('ix1', lab.nearNs);
    expect(() => checkFree(dev, runDir)).not.toThrow();

    const native = loadNative();
    native.createUmem(256, 64);
    const { port } = native.openPort({
      ifname: 'ix1',
      queues: 1,
      netns: netnsPath(lab.nearNs),
      xdp: 'auto',
      zeroCopy: 'auto',
      exclusive: false,
      rxcsum: 'accept-partial',
      maxFrame: 1518,
      busyPoll: false,
      timestamp: false,
    });
    expect(() => checkFree(readNetdev('ix1', lab.nearNs), runDir)).toThrow(
      /^--iface ix1: XDP program \d+ is attached to it in \S+; see bpftool prog show id \d+, or take it off/,
    );
    native.closePort(port);
    native.destroyUmem();
    expect(() => checkFree(readNetdev('ix1', lab.nearNs), runDir)).not.toThrow();

    const undo = UndoFile.open(dev, runDir);
    expect(() => checkFree(dev, runDir)).toThrow(
      `--iface ix1: xsiftr (pid ${process.pid}) runs on it already in ${lab.nearNs}; stop that one first, or choose another interface`,
    );
    undo.apply();
    expect(() => checkFree(dev, runDir)).not.toThrow();
  });

  it('sets an MTU that the driver takes', async () => {
    const dev = readNetdev('ix1', lab.nearNs);
    setMtu(dev, 1280);
    expect(readNetdev('ix1', lab.nearNs).mtu).toBe(1280);
    setMtu(dev, 1500);
    expect((await lab.near('ip -o link show ix1')).stdout).toContain(' mtu 1500 ');
  });

  it('locks a file against a second writer, also of the same process', async () => {
    const path = join(lab.dir, 'siftr.log');
    const first = openSync(path, 'a');
    const second = openSync(path, 'a');
    expect(loadNative().sysLockFile(first)).toBe(true);
    expect(loadNative().sysLockFile(second)).toBe(false);
    expect(loadNative().sysLockFile(first)).toBe(true);
  });
});
