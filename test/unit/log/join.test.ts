import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { main } from '../../../src/cli/program.ts';
import { type Join, type JoinFilesOptions, joinFiles } from '../../../src/log/join/files.ts';
import type { JoinRow } from '../../../src/log/join/join.ts';
import { type PcapPacket, pcap } from './captures.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-join-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const START = 1_700_000_000;

/** A packet of the capture: time in µs after START, from the logging host or to it. */
function packet(us: number, out: boolean, flags: number, seq: number, ack: number, len: number): PcapPacket {
  const ip = Buffer.alloc(40 + len);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(40 + len, 2);
  ip.writeUInt8(6, 9);
  const [local, foreign] = [0xc0000201, 0xc0000202];
  ip.writeUInt32BE(out ? local : foreign, 12);
  ip.writeUInt32BE(out ? foreign : local, 16);
  ip.writeUInt16BE(out ? 80 : 4000, 20);
  ip.writeUInt16BE(out ? 4000 : 80, 22);
  ip.writeUInt32BE(seq, 24);
  ip.writeUInt32BE(ack, 28);
  ip.writeUInt8(5 << 4, 32);
  ip.writeUInt8(flags, 33);
  return { sec: START + Math.floor(us / 1e6), frac: us % 1e6, data: ip };
}

/** A line of the log with 27 fields (spec/siftr.md section 3): direction, time as above, state, bytes in flight. */
function line(dir: 'i' | 'o', us: number, inflight: number, state = 4): string {
  const time = `${START + Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, '0')}`;
  return `${dir},${time},192.0.2.1,80,192.0.2.2,4000,1073725440,14600,2,65535,65535,0,0,${state},1000,300,1,992,1000000,65536,0,65536,0,${inflight},0,7,130\n`;
}

function logOf(lines: readonly string[], modes = '', skipped = 0): string {
  const count = lines.length + skipped;
  return (
    `enable_time_secs=${START}\tenable_time_usecs=000000\tsiftrver=1.3.0\tsysname=xsiftr\tsysver=1000100\tipmode=4${modes}\n${lines.join('')}` +
    `disable_time_secs=${START + 9}\tdisable_time_usecs=000000\tnum_inbound_tcp_pkts=${count}\tnum_outbound_tcp_pkts=0\ttotal_tcp_pkts=${count}` +
    '\tnum_inbound_skipped_pkts_malloc=0\tnum_outbound_skipped_pkts_malloc=0\tnum_inbound_skipped_pkts_tcpcb=0\tnum_outbound_skipped_pkts_tcpcb=0' +
    '\tnum_inbound_skipped_pkts_inpcb=0\tnum_outbound_skipped_pkts_inpcb=0\ttotal_skipped_tcp_pkts=0\tflow_list=192.0.2.1;80-192.0.2.2;4000,\n'
  );
}

let n = 0;
async function joined(
  log: string,
  packets: readonly PcapPacket[],
  options: JoinFilesOptions = {},
): Promise<{ rows: JoinRow[]; it: Join }> {
  const paths = [join(dir, `${++n}.log`), join(dir, `${n}.pcap`)] as const;
  writeFileSync(paths[0], log);
  writeFileSync(paths[1], pcap({ le: true }, false, 101, packets));
  const it = await joinFiles(...paths, { offsetUs: 0, all: true, ...options });
  const rows: JoinRow[] = [];
  for await (const batch of it.rows()) rows.push(...batch);
  return { rows, it };
}

/** Line and frame of each row. */
const pairs = (rows: readonly JoinRow[]): unknown[] =>
  rows.map((r) => [r.sample?.line ?? r.why, r.captured?.segment.frame ?? r.why, r.by ?? '']);

/** A passive open, a request of 100 bytes, and then what is given. */
const opening: readonly PcapPacket[] = [
  packet(0, false, SYN, 999, 0, 0),
  packet(10, true, SYN | ACK, 4999, 1000, 0),
  packet(300, false, ACK, 1000, 5000, 0),
  packet(310, false, ACK, 1000, 5000, 100),
];

