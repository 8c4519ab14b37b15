import { expect, test } from 'vitest';
import type { CcModule } from '../../../../src/stack/tcp/cc/cc.ts';
import { newRenoModule } from '../../../../src/stack/tcp/cc/newreno.ts';
import { ccFault, ccFind, ccNames, ccRegister, setCcDefault } from '../../../../src/stack/tcp/cc/registry.ts';

const noop = () => {};
const good = () => ({ init: noop, ackReceived: noop, congestionSignal: noop });

test('newreno, cubic, dctcp, bbr and bbr1 are there', () => {
  expect(ccNames()).toEqual(['newreno', 'cubic', 'dctcp', 'bbr', 'bbr1']);
  for (const name of ccNames()) {
    expect(ccFault(ccFind(name))).toBe('');
    expect(ccFind(name).name).toBe(name);
  }
});

test('a module is added once, and found by its name', () => {
  ccRegister(newRenoModule('mine'));
  expect(ccFind('mine').name).toBe('mine');
  expect(() => ccRegister(newRenoModule('mine'), './mine.ts')).toThrow(
    './mine.ts: the name mine is taken; loaded are newreno, cubic, dctcp, bbr, bbr1, mine',
  );
  expect(() => ccFind('vegas')).toThrow('vegas: allowed are newreno, cubic, dctcp, bbr, bbr1, mine');
});

test('what is no module is refused in a few words', () => {
  for (const [given, fault] of [
    [undefined, 'not an object'],
    [{ create: good }, 'name must be 1 to 15'],
    [{ name: 'Big', create: good }, 'name must be 1 to 15'],
    [{ name: 'a' }, 'create is not a function'],
    [{ name: 'a', create: () => 1 }, 'create() gives no object'],
    [
      {
        name: 'a',
        create: () => {
          throw new Error('no');
        },
      },
      'create() throws: no',
    ],
    [{ name: 'a', create: () => ({ ...good(), ackReceived: 1 }) }, 'without ackReceived()'],
    [{ name: 'a', create: () => ({ ...good(), sent: 1 }) }, 'sent is not a function'],
    [{ name: 'a', create: () => ({ ...good(), recovery: 'mine' }) }, 'recovery is mine'],
    [{ name: 'a', create: () => ({ ...good(), wantsExactEcn: 1 }) }, 'wantsExactEcn'],
    [{ name: 'a', create: good, fields: {} }, 'fields is not an array'],
    [{ name: 'a', create: good, fields: [{ name: 'x' }] }, 'lacks its unit or help'],
    [{ name: 'a', create: good, fields: [{ name: 'X', unit: '', help: '' }] }, 'name of a field'],
    [{ name: 'a', create: good, fields: [{ name: 'x', unit: '', help: '' }] }, 'no readFields()'],
  ] as const) {
    expect(ccFault(given), JSON.stringify(given)).toContain(fault);
    expect(() => ccRegister(given, './x.ts')).toThrow('./x.ts: not a congestion-control module: ');
  }
});

test('the default of a stack is set by name', () => {
  const st: { tcp: { ccDefault: CcModule } } = { tcp: { ccDefault: ccFind('cubic') } };
  setCcDefault(st, 'bbr');
  expect(st.tcp.ccDefault.name).toBe('bbr');
  expect(() => setCcDefault(st, 'x')).toThrow('allowed are');
  expect(st.tcp.ccDefault.name).toBe('bbr');
});
