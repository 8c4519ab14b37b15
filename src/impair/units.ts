/**
 * Rates, times, sizes and probabilities as tc(8) and dnctl(8) spell them. Each parser returns a plain number in one base unit, or throws
 * UnitError with one line that says what was given and what is allowed.
 */

export class UnitError extends Error {
  readonly code = 'EUNIT';

  constructor(message: string) {
    super(message);
    this.name = 'UnitError';
  }
}

const NUMBER = String.raw`(\d+(?:\.\d*)?|\.\d+)(?:e([+-]?\d+))?`;
const RATE = new RegExp(
  String.raw`^${NUMBER}\s*([kmgt]?)(i?)(?:(b(?:it)?s?(?:/s(?:ec)?)?)|(bps)|(b(?:yte)?s?(?:/s(?:ec)?)?))?$`,
  'i',
);
const TIME = new RegExp(String.raw`^${NUMBER}\s*(ns|nsecs?|us|µs|usecs?|ms|msecs?|s|secs?|min|h)?$`, 'i');
const SIZE = new RegExp(String.raw`^${NUMBER}\s*([kmgt]?)(?:i?b|bytes?)?$`, 'i');
const QUEUE = new RegExp(String.raw`^${NUMBER}\s*(p|pkts?|packets?|sl|slots?|bdp)?$`, 'i');

const DECIMAL: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const BINARY: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
const TIME_US: Readonly<Record<string, number>> = {
  n: 1e-3,
  u: 1,
  µ: 1,
  ms: 1e3,
  s: 1e6,
  mi: 6e7,
  h: 3.6e9,
};

function value(m: RegExpExecArray): number {
  return Number(m[2] === undefined ? m[1] : `${m[1]}e${m[2]}`);
}

/**
 * A rate in bits a second. tc's spellings: `10mbit`, `1.5Gbit`, `64kibit`; `bps` are **bytes** a second there (`100kbps` is 800 kbit/s). dnctl's:
 * `10Mbit/s`, `100KByte/s`, `1MB/s` (a capital B alone is a byte). A plain number is bit/s.
 */
export function parseRate(text: string): number {
  const s = text.trim();
  const m = RATE.exec(s);
  if (m === null) {
    throw new UnitError(
      `${text}: a rate like 10Mbit, 10Mbit/s, 1.5Gbit, 2MByte/s, 100kbps (kilobytes, as tc has it) or a number of bit/s`,
    );
  }
  const scale = (m[4] === '' ? DECIMAL : BINARY)[m[3]!.toLowerCase()]!;
  // Lower case b is a bit to both programs, unless it begins "bps" or "byte".
  const unit = s.slice(s.length - (m[5] ?? m[6] ?? m[7] ?? '').length);
  const bytes = m[6] !== undefined || /^byte/i.test(unit) || /^Bs?(?:\/|$)/.test(unit);
  return value(m) * scale * (bytes ? 8 : 1);
}

/**
 * A time in µs: `20ms`, `20msec`, `50us`, `1.5s`, `2min`.
 * @param bareUs what a plain number counts, µs: 1000 as in dnctl's `delay 20`
 */
export function parseTime(text: string, bareUs = 1000): number {
  const m = TIME.exec(text.trim());
  if (m === null) throw new UnitError(`${text}: a time like 20ms, 20msec, 50us, 1.5s`);
  if (m[3] === undefined) return value(m) * bareUs;
  const word = m[3].toLowerCase();
  const unit = /^(?:ms|mi)/.test(word) ? word.slice(0, 2) : word[0]!;
  return value(m) * TIME_US[unit]!;
}

/** A size in bytes: `100KB`, `100Kbytes`, `1.5MiB`, `4096`. Prefixes are powers of 1024, to tc and to dnctl. */
export function parseBytes(text: string): number {
  const m = SIZE.exec(text.trim());
  if (m === null) throw new UnitError(`${text}: a size like 100KB, 100Kbytes, 1.5MB, or a number of bytes`);
  return Math.floor(value(m) * BINARY[m[3]!.toLowerCase()]!);
}

/** Length of a queue: one of the three is above 0, unless 0 was given. */
export interface QueueLength {
  readonly packets: number;
  readonly bytes: number;
  /** Times the bandwidth-delay product of the path. */
  readonly bdp: number;
}

/** A queue length: `50`, `50pkt`, `50slots` (packets), `100KB`, `100Kbytes`, `100k`, `3000B` (bytes), `1bdp`, `0.5bdp`. */
export function parseQueue(text: string): QueueLength {
  const s = text.trim();
  const m = QUEUE.exec(s);
  if (m !== null) {
    const n = value(m);
    if (m[3]?.toLowerCase() === 'bdp') return { packets: 0, bytes: 0, bdp: n };
    if (Number.isInteger(n)) return { packets: n, bytes: 0, bdp: 0 };
  } else if (SIZE.test(s)) {
    return { packets: 0, bytes: parseBytes(s), bdp: 0 };
  }
  throw new UnitError(`${text}: a queue like 50, 50pkt, 100KB, 100Kbytes or 1bdp`);
}

/** A probability: `0.01` as dnctl's plr, `1%` as tc. */
export function parseProbability(text: string): number {
  const s = text.trim();
  const m = new RegExp(String.raw`^${NUMBER}\s*(%?)$`, 'i').exec(s);
  // A decimal shift by text, so that 0.1% is the same number as 0.001.
  const p = m === null ? Number.NaN : m[3] === '' ? value(m) : Number(`${m[1]}e${Number(m[2] ?? 0) - 2}`);
  if (!(p >= 0 && p <= 1)) throw new UnitError(`${text}: a probability like 0.01 or 1%, at most 1 or 100%`);
  return p;
}

/** Ascending packet numbers: `5,9,20-22`. */
export function parsePacketNumbers(text: string): number[] {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const m = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(part);
    const first = Number(m?.[1] ?? 0);
    const last = Number(m?.[2] ?? first);
    if (first < 1 || last < first || last - first > 1e6) {
      throw new UnitError(`${text}: packet numbers from 1 on, like 5,9,20-22`);
    }
    for (let n = first; n <= last; n++) numbers.add(n);
  }
  return [...numbers].sort((a, b) => a - b);
}

/** A rate for people: `10 Mbit/s`, `1.5 Gbit/s`. */
export function formatRate(bits: number): string {
  let n = bits;
  let prefix = '';
  for (const next of ['k', 'M', 'G', 'T']) {
    if (n < 1000) break;
    n /= 1000;
    prefix = next;
  }
  return `${Number(n.toPrecision(4))} ${prefix}bit/s`;
}

/** A time for people: `20 ms`, `1.5 s`, `50 µs`. */
export function formatUs(us: number): string {
  if (us >= 1e6) return `${Number((us / 1e6).toPrecision(4))} s`;
  if (us >= 1e3) return `${Number((us / 1e3).toPrecision(4))} ms`;
  return `${Number(us.toPrecision(4))} µs`;
}
