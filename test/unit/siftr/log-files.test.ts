import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startWriterThread } from '../../../src/daemon/siftr-port.ts';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import { cycleCounts } from '../../../src/siftr/format.ts';
import { writeKnobs } from '../../../src/siftr/knobs.ts';
import { createRing, RecordProducer } from '../../../src/siftr/record.ts';
import { createSiftrShared } from '../../../src/siftr/shared.ts';
import { controlRigs, ENABLE, figures, kinds, read } from './control-rig.ts';
import { push, tuple } from './records.ts';

const rigs = controlRigs();
const { setUp } = rigs;
const LOGFILE = 'net.inet.siftr.logfile';

describe('another logfile while SIFTR is on (spec/siftr.md section 14 item 9)', () => {
  test('ends the cycle in the old file and begins one in the new: each has its lines, its counters and its flows', async () => {
    const t = setUp();
    const next = join(rigs.dir, 'next.log');
    await t.control.enable();
    t.packet();
    t.packet();
    t.shard[siftrs.siftrs_n_in]! += 1;
    t.shard[siftrs.siftrs_nskip_in_tcpcb]! += 1;
    await t.control.setSysctl(LOGFILE, next);
    t.packet({ kind: 1, flowid: 8, ...tuple('192.0.2.1', 2, '192.0.2.2', 5001) });
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'i,', 'i,', 'di']);
    expect(kinds(next)).toEqual(['en', 'o,', 'di']);
    expect(figures(t.log)).toMatchObject({ data: 2, total: 3, skipped: 1 });
    expect(figures(next)).toMatchObject({ data: 1, total: 1, skipped: 0 });
    expect(read(t.log).at(-1)).toMatch(/flow_list=192\.0\.2\.1;1-192\.0\.2\.2;5001,$/);
    expect(read(next).at(-1)).toMatch(/flow_list=192\.0\.2\.1;2-192\.0\.2\.2;5001,$/);
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
    expect(t.said).toEqual([]);
  });

  test('what comes between the cut of a shard and the end of the old cycle belongs to the new one', async () => {
    const t = setUp();
    const next = join(rigs.dir, 'next.log');
    await t.control.enable();
    t.packet();
    // The writer is busy while the shard, which has made its cut, goes on.
    const end = t.port.end.bind(t.port);
    t.port.end = async () => {
      t.port.end = end;
      for (let i = 0; i < 5; i++) t.packet({ kind: 1 });
      return await end();
    };
    await t.control.setLogfile(next);
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'i,', 'di']);
    expect(kinds(next)).toEqual(['en', 'o,', 'o,', 'o,', 'o,', 'o,', 'di']);
    expect([figures(t.log).total, figures(next).total]).toEqual([1, 5]);
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
  });

  test('the shards are told the enable time of the new file, so that no record in it is earlier', async () => {
    const t = setUp();
    const next = join(rigs.dir, 'next.log');
    await t.control.enable();
    await t.control.setLogfile(next);
    const [secs, usecs] = /=(\d+)\tenable_time_usecs=(\d+)/.exec(read(next)[0]!)!.slice(1);
    expect(t.events.at(-1)).toBe(`cut ${secs}${usecs}`);
    expect(t.control.enableUs).toBe(Number(`${secs}${usecs}`));
  });

  test('a file that cannot take the enable line leaves the old one in use, and the variable as it was (item 10)', async () => {
    const t = setUp();
    await t.control.enable();
    await expect(t.control.setSysctl(LOGFILE, '/dev/full')).rejects.toMatchObject({ code: 'ENOSPC' });
    t.packet();
    expect(t.control.getSysctl(LOGFILE)).toBe(t.log);
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'i,', 'di']);
    expect(t.events).not.toContainEqual(expect.stringMatching(/^cut/));
  });

  test.each(['logfile_markers=0', 'strict=1'])('with %s no line is written for it (section 10.1)', async (knob) => {
    const t = setUp();
    const next = join(rigs.dir, 'next.log');
    const [name, value] = knob.split('=');
    await t.control.setSysctl(`net.inet.siftr.${name}`, value!);
    await t.control.enable();
    t.packet();
    await t.control.setLogfile(next);
    t.packet({ kind: 1 });
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'i,']);
    expect(kinds(next)).toEqual(['o,', 'di']);
    expect(figures(next).total).toBe(2);
    expect(t.control.getSysctl(LOGFILE)).toBe(next);
    expect(t.said).toEqual([]);
  });

  test('from a full disk carries the cycle over: the lines that waited are in the new file, under the first enable time', async () => {
    const t = setUp();
    const next = join(rigs.dir, 'next.log');
    await t.control.enable();
    t.packet();
    await t.port.hold('ENOSPC: no space left on device');
    t.packet({ kind: 1 });
    t.port.pass();
    await t.control.setLogfile(next);
    t.packet();
    await t.control.disable();
    expect(kinds(next)).toEqual(['en', 'i,', 'o,', 'i,', 'di']);
    expect(read(next)[0]).toBe(ENABLE);
    expect(figures(next)).toMatchObject({ data: 3, total: 3, skipped: 0 });
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
  });

  test('while two shards record without a pause, every record is in one of the files, and both sums hold', async () => {
    const cfg = createSiftrShared();
    const bufs = [createRing(65536), createRing(65536)];
    const rings = bufs.map((b) => new RecordProducer(b));
    const shards = bufs.map(() => new Float64Array(COUNTER_SLOTS));
    const cnt = new Float64Array(new SharedArrayBuffer(COUNTER_SLOTS * 8));
    let usec = 0;
    const record = (k: number): void => {
      shards[k]![siftrs.siftrs_n_in]!++;
      push(rings[k]!, {
        ...tuple('192.0.2.1', 1 + k, '192.0.2.2', 5001),
        flowid: 1 + k,
        sec: 1685191900,
        usec: usec++,
      });
    };
    const t = setUp({
      cfg,
      counters: shards,
      writer: startWriterThread({ rings: bufs, cfg, cnt }),
      shards: rings.map((ring, k) => ({
        hook: async () => {},
        unhook: async () => {},
        cut: async () => {
          // Each shard makes its cut at a time of its own, and records before and after it.
          for (let i = 0; i < 100 * k; i++) await new Promise(setImmediate);
          ring.cut();
          return cycleCounts([shards[k]!]);
        },
      })),
    });
    const files = [t.log, ...Array.from({ length: 5 }, (_, i) => join(rigs.dir, `log.${i}`))];
    let running = true;
    // No matter how long the writer is kept from running, a ring has room: head and tail are its words 0 and 16.
    const ctl = bufs.map((b) => new Int32Array(b));
    const roomy = (): boolean => ctl.every((c) => Atomics.load(c, 0) - Atomics.load(c, 16) < 65000);
    const load = async (): Promise<void> => {
      while (running) {
        if (roomy()) for (let i = 0; i < 4; i++) record(i & 1);
        await new Promise(setImmediate);
      }
    };
    try {
      await t.control.enable();
      const loaded = load();
      for (const file of files.slice(1)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await t.control.setLogfile(file);
      }
      running = false;
      await loaded;
      await t.control.disable();
    } finally {
      running = false;
      await t.control.close();
    }
    for (const file of files) expect(figures(file)).toMatchObject({ skipped: 0, data: figures(file).total });
    const all = files.flatMap((f) => read(f).filter((l) => l.startsWith('i,')));
    expect(all).toHaveLength(usec);
    expect(new Set(all.map((l) => l.split(',')[1])).size).toBe(usec);
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
    expect(t.said).toEqual([]);
  });
});

