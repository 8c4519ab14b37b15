import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { declareGroup, slotsOf } from '../../../src/metrics/declare.ts';
import {
  arps,
  COUNTER_BLOCK_BYTES,
  COUNTER_SLOTS,
  counterBlock,
  counterBytes,
  dns,
  groups,
  icps,
  ips,
  pfils,
  siftrs,
  slotOf,
  stks,
  tcps,
} from '../../../src/metrics/layout.ts';

const tables: Readonly<Record<string, number>>[] = [ips, icps, tcps, arps, stks, pfils, siftrs, dns];

test('slots are consecutive, belong to one counter each, and histograms have all theirs', () => {
  const owner = new Array<string | undefined>(COUNTER_SLOTS).fill(undefined);
  for (const group of groups) {
    for (const decl of group.decls) {
      if (decl.dead || decl.sum) {
        expect(slotOf.has(decl.name), decl.name).toBe(false);
        continue;
      }
      const slot = slotOf.get(decl.name)!;
      for (let i = slot; i < slot + slotsOf(decl); i++) {
        expect(owner[i], `${decl.name} and ${owner[i]}`).toBeUndefined();
        owner[i] = decl.name;
      }
    }
  }
  expect(owner).not.toContain(undefined);
  expect(slotOf.size).toBe(new Set(owner).size);
});

test('the ICMP histograms have a slot for each of the types 0..40', () => {
  const names = [...slotOf].sort((a, b) => a[1] - b[1]).map(([name]) => name);
  for (const name of ['icps_outhist', 'icps_inhist']) {
    const following = names[names.indexOf(name) + 1]!;
    expect(slotOf.get(following)! - slotOf.get(name)!).toBe(41);
  }
});

test('every thread computes the same layout', async () => {
  const url = new URL('../../../src/metrics/layout.ts', import.meta.url).href;
  const worker = new Worker(
    `import(${JSON.stringify(url)}).then((l) => require('node:worker_threads').parentPort.postMessage([...l.slotOf]));`,
    { eval: true },
  );
  const slots = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  expect(slots).toEqual([...slotOf]);
});

test('the slot tables cannot be changed and are fast objects of V8, not dictionaries', () => {
  setFlagsFromString('--allow-natives-syntax');
  const isFast = new Function('o', 'return %HasFastProperties(o)') as (o: object) => boolean;
  for (const table of tables) {
    expect(Object.isFrozen(table)).toBe(true);
    expect(isFast(table)).toBe(true);
  }
});

test('blocks of two writers do not overlap and share no pair of cache lines', () => {
  expect(COUNTER_BLOCK_BYTES % 128).toBe(0);
  expect(COUNTER_BLOCK_BYTES).toBeGreaterThanOrEqual(COUNTER_SLOTS * 8);
  const sab = new SharedArrayBuffer(counterBytes(3));
  const blocks = [0, 1, 2].map((i) => counterBlock(sab, i));
  blocks[1]!.fill(1);
  expect(blocks.map((b) => b.reduce((sum, v) => sum + v, 0))).toEqual([0, COUNTER_SLOTS, 0]);
});

test('a block may start behind other things in the mapping', () => {
  const sab = new SharedArrayBuffer(4096 + counterBytes(1));
  expect(counterBlock(sab, 0, 4096).byteOffset).toBe(4096);
});

test('a counter that is declared twice, in the wrong group or with unknown parts is refused at load time', () => {
  const group = { name: 'x', prefix: 'xs_', extSection: 'x' };
  const a = { name: 'xs_a', unit: 'packets', help: 'A' } as const;
  expect(() => declareGroup(group, [a, a])).toThrow('xs_a: declared twice');
  expect(() => declareGroup(group, [{ ...a, name: 'ys_a' }])).toThrow('ys_a: not in group x (xs_)');
  expect(() => declareGroup(group, [{ ...a, sum: ['xs_b'] }])).toThrow('xs_a: sum of unknown xs_b');
  expect(() => declareGroup(group, [{ ...a, and: 'xs_b' }])).toThrow('xs_a: label shows unknown xs_b');
});

test('a help text is one sentence without a full stop, and gauges are never called a total', () => {
  for (const group of groups) {
    for (const decl of group.decls) {
      expect(decl.help, decl.name).toMatch(/^\S.*[^.\s]$/);
      expect(decl.help, decl.name).not.toContain('\n');
      if (decl.gauge) expect(decl.name).not.toMatch(/total$/);
    }
  }
});
