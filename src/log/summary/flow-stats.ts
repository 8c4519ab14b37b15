import { TCP_STATE_NAMES } from '../../stack/tcp/tcp-fsm.ts';
import { TF_FASTRECOVERY } from '../../stack/tcp/tcpcb.ts';
import { flowText } from '../flows.ts';
import type { Sample, Tuple } from '../model.ts';

/** Least, mean and greatest of what samples said; the mean is over samples, not over time. */
export interface Range {
  readonly min: number;
  readonly mean: number;
  readonly max: number;
}

/** What a flow did. Null where the log does not tell. */
export interface FlowSummary extends Tuple {
  /** `laddr;lport-faddr;fport`. */
  readonly flow: string;
  /** Time of the first sample, µs as in the log, and from there to the last. */
  readonly start_us: number;
  readonly duration_us: number;
  readonly samples: number;
  /** Samples of packets that came in and went out; those of polls are neither. */
  readonly in: number;
  readonly out: number;
  readonly cwnd_bytes: Range | null;
  /** Of samples that have one. */
  readonly srtt_us: Range | null;
  readonly inflight_bytes: Range | null;
  /** How often the slow start threshold changed; and the first and the last one and the least that were set. */
  readonly ssthresh_changes: number | null;
  readonly ssthresh_bytes: { readonly first: number | null; readonly last: number | null; readonly min: number | null };
  /**
   * Hints at retransmissions: how often fast recovery began, by the flags; how often cwnd fell to one segment outside of it, as it does at a timeout.
   * Within it proportional rate reduction (RFC 9937) takes cwnd down to one segment, too.
   */
  readonly fast_recoveries: number | null;
  readonly cwnd_collapses: number | null;
  /** States in the order of FreeBSD's numbers. */
  readonly states: readonly string[];
}

class Spread {
  #n = 0;
  #sum = 0;
  #min = Infinity;
  #max = -Infinity;

  add(x: number): void {
    this.#n++;
    this.#sum += x;
    if (x < this.#min) this.#min = x;
    if (x > this.#max) this.#max = x;
  }

  range(): Range | null {
    return this.#n === 0 ? null : { min: this.#min, mean: this.#sum / this.#n, max: this.#max };
  }
}

/** Gathers what the samples of one flow say, in the order of the log. */
export class FlowStats {
  readonly #tuple: Tuple;
  #start = Infinity;
  #end = -Infinity;
  #samples = 0;
  #in = 0;
  #out = 0;
  readonly #cwnd = new Spread();
  readonly #srtt = new Spread();
  readonly #inflight = new Spread();
  #ssthresh = Number.NaN;
  #ssthreshFirst: number | null = null;
  #ssthreshMin = Infinity;
  #ssthreshChanges = 0;
  /** Of the sample before; -1 before the first. */
  #recovery = -1;
  #recoveries = 0;
  /** cwnd was one segment or less, outside of fast recovery. What the log begins with did not happen in it. */
  #collapsed = true;
  #collapses = 0;
  #states = 0;

  constructor(t: Tuple) {
    this.#tuple = { laddr: t.laddr, lport: t.lport, faddr: t.faddr, fport: t.fport };
  }

  add(s: Sample): void {
    this.#samples++;
    if (s.dir === 'i') this.#in++;
    else if (s.dir === 'o') this.#out++;
    if (s.timeUs < this.#start) this.#start = s.timeUs;
    if (s.timeUs > this.#end) this.#end = s.timeUs;
    if (s.srtt !== null && s.srtt > 0) this.#srtt.add(s.srtt);
    if (s.inflight !== null) this.#inflight.add(s.inflight);
    if (s.ssthresh !== null) this.#addSsthresh(s.ssthresh);
    if (s.flags !== null) {
      const now = (s.flags & TF_FASTRECOVERY) === 0 ? 0 : 1;
      // One that the log begins in began before.
      if (now === 1 && this.#recovery === 0) this.#recoveries++;
      this.#recovery = now;
    }
    if (s.cwnd !== null) this.#addCwnd(s.cwnd, s.mss);
    if (s.state !== null) this.#states |= 1 << s.state;
  }

  #addCwnd(cwnd: number, mss: number | null): void {
    this.#cwnd.add(cwnd);
    const collapsed = mss !== null && cwnd <= mss && this.#recovery !== 1;
    if (collapsed && !this.#collapsed) this.#collapses++;
    this.#collapsed = collapsed;
  }

  #addSsthresh(ssthresh: number): void {
    if (Number.isNaN(this.#ssthresh)) this.#ssthreshFirst = finite(ssthresh);
    else if (ssthresh !== this.#ssthresh) this.#ssthreshChanges++;
    this.#ssthresh = ssthresh;
    if (ssthresh < this.#ssthreshMin) this.#ssthreshMin = ssthresh;
  }

  summary(): FlowSummary {
    const cwnd = this.#cwnd.range();
    return {
      flow: flowText(this.#tuple),
      ...this.#tuple,
      start_us: this.#start,
      duration_us: this.#end - this.#start,
      samples: this.#samples,
      in: this.#in,
      out: this.#out,
      cwnd_bytes: cwnd,
      srtt_us: this.#srtt.range(),
      inflight_bytes: this.#inflight.range(),
      ssthresh_changes: Number.isNaN(this.#ssthresh) ? null : this.#ssthreshChanges,
      ssthresh_bytes: {
        first: this.#ssthreshFirst,
        last: finite(this.#ssthresh),
        min: finite(this.#ssthreshMin),
      },
      fast_recoveries: this.#recovery < 0 ? null : this.#recoveries,
      cwnd_collapses: cwnd === null ? null : this.#collapses,
      states: TCP_STATE_NAMES.filter((_, i) => (this.#states & (1 << i)) !== 0),
    };
  }
}

/** Null while no threshold is set: JSON has no Infinity. */
function finite(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}
