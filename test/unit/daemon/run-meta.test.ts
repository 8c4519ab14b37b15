import { arch, release } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../../src/daemon/plan.ts';
import { describeRun } from '../../../src/daemon/run-meta.ts';
import { Tuning } from '../../../src/daemon/tuning.ts';
import { VERSION } from '../../../src/daemon/version.ts';
import { parseAssignment } from '../../../src/stack/sysctl.ts';

const KEY = '00112233445566778899aabbccddeeff';

function setUp(sysctl: readonly string[]) {
  const tuning = new Tuning();
  tuning.boot(sysctl.map((text) => parseAssignment(text, 'boot')));
  const plan = {
    kind: 'unix',
    links: [{ name: 'lab0', path: '/run/lab.sock', role: 'server', mode: 'ether', mtu: 1400, mac: '', addrs: [] }],
    options: {
      queues: 1,
      sysctl: sysctl.map((text) => ({ name: text.split('=')[0], value: text.split('=')[1] })),
    },
  } as unknown as Plan;
  return { tuning, run: describeRun(plan, 'unix', tuning) };
}

describe('what a SIFTR log says of its run', () => {
  it('has version, kernel, interfaces and options', () => {
    const { run } = setUp(['net.inet.ip.ttl=33']);
    expect(run()).toMatchObject({
      program: { name: 'xsiftr', version: VERSION, node: process.versions.node },
      kernel: `Linux ${release()} ${arch()}`,
      interfaces: [{ name: 'lab0', driver: 'unix', bus: null, mtu: 1400, mode: 'ether', offloads: null }],
      options: { queues: 1, sysctl: [{ name: 'net.inet.ip.ttl', value: '33' }] },
      congestion_control: 'cubic',
      seed: null,
    });
  });

  it('has the sysctls that are not at their default at that time, numbers as numbers', async () => {
    const { tuning, run } = setUp(['net.inet.ip.ttl=33', 'net.inet.tcp.sack.enable=1']);
    expect(run().sysctls).toEqual({ 'net.inet.ip.ttl': 33 });
    await tuning.set('net.inet.ip.ttl', '64');
    await tuning.set('net.inet.tcp.cc.algorithm', 'newreno');
    expect(run()).toMatchObject({
      sysctls: { 'net.inet.tcp.cc.algorithm': 'newreno' },
      congestion_control: 'newreno',
    });
    expect(run().sysctls).not.toHaveProperty('net.inet.ip.ttl');
  });

  it('shows no key: logs are published', () => {
    const { run } = setUp([`net.inet.tcp.fastopen.setkey=${KEY}`]);
    expect(JSON.stringify(run())).not.toContain(KEY);
  });
});
