import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Sample } from '../../../src/log/model.ts';
import { openLog } from '../../../src/log/open.ts';
import { LINE_MAX } from '../../../src/log/read/lines.ts';
import { DataLines } from '../../../src/siftr/data-lines.ts';
import { Flow } from '../../../src/siftr/flow-table.ts';
import { DATA_LINE_MAX, enableLine, disableLine as ourDisableLine, siftrIdent } from '../../../src/siftr/format.ts';
import { RECORD_WORDS } from '../../../src/siftr/record.ts';
import fc from '../../lab/property.ts';
import { fill, MAN_DATA_LINE, type RecordValues } from '../siftr/records.ts';
import { brokenOf, disableLine, items, MAN_ENABLE, read, samplesOf, siftrItems } from './reading.ts';

/** The sample of siftr(4)'s example line, field by field (spec section 3). */
const MAN_SAMPLE: Sample = {
  type: 'sample',
  line: 1,
  timeUs: 1685191814185109,
  dir: 'o',
  laddr: '10.1.1.2',
  lport: 32291,
  faddr: '10.1.1.3',
  fport: 5001,
  ssthresh: Infinity,
  cwnd: 14480,
  flags2: 2,
  sndWnd: 65160,
  rcvWnd: 65700,
  sndScale: 7,
  rcvScale: 9,
  state: 4,
  mss: 1460,
  srtt: 1000,
  sack: true,
  flags: 16778209,
  rto: 230000,
  sndHiwat: 33580,
  sndCc: 0,
  rcvHiwat: 65700,
  rcvCc: 0,
  inflight: 0,
  segqlen: 0,
  flowid: 86707916,
  flowtype: 130,
};

describe('lines of SIFTR 1.3.0', () => {
  test('the data line of siftr(4) gives its 27 fields under their names (spec section 3)', () => {
    expect(siftrItems(MAN_DATA_LINE)).toEqual([MAN_SAMPLE]);
  });

  test('IPv6 addresses stay as they are spelled, and a set threshold is a number (spec section 4)', () => {
    const line = MAN_DATA_LINE.replace('10.1.1.2', '2001:db8::2')
      .replace('10.1.1.3', '2001:db8::3')
      .replace('1073725440', '28960')
      .replace('o,', 'i,');
    expect(siftrItems(line)).toEqual([
      { ...MAN_SAMPLE, dir: 'i', laddr: '2001:db8::2', faddr: '2001:db8::3', ssthresh: 28960 },
    ]);
  });

  test('the enable line gives its six keys, and the modes of a seventh (spec sections 2 and 14)', () => {
    const enable = {
      type: 'enable',
      line: 1,
      timeUs: 1685191807160752,
      siftrver: '1.3.0',
      sysname: 'FreeBSD',
      sysver: '1400089',
      ipmode: 4,
      hz: null,
      tcpRttScale: null,
      modes: [],
    };
    expect(siftrItems(MAN_ENABLE)).toEqual([enable]);
    expect(siftrItems(MAN_ENABLE.replace('\n', '\txsiftr=hook:tcp,inflight:pipe\n'))).toEqual([
      { ...enable, modes: ['hook:tcp', 'inflight:pipe'] },
    ]);
  });

  test('the disable line gives its counts by name and its flows (spec section 9)', () => {
    const list = '10.1.1.2;32291-10.1.1.3;5001,2001:db8::1;80-2001:db8::2;65535,';
    expect(siftrItems(disableLine(10, 11, 2, 3, list))).toEqual([
      {
        type: 'disable',
        line: 1,
        timeUs: 1685191816629397,
        counts: {
          num_inbound_tcp_pkts: 10,
          num_outbound_tcp_pkts: 11,
          total_tcp_pkts: 21,
          num_inbound_skipped_pkts_malloc: 0,
          num_outbound_skipped_pkts_malloc: 0,
          num_inbound_skipped_pkts_tcpcb: 2,
          num_outbound_skipped_pkts_tcpcb: 3,
          num_inbound_skipped_pkts_inpcb: 0,
          num_outbound_skipped_pkts_inpcb: 0,
          total_skipped_tcp_pkts: 5,
        },
        flows: [
          { laddr: '10.1.1.2', lport: 32291, faddr: '10.1.1.3', fport: 5001 },
          { laddr: '2001:db8::1', lport: 80, faddr: '2001:db8::2', fport: 65535 },
        ],
        cut: false,
      },
    ]);
  });

  test('a disable line without flows has an empty list (spec section 9)', () => {
    expect(siftrItems(disableLine(0, 0, 0, 0, ''))).toMatchObject([{ type: 'disable', flows: [] }]);
  });
});

