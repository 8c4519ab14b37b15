import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { evaluateInWorker } from '../lab/inspector.ts';
import { freePort, Lab, labMissing, pingReplies, startXsiftr, withLab, XSIFTR, type Xsiftr } from '../lab/netns.ts';
import { Running, run } from '../lab/process.ts';

/** What becomes of an interface when xsiftr starts, stops and dies. */
describe.skipIf(labMissing('curl', 'iperf3') !== '')(`the life of a daemon ${labMissing('curl', 'iperf3')}`, () => {
  let lab: Lab;
  beforeEach(async () => {
    lab = await Lab.create('life', { queues: 2 });
  });
  afterEach(() => lab.remove());

  const pidOf = (x: Xsiftr): Promise<number> =>
    run(['curl', '-s', '--unix-socket', x.control, 'http://x/info']).then(
      (r) => (JSON.parse(r.stdout) as { pid: number }).pid,
    );

  async function givenBack(): Promise<void> {
    expect((await lab.near('ip -d link show ix1')).stdout).not.toContain('xdp');
    expect(existsSync(`/run/xsiftr/ix1@${lab.nearNs}.undo`)).toBe(false);
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1')).code).toBe(0);
  }

  it('announces itself in the manner of dmesg, serves, and gives the interface back on SIGINT with exit status 0', async () => {
    const x = await startXsiftr(lab);
    expect(x.attachLine).toMatch(
      /^ix1 at veth dev 0 "veth", native xdp, copy, 2 queues, UMEM 128 MiB, address ([0-9a-f]{2}:){5}[0-9a-f]{2}$/,
    );
    expect(x.lines[1]).toBe("ix1: 192.0.2.1/24 (the kernel's), MTU 1500, serving http 80, iperf3 5201, discard 9");
    expect(pingReplies((await lab.far('ping -c 2 -i 0.2 -w 10 192.0.2.1')).stdout)).toBeGreaterThanOrEqual(2);
    expect((await lab.far('curl -s -m 5 http://192.0.2.1/bytes/100000 | wc -c')).stdout).toBe('100000');
    expect(await x.stop()).toBe(0);
    expect(x.lines.join('\n')).toMatch(
      /ix1: stopped \(SIGINT\) after .*\n.*, 1 connection, 0 dropped\n.*SIFTR wrote \d+ lines/,
    );
    expect(existsSync(x.control)).toBe(false);
    await givenBack();
  });

  it('ends on SIGTERM and by --duration with exit status 0, and prints the summary as JSON with --json', async () => {
    const x = await startXsiftr(lab);
    x.running.signal('SIGTERM');
    expect(await x.running.exited).toBe(0);
    await givenBack();
    const r = await run([
      XSIFTR,
      '-i',
      'ix1',
      '--netns',
      lab.nearNs,
      '--no-siftr',
      '--metrics',
      'none',
      '--json',
      '-t',
      '500ms',
      '--control',
      join(lab.dir, 'd'),
    ]);
    expect(JSON.parse(r.stdout)).toMatchObject({
      iface: 'ix1',
      queues: 2,
      reason: 'duration',
      failed: [],
      siftr: { logs: [] },
    });
    await givenBack();
  });

  it('finishes its set-up and ends in order when SIGTERM comes during it', async () => {
    const control = join(lab.dir, 'early.sock');
    const log = join(lab.dir, 'early.log');
    const x = new Running([
      ...[XSIFTR, '-i', 'ix1', '--netns', lab.nearNs, '--metrics', 'none', '--control', control],
      ...['--siftr-log', log, '--mtu', '1400'],
    ]);
    // The log is opened when the interface is taken, before the shards run.
    await expect.poll(() => existsSync(log) && readFileSync(log, 'utf8').length > 0, { interval: 2 }).toBe(true);
    x.signal('SIGTERM');
    expect(await x.exited).toBe(0);
    expect(readFileSync(log, 'utf8')).toMatch(/^enable_time_secs=.*\ndisable_time_secs=.*\n$/);
    expect((await lab.near('cat /sys/class/net/ix1/mtu')).stdout).toBe('1500');
    await givenBack();
  });

  it('leaves the interface usable by the kernel at once when it is killed in the middle of a transfer', async () => {
    const x = await startXsiftr(lab, ['--mtu', '1400']);
    const pid = await pidOf(x);
    const transfer = lab.spawnFar(['curl', '-s', '-o', '/dev/null', 'http://192.0.2.1/bytes/10000000000']);
    await expect.poll(async () => (await x.command(['netstat'])).stdout).toContain('ESTABLISHED');
    process.kill(pid, 'SIGKILL');
    expect(await x.running.exited).toBe(137);
    expect((await lab.far('ping -c 1 -W 1 192.0.2.1')).code).toBe(0);
    await transfer.stop();
    // The guard has put the MTU back and taken its file away.
    await expect.poll(async () => (await lab.near('cat /sys/class/net/ix1/mtu')).stdout).toBe('1500');
    await givenBack();
  });

  it('is found by its interface with a --control of its own, whose socket the next start replaces after kill -9', async () => {
    const runDir = join(lab.dir, 'run');
    const env = { ...process.env, XSIFTR_RUN_DIR: runDir };
    const x = await startXsiftr(lab, ['--user', 'nobody'], { env });
    const listed = `ix1 in namespace ${lab.nearNs}: pid ${await pidOf(x)}, `;
    const bare = async () => (await run([XSIFTR], { env, check: false })).stderr;
    expect(await bare()).toMatch(new RegExp(`\\n  ${listed}.*, control ${x.control}$`));
    expect((await run([XSIFTR, 'kstat', '-i', 'ix1', 'txq'], { env })).stdout).toContain('ix1:0:txq:0');
    process.kill(await pidOf(x), 'SIGKILL');
    await x.running.exited;
    expect(existsSync(x.control)).toBe(true);
    expect(await bare()).toMatch(/Running: none$/);
    await expect.poll(() => readdirSync(runDir)).toEqual([]);
    const y = await startXsiftr(lab, [], { env });
    expect((await run([XSIFTR, 'wait', '-i', 'ix1'], { env })).code).toBe(0);
    expect(readdirSync(runDir).sort()).toEqual([`ix1@${lab.nearNs}.control`, `ix1@${lab.nearNs}.undo`]);
    expect(await y.stop()).toBe(0);
    expect(readdirSync(runDir)).toEqual([]);
    expect(existsSync(y.control)).toBe(false);
  });

  it('undoes by `xsiftr restore` what a process left whose guard was killed too', async () => {
    const x = await startXsiftr(lab, ['--mtu', '1400']);
    const pid = await pidOf(x);
    const guard = (await run(['pgrep', '-P', String(pid), 'xsiftr-guard'])).stdout.trim();
    process.kill(Number(guard), 'SIGKILL');
    await x.running.waitLine(/should xsiftr die now, run xsiftr restore/);
    process.kill(pid, 'SIGKILL');
    await x.running.exited;
    expect((await lab.near('cat /sys/class/net/ix1/mtu')).stdout).toBe('1400');
    // Options before the command narrow it down as well.
    const other = await run([XSIFTR, '--iface', 'ix1', '--netns', lab.farNs, 'restore']);
    expect(other.stdout).toBe('ix1: nothing to undo');
    const r = await run([XSIFTR, 'restore', 'ix1', '--netns', lab.nearNs]);
    expect(r.stdout).toMatch(/^ix1@\S+: put back .*mtu 1500/);
    expect((await lab.near('cat /sys/class/net/ix1/mtu')).stdout).toBe('1500');
    await givenBack();
    expect((await run([XSIFTR, 'restore', 'ix1', '--netns', lab.nearNs])).stdout).toBe('ix1: nothing to undo');
  });

  it('undoes what a dead process left when it is started again', async () => {
    const x = await startXsiftr(lab, ['--mtu', '1400']);
    const pid = await pidOf(x);
    const guard = (await run(['pgrep', '-P', String(pid), 'xsiftr-guard'])).stdout.trim();
    process.kill(Number(guard), 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    await x.running.exited;
    const again = await startXsiftr(lab);
    expect(again.lines[1]).toContain('MTU 1500');
    expect(await again.stop()).toBe(0);
    await givenBack();
  });

  it.each([
    ['shard-1', 'shard 1'],
    ['siftr-writer', 'the SIFTR writer'],
  ])(
    'ends with a clear line and exit status 1, the interface given back, when the worker %s dies',
    async (title, name) => {
      const port = await freePort();
      const env = { ...process.env, NODE_OPTIONS: `--inspect=127.0.0.1:${port}` };
      const x = await startXsiftr(lab, [], { env });
      await evaluateInWorker(port, new RegExp(title), 'setImmediate(() => { throw new Error("broken on purpose"); })');
      expect(await x.running.exited).toBe(1);
      expect(x.running.errorLines.join('\n')).toMatch(new RegExp(`xsiftr: ${name} died: .*broken on purpose`));
      expect(x.lines.join('\n')).toMatch(new RegExp(`ix1: stopped \\(${name} died`));
      await givenBack();
    },
  );

  it('opens the SIFTR log again on SIGHUP, and the new file begins with an enable line', async () => {
    const x = await startXsiftr(lab);
    await lab.far('curl -s -m 5 -o /dev/null http://192.0.2.1/');
    const old = `${x.siftrLog}.1`;
    renameSync(x.siftrLog, old);
    x.running.signal('SIGHUP');
    await expect.poll(() => existsSync(x.siftrLog)).toBe(true);
    await lab.far('curl -s -m 5 -o /dev/null http://192.0.2.1/');
    expect(await x.stop()).toBe(0);
    const lines = readFileSync(x.siftrLog, 'latin1').trimEnd().split('\n');
    expect(lines[0]).toMatch(/^enable_time_secs=\d+\t/);
    expect(lines.at(-1)).toMatch(/^disable_time_secs=\d+\t/);
    expect(lines.length).toBeGreaterThan(4);
    expect(readFileSync(old, 'latin1')).toMatch(/^enable_time_secs=/);
  });

  it('holds no capability in any thread after set-up, and runs as --user', async () => {
    const x = await startXsiftr(lab, ['--user', 'nobody']);
    const pid = await pidOf(x);
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
        expect(status, `thread ${tid}`).toMatch(new RegExp(`^${set}:\\t0+$`, 'm'));
      }
      expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
    }
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1')).code).toBe(0);
    expect((await lab.far('curl -s -m 5 http://192.0.2.1/bytes/5000 | wc -c')).stdout).toBe('5000');
    expect(await x.stop()).toBe(0);
    await givenBack();
  });

  it("keeps the kernel's addresses reachable with an address of its own, and puts the queues back", async () => {
    const x = await startXsiftr(lab, ['--addr', '192.0.2.7/24', '--queues', '1', '--xdp', 'generic']);
    expect(x.attachLine).toContain('generic xdp');
    expect(x.attachLine).toMatch(/1 queue of 2/);
    expect((await lab.far('ping -c 1 -W 2 192.0.2.7')).code).toBe(0);
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1')).code).toBe(0);
    expect((await lab.far('curl -s -m 5 http://192.0.2.7/bytes/5000 | wc -c')).stdout).toBe('5000');
    expect((await lab.far('curl -s -m 5 http://192.0.2.1/', { check: false })).code).toBe(7);
    expect(await x.stop()).toBe(0);
    expect((await lab.near('ethtool -l ix1 | tail -5')).stdout).toMatch(/RX:\s+2/);
    await givenBack();
  });

  it('prints SIFTR lines alone on standard output with --siftr-log -', async () => {
    const x = await startXsiftr(lab, ['--siftr-log', '-']);
    await lab.far('curl -s -m 5 -o /dev/null http://192.0.2.1/');
    expect(await x.stop()).toBe(0);
    expect(x.lines[0]).toMatch(/^enable_time_secs=/);
    expect(x.lines.at(-1)).toMatch(/^disable_time_secs=/);
    for (const line of x.lines.slice(1, -1)) expect(line.split(',')).toHaveLength(27);
    expect(x.running.errorLines.join('\n')).toMatch(/^ix1 at veth[\s\S]*given back to the kernel/);
  });

  it('ends the SIFTR cycle with a disable line and one warning when --siftr-limit is reached', async () => {
    const x = await startXsiftr(lab, ['--siftr-limit', '64K']);
    await lab.far('curl -s -m 20 -o /dev/null http://192.0.2.1/bytes/20000000');
    await x.running.waitLine(/SIFTR log .* its limit/);
    expect((await x.command(['sysctl', '-n', 'net.inet.siftr.enabled'])).stdout).toBe('0');
    expect(readFileSync(x.siftrLog, 'latin1').trimEnd().split('\n').at(-1)).toMatch(/^disable_time_secs=/);
    expect(await x.stop()).toBe(0);
    expect(x.running.errorLines.filter((line) => /its limit/.test(line))).toHaveLength(1);
  });

  it('answers addresses beyond --gateway by it', async () => {
    await lab.far('ip addr add 203.0.113.9/32 dev lo');
    const x = await startXsiftr(lab, ['--addr', '192.0.2.7/24', '--gateway', '192.0.2.2']);
    expect((await lab.far('ping -c 1 -W 2 -I 203.0.113.9 192.0.2.7')).code).toBe(0);
    expect((await lab.far('curl -s -m 5 --interface 203.0.113.9 http://192.0.2.7/bytes/5000 | wc -c')).stdout).toBe(
      '5000',
    );
    expect(await x.stop()).toBe(0);
  });

  it('names the ethtool line once when a peer sends more than a frame at once', async () => {
    const x = await startXsiftr(lab, ['--xdp', 'generic']);
    await lab.far('iperf3 -c 192.0.2.1 -t 1', { check: false });
    const line = await x.running.waitLine(/frames longer than the MTU/);
    expect(line).toContain(`ip netns exec ${lab.farNs} ethtool -K peer0 tso off gso off`);
    expect((await x.command(['kstat', 'xsk'])).stdout).toMatch(/rx_oversize: [1-9]\d* packets/);
    expect(await x.stop()).toBe(0);
  });

  it('puts packets before programs: its shards and its session run at nice -5, or as --nice says', async () => {
    const nices = (x: Xsiftr): { shards: number[]; writer: number[]; group: string } => {
      const proc = `/proc/${x.running.pid}`;
      const of = (name: RegExp): number[] =>
        readdirSync(`${proc}/task`).flatMap((tid) => {
          const stat = readFileSync(`${proc}/task/${tid}/stat`, 'latin1');
          // Field 19 of proc_pid_stat(5); what follows the name begins with field 3.
          return name.test(stat) ? Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]) : [];
        });
      return {
        shards: of(/\(shard-\d/),
        writer: of(/\(siftr-writer/),
        group: readFileSync(`${proc}/autogroup`, 'latin1').trim(),
      };
    };
    const x = await startXsiftr(lab, ['-q', '2']);
    const usual = nices(x);
    expect(usual.shards).toEqual([-5, -5]);
    // The log waits for the packets.
    expect(usual.writer).toEqual([5]);
    expect(usual.group).toMatch(/nice -5$/);
    expect(await x.stop()).toBe(0);
    const asked = await startXsiftr(lab, ['-q', '2', '--nice', '7']);
    expect(nices(asked).shards).toEqual([7, 7]);
    expect(nices(asked).writer).toEqual([7]);
    expect(nices(asked).group).toMatch(/nice 7$/);
    expect(await asked.stop()).toBe(0);
  });

  it('reads its options from --config, under the names of the command line', async () => {
    const file = join(lab.dir, 'x.yaml');
    await run([
      'sh',
      '-c',
      'printf "serve: [daytime]\\nno-siftr: true\\nsysctl: [net.inet.ip.ttl=33]\\n" > "$0"',
      file,
    ]);
    const x = await startXsiftr(lab, ['--config', file, '--no-siftr']);
    expect(x.lines[1]).toContain('serving daytime 13');
    expect((await x.command(['sysctl', 'net.inet.ip.ttl'])).stdout).toBe('net.inet.ip.ttl: 33');
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1')).stdout).toContain('ttl=33');
    expect(await x.stop()).toBe(0);
  });
});

describe.skipIf(labMissing() !== '')(`memory ${labMissing()}`, () => {
  it('takes at most 160 MB beside the UMEM for four idle queues', () =>
    withLab('mem', { queues: 4 }, async (lab) => {
      // The first start fills the cache of compiled code.
      expect(await (await startXsiftr(lab)).stop()).toBe(0);
      const x = await startXsiftr(lab);
      expect(x.attachLine).toContain('4 queues, UMEM 256 MiB');
      const info = JSON.parse((await run(['curl', '-s', '--unix-socket', x.control, 'http://x/info'])).stdout) as {
        pid: number;
      };
      const status = readFileSync(`/proc/${info.pid}/status`, 'utf8');
      const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]);
      expect((kib('VmRSS') - kib('RssShmem')) / 1024).toBeLessThanOrEqual(160);
      expect(await x.stop()).toBe(0);
    }));
});
