import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Emulator,
  type EmulatorCounters,
  type EmulatorSettings,
  emulatorFaults,
  withEmulator,
} from './emulator.ts';
import type { Middle } from './middle.ts';
import { allowCongestion, type Lab, NEAR_ADDRESS, startXsiftr } from './netns.ts';
import type { Running } from './process.ts';

/**
 * Two senders, one after the other, under the same conditions: the near end sends one flow over an emulated link to the same program on
 * Linux, with the same seed, so that the same ordinals of data packets are lost. The receiver counts.
 */

const BULK = join(import.meta.dirname, 'bulk.py');
const PORT = 80;
/** More than any run moves. */
const ENDLESS = 1_000_000_000_000;

/** What the receiver's kernel should never have to count; none of these may go up because of our segments. */
export const ANOMALIES: readonly string[] = [
  'IpInHdrErrors',
  'IpInAddrErrors',
  'IpInUnknownProtos',
  'IpReasmReqds',
  'TcpInErrs',
  'TcpInCsumErrors',
  'TcpExtPAWSOldAck',
  'TcpExtTCPChallengeACK',
  'TcpExtTCPSYNChallenge',
  'TcpExtTCPACKSkippedSynRecv',
  'TcpExtTCPACKSkippedSeq',
  'TcpExtTCPACKSkippedChallenge',
  'TcpExtTCPRcvQDrop',
  'TcpExtTCPZeroWindowDrop',
  'TcpExtTCPOFODrop',
  'TcpExtBeyondWindow',
  'TcpExtTCPSackFailures',
  'TcpExtTCPMD5Unexpected',
  'IpExtInTruncatedPkts',
  'IpExtInCsumErrors',
];

/**
 * Anomalies only on a path that keeps the order: where a needless retransmission is overtaken by newer segments in order, its timestamp is
 * old when it comes (RFC 7323 section 5.3), which says nothing about the sender.
 */
export const ANOMALIES_IN_ORDER: readonly string[] = ['TcpExtPAWSEstab', 'TcpExtTCPACKSkippedPAWS'];

export interface SenderRun {
  readonly sender: string;
  /** Payload at the receiving application, bit/s. */
  readonly goodput: number;
  readonly seconds: number;
  readonly bytes: number;
  /** Bytes so far, every 0.1 s since the first. */
  readonly steps: readonly number[];
  readonly emulator: EmulatorCounters;
  /** All of the receiver's nstat counters that changed. */
  readonly nstat: Readonly<Record<string, number>>;
  /** Those of them that should not have. */
  readonly anomalies: Readonly<Record<string, number>>;
  /** SIFTR log of the run, when xsiftr sent. */
  readonly siftr?: string;
  /** `ss -tinoHO` of the sender's end every 0.1 s, each behind its time in seconds, when Linux sent. */
  readonly ss?: readonly string[];
}

export interface Comparison {
  readonly ours: SenderRun;
  readonly theirs: SenderRun;
  /** Goodput of ours by theirs. */
  readonly ratio: number;
}

export interface Conditions {
  readonly emulator: EmulatorSettings;
  /** Seconds of a run, from the first byte on; at most 15. */
  readonly seconds: number;
}

/** 1 % of the data packets lost, 40 ms there and back; with `reorder`, 1 % of the data packets held back for 5 ms besides. */
export function lossyPath(seed: number, reorder = false): EmulatorSettings {
  const held = reorder ? { reorder: 0.01, reorderUs: 5000 } : {};
  return { seed, toPeer: { delayUs: 20_000, loss: 0.01, ...held }, toUs: { delayUs: 20_000 } };
}

/** All counters of the far end's kernel, since it was made. */
async function nstat(lab: Lab): Promise<Map<string, number>> {
  const { stdout } = await lab.far('nstat -asz');
  const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/));
  return new Map(rows.filter((row) => row.length === 3).map((row) => [row[0]!, Number(row[1])]));
}

function increase(before: Map<string, number>, after: Map<string, number>): Record<string, number> {
  const changed = [...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const);
  return Object.fromEntries(changed.filter(([, d]) => d !== 0));
}

interface Fetched {
  readonly seconds: number;
  readonly bytes: number;
  readonly steps: readonly number[];
}

/** The far end reads from whoever serves at the near end's port 80. @throws when the emulator was at fault or the flow ended early */
async function fetchFrom(sender: string, m: Middle, emulator: Emulator, seconds: number): Promise<SenderRun> {
  if (!(seconds > 0 && seconds <= 15)) throw new RangeError(`${seconds} s: a run takes at most 15`);
  // Neighbours are resolved before, so that no ARP wait is in the handshake. The echo reply has ordinal 1 in every run, and may be lost.
  await m.lab.far(`ping -c 1 -W 1 ${NEAR_ADDRESS}`, { check: false });
  const before = await nstat(m.lab);
  const words = ['python3', BULK, 'fetch', NEAR_ADDRESS, String(PORT), String(ENDLESS), String(seconds)];
  const { stdout } = await m.lab.far(words);
  const fetched = JSON.parse(stdout) as Fetched;
  const changed = increase(before, await nstat(m.lab));
  // The sender learns of the end.
  await new Promise((resolve) => setTimeout(resolve, 100));
  const counters = await emulator.stop();
  const faults = emulatorFaults(counters);
  if (faults.length > 0) throw new Error(`${sender}: the emulator had ${faults.join(', ')}`);
  if (fetched.seconds < seconds * 0.99) throw new Error(`${sender}: the flow ended after ${fetched.seconds} s`);
  const wrong = counters.toPeer.reordered > 0 ? ANOMALIES : [...ANOMALIES, ...ANOMALIES_IN_ORDER];
  return {
    sender,
    ...fetched,
    goodput: (fetched.bytes * 8) / fetched.seconds,
    emulator: counters,
    nstat: changed,
    anomalies: Object.fromEntries(Object.entries(changed).filter(([name]) => wrong.includes(name))),
  };
}

