import type { ConnName } from '../stack/tcp/conn-fields.ts';
import { type ConnRecord, numberOf } from './conn.ts';

/**
 * Connections in the format of ss(8) of iproute2 6.1: columns as wide as their widest cell, then `key:value` words. Where ss counts
 * in segments and the stack in bytes, a segment is one of full size, and what is left of one counts as one (of windows: does not).
 */

export interface SsOptions {
  /** -n: rates as whole numbers, not with k, M, G. */
  readonly numeric?: boolean;
  /** -i */
  readonly info?: boolean;
  /** -m */
  readonly memory?: boolean;
  /** -o: timers and TCP options. */
  readonly options?: boolean;
  /** -e: -o, and what identifies the socket. */
  readonly extended?: boolean;
  /** -O: one line a connection. */
  readonly oneline?: boolean;
  /** -H */
  readonly noHeader?: boolean;
  /** The column of that name is left out: nothing in it would differ. */
  readonly noNetid?: boolean;
  readonly noState?: boolean;
}

/** C's `%g`: six digits, no zeros at the end. */
export function fmtG(v: number): string {
  if (v === 0) return '0';
  const exp = Math.floor(Math.log10(Math.abs(Number(v.toPrecision(6)))));
  if (exp >= -4 && exp < 6) return String(Number(v.toPrecision(6)));
  const [digits = '', e = '0'] = v.toExponential(5).split('e');
  return `${Number(digits)}e${e.startsWith('-') ? '-' : '+'}${e.replace(/^[+-]/, '').padStart(2, '0')}`;
}

/** A rate in bits a second, as ss writes it before `bps`. */
export function fmtRate(bits: number, numeric: boolean): string {
  if (numeric) return bits.toFixed(0);
  for (const [unit, name] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (bits >= unit) return `${Number((bits / unit).toPrecision(3))}${name}`;
  }
  return fmtG(bits);
}

/** Time that a timer has left: `204ms`, `1.204ms` for 1.204 s, `12sec`, `3min5sec`, `119min`. */
export function fmtTimer(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  let secs = Math.floor(ms / 1000) % 60;
  let left = Math.floor(ms) % 1000;
  let text = '';
  if (minutes > 0) {
    left = 0;
    text = `${minutes}min`;
    if (minutes > 9) secs = 0;
  }
  if (secs > 0) {
    if (secs > 9) left = 0;
    text += `${secs}${left > 0 ? '.' : 'sec'}`;
  }
  if (left > 0) text += `${String(left).padStart(3, '0')}ms`;
  return text;
}

/** The words of -o, -e, -m and -i after the addresses, each with a blank before it. */
export function ssDetails(r: ConnRecord, o: SsOptions): string {
  let text = '';
  if ((o.options || o.extended) && r.timer !== undefined && r.timer !== 'off') {
    text += ` timer:(${r.timer},${fmtTimer(numberOf(r, 'timer_us') / 1000)},${numberOf(r, 'timer_count')})`;
  }
  if (o.extended) {
    text += ` ino:0 sk:${(numberOf(r, 'flowid') || 0).toString(16)} ${r.rcv_shut ? '-' : '<'}-${r.snd_shut ? '-' : '>'}`;
  }
  // As on Linux, nothing more is told of one in TIME-WAIT.
  if (r.state === 'TIME-WAIT' || !(o.info || o.memory)) return text;
  return text + (o.oneline ? '' : '\n\t') + (o.memory ? skmem(r) : '') + (o.info ? ssInfo(r, o) : '');
}

function skmem(r: ConnRecord): string {
  const n = (name: ConnName): number => numberOf(r, name) || 0;
  const w = r.state === 'LISTEN' ? 0 : n('send_q');
  return ` skmem:(r${n('rcvmem_bytes')},rb${n('rcvbuf_bytes')},t0,tb${n('sndbuf_bytes')},f0,w${w},o0,bl0,d0)`;
}

