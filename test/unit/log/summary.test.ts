import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { flowFilter } from '../../../src/log/flows.ts';
import { openLog } from '../../../src/log/open.ts';
import { hasFaults, type LogSummary, type SummaryOptions, summarize } from '../../../src/log/summary/summary.ts';
import { summaryText } from '../../../src/log/summary/text.ts';
import { disableLine, MAN_ENABLE } from './reading.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-summary-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let files = 0;
async function summaryOf(text: string, options: SummaryOptions = {}, meta?: unknown): Promise<LogSummary> {
  const path = join(dir, `${files++}.log`);
  writeFileSync(path, text);
  if (meta !== undefined) writeFileSync(`${path}.meta.json`, typeof meta === 'string' ? meta : JSON.stringify(meta));
  return summarize(await openLog(path), options);
}

interface Line {
  readonly dir?: 'i' | 'o';
  readonly us?: number;
  readonly laddr?: string;
  readonly ssthresh?: number;
  readonly cwnd?: number;
  readonly state?: number;
  readonly srtt?: number;
  readonly flags?: number;
  readonly inflight?: number;
}

function line(l: Line): string {
  const us = String(l.us ?? 0).padStart(6, '0');
  return `${l.dir ?? 'o'},1685191814.${us},${l.laddr ?? '192.0.2.1'},80,198.51.100.7,4000,${l.ssthresh ?? 1073725440},${l.cwnd ?? 14480},2,65160,65700,7,9,${l.state ?? 4},1460,${l.srtt ?? 1000},1,${l.flags ?? 0x3e1},230000,33580,0,65700,0,${l.inflight ?? 0},0,1,130\n`;
}

const LIST = '192.0.2.1;80-198.51.100.7;4000,';
const FASTRECOVERY = 0x100000;

