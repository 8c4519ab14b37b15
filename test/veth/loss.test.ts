import { describe, expect, test } from 'vitest';
import { changes, counter, framesHome, readCounters } from '../lab/counters.ts';
import { withMiddle } from '../lab/middle.ts';
import { labMissing, startXsiftr } from '../lab/netns.ts';
import { peer } from '../lab/peer.ts';

const SERVE = ['--serve', 'echo,discard,http', '--sysctl', 'net.inet.tcp.msl=500'];

describe.skipIf(labMissing('nft', 'python3'))('TCP with losses in the network', () => {
  test.each([
    { percent: 1, bytes: 10_000_000 },
    { percent: 5, bytes: 1_000_000 },
  ])('of $percent % towards the peer, $bytes bytes arrive whole, by retransmission', { timeout: 50_000 }, async (o) => {
    await withMiddle('vloss', { peerOffloads: false }, async (m) => {
      const x = await startXsiftr(m.lab, SERVE);
      await m.loseEvery('mid0', 100 / o.percent);
      const before = await readCounters(x);
      expect(await peer(m.lab, 'http_bytes', o.bytes)).toEqual([{ status: 200, bytes: o.bytes, same: true }]);
      await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 10_000 }).toBe(0);
      const diff = changes(before, await readCounters(x));
      const { seen, dropped } = await m.lost('mid0');
      // What we count as sent is what the middle saw, and every n-th of it was lost.
      expect(diff.tcp_sndtotal).toBe(seen);
      expect(dropped).toBe(Math.floor((seen * o.percent) / 100));
      expect(diff.tcp_sndrexmitpack).toBeGreaterThanOrEqual(dropped - 3);
      expect(diff.tcp_sndrexmitpack).toBeLessThan(3 * dropped + 10);
      expect(diff.tcp_sndbyte).toBeGreaterThan(o.bytes);
      expect(diff.tcp_sack_recovery_episode).toBeGreaterThan(0);
      expect(diff.tcp_sack_rexmits).toBeGreaterThan(0);
      await framesHome(x);
      await x.stop();
    });
  });

  test.each([
    { percent: 1, bytes: 10_000_000 },
    { percent: 5, bytes: 1_000_000 },
  ])('of $percent % towards us, $bytes bytes arrive whole and in order, with SACK', { timeout: 50_000 }, async (o) => {
    await withMiddle('vloss', { peerOffloads: false }, async (m) => {
      const x = await startXsiftr(m.lab, SERVE);
      await m.loseEvery('mid1', 100 / o.percent);
      const before = await readCounters(x);
      expect(await peer(m.lab, 'discard', o.bytes)).toEqual({ back: 0 });
      await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 10_000 }).toBe(0);
      const diff = changes(before, await readCounters(x));
      const { seen, dropped } = await m.lost('mid1');
      expect(dropped).toBe(Math.floor((seen * o.percent) / 100));
      expect(diff.tcp_rcvtotal).toBe(seen - dropped);
      expect((diff.tcp_rcvbyte ?? 0) + (diff.tcp_rcvoobyte ?? 0)).toBe(o.bytes);
      expect(diff.tcp_rcvoopack).toBeGreaterThan(0);
      expect(diff.tcp_sack_snd_opts).toBeGreaterThan(0);
      await framesHome(x);
      await x.stop();
    });
  });

  test('of 2 % both ways, an echo of 2 MB comes back byte for byte', { timeout: 50_000 }, async () => {
    await withMiddle('vloss', { peerOffloads: false }, async (m) => {
      const x = await startXsiftr(m.lab, SERVE);
      await m.loseEvery('mid0', 50);
      await m.loseEvery('mid1', 50);
      expect(await peer(m.lab, 'echo', 2_000_000)).toEqual({ bytes: 2_000_000, same: true });
      await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 10_000 }).toBe(0);
      await framesHome(x);
      await x.stop();
    });
  });
});
