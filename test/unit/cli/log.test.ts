import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { type Result, run } from '../../lab/process.ts';
import { disableLine, MAN_ENABLE } from '../log/reading.ts';
import { MAN_DATA_LINE } from '../siftr/records.ts';

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');
const dir = mkdtempSync(join(tmpdir(), 'xsiftr-cli-log-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const FLOW = '10.1.1.2;32291-10.1.1.3;5001';
const LOG = `${MAN_ENABLE}${MAN_DATA_LINE}${disableLine(0, 1, 0, 0, `${FLOW},`)}`;
const good = join(dir, 'good.log');
writeFileSync(good, LOG);
const bad = join(dir, 'bad.log');
writeFileSync(bad, `${MAN_ENABLE}oops\n${MAN_DATA_LINE}i,1\n`);

/** `xsiftr log …`. */
function log(...words: string[]): Promise<Result> {
  return run([process.execPath, MAIN, 'log', ...words], { check: false });
}

describe('xsiftr log summary', () => {
  test('prints cycles with their checks and a table a flow', async () => {
    expect(await log('summary', good)).toEqual({
      code: 0,
      stderr: '',
      stdout: `${good}: SIFTR log, 1 flow
  cycle 1, line 1: 2023-05-27 12:50:07.160752 UTC, siftr 1.3.0, FreeBSD 1400089, 9.468645 s, 1 line
    ok        the totals of the disable line are the sums of its counts
    ok        1 packet seen and not skipped, 1 data line
    ok        flow_list names 1 flow, and each with a data line is among them

${FLOW}
  0.000000 s from 2023-05-27 12:50:14.185109 UTC; 0 in, 1 out; ESTABLISHED
                      min         mean          max
  cwnd              14480        14480        14480  bytes
  srtt              1.000        1.000        1.000  ms
  in flight             0            0            0  bytes
  ssthresh    0 changes: none
  resent?     0 times in fast recovery; cwnd fell to one segment 0 times`,
    });
  });

  test('names broken lines on standard error, and goes on; with --strict they are exit status 1', async () => {
    const [plain, strict] = await Promise.all([
      log('summary', '--json', bad, good),
      log('summary', '--json', '--strict', bad, good),
    ]);
    const warning = `xsiftr: ${bad}: left out line 2 (not a line of a SIFTR log), 4 (field 2: not a time)`;
    expect([plain.code, plain.stderr]).toEqual([0, warning]);
    expect([strict.code, strict.stderr, strict.stdout]).toEqual([1, warning, plain.stdout]);
    const objects = plain.stdout.split('\n').map((line) => JSON.parse(line) as { log: string; broken: number });
    expect(objects.map((o) => [o.log, o.broken])).toEqual([
      [bad, 2],
      [good, 0],
    ]);
  });

  test('reads standard input, compressed too', async () => {
    const child = spawn(process.execPath, [MAIN, 'log', 'summary', '--json', '-'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(gzipSync(LOG));
    let stdout = '';
    for await (const chunk of child.stdout) stdout += chunk;
    expect(JSON.parse(stdout)).toMatchObject({ log: '-', flows: [{ flow: FLOW }], broken: 0 });
  });
});

describe('xsiftr log export', () => {
  test('takes the format from the name of the file, and several logs into one file', async () => {
    const csv = join(dir, 'out.csv');
    expect(await log('export', '-o', csv, good, bad)).toMatchObject({ code: 0, stdout: '' });
    const rows = readFileSync(csv, 'utf8').trimEnd().split('\n');
    expect(rows.map((row) => row.split(',', 2).join())).toEqual(['log,line', `${good},2`, `${bad},3`]);
    const ndjson = await log('export', '-o', '-', '--format', 'ndjson', '--flow', '*;*-*;5001', good);
    expect(JSON.parse(ndjson.stdout)).toMatchObject({ log: good, line: 2, cwnd_bytes: 14480, ssthresh_bytes: null });
  });

  test('leaves no part of a file when a log cannot be read', async () => {
    const out = join(dir, 'part.parquet');
    expect(await log('export', '-o', out, good, join(dir, 'none'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('none: cannot be read (ENOENT)'),
    });
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(dir).filter((name) => name.includes('part'))).toEqual([]);
  });

  test('says once that standard output cannot be written, and nothing when its reader went away', async () => {
    const to = (where: string) =>
      run(
        ['sh', '-c', `"$0" "$@" ${where}`, process.execPath, MAIN, 'log', 'export', '--format', 'csv', '-o', '-', good],
        {
          check: false,
        },
      );
    expect(await to('> /dev/full')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'xsiftr: standard output: ENOSPC: no space left on device, write',
    });
    expect(await to('| true')).toMatchObject({ stdout: '', stderr: '' });
  });

  test('does not write over a log that it reads', async () => {
    expect(await log('export', '-o', good, '--format', 'csv', good)).toMatchObject({
      code: 2,
      stderr: `xsiftr: ${good}: is read as ${good}; name another file`,
    });
    expect(readFileSync(good, 'utf8')).toBe(LOG);
  });
});

test.each([
  [[], /^xsiftr: log: no command: allowed is one of the commands summary, /],
  [['sumary', 'x'], /^xsiftr: log: sumary: allowed is one of the commands summary, /],
  [['summary', '--jsn', 'x'], /^xsiftr: unknown option --jsn; xsiftr log summary --help lists what there is$/],
  [
    ['summary', '--mss', '70000', good],
    /^xsiftr: log: --mss 70000: allowed is a whole number of bytes from 1 to 65535$/,
  ],
  [['summary', '--flow', 'x', good], /^xsiftr: flow x: allowed is laddr;lport-faddr;fport, /],
  [
    ['export', '-o', 'x.txt', good],
    /^xsiftr: log export: -o x\.txt: its end tells no format; give --format csv, ndjson or parquet$/,
  ],
])('xsiftr log %j is refused in one line', async (words, line) => {
  const { code, stdout, stderr } = await log(...words);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(line);
  expect(stderr).not.toContain('\n');
});
