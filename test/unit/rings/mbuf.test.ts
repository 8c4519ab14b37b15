import { describe, expect, test } from 'vitest';
import { FRAME_SIZE, TX_HEADROOM } from '../../../src/rings/link.ts';
import { FramePool } from '../../../src/rings/mbuf.ts';
import { MbufList } from '../../../src/rings/mbuf-list.ts';

const make = (count = 4, first = 0, total = count + first) =>
  new FramePool(new ArrayBuffer(total * FRAME_SIZE), first, count);

describe('frame pool', () => {
  test('gives each of its frames once, lowest first, with headroom, and null when none is left', () => {
    const p = make(3, 2);
    const ms = [p.get()!, p.get()!, p.get()!];
    expect(ms.map((m) => m.frame)).toEqual([2, 3, 4]);
    expect(ms[0]).toMatchObject({ pos: 2 * FRAME_SIZE + TX_HEADROOM, len: 0, prio: 3, vlan: -1, pool: p });
    expect(p.get()).toBeNull();
    expect(p.held).toBe(3);
    for (const m of ms) p.put(m);
    expect([p.available, p.held]).toEqual([3, 0]);
  });

  test('a frame has one Mbuf for ever', () => {
    const p = make(1);
    const m = p.get()!;
    p.put(m);
    expect(p.get()).toBe(m);
    expect(p.mbufOf(0)).toBe(m);
  });

  test('what the last use left is gone from a fresh Mbuf', () => {
    const p = make(1);
    const m = p.get()!;
    Object.assign(m, { flags: 7, flowid: 7, hashType: 7, vlan: 7, l2: 7, l3: 7, l4: 7, mflags: 7, rcvif: 7, prio: 7 });
    p.put(m);
    expect(p.get()).toMatchObject({
      flags: 0,
      flowid: 0,
      hashType: 0,
      vlan: -1,
      l2: -1,
      l3: -1,
      l4: -1,
      mflags: 0,
      rcvif: 0,
      prio: 3,
    });
  });

  test('freeing a frame twice is a bug that throws', () => {
    const p = make();
    const m = p.get()!;
    p.put(m);
    expect(() => p.put(m)).toThrow('frame 0 freed twice');
    expect(() => p.putFrame(0)).toThrow('freed twice');
  });

  test('a packet of several frames is freed as a whole', () => {
    const p = make();
    const [a, b, c] = [p.get()!, p.get()!, p.get()!];
    a.next = b;
    b.next = c;
    p.put(a);
    expect(p.available).toBe(4);
    expect(a.next).toBeNull();
  });

  test("another pool's frame goes home; without a way home it throws", () => {
    const p = make(2, 0, 4);
    const foreign = p.mbufOf(3);
    expect(() => p.put(foreign)).toThrow('frame 3 belongs to no pool here');
    const home: number[] = [];
    p.sendHome = (frame) => home.push(frame);
    p.put(p.mbufOf(3));
    expect(home).toEqual([3]);
    expect(p.available).toBe(2);
    expect(p.mbufOf(3)).toBe(foreign);
  });

  test('refuses frames outside the UMEM and a UMEM of half frames', () => {
    expect(() => make(4, 1, 4)).toThrow('frames 1..4 are not within a UMEM of 4 frames');
    expect(() => make(0, 0, 4)).toThrow(RangeError);
    expect(() => new FramePool(new ArrayBuffer(FRAME_SIZE + 1), 0, 1)).toThrow(RangeError);
  });
});

describe('packet list', () => {
  test('is first in, first out, and knows its packets and bytes', () => {
    const p = make();
    const ml = new MbufList();
    const ms = [10, 20, 30].map((len) => Object.assign(p.get()!, { len }));
    for (const m of ms) ml.enqueue(m);
    expect([ml.len, ml.bytes]).toEqual([3, 60]);
    expect(ml.dequeue()).toBe(ms[0]);
    expect([ml.len, ml.bytes]).toEqual([2, 50]);
    expect([ml.dequeue(), ml.dequeue(), ml.dequeue()]).toEqual([ms[1], ms[2], null]);
    expect([ml.head, ml.tail, ml.len]).toEqual([null, null, 0]);
  });

  test('takes another list at its end and leaves that one empty', () => {
    const p = make();
    const a = new MbufList();
    const b = new MbufList();
    const ms = [p.get()!, p.get()!, p.get()!];
    a.enqueue(ms[0]!);
    b.enqueue(ms[1]!);
    b.enqueue(ms[2]!);
    a.enlist(b);
    a.enlist(new MbufList());
    expect([a.len, b.len]).toEqual([3, 0]);
    expect(a.purge()).toBe(3);
    expect(p.held).toBe(0);
  });
});
