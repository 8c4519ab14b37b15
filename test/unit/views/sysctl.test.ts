import { expect, test } from 'vitest';
import { SYSCTLS, Tunables } from '../../../src/stack/sysctl.ts';
import { assignmentOf, renderSysctl, renderSysctlChange, sysctlRows } from '../../../src/views/sysctl.ts';

const texts = new Map([['net.inet.siftr.logfile', '/tmp/siftr.log']]);

test('all knobs are listed in declared order, with their values now', () => {
  const tune = new Tunables();
  tune.siftr_ppl = 10;
  const rows = sysctlRows(tune, texts);
  expect(rows.map((r) => r.name)).toEqual(SYSCTLS.map((d) => d.name));
  expect(
    [...sysctlRows(tune, texts, 'net.inet.icmp'), ...sysctlRows(tune, texts, 'net.inet.siftr')]
      .map((r) => renderSysctl(r))
      .filter((line) => /\.(bmcastecho|enabled|ppl|logfile|port_filter|flow_filter|hook): /.test(line)),
  ).toEqual([
    'net.inet.icmp.bmcastecho: 0\n',
    'net.inet.siftr.enabled: 0\n',
    'net.inet.siftr.ppl: 10\n',
    'net.inet.siftr.logfile: /tmp/siftr.log\n',
    'net.inet.siftr.port_filter: 0\n',
    'net.inet.siftr.flow_filter: \n',
    'net.inet.siftr.hook: ip\n',
  ]);
});

test('a text that was never set shows its default', () => {
  expect(sysctlRows(new Tunables(), new Map(), 'net.inet.siftr.logfile')[0]!.value).toBe('/var/log/siftr.log');
});

test('-d prints the description, -n leaves the name out, -N the value, -e puts = between', () => {
  const row = sysctlRows(new Tunables(), texts, 'net.inet.ip.ttl')[0]!;
  expect(renderSysctl(row, { describe: true })).toBe(
    'net.inet.ip.ttl: Time to live of packets that this host originates\n',
  );
  expect(renderSysctl(row, { values: true })).toBe('64\n');
  expect(renderSysctl(row, { names: true })).toBe('net.inet.ip.ttl\n');
  expect(renderSysctl(row, { equals: true })).toBe('net.inet.ip.ttl=64\n');
});

// spec/siftr.md 10: the two forms of sysctl(8).
test('an assignment prints old and new value, a refused one the old value and the reason', () => {
  expect(renderSysctlChange({ name: 'net.inet.siftr.ppl', old: '1', new: '10' }, 'net.inet.siftr.ppl=10')).toEqual({
    stdout: 'net.inet.siftr.ppl: 1 -> 10\n',
    stderr: '',
  });
  expect(
    renderSysctlChange(
      { name: 'net.inet.siftr.enabled', old: '0', error: 'Invalid argument' },
      'net.inet.siftr.enabled=2',
    ),
  ).toEqual({
    stdout: 'net.inet.siftr.enabled: 0\n',
    stderr: 'sysctl: net.inet.siftr.enabled=2: Invalid argument\n',
  });
});

// sbin/sysctl/sysctl.c of FreeBSD 14: what is no value at all is refused before the old one is shown.
test('what cannot be read as a value, or be written, leaves standard output empty', () => {
  const refused = (error: string) => renderSysctlChange({ name: 'a.b', old: '1', error }, 'a.b=x');
  expect(refused("oid 'a.b' is read only")).toEqual({ stdout: '', stderr: "sysctl: oid 'a.b' is read only\n" });
  expect(refused("oid 'a' isn't a leaf node")).toEqual({ stdout: '', stderr: "sysctl: oid 'a' isn't a leaf node\n" });
  expect(refused("unknown oid 'a.b'")).toEqual({ stdout: '', stderr: "sysctl: unknown oid 'a.b'\n" });
  expect(refused("invalid integer 'x'; allowed: 0..1")).toEqual({
    stdout: '',
    stderr: "sysctl: a.b=x: invalid integer 'x'; allowed: 0..1\n",
  });
  expect(refused('empty numeric value; allowed: 0..1').stdout).toBe('');
  expect(refused('out of range; allowed: 0..1').stdout).toBe('a.b: 1\n');
});

test('-n and -e hold for assignments too: the old value, an arrow, the new one', () => {
  const change = { name: 'a.b', old: '1', new: '2' };
  expect(renderSysctlChange(change, 'a.b=2', { values: true }).stdout).toBe('1 -> 2\n');
  expect(renderSysctlChange(change, 'a.b=2', { equals: true }).stdout).toBe('a.b=1 -> 2\n');
});

test.each([
  ['a.b', { name: 'a.b' }],
  ['a.b=1', { name: 'a.b', value: '1' }],
  ['a.b:1', { name: 'a.b', value: '1' }],
  ['a.b: 1', { name: 'a.b', value: '1' }],
  ['a.b = 1', { name: 'a.b', value: '1' }],
  ['a.b=', { name: 'a.b', value: '' }],
  ['=1', { name: '', value: '1' }],
  ['a.b=c=d:e', { name: 'a.b', value: 'c=d:e' }],
  ["a.b='1'", { name: 'a.b', value: '1' }],
  ['a.b="/x y"', { name: 'a.b', value: '/x y' }],
  ['a.b="', { name: 'a.b', value: '"' }],
  ['a.b="\'', { name: 'a.b', value: '"\'' }],
])('the word %s is a name, or a name and a value, as sysctl(8) takes it', (word, expected) => {
  expect(assignmentOf(word)).toEqual(expected);
});
