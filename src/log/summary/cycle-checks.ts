import { FlowMap, flowText } from '../flows.ts';
import type { CycleMeta } from '../meta.ts';
import type { DisableLine, EnableLine, Sample } from '../model.ts';

/** How a check of a cycle came out. `unknown`: what the log lacks may be in order. */
export interface Check {
  readonly result: 'ok' | 'failed' | 'unknown';
  readonly detail: string;
}

/** What a cycle of a SIFTR log was, from the enable to the disable line. */
export interface CycleSummary {
  /** First line of the log that belongs to it. */
  readonly line: number;
  /** Null where there is no such line. */
  readonly enable: EnableSummary | null;
  /** `disable_time_us` and the counts under the names of the line. */
  readonly disable: Readonly<Record<string, number>> | null;
  /** Data lines, and flows that have some. */
  readonly lines: number;
  readonly flows: number;
  /** What the file beside the log says of the cycle. */
  readonly meta: CycleMeta | null;
  readonly checks: readonly Check[];
}

/** An enable line, under the names of the line. */
export interface EnableSummary {
  readonly enable_time_us: number;
  readonly siftrver: string;
  readonly sysname: string;
  readonly sysver: string;
  readonly ipmode: number;
  readonly hz: number | null;
  readonly tcp_rtt_scale: number | null;
  /** Of the last key, `xsiftr=`. */
  readonly modes: readonly string[];
}

/** Flows that are named in a check. */
const NAMED = 5;

/** Follows a cycle, and checks its disable line against its data lines (spec/siftr.md sections 7 and 9). */
export class CycleChecks {
  readonly #line: number;
  readonly #enable: EnableLine | null;
  readonly #seen = new FlowMap<true>();
  /** One of each of them. */
  readonly #flows: Sample[] = [];
  #in = 0;
  #out = 0;
  #broken = 0;

  /** @param line number of the cycle's first line */
  constructor(line: number, enable: EnableLine | null) {
    this.#line = line;
    this.#enable = enable;
  }

  add(s: Sample): void {
    if (s.dir === 'i') this.#in++;
    else this.#out++;
    if (this.#seen.get(s) !== undefined) return;
    this.#seen.add(s, true);
    this.#flows.push(s);
  }

  addBroken(): void {
    this.#broken++;
  }

  /**
   * @param disable the line that ends it, null when the log goes on or ends without one
   * @param unlisted flows that `FILE.flows` names
   */
  end(disable: DisableLine | null, meta: CycleMeta | null, unlisted: FlowMap<true>): CycleSummary {
    return {
      line: this.#line,
      enable: this.#enable === null ? null : enableSummary(this.#enable),
      disable: disable === null ? null : { disable_time_us: disable.timeUs, ...disable.counts },
      lines: this.#in + this.#out,
      flows: this.#flows.length,
      meta,
      checks:
        disable === null
          ? [{ result: 'unknown', detail: 'no disable line, so there are no counts to check' }]
          : [sums(disable.counts), this.#lines(disable.counts, meta), this.#list(disable, unlisted)],
    };
  }

  /** The sum rule: what was seen and not skipped left a line, unless ppl kept it out. */
  #lines(c: Readonly<Record<string, number>>, meta: CycleMeta | null): Check {
    const lines = this.#in + this.#out;
    const due = (c.total_tcp_pkts ?? 0) - (c.total_skipped_tcp_pkts ?? 0);
    // Where nothing is beside the log, what ppl kept out is not known.
    const kept = meta === null || meta.counts === null ? null : meta.counts.suppressed + meta.counts.lost;
    const rest = due - lines - (kept ?? 0);
    const left = kept === null || kept === 0 ? '' : `, ${count(kept, 'record')} left out`;
    const rule = `${count(due, 'packet')} seen and not skipped, ${count(lines, 'data line')}${left}`;
    if (rest === 0) return { result: 'ok', detail: rule };
    if (rest < 0) return { result: 'failed', detail: `${rule}: ${-rest} too many` };
    const missing = `${rule}: ${rest} missing${this.#broken === 0 ? '' : `, and ${count(this.#broken, 'broken line')}`}`;
    const elsewhere = 'a part of the cycle is in another file';
    if (kept !== null) return { result: 'unknown', detail: `${missing}; perhaps ${elsewhere}` };
    const filter = this.#enable?.siftrver.startsWith('1.2') === true ? 'a port filter, ' : '';
    return { result: 'unknown', detail: `${missing}; ppl leaves some out, ${filter}or ${elsewhere}` };
  }

  #list(disable: DisableLine, unlisted: FlowMap<true>): Check {
    const listed = new FlowMap<true>();
    for (const t of disable.flows) listed.put(t, true);
    const missing = this.#flows.filter((t) => listed.get(t) === undefined && unlisted.get(t) === undefined);
    const others = unlisted.size === 0 ? '' : `, FILE.flows ${unlisted.size}`;
    const named = `flow_list${disable.cut ? ', cut where the log ends,' : ''} names ${count(listed.size, 'flow')}${others}`;
    if (missing.length === 0) return { result: 'ok', detail: `${named}, and each with a data line is among them` };
    const names = missing.slice(0, NAMED).map(flowText).join(', ');
    const detail = `${named}, and lacks ${count(missing.length, 'flow')}: ${names}${missing.length > NAMED ? ', …' : ''}`;
    // Ours may be told to shorten the list (flow_max, flow_list_max_bytes), and does not say so in the log.
    return { result: disable.cut || this.#enable?.sysname === 'xsiftr' ? 'unknown' : 'failed', detail };
  }
}

function enableSummary(e: EnableLine): EnableSummary {
  const { timeUs, siftrver, sysname, sysver, ipmode, hz, tcpRttScale, modes } = e;
  return { enable_time_us: timeUs, siftrver, sysname, sysver, ipmode, hz, tcp_rtt_scale: tcpRttScale, modes };
}

/** The totals of the line against what they are totals of; the skip counters have 32 bits. */
function sums(c: Readonly<Record<string, number>>): Check {
  const sum = (form: RegExp): number =>
    Object.entries(c).reduce((n, [key, value]) => (form.test(key) ? n + value : n), 0);
  const seen = sum(/^num_\w+bound_tcp_pkts$/);
  const skipped = sum(/^num_\w+bound_skipped_pkts_\w+$/) % 2 ** 32;
  if (seen === c.total_tcp_pkts && skipped === c.total_skipped_tcp_pkts) {
    return { result: 'ok', detail: 'the totals of the disable line are the sums of its counts' };
  }
  return {
    result: 'failed',
    detail: `the disable line says total_tcp_pkts=${c.total_tcp_pkts} and total_skipped_tcp_pkts=${c.total_skipped_tcp_pkts}, its counts sum up to ${seen} and ${skipped}`,
  };
}

/** A number of things in words: `1 line`, `2 lines`. */
export function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
