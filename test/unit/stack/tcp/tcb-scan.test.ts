import { describe, expect, it } from 'vitest';
import { FlowKey } from '../../../../src/stack/flow.ts';
import { RouteCache } from '../../../../src/stack/net/route.ts';
import { Inpcb, TcbTable } from '../../../../src/stack/tcp/tcb.ts';
import { SeededRandom } from '../../../lab/twostacks.ts';

const ro = new RouteCache();

function insert(t: TcbTable, i: number): Inpcb {
  const k = new FlowKey();
  k.setV4(0xc0000201 | 0, 80, 0xcb007100 | (i & 0xff), 1024 + (i >> 8));
  const inp = new Inpcb(ro);
  t.insert(inp, k);
  return inp;
}

/** Walks the table to its end; `between` runs after each slice. Gives how often each connection was met, and the largest slice. */
function walk(t: TcbTable, max: number, between: (slice: number) => void = () => {}) {
  const met = new Map<Inpcb, number>();
  let most = 0;
  let slices = 0;
  for (let cursor = 0; cursor >= 0; ) {
    let n = 0;
    cursor = t.scan(cursor, max, (inp) => {
      n++;
      met.set(inp, (met.get(inp) ?? 0) + 1);
    });
    most = Math.max(most, n);
    between(slices++);
  }
  return { met, most, slices };
}

describe('a walk over the connections in slices', () => {
  it('meets each once, never more than 256 in a slice, among 100 000', () => {
    const t = new TcbTable(new SeededRandom(1));
    const all = Array.from({ length: 100_000 }, (_, i) => insert(t, i));
    const { met, most } = walk(t, 256);
    expect(met.size).toBe(all.length);
    expect([...met.values()].every((n) => n === 1)).toBe(true);
    expect(most).toBeLessThanOrEqual(256);
    expect(most).toBeGreaterThan(200);
  });

  it.each([1, 7, 256])('ends on an empty table, and goes on where slices of %i cut a bucket', (max) => {
    const t = new TcbTable(new SeededRandom(2));
    expect(walk(t, max)).toMatchObject({ met: new Map(), most: 0, slices: 1 });
    for (let i = 0; i < 900; i++) insert(t, i);
    const { met, most } = walk(t, max);
    expect(met.size).toBe(900);
    expect([...met.values()].every((n) => n === 1)).toBe(true);
    expect(most).toBe(max);
  });

  it('meets what is there all the while exactly once while others come and go and the table doubles', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const rnd = new SeededRandom(seed);
      const t = new TcbTable(rnd);
      let next = 0;
      const stay = new Set(Array.from({ length: 700 }, () => insert(t, next++)));
      let others: Inpcb[] = Array.from({ length: 300 }, () => insert(t, next++));
      const gone = new Set<Inpcb>();
      const { met, most } = walk(t, 16, () => {
        // From 1000 connections to many times as many: the table grows from 1024 buckets several times.
        for (let i = 0; i < 60; i++) others.push(insert(t, next++));
        others = others.filter((inp) => {
          if (rnd.unit() > 0.1) return true;
          t.remove(inp);
          gone.add(inp);
          return false;
        });
      });
      expect(most).toBeLessThanOrEqual(16);
      expect([...met.values()].every((n) => n === 1)).toBe(true);
      expect([...stay].filter((inp) => !met.has(inp))).toEqual([]);
      expect(t.count).toBe(700 + others.length);
      expect(gone.size).toBeGreaterThan(100);
    }
  });

  it('looks into a part of a large table that few are left in', () => {
    const t = new TcbTable(new SeededRandom(4));
    const all = Array.from({ length: 40_000 }, (_, i) => insert(t, i));
    for (const inp of all.slice(10)) t.remove(inp);
    const { met, slices } = walk(t, 256);
    expect(met.size).toBe(10);
    // 65 536 buckets, 4096 at a time.
    expect(slices).toBe(16);
  });
});
