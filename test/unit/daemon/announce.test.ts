import { describe, expect, it } from 'vitest';
import { announceLines, type Summary, summaryLines } from '../../../src/daemon/announce.ts';
import { parseRunOptions } from '../../../src/daemon/options.ts';
import { type NicPlan, obstacles, planLines } from '../../../src/daemon/plan.ts';
import { statusLine, type Totals } from '../../../src/daemon/status.ts';
import { nicAttachLine } from '../../../src/daemon/taken.ts';
import type { PortInfo } from '../../../src/driver/native.ts';
import type { Netdev } from '../../../src/driver/netdev.ts';
import type { NarrowPlan } from '../../../src/driver/rss.ts';

const dev: Netdev = {
  name: 'ix1',
  netns: null,
  index: 3,
  driver: 'veth',
  busInfo: '',
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  minMtu: 68,
  maxMtu: 65535,
  up: true,
  loopback: false,
  ethernet: true,
  queues: 4,
  channels: null,
  indir: null,
  xdpProgram: null,
  addresses: [{ address: '192.0.2.1', prefix: 24 }],
  addresses6: [],
  routes: [],
  defaultRoute6: false,
  peer: null,
};

const none: NarrowPlan = {
  how: 'none',
  ifname: 'ix1',
  netns: null,
  from: 4,
  to: 4,
  undo: [],
  commands: [],
  shown: '',
  hint: null,
};

function plan(given: Record<string, unknown> = {}, more: Partial<NicPlan> = {}): NicPlan {
  const options = parseRunOptions({ iface: 'ix1', ...given });
  return {
    kind: 'nic',
    name: 'ix1',
    netns: null,
    options,
    dev,
    queues: 4,
    narrow: none,
    addrs: [{ addr: 0xc0000201 | 0, prefixLen: 24 }],
    adopted: true,
    routes: [],
    neighbours: [],
    mtu: 1500,
    rxcsum: 'accept-partial',
    frames: 16384,
    cc: { urls: [], first: null },
    controlPath: '/run/xsiftr/ix1.sock',
    sysctls: [],
    account: null,
    findings: [],
    ...more,
  };
}

const port: PortInfo = {
  port: 0,
  ifindex: 3,
  mode: 'native',
  zeroCopy: false,
  frags: true,
  busyPoll: false,
  timestamp: true,
  queues: 4,
  ringSize: 2048,
  notes: [],
};

describe('what a start says', () => {
  it('attaches in the manner of dmesg, then tells what it serves and where to look', () => {
    const lines = announceLines(plan(), [nicAttachLine(plan(), port)]);
    expect(lines[0]).toBe(
      'ix1 at veth dev 0 "veth", native xdp, copy, 4 queues, UMEM 64 MiB, address 02:00:00:00:00:01',
    );
    expect(lines[1]).toBe("ix1: 192.0.2.1/24 (the kernel's), MTU 1500, serving http 80, iperf3 5201, discard 9");
    expect(lines[2]).toBe(
      'ix1: SIFTR log /var/log/siftr.log, metrics http://127.0.0.1:9464/metrics, control /run/xsiftr/ix1.sock',
    );
  });

  it('leaves out what is switched off', () => {
    const lines = announceLines(plan({ serve: 'none', siftr: false, metrics: 'none' }), ['attached']);
    expect(lines[1]).toContain('serving nothing');
    expect(lines[2]).toBe('ix1: control /run/xsiftr/ix1.sock');
  });
});

