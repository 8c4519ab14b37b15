/** One connection of the log: its two directions, and the sequence number that its lines are counted from. */
import type { Conns, Role, Side, Waiting } from './join-conn.ts';
import { EXACT, Facts, type Line } from './join-facts.ts';
import { Stream, type Unit } from './join-stream.ts';
import type { Sample } from './model.ts';

/** Lines that decide about the base, and the units that each is compared with. */
const VOTERS = 256;
const VOTES = 64;
/** Candidates that are counted out. */
const FINALISTS = 4;
/** Share of the lines with an exact fact that a base must explain, else it is none. */
const QUORUM = 0.5;
/** The same for a base that was found before. */
const KEEP = 0.1;
/** A time difference that halves a vote, and one from which it counts nothing, µs. */
const VOTE_US = 1000;
const VOTE_REACH = 64000;

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
    this.out = new FlowSide(new Stream(true, windowUs), loggedOut);
    this.in = new FlowSide(new Stream(false, windowUs), modes.includes('hook:tcp') ? loggedInAfter : loggedIn);
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

  #findBase(centersOut: readonly number[], centersIn: readonly number[]): void {
    const { out, in: inn } = this;
    const exact = (lines: readonly Line[]): Line[] => lines.slice(0, VOTERS).filter((line) => line.fact === EXACT);
    const voters = [...exact(out.stream.lines), ...exact(inn.stream.lines)];
    if (voters.length === 0) return;
    const outKeys = new Set(out.stream.units.map((u) => out.stream.keyOf(u)));
    const inKeys = new Set(inn.stream.units.map((u) => inn.stream.keyOf(u)));
    const explained = (base: number): number =>
      voters.filter((line) => (line.out ? outKeys : inKeys).has((base + line.rel) >>> 0)).length;

    // Once found it only ends with a line that is missing. That few segments are found by it is a burst of losses.
    if (this.#base >= 0 && explained(this.#base) >= KEEP * voters.length) return;
    const candidates = this.#base >= 0 ? [this.#base] : [];
    // The SYN takes one number; what was sent before the first line was in flight then.
    if (this.#outSide.iss >= 0) candidates.push((this.#outSide.iss + 1) >>> 0);
    let best = this.#best(candidates, explained);
    if (best.count < voters.length) {
      const voted = this.#vote(out.stream, exact(out.stream.lines), centersOut);
      for (const [base, weight] of this.#vote(inn.stream, exact(inn.stream.lines), centersIn)) {
        voted.set(base, (voted.get(base) ?? 0) + weight);
      }
      const finalists = [...voted].sort((a, b) => b[1] - a[1]).slice(0, FINALISTS);
      const other = this.#best(
        finalists.map(([base]) => base),
        explained,
      );
      if (other.count > best.count) best = other;
    }
    const needed = Math.max(candidates.includes(best.base) ? 1 : 2, QUORUM * voters.length);
    this.#base = best.count >= needed ? best.base : -1;
  }

  #best(bases: readonly number[], explained: (base: number) => number): { base: number; count: number } {
    let best = { base: -1, count: 0 };
    for (const base of bases) {
      const count = explained(base);
      if (count > best.count) best = { base, count };
    }
    return best;
  }

  /** How much speaks for each base: pairs of a line and a unit that would give it, weighted by how well their times agree. */
  #vote(stream: Stream, lines: readonly Line[], centers: readonly number[]): Map<number, number> {
    const votes = new Map<number, number>();
    const center = Number.isNaN(stream.center) ? (centers[0] ?? 0) : stream.center;
    for (const line of lines.slice(0, VOTES)) {
      for (const unit of stream.units) {
        const off = Math.abs(unit.timeUs - line.sample.timeUs - center);
        if (off > VOTE_REACH) continue;
        if (stream.out && ((unit.end - unit.seq) | 0) > line.span) continue;
        const base = (stream.keyOf(unit) - line.rel) >>> 0;
        votes.set(base, (votes.get(base) ?? 0) + 1 / (1 + off / VOTE_US));
      }
    }
    return votes;
  }
}
