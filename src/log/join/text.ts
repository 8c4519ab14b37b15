/** The rows of a join as texts: a table for people, CSV and NDJSON with a column for each field of the line and of the segment. */
import { csvValue } from '../../csv.ts';
import { COLUMNS } from '../export/columns.ts';
import type { JoinRow } from './join.ts';
import type { Segment } from './segment.ts';
import type { JoinSummary, SegmentFate } from './summary.ts';

export type JoinFormat = 'table' | 'csv' | 'ndjson';

type Value = string | number | boolean | null;

/** Letters of the control bits from FIN on, as tcpdump has them. */
const FLAG_LETTERS = 'FSRP.UEWe';

interface RowColumn {
  readonly name: string;
  readonly of: (row: JoinRow) => Value;
}

const ofSegment = (name: string, of: (s: Segment, row: JoinRow) => Value): RowColumn => ({
  name: `seg_${name}`,
  of: (row) => (row.captured === null ? null : of(row.captured.segment, row)),
});

const ROW_COLUMNS: readonly RowColumn[] = [
  ...COLUMNS.map(({ name, of }): RowColumn => ({ name, of: ({ sample }) => (sample === null ? null : of(sample)) })),
  ofSegment('frame', (s) => s.frame),
  ofSegment('time', captureTime),
  { name: 'diff_us', of: ({ diffUs }) => (Number.isNaN(diffUs) ? null : micros(diffUs)) },
  { name: 'by', of: ({ by }) => by },
  { name: 'why', of: ({ why }) => why || null },
  ofSegment('saddr', (s) => s.saddr),
  ofSegment('sport', (s) => s.sport),
  ofSegment('daddr', (s) => s.daddr),
  ofSegment('dport', (s) => s.dport),
  ofSegment('rel_seq', (_, { captured }) => captured!.relSeq),
  ofSegment('rel_ack', (_, { captured }) => captured!.relAck),
  ofSegment('seq', (s) => s.seq),
  ofSegment('ack', (s) => s.ack),
  ofSegment('flags', (s) => flagText(s.flags)),
  ofSegment('len', (s) => s.len),
  ofSegment('win', (s) => s.win),
  ofSegment('tsval', (s) => s.tsval),
  ofSegment('tsecr', (s) => s.tsecr),
  ofSegment('sack', (s) => sackText(s.sack)),
  ofSegment('mss', (s) => s.mss),
  ofSegment('wscale', (s) => s.wscale),
  ofSegment('piece', (_, { piece }) => piece),
  ofSegment('pieces', (_, { pieces }) => pieces),
];

/** What stands before the rows; empty for NDJSON. */
export function joinHeader(format: JoinFormat): string {
  if (format === 'csv') return `${ROW_COLUMNS.map(({ name }) => name).join(',')}\n`;
  if (format === 'ndjson') return '';
  const names = ['LINE', 'TIME', 'D', 'LOCAL', 'FOREIGN', 'CWND', 'INFLIGHT', 'FRAME', 'DIFF(us)', 'BY'];
  return tableLine([...names, 'SEQ', 'ACK', 'FLAGS', 'LEN', 'WIN', 'OPTIONS']);
}

/** A row, with its line end. */
export function joinRow(format: JoinFormat, row: JoinRow): string {
  if (format === 'csv') return `${ROW_COLUMNS.map(({ of }) => csvValue(String(of(row) ?? ''))).join(',')}\n`;
  if (format === 'ndjson')
    return `${JSON.stringify(Object.fromEntries(ROW_COLUMNS.map(({ name, of }) => [name, of(row)])))}\n`;
  const { sample, captured } = row;
  const s = captured?.segment;
  return tableLine([
    ...(sample === null
      ? ['-', '-', '-', `${s!.saddr}:${s!.sport}`, `${s!.daddr}:${s!.dport}`, '-', '-']
      : [
          String(sample.line),
          logTime(sample.timeUs),
          sample.dir ?? '-',
          `${sample.laddr}:${sample.lport}`,
          `${sample.faddr}:${sample.fport}`,
          String(sample.cwnd ?? '-'),
          String(sample.inflight ?? '-'),
        ]),
    s === undefined ? '-' : `${s.frame}${row.pieces > 1 ? `/${row.piece}` : ''}`,
    Number.isNaN(row.diffUs) ? '-' : String(micros(row.diffUs)),
    row.by ?? row.why,
    ...(captured === null || s === undefined
      ? ['-', '-', '-', '-', '-', '']
      : [
          String(captured.relSeq),
          String(captured.relAck),
          flagText(s.flags),
          String(s.len),
          String(s.win),
          optionText(s),
        ]),
  ]);
}