describe('lines of SIFTR 1.2.x (spec section 16)', () => {
  const ENABLE =
    'enable_time_secs=1238556193\tenable_time_usecs=462104\tsiftrver=1.2.2\thz=1000\ttcp_rtt_scale=32\tsysname=FreeBSD\tsysver=604000\tipmode=4\n';
  /** 25 fields: hash, bandwidth window, srtt in 1/32 ticks, rto in ticks. */
  const LINE =
    'o,0xbec491a5,1238556193.463551,172.16.7.28,22,172.16.2.5,55931,1073725440,172312,6144,66560,66608,8,1,4,1448,1600,1,996,255,33304,208,66608,0,208';

  test('1.2.2 and 1.2.3: 25 fields, srtt and rto become microseconds by hz and tcp_rtt_scale', () => {
    const [enable, sample] = siftrItems(`${ENABLE}${LINE}\n`);
    expect(enable).toMatchObject({ siftrver: '1.2.2', hz: 1000, tcpRttScale: 32, sysver: '604000' });
    expect(sample).toEqual({
      type: 'sample',
      line: 2,
      timeUs: 1238556193463551,
      dir: 'o',
      laddr: '172.16.7.28',
      lport: 22,
      faddr: '172.16.2.5',
      fport: 55931,
      ssthresh: Infinity,
      cwnd: 172312,
      flags2: null,
      sndWnd: 66560,
      rcvWnd: 66608,
      sndScale: 8,
      rcvScale: 1,
      state: 4,
      mss: 1448,
      // 1600 thirty-seconds of a millisecond; 255 milliseconds.
      srtt: 50000,
      sack: true,
      flags: 996,
      rto: 255000,
      sndHiwat: 33304,
      sndCc: 208,
      rcvHiwat: 66608,
      rcvCc: 0,
      inflight: 208,
      segqlen: null,
      flowid: null,
      flowtype: null,
    });
  });

  test('with hz=100 a tick is ten milliseconds', () => {
    const [, sample] = siftrItems(`${ENABLE.replace('hz=1000', 'hz=100')}${LINE}\n`);
    expect(sample).toMatchObject({ srtt: 500000, rto: 2550000 });
  });

  test('1.2.4: a 26th field, and a 27th and 28th for the flow; of 27 the last is the ERTT of TEACUP, which can be -1', () => {
    const forms = samplesOf(siftrItems(`${ENABLE}${LINE},3\n${LINE},3,-1\n${LINE},3,86707916,130\n`));
    expect(forms.map((s) => [s.inflight, s.segqlen, s.flowid, s.flowtype])).toEqual([
      [208, 3, null, null],
      [208, 3, null, null],
      [208, 3, 86707916, 130],
    ]);
  });

  test('without the enable line that tells hz, srtt and rto are not known', () => {
    expect(siftrItems(`${LINE}\n`)).toMatchObject([{ srtt: null, rto: null, cwnd: 172312 }]);
    // As in a log of 1.3.0 before it, whose enable line has no hz.
    expect(siftrItems(`${ENABLE}${MAN_ENABLE}${LINE}\n`)).toMatchObject([{}, {}, { srtt: null, rto: null }]);
  });

  test('the window of SYN_SENT, which congestion control has not set yet, is not known', () => {
    const early = LINE.replace('172312', '1073725440').replace(',8,1,4,', ',0,0,2,');
    expect(siftrItems(`${early}\n`)).toMatchObject([{ cwnd: null, state: 2 }]);
    expect(siftrItems(`${LINE.replace('172312', '1073725440')}\n`)).toMatchObject([{ cwnd: 1073725440 }]);
  });

  test('the disable line has the two counts of 1.2.x more', () => {
    const line = disableLine(5, 5, 0, 0, '').replace(
      'num_inbound_skipped_pkts_tcpcb',
      'num_inbound_skipped_pkts_mtx=1\tnum_outbound_skipped_pkts_mtx=2\tnum_inbound_skipped_pkts_tcpcb',
    );
    expect(siftrItems(line)).toMatchObject([
      { counts: { num_inbound_skipped_pkts_mtx: 1, num_outbound_skipped_pkts_mtx: 2 } },
    ]);
  });

  test('a header with blanks, as the DTrace writer of TEACUP has it (spec section 12)', () => {
    expect(siftrItems(ENABLE.replaceAll('\t', ' '))).toMatchObject([{ type: 'enable', hz: 1000, siftrver: '1.2.2' }]);
  });
});

