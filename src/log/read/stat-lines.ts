import type { LogItem, Tuple } from '../model.ts';
import type { CutLine, LineParser } from './lines.ts';
import { checked } from './ranges.ts';
import { STATES } from './ss-lines.ts';

const TUPLE = ['time_us', 'laddr', 'lport', 'faddr', 'fport'];

/** A line's texts by column; '' where there is no value. */
type Row = ReadonlyMap<string, string>;

/**
 * Samples of `xsiftr tcpstats`: lines with commas under a header line (RFC 4180), or an object a line. Which columns there are is the user's choice; time, addresses
 * and ports are needed. The values are those of the columns, so that `inflight` is `unacked_bytes`, snd_nxt - snd_una, as near as a sample without
 * a packet has it to field 24 of the SIFTR log.
 */
export class StatLines implements LineParser {
  #names: readonly string[] | null = null;

  line(buf: Buffer, from: number, to: number, n: number, out: LogItem[]): void {
    const text = buf.toString('utf8', from, to);
    if (text === '') return;
    const row = text.startsWith('{') ? this.#object(text) : this.#columns(text);
    if (row === null) return;
    out.push(typeof row === 'string' ? { type: 'broken', line: n, why: row } : sample(n, row));
  }

  end(cut: CutLine | null, out: LogItem[]): void {
    if (cut !== null) out.push({ type: 'broken', line: cut.n, why: 'the last line has no end' });
  }

  /** Null for a header line, which names the columns from there on; a text for what is wrong. */
  #columns(text: string): Row | string | null {
    const values = cells(text);
    if (values.includes('laddr')) {
      this.#names = values;
      return null;
    }
    const names = this.#names;
    if (names === null) return 'no line with the names of the columns before it';
    if (values.length !== names.length) return `${values.length} columns, the header line names ${names.length}`;
    return new Map(names.map((name, i) => [name, values[i]!]));
  }

  #object(text: string): Row | string {
    try {
      const object = JSON.parse(text) as Record<string, unknown>;
      return new Map(Object.entries(object).map(([k, v]) => [k, typeof v === 'boolean' ? `${Number(v)}` : `${v}`]));
    } catch {
      return 'not an object';
    }
  }
}

/** Values between commas; one in quotes may have commas, and quotes that stand twice. */
function cells(text: string): string[] {
  if (!text.includes('"')) return text.split(',');
  return [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((m) => m[1]?.replaceAll('""', '"') ?? m[2]!);
}

function sample(line: number, row: Row): LogItem {
  const broken = (why: string): LogItem => ({ type: 'broken', line, why });
  const missing = TUPLE.find((name) => !row.get(name));
  if (missing !== undefined) return broken(`no ${missing}`);
  const n = (name: string): number | null => {
    const text = row.get(name);
    return text === undefined || text === '' ? null : Number(text);
  };
  const t: Tuple = { laddr: row.get('laddr')!, lport: n('lport')!, faddr: row.get('faddr')!, fport: n('fport')! };
  const timeUs = n('time_us')!;
  const word = row.get('state');
  const state = word ? (STATES[word] ?? Number.NaN) : null;
  const wrong =
    [timeUs, t.lport, t.fport].some((x) => !Number.isSafeInteger(x) || x < 0) || t.lport > 65535 || t.fport > 65535;
  if (wrong) return broken('time or ports are no numbers');
  if (Number.isNaN(state)) return broken(`${word}: not a state`);
  const sack = n('sack');
  return checked({
    type: 'sample',
    line,
    timeUs,
    dir: null,
    ...t,
    // CSV leaves it empty and JSON out while none has been set: of an object alone nobody could tell that from a column that was not chosen.
    ssthresh: n('ssthresh_bytes') ?? (row.has('ssthresh_bytes') ? Infinity : null),
    cwnd: n('cwnd_bytes'),
    flags2: null,
    sndWnd: n('snd_wnd_bytes'),
    rcvWnd: n('rcv_wnd_bytes'),
    sndScale: n('snd_wscale'),
    rcvScale: n('rcv_wscale'),
    state,
    mss: n('mss_bytes'),
    srtt: n('rtt_us') ?? (row.has('rtt_us') ? 0 : null),
    sack: sack === null ? null : sack !== 0,
    flags: null,
    rto: n('rto_us'),
    sndHiwat: n('sndbuf_bytes'),
    sndCc: n('send_q'),
    rcvHiwat: n('rcvbuf_bytes'),
    rcvCc: n('recv_q'),
    inflight: n('unacked_bytes'),
    segqlen: null,
    flowid: n('flowid'),
    flowtype: null,
  });
}
