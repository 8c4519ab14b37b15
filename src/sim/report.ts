/** What an experiment tells, and how it is counted. */
import type { Dumbbell } from '../driver/sim/dumbbell.ts';
import type { Wire } from '../driver/sim/wire.ts';
import { PipeStats } from '../impair/pipe.ts';
import { VERSION } from '../version.ts';
import type { Flow } from './flow.ts';
import { commandOf, type ExperimentOptions } from './options.ts';
import type { Plan } from './plan.ts';

/** One way of the bottleneck. Packets, unless the name says bytes. */
export interface PathReport {
  /** 0: no limit. */
  readonly rate_bps: number;
  readonly delay_us: number;
  readonly limit_packets: number;
  readonly limit_bytes: number;
  readonly offered: number;
  readonly delivered: number;
  readonly delivered_bytes: number;
  readonly dropped: { readonly loss: number; readonly overflow: number; readonly aqm: number };
  readonly marked: number;
  readonly duplicated: number;
  readonly corrupted: number;
  readonly reordered: number;
  /** Share of the rate that was used over the whole time, 0..1; 0 without a rate. */
  readonly utilization: number;
  /** What waited, over the whole time. */
  readonly queue: {
    readonly mean_packets: number;
    readonly mean_bytes: number;
    readonly max_packets: number;
    readonly max_bytes: number;
  };
}

export interface FlowReport {
  /** From 1. */
  readonly id: number;
  readonly cc: string;
  readonly start_s: number;
  /** When it was stopped, had delivered all, failed, or the experiment ended. */
  readonly end_s: number;
  readonly base_rtt_us: number;
  /** Payload delivered in order to the receiving application, from its start, or the end of the warm-up, to its end. */
  readonly bytes: number;
  readonly goodput_bps: number;
  /** All of `bytes=` was delivered. */
  readonly completed: boolean;
  readonly segments_sent: number;
  readonly retransmitted_segments: number;
  /** Retransmission timeouts. */
  readonly timeouts: number;
  /** From when a segment left TCP to the ACK of it; nothing that was sent again. */
  readonly rtt_us: {
    readonly samples: number;
    readonly min: number;
    readonly mean: number;
    readonly p50: number;
    readonly p95: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Over the time that the connection was established. */
  readonly cwnd_bytes: { readonly mean: number; readonly max: number };
  /** errno name of what ended the connection early, or what was wrong with its data; else null. */
  readonly error: string | null;
}

export interface ExperimentReport {
  readonly version: string;
  /** Runs it again. */
  readonly command: string;
  /** What a sweep set for this run, by option. */
  readonly sweep?: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly time_s: number;
  /** Everything below counts from here on. */
  readonly warmup_s: number;
  /** Largest of all flows, and the bytes that fill the bottleneck for so long. */
  readonly base_rtt_us: number;
  readonly bdp_bytes: number;
  readonly flows: readonly FlowReport[];
  /** Of all flows together, over the time that counts. */
  readonly goodput_bps: number;
  /** Fairness of the flows' goodputs: 1 is even, 1/n is one flow having all (Jain, Chiu and Hawe 1984). */
  readonly jain_index: number;
  readonly data_path: PathReport;
  readonly ack_path: PathReport;
  /** With --path-mtu: packets too large for it over the whole time, and messages about them. */
  readonly path_mtu?: { readonly mtu: number; readonly icmp: boolean; readonly dropped: number; readonly told: number };
  /** What stacks warned of, as "0.482695 s sender1: …": the first WARNINGS_MAX. */
  readonly warnings: readonly string[];
  /** Events of the simulation, a measure of its work. */
  readonly events: number;
}

/** Warnings that a report holds. */
const WARNINGS_MAX = 20;

/** Collects what the stacks of a network warn of. */
export function collectWarnings(d: Dumbbell): string[] {
  const warnings: string[] = [];
  for (const node of d.net.nodes) {
    node.st.onWarning = (text) => {
      if (warnings.length < WARNINGS_MAX) warnings.push(`${round(d.net.clock.now / 1e6, 6)} s ${node.name}: ${text}`);
    };
  }
  return warnings;
}

/** Hosts that had no frame for what arrived: what their flows lost there, no emulated link lost. */
function starved(d: Dumbbell): string[] {
  return d.net.nodes
    .filter((n) => n.link.dropped > 0)
    .map((n) => `${n.name}: ${n.link.dropped} packets dropped, no frame was free`);
}

/** Rounds to `digits` behind the point: what is below that is noise of the arithmetic. */
function round(n: number, digits = 0): number {
  return Number(n.toFixed(digits));
}

/** Jain's index of non-negative numbers; 1 when all are 0. */
export function jainIndex(values: readonly number[]): number {
  const sum = values.reduce((n, v) => n + v, 0);
  const squares = values.reduce((n, v) => n + v * v, 0);
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares);
}

