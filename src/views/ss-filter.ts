import { inetAton, prefixMask } from '../stack/net/in-addr.ts';
import { CONN_SLOT } from '../stack/tcp/conninfo.ts';
import { ViewError } from './view-error.ts';

/**
 * The filters of ss(8): `[state NAME]… [exclude NAME]… [EXPRESSION]`.
 *
 *   expression   and-part { or and-part }        or is also | and ||
 *   and-part     part { [and] part }             and is also & and &&
 *   part         not part | ( expression ) | src [=] HOST | dst [=] HOST | sport [OP] PORT | dport [OP] PORT
 *   HOST         ADDRESS[/LENGTH][:PORT] or *:PORT
 *   OP           = == eq != ne neq < lt > gt <= le leq >= ge geq
 */

/** True for the rows (src/stack/tcp/conninfo.ts) that are wanted. */
type Test = (row: Float64Array, at: number) => boolean;

export interface SsFilter {
  /** Bit TCPS_* of each state wanted. */
  readonly states: number;
  readonly matches: Test;
}

export interface SsWanted {
  readonly all?: boolean;
  readonly listening?: boolean;
}

/** Port of a service, or null when there is none of that name. */
export type ServiceLookup = (name: string) => number | null;

const ALL = (1 << 11) - 1;
const bits = (...states: number[]): number => states.reduce((b, s) => b | (1 << s), 0);
const LISTENING = bits(1, 0);
const BUCKET = bits(3, 10);

/** Names of states and groups, as ss takes them, to the bits of TCPS_*. */
const STATES: Readonly<Record<string, number>> = {
  established: bits(4),
  'syn-sent': bits(2),
  'syn-recv': bits(3),
  'fin-wait-1': bits(6),
  'fin-wait-2': bits(9),
  'time-wait': bits(10),
  closed: bits(0),
  'close-wait': bits(5),
  'last-ack': bits(8),
  listening: bits(1),
  closing: bits(7),
  all: ALL,
  connected: ALL & ~LISTENING,
  synchronized: ALL & ~LISTENING & ~bits(2),
  bucket: BUCKET,
  big: ALL & ~BUCKET,
};
const ALIASES: Readonly<Record<string, string>> = {
  'syn-rcv': 'syn-recv',
  close: 'closed',
  unconnected: 'closed',
};

const OPS: Readonly<Record<string, string>> = {
  '=': '=',
  '==': '=',
  eq: '=',
  '!=': '!=',
  ne: '!=',
  neq: '!=',
  '<': '<',
  lt: '<',
  '>': '>',
  gt: '>',
  '<=': '<=',
  le: '<=',
  leq: '<=',
  '>=': '>=',
  ge: '>=',
  geq: '>=',
};

const WORDS = 'src, dst, sport, dport, and, or, not, ( and )';

/**
 * Reads the words after the options of ss.
 * @param wanted   -a and -l, which name states where no `state` does
 * @param service  ports by name; without it numbers only
 * @throws ViewError: one line
 */
export function parseSsFilter(
  words: readonly string[],
  wanted: SsWanted = {},
  service: ServiceLookup = () => null,
): SsFilter {
  let states = 0;
  let named = false;
  let i = 0;
  for (; i < words.length; i += 2) {
    const word = words[i]!;
    if (word === 'state') {
      states |= stateBits(words[i + 1]);
    } else if (word === 'exclude' || word === 'excl') {
      if (!named) states = ALL;
      states &= ~stateBits(words[i + 1]);
    } else {
      break;
    }
    named = true;
  }
  if (states === 0) {
    states = wanted.all === true ? ALL : wanted.listening === true ? LISTENING : ALL & ~LISTENING & ~BUCKET;
  }
  const tokens = tokenize(words.slice(i).join(' '));
  const chosen = states;
  const test: Test = (row, at) => ((chosen >> row[at + CONN_SLOT.state]!) & 1) === 1;
  if (tokens.length === 0) return { states, matches: test };
  const expression = new Parser(tokens, service).parse();
  return { states, matches: (row, at) => test(row, at) && expression(row, at) };
}

function stateBits(name: string | undefined): number {
  if (name === undefined)
    throw new ViewError(`filter: a state is missing; allowed are ${Object.keys(STATES).join(', ')}`);
  const lower = name.toLowerCase();
  const b = STATES[ALIASES[lower] ?? lower];
  if (b === undefined) throw new ViewError(`filter: state ${name}: allowed are ${Object.keys(STATES).join(', ')}`);
  return b;
}

/** Most words of an expression: it is read and asked by functions that call each other. */
const TOKENS_MAX = 1000;

function tokenize(text: string): string[] {
  const tokens = text.match(/[()]|!=|!|\|\|?|&&?|[<>=]=|[<>=]|[^\s()!|&<>=]+/g) ?? [];
  if (tokens.length > TOKENS_MAX) {
    throw new ViewError(`filter: ${tokens.length} words and signs; at most ${TOKENS_MAX} are taken`);
  }
  return tokens;
}

/** Address words are compared as the fourth alone: connections are IPv4. */
interface Host {
  readonly addr: number;
  readonly mask: number;
  readonly port: number | null;
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #service: ServiceLookup;
  #at = 0;

  constructor(tokens: readonly string[], service: ServiceLookup) {
    this.#tokens = tokens;
    this.#service = service;
  }

