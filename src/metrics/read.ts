import type { CounterDecl, Group } from './declare.ts';
import { COUNTER_SLOTS, groups, slotOf } from './layout.ts';

/**
 * Combines the blocks of several writers into one: the sum, or the largest where the declaration says so (`agg`). A reader may
 * see a block in the middle of a packet; each word by itself is whole.
 */
export function combineCounters(blocks: readonly Float64Array[]): Float64Array {
  const out = new Float64Array(COUNTER_SLOTS);
  for (const block of blocks) for (let i = 0; i < COUNTER_SLOTS; i++) out[i] = out[i]! + block[i]!;
  for (const slot of maxSlots) out[slot] = blocks.reduce((max, block) => Math.max(max, block[slot]!), 0);
  return out;
}

const maxSlots: readonly number[] = groups.flatMap((group) =>
  group.decls.filter((d) => d.agg === 'max').map((d) => slotOf.get(d.name)!),
);

/** The value of a declaration in a block: dead counters are 0, sums are added up. Not wrapped. */
export function counterValue(decl: CounterDecl, values: Float64Array): number {
  if (decl.dead) return 0;
  if (decl.sum) return decl.sum.reduce((sum, name) => sum + values[slotOf.get(name)!]!, 0);
  return values[slotOf.get(decl.name)!]!;
}

/** What a histogram of times holds. */
export interface HistogramValue {
  /** By class: at most each of `bounds`, and above all. */
  readonly counts: readonly number[];
  readonly total: number;
  /** Sum of what was measured, µs. */
  readonly sum: number;
}

/** The value of a declaration with `bounds` in a block. */
export function histogramValue(decl: CounterDecl, values: Float64Array): HistogramValue {
  const slot = slotOf.get(decl.name)!;
  const classes = decl.bounds!.length + 1;
  const counts = [...values.subarray(slot, slot + classes)];
  return { counts, total: counts.reduce((n, c) => n + c, 0), sum: values[slot + classes]! };
}

/** The value as BSD's export structure shows it: 32-bit fields wrap at 2^32. */
export function bsdValue(decl: CounterDecl, values: Float64Array): number {
  const value = counterValue(decl, values);
  return decl.bits === 32 ? value % 2 ** 32 : value;
}

/** The declaration of a counter in its group. */
export function declOf(group: Group, name: string): CounterDecl {
  return group.decls.find((d) => d.name === name)!;
}