describe('the table of a flow', () => {
  test('holds time, packets each way, least, mean and greatest values, thresholds, hints and states', async () => {
    const s = await summaryOf(
      MAN_ENABLE +
        line({ dir: 'o', us: 100, cwnd: 14480, srtt: 0, inflight: 0 }) +
        line({ dir: 'i', us: 200, cwnd: 20000, srtt: 1000, inflight: 1000 }) +
        line({ dir: 'i', us: 300, cwnd: 10000, srtt: 3000, inflight: 2000, ssthresh: 10000, flags: FASTRECOVERY }) +
        line({ dir: 'o', us: 400, cwnd: 10000, srtt: 2000, inflight: 3000, ssthresh: 10000, flags: FASTRECOVERY }) +
        line({ dir: 'o', us: 500, cwnd: 1460, srtt: 2000, ssthresh: 5000 }) +
        line({ dir: 'o', us: 600, cwnd: 1460, srtt: 2000, ssthresh: 6000, state: 6 }) +
        line({
          dir: 'i',
          us: 700,
          cwnd: 2920,
          srtt: 2000,
          ssthresh: 6000,
          state: 10,
          flags: FASTRECOVERY,
        }),
    );
    expect(s.flows).toEqual([
      {
        flow: '192.0.2.1;80-198.51.100.7;4000',
        laddr: '192.0.2.1',
        lport: 80,
        faddr: '198.51.100.7',
        fport: 4000,
        start_us: 1685191814000100,
        duration_us: 600,
        samples: 7,
        in: 3,
        out: 4,
        cwnd_bytes: { min: 1460, mean: (14480 + 20000 + 10000 + 10000 + 1460 + 1460 + 2920) / 7, max: 20000 },
        // 0 is no sample yet.
        srtt_us: { min: 1000, mean: 12000 / 6, max: 3000 },
        inflight_bytes: { min: 0, mean: 6000 / 7, max: 3000 },
        ssthresh_changes: 3,
        ssthresh_bytes: { first: null, last: 6000, min: 5000 },
        fast_recoveries: 2,
        cwnd_collapses: 1,
        states: ['ESTABLISHED', 'FIN_WAIT_1', 'TIME_WAIT'],
      },
    ]);
  });

  test('says how often a connection was polled', async () => {
    const poll = '1685191814.5\nESTAB 0 0 192.0.2.1:80 198.51.100.7:4000 cwnd:10 mss:1448\n';
    expect(summaryText(await summaryOf(poll))).toContain('; 1 poll; ESTABLISHED\n');
    expect(summaryText(await summaryOf(poll + poll.replace('.5', '.6')))).toContain('; 2 polls; ESTABLISHED\n');
  });

  test('takes a window of one segment for a timeout where it is one: not in fast recovery, and not as the log begins', async () => {
    const collapses = async (...lines: Line[]) =>
      (await summaryOf(lines.map((l) => line(l)).join(''))).flows[0]!.cwnd_collapses;
    const [wide, one] = [{ cwnd: 14480 }, { cwnd: 1460 }];
    const reduced = { cwnd: 1460, flags: FASTRECOVERY };
    expect(await collapses(wide, one, one)).toBe(1);
    expect(await collapses(wide, one, wide, one)).toBe(2);
    expect(await collapses(one, one, wide)).toBe(0);
    expect(await collapses(wide, reduced, reduced, wide)).toBe(0);
    expect(await collapses(wide, reduced, one)).toBe(1);
  });

  test('is one a flow, in the order of the log, of those that --flow chooses', async () => {
    const log = ['192.0.2.9', '192.0.2.1', '2001:db8::1', '192.0.2.9'].map((laddr) => line({ laddr })).join('');
    const flows = async (...patterns: string[]) =>
      (await summaryOf(log, { filter: flowFilter(patterns) })).flows.map((f) => [f.laddr, f.samples]);
    expect(await flows()).toEqual([
      ['192.0.2.9', 2],
      ['192.0.2.1', 1],
      ['2001:db8::1', 1],
    ]);
    expect(await flows('192.0.2.9;*-*;*')).toEqual([['192.0.2.9', 2]]);
    // What a damaged log has in place of an address is any all the same.
    const damaged = line({ laddr: '192.0.2x9' });
    const chosen = async (p: string) => (await summaryOf(damaged, { filter: flowFilter([p]) })).flows.length;
    expect([await chosen('*;80-*;*'), await chosen('0.0.0.0/0;*-*;*')]).toEqual([1, 0]);
    expect(await flows('192.0.2.0/29;80-*;4000')).toEqual([['192.0.2.1', 1]]);
    expect(await flows('192.0.2.9;*-*;*', '2001:DB8:0::/32;*-198.51.100.7;*')).toEqual([
      ['192.0.2.9', 2],
      ['2001:db8::1', 1],
    ]);
    expect(await flows('*;81-*;*')).toEqual([]);
  });

  test.each([
    '',
    '192.0.2.1',
    '192.0.2.1;80',
    'x;*-*;*',
    '192.0.2.1/33;*-*;*',
    '192.0.2.1/;*-*;*',
    '192.0.2.0/24/3;*-*;*',
    'fe80::1%eth0;*-*;*',
    '*;65536-*;*',
    '*;x-*;*',
  ])('refuses the pattern %j', (pattern) => {
    expect(() => flowFilter([pattern])).toThrow(
      `flow ${pattern}: allowed is laddr;lport-faddr;fport, as 192.0.2.1;*-198.51.100.0/24;80, * for any part`,
    );
  });
});

