import { describe, expect, test } from 'vitest';
import { FlowTable } from '../../../src/siftr/flow-table.ts';
import { KIND_GEN_SHIFT, KIND_SAME, R_MAXSEG, R_SETTLED, RECORD_WORDS } from '../../../src/siftr/record.ts';
import { fill, type RecordValues, tuple } from './records.ts';

function rec(values: RecordValues): Uint32Array {
  const words = new Uint32Array(RECORD_WORDS);
  fill(words, 0, values);
  return words;
}

const flow = (port: number, flowid: number): Uint32Array =>
  rec({ ...tuple('192.0.2.1', port, '192.0.2.2', 5001), flowid });

describe('the flow table', () => {
  test('the list is ordered by flowid & 0xffff, newest first in a bucket (spec/siftr.md section 9)', () => {
    const t = new FlowTable();
    t.find(flow(1, 0x0001_0007), 0);
    t.find(flow(2, 0x0002_0003), 0);
    t.find(flow(3, 0xffff_0007), 0);
    t.find(flow(4, 0x0000_0003), 0);
    expect(t.list()).toBe(
      '192.0.2.1;4-192.0.2.2;5001,192.0.2.1;2-192.0.2.2;5001,192.0.2.1;3-192.0.2.2;5001,192.0.2.1;1-192.0.2.2;5001,',
    );
  });

  test('a table without flows gives an empty list (spec/siftr.md section 9)', () => {
    expect(new FlowTable().list()).toBe('');
  });

  test('every flow is listed once, however many records it has and whatever came between (spec/siftr.md section 13 rule 9)', () => {
    const t = new FlowTable();
    const a = t.find(flow(1, 9), 0);
    const b = t.find(flow(2, 9), 0);
    expect(t.find(flow(1, 9), 0)).toBe(a);
    expect(t.find(flow(2, 9), 0)).toBe(b);
    expect(t.size).toBe(2);
    expect(t.list().split(',')).toHaveLength(3);
  });

  test('two flows that share a flowid are kept apart by addresses and ports', () => {
    const t = new FlowTable();
    const a = t.find(rec({ ...tuple('192.0.2.1', 80, '198.51.100.9', 1), flowid: 5 }), 0);
    const b = t.find(rec({ ...tuple('192.0.2.1', 80, '198.51.100.9', 2), flowid: 5 }), 0);
    expect(a).not.toBe(b);
    expect([a, b].map((f) => f.listEntry())).toEqual(['192.0.2.1;80-198.51.100.9;1', '192.0.2.1;80-198.51.100.9;2']);
  });

  test('a record without a second half is of the connection that had it in the same ring, and of no other with its flowid', () => {
    const t = new FlowTable();
    const one = new Uint32Array(4 * RECORD_WORDS);
    const two = new Uint32Array(4 * RECORD_WORDS);
    const values = { ...tuple('192.0.2.1', 80, '198.51.100.9', 1), flowid: 5, maxseg: 1460, state: 4 };
    fill(one, 0, values);
    fill(one, RECORD_WORDS, { flowid: 5, kind: KIND_SAME });
    fill(one, 2 * RECORD_WORDS, { ...values, maxseg: 1200 });
    fill(one, 3 * RECORD_WORDS, { flowid: 5, kind: KIND_SAME | (1 << KIND_GEN_SHIFT) });
    fill(two, 0, { ...tuple('192.0.2.1', 80, '198.51.100.9', 2), flowid: 5, maxseg: 536 });
    fill(two, RECORD_WORDS, { flowid: 5, kind: KIND_SAME });
    const a = t.find(one, 0);
    const b = t.find(two, 0);
    expect(t.find(one, RECORD_WORDS)).toBe(a);
    expect(t.find(two, RECORD_WORDS)).toBe(b);
    expect([a, b].map((f) => f.settled[R_MAXSEG - R_SETTLED])).toEqual([1460, 536]);
    const { changes } = a;
    expect(t.find(one, 0)).toBe(a);
    expect(a.changes).toBe(changes);
    expect(t.find(one, 2 * RECORD_WORDS)).toBe(a);
    expect(a.changes).toBe(changes + 1);
    expect([...a.settled]).toEqual([0, 0, 0, 4, 1200, 0, 0]);
    expect(() => t.find(one, 3 * RECORD_WORDS)).toThrow('continues flow 5, which has none before it');
  });

  test('clear forgets every flow', () => {
    const t = new FlowTable();
    t.find(flow(1, 9), 0);
    t.clear();
    expect(t.list()).toBe('');
    expect(t.size).toBe(0);
  });
});

describe('ppl (spec/siftr.md section 6)', () => {
  const count = (n: number, ppl: number): number[] => {
    const f = new FlowTable().find(flow(1, 9), 0);
    const due: number[] = [];
    for (let i = 1; i <= n; i++) if (f.due(ppl)) due.push(i);
    return due;
  };

  test('ppl 1 and ppl 0 log every packet', () => {
    expect(count(3, 1)).toEqual([1, 2, 3]);
    expect(count(3, 0)).toEqual([1, 2, 3]);
  });

  test('ppl 10 logs floor(n / 10) packets, the 10th first (section 13 rule 10 e)', () => {
    expect(count(39, 10)).toEqual([10, 20, 30]);
  });

  test('a ppl beyond 65536 works as 65536, because the counter has 16 bits', () => {
    expect(count(140000, 65536)).toEqual([65536, 131072]);
    expect(count(140000, 0xffffffff)).toEqual([65536, 131072]);
  });

  test('a smaller ppl takes effect through the modulo; the counter is not reset', () => {
    const f = new FlowTable().find(flow(1, 9), 0);
    for (let i = 0; i < 7; i++) expect(f.due(10)).toBe(false);
    // The counter stands at 7: (7 + 1) mod 4 is 0.
    expect(f.due(4)).toBe(true);
    expect(f.due(4)).toBe(false);
  });
});
