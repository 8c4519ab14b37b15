/** One connection of the log: its two directions, and the sequence number that its lines are counted from. */

import type { Sample } from '../model.ts';
import type { Conns, Role, Side, Waiting } from './conn.ts';
import { EXACT, Facts, type Line } from './facts.ts';
import { Stream, type Unit } from './stream.ts';

/** Lines that decide about the base. */
const VOTERS = 256;
/** How far before the first segment such a line may be, µs. */
const NEAR = 50_000;
/** Share of the lines with an exact fact that a base must explain, else it is none. */
const QUORUM = 0.5;
/** The same for a base that was found before. */
const KEEP = 0.1;

/** One direction's end of a flow: filters what SIFTR writes no line for. */
export class FlowSide {
  readonly stream: Stream;
  /** Segments without a line by SIFTR's rules, not taken out yet. */
  excluded: Waiting[] = [];
  /** The capture has something of this direction. */
  seen = false;
  readonly #takes: (role: Role) => boolean;

  constructor(stream: Stream, takes: (role: Role) => boolean) {
    this.stream = stream;
    this.#takes = takes;
  }

  take(waiting: Waiting): void {
    this.seen = true;
    if (this.#takes(waiting.role)) this.stream.take(waiting);
    else this.excluded.push(waiting);
  }
}

/** Outgoing: resets and what goes before the handshake's end have no control block that could be logged. */
function loggedOut(role: Role): boolean {
  return role === 'plain' || role === 'third';
}

/** Outgoing with `hook:tcp`: a reset is logged with the last state. */
function loggedOutAfter(role: Role): boolean {
  return loggedOut(role) || role === 'reset';
}

/** Incoming, before the packet is processed: the ACK of a passive open finds no connection. */
function loggedIn(role: Role): boolean {
  return role === 'plain' || role === 'early' || role === 'reset';
}

/** Incoming with `hook:tcp`: what creates the connection is logged, too. */
function loggedInAfter(role: Role): boolean {
  return loggedIn(role) || role === 'third' || role === 'syn-ack';
}

export class Flow {
  readonly out: FlowSide;
  readonly in: FlowSide;
  readonly #outSide: Side;
  readonly #inSide: Side;
  readonly #modes: readonly string[];
  #facts: Facts;
  #mss: number;
  /** Sequence number of `snd_una` at the first line; -1 while it is not known. */
  #base: number;
  /** The last line, by which a segment behind it is told to be of a closed connection. */
  last: Sample;

  constructor(
    sample: Sample,
    local: string,
    foreign: string,
    modes: readonly string[],
    conns: Conns,
    windowUs: number,
  ) {
    this.#modes = modes;
    this.#facts = new Facts(modes);
    const after = modes.includes('hook:tcp');
    this.out = new FlowSide(new Stream(true, windowUs), after ? loggedOutAfter : loggedOut);
    this.in = new FlowSide(new Stream(false, windowUs), after ? loggedInAfter : loggedIn);
    this.#mss = sample.mss ?? 0;
    this.#base = -1;
    this.last = sample;
    this.#outSide = conns.side(local, sample.lport, foreign, sample.fport);
    this.#inSide = this.#outSide.reverse!;
    conns.attach(this.#outSide, this.out);
    conns.attach(this.#inSide, this.in);
  }

  /** Ends the flow: segments of its connection are nobody's again. */
  detach(): void {
    this.#outSide.takers.splice(this.#outSide.takers.indexOf(this.out), 1);
    this.#inSide.takers.splice(this.#inSide.takers.indexOf(this.in), 1);
  }

  add(sample: Sample): void {
    if (this.#facts.isNew(sample)) {
      this.#facts = new Facts(this.#modes);
      this.#base = -1;
    }
    if (sample.mss) this.#mss = sample.mss;
    const line = this.#facts.add(sample);
    (line.out ? this.out : this.in).stream.lines.push(line);
    this.last = sample;
  }

  /** The directions, of which `settle` can be called. */
  get sides(): readonly FlowSide[] {
    return [this.out, this.in];
  }

  /** Before lines are settled: cuts segments into units and looks for the base. @param centers as `Stream.settle` has it, out and in */
  prepare(centersOut: readonly number[], centersIn: readonly number[]): void {
    this.out.stream.cut(this.#mss);
    this.in.stream.cut(this.#mss);
    this.#findBase(centersOut, centersIn);
  }

  /** Nothing waits to be paired or taken out. */
  get isEmpty(): boolean {
    return this.sides.every(({ stream, excluded }) => stream.isEmpty && excluded.length === 0);
  }

  /** Takes out the segments of a direction that no line to come can be of. Parameters: `Stream.expire`. */
  expire(side: FlowSide, untilUs: number, center: number): Unit[] {
    side.stream.cut(this.#mss);
    return side.stream.expire(untilUs, center);
  }

  get base(): number {
    return this.#base;
  }

  /**
   * Only the SYN tells it, and only where the log begins with the connection, when nothing is in flight: else equal segments can be shifted against each other, and all
   * look right. What it explains is counted all the same, as the log may have begun later when nothing was in flight either, or may miss lines.
   */
  #findBase(centersOut: readonly number[], centersIn: readonly number[]): void {
    const { out, in: inn } = this;
    const base = this.#outSide.iss < 0 ? this.#base : (this.#outSide.iss + 1) >>> 0;
    if (
      base < 0 ||
      this.#facts.first !== 0 ||
      out.stream.isSparse(centersOut[0] ?? 0) ||
      inn.stream.isSparse(centersIn[0] ?? 0)
    ) {
      this.#base = -1;
      return;
    }
    const outVoters = voting(out.stream, centersOut);
    const inVoters = voting(inn.stream, centersIn);
    const voters = outVoters.length + inVoters.length;
    if (voters === 0) return;
    const explained = explains(out.stream, outVoters, base) + explains(inn.stream, inVoters, base);
    // Once found it only ends with a line that is missing. That few segments are found by it is a burst of losses.
    this.#base = explained >= (this.#base === base ? KEEP : QUORUM) * voters ? base : -1;
  }
}

/** Lines that say by a number which segment is theirs, of those in the time of the capture. */
function voting(stream: Stream, centers: readonly number[]): Line[] {
  const center = Number.isNaN(stream.center) ? (centers[0] ?? 0) : stream.center;
  const from = (stream.units[0]?.timeUs ?? Number.POSITIVE_INFINITY) - center - NEAR;
  return stream.lines.filter((line) => line.fact === EXACT && line.sample.timeUs >= from).slice(0, VOTERS);
}

/** Lines for which there is a segment when they are counted from `base`. */
function explains(stream: Stream, lines: readonly Line[], base: number): number {
  const keys = new Set(stream.units.map((unit) => stream.keyOf(unit)));
  return lines.filter((line) => keys.has((base + line.rel) >>> 0)).length;
}
