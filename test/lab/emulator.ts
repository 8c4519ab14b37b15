import { join } from 'node:path';
import { type Middle, withMiddle } from './middle.ts';
import type { LabOptions } from './netns.ts';
import { ROOT } from './netns.ts';
import { type Running, run } from './process.ts';

/**
 * A link with faults between the two ends of a lab: emulator.c in the middle namespace. Draws depend on the seed and on the ordinal of a
 * packet in its direction, so the n-th data packet is lost or not whoever sends it.
 */

/** One direction; what is left out is 0, that is off. Probabilities from 0 to 1. */
export interface Impairment {
  /** Bits a second, of whole Ethernet frames without FCS. */
  readonly rate?: number;
  /** Most that may wait for the rate limiter or be in it, bytes; the newcomer is dropped. */
  readonly queueBytes?: number;
  /** The same in packets. */
  readonly queuePackets?: number;
  /** CE (RFC 3168) for ECT packets that find more bytes than this waiting; as DCTCP's K (RFC 8257). Needs a rate. */
  readonly markBytes?: number;
  /** Probability of CE for ECT packets. */
  readonly mark?: number;
  readonly delayUs?: number;
  /** The most that is added to the delay, uniform. Packets stay in order unless `jitterReorders`. */
  readonly jitterUs?: number;
  readonly jitterReorders?: boolean;
  /** Of data packets: TCP with payload, and all that is not TCP. */
  readonly loss?: number;
  /** Of TCP without payload. */
  readonly lossBare?: number;
  /** Data packets to lose besides, by ordinal; the first is 1. At most 1024. */
  readonly drop?: readonly number[];
  /** Probability of being held back by `reorderUs` while those behind go ahead. */
  readonly reorder?: number;
  readonly reorderUs?: number;
  readonly dup?: number;
  readonly corrupt?: number;
}

export interface EmulatorSettings {
  /** Default 1. */
  readonly seed?: number;
  /** Releases nearer than this are waited for awake, µs (default 30): 150 releases within a few µs and takes much of a processor. */
  readonly spinUs?: number;
  /** From near to far: what we send. */
  readonly toPeer?: Impairment;
  /** From far to near. */
  readonly toUs?: Impairment;
}

/** Counters of one direction. While its faults are 0: data + bare + duplicated = lost_data + lost_bare + queue_drops + sent + waiting. */
export interface DirectionCounters {
  readonly data: number;
  readonly bare: number;
  /** ARP and its like, unimpaired. */
  readonly passed: number;
  readonly lost_data: number;
  readonly lost_bare: number;
  readonly queue_drops: number;
  readonly queue_bytes_max: number;
  /** Packets that left with CE set here. */
  readonly marked: number;
  readonly reordered: number;
  readonly duplicated: number;
  readonly corrupted: number;
  readonly sent: number;
  readonly sent_bytes: number;
  readonly waiting: number;
  /** Faults of the emulator itself, all four. */
  readonly no_slot: number;
  readonly oversize: number;
  readonly send_failed: number;
  readonly socket_drops: number;
  /** How late packets were released, µs. */
  readonly late_mean_us: number;
  readonly late_max_us: number;
  /** Packets late by less than 2^k µs. */
  readonly late_log2_us: readonly number[];
  /** Ordinals of the data packets lost, the first 8192. */
  readonly lost: readonly number[];
}

export interface EmulatorCounters {
  /** Whether it ran with real-time priority. */
  readonly realtime: boolean;
  readonly toPeer: DirectionCounters;
  readonly toUs: DirectionCounters;
}

const PROGRAM = join(ROOT, 'build/Release/emulator');

/** Compiles emulator.c where that is still to be done, with the compiler that the addon was built with. */
export async function buildEmulator(): Promise<void> {
  await run(['cmake', '--build', join(ROOT, 'build'), '--target', 'emulator']);
}

const KEYS: readonly (readonly [keyof Impairment, string])[] = [
  ['rate', 'rate'],
  ['queueBytes', 'queue_bytes'],
  ['queuePackets', 'queue_packets'],
  ['markBytes', 'mark_bytes'],
  ['mark', 'mark'],
  ['delayUs', 'delay_us'],
  ['jitterUs', 'jitter_us'],
  ['jitterReorders', 'jitter_reorders'],
  ['loss', 'loss'],
  ['lossBare', 'loss_bare'],
  ['drop', 'drop'],
  ['reorder', 'reorder'],
  ['reorderUs', 'reorder_us'],
  ['dup', 'dup'],
  ['corrupt', 'corrupt'],
];

function words(impairment: Impairment = {}): string {
  const text = (value: number | boolean | readonly number[]) =>
    typeof value === 'object' ? value.join(':') : String(Number(value));
  return KEYS.filter(([key]) => impairment[key] !== undefined)
    .map(([key, word]) => `${word}=${text(impairment[key]!)}`)
    .join(',');
}

function parse(line: string): EmulatorCounters {
  const { realtime, ab, ba } = JSON.parse(line) as { realtime: boolean; ab: DirectionCounters; ba: DirectionCounters };
  return { realtime, toPeer: ab, toUs: ba };
}

export class Emulator {
  private readonly running: Running;

  private constructor(running: Running) {
    this.running = running;
  }

  /** Joins mid0 and mid1 of a middle set up without a bridge. */
  static async start(m: Middle, settings: EmulatorSettings): Promise<Emulator> {
    await buildEmulator();
    const common = ['--seed', String(settings.seed ?? 1), '--spin', String(settings.spinUs ?? 30)];
    const ways = ['--ab', words(settings.toPeer), '--ba', words(settings.toUs)];
    const running = m.spawn([PROGRAM, 'mid0', 'mid1', ...common, ...ways]);
    await running.waitLine(/^ready$/);
    return new Emulator(running);
  }

  /** What it has counted so far. */
  async counters(): Promise<EmulatorCounters> {
    const before = this.running.lines.length;
    this.running.signal('SIGUSR1');
    for (let i = 0; i < 200 && this.running.lines.length === before; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (this.running.lines.length === before) throw new Error(`emulator: no report\n${this.running.output()}`);
    return parse(this.running.lines.at(-1)!);
  }

  /** Ends it; what still waits is gone. @returns what it has counted */
  async stop(): Promise<EmulatorCounters> {
    const code = await this.running.stop('SIGTERM');
    if (code !== 0) throw new Error(`emulator: exit ${code}\n${this.running.output()}`);
    return parse(this.running.lines.at(-1)!);
  }
}

/** What the emulator did that nobody had ordered: a run with any of it is no evidence. */
export function emulatorFaults(counters: EmulatorCounters): string[] {
  const faults: string[] = [];
  for (const [way, c] of [
    ['to the peer', counters.toPeer],
    ['to us', counters.toUs],
  ] as const) {
    for (const name of ['no_slot', 'oversize', 'send_failed', 'socket_drops'] as const) {
      if (c[name] > 0) faults.push(`${c[name]} ${name} ${way}`);
    }
  }
  return faults;
}

/** Builds a lab with an emulator in its middle, runs `body` and removes all of it. The near end is Linux until xsiftr is started. */
export function withEmulator<T>(
  name: string,
  options: LabOptions,
  settings: EmulatorSettings,
  body: (m: Middle, emulator: Emulator) => Promise<T>,
): Promise<T> {
  return withMiddle(name, { peerOffloads: false, ...options, bridge: false }, async (m) =>
    body(m, await Emulator.start(m, settings)),
  );
}
