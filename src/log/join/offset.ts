/**
 * How far the clock of a capture is from that of a log: found in the beginning of both, a direction at a time, as the time difference at which the most lines have a
 * segment of their connection and direction. The two directions differ by the way between the two places.
 */

import { TH_FIN, TH_SYN } from '../../stack/wire/tcp.ts';
import type { LogItem } from '../model.ts';
import { AddressTexts } from './address.ts';
import { EXACT, Facts, type Line } from './facts.ts';
import type { Segment } from './segment.ts';
import { median } from './stream.ts';

/** What is looked at: lines, and segments of each direction of a connection, near the lines' times and from the beginning. */
const LINES = 4096;
const SEGMENTS = 1024;
/** Lines of a direction of a connection, and segments for each, from which differences are counted. */
const COUNTED_LINES = 128;
const COUNTED_SEGMENTS = 512;
/** Width of a class of differences, and how far a segment may be from where it is expected, µs. */
const CLASS = 1000;
const NEAR = 1500;
const WIDE = 50_000;
/** Lines with an exact fact that say by numbers where they belong, at least. */
const NUMBERED = 4;
/** Votes by which two places may differ and count as equal: the ends of what is looked at. */
const TIES = 4;
/** What counts more for a difference at which a connection begins in both. */
const BEGINNING = 1.25;
/** How much of a difference counts like the same spread of differences. */
const AGREEING = 0.1;
/** Classes that are counted out. */
const FINALISTS = 8;
/** Share of the lines that the difference must explain. In a dense stream a wrong one explains many, too: below SURE others are looked at. */
const QUORUM = 0.5;
const SURE = 0.9;

export interface Offset {
  /** Usual time difference, capture − log, µs, of packets out and in. */
  readonly out: number;
  readonly in: number;
  /** Segments found for each line in their time, about 1 or less; NaN when it was given. */
  readonly share: number;
}

interface Group {
  readonly out: boolean;
  /** Lines in the time of the capture, if both clocks are right, and the first ones of all. */
  readonly nearLines: Line[];
  readonly lines: Line[];
  /** Of the flow that the lines are of. */
  readonly facts: Facts;
  /** The capture has the beginning of the connection. */
  opened: boolean;
  /** Segments that may be near in time if both clocks are right, and the first ones of all. */
  readonly near: Segment[];
  readonly first: Segment[];
}

/**
 * Estimates it.
 * @param windowUs clocks that are closer than this are found anywhere in the capture, others only in its beginning
 * @returns null when nothing fits
 */
export async function estimateOffset(
  log: AsyncIterable<readonly LogItem[]>,
  capture: AsyncIterable<readonly Segment[]>,
  windowUs: number,
): Promise<Offset | null> {
  const segments = capture[Symbol.asyncIterator]();
  const begin = await segments.next();
  if (begin.done === true) return null;
  const start = begin.value.reduce((least, segment) => Math.min(least, segment.timeUs), Number.POSITIVE_INFINITY);
  const groups = await linesOf(log, start);
  const all = [...groups.values()];
  const times = all.flatMap((g) => g.nearLines.map((line) => line.sample.timeUs));
  const from = times.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) - windowUs;
  const to = times.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY) + windowUs;
  segmentsOf(begin.value, groups, from, to);
  for await (const batch of { [Symbol.asyncIterator]: () => segments }) {
    if (segmentsOf(batch, groups, from, to)) break;
  }

  const near = estimate(
    all.map((g) => ({
      out: g.out,
      // Of those that are near in time the beginning may be missing on one side.
      opened: bothBegin(g) && g.near[0] === g.first[0] && g.nearLines[0] === g.lines[0],
      lines: g.nearLines,
      segments: g.near,
    })),
    windowUs,
  );
  if (near !== null && near.share >= SURE) return near;
  // Clocks that are further apart: only where both begin with the connection it is known what belongs together.
  const rival = near !== null && near.share >= QUORUM;
  const far = estimate(
    all
      .filter((g) => (rival ? bothBegin(g) : g.opened))
      .map((g) => ({ out: g.out, opened: bothBegin(g), lines: g.lines, segments: g.first })),
    Number.POSITIVE_INFINITY,
  );
  const better = far !== null && far.share > (near?.share ?? 0) ? far : near;
  return better !== null && better.share >= QUORUM ? better : null;
}

/** The capture has the beginning of the connection, and so does the log: nothing is in flight at its first line. */
function bothBegin({ opened, facts }: Group): boolean {
  return opened && facts.first === 0;
}

