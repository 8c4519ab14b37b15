import { siftrs } from '../metrics/layout.ts';
import { DataLines } from './data-lines.ts';
import { type Flow, FlowTable } from './flow-table.ts';
import { DATA_LINE_MAX } from './format.ts';
import { KIND_GONE, KIND_OUT, R_KIND, R_SEC, R_USEC, RecordConsumer } from './record.ts';
import { CFG_CWND_FILTER, CFG_FLOW_MAX, CFG_PPL, CFG_PPL_FIRST, CFG_STRICT } from './shared.ts';

/** Where lines go. `write` returns how many bytes were taken, at least 1, or throws an error with a `code`. */
export interface SiftrOutput {
  write(buf: Uint8Array, offset: number, length: number): number;
}

/** What the writer tells of one enable/disable cycle when it ends. */
export interface CycleEnd {
  /** Data lines in the file. */
  readonly lines: number;
  /** Records that ppl kept out of the file. */
  readonly suppressed: number;
  /** Records that write errors kept out of the file. */
  readonly lost: number;
  /** Records that came when the output had taken its limit, by direction. */
  readonly skippedIn: number;
  readonly skippedOut: number;
  /** Value of `flow_list`. */
  readonly flowList: string;
}

/** What happened at the last attempt to write. */
export type WriteState = 'ok' | 'again' | 'error';

const BUF_BYTES = 1 << 20;
/** After so many records, some 30 µs, their slots go back to the producers, and others may run. */
const STEP = 128;
const LF = 0x0a;
/** First byte of an outbound line. */
const OUT = 0x6f;

/**
 * The consumer of all shards' rings: merges records by time, applies ppl, formats, writes. One pass takes what lies in the
 * rings at its start, so lines of different shards may be out of order by the length of a pass, and by no more
 * (spec/siftr.md section 13 rule 7). A failed write keeps the unwritten lines and stops the draining; the rings absorb, and
 * when they are full the hooks count what is lost.
 */
export class SiftrWriter {
  #rings: readonly RecordConsumer[];
  readonly #cfg: Int32Array;
  readonly #cnt: Float64Array;
  readonly #flows: FlowTable;
  readonly #dataLines: DataLines;
  readonly #buf: Uint8Array;
  readonly #dv: DataView;
  #out: SiftrOutput | null;
  /** Bytes formatted, and bytes of them written. */
  #len: number;
  #done: number;
  /** Lines formatted into the buffer. */
  #bufLines: number;
  /** Bytes that the output may still take before `limitReached`. */
  #room: number;
  #state: WriteState;
  /** Error behind the state `error`. */
  #error: Error | null;
  /** Why nothing is written now, see `hold`. */
  #held: Error | null;
  #lines: number;
  #suppressed: number;
  #lost: number;
  #skippedIn: number;
  #skippedOut: number;

  /**
   * @param rings memory of `createRing`, one a shard; this is their only consumer
   * @param cfg   the process's shared settings
   * @param cnt   counter block of the writer's own
   * @param bytes size of the output buffer
   */
  constructor(rings: readonly SharedArrayBuffer[], cfg: Int32Array, cnt: Float64Array, bytes: number = BUF_BYTES) {
    this.#rings = rings.map((r) => new RecordConsumer(r));
    this.#cfg = cfg;
    this.#cnt = cnt;
    this.#flows = new FlowTable();
    this.#dataLines = new DataLines();
    this.#buf = new Uint8Array(bytes);
    this.#dv = new DataView(this.#buf.buffer);
    this.#out = null;
    this.#len = 0;
    this.#done = 0;
    this.#bufLines = 0;
    this.#room = 0;
    this.#state = 'ok';
    this.#error = null;
    this.#held = null;
    this.#lines = 0;
    this.#suppressed = 0;
    this.#lost = 0;
    this.#skippedIn = 0;
    this.#skippedOut = 0;
  }

  /** Takes records from other rings from now on; called between cycles. @param rings as in the constructor */
  setRings(rings: readonly SharedArrayBuffer[]): void {
    this.#rings = rings.map((r) => new RecordConsumer(r));
  }

  get state(): WriteState {
    return this.#state;
  }

  get error(): Error | null {
    return this.#error;
  }

  /** The output has taken as many bytes as its limit allows. What comes until the cycle is ended is skipped. */
  get limitReached(): boolean {
    return this.#room <= 0;
  }

