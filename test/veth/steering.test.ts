import { describe, expect, test } from 'vitest';
import { loadNative } from '../../src/driver/native.ts';
import { XskLink } from '../../src/driver/xsk.ts';
import { FramePool } from '../../src/rings/mbuf.ts';
import { inetAton } from '../../src/stack/net/in-addr.ts';
import { connect } from '../../src/stack/socket/socket.ts';
import { counter, framesHome } from '../lab/counters.ts';
import { type Lab, labMissing, startXsiftr, withLab } from '../lab/netns.ts';
import { raw } from '../lab/peer.ts';
import { Recorder } from '../lab/tcpuser.ts';
import { SprayPeer } from './spray.ts';
import { nsPath, Rig } from './xsk-rig.ts';

const QUEUES = 4;
const CONNECTIONS = 8;
const BYTES = 200_000;

describe.skipIf(labMissing() !== '')(`steering over four queues ${labMissing()}`, () => {
  test('connections whose every frame comes on another queue than the one before work, and hand-overs are counted', async () => {
    await withLab('steer', { queues: QUEUES }, async (lab: Lab) => {
      const x = await startXsiftr(lab, ['--serve', 'http,echo']);
      const mac = (await lab.far('cat /sys/class/net/peer0/address')).stdout.trim();
      const rig = new Rig(8192, 1024);
      const links: XskLink[] = [];
      try {
        const port = rig.open({ ifname: 'peer0', queues: QUEUES, netns: nsPath(lab.farNs), exclusive: true });
        const native = loadNative();
        const pool = new FramePool(native.umem(), 0, 8192);
        for (let queue = 0; queue < QUEUES; queue++) {
          links.push(new XskLink(native, port, { queue, pool, page: rig.page }));
        }
        const peer = new SprayPeer(native, links, pool, { addr: '192.0.2.2', mac, name: 'peer0' });
        const users = Array.from({ length: CONNECTIONS }, () => {
          const user = new Recorder();
          const so = connect(peer.st, { faddr: inetAton('192.0.2.1'), fport: 80 }, user);
          user.so = so;
          return user;
        });
        await peer.run(() => users.every((u) => u.events.includes('connected')));
        const request = new TextEncoder().encode(
          `GET /bytes/${BYTES} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
        );
        for (const u of users) u.sendAll(request);
        await peer.run(() => users.every((u) => u.events.includes('end')));
        for (const u of users) expect(u.received).toBeGreaterThan(BYTES);
        // The other way: what arrives out of order on four queues is put in order by the shard that owns the connection.
        const sender = new Recorder();
        sender.so = connect(peer.st, { faddr: inetAton('192.0.2.1'), fport: 7 }, sender);
        await peer.run(() => sender.events.includes('connected'));
        const payload = Uint8Array.from({ length: BYTES }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
        sender.sendAll(payload, true);
        await peer.run(() => sender.events.includes('end'));
        expect(Buffer.compare(sender.bytes, payload)).toBe(0);
        const stats = (await x.command(['netstat', '-s', '-s'])).stdout;
        const count = (label: string) => Number(new RegExp(`(\\d+) ${label}`).exec(stats)?.[1] ?? 0);
        // Three frames of four arrive on the wrong queue; the echo alone takes BYTES / MSS of them.
        expect(count('frames? handed to other shards')).toBeGreaterThan((BYTES / 1460 / 4) * 3);
        expect(count('frames? taken from other shards')).toBe(count('frames? handed to other shards'));
        expect(count('connections? accepts?')).toBe(CONNECTIONS + 1);
        expect(stats).not.toMatch(/hand-over ring was full|another shard entered first/);
      } finally {
        for (const link of links) link.close();
        rig.close();
      }
      expect(await x.stop()).toBe(0);
    });
  });

  test('frames that were handed over come home to a shard that nothing else wakes', async () => {
    await withLab('home', { queues: 2 }, async (lab: Lab) => {
      const x = await startXsiftr(lab, []);
      await lab.far('ping -c 1 -W 2 192.0.2.1');
      for (let round = 1; round <= 10; round++) {
        expect(await raw(lab, 'stray_acks', 8, 9)).toEqual({ sent: 8 });
        await expect.poll(() => counter(x, 'tcp_pcbhashmiss')).toBe(8 * round);
        await framesHome(x);
      }
      expect(await counter(x, 'stack_handover_out')).toBeGreaterThan(0);
      expect(await x.stop()).toBe(0);
    });
  });
});
