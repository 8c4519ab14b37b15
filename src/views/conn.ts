import { inetNtoa } from '../stack/net/in-addr.ts';
import { CONN_FIELDS, CONN_TIMERS, type ConnName, type ConnType } from '../stack/tcp/conn-fields.ts';
import { CONN_CC_SLOT, CONN_SLOT } from '../stack/tcp/conninfo.ts';

/** A row of connection state (src/stack/tcp/conninfo.ts) as a record with names: what JSON and ss are made of. */

/** States as ss(8) prints them, by TCPS_*. */
export const SS_STATES = [
  'UNCONN',
  'LISTEN',
  'SYN-SENT',
  'SYN-RECV',
  'ESTAB',
  'CLOSE-WAIT',
  'FIN-WAIT-1',
  'CLOSING',
  'LAST-ACK',
  'FIN-WAIT-2',
  'TIME-WAIT',
] as const;

/** Congestion control that rows refer to by its place in a list. */
export interface ConnCc {
  readonly name: string;
  /** Names of the module's own numbers. */
  readonly fields: readonly string[];
}

/**
 * A connection or listening socket: a key for each field that has a value, under its name and in its unit, and `cc_info` with the
 * numbers of the congestion-control module's own.
 */
export type ConnRecord = { readonly [N in ConnName]?: number | boolean | string } & {
  readonly cc_info?: Readonly<Record<string, number>>;
};

/** Number `name` of a record, NaN where it has none. */
export function numberOf(r: ConnRecord, name: ConnName): number {
  const v = r[name];
  return typeof v === 'number' ? v : Number.NaN;
}

/** What slot `i` of a row holds, which is not NaN, under its type; lists as `connRecord` has them. */
export function connValue(
  type: ConnType,
  row: Float64Array,
  i: number,
  ccs: readonly ConnCc[],
  texts: readonly string[] = [],
): number | boolean | string | undefined {
  const v = row[i]!;
  switch (type) {
    case 'state':
      return SS_STATES[v] ?? 'UNKNOWN';
    case 'addr':
      return inetNtoa(row[i + 3]!);
    case 'bool':
      return v !== 0;
    case 'timer':
      return CONN_TIMERS[v] ?? 'off';
    case 'cc':
      return ccs[v]!.name;
    case 'text':
      return texts[v];
    default:
      return v;
  }
}

/** The record of the row at `at`. `ccs` is the list that its congestion control is named by, `texts` that of its texts. */
export function connRecord(
  row: Float64Array,
  at: number,
  ccs: readonly ConnCc[],
  texts: readonly string[] = [],
): ConnRecord {
  const out: Record<string, unknown> = {};
  for (const f of CONN_FIELDS) {
    const i = at + CONN_SLOT[f.name];
    if (Number.isNaN(row[i]!)) continue;
    out[f.name] = connValue(f.type, row, i, ccs, texts);
  }
  const names = ccs[row[at + CONN_SLOT.cc]!]?.fields ?? [];
  const info: Record<string, number> = {};
  names.forEach((name, i) => {
    const v = row[at + CONN_CC_SLOT + i]!;
    if (Number.isFinite(v)) info[name] = v;
  });
  if (Object.keys(info).length > 0) out.cc_info = info;
  return out as ConnRecord;
}
