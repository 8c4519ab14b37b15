import { expect, test } from 'vitest';
import { SYSCTLS, Tunables } from '../../../src/stack/sysctl.ts';
import { renderSysctl, renderSysctlChange, sysctlRows } from '../../../src/views/sysctl.ts';

const texts = new Map([['net.inet.siftr.logfile', '/tmp/siftr.log']]);

test('all knobs are listed in declared order, with their values now', () => {
  const tune = new Tunables();
  tune.siftr_ppl = 10;
  const rows = sysctlRows(tune, texts);
  expect(rows.map((r) => r.name)).toEqual(SYSCTLS.map((d) => d.name));
  expect(
    sysctlRows(tune, texts, 'net.inet.siftr')
      .map((r) => renderSysctl(r, false, false))
      .join(''),
  ).toBe(
    'net.inet.siftr.enabled: 0\nnet.inet.siftr.ppl: 10\nnet.inet.siftr.logfile: /tmp/siftr.log\nnet.inet.siftr.port_filter: 0\n',
  );
});

test('a text that was never set shows its default', () => {
  expect(sysctlRows(new Tunables(), new Map(), 'net.inet.siftr.logfile')[0]!.value).toBe('/var/log/siftr.log');
});

test('-d prints the description, -n leaves the name out', () => {
  const row = sysctlRows(new Tunables(), texts, 'net.inet.ip.ttl')[0]!;
  expect(renderSysctl(row, true, false)).toBe('net.inet.ip.ttl: Time to live of packets that this host originates\n');
  expect(renderSysctl(row, false, true)).toBe('64\n');
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
