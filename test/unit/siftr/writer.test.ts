import { describe, expect, test } from 'vitest';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import { createRing, KIND_GEN_SHIFT, KIND_SAME, RecordConsumer, RecordProducer } from '../../../src/siftr/record.ts';
import { CFG_PPL, CFG_SLEEPING, CFG_WAKE, createSiftrShared, wakeWriter } from '../../../src/siftr/shared.ts';
import { type CycleEnd, type SiftrOutput, SiftrWriter } from '../../../src/siftr/writer.ts';
import fc from '../../lab/property.ts';
import { MAN_DATA_LINE, MAN_DATA_VALUES, push, type RecordValues, tuple } from './records.ts';

/** Collects what is written; `fail` and `most` make it a bad disk. */
class Sink implements SiftrOutput {
  text = '';
  fail: string | null = null;
  most = Infinity;

  write(buf: Uint8Array, offset: number, length: number): number {
    if (this.fail !== null) throw Object.assign(new Error(this.fail), { code: this.fail });
    const n = Math.min(length, this.most);
    if (n <= 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    this.most -= n;
    this.text += new TextDecoder().decode(buf.slice(offset, offset + n));
    return n;
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

function setUp(shards: number, records = 64, bytes?: number) {
  const bufs = Array.from({ length: shards }, () => createRing(records));
  const cfg = createSiftrShared();
  const cnt = new Float64Array(COUNTER_SLOTS);
  const writer = new SiftrWriter(bufs, cfg, cnt, bytes);
  return { rings: bufs.map((b) => new RecordProducer(b)), cfg, cnt, writer, sink: new Sink() };
}

const at = (sec: number, usec: number, port = 1): RecordValues => ({
  ...tuple('192.0.2.1', port, '192.0.2.2', 5001),
  flowid: port,
  sec,
  usec,
});
const times = (sink: Sink): string[] => sink.lines.map((l) => l.split(',')[1]!);
const never = (): boolean => false;

describe('records without a second half', () => {
  const settledOf = fc.record({
    state: fc.constantFrom(4, 5),
    maxseg: fc.constantFrom(536, 1460),
    rcv_hiwat: fc.constantFrom(999, 1000),
  });
  const packet = fc.record({
    ring: fc.nat(1),
    // Two connections of one tuple, one after the other, would have other numbers (`gen`); flowids meet across rings.
    port: fc.nat(2),
    out: fc.nat(1),
    cwnd: fc.nat(20000),
    settled: settledOf,
  });

  test('make the lines that whole records make, whatever connections they are of and whatever changes', () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 60 }), (packets) => {
        const [whole, halved] = [setUp(2), setUp(2)];
        for (const t of [whole, halved]) t.writer.begin(t.sink, Infinity);
        const last = new Map<string, string>();
        packets.forEach(({ ring, port, out, cwnd, settled }, i) => {
          const kind = out | (port << KIND_GEN_SHIFT);
          const mine = { kind, flowid: 7 + (port >> 1), sec: 1, usec: i, cwnd };
          const rest = { ...tuple('192.0.2.1', 80 + ring, '192.0.2.2', 5001 + port), ...settled };
          push(whole.rings[ring]!, { ...mine, ...rest });
          const key = `${ring} ${port}`;
          const same = last.get(key) === JSON.stringify(settled);
          last.set(key, JSON.stringify(settled));
          push(halved.rings[ring]!, same ? { ...mine, kind: kind | KIND_SAME } : { ...mine, ...rest });
        });
        expect([whole.writer.pass(), halved.writer.pass()]).toEqual([packets.length, packets.length]);
        expect(halved.sink.lines).toEqual(whole.sink.lines);
        expect(halved.writer.end(never)).toEqual(whole.writer.end(never));
      }),
    );
  });
});