/** The words of `ss -i`, in ss's order. */
function ssInfo(r: ConnRecord, o: SsOptions): string {
  let text = '';
  const n = (name: ConnName): number => numberOf(r, name) || 0;
  const mss = n('mss_bytes') || 1;
  const segs = (name: ConnName): number => Math.ceil(n(name) / mss);
  /** `key:value` unless it is zero. */
  const word = (key: string, v: number): void => {
    if (v !== 0) text += ` ${key}:${v}`;
  };
  const ms = (key: string, us: number): void => {
    if (us !== 0) text += ` ${key}:${fmtG(us / 1000)}`;
  };
  const rate = (key: string, bytes: number): void => {
    if (bytes !== 0) text += ` ${key} ${fmtRate(bytes * 8, o.numeric === true)}bps`;
  };
  if (o.options || o.extended) for (const f of ['ts', 'sack', 'ecn', 'ecnseen'] as const) if (r[f]) text += ` ${f}`;
  if (r.cc !== undefined) text += ` ${r.cc}`;
  if (r.snd_wscale !== undefined) text += ` wscale:${r.snd_wscale},${r.rcv_wscale}`;
  ms('rto', n('rto_us'));
  word('backoff', n('backoff'));
  if (n('rtt_us') > 0) text += ` rtt:${fmtG(n('rtt_us') / 1000)}/${fmtG(n('rttvar_us') / 1000)}`;
  word('ato', n('ato_ms'));
  word('mss', n('mss_bytes'));
  word('pmtu', n('pmtu_bytes'));
  word('rcvmss', n('rcvmss_bytes'));
  word('advmss', n('advmss_bytes'));
  const cwnd = Math.floor(n('cwnd_bytes') / mss);
  word('cwnd', cwnd);
  word('ssthresh', Math.floor(n('ssthresh_bytes') / mss));
  for (const f of ['bytes_sent', 'bytes_retrans', 'bytes_acked', 'bytes_received'] as const) word(f, n(f));
  for (const f of ['segs_out', 'segs_in', 'data_segs_out', 'data_segs_in'] as const) word(f, n(f));
  text += ccWords(r, o);
  if (cwnd > 0 && n('rtt_us') > 0) rate('send', (cwnd * mss * 1e6) / n('rtt_us'));
  word('lastsnd', n('lastsnd_ms'));
  word('lastrcv', n('lastrcv_ms'));
  word('lastack', n('lastack_ms'));
  rate('pacing_rate', n('pacing_rate'));
  rate('delivery_rate', n('delivery_rate'));
  word('delivered', segs('delivered_bytes'));
  word('delivered_ce', segs('delivered_ce_bytes'));
  if (r.app_limited) text += ' app_limited';
  text += limits(r);
  word('unacked', segs('unacked_bytes'));
  if (n('retrans_bytes') > 0 || n('retrans_total') > 0) {
    text += ` retrans:${segs('retrans_bytes')}/${n('retrans_total')}`;
  }
  word('lost', segs('lost_bytes'));
  word('sacked', segs('sacked_bytes'));
  word('dsack_dups', n('dsack_dups'));
  word('reord_seen', n('reord_seen'));
  word('rcv_space', n('rcv_space_bytes'));
  word('notsent', n('notsent_bytes'));
  ms('minrtt', n('min_rtt_us'));
  word('rcv_ooopack', n('rcv_ooopack'));
  word('snd_wnd', n('snd_wnd_bytes'));
  word('rcv_wnd', n('rcv_wnd_bytes'));
  return text;
}

/** The time with data to send, and the shares of it that a window or a buffer took. */
function limits(r: ConnRecord): string {
  const busy = numberOf(r, 'busy_ms') || 0;
  if (busy === 0) return '';
  let text = ` busy:${busy}ms`;
  for (const key of ['rwnd_limited', 'sndbuf_limited'] as const) {
    const ms = numberOf(r, `${key}_ms`) || 0;
    if (ms > 0) text += ` ${key}:${ms}ms(${((100 * ms) / busy).toFixed(1)}%)`;
  }
  return text;
}

/** The words for congestion control that ss has them for, of modules that have the numbers: dctcp and the BBRs. */
function ccWords(r: ConnRecord, o: SsOptions): string {
  const i = r.cc_info;
  if (i === undefined) return '';
  if (r.cc === 'dctcp') {
    // Linux counts alpha in 1/1024.
    const alpha = Math.round((i.alpha ?? 0) * 1024);
    return ` dctcp:(ce_state:${r.ce_state ? 1 : 0},alpha:${alpha},ab_ecn:${i.bytes_marked ?? 0},ab_tot:${i.bytes_acked ?? 0})`;
  }
  if (i.bw === undefined || i.pacing_gain === undefined || i.cwnd_gain === undefined) return '';
  let text = ` bbr:(bw:${fmtRate(i.bw * 8, o.numeric === true)}bps,mrtt:${fmtG((i.min_rtt ?? 0) / 1000)}`;
  if (i.pacing_gain !== 0) text += `,pacing_gain:${fmtG(i.pacing_gain)}`;
  if (i.cwnd_gain !== 0) text += `,cwnd_gain:${fmtG(i.cwnd_gain)}`;
  return `${text})`;
}

