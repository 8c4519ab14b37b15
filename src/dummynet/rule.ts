import type { Mbuf } from '../rings/mbuf.ts';
import { inetAton, inetNtoa, prefixMask } from '../stack/net/in-addr.ts';
import {
  IP_OFFMASK,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  ipDst,
  ipHlen,
  ipOff,
  ipProto,
  ipSrc,
} from '../stack/wire/ipv4.ts';
import { DnctlError } from './error.ts';

/** Which packets go to which pipe: a rule in the words of ipfw(8), `pipe 1 tcp from any to any 80 out`. Plain data. */
export interface RuleSpec {
  /** Rules are asked in the order of their numbers, 1 to 65534; the first that fits decides. */
  readonly number: number;
  readonly pipe: number;
  /** Protocol number, or -1 for every one. */
  readonly proto: number;
  readonly src: RuleEnd;
  readonly dst: RuleEnd;
  readonly dir: 'in' | 'out' | 'both';
}

/** One end of a rule. */
export interface RuleEnd {
  /** int32 in host order; with prefix length 0 any. */
  readonly addr: number;
  readonly prefixLen: number;
  /** Ports from..to; 0..65535 is any, and fits packets without ports too. */
  readonly from: number;
  readonly to: number;
}

export const ANY_END: RuleEnd = { addr: 0, prefixLen: 0, from: 0, to: 65535 };

const PROTOCOLS: Readonly<Record<string, number>> = {
  ip: -1,
  all: -1,
  ip4: -1,
  ipv4: -1,
  tcp: IPPROTO_TCP,
  udp: IPPROTO_UDP,
  icmp: IPPROTO_ICMP,
};

export const RULE_MAX = 65534;
const RULE_FORM =
  'pipe N {ip | tcp | udp | icmp} from {any | A.B.C.D[/LEN]} [PORT] to {any | A.B.C.D[/LEN]} [PORT] [in | out]';

/** A protocol's number by its name in a rule, -1 for every one; null for a name that is none. */
export function parseProto(word: string): number | null {
  return PROTOCOLS[word] ?? null;
}

/** `80` or `8000-8099`, or null. */
export function parsePorts(word: string): { from: number; to: number } | null {
  const m = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(word);
  if (m === null) return null;
  const from = Number(m[1]);
  const to = Number(m[2] ?? from);
  return from < 1 || to > 65535 || to < from ? null : { from, to };
}

function parseAddress(word: string, text: string): { addr: number; prefixLen: number } {
  if (word === 'any') return { addr: 0, prefixLen: 0 };
  const m = /^([\d.]+)(?:\/(\d{1,2}))?$/.exec(word);
  const prefixLen = Number(m?.[2] ?? 32);
  let addr = 0;
  try {
    if (prefixLen > 32) throw new RangeError();
    addr = inetAton(m?.[1] ?? '');
  } catch {
    throw new DnctlError(`rule ${text}: ${word} is no address; allowed are any and A.B.C.D[/LEN]`);
  }
  return { addr: addr & prefixMask(prefixLen), prefixLen };
}

/**
 * Reads the words of a rule from `pipe` on.
 * @param number its number
 * @throws DnctlError
 */
export function parseRule(number: number, words: readonly string[]): RuleSpec {
  const text = words.join(' ');
  const wrong = (what: string): DnctlError => new DnctlError(`rule ${text}: ${what}; allowed is ${RULE_FORM}`);
  let i = 0;
  const next = (): string => words[i++] ?? '';
  if (next() !== 'pipe') throw wrong('it sends packets to a pipe');
  const pipe = parsePipeNumber(next());
  const protoWord = next();
  const proto = parseProto(protoWord);
  if (proto === null) throw wrong(`${protoWord === '' ? 'the protocol is missing' : `unknown protocol ${protoWord}`}`);
  const end = (keyword: string): RuleEnd => {
    if (next() !== keyword) throw wrong(`${keyword} is missing`);
    const { addr, prefixLen } = parseAddress(next(), text);
    const ports = parsePorts(words[i] ?? '');
    if (ports === null) {
      if (/^\d/.test(words[i] ?? '')) throw wrong(`${words[i]} is no port from 1 to 65535, nor two with a dash`);
      return { addr, prefixLen, from: 0, to: 65535 };
    }
    i++;
    return { addr, prefixLen, ...ports };
  };
  let src = end('from');
  let dst = end('to');
  let dir: RuleSpec['dir'] = 'both';
  for (let word = next(); word !== ''; word = next()) {
    if (word === 'in' || word === 'out') {
      dir = word;
    } else if (word === 'src-port' || word === 'dst-port') {
      const ports = parsePorts(next());
      if (ports === null) throw wrong(`${word} takes a port from 1 to 65535, or two with a dash`);
      if (word === 'src-port') src = { ...src, ...ports };
      else dst = { ...dst, ...ports };
    } else {
      throw wrong(`unknown word ${word}`);
    }
  }
  const rule = { number, pipe, proto, src, dst, dir };
  checkRule(rule);
  return rule;
}

