import {
  type CodelConfig,
  checkPipeConfig,
  IDEAL_PIPE,
  type PipeConfig,
  PipeConfigError,
  type RedConfig,
} from '../impair/config.ts';
import { parseTrace } from '../impair/trace.ts';
import {
  parseBytes,
  parsePacketNumbers,
  parseProbability,
  parseQueue,
  parseRate,
  parseTime,
  UnitError,
} from '../impair/units.ts';
import { DnctlError } from './error.ts';

/** The configuration of a pipe in dnctl(8)'s words, with words of our own for what that has none for. */

/** A pipe's configuration as plain data, so that it can go to the shards. */
export interface PipeSpec {
  readonly config: Omit<PipeConfig, 'trace'>;
  /** Content of a trace file, or null. */
  readonly trace: string | null;
  /** Its name, for `show`. */
  readonly traceName: string;
}

/** Slots of a queue when nobody says how many (dnctl(8)). */
const QUEUE_SLOTS = 50;

/** What dummynet has and this has not, and what to do instead. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  burst: 'a pipe has no burst; leave it out, or give burst 0',
  profile: 'delay profiles are not supported; use jitter, or trace with a file in the format of Mahimahi',
  mask: 'dynamic pipes are not supported; configure a pipe and a rule for each flow',
  buckets: 'dynamic pipes are not supported; configure a pipe and a rule for each flow',
  flow_mask: 'dynamic pipes are not supported; configure a pipe and a rule for each flow',
  sched_mask: 'dynamic pipes are not supported; configure a pipe and a rule for each flow',
  pie: 'not supported; the active queue managements are red, gred and codel',
  fq_codel: 'not supported; the active queue managements are red, gred and codel',
  fq_pie: 'not supported; the active queue managements are red, gred and codel',
  weight: 'weighted queues are not supported; only pipes are',
  sched: 'schedulers are not supported; only pipes are',
  type: 'schedulers are not supported; only pipes are',
  pri: 'schedulers are not supported; only pipes are',
  lmax: 'schedulers are not supported; only pipes are',
};

/** The words that there are, for refusals and help. */
export const PIPE_WORDS = [
  'bw',
  'delay',
  'queue',
  'plr',
  'red',
  'gred',
  'codel',
  'droptail',
  'ecn',
  'noecn',
  'noerror',
  'jitter',
  'jitter-reorder',
  'gemodel',
  'drop',
  'reorder',
  'gap',
  'extra',
  'duplicate',
  'corrupt',
  'mark',
  'trace',
] as const;

type Draft = { -readonly [K in keyof PipeConfig]: PipeConfig[K] };

/** The parser's place in the words. */
class Words {
  readonly words: readonly string[];
  at = 0;

  constructor(words: readonly string[]) {
    this.words = words;
  }

  get more(): boolean {
    return this.at < this.words.length;
  }

  peek(): string | undefined {
    return this.words[this.at];
  }

  /** The value of the option `name`. */
  value(name: string, form: string): string {
    const word = this.words[this.at++];
    if (word === undefined) throw new DnctlError(`${name}: its value is missing; allowed is ${form}`);
    return word;
  }
}

/**
 * Reads the words behind `pipe N config`. What is not named has its default: a pipe is configured anew by each call.
 * @param readFile gives the content of the file that `trace` names
 * @throws DnctlError, one line
 */
export function parsePipe(words: readonly string[], readFile: (name: string) => string): PipeSpec {
  const c: Draft = { ...IDEAL_PIPE, limitPackets: QUEUE_SLOTS };
  const w = new Words(words);
  const trace = { text: null as string | null, name: '' };
  let red: RedConfig | null = null;
  let codel: CodelConfig | null = null;
  let ecn = false;
  while (w.more) {
    const name = w.value('', '');
    try {
      switch (name) {
        case 'red':
        case 'gred':
          red = parseRed(w.value(name, 'w_q/min_th/max_th/max_p'), name === 'gred');
          break;
        case 'codel':
          codel = parseCodel(w);
          break;
        case 'droptail':
          red = null;
          codel = null;
          break;
        case 'ecn':
        case 'noecn':
          ecn = name === 'ecn';
          break;
        case 'trace':
          trace.name = w.value(name, 'a file');
          trace.text = readFile(trace.name);
          parseTrace(trace.text);
          break;
        default:
          pipeWord(c, name, w);
      }
    } catch (err) {
      if (err instanceof UnitError) throw new DnctlError(`${name} ${err.message}`);
      throw err;
    }
  }
  if (red !== null && codel !== null) throw new DnctlError('red and codel: a queue has one of them; leave one out');
  if (ecn && red === null && codel === null) {
    throw new DnctlError(
      'ecn: marks instead of dropping with red, gred or codel; for a threshold of the queue use mark',
    );
  }
  // FreeBSD's red drops where every packet is chosen, also with ecn.
  if (red !== null) c.aqm = { ...red, ecn, hardDrop: true };
  if (codel !== null) c.aqm = { ...codel, ecn };
  const { trace: _, ...config } = c;
  try {
    checkPipeConfig(c);
  } catch (err) {
    if (err instanceof PipeConfigError) throw new DnctlError(err.message);
    throw err;
  }
  return { config, trace: trace.text, traceName: trace.name };
}