  /** Starts a cycle. @param limit bytes that `out` may take, and the rest of a line with them; Infinity for no limit */
  begin(out: SiftrOutput, limit: number): void {
    this.#out = out;
    this.#room = limit;
    this.#held = null;
    this.#flows.clear(this.#cfg[CFG_STRICT] === 1);
    this.#lines = 0;
    this.#suppressed = 0;
    this.#lost = 0;
    this.#skippedIn = 0;
    this.#skippedOut = 0;
    this.#len = 0;
    this.#done = 0;
    this.#bufLines = 0;
    this.#setOk();
  }

  /** Bytes that are formatted and not written yet. */
  get waiting(): number {
    return this.#len - this.#done;
  }

  /**
   * Takes and formats what lies in the rings now, and writes it; returns how many records were taken.
   * @param write   false leaves the lines for a later pass, or for `flush`, as long as there is room
   * @param giveWay lets other threads run; called every STEP records while no ring is more than a quarter full
   */
  pass(write = true, giveWay: (() => void) | null = null): number {
    const { flows } = this.#flows;
    flows.max = this.#cfg[CFG_FLOW_MAX]!;
    const n = this.#drain(giveWay);
    if (flows.dropped > 0) {
      this.#cnt[siftrs.siftrs_flow_list_dropped]! += flows.dropped;
      flows.dropped = 0;
    }
    if (write) this.flush();
    return n;
  }

