import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Result, run } from '../lab/process.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

/** `xsiftr sim …`. */
function sim(...words: string[]): Promise<Result> {
  return run([process.execPath, MAIN, 'sim', ...words], { check: false });
}

const count = z.int().nonnegative();
const path = z.strictObject({
  rate_bps: count,
  delay_us: z.number().nonnegative(),
  limit_packets: count,
  limit_bytes: count,
  offered: count,
  delivered: count,
  delivered_bytes: count,
  dropped: z.strictObject({ loss: count, overflow: count, aqm: count }),
  marked: count,
  duplicated: count,
  corrupted: count,
  reordered: count,
  utilization: z.number().min(0).max(1.001),
  queue: z.strictObject({
    mean_packets: z.number().nonnegative(),
    mean_bytes: count,
    max_packets: count,
    max_bytes: count,
  }),
});

/** The report as docs/simulation.md describes it. */
const report = z.strictObject({
  version: z.string(),
  command: z.string().startsWith('xsiftr sim'),
  sweep: z.record(z.string(), z.string()).optional(),
  seed: count,
  time_s: z.number().positive(),
  warmup_s: z.number().nonnegative(),
  base_rtt_us: z.number().nonnegative(),
  bdp_bytes: count,
  flows: z
    .array(
      z.strictObject({
        id: count,
        cc: z.string(),
        start_s: z.number(),
        end_s: z.number(),
        base_rtt_us: z.number(),
        bytes: count,
        goodput_bps: count,
        completed: z.boolean(),
        segments_sent: count,
        retransmitted_segments: count,
        timeouts: count,
        rtt_us: z.strictObject({
          samples: count,
          min: count,
          mean: count,
          p50: count,
          p95: count,
          p99: count,
          max: count,
        }),
        cwnd_bytes: z.strictObject({ mean: count, max: count }),
        error: z.string().nullable(),
      }),
    )
    .min(1),
  goodput_bps: count,
  jain_index: z.number().min(0).max(1),
  data_path: path,
  ack_path: path,
  warnings: z.array(z.string()),
  events: count,
});

