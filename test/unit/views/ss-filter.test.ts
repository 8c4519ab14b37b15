import { describe, expect, it } from 'vitest';
import { inetAton } from '../../../src/stack/net/in-addr.ts';
import { CONN_ROW, CONN_SLOT } from '../../../src/stack/tcp/conninfo.ts';
import { parseSsFilter, type SsWanted } from '../../../src/views/ss-filter.ts';
import { ViewError } from '../../../src/views/view-error.ts';
import fc from '../../lab/property.ts';

/** States by the numbers of spec/siftr.md 3.1. */
const LISTEN = 1;
const SYN_SENT = 2;
const SYN_RECV = 3;
const ESTAB = 4;
const CLOSE_WAIT = 5;
const FIN_WAIT_2 = 9;
const TIME_WAIT = 10;

function row(state: number, laddr: string, lport: number, faddr: string, fport: number): Float64Array {
  const r = new Float64Array(CONN_ROW);
  r[CONN_SLOT.state] = state;
  r[CONN_SLOT.laddr + 3] = inetAton(laddr);
  r[CONN_SLOT.lport] = lport;
  r[CONN_SLOT.faddr + 3] = inetAton(faddr);
  r[CONN_SLOT.fport] = fport;
  return r;
}

const rows = {
  listen: row(LISTEN, '0.0.0.0', 80, '0.0.0.0', Number.NaN),
  web: row(ESTAB, '192.0.2.1', 80, '192.0.2.2', 40_000),
  web2: row(ESTAB, '192.0.2.1', 80, '198.51.100.7', 41_000),
  out: row(ESTAB, '192.0.2.1', 50_000, '203.0.113.9', 443),
  syn: row(SYN_SENT, '192.0.2.1', 50_001, '203.0.113.9', 443),
  half: row(SYN_RECV, '192.0.2.1', 80, '198.51.100.8', 5),
  wait: row(CLOSE_WAIT, '192.0.2.1', 80, '192.0.2.3', 1),
  fin2: row(FIN_WAIT_2, '192.0.2.1', 80, '192.0.2.4', 2),
  tw: row(TIME_WAIT, '192.0.2.1', 80, '192.0.2.5', 3),
};

const service = (name: string): number | null => ({ http: 80, https: 443 })[name] ?? null;

function chosen(words: string, wanted: SsWanted = {}): string {
  const f = parseSsFilter(words === '' ? [] : words.split(' '), wanted, service);
  return Object.entries(rows)
    .filter(([, r]) => f.matches(r, 0))
    .map(([name]) => name)
    .join(' ');
}

describe('the states that ss shows', () => {
  it.each<[string, SsWanted, string]>([
    // Without options: neither listening nor closed, SYN-RECV or TIME-WAIT (observed of iproute2 6.1).
    ['', {}, 'web web2 out syn wait fin2'],
    ['', { listening: true }, 'listen'],
    ['', { all: true }, 'listen web web2 out syn half wait fin2 tw'],
    ['state all', {}, 'listen web web2 out syn half wait fin2 tw'],
    ['state connected', {}, 'web web2 out syn half wait fin2 tw'],
    ['state synchronized', {}, 'web web2 out half wait fin2 tw'],
    ['state bucket', {}, 'half tw'],
    ['state big', {}, 'listen web web2 out syn wait fin2'],
    ['state syn-sent state close-wait', {}, 'syn wait'],
    ['state FIN-WAIT-2', {}, 'fin2'],
    ['state connected exclude established', {}, 'syn half wait fin2 tw'],
    ['exclude listening', {}, 'web web2 out syn half wait fin2 tw'],
    // What names a state wins over -a and -l; what excludes all of them names none.
    ['state time-wait', { all: true, listening: true }, 'tw'],
    ['state established exclude established', {}, 'web web2 out syn wait fin2'],
  ])('%s %j: %s', (words, wanted, expected) => {
    expect(chosen(words, wanted)).toBe(expected);
  });
});

