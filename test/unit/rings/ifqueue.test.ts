import { describe, expect, test } from 'vitest';
import {
  IFIQ_MAXLEN_DROP,
  IFIQ_MAXLEN_RETURN,
  Ifiqueue,
  RXQ_KEYS,
  RXQ_WORDS,
  type Tap,
} from '../../../src/rings/ifiqueue.ts';
import { Ifqueue, TXQ_KEYS, TXQ_WORDS } from '../../../src/rings/ifqueue.ts';
import { FRAME_SIZE } from '../../../src/rings/link.ts';
import { FramePool, type Mbuf } from '../../../src/rings/mbuf.ts';
import { MbufList } from '../../../src/rings/mbuf-list.ts';

const pool = new FramePool(new ArrayBuffer(64 * FRAME_SIZE), 0, 64);

function packet(len = 100, prio = 3): Mbuf {
  const m = pool.get()!;
  m.len = len;
  m.prio = prio;
  return m;
}

const txq = (q: Ifqueue) => Object.fromEntries(TXQ_KEYS.map((k, i) => [k, q.kv[i]]));
const rxq = (q: Ifiqueue) => Object.fromEntries(RXQ_KEYS.map((k, i) => [k, q.kv[i]]));

describe('transmit queue accounting (spec/counters.md 4.1)', () => {
  test('accepted with room: packets, bytes and qlen count', () => {
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 4);
    expect(q.enqueue(packet(60), false)).toBe(true);
    expect(txq(q)).toEqual({
      packets: 1,
      bytes: 60,
      qdrops: 0,
      errors: 0,
      qlen: 1,
      maxqlen: 4,
      oactive: 0,
      oactives: 0,
    });
    q.purge();
  });

  test('refused when full of the same priority: only qdrops counts, and the packet is freed', () => {
    const before = pool.available;
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 2);
    q.enqueue(packet(), false);
    q.enqueue(packet(), false);
    expect(q.enqueue(packet(), false)).toBe(false);
    expect(txq(q)).toMatchObject({ packets: 2, bytes: 200, qdrops: 1, qlen: 2 });
    expect(q.purge()).toBe(2);
    expect(pool.available).toBe(before);
  });

  test('a full queue gives up the oldest packet of the lowest priority below the new one', () => {
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 3);
    const oldLow = packet(1, 1);
    const low = packet(2, 1);
    const mid = packet(3, 2);
    for (const m of [oldLow, low, mid]) q.enqueue(m, false);
    const high = packet(4, 5);
    expect(q.enqueue(high, false)).toBe(true);
    expect(oldLow.isFree).toBe(true);
    expect(txq(q)).toMatchObject({ packets: 4, bytes: 10, qdrops: 1, qlen: 3 });
    expect([q.dequeue(), q.dequeue(), q.dequeue(), q.dequeue()]).toEqual([high, mid, low, null]);
    for (const m of [high, mid, low]) pool.put(m);
  });

  test('a full queue refuses a packet when nothing of lower priority waits', () => {
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 1);
    q.enqueue(packet(1, 4), false);
    expect(q.enqueue(packet(1, 4), false)).toBe(false);
    expect(q.enqueue(packet(1, 3), false)).toBe(false);
    expect(txq(q)).toMatchObject({ packets: 1, qdrops: 2, qlen: 1 });
    q.purge();
  });

  test('dequeue goes by priority, then by age, and lowers qlen only', () => {
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 10);
    const ms = [packet(1, 3), packet(1, 7), packet(1, 3), packet(1, 0)];
    for (const m of ms) q.enqueue(m, false);
    expect([q.dequeue(), q.dequeue(), q.dequeue(), q.dequeue()]).toEqual([ms[1], ms[0], ms[2], ms[3]]);
    expect(txq(q)).toMatchObject({ packets: 4, qlen: 0, qdrops: 0 });
    for (const m of ms) pool.put(m);
  });

  test('purge counts the old length in qdrops', () => {
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 10);
    for (let i = 0; i < 5; i++) q.enqueue(packet(), false);
    expect(q.purge()).toBe(5);
    expect(txq(q)).toMatchObject({ packets: 5, qdrops: 5, qlen: 0 });
    expect(q.dequeue()).toBeNull();
  });

  test('oactives counts changes from false to true only', () => {
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 10);
    q.setOactive();
    q.setOactive();
    expect(txq(q)).toMatchObject({ oactive: 1, oactives: 1 });
    q.clrOactive();
    expect(txq(q)).toMatchObject({ oactive: 0, oactives: 1 });
    q.setOactive();
    expect(txq(q)).toMatchObject({ oactive: 1, oactives: 2 });
  });

  test('group packets that were accepted are counted apart', () => {
    const q = new Ifqueue(new Float64Array(TXQ_WORDS), 1);
    q.enqueue(packet(), true);
    q.enqueue(packet(), true);
    expect(q.mcasts).toBe(1);
    q.purge();
  });
});

