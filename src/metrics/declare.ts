/**
 * A counter is declared once: name, unit, help, and the line that `netstat -s` prints for it. The declaration gives its slot in
 * shared memory (layout.ts), its label (views/netstat.ts), its Prometheus metric (views/prom.ts) and its row in docs/metrics.md.
 */

/** What one step of the value stands for. */
export type Unit =
  | 'packets'
  | 'bytes'
  | 'segments'
  | 'fragments'
  | 'messages'
  | 'connections'
  | 'events'
  | 'entries'
  | 'options'
  | 'calls'
  | 'lookups'
  | 'frames'
  | 'records'
  | 'buckets'
  | 'microseconds';

export interface CounterDecl {
  /** The BSD name with its prefix, `tcps_sndtotal`. */
  readonly name: string;
  readonly unit: Unit;
  /** One sentence: when the value changes. Without a full stop at the end. */
  readonly help: string;
  /**
   * The line of `netstat -s`: leading tabs, then a text in which `N` stands for this counter, `M` for the one named by `and`,
   * and `{s}`, `{es}`, `{y/ies}` for the plural of the number before them (spec/counters.md section 5). None: not printed by itself.
   */
  readonly label?: string;
  /** The counter that the label shows as `M`. */
  readonly and?: string;
  /** With -ss only `N` decides whether the line is printed (the two SYN-cache lines that name a limit). */
  readonly onlyN?: true;
  /** Width that the BSD export structure has; the renderer wraps at 2^32. Default 64. */
  readonly bits?: 32 | 64;
  /** Never counted by anyone: printed as 0, takes no slot. */
  readonly dead?: true;
  /** Goes down as well as up. */
  readonly gauge?: true;
  /** How shards combine: default the sum. */
  readonly agg?: 'sum' | 'max';
  /** Counted once for the process and not shard by shard: the metric has no label `shard`. */
  readonly perProcess?: true;
  /** An addition of this project: printed in a section of its own after BSD's. */
  readonly ext?: true;
  /** That section, where it is not the group's `extSection`. */
  readonly section?: string;
  /** The name shows several reasons that BSD merges: its value is the sum of these counters, and it takes no slot. */
  readonly sum?: readonly string[];
  /** Histogram of so many consecutive slots, `cnt[slot + i]`; Prometheus shows it with a label `type`. */
  readonly span?: number;
  /**
   * Histogram of a measured time, in microseconds: ascending upper bounds. Slots: how many were at most each bound and above the one before
   * it, how many were above all, and the sum of all. Prometheus shows it as a histogram in seconds.
   */
  readonly bounds?: readonly number[];
  /** Name of a histogram's entry in kstat, an entry a shard. */
  readonly kstat?: string;
  /** Direction of what is counted: Prometheus shows the counters of one `prom` under one name, told apart by the label `dir`. */
  readonly dir?: 'in' | 'out';
  /** Name in Prometheus without `xsiftr_<group>_` and `_total`, where the stripped BSD name breaks its rules. */
  readonly prom?: string;
}

/** Slots that a counter takes. */
export function slotsOf(d: CounterDecl): number {
  return d.bounds === undefined ? (d.span ?? 1) : d.bounds.length + 2;
}

/** Names of a declaration list that own a slot: neither dead nor a sum. */
export type SlotNames<D extends readonly CounterDecl[]> = Exclude<
  D[number],
  { readonly dead: true } | { readonly sum: readonly string[] }
>['name'];

/** The counters of one subsystem. `N` is the union of the names that own a slot. */
export interface Group<N extends string = string> {
  /** `tcp`: section of `netstat -s` and middle part of the metric's name. */
  readonly name: string;
  /** What the names begin with, `tcps_`. */
  readonly prefix: string;
  /** Section that the `ext` counters are printed in; the group's own section where BSD has none of that name. */
  readonly extSection: string;
  readonly decls: readonly CounterDecl[];
  /** Carries the names to the type of the slot table; has no value. */
  readonly names?: N;
}

/**
 * Declares the counters of a group and checks them: a name twice, a wrong prefix, or a reference to an unknown counter is a
 * programming error and throws at load time.
 */
export function declareGroup<const D extends readonly CounterDecl[]>(
  group: { readonly name: string; readonly prefix: string; readonly extSection: string },
  decls: D,
): Group<SlotNames<D>> {
  const names = new Set<string>();
  for (const d of decls) {
    if (!d.name.startsWith(group.prefix)) throw new Error(`${d.name}: not in group ${group.name} (${group.prefix})`);
    if (names.has(d.name)) throw new Error(`${d.name}: declared twice`);
    names.add(d.name);
  }
  for (const d of decls) {
    for (const ref of d.sum ?? []) if (!names.has(ref)) throw new Error(`${d.name}: sum of unknown ${ref}`);
    if (d.and !== undefined && !names.has(d.and)) throw new Error(`${d.name}: label shows unknown ${d.and}`);
  }
  return { ...group, decls };
}