interface Column {
  readonly head: string;
  readonly right: boolean;
  /** What stands before it. */
  readonly gap: string;
  readonly cell: (r: ConnRecord, o: SsOptions) => string;
}

const queue = (v: number): string => String(v || 0).padEnd(6);
const port = (v: number): string => (v > 0 ? String(v) : '*');

const COLUMNS: readonly Column[] = [
  { head: 'Netid', right: false, gap: ' ', cell: () => 'tcp' },
  { head: 'State', right: false, gap: ' ', cell: (r) => String(r.state) },
  { head: 'Recv-Q', right: false, gap: ' ', cell: (r) => queue(numberOf(r, 'recv_q')) },
  { head: 'Send-Q', right: false, gap: ' ', cell: (r) => queue(numberOf(r, 'send_q')) },
  { head: 'Local Address:', right: true, gap: ' ', cell: (r) => `${r.laddr}:` },
  { head: 'Port', right: false, gap: '', cell: (r) => port(numberOf(r, 'lport')) },
  { head: 'Peer Address:', right: true, gap: ' ', cell: (r) => `${r.faddr}:` },
  { head: 'Port', right: false, gap: '', cell: (r) => port(numberOf(r, 'fport')) },
  { head: 'Process', right: false, gap: '', cell: ssDetails },
];

/** Characters of cells that are gathered before columns get their widths: as much as ss gathers. */
const PAGE_CHARS = 5 * 1024 * 1024;

/** Lays rows out in pages: memory is bounded, and columns are as wide as their widest cell of the page. */
export class SsTable {
  readonly #options: SsOptions;
  readonly #columns: readonly Column[];
  #rows: string[][] = [];
  #chars = 0;

  constructor(options: SsOptions) {
    this.#options = options;
    this.#columns = COLUMNS.filter(
      (c) => !(c.head === 'Netid' && options.noNetid) && !(c.head === 'State' && options.noState),
    );
    if (!options.noHeader) this.#rows.push(this.#columns.map((c) => c.head));
  }

  /** Adds a connection. Returns text that is complete, mostly none. */
  add(r: ConnRecord): string {
    const cells = this.#columns.map((c) => c.cell(r, this.#options));
    this.#rows.push(cells);
    for (const c of cells) this.#chars += c.length;
    return this.#chars < PAGE_CHARS ? '' : this.end();
  }

  /** The text of what was added since. */
  end(): string {
    const rows = this.#rows;
    const widths = this.#columns.map((_, i) => rows.reduce((w, row) => Math.max(w, row[i]!.length), 0));
    this.#rows = [];
    this.#chars = 0;
    return rows
      .map((row) => {
        let line = '';
        this.#columns.forEach((c, i) => {
          if (i > 0) line += c.gap;
          line += c.right ? row[i]!.padStart(widths[i]!) : row[i]!.padEnd(widths[i]!);
        });
        return `${line}\n`;
      })
      .join('');
  }
}

/** Connections by state, for `ss -s`. */
export class SsSummary {
  readonly #byState = new Map<string, number>();
  #total = 0;
  #orphans = 0;

  add(r: ConnRecord): void {
    const state = String(r.state);
    this.#byState.set(state, (this.#byState.get(state) ?? 0) + 1);
    this.#total++;
    if (r.orphan === true && state !== 'TIME-WAIT') this.#orphans++;
  }

  /** The text of `ss -s`; there are TCP sockets over IPv4 only. */
  text(): string {
    const of = (state: string): number => this.#byState.get(state) ?? 0;
    const timewait = of('TIME-WAIT');
    const live = this.#total - timewait;
    const closed = timewait + of('UNCONN');
    const row = (name: string, n: number): string =>
      `${name}\t  ${String(n).padEnd(9)} ${String(n).padEnd(9)} ${'0'.padEnd(9)}\n`;
    return [
      `Total: ${live}\n`,
      `TCP:   ${this.#total} (estab ${of('ESTAB')}, closed ${closed}, orphaned ${this.#orphans}, timewait ${timewait})\n\n`,
      'Transport Total     IP        IPv6\n',
      row('RAW', 0),
      row('UDP', 0),
      row('TCP', live),
      row('INET', live),
      row('FRAG', 0),
      '\n',
    ].join('');
  }
}
