import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { counter } from '../lab/counters.ts';
import { Lab, labMissing, NEAR_ADDRESS, startXsiftr, XSIFTR } from '../lab/netns.ts';
import { type Result, run } from '../lab/process.ts';

/** Fields of a segment as tshark calls them, and as the join does. */
const FIELDS: readonly (readonly [string, string])[] = [
  ['frame.number', 'seg_frame'],
  ['frame.time_epoch', 'seg_time'],
  ['ip.src', 'seg_saddr'],
  ['tcp.srcport', 'seg_sport'],
  ['ip.dst', 'seg_daddr'],
  ['tcp.dstport', 'seg_dport'],
  ['tcp.seq_raw', 'seg_seq'],
  ['tcp.ack_raw', 'seg_ack'],
  ['tcp.seq', 'seg_rel_seq'],
  ['tcp.ack', 'seg_rel_ack'],
  ['tcp.len', 'seg_len'],
  ['tcp.window_size_value', 'seg_win'],
  ['tcp.options.timestamp.tsval', 'seg_tsval'],
  ['tcp.options.timestamp.tsecr', 'seg_tsecr'],
];

type Row = Record<string, string | number | null>;

/** Whole packets of a pcap file that may still be written. */
function packetsOf(pcap: Buffer): number {
  let n = 0;
  for (let at = 24; at + 16 <= pcap.length; n++) {
    at += 16 + pcap.readUInt32LE(at + 8);
    if (at > pcap.length) break;
  }
  return n;
}