describe('the lines of a passive open', () => {
  const packets = [
    ...opening,
    packet(400, true, ACK, 5000, 1100, 1000),
    packet(410, true, ACK, 6000, 1100, 500),
    packet(700, false, ACK, 1100, 6500, 0),
    packet(710, true, FIN | ACK, 6500, 1100, 0),
    packet(900, false, RST, 1100, 0, 0),
    packet(910, true, RST, 6501, 0, 0),
    packet(1200, false, ACK, 1100, 6501, 0),
  ];

  const lines = [
    line('i', 311, 0),
    line('o', 399, 0),
    line('o', 409, 1000),
    line('i', 701, 1500),
    line('o', 709, 0, 6),
    line('i', 901, 1, 6),
  ];

  test('are of what comes after the handshake, and of no reset that we send (spec/siftr.md section 5.3)', async () => {
    const { rows, it } = await joined(logOf(lines), packets);
    expect(pairs(rows.filter((r) => r.sample !== null))).toEqual([
      [2, 4, 'order'],
      [3, 5, 'seq'],
      [4, 6, 'seq'],
      [5, 7, 'ack'],
      [6, 8, 'seq'],
      [7, 9, 'order'],
    ]);
    expect(it.summary.segmentsAlone).toMatchObject({ handshake: 3, reset: 1, closed: 1, unmatched: 0 });
    expect(rows[1]).toMatchObject({ diffUs: 1, captured: { relSeq: 1, relAck: 101 } });
  });

  test('with hook:tcp begin with the ACK of the handshake, and say what they are themselves of (section 14 item 5)', async () => {
    const after = [
      line('i', 301, 0),
      line('i', 311, 0),
      line('o', 401, 1000),
      line('o', 411, 1500),
      line('i', 701, 0),
      line('o', 711, 1, 6),
    ];
    const { rows } = await joined(logOf(after, '\txsiftr=hook:tcp'), packets);
    expect(pairs(rows.filter((r) => r.sample !== null))).toEqual([
      [2, 3, 'order'],
      [3, 4, 'order'],
      [4, 5, 'seq'],
      [5, 6, 'seq'],
      [6, 7, 'ack'],
      [7, 8, 'seq'],
    ]);
  });

  test('with a segment that was lost on its way have one less', async () => {
    const { rows, it } = await joined(
      logOf(lines.slice(0, 5)),
      packets.filter((_, i) => i !== 4),
    );
    expect(rows.find((r) => r.sample?.line === 3)).toMatchObject({ captured: null, why: 'unmatched' });
    expect(it.summary.linesAlone.unmatched).toBe(1);
    expect(it.summary.segmentsAlone.unmatched).toBe(0);
  });
});

test('of a log that begins later than the connection, segments are not counted from the SYN', async () => {
  const packets = [
    ...opening,
    packet(400, true, ACK, 5000, 1100, 1000),
    packet(410, true, ACK, 6000, 1100, 1000),
    packet(420, true, ACK, 7000, 1100, 1000),
    packet(20000, false, ACK, 1100, 7000, 0),
    packet(30000, true, ACK, 8000, 1100, 1000),
    packet(30010, true, ACK, 9000, 1100, 1000),
    packet(30020, true, ACK, 10000, 1100, 1000),
    packet(30030, true, ACK, 11000, 1100, 1000),
  ];
  // In flight are the segments from 7000 on.
  const lines = [line('o', 29999, 1000), line('o', 30009, 2000), line('o', 30019, 3000), line('o', 30029, 4000)];
  const { rows } = await joined(logOf(lines), packets);
  expect(pairs(rows.filter((r) => r.sample !== null))).toEqual([
    [2, 9, 'order'],
    [3, 10, 'order'],
    [4, 11, 'order'],
    [5, 12, 'order'],
  ]);
});

test('a segment that the capture has as one is of several lines, each of a piece of it (GRO)', async () => {
  const lines = [
    line('i', 311, 0),
    line('o', 400, 0),
    line('o', 400, 1000),
    line('o', 400, 2000),
    line('i', 700, 2500),
  ];
  const { rows } = await joined(logOf(lines), [
    ...opening,
    packet(402, true, ACK, 5000, 1100, 2500),
    packet(699, false, ACK, 1100, 7500, 0),
  ]);
  expect(
    rows.filter((r) => r.sample?.dir === 'o').map((r) => [r.captured?.segment.frame, r.piece, r.pieces, r.by]),
  ).toEqual([
    [5, 1, 3, 'seq'],
    [5, 2, 3, 'seq'],
    [5, 3, 3, 'seq'],
  ]);
});

test('a line of a segment that the card cut is of the first part, and the others are parts of it (TSO)', async () => {
  const parts = [0, 1, 2].map((k) => packet(402 + k, true, ACK, 5000 + 1000 * k, 1100, 1000));
  const lines = [line('i', 311, 0), line('o', 400, 0), line('i', 700, 3000), line('i', 800, 0)];
  const rest = [packet(699, false, ACK, 1100, 8000, 0), packet(799, false, ACK, 1100, 8000, 10)];
  const { rows, it } = await joined(logOf(lines), [...opening, ...parts, ...rest]);
  expect(rows.find((r) => r.sample?.dir === 'o')).toMatchObject({ by: 'seq', captured: { segment: { frame: 5 } } });
  expect(it.summary.segmentsAlone).toMatchObject({ covered: 2, unmatched: 0 });
});

