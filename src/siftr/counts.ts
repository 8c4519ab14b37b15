import { type CycleCounts, cycleCounts } from './format.ts';
import type { CycleEnd } from './writer.ts';

/** Arithmetic on the counters of a disable line, once a cycle. */

export const NO_COUNTS: CycleCounts = cycleCounts([]);

export function addCounts(a: CycleCounts, b: CycleCounts): CycleCounts {
  return map((key) => a[key] + b[key]);
}

/** What came between two readings. */
export function subtractCounts(now: CycleCounts, start: CycleCounts): CycleCounts {
  return map((key) => now[key] - start[key]);
}

/** With the records that found no room in the file, which have no fields of their own: like those that found none in the ring. */
export function withSkipped(c: CycleCounts, end: CycleEnd): CycleCounts {
  return {
    ...c,
    skippedMallocIn: c.skippedMallocIn + end.skippedIn,
    skippedMallocOut: c.skippedMallocOut + end.skippedOut,
  };
}

function map(value: (key: keyof CycleCounts) => number): CycleCounts {
  const entries = Object.keys(NO_COUNTS).map((key) => [key, value(key as keyof CycleCounts)]);
  return Object.fromEntries(entries) as Record<keyof CycleCounts, number>;
}
