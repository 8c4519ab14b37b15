import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CounterDecl } from '../../../src/metrics/declare.ts';
import { renderLabel } from '../../../src/metrics/label.ts';
import { groups } from '../../../src/metrics/layout.ts';

const fixture = readFileSync(new URL('../../fixtures/openbsd-netstat-s.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [section, tabs, label, counters, dead] = line.split('|');
    return { section, label: '\t'.repeat(Number(tabs)) + label, counters: counters!.split(' '), dead: dead === 'd' };
  });

const lines = (name: string): CounterDecl[] =>
  groups.find((g) => g.name === name)!.decls.filter((d) => !d.ext && d.label !== undefined);

test.each(['ip', 'icmp', 'tcp'])('section %s has the lines of OpenBSD, in its order, spelled as there', (section) => {
  const expected = fixture.filter((f) => f.section === section);
  expect(lines(section).map((d) => d.label)).toEqual(expected.map((f) => f.label));
  expect(lines(section).map((d) => (d.and === undefined ? [d.name] : [d.name, d.and]))).toEqual(
    expected.map((f) => f.counters),
  );
  expect(lines(section).map((d) => d.dead ?? false)).toEqual(expected.map((f) => f.dead));
});

test('tcp fields are 32 bits wide but for byte counts, sndrexmitfast, rcvgoodsig, conndrained, sc_* and sack_*', () => {
  for (const decl of groups.find((g) => g.name === 'tcp')!.decls) {
    if (decl.ext) continue;
    const wide = /byte|^tcps_sndrexmitfast$|^tcps_rcvgoodsig$|^tcps_conndrained$|^tcps_sc_|^tcps_sack_/.test(decl.name);
    expect(decl.bits ?? 64, decl.name).toBe(wide ? 64 : 32);
  }
});

test('only the two SYN cache lines that name a limit look at their first number alone', () => {
  const onlyN = groups.flatMap((g) => g.decls).filter((d) => d.onlyN);
  expect(onlyN.map((d) => d.name)).toEqual(['tcps_sc_entry_count', 'tcps_sc_bucket_maxlen']);
});

test('every extension has a line of its own', () => {
  const ext = groups.flatMap((g) => g.decls).filter((d) => d.ext);
  for (const decl of ext) expect(decl.label, decl.name).toMatch(/^\tN /);
  const places = ext.map((d) => `${d.section ?? groups.find((g) => g.decls.includes(d))!.extSection}${d.label}`);
  expect(new Set(places).size).toBe(ext.length);
});

test('1 is singular, everything else is plural, 0 too', () => {
  expect(renderLabel('N packet{s} sent', 0)).toBe('0 packets sent');
  expect(renderLabel('N packet{s} sent', 1)).toBe('1 packet sent');
  expect(renderLabel('N packet{s} sent', 2)).toBe('2 packets sent');
  expect(renderLabel('N PCB cache miss{es}', 0)).toBe('0 PCB cache misses');
  expect(renderLabel('N PCB cache miss{es}', 1)).toBe('1 PCB cache miss');
  expect(renderLabel('N SYN cache entr{y/ies} added', 0)).toBe('0 SYN cache entries added');
  expect(renderLabel('N SYN cache entr{y/ies} added', 1)).toBe('1 SYN cache entry added');
});

test('each number of a line has the plural of its own', () => {
  const label = 'N data packet{s} (M byte{s})';
  expect(renderLabel(label, 1, 0)).toBe('1 data packet (0 bytes)');
  expect(renderLabel(label, 0, 1)).toBe('0 data packets (1 byte)');
  expect(renderLabel(label, 1, 1)).toBe('1 data packet (1 byte)');
  expect(renderLabel('N ack{s} (for M byte{s})', 2, 1)).toBe('2 acks (for 1 byte)');
});

test('a line without plural signs stays as it is written, and a number may stand at the end', () => {
  expect(renderLabel('N fragment floods', 1)).toBe('1 fragment floods');
  expect(renderLabel('cwr by timeout: N', 7)).toBe('cwr by timeout: 7');
  expect(renderLabel('N completed', 1)).toBe('1 completed');
});
