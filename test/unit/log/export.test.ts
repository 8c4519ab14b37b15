import {
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, describe, expect, test } from 'vitest';
import { AtomicFile } from '../../../src/log/atomic-file.ts';
import { COLUMNS } from '../../../src/log/export/columns.ts';
import { createExporter, EXPORT_FORMATS } from '../../../src/log/export/export.ts';
import { MAN_DATA_LINE } from '../siftr/records.ts';
import { read, samplesOf } from './reading.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-export-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** What DuckDB reads, with whole numbers as numbers. */
async function query(sql: string): Promise<Record<string, unknown>[]> {
  const db = await DuckDBInstance.create(':memory:');
  const connection = await db.connect();
  try {
    const rows = (await connection.runAndReadAll(sql)).getRowObjects();
    return rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([k, v]) => [k, typeof v === 'bigint' ? Number(v) : v])),
    );
  } finally {
    connection.closeSync();
    db.closeSync();
  }
}

/** A sample that tells all; one with the greatest numbers; one of 1.2.x, which tells less and whose srtt is no whole number; a poll with ss. */
const SIFTR =
  MAN_DATA_LINE.replace('1073725440', '28960') +
  MAN_DATA_LINE.replace('14480', '4294967295').replace('86707916', '4294967295') +
  'enable_time_secs=1\tenable_time_usecs=000000\tsiftrver=1.2.3\thz=1000\ttcp_rtt_scale=32\tsysname=FreeBSD\tsysver=1\tipmode=6\n' +
  'i,0x00000000,1.000001,2001:db8:0:0:0:0:0:1,22,2001:db8:0:0:0:0:0:2,55931,1073725440,172312,6144,66560,66608,8,1,4,1448,1601,0,996,255,33304,208,66608,0,208\n';
const SS =
  '5.25\nESTAB 1 2 192.0.2.1:80 192.0.2.2:81 cubic wscale:7,7 rto:201 rtt:1.5/0.5 mss:1000 cwnd:10 ssthresh:7 unacked:3\n';

/** The rows as they must be, but for the log's name. */
const ROWS: readonly Readonly<Record<string, unknown>>[] = [
  {
    line: 1,
    time_us: 1685191814185109,
    dir: 'o',
    laddr: '10.1.1.2',
    lport: 32291,
    faddr: '10.1.1.3',
    fport: 5001,
    ssthresh_bytes: 28960,
    cwnd_bytes: 14480,
    flags2: 2,
    snd_wnd_bytes: 65160,
    rcv_wnd_bytes: 65700,
    snd_scale: 7,
    rcv_scale: 9,
    state: 4,
    mss_bytes: 1460,
    srtt_us: 1000,
    sack: true,
    flags: 16778209,
    rto_us: 230000,
    snd_buf_bytes: 33580,
    snd_buf_used_bytes: 0,
    rcv_buf_bytes: 65700,
    rcv_buf_used_bytes: 0,
    inflight_bytes: 0,
    reass_segments: 0,
    flowid: 86707916,
    flowtype: 130,
  },
  { line: 2, ssthresh_bytes: null, cwnd_bytes: 4294967295, flowid: 4294967295 },
  {
    line: 4,
    time_us: 1000001,
    dir: 'i',
    laddr: '2001:db8:0:0:0:0:0:1',
    flags2: null,
    srtt_us: 50031.25,
    rto_us: 255000,
    sack: false,
    reass_segments: null,
    flowid: null,
    flowtype: null,
  },
  {
    line: 2,
    time_us: 5250000,
    dir: null,
    state: 4,
    cwnd_bytes: 10000,
    ssthresh_bytes: 7000,
    sack: null,
    flags: null,
    srtt_us: 1500,
  },
];
/** Needs quoting in CSV and JSON. */
const NAME = 'a "log", of\nSIFTR';

describe.each(EXPORT_FORMATS)('an export as %s', (format) => {
  test('is read by DuckDB with the same values under the same names', async () => {
    const path = join(dir, `all.${format}`);
    const out = await AtomicFile.create(path, []);
    const exporter = await createExporter(format, out);
    await exporter.write(samplesOf(await read(SIFTR)), NAME);
    await exporter.write([], NAME);
    await exporter.write(samplesOf(await read(SS)), 'polls');
    await exporter.end();
    await out.commit();
    const rows = await query(`SELECT * FROM '${path}'`);
    expect(rows.map((r) => r.log)).toEqual([NAME, NAME, NAME, 'polls']);
    expect(rows).toMatchObject(ROWS);
    for (const row of rows) expect(Object.keys(row)).toEqual(['log', ...COLUMNS.map((c) => c.name)]);
    expect(await query(`SELECT sum(cwnd_bytes) AS n FROM '${path}' WHERE lport = 32291`)).toEqual([
      { n: 14480 + 4294967295 },
    ]);
  });

  test('of nothing has its columns all the same, or is empty', async () => {
    const path = join(dir, `none.${format}`);
    const out = await AtomicFile.create(path, []);
    const exporter = await createExporter(format, out);
    await exporter.end();
    await out.commit();
    if (format === 'ndjson') expect(readFileSync(path, 'utf8')).toBe('');
    else {
      expect(await query(`SELECT * FROM '${path}'`)).toEqual([]);
      expect((await query(`DESCRIBE SELECT * FROM '${path}'`)).map((c) => c.column_name)).toEqual([
        'log',
        ...COLUMNS.map((c) => c.name),
      ]);
    }
  });
});

