import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { RELEASE_ERROR_US } from '../../../src/metrics/decl/dummynet.ts';
import { COUNTER_SLOTS, dns, icps, ips, siftrs, tcps } from '../../../src/metrics/layout.ts';
import { counterMetrics, kstatMetrics } from '../../../src/metrics/promnames.ts';
import { kstatEntry, kstatFailure, providers, rxqDecl, txqDecl, xskDecl } from '../../../src/metrics/queuekv.ts';
import { createMetrics, type MetricsSnapshot, renderMetrics } from '../../../src/views/prom.ts';

const build = { version: '1.2.3', node: 'v24.0.0' };
const block = (): Float64Array => new Float64Array(COUNTER_SLOTS);
const everyQueue = (queues: number) =>
  Array.from({ length: queues }, (_, q) =>
    providers.map((p) => kstatEntry(p, 'ix1', q, (_n, i) => q * 100 + i)),
  ).flat();

/** The samples of one metric, as lines. */
const samples = (text: string, metric: string): string[] =>
  text.split('\n').filter((line) => line === metric || line.startsWith(`${metric}{`) || line.startsWith(`${metric} `));

const promtool = spawnSync('promtool', ['--version']).status === 0;

test.skipIf(!promtool)('promtool check metrics has nothing to say, process metrics included', async () => {
  const snapshot: MetricsSnapshot = {
    shards: [block().map((_, i) => i), block().fill(1)],
    others: [block().fill(2)],
    kstat: everyQueue(2),
  };
  const text = await createMetrics({ build, source: () => snapshot, processMetrics: true }).render();
  expect(text).toContain('process_cpu_user_seconds_total');
  const run = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  expect(`${run.stdout}${run.stderr}`).toBe('');
  expect(run.status).toBe(0);
});

test('counters of the protocols carry the shard and keep their absolute value from scrape to scrape', async () => {
  const shards = [block(), block()];
  const metrics = createMetrics({ build, source: () => ({ shards, others: [], kstat: [] }) });
  shards[0]![tcps.tcps_sndtotal] = 5;
  shards[1]![tcps.tcps_sndtotal] = 2 ** 32 + 1;
  for (let scrape = 0; scrape < 2; scrape++) {
    expect(samples(await metrics.render(), 'xsiftr_tcp_sndtotal_total')).toEqual([
      'xsiftr_tcp_sndtotal_total{shard="0"} 5',
      'xsiftr_tcp_sndtotal_total{shard="1"} 4294967297',
    ]);
  }
  shards[0]![tcps.tcps_sndtotal] = 9;
  expect(samples(await metrics.render(), 'xsiftr_tcp_sndtotal_total')[0]).toBe(
    'xsiftr_tcp_sndtotal_total{shard="0"} 9',
  );
});

test('queue counters carry interface and queue, ring gauges the ring as well', async () => {
  const text = await renderMetrics({ shards: [], others: [], kstat: everyQueue(2) }, build);
  expect(samples(text, 'xsiftr_rxq_packets_total')).toEqual([
    'xsiftr_rxq_packets_total{iface="ix1",queue="0"} 0',
    'xsiftr_rxq_packets_total{iface="ix1",queue="1"} 100',
  ]);
  expect(samples(text, 'xsiftr_txq_oactive')).toHaveLength(2);
  expect(samples(text, 'xsiftr_ring_occupancy')).toHaveLength(8);
  expect(text).toContain('xsiftr_ring_occupancy{iface="ix1",queue="1",ring="completion"} 103\n');
});

test('the names of AF_XDP counters are not shortened as in kstat', async () => {
  const kstat = [kstatEntry(xskDecl, 'ix1', 0, (name) => (name === 'rx_fill_ring_empty_descs' ? 3 : 0))];
  const text = await renderMetrics({ shards: [], others: [], kstat }, build);
  expect(text).toContain('xsiftr_xsk_rx_fill_ring_empty_descs_total{iface="ix1",queue="0"} 3\n');
});

test('an entry that could not be read has no sample', async () => {
  const kstat = [kstatFailure(rxqDecl, 'ix1', 0, 'gone'), kstatEntry(txqDecl, 'ix1', 0, () => 1)];
  const text = await renderMetrics({ shards: [], others: [], kstat }, build);
  expect(samples(text, 'xsiftr_rxq_packets_total')).toEqual([]);
  expect(samples(text, 'xsiftr_txq_packets_total')).toHaveLength(1);
});

