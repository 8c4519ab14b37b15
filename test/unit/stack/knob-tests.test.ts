import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SYSCTLS } from '../../../src/stack/sysctl.ts';

const root = join(import.meta.dirname, '../..');

/** Tests that set or read every knob, and so show no effect of any. */
const OF_ALL = /stack\/sysctl\.test|stack\/knob-tests\.test|daemon\/tuning\.test|views\/sysctl\.test/;
/** What these show is set together, by the daemon (test/unit/daemon/tuning.test.ts, test/veth). */
const SHOWN = [
  'net.inet.tcp.hostcache.count',
  'net.inet.tcp.hostcache.list',
  'net.inet.tcp.fastopen.keylen',
  'net.inet.tcp.fastopen.numkeys',
];

function testFiles(): string[] {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  // The event table is data.
  const tests = names.filter((n) => (n.endsWith('.test.ts') && !OF_ALL.test(n)) || /^events\/.*\.ts$/.test(n));
  return tests.map((n) => readFileSync(join(root, n), 'utf8'));
}

// Issue 4: each knob with its FreeBSD meaning and effect, and a test of it.
test('each knob is turned by a test of what it does, which names it or its field', () => {
  const texts = testFiles();
  const leaf = (name: string): RegExp => new RegExp(`\\b${name.replaceAll('.', '\\.')}\\b`);
  const untested = SYSCTLS.filter((d) => {
    const [name, field] = [leaf(d.name), leaf(d.field)];
    // SIFTR's own tests, and those of keys, call them by their last name.
    const short = d.name.startsWith('net.inet.siftr.') || d.type === 'string' ? leaf(d.name.split('.').at(-1)!) : name;
    return !texts.some((t) => name.test(t) || field.test(t) || short.test(t));
  }).map((d) => d.name);
  expect(untested.filter((name) => !SHOWN.includes(name))).toEqual([]);
});