/** A SIFTR log and what the peer's kernel captured of the same transfers (issue 5, "join LOG CAPTURE"). */
describe.skipIf(labMissing('tcpdump', 'tshark', 'editcap', 'curl', 'bash'))(
  'a log joined with the capture of the peer',
  () => {
    let lab: Lab;
    let log: string;
    let capture: string;
    let joined: Result;
    let rows: Row[];

    const joinTo = async (file: string, ...more: string[]): Promise<{ result: Result; rows: Row[] }> => {
      const out = join(lab.dir, 'rows.ndjson');
      const result = await run([XSIFTR, 'log', 'join', log, file, '--format', 'ndjson', '-o', out, ...more]);
      const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
      return { result, rows: lines.filter(Boolean).map((line) => JSON.parse(line) as Row) };
    };

    beforeAll(async () => {
      lab = await Lab.create('cjoin', { peerOffloads: false });
      const x = await startXsiftr(lab, ['--serve', 'http,discard', '--sysctl', 'net.inet.tcp.msl=500']);
      capture = join(lab.dir, 'peer.pcap');
      const dump = lab.spawnFar(
        `tcpdump -Z root -i peer0 -n -U -B 65536 --immediate-mode --time-stamp-precision=nano -w ${capture} tcp`.split(
          ' ',
        ),
      );
      await dump.waitLine(/listening on/);
      await lab.far(`curl -sS -m 20 -o /dev/null 'http://${NEAR_ADDRESS}/bytes/[40000-50000:1000]'`);
      for (let i = 0; i < 4; i++) await lab.far(`curl -sS -m 20 -o /dev/null http://${NEAR_ADDRESS}/bytes/300000`);
      await lab.far(['bash', '-c', `head -c 2000000 /dev/zero > /dev/tcp/${NEAR_ADDRESS}/9`]);
      await lab.far(`curl -sS -m 20 -o /dev/null http://${NEAR_ADDRESS}/bytes/3000000`);
      // A program of the peer has gone before its last segments are seen here; and what tcpdump has not written when it is stopped is lost.
      await vi.waitFor(async () => expect(await counter(x, 'tcp_connections')).toBe(0), 10_000);
      const all = (await counter(x, 'tcp_rcvtotal')) + (await counter(x, 'tcp_sndtotal'));
      await vi.waitFor(() => expect(packetsOf(readFileSync(capture))).toBe(all), 10_000);
      await dump.stop('SIGINT');
      expect(dump.output()).toContain('0 packets dropped by kernel');
      expect(await x.stop()).toBe(0);
      log = x.siftrLog;
      const r = await joinTo(capture, '--all');
      joined = r.result;
      rows = r.rows;
    }, 60_000);

    afterAll(async () => {
      await lab?.remove();
    });

    test('pairs every line, and leaves only what SIFTR has no line for', () => {
      const lines = readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => /^[io],/.test(line)).length;
      expect(joined.stderr).toMatch(/^lines unmatched +0$/m);
      expect(joined.stderr).toMatch(/^segments unmatched +0$/m);
      expect(joined.stderr).toMatch(new RegExp(`^paired +${lines} `, 'm'));
      expect(rows.filter((row) => row['by'] !== null)).toHaveLength(lines);
      // A passive open: SYN, SYN-ACK, ACK.
      const rest = rows.filter((row) => row['line'] === null);
      expect(rest.map((row) => row['why'])).toEqual(rest.map(() => 'handshake'));
      expect(
        new Set(
          rest.map((row) => (row['seg_sport'] === 80 || row['seg_sport'] === 9 ? row['seg_dport'] : row['seg_sport'])),
        ).size,
      ).toBe(rest.length / 3);
    });

    test('pairs a line with a segment of its connection and direction, and none with two', () => {
      const pairs = rows.filter((row) => row['by'] !== null);
      for (const row of pairs) {
        const [near, far] = row['dir'] === 'o' ? ['s', 'd'] : ['d', 's'];
        expect([row[`seg_${near}addr`], row[`seg_${near}port`]]).toEqual([row['laddr'], row['lport']]);
        expect([row[`seg_${far}addr`], row[`seg_${far}port`]]).toEqual([row['faddr'], row['fport']]);
      }
      expect(new Set(pairs.map((row) => `${row['seg_frame']} ${row['seg_piece']}`)).size).toBe(pairs.length);
    });

    test('does not see a packet before it was sent: both ends have one clock', () => {
      for (const row of rows.filter((r) => r['by'] !== null)) {
        // To a millisecond: a line has whole µs, and its clock was laid over the wall clock up to a second ago.
        if (row['dir'] === 'o') expect(row['diff_us']).toBeGreaterThan(-1000);
        else expect(row['diff_us']).toBeLessThan(1000);
      }
      console.log(
        joined.stderr
          .split('\n')
          .filter((line) => line.startsWith('capture - log'))
          .join('\n'),
      );
    });

    test('has the numbers that tshark reads in the same frames', async () => {
      const wanted = FIELDS.flatMap(([name]) => ['-e', name]);
      const { stdout } = await run(['tshark', '-n', '-r', capture, '-T', 'fields', ...wanted]);
      const frames = new Map(stdout.split('\n').map((line) => [Number(line.split('\t')[0]), line.split('\t')]));
      const ours = rows.map((row) => FIELDS.map(([, name]) => String(row[name])));
      expect(ours).toEqual(rows.map((row) => frames.get(row['seg_frame'] as number)));
    });

    test('finds a clock that is two hours and a half second off, and reads pcapng, gzip and a cut file', async () => {
      const off = join(lab.dir, 'off.pcapng');
      await run(['editcap', '-F', 'pcapng', '-t', '-7200.5', capture, off]);
      const frames = (list: Row[]) => list.map((row) => row['seg_frame']);
      const moved = await joinTo(off, '--all');
      expect(moved.result.stderr).toMatch(/^lines unmatched +0$/m);
      expect(frames(moved.rows)).toEqual(frames(rows));
      copyFileSync(capture, join(lab.dir, 'zipped.pcap'));
      await run(['gzip', join(lab.dir, 'zipped.pcap')]);
      expect(frames((await joinTo(join(lab.dir, 'zipped.pcap.gz'), '--all')).rows)).toEqual(frames(rows));
      await run(['sh', '-c', `head -c 1000000 ${capture} > ${join(lab.dir, 'cut.pcap')}`]);
      const cut = await joinTo(join(lab.dir, 'cut.pcap'));
      expect(cut.result.stderr).toContain('ends in the middle of a packet');
      expect(cut.rows.filter((row) => row['by'] !== null).length).toBeGreaterThan(500);
    });
  },
);
