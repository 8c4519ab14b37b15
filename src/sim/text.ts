import { formatRate, formatUs } from '../impair/units.ts';
import type { ExperimentReport, FlowReport, PathReport } from './report.ts';

const ms = (us: number): string => (us / 1000).toFixed(1);
const kib = (bytes: number): string => (bytes / 1024).toFixed(1);

/** Rows in columns, the first to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((r) => r[c]!.length)));
  return rows.map((r) =>
    r
      .map((cell, c) => (c < 2 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)))
      .join('  ')
      .trimEnd(),
  );
}

function flowRow(f: FlowReport): string[] {
  const { rtt_us: rtt, cwnd_bytes: cwnd } = f;
  return [
    String(f.id),
    f.cc,
    `${f.start_s}-${f.end_s} s`,
    formatRate(f.goodput_bps),
    String(f.bytes),
    String(f.retransmitted_segments),
    String(f.timeouts),
    [rtt.min, rtt.p50, rtt.p95, rtt.p99].map(ms).join('/'),
    `${kib(cwnd.mean)}/${kib(cwnd.max)}`,
    f.error ?? '',
  ];
}

function limitText(p: PathReport): string {
  if (p.limit_packets > 0) return `, room for ${p.limit_packets} packets`;
  return p.limit_bytes > 0 ? `, room for ${p.limit_bytes} bytes` : '';
}

function pathLines(name: string, p: PathReport): string[] {
  const { dropped: d, queue: q } = p;
  const drops = d.loss + d.overflow + d.aqm;
  const others = (['marked', 'duplicated', 'corrupted', 'reordered'] as const)
    .filter((k) => p[k] > 0)
    .map((k) => `, ${p[k]} ${k}`)
    .join('');
  return [
    `${name}: ${p.offered} packets offered, ${p.delivered} delivered, ${drops} dropped` +
      `${drops > 0 ? ` (${d.loss} lost, ${d.overflow} queue full, ${d.aqm} AQM)` : ''}${others}`,
    `  ${(p.utilization * 100).toFixed(1)}% of ${formatRate(p.rate_bps)} used; ` +
      `queue mean ${q.mean_packets} packets (${q.mean_bytes} bytes), most ${q.max_packets} (${q.max_bytes} bytes)${limitText(p)}`,
  ];
}

/**
 * A report for people.
 * @param wallMs how long the run took
 */
export function renderReport(r: ExperimentReport, wallMs: number): string {
  const head = [
    'flow',
    'cc',
    'time',
    'goodput',
    'bytes',
    'rexmit',
    'rto',
    'rtt ms min/p50/p95/p99',
    'cwnd KiB mean/max',
    '',
  ];
  const lines = [
    `${formatRate(r.data_path.rate_bps)}, base RTT ${formatUs(r.base_rtt_us)}, bdp ${r.bdp_bytes} bytes, ${r.time_s} s${r.warmup_s > 0 ? `, the first ${r.warmup_s} s not counted` : ''}, seed ${r.seed}`,
    '',
    ...table([head, ...r.flows.map(flowRow)]),
    '',
    ...pathLines('data path', r.data_path),
    ...pathLines('ack path', r.ack_path),
  ];
  if (r.path_mtu !== undefined) {
    const { mtu, icmp, dropped } = r.path_mtu;
    lines.push(`path MTU ${mtu}: ${dropped} packets too large${icmp ? '' : ', and no word to their sender'}`);
  }
  if (r.flows.length > 1) {
    lines.push(`all flows: ${formatRate(r.goodput_bps)}, Jain index ${r.jain_index.toFixed(3)}`);
  }
  lines.push(...r.warnings.map((w) => `warning: ${w}`));
  const seconds = wallMs / 1000;
  lines.push(
    '',
    `${r.time_s} s of virtual time in ${seconds.toFixed(2)} s: ${(r.time_s / seconds).toFixed(1)} times as fast as real time`,
  );
  return `${lines.join('\n')}\n`;
}
