import { describe, expect, test } from 'vitest';
import { flowFilter } from '../../../src/log/flows.ts';
import type { LogItem } from '../../../src/log/model.ts';
import { PLOT_FIELDS, shownUnit } from '../../../src/log/plot/fields.ts';
import { collectPlot, FLOWS_AT_ONCE, type PlotOptions } from '../../../src/log/plot/model.ts';
import { sample, sourceOf } from '../../lab/samples.ts';

/** Options for a plot of the named fields. */
function options(names: string, more: Partial<PlotOptions> = {}): PlotOptions {
  return {
    filter: flowFilter(more.flows ?? []),
    fields: PLOT_FIELDS.filter((f) => names.split(',').includes(f.name)),
    flows: [],
    maxFlows: 8,
    align: 'start',
    from: Number.NEGATIVE_INFINITY,
    to: Number.POSITIVE_INFINITY,
    ...more,
  };
}

const S = 1e6;
const at = (timeUs: number, cwnd: number, more = {}) => sample({ timeUs, cwnd, ...more });
const pairs = (p: { t: Float64Array; v: Float64Array } | null | undefined) =>
  p == null ? null : [...p.t].map((t, i) => [t, p.v[i]]);

describe('what a plot shows of its logs', () => {
  test('has time since the first sample and a series for each field that the log tells', async () => {
    const log = sourceOf([at(100 * S, 10_000), at(101 * S, 20_000), at(102 * S, 15_000)]);
    const plot = await collectPlot([log], options('cwnd,srtt'));
    expect(plot.flows).toHaveLength(1);
    expect(plot.flows[0]!.name).toBe('192.0.2.1;5001-192.0.2.2;40000');
    expect(plot.flows[0]!.series.map(pairs)).toEqual([
      [
        [0, 10_000],
        [1 * S, 20_000],
        [2 * S, 15_000],
      ],
      null,
    ]);
    expect(plot.panels.map((p) => p.title)).toEqual(['Congestion control']);
    expect([plot.from, plot.to, plot.title]).toEqual([0, 2 * S, 'a.log']);
  });

  test('draws no slow start threshold while none has been set', async () => {
    const ssthresh = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 7000, Number.POSITIVE_INFINITY];
    const log = sourceOf(ssthresh.map((v, i) => sample({ timeUs: i, ssthresh: v })));
    const { flows } = await collectPlot([log], options('ssthresh'));
    expect(pairs(flows[0]!.series[0])).toEqual([
      [0, Number.NaN],
      [1, Number.NaN],
      [2, 7000],
      [3, Number.NaN],
    ]);
  });

  test('knows fast recovery by TF_FASTRECOVERY, 0x100000, of t_flags', async () => {
    const log = sourceOf([0x3e1, 0x1003e1, 0x3e1].map((flags, i) => at(i, i, { flags })));
    const { flows } = await collectPlot([log], options('cwnd'));
    expect(pairs(flows[0]!.recovery)).toEqual([
      [0, 0],
      [1, 1],
      [2, 0],
    ]);
  });

  test('takes only flows that a pattern fits', async () => {
    const items = [at(0, 1), at(1, 2, { fport: 40001 }), at(2, 3, { faddr: '2001:db8::A', laddr: '2001:db8::1' })];
    const names = async (...patterns: string[]) => {
      return (await collectPlot([sourceOf(items)], options('cwnd', { flows: patterns }))).flows.map((f) => f.name);
    };
    expect(await names('*;*-*;40001')).toEqual(['192.0.2.1;5001-192.0.2.2;40001']);
    expect(await names('*;5001-2001:db8::a;*')).toEqual(['2001:db8::1;5001-2001:db8::A;40000']);
    expect(await names('192.0.2.1;5001-192.0.2.2;40000', '*;*-*;40001')).toHaveLength(2);
    await expect(names('*;80-*;*')).rejects.toThrow(
      '--flow *;80-*;*: no flow of a.log fits; there are 192.0.2.1;5001-192.0.2.2;40000 192.0.2.1;5001-192.0.2.2;40001',
    );
  });

  describe('the time axis', () => {
    const ours = () => sourceOf([at(100 * S, 1), at(101 * S, 2, { fport: 2 }), at(103 * S, 3)]);
    const theirs = () => sourceOf([at(200 * S, 1), at(202 * S, 2)], { label: 'b.ss', format: 'ss' });
    const ends = async (align: PlotOptions['align']) => {
      const plot = await collectPlot([ours(), theirs()], options('cwnd', { align }));
      return plot.flows.map((f) => [f.series[0]!.t[0]! / S, f.series[0]!.t.at(-1)! / S]);
    };

    test('begins at the first sample of each log', async () => {
      expect(await ends('start')).toEqual([
        [0, 3],
        [1, 1],
        [0, 2],
      ]);
    });

    test('or of each flow', async () => {
      expect(await ends('flow')).toEqual([
        [0, 3],
        [0, 0],
        [0, 2],
      ]);
    });

    test('or at the first sample of all, by wall time', async () => {
      expect(await ends('wall')).toEqual([
        [0, 3],
        [1, 1],
        [100, 102],
      ]);
      const plot = await collectPlot([ours(), theirs()], options('cwnd', { align: 'wall' }));
      expect(plot.timeLabel).toBe('time since 1970-01-01 00:01:40.000 UTC, s');
      expect(plot.logs[1]!.about).toBe('polls with ss(8)');
    });

    test('begins at the first sample that a pattern fits, whatever else the log has before', async () => {
      const plot = await collectPlot([ours()], options('cwnd', { flows: ['*;*-*;2'] }));
      expect(pairs(plot.flows[0]!.series[0])).toEqual([[0, 2]]);
    });

    test('of a tcp_probe trace is not laid over wall time', async () => {
      const probe = sourceOf([at(5, 1)], { label: 'p.txt', format: 'tcp_probe' });
      await expect(collectPlot([ours(), probe], options('cwnd', { align: 'wall' }))).rejects.toThrow(
        '--align wall: the times of p.txt count from the start of its machine, those of other logs from 1970; use --align start',
      );
      const alone = sourceOf([at(5 * S, 1)], { format: 'tcp_probe' });
      const plot = await collectPlot([alone], options('cwnd', { align: 'wall' }));
      expect(plot.timeLabel).toBe('time since 5.000000 s of uptime, s');
    });

    test('is cut at both ends, inclusive', async () => {
      const log = sourceOf([at(0, 1), at(1 * S, 2), at(2 * S, 3), at(3 * S, 4)]);
      const plot = await collectPlot([log], options('cwnd', { from: 1 * S, to: 2 * S }));
      expect(pairs(plot.flows[0]!.series[0])).toEqual([
        [1 * S, 2],
        [2 * S, 3],
      ]);
      expect([plot.from, plot.to]).toEqual([1 * S, 2 * S]);
      const log2 = sourceOf([at(0, 1)]);
      const axis = ', in seconds from the beginning of the time axis';
      await expect(collectPlot([log2], options('cwnd', { from: 5 * S, to: 9 * S }))).rejects.toThrow(
        `no sample of a.log lies between --from 5 and --to 9${axis}`,
      );
      await expect(collectPlot([log2], options('cwnd', { from: 5 * S }))).rejects.toThrow(
        `no sample of a.log is as late as --from 5${axis}`,
      );
      await expect(collectPlot([log2], options('cwnd', { to: -S }))).rejects.toThrow(
        `no sample of a.log is as early as --to -1${axis}`,
      );
    });
  });

  describe('of many flows', () => {
    /** Flow i has i samples; the last one is the longest. */
    const items = (n: number): LogItem[] =>
      Array.from({ length: n }, (_, i) =>
        Array.from({ length: i + 1 }, (_, k) => at(k, 1000 * i + k, { fport: i + 1 })),
      ).flat();

    test('the busiest are drawn, in the order of their first samples, and the others are counted', async () => {
      const plot = await collectPlot([sourceOf(items(5))], options('cwnd', { maxFlows: 2 }));
      expect(plot.flows.map((f) => [f.name.split(';').at(-1), f.samples])).toEqual([
        ['4', 4],
        ['5', 5],
      ]);
      expect(plot.notes).toEqual(['a.log: 3 less busy flows are not drawn; choose with --flow or --max-flows']);
    });

    test(`a log of more than ${FLOWS_AT_ONCE} is read twice, and what is drawn is whole`, async () => {
      const log = sourceOf(items(FLOWS_AT_ONCE + 10));
      const plot = await collectPlot([log], options('cwnd', { maxFlows: 1 }));
      expect(log.opened).toBe(2);
      expect(plot.flows.map((f) => f.samples)).toEqual([FLOWS_AT_ONCE + 10]);
      expect(plot.flows[0]!.series[0]!.t.length).toBe(FLOWS_AT_ONCE + 10);
      expect(plot.notes).toHaveLength(1);
      expect(plot.notes[0]).toContain(`${FLOWS_AT_ONCE + 9} less busy flows`);
    });

    test('one in which nothing changes is not busy, however often it was polled', async () => {
      const idle = [0, 1, 2, 3].map((t) => at(t, 14_480));
      const busy = [1, 2, 3].map((t) => at(t, 1000 * t, { fport: 2 }));
      const plot = await collectPlot([sourceOf([...idle, ...busy])], options('cwnd', { maxFlows: 1 }));
      expect(plot.flows.map((f) => f.name)).toEqual(['192.0.2.1;5001-192.0.2.2;2']);
    });

    test('a pipe of more cannot be drawn', async () => {
      const log = sourceOf(items(FLOWS_AT_ONCE + 1), { again: false });
      await expect(collectPlot([log], options('cwnd'))).rejects.toThrow(
        `a.log: more than ${FLOWS_AT_ONCE} flows, and a pipe cannot be read twice`,
      );
    });

    test('each log has its share', async () => {
      const few = sourceOf([at(0, 1)], { label: 'b.log' });
      const plot = await collectPlot([sourceOf(items(5)), few], options('cwnd', { maxFlows: 1 }));
      expect(plot.flows.map((f) => f.log)).toEqual([0, 1]);
    });
  });

  test('tells lines that could not be read, modes that change what a value means, and logs without anything that fits', async () => {
    const enable = {
      type: 'enable' as const,
      line: 1,
      timeUs: 0,
      siftrver: '1.3.0',
      sysname: 'xsiftr',
      sysver: '1000100',
      ipmode: 4,
      hz: null,
      tcpRttScale: null,
      modes: ['inflight:pipe'],
    };
    const broken = { type: 'broken' as const, line: 7, why: '3 fields' };
    const plot = await collectPlot(
      [sourceOf([enable, at(0, 1), broken, { ...broken, line: 9 }]), sourceOf([], { label: 'b.log' })],
      options('cwnd'),
    );
    expect(plot.logs[0]!.about).toBe('SIFTR 1.3.0 of xsiftr, inflight:pipe');
    expect(plot.notes).toEqual([
      'a.log: left out line 7 (3 fields), 9 (3 fields)',
      'b.log: no sample fits, nothing of it is drawn',
    ]);
    await expect(collectPlot([sourceOf([broken])], options('cwnd'))).rejects.toThrow('a.log: no sample in it');
    await expect(collectPlot([sourceOf([at(0, 1)])], options('srtt'))).rejects.toThrow(
      'srtt: no log has a value of it',
    );
  });

  test.each([
    ['bytes', 9_999, 'bytes'],
    ['bytes', 10_000, 'kB'],
    ['bytes', 10e6, 'MB'],
    ['us', 999, 'µs'],
    ['us', 1000, 'ms'],
    ['us', 10e6, 's'],
    ['segments', 1e9, 'segments'],
  ] as const)('shows %s up to %d in %s', (unit, max, name) => {
    expect(shownUnit(unit, max).name).toBe(name);
  });
});
