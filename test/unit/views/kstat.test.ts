import { expect, test } from 'vitest';
import {
  type KstatEntry,
  kstatEntry,
  kstatFailure,
  ringDecls,
  rxqDecl,
  txqDecl,
} from '../../../src/metrics/queuekv.ts';
import { renderKstat } from '../../../src/views/kstat.ts';

const rxq = (iface: string, queue: number, values: number[] = []): KstatEntry =>
  kstatEntry(rxqDecl, iface, queue, (_, i) => values[i] ?? 0);
const txq = (iface: string, queue: number, values: number[] = []): KstatEntry =>
  kstatEntry(txqDecl, iface, queue, (_, i) => values[i] ?? 0);

const names = (text: string): string[] => text.split('\n').filter((line) => /^\S/.test(line));

// The sample of spec/counters.md 3.
const SAMPLE = `ix0:0:rxq:0
         packets: 158069114 packets
           bytes: 300328302395 bytes
          fdrops: 0 packets
          qdrops: 7902615 packets
          errors: 0 packets
            qlen: 0 packets
        enqueues: 6947931
        dequeues: 5729695
ix0:0:txq:0
         packets: 11094621 packets
           bytes: 894601044 bytes
          qdrops: 0 packets
          errors: 0 packets
            qlen: 90 packets
         maxqlen: 255 packets
         oactive: true
        oactives: 1919595
`;

test('the queues of an interface are printed as kstat(1) prints them, byte for byte', () => {
  const entries = [
    txq('ix0', 0, [11094621, 894601044, 0, 0, 90, 255, 1, 1919595]),
    rxq('ix0', 0, [158069114, 300328302395, 0, 7902615, 0, 0, 6947931, 5729695]),
  ];
  expect(renderKstat(entries)).toBe(SAMPLE);
});

test('units are never plural or singular by value, and a bool is true or false', () => {
  const text = renderKstat([txq('ix0', 0, [1, 1, 0, 0, 0, 256, 0, 0])]);
  expect(text).toContain('         packets: 1 packets\n');
  expect(text).toContain('         oactive: false\n');
});

test('a counter32 and a ring index wrap at 2^32', () => {
  expect(renderKstat([txq('ix0', 0, [0, 0, 0, 0, 0, 0, 0, 2 ** 32 + 1])])).toContain('        oactives: 1\n');
  const ring = kstatEntry(ringDecls[0]!, 'ix0', 0, () => -1);
  expect(renderKstat([ring])).toContain('        producer: 4294967295\n');
});

test('an entry that cannot be read says so and the next one follows', () => {
  expect(renderKstat([kstatFailure(ringDecls[2]!, 'ix0', 1, 'Bad file descriptor'), rxq('ix0', 0)])).toMatch(
    /^ix0:0:fill-ring:1\n\tkstat read error: Bad file descriptor\nix0:0:rxq:0\n/,
  );
});

test('entries are sorted by provider bytes (ix10 before ix2), then name, then unit as a number', () => {
  const entries = [rxq('ix2', 0), rxq('ix10', 10), txq('ix10', 0), rxq('ix10', 9)];
  expect(names(renderKstat(entries))).toEqual(['ix10:0:rxq:9', 'ix10:0:rxq:10', 'ix10:0:txq:0', 'ix2:0:rxq:0']);
});

test('nothing to show is no output at all', () => {
  expect(renderKstat([])).toBe('');
  expect(renderKstat([rxq('ix0', 0)], ['txq'])).toBe('');
});

const all = ['em0', 'em1', 'ix0'].flatMap((i) => [rxq(i, 0), rxq(i, 1), txq(i, 0), txq(i, 1)]);

test.each([
  [['txq'], /^(em0|em1|ix0):0:txq:[01]$/, 6],
  [['rxq', 'em*::txq:'], /^((em0|em1|ix0):0:rxq|em[01]:0:txq):[01]$/, 10],
  [['em?:::1'], /^em[01]:0:[rt]xq:1$/, 4],
  [['[a-e]m[!0]::?xq:0'], /^em1:0:[rt]xq:0$/, 2],
  [['::::'.slice(1)], /./, 12],
  [[':0:rxq:0'], /:0:rxq:0$/, 3],
  [[':1:rxq:0'], /never/, 0],
  [['x'], /never/, 0],
  [['ix'], /never/, 0],
  [['*q'], /./, 12],
])('selectors %j choose entries as fnmatch(3) does', (selectors, pattern, count) => {
  const got = names(renderKstat(all, selectors));
  expect(got).toHaveLength(count);
  for (const name of got) expect(name).toMatch(pattern);
});

test('a backslash is no escape, and what follows a slash after a match is ignored (FNM_NOESCAPE, FNM_LEADING_DIR)', () => {
  const odd = { ...rxq('ix0', 0), name: 'rxq/extra' };
  expect(names(renderKstat([odd], ['rxq']))).toHaveLength(1);
  expect(renderKstat([odd], ['rx'])).toBe('');
  expect(renderKstat([rxq('ix0', 0)], ['rx\\q'])).toBe('');
  expect(names(renderKstat([{ ...odd, name: 'rx\\q' }], ['rx\\q']))).toHaveLength(1);
});

test('a bracket that is not closed stands for itself, and a range the wrong way round matches nothing', () => {
  expect(names(renderKstat([{ ...rxq('ix0', 0), name: 'a[b' }], ['a[b']))).toHaveLength(1);
  expect(renderKstat([rxq('ix0', 0)], ['[z-a]xq'])).toBe('');
});

test.each([
  ['', 'empty name'],
  ['ix0:0', 'ix0:0: a selector is one name, or provider:instance:name:unit'],
  ['ix0:0:rxq', 'ix0:0:rxq: a selector is one name, or provider:instance:name:unit'],
  ['a:b:c:d:e', 'a:b:c:d:e: a selector is one name, or provider:instance:name:unit'],
  ['ix0:x:rxq:0', 'ix0:x:rxq:0: instance x is invalid; allowed: 0..4294967295, or nothing for any'],
  ['ix0:0:rxq:-1', 'ix0:0:rxq:-1: unit -1 is invalid; allowed: 0..4294967295, or nothing for any'],
  [
    'ix0:0:rxq:4294967296',
    'ix0:0:rxq:4294967296: unit 4294967296 is invalid; allowed: 0..4294967295, or nothing for any',
  ],
])('selector %j is refused in one line', (selector, message) => {
  expect(() => renderKstat(all, [selector])).toThrow(
    expect.objectContaining({ name: 'ViewError', message, exitCode: 2 }),
  );
});
