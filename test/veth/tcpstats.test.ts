import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, PATIENT, startXsiftr, XSIFTR, type Xsiftr } from '../lab/netns.ts';
import { peerWords } from '../lab/peer.ts';
import type { Running } from '../lab/process.ts';
import { num, parseSs } from '../lab/ss-line.ts';

const SENT = 300_000;
const BODY = 500_000;

/** Lines of a CSV file as objects, all values texts. Demands that every line is whole. */
function rows(text: string): Record<string, string>[] {
  expect(text.endsWith('\n')).toBe(true);
  const [head = '', ...lines] = text.slice(0, -1).split('\n');
  const names = head.split(',');
  return lines.map((line) => {
    const values = line.split(',');
    expect(values).toHaveLength(names.length);
    return Object.fromEntries(names.map((n, i) => [n, values[i]!]));
  });
}

/** What the last line of a run says of itself. */
function told(line: string | undefined): { samples: number; lines: number; skipped: number; dropped: number } {
  const n = (re: RegExp): number => Number(re.exec(line ?? '')?.[1] ?? 0);
  return {
    samples: n(/tcpstats: (\d+) samples?,/),
    lines: n(/, (\d+) lines?/),
    skipped: n(/; (\d+) samples? skipped/),
    dropped: n(/; (\d+) dropped/),
  };
}

