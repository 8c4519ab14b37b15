import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { openLog } from '../../../src/log/open.ts';
import { parseStatNames, STAT_DEFAULT, type StatRecord, statHeader, statLine } from '../../../src/views/tcpstats.ts';
import { brokenOf, items, read, samplesOf } from './reading.ts';

const RECORD: StatRecord = {
  time_us: 1685191814185109,
  laddr: '192.0.2.1',
  lport: 80,
  faddr: '192.0.2.2',
  fport: 40000,
  state: 'FIN-WAIT-2',
  cwnd_bytes: 14480,
  snd_wnd_bytes: 65160,
  rcv_wnd_bytes: 65700,
  snd_wscale: 7,
  rcv_wscale: 9,
  mss_bytes: 1448,
  rtt_us: 1000,
  rto_us: 230000,
  sack: true,
  sndbuf_bytes: 33580,
  send_q: 1448,
  rcvbuf_bytes: 65700,
  recv_q: 0,
  unacked_bytes: 1448,
  inflight_bytes: 0,
  cc: 'my,"own"',
  flowid: 86707916,
};

const SAMPLE = {
  type: 'sample',
  line: 2,
  timeUs: 1685191814185109,
  dir: null,
  laddr: '192.0.2.1',
  lport: 80,
  faddr: '192.0.2.2',
  fport: 40000,
  ssthresh: Infinity,
  cwnd: 14480,
  flags2: null,
  sndWnd: 65160,
  rcvWnd: 65700,
  sndScale: 7,
  rcvScale: 9,
  state: 9,
  mss: 1448,
  srtt: 1000,
  sack: true,
  flags: null,
  rto: 230000,
  sndHiwat: 33580,
  sndCc: 1448,
  rcvHiwat: 65700,
  rcvCc: 0,
  inflight: 1448,
  segqlen: null,
  flowid: 86707916,
  flowtype: null,
};

describe('samples of xsiftr tcpstats', () => {
  test('are told by their header line or their first object, and read as the samples of any log', async () => {
    const csv = await openLog(Readable.from([Buffer.from(statHeader(STAT_DEFAULT) + statLine(STAT_DEFAULT, RECORD))]));
    expect(csv.format).toBe('tcpstats');
    expect(await items(csv)).toEqual([SAMPLE]);
    const json = await openLog(Readable.from([Buffer.from(`${JSON.stringify(RECORD)}\n`)]));
    expect(json.format).toBe('tcpstats');
    // An object does not tell whether the threshold was asked for.
    expect(await items(json)).toEqual([{ ...SAMPLE, line: 1, ssthresh: null }]);
  });

  test('are told when their lines end with CR LF, as after a way through a spreadsheet', async () => {
    const text = (statHeader(STAT_DEFAULT) + statLine(STAT_DEFAULT, RECORD)).replaceAll('\n', '\r\n');
    const csv = await openLog(Readable.from([Buffer.from(text)]));
    expect(csv.format).toBe('tcpstats');
    expect(await items(csv)).toEqual([SAMPLE]);
  });

  test('have the columns that were chosen, and the others as unknown; a second header line changes them', async () => {
    const few = parseStatNames('fport,time_us,laddr,lport,faddr,cwnd_bytes');
    const more = parseStatNames('default');
    const text = statHeader(few) + statLine(few, RECORD) + statHeader(more) + statLine(more, RECORD);
    const got = samplesOf(await read(text));
    expect(got[0]).toMatchObject({ fport: 40000, cwnd: 14480, ssthresh: null, srtt: null, state: null, sack: null });
    expect(got[1]).toEqual({ ...SAMPLE, line: 4 });
  });

  test('that cannot be read are reported by number, the rest is still read', async () => {
    const head = 'time_us,laddr,lport,faddr,fport,state,cwnd_bytes';
    const good = '1,192.0.2.1,80,192.0.2.2,40000,ESTAB,10';
    const lines = [
      head,
      good,
      '2,192.0.2.1,80,192.0.2.2,40000,ESTAB',
      '3,192.0.2.1,x,192.0.2.2,40000,ESTAB,10',
      '4,192.0.2.1,80,192.0.2.2,40000,BOGUS,10',
      '5,192.0.2.1,80,192.0.2.2,40000,ESTAB,-1',
      '6,192.0.2.1,80,,40000,ESTAB,10',
      '{"time_us":',
      good,
      // No date has this time.
      good.replace('1,', '1e300,'),
    ];
    const all = await read(`${lines.join('\n')}\n7,192.0`);
    expect(samplesOf(all).map((s) => s.line)).toEqual([2, 9]);
    expect(brokenOf(all).map((b) => `${b.line}: ${b.why}`)).toEqual([
      '3: 6 columns, the header line names 7',
      '4: time or ports are no numbers',
      '5: BOGUS: not a state',
      '6: cwnd -1: not a whole number below 2^32',
      '7: no faddr',
      '8: not an object',
      '10: time or ports are no numbers',
      '11: the last line has no end',
    ]);
    const headless = await read(`${good}\n`, { format: 'tcpstats' });
    expect(brokenOf(headless).map((b) => b.why)).toEqual(['no line with the names of the columns before it']);
  });
});
