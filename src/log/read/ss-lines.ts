import type { LogItem, Tuple } from '../model.ts';
import { parseEndpoint } from './endpoint.ts';
import type { CutLine, LineParser } from './lines.ts';
import { checked } from './ranges.ts';

/** ss's names of states, as TCPS_* numbers them. */
export const STATES: Readonly<Record<string, number>> = {
  UNCONN: 0,
  LISTEN: 1,
  'SYN-SENT': 2,
  'SYN-RECV': 3,
  ESTAB: 4,
  'CLOSE-WAIT': 5,
  'FIN-WAIT-1': 6,
  CLOSING: 7,
  'LAST-ACK': 8,
  'FIN-WAIT-2': 9,
  'TIME-WAIT': 10,
};
const LISTEN = 1;

const TIME = /^(\d{1,12})(?:\.(\d{1,9}))?\s*$/;
const HEADER = /^(?:Netid|State|Recv-Q)\s/;
/** Netid and state, which ss leaves out where there is but one; the queues; the addresses; and what else the line says. */
const SOCKET = /^(?:tcp +)?(?:([A-Z][A-Z0-9-]+) +)?(\d+) +(\d+) +(\S+) +(\S+)(.*)$/;
const MEMORY = /\bskmem:\(r\d+,rb(\d+),t\d+,tb(\d+)/;

/**
 * Polls with `ss -tinO`, ss(8)'s or ours, each behind a line with its time, as `date +%s.%N` prints it. Without -O the details are on a second line. Windows
 * that ss counts in segments are these times its `mss`, in flight too (`unacked`), of which the last segment may be smaller. Sockets that listen
 * or are not connected are passed over.
 */
export class SsLines implements LineParser {
  /** Time of the poll, µs; NaN before the first. */
  #timeUs = Number.NaN;
  /** Line of a socket to which details may follow. */
  #socket: RegExpExecArray | null = null;
  #details = '';
  #n = 0;
  /** What was said of lines behind that socket's. */
  readonly #behind: LogItem[] = [];

  line(buf: Buffer, from: number, to: number, n: number, out: LogItem[]): void {
    const text = buf.toString('latin1', from, to);
    if (/^\s+\S/.test(text) && this.#socket !== null) {
      this.#details += text;
      return;
    }
    this.#flush(out);
    const time = TIME.exec(text);
    if (time !== null) {
      const places = time[2] ?? '0';
      this.#timeUs = Number(time[1]) * 1e6 + Number(places) / 10 ** (places.length - 6);
      return;
    }
    const socket = SOCKET.exec(text);
    if (socket === null) {
      if (text.trim() !== '' && !HEADER.test(text)) out.push({ type: 'broken', line: n, why: 'not a line of ss' });
      return;
    }
    this.#socket = socket;
    this.#details = socket[6]!;
    this.#n = n;
  }

  broken(item: LogItem, out: LogItem[]): void {
    if (this.#socket === null) out.push(item);
    else this.#behind.push(item);
  }

  end(cut: CutLine | null, out: LogItem[]): void {
    // The details of the last socket are not whole.
    if (cut !== null && /^\s/.test(cut.buf.toString('latin1'))) this.#drop(out);
    this.#flush(out);
    if (cut !== null) out.push({ type: 'broken', line: cut.n, why: 'the last line has no end' });
  }

  #flush(out: LogItem[]): void {
    if (this.#socket === null) return;
    const item = this.#sample(this.#socket, this.#details);
    if (item !== null) out.push(item);
    this.#drop(out);
  }

  #drop(out: LogItem[]): void {
    this.#socket = null;
    for (const item of this.#behind) out.push(item);
    this.#behind.length = 0;
  }

  #sample(socket: RegExpExecArray, details: string): LogItem | null {
    const line = this.#n;
    const name = socket[1];
    const state = name === undefined ? null : (STATES[name] ?? Number.NaN);
    if (Number.isNaN(state)) return { type: 'broken', line, why: `${name}: not a state of ss` };
    if (state !== null && state <= LISTEN) return null;
    const local = parseEndpoint(socket[4]!);
    const foreign = parseEndpoint(socket[5]!);
    if (local === null || foreign === null) return { type: 'broken', line, why: 'not two addresses with ports' };
    if (Number.isNaN(this.#timeUs)) return { type: 'broken', line, why: 'no line with the time of the poll before it' };
    return sample(
      line,
      this.#timeUs,
      state,
      { laddr: local.addr, lport: local.port, faddr: foreign.addr, fport: foreign.port },
      [Number(socket[2]), Number(socket[3])],
      details,
    );
  }
}

/** @param queues Recv-Q and Send-Q */
function sample(
  line: number,
  timeUs: number,
  state: number | null,
  t: Tuple,
  queues: readonly [number, number],
  details: string,
): LogItem {
  const words = new Map<string, string>();
  for (const word of details.split(/\s+/)) {
    const colon = word.indexOf(':');
    words.set(colon < 0 ? word : word.slice(0, colon), colon < 0 ? '' : word.slice(colon + 1));
  }
  const n = (key: string): number => Number.parseFloat(words.get(key) ?? 'NaN');
  const known = (x: number): number | null => (Number.isNaN(x) ? null : x);
  // Milliseconds of at most six digits: the product is off by less than a nanosecond.
  const us = (key: string): number | null => known(Math.round(n(key) * 1e6) / 1e3);
  const mss = n('mss');
  const [sndScale, rcvScale] = (words.get('wscale') ?? '').split(',');
  const memory = MEMORY.exec(details);
  return checked({
    type: 'sample',
    line,
    timeUs,
    dir: null,
    ...t,
    // Left out from 65535 segments on, and while there is none.
    ssthresh: words.has('ssthresh') ? known(n('ssthresh') * mss) : words.has('cwnd') ? Infinity : null,
    cwnd: known(n('cwnd') * mss),
    flags2: null,
    sndWnd: known(n('snd_wnd')),
    rcvWnd: known(n('rcv_wnd')),
    sndScale: sndScale ? Number(sndScale) : null,
    rcvScale: rcvScale ? Number(rcvScale) : null,
    state,
    mss: known(mss),
    srtt: us('rtt'),
    sack: words.has('sack') ? true : null,
    flags: null,
    rto: us('rto'),
    sndHiwat: memory === null ? null : Number(memory[2]),
    sndCc: queues[1],
    rcvHiwat: memory === null ? null : Number(memory[1]),
    rcvCc: queues[0],
    inflight: known((words.has('unacked') ? n('unacked') : 0) * mss),
    segqlen: null,
    flowid: null,
    flowtype: null,
  });
}