describe('a record ring', () => {
  test('takes as many records as it is long and then none until the writer has taken some', () => {
    const { rings, writer, sink } = setUp(1, 8);
    const ring = rings[0]!;
    for (let i = 0; i < 8; i++) expect(push(ring, at(1, i))).toBe(true);
    expect(push(ring, at(1, 8))).toBe(false);
    writer.begin(sink, Infinity);
    expect(writer.pass()).toBe(8);
    expect(push(ring, at(1, 9))).toBe(true);
    expect(writer.pass()).toBe(1);
    expect(times(sink).at(-1)).toBe('1.000009');
  });

  test('shows the writer what was committed when it is published: by its owner, each 64 records, and while it is over a quarter full', () => {
    const buf = createRing(1024);
    const ring = new RecordProducer(buf);
    const writer = new RecordConsumer(buf);
    const seen: number[] = [];
    for (let i = 0; i < 300; i++) {
      expect(ring.reserve()).toBeGreaterThanOrEqual(0);
      seen.push(writer.refresh());
      ring.commit();
    }
    // At the look for the next record, those before it: 0, 64, … 256, and from there on each.
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => (i <= 256 ? i - (i % 64) : i)));
    ring.publish();
    expect(writer.refresh()).toBe(300);
    ring.reserve();
    ring.commit();
    ring.cut();
    expect(writer.refresh()).toBe(301);
  });

  test('is emptied by a pass that writes nothing; the lines wait for the next that writes, and the end writes them too', () => {
    const { rings, writer, sink } = setUp(1, 8);
    const ring = rings[0]!;
    writer.begin(sink, Infinity);
    push(ring, at(1, 0));
    expect(writer.pass(false)).toBe(1);
    const bytes = writer.waiting;
    expect([bytes > 0, sink.text]).toEqual([true, '']);
    push(ring, at(1, 1));
    expect(writer.pass(false)).toBe(1);
    expect(writer.waiting).toBe(2 * bytes);
    writer.flush();
    expect([writer.waiting, sink.text.length]).toEqual([0, 2 * bytes]);
    push(ring, at(1, 2));
    writer.pass(false);
    expect(writer.end(never).lines).toBe(3);
    expect(times(sink)).toEqual(['1.000000', '1.000001', '1.000002']);
  });

  test('asks for the writer only when it is more than a quarter full', () => {
    const { rings } = setUp(1, 16);
    const ring = rings[0]!;
    const asked: boolean[] = [];
    for (let i = 0; i < 8; i++) {
      push(ring, at(1, i));
      asked.push(ring.wantWake);
    }
    expect(asked).toEqual([false, false, false, false, false, true, true, true]);
  });

  test('goes on past the wrap of its 32-bit counters', () => {
    const buf = createRing(8);
    // Head and tail as after 2^32 - 4 records.
    const ctl = new Int32Array(buf);
    ctl[0] = -4;
    ctl[16] = -4;
    const ring = new RecordProducer(buf);
    const writer = new SiftrWriter([buf], createSiftrShared(), new Float64Array(COUNTER_SLOTS));
    const sink = new Sink();
    writer.begin(sink, Infinity);
    for (let i = 0; i < 8; i++) expect(push(ring, at(1, i))).toBe(true);
    expect(push(ring, at(1, 8))).toBe(false);
    expect(writer.pass()).toBe(8);
    expect(times(sink)).toEqual(Array.from({ length: 8 }, (_, i) => `1.00000${i}`));
  });

  test('must have a power of two of records', () => {
    expect(() => createRing(1000)).toThrow(RangeError);
    expect(() => createRing(0)).toThrow(RangeError);
  });
});

describe('the wake-up of the writer', () => {
  test('is sent once a sleep', () => {
    const cfg = createSiftrShared();
    wakeWriter(cfg);
    expect(cfg[CFG_WAKE]).toBe(0);
    cfg[CFG_SLEEPING] = 1;
    wakeWriter(cfg);
    wakeWriter(cfg);
    expect(cfg[CFG_WAKE]).toBe(1);
  });
});

