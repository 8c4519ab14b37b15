import { existsSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startWriterThread } from '../../../src/daemon/siftr-port.ts';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import { FlowFilter } from '../../../src/siftr/flow-filter.ts';
import { SiftrError } from '../../../src/siftr/logfile.ts';
import { createRing, RecordProducer } from '../../../src/siftr/record.ts';
import { CFG_PORT_FILTER, CFG_PPL, CFG_STRICT, createSiftrShared } from '../../../src/siftr/shared.ts';
import { controlRigs, ENABLE, figures, kinds, read } from './control-rig.ts';
import { push, tuple } from './records.ts';

const rigs = controlRigs();
const { setUp } = rigs;

describe('enable and disable', () => {
  test('the enable line is in the file before any hook is linked, with the time that the hooks are told (spec/siftr.md section 13 rule 1)', async () => {
    const t = setUp();
    await t.control.enable();
    expect(t.events).toEqual(['hook 1685191807160752 enable_time_secs=1685191807']);
    expect(read(t.log)).toEqual([ENABLE]);
    expect(t.control.enabled).toBe(true);
  });

  test('a cycle without packets gives zero counters and an empty flow list (section 13 rule 10 g)', async () => {
    const t = setUp();
    await t.control.enable();
    await t.control.disable();
    const text = readFileSync(t.log, 'utf8');
    expect(text.endsWith('\ttotal_skipped_tcp_pkts=0\tflow_list=\n')).toBe(true);
    const last = read(t.log)[1]!.split('\t');
    expect(last).toHaveLength(13);
    expect(last[0]).toMatch(/^disable_time_secs=/);
    expect(t.events.at(-1)).toBe('unhook');
    expect(t.said).toEqual([]);
  });

  test('records still in the ring are written before the disable line (section 9)', async () => {
    const t = setUp();
    await t.control.enable();
    t.packet();
    t.packet({ kind: 1 });
    await t.control.disable();
    const lines = read(t.log);
    expect(lines.map((l) => l.slice(0, 2))).toEqual(['en', 'i,', 'o,', 'di']);
    expect(lines[3]).toContain('num_inbound_tcp_pkts=1\tnum_outbound_tcp_pkts=1\ttotal_tcp_pkts=2\t');
    expect(lines[3]).toContain('flow_list=192.0.2.1;1-192.0.2.2;5001,');
  });

  test('counters of the disable line start at 0 with each cycle while the shards count on', async () => {
    const t = setUp();
    await t.control.enable();
    t.packet();
    t.shard[siftrs.siftrs_n_in]! += 1;
    t.shard[siftrs.siftrs_nskip_in_tcpcb]! += 1;
    await t.control.disable();
    await t.control.enable();
    t.packet({ kind: 1 });
    await t.control.disable();
    const [first, second] = read(t.log).filter((l) => l.startsWith('disable'));
    expect(first).toContain('total_tcp_pkts=2\t');
    expect(first).toContain('num_inbound_skipped_pkts_tcpcb=1\t');
    expect(second).toContain('num_inbound_tcp_pkts=0\tnum_outbound_tcp_pkts=1\ttotal_tcp_pkts=1\t');
    expect(second).toContain('num_inbound_skipped_pkts_tcpcb=0\t');
    expect(t.shard[siftrs.siftrs_n_in]).toBe(2);
  });

  test('enabling twice and disabling twice changes nothing (section 10: same value as now)', async () => {
    const t = setUp();
    await t.control.disable();
    expect(existsSync(t.log)).toBe(false);
    await t.control.enable();
    await t.control.enable();
    await t.control.disable();
    await t.control.disable();
    expect(read(t.log)).toHaveLength(2);
    expect(t.events.filter((e) => e === 'unhook')).toHaveLength(1);
  });

  test('the file is made with mode 0644 and appended to, with a warning that some readers want one cycle a file (section 13 rule 4)', async () => {
    const t = setUp();
    await t.control.enable();
    await t.control.disable();
    expect(statSync(t.log).mode & 0o777).toBe(0o644 & ~process.umask());
    expect(t.said).toEqual([]);
    await t.control.enable();
    await t.control.disable();
    expect(read(t.log)).toHaveLength(4);
    expect(t.said).toEqual([expect.stringMatching(/^warn SIFTR log .*siftr\.log already holds \d+ bytes/)]);
  });

  test('a file that cannot be opened refuses the enabling with the errno, and SIFTR stays off', async () => {
    const t = setUp({ logfile: join(rigs.dir, 'missing', 'siftr.log') });
    await expect(t.control.enable()).rejects.toMatchObject({ code: 'ENOENT', exitCode: 1 });
    expect(t.control.enabled).toBe(false);
    expect(t.events).toEqual([]);
  });

  test('a symbolic link as last component is refused (section 1)', async () => {
    const target = join(rigs.dir, 'elsewhere');
    writeFileSync(target, '');
    symlinkSync(target, join(rigs.dir, 'siftr.log'));
    const t = setUp();
    await expect(t.control.enable()).rejects.toMatchObject({ code: 'ELOOP' });
    expect(readFileSync(target, 'utf8')).toBe('');
  });

  test('a file that another process has locked is refused and left as it was', async () => {
    writeFileSync(join(rigs.dir, 'siftr.log'), 'theirs\n');
    const t = setUp({ lockFile: () => false });
    await expect(t.control.enable()).rejects.toMatchObject({ code: 'EWOULDBLOCK' });
    expect(readFileSync(t.log, 'utf8')).toBe('theirs\n');
  });

  test('a log that cannot take the enable line refuses the enabling', async () => {
    const t = setUp({ logfile: '/dev/full' });
    await expect(t.control.enable()).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(t.control.enabled).toBe(false);
  });
});