/** The options that have one value or none. */
function pipeWord(c: Draft, name: string, w: Words): void {
  switch (name) {
    case 'bw':
    case 'bandwidth':
      c.rate = parseRate(w.value(name, 'a rate, as 10Mbit/s'));
      return;
    case 'delay':
      c.delayUs = parseTime(w.value(name, 'a time, as 20ms'));
      return;
    case 'queue': {
      const word = w.value(name, 'a number of packets, or a size as 100KBytes');
      const q = parseQueue(word);
      if (q.bdp > 0) {
        throw new DnctlError(
          `queue ${word}: how far away the peer is, nobody knows here; give a number of packets, or a size as 100KBytes`,
        );
      }
      c.limitPackets = q.packets;
      c.limitBytes = q.bytes;
      return;
    }
    case 'plr':
      c.loss = parseProbability(w.value(name, 'a probability, as 0.01'));
      return;
    case 'jitter':
      c.jitterUs = parseTime(w.value(name, 'a time, as 2ms'));
      return;
    case 'jitter-reorder':
      c.jitterReorder = true;
      return;
    case 'gemodel':
      c.gilbert = parseGilbert(w.value(name, 'p[/r[/1-h[/1-k]]]'));
      return;
    case 'drop':
      c.drop = parsePacketNumbers(w.value(name, 'packet numbers, as 5,9,20-22').replaceAll('+', ','));
      return;
    case 'reorder':
      c.reorder = { gap: 1, extraUs: 0, ...c.reorder, probability: parseProbability(w.value(name, 'a probability')) };
      return;
    case 'gap': {
      const gap = w.value(name, 'a whole number from 1 on');
      if (!/^[1-9]\d*$/.test(gap)) throw new DnctlError(`gap ${gap}: allowed is a whole number from 1 on`);
      c.reorder = { probability: 1, extraUs: 0, ...c.reorder, gap: Number(gap) };
      return;
    }
    case 'extra':
      c.reorder = { probability: 0, gap: 1, ...c.reorder, extraUs: parseTime(w.value(name, 'a time, as 5ms')) };
      return;
    case 'duplicate':
      c.duplicate = parseProbability(w.value(name, 'a probability, as 0.01'));
      return;
    case 'corrupt':
      c.corrupt = parseProbability(w.value(name, 'a probability, as 0.01'));
      return;
    case 'mark': {
      const q = parseQueue(w.value(name, 'a number of packets, or a size as 30KBytes'));
      c.ecnPackets = q.packets;
      c.ecnBytes = q.bytes;
      return;
    }
    case 'noerror':
      // A sender is never told of a drop in a pipe: that is what noerror asks for.
      return;
    case 'burst':
      if (w.peek() === '0') {
        w.value(name, '0');
        return;
      }
  }
  const why = UNSUPPORTED[name];
  throw new DnctlError(
    why === undefined ? `unknown option ${name}; allowed are ${PIPE_WORDS.join(', ')}` : `${name}: ${why}`,
  );
}

/** `0.002/5/15/0.1`; a threshold with K or B is in bytes, and then both are. */
function parseRed(text: string, gentle: boolean): RedConfig {
  const form = `${gentle ? 'gred' : 'red'} ${text}: allowed is w_q/min_th/max_th/max_p, as 0.002/5/15/0.1`;
  const parts = text.split('/');
  const [wq, maxP] = [Number(parts[0]), Number(parts[3])];
  if (parts.length !== 4 || !(wq > 0 && wq <= 1) || !(maxP > 0 && maxP <= 1)) throw new DnctlError(form);
  const [min, max] = [parts[1]!, parts[2]!];
  const bytes = /\D/.test(min);
  if (bytes !== /\D/.test(max)) throw new DnctlError(`${form}; thresholds are both packets or both bytes, as 30KB`);
  const minTh = bytes ? parseBytes(min) : Number(min);
  const maxTh = bytes ? parseBytes(max) : Number(max);
  if (min === '' || !(minTh < maxTh)) throw new DnctlError(`${form}; min_th must be below max_th`);
  return { kind: 'red', minTh, maxTh, wq, maxP, gentle, bytes, ecn: false, hardDrop: true };
}

/** `codel [target TIME] [interval TIME]`; the defaults are those of RFC 8289 section 4. */
function parseCodel(w: Words): CodelConfig {
  let targetUs = 5000;
  let intervalUs = 100_000;
  for (let word = w.peek(); word === 'target' || word === 'interval'; word = w.peek()) {
    w.at++;
    const us = parseTime(w.value(word, 'a time, as 5ms'));
    if (word === 'target') targetUs = us;
    else intervalUs = us;
  }
  return { kind: 'codel', targetUs, intervalUs, ecn: false };
}

/** tc-netem(8): r is 1-p, 1-h is 1 and 1-k is 0 unless given. */
function parseGilbert(text: string): PipeConfig['gilbert'] {
  const parts = text.split('/');
  if (parts.length > 4) throw new DnctlError(`gemodel ${text}: allowed is p[/r[/1-h[/1-k]]], as 0.01/0.3`);
  const p = parseProbability(parts[0]!);
  return {
    p,
    r: parts[1] === undefined ? 1 - p : parseProbability(parts[1]),
    lossBad: parts[2] === undefined ? 1 : parseProbability(parts[2]),
    lossGood: parts[3] === undefined ? 0 : parseProbability(parts[3]),
  };
}

/** The configuration that a pipe takes. */
export function pipeConfig(spec: PipeSpec): PipeConfig {
  return { ...spec.config, trace: spec.trace === null ? null : parseTrace(spec.trace) };
}
