/** What a pipe does to packets: plain numbers, checked once when a pipe takes them over. */
import type { RateTrace } from './trace.ts';

/** Random Early Detection (red.ts). Thresholds are in bytes with `bytes`, else in packets. */
export interface RedConfig {
  readonly kind: 'red';
  readonly minTh: number;
  /** Above `minTh`. */
  readonly maxTh: number;
  /** Weight of one sample in the average, 0..1 (usual: 0.002). */
  readonly wq: number;
  /** Drop probability at `maxTh`, 0..1 (usual: 0.1). */
  readonly maxP: number;
  /** The probability goes on rising to 1 at twice `maxTh`, instead of jumping there. */
  readonly gentle: boolean;
  readonly bytes: boolean;
  /** Marks ECN-capable packets instead of dropping them. */
  readonly ecn: boolean;
  /** Drops also ECN-capable packets where every packet is chosen (above `maxTh`, with `gentle` above twice that). */
  readonly hardDrop: boolean;
}

/** Controlled Delay (codel.ts). */
export interface CodelConfig {
  readonly kind: 'codel';
  /** Acceptable standing delay, µs (RFC 8289 section 4.4: 5000). */
  readonly targetUs: number;
  /** Sliding window over which the least delay is looked at, µs (RFC 8289 section 4.3: 100000). */
  readonly intervalUs: number;
  readonly ecn: boolean;
}

/** Loss in bursts: a chain of two states (loss.ts). */
export interface GilbertConfig {
  /** Chance a packet that the good state turns bad; 0..1. */
  readonly p: number;
  /** Chance a packet that the bad state turns good. */
  readonly r: number;
  /** 1-h of tc-netem(8): loss in the bad state. */
  readonly lossBad: number;
  /** 1-k: loss in the good state. */
  readonly lossGood: number;
}

/** Packets that overtake others. */
export interface ReorderConfig {
  readonly probability: number;
  /** Only every so many packets is one a candidate, at least 1 (tc-netem(8), "gap"). */
  readonly gap: number;
  /** 0: the chosen packet skips the delay, as in netem. Else it is held back by so many µs, and those behind it go past. */
  readonly extraUs: number;
}

export interface PipeConfig {
  /** Bits a second, 0 for no limit; not looked at when there is a trace. */
  readonly rate: number;
  readonly trace: RateTrace | null;
  readonly delayUs: number;
  /** Uniform in ±jitterUs around `delayUs`, never below 0. */
  readonly jitterUs: number;
  /** Jitter may change the order of packets; else a packet waits for the one before it. */
  readonly jitterReorder: boolean;
  /** Most that waits for the server, the packet in service not counted; 0 for no limit. An idle server takes any packet. */
  readonly limitPackets: number;
  readonly limitBytes: number;
  readonly aqm: RedConfig | CodelConfig | null;
  /** An ECN-capable packet that finds more than this waiting is marked (RFC 8257 section 3.1); 0 for never. */
  readonly ecnPackets: number;
  readonly ecnBytes: number;
  /** Independent loss, 0..1. */
  readonly loss: number;
  readonly gilbert: GilbertConfig | null;
  /** Packets to lose, ascending, counted from 1 in the order in which they are offered. */
  readonly drop: readonly number[];
  readonly reorder: ReorderConfig | null;
  /** Chance of a second copy, and of a flipped bit. */
  readonly duplicate: number;
  readonly corrupt: number;
}

/** A pipe that does nothing: what is given is delivered at once. */
export const IDEAL_PIPE: PipeConfig = {
  rate: 0,
  trace: null,
  delayUs: 0,
  jitterUs: 0,
  jitterReorder: false,
  limitPackets: 0,
  limitBytes: 0,
  aqm: null,
  ecnPackets: 0,
  ecnBytes: 0,
  loss: 0,
  gilbert: null,
  drop: [],
  reorder: null,
  duplicate: 0,
  corrupt: 0,
};

/** A pipe configuration with a number that makes no sense. */
export class PipeConfigError extends RangeError {
  readonly code = 'EPIPECONFIG';

  constructor(message: string) {
    super(message);
    this.name = 'PipeConfigError';
  }
}

function probability(name: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new PipeConfigError(`${name} ${p}: a probability from 0 to 1`);
}

function amount(name: string, n: number): void {
  if (!(n >= 0 && Number.isFinite(n))) throw new PipeConfigError(`${name} ${n}: a number from 0 on`);
}

/** Throws PipeConfigError, one line with the offending value and what is allowed, when `c` makes no sense. */
export function checkPipeConfig(c: PipeConfig): void {
  amount('rate', c.rate);
  amount('delay', c.delayUs);
  amount('jitter', c.jitterUs);
  amount('packet limit', c.limitPackets);
  amount('byte limit', c.limitBytes);
  amount('ecn threshold', c.ecnPackets);
  amount('ecn threshold', c.ecnBytes);
  probability('loss', c.loss);
  probability('duplicate', c.duplicate);
  probability('corrupt', c.corrupt);
  if (c.gilbert !== null) {
    probability('gilbert p', c.gilbert.p);
    probability('gilbert r', c.gilbert.r);
    probability('gilbert 1-h', c.gilbert.lossBad);
    probability('gilbert 1-k', c.gilbert.lossGood);
  }
  if (c.reorder !== null) {
    probability('reorder', c.reorder.probability);
    amount('reorder extra delay', c.reorder.extraUs);
    if (!Number.isInteger(c.reorder.gap) || c.reorder.gap < 1) {
      throw new PipeConfigError(`reorder gap ${c.reorder.gap}: a whole number from 1 on`);
    }
  }
  let before = 0;
  for (const n of c.drop) {
    if (!Number.isInteger(n) || n <= before) {
      throw new PipeConfigError(`drop ${n}: packet numbers from 1 on, each larger than the one before`);
    }
    before = n;
  }
  if (c.aqm?.kind === 'red') checkRed(c.aqm);
  if (c.aqm?.kind === 'codel' && !(c.aqm.targetUs > 0 && c.aqm.intervalUs > 0 && Number.isFinite(c.aqm.intervalUs))) {
    throw new PipeConfigError(`codel ${c.aqm.targetUs}/${c.aqm.intervalUs} µs: target and interval above 0`);
  }
}

function checkRed(red: RedConfig): void {
  probability('red w_q', red.wq);
  probability('red max_p', red.maxP);
  if (!(red.minTh >= 0 && red.maxTh > red.minTh && Number.isFinite(red.maxTh))) {
    throw new PipeConfigError(`red ${red.minTh}/${red.maxTh}: max_th above min_th`);
  }
}