describe('--dry-run', () => {
  it('names all that would change and how it is undone', () => {
    const narrow: NarrowPlan = {
      ...none,
      how: 'channels',
      to: 2,
      commands: ['ethtool -L ix1 rx 2'],
      shown: 'of 4 (channels narrowed)',
    };
    const lines = planLines(
      plan(
        { queues: 2, mtu: '1400', duration: '10s', gateway: '192.0.2.254' },
        { queues: 2, mtu: 1400, narrow, routes: [{ dst: 0, prefixLen: 0, gateway: 0xc00002fe | 0, src: 0 }] },
      ),
      '/run/xsiftr/ix1.undo',
    ).join('\n');
    for (const part of [
      'sockets on queues 0 to 1',
      '64 MiB of packet memory (16384 frames, rings of 2048)',
      "claim frames for 192.0.2.1/24, ARP included (the kernel's addresses, adopted)",
      'route default by 192.0.2.254',
      'narrow 4 receive queues to 2, as ethtool -L ix1 rx 2 does; undone at the end',
      'set its MTU to 1400; undone at the end',
      'write /run/xsiftr/ix1.undo',
      'append SIFTR lines to /var/log/siftr.log',
      'serve metrics at http://127.0.0.1:9464/metrics',
      'serve http, iperf3, discard',
      'give up every capability',
      'stop by itself after 10 s',
    ]) {
      expect(lines).toContain(part);
    }
  });
});

describe('what stands in the way', () => {
  const findings = [
    { reason: 'default-route' as const, text: 'route' },
    { reason: 'ssh' as const, text: 'ssh' },
  ];
  it('is every finding that --force does not name', () => {
    expect(obstacles(plan({}, { findings }))).toHaveLength(2);
    expect(obstacles(plan({ force: 'default-route' }, { findings })).map((f) => f.reason)).toEqual(['ssh']);
    expect(obstacles(plan({ force: true }, { findings })).map((f) => f.reason)).toEqual(['ssh']);
    expect(obstacles(plan({ force: 'default-route,ssh', duration: '60s' }, { findings }))).toEqual([]);
  });
});

describe('while it runs and at its end', () => {
  const before: Totals = {
    at: 1000,
    rxPackets: 100,
    rxBytes: 1000,
    txPackets: 0,
    txBytes: 0,
    drops: 0,
    connections: 0,
    accepted: 0,
    connected: 0,
  };

  it('shows rates a second, connections and drops in one line', () => {
    const now: Totals = {
      ...before,
      at: 3000,
      rxPackets: 2100,
      rxBytes: 251_000,
      txPackets: 20,
      txBytes: 2000,
      drops: 3,
      connections: 1,
    };
    expect(statusLine('ix1', before, now)).toBe(
      'ix1  in 1.00kpps 1.00Mbps  out 10pps 8.00kbps  1 connection  3 dropped',
    );
  });

  it('sums up what happened and what was undone', () => {
    const s: Summary = {
      iface: 'ix1',
      queues: 4,
      mode: 'native copy',
      seconds: 12,
      reason: 'SIGINT',
      rx: { packets: 1500, bytes: 2048 },
      tx: { packets: 10, bytes: 1024 },
      connections: { accepted: 1, established: 1 },
      drops: 0,
      siftr: { logs: ['/tmp/a.log'], lines: 7, skipped: 3 },
      gone: false,
      undone: ['mtu 1500'],
      failed: [],
    };
    expect(summaryLines(s)).toEqual([
      'ix1: stopped (SIGINT) after 12.0 s',
      'ix1: in 1.50k packets 2 KiB, out 10 packets 1 KiB, 1 connection, 0 dropped',
      'ix1: SIFTR wrote 7 lines to /tmp/a.log, skipped 3',
      'ix1: given back to the kernel, undone: mtu 1500',
    ]);
    expect(summaryLines({ ...s, gone: true, undone: [] }).at(-1)).toBe('ix1: gone, nothing was to be undone');
    expect(summaryLines({ ...s, failed: ['mtu 1500: no'] }).at(-1)).toBe(
      'ix1: could not undo everything: mtu 1500: no',
    );
    const logs = (...names: string[]) => summaryLines({ ...s, siftr: { ...s.siftr, logs: names } })[2];
    expect(logs()).toMatch(/given back/);
    expect(logs('-')).toBe('ix1: SIFTR wrote 7 lines to standard output, skipped 3');
    expect(logs('a', 'b', 'c', 'd')).toBe('ix1: SIFTR wrote 7 lines to a, b, c and d, skipped 3');
    expect(logs('a', 'b', 'c', 'd', 'e')).toBe('ix1: SIFTR wrote 7 lines to e and 4 files before it, skipped 3');
  });
});
