import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { siftrs } from '../../../src/metrics/layout.ts';
import type { SiftrControlOptions } from '../../../src/siftr/control.ts';
import type { MetaFile, RunMeta } from '../../../src/siftr/meta.ts';
import { runExperiment } from '../../../src/sim/index.ts';
import { commitOf, VERSION } from '../../../src/version.ts';
import { controlRigs, read } from './control-rig.ts';

const rigs = controlRigs();

const RUN: RunMeta = {
  program: { name: 'xsiftr', version: '0.1.0', commit: null, node: '24.0.0' },
  kernel: 'Linux 6.18.0 x64',
  interfaces: [{ name: 'ix1', driver: 'veth', bus: null, mtu: 1500, mode: 'native copy', offloads: ['rx-gro'] }],
  options: { queues: 1 },
  sysctls: { 'net.inet.ip.ttl': 33 },
  congestion_control: 'cubic',
  seed: null,
};

const setUp = (over: Partial<SiftrControlOptions> = {}) => rigs.setUp({ meta: () => RUN, ...over });
const meta = (log: string): MetaFile => JSON.parse(readFileSync(`${log}.meta.json`, 'utf8')) as MetaFile;

/** Value of a key in an enable or disable line. */
const value = (line: string, key: string): string => new RegExp(`\\b${key}=(\\d+)`).exec(line)![1]!;

