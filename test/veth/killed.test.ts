import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changes, counter, framesHome, readCounters } from '../lab/counters.ts';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peer, raw } from '../lab/peer.ts';

const MSS = 1448;

/** Peers that stall, vanish and reset. */
describe.skipIf(labMissing('python3', 'curl', 'nft', 'ping'))('peers in trouble', () => {
  let lab: Lab;
  let x: Xsiftr;

  beforeEach(async () => {
    lab = await Lab.create('vkill', { peerOffloads: false });
    // A way to addresses that are not on the link, for what a flood pretends to come from.
    await lab.near('ip route add 198.51.100.0/24 via 192.0.2.2');
    x = await startXsiftr(lab, [
      ...['--serve', 'http,echo,discard,chargen', '--sysctl', 'net.inet.tcp.msl=500', '--no-siftr'],
    ]);
    await lab.far('ping -c 1 -W 2 192.0.2.1');
  });

  afterEach(async () => {
    await x?.stop();
    await lab?.remove();
  });

  async function atRest(): Promise<void> {
    await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 10_000 }).toBe(0);
    await framesHome(x);
  }

  test('a RST ends the connection at once, whatever was under way (RFC 9293 section 3.5.3)', async () => {
    const before = await readCounters(x);
    for (const [port, bytes] of [
      [7, 0],
      [7, 1],
      [9, 500_000],
      [19, 0],
    ] as const)
      await peer(lab, 'reset', port, bytes);
    await atRest();
    const diff = changes(before, await readCounters(x));
    expect(diff).toMatchObject({ tcp_accepts: 4, tcp_drops: 4, tcp_closed: 4 });
    expect(diff.tcp_timewait).toBeUndefined();
  });

  test('a peer that reads nothing for 7 s is probed, and gets everything after (RFC 9293 section 3.8.6.1)', async () => {
    const before = await readCounters(x);
    expect(await peer(lab, 'zero_window_of_peer', 5_000_000, 7)).toEqual({ bytes: 5_000_000, same: true });
    await atRest();
    const diff = changes(before, await readCounters(x));
    expect(diff.tcp_persisttimeo).toBeGreaterThan(0);
    expect(diff.tcp_sndprobe).toBeGreaterThan(0);
    expect(diff.tcp_rexmttimeo).toBeUndefined();
  });

  test('when the peer does not read our answers we close our window, answer its probes, and lose nothing', async () => {
    const before = await readCounters(x);
    const r = await peer<{ stuck_at: number; bytes: number; same: boolean }>(lab, 'zero_window_of_us', 24_000_000, 3);
    expect(r).toMatchObject({ bytes: 24_000_000, same: true });
    // Both buffers of ours, which do not grow while nothing is taken, and those of the kernel were full.
    expect(r.stuck_at).toBeGreaterThan(32_768 + 65_536);
    expect(r.stuck_at).toBeLessThan(24_000_000);
    await atRest();
    expect(changes(before, await readCounters(x)).tcp_rcvbyte).toBe(24_000_000);
  });

  test('a link that is gone for 3 s costs time and no byte', { timeout: 40_000 }, async () => {
    // A bottleneck of ours, so that the interruption falls into the middle and finds segments on the way. A reader that is slow instead may have its
    // window shut at that moment and everything acknowledged: then it is the persist timer that runs.
    await x.command('dnctl pipe 1 config bw 64Mbit/s queue 50'.split(' '));
    await x.command('dnctl rule add pipe 1 tcp from any to any out'.split(' '));
    const before = await readCounters(x);
    const get = lab.spawnFar(['sh', '-c', 'curl -sS -m 30 http://192.0.2.1/bytes/24000000 | sha256sum'], {});
    await expect.poll(() => counter(x, 'tcp_sndbyte')).toBeGreaterThan(4_000_000);
    await lab.far('ip link set peer0 down');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await lab.far('ip link set peer0 up');
    await get.exited;
    const direct = await lab.far(
      `python3 -c "import hashlib,sys;r=bytes(range(251));print(hashlib.sha256((r*(24000000//251+1))[:24000000]).hexdigest())"`,
    );
    expect(get.lines[0]).toBe(`${direct.stdout}  -`);
    await atRest();
    const diff = changes(before, await readCounters(x));
    expect(diff.tcp_rexmttimeo).toBeGreaterThan(0);
    expect(diff.tcp_timeoutdrop).toBeUndefined();
  });

  test('a peer process that is killed in a transfer leaves no connection behind', async () => {
    const before = await readCounters(x);
    const get = lab.spawnFar(['curl', '-s', '-o', '/dev/null', 'http://192.0.2.1/bytes/10000000000']);
    await expect.poll(() => counter(x, 'tcp_sndbyte')).toBeGreaterThan(1_000_000);
    await get.stop('SIGKILL');
    await atRest();
    expect(changes(before, await readCounters(x)).tcp_drops).toBe(1);
  });

  test('a host that is gone is tried again at doubling intervals (RFC 6298 section 5.5)', {
    timeout: 40_000,
  }, async () => {
    const get = lab.spawnFar(['curl', '-s', '-o', '/dev/null', 'http://192.0.2.1/bytes/10000000000']);
    await expect.poll(() => counter(x, 'tcp_sndbyte')).toBeGreaterThan(1_000_000);
    const times: number[] = [];
    // The host is deaf and mute from here on; each of our retransmissions is seen as it comes.
    const dump = lab.spawnFar(['tcpdump', '-ttnlUi', 'peer0', 'src', '192.0.2.1', 'and', 'tcp']);
    await dump.waitLine(/listening on/);
    await lab.far('nft -f -', {
      input: `table netdev deaf {
  chain in {
    type filter hook ingress device "peer0" priority 0; policy accept;
    ip saddr 192.0.2.1 drop
  }
}
table inet mute {
  chain out {
    type filter hook output priority 0; policy accept;
    ip daddr 192.0.2.1 drop
  }
}
`,
    });
    const quiet = await readCounters(x);
    await expect
      .poll(async () => changes(quiet, await readCounters(x)).tcp_rexmttimeo ?? 0, { timeout: 20_000 })
      .toBeGreaterThanOrEqual(5);
    const [conn] = (await x.command(['ss', '--json'])).stdout.split('\n');
    await dump.stop('SIGINT');
    for (const line of dump.lines) {
      const at = /^(\d+\.\d+) IP/.exec(line);
      if (at !== null) times.push(Number(at[1]));
    }
    const diff = changes(quiet, await readCounters(x));
    // The last five segments are retransmissions: the gaps between them are as long as what doubles up to the present timeout. What they are longer is
    // the machine's, when it does not let xsiftr run at that moment.
    const { rto_us, backoff } = JSON.parse(conn!) as { rto_us: number; backoff: number };
    expect(backoff).toBe(diff.tcp_rexmttimeo);
    const gaps = times.slice(-4).map((t, i) => t - times.at(i - 5)!);
    for (const [i, gap] of gaps.entries()) expect(gap).toBeGreaterThan((0.99e-6 * rto_us) / 2 ** (4 - i));
    // On this link the first was far from the second that is waited for before there is a sample (RFC 6298 section 2.1).
    expect(rto_us / 2 ** backoff).toBeLessThan(500_000);
    // One segment a timeout: the window is one segment until something is acknowledged (RFC 5681 section 3.1). Before the first one the
    // tail was probed, with new data or with its last segment (RFC 8985 section 7.3).
    const again = diff.tcp_sndrexmitpack! - diff.tcp_rexmttimeo!;
    expect(again).toBeGreaterThanOrEqual(0);
    expect(again).toBeLessThanOrEqual(diff.tcp_tlp_probes ?? 0);
    // The one that the peer's window ended may have been shorter.
    expect(diff.tcp_sndrexmitbyte).toBeLessThanOrEqual(MSS * diff.tcp_sndrexmitpack!);
    get.killGroup();
  });

  test('a peer that has rebooted and calls again on the same ports gets through after one challenge (RFC 5961 section 4.2)', async () => {
    const before = await readCounters(x);
    const r = await lab.far([
      'python3',
      '-c',
      `import socket, subprocess, time
def dial():
    s = socket.socket(); s.settimeout(10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('192.0.2.2', 40001)); s.connect(('192.0.2.1', 7)); return s
a = dial(); a.send(b'one'); a.recv(3)
# What the old kernel knew is lost without a word: neither FIN nor RST gets out.
subprocess.run(['nft', 'add table inet m; add chain inet m out { type filter hook output priority 0; }; add rule inet m out tcp dport 7 drop'], check=True)
import struct
a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); a.close()
subprocess.run(['nft', 'delete table inet m'], check=True)
b = dial(); b.send(b'two'); print(b.recv(3).decode())`,
    ]);
    expect(r.stdout).toBe('two');
    await atRest();
    expect(changes(before, await readCounters(x))).toMatchObject({
      tcp_synchallenge: 1,
      tcp_challengeack: 1,
      tcp_accepts: 2,
      tcp_drops: 1,
    });
  });

  test('half-open connections of a SYN flood are bounded and do not keep a real one out (RFC 4987)', async () => {
    const before = await readCounters(x);
    // In portions that a ring holds, should xsiftr not get to run for a moment.
    for (let from = 0; from < 20_000; from += 2000) {
      await raw(lab, 'syn_flood', from, from + 2000, 7);
      await expect.poll(async () => changes(before, await readCounters(x)).tcp_rcvtotal).toBe(from + 2000);
    }
    await framesHome(x);
    const diff = changes(before, await readCounters(x));
    // Each is in the cache, or was answered by a cookie and is nowhere.
    const entries = await counter(x, 'tcp_sc_entries');
    expect(entries).toBeLessThanOrEqual(await counter(x, 'tcp_sc_entry_limit'));
    expect(diff.tcp_sc_added).toBe(entries);
    expect(entries + (diff.tcp_sc_sendcookie ?? 0)).toBe(20_000);
    expect(await peer(lab, 'echo', 100_000)).toEqual({ bytes: 100_000, same: true });
  });
});
