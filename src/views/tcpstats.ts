import { csvValue } from '../csv.ts';
import { CONN_FIELDS, type ConnName } from '../stack/tcp/conn-fields.ts';
import type { ConnLayout } from '../stack/tcp/conninfo.ts';
import { type ConnCc, connValue } from './conn.ts';
import { ViewError } from './view-error.ts';

/**
 * The columns of `xsiftr tcpstats`: fields of a connection under the names and in the units of conn-fields.ts, and the time of the sample.
 * A line of text has them with commas between, as RFC 4180 has it; JSON has a key for each that has a value.
 */

/** µs since the epoch at which the connection was looked at. */
const TIME = 'time_us';

export type StatName = typeof TIME | ConnName;

/** A line's values by column. */
export type StatRecord = { readonly [N in StatName]?: number | boolean | string };

/** Fields that the stack itself knows: who has a socket is asked seldom and told by ss. */
const KNOWN = CONN_FIELDS.filter((f) => f.get !== undefined || ['addr', 'shard', 'cc'].includes(f.type));

/** Every column there is, with unit or type and meaning. */
export const STAT_COLUMNS: readonly { readonly name: StatName; readonly unit: string; readonly help: string }[] = [
  { name: TIME, unit: 'us', help: 'when the connection was looked at, since the epoch; the clock of the SIFTR log' },
  ...KNOWN.map((f) => ({ name: f.name, unit: f.unit || f.type, help: f.help })),
];

const NAMES: ReadonlySet<string> = new Set(STAT_COLUMNS.map((c) => c.name));

/** Columns where none are named: what a line of the SIFTR log has, as far as a connection has it without a packet, and how it fares. */
export const STAT_DEFAULT: readonly StatName[] = [
  TIME,
  'laddr',
  'lport',
  'faddr',
  'fport',
  'state',
  'ssthresh_bytes',
  'cwnd_bytes',
  'snd_wnd_bytes',
  'rcv_wnd_bytes',
  'snd_wscale',
  'rcv_wscale',
  'mss_bytes',
  'rtt_us',
  'rttvar_us',
  'min_rtt_us',
  'rto_us',
  'sack',
  'sndbuf_bytes',
  'send_q',
  'rcvbuf_bytes',
  'recv_q',
  'unacked_bytes',
  'inflight_bytes',
  'lost_bytes',
  'retrans_total',
  'bytes_acked',
  'bytes_received',
  'delivery_rate',
  'cc',
  'flowid',
];

/**
 * Columns from a list with commas between, in its order: names of STAT_COLUMNS; `default`, `all`.
 * @throws ViewError for a name that is none, and for one that stands there twice
 */
export function parseStatNames(text: string): StatName[] {
  const names = text.split(',').flatMap((word): readonly StatName[] => {
    if (word === 'default') return STAT_DEFAULT;
    if (word === 'all') return STAT_COLUMNS.map((c) => c.name);
    if (NAMES.has(word)) return [word as StatName];
    throw new ViewError(
      `tcpstats: --fields ${text}: no column ${word || '(empty)'}; allowed are names with commas between, default and all; xsiftr tcpstats --columns lists them`,
    );
  });
  const twice = names.find((n, i) => names.indexOf(n) !== i);
  if (twice !== undefined) throw new ViewError(`tcpstats: --fields ${text}: ${twice} stands there twice`);
  return names;
}

/** Those of the columns that are fields of a connection. */
export function statConnNames(names: readonly StatName[]): ConnName[] {
  return names.filter((n) => n !== TIME);
}

const TYPES = new Map<string, (typeof CONN_FIELDS)[number]['type']>(CONN_FIELDS.map((f) => [f.name, f.type]));

/** The record of the row at `at`, whose layout was made of the same names. */
export function statRecord(
  names: readonly StatName[],
  layout: ConnLayout,
  timeUs: number,
  row: Float64Array,
  at: number,
  ccs: readonly ConnCc[],
): StatRecord {
  const out: Record<string, unknown> = {};
  for (const name of names) {
    if (name === TIME) {
      out[name] = timeUs;
      continue;
    }
    const i = at + layout.slot[name]!;
    if (!Number.isNaN(row[i]!)) out[name] = connValue(TYPES.get(name)!, row, i, ccs);
  }
  return out as StatRecord;
}

/** The first line of a file: the names. */
export function statHeader(names: readonly StatName[]): string {
  return `${names.join(',')}\n`;
}

/** A line of text: nothing between two commas where there is no value, 1 and 0 for yes and no. */
export function statLine(names: readonly StatName[], r: StatRecord): string {
  let line = '';
  for (let i = 0; i < names.length; i++) {
    const v = r[names[i]!];
    if (i > 0) line += ',';
    if (v === undefined) continue;
    line += v === true ? '1' : v === false ? '0' : typeof v === 'string' ? csvValue(v) : String(v);
  }
  return `${line}\n`;
}