describe('an expression of ss', () => {
  it.each([
    ['sport = :80', 'web web2'],
    ['sport = 80', 'web web2'],
    ['sport :80', 'web web2'],
    ['sport eq :http', 'web web2'],
    ['dport == :https', 'out'],
    ['dport != :443', 'web web2'],
    ['dport gt :40000', 'web2'],
    ['dport >= 40000 and dport <= 40000', 'web'],
    ['dport lt :1000 or dport ge :41000', 'web2 out'],
    ['sport = :', 'web web2 out'],
    ['dst 192.0.2.2', 'web'],
    ['dst = 192.0.2.2', 'web'],
    ['dst eq 192.0.2.2', 'web'],
    ['dst 198.51.100.0/24', 'web2'],
    ['dst 198.51/16', 'web2'],
    ['dst 203.0.113.9:443', 'out'],
    ['dst 203.0.113.9:80', ''],
    ['dst *:443', 'out'],
    ['src 192.0.2.1:80', 'web web2'],
    ['src 192.0.2.9', ''],
    ['not sport = :80', 'out'],
    ['! sport = :80', 'out'],
    ['dst 192.0.2.2 sport = :80', 'web'],
    ['dst 192.0.2.2 && sport = :80', 'web'],
    // and binds before or, not before both (the precedences of ss).
    ['dport = :443 or sport = :80 and dst 192.0.2.2', 'web out'],
    ['( dport = :443 or sport = :80 ) and dst 192.0.2.2', 'web'],
    ['not dport = :443 and dst 192.0.2.0/24', 'web'],
    ['not ( dport = :443 or dst 192.0.2.0/24 )', 'web2'],
    ['(dport = :443|dport = :41000)', 'web2 out'],
  ])('%s: %s', (words, expected) => {
    expect(chosen(`state established ${words}`)).toBe(expected);
  });

  it('is read alike from one word and from several, as shells hand it on', () => {
    const one = parseSsFilter(['state', 'established', '( dport = :443 or sport = :80 )'], {}, service);
    const more = parseSsFilter('state established ( dport = :443 or sport = :80 )'.split(' '), {}, service);
    for (const r of Object.values(rows)) expect(one.matches(r, 0)).toBe(more.matches(r, 0));
  });

  it.each([
    ['state', /^filter: a state is missing; allowed are established, /],
    ['state bogus', /^filter: state bogus: allowed are established, /],
    ['bogus', /^filter: bogus: allowed are src, dst, sport, dport, /],
    ['dev lo', /^filter: dev: allowed are /],
    ['sport', /^filter: sport: its value is missing, as in sport = :80$/],
    ['192.0.2.2', /^filter: 192.0.2.2: allowed are src, dst, /],
    ['sport =', /^filter: sport: its value is missing/],
    ['sport = :70000', /^filter: sport: port 70000: allowed is 0 to 65535/],
    ['dport = :gopher9', /^filter: dport: port gopher9: allowed is /],
    ['dst', /^filter: dst: its value is missing, as in dst 192.0.2.1$/],
    ['dst example.org', /^filter: dst example.org: allowed is ADDRESS/],
    ['dst 192.0.2.300', /^filter: dst 192.0.2.300: allowed is ADDRESS/],
    ['dst 192.0.2.0/33', /^filter: dst 192.0.2.0\/33: allowed is ADDRESS/],
    ['dst [2001:db8::1]:80', /^filter: dst \[2001:db8::1\]:80: connections are IPv4/],
    ['( sport = :80', /^filter: a \( has no \) after it$/],
    ['sport = :80 )', /^filter: \) has no \( before it$/],
    ['sport = :80 and', /^filter: it ends where a condition is due/],
    ['not', /^filter: it ends where a condition is due/],
    ['sport = :80 state established', /^filter: state goes before the expression/],
  ])('refuses %s in one line', (words, line) => {
    expect(() => chosen(words)).toThrow(line);
  });
});

describe('any words', () => {
  const word = fc.constantFrom(
    ...['state', 'exclude', 'established', 'all', 'src', 'dst', 'sport', 'dport', '=', '!=', '>=', 'and', 'or', 'not'],
    ...['(', ')', '!', '|', '&', ':80', '80', '*', '192.0.2.1', '192.0.2.0/24:80', '198.51/16', '::1', ':', '/', ''],
  );

  it('are either a filter that answers for every connection, or refused in one line', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string({ maxLength: 6 })), { maxLength: 12 }), (words) => {
        try {
          const f = parseSsFilter(words, {}, service);
          for (const r of Object.values(rows)) expect(typeof f.matches(r, 0)).toBe('boolean');
        } catch (err) {
          expect(err).toBeInstanceOf(ViewError);
          expect((err as Error).message).toMatch(/^filter: /);
        }
      }),
      { numRuns: 3000, seed: 1 },
    );
  });

  it('may nest to the limit of their number, and are refused beyond it', () => {
    for (const deep of [`${'('.repeat(498)}sport = :80${')'.repeat(498)}`, `${'not '.repeat(996)}sport = :80`]) {
      expect(parseSsFilter([deep], {}, service).matches(rows.web, 0)).toBe(true);
    }
    const chain = Array(250).fill('sport != :81').join(' and ');
    expect(parseSsFilter([chain], {}, service).matches(rows.web, 0)).toBe(true);
    for (const words of ['('.repeat(100_000), 'not '.repeat(1001), Array(300).fill('sport = :80').join(' or ')]) {
      expect(() => parseSsFilter([words], {}, service)).toThrow(
        /^filter: \d+ words and signs; at most 1000 are taken$/,
      );
    }
  });
});