/** The value below or at which a share of `p` of ascending samples lies (nearest rank); 0 without any. */
export function percentile(sorted: ArrayLike<number>, p: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]!;
}

/** What of `now` has come since `before`; the greatest lengths of the queue are not sums. */
function since(now: PipeStats, before: PipeStats): PipeStats {
  const s = { ...now };
  for (const key of Object.keys(before) as (keyof PipeStats)[]) {
    if (!key.startsWith('max')) s[key] -= before[key];
  }
  return s;
}

function pathReport(wire: Wire, before: PipeStats, timeUs: number): PathReport {
  const { config: c } = wire.pipe;
  const s = since(wire.pipe.stats, before);
  const rate = c.trace === null ? c.rate : c.trace.rate;
  return {
    rate_bps: round(rate),
    delay_us: c.delayUs,
    limit_packets: c.limitPackets,
    limit_bytes: c.limitBytes,
    offered: s.offered,
    delivered: s.delivered,
    delivered_bytes: s.deliveredBytes,
    dropped: { loss: s.lost, overflow: s.overflow, aqm: s.aqm },
    marked: s.marked,
    duplicated: s.duplicated,
    corrupted: s.corrupted,
    reordered: s.reordered,
    utilization: rate > 0 ? round((s.deliveredBytes * 8e6) / (rate * timeUs), 4) : 0,
    queue: {
      mean_packets: round(s.packetUs / timeUs, 2),
      mean_bytes: round(s.byteUs / timeUs),
      max_packets: s.maxPackets,
      max_bytes: s.maxBytes,
    },
  };
}

function flowReport(f: Flow, i: number): FlowReport {
  const { plan } = f;
  const rtts = f.meter.rtts();
  let sum = 0;
  for (const r of rtts) sum += r;
  const us = f.endUs - f.fromUs;
  return {
    id: i + 1,
    cc: plan.cc,
    start_s: round(plan.startUs / 1e6, 6),
    end_s: round(f.endUs / 1e6, 6),
    base_rtt_us: plan.rttUs,
    bytes: f.bytes,
    goodput_bps: us > 0 ? round((f.bytes * 8e6) / us) : 0,
    completed: f.completed,
    segments_sent: f.segments,
    retransmitted_segments: f.retransmitted,
    timeouts: f.timeouts,
    rtt_us: {
      samples: rtts.length,
      min: rtts[0] ?? 0,
      mean: rtts.length === 0 ? 0 : round(sum / rtts.length),
      p50: percentile(rtts, 0.5),
      p95: percentile(rtts, 0.95),
      p99: percentile(rtts, 0.99),
      max: rtts.at(-1) ?? 0,
    },
    cwnd_bytes: { mean: round(f.meter.cwndMean()), max: f.meter.cwndMax },
    error: f.error,
  };
}

/** What the two ways of the bottleneck had counted when what counts began. */
export interface Before {
  readonly data: PipeStats;
  readonly ack: PipeStats;
}

/** Before anything has run. */
export const NOTHING: Before = { data: new PipeStats(), ack: new PipeStats() };

/** Takes down what is not to count, in the middle of a run. */
export function startCounting(d: Dumbbell, flows: readonly Flow[]): Before {
  for (const f of flows) f.restart();
  const [data, ack] = [d.data, d.ack].map(({ pipe }) => {
    pipe.account(d.net.clock.now);
    pipe.stats.maxPackets = pipe.queuePackets;
    pipe.stats.maxBytes = pipe.queueBytes;
    return { ...pipe.stats };
  });
  return { data: data!, ack: ack! };
}

/** The report of an experiment that is over. */
export function makeReport(
  options: ExperimentOptions,
  plan: Plan,
  d: Dumbbell,
  flows: readonly Flow[],
  before: Before,
  warnings: readonly string[],
): ExperimentReport {
  const reports = flows.map(flowReport);
  const us = plan.timeUs - plan.warmupUs;
  return {
    version: VERSION,
    command: commandOf(options),
    seed: plan.seed,
    time_s: plan.timeUs / 1e6,
    warmup_s: plan.warmupUs / 1e6,
    base_rtt_us: plan.rttUs,
    bdp_bytes: plan.bdpBytes,
    flows: reports,
    goodput_bps: round((reports.reduce((n, f) => n + f.bytes, 0) * 8e6) / us),
    jain_index: round(jainIndex(reports.map((f) => f.goodput_bps)), 4),
    data_path: pathReport(d.data, before.data, us),
    ack_path: pathReport(d.ack, before.ack, us),
    ...(d.gate === null
      ? {}
      : { path_mtu: { mtu: d.gate.mtu, icmp: d.gate.icmp, dropped: d.gate.dropped, told: d.gate.told } }),
    warnings: [...warnings, ...starved(d)],
    events: d.net.events,
  };
}
