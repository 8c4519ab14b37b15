import { readFileSync } from 'node:fs';
import { DnctlError } from '../dummynet/error.ts';
import { parsePipeOption } from '../dummynet/pipe-option.ts';
import { parseIPv4 } from '../net/address.ts';
import { inetNtoa, prefixMask } from '../stack/net/in-addr.ts';
import { services } from './services/index.ts';
import { nearest } from './units.ts';

/** Values of the options of `xsiftr --iface …`: each parser gets a string from the command line and any YAML value from a file, and throws `Bad` with what is allowed. */

/** An interface address of our own, `--addr 192.0.2.1/24`. */
export interface AddressOption {
  /** int32 in host order. */
  readonly addr: number;
  readonly prefixLen: number;
}

/** What `--force` can override, in the order of the help text. */
export const FORCE_REASONS = ['default-route', 'connections', 'listeners', 'ssh'] as const;
export type ForceReason = (typeof FORCE_REASONS)[number];

/** HOST:PORT of `--metrics`. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Thrown by the parsers; the schema prefixes it with the option and the value that was given. */
export class Bad extends Error {}

export function text(given: unknown, allowed: string): string {
  if (typeof given === 'number') return String(given);
  if (typeof given !== 'string' || given === '') throw new Bad(allowed);
  return given;
}

/** One value as the command line would give it. A YAML map, and a list where one value is meant, is none. */
export function word(given: unknown, allowed: string): string {
  if (typeof given === 'object') throw new Bad(allowed);
  return String(given);
}

export function whole(given: unknown, min: number, max: number, allowed: string): number {
  const n = /^\d+$/.test(word(given, allowed)) ? Number(given) : Number.NaN;
  if (!Number.isInteger(n) || n < min || n > max) throw new Bad(allowed);
  return n;
}

export function flag(given: unknown): boolean {
  if (typeof given !== 'boolean') throw new Bad('allowed are true and false');
  return given;
}

export function oneOf<T extends string>(
  given: unknown,
  words: readonly T[],
  aliases: Readonly<Record<string, NoInfer<T>>> = {},
): T {
  // YAML reads a bare on/off as a word but true/false as a boolean; both are meant.
  const allowed = `allowed are ${words.join(', ')}`;
  const name = given === true ? 'on' : given === false ? 'off' : word(given, allowed);
  const found = words.find((w) => w === name) ?? aliases[name];
  if (found === undefined) throw new Bad(allowed);
  return found;
}

/** The items of a list option: repeated on the command line, a YAML list or one value, each item split at commas when asked. */
export function items(given: unknown, split: boolean): unknown[] {
  const list = Array.isArray(given) ? given : [given];
  return split ? list.flatMap((v) => (typeof v === 'string' ? v.split(',').filter((s) => s !== '') : [v])) : list;
}

export function address(given: unknown): AddressOption {
  const wrong = 'not an IPv4 address; write A.B.C.D/LEN, for example 192.0.2.1/24';
  const s = word(given, wrong);
  if (s.includes(':')) throw new Bad('IPv6 addresses are not supported yet; give an IPv4 address as A.B.C.D/LEN');
  const slash = s.indexOf('/');
  if (slash < 0)
    throw new Bad(`the prefix length is missing; write ${parseIPv4(s) === undefined ? 'A.B.C.D/LEN' : `${s}/24`}`);
  const addr = parseIPv4(s.slice(0, slash));
  if (addr === undefined) throw new Bad(wrong);
  const len = s.slice(slash + 1);
  if (!/^\d{1,2}$/.test(len) || Number(len) < 1 || Number(len) > 32) throw new Bad('the prefix length must be 1 to 32');
  const prefixLen = Number(len);
  unicast(addr);
  const host = addr & ~prefixMask(prefixLen);
  if (prefixLen < 31 && host === 0)
    throw new Bad('this is the address of the network itself; choose a host address in it');
  if (prefixLen < 31 && host === ~prefixMask(prefixLen))
    throw new Bad('this is the broadcast address of the network; choose a host address in it');
  return { addr, prefixLen };
}

export function unicast(addr: number): void {
  const top = addr >>> 24;
  if (top === 0 || top === 127 || top >= 224) {
    throw new Bad(`${inetNtoa(addr)} is no unicast address of a host (0/8, 127/8 and 224.0.0.0 up are excluded)`);
  }
}

export function hostPort(given: unknown): HostPort | null {
  const allowed = 'allowed is HOST:PORT with a port from 1 to 65535, for example 127.0.0.1:9464, or none';
  const s = text(given, allowed);
  if (s === 'none') return null;
  const m = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(s);
  if (m === null || Number(m[3]) < 1 || Number(m[3]) > 65535) throw new Bad(allowed);
  return { host: m[1] ?? m[2]!, port: Number(m[3]) };
}

export function serveList(given: unknown): string[] {
  const names = services.map((s) => s.name);
  const words = items(given, true).map((v) => word(v, `allowed are ${names.join(', ')}, or none`));
  if (words.length === 1 && words[0] === 'none') return [];
  if (words.length === 0) throw new Bad(`no service named; allowed are ${names.join(', ')}, or none`);
  for (const name of words) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    throw new Bad(
      `unknown service ${name}${near === null ? '' : ` (${near}?)`}; allowed are ${names.join(', ')}, or none alone`,
    );
  }
  return [...new Set(words)];
}

export function force(given: unknown): ForceReason[] {
  if (given === true) return ['default-route', 'connections', 'listeners'];
  if (given === false) return [];
  return items(given, true).map((v) => {
    const name = word(v, `allowed are ${FORCE_REASONS.join(', ')}`);
    const found = FORCE_REASONS.find((r) => r === name);
    if (found === undefined) throw new Bad(`unknown reason ${name}; allowed are ${FORCE_REASONS.join(', ')}`);
    return found;
  });
}

export function assignment(given: unknown): { name: string; value: string } {
  const allowed = 'allowed is name=value, for example net.inet.tcp.keepidle=600000; xsiftr sysctl -a lists the names';
  const m = /^([a-z][\w.]*)=(.*)$/s.exec(word(given, allowed));
  if (m === null) throw new Bad(allowed);
  return { name: m[1]!, value: m[2]! };
}

export function pipe(given: unknown) {
  try {
    return parsePipeOption(word(given, 'allowed is text, as out,bw=10Mbit/s,delay=20ms,queue=50'), (name) => {
      try {
        return readFileSync(name, 'utf8');
      } catch (err) {
        throw new DnctlError(`trace ${name}: cannot be read (${(err as NodeJS.ErrnoException).code})`);
      }
    });
  } catch (err) {
    throw err instanceof DnctlError ? new Bad(err.message) : err;
  }
}

export const iface = (given: unknown): string => {
  const allowed = 'allowed is the name of one interface (1 to 15 characters, as ip link shows it)';
  const s = text(given, allowed);
  if (s.length > 15 || /[/\s,]/.test(s) || s === '.' || s === '..') throw new Bad(allowed);
  return s;
};

export const path = (given: unknown): string => text(given, 'allowed is a path');

export function socketPath(given: unknown): string {
  const s = path(given);
  if (Buffer.byteLength(s) > 107) throw new Bad('the path of a Unix socket has at most 107 bytes');
  return s;
}
