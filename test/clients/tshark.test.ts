import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { counter, readCounters } from '../lab/counters.ts';
import { Lab, labMissing, PATIENT, startXsiftr } from '../lab/netns.ts';

/** What is read of each frame, in one pass. */
const FIELDS = [
  'ip.src',
  'tcp.stream',
  'tcp.flags.str',
  'tcp.srcport',
  'ip.checksum.status',
  'tcp.checksum.status',
  'icmp.checksum.status',
  'tcp.option_kind',
  'tcp.options.mss_val',
  'ip.flags.df',
  'ip.ttl',
  'tcp.seq_raw',
  'eth.trailer',
  'eth.padding',
  '_ws.malformed',
] as const;
type Frame = Record<(typeof FIELDS)[number], string>;

const programs = ['tshark', 'dumpcap', 'curl', 'iperf3', 'ping', 'bash'];

/** What we send, judged by Wireshark's dissectors on a capture at the peer's end of a run without losses. */
describe.skipIf(labMissing(...programs))('a capture of a clean run, judged by tshark', () => {
  let lab: Lab;
  let file: string;
  let sent = 0;
  /** The IP packets that we sent. */
  let ours: Frame[];

  beforeAll(async () => {
    lab = await Lab.create('ctshark', { peerOffloads: false, patient: true });
    file = join(lab.dir, 'clean.pcapng');
    const msl = ['--sysctl', 'net.inet.tcp.msl=500'];
    const x = await startXsiftr(lab, ['--serve', 'http,iperf3,discard,echo,daytime', '--no-siftr', ...PATIENT, ...msl]);
    await lab.far('ping -c 1 -W 2 192.0.2.1');
    const before = await readCounters(x);
    // Whole frames: a cut one has no checksum to check. A large buffer, since a lost frame would look like a lost segment.
    const dump = lab.spawnFar(['dumpcap', '-q', '-B', '64', '-i', 'peer0', '-w', file]);
    await dump.waitLine(/^File:/);
    await lab.far('ping -c 3 -i 0.05 -W 2 192.0.2.1');
    await lab.far("curl -sS -m 20 -o /dev/null 'http://192.0.2.1/bytes/[40000-50000:1000]'");
    await lab.far('curl -sS -m 20 -o /dev/null -o /dev/null http://192.0.2.1/ http://192.0.2.1/bytes/1');
    // Paced, in blocks that the first window of 64 KB holds: a full receive window is nothing wrong but would be remarked on.
    await lab.far('iperf3 -c 192.0.2.1 -n 5M -b 40M -l 16K');
    await lab.far('iperf3 -c 192.0.2.1 -n 5M -b 40M -l 16K -R');
    await lab.far('timeout 5 bash -c "cat </dev/tcp/192.0.2.1/13"');
    await lab.far('bash -c "exec 3<>/dev/tcp/192.0.2.1/1"', { check: false });
    // A program of the peer has gone before its last segments are seen here.
    await vi.waitFor(async () => expect(await counter(x, 'tcp_connections')).toBe(0), 10_000);
    const after = await readCounters(x);
    sent = (after.get('ip_localout') ?? 0) - (before.get('ip_localout') ?? 0);
    expect(after.get('tcp_sndrexmitpack')).toBe(0);
    expect(after.get('tcp_rcvoopack')).toBe(0);
    // dumpcap takes what it has in blocks; the last one is not full.
    const looks = { timeout: 20_000, interval: 500 };
    await vi.waitFor(async () => expect(await tshark('-Y', 'ip.src == 192.0.2.1')).toHaveLength(sent), looks);
    await dump.stop('SIGINT');
    expect(dump.output()).toMatch(/\d+\/0 \(/);
    await x.stop();
    const wanted = FIELDS.flatMap((f) => ['-e', f]);
    const rows = await tshark('-Y', 'ip.src == 192.0.2.1', '-T', 'fields', '-E', 'separator=;', ...wanted);
    ours = rows.map((row) => {
      const words = row.split(';');
      return Object.fromEntries(FIELDS.map((f, i) => [f, words[i] ?? ''])) as Frame;
    });
  }, 60_000);

  afterAll(async () => {
    await lab?.remove();
  });

  async function tshark(...words: string[]): Promise<string[]> {
    const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
    const r = await lab.far(['tshark', '-n', '-r', file, ...checks, ...words]);
    return r.stdout.split('\n').filter(Boolean);
  }

  const syns = (): Frame[] => ours.filter((f) => f['tcp.flags.str'].includes('S'));

  test('all that we count as sent is in it', () => {
    expect(ours.length).toBe(sent);
    expect(ours.length).toBeGreaterThan(3000);
  });

  test('every IP, ICMP and TCP checksum of ours is right', () => {
    const good = /^(1|Good)$/;
    for (const f of ours) {
      expect(f['ip.checksum.status']).toMatch(good);
      expect(f['icmp.checksum.status'] || f['tcp.checksum.status']).toMatch(good);
    }
  });

  test('TCP analysis finds nothing but window updates', async () => {
    expect(await tshark('-Y', 'tcp.analysis.flags && !tcp.analysis.window_update')).toEqual([]);
  });

  test('the experts see neither error nor warning but the one RST, and no malformed packet', async () => {
    // Of what we send: the peer's kernel writes ffff for a checksum of 0, which one packet in 65536 has, and resets a connection whose last
    // bytes iperf3 has not read (-R).
    const out = (await tshark('-q', '-z', 'expert,warn,ip.src == 192.0.2.1')).filter((line) => /^ +\d/.test(line));
    expect(out.map((line) => line.trim())).toEqual([expect.stringMatching(/^1 +Sequence +TCP +Connection reset/)]);
    expect(ours.filter((f) => f['_ws.malformed'] !== '')).toEqual([]);
  });

  test('SYN,ACKs carry their options in the order mss, nop, wscale, sackOK, TS', () => {
    expect(syns().length).toBeGreaterThanOrEqual(7);
    for (const f of syns()) expect(f['tcp.option_kind']).toBe('2,1,3,4,8');
  });

  test('SYN,ACKs announce MSS 1460, carry DF and TTL 64, and no two have the same sequence number', () => {
    for (const f of syns()) {
      expect([f['tcp.options.mss_val'], f['ip.flags.df'], f['ip.ttl']]).toEqual([
        '1460',
        expect.stringMatching(/^(1|True)$/),
        '64',
      ]);
    }
    expect(new Set(syns().map((f) => f['tcp.seq_raw'])).size).toBe(syns().length);
  });

  test('every connection has our FIN; only the closed port is answered by RST', () => {
    const streams = (flag: string): string[] =>
      [...new Set(ours.filter((f) => f['tcp.flags.str'].includes(flag)).map((f) => f['tcp.stream']))].sort();
    expect(streams('F')).toEqual(streams('S'));
    expect(ours.filter((f) => f['tcp.flags.str'].includes('R')).map((f) => f['tcp.srcport'])).toEqual(['1']);
  });

  test('no frame of ours has bytes behind the datagram', () => {
    expect(ours.filter((f) => f['eth.trailer'] !== '' || f['eth.padding'] !== '')).toEqual([]);
  });
});
