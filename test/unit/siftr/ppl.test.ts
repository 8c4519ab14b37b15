import { describe, expect, test } from 'vitest';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import { PplCount } from '../../../src/siftr/ppl.ts';
import { createRing, KIND_NTH_DIR, KIND_OUT, RecordProducer } from '../../../src/siftr/record.ts';
import { CFG_CWND_FILTER, CFG_PPL, CFG_PPL_FIRST, CFG_STRICT, createSiftrShared } from '../../../src/siftr/shared.ts';
import { SiftrWriter } from '../../../src/siftr/writer.ts';
import { push, type RecordValues, tuple } from './records.ts';

/** Numbers of the packets that are due, of those that come. */
function due(numbers: readonly number[], ppl: number, first = false): number[] {
  const count = new PplCount();
  return numbers.filter((n) => count.due(ppl, n, first));
}
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

describe('ppl (spec/siftr.md section 14 item 7)', () => {
  test('logs the N-th packet of a flow, then the 2N-th, and so on', () => {
    expect(due(upTo(35), 10)).toEqual([10, 20, 30]);
  });

  test('with ppl_first logs the first, the N+1-th, the 2N+1-th, as SIFTR 1.2 did', () => {
    expect(due(upTo(35), 10, true)).toEqual([1, 11, 21, 31]);
  });

  test('a packet whose record was dropped counts; when it was due the next takes its place, and the phase stays', () => {
    const without = (...gone: number[]) => upTo(40).filter((n) => !gone.includes(n));
    expect(due(without(3, 4), 10)).toEqual([10, 20, 30, 40]);
    expect(due(without(10), 10)).toEqual([11, 20, 30, 40]);
    expect(due(without(10, 11, 12), 10)).toEqual([13, 20, 30, 40]);
    expect(due(without(...upTo(25)), 10)).toEqual([26, 30, 40]);
    expect(due(without(1, 11), 10, true)).toEqual([2, 12, 21, 31]);
  });

  test('counts 32 bits: N beyond 65536 is not cut, and the numbers wrap without a jump', () => {
    expect(due([65535, 65536, 65537, 131072, 99_999_999, 100_000_000], 100_000_000)).toEqual([100_000_000]);
    expect(due([4294967294, 4294967295], 4294967295)).toEqual([4294967295]);
    // 2^32 = 6 (mod 10): the packets after number 4294967290 = 0 (mod 10) are due ten by ten all the same.
    const count = new PplCount();
    count.due(10, 4294967290, false);
    const next = Array.from({ length: 25 }, (_, i) => (4294967291 + i) % 2 ** 32);
    expect(next.filter((n) => count.due(10, n, false))).toEqual([4, 14]);
  });

  test('ppl 1 logs every packet, and a change of ppl holds from the next on', () => {
    const count = new PplCount();
    expect(upTo(3).filter((n) => count.due(1, n, false))).toEqual([1, 2, 3]);
    expect([4, 5, 6, 7, 8].filter((n) => count.due(2, n, false))).toEqual([5, 7]);
    // As in 1.3.0 the count goes on: two are counted already, and the third is due.
    count.due(10, 9, false);
    expect([10, 11, 12].filter((n) => count.due(3, n, false))).toEqual([10]);
  });
});

describe('the writer', () => {
  function setUp() {
    const cfg = createSiftrShared();
    const buf = createRing(64);
    const ring = new RecordProducer(buf);
    const cnt = new Float64Array(COUNTER_SLOTS);
    const writer = new SiftrWriter([buf], cfg, cnt);
    let text = '';
    writer.begin(
      {
        write: (b, off, len) => {
          text += Buffer.from(b.subarray(off, off + len)).toString('latin1');
          return len;
        },
      },
      Infinity,
    );
    const record = (v: RecordValues): void => {
      push(ring, { ...tuple('192.0.2.1', 1, '192.0.2.2', 5001), flowid: 7, ...v });
      writer.pass();
    };
    /** Directions and µs of the lines. */
    const lines = (): string[] =>
      text
        .trimEnd()
        .split('\n')
        .filter((l) => l !== '')
        .map((l) => `${l[0]}${Number(l.split(',')[1]!.split('.')[1])}`);
    return { cfg, cnt, writer, record, lines };
  }

  test('ppl_dir counts each direction by itself, by the numbers that the hook gave (S002)', () => {
    const t = setUp();
    t.cfg[CFG_PPL] = 2;
    const dir = ['o', 'o', 'i', 'o', 'i', 'o', 'i', 'i'];
    const n = { i: 0, o: 0 };
    dir.forEach((d, k) => {
      t.record({ kind: KIND_NTH_DIR | (d === 'o' ? KIND_OUT : 0), nth: ++n[d as 'i' | 'o'], usec: k + 1 });
    });
    expect(t.lines()).toEqual(['o2', 'i5', 'o6', 'i8']);
  });

  test('ppl_first is taken from the shared settings, and what is suppressed is counted with its direction and in all', () => {
    const t = setUp();
    t.cfg[CFG_PPL] = 3;
    t.cfg[CFG_PPL_FIRST] = 1;
    for (let k = 1; k <= 7; k++) t.record({ kind: k & 1, nth: k, usec: k });
    expect(t.lines()).toEqual(['o1', 'i4', 'o7']);
    expect([siftrs.siftrs_ppl_in, siftrs.siftrs_ppl_out, siftrs.siftrs_ppl_suppressed].map((s) => t.cnt[s])).toEqual([
      2, 2, 4,
    ]);
    expect(t.writer.end(() => false)).toMatchObject({ lines: 3, suppressed: 4 });
  });

  test('cwnd_filter writes a record only when the window differs from that of the last line of its flow (item 2)', () => {
    const t = setUp();
    t.cfg[CFG_CWND_FILTER] = 1;
    for (const [k, cwnd] of [10, 10, 20, 20, 10].entries()) t.record({ cwnd, nth: k + 1, usec: k + 1 });
    // Another flow has a last line of its own.
    t.record({ cwnd: 10, usec: 6, flowid: 8, ports: 9 });
    expect(t.lines()).toEqual(['i1', 'i3', 'i5', 'i6']);
    expect(t.writer.end(() => false)).toMatchObject({ lines: 4, suppressed: 2 });
  });

  test('with ppl it looks at the packets that are due', () => {
    const t = setUp();
    t.cfg[CFG_CWND_FILTER] = 1;
    t.cfg[CFG_PPL] = 2;
    for (const [k, cwnd] of [10, 10, 30, 10, 30, 40].entries()) t.record({ cwnd, nth: k + 1, usec: k + 1 });
    expect(t.lines()).toEqual(['i2', 'i6']);
  });

  test('strict counts recorded packets only, in 16 bits, and knows none of the rest (section 6)', () => {
    const t = setUp();
    t.cfg[CFG_STRICT] = 1;
    t.cfg[CFG_PPL] = 2;
    t.cfg[CFG_PPL_FIRST] = 1;
    t.cfg[CFG_CWND_FILTER] = 1;
    for (const nth of [1, 4, 5, 9]) t.record({ nth, usec: nth, cwnd: 10 });
    expect(t.lines()).toEqual(['i4', 'i9']);
    t.cfg[CFG_PPL] = 0;
    t.record({ nth: 10, usec: 10, cwnd: 10 });
    expect(t.lines()).toEqual(['i4', 'i9', 'i10']);
  });
});
