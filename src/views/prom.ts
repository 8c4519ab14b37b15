import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';
import { slotOf } from '../metrics/layout.ts';
import { type CounterMetric, counterMetrics, kstatMetrics, type QueueMetric } from '../metrics/promnames.ts';
import type { KstatEntry } from '../metrics/queuekv.ts';
import { combineCounters, counterValue, histogramValue } from '../metrics/read.ts';

/** What a scrape shows, taken at one moment. */
export interface MetricsSnapshot {
  /** Counter blocks of the shards, by shard number. */
  readonly shards: readonly Float64Array[];
  /** Blocks of the other writers (log writer, daemon); they only add to metrics of the process. */
  readonly others: readonly Float64Array[];
  /** Entries of every queue, socket and ring. Entries with an error are left out. */
  readonly kstat: readonly KstatEntry[];
}

export interface MetricsOptions {
  /** Labels of `xsiftr_build_info`, such as version and node. */
  readonly build: Readonly<Record<string, string>>;
  /** Takes the snapshot; called once a scrape. */
  readonly source: () => MetricsSnapshot;
  /** Adds prom-client's metrics of the process and of Node; they start a timer and an observer, so tests go without. */
  readonly processMetrics?: boolean;
}

/** The text of /metrics. */
export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
}

/** Metrics of prom-client whose names break Prometheus' own rules: gauges that end in _total. */
const ILL_NAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

type Labels = Record<string, string>;
type Sample = { labels: Labels; value: number };

/**
 * Registers a metric whose values are read at scrape time. A prom-client counter can only be increased, so a scrape empties it and
 * adds the absolute values, which never go down themselves.
 */
function register(
  registry: Registry,
  def: { metric: string; type: 'counter' | 'gauge' | 'histogram'; help: string; labels: readonly string[] },
  samples: () => Sample[],
): void {
  const config = { name: def.metric, help: def.help, labelNames: [...def.labels], registers: [registry] };
  if (def.type === 'gauge') {
    new Gauge({
      ...config,
      collect() {
        this.reset();
        for (const { labels, value } of samples()) this.set(labels, value);
      },
    });
  } else {
    new Counter({
      ...config,
      collect() {
        this.reset();
        for (const { labels, value } of samples()) this.inc(labels, value);
      },
    });
  }
}

function counterSamples(metric: CounterMetric, snapshot: MetricsSnapshot, combined: Float64Array): Sample[] {
  const { decl } = metric;
  const dir: Labels = decl.dir === undefined ? {} : { dir: decl.dir };
  const blocks: { labels: Labels; values: Float64Array }[] = decl.perProcess
    ? [{ labels: dir, values: combined }]
    : snapshot.shards.map((values, shard) => ({ labels: { shard: String(shard), ...dir }, values }));
  if (decl.span === undefined) {
    return blocks.map(({ labels, values }) => ({ labels, value: counterValue(decl, values) }));
  }
  const slot = slotOf.get(decl.name)!;
  const samples: Sample[] = [];
  for (const { labels, values } of blocks) {
    for (let type = 0; type < decl.span; type++) {
      const value = values[slot + type]!;
      if (value !== 0) samples.push({ labels: { ...labels, type: String(type) }, value });
    }
  }
  return samples;
}

/**
 * Registers a histogram whose classes are counted elsewhere. prom-client's own can only observe one value after the other, so what its
 * registry asks of a metric is answered here.
 */
function registerHistogram(registry: Registry, metric: CounterMetric, read: () => MetricsSnapshot): void {
  const { decl, metric: name, help } = metric;
  const bounds = [...decl.bounds!.map((us) => String(us / 1e6)), '+Inf'];
  const get = async () => ({
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    values: read().shards.flatMap((block, shard) => {
      const labels = { shard: String(shard) };
      const { counts, total, sum } = histogramValue(decl, block);
      let below = 0;
      const buckets = counts.map((n, i) => {
        below += n;
        return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[i]! }, value: below };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: sum / 1e6 },
        { metricName: `${name}_count`, labels, value: total },
      ];
    }),
  });
  registry.registerMetric({ name, help, type: 'histogram', get, reset: () => {} } as unknown as Metric);
}

function queueSamples(metric: QueueMetric, kstat: readonly KstatEntry[]): Sample[] {
  const samples: Sample[] = [];
  for (const provider of metric.providers) {
    for (const entry of kstat) {
      if (entry.name !== provider.name) continue;
      const kv = entry.kvs.find((k) => k.key === metric.kv.key);
      if (kv === undefined) continue;
      const labels: Labels = { iface: entry.provider, queue: String(entry.unit) };
      if (provider.ring !== undefined) labels['ring'] = provider.ring;
      samples.push({ labels, value: kv.value });
    }
  }
  return samples;
}

/** Makes the registry, once for the process. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  let snapshot: MetricsSnapshot = { shards: [], others: [], kstat: [] };
  let combined = combineCounters([]);

  new Gauge({
    name: 'xsiftr_build_info',
    help: 'Version of this program; always 1',
    labelNames: Object.keys(options.build),
    registers: [registry],
  }).set({ ...options.build }, 1);
  for (const metric of kstatMetrics) register(registry, metric, () => queueSamples(metric, snapshot.kstat));
  for (const [first, ...others] of Map.groupBy(counterMetrics, (m) => m.metric).values()) {
    const metric = first!;
    if (metric.type === 'histogram') registerHistogram(registry, metric, () => snapshot);
    else register(registry, metric, () => [metric, ...others].flatMap((m) => counterSamples(m, snapshot, combined)));
  }
  if (options.processMetrics) {
    collectDefaultMetrics({ register: registry });
    for (const name of ILL_NAMED) registry.removeSingleMetric(name);
  }

  return {
    contentType: registry.contentType,
    render(): Promise<string> {
      snapshot = options.source();
      combined = combineCounters([...snapshot.shards, ...snapshot.others]);
      return registry.metrics();
    },
  };
}

/** The text of one snapshot, without metrics of the process. */
export function renderMetrics(snapshot: MetricsSnapshot, build: Readonly<Record<string, string>>): Promise<string> {
  return createMetrics({ build, source: () => snapshot }).render();
}
