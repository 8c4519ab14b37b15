/**
 * Pairs the lines of a SIFTR log with the captured segments that caused them. Both are read once, side by side by time; what is kept is the lines and segments of
 * a window of time.
 */

import { TCPS_CLOSE_WAIT } from '../../stack/tcp/tcp-fsm.ts';
import type { LogItem, Sample } from '../model.ts';
import { AddressTexts } from './address.ts';
import { Conns, type Waiting } from './conn.ts';
import { Flow, type FlowSide } from './flow.ts';
import type { Offset } from './offset.ts';
import type { Segment } from './segment.ts';
import type { Pair, Sureness, Unit } from './stream.ts';
import { JoinSummary, type SegmentFate } from './summary.ts';

/** Default of `windowUs`. */
export const WINDOW_US = 1e6;
/** A connection without packets for this long is forgotten, µs. */
const IDLE_US = 600e6;
/** Share of the window by which the log is read ahead of the lines that are settled, and after which what is too old is taken out. */
const AHEAD = 0.5;

/** A line with its segment, or one of the two alone. */
export interface JoinRow {
  readonly sample: Sample | null;
  readonly captured: Waiting | null;
  /** The line is of this part of the segment, from 1, of `pieces` equal ones: the capture has them as one. */
  readonly piece: number;
  readonly pieces: number;
  /** Time of the capture − that of the log, µs; NaN without both. */
  readonly diffUs: number;
  /** How the pair was found; null for a row that is none. */
  readonly by: Sureness | null;
  /** Why there is no segment, or no line; empty for a pair. */
  readonly why: string;
}

export interface JoinOptions {
  /** How far a segment may be from where it is expected, µs. */
  readonly windowUs: number;
  readonly offset: Offset;
  /** Also give the rows of segments without a line. */
  readonly all: boolean;
}

export class Joiner {
  readonly summary = new JoinSummary();
  readonly #options: JoinOptions;
  readonly #log: AsyncIterator<readonly LogItem[]>;
  readonly #capture: AsyncIterator<readonly Segment[]>;
  readonly #texts = new AddressTexts();
  readonly #conns = new Conns(IDLE_US);
  readonly #flows = new Map<string, Flow>();
  /** Lines in the order of the log that are not settled. */
  #pending: { sample: Sample; flow: Flow }[] = [];
  #modes: readonly string[] = [];
  /** Latest times read so far; Infinity at the end of the file. */
  #logUs = Number.NEGATIVE_INFINITY;
  #captureUs = Number.NEGATIVE_INFINITY;
  #firstCapturedUs = Number.POSITIVE_INFINITY;
  #lastCapturedUs = Number.NEGATIVE_INFINITY;
  /** Times between which the log was on, as far as they are read and not too old. */
  readonly #cycles: { from: number; to: number }[] = [];
  #expiredUs = Number.NEGATIVE_INFINITY;

  constructor(
    log: AsyncIterable<readonly LogItem[]>,
    capture: AsyncIterable<readonly Segment[]>,
    options: JoinOptions,
  ) {
    this.#log = log[Symbol.asyncIterator]();
    this.#capture = capture[Symbol.asyncIterator]();
    this.#options = options;
  }

