import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changes, counter, framesHome, readCounters } from '../lab/counters.ts';
import { Lab, labMissing, PATIENT, pingReplies, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peer } from '../lab/peer.ts';

/** Emulated links on a live interface, Linux at the other end. */
describe.skipIf(labMissing('python3'))('dummynet on a veth pair', () => {
  let lab: Lab;
  let x: Xsiftr;

  beforeEach(async () => {
    lab = await Lab.create('vdn', { peerOffloads: false });
  });

  afterEach(async () => {
    await lab?.remove();
  });

  const start = async (...args: string[]): Promise<void> => {
    x = await startXsiftr(lab, ['--serve', 'http,discard,echo', '--sysctl', 'net.inet.tcp.msl=500', ...args]);
    // Both ends resolve each other before anything is measured: ARP goes past the pipes.
    await lab.far('ping -c 1 -W 2 192.0.2.1', { check: false });
    await expect.poll(() => counter(x, 'dummynet_held')).toBe(0);
  };

  const dnctl = async (...words: string[]) =>
    (await x.command(['dnctl', ...words.flatMap((w) => w.split(' '))])).stdout;

  /** Waits for as many replies, however late. */
  const ALL = ['-w', '10'];

  /** Round-trip times of some pings, ms, and how many replies are missing. */
  async function ping(count: number, ...options: string[]): Promise<{ rtt: number[]; out: string; lost: number }> {
    const r = await lab.far(['ping', '-c', String(count), '-i', '0.02', '-W', '1', ...options, '192.0.2.1'], {
      check: false,
    });
    const rtt = [...r.stdout.matchAll(/time=([\d.]+) ms/g)].map((m) => Number(m[1]));
    return { rtt, out: r.stdout, lost: Math.max(0, count - pingReplies(r.stdout)) };
  }

  /** What went in came out, was dropped, or is held. */
  async function conserved(): Promise<void> {
    const c = await readCounters(x);
    const n = (name: string): number => c.get(`dummynet_${name}`) ?? 0;
    const drops = ['loss', 'overflow', 'aqm', 'purge', 'nobufs'].reduce((sum, why) => sum + n(`drop_${why}`), 0);
    expect(n('io_in') + n('io_out') + n('duplicated')).toBe(n('passed_in') + n('passed_out') + drops + n('held'));
  }

  test('a delay each way is the least that a ping takes, and is gone with the pipes', async () => {
    await start('--pipe', 'in,delay=15ms', '--pipe', 'out,delay=25ms');
    const { rtt, lost } = await ping(20, ...ALL);
    expect(lost).toBe(0);
    expect(rtt.length).toBeGreaterThanOrEqual(20);
    expect(Math.min(...rtt)).toBeGreaterThanOrEqual(40);
    expect(await dnctl('pipe show')).toMatch(
      /^00001: unlimited {8}15 ms burst 0 \n(.*\n)*00002: unlimited {8}25 ms burst 0 \n/,
    );
    expect(await dnctl('rule list')).toBe('00100 pipe 1 ip from any to any in\n00200 pipe 2 ip from any to any out');
    expect(await dnctl('flush')).toBe('Flushed all pipes.');
    const before = await readCounters(x);
    expect((await ping(5, ...ALL)).lost).toBe(0);
    expect(changes(before, await readCounters(x)).dummynet_io_in).toBeUndefined();
    await conserved();
    await framesHome(x);
    expect(await x.stop()).toBe(0);
  });

  test('a pipe made while it runs gets what its rule says, plr 1 loses all of it, counted', async () => {
    await start();
    await dnctl('pipe 7 config plr 1');
    expect(await dnctl('rule add pipe 7 icmp from 192.0.2.2 to any in')).toBe(
      '00100 pipe 7 icmp from 192.0.2.2 to any in',
    );
    const before = await readCounters(x);
    expect((await ping(10)).lost).toBe(10);
    expect(changes(before, await readCounters(x))).toMatchObject({ dummynet_io_in: 10, dummynet_drop_loss: 10 });
    expect(await dnctl('rule show')).toBe('00100 10 840 pipe 7 icmp from 192.0.2.2 to any in');
    expect(await dnctl('pipe 7 show')).toContain(
      '\n  0 ip           0.0.0.0/0             0.0.0.0/0       10      840  0    0  10',
    );
    // TCP is not the rule's.
    expect(await peer(lab, 'echo', 10_000)).toEqual({ bytes: 10_000, same: true });
    await dnctl('pipe delete 7');
    expect(await dnctl('rule list')).toBe('');
    expect((await ping(3, ...ALL)).lost).toBe(0);
    await framesHome(x);
    await x.stop();
  });

  test('at 10 Mbit/s with room for all that is on its way a transfer loses nothing, and the pipe has counted every byte', async () => {
    await start('--pipe', 'out,tcp,bw=10Mbit/s,delay=5ms,queue=1000', ...PATIENT);
    const before = await readCounters(x);
    const begun = performance.now();
    expect(await peer(lab, 'http_bytes', 1_500_000)).toEqual([{ status: 200, bytes: 1_500_000, same: true }]);
    const seconds = (performance.now() - begun) / 1000;
    await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 10_000 }).toBe(0);
    const diff = changes(before, await readCounters(x));
    expect(diff.tcp_sndrexmitpack).toBeUndefined();
    expect(diff.dummynet_passed_out).toBe(diff.tcp_sndtotal);
    expect(diff.dummynet_passed_out).toBe(diff.dummynet_io_out);
    const [, packets, bytes] = /^00100 +(\d+) +(\d+) pipe 1 tcp/.exec(await dnctl('rule show'))!;
    expect(Number(packets)).toBe(diff.dummynet_io_out);
    // Headers of 40 bytes and at least the 12 of timestamps come on top of what TCP sent.
    expect(Number(bytes)).toBeGreaterThanOrEqual(1_500_000 + 40 * Number(packets));
    // The link cannot be faster than its rate: so long is it busy with these bytes.
    const busy = (Number(bytes) * 8) / 10e6;
    expect(seconds).toBeGreaterThanOrEqual(busy);
    // SIFTR took notice of each segment once, on either side of the pipe.
    const c = await readCounters(x);
    expect(c.get('siftr_n_out')).toBe(c.get('tcp_sndtotal'));
    expect(c.get('siftr_n_in')).toBe(c.get('tcp_rcvtotal'));
    expect(c.get('siftr_reinjected')).toBe(0);
    console.log(`1.5 MB through 10 Mbit/s: ${seconds.toFixed(3)} s, the link alone ${busy.toFixed(3)} s`);
    await conserved();
    await framesHome(x);
    await x.stop();
  });

  test('a short queue overflows, TCP recovers, and the drops are those of the pipe', async () => {
    await start('--pipe', 'out,tcp,bw=20Mbit/s,delay=5ms,queue=10');
    const before = await readCounters(x);
    expect(await peer(lab, 'http_bytes', 2_000_000)).toEqual([{ status: 200, bytes: 2_000_000, same: true }]);
    await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 10_000 }).toBe(0);
    const diff = changes(before, await readCounters(x));
    expect(diff.dummynet_drop_overflow).toBeGreaterThan(0);
    expect(diff.dummynet_passed_out).toBe(diff.dummynet_io_out! - diff.dummynet_drop_overflow!);
    expect(diff.tcp_sndrexmitpack).toBeGreaterThan(0);
    await conserved();
    await framesHome(x);
    await x.stop();
  });

  test('copies and overtaking packets arrive as such at the peer', async () => {
    await start('--pipe', 'out,icmp,duplicate=1');
    const twice = await ping(5);
    expect(twice.out.match(/DUP!/g)?.length).toBeGreaterThanOrEqual(4);
    await dnctl('pipe 1 config delay 50ms reorder 1 gap 4');
    const { out } = await ping(12, '-i', '0.01');
    const seqs = [...out.matchAll(/icmp_seq=(\d+)/g)].map((m) => Number(m[1]));
    expect(seqs).not.toEqual([...seqs].sort((a, b) => a - b));
    expect(await counter(x, 'dummynet_reordered')).toBeGreaterThan(0);
    await conserved();
    await x.stop();
  });

  test('a flipped bit is found by the checksum of whoever receives it, Linux or us', async () => {
    await start('--pipe', 'out,tcp,corrupt=0.05', '--pipe', 'in,tcp,corrupt=0.05');
    const badOf = async (): Promise<number> =>
      Number(/^TcpInCsumErrors\s+(\d+)/m.exec((await lab.far('nstat -az TcpInCsumErrors')).stdout)?.[1]);
    const before = await readCounters(x);
    const bad = await badOf();
    expect(await peer(lab, 'echo', 1_000_000)).toEqual({ bytes: 1_000_000, same: true });
    await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 10_000 }).toBe(0);
    const diff = changes(before, await readCounters(x));
    const [theirs, ours] = [(await badOf()) - bad, diff.tcp_rcvbadsum ?? 0];
    expect(ours).toBeGreaterThan(0);
    expect(theirs).toBeGreaterThan(0);
    // Some flip in a header field that drops the segment for another reason first (length of the header).
    expect(theirs + ours).toBeLessThanOrEqual(diff.dummynet_corrupted!);
    await framesHome(x);
    await x.stop();
  });

  test('mark sets CE for ECN-capable packets, with an IP header that Linux accepts', async () => {
    await start();
    await dnctl('pipe 1 config bw 1Mbit/s mark 1 queue 100');
    await dnctl('rule add pipe 1 icmp from any to any out');
    const ce = async (): Promise<number> =>
      Number(/^IpExtInCEPkts\s+(\d+)/m.exec((await lab.far('nstat -az IpExtInCEPkts')).stdout)![1]);
    const before = await ce();
    // An echo request with ECT(0) is answered with the same type of service.
    await lab.far('ping -c 20 -l 20 -s 1000 -Q 2 192.0.2.1', { check: false });
    await expect.poll(() => counter(x, 'dummynet_passed_out')).toBe(20);
    const marked = await counter(x, 'dummynet_marked');
    expect(marked).toBeGreaterThan(0);
    // A packet is counted before the kernel gets it.
    await expect.poll(async () => (await ce()) - before).toBe(marked);
    await x.stop();
  });

  test('what is in a pipe when it goes is dropped, counted and its frames come back; at the end too', async () => {
    await start();
    await dnctl('pipe 1 config delay 5s');
    await dnctl('rule add pipe 1 icmp from any to any in');
    await lab.far('ping -c 20 -l 20 -i 0.002 -W 1 192.0.2.1', { check: false });
    expect(await counter(x, 'dummynet_held')).toBe(20);
    await dnctl('flush');
    expect(await counter(x, 'dummynet_held')).toBe(0);
    expect(await counter(x, 'dummynet_drop_purge')).toBe(20);
    await framesHome(x);
    await dnctl('pipe 1 config delay 5s');
    await dnctl('rule add pipe 1 ip from any to any');
    await lab.far('ping -c 5 -l 5 -i 0.002 -W 1 192.0.2.1', { check: false });
    expect(await x.stop()).toBe(0);
  });

  test('each of two queues has a pipe, and is said to', async () => {
    await lab.remove();
    lab = await Lab.create('vdn', { queues: 2, peerOffloads: false });
    await start('--pipe', 'in,delay=1ms');
    const r = await x.command(['dnctl', 'pipe', '1', 'config', 'bw', '10Mbit/s', 'delay', '1ms']);
    expect(r.stderr).toBe(
      'dnctl: pipe 1: each of the 2 queues has its own of 10 Mbit/s; for one bottleneck of all flows start with --queues 1',
    );
    expect(await peer(lab, 'many_in_sequence', 20)).toEqual({ good: 40 });
    expect(await dnctl('pipe show')).toMatch(/^q131073 {2}50 sl\. 0 flows \(2 buckets\)/m);
    await conserved();
    await x.stop();
  });

  test('wrong words are refused in one line with exit status 2, and change nothing', async () => {
    await start('--pipe', 'in,delay=1ms');
    const shown = await dnctl('rule list');
    for (const [words, line] of [
      ['pipe 1 config bw fast', /^xsiftr: pipe 1 config: bw fast: a rate like/],
      ['pipe 1 config burst 10K', /^xsiftr: pipe 1 config: burst: a pipe has no burst/],
      ['queue 1 config weight 10', /^xsiftr: queue: weighted queues and schedulers are not supported/],
      ['pipe delete 9', /^xsiftr: pipe 9: there is none; configured are 1$/],
      ['pipe 1 config trace /nonexistent', /^xsiftr: trace \/nonexistent: cannot be read \(ENOENT\)$/],
      ['rule add pipe 9 ip from any to any', /^xsiftr: pipe 9: there is none/],
    ] as const) {
      const r = await x.command(['dnctl', ...words.split(' ')], { check: false });
      expect(r).toMatchObject({ code: 2, stdout: '' });
      expect(r.stderr).toMatch(line);
      expect(r.stderr).not.toContain('\n');
    }
    expect((await x.command(['dnctl', '-q', 'pipe', 'delete', '9'])).code).toBe(0);
    expect((await x.command(['dnctl', '-n', 'flush'])).code).toBe(0);
    expect(await dnctl('rule list')).toBe(shown);
    await x.stop();
  });
});
