import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changes, counter, readCounters } from '../lab/counters.ts';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peer } from '../lab/peer.ts';

/** SYN cookies with Linux's own TCP as the client: what it takes from the SYN,ACK must be what the connection does. */
describe.skipIf(labMissing('python3', 'curl'))('SYN cookies alone', () => {
  describe.each([1, 2])('on %i queues', (queues) => {
    let lab: Lab;
    let x: Xsiftr;

    beforeAll(async () => {
      lab = await Lab.create('vcookie', { queues });
      x = await startXsiftr(lab, [
        ...['--serve', 'http,echo', '--sysctl', 'net.inet.tcp.msl=500'],
        ...['--sysctl', 'net.inet.tcp.syncookies_only=1'],
      ]);
      await lab.far('ping -c 1 -W 2 192.0.2.1');
    });

    afterAll(async () => {
      await x?.stop();
      await lab?.remove();
    });

    test('500 connections open at once are all served, each by a cookie of its own', async () => {
      const before = await readCounters(x);
      expect(await peer(lab, 'many_at_once', 500)).toEqual({ opened: 500, good: 500, bad: [] });
      await expect.poll(() => counter(x, 'tcp_connections'), { timeout: 5000 }).toBe(0);
      const diff = changes(before, await readCounters(x));
      expect(diff).toMatchObject({ tcp_accepts: 500, tcp_sc_sendcookie: 500, tcp_sc_recvcookie: 500 });
      expect(diff.tcp_sc_added).toBeUndefined();
      expect(diff.tcp_sc_failcookie).toBeUndefined();
      expect(diff.tcp_drops).toBeUndefined();
    });

    test('curl gets 20 MB byte for byte, with window scaling, SACK and timestamps', async () => {
      expect(await peer(lab, 'http_bytes', 20_000_000)).toEqual([{ status: 200, bytes: 20_000_000, same: true }]);
      const r = await lab.far(
        'curl -sf --max-time 20 -o /dev/null -w "%{size_download}" http://192.0.2.1/bytes/20000000',
      );
      expect(r.stdout).toBe('20000000');
      const held = lab.spawnFar([
        'curl',
        '-s',
        '--max-time',
        '20',
        '--limit-rate',
        '100k',
        '-o',
        '/dev/null',
        'http://192.0.2.1/bytes/1000000',
      ]);
      await expect
        .poll(async () => (await lab.far('ss -tinoHO dport = 80')).stdout, { timeout: 5000 })
        .toMatch(/\bts\b.*\bsack\b.*wscale:/);
      await held.stop('SIGINT', 5000);
    });
  });
});
