import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, labMissing, startXsiftr, XSIFTR, type Xsiftr } from '../lab/netns.ts';
import { Running, run } from '../lab/process.ts';

/** The commands that talk to a running instance. */
describe.skipIf(labMissing('curl') !== '')(`commands on a running instance ${labMissing('curl')}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  beforeAll(async () => {
    lab = await Lab.create('cli', { queues: 2 });
    x = await startXsiftr(lab, ['--serve', 'http,echo', '--sysctl', 'net.inet.tcp.keepidle=1000000']);
    await lab.far('ping -c 3 -i 0.2 192.0.2.1');
    await lab.far('curl -s -o /dev/null http://192.0.2.1/bytes/100000');
  });
  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  const refused = (words: string[]) => x.command(words, { check: false });

  it('sysctl prints one knob, a node, all of them, and descriptions', async () => {
    expect((await x.command(['sysctl', 'net.inet.tcp.keepidle'])).stdout).toBe('net.inet.tcp.keepidle: 1000000');
    expect((await x.command(['sysctl', '-n', 'net.inet.tcp.keepidle'])).stdout).toBe('1000000');
    const node = (await x.command(['sysctl', 'net.inet.siftr'])).stdout.split('\n');
    expect(node).toContain('net.inet.siftr.enabled: 1');
    expect(node).toContain(`net.inet.siftr.logfile: ${x.siftrLog}`);
    expect((await x.command(['sysctl', '-a'])).stdout.split('\n').length).toBeGreaterThan(30);
    expect((await x.command(['sysctl', '-d', 'net.inet.ip.ttl'])).stdout).toMatch(/^net\.inet\.ip\.ttl: Time to live/);
  });

  it('sysctl sets a knob in every shard and shows the value before and after', async () => {
    expect((await x.command(['sysctl', 'net.inet.ip.ttl=77'])).stdout).toBe('net.inet.ip.ttl: 64 -> 77');
    expect((await lab.far('ping -c 1 192.0.2.1')).stdout).toContain('ttl=77');
    await x.command(['sysctl', 'net.inet.ip.ttl=64']);
  });

  it('sysctl refuses as sysctl(8) does: the old value on standard output, the reason on standard error, exit status 1', async () => {
    const range = await refused(['sysctl', 'net.inet.ip.ttl=0']);
    expect(range).toMatchObject({ code: 1, stdout: 'net.inet.ip.ttl: 64' });
    expect(range.stderr).toMatch(/^sysctl: net\.inet\.ip\.ttl=0: out of range; allowed: 1\.\.255/);
    const junk = await refused(['sysctl', 'net.inet.siftr.ppl=x']);
    expect(junk.stderr).toMatch(/invalid unsigned integer 'x'/);
    expect(await refused(['sysctl', 'net.inet.nosuch'])).toMatchObject({
      code: 1,
      stderr: "sysctl: unknown oid 'net.inet.nosuch'",
    });
    expect((await refused(['sysctl'])).code).toBe(2);
  });

  it('sysctl does every word in its order, also after one that failed, and reads what it has just set', async () => {
    const r = await refused([
      'sysctl',
      '-w',
      'net.inet.ip.ttl=50',
      'net.inet.ip.ttl',
      'net.inet.nosuch=1',
      '=1',
      'net.inet.tcp=1',
      'net.inet.tcp.cc.available=x',
      'net.inet.tcp.syncache.hashsize=1024',
      'net.inet.tcp.keepcnt=x',
      'net.inet.tcp.keepcnt=',
      'net.inet.ip.ttl = 0x40',
    ]);
    expect(r).toMatchObject({
      code: 1,
      stdout: 'net.inet.ip.ttl: 64 -> 50\nnet.inet.ip.ttl: 50\nnet.inet.ip.ttl: 50 -> 64',
    });
    expect(r.stderr.split('\n')).toEqual([
      "sysctl: unknown oid 'net.inet.nosuch'",
      "sysctl: unknown oid ''",
      "sysctl: oid 'net.inet.tcp' isn't a leaf node",
      "sysctl: oid 'net.inet.tcp.cc.available' is read only",
      expect.stringMatching(
        /^sysctl: oid 'net\.inet\.tcp\.syncache\.hashsize' is a read only tunable; set it at start/,
      ),
      expect.stringMatching(/^sysctl: net\.inet\.tcp\.keepcnt=x: invalid integer 'x'; allowed: /),
      expect.stringMatching(/^sysctl: net\.inet\.tcp\.keepcnt=: empty numeric value; allowed: /),
    ]);
  });

  it('sysctl -d sets nothing, -q keeps quiet about unknown names, -e gives back what sets the same', async () => {
    expect((await x.command(['sysctl', '-d', 'net.inet.ip.ttl=1'])).stdout).toMatch(
      /^net\.inet\.ip\.ttl: Time to live/,
    );
    expect((await x.command(['sysctl', '-n', 'net.inet.ip.ttl'])).stdout).toBe('64');
    expect(await refused(['sysctl', '-q', 'net.inet.nosuch'])).toEqual({ code: 1, stdout: '', stderr: '' });
    expect((await x.command(['sysctl', '-n', 'net.inet.ip.ttl=64'])).stdout).toBe('64 -> 64');
    expect((await x.command(['sysctl', '-N', 'net.inet.ip.ttl'])).stdout).toBe('net.inet.ip.ttl');
    const all = (await x.command(['sysctl', '-e', 'net.inet.ip', 'net.inet.icmp', 'kern'])).stdout.split('\n');
    const again = (await x.command(['sysctl', ...all])).stdout.split('\n');
    expect(again).toEqual(all.map((l) => l.replace(/^(.*)=(.*)$/, '$1: $2 -> $2')));
  });

  it('sysctl leaves a line of each change in the log of the instance, and none of what was refused', async () => {
    await refused(['sysctl', 'net.inet.tcp.keepcnt=x', 'net.inet.ip.ttl=33', 'net.inet.ip.ttl=64']);
    const told = x.running.errorLines.map((l) => (JSON.parse(l) as { msg: string }).msg);
    expect(told).toContain('sysctl net.inet.ip.ttl: 64 -> 33');
    expect(told.filter((l) => l.includes('keepcnt'))).toEqual([]);
  });

  it('sysctl turns SIFTR off and on again', async () => {
    expect((await x.command(['sysctl', 'net.inet.siftr.enabled=0'])).stdout).toBe('net.inet.siftr.enabled: 1 -> 0');
    expect((await x.command(['sysctl', 'net.inet.siftr.enabled=1'])).stdout).toBe('net.inet.siftr.enabled: 0 -> 1');
  });

  it('kstat prints both queues, by name, by pattern and by the four parts', async () => {
    const all = (await x.command(['kstat'])).stdout;
    for (const name of ['rxq:0', 'rxq:1', 'txq:0', 'txq:1', 'xsk:0', 'fill-ring:1'])
      expect(all).toContain(`ix1:0:${name}`);
    const rxq = (await x.command(['kstat', 'rxq'])).stdout;
    expect(rxq).toMatch(/^ix1:0:rxq:0\n {9}packets: \d+ packets\n {11}bytes: \d+ bytes\n/);
    expect(rxq).not.toContain('txq');
    expect((await x.command(['kstat', 'ix*::txq:1'])).stdout).toMatch(/^ix1:0:txq:1\n/);
    expect(await refused(['kstat', 'a:b'])).toMatchObject({ code: 2 });
    expect(await refused(['kstat', '-w', '0'])).toMatchObject({ code: 2 });
  });

  it('kstat -w prints again every interval', async () => {
    const running = lab.keep(new Running([XSIFTR, 'kstat', '-w', '1', 'ix1::rxq:0', '--control', x.control]));
    await expect
      .poll(() => running.lines.filter((l) => l === 'ix1:0:rxq:0').length, { timeout: 8000 })
      .toBeGreaterThan(1);
    await running.stop();
  });

  it('kstat -w ends when nobody reads on, and waits as long as it is told', async () => {
    const script = `set -o pipefail; ${XSIFTR} kstat -w 1 ix1::rxq:0 --control ${x.control} | head -1`;
    expect(await run(['bash', '-c', script])).toMatchObject({ stdout: 'ix1:0:rxq:0', stderr: '' });
    const long = lab.keep(new Running([XSIFTR, 'kstat', '-w', '4294967295', 'ix1::rxq:0', '--control', x.control]));
    await long.waitLine(/dequeues/);
    await run([XSIFTR, 'kstat', '--control', x.control]);
    expect(long.lines.filter((l) => l === 'ix1:0:rxq:0')).toHaveLength(1);
    expect(long.errorLines).toEqual([]);
    await long.stop();
  });

  it('netstat prints connections, listeners with -a, statistics with -s, and only what is not zero with -s -s', async () => {
    const an = (await x.command(['netstat', '-an'])).stdout;
    expect(an).toMatch(/^Active Internet connections \(including servers\)\nProto {3}Recv-Q Send-Q/);
    expect(an).toMatch(/^tcp +0 +0 {2}\*\.80 +\*\.\* +LISTEN$/m);
    expect((await x.command(['netstat', '-an', '-p', 'tcp'])).stdout).toContain('*.7 ');
    const s = (await x.command(['netstat', '-s'])).stdout;
    const ss = (await x.command(['netstat', '-ss'])).stdout;
    expect(s).toContain('\t0 ');
    expect(ss).not.toMatch(/^\t+0 /m);
    expect((await x.command(['netstat', '-s', '-s', '-p', 'icmp'])).stdout).toMatch(/^icmp:\n[\s\S]*\t\techo: \d+/);
    expect(await refused(['netstat', '-s', '-p', 'gopher'])).toMatchObject({ code: 2 });
  });

  it('finds the instance by --control and XSIFTR_CONTROL, and says so when nobody answers', async () => {
    expect((await run([XSIFTR, '--control', x.control, 'kstat', 'txq'])).stdout).toContain('ix1:0:txq:0');
    const env = { ...process.env, XSIFTR_CONTROL: x.control };
    expect((await run([XSIFTR, 'kstat', 'txq'], { env })).stdout).toContain('ix1:0:txq:0');
    const none = join(lab.dir, 'none.sock');
    const r = await run([XSIFTR, 'kstat', '--control', none], { check: false });
    expect(r.code).toBe(1);
    expect(r.stderr).toMatch(/^xsiftr: --control \S+: no xsiftr answers there \(ENOENT\); /);
    const unknown = await run([XSIFTR, 'kstat', '--iface', 'nosuch9'], { check: false });
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toMatch(/^xsiftr: --iface nosuch9: no running xsiftr serves it; /);
  });

  it('wait returns for an instance that is ready and gives up after --timeout', async () => {
    expect((await x.command(['wait', '--timeout', '5s'])).code).toBe(0);
    const r = await run([XSIFTR, 'wait', '--timeout', '300ms', '--control', join(lab.dir, 'none.sock')], {
      check: false,
    });
    expect(r.code).toBe(1);
    expect(r.stderr).toMatch(/was not ready within 300ms/);
  });

  it('prints the help and what is running without any argument, with exit status 2', async () => {
    const r = await run([XSIFTR], { check: false });
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/^Usage: xsiftr --iface IF/);
    expect(r.stderr).toMatch(/Running:/);
    const help = await run([XSIFTR, '--help']);
    expect(help.stdout).toContain('--siftr-port-filter');
    expect((await run([XSIFTR, '--version'])).stdout).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('keeps the control socket for root alone', async () => {
    expect((await run(['stat', '-c', '%a %F', x.control])).stdout).toBe('600 socket');
  });

  it('serves /metrics and /healthz, from this namespace and not from that of the interface', async () => {
    const health = await fetch(`${x.metrics}/healthz`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({ ok: true, iface: 'ix1', shards: [{ alive: true }, { alive: true }] });
    const text = await (await fetch(`${x.metrics}/metrics`)).text();
    expect(text).toMatch(/^xsiftr_rxq_packets_total\{iface="ix1",queue="0"\} \d+$/m);
    expect(text).toMatch(/^xsiftr_rxq_packets_total\{iface="ix1",queue="1"\} \d+$/m);
    expect(text).toMatch(/^xsiftr_build_info\{version="[\d.]+",node="[\d.]+"\} 1$/m);
  });

  it.skipIf(labMissing('promtool') !== '')('has metrics that promtool finds no fault with', async () => {
    const text = await (await fetch(`${x.metrics}/metrics`)).text();
    const r = await run(['promtool', 'check', 'metrics'], { input: text, check: false });
    expect(r.stderr + r.stdout).toBe('');
    expect(r.code).toBe(0);
  });
});

/** Two instances, each on an ix1 in a namespace of its own: one started with --netns, the other inside of its namespace. */
describe.skipIf(labMissing() !== '')(`commands beside a second instance ${labMissing()}`, () => {
  const socketOf = (lab: Lab): string => `/run/xsiftr/ix1@${lab.nearNs}.sock`;
  let one: Lab;
  let two: Lab;
  let inside: Running;
  beforeAll(async () => {
    one = await Lab.create('two');
    two = await Lab.create('two');
    await startXsiftr(one, ['--no-siftr', '--control', socketOf(one), '--sysctl', 'net.inet.ip.ttl=11']);
    const words = [XSIFTR, '-i', 'ix1', '--no-siftr', '--metrics', 'none', '--control', socketOf(two)];
    inside = two.spawnNear([...words, '--sysctl', 'net.inet.ip.ttl=22']);
    await run([XSIFTR, 'wait', '-i', 'ix1', '--netns', two.nearNs, '--timeout', '20s']);
  });
  afterAll(async () => {
    await two?.remove();
    await one?.remove();
  });

  it('finds each by --netns, before the command or after it', async () => {
    const ttl = ['sysctl', '-n', 'net.inet.ip.ttl'];
    expect((await run([XSIFTR, ...ttl, '-i', 'ix1', '--netns', one.nearNs])).stdout).toBe('11');
    expect((await run([XSIFTR, ...ttl, '--netns', two.nearNs])).stdout).toBe('22');
    expect((await run([XSIFTR, '--netns', two.nearNs, ...ttl])).stdout).toBe('22');
    expect((await run([XSIFTR, 'kstat', '--netns', one.nearNs, 'rxq'])).stdout).toMatch(/^ix1:0:rxq:0$/m);
    expect((await run([XSIFTR, 'netstat', '-s', '-p', 'ip', '--netns', two.nearNs])).stdout).toMatch(/^ip:/);
  });

  it.each([
    ['sysctl', '-a'],
    ['sysctl', '-w', 'net.inet.ip.ttl=33'],
    ['kstat'],
    ['netstat', '-s'],
    ['ss'],
    ['sockstat'],
    ['tcpdrop', '-a'],
    ['wait', '--timeout', '1s'],
  ])('refuses %s %s for an interface name that both have, in one line with exit status 2', async (...words) => {
    const r = await run([XSIFTR, ...words, '--iface', 'ix1'], { check: false });
    expect(r).toMatchObject({ code: 2, stdout: '' });
    expect(r.stderr).toMatch(/^xsiftr: --iface ix1: \d+ instances are running; choose one with .*$/);
    expect(r.stderr).toContain(`--netns ${one.nearNs} (pid `);
    expect(r.stderr).toContain(`--netns ${two.nearNs} (pid ${inside.pid})`);
    expect(r.stderr).not.toContain('\n');
  });

  it('says what runs when a namespace has none', async () => {
    const r = await run([XSIFTR, 'kstat', '-i', 'ix1', '--netns', one.farNs], { check: false });
    expect(r.code).toBe(2);
    expect(r.stderr).toMatch(/^xsiftr: --iface ix1 --netns \S+: no running xsiftr serves it; running: /);
    expect(r.stderr).toContain(`ix1 in namespace ${one.nearNs}`);
    const late = await run([XSIFTR, 'wait', '--timeout', '200ms', '-i', 'ix1', '--netns', one.farNs], { check: false });
    expect(late).toMatchObject({
      code: 1,
      stderr: `xsiftr: wait: no instance on ix1 in namespace ${one.farNs} was ready within 200ms`,
    });
  });
});
