import { expect, test } from 'vitest';
import { QSTAT, RINGS } from '../../../src/driver/native.ts';
import {
  kstatEntry,
  providers,
  QUEUE_BLOCK_BYTES,
  ringDecls,
  rxqBlock,
  rxqDecl,
  txqBlock,
  txqDecl,
  xskDecl,
} from '../../../src/metrics/queuekv.ts';
import { RXQ_KEYS } from '../../../src/rings/ifiqueue.ts';
import { TXQ_KEYS } from '../../../src/rings/ifqueue.ts';

const row = (kv: { key: string; type: string; unit: string }) => `${kv.key} ${kv.type} ${kv.unit}`;

test('rxq has the keys of OpenBSD in its order, with its types and units (spec/counters.md 2)', () => {
  expect(rxqDecl.kvs.map(row)).toEqual([
    'packets counter64 packets',
    'bytes counter64 bytes',
    'fdrops counter64 packets',
    'qdrops counter64 packets',
    'errors counter64 packets',
    'qlen uint32 packets',
    'enqueues counter64 none',
    'dequeues counter64 none',
  ]);
});

test('txq has the keys of OpenBSD in its order, with its types and units (spec/counters.md 2)', () => {
  expect(txqDecl.kvs.map(row)).toEqual([
    'packets counter64 packets',
    'bytes counter64 bytes',
    'qdrops counter64 packets',
    'errors counter64 packets',
    'qlen uint32 packets',
    'maxqlen uint32 packets',
    'oactive bool none',
    'oactives counter32 none',
  ]);
});

test('the queues write their words in the order of the declared keys', () => {
  expect(RXQ_KEYS).toEqual(rxqDecl.kvs.map((kv) => kv.key));
  expect(TXQ_KEYS).toEqual(txqDecl.kvs.map((kv) => kv.key));
});

test('every counter of an AF_XDP queue that the driver has is a key, and every ring a provider', () => {
  expect(xskDecl.kvs.map((kv) => kv.full ?? kv.key)).toEqual(Object.keys(QSTAT));
  expect(ringDecls.map((r) => r.ring)).toEqual(RINGS);
});

test('keys fit in the 16 bytes of struct kstat_kv', () => {
  for (const provider of providers)
    for (const kv of provider.kvs) expect(kv.key.length, kv.key).toBeLessThanOrEqual(16);
});

test('the blocks of the queues lie behind each other', () => {
  const sab = new SharedArrayBuffer(64 + 3 * QUEUE_BLOCK_BYTES);
  rxqBlock(sab, 1, 64).fill(1);
  txqBlock(sab, 1, 64).fill(2);
  const words = new Float64Array(sab, 64);
  expect([...words]).toEqual([...Array(16).fill(0), ...Array(8).fill(1), ...Array(8).fill(2), ...Array(16).fill(0)]);
});

test('an entry takes its values by full name or by position', () => {
  const values: Record<string, number> = { rx_fill_ring_empty_descs: 3 };
  const entry = kstatEntry(xskDecl, 'ix1', 2, (name) => values[name] ?? 0);
  expect(entry).toMatchObject({ provider: 'ix1', instance: 0, name: 'xsk', unit: 2 });
  expect(entry.kvs.find((kv) => kv.key === 'rx_fill_empty')).toEqual({
    key: 'rx_fill_empty',
    type: 'counter64',
    unit: 'none',
    value: 3,
  });
  expect(kstatEntry(rxqDecl, 'ix1', 0, (_, i) => i * 10).kvs.map((kv) => kv.value)).toEqual([
    0, 10, 20, 30, 40, 50, 60, 70,
  ]);
});
