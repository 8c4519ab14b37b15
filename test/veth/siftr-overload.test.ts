import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MetaFile } from '../../src/siftr/meta.ts';
import { type Lab, labMissing, NEAR_ADDRESS, startXsiftr, withLab, XSIFTR, type Xsiftr } from '../lab/netns.ts';

const PARSER = join(import.meta.dirname, '../fixtures/parse_siftr.py');

/** Transfers a file; the packets that SIFTR logs are on their way whatever becomes of the log. */
async function get(lab: Lab, bytes: number): Promise<void> {
  const url = `http://${NEAR_ADDRESS}/bytes/${bytes}`;
  const r = await lab.far(`curl -sS -m 20 -o /dev/null -w '%{http_code} %{size_download}' ${url}`);
  expect(r.stdout).toBe(`200 ${bytes}`);
}

/** Sum of a metric over its labels. */
async function metrics(x: Xsiftr): Promise<(name: string) => number> {
  const text = await (await fetch(`${x.metrics}/metrics`)).text();
  return (name) => {
    const values = [...text.matchAll(new RegExp(`^xsiftr_siftr_${name}(?:\\{.*\\})? (\\d+)$`, 'gm'))];
    return values.reduce((n, m) => n + Number(m[1]), 0);
  };
}

const missing = labMissing('python3', 'curl', 'unshare', 'nsenter', 'mkfifo');

describe.skipIf(missing !== '')('a log that cannot keep up costs records, counted, and never a packet', () => {
  test('a FIFO that nobody reads, a full disk, a removed file, a read-only folder (spec/siftr.md section 14 items 1 and 3)', async () => {
    await withLab('overload', { peerOffloads: false }, async (lab) => {
      // xsiftr in a mount namespace of its own, with a disk of 4 MB and a folder that is read-only even for root.
      const program = join(lab.dir, 'xsiftr');
      const mounts = `mount -t tmpfs -o size=4m small ${lab.dir}/small && mount -t tmpfs -o ro none ${lab.dir}/ro`;
      writeFileSync(
        program,
        `#!/bin/sh\ncase $1 in --iface) exec unshare -m --propagation private sh -c '${mounts} && exec "$0" "$@"' ${XSIFTR} "$@";; esac\nexec ${XSIFTR} "$@"\n`,
        { mode: 0o755 },
      );
      execFileSync('mkdir', [join(lab.dir, 'small'), join(lab.dir, 'ro')]);
      const x = await startXsiftr(lab, ['--no-siftr', '--siftr-limit', '1G'], { program });
      const inside = (...words: string[]) =>
        spawnSync('nsenter', ['-t', String(x.running.child.pid), '-m', '--', ...words], { encoding: 'utf8' }).stdout;
      const set = (leaf: string, value: string | number, check = true) =>
        x.command(['sysctl', `net.inet.siftr.${leaf}=${value}`], { check });
      const said = (text: string): boolean => x.running.errorLines.some((l) => l.includes(text));
      const small = (name: string): string => join(lab.dir, 'small', name);

      // A pipe that has no reader is refused; with one that does not read, the rings fill and drop, and nothing else happens.
      const fifo = join(lab.dir, 'fifo');
      execFileSync('mkfifo', [fifo]);
      expect((await set('logfile', fifo, false)).stderr).toContain('ENXIO');
      lab.keep(lab.spawnNear(['sh', '-c', 'exec sleep 60 <> "$0"', fifo]));
      await expect.poll(async () => (await set('logfile', fifo, false)).code, { timeout: 5000 }).toBe(0);
      await set('qlen', 1024);
      await set('enabled', 1);
      expect((await set('qlen', 2048, false)).stderr).toContain('set net.inet.siftr.enabled=0 first');
      await get(lab, 20_000_000);
      const piped = await metrics(x);
      const dropped = piped('queue_drops_total');
      expect(dropped).toBeGreaterThan(0);
      expect(piped('queue_high_water')).toBe(1024);
      expect(dropped).toBe(piped('nskip_in_malloc_total') + piped('nskip_out_malloc_total'));
      await set('enabled', 0);
      expect(said('records were lost because the log could not be written')).toBe(true);
      expect((await metrics(x))('lost_total')).toBeGreaterThan(0);

      // A full disk: the lines wait until there is room, and are all there in the end.
      await set('qlen', 65536);
      await set('logfile', small('full.log'));
      inside('sh', '-c', `head -c 4000000 /dev/zero > ${small('filler')}`);
      await set('enabled', 1);
      await get(lab, 3_000_000);
      await expect.poll(() => said('no space left on device'), { timeout: 5000 }).toBe(true);
      await get(lab, 300_000);
      inside('rm', small('filler'));
      await expect.poll(() => said('writing works again'), { timeout: 5000 }).toBe(true);
      await set('enabled', 0);
      const full = join(lab.dir, 'full.log');
      writeFileSync(full, inside('cat', small('full.log')));
      const parsed = spawnSync('python3', [PARSER, full], { encoding: 'utf8', maxBuffer: 1 << 26 });
      expect(parsed.stderr).toBe('');
      expect(JSON.parse(parsed.stdout).counts.num_outbound_skipped_pkts_malloc).toBe(0);
      const { cycles } = JSON.parse(inside('cat', `${small('full.log')}.meta.json`)) as MetaFile;
      expect(cycles[0]).toMatchObject({
        interfaces: [{ name: 'ix1', driver: 'veth', mtu: 1500, mode: 'native copy' }],
        counts: { lost: 0, data_lines: JSON.parse(parsed.stdout).data },
        sysctls: { 'net.inet.siftr.logfile': small('full.log') },
      });
      const ethtool = (await lab.near('ethtool -k ix1')).stdout;
      for (const name of cycles[0]!.interfaces[0]!.offloads!.filter((n) => ethtool.includes(`\n${n}:`))) {
        expect(ethtool).toContain(`\n${name}: on`);
      }

      // A file removed under it is made again; one in a read-only folder is refused, and the log in use stays.
      await set('logfile', small('gone.log'));
      await set('enabled', 1);
      await get(lab, 100_000);
      inside('rm', small('gone.log'));
      await expect
        .poll(() => inside('head', '-c', '17', small('gone.log')), { timeout: 5000 })
        .toBe('enable_time_secs=');
      expect((await set('logfile', join(lab.dir, 'ro', 'x.log'), false)).stderr).toContain('EROFS');
      await get(lab, 100_000);
      await set('enabled', 0);
      expect(inside('tail', '-n', '1', small('gone.log'))).toMatch(/^disable_time_secs=/);
      expect((await x.command(['sysctl', '-n', 'net.inet.siftr.logfile'])).stdout.trim()).toBe(small('gone.log'));

      const all = await metrics(x);
      expect(all('log_reopens_total')).toBe(1);
      expect(all('sum_mismatch_total')).toBe(0);
      const skips = ['malloc', 'tcpcb', 'inpcb'].flatMap((why) => [`nskip_in_${why}_total`, `nskip_out_${why}_total`]);
      const parts = ['lines_total', 'lost_total', 'ppl_in_total', 'ppl_out_total', ...skips].map(all);
      expect(parts.reduce((a, b) => a + b, 0)).toBe(all('n_in_total') + all('n_out_total'));
      expect(await x.stop()).toBe(0);
      expect(readFileSync(`/proc/self/mounts`, 'utf8')).not.toContain(lab.dir);
    });
  });
});
