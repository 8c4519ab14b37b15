import type { LogFormat } from '../model.ts';
import { type CycleSummary, count } from './cycle-checks.ts';
import type { FlowSummary, Range } from './flow-stats.ts';
import type { LogSummary } from './summary.ts';

const NAMES: Readonly<Record<LogFormat, string>> = {
  siftr: 'SIFTR log',
  tcp_probe: 'trace of tcp_probe',
  ss: 'polls with ss',
  tcpstats: 'samples of tcpstats',
};

const SEGMENTS =
  '  cwnd and ssthresh are counted in segments, whose size the trace does not tell: give it with --mss BYTES\n';

/** A summary as text: the cycles with their checks, then a table a flow. */
export function summaryText(s: LogSummary): string {
  const broken = s.broken === 0 ? '' : `, ${count(s.broken, 'broken line')}`;
  const head = `${s.log}: ${NAMES[s.format]}, ${count(s.flows.length, 'flow')}${broken}\n`;
  const segments = s.flows.some((f) => f.cwnd_bytes === null) ? SEGMENTS : '';
  return (
    head +
    (s.format === 'tcp_probe' ? segments : '') +
    s.cycles.map(cycleText).join('') +
    s.flows.map((f) => flowTable(f, s.format)).join('')
  );
}

function cycleText(c: CycleSummary, i: number): string {
  const e = c.enable;
  let text = `  cycle ${i + 1}, line ${c.line}: `;
  if (e === null) text += 'no enable line';
  else {
    text += `${wallTime(e.enable_time_us)}, siftr ${e.siftrver}, ${e.sysname} ${e.sysver}`;
    if (e.modes.length > 0) text += `, ${e.modes.join(', ')}`;
    if (c.disable !== null) text += `, ${seconds(c.disable.disable_time_us! - e.enable_time_us)} s`;
  }
  text += `, ${count(c.lines, 'line')}\n`;
  if (c.meta !== null) {
    const { version, commit, congestion_control: cc, seed } = c.meta;
    const words = [
      version === null ? '' : `xsiftr ${version}${commit === null ? '' : ` (${commit.slice(0, 12)})`}`,
      cc ?? '',
      seed === null ? '' : `seed ${seed}`,
    ];
    text += `    made by   ${words.filter((w) => w !== '').join(', ')}\n`;
  }
  return text + c.checks.map((check) => `    ${check.result.padEnd(8)}  ${check.detail}\n`).join('');
}

function flowTable(f: FlowSummary, format: LogFormat): string {
  const start = format === 'tcp_probe' ? `${seconds(f.start_us)} s after boot` : wallTime(f.start_us);
  const ways =
    format === 'ss' || format === 'tcpstats'
      ? count(f.samples, format === 'ss' ? 'poll' : 'sample')
      : `${f.in} in, ${f.out} out`;
  const states = f.states.length === 0 ? '' : `; ${f.states.join(', ')}`;
  const rows = [
    rangeRow('cwnd', f.cwnd_bytes, 1, 0, 'bytes'),
    rangeRow('srtt', f.srtt_us, 1000, 3, 'ms'),
    rangeRow('in flight', f.inflight_bytes, 1, 0, 'bytes'),
  ].join('');
  return (
    `\n${f.flow}\n  ${seconds(f.duration_us)} s from ${start}; ${ways}${states}\n` +
    (rows === '' ? '' : `  ${''.padEnd(10)}${['min', 'mean', 'max'].map((h) => h.padStart(13)).join('')}\n${rows}`) +
    thresholdRow(f) +
    hintRow(f)
  );
}

function rangeRow(name: string, r: Range | null, unit: number, places: number, unitName: string): string {
  if (r === null) return '';
  const cells = [r.min, r.mean, r.max].map((x) => (x / unit).toFixed(places).padStart(13));
  return `  ${name.padEnd(10)}${cells.join('')}  ${unitName}\n`;
}

function thresholdRow(f: FlowSummary): string {
  if (f.ssthresh_changes === null) return '';
  const { first, last, min } = f.ssthresh_bytes;
  const name = (x: number | null): string => (x === null ? 'none' : String(Math.round(x)));
  const values = f.ssthresh_changes === 0 ? name(last) : `${name(first)} to ${name(last)}, least ${name(min)}`;
  return `  ssthresh    ${count(f.ssthresh_changes, 'change')}: ${values}\n`;
}

function hintRow(f: FlowSummary): string {
  const hints = [
    f.fast_recoveries === null ? '' : `${count(f.fast_recoveries, 'time')} in fast recovery`,
    f.cwnd_collapses === null ? '' : `cwnd fell to one segment ${count(f.cwnd_collapses, 'time')}`,
  ].filter((hint) => hint !== '');
  return hints.length === 0 ? '' : `  resent?     ${hints.join('; ')}\n`;
}

function seconds(us: number): string {
  return (us / 1e6).toFixed(6);
}

/** µs since the epoch as a date and a time of day, UTC. */
function wallTime(us: number): string {
  const secs = Math.floor(us / 1e6);
  const date = new Date(secs * 1000);
  if (Number.isNaN(date.getTime())) return `${seconds(us)} s`;
  const usecs = String(Math.floor(us - secs * 1e6)).padStart(6, '0');
  return date.toISOString().replace('T', ' ').replace('.000Z', `.${usecs} UTC`);
}