describe('a log that is renamed or removed while it is written (spec/siftr.md section 14 item 3)', () => {
  test('is made again, and begins with the enable line of the cycle, original time', async () => {
    const t = setUp();
    await t.control.enable();
    t.packet();
    t.port.pass();
    rmSync(t.log);
    await t.control.look();
    t.packet({ kind: 1 });
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'o,', 'di']);
    expect(read(t.log)[0]).toBe(ENABLE);
    // The lines of the removed file are lines that were written: nothing is unaccounted for.
    expect(figures(t.log).total).toBe(2);
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
    expect(t.cnt[siftrs.siftrs_log_reopens]).toBe(1);
    expect(t.said).toEqual([
      `warn SIFTR log ${t.log}: was removed while it was written; it goes on in a new file of that name`,
    ]);
  });

  test('records that wait in the ring when the file is gone are in the new one', async () => {
    const t = setUp();
    await t.control.enable();
    rmSync(t.log);
    t.packet();
    await t.control.look();
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'i,', 'di']);
  });

  test('by a rotation without a signal: the renamed file keeps what was recorded before', async () => {
    const t = setUp();
    await t.control.enable();
    t.packet();
    renameSync(t.log, `${t.log}.0`);
    await t.control.look();
    t.packet({ kind: 1 });
    await t.control.disable();
    expect(kinds(`${t.log}.0`)).toEqual(['en', 'i,']);
    expect(kinds(t.log)).toEqual(['en', 'o,', 'di']);
    expect(t.said).toEqual([expect.stringMatching(/^warn .*: was renamed while it was written/)]);
  });

  test('gets no enable line where the path leads to a file that holds something, and begins on a line of its own', async () => {
    const t = setUp();
    await t.control.enable();
    rmSync(t.log);
    writeFileSync(t.log, 'somebody else');
    t.packet();
    await t.control.look();
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['so', 'i,', 'di']);
  });

  test('is left alone while the path leads to it, and with strict=1', async () => {
    const t = setUp();
    await t.control.setSysctl('net.inet.siftr.strict', 1);
    await t.control.enable();
    rmSync(t.log);
    await t.control.look();
    await t.control.setLogfile(t.log);
    expect(existsSync(t.log)).toBe(false);
    await t.control.disable();
    await t.control.setSysctl('net.inet.siftr.strict', 0);
    await t.control.enable();
    await t.control.look();
    await t.control.disable();
    expect(t.cnt[siftrs.siftrs_log_reopens]).toBe(0);
    expect(t.cnt[siftrs.siftrs_opened]).toBe(2);
  });

  test('that cannot be made again: records wait and are counted, it is told once, and it goes on when the path is there again', async () => {
    const sub = join(rigs.dir, 'sub');
    mkdirSync(sub);
    const log = join(sub, 'siftr.log');
    const t = setUp({ logfile: log, shards: [] }, 4);
    await t.control.enable();
    t.packet();
    t.port.pass();
    rmSync(sub, { recursive: true });
    await t.control.look();
    await t.control.look();
    t.port.pass();
    for (let i = 0; i < 7; i++) t.packet({ kind: 1, usec: i });
    t.port.pass();
    for (let i = 0; i < 7; i++) t.packet({ usec: i });
    const dropped = t.shard[siftrs.siftrs_nskip_out_malloc]! + t.shard[siftrs.siftrs_nskip_in_malloc]!;
    expect(dropped).toBeGreaterThan(0);
    mkdirSync(sub);
    await t.control.look();
    await t.control.disable();
    expect(figures(log)).toMatchObject({ data: 14 - dropped, total: 15, skipped: dropped });
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
    expect(t.said).toEqual([
      `error SIFTR log ${log}: was removed, and cannot be made again (ENOENT: no such file or directory); records wait, and are skipped when the rings are full`,
      `warn SIFTR log ${log}: writing works again`,
      `warn SIFTR log ${log}: was removed while it was written; it goes on in a new file of that name`,
    ]);
  });

  test('renamed where no new one can be made: it goes on in the open file; when that is removed too the records wait', async () => {
    const sub = join(rigs.dir, 'sub');
    mkdirSync(sub);
    const log = join(sub, 'siftr.log');
    const t = setUp({ logfile: log, shards: [] });
    await t.control.enable();
    const elsewhere = join(rigs.dir, 'moved.log');
    renameSync(log, elsewhere);
    rmSync(sub, { recursive: true });
    await t.control.look();
    await t.control.look();
    t.packet();
    t.port.pass();
    expect(kinds(elsewhere)).toEqual(['en', 'i,']);
    rmSync(elsewhere);
    await t.control.look();
    t.packet({ kind: 1 });
    t.port.pass();
    mkdirSync(sub);
    await t.control.look();
    await t.control.disable();
    expect(kinds(log)).toEqual(['en', 'o,', 'di']);
    expect(t.said.map((l) => l.replace(`SIFTR log ${log}: `, ''))).toEqual([
      'error ENOENT: no such file or directory; it goes on in the open file',
      expect.stringMatching(/^error was removed, and cannot be made again/),
      'warn writing works again',
      'warn was removed while it was written; it goes on in a new file of that name',
    ]);
  });

  test('that never comes back: at the end what waited is lost, and counted', async () => {
    const sub = join(rigs.dir, 'sub');
    mkdirSync(sub);
    const t = setUp({ logfile: join(sub, 'siftr.log'), shards: [] });
    await t.control.enable();
    rmSync(sub, { recursive: true });
    await t.control.look();
    for (let i = 0; i < 3; i++) t.packet();
    await t.control.disable();
    expect(t.said.at(-1)).toBe('error SIFTR: 3 records were lost because the log could not be written');
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
  });

  test('the name in use, assigned again, opens the path again at once', async () => {
    const t = setUp();
    await t.control.enable();
    rmSync(t.log);
    await t.control.setSysctl(LOGFILE, t.log);
    expect(readFileSync(t.log, 'utf8')).toBe(`${ENABLE}\n`);
    await t.control.setSysctl(LOGFILE, t.log);
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'di']);
    expect(t.cnt[siftrs.siftrs_log_reopens]).toBe(1);
  });

  test('is looked for right after a failed write', async () => {
    const t = setUp();
    await t.control.enable();
    renameSync(t.log, `${t.log}.0`);
    t.packet();
    await t.port.hold('EIO: i/o error');
    await expect.poll(() => existsSync(t.log)).toBe(true);
    await t.control.disable();
    expect(kinds(t.log)).toEqual(['en', 'i,', 'di']);
  });
});

