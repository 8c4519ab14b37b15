import { describe, expect, test } from 'vitest';
import { changes, counter, framesHome, readCounters } from '../lab/counters.ts';
import { type Lab, labMissing, startXsiftr, withLab, type Xsiftr } from '../lab/netns.ts';
import { peer, raw } from '../lab/peer.ts';

const ECHO = ['--serve', 'echo,discard'];

async function resolved(lab: Lab): Promise<void> {
  await lab.far('ping -c 1 -W 2 192.0.2.1');
}

/** Says what `doIt` changes, for a poll: a program of the peer may have ended before all that it sent is seen here. */
async function diffOf(x: Xsiftr, doIt: () => Promise<unknown>): Promise<() => Promise<Record<string, number>>> {
  const before = await readCounters(x);
  await doIt();
  return async () => changes(before, await readCounters(x));
}

/** Whether a connection to echo can be opened within some seconds. */
async function connects(lab: Lab, seconds: number): Promise<boolean> {
  const r = await lab.far(`timeout ${seconds} bash -c "exec 3<>/dev/tcp/192.0.2.1/7"`, { check: false });
  return r.code === 0;
}

describe.skipIf(labMissing('ping', 'python3', 'bash'))('received checksums', () => {
  test.each(['strict', 'accept-partial'])(
    'wrong ones in IP, TCP and ICMP are dropped, counted where they belong and nowhere else (--rxcsum %s)',
    { timeout: 30_000 },
    async (rule) => {
      await withLab('vcsum', { peerOffloads: false }, async (lab) => {
        const x = await startXsiftr(lab, [...ECHO, '--rxcsum', rule]);
        await resolved(lab);
        // The second announcement, 2 s after the first, is not to fall into the count.
        await expect.poll(() => counter(x, 'arp_announced'), { timeout: 5000 }).toBe(2);
        const diff = await diffOf(x, () => raw(lab, 'bad_sums', 100));
        await expect.poll(diff).toEqual({
          stack_ether_in: 500,
          ip_total: 500,
          ip_badsum: 200,
          ip_delivered: 300,
          tcp_rcvtotal: 200,
          tcp_rcvbadsum: 200,
          icmp_checksum: 100,
        });
        expect(await peer(lab, 'echo', 100_000)).toEqual({ bytes: 100_000, same: true });
        expect(await counter(x, 'xsk_rx_csum_partial')).toBe(0);
        await framesHome(x);
        await x.stop();
      });
    },
  );

  test('accept-partial takes the unfinished checksums of a veth peer, and counts them', {
    timeout: 30_000,
  }, async () => {
    await withLab('vcsum', {}, async (lab) => {
      const x = await startXsiftr(lab, ECHO);
      expect(await peer(lab, 'echo', 100_000)).toEqual({ bytes: 100_000, same: true });
      // The peer has gone before its last ACK is seen here.
      await expect.poll(() => counter(x, 'tcp_connections')).toBe(0);
      const all = await readCounters(x);
      // Every segment of the peer is unfinished: they are all that TCP got.
      expect(all.get('xsk_rx_csum_partial')).toBe(all.get('tcp_rcvtotal'));
      expect(all.get('tcp_rcvbadsum')).toBe(0);
      const diff = await diffOf(x, () => raw(lab, 'bad_sums', 10));
      await expect.poll(diff).toMatchObject({ tcp_rcvbadsum: 20, ip_badsum: 20, icmp_checksum: 10 });
      await x.stop();
    });
  });

  test('strict drops the unfinished checksums of a veth peer', { timeout: 30_000 }, async () => {
    await withLab('vcsum', {}, async (lab) => {
      const x = await startXsiftr(lab, [...ECHO, '--rxcsum', 'strict']);
      await resolved(lab);
      expect(await connects(lab, 1)).toBe(false);
      await expect.poll(() => counter(x, 'tcp_rcvbadsum')).toBeGreaterThan(0);
      const all = await readCounters(x);
      expect(all.get('tcp_rcvbadsum')).toBe(all.get('tcp_rcvtotal'));
      expect(all.get('tcp_accepts')).toBe(0);
      await lab.far('ethtool -K peer0 tx off');
      expect(await connects(lab, 10)).toBe(true);
      await x.stop();
    });
  });

  test('ignore verifies nothing of TCP', { timeout: 30_000 }, async () => {
    await withLab('vcsum', {}, async (lab) => {
      const x = await startXsiftr(lab, [...ECHO, '--rxcsum', 'ignore']);
      await resolved(lab);
      const diff = await diffOf(x, () => raw(lab, 'one_syn', 30_000, 7, 0x1234));
      await expect.poll(diff).toMatchObject({ tcp_sc_added: 1 });
      expect((await diff()).tcp_rcvbadsum).toBeUndefined();
      expect(await peer(lab, 'echo', 100_000)).toEqual({ bytes: 100_000, same: true });
      await x.stop();
    });
  });
});

describe.skipIf(labMissing('python3'))('GSO frames of a veth peer', () => {
  test('longer than the MTU they are dropped and counted, and a line says once how to turn them off', {
    timeout: 60_000,
  }, async () => {
    await withLab('vgso', {}, async (lab) => {
      const x = await startXsiftr(lab, [...ECHO, '--xdp', 'generic']);
      const upload = lab.spawnFar(['timeout', '4', 'python3', '-c', UPLOAD]);
      await x.running.waitLine(/ethtool -K peer0 tso off gso off/, 10_000);
      expect(await counter(x, 'xsk_rx_oversize')).toBeGreaterThan(0);
      expect(await counter(x, 'xsk_rx_oversize_max')).toBeGreaterThan(1518);
      await upload.exited;
      const told = (): number => [...x.lines, ...x.running.errorLines].filter((l) => l.includes('tso off')).length;
      expect(told()).toBe(1);
      await lab.far('ethtool -K peer0 tso off gso off');
      const before = await counter(x, 'xsk_rx_oversize');
      expect(await peer(lab, 'discard', 2_000_000)).toEqual({ back: 0 });
      expect(await counter(x, 'xsk_rx_oversize')).toBe(before);
      expect(told()).toBe(1);
      await x.stop();
    });
  });
});

const UPLOAD = `import socket
s = socket.socket(); s.settimeout(3); s.connect(('192.0.2.1', 9)); s.sendall(bytes(1 << 20))`;