describe('the checks of a cycle (spec sections 7 and 9)', () => {
  const results = (s: LogSummary, cycle = 0): string[] =>
    s.cycles[cycle]!.checks.map((c) => `${c.result}: ${c.detail}`);
  const IN = line({ dir: 'i' });
  const OUT = line({ dir: 'o' });

  test('as in siftr(4): 20 packets, 4 of them skipped, and 16 lines', async () => {
    const s = await summaryOf(MAN_ENABLE + IN.repeat(8) + OUT.repeat(8) + disableLine(10, 10, 2, 2, LIST));
    expect(results(s)).toEqual([
      'ok: the totals of the disable line are the sums of its counts',
      'ok: 16 packets seen and not skipped, 16 data lines',
      'ok: flow_list names 1 flow, and each with a data line is among them',
    ]);
    expect(hasFaults(s)).toBe(false);
    expect(s.cycles[0]).toMatchObject({
      line: 1,
      lines: 16,
      flows: 1,
      enable: { enable_time_us: 1685191807160752, sysname: 'FreeBSD', hz: null, modes: [] },
      disable: { disable_time_us: 1685191816629397, total_tcp_pkts: 20, num_inbound_skipped_pkts_tcpcb: 2 },
    });
  });

  test('lines that are missing may have been left out by ppl; lines too many are a fault', async () => {
    const few = await summaryOf(MAN_ENABLE + IN + disableLine(10, 0, 0, 0, LIST));
    expect(results(few)[1]).toBe(
      'unknown: 10 packets seen and not skipped, 1 data line: 9 missing; ppl leaves some out, or a part of the cycle is in another file',
    );
    expect(hasFaults(few)).toBe(false);
    const many = await summaryOf(MAN_ENABLE + IN + IN + disableLine(1, 0, 0, 0, LIST));
    expect(results(many)[1]).toBe('failed: 1 packet seen and not skipped, 2 data lines: 1 too many');
    expect(hasFaults(many)).toBe(true);
  });

  test('broken lines are missing, too, and a fault', async () => {
    const s = await summaryOf(`${MAN_ENABLE}${IN}o,1,2\n${disableLine(2, 0, 0, 0, LIST)}`);
    expect(results(s)[1]).toMatch(/: 1 missing, and 1 broken line;/);
    expect([s.broken, s.broken_lines]).toEqual([1, [{ type: 'broken', line: 3, why: 'field 2: not a time' }]]);
    expect(hasFaults(s)).toBe(true);
  });

  test('in 1.2.x a port filter leaves lines out as well', async () => {
    const s = await summaryOf(MAN_ENABLE.replace('1.3.0', '1.2.4') + IN + disableLine(2, 0, 0, 0, LIST));
    expect(results(s)[1]).toMatch(/ppl leaves some out, a port filter, or a part/);
  });

  test('totals that are no sums, and flows that flow_list lacks, are faults', async () => {
    const s = await summaryOf(
      MAN_ENABLE +
        IN +
        disableLine(1, 0, 0, 0, '192.0.2.2;80-198.51.100.7;4000,').replace('total_tcp_pkts=1', 'total_tcp_pkts=2'),
    );
    expect(results(s)).toEqual([
      'failed: the disable line says total_tcp_pkts=2 and total_skipped_tcp_pkts=0, its counts sum up to 1 and 0',
      expect.stringMatching(/^unknown/),
      'failed: flow_list names 1 flow, and lacks 1 flow: 192.0.2.1;80-198.51.100.7;4000',
    ]);
  });

  test('where the log ends within flow_list, what the list lacks is no fault of it', async () => {
    const log = `${MAN_ENABLE}${IN}${disableLine(1, 0, 0, 0, '192.0.2.2;80-198.51.100.7;4000,')}`;
    expect(results(await summaryOf(log.slice(0, -5)))).toEqual([
      'ok: the totals of the disable line are the sums of its counts',
      'ok: 1 packet seen and not skipped, 1 data line',
      'unknown: flow_list, cut where the log ends, names 0 flows, and lacks 1 flow: 192.0.2.1;80-198.51.100.7;4000',
    ]);
    const counts = log.slice(0, log.indexOf('\tflow_list'));
    expect(results(await summaryOf(counts))).toEqual(['unknown: no disable line, so there are no counts to check']);
  });

  test('each cycle of a file has its own, without a disable line nothing is checked', async () => {
    const s = await summaryOf(
      IN + disableLine(1, 0, 0, 0, LIST) + MAN_ENABLE + IN + MAN_ENABLE + OUT + disableLine(0, 1, 0, 0, LIST),
    );
    expect(s.cycles.map((c) => [c.line, c.lines, c.enable === null])).toEqual([
      [1, 1, true],
      [3, 1, false],
      [5, 1, false],
    ]);
    expect(results(s, 1)).toEqual(['unknown: no disable line, so there are no counts to check']);
    expect(results(s, 2)[1]).toMatch(/^ok/);
  });

  test('a list that xsiftr was told to shorten is no fault; FILE.flows has the rest', async () => {
    const log = MAN_ENABLE.replace('FreeBSD', 'xsiftr') + IN + disableLine(1, 0, 0, 0, '');
    const s = await summaryOf(log);
    expect(results(s)[2]).toBe('unknown: flow_list names 0 flows, and lacks 1 flow: 192.0.2.1;80-198.51.100.7;4000');
    const path = join(dir, `${files++}.log`);
    writeFileSync(path, log);
    writeFileSync(`${path}.flows`, '192.0.2.9;1-198.51.100.7;2\n192.0.2.1;80-198.51.100.7;4000\nelse\n');
    expect(results(await summarize(await openLog(path)))[2]).toBe(
      'ok: flow_list names 0 flows, FILE.flows 2, and each with a data line is among them',
    );
  });

  const META = {
    meta: 1,
    cycles: [
      {
        enable_time: '1685191807.160752',
        program: { name: 'xsiftr', version: '0.1.0', commit: '0123456789abcdef' },
        congestion_control: 'cubic',
        seed: 7,
        counts: { data_lines: 1, suppressed: 8, lost: 1 },
      },
    ],
  };

  test('with FILE.meta.json beside the log, what ppl left out is known', async () => {
    const log = (n: number) => MAN_ENABLE + IN + disableLine(n, 0, 0, 0, LIST);
    const s = await summaryOf(log(10), {}, META);
    expect(results(s)[1]).toBe('ok: 10 packets seen and not skipped, 1 data line, 9 records left out');
    expect(results(await summaryOf(log(11), {}, META))[1]).toBe(
      'unknown: 11 packets seen and not skipped, 1 data line, 9 records left out: 1 missing; perhaps a part of the cycle is in another file',
    );
    expect(summaryText(s)).toContain('made by   xsiftr 0.1.0 (0123456789ab), cubic, seed 7\n');
  });

  test('what stands beside a log counts when the log was compressed since', async () => {
    const path = join(dir, 'rotated.log');
    const log = MAN_ENABLE.replace('FreeBSD', 'xsiftr') + IN + disableLine(10, 0, 0, 0, '');
    writeFileSync(`${path}.gz`, gzipSync(log));
    writeFileSync(`${path}.meta.json`, JSON.stringify(META));
    writeFileSync(`${path}.flows`, '192.0.2.1;80-198.51.100.7;4000\n');
    expect(results(await summarize(await openLog(`${path}.gz`)))).toEqual([
      expect.stringMatching(/^ok/),
      'ok: 10 packets seen and not skipped, 1 data line, 9 records left out',
      'ok: flow_list names 0 flows, FILE.flows 1, and each with a data line is among them',
    ]);
  });

  test.each([
    '{',
    '[]',
    'null',
    '{"cycles":[null,1]}',
    '{"cycles":[{"enable_time":"1685191807.160752","program":3,"counts":[]}]}',
  ])('something else in FILE.meta.json is no fault: %s', async (meta) => {
    const s = await summaryOf(MAN_ENABLE + IN + disableLine(1, 0, 0, 0, LIST), {}, meta);
    expect(results(s)[1]).toMatch(/^ok/);
    expect(summaryText(s)).toContain('1 data line\n');
  });
});