  /** The rows, in the order of the log; segments without a line come when no line can be theirs any more. */
  async *rows(): AsyncGenerator<readonly JoinRow[]> {
    const { windowUs, offset } = this.#options;
    const latest = Math.max(offset.out, offset.in) + windowUs;
    while (this.#logUs !== Number.POSITIVE_INFINITY) {
      await this.#readLog();
      const until = this.#logUs - windowUs * AHEAD;
      let n = 0;
      while (n < this.#pending.length && this.#pending[n]!.sample.timeUs <= until) n++;
      const need = n === 0 ? Number.NEGATIVE_INFINITY : this.#pending[n - 1]!.sample.timeUs + latest;
      while (this.#captureUs < need) await this.#readCapture();
      const rows = this.#settle(n);
      this.#expire(n === 0 ? this.#expiredUs : until, rows);
      if (rows.length > 0) yield rows;
    }
    // What was captured after the log's end is counted, and read in no more memory than the rest.
    while (this.#captureUs !== Number.POSITIVE_INFINITY) {
      await this.#readCapture();
      const rows: JoinRow[] = [];
      this.#expire(Number.POSITIVE_INFINITY, rows);
      if (rows.length > 0) yield rows;
    }
    const rows: JoinRow[] = [];
    this.#expire(Number.POSITIVE_INFINITY, rows);
    yield rows;
  }

  async #readLog(): Promise<void> {
    const next = await this.#log.next();
    if (next.done === true) {
      this.#logUs = Number.POSITIVE_INFINITY;
      return;
    }
    for (const item of next.value) {
      if (item.type === 'sample') this.#addLine(item);
      else if (item.type === 'enable') {
        this.#modes = item.modes;
        this.#cycles.push({ from: item.timeUs, to: item.timeUs });
      } else if (item.type === 'disable') {
        this.#extendCycle(item.timeUs);
        this.summary.disabled(item);
      } else {
        this.summary.broken.add(item);
      }
    }
  }

  #addLine(sample: Sample): void {
    const local = this.#texts.of(sample.laddr);
    const foreign = this.#texts.of(sample.faddr);
    const key = `${local} ${sample.lport} ${foreign} ${sample.fport}`;
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = new Flow(sample, local, foreign, this.#modes, this.#conns, this.#options.windowUs);
      this.#flows.set(key, flow);
    }
    flow.add(sample);
    this.#pending.push({ sample, flow });
    this.#logUs = Math.max(this.#logUs, sample.timeUs);
    this.#extendCycle(sample.timeUs);
    this.summary.line();
  }