/** A list of `n` packets; a bare object stands for each so that long queues need no frames. */
function list(n: number, len = 100): MbufList {
  const ml = new MbufList();
  const fake = { put() {} } as unknown as FramePool;
  for (let i = 0; i < n; i++) ml.enqueue({ len, nextpkt: null, pool: fake } as unknown as Mbuf);
  return ml;
}

describe('receive queue accounting (spec/counters.md 4.2)', () => {
  test('an empty list changes nothing', () => {
    const q = new Ifiqueue(new Float64Array(RXQ_WORDS));
    expect(q.input(new MbufList(), null)).toBe(false);
    expect(rxq(q)).toMatchObject({ packets: 0, enqueues: 0 });
  });

  test('enqueues counts lists and dequeues counts whole-queue removals, not packets', () => {
    const q = new Ifiqueue(new Float64Array(RXQ_WORDS));
    q.input(list(5), null);
    q.input(list(3, 10), null);
    expect(rxq(q)).toEqual({
      packets: 8,
      bytes: 530,
      fdrops: 0,
      qdrops: 0,
      errors: 0,
      qlen: 8,
      enqueues: 2,
      dequeues: 0,
    });
    const out = new MbufList();
    expect(q.takeAll(out)).toBe(true);
    expect(out.len).toBe(8);
    expect(q.takeAll(out)).toBe(false);
    expect(rxq(q)).toMatchObject({ qlen: 0, enqueues: 2, dequeues: 1 });
  });

  test('above 6144 packets the driver is told to receive less, above 10240 whole lists are dropped', () => {
    expect([IFIQ_MAXLEN_RETURN, IFIQ_MAXLEN_DROP]).toEqual([6144, 10240]);
    const q = new Ifiqueue(new Float64Array(RXQ_WORDS));
    expect(q.input(list(6144), null)).toBe(false);
    // The length before the list counts: 6144 is not yet too long.
    expect(q.input(list(1), null)).toBe(false);
    expect(q.input(list(4095), null)).toBe(true);
    expect(q.len).toBe(10240);
    // 10240 is not above the limit: the list is taken and overshoots.
    expect(q.input(list(10), null)).toBe(true);
    expect(q.input(list(7), null)).toBe(true);
    expect(rxq(q)).toMatchObject({ packets: 6144 + 1 + 4095 + 10 + 7, qdrops: 7, qlen: 10250, enqueues: 4 });
  });

  test('packets that a tap filters count in packets, bytes and fdrops, and a list of none other is no enqueue', () => {
    const q = new Ifiqueue(new Float64Array(RXQ_WORDS));
    let n = 0;
    const odd: Tap = { tap: () => (n++ & 1) === 1 };
    q.input(list(5), odd);
    expect(rxq(q)).toMatchObject({ packets: 5, bytes: 500, fdrops: 2, qlen: 3, enqueues: 1 });
    q.input(list(4), { tap: () => true });
    expect(rxq(q)).toMatchObject({ packets: 9, bytes: 900, fdrops: 6, qlen: 3, enqueues: 1 });
  });
});
