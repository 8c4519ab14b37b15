import type { CodelConfig, RedConfig } from '../impair/config.ts';
import type { PipeSpec } from './config.ts';
import type { DummynetReport, PipeReport } from './dummynet.ts';
import { formatRule, type RuleSpec } from './rule.ts';

/**
 * The output of `dnctl show` and `ipfw pipe show` of FreeBSD 14, line by line (sbin/ipfw/dummynet.c there prints it), with one line more for what only
 * a pipe of ours has. A queue of the interface is a bucket: each has a pipe of its own.
 */

/** What dummynet adds to a pipe's number for its scheduler, and twice for its queue. */
const DN_MAX_ID = 0x10000;

const HEADER = 'BKT Prot ___Source IP/port____ ____Dest. IP/port____ Tot_pkt/bytes Pkt/Byte Drp\n';

/** %7.3f and a unit; `unlimited` padded to the same width. */
function bandwidth(bits: number): string {
  if (bits === 0) return 'unlimited     ';
  const [n, unit] =
    bits >= 1e9
      ? [bits / 1e9, 'Gbit/s']
      : bits >= 1e6
        ? [bits / 1e6, 'Mbit/s']
        : bits >= 1e3
          ? [bits / 1e3, 'Kbit/s']
          : [bits, 'bit/s '];
  return `${n.toFixed(3).padStart(7)} ${unit}`;
}

/** Milliseconds without needless digits. */
const ms = (us: number): string => String(Number((us / 1000).toFixed(3)));

/** As dummynet shows the times of its AQMs: 500us, 5ms, 1.5s. */
function time(us: number): string {
  if (us < 1000) return `${us}us`;
  return us < 1e6 ? `${us / 1000}ms` : `${us / 1e6}s`;
}

function queueSize(spec: PipeSpec): string {
  const { limitPackets, limitBytes } = spec.config;
  if (limitBytes === 0) return `${String(limitPackets).padStart(3)} sl.`;
  return limitBytes >= 8192 ? `${Math.floor(limitBytes / 1024)} KB` : `${limitBytes} B`;
}

function redText(c: RedConfig): string {
  return `\n\t ${c.gentle ? 'G' : ' '}RED w_q ${c.wq.toFixed(6)} min_th ${c.minTh} max_th ${c.maxTh} max_p ${c.maxP.toFixed(6)}${c.ecn ? ' (ecn)' : ''}`;
}

function codelText(c: CodelConfig): string {
  return ` AQM CoDel target ${time(c.targetUs)} interval ${time(c.intervalUs)} ${c.ecn ? 'ECN' : 'NoECN'}`;
}

function management(spec: PipeSpec): string {
  const { aqm } = spec.config;
  if (aqm === null) return 'droptail';
  return aqm.kind === 'red' ? redText(aqm) : codelText(aqm);
}

/** What dummynet has no words for, in the words that set it; empty where there is nothing. */
function extras(spec: PipeSpec): string {
  const c = spec.config;
  const words: string[] = [];
  if (spec.trace !== null) words.push(`trace ${spec.traceName}`);
  if (c.jitterUs > 0) words.push(`jitter ${ms(c.jitterUs)} ms${c.jitterReorder ? ' jitter-reorder' : ''}`);
  if (c.gilbert !== null) {
    const { p, r, lossBad, lossGood } = c.gilbert;
    words.push(`gemodel ${[p, r, lossBad, lossGood].join('/')}`);
  }
  if (c.drop.length > 0) words.push(`drop ${c.drop.slice(0, 10).join(',')}${c.drop.length > 10 ? '…' : ''}`);
  if (c.reorder !== null) {
    const { probability, gap, extraUs } = c.reorder;
    words.push(`reorder ${probability} gap ${gap}${extraUs > 0 ? ` extra ${ms(extraUs)} ms` : ''}`);
  }
  if (c.duplicate > 0) words.push(`duplicate ${c.duplicate}`);
  if (c.corrupt > 0) words.push(`corrupt ${c.corrupt}`);
  if (c.ecnPackets > 0) words.push(`mark ${c.ecnPackets}`);
  if (c.ecnBytes > 0) words.push(`mark ${c.ecnBytes}B`);
  return words.length === 0 ? '' : `\t ${words.join(' ')}\n`;
}

function flowLine(bucket: number, r: PipeReport): string {
  const any = `${'0.0.0.0'.padStart(15)}/${'0'.padEnd(5)}`;
  const counts = `${String(r.packets).padStart(4)} ${String(r.bytes).padStart(8)} ${String(r.queuePackets).padStart(2)} ${String(r.queueBytes).padStart(4)} ${String(r.drops).padStart(3)}`;
  return `${String(bucket).padStart(3)} ip   ${any} ${any} ${counts}\n`;
}

/** A pipe and what its instances have done, by shard. */
export interface ShownPipe {
  readonly number: number;
  readonly spec: PipeSpec;
  readonly reports: readonly PipeReport[];
}

/** Pipes; the head of the table of flows comes once, before the first flow. */
export function renderPipes(pipes: readonly ShownPipe[]): string {
  const first = pipes.find((p) => p.reports.some((r) => r.packets > 0));
  return pipes.map((p) => pipeText(p, p === first)).join('');
}

function pipeText({ number, spec, reports }: ShownPipe, head: boolean): string {
  const c = spec.config;
  const active = reports.map((r, bucket) => ({ r, bucket })).filter(({ r }) => r.packets > 0);
  const plr = c.loss > 0 ? `plr ${c.loss.toFixed(6)}` : '';
  return [
    `${String(number).padStart(5, '0')}: ${bandwidth(spec.trace === null ? c.rate : 0)} ${ms(c.delayUs).padStart(4)} ms burst 0 \n`,
    `q${number + 2 * DN_MAX_ID} ${queueSize(spec)}${plr} 0 flows (${reports.length} buckets) sched ${number + DN_MAX_ID} weight 0 lmax 0 pri 0 ${management(spec)}\n`,
    extras(spec),
    ` sched ${number + DN_MAX_ID} type FIFO flags 0x0 0 buckets ${active.length} active\n`,
    head ? HEADER : '',
    ...active.map(({ r, bucket }) => flowLine(bucket, r)),
  ].join('');
}

/** The rules as `ipfw list` shows them; with `reports` as `ipfw show` does, packets and bytes behind the number. */
export function renderRules(rules: readonly RuleSpec[], reports: readonly DummynetReport[] | null): string {
  const counted = rules.map((rule) => {
    const hits = (reports ?? []).flatMap((r) => r.rules.filter((h) => h.number === rule.number));
    return {
      rule,
      packets: String(hits.reduce((n, h) => n + h.packets, 0)),
      bytes: String(hits.reduce((n, h) => n + h.bytes, 0)),
    };
  });
  const wide = (texts: readonly string[]): number => Math.max(0, ...texts.map((t) => t.length));
  const packets = wide(counted.map((c) => c.packets));
  const bytes = wide(counted.map((c) => c.bytes));
  return counted
    .map(({ rule, ...c }) => {
      const counts = reports === null ? '' : `${c.packets.padStart(packets)} ${c.bytes.padStart(bytes)} `;
      return `${String(rule.number).padStart(5, '0')} ${counts}${formatRule(rule)}\n`;
    })
    .join('');
}
