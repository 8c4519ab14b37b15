import { TCP_MAXWINDOW } from '../../stack/tcp/cc/cc.ts';
import { TCPS_ESTABLISHED } from '../../stack/tcp/tcp-fsm.ts';
import { parseFlow } from '../flows.ts';
import type { LogItem, Sample, Tuple } from '../model.ts';
import type { CutLine, LineParser } from './lines.ts';
import { TupleTexts } from './tuple-texts.ts';

const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const IN = 0x69;
const OUT = 0x6f;
const X = 0x78;

const U32_MAX = 0xffffffff;

/** Last key of a disable line. */
const FLOW_LIST = 'flow_list=';

/** Numbers behind the ports: 21 in 1.3.0; 18 in 1.2.2 and 1.2.3, then one more (1.2.4), two (with TEACUP's ERTT) or three (flow id and type). */
const NUMBERS = 21;
const NUMBERS_OLD = 18;

/**
 * The lines of SIFTR logs of all versions (spec/siftr.md sections 2, 3, 9 and 16). Whether a data line is one of 1.2.x is told by its second field,
 * the packet's hash `0x…`; srtt and rto of those are in units that the enable line tells, and null without one.
 */
export class SiftrLines implements LineParser {
  readonly #tuples = new TupleTexts();
  readonly #v = new Uint32Array(NUMBERS);
  /** µs of one unit of srtt and of rto in 1.2.x; NaN while unknown. */
  #srttUnit = Number.NaN;
  #rtoUnit = Number.NaN;

  line(buf: Buffer, from: number, to: number, n: number, out: LogItem[]): void {
    const c = buf[from];
    if ((c === IN || c === OUT) && buf[from + 1] === COMMA) out.push(this.#data(buf, from, to, n));
    else out.push(this.#other(buf, from, to, n));
  }

  end(cut: CutLine | null, out: LogItem[]): void {
    if (cut === null) return;
    const text = cut.buf.toString('latin1');
    const list = text.indexOf(FLOW_LIST);
    // What a disable line counts stands before the list of flows: cut within that, it tells all of it.
    if (text.startsWith('disable_time_secs=') && list >= 0) {
      // Of the list what has its comma is whole.
      const item = disable(
        cut.n,
        pairs(text.slice(0, Math.max(list + FLOW_LIST.length, text.lastIndexOf(',') + 1))),
        true,
      );
      if (item.type === 'disable') out.push(item);
    }
    out.push({ type: 'broken', line: cut.n, why: 'the last line has no end' });
  }

  #data(buf: Buffer, from: number, to: number, n: number): LogItem {
    let p = from + 2;
    const old = buf[p] === ZERO && buf[p + 1] === X;
    if (old) {
      p = buf.indexOf(COMMA, p) + 1;
      if (p === 0 || p > to) return broken(n, 'field 2: no time behind it');
    }
    // The time: seconds, a dot, up to nine digits.
    let secs = 0;
    let c = 0;
    const digits = p;
    for (; p < to && (c = buf[p]! - ZERO) >= 0 && c <= 9; p++) secs = secs * 10 + c;
    if (p === digits || p - digits > 12 || buf[p] !== DOT) return broken(n, `field ${old ? 3 : 2}: not a time`);
    const dot = p++;
    let usecs = 0;
    for (; p < to && (c = buf[p]! - ZERO) >= 0 && c <= 9; p++) usecs = usecs * 10 + c;
    const places = p - dot - 1;
    if (places < 1 || places > 9 || buf[p] !== COMMA) return broken(n, `field ${old ? 3 : 2}: not a time`);
    p++;
    const timeUs = places === 6 ? secs * 1e6 + usecs : secs * 1e6 + usecs / 10 ** (places - 6);
    const tuple = this.#tuples.read(buf, p, to);
    if (tuple === null) return broken(n, this.#tuples.why);
    p = this.#tuples.end;
    const v = this.#v;
    let k = 0;
    for (; p < to; k++) {
      if (k === NUMBERS) return broken(n, `more than ${old ? 28 : 27} fields`);
      const negative = old && buf[p] === MINUS;
      const start = negative ? ++p : p;
      let x = 0;
      for (; p < to && (c = buf[p]! - ZERO) >= 0 && c <= 9; p++) x = x * 10 + c;
      if (p === start || (p < to && buf[p] !== COMMA)) return broken(n, `field ${k + (old ? 8 : 7)}: not a number`);
      if (x > U32_MAX) return broken(n, `field ${k + (old ? 8 : 7)}: more than 32 bits`);
      // ERTT of TEACUP is signed, and so is rto, which never is below 0.
      v[k] = negative ? 0 : x;
      if (p++ === to - 1) return broken(n, 'a comma at the end');
    }
    const dir = buf[from] === IN ? 'i' : 'o';
    if (!old) {
      if (k !== NUMBERS) return broken(n, `${k + 6} fields; SIFTR 1.3.0 has 27`);
      return this.#sample130(n, timeUs, dir, tuple);
    }
    if (k < NUMBERS_OLD) return broken(n, `${k + 7} fields; SIFTR 1.2 has 25 to 28`);
    return this.#sample12(n, timeUs, dir, tuple, k);
  }

  #sample130(line: number, timeUs: number, dir: 'i' | 'o', t: Tuple): Sample {
    const v = this.#v;
    return this.#sample(line, timeUs, dir, t, v[1]!, v[2]!, v[9]!, v[12]!, v[18]!, v[19]!, v[20]!);
  }

  /** @param k numbers of the line */
  #sample12(line: number, timeUs: number, dir: 'i' | 'o', t: Tuple, k: number): Sample {
    const v = this.#v;
    // Congestion control sets it when the connection is established.
    const cwnd = v[1] === TCP_MAXWINDOW && v[7]! < TCPS_ESTABLISHED ? null : v[1]!;
    const srtt = v[9]! * this.#srttUnit;
    const rto = v[12]! * this.#rtoUnit;
    return this.#sample(
      line,
      timeUs,
      dir,
      t,
      cwnd,
      null,
      Number.isNaN(srtt) ? null : srtt,
      Number.isNaN(rto) ? null : rto,
      k > NUMBERS_OLD ? v[18]! : null,
      k === NUMBERS ? v[19]! : null,
      k === NUMBERS ? v[20]! : null,
    );
  }

  /** With what the versions tell in different ways, or not at all. */
  #sample(
    line: number,
    timeUs: number,
    dir: 'i' | 'o',
    t: Tuple,
    cwnd: number | null,
    flags2: number | null,
    srtt: number | null,
    rto: number | null,
    segqlen: number | null,
    flowid: number | null,
    flowtype: number | null,
  ): Sample {
    const v = this.#v;
    return {
      type: 'sample',
      line,
      timeUs,
      dir,
      laddr: t.laddr,
      lport: t.lport,
      faddr: t.faddr,
      fport: t.fport,
      ssthresh: v[0] === TCP_MAXWINDOW ? Infinity : v[0]!,
      cwnd,
      flags2,
      sndWnd: v[3]!,
      rcvWnd: v[4]!,
      sndScale: v[5]!,
      rcvScale: v[6]!,
      state: v[7]!,
      mss: v[8]!,
      srtt,
      sack: v[10] !== 0,
      flags: v[11]!,
      rto,
      sndHiwat: v[13]!,
      sndCc: v[14]!,
      rcvHiwat: v[15]!,
      rcvCc: v[16]!,
      inflight: v[17]!,
      segqlen,
      flowid,
      flowtype,
    };
  }

  /** An enable or a disable line, or what is none. */
  #other(buf: Buffer, from: number, to: number, n: number): LogItem {
    const text = buf.toString('latin1', from, Math.min(to, from + 20));
    if (text.startsWith('enable_time_secs=')) return this.#enable(n, pairs(buf.toString('latin1', from, to)));
    if (text.startsWith('disable_time_secs=')) return disable(n, pairs(buf.toString('latin1', from, to)), false);
    return broken(n, from === to ? 'an empty line' : 'not a line of a SIFTR log');
  }

  #enable(n: number, kv: Map<string, string>): LogItem {
    const hz = whole(kv.get('hz'));
    const scale = whole(kv.get('tcp_rtt_scale'));
    this.#srttUnit = hz !== null && scale !== null && hz > 0 && scale > 0 ? 1e6 / hz / scale : Number.NaN;
    this.#rtoUnit = hz !== null && hz > 0 ? 1e6 / hz : Number.NaN;
    const secs = whole(kv.get('enable_time_secs'));
    const usecs = whole(kv.get('enable_time_usecs'));
    if (secs === null || usecs === null) return broken(n, 'an enable line without its time');
    return {
      type: 'enable',
      line: n,
      timeUs: secs * 1e6 + usecs,
      siftrver: kv.get('siftrver') ?? '',
      sysname: kv.get('sysname') ?? '',
      sysver: kv.get('sysver') ?? '',
      ipmode: whole(kv.get('ipmode')) ?? 4,
      hz,
      tcpRttScale: scale,
      modes: (kv.get('xsiftr') ?? '').split(',').filter((m) => m !== ''),
    };
  }
}

