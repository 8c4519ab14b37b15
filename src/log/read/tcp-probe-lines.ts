import type { LogItem } from '../model.ts';
import { parseEndpoint } from './endpoint.ts';
import type { CutLine, LineParser } from './lines.ts';
import { checked } from './ranges.ts';

/** Time and event of a line, as tracefs, trace-cmd report and perf script write them: `TASK-PID [CPU] FLAGS SECONDS: EVENT: …`. */
const EVENT = /(?:^|\s)(\d{1,12})\.(\d{1,9}): +([\w:]+):(.*)$/;
const VALUES = /(\w+)=(\S+)/g;
const LOST = /\bLOST (\d+) EVENTS\b/;

/** `TCP_INFINITE_SSTHRESH`, segments. */
const INFINITE_SSTHRESH = 0x7fffffff;

/**
 * Text of Linux's trace point `tcp:tcp_probe`, which fires for each segment that an established connection receives, before it is processed. The kernel
 * counts cwnd and ssthresh in segments and does not tell their size. What it prints as ssthresh is `tcp_current_ssthresh()`: outside of recovery at least
 * three quarters of cwnd. Other events of the trace are passed over.
 */
export class TcpProbeLines implements LineParser {
  readonly #mss: number | null;

  /** @param mss bytes of a segment */
  constructor(mss: number | null) {
    this.#mss = mss;
  }

  line(buf: Buffer, from: number, to: number, n: number, out: LogItem[]): void {
    const text = buf.toString('latin1', from, to);
    const m = EVENT.exec(text);
    if (m === null) {
      const lost = LOST.exec(text);
      if (lost !== null) out.push({ type: 'broken', line: n, why: `the kernel lost ${lost[1]} events here` });
      else if (!isHeader(text)) out.push({ type: 'broken', line: n, why: 'not a line of a trace' });
      return;
    }
    if (m[3] !== 'tcp_probe' && m[3] !== 'tcp:tcp_probe') return;
    const timeUs = Number(m[1]) * 1e6 + Number(m[2]) / 10 ** (m[2]!.length - 6);
    out.push(this.#sample(n, timeUs, m[4]!));
  }

  end(cut: CutLine | null, out: LogItem[]): void {
    if (cut !== null) out.push({ type: 'broken', line: cut.n, why: 'the last line has no end' });
  }

  #sample(line: number, timeUs: number, values: string): LogItem {
    const v = new Map<string, string>();
    for (const m of values.matchAll(VALUES)) v.set(m[1]!, m[2]!);
    const local = parseEndpoint(v.get('src') ?? '');
    const foreign = parseEndpoint(v.get('dest') ?? '');
    if (local === null || foreign === null) return { type: 'broken', line, why: 'no src and dest with ports' };
    const n = (key: string): number => Number(v.get(key) ?? Number.NaN);
    const known = (x: number): number | null => (Number.isNaN(x) ? null : x);
    const mss = this.#mss ?? Number.NaN;
    return checked({
      type: 'sample',
      line,
      timeUs,
      dir: 'i',
      laddr: local.addr,
      lport: local.port,
      faddr: foreign.addr,
      fport: foreign.port,
      ssthresh: n('ssthresh') === INFINITE_SSTHRESH ? Infinity : known(n('ssthresh') * mss),
      cwnd: known(n('snd_cwnd') * mss),
      flags2: null,
      sndWnd: known(n('snd_wnd')),
      rcvWnd: known(n('rcv_wnd')),
      sndScale: null,
      rcvScale: null,
      state: null,
      mss: this.#mss,
      srtt: known(n('srtt')),
      sack: null,
      flags: null,
      rto: null,
      sndHiwat: null,
      sndCc: null,
      rcvHiwat: null,
      rcvCc: null,
      // Sequence numbers wrap. snd_nxt does not go back for a retransmission on Linux.
      inflight: Number.isNaN(n('snd_nxt') - n('snd_una')) ? null : (n('snd_nxt') - n('snd_una')) >>> 0,
      segqlen: null,
      flowid: null,
      flowtype: null,
    });
  }
}

/** Lines around the events: comments of tracefs, `cpus=2` of trace-cmd, empty ones. */
function isHeader(text: string): boolean {
  return /^\s*(?:#|$|cpus=\d)/.test(text);
}