describe('the sum rule (spec/siftr.md section 7)', () => {
  test('holds when a tiny ring overflows: what found no room is skipped_malloc of its direction', async () => {
    const t = setUp({}, 8);
    await t.control.enable();
    for (let i = 0; i < 11; i++) t.packet({ kind: 0, usec: i });
    for (let i = 0; i < 4; i++) t.packet({ kind: 1, usec: 20 + i });
    t.port.pass();
    t.packet();
    await t.control.disable();
    expect(figures(t.log)).toEqual({ data: 9, total: 16, skipped: 7, malloc: [3, 4] });
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
    expect(t.said).toEqual([]);
  });

  test('holds with ppl once the suppressed records are added', async () => {
    const t = setUp();
    await t.control.setSysctl('net.inet.siftr.ppl', 3);
    await t.control.enable();
    for (let i = 0; i < 10; i++) t.packet();
    await t.control.disable();
    expect(figures(t.log)).toMatchObject({ data: 3, total: 10, skipped: 0 });
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
  });

  test('a packet that nothing accounts for is reported and counted', async () => {
    const t = setUp();
    await t.control.enable();
    t.packet();
    t.shard[siftrs.siftrs_n_in]! += 1;
    await t.control.disable();
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(1);
    expect(t.said).toEqual(['error SIFTR: 2 packets seen, but 1 lines + 0 skipped + 0 suppressed + 0 lost are 1']);
  });
});

describe('the size limit', () => {
  test('ends the cycle with a normal disable line, one warning and a count', async () => {
    const t = setUp({ limit: 300 });
    await t.control.enable();
    for (let i = 0; i < 5; i++) t.packet();
    t.port.pass();
    t.packet({ kind: 1 });
    t.port.pass();
    await t.control.disable();
    expect(t.control.enabled).toBe(false);
    const lines = read(t.log);
    expect(lines.map((l) => l.slice(0, 2))).toEqual(['en', 'i,', 'i,', 'i,', 'di']);
    // All but the disable line, and without the line that reached the limit.
    const bytes = (n: number): number => lines.slice(0, n).join('\n').length + 1;
    expect(bytes(4)).toBeGreaterThanOrEqual(300);
    expect(bytes(3)).toBeLessThan(300);
    expect(figures(t.log)).toEqual({ data: 3, total: 6, skipped: 3, malloc: [2, 1] });
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
    expect(t.cnt[siftrs.siftrs_limit_reached]).toBe(1);
    expect(t.said).toEqual([
      expect.stringMatching(/^warn SIFTR log .* has taken its limit of 300 bytes and was closed/),
    ]);
  });
});