async function linesOf(log: AsyncIterable<readonly LogItem[]>, from: number): Promise<Map<string, Group>> {
  const texts = new AddressTexts();
  const groups = new Map<string, Group>();
  const facts = new Map<string, Facts>();
  let modes: readonly string[] = [];
  let n = 0;
  let near = 0;
  for await (const batch of log) {
    for (const item of batch) {
      if (item.type === 'enable') modes = item.modes;
      if (item.type !== 'sample') continue;
      const local = `${texts.of(item.laddr)} ${item.lport}`;
      const foreign = `${texts.of(item.faddr)} ${item.fport}`;
      const out = item.dir === 'o';
      const key = out ? `${local} ${foreign}` : `${foreign} ${local}`;
      // Each end of a connection of which both are in the log has its own lines.
      const flow = `${local} ${foreign}`;
      const of = facts.get(flow) ?? new Facts(modes);
      facts.set(flow, of);
      const group = groups.get(key) ?? { out, nearLines: [], lines: [], facts: of, opened: false, near: [], first: [] };
      groups.set(key, group);
      const line = of.add(item);
      if (group.out !== out) continue;
      if (n++ < LINES) group.lines.push(line);
      if (item.timeUs < from) continue;
      group.nearLines.push(line);
      if (++near === LINES) return groups;
    }
  }
  return groups;
}

/** Takes what is looked at of a batch; true when no more is needed. */
function segmentsOf(batch: readonly Segment[], groups: ReadonlyMap<string, Group>, from: number, to: number): boolean {
  let last = Number.NEGATIVE_INFINITY;
  for (const segment of batch) {
    last = segment.timeUs;
    const key = `${segment.saddr} ${segment.sport} ${segment.daddr} ${segment.dport}`;
    const group = groups.get(key);
    if (group === undefined) continue;
    if ((segment.flags & TH_SYN) !== 0) {
      group.opened ||= group.first.length === 0;
      continue;
    }
    if (segment.timeUs >= from && segment.timeUs <= to && group.near.length < SEGMENTS) group.near.push(segment);
    if (group.first.length < SEGMENTS) group.first.push(segment);
  }
  return (
    last > to && [...groups.values()].every(({ near, first }) => near.length === SEGMENTS || first.length === SEGMENTS)
  );
}

/** Lines and segments of one direction of a connection that are compared. */
interface Compared {
  readonly out: boolean;
  /** Both begin with the connection. */
  readonly opened: boolean;
  readonly lines: readonly Line[];
  readonly segments: readonly Segment[];
}

/** @param limit µs, differences that are larger are not thought of */
function estimate(all: readonly Compared[], limit: number): Offset | null {
  const groups = all.filter(({ lines, segments }) => lines.length > 0 && segments.length > 0);
  const outs = groups.filter((g) => g.out);
  const ins = groups.filter((g) => !g.out);
  let out = best(outs, limit);
  let inn = best(ins, limit);
  if (out === null && inn === null) return null;
  // No packet comes before it is sent: of two that say so together one is wrong.
  if (out !== null && inn !== null && out.difference - inn.difference < -NEAR) {
    if (shareOf(outs, out) >= shareOf(ins, inn)) inn = foundAt(ins, out.difference);
    else out = foundAt(outs, inn.difference);
  }
  const matched = (out?.matched ?? 0) + (inn?.matched ?? 0);
  const differences = { out: (out ?? inn)!.difference, in: (inn ?? out)!.difference };
  const lines = coveredBy(outs, differences.out) + coveredBy(ins, differences.in);
  return { ...differences, share: matched / lines };
}

/** What a difference that was found elsewhere explains. */
function foundAt(groups: readonly Compared[], difference: number): Found {
  const matched = groups.reduce((sum, g) => sum + matches(g.lines, g.segments, difference, WIDE), 0);
  return { difference, matched };
}

/** Share of the lines that a difference explains. */
function shareOf(groups: readonly Compared[], { difference, matched }: Found): number {
  return matched / coveredBy(groups, difference);
}

function coveredBy(groups: readonly Compared[], difference: number): number {
  return groups.reduce((sum, g) => sum + covered(g, difference), 0);
}

/** Lines in the time of what is looked at of the segments. */
function covered({ lines, segments }: Compared, difference: number): number {
  const first = segments[0]!.timeUs;
  const last = segments.at(-1)!.timeUs;
  return lines.filter(({ sample }) => sample.timeUs + difference >= first && sample.timeUs + difference <= last).length;
}

interface Found {
  difference: number;
  matched: number;
}

