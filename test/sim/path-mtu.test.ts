import { describe, expect, it } from 'vitest';
import { slotOf } from '../../src/metrics/layout.ts';
import type { ExperimentOptions } from '../../src/sim/index.ts';
import { checkStack } from '../lab/invariants.ts';
import { experiment } from '../lab/sim.ts';

const PATH: ExperimentOptions = { bw: '20Mbit', delay: '20ms', mtu: 1500, time: '20s', seed: 1 };

function slot(name: string): number {
  const at = slotOf.get(name);
  if (at === undefined) throw new Error(`no counter ${name}`);
  return at;
}

/** Events between two looks at the invariants: a prime, so that none of a repeating pattern is always missed. */
const CHECK = 13;

/** Runs it with invariants of all connections checked; `count` reads counters of the first sender. */
function run(o: ExperimentOptions): {
  report: ReturnType<typeof experiment>;
  count: (name: string) => number;
  maxseg: () => number;
} {
  let cnt: Float64Array = new Float64Array(0);
  let maxseg = 0;
  const report = experiment(
    { ...PATH, ...o },
    (r) => expect(r.flows.map((f) => f.error)).toEqual(r.flows.map(() => null)),
    {
      onStep: (d) => {
        if (d.net.events % CHECK === 0) for (const n of d.net.nodes) checkStack(n.st);
      },
      onEnd: (d) => {
        cnt = d.senders[0]!.st.cnt.slice();
        d.senders[0]!.st.tcp.tcb.forEach((inp) => {
          maxseg = inp.tp!.t_maxseg;
        });
      },
    },
  );
  return { report, count: (name) => cnt[slot(name)]!, maxseg: () => maxseg };
}

describe('a path whose second link takes 1400 bytes', () => {
  it.each(['newreno', 'cubic', 'bbr'])(
    'with ICMP costs %s one flight of packets and no reduction of the window (RFC 1191)',
    (cc) => {
      // No queue that could overflow, so that every loss is the MTU's.
      const { report, count, maxseg } = run({ cc, pathMtu: 1400, queue: 0, time: '5s' });
      expect(maxseg()).toBe(1360);
      expect([count('tcps_mtudisc'), count('tcps_fastrecovery'), count('tcps_rexmttimeo')]).toEqual([1, 0, 0]);
      // The initial window of ten segments, which all left at once.
      expect(report.path_mtu).toEqual({ mtu: 1400, icmp: true, dropped: 10, told: 10 });
      expect(report.goodput_bps).toBeGreaterThan((0.85 * 20e6 * (1360 - 12)) / 1400);
    },
  );

  it('without ICMP stops a flow for good, where nothing looks for black holes (RFC 2923 section 2.1)', () => {
    const { report, count } = run({ pathMtu: 1400, icmp: 'off' });
    expect(report.flows[0]!.bytes).toBe(0);
    expect(count('tcps_rexmttimeo')).toBeGreaterThan(3);
  });

  it('without ICMP is got through with net.inet.tcp.pmtud_blackhole_detection 1', () => {
    const { report, count, maxseg } = run({
      pathMtu: 1400,
      icmp: 'off',
      sysctl: ['net.inet.tcp.pmtud_blackhole_detection=1'],
    });
    expect([maxseg(), count('tcps_pmtud_blackhole_activated'), count('tcps_pmtud_blackhole_failed')]).toEqual([
      1200, 1, 0,
    ]);
    // Two timeouts, of which the first takes a second at most, and slow start from one segment.
    expect(report.goodput_bps).toBeGreaterThan(0.75 * 20e6);
  });

  it('without ICMP is found by probing: to within 8 bytes, and no black hole is met (RFC 4821)', () => {
    const { report, count, maxseg } = run({ pathMtu: 1400, icmp: 'off', sysctl: ['net.inet.tcp.plpmtud.enable=2'] });
    expect(maxseg() + 40).toBeGreaterThan(1392);
    expect(maxseg() + 40).toBeLessThanOrEqual(1400);
    expect([count('tcps_plpmtud_blackholes'), count('tcps_rexmttimeo')]).toEqual([0, 0]);
    // Each probe that is too large is one packet lost.
    expect(report.path_mtu!.dropped).toBe(count('tcps_plpmtud_failures'));
    expect(report.goodput_bps).toBeGreaterThan(0.85 * 20e6);
  });

  it('without ICMP is found after the black hole with net.inet.tcp.plpmtud.enable 1', () => {
    const { report, count, maxseg } = run({ pathMtu: 1400, icmp: 'off', sysctl: ['net.inet.tcp.plpmtud.enable=1'] });
    expect(maxseg() + 40).toBeGreaterThan(1392);
    expect(maxseg() + 40).toBeLessThanOrEqual(1400);
    expect(count('tcps_plpmtud_blackholes')).toBe(1);
    expect(report.goodput_bps).toBeGreaterThan(0.7 * 20e6);
  });

  it('costs a flow of which 1 % is lost anyway little more, with ICMP and with probing: they are told apart', () => {
    const lossy = { loss: '1%', time: '60s', cc: 'newreno' } as const;
    const plain = experiment({ ...PATH, ...lossy, mtu: 1400 });
    const told = experiment({ ...PATH, ...lossy, pathMtu: 1400 });
    const probed = experiment({
      ...PATH,
      ...lossy,
      pathMtu: 1400,
      icmp: 'off',
      sysctl: ['net.inet.tcp.plpmtud.enable=2'],
    });
    for (const r of [told, probed]) expect(r.goodput_bps).toBeGreaterThan(0.8 * plain.goodput_bps);
  });
});

