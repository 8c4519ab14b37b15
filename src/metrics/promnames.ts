import type { CounterDecl, Group } from './declare.ts';
import { groups } from './layout.ts';
import { type KvDecl, type ProviderDecl, providers } from './queuekv.ts';

/**
 * Names of the Prometheus metrics: `xsiftr_<group>_<name>_total`, gauges without `_total`. They come from the declarations alone; a
 * renamed counter is a breaking change.
 */

interface MetricBase {
  /** Full name, `xsiftr_tcp_sndtotal_total`. */
  readonly metric: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

/** A metric of a slot, or of the slots of a histogram. */
export interface CounterMetric extends MetricBase {
  readonly group: Group;
  readonly decl: CounterDecl;
}

/** A metric of a kstat key; rings share one, told apart by the label `ring`. */
export interface QueueMetric extends MetricBase {
  /** The providers that have this key. */
  readonly providers: readonly ProviderDecl[];
  readonly kv: KvDecl;
}

const isGauge = (kv: KvDecl): boolean => !kv.type.startsWith('counter');

function counterMetric(group: Group, decl: CounterDecl): CounterMetric {
  const base = `xsiftr_${group.name}_${decl.prom ?? decl.name.slice(group.prefix.length)}`;
  const labels = decl.perProcess ? [] : ['shard'];
  if (decl.dir !== undefined) labels.push('dir');
  if (decl.span !== undefined) labels.push('type');
  if (decl.bounds !== undefined) {
    return { metric: `${base}_seconds`, type: 'histogram', help: decl.help, labels, group, decl };
  }
  return {
    metric: decl.gauge ? base : `${base}_total`,
    type: decl.gauge ? 'gauge' : 'counter',
    help: decl.help,
    labels,
    group,
    decl,
  };
}

/**
 * Every counter that owns a slot, in layout order of the groups. Dead counters and sums of others have no metric; the two directions of one
 * thing share a name.
 */
export const counterMetrics: readonly CounterMetric[] = groups.flatMap((group) =>
  group.decls.filter((d) => !d.dead && !d.sum).map((d) => counterMetric(group, d)),
);

function queueMetrics(): QueueMetric[] {
  const byName = new Map<string, QueueMetric & { providers: ProviderDecl[] }>();
  for (const provider of providers) {
    for (const kv of provider.kvs) {
      const base = `xsiftr_${provider.prom}_${kv.full ?? kv.key}`;
      const metric = isGauge(kv) ? base : `${base}_total`;
      const known = byName.get(metric);
      if (known !== undefined) {
        known.providers.push(provider);
        continue;
      }
      byName.set(metric, {
        metric,
        type: isGauge(kv) ? 'gauge' : 'counter',
        help: kv.help,
        labels: provider.ring === undefined ? ['iface', 'queue'] : ['iface', 'queue', 'ring'],
        providers: [provider],
        kv,
      });
    }
  }
  return [...byName.values()];
}

/** Every key of every kstat provider. */
export const kstatMetrics: readonly QueueMetric[] = queueMetrics();