describe('the description beside a log, FILE.meta.json', () => {
  test('is written when the cycle begins, and completed with time and counts of the disable line when it ends', async () => {
    const t = setUp();
    await t.control.enable();
    const [cycle] = meta(t.log).cycles;
    expect(meta(t.log)).toMatchObject({ meta: 1, log: 'siftr.log' });
    expect(cycle).toEqual({
      ...RUN,
      enable_time: '1685191807.160752',
      disable_time: null,
      continued_in: null,
      counts: null,
    });
    expect(statSync(`${t.log}.meta.json`).mode & 0o777).toBe(0o644 & ~process.umask());
    t.packet();
    t.packet({ kind: 1 });
    t.shard[siftrs.siftrs_n_in]! += 1;
    t.shard[siftrs.siftrs_nskip_in_inpcb]! += 1;
    await t.control.disable();
    const ended = meta(t.log).cycles;
    expect(ended).toHaveLength(1);
    const last = read(t.log).at(-1)!;
    expect(ended[0]!.disable_time).toBe(`${value(last, 'disable_time_secs')}.${value(last, 'disable_time_usecs')}`);
    const { data_lines, suppressed, lost, ...named } = ended[0]!.counts!;
    expect({ data_lines, suppressed, lost }).toEqual({ data_lines: 2, suppressed: 0, lost: 0 });
    for (const [key, n] of Object.entries(named)) expect(String(n), key).toBe(value(last, key));
    expect(readdirSync(rigs.dir).sort()).toEqual(['siftr.log', 'siftr.log.meta.json']);
  });

  test('has every cycle of the file, in order; a new file begins a new description', async () => {
    const t = setUp();
    for (let i = 0; i < 2; i++) {
      await t.control.enable();
      await t.control.disable();
    }
    expect(meta(t.log).cycles.map((c) => c.counts?.total_tcp_pkts)).toEqual([0, 0]);
    rmSync(t.log);
    await t.control.enable();
    await t.control.disable();
    expect(meta(t.log).cycles).toHaveLength(1);
  });

  test('is one for each file of a switch, and says where a cycle goes on that has no end in it', async () => {
    const t = setUp();
    const [next, third] = [join(rigs.dir, 'next.log'), join(rigs.dir, 'third.log')];
    await t.control.enable();
    await t.control.setLogfile(next);
    await t.control.setSysctl('net.inet.siftr.logfile_markers', 0);
    t.packet();
    await t.control.setLogfile(third);
    await t.control.disable();
    expect(meta(t.log).cycles).toMatchObject([{ counts: { total_tcp_pkts: 0 }, continued_in: null }]);
    expect(meta(next).cycles).toMatchObject([{ counts: null, disable_time: null, continued_in: third }]);
    expect(meta(third).cycles).toMatchObject([{ counts: { total_tcp_pkts: 1 }, continued_in: null }]);
    expect(meta(third).cycles[0]!.enable_time).toBe(meta(next).cycles[0]!.enable_time);
  });

  test('is made again with a log that was rotated away, for the cycle that goes on', async () => {
    const t = setUp();
    await t.control.enable();
    for (const f of [t.log, `${t.log}.meta.json`]) renameSync(f, f.replace('siftr.log', 'siftr.0.log'));
    await t.control.reopen();
    await t.control.disable();
    expect(meta(t.log).cycles).toMatchObject([{ enable_time: '1685191807.160752', counts: { total_tcp_pkts: 0 } }]);
    expect(meta(join(rigs.dir, 'siftr.0.log')).cycles).toMatchObject([{ counts: null }]);
  });

  test('is not written for what is no plain file', async () => {
    const t = setUp({ logfile: '/dev/null', shards: [] });
    await t.control.enable();
    await t.control.disable();
    expect(existsSync('/dev/null.meta.json')).toBe(false);
    expect(readdirSync(rigs.dir)).toEqual([]);
  });

  test('that cannot be written is one warning and a count, and the log is whole', async () => {
    const t = setUp();
    // A folder in the way, which no rename replaces.
    mkdirSync(join(rigs.dir, 'siftr.log.meta.json'));
    await t.control.enable();
    t.packet();
    await t.control.disable();
    await t.control.enable();
    await t.control.disable();
    expect(read(t.log).map((l) => l.slice(0, 2))).toEqual(['en', 'i,', 'di', 'en', 'di']);
    expect(t.said.filter((l) => l.includes('meta.json'))).toEqual([
      expect.stringMatching(
        /^warn SIFTR log .*siftr\.log: its description .*siftr\.log\.meta\.json cannot be written: EISDIR/,
      ),
    ]);
    expect(t.cnt[siftrs.siftrs_meta_errors]).toBeGreaterThanOrEqual(2);
    expect(readdirSync(rigs.dir).sort()).toEqual(['siftr.log', 'siftr.log.meta.json']);
  });

  test('of something else under its name is replaced', async () => {
    const t = setUp();
    writeFileSync(`${t.log}.meta.json`, 'not ours');
    writeFileSync(t.log, 'a line\n');
    await t.control.enable();
    await t.control.disable();
    expect(meta(t.log).cycles).toHaveLength(1);
  });

  test('names the commit that is checked out, as git does', ({ skip }) => {
    const root = join(import.meta.dirname, '../../..');
    const git = spawnSync('git', ['-c', 'safe.directory=*', '-C', root, 'rev-parse', 'HEAD'], { encoding: 'utf8' });
    if (git.status !== 0) skip('no git, or no checkout');
    expect(commitOf()).toBe(git.stdout.trim());
  });

  test('of a simulation has its seed and the command that repeats it, and the same bytes each time', () => {
    const log = join(rigs.dir, 'sim.log');
    const run = (): string => {
      runExperiment({
        time: '500ms',
        bw: '10Mbit',
        seed: 7,
        cc: 'newreno',
        sysctl: ['net.inet.siftr.ppl=2'],
        siftrLog: log,
      });
      return readFileSync(`${log}.meta.json`, 'utf8');
    };
    const text = run();
    expect(run()).toBe(text);
    const { cycles } = JSON.parse(text) as MetaFile;
    expect(cycles).toHaveLength(1);
    expect(cycles[0]).toMatchObject({
      seed: 7,
      kernel: null,
      program: { version: VERSION, commit: commitOf() },
      congestion_control: 'newreno',
      enable_time: '0.000000',
      disable_time: '0.500000',
    });
    expect(cycles[0]!.options['command']).toBe(
      'xsiftr sim --cc newreno --sysctl net.inet.siftr.ppl=2 --bw 10Mbit --time 500ms --seed 7',
    );
    expect(cycles[0]!.sysctls).toMatchObject({ 'net.inet.siftr.ppl': 2 });
    const lines = read(log).filter((l) => /^[io],/.test(l)).length;
    const { counts } = cycles[0]!;
    expect(counts!.data_lines).toBe(lines);
    expect(counts!.total_tcp_pkts).toBe(lines + counts!.total_skipped_tcp_pkts + counts!.suppressed);
  });
});