  /**
   * Goes over to another output: what lies in the rings now still goes to the old one. Lines that the old one did not take go to
   * the new one, whole.
   * @param oldIsGone nothing more is to be written to the old one
   */
  switchTo(out: SiftrOutput, limit: number, oldIsGone = false): void {
    if (!oldIsGone) this.pass();
    while (this.#done > 0 && this.#buf[this.#done - 1] !== LF) this.#done--;
    this.#out = out;
    this.#room = limit;
    this.#held = null;
    this.#setOk();
    this.flush();
  }

  /**
   * Writes nothing more until `switchTo`: what is recorded waits as after a failed write. For an output that would take the lines and
   * nobody would ever see them.
   */
  hold(why: Error): void {
    this.#held = why;
    this.#state = 'error';
    this.#error = why;
  }

  /**
   * Ends a cycle: empties the rings, whose producers are no more at work or have made a cut, and the buffer. What cannot be written is counted as
   * lost, what lies behind a cut is the next cycle's.
   * @param pause called between attempts while the output wants the writer to come again later; false gives up
   */
  end(pause: () => boolean): CycleEnd {
    for (;;) {
      const n = this.pass();
      if (this.#state === 'ok' && n === 0) break;
      if (this.#state === 'error' || (this.#state === 'again' && !pause())) {
        this.#dropAll();
        break;
      }
    }
    for (const ring of this.#rings) ring.uncut();
    const flowList = this.#flows.list();
    this.#flows.clear();
    this.#out = null;
    return {
      lines: this.#lines,
      suppressed: this.#suppressed,
      lost: this.#lost,
      skippedIn: this.#skippedIn,
      skippedOut: this.#skippedOut,
      flowList,
    };
  }

  /** Writes the buffer out; false when something of it remains. */
  flush(): boolean {
    const out = this.#out;
    if (out === null || this.#len === 0) return true;
    if (this.#held !== null) return false;
    if (this.#len - this.#done > this.#room) this.#cut();
    try {
      while (this.#done < this.#len) {
        const n = out.write(this.#buf, this.#done, this.#len - this.#done);
        this.#done += n;
        this.#room -= n;
        this.#cnt[siftrs.siftrs_bytes]! += n;
      }
    } catch (err) {
      const error = err as NodeJS.ErrnoException;
      if (error.code === 'EAGAIN') {
        this.#state = 'again';
      } else {
        this.#state = 'error';
        this.#error = error;
        this.#cnt[siftrs.siftrs_write_errors]!++;
      }
      return false;
    }
    this.#lines += this.#bufLines;
    this.#cnt[siftrs.siftrs_lines]! += this.#bufLines;
    this.#bufLines = 0;
    this.#len = 0;
    this.#done = 0;
    this.#setOk();
    return true;
  }

  /**
   * Takes what lies behind the line that reaches the limit out of the buffer again, and counts it as skipped. Done here and not for each
   * record: a cycle ends soon after, and until then the records cost no more than others.
   */
  #cut(): void {
    const buf = this.#buf;
    let end = this.#done + Math.max(0, this.#room);
    if (end > 0 && buf[end - 1] !== LF) end = buf.indexOf(LF, end) + 1;
    for (let p = end; p < this.#len; p = buf.indexOf(LF, p) + 1) {
      const out = buf[p] === OUT;
      if (out) this.#skippedOut++;
      else this.#skippedIn++;
      this.#cnt[out ? siftrs.siftrs_nskip_out_limit : siftrs.siftrs_nskip_in_limit]!++;
      this.#bufLines--;
    }
    this.#len = end;
  }

  #setOk(): void {
    this.#state = 'ok';
    this.#error = null;
  }

  #drain(giveWay: (() => void) | null): number {
    const rings = this.#rings;
    let n = 0;
    for (let i = 0; i < rings.length; i++) rings[i]!.refresh();
    for (;;) {
      const i = this.#earliest();
      if (i < 0) break;
      const bound = this.#bound;
      const ring = rings[i]!;
      const words = ring.words;
      let r = ring.peek();
      // A run of the same ring, up to the next time that another ring has.
      while (r >= 0 && words[r + R_SEC]! * 1e6 + words[r + R_USEC]! <= bound) {
        if (this.#len + DATA_LINE_MAX > this.#buf.length && !this.flush()) {
          ring.release();
          return n;
        }
        this.#record(words, r);
        ring.advance();
        n++;
        if (n % STEP === 0) {
          ring.release();
          if (giveWay !== null && !this.#pressed()) giveWay();
        }
        r = ring.peek();
      }
      ring.release();
    }
    return n;
  }

  /** A ring fills up: whoever gives way now may lose records. */
  #pressed(): boolean {
    const rings = this.#rings;
    for (let i = 0; i < rings.length; i++) if (rings[i]!.pressing) return true;
    return false;
  }

  /** Set by `#earliest`: the time of the second earliest record, µs; Infinity when there is none. */
  #bound = Infinity;

  /** Index of the ring with the earliest record, -1 when all are empty. */
  #earliest(): number {
    const rings = this.#rings;
    let best = -1;
    let first = Infinity;
    let second = Infinity;
    for (let i = 0; i < rings.length; i++) {
      const ring = rings[i]!;
      const r = ring.peek();
      if (r < 0) continue;
      const t = ring.words[r + R_SEC]! * 1e6 + ring.words[r + R_USEC]!;
      if (t < first) {
        second = first;
        first = t;
        best = i;
      } else if (t < second) {
        second = t;
      }
    }
    this.#bound = second;
    return best;
  }

  #record(words: Uint32Array, r: number): void {
    if ((words[r + R_KIND]! & KIND_GONE) !== 0) {
      this.#flows.gone(words, r);
      return;
    }
    const flow = this.#flows.find(words, r);
    if (!this.#wanted(flow, words, r)) {
      this.#suppressed++;
      this.#cnt[siftrs.siftrs_ppl_suppressed]!++;
      const out = (words[r + R_KIND]! & KIND_OUT) !== 0;
      this.#cnt[out ? siftrs.siftrs_ppl_out : siftrs.siftrs_ppl_in]!++;
      return;
    }
    this.#len = this.#dataLines.put(this.#dv, this.#len, words, r, flow);
    this.#bufLines++;
  }

  /** ppl and the filter by congestion window (spec/siftr.md sections 6 and 14 items 2 and 7). */
  #wanted(flow: Flow, words: Uint32Array, r: number): boolean {
    const cfg = this.#cfg;
    const ppl = cfg[CFG_PPL]! >>> 0;
    if (cfg[CFG_STRICT] !== 0) return flow.due(ppl);
    if (!flow.dueNth(ppl, words, r, cfg[CFG_PPL_FIRST] !== 0)) return false;
    return cfg[CFG_CWND_FILTER] === 0 || flow.cwndChanged(words, r);
  }

  /** Gives up what was not written: the rest of the buffer and the records in the rings. */
  #dropAll(): void {
    let lost = 0;
    for (let i = this.#done; i < this.#len; i++) if (this.#buf[i] === LF) lost++;
    const written = this.#bufLines - lost;
    this.#lines += written;
    this.#cnt[siftrs.siftrs_lines]! += written;
    for (const ring of this.#rings) {
      ring.refresh();
      for (let r = ring.peek(); r >= 0; r = ring.peek()) {
        if ((ring.words[r + R_KIND]! & KIND_GONE) === 0) lost++;
        ring.advance();
      }
      ring.release();
    }
    this.#lost += lost;
    this.#cnt[siftrs.siftrs_lost]! += lost;
    this.#bufLines = 0;
    this.#len = 0;
    this.#done = 0;
  }
}