test('an address of a damaged log is in quotes in CSV where it must be (RFC 4180 section 2)', async () => {
  const path = join(dir, 'damaged.csv');
  const out = await AtomicFile.create(path, []);
  const exporter = await createExporter('csv', out);
  await exporter.write(samplesOf(await read(MAN_DATA_LINE.replace('10.1.1.2', '10.1"1.2'))), 'a.log');
  await exporter.end();
  await out.commit();
  expect(readFileSync(path, 'utf8').split('\n')[1]).toMatch(/^a\.log,1,1685191814185109,o,"10\.1""1\.2",32291,/);
});

test('Parquet is written in row groups, so that memory does not grow with the log', async () => {
  const path = join(dir, 'groups.parquet');
  const [sample] = samplesOf(await read(MAN_DATA_LINE));
  const out = await AtomicFile.create(path, []);
  const exporter = await createExporter('parquet', out);
  for (let i = 0; i < 7; i++) {
    await exporter.write(
      Array.from({ length: 10_000 }, (_, k) => ({ ...sample!, line: i * 10_000 + k })),
      'log',
    );
  }
  await exporter.end();
  await out.commit();
  expect(await query(`SELECT DISTINCT row_group_num_rows AS n FROM parquet_metadata('${path}') ORDER BY n`)).toEqual([
    { n: 20_000 },
    { n: 50_000 },
  ]);
  expect(
    await query(`SELECT count(*) AS n, min(line) AS least, max(line) AS most, sum(line) AS sum FROM '${path}'`),
  ).toEqual([{ n: 70_000, least: 0, most: 69_999, sum: (69_999 * 70_000) / 2 }]);
});

describe('the file of an export', () => {
  test('appears when it is whole, in place of the one before', async () => {
    const path = join(dir, 'whole');
    writeFileSync(path, 'before');
    const out = await AtomicFile.create(path, []);
    await out.write('aft');
    expect(readFileSync(path, 'utf8')).toBe('before');
    await out.write(Buffer.from('er'));
    await out.commit();
    expect(readFileSync(path, 'utf8')).toBe('after');
  });

  test('has the rights of the one before', async () => {
    const path = join(dir, 'private');
    writeFileSync(path, 'before', { mode: 0o600 });
    const out = await AtomicFile.create(path, []);
    await out.write('after');
    await out.commit();
    expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['after', 0o600]);
  });

  test('leaves nothing behind when it is given up', async () => {
    const path = join(dir, 'given-up');
    const out = await AtomicFile.create(path, []);
    await out.write('x');
    out.abort();
    expect(readdirSync(dir).filter((name) => name.startsWith('given-up'))).toEqual([]);
  });

  test('is what a symbolic link leads to', async () => {
    writeFileSync(join(dir, 'target'), '');
    symlinkSync('target', join(dir, 'link'));
    const out = await AtomicFile.create(join(dir, 'link'), []);
    await out.write('through');
    await out.commit();
    expect(readFileSync(join(dir, 'target'), 'utf8')).toBe('through');
  });

  test('is no input, under whatever name', async () => {
    const input = join(dir, 'input.log');
    writeFileSync(input, MAN_DATA_LINE);
    symlinkSync('input.log', join(dir, 'soft'));
    linkSync(input, join(dir, 'hard'));
    for (const name of ['input.log', 'soft', 'hard']) {
      const path = join(dir, name);
      await expect(AtomicFile.create(path, ['-', input])).rejects.toThrow(
        `${path}: is read as ${input}; name another file`,
      );
    }
    expect(readFileSync(input, 'utf8')).toBe(MAN_DATA_LINE);
  });

  test('that cannot be written is refused before anything is read', async () => {
    await expect(AtomicFile.create(join(dir, 'no/such/file'), [])).rejects.toThrow(
      /file: cannot be written \(ENOENT\)$/,
    );
    await expect(AtomicFile.create(dir, [])).rejects.toThrow(`${dir}: is a folder; name a file`);
    expect(existsSync(join(dir, 'no'))).toBe(false);
  });
});