describe('--path-mtu', () => {
  it('gives the same bytes for the same seed', () => {
    const o = { ...PATH, pathMtu: 1300, icmp: 'off', loss: '0.5%', sysctl: ['net.inet.tcp.plpmtud.enable=2'] } as const;
    expect(experiment({ ...o })).toEqual(experiment({ ...o }));
  });

  it('is no limit where it is as large as --mtu', () => {
    const limited = experiment({ ...PATH, pathMtu: 1500, time: '3s' });
    const { path_mtu, command, ...rest } = limited;
    expect(path_mtu).toMatchObject({ dropped: 0 });
    const { command: _c, ...plain } = experiment({ ...PATH, time: '3s' });
    expect(rest).toEqual(plain);
    expect(command).toContain('--path-mtu 1500');
  });
});

describe('whatever the path does', () => {
  /** What gets a flow through a path that drops large packets, told or not. */
  const WAYS: readonly [icmp: 'on' | 'off', sysctl: readonly string[]][] = [
    ['on', []],
    ['on', ['net.inet.tcp.plpmtud.enable=2']],
    ['off', ['net.inet.tcp.pmtud_blackhole_detection=1']],
    ['off', ['net.inet.tcp.plpmtud.enable=1', 'net.inet.tcp.plpmtud.probe_interval=0']],
    ['off', ['net.inet.tcp.plpmtud.enable=2', 'net.inet.tcp.plpmtud.probe_interval=0']],
  ];
  const pick = <T>(list: readonly T[], n: number): T => list[n % list.length]!;

  it.each(WAYS.map((w, i) => [`icmp ${w[0]}, ${w[1].join(' ') || 'defaults'}`, i] as const))(
    'a transfer over a smaller path with losses, reordering and duplicates arrives whole, invariants hold: %s',
    (_name, way) => {
      const [icmp, sysctl] = WAYS[way]!;
      for (let seed = 1; seed <= 24; seed++) {
        const { report } = run({
          seed,
          icmp,
          sysctl: [
            ...sysctl,
            ...(seed % 5 === 0 ? ['net.inet.tcp.sack.enable=0'] : []),
            ...(seed % 7 === 0 ? ['net.inet.tcp.rack=0'] : []),
          ],
          cc: pick(['cubic', 'newreno', 'bbr', 'dctcp'], seed),
          pathMtu: pick([1400, 1280, 1006, 800, 600, 1492], seed),
          loss: pick(['0', '0.5%', '2%'], seed),
          lossAck: pick(['0', '1%'], seed),
          reorder: pick(['0', '3%', '1%,extra=30ms'], seed >> 1),
          duplicate: pick(['0', '1%'], seed >> 2),
          queue: pick(['1bdp', '20', '0'], seed),
          delay: pick(['20ms', '2ms', '80ms'], seed),
          time: '120s',
          flow: [{ bytes: 300_000 }],
        });
        expect([seed, report.flows[0]!.completed]).toEqual([seed, true]);
      }
    },
  );
});