/** Looks at the near end's connections until `watched` settles. */
async function watch(lab: Lab, watched: Promise<unknown>): Promise<string[]> {
  const loop = `while :; do echo "$EPOCHREALTIME $(ss -tinoHO state established sport = :${PORT})"; sleep 0.1; done`;
  const watcher: Running = lab.spawnNear(['bash', '-c', loop]);
  await watched.catch(() => {});
  await watcher.stop('SIGTERM', 1000);
  return watcher.lines.filter((line) => line.includes('cwnd:'));
}

/** A flow that Linux sends. `congestion` must be built into or loaded by the running kernel. */
export async function runLinux(conditions: Conditions, congestion = 'cubic'): Promise<SenderRun> {
  const restore = allowCongestion(congestion);
  try {
    return await withEmulator('side-l', {}, conditions.emulator, async (m, emulator) => {
      const server = m.lab.spawnNear(['python3', BULK, 'serve', String(PORT), congestion]);
      await server.waitLine(/^serving$/);
      const fetched = fetchFrom(`Linux ${congestion}`, m, emulator, conditions.seconds);
      const ss = await watch(m.lab, fetched);
      return { ...(await fetched), ss };
    });
  } finally {
    restore();
  }
}

/** A flow that xsiftr sends, of its http service. `args` go to xsiftr. */
export function runXsiftr(conditions: Conditions, args: readonly string[] = []): Promise<SenderRun> {
  return withEmulator('side-x', {}, conditions.emulator, async (m, emulator) => {
    const x = await startXsiftr(m.lab, ['--serve', 'http', ...args]);
    const result = await fetchFrom('xsiftr', m, emulator, conditions.seconds);
    await x.stop();
    const siftr = x.siftrLog === '' ? undefined : readFileSync(x.siftrLog, 'utf8');
    return { ...result, siftr };
  });
}

/** Runs both, xsiftr first. The nearer the ratio is to 1 or above, the better we are. */
export async function compareWithKernel(
  conditions: Conditions,
  options: { readonly congestion?: string; readonly args?: readonly string[] } = {},
): Promise<Comparison> {
  const ours = await runXsiftr(conditions, options.args);
  const theirs = await runLinux(conditions, options.congestion);
  return { ours, theirs, ratio: ours.goodput / theirs.goodput };
}

export interface Sums {
  readonly comparisons: readonly Comparison[];
  /** Sum of our goodputs by sum of theirs. */
  readonly ratio: number;
}

/** Compares on one path for several seeds: one seed's losses may fall well for one of the two. */
export async function compareOverSeeds(
  path: (seed: number) => EmulatorSettings,
  seeds: readonly number[],
  seconds: number,
  options: Parameters<typeof compareWithKernel>[1] = {},
): Promise<Sums> {
  const comparisons: Comparison[] = [];
  for (const seed of seeds) comparisons.push(await compareWithKernel({ emulator: path(seed), seconds }, options));
  const sum = (side: 'ours' | 'theirs') => comparisons.reduce((all, c) => all + c[side].goodput, 0);
  return { comparisons, ratio: sum('ours') / sum('theirs') };
}

/** Ordinals, of those that both runs came to, that were lost in one only. Empty when the seed did what it should. */
export function unequalLosses(a: SenderRun, b: SenderRun): number[] {
  const end = Math.min(a.emulator.toPeer.data, b.emulator.toPeer.data);
  const only = (one: SenderRun, other: SenderRun) =>
    one.emulator.toPeer.lost.filter((ordinal) => ordinal <= end && !other.emulator.toPeer.lost.includes(ordinal));
  return [...only(a, b), ...only(b, a)];
}

/** One line of a run for people. */
export function describeRun(r: SenderRun): string {
  const { data, lost_data, queue_drops, reordered } = r.emulator.toPeer;
  const context = ['TcpExtTCPOFOQueue', 'TcpExtTCPDSACKOldSent', 'TcpExtTCPDSACKOfoSent', 'TcpExtPAWSEstab']
    .map((name) => `${name.replace('TcpExt', '')} ${r.nstat[name] ?? 0}`)
    .join(', ');
  const anomalies = Object.entries(r.anomalies).map(([name, n]) => `${name} ${n}`);
  return (
    `${r.sender}: ${(r.goodput / 1e6).toFixed(2)} Mbit/s in ${r.seconds.toFixed(1)} s; ${data} data packets, ` +
    `${lost_data} lost, ${queue_drops} dropped by the queue, ${reordered} held back; ${context}; ` +
    `anomalies: ${anomalies.length > 0 ? anomalies.join(', ') : 'none'}`
  );
}
