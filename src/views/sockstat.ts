import { TCP_STATE_NAMES } from '../stack/tcp/tcp-fsm.ts';
import { type ConnRecord, SS_STATES } from './conn.ts';
import { ViewError } from './view-error.ts';

/** Sockets in the columns of sockstat(1) of FreeBSD 14, and the options that choose among them. */

/** The process of an instance: it has the sockets that no other program has. */
export interface SockHolder {
  /** Name of the user, or the uid where it has none. */
  readonly user: string;
  readonly uid: number;
  readonly command: string;
  readonly pid: number;
}

export interface SockstatOptions {
  /** -n: the uid instead of the user's name. */
  readonly numeric?: boolean;
  /** -s: states. */
  readonly state?: boolean;
  /** -S: the TCP stack. */
  readonly stack?: boolean;
  /** -C: congestion control. */
  readonly cc?: boolean;
  /** -w: room for long addresses. */
  readonly wide?: boolean;
}

/** Port ranges, both ends included, in rising order and apart from each other. */
export type PortRanges = readonly (readonly [number, number])[];

/** The name of the TCP stack (-S): there is one. */
export const STACK_NAME = 'xsiftr';

/** Widths of tcp.h: TCP_FUNCTION_NAME_LEN_MAX and TCP_CA_NAME_MAX. */
const STACK_MAX = 32;
const CC_MAX = 16;

/** Protocols that sockstat knows by name; sockets are of the first alone. */
const PROTOCOLS = ['tcp', 'udp', 'sctp', 'divert'];

/**
 * The argument of -p: ports and ranges with commas between, as `22,80,5000-5010`.
 * @throws ViewError
 */
export function parsePorts(text: string): PortRanges {
  const refuse = (why: string): ViewError =>
    new ViewError(`sockstat: -p ${text}: ${why}; allowed are ports from 0 to 65535 and ranges, as 22,80,5000-5010`);
  const ranges: [number, number][] = [];
  // As FreeBSD has it, a comma may stand at the end.
  for (const part of text.replace(/,$/, '').split(',')) {
    const m = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part);
    if (m === null) throw refuse('syntax error in port range');
    const first = Number(m[1]);
    const last = m[2] === undefined ? first : Number(m[2]);
    if (first > 65535 || last > 65535 || last < first) throw refuse('invalid port number');
    ranges.push([first, last]);
  }
  return joined(ranges);
}

/** The same ports with as few ranges as there can be. */
export function joined(ranges: readonly (readonly [number, number])[]): PortRanges {
  const out: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = out.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else out.push([first, last]);
  }
  return out;
}

/**
 * The argument of -P: names of protocols with commas between. True when TCP is among them.
 * @throws ViewError for a name that is none
 */
export function parseProtocols(text: string): boolean {
  const names = text.split(',').filter(Boolean);
  const wrong = names.find((n) => !PROTOCOLS.includes(n));
  if (names.length === 0 || wrong !== undefined) {
    throw new ViewError(`sockstat: -P ${text}: allowed are ${PROTOCOLS.join(', ')}, with commas between`);
  }
  return names.includes('tcp');
}

/** One end in some range. A listening socket has foreign port 0, as in FreeBSD. */
export function hasPort(r: ConnRecord, ranges: PortRanges): boolean {
  const ports = [Number(r.lport ?? 0), Number(r.fport ?? 0)];
  return ranges.some(([first, last]) => ports.some((p) => p >= first && p <= last));
}

/** Ranges beyond which a filter is not worth its words. */
const WORDS_MAX = 25;

/**
 * Words of an ss filter (ss-filter.ts) that lets through what `hasPort` does, so that the rest need not be sent; none where that would
 * take too many, or cannot be said.
 */
export function portWords(ranges: PortRanges): string[] {
  if (ranges.length > WORDS_MAX || ranges.some(([first]) => first === 0)) return [];
  return ranges.flatMap(([first, last], i) => [
    ...(i === 0 ? [] : ['or']),
    ...['sport', 'dport'].flatMap((end, k) => [
      ...(k === 0 ? [] : ['or']),
      '(',
      ...[end, '>=', `:${first}`, 'and', end, '<=', `:${last}`],
      ')',
    ]),
  ]);
}