/** The end of it all, for people. @param notes what the reader of the capture has to say */
export function summaryText(sum: JoinSummary, segments: number, notes: readonly string[]): string {
  const lost = sum.linesAlone;
  const alone = sum.segmentsAlone;
  const others = (['handshake', 'reset', 'closed', 'covered'] as const).filter((fate) => alone[fate] > 0);
  const elsewhere = (counts: Record<'outside' | 'no-connection', number>, of: string): string[] => [
    ...(counts.outside > 0 ? [`${counts.outside} outside the time of the ${of}`] : []),
    ...(counts['no-connection'] > 0 ? [`${counts['no-connection']} of connections that the ${of} does not have`] : []),
  ];
  const lines = [
    ['lines', `${sum.lines}${sum.broken.count > 0 ? `, and ${sum.broken.count} that cannot be read` : ''}`],
    ['segments', String(segments)],
    [
      'paired',
      `${sum.pairs} (${sum.by.seq} by sequence number, ${sum.by.ack} by acknowledgment, ${sum.by.order} by order and count${sum.by.time > 0 ? `, ${sum.by.time} by time` : ''})`,
    ],
    ['lines unmatched', [String(lost.unmatched), ...elsewhere(lost, 'capture')].join('; ')],
    ['segments unmatched', [String(alone.unmatched), ...elsewhere(alone, 'log')].join('; ')],
    ['without a line', others.length === 0 ? '0' : others.map((fate) => `${alone[fate]} ${FATES[fate]}`).join(', ')],
    ['capture - log, out', distribution(sum.out)],
    ['capture - log, in', distribution(sum.in)],
    ...(sum.suppressed > 0
      ? [['suppressed', `${sum.suppressed} packets (ppl): they are among the unmatched segments`]]
      : []),
    ...notes.map((note) => ['capture', note]),
  ];
  return lines.map(([name, text]) => `${name!.padEnd(20)}${text}\n`).join('');
}

const FATES: Readonly<Record<Exclude<SegmentFate, 'outside' | 'no-connection' | 'unmatched'>, string>> = {
  handshake: 'of handshakes',
  reset: 'resets',
  closed: 'after the end of their connection',
  covered: 'parts of larger segments',
};

function distribution(differences: JoinSummary['out']): string {
  if (differences.count === 0) return '-';
  const { min, median, p99, max } = differences.distribution();
  const us = (n: number): string => `${micros(n)} us`;
  return `min ${us(min)}, median ${us(median)}, p99 ${us(p99)}, max ${us(max)}; 99% within ${us(differences.spread())} of the median`;
}

const WIDTHS = [8, 17, 1, 21, 21, 10, 10, 9, 11, 9, 10, 10, 5, 6, 6, 0];
/** Columns of texts; the others are numbers. */
const LEFT = new Set([2, 3, 4, 9, 12, 15]);

function tableLine(cells: readonly string[]): string {
  const padded = cells.map((cell, i) => (LEFT.has(i) ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!)));
  return `${padded.join(' ').trimEnd()}\n`;
}

/** A number of µs with the ns that there are. */
function micros(us: number): number {
  return Math.round(us * 1000) / 1000;
}

/** Seconds with six digits, as the line has them. */
function logTime(us: number): string {
  const sec = Math.floor(us / 1e6);
  return `${sec}.${String(Math.floor(us - sec * 1e6)).padStart(6, '0')}`;
}

function captureTime({ sec, nsec }: Segment): string {
  return `${sec}.${String(nsec).padStart(9, '0')}`;
}

function flagText(flags: number): string {
  return [...FLAG_LETTERS].filter((_, bit) => (flags & (1 << bit)) !== 0).join('') || 'none';
}

function sackText(sack: readonly number[] | null): string | null {
  if (sack === null) return null;
  return sack.flatMap((edge, i) => (i % 2 === 0 ? [`${edge}-${sack[i + 1]}`] : [])).join(' ');
}

function optionText({ tsval, tsecr, sack, mss, wscale }: Segment): string {
  return [
    ...(mss === null ? [] : [`mss ${mss}`]),
    ...(wscale === null ? [] : [`wscale ${wscale}`]),
    ...(tsval === null ? [] : [`TS val ${tsval} ecr ${tsecr}`]),
    ...(sack === null ? [] : [`sack ${sackText(sack)}`]),
  ].join(', ');
}
