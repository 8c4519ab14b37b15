import { describe, expect, test } from 'vitest';
import { DataLines } from '../../../src/siftr/data-lines.ts';
import { Flow } from '../../../src/siftr/flow-table.ts';
import {
  type CycleCounts,
  DATA_LINE_MAX,
  disableLine,
  enableLine,
  put6,
  putU32,
  siftrIdent,
  sysverOf,
} from '../../../src/siftr/format.ts';
import { RECORD_FIELDS, RECORD_WORDS } from '../../../src/siftr/record.ts';
import fc from '../../lab/property.ts';
import { fill, MAN_DATA_LINE, MAN_DATA_VALUES, type RecordValues } from './records.ts';

const decoder = new TextDecoder();

/** Writes the lines of records one after the other, as the writer does. */
class Lines {
  readonly #lines = new DataLines();
  readonly #rec = new Uint32Array(RECORD_WORDS);
  readonly #out = new Uint8Array(DATA_LINE_MAX);
  readonly #flows: Flow[] = [];

  line(values: RecordValues): string {
    const rec = this.#rec;
    fill(rec, 0, values);
    let flow = this.#flows.find((f) => f.matches(rec, 0));
    if (flow === undefined) {
      flow = new Flow(rec, 0, null);
      this.#flows.push(flow);
    }
    flow.settle(rec, 0);
    return decoder.decode(this.#out.subarray(0, this.#lines.put(new DataView(this.#out.buffer), 0, rec, 0, flow)));
  }
}

function dataLine(values: RecordValues): string {
  return new Lines().line(values);
}

/** Straight from the table of spec/siftr.md section 3, with strings. */
function naiveLine(v: Required<RecordValues>): string {
  const dotted = (n: number): string => [24, 16, 8, 0].map((s) => (n >>> s) & 255).join('.');
  const u = (n: number): string => String(n >>> 0);
  const fields = [
    v.kind & 1 ? 'o' : 'i',
    `${u(v.sec)}.${String(v.usec).padStart(6, '0')}`,
    dotted(v.l3),
    String(v.ports >>> 16),
    dotted(v.f3),
    String(v.ports & 0xffff),
    ...[v.ssthresh, v.cwnd, v.flags2, v.snd_wnd, v.rcv_wnd, v.snd_scale, v.rcv_scale, v.state, v.maxseg, v.srtt].map(u),
    v.flags & 0x200 ? '1' : '0',
    ...[v.flags, v.rxtcur, v.snd_hiwat, v.snd_cc, v.rcv_hiwat, v.rcv_cc, v.inflight, v.segqlen, v.flowid].map(u),
    String((v.kind >>> 8) & 255),
  ];
  return `${fields.join(',')}\n`;
}

const u32 = fc.oneof(
  fc.nat(0xffffffff),
  fc.nat(99999),
  fc.constantFrom(0, 9, 10, 9999, 10000, 99999999, 1e8, 0xffffffff),
);
const anyRecord: fc.Arbitrary<Required<RecordValues>> = fc.record({
  kind: fc.tuple(fc.nat(1), fc.nat(255)).map(([out, type]) => out | (type << 8)),
  sec: u32,
  usec: fc.nat(999999),
  l0: fc.constant(0),
  l1: fc.constant(0),
  l2: fc.constant(0xffff),
  l3: u32,
  f0: fc.constant(0),
  f1: fc.constant(0),
  f2: fc.constant(0xffff),
  f3: u32,
  ports: u32,
  flowid: u32,
  ssthresh: u32,
  cwnd: u32,
  flags2: u32,
  snd_wnd: u32,
  rcv_wnd: u32,
  snd_scale: u32,
  rcv_scale: u32,
  state: u32,
  maxseg: u32,
  srtt: u32,
  flags: u32,
  rxtcur: u32,
  snd_hiwat: u32,
  snd_cc: u32,
  rcv_hiwat: u32,
  rcv_cc: u32,
  inflight: u32,
  segqlen: u32,
  nth: u32,
});

describe('the lines of a SIFTR log', () => {
  test("the data line equals siftr(4)'s example byte by byte (spec/siftr.md section 3)", () => {
    expect(dataLine(MAN_DATA_VALUES)).toBe(MAN_DATA_LINE);
  });

  test('the longest line, IPv6 with every field at its most, has 301 bytes and fits (spec/siftr.md section 11)', () => {
    const most = 0xffffffff;
    const values: RecordValues = Object.fromEntries(RECORD_FIELDS.map((f) => [f, most]));
    const line = dataLine({
      ...values,
      kind: 1 | (191 << 8),
      usec: 999999,
      snd_scale: 14,
      rcv_scale: 14,
      state: 10,
      maxseg: 0xffffff,
    });
    expect(line.startsWith('o,4294967295.999999,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,65535,ffff:')).toBe(true);
    expect(line.split(',')).toHaveLength(27);
    expect(line).toHaveLength(301);
    expect(line.length).toBeLessThanOrEqual(DATA_LINE_MAX);
  });

  test("the enable line equals siftr(4)'s example byte by byte when given FreeBSD's names (spec/siftr.md section 2)", () => {
    const line = enableLine(1685191807160752, { sysname: 'FreeBSD', sysver: '1400089', ipmode: 4 });
    expect(line).toBe(
      'enable_time_secs=1685191807\tenable_time_usecs=160752\tsiftrver=1.3.0\tsysname=FreeBSD\tsysver=1400089\tipmode=4\n',
    );
  });

  test("the disable line equals siftr(4)'s example byte by byte (spec/siftr.md section 9)", () => {
    const counts: CycleCounts = {
      numIn: 10,
      numOut: 10,
      skippedMallocIn: 0,
      skippedMallocOut: 0,
      skippedTcpcbIn: 2,
      skippedTcpcbOut: 2,
      skippedInpcbIn: 0,
      skippedInpcbOut: 0,
    };
    expect(disableLine(1685191816629397, counts, '10.1.1.2;32291-10.1.1.3;5001,10.1.1.2;58544-10.1.1.3;5001,')).toBe(
      'disable_time_secs=1685191816\tdisable_time_usecs=629397\tnum_inbound_tcp_pkts=10\tnum_outbound_tcp_pkts=10\t' +
        'total_tcp_pkts=20\tnum_inbound_skipped_pkts_malloc=0\tnum_outbound_skipped_pkts_malloc=0\t' +
        'num_inbound_skipped_pkts_tcpcb=2\tnum_outbound_skipped_pkts_tcpcb=2\tnum_inbound_skipped_pkts_inpcb=0\t' +
        'num_outbound_skipped_pkts_inpcb=0\ttotal_skipped_tcp_pkts=4\t' +
        'flow_list=10.1.1.2;32291-10.1.1.3;5001,10.1.1.2;58544-10.1.1.3;5001,\n',
    );
  });

  test('each skip counter prints under its own key, and their sum under total_skipped_tcp_pkts (spec/siftr.md section 7)', () => {
    const counts: CycleCounts = {
      numIn: 2 ** 33,
      numOut: 5,
      skippedMallocIn: 1,
      skippedMallocOut: 2,
      skippedTcpcbIn: 4,
      skippedTcpcbOut: 8,
      skippedInpcbIn: 16,
      skippedInpcbOut: 32,
    };
    const pairs = disableLine(0, counts, '').trimEnd().split('\t');
    expect(pairs).toEqual([
      'disable_time_secs=0',
      'disable_time_usecs=000000',
      'num_inbound_tcp_pkts=8589934592',
      'num_outbound_tcp_pkts=5',
      'total_tcp_pkts=8589934597',
      'num_inbound_skipped_pkts_malloc=1',
      'num_outbound_skipped_pkts_malloc=2',
      'num_inbound_skipped_pkts_tcpcb=4',
      'num_outbound_skipped_pkts_tcpcb=8',
      'num_inbound_skipped_pkts_inpcb=16',
      'num_outbound_skipped_pkts_inpcb=32',
      'total_skipped_tcp_pkts=63',
      'flow_list=',
    ]);
  });

  test('microseconds are padded to six digits in all three lines', () => {
    expect(enableLine(7000029, siftrIdent('0.1.0'))).toMatch(/^enable_time_secs=7\tenable_time_usecs=000029\t/);
    expect(dataLine({ sec: 7, usec: 29 })).toMatch(/^i,7\.000029,/);
  });

  test('sysname and sysver have at most 7 characters (spec/siftr.md section 13 rule 3)', () => {
    for (const version of ['0.1.0', '99.99.99', '1.2.3-rc.1']) {
      const ident = siftrIdent(version);
      expect(ident.sysname).toBe('xsiftr');
      expect(ident.sysver).toMatch(/^[0-9]{7}$/);
    }
    expect(sysverOf('0.1.0')).toBe(1000100);
    expect(() => sysverOf('100.0.0')).toThrow(RangeError);
  });

  test('a data line equals one made by plain string formatting, whatever the values', () => {
    fc.assert(
      fc.property(anyRecord, (values) => {
        expect(dataLine(values)).toBe(naiveLine(values));
      }),
      { numRuns: 500 },
    );
  });

  test('lines of connections that share a slot are each their own', () => {
    fc.assert(
      fc.property(
        fc.array(anyRecord, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(3), { maxLength: 20 }),
        (records, order) => {
          const lines = new Lines();
          // Few different records, so that most come again; all in one slot, so that they push each other out.
          for (const n of order) {
            const values = { ...records[n % records.length]!, flowid: 256 * (n + 1), usec: n };
            expect(lines.line(values)).toBe(naiveLine(values));
            const later = { ...values, kind: values.kind ^ 1, usec: 999999 };
            expect(lines.line(later)).toBe(naiveLine(later));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('a line is right after any change from the last one of its connection: one digit, a width, the SACK bit', () => {
    const changing = RECORD_FIELDS.filter((f) => !/^([lf]\d|ports|flowid)$/.test(f));
    const change = fc.tuple(fc.constantFrom(...changing), fc.oneof(u32, fc.integer({ min: -2, max: 2 })));
    fc.assert(
      fc.property(anyRecord, fc.array(change, { maxLength: 40 }), (first, changes) => {
        const lines = new Lines();
        let values = first;
        for (const [field, n] of changes) {
          let next = n >= -2 && n <= 2 ? (values[field] + n) >>> 0 : n;
          if (field === 'usec') next %= 1e6;
          if (field === 'kind') next &= 0xff01;
          values = { ...values, [field]: next };
          expect(lines.line(values)).toBe(naiveLine(values));
        }
        const sack = { ...values, flags: (values.flags ^ 0x200) >>> 0 };
        expect(lines.line(sack)).toBe(naiveLine(sack));
      }),
      { numRuns: 500 },
    );
  });

  test('the longest IPv4 line has 253 bytes and so fits into the room kept for it (spec/siftr.md section 11)', () => {
    // The values of the worst case: 10 digits in every counter, and the widths that the source's types allow elsewhere.
    const big = 0xffffffff;
    const line = dataLine({
      kind: 1 | (255 << 8),
      sec: big,
      usec: 999999,
      l2: 0xffff,
      l3: big,
      f2: 0xffff,
      f3: big,
      ports: big,
      flowid: big,
      ssthresh: big,
      cwnd: big,
      flags2: big,
      snd_wnd: big,
      rcv_wnd: big,
      snd_scale: 15,
      rcv_scale: 15,
      state: 15,
      maxseg: 16777215,
      srtt: big,
      flags: big,
      rxtcur: big,
      snd_hiwat: big,
      snd_cc: big,
      rcv_hiwat: big,
      rcv_cc: big,
      inflight: big,
      segqlen: big,
    });
    expect(line.length).toBe(253);
    expect(line.split(',')).toHaveLength(27);
  });

  test('numbers are written without padding at every width', () => {
    const out = new Uint8Array(16);
    const dv = new DataView(out.buffer);
    for (let digits = 1; digits <= 10; digits++) {
      for (const n of [10 ** (digits - 1), Math.min(10 ** digits - 1, 0xffffffff)]) {
        expect(decoder.decode(out.subarray(0, putU32(dv, 0, n)))).toBe(String(n));
      }
    }
    expect(decoder.decode(out.subarray(0, putU32(dv, 0, 0)))).toBe('0');
    expect(decoder.decode(out.subarray(0, put6(dv, 0, 999999)))).toBe('999999');
  });
});