function best(groups: readonly Compared[], limit: number): Found | null {
  const classes = new Map<number, number>();
  const candidates = new Set<number>([0]);
  const begins = new Set<number>();
  let exact: Found | null = null;
  for (const g of groups) {
    const { segments } = g;
    const numbered = byNumbers(g, limit);
    if (numbered !== null && numbered.matched > (exact?.matched ?? 0)) exact = numbered;
    // Where both begin with the connection this is it, if not much speaks for another.
    const first = segments[0]!.timeUs - g.lines[0]!.sample.timeUs;
    candidates.add(first);
    if (g.opened) begins.add(first);
    for (const line of g.lines.slice(0, COUNTED_LINES)) {
      for (const segment of segments.slice(0, COUNTED_SEGMENTS)) {
        if (!mayBe(line, segment)) continue;
        const c = Math.round((segment.timeUs - line.sample.timeUs) / CLASS);
        classes.set(c, (classes.get(c) ?? 0) + 1);
      }
    }
  }
  if (exact !== null) {
    return foundAt(groups, exact.difference);
  }
  const often = [...classes].sort((a, b) => b[1] - a[1]).slice(0, FINALISTS);
  for (const [c] of often) candidates.add(c * CLASS);
  let winner: Found | null = null;
  for (const difference of candidates) {
    if (Math.abs(difference) > limit) continue;
    const near = groups.reduce((sum, g) => sum + matches(g.lines, g.segments, difference, NEAR), 0);
    const matched = begins.has(difference) ? near * BEGINNING : near;
    if (matched === 0) continue;
    // Of two that are as good the clocks that differ less.
    if (
      winner === null ||
      matched > winner.matched ||
      (matched === winner.matched && Math.abs(difference) < Math.abs(winner.difference))
    ) {
      winner = { difference, matched };
    }
  }
  return winner;
}

/**
 * By the numbers: where the lines' facts begin in the sequence space is where the most of them find a segment, and of several such places, as in a stream of equal
 * segments, where the differences vary least.
 */
function byNumbers({ out, opened, lines, segments }: Compared, limit: number): Found | null {
  const exact = lines.filter((line) => line.fact === EXACT).slice(0, COUNTED_LINES);
  if (exact.length < NUMBERED) return null;
  const first = new Map<number, number>();
  for (const s of segments) {
    const key = out ? s.seq : s.ack;
    if (!first.has(key)) first.set(key, s.timeUs);
  }
  const bases = new Map<number, number>();
  for (const key of first.keys()) {
    for (const line of exact) {
      const base = (key - line.rel) >>> 0;
      bases.set(base, (bases.get(base) ?? 0) + 1);
    }
  }
  const most = [...bases.values()].reduce((a, b) => Math.max(a, b), 0);
  const ties = [...bases.values()].filter((votes) => votes >= most - TIES).length;
  // Without the beginning, equal segments can be shifted against each other, and all look right.
  if (!opened && ties > 1) return null;
  let best: Found | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const [base, votes] of bases) {
    if (votes < QUORUM * exact.length || votes < most - TIES) continue;
    const differences = exact
      .map((line) => (first.get((base + line.rel) >>> 0) ?? Number.NaN) - line.sample.timeUs)
      .filter((us) => !Number.isNaN(us));
    const difference = median(differences);
    if (Math.abs(difference) > limit) continue;
    const spread = median(differences.map((us) => Math.abs(us - difference)));
    // Where the clocks are thought to agree, a small difference is likelier than a large one.
    const cost = spread + (limit === Number.POSITIVE_INFINITY ? 0 : AGREEING * Math.abs(difference));
    if (cost >= least) continue;
    best = { difference, matched: votes };
    least = cost;
  }
  return best;
}

/** Lines that have a segment of their own near where it is expected, in order. */
function matches(lines: readonly Line[], segments: readonly Segment[], difference: number, near: number): number {
  let n = 0;
  let s = 0;
  for (const line of lines) {
    const at = line.sample.timeUs + difference;
    while (s < segments.length && segments[s]!.timeUs < at - near) s++;
    let k = s;
    while (k < segments.length && segments[k]!.timeUs <= at + near && !mayBe(line, segments[k]!)) k++;
    if (k >= segments.length || segments[k]!.timeUs > at + near) continue;
    n++;
    s = k + 1;
  }
  return n;
}

/** A line that says how many new bytes went out is of a segment with at least one. */
function mayBe(line: Line, { len, flags }: Segment): boolean {
  return !line.out || line.fact !== EXACT || len > 0 || (flags & TH_FIN) !== 0;
}