/** Blanks up to column `to`, at least one. */
function pad(line: string, to: number): string {
  return line.padEnd(Math.max(to, line.length + 1));
}

/** The header line. Its last column is filled up too, as there. */
export function sockstatHeader(o: SockstatOptions): string {
  const wide = o.wide ? 45 : 21;
  let line = `USER     COMMAND    PID   FD  PROTO  ${'LOCAL ADDRESS'.padEnd(wide)} ${'FOREIGN ADDRESS'.padEnd(wide)}`;
  if (o.state) line += ` ${'PATH STATE'.padEnd(12)} ${'CONN STATE'.padEnd(12)}`;
  if (o.stack) line += ` ${'STACK'.padEnd(STACK_MAX)}`;
  if (o.cc) line += ' CC';
  return `${line}\n`;
}

function endpoint(addr: unknown, port: unknown): string {
  const host = addr === undefined || addr === '0.0.0.0' ? '*' : String(addr);
  return `${host}:${port === undefined || port === 0 ? '*' : port}`;
}

/** The four first columns: what is known of who has a socket. */
interface Held {
  readonly user?: string | undefined;
  readonly uid?: number | undefined;
  readonly command?: string | undefined;
  readonly pid?: number | undefined;
  /** Of the socket endpoint; sockets of the process itself have none. */
  readonly fd?: number | undefined;
}

/** A program on the socket endpoint has those with a descriptor, the process itself the others. Nobody: an empty object. */
function heldBy(r: ConnRecord, who: SockHolder): Held {
  if (unheld(r)) return {};
  if (r.fd === undefined) return who;
  const { user, uid, command, pid, fd } = r as Held;
  return { user, uid, command, pid, fd };
}

/** Nobody has a descriptor or an object for it: its user has closed it, or has not accepted it yet. */
function unheld(r: ConnRecord): boolean {
  return r.orphan === true || r.queued === true;
}

/** The state by its BSD name. */
export function bsdState(r: ConnRecord): string {
  return TCP_STATE_NAMES[SS_STATES.indexOf(r.state as (typeof SS_STATES)[number])] ?? '?';
}

/** One line of sockstat. What is not known is `?`: FD of a socket without, and all four of the first columns where nobody has it. */
export function sockstatLine(r: ConnRecord, who: SockHolder, o: SockstatOptions): string {
  const { user, uid, command = '?', pid, fd = '?' } = heldBy(r, who);
  let line = pad(String((o.numeric ? undefined : user) ?? uid ?? '?'), 9);
  line = pad(line + command.slice(0, 10), 20);
  line = pad(line + (pid === undefined ? '?' : String(pid).padStart(5)), 26);
  line += `${fd} `.padEnd(3);
  line = pad(`${line.padEnd(30)}tcp4`, 37);
  const column = o.wide ? 46 : 22;
  line = pad(line + endpoint(r.laddr, r.lport), 37 + column) + endpoint(r.faddr, r.fport);
  let at = 37 + 2 * column;
  // The state of a path is SCTP's.
  if (o.state) {
    at += 13;
    line = pad(line, at) + bsdState(r);
    at += 13;
  }
  if (o.stack) {
    line = pad(line, at) + STACK_NAME;
    at += STACK_MAX + 1;
  }
  if (o.cc) line = pad(line, at) + String(r.cc ?? '').slice(0, CC_MAX);
  return `${line}\n`;
}

/** The same as an object for JSON: a key for each thing that is known. */
export function sockstatRecord(r: ConnRecord, who: SockHolder): Record<string, string | number> {
  const { user, uid, command, pid, fd } = heldBy(r, who);
  const { laddr, lport, faddr, fport, cc } = r;
  const out: Record<string, unknown> = {
    proto: 'tcp4',
    laddr,
    lport,
    faddr,
    fport,
    state: bsdState(r),
    stack: STACK_NAME,
    cc,
  };
  const known = Object.entries({ user, uid, command, pid, fd, ...out });
  // A listening socket has no other end.
  const none = r.fport === undefined ? ['faddr', 'fport'] : [];
  return Object.fromEntries(known.filter(([k, v]) => v !== undefined && !none.includes(k))) as Record<
    string,
    string | number
  >;
}