/** Throws DnctlError for ports of a protocol that has none. */
export function checkRule(rule: RuleSpec): void {
  if (rule.proto === IPPROTO_TCP || rule.proto === IPPROTO_UDP) return;
  if (anyPort(rule.src) && anyPort(rule.dst)) return;
  throw new DnctlError(`rule ${formatRule(rule)}: ports are for tcp and udp; name one of them`);
}

/** A pipe's number, 1 to 65535. Throws DnctlError. */
export function parsePipeNumber(word: string): number {
  const n = /^\d{1,5}$/.test(word) ? Number(word) : 0;
  if (n < 1 || n > 65535) throw new DnctlError(`pipe ${word}: allowed is a number from 1 to 65535`);
  return n;
}

const anyPort = (e: RuleEnd): boolean => e.from === 0 && e.to === 65535;

function formatEnd(e: RuleEnd): string {
  const host = e.prefixLen === 0 ? 'any' : `${inetNtoa(e.addr)}${e.prefixLen === 32 ? '' : `/${e.prefixLen}`}`;
  return anyPort(e) ? host : `${host} ${e.from === e.to ? e.from : `${e.from}-${e.to}`}`;
}

/** The rule as `ipfw list` shows it, without its number: `pipe 1 tcp from any to any 80 out`. */
export function formatRule(r: RuleSpec): string {
  const proto = Object.keys(PROTOCOLS).find((name) => PROTOCOLS[name] === r.proto)!;
  const dir = r.dir === 'both' ? '' : ` ${r.dir}`;
  return `pipe ${r.pipe} ${proto} from ${formatEnd(r.src)} to ${formatEnd(r.dst)}${dir}`;
}

/** A rule as a shard asks it. */
export class Rule {
  readonly spec: RuleSpec;
  /** IP packets and bytes that it caught. */
  packets: number;
  bytes: number;
  readonly #in: boolean;
  readonly #out: boolean;
  readonly #proto: number;
  readonly #src: RuleEnd;
  readonly #srcMask: number;
  readonly #dst: RuleEnd;
  readonly #dstMask: number;
  readonly #ports: boolean;

  constructor(spec: RuleSpec) {
    this.spec = spec;
    this.packets = 0;
    this.bytes = 0;
    this.#in = spec.dir !== 'out';
    this.#out = spec.dir !== 'in';
    this.#proto = spec.proto;
    this.#src = spec.src;
    this.#srcMask = prefixMask(spec.src.prefixLen);
    this.#dst = spec.dst;
    this.#dstMask = prefixMask(spec.dst.prefixLen);
    this.#ports = !anyPort(spec.src) || !anyPort(spec.dst);
  }

  /** Whether the packet (`m.pos` at its IP header) is the rule's. A fragment other than the first has no ports to fit any. */
  fits(v: DataView, m: Mbuf, out: boolean): boolean {
    if (!(out ? this.#out : this.#in)) return false;
    const ip = m.pos;
    if (this.#proto >= 0 && ipProto(v, ip) !== this.#proto) return false;
    if (((ipSrc(v, ip) ^ this.#src.addr) & this.#srcMask) !== 0) return false;
    if (((ipDst(v, ip) ^ this.#dst.addr) & this.#dstMask) !== 0) return false;
    if (!this.#ports) return true;
    const hlen = ipHlen(v, ip);
    if (m.len < hlen + 4 || (ipOff(v, ip) & IP_OFFMASK) !== 0) return false;
    const sport = v.getUint16(ip + hlen);
    const dport = v.getUint16(ip + hlen + 2);
    return sport >= this.#src.from && sport <= this.#src.to && dport >= this.#dst.from && dport <= this.#dst.to;
  }
}