describe('a log that is not as it should be', () => {
  const GOOD = MAN_DATA_LINE;
  const broken = (line: string): string[] =>
    brokenOf(siftrItems(`${GOOD}${line}\n${GOOD}`)).map((b) => `${b.line}: ${b.why}`);
  const part = (from: number, to?: number): string => GOOD.trim().split(',').slice(from, to).join(',');

  test.each([
    [part(0, 26), '2: 26 fields; SIFTR 1.3.0 has 27'],
    [`${part(0)},1`, '2: more than 27 fields'],
    [`${part(0, 26)},`, '2: a comma at the end'],
    [GOOD.trim().replace('65160', ''), '2: field 10: not a number'],
    [GOOD.trim().replace('65160', '65x60'), '2: field 10: not a number'],
    [GOOD.trim().replace('65160', '-65160'), '2: field 10: not a number'],
    [GOOD.trim().replace('14480', '4294967296'), '2: field 8: more than 32 bits'],
    [GOOD.trim().replace('32291', '65536'), '2: not an address and a port'],
    [GOOD.trim().replace('.185109', ''), '2: field 2: not a time'],
    ['o,1685191814.185109,10.1.1.2', '2: fewer than 7 fields'],
    ['o,', '2: field 2: not a time'],
    ['x,1,2', '2: not a line of a SIFTR log'],
    ['', '2: an empty line'],
    ['enable_time_secs=1', '2: an enable line without its time'],
    ['disable_time_secs=x\tdisable_time_usecs=1', '2: a disable line without its time'],
    [
      disableLine(1, 1, 0, 0, '').trim().replace('total_tcp_pkts=2', 'total_tcp_pkts=-2'),
      '2: total_tcp_pkts: not a number',
    ],
  ])('%j is a broken line, and the lines around it are read', (line, why) => {
    expect(broken(line)).toEqual([why]);
    expect(samplesOf(siftrItems(`${GOOD}${line}\n${GOOD}`)).map((s) => s.line)).toEqual([1, 3]);
  });

  test('several cycles, and cycles without their enable or disable line, come as they are', () => {
    const log = `${GOOD}${disableLine(1, 0, 0, 0, '')}${MAN_ENABLE}${GOOD}${MAN_ENABLE}${GOOD}`;
    expect(siftrItems(log).map((item) => item.type)).toEqual([
      'sample',
      'disable',
      'enable',
      'sample',
      'enable',
      'sample',
    ]);
  });

  test('CRLF is a line end', () => {
    expect(siftrItems(`${MAN_ENABLE}${GOOD}`.replaceAll('\n', '\r\n'))).toEqual(siftrItems(`${MAN_ENABLE}${GOOD}`));
  });

  test('NUL bytes that a crash left are reported, and the line behind them is read', () => {
    expect(siftrItems(`${GOOD}${'\0'.repeat(5000)}${GOOD}\0\0\n${GOOD}`)).toMatchObject([
      { type: 'sample', line: 1 },
      { type: 'broken', line: 2, why: '5000 NUL bytes' },
      { type: 'sample', line: 2 },
      { type: 'broken', line: 3, why: '2 NUL bytes' },
      { type: 'sample', line: 4 },
    ]);
  });

  test('a last line that was cut is reported and not read; of a disable line what is there is', () => {
    expect(siftrItems(GOOD + GOOD.slice(0, -2))).toMatchObject([
      { type: 'sample' },
      { type: 'broken', line: 2, why: 'the last line has no end' },
    ]);
    // Port 50 may have been 5001.
    const cut = disableLine(7, 8, 0, 0, '10.1.1.2;32291-10.1.1.3;5001,10.1.1.2;32292-10.1.1.3;50').trimEnd();
    expect(siftrItems(cut)).toMatchObject([
      { type: 'disable', counts: { total_tcp_pkts: 15 }, flows: [{ lport: 32291 }], cut: true },
      { type: 'broken', line: 1 },
    ]);
    expect(siftrItems(disableLine(7, 8, 0, 0, '').trimEnd())).toMatchObject([
      { type: 'disable', counts: { total_skipped_tcp_pkts: 0 }, flows: [], cut: true },
      { type: 'broken', line: 1 },
    ]);
  });

  test('a disable line that was cut before its flow_list is none: its last number may lack digits', () => {
    const cut = disableLine(7, 8, 0, 0, '').slice(0, disableLine(7, 8, 0, 0, '').indexOf('\tflow_list'));
    expect(siftrItems(cut)).toEqual([{ type: 'broken', line: 1, why: 'the last line has no end' }]);
    // As where a killed writer left it, and the next cycle begins on a line of its own.
    expect(siftrItems(`${cut}\n${MAN_ENABLE}`)).toMatchObject([
      { type: 'broken', line: 1, why: 'a disable line without its flow_list' },
      { type: 'enable', line: 2 },
    ]);
  });

  test('a line longer than any is skipped up to its end, in one piece or in many', async () => {
    const log = `${GOOD}${'i'.repeat(3 * LINE_MAX)}\n${GOOD}`;
    for (const piece of [1 << 20, 1000]) {
      expect(await read(log, {}, piece)).toMatchObject([
        { type: 'sample', line: 1 },
        { type: 'broken', line: 2, why: `longer than ${LINE_MAX} bytes` },
        { type: 'sample', line: 3 },
      ]);
    }
  });

  test('a disable line lists as many flows as there were', async () => {
    const list = Array.from({ length: 5000 }, (_, i) => `192.0.2.1;${i + 1}-198.51.100.1;80,`).join('');
    const log = `${GOOD}${disableLine(1, 0, 0, 0, list)}${GOOD}`;
    for (const piece of [1 << 20, 1000]) {
      const all = await read(log, {}, piece);
      expect(all.map((item) => item.type)).toEqual(['sample', 'disable', 'sample']);
      const disable = all[1]!;
      expect(disable.type === 'disable' && disable.flows.length).toBe(5000);
    }
  });

  test('a long disable line is one wherever the text is cut into pieces, also within what tells it', async () => {
    const list = '192.0.2.1;5-198.51.100.1;80,'.repeat(LINE_MAX / 16);
    const log = Buffer.from(`${GOOD}${disableLine(1, 0, 0, 0, list)}`);
    for (let at = GOOD.length; at <= GOOD.length + 'disable_time_secs='.length; at++) {
      const pieces = Readable.from([log.subarray(0, at), log.subarray(at)]);
      const all = await items(await openLog(pieces, { format: 'siftr' }));
      expect([at, ...all.map((item) => item.type)]).toEqual([at, 'sample', 'disable']);
    }
  });

  test('where the text is cut into pieces makes no difference', async () => {
    const log = `${MAN_ENABLE}${GOOD}\0\0${GOOD}bad\r\n${GOOD.replace('10.1.1.2', '10.1.1.22')}${disableLine(4, 0, 0, 0, 'a;1-b;2,')}${GOOD.slice(0, 50)}`;
    const whole = siftrItems(log);
    expect(whole.map((item) => item.type).join()).toBe('enable,sample,broken,sample,broken,sample,disable,broken');
    for (const piece of [1, 2, 3, 7, 61, 150, 151]) expect(await read(log, { format: 'siftr' }, piece)).toEqual(whole);
  });
});