  #extendCycle(timeUs: number): void {
    const last = this.#cycles.at(-1);
    if (last === undefined) this.#cycles.push({ from: timeUs, to: timeUs });
    else last.to = Math.max(last.to, timeUs);
  }

  async #readCapture(): Promise<void> {
    const next = await this.#capture.next();
    if (next.done === true) {
      this.#captureUs = Number.POSITIVE_INFINITY;
      return;
    }
    for (const segment of next.value) {
      this.#conns.add(segment);
      this.#firstCapturedUs = Math.min(this.#firstCapturedUs, segment.timeUs);
      this.#lastCapturedUs = Math.max(this.#lastCapturedUs, segment.timeUs);
      this.#captureUs = Math.max(this.#captureUs, segment.timeUs);
    }
  }

  /** Pairs the first `n` lines that are pending. */
  #settle(n: number): JoinRow[] {
    const rows: JoinRow[] = [];
    if (n === 0) return rows;
    const counts = new Map<Flow, [number, number]>();
    for (let i = 0; i < n; i++) {
      const { sample, flow } = this.#pending[i]!;
      const count = counts.get(flow) ?? [0, 0];
      count[sample.dir === 'o' ? 0 : 1]++;
      counts.set(flow, count);
    }
    const { offset } = this.#options;
    const results = new Map<Flow, [Iterator<Pair | null>, Iterator<Pair | null>]>();
    for (const [flow, [out, inn]] of counts) {
      const centersOut = [this.summary.out.usual(offset.out), offset.out];
      const centersIn = [this.summary.in.usual(offset.in), offset.in];
      flow.prepare(centersOut, centersIn);
      results.set(flow, [
        flow.out.stream.settle(out, flow.base, centersOut).values(),
        flow.in.stream.settle(inn, flow.base, centersIn).values(),
      ]);
    }
    for (let i = 0; i < n; i++) {
      const { sample, flow } = this.#pending[i]!;
      const pair = results.get(flow)![sample.dir === 'o' ? 0 : 1].next().value as Pair | null;
      rows.push(pair === null ? this.#alone(sample, flow) : this.#paired(sample, pair));
    }
    this.#pending = this.#pending.slice(n);
    return rows;
  }

  #paired(sample: Sample, { unit, by }: Pair): JoinRow {
    const { segment } = unit.waiting;
    // In two parts: together they are beyond what a number can hold of ns.
    const sec = Math.floor(sample.timeUs / 1e6);
    const diffUs = (segment.sec - sec) * 1e6 + (segment.nsec - Math.round((sample.timeUs - sec * 1e6) * 1e3)) / 1e3;
    this.summary.paired(sample.dir === 'o', by, diffUs);
    return { sample, captured: unit.waiting, piece: unit.piece, pieces: unit.pieces, diffUs, by, why: '' };
  }

  #alone(sample: Sample, flow: Flow): JoinRow {
    const out = sample.dir === 'o';
    const at =
      sample.timeUs +
      (out ? this.summary.out : this.summary.in).usual(out ? this.#options.offset.out : this.#options.offset.in);
    const why =
      at < this.#firstCapturedUs || at > this.#lastCapturedUs
        ? 'outside'
        : flow.out.seen || flow.in.seen
          ? 'unmatched'
          : 'no-connection';
    this.summary.lineAlone(why);
    return { sample, captured: null, piece: 1, pieces: 1, diffUs: Number.NaN, by: null, why };
  }

  /** Takes out what lines before `untilUs`, all settled, cannot explain any more. */
  #expire(untilUs: number, rows: JoinRow[]): void {
    const { windowUs, offset, all } = this.#options;
    if (untilUs - this.#expiredUs < windowUs * AHEAD) return;
    this.#expiredUs = untilUs === Number.POSITIVE_INFINITY ? this.#expiredUs : untilUs;
    const alone = (captured: Waiting, fate: SegmentFate, piece = 1, pieces = 1): void => {
      this.summary.segmentAlone(fate);
      if (all) rows.push({ sample: null, captured, piece, pieces, diffUs: Number.NaN, by: null, why: fate });
    };
    for (const [key, flow] of this.#flows) {
      for (const side of flow.sides) {
        for (const waiting of side.excluded) alone(waiting, this.#excludedFate(waiting));
        side.excluded = [];
        const center = side.stream.out ? this.summary.out.usual(offset.out) : this.summary.in.usual(offset.in);
        for (const unit of flow.expire(side, untilUs, center)) {
          if (unit.line === null) alone(unit.waiting, this.#fate(unit, side, flow, center), unit.piece, unit.pieces);
        }
      }
      if (untilUs !== Number.POSITIVE_INFINITY && flow.last.timeUs < untilUs - IDLE_US && flow.isEmpty) {
        flow.detach();
        this.#flows.delete(key);
      }
    }
    const center = Math.min(offset.out, offset.in);
    this.#conns.expire(untilUs + center - windowUs, (waiting) => {
      alone(waiting, this.#isLogged(waiting.segment.timeUs - center) ? 'no-connection' : 'outside');
    });
    while (this.#cycles.length > 1 && this.#cycles[1]!.to < untilUs - 2 * windowUs) this.#cycles.shift();
  }

  #excludedFate({ role }: Waiting): SegmentFate {
    return role === 'reset' ? 'reset' : 'handshake';
  }

  #fate(unit: Unit, side: FlowSide, flow: Flow, center: number): SegmentFate {
    if (unit.covered) return 'covered';
    const at = unit.timeUs - (Number.isNaN(side.stream.center) ? center : side.stream.center);
    if (!this.#isLogged(at)) return 'outside';
    if (unit.waiting.role === 'reset') return 'reset';
    // From there on at least one side has sent a FIN.
    if ((flow.last.state ?? 0) >= TCPS_CLOSE_WAIT && at > flow.last.timeUs) return 'closed';
    return 'unmatched';
  }

  /** The log was on at this time. */
  #isLogged(timeUs: number): boolean {
    return this.#cycles.some(({ from, to }) => timeUs >= from && timeUs <= to);
  }
}