  parse(): Test {
    const test = this.#or();
    const rest = this.#peek();
    if (rest !== undefined) throw new ViewError(`filter: ${rest} has no ( before it`);
    return test;
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  #take(...any: string[]): boolean {
    const t = this.#peek();
    if (t === undefined || !any.includes(t)) return false;
    this.#at++;
    return true;
  }

  #or(): Test {
    let left = this.#and();
    while (this.#take('or', '|', '||')) {
      const a = left;
      const b = this.#and();
      left = (row, at) => a(row, at) || b(row, at);
    }
    return left;
  }

  #and(): Test {
    let left = this.#not();
    for (;;) {
      const word = this.#take('and', '&', '&&');
      const next = this.#peek();
      if (!word && (next === undefined || next === ')' || next === 'or' || next === '|' || next === '||')) return left;
      const a = left;
      const b = this.#not();
      left = (row, at) => a(row, at) && b(row, at);
    }
  }

  #not(): Test {
    if (!this.#take('not', '!')) return this.#primary();
    const test = this.#not();
    return (row, at) => !test(row, at);
  }

  #primary(): Test {
    const word = this.#peek();
    if (word === undefined) throw new ViewError(`filter: it ends where a condition is due; allowed are ${WORDS}`);
    if (this.#take('(')) {
      const test = this.#or();
      if (!this.#take(')')) throw new ViewError('filter: a ( has no ) after it');
      return test;
    }
    this.#at++;
    switch (word) {
      case 'src':
        return this.#host(word, CONN_SLOT.laddr, CONN_SLOT.lport);
      case 'dst':
        return this.#host(word, CONN_SLOT.faddr, CONN_SLOT.fport);
      case 'sport':
        return this.#portTest(word, CONN_SLOT.lport);
      case 'dport':
        return this.#portTest(word, CONN_SLOT.fport);
      case 'state':
      case 'exclude':
        throw new ViewError(`filter: ${word} goes before the expression, as in state established sport = :80`);
    }
    throw new ViewError(`filter: ${word}: allowed are ${WORDS}`);
  }

  #host(word: string, addr: number, port: number): Test {
    this.#take('=', '==', 'eq');
    return hostTest(this.#parseHost(word, this.#operand(word)), addr, port);
  }

  #operand(word: string): string {
    const t = this.#peek();
    if (t === undefined) throw new ViewError(`filter: ${word}: its value is missing, as in ${example(word)}`);
    this.#at++;
    return t;
  }

  #portTest(word: string, slot: number): Test {
    const op = OPS[this.#peek() ?? ''];
    if (op !== undefined) this.#at++;
    const port = this.#parsePort(word, this.#operand(word).replace(/^[^:]*:/, ''));
    // A port that is none stands for any.
    if (port === null) return () => true;
    switch (op) {
      case '!=':
        return (row, at) => row[at + slot] !== port;
      case '<':
        return (row, at) => row[at + slot]! < port;
      case '>':
        return (row, at) => row[at + slot]! > port;
      case '<=':
        return (row, at) => row[at + slot]! <= port;
      case '>=':
        return (row, at) => row[at + slot]! >= port;
      default:
        return (row, at) => row[at + slot] === port;
    }
  }

  #parsePort(word: string, text: string): number | null {
    if (text === '' || text === '*') return null;
    const port = /^\d+$/.test(text) ? Number(text) : this.#service(text);
    if (port === null || port > 65535) {
      throw new ViewError(`filter: ${word}: port ${text}: allowed is 0 to 65535, a service of /etc/services, or *`);
    }
    return port;
  }

  #parseHost(word: string, text: string): Host {
    const colon = text.lastIndexOf(':');
    if (text.startsWith('[') || colon !== text.indexOf(':')) {
      throw new ViewError(`filter: ${word} ${text}: connections are IPv4; allowed is ADDRESS[/LENGTH][:PORT]`);
    }
    const host = colon < 0 ? text : text.slice(0, colon);
    const port = colon < 0 ? null : this.#parsePort(word, text.slice(colon + 1));
    if (host === '' || host === '*') return { addr: 0, mask: 0, port };
    const [quad = '', length, ...more] = host.split('/');
    const parts = quad.split('.');
    // As in iproute2, a prefix may leave out the zeros at its end: 198.51/16.
    const whole = length === undefined ? quad : [...parts, '0', '0', '0'].slice(0, Math.max(4, parts.length)).join('.');
    const len = length === undefined ? 32 : /^\d+$/.test(length) ? Number(length) : 33;
    let addr: number;
    try {
      addr = inetAton(whole);
    } catch {
      addr = Number.NaN;
    }
    if (Number.isNaN(addr) || len > 32 || more.length > 0) {
      throw new ViewError(`filter: ${word} ${text}: allowed is ADDRESS[/LENGTH][:PORT], as 192.0.2.0/24:80 (no names)`);
    }
    return { addr: addr & prefixMask(len), mask: prefixMask(len), port };
  }
}

function hostTest(h: Host, addr: number, port: number): Test {
  return (row, at) => (row[at + addr + 3]! & h.mask) === h.addr && (h.port === null || row[at + port] === h.port);
}

function example(word: string): string {
  return word === 'src' || word === 'dst' ? `${word} 192.0.2.1` : `${word} = :80`;
}