describe('the length of the rings (spec/siftr.md section 14 item 1)', () => {
  const QLEN = 'net.inet.siftr.qlen';

  test('is 65536 records, a power of two from 1024 to 1048576, and set while SIFTR is off', async () => {
    const t = setUp();
    expect(t.control.getSysctl(QLEN)).toBe(65536);
    for (const bad of [0, 512, 1000, 2097152, 'x']) {
      await expect(t.control.setSysctl(QLEN, bad)).rejects.toMatchObject({ code: 'EINVAL' });
    }
    await expect(t.control.setSysctl(QLEN, 3000)).rejects.toThrow(
      'net.inet.siftr.qlen=3000: allowed is a power of two from 1024 to 1048576',
    );
    await t.control.enable();
    await expect(t.control.setSysctl(QLEN, 2048)).rejects.toMatchObject({ code: 'EBUSY' });
    await t.control.setSysctl(QLEN, 65536);
    await t.control.disable();
    await t.control.setSysctl(QLEN, 2048);
    expect(t.control.getSysctl(QLEN)).toBe(2048);
  });

  test('is refused before a start touches anything', () => {
    const check = (n: number) => () => writeKnobs(createSiftrShared(), new Map([[QLEN, n]]));
    expect(check(3000)).toThrow('allowed is a power of two from 1024 to 1048576');
    expect(check(2048)).not.toThrow();
  });

  test('holds for shards and writer from the next cycle on', async () => {
    const t = setUp({}, 8);
    await t.control.setSysctl(QLEN, 1024);
    await t.control.enable();
    for (let i = 0; i < 1100; i++) t.packet({ usec: i });
    await t.control.disable();
    expect(figures(t.log)).toEqual({ data: 1024, total: 1100, skipped: 76, malloc: [76, 0] });
  });
});

describe('the high water of a ring', () => {
  test('is the most records that waited: exact from a quarter of the length on', () => {
    const buf = createRing(256);
    const ring = new RecordProducer(buf);
    for (let i = 0; i < 200; i++) push(ring, {});
    // The last record was counted when room for it was looked for.
    expect(ring.high).toBe(199);
    ring.resetHigh();
    expect(ring.high).toBe(0);
    for (let i = 0; i < 57; i++) push(ring, {});
    expect(ring.reserve()).toBe(-1);
    expect(ring.high).toBe(256);
  });
});