describe('the writer', () => {
  test("writes siftr(4)'s example line from a record", () => {
    const { rings, writer, sink, cnt } = setUp(1);
    writer.begin(sink, Infinity);
    push(rings[0]!, MAN_DATA_VALUES);
    writer.pass();
    expect(sink.text).toBe(MAN_DATA_LINE);
    expect(cnt[siftrs.siftrs_lines]).toBe(1);
    expect(cnt[siftrs.siftrs_bytes]).toBe(MAN_DATA_LINE.length);
  });

  test('merges the records of several shards by time (spec/siftr.md section 13 rule 7)', () => {
    const { rings, writer, sink } = setUp(3);
    writer.begin(sink, Infinity);
    for (const [shard, sec, usec] of [
      [0, 1, 10],
      [0, 1, 40],
      [0, 3, 0],
      [1, 1, 20],
      [1, 1, 20],
      [1, 2, 999999],
      [2, 0, 999999],
    ] as const) {
      push(rings[shard]!, at(sec, usec));
    }
    expect(writer.pass()).toBe(7);
    expect(times(sink)).toEqual(['0.999999', '1.000010', '1.000020', '1.000020', '1.000040', '2.999999', '3.000000']);
  });

  test('ppl 10 leaves floor(records / 10) lines a flow, the 10th first, and counts the rest (section 13 rule 10 e)', () => {
    const { rings, cfg, cnt, writer, sink } = setUp(1);
    cfg[CFG_PPL] = 10;
    writer.begin(sink, Infinity);
    for (let i = 1; i <= 25; i++) push(rings[0]!, { ...at(1, i), kind: i & 1 });
    for (let i = 1; i <= 9; i++) push(rings[0]!, at(2, i, 2));
    const end = writer.end(never);
    expect(times(sink)).toEqual(['1.000010', '1.000020']);
    expect(end).toMatchObject({ lines: 2, suppressed: 32, lost: 0 });
    // Of the first flow 13 records are outbound and 12 inbound, of which both logged; of the second all 9 are inbound.
    expect(cnt[siftrs.siftrs_ppl_out]).toBe(13);
    expect(cnt[siftrs.siftrs_ppl_in]).toBe(19);
  });

  test('a change of ppl holds from the next record on', () => {
    const { rings, cfg, writer, sink } = setUp(1);
    writer.begin(sink, Infinity);
    push(rings[0]!, at(1, 1));
    writer.pass();
    cfg[CFG_PPL] = 2;
    for (let i = 2; i <= 5; i++) push(rings[0]!, at(1, i));
    writer.pass();
    expect(times(sink)).toEqual(['1.000001', '1.000003', '1.000005']);
  });

  test('a flow whose packets ppl all suppressed is listed all the same (section 0: flows that entered the table)', () => {
    const { rings, cfg, writer, sink } = setUp(1);
    cfg[CFG_PPL] = 100;
    writer.begin(sink, Infinity);
    push(rings[0]!, at(1, 1));
    expect(writer.end(never).flowList).toBe('192.0.2.1;1-192.0.2.2;5001,');
    expect(sink.text).toBe('');
  });

  test('writes more lines than its buffer holds, none lost or cut', () => {
    const { rings, writer, sink } = setUp(1, 64, 1024);
    writer.begin(sink, Infinity);
    for (let i = 0; i < 64; i++) push(rings[0]!, { ...MAN_DATA_VALUES, usec: i });
    expect(writer.pass()).toBe(64);
    expect(sink.lines).toHaveLength(64);
    expect(new Set(sink.lines.map((l) => l.split(',').length))).toEqual(new Set([27]));
  });

  test('after a failed write the lines wait, and are written once, whole, when writing works again', () => {
    const { rings, cnt, writer, sink } = setUp(1, 64, 1024);
    writer.begin(sink, Infinity);
    sink.most = 700;
    for (let i = 0; i < 20; i++) push(rings[0]!, { ...MAN_DATA_VALUES, usec: i });
    writer.pass();
    expect(writer.state).toBe('error');
    expect(writer.error?.message).toBe('ENOSPC');
    expect(cnt[siftrs.siftrs_write_errors]).toBeGreaterThan(0);
    sink.most = Infinity;
    const end = writer.end(never);
    expect(end).toMatchObject({ lines: 20, lost: 0 });
    expect(sink.lines.map((l) => Number(l.split(',')[1]!.split('.')[1]))).toEqual([...Array(20).keys()]);
    expect(cnt[siftrs.siftrs_lines]).toBe(20);
  });

  test('records that never could be written are counted as lost when the cycle ends', () => {
    const { rings, cnt, writer, sink } = setUp(2, 64, 1024);
    writer.begin(sink, Infinity);
    sink.most = MAN_DATA_LINE.length * 2 + 10;
    for (let i = 0; i < 20; i++) push(rings[i & 1]!, { ...MAN_DATA_VALUES, usec: i });
    const end = writer.end(never);
    expect(end).toMatchObject({ lines: 2, lost: 18 });
    expect(cnt[siftrs.siftrs_lost]).toBe(18);
    expect(sink.lines).toHaveLength(2);
  });

  test('a full pipe is waited for at the end of a cycle, and is no error', () => {
    const { rings, cnt, writer, sink } = setUp(1);
    writer.begin(sink, Infinity);
    push(rings[0]!, at(1, 1));
    sink.fail = 'EAGAIN';
    writer.pass();
    expect(writer.state).toBe('again');
    let pauses = 0;
    const end: CycleEnd = writer.end(() => {
      if (++pauses === 3) sink.fail = null;
      return true;
    });
    expect(pauses).toBe(3);
    expect(end).toMatchObject({ lines: 1, lost: 0 });
    expect(cnt[siftrs.siftrs_write_errors]).toBe(0);
  });

  test('a switch writes what was recorded before it to the old output and the rest to the new (spec/siftr.md section 10.1)', () => {
    const { rings, writer, sink } = setUp(1);
    const next = new Sink();
    writer.begin(sink, Infinity);
    push(rings[0]!, at(1, 1));
    writer.switchTo(next, Infinity);
    push(rings[0]!, at(1, 2));
    const end = writer.end(never);
    expect(times(sink)).toEqual(['1.000001']);
    expect(times(next)).toEqual(['1.000002']);
    expect(end.lines).toBe(2);
  });

  test('a line that the old output took only half of is written whole to the new one', () => {
    const { rings, writer, sink } = setUp(1);
    const next = new Sink();
    writer.begin(sink, Infinity);
    sink.most = MAN_DATA_LINE.length + 20;
    push(rings[0]!, MAN_DATA_VALUES);
    push(rings[0]!, MAN_DATA_VALUES);
    writer.switchTo(next, Infinity);
    expect(next.text).toBe(MAN_DATA_LINE);
    expect(writer.end(never).lines).toBe(2);
  });

  test('lets others run each 128 records, but not while a ring is more than a quarter full', () => {
    const { rings, writer, sink } = setUp(2, 1024);
    const [a, b] = rings as [RecordProducer, RecordProducer];
    writer.begin(sink, Infinity);
    for (let i = 0; i < 300; i++) push(a, at(1, i));
    let calls = 0;
    // The first step leaves 172 records of 1024; meanwhile the other ring gets one more than a quarter.
    expect(
      writer.pass(true, () => {
        if (++calls === 1) for (let i = 0; i < 257; i++) push(b, at(2, i));
      }),
    ).toBe(300);
    expect(calls).toBe(1);
    expect(writer.pass(true, () => calls++)).toBe(257);
    expect(calls).toBe(3);
    expect(sink.lines).toHaveLength(557);
  });

  test('says that the limit is reached once the output has taken so many bytes', () => {
    const { rings, writer, sink } = setUp(1);
    writer.begin(sink, MAN_DATA_LINE.length * 2);
    push(rings[0]!, MAN_DATA_VALUES);
    writer.pass();
    expect(writer.limitReached).toBe(false);
    push(rings[0]!, MAN_DATA_VALUES);
    writer.pass();
    expect(writer.limitReached).toBe(true);
  });

  test('the line that reaches the limit is the last one whole, and what comes after is skipped, counted by direction', () => {
    const { rings, cnt, writer, sink } = setUp(1, 64, 1024);
    writer.begin(sink, MAN_DATA_LINE.length * 2 + 1);
    for (let i = 0; i < 20; i++) push(rings[0]!, { ...MAN_DATA_VALUES, usec: i, kind: i % 3 === 0 ? 1 : 0 });
    writer.pass();
    for (let i = 0; i < 5; i++) push(rings[0]!, { ...MAN_DATA_VALUES, kind: 1 });
    const end = writer.end(never);
    expect(sink.lines.map((l) => l.slice(0, 2))).toEqual(['o,', 'i,', 'i,']);
    expect(end).toMatchObject({ lines: 3, suppressed: 0, lost: 0, skippedIn: 11, skippedOut: 11 });
    expect(cnt[siftrs.siftrs_nskip_in_limit]).toBe(11);
    expect(cnt[siftrs.siftrs_nskip_out_limit]).toBe(11);
    expect(cnt[siftrs.siftrs_lines]).toBe(3);
    expect(cnt[siftrs.siftrs_bytes]).toBe(sink.text.length);
  });

  test('a limit at the end of a line lets no other one in, and one of nothing none at all', () => {
    const { rings, writer, sink } = setUp(1);
    writer.begin(sink, MAN_DATA_LINE.length);
    push(rings[0]!, MAN_DATA_VALUES);
    push(rings[0]!, MAN_DATA_VALUES);
    expect(writer.end(never)).toMatchObject({ lines: 1, skippedIn: 0, skippedOut: 1 });
    for (const limit of [0, -100]) {
      writer.begin(sink, limit);
      push(rings[0]!, MAN_DATA_VALUES);
      expect(writer.end(never)).toMatchObject({ lines: 0, skippedOut: 1 });
    }
    expect(sink.text).toBe(MAN_DATA_LINE);
  });

  test('a line that reached the limit but was written in part is finished before the rest is skipped', () => {
    const { rings, writer, sink } = setUp(1);
    writer.begin(sink, 20);
    sink.most = 30;
    for (let i = 0; i < 3; i++) push(rings[0]!, MAN_DATA_VALUES);
    writer.pass();
    expect(writer.state).toBe('error');
    expect(writer.limitReached).toBe(true);
    sink.most = Infinity;
    for (let i = 0; i < 2; i++) push(rings[0]!, MAN_DATA_VALUES);
    expect(writer.end(never)).toMatchObject({ lines: 1, lost: 0, skippedOut: 4 });
    expect(sink.text).toBe(MAN_DATA_LINE);
  });

  test('lines that waited for a full disk fill the next output no further than to its limit', () => {
    const { rings, writer, sink } = setUp(1);
    const next = new Sink();
    writer.begin(sink, Infinity);
    sink.most = 10;
    for (let i = 0; i < 5; i++) push(rings[0]!, MAN_DATA_VALUES);
    writer.switchTo(next, MAN_DATA_LINE.length + 1);
    expect(next.text).toBe(MAN_DATA_LINE.repeat(2));
    expect(writer.end(never)).toMatchObject({ lines: 2, lost: 0, skippedOut: 3 });
  });

  test('a new cycle starts with an empty flow table and its own figures', () => {
    const { rings, writer, sink } = setUp(1);
    writer.begin(sink, Infinity);
    push(rings[0]!, at(1, 1));
    writer.end(never);
    writer.begin(sink, Infinity);
    expect(writer.end(never)).toEqual({
      lines: 0,
      suppressed: 0,
      lost: 0,
      skippedIn: 0,
      skippedOut: 0,
      flowList: '',
    });
  });
});