test('what the log writer counts belongs to the process and has no shard', async () => {
  const writer = block();
  writer[siftrs.siftrs_lines] = 7;
  const text = await renderMetrics({ shards: [block(), block()], others: [writer], kstat: [] }, build);
  expect(samples(text, 'xsiftr_siftr_lines_total')).toEqual(['xsiftr_siftr_lines_total 7']);
});

test('the ICMP histograms have a label for the type and only types that occurred', async () => {
  const shard = block();
  shard[icps.icps_inhist + 8] = 4;
  const text = await renderMetrics({ shards: [shard], others: [], kstat: [] }, build);
  expect(samples(text, 'xsiftr_icmp_in_messages_total')).toEqual([
    'xsiftr_icmp_in_messages_total{shard="0",type="8"} 4',
  ]);
});

test('gauges have no _total and counters have it', () => {
  for (const m of [...counterMetrics, ...kstatMetrics]) {
    expect(m.metric.endsWith('_total'), m.metric).toBe(m.type === 'counter');
    expect(m.metric).toMatch(
      /^xsiftr_(rxq|txq|xsk|ring|ip|icmp|tcp|arp|stack|pfil|siftr|dummynet|ulink|endpoint)_[a-z0-9_]+$/,
    );
  }
});

test('metric names are unique, and merged or dead BSD counters have none', () => {
  const names = [...counterMetrics, ...kstatMetrics].map((m) => m.metric);
  const told = [...counterMetrics.map((m) => `${m.metric} ${m.decl.dir ?? ''}`), ...kstatMetrics.map((m) => m.metric)];
  expect(new Set(told).size).toBe(told.length);
  expect(names).toContain('xsiftr_ip_notours_total');
  expect(names).not.toContain('xsiftr_ip_cantforward_total');
  expect(names).not.toContain('xsiftr_ip_nogif_total');
  expect(Object.keys(ips)).not.toContain('ips_cantforward');
});

test('the two directions of one thing have one name and a label dir', async () => {
  const shard = block();
  shard[siftrs.siftrs_queue_drops_in] = 2;
  shard[siftrs.siftrs_queue_drops_out] = 3;
  const text = await renderMetrics({ shards: [shard], others: [], kstat: [] }, build);
  expect(samples(text, 'xsiftr_siftr_queue_drops_total')).toEqual([
    'xsiftr_siftr_queue_drops_total{shard="0",dir="in"} 2',
    'xsiftr_siftr_queue_drops_total{shard="0",dir="out"} 3',
  ]);
});

test('a histogram of times is in seconds, cumulative, with sum and count, for each shard', async () => {
  const shard = block();
  shard.set([3, 2], dns.dn_release_error);
  const classes = RELEASE_ERROR_US.length + 1;
  shard.set([1, 90_000], dns.dn_release_error + classes - 1);
  const lines = (await renderMetrics({ shards: [shard], others: [], kstat: [] }, build))
    .split('\n')
    .filter((line) => line.includes('dummynet_release_error'));
  const name = 'xsiftr_dummynet_release_error_seconds';
  expect(lines.slice(0, 5)).toEqual([
    `# HELP ${name} How long after its time a packet left its pipe`,
    `# TYPE ${name} histogram`,
    `${name}_bucket{shard="0",le="0.000001"} 3`,
    `${name}_bucket{shard="0",le="0.000002"} 5`,
    `${name}_bucket{shard="0",le="0.000005"} 5`,
  ]);
  expect(lines.slice(-3)).toEqual([
    `${name}_bucket{shard="0",le="+Inf"} 6`,
    `${name}_sum{shard="0"} 0.09`,
    `${name}_count{shard="0"} 6`,
  ]);
});

test('the version stands in xsiftr_build_info', async () => {
  const metrics = createMetrics({ build, source: () => ({ shards: [], others: [], kstat: [] }) });
  expect(await metrics.render()).toContain('xsiftr_build_info{version="1.2.3",node="v24.0.0"} 1\n');
  expect(metrics.contentType).toMatch(/^text\/plain; version=0\.0\.4/);
});
