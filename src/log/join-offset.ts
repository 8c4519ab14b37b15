/**
 * How far the clock of a capture is from that of a log: found in the beginning of both, a direction at a time, as the time difference at which the most lines have a
 * segment of their connection and direction. The two directions differ by the way between the two places.
 */
import { AddressTexts } from './address.ts';
import { EXACT, Facts, type Line } from './join-facts.ts';
import { median } from './join-stream.ts';
import type { LogItem } from './model.ts';
import type { Segment } from './segment.ts';

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
/** Classes that are counted out. */
const FINALISTS = 8;
/** Share of the lines that the difference must explain. */
const QUORUM = 0.5;

const TH_SYN = 0x02;
const TH_FIN = 0x01;

export interface Offset {
  /** Usual time difference, capture − log, µs, of packets out and in. */
  readonly out: number;
  readonly in: number;
  /** Share of the lines that have a segment there, 0..1; NaN when it was given. */
  readonly share: number;
}

interface Group {
  readonly out: boolean;
  readonly lines: Line[];
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
  const groups = await linesOf(log);
  const all = [...groups.values()];
  const times = all.flatMap((g) => g.lines.map((line) => line.sample.timeUs));
  if (times.length === 0) return null;
  const from = times.reduce((a, b) => Math.min(a, b)) - windowUs;
  const to = times.reduce((a, b) => Math.max(a, b)) + windowUs;
  await segmentsOf(capture, groups, from, to);

  const near = estimate(all, (g) => g.near, windowUs);
  if (near !== null && near.share >= QUORUM) return near;
  const far = estimate(all, (g) => g.first, Number.POSITIVE_INFINITY);
  return far !== null && far.share >= QUORUM ? far : null;
}

async function linesOf(log: AsyncIterable<readonly LogItem[]>): Promise<Map<string, Group>> {
  const texts = new AddressTexts();
  const groups = new Map<string, Group>();
  const facts = new Map<string, Facts>();
  let modes: readonly string[] = [];
  let n = 0;
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
      const group = groups.get(key) ?? { out, lines: [], near: [], first: [] };
      groups.set(key, group);
      const line = of.add(item);
      if (group.out === out) group.lines.push(line);
      if (++n === LINES) return groups;
    }
  }
  return groups;
}

async function segmentsOf(
  capture: AsyncIterable<readonly Segment[]>,
  groups: ReadonlyMap<string, Group>,
  from: number,
  to: number,
): Promise<void> {
  let wanting = groups.size;
  for await (const batch of capture) {
    for (const segment of batch) {
      const group = groups.get(`${segment.saddr} ${segment.sport} ${segment.daddr} ${segment.dport}`);
      if (group === undefined || (segment.flags & TH_SYN) !== 0) continue;
      const near = segment.timeUs >= from && segment.timeUs <= to;
      if (near && group.near.length < 2 * SEGMENTS && group.near.push(segment) === 2 * SEGMENTS) wanting--;
      if (group.first.length < SEGMENTS) group.first.push(segment);
    }
    if (wanting === 0) return;
  }
}

/** @param limit µs, differences that are larger are not thought of */
function estimate(groups: readonly Group[], of: (g: Group) => readonly Segment[], limit: number): Offset | null {
  const found = [true, false].map((out) =>
    best(
      groups.filter((g) => g.out === out),
      of,
      limit,
    ),
  );
  const [out, inn] = found as [Found | null, Found | null];
  if (out === null && inn === null) return null;
  const matched = (out?.matched ?? 0) + (inn?.matched ?? 0);
  const lines = groups.reduce((sum, g) => sum + g.lines.length, 0);
  return { out: (out ?? inn)!.difference, in: (inn ?? out)!.difference, share: matched / lines };
}

interface Found {
  difference: number;
  matched: number;
}

function best(groups: readonly Group[], of: (g: Group) => readonly Segment[], limit: number): Found | null {
  const classes = new Map<number, number>();
  const candidates = new Set<number>([0]);
  let exact: Found | null = null;
  for (const g of groups) {
    const segments = of(g);
    if (g.lines.length === 0 || segments.length === 0) continue;
    const numbered = byNumbers(g, segments, limit);
    if (numbered !== null && numbered.matched > (exact?.matched ?? 0)) exact = numbered;
    // Where both begin with the connection this is it.
    candidates.add(segments[0]!.timeUs - g.lines[0]!.sample.timeUs);
    for (const line of g.lines.slice(0, COUNTED_LINES)) {
      for (const segment of segments.slice(0, COUNTED_SEGMENTS)) {
        if (!mayBe(line, segment)) continue;
        const c = Math.round((segment.timeUs - line.sample.timeUs) / CLASS);
        classes.set(c, (classes.get(c) ?? 0) + 1);
      }
    }
  }
  if (exact !== null) {
    const { difference } = exact;
    const matched = groups.reduce((sum, g) => sum + matches(g.lines, of(g), difference, WIDE), 0);
    return { difference, matched };
  }
  const often = [...classes].sort((a, b) => b[1] - a[1]).slice(0, FINALISTS);
  for (const [c] of often) candidates.add(c * CLASS);
  let winner: Found | null = null;
  for (const difference of candidates) {
    if (Math.abs(difference) > limit) continue;
    const matched = groups.reduce((sum, g) => sum + matches(g.lines, of(g), difference, NEAR), 0);
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
function byNumbers(g: Group, segments: readonly Segment[], limit: number): Found | null {
  const exact = g.lines.filter((line) => line.fact === EXACT).slice(0, COUNTED_LINES);
  if (exact.length < NUMBERED) return null;
  const first = new Map<number, number>();
  for (const s of segments) {
    const key = g.out ? s.seq : s.ack;
    if (!first.has(key)) first.set(key, s.timeUs);
  }
  const bases = new Map<number, number>();
  for (const key of first.keys()) {
    for (const line of exact) {
      const base = (key - line.rel) >>> 0;
      bases.set(base, (bases.get(base) ?? 0) + 1);
    }
  }
  let best: Found | null = null;
  let bestSpread = Number.POSITIVE_INFINITY;
  for (const [base, votes] of [...bases].sort((a, b) => b[1] - a[1]).slice(0, FINALISTS)) {
    if (votes < QUORUM * exact.length || votes < (best?.matched ?? 0) - TIES) break;
    const differences = exact
      .map((line) => (first.get((base + line.rel) >>> 0) ?? Number.NaN) - line.sample.timeUs)
      .filter((us) => !Number.isNaN(us));
    const difference = median(differences);
    const spread = median(differences.map((us) => Math.abs(us - difference)));
    if (Math.abs(difference) > limit || spread >= bestSpread) continue;
    best = { difference, matched: votes };
    bestSpread = spread;
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
