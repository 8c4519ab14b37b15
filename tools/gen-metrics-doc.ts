import { writeFileSync } from 'node:fs';
import type { CounterDecl } from '../src/metrics/declare.ts';
import { groups } from '../src/metrics/layout.ts';
import { counterMetrics, kstatMetrics } from '../src/metrics/promnames.ts';
import { providers } from '../src/metrics/queuekv.ts';

/** Writes docs/metrics.md from the declarations: node tools/gen-metrics-doc.ts. A test fails when the file is not what this gives. */

const TITLES: Readonly<Record<string, string>> = {
  ip: 'IPv4',
  icmp: 'ICMP',
  tcp: 'TCP',
  arp: 'ARP',
  stack: 'Link layer and shards',
  pfil: 'Packet filter hooks',
  siftr: 'SIFTR',
  dummynet: 'Dummynet',
};

const cell = (text: string): string => text.replace(/\|/g, '\\|');
const code = (text: string): string => `\`${cell(text)}\``;

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '--'), ...rows].map((r) => `| ${r.join(' | ')} |\n`).join('');
}

/** A label in the plural, as a grep for it would find it most often. */
const plural = (label: string): string => label.trim().replace(/\{(?:y\/)?(\w+)\}/g, '$1');

/** The section of `netstat -s` and the line's text. */
function netstatCell(
  group: { name: string; extSection: string },
  decl: CounterDecl,
  shownBy: string | undefined,
): string {
  const label = decl.label ?? shownBy;
  if (decl.span !== undefined) return `${group.name}: packet histogram`;
  if (decl.bounds !== undefined) {
    return `${group.name}: ${code(plural(decl.label!))} with a line a class; kstat ${code(decl.kstat!)}`;
  }
  if (label === undefined) return '';
  return `${decl.ext ? (decl.section ?? group.extSection) : group.name}: ${code(plural(label))}`;
}

function groupText(group: (typeof groups)[number]): string {
  const metrics = new Map(counterMetrics.filter((m) => m.group === group).map((m) => [m.decl.name, m]));
  const rows = group.decls
    .filter((d) => !d.dead && !d.sum)
    .map((d) => {
      const m = metrics.get(d.name)!;
      const by = group.decls.find((o) => o.and === d.name)?.label;
      const labels = m.labels.map((l) => (l === 'dir' ? `dir=${d.dir}` : l));
      return [code(m.metric), m.type, labels.join(', '), d.unit, netstatCell(group, d, by), cell(d.help)];
    });
  const sums = group.decls.filter((d) => d.sum);
  const dead = group.decls.filter((d) => d.dead);
  let text = `\n## ${TITLES[group.name] ?? group.name}\n\n`;
  text += table(['metric', 'type', 'labels', 'unit', 'line of `netstat -s`', 'counts'], rows);
  for (const d of sums) {
    const parts = d.sum!.map((name) => code(metrics.get(name)!.metric)).join(' + ');
    text += `\n${code(plural(d.label!))} (${d.name}) is the sum of ${parts}.\n`;
  }
  for (const d of dead) text += `\n${code(plural(d.label!))} (${d.name}) is always 0 and has no metric.\n`;
  return text;
}

/** The whole document. */
export function metricsDoc(): string {
  let text = `# Metrics

<!-- Written by tools/gen-metrics-doc.ts from the declarations in src/metrics/. Do not edit. -->

\`GET /metrics\` (\`--metrics HOST:PORT\`, default 127.0.0.1:9464) shows what \`xsiftr kstat\` and \`xsiftr netstat -s\` show, from the same
declarations. A name is \`xsiftr_<group>_<name>\`; counters end in \`_total\` and only go up while the process lives. Label \`iface\` is the
interface, \`queue\` the receive or transmit queue, \`shard\` the worker thread (shard k serves queue k of every interface), \`type\` the
ICMP type. A histogram has no \`_total\` and is in seconds. A renamed metric is a breaking change and stands in CHANGELOG.md.

In \`netstat -s\`, N is the metric itself, M the other number of its line. \`netstat\` shows the sum of all shards and, as BSD does,
lets most tcp numbers wrap at 2^32; the metrics do not wrap.

## Build and process

${code('xsiftr_build_info')} is 1 and carries the version in its labels. ${code('process_*')} and ${code('nodejs_*')} are prom-client's
metrics of the process (CPU time, memory, file descriptors, event loop, garbage collection).

## Queues, sockets and rings

`;
  text += table(
    ['metric', 'type', 'labels', 'unit', 'kstat entry and key', 'counts'],
    kstatMetrics.map((m) => [
      code(m.metric),
      m.type,
      m.labels.join(', '),
      m.kv.unit === 'none' ? '' : m.kv.unit,
      `${m.providers.map((p) => p.name).join(', ')}: ${code(m.kv.key)}`,
      cell(m.kv.help),
    ]),
  );
  text += `\nEntries of \`xsiftr kstat\` are called \`<iface>:0:<name>:<queue>\`; the names are ${providers.map((p) => code(p.name)).join(', ')}.\n`;
  return text + groups.map(groupText).join('');
}

if (import.meta.main) writeFileSync(new URL('../docs/metrics.md', import.meta.url), metricsDoc());
