import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { FlowDirectory } from '../../../src/rings/flowdir.ts';
import { FrameRing, HandoverRing, SleepFlags } from '../../../src/rings/handover.ts';
import { F_EOP, FRAME_SIZE, HashType, ROW } from '../../../src/rings/link.ts';
import { FramePool } from '../../../src/rings/mbuf.ts';

function directory(flows = 64) {
  return new FlowDirectory(new SharedArrayBuffer(FlowDirectory.bytes(flows)));
}

function run(data: object): Promise<{ wrong: number; won: number }> {
  return new Promise((resolve, reject) => {
    const w = new Worker(new URL('../../lab/flowdir-worker.ts', import.meta.url), { workerData: data });
    w.once('message', resolve);
    w.once('error', reject);
  });
}

describe('flow directory', () => {
  test('the first to claim a flow owns it until the last use has ended', () => {
    const d = directory();
    expect(d.lookup(77)).toBe(-1);
    expect(d.insert(77, 2)).toBe(2);
    expect(d.insert(77, 3)).toBe(2);
    expect(d.lookup(77)).toBe(2);
    d.remove(77);
    expect(d.lookup(77)).toBe(2);
    d.remove(77);
    expect(d.lookup(77)).toBe(-1);
    expect(d.insert(77, 3)).toBe(3);
    d.remove(1234);
    expect(d.count()).toBe(1);
  });

  test('a tentative claim is found, becomes firm by an insert, and yields its place in a full bucket', () => {
    const d = directory(8);
    expect(d.claim(5, 1)).toBe(1);
    expect(d.claim(5, 2)).toBe(1);
    expect(d.insert(5, 2)).toBe(1);
    d.remove(5);
    expect(d.lookup(5)).toBe(-1);
    // Two buckets of eight: sixteen firm flows fill both.
    let hash = 1;
    for (let n = 0; n < 100; n++) d.claim(hash++, 0);
    expect(d.count()).toBe(16);
    let firm = 0;
    while (firm < 16) if (d.insert(hash++, 1) === 1) firm++;
    expect(d.count()).toBe(16);
    expect(d.insert(hash, 1)).toBe(-1);
    expect(d.claim(hash, 1)).toBe(-1);
    expect(d.lookup(hash)).toBe(-1);
  });

  test('negative hashes are hashes like others', () => {
    const d = directory();
    expect(d.insert(-5, 0)).toBe(0);
    expect(d.lookup(-5)).toBe(0);
    expect(d.lookup(5)).toBe(-1);
  });

  test('holds at least as many flows as it was made for, spread by consecutive hashes', () => {
    const d = directory(4096);
    let full = 0;
    for (let h = 1; h <= 4096; h++) if (d.insert(h * 2654435761, 0) < 0) full++;
    expect(full).toBeLessThan(4096 * 0.03);
  });

  test('two threads that claim and release the same flows never disagree about an owner', async () => {
    const shared = {
      kind: 'claim',
      hashes: 3,
      rounds: 100_000,
      dir: new SharedArrayBuffer(FlowDirectory.bytes(8)),
      gate: new SharedArrayBuffer(8),
    };
    const [a, b] = await Promise.all([run({ ...shared, shard: 0 }), run({ ...shared, shard: 1 })]);
    expect([a.wrong, b.wrong]).toEqual([0, 0]);
    expect(a.won).toBeGreaterThan(0);
    expect(b.won).toBeGreaterThan(0);
    expect(new FlowDirectory(shared.dir).count()).toBe(0);
  });
});

describe('hand-over ring', () => {
  test('carries everything that the link said about a frame, and the interface', () => {
    const pool = new FramePool(new ArrayBuffer(4 * FRAME_SIZE), 0, 4);
    const ring = new HandoverRing(new SharedArrayBuffer(HandoverRing.bytes(4)));
    const m = pool.get()!;
    Object.assign(m, {
      len: 60,
      flags: F_EOP | 0x12,
      flowid: -7,
      hashType: HashType.RSS_TCP_IPV4,
      vlan: -1,
      time: 99,
      rcvif: 3,
    });
    expect(ring.push(m)).toBe(true);
    const table = new Int32Array(4 * ROW);
    expect(ring.drain(table, 4)).toBe(1);
    expect([...table.subarray(0, 8)]).toEqual([m.frame, 128, 60, F_EOP | 0x12 | (130 << 8), -7, -1, 99, 3]);
  });

  test('refuses when full and goes on after a drain, across the wrap', () => {
    const pool = new FramePool(new ArrayBuffer(FRAME_SIZE), 0, 1);
    const ring = new HandoverRing(new SharedArrayBuffer(HandoverRing.bytes(4)));
    const m = pool.get()!;
    const table = new Int32Array(8 * ROW);
    let pushed = 0;
    let taken = 0;
    for (let round = 0; round < 10; round++) {
      while (ring.push(Object.assign(m, { len: pushed }))) pushed++;
      expect(ring.length).toBe(4);
      const n = ring.drain(table, 3);
      for (let i = 0; i < n; i++) expect(table[i * ROW + 2]).toBe(taken++);
    }
    expect(pushed - taken).toBe(1);
    expect(() => HandoverRing.bytes(6)).toThrow(RangeError);
  });

  test('fifty thousand frames reach another thread in order and come home', async () => {
    const frames = 64;
    const rounds = 50_000;
    const pool = new FramePool(new ArrayBuffer(frames * FRAME_SIZE), 0, frames);
    const shared = {
      kind: 'relay',
      rounds,
      frames,
      ring: new SharedArrayBuffer(HandoverRing.bytes(32)),
      home: new SharedArrayBuffer(FrameRing.bytes(frames)),
    };
    const ring = new HandoverRing(shared.ring);
    const home = new FrameRing(shared.home);
    const done = run(shared);
    const back = new Int32Array(16);
    let sent = 0;
    let returned = 0;
    while (returned < rounds) {
      const m = sent < rounds ? pool.get() : null;
      if (m !== null) {
        m.pos = m.frame * FRAME_SIZE + (sent & 1023);
        m.len = sent;
        m.flowid = Math.imul(sent, 31);
        if (ring.push(m)) sent++;
        else pool.put(m);
      }
      const n = home.drain(back);
      for (let i = 0; i < n; i++) pool.putFrame(back[i]!);
      returned += n;
      if (n === 0 && m === null) await new Promise((r) => setImmediate(r));
    }
    expect(await done).toEqual({ wrong: 0, won: rounds });
    expect(pool.available).toBe(frames);
  });
});

test('a ring for the way home has room for every frame of the pool', () => {
  const ring = new FrameRing(new SharedArrayBuffer(FrameRing.bytes(100)));
  for (let i = 0; i < 100; i++) ring.push(i);
  const out = new Int32Array(128);
  expect(ring.drain(out)).toBe(100);
  expect([...out.subarray(0, 3), out[99]]).toEqual([0, 1, 2, 99]);
  expect(ring.drain(out)).toBe(0);
});

test('of several shards that find one asleep, one wakes it', () => {
  const sab = new SharedArrayBuffer(SleepFlags.bytes(4));
  const f = new SleepFlags(sab);
  expect(f.mustWake(2)).toBe(false);
  f.set(2, true);
  expect(new SleepFlags(sab).mustWake(2)).toBe(true);
  expect(f.mustWake(2)).toBe(false);
  f.set(2, true);
  f.set(2, false);
  expect(f.mustWake(2)).toBe(false);
});