function broken(line: number, why: string): LogItem {
  return { type: 'broken', line, why };
}

/** The digits of a text as a number; null for anything else. */
function whole(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** `key=value` pairs with a TAB between, or a blank as the DTrace writer for macOS has it. */
function pairs(text: string): Map<string, string> {
  const kv = new Map<string, string>();
  for (const pair of text.split(/[\t ]+/)) {
    const eq = pair.indexOf('=');
    if (eq > 0) kv.set(pair.slice(0, eq), pair.slice(eq + 1));
  }
  return kv;
}

/** @param cut the log ends within its flow_list */
function disable(n: number, kv: Map<string, string>, cut: boolean): LogItem {
  const secs = whole(kv.get('disable_time_secs'));
  const usecs = whole(kv.get('disable_time_usecs'));
  if (secs === null || usecs === null) return broken(n, 'a disable line without its time');
  // Of one that was cut before it the last number may lack digits.
  if (!kv.has('flow_list')) return broken(n, 'a disable line without its flow_list');
  const counts: Record<string, number> = {};
  for (const [key, value] of kv) {
    if (key === 'flow_list' || key.startsWith('disable_time_')) continue;
    const x = whole(value);
    if (x === null) return broken(n, `${key}: not a number`);
    counts[key] = x;
  }
  const flows: Tuple[] = [];
  for (const entry of (kv.get('flow_list') ?? '').split(',')) {
    const flow = parseFlow(entry);
    if (flow !== null) flows.push(flow);
  }
  return { type: 'disable', line: n, timeUs: secs * 1e6 + usecs, counts, flows, cut };
}