describe('net.inet.siftr.logfile (spec/siftr.md section 10.1)', () => {
  test('while disabled: the file is made empty and the name kept for the next enable', async () => {
    const t = setUp();
    const next = join(rigs.dir, 'next.log');
    await t.control.setLogfile(next);
    expect(readFileSync(next, 'utf8')).toBe('');
    expect(existsSync(t.log)).toBe(false);
    expect(t.control.logfile).toBe(next);
  });

  test('a file that cannot be opened leaves the old one in use', async () => {
    const t = setUp();
    await t.control.enable();
    await expect(t.control.setLogfile(join(rigs.dir, 'missing', 'x'))).rejects.toBeInstanceOf(SiftrError);
    t.packet();
    await t.control.disable();
    expect(read(t.log)).toHaveLength(3);
    expect(t.control.logfile).toBe(t.log);
  });

  test('the name in use, and another name of the same file, change nothing', async () => {
    const t = setUp();
    await t.control.enable();
    await t.control.setLogfile(t.log);
    await t.control.setLogfile(join(rigs.dir, '.', 'siftr.log'));
    t.packet();
    await t.control.disable();
    expect(read(t.log)).toHaveLength(3);
    expect(t.cnt[siftrs.siftrs_opened]).toBe(1);
  });

  test('an empty name is refused', async () => {
    const t = setUp();
    await expect(t.control.setLogfile('')).rejects.toMatchObject({ code: 'EINVAL', exitCode: 2 });
  });
});

describe('reopening for log rotation', () => {
  test('goes on in a new file that begins with the enable line of the cycle', async () => {
    const t = setUp();
    await t.control.enable();
    t.packet();
    renameSync(t.log, `${t.log}.0`);
    await t.control.reopen();
    t.packet({ kind: 1 });
    await t.control.disable();
    expect(kinds(`${t.log}.0`)).toEqual(['en', 'i,']);
    expect(kinds(t.log)).toEqual(['en', 'o,', 'di']);
    expect(read(t.log)[0]).toBe(ENABLE);
  });

  test('does nothing while the path leads to the open file, or while disabled', async () => {
    const t = setUp();
    await t.control.reopen();
    expect(existsSync(t.log)).toBe(false);
    await t.control.enable();
    await t.control.reopen();
    await t.control.disable();
    expect(read(t.log)).toHaveLength(2);
  });

  test('keeps the old file when the path cannot be opened', async () => {
    const t = setUp();
    await t.control.enable();
    renameSync(t.log, `${t.log}.0`);
    symlinkSync('nowhere', t.log);
    await expect(t.control.reopen()).rejects.toMatchObject({ code: 'ELOOP' });
    t.packet();
    await t.control.disable();
    expect(read(`${t.log}.0`)).toHaveLength(3);
  });
});

