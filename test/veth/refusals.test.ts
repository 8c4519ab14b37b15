import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type Lab, Lab as Labs, labMissing, startXsiftr, XSIFTR } from '../lab/netns.ts';
import { type Result, type RunOptions, run } from '../lab/process.ts';

/** Refusals (DESIGN.md, "Bad input"): one line that says what was given, what is allowed and what to do; nothing is touched. */
describe.skipIf(labMissing() !== '')(`refusals of the command line ${labMissing()}`, () => {
  let lab: Lab;
  let metricsPort = 0;
  beforeAll(async () => {
    lab = await Labs.create('ref', { queues: 2 });
    metricsPort = await freePort();
  });
  afterAll(() => lab?.remove());

  const own = (): string[] => [
    '--control',
    join(lab.dir, 'c.sock'),
    '--siftr-log',
    join(lab.dir, 'siftr.log'),
    '--metrics',
    `127.0.0.1:${metricsPort}`,
  ];

  /** Runs xsiftr on the lab's interface and expects it to refuse at once. */
  async function refused(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const result = await run([XSIFTR, '--iface', 'ix1', '--netns', lab.nearNs, ...own(), ...args], {
      check: false,
      timeout: 15_000,
      ...options,
    });
    expect(result.stdout).toBe('');
    expect(result.stderr.split('\n').every((line) => line.startsWith('xsiftr: '))).toBe(true);
    return result;
  }

  /** A server of the kernel's TCP on the lab's interface. */
  const kernelListener = (port: number) =>
    lab.spawnNear([process.execPath, '-e', `require('node:net').createServer().listen(${port}, '0.0.0.0')`]);

  /** The interface is as it was: no XDP program, both queues, the kernel answers. */
  async function untouched(): Promise<void> {
    const link = await lab.near('ip -d link show ix1');
    expect(link.stdout).not.toContain('xdp');
    expect((await lab.near('ethtool -l ix1 | tail -5')).stdout).toMatch(/RX:\s+2/);
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1')).code).toBe(0);
    expect(existsSync(join(lab.dir, 'c.sock'))).toBe(false);
  }

  it.each(['0', '-1', '1.5', 'x', ''])('refuses --queues %j with exit status 2 and touches nothing', async (queues) => {
    const r = await refused(['--queues', queues]);
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/^xsiftr: --queues.*whole number/);
    await untouched();
  });

  it('refuses more queues than the interface has and names the ethtool line that gives it more', async () => {
    await lab.near('ethtool -L ix1 rx 1 tx 1');
    const r = await refused(['--queues', '2']);
    await lab.near('ethtool -L ix1 rx 2 tx 2');
    expect(r.code).toBe(2);
    expect(r.stderr).toBe(
      'xsiftr: --queues 2: ix1 has 1 receive queue; use --queues 1, or give it more with ethtool -L ix1 rx 2',
    );
  });

  it('refuses more queues than the interface can have', async () => {
    const r = await refused(['--queues', '3']);
    expect(r.code).toBe(2);
    expect(r.stderr).toBe('xsiftr: --queues 3: ix1 has 2 receive queues; use --queues 2, which is all it can have');
  });

  it('refuses an unknown interface and names those that there are', async () => {
    const r = await run([XSIFTR, '--iface', 'ix9', '--netns', lab.nearNs], { check: false });
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/^xsiftr: --iface ix9: no such interface in network namespace \S+; there is .*ix1/);
  });

  it('refuses an unknown namespace', async () => {
    const r = await run([XSIFTR, '--iface', 'ix1', '--netns', 'nosuchns'], { check: false });
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/^xsiftr: --netns nosuchns: no such network namespace/);
  });

  it('refuses the loopback interface', async () => {
    const r = await run([XSIFTR, '--iface', 'lo', '--netns', lab.nearNs], { check: false });
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/^xsiftr: --iface lo: is no Ethernet interface/);
  });

  it('refuses an interface that is down and says how to bring it up', async () => {
    await lab.near('ip link set ix1 down');
    const r = await refused([]);
    await lab.near('ip link set ix1 up');
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/the interface is down; bring it up with ip netns exec \S+ ip link set ix1 up$/);
  });

  it.each([
    [['--fast'], /^xsiftr: unknown option --fast; allowed are --iface, --queues, /],
    [['--qeues', '1'], /^xsiftr: unknown option --qeues \(--queues\?\); allowed are /],
    [['--serve', 'gopher'], /^xsiftr: --serve gopher: unknown service gopher; allowed are http, iperf3, discard, /],
    [['--addr', '192.0.2.7'], /^xsiftr: --addr 192\.0\.2\.7: the prefix length is missing/],
    [['--addr', '192.0.2.300/24'], /^xsiftr: --addr 192\.0\.2\.300\/24: not an IPv4 address/],
    [['--addr', '192.0.2.7/33'], /^xsiftr: --addr 192\.0\.2\.7\/33: the prefix length must be 1 to 32/],
    [['--gateway', 'x'], /^xsiftr: --gateway x: not an IPv4 address/],
    [
      ['--sysctl', 'net.inet.tcp.nosuch=1'],
      /^xsiftr: --sysctl net\.inet\.tcp\.nosuch=1: unknown oid 'net\.inet\.tcp\.nosuch'/,
    ],
    [['--sysctl', 'net.inet.tcp.keepidel=1'], /unknown oid 'net\.inet\.tcp\.keepidel' \(net\.inet\.tcp\.keepidle\?\)/],
    [['--sysctl', 'net.inet.ip.ttl=300'], /^xsiftr: --sysctl net\.inet\.ip\.ttl=300: out of range; allowed: 1\.\.255/],
    [['--user', 'no-such-user-here'], /^xsiftr: --user no-such-user-here: no such user/],
    [['--queues'], /^xsiftr: .*--queues <N>.*value is missing/],
    [['surprise'], /^xsiftr: unknown command surprise; allowed are sysctl, /],
  ])('refuses %j in one line with exit status 2', async (args, message) => {
    const r = await refused(args);
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(message);
    expect(r.stderr).not.toContain('\n');
    await untouched();
  });

  it('refuses an interface whose address the kernel listens on, in a line for each reason, unless forced', async () => {
    const listener = kernelListener(2222);
    await expect.poll(async () => (await lab.near('ss -Htln')).stdout).toContain('2222');
    const r = await refused([]);
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/^xsiftr: --iface ix1: 1 kernel listener would no longer be reached .*--force=listeners$/);
    const dry = await run(
      [XSIFTR, '--iface', 'ix1', '--netns', lab.nearNs, ...own(), '--dry-run', '--force=listeners'],
      {},
    );
    expect(dry.stdout).toMatch(/dry run: nothing was changed$/);
    await listener.stop();
    await untouched();
  });

  it('refuses an interface that carries the default route, unless forced', async () => {
    await lab.near('ip route add default via 192.0.2.2');
    const r = await refused([]);
    await lab.near('ip route del default');
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/ix1 in \S+ carries the default route \(via 192\.0\.2\.2\)/);
  });

  it('lets --addr take an address of its own where the kernel listens', async () => {
    const listener = kernelListener(2222);
    const r = await run(
      [XSIFTR, '--iface', 'ix1', '--netns', lab.nearNs, ...own(), '--addr', '192.0.2.77/24', '--dry-run'],
      {},
    );
    expect(r.stdout).toContain(
      "would claim frames for 192.0.2.77/24, ARP included (of its own; the kernel's stay reachable)",
    );
    await listener.stop();
  });

  it('fails with exit status 1 when the port of --metrics is in use, and touches nothing', async () => {
    const server = createServer().listen(metricsPort, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const r = await refused([]);
    server.close();
    expect(r.code).toBe(1);
    expect(r.stderr).toBe(
      `xsiftr: --metrics 127.0.0.1:${metricsPort}: port in use; choose another one, as --metrics 127.0.0.1:${metricsPort + 1}, or --metrics none`,
    );
    await untouched();
  });

  it('fails with exit status 1 when the log cannot be written, and touches nothing', async () => {
    const r = await refused(['--siftr-log', join(lab.dir, 'missing', 'siftr.log')]);
    expect(r.code).toBe(1);
    expect(r.stderr).toMatch(/^xsiftr: SIFTR log .*missing\/siftr\.log: /);
    await untouched();
  });

  it('fails with exit status 1 without the rights, naming them', async () => {
    chmodSync(lab.dir, 0o755);
    const r = await run(
      ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--reuid=65534', '--clear-groups', XSIFTR, '--iface', 'lo'],
      {
        check: false,
      },
    );
    expect(r.code).not.toBe(0);
    const capless = await lab.near(
      ['setpriv', '--bounding-set=-all', '--inh-caps=-all', XSIFTR, '--iface', 'ix1', ...own()],
      {
        check: false,
      },
    );
    expect(capless.code).toBe(1);
    expect(capless.stderr).toMatch(/^xsiftr: taking an interface over needs root: CAP_NET_ADMIN, .*run it with sudo$/);
  });

  it('fails with exit status 1 when --config cannot be read, and with 2 when it is wrong', async () => {
    const missing = await refused(['--config', join(lab.dir, 'none.yaml')]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/^xsiftr: --config .*none\.yaml: cannot be read \(ENOENT\)/);
    const wrong = join(lab.dir, 'wrong.yaml');
    writeFileSync(wrong, 'queues: 1.5\n');
    const r = await refused(['--config', wrong]);
    expect(r.code).toBe(2);
    expect(r.stderr).toBe(
      `xsiftr: --config ${wrong}: queues 1.5: allowed is a whole number from 1 up to the receive queues of the interface; leave it out to use all of them`,
    );
  });

  it('refuses an interface that another instance serves, and a log and a socket that it holds', async () => {
    const x = await startXsiftr(lab);
    try {
      const again = await run(
        [
          XSIFTR,
          '--iface',
          'ix1',
          '--netns',
          lab.nearNs,
          '--metrics',
          'none',
          '--siftr-log',
          join(lab.dir, 'b.log'),
          '--control',
          join(lab.dir, 'b.sock'),
        ],
        { check: false },
      );
      expect(again.code).toBe(1);
      expect(again.stderr).toMatch(/^xsiftr: --iface ix1: xsiftr \(pid \d+\) runs on it already/);
      const other = await Labs.create('ref', {});
      try {
        const base = [XSIFTR, '--iface', 'ix1', '--netns', other.nearNs, '--metrics', 'none'];
        const sameLog = await run([...base, '--siftr-log', x.siftrLog, '--control', join(other.dir, 'c.sock')], {
          check: false,
        });
        expect(sameLog.code).toBe(1);
        expect(sameLog.stderr).toMatch(/^xsiftr: SIFTR log .*: another process writes to it/);
        const sameSocket = await run([...base, '--no-siftr', '--control', x.control], { check: false });
        expect(sameSocket.code).toBe(2);
        expect(sameSocket.stderr).toMatch(/^xsiftr: --control .*: another process listens there/);
        expect((await other.near('ip -d link show ix1')).stdout).not.toContain('xdp');
      } finally {
        await other.remove();
      }
      expect((await x.command(['netstat', '-s', '-p', 'ip'])).stdout).toMatch(/^ip:/);
    } finally {
      expect(await x.stop()).toBe(0);
    }
  });
});