test('of every tenth packet only (ppl) lines are paired by time, and say so', async () => {
  const data = Array.from({ length: 400 }, (_, k) => packet(1000 + 1000 * k, false, ACK, 1100 + 10 * k, 5000, 10));
  const lines = Array.from({ length: 40 }, (_, k) => line('i', 1000 + 1000 * (10 * k + 9) + 20, 0));
  const { rows, it } = await joined(logOf(lines, '', 361), [...opening, ...data]);
  expect(rows.filter((r) => r.sample !== null).map((r) => r.captured?.segment.frame)).toEqual(
    lines.map((_, k) => 5 + 10 * k + 9),
  );
  expect(it.summary.by).toEqual({ seq: 0, ack: 0, order: 0, time: 40 });
  expect(it.summary.suppressed).toBe(361);
});

test('segments of other connections, and of a time when the log was off, are counted apart', async () => {
  const other = Buffer.from(packet(500, true, ACK, 1, 1, 0).data);
  other.writeUInt16BE(81, 20);
  const late = packet(20_000_000, false, ACK, 1100, 5000, 0);
  const { it } = await joined(logOf([line('i', 311, 0)]), [...opening, { sec: START, frac: 500, data: other }, late]);
  expect(it.summary.segmentsAlone).toMatchObject({ handshake: 3, 'no-connection': 1, outside: 1, unmatched: 0 });
});

describe('xsiftr log join', () => {
  const log = join(dir, 'a.log');
  const capture = join(dir, 'a.pcap');
  writeFileSync(log, logOf([line('i', 311, 0), 'garbage\n']));
  writeFileSync(capture, pcap({ le: true }, false, 101, opening));

  /** Runs it; gives the exit status and standard error. */
  async function cli(...words: string[]): Promise<{ code: number; stderr: string }> {
    const write = process.stderr.write;
    let stderr = '';
    process.stderr.write = (text: string | Uint8Array) => {
      stderr += text;
      return true;
    };
    process.exitCode = 0;
    try {
      await main(['log', 'join', ...words]);
      return { code: process.exitCode ?? 0, stderr };
    } finally {
      process.stderr.write = write;
      process.exitCode = 0;
    }
  }

  test('writes CSV and NDJSON that have the same, and names the line that it left out', async () => {
    // The end of the name says what is wanted.
    for (const [format, ...words] of [['csv'], ['ndjson'], ['table', '--format', 'table']]) {
      const { code, stderr } = await cli(log, capture, ...words, '-o', join(dir, `rows.${format}`));
      expect([code, stderr]).toEqual([0, expect.stringContaining('a.log: left out line 3')]);
      expect(stderr).toMatch(/^paired +1 /m);
    }
    const csv = readFileSync(join(dir, 'rows.csv'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((row) => row.split(','));
    const json = JSON.parse(readFileSync(join(dir, 'rows.ndjson'), 'utf8')) as Record<string, unknown>;
    expect(csv[0]).toEqual(Object.keys(json));
    expect(csv[1]).toEqual(Object.values(json).map((v) => (v === null ? '' : String(v))));
    expect(json).toMatchObject({
      line: 2,
      seg_frame: 4,
      seg_time: `${START}.000310000`,
      diff_us: -1,
      seg_len: 100,
      seg_flags: '.',
    });
    expect(readFileSync(join(dir, 'rows.table'), 'utf8').split('\n')).toHaveLength(3);
  });

  test.each([
    [[log, log], 2, 'is no capture; pcapng and pcap files are read, also as .gz, .xz and .zst'],
    [[log, join(dir, 'none')], 1, 'cannot be read (ENOENT)'],
    [[log, capture, '--interface', 'eth0'], 2, 'no interface eth0; it has 0'],
    [[log, capture, '--offset', 'soon'], 2, '--offset soon: allowed is a time with its sign, as 0, 20ms or -1.5s'],
    [[log, capture, '--window', '0'], 2, '--window 0: allowed is a time above 0, as 200ms or 5s'],
    [[capture, capture], 2, ''],
  ])('%j is refused in one line, and leaves no file', async (words, code, text) => {
    const out = join(dir, 'refused.csv');
    const r = await cli(...words, '-o', out);
    expect(r.code).toBe(code);
    expect(r.stderr).toContain(text);
    expect(r.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(readdirSync(dir).filter((name) => name.startsWith('refused'))).toEqual([]);
  });
});