describe.skipIf(labMissing('python3', 'ss', 'timeout') !== '')(
  `xsiftr tcpstats on a veth pair (spec/siftr.md section 15) ${labMissing('python3', 'ss', 'timeout')}`,
  () => {
    let lab: Lab;
    let x: Xsiftr;
    let held: Record<'echo' | 'http' | 'idle', number>;
    const file = (name: string): string => join(lab.dir, name);
    const read = (name: string): string => readFileSync(file(name), 'utf8');
    const size = (name: string): number => (existsSync(file(name)) ? statSync(file(name)).size : 0);
    const start = (...words: string[]): Running =>
      lab.spawnNear([XSIFTR, 'tcpstats', ...words, '--control', x.control]);

    beforeAll(async () => {
      lab = await Lab.create('vtcpstats', { queues: 2, peerOffloads: false, patient: true });
      x = await startXsiftr(lab, ['--serve', 'http,echo,discard', ...PATIENT]);
      const p = lab.spawnFar(peerWords('hold', SENT, BODY, 0));
      held = JSON.parse(await p.waitLine(/idle/)) as typeof held;
    });

    afterAll(async () => {
      await x?.stop();
      await lab?.remove();
    });

    test("one sample has a line a connection, which says what the peer's ss says of the same one", async () => {
      const r = rows(`${(await x.command(['tcpstats'])).stdout}\n`);
      const linux = parseSs((await lab.far('ss -tinHO')).stdout);
      expect(r.map((c) => Number(c['fport'])).sort()).toEqual([held.echo, held.http, held.idle].sort());
      for (const us of r) {
        const peer = linux.find((l) => l.lport === us['fport'])!;
        expect([us['laddr'], us['lport'], us['faddr']]).toEqual([peer.faddr, peer.fport, peer.laddr]);
        expect([us['state'], us['mss_bytes'], us['sack'], us['cc']]).toEqual([
          'ESTAB',
          peer.words.get('mss'),
          '1',
          'cubic',
        ]);
        expect(`${us['rcv_wscale']},${us['snd_wscale']}`).toBe(peer.words.get('wscale'));
        expect([us['send_q'], us['recv_q'], us['retrans_total'], us['unacked_bytes']]).toEqual(['0', '0', '0', '0']);
        // The peer opened: its SYN is among what it had acknowledged.
        expect(Number(us['bytes_received'])).toBe(num(peer, 'bytes_acked') - 1);
        expect(us['bytes_acked']).toBe(peer.words.get('bytes_received') ?? '0');
        expect(Math.abs(Number(us['time_us']) / 1000 - Date.now())).toBeLessThan(60_000);
      }
      expect(r.find((c) => c['fport'] === String(held.echo))!['bytes_received']).toBe(String(SENT));
    });

    test('-o appends a sample each interval, of all moments that do not overlap the one before, with one header', async () => {
      const run = ['tcpstats', '-o', file('flow.csv'), '-s', '50000', '-t', '1s'];
      const first = told((await x.command(run)).stderr);
      expect(first.samples + first.skipped).toBe(20);
      expect(first.lines).toBe(3 * first.samples);
      const second = told((await x.command(run)).stderr);
      const r = rows(read('flow.csv'));
      expect(r).toHaveLength(3 * (first.samples + second.samples));
      expect(read('flow.csv').match(/time_us/g)).toHaveLength(1);
      const of = r.filter((c) => c['fport'] === String(held.http)).map((c) => Number(c['time_us']));
      expect([...of].sort((a, b) => a - b)).toEqual(of);
      // Twenty moments 50 ms apart; the last one was not before the nineteenth interval was over.
      if (first.skipped === 0) expect(of[19]! - of[0]!).toBeGreaterThan(900_000);
      expect(statSync(file('flow.csv')).mode & 0o777).toBe(0o644);
    });

    test('Ctrl-C ends it with status 0 and the last line whole; -n ends it by itself; JSON has the same values', async () => {
      const p = start('-o', file('int.csv'), '-s', '10000');
      await expect.poll(() => existsSync(file('int.csv')) && read('int.csv').split('\n').length).toBeGreaterThan(10);
      expect(await p.stop('SIGINT')).toBe(0);
      const end = told(p.errorLines.at(-1));
      expect(rows(read('int.csv'))).toHaveLength(end.lines);
      expect(end.lines).toBe(3 * end.samples);

      const fields = 'time_us,state,lport,sack,ssthresh_bytes,bytes_acked';
      const filter = ['state', 'established', 'sport', '=', ':80'];
      const csv = await x.command(['tcpstats', '-n', '2', '-s', '1000', '--fields', fields, '-H', ...filter]);
      const json = await x.command(['tcpstats', '-o', '-', '-n', '2', '--fields', fields, '--json', ...filter]);
      expect(csv.stdout.split('\n').map((l) => l.replace(/^\d{16}/, 'T'))).toEqual(
        Array(2).fill(`T,ESTAB,80,1,,${rowOf(held.http)['bytes_acked']}`),
      );
      for (const line of json.stdout.split('\n')) {
        expect(JSON.parse(line)).toEqual({
          time_us: expect.any(Number),
          state: 'ESTAB',
          lport: 80,
          sack: true,
          bytes_acked: Number(rowOf(held.http)['bytes_acked']),
        });
      }
    });

    /** Its line in the file of the test before. */
    const rowOf = (port: number): Record<string, string> =>
      rows(read('int.csv')).find((c) => c['fport'] === String(port))!;

    test('--device: cat reads it as /dev/tcpstats was read, alone and two at a time, killed or stopped, and it goes at the end', async () => {
      const dev = file('tcpstats');
      const p = start('--device', dev, '-s', '20000');
      await expect.poll(() => existsSync(dev)).toBe(true);
      const cat = (name: string): Promise<unknown> =>
        lab.near(`timeout 2 cat ${dev} > ${file(name)}`, { check: false });
      await cat('alone');
      const one = cat('one');
      // Two that open it before the program has seen the first share a pipe.
      await expect.poll(() => size('one')).toBeGreaterThan(0);
      await Promise.all([one, cat('two')]);
      expect((await lab.near(`head -n 4 ${dev}`)).stdout.split('\n')).toHaveLength(4);
      const killed = lab.spawnNear(['sh', '-c', `exec cat ${dev} > ${file('killed')}`]);
      await expect.poll(() => size('killed')).toBeGreaterThan(0);
      await killed.stop('SIGKILL');
      await cat('after');
      for (const name of ['alone', 'one', 'two', 'after']) {
        const r = rows(read(name));
        expect(r.length % 3).toBe(0);
        expect(r.length).toBeGreaterThan(0);
        expect(new Set(r.map((c) => Number(c['fport'])))).toEqual(new Set([held.echo, held.http, held.idle]));
      }
      expect(await p.stop('SIGINT')).toBe(0);
      expect(existsSync(dev)).toBe(false);
      expect(p.errorLines.at(-1)).toMatch(/ lines to 6 readers/);
    });

    test('what cannot be is refused in one line with status 2, before anything is touched', async () => {
      writeFileSync(file('plain'), 'mine\n');
      const cases = [
        [
          ['--device', file('plain')],
          /^xsiftr: tcpstats: --device \S+: that file is no FIFO; give a path that is free, or a/,
        ],
        [['--device', file('d'), '-o', file('o')], /^xsiftr: tcpstats: --device \S+ and -o \S+ do not go together/],
        [['-o', file('plain')], /^xsiftr: tcpstats: -o \S+: does not begin with these columns; give another file/],
      ] as const;
      const got = await Promise.all(cases.map(([words]) => x.command(['tcpstats', ...words], { check: false })));
      for (const [i, r] of got.entries()) {
        expect([r.code, r.stdout]).toEqual([2, '']);
        expect(r.stderr).toMatch(cases[i]![1]);
      }
      expect(read('plain')).toBe('mine\n');
      expect([existsSync(file('d')), existsSync(file('o'))]).toEqual([false, false]);
    });

    test('when the instance ends, one line says so, status 1, the samples before it whole, and no FIFO is left', async () => {
      const p = start('-o', file('end.csv'), '-s', '10000');
      const d = start('--device', file('dev'));
      const unread = start('--device', file('unread'));
      await unread.waitLine(/serving/);
      await expect.poll(() => existsSync(file('dev'))).toBe(true);
      const cat = lab.spawnNear(['sh', '-c', `exec cat ${file('dev')} > ${file('last')}`]);
      await expect.poll(() => Math.min(size('end.csv'), size('last'))).toBeGreaterThan(1000);
      expect(await x.stop()).toBe(0);
      const ended = /^xsiftr: tcpstats: ix1: the instance \(pid \d+\) has ended; \d+ samples? taken before$/;
      for (const run of [p, d, unread]) {
        expect(await run.exited).toBe(1);
        expect(run.errorLines.at(-1)).toMatch(ended);
      }
      expect(p.errorLines).toHaveLength(1);
      expect(await cat.exited).toBe(0);
      expect(rows(read('end.csv')).length).toBeGreaterThan(0);
      expect(rows(read('last')).length).toBeGreaterThan(0);
      expect([existsSync(file('dev')), existsSync(file('unread'))]).toEqual([false, false]);
    });
  },
);