describe('what src/siftr writes', () => {
  const u32 = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 9, 10, 99999, 1e8, 1073725440, 0xffffffff));
  const names = [
    'ssthresh',
    'cwnd',
    'flags2',
    'snd_wnd',
    'rcv_wnd',
    'snd_scale',
    'rcv_scale',
    'state',
    'maxseg',
    'srtt',
    'flags',
    'rxtcur',
    'snd_hiwat',
    'snd_cc',
    'rcv_hiwat',
    'rcv_cc',
    'inflight',
    'segqlen',
    'flowid',
    'l3',
    'f3',
    'ports',
    'sec',
  ] as const;
  const record = fc
    .record({
      numbers: fc.array(u32, { minLength: names.length, maxLength: names.length }),
      usec: fc.nat(999999),
      out: fc.nat(1),
      type: fc.nat(255),
    })
    .map(({ numbers, usec, out, type }) => ({
      ...(Object.fromEntries(names.map((name, i) => [name, numbers[i]!])) as Record<(typeof names)[number], number>),
      usec,
      kind: out | (type << 8),
      l2: 0xffff,
      f2: 0xffff,
    }));
  const dotted = (n: number): string => [24, 16, 8, 0].map((s) => (n >>> s) & 255).join('.');

  test('is read back as it was', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), fc.nat(2 ** 50), (records, us) => {
        const lines = new DataLines();
        const out = new Uint8Array(DATA_LINE_MAX);
        let text = enableLine(us, siftrIdent('0.1.0'));
        let list = '';
        for (const values of records) {
          const rec = new Uint32Array(RECORD_WORDS);
          fill(rec, 0, values satisfies RecordValues);
          const flow = new Flow(rec, 0, null);
          list += `${flow.listEntry()},`;
          text += Buffer.from(out.subarray(0, lines.put(new DataView(out.buffer), 0, rec, 0, flow))).toString();
        }
        const counts = {
          numIn: records.length,
          numOut: 3,
          skippedMallocIn: 1,
          skippedMallocOut: 2,
          skippedTcpcbIn: 3,
          skippedTcpcbOut: 4,
          skippedInpcbIn: 5,
          skippedInpcbOut: 6,
        };
        const all = siftrItems(text + ourDisableLine(us + 1, counts, list));
        const tuples = records.map((v) => ({
          laddr: dotted(v.l3),
          lport: v.ports >>> 16,
          faddr: dotted(v.f3),
          fport: v.ports & 0xffff,
        }));
        expect(all[0]).toMatchObject({
          type: 'enable',
          timeUs: us,
          siftrver: '1.3.0',
          sysname: 'xsiftr',
          sysver: '1000100',
        });
        expect(all.slice(1, -1)).toEqual(
          records.map((v, i) => ({
            type: 'sample',
            line: i + 2,
            timeUs: v.sec * 1e6 + v.usec,
            dir: v.kind & 1 ? 'o' : 'i',
            ...tuples[i],
            ssthresh: v.ssthresh === 1073725440 ? Infinity : v.ssthresh,
            cwnd: v.cwnd,
            flags2: v.flags2,
            sndWnd: v.snd_wnd,
            rcvWnd: v.rcv_wnd,
            sndScale: v.snd_scale,
            rcvScale: v.rcv_scale,
            state: v.state,
            mss: v.maxseg,
            srtt: v.srtt,
            sack: (v.flags & 0x200) !== 0,
            flags: v.flags,
            rto: v.rxtcur,
            sndHiwat: v.snd_hiwat,
            sndCc: v.snd_cc,
            rcvHiwat: v.rcv_hiwat,
            rcvCc: v.rcv_cc,
            inflight: v.inflight,
            segqlen: v.segqlen,
            flowid: v.flowid,
            flowtype: v.kind >>> 8,
          })),
        );
        expect(all.at(-1)).toMatchObject({
          type: 'disable',
          timeUs: us + 1,
          counts: {
            num_inbound_tcp_pkts: records.length,
            total_tcp_pkts: records.length + 3,
            total_skipped_tcp_pkts: 21,
          },
          flows: tuples,
        });
      }),
      { numRuns: 100 },
    );
  });
});