describe('the sysctls (spec/siftr.md section 10)', () => {
  test('have their defaults', () => {
    const { control, log } = setUp();
    expect(['enabled', 'ppl', 'logfile', 'port_filter'].map((n) => control.getSysctl(`net.inet.siftr.${n}`))).toEqual([
      0,
      1,
      log,
      0,
    ]);
  });

  test('enabled takes 0 and 1 and nothing else', async () => {
    const t = setUp();
    await t.control.setSysctl('net.inet.siftr.enabled', 1);
    expect(t.control.getSysctl('net.inet.siftr.enabled')).toBe(1);
    await t.control.setSysctl('net.inet.siftr.enabled', '0');
    expect(t.control.getSysctl('net.inet.siftr.enabled')).toBe(0);
    for (const bad of [2, -1, 0.5, '', 'x']) {
      await expect(t.control.setSysctl('net.inet.siftr.enabled', bad)).rejects.toMatchObject({ code: 'EINVAL' });
    }
  });

  test('ppl takes every 32-bit value and port_filter every 16-bit one, and both reach the shared words', async () => {
    const t = setUp();
    await t.control.setSysctl('net.inet.siftr.ppl', 4294967295);
    expect(t.control.getSysctl('net.inet.siftr.ppl')).toBe(4294967295);
    expect(t.cfg[CFG_PPL]! >>> 0).toBe(4294967295);
    await t.control.setSysctl('net.inet.siftr.port_filter', 65535);
    expect(t.cfg[CFG_PORT_FILTER]).toBe(65535);
  });

  test('ppl 0 is EINVAL, and as in siftr(4) a value with strict=1 (section 14 item 7)', async () => {
    const t = setUp();
    await expect(t.control.setSysctl('net.inet.siftr.ppl', 0)).rejects.toMatchObject({
      code: 'EINVAL',
      exitCode: 2,
      message: 'net.inet.siftr.ppl=0: allowed is a whole number from 1 to 4294967295; 0 with strict=1 only',
    });
    expect(t.control.getSysctl('net.inet.siftr.ppl')).toBe(1);
    await t.control.setSysctl('net.inet.siftr.strict', 1);
    await t.control.setSysctl('net.inet.siftr.ppl', 0);
    expect(t.control.getSysctl('net.inet.siftr.ppl')).toBe(0);
  });

  test.each(['hook=tcp', 'inflight=pipe', 'ipmode=6'])(
    '%s holds for whole cycles, and only its own texts are values',
    async (text) => {
      const [leaf, value] = text.split('=') as [string, string];
      const name = `net.inet.siftr.${leaf}`;
      const t = setUp();
      const before = t.control.getSysctl(name);
      await expect(t.control.setSysctl(name, 'x')).rejects.toMatchObject({ code: 'EINVAL' });
      await t.control.enable();
      await expect(t.control.setSysctl(name, value)).rejects.toMatchObject({ code: 'EBUSY' });
      expect(t.control.getSysctl(name)).toBe(before);
      await t.control.disable();
      await t.control.setSysctl(name, value);
      expect(t.control.getSysctl(name)).toBe(value);
    },
  );

  test('a flow filter that is none leaves the old one (section 14 item 2)', async () => {
    const t = setUp();
    const name = 'net.inet.siftr.flow_filter';
    expect(t.control.getSysctl(name)).toBe('');
    await t.control.setSysctl(name, '192.0.2.1;*-*;*');
    await expect(t.control.setSysctl(name, '192.0.2.1')).rejects.toMatchObject({
      code: 'EINVAL',
      message:
        'net.inet.siftr.flow_filter=192.0.2.1: allowed is at most 64 of laddr;lport-faddr;fport with commas between, * for any part, /len behind an address',
    });
    expect(t.control.getSysctl(name)).toBe('192.0.2.1;*-*;*');
    const filter = new FlowFilter(t.cfg);
    expect(filter.on).toBe(true);
    await t.control.setSysctl(name, '');
    expect(filter.on).toBe(false);
  });

  test('a mode that changes what a value means is the one more key of the enable line, the last one (section 14)', async () => {
    const t = setUp();
    const first = async (): Promise<string> => {
      rmSync(t.log, { force: true });
      await t.control.enable();
      await t.control.disable();
      return read(t.log)[0]!.replace(/^.*\tsysname/, 'sysname');
    };
    const plain = 'sysname=xsiftr\tsysver=1000100\tipmode=4';
    const set = (leaf: string, value: string | number) => t.control.setSysctl(`net.inet.siftr.${leaf}`, value);
    for (const [leaf, value] of [
      ['ppl', 5],
      ['ppl_first', 1],
      ['ppl_dir', 1],
      ['cwnd_filter', 1],
      ['flow_filter', '*;*-*;*'],
    ] as const) {
      await set(leaf, value);
    }
    expect(await first()).toBe(plain);
    await set('inflight', 'pipe');
    expect(await first()).toBe(`${plain}\txsiftr=inflight:pipe`);
    await set('hook', 'tcp');
    expect(await first()).toBe(`${plain}\txsiftr=hook:tcp,inflight:pipe`);
    await set('ipmode', '6');
    expect(await first()).toBe(`${plain.replace('ipmode=4', 'ipmode=6')}\txsiftr=hook:tcp,inflight:pipe`);
    await set('strict', 1);
    expect(await first()).toBe(plain.replace('ipmode=4', 'ipmode=6'));
  });

  test('values beyond are refused, not truncated', async () => {
    const t = setUp();
    await expect(t.control.setSysctl('net.inet.siftr.ppl', 4294967296)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(t.control.setSysctl('net.inet.siftr.port_filter', 70000)).rejects.toThrow(
      'net.inet.siftr.port_filter=70000: allowed is a whole number from 0 to 65535',
    );
    expect(t.control.getSysctl('net.inet.siftr.port_filter')).toBe(0);
  });

  test('strict holds for whole cycles: it is set while SIFTR is off, and refused with EBUSY else (section 14)', async () => {
    const t = setUp();
    expect(t.control.getSysctl('net.inet.siftr.strict')).toBe(0);
    await t.control.enable();
    await expect(t.control.setSysctl('net.inet.siftr.strict', 1)).rejects.toMatchObject({ code: 'EBUSY', exitCode: 1 });
    expect(t.cfg[CFG_STRICT]).toBe(0);
    await t.control.setSysctl('net.inet.siftr.strict', 0);
    await t.control.disable();
    await t.control.setSysctl('net.inet.siftr.strict', 1);
    expect(t.control.getSysctl('net.inet.siftr.strict')).toBe(1);
    expect(t.cfg[CFG_STRICT]).toBe(1);
  });

  test('genhashes is unknown, as in 1.3.0', async () => {
    const t = setUp();
    expect(() => t.control.getSysctl('net.inet.siftr.genhashes')).toThrow("unknown oid 'net.inet.siftr.genhashes'");
    await expect(t.control.setSysctl('net.inet.siftr.genhashes', 1)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('the writer thread', () => {
  test('writes what a ring gets while it runs, switches files, and says when the limit is reached', async () => {
    const cfg = createSiftrShared();
    const bufs = [createRing(1024), createRing(1024)];
    const rings = bufs.map((b) => new RecordProducer(b));
    const cnt = new Float64Array(new SharedArrayBuffer(COUNTER_SLOTS * 8));
    const port = startWriterThread({ rings: bufs, cfg, cnt });
    const t = setUp({ writer: port, limit: 20000 });
    const next = join(rigs.dir, 'next.log');
    const record = (i: number): void => {
      t.shard[siftrs.siftrs_n_in]!++;
      const values = { ...tuple('192.0.2.1', 1 + (i & 1), '192.0.2.2', 5001), flowid: 1 + (i & 1), sec: 1, usec: i };
      expect(push(rings[i & 1]!, values)).toBe(true);
    };
    try {
      await t.control.setSysctl('net.inet.siftr.logfile_markers', 0);
      await t.control.enable();
      for (let i = 0; i < 50; i++) record(i);
      await expect.poll(() => read(t.log).length, { timeout: 5000 }).toBe(51);
      await t.control.setLogfile(next);
      for (let i = 50; i < 1000; i++) record(i);
      await expect.poll(() => t.control.enabled, { timeout: 5000 }).toBe(false);
      const lines = read(next);
      const { data, total, skipped } = figures(next);
      expect(total).toBe(1000);
      expect(50 + data + skipped).toBe(1000);
      const bytes = lines.slice(0, -1).map((l) => l.length + 1);
      const size = bytes.reduce((a, b) => a + b, 0);
      expect(size).toBeGreaterThanOrEqual(20000);
      expect(size - bytes.at(-1)!).toBeLessThan(20000);
      expect(lines.at(-1)).toContain('flow_list=192.0.2.1;1-192.0.2.2;5001,192.0.2.1;2-192.0.2.2;5001,');
      expect(cnt[siftrs.siftrs_lines]).toBe(50 + data);
      expect(t.control.written).toEqual([t.log, next]);
      expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
    } finally {
      await t.control.close();
    }
  });

  test('a log that takes no data is reported once, and the cycle ends with the records counted as lost', async () => {
    const cfg = createSiftrShared();
    const buf = createRing(64);
    const ring = new RecordProducer(buf);
    const cnt = new Float64Array(new SharedArrayBuffer(COUNTER_SLOTS * 8));
    const port = startWriterThread({ rings: [buf], cfg, cnt });
    const errors: (string | null)[] = [];
    port.onWriteError = (text) => errors.push(text);
    const { openSync, closeSync } = await import('node:fs');
    const fd = openSync('/dev/full', 'w');
    try {
      await port.begin(fd, Infinity);
      push(ring, { sec: 1 });
      await expect.poll(() => errors.length, { timeout: 5000 }).toBe(1);
      expect(errors[0]).toMatch(/^ENOSPC/);
      push(ring, { sec: 2 });
      expect(await port.end()).toMatchObject({ lines: 0, lost: 2 });
    } finally {
      closeSync(fd);
      await port.close();
    }
  });
});