describe('xsiftr sim', () => {
  it('prints a report for people, with how fast it ran', async () => {
    const r = await sim('--bw', '10Mbit', '--loss', '0.5%', '--time', '2s', '--flow', 'rtt=40ms', '--flow', 'rtt=60ms');
    expect(r.code).toBe(0);
    expect(r.stderr).toBe('');
    expect(r.stdout).toMatch(/^10 Mbit\/s, base RTT 60 ms, bdp 75000 bytes, 2 s, seed 1\n\nflow {2}cc /);
    expect(r.stdout).toMatch(/\nall flows: .*, Jain index [01]\.\d{3}\n/);
    expect(r.stdout).toMatch(/\n2 s of virtual time in [\d.]+ s: [\d.]+ times as fast as real time$/);
  });

  it('prints the documented object with --json', async () => {
    const r = await sim('--time', '1s', '--bw', '10Mbit', '--json');
    const parsed = report.parse(JSON.parse(r.stdout));
    expect(parsed.command).toBe('xsiftr sim --bw 10Mbit --time 1s');
    expect(parsed.flows[0]!.goodput_bps).toBeGreaterThan(1e6);
  });

  it('runs again what the report names as its command', async () => {
    const first = await sim('--time', '1s', '--loss', '1%', '--seed', '9', '--flow', 'start=0.1s', '--json');
    const { command } = JSON.parse(first.stdout) as { command: string };
    const again = await run(['sh', '-c', `${command.replace('xsiftr', `'${process.execPath}' '${MAIN}'`)} --json`]);
    expect(again.stdout).toBe(first.stdout);
  });

  it('writes a log to standard output, and the report to standard error then', async () => {
    const r = await sim('--time', '0.5s', '--siftr-log', '-');
    expect(r.stdout).toMatch(/^enable_time_secs=0\t.*\no,0\.040/);
    expect(r.stdout).toMatch(/\ndisable_time_secs=0\tdisable_time_usecs=500000\t.*$/);
    expect(r.stderr).toMatch(/^100 Mbit\/s, base RTT 40 ms/);
  });

  it('prints a line of JSON a run in a sweep, in the order of the product', async () => {
    const words = ['--time', '0.3s', '--bw', '10Mbit', '--sweep', 'loss=0,2%', '--sweep', 'seed=1..3'];
    const [r, parallel] = await Promise.all([sim(...words, '--jobs', '1'), sim(...words, '--jobs', '3')]);
    const lines = r.stdout.split('\n').map((l) => report.parse(JSON.parse(l)));
    expect(lines.map((l) => l.sweep)).toEqual(
      ['0', '2%'].flatMap((loss) => ['1', '2', '3'].map((seed) => ({ loss, seed }))),
    );
    expect(lines.map((l) => l.seed)).toEqual([1, 2, 3, 1, 2, 3]);
    expect(lines.slice(0, 3).every((l) => l.data_path.dropped.loss === 0)).toBe(true);
    expect(parallel).toEqual(r);
    // No terminal, no progress bar.
    expect(r.stderr).toBe('');
  });

  it.each([
    [['--los', '1%'], 'unknown option --los; xsiftr sim --help lists what there is'],
    [['fast'], 'sim: fast: takes options only; see xsiftr sim --help'],
    [['--sweep', 'seed=1..2', '--json', '--pcap', 'x'], '--sweep: each run would overwrite '],
    [['--sweep', 'seed=1..2', '--jobs', '0'], 'sim: --jobs 0: allowed is a whole number from 1 to 256'],
    [['--time', 'long'], '--time long: a time like '],
  ])('refuses %j in one line with exit status 2', async (words, line) => {
    const r = await sim(...words);
    expect(r).toMatchObject({ code: 2, stdout: '' });
    expect(r.stderr.startsWith(`xsiftr: ${line}`), r.stderr).toBe(true);
    expect(r.stderr.trimEnd()).not.toContain('\n');
  });

  describe('beside files that matter', () => {
    let dir: string;
    beforeEach(() => {
      dir = mkdtempSync(join(tmpdir(), 'xsiftr-sim-'));
      writeFileSync(join(dir, 'precious'), 'text');
      symlinkSync('precious', join(dir, 'link'));
      writeFileSync(join(dir, 'trace'), '0\n10\n');
      cpSync(join(import.meta.dirname, '../../docs/examples/gentle.ts'), join(dir, 'mine.ts'));
      writeFileSync(join(dir, 'not.js'), 'export default {};\n');
    });
    afterEach(() => rmSync(dir, { recursive: true, force: true }));

    const inDir = (...words: string[]): Promise<Result> =>
      run([process.execPath, MAIN, 'sim', '--time', '0.1s', ...words], { check: false, cwd: dir });

    it.each([
      [['--siftr-log', 'x', '--pcap', './x'], '--pcap ./x: --siftr-log is written there; give each a file of its own'],
      [['--siftr-log', 'link', '--pcap', 'precious'], '--pcap precious: --siftr-log is written there; '],
      [['--trace', 'trace', '--pcap', 'trace'], '--pcap trace: --trace is read from there; give another file'],
      [['--flow', 'cc=./mine.ts', '--siftr-log', 'mine.ts'], '--siftr-log mine.ts: --cc is read from there; '],
      [['--cc', 'not.js'], '--cc not.js: not a congestion-control module: '],
    ])('refuses %j with exit status 2, and writes nothing', async (words, line) => {
      const before = readdirSync(dir);
      const r = await inDir(...words);
      expect(r).toMatchObject({ code: 2, stdout: '' });
      expect(r.stderr.startsWith(`xsiftr: ${line}`), r.stderr).toBe(true);
      expect(readdirSync(dir)).toEqual(before);
      expect(readFileSync(join(dir, 'precious'), 'utf8')).toBe('text');
    });

    it('empties neither file when one of them cannot be written', async () => {
      for (const log of ['precious', 'fresh']) {
        const r = await inDir('--siftr-log', log, '--pcap', 'nosuch/x');
        expect(r).toMatchObject({ code: 1, stderr: 'xsiftr: --pcap nosuch/x: ENOENT: no such file or directory' });
      }
      expect(readFileSync(join(dir, 'precious'), 'utf8')).toBe('text');
      expect(existsSync(join(dir, 'fresh'))).toBe(false);
    });

    it('writes into a pipe that has a name once', async () => {
      await run(['mkfifo', join(dir, 'fifo')]);
      const reader = run(['cat', join(dir, 'fifo')]);
      expect((await inDir('--siftr-log', 'fifo')).code).toBe(0);
      expect((await reader).stdout).toMatch(/^enable_time_secs=0\t[\s\S]*\ndisable_time_secs=0\t/);
    });
  });

  const shell = (script: string): Promise<Result> => {
    const command = `set -o pipefail; xsiftr() { '${process.execPath}' '${MAIN}' "$@"; }; ${script}`;
    return run(['bash', '-c', command], { check: false });
  };

  it('ends quietly and soon where nobody reads on: reports, sweeps of many runs, logs', async () => {
    for (const words of [
      '--help',
      '--time 0.1s --json',
      '--time 0.1s --sweep seed=1..2000 --jobs 1',
      '--time 0.1s --sweep seed=1..2000 --jobs 2',
      '--time 1000s --siftr-log -',
      '--time 1000s --pcap -',
    ]) {
      const r = await shell(`xsiftr sim ${words} | head -c 20 | wc -c`);
      expect([words, r]).toEqual([words, { code: 0, stdout: '20', stderr: '' }]);
    }
  });

  it('says in one line that standard output is full, and stops there, exit status 1', async () => {
    const full = { code: 1, stdout: '', stderr: 'xsiftr: standard output: ENOSPC: no space left on device, write' };
    for (const words of ['--time 0.1s', '--time 0.1s --json', '--time 0.1s --sweep seed=1..2000 --jobs 1']) {
      expect([words, await shell(`xsiftr sim ${words} > /dev/full`)]).toEqual([words, full]);
    }
    expect((await shell('xsiftr sim --time 1s --pcap - > /dev/full')).stderr).toBe(
      'xsiftr: --pcap -: ENOSPC: no space left on device',
    );
    expect((await shell('xsiftr sim --time 1s --nosuch 2> /dev/full')).code).toBe(2);
  });

  it('says with exit status 1 what the system refuses', async () => {
    const r = await sim('--siftr-log', '/nonexistent/log');
    expect(r).toMatchObject({ code: 1, stdout: '' });
    expect(r.stderr).toContain('xsiftr: --siftr-log /nonexistent/log: ENOENT: no such file or directory');
  });
});
