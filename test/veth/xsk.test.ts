import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { QSTAT, RINGS } from '../../src/driver/native.ts';
import {
  F_IPCSUM_BAD,
  F_IPCSUM_GOOD,
  F_L4CSUM_BAD,
  F_L4CSUM_GOOD,
  F_L4CSUM_PARTIAL,
  F_TX_IPCSUM,
  F_TX_L4CSUM,
  HashType,
  ROW,
  TX_HEADROOM,
} from '../../src/rings/link.ts';
import { toeplitzV4, toeplitzV4Pair, toeplitzV6 } from '../../src/rings/toeplitz.ts';
import { Lab, type LabOptions, labMissing, pingReplies } from '../lab/netns.ts';
import { type Ends, icmp, ipv4, mac, nsPath, packet, type Received, Rig, tcp, udp } from './xsk-rig.ts';

/** Where a ring's four words begin. */
const TX = RINGS.indexOf('tx') * 4;
const FILL = RINGS.indexOf('fill') * 4;

const missing = labMissing('nstat', 'python3');
const SUMS = F_TX_IPCSUM | F_TX_L4CSUM;
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMP6 = 58;

let lab: Lab;
let rig: Rig;
afterEach(async () => {
  rig?.close();
  await lab?.remove();
});

async function setUp(options: LabOptions = {}, frames?: number): Promise<void> {
  lab = await Lab.create('xsk', options);
  rig = new Rig(frames);
}

async function address(ns: 'near' | 'far'): Promise<Buffer> {
  const text = await lab[ns](`cat /sys/class/net/${ns === 'near' ? 'ix1' : 'peer0'}/address`);
  return mac(text.stdout.trim());
}

/** From our end to the peer's. */
async function outward(src = '192.0.2.5', dst = '192.0.2.2'): Promise<Ends> {
  return { srcMac: await address('near'), dstMac: await address('far'), src, dst };
}

const isIp = (r: Received) => r.bytes.readUInt16BE(12) === 0x0800;
const l4Flags = (r: Received) => r.flags & (F_L4CSUM_GOOD | F_L4CSUM_PARTIAL | F_L4CSUM_BAD);
const hashType = (r: Received) => (r.flags >> 8) & 0xff;

/** Sends one UDP datagram of `size` bytes from the peer's kernel. */
function farUdp(dst: string, dport: number, sport: number, size: number, count = 1): Promise<unknown> {
  const code = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("192.0.2.2", ${sport}))
for i in range(${count}): s.sendto(bytes(${size}), ("${dst}", ${dport}))`;
  return lab.far(['python3', '-c', code]);
}

/** Answers ARP and echo requests for `addr` until `stop` is called: the least that lets the peer's kernel judge our frames. */
function respond(addr: string, station: Buffer, side: ReturnType<Rig['serve']>): () => Promise<void> {
  let running = true;
  const loop = (async () => {
    while (running) {
      const answers: Buffer[] = [];
      for (const { bytes } of side.poll()) {
        const answer = Buffer.from(bytes);
        bytes.copy(answer, 0, 6, 12);
        station.copy(answer, 6);
        if (bytes.readUInt16BE(12) === 0x0806 && bytes[21] === 1) {
          answer[21] = 2;
          station.copy(answer, 22);
          ipv4(addr).copy(answer, 28);
          bytes.copy(answer, 32, 22, 32);
          answers.push(answer);
        } else if (bytes.readUInt16BE(12) === 0x0800 && bytes[23] === ICMP && bytes[34] === 8) {
          bytes.copy(answer, 26, 30, 34);
          bytes.copy(answer, 30, 26, 30);
          answer[34] = 0;
          answers.push(answer);
        }
      }
      side.send(answers, SUMS);
      side.reclaim();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  return async () => {
    running = false;
    await loop;
  };
}

describe.skipIf(missing)(`a queue between us and the kernel${missing && ` (${missing})`}`, () => {
  describe.each(['native', 'generic'] as const)('in %s mode', (mode) => {
    test('takes ARP and pings for our address, answers with right checksums, leaves the kernel its own', async () => {
      await setUp();
      const port = rig.open({ netns: nsPath(lab.nearNs), xdp: mode });
      expect(port).toMatchObject({ mode, zeroCopy: false, frags: true, queues: 1, ringSize: 2048 });
      rig.claim(port, '192.0.2.5');
      const side = rig.serve(port);
      const stop = respond('192.0.2.5', await address('near'), side);
      try {
        for (const size of [0, 1, 17, 56, 1471, 1472]) {
          const ours = await lab.far(`ping -c 2 -i 0.05 -w 10 -s ${size} 192.0.2.5`, { check: false });
          expect(pingReplies(ours.stdout)).toBeGreaterThanOrEqual(2);
          const kernels = await lab.far('ping -c 1 -W 2 192.0.2.1', { check: false });
          expect(kernels.stdout).toContain(' 1 received');
        }
      } finally {
        await stop();
      }
      const stats = side.link.stats();
      expect(stats[QSTAT.rx_csum_bad]).toBe(0);
      expect(stats[QSTAT.rx_packets]).toBeGreaterThanOrEqual(13);
      expect(stats[QSTAT.rx_dropped]).toBe(0);
      expect((await lab.far('nstat -az IcmpInCsumErrors')).stdout).toMatch(/IcmpInCsumErrors +0 /);
    });

    test('tells partial, good and bad checksums apart, by the policy', async () => {
      await setUp();
      await lab.far(
        `ip neigh add 192.0.2.5 lladdr ${(await address('near')).toString('hex').replace(/..(?=.)/g, '$&:')} dev peer0`,
      );
      const seen: Record<string, number> = {};
      for (const rxcsum of ['strict', 'accept-partial', 'ignore'] as const) {
        const port = rig.open({ netns: nsPath(lab.nearNs), xdp: mode, rxcsum });
        rig.claim(port, '192.0.2.5');
        const side = rig.serve(port, 0, 2048);
        for (const tx of ['on', 'off']) {
          await lab.far(`ethtool -K peer0 tx ${tx}`);
          await farUdp('192.0.2.5', 9, 5000, 33);
          const [frame] = await side.collect(1, isIp);
          expect(frame!.flags & F_IPCSUM_GOOD).toBe(F_IPCSUM_GOOD);
          seen[`${rxcsum} tx ${tx}`] = l4Flags(frame!);
        }
        const stats = side.link.stats();
        expect(stats[QSTAT.rx_csum_partial]).toBe(rxcsum === 'accept-partial' ? 1 : 0);
        expect(stats[QSTAT.rx_csum_bad]).toBe(rxcsum === 'strict' ? 1 : 0);
        rig.close();
        rig = new Rig();
      }
      expect(seen).toEqual({
        'strict tx on': F_L4CSUM_BAD,
        'strict tx off': F_L4CSUM_GOOD,
        'accept-partial tx on': F_L4CSUM_PARTIAL,
        'accept-partial tx off': F_L4CSUM_GOOD,
        'ignore tx on': F_L4CSUM_GOOD,
        'ignore tx off': F_L4CSUM_GOOD,
      });
    });
  });

  test("inserts TCP and UDP checksums that the peer's kernel finds right, for IPv4 and IPv6", async () => {
    await setUp();
    await lab.far(
      'sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.peer0.disable_ipv6=0 && ip addr add 2001:db8::2/64 dev peer0 nodad',
    );
    const side = rig.serve(rig.open({ netns: nsPath(lab.nearNs) }));
    const v4 = await outward();
    const v6 = await outward('2001:db8::5', '2001:db8::2');
    const datagrams: Buffer[] = [];
    const segments: Buffer[] = [];
    for (let i = 0; i < 50; i++) {
      const payload = Buffer.alloc(i * 29, i + 1);
      for (const ends of [v4, v6]) {
        datagrams.push(packet(ends, UDP, udp(4000 + i, 9, payload)));
        segments.push(packet(ends, TCP, tcp(4000 + i, 9, i * 0x01234567, 0x10, payload)));
      }
    }
    side.send([...datagrams, ...segments], SUMS);
    const count = async (name: string) =>
      Number((await lab.far(`nstat -asz ${name}`)).stdout.match(/(\d+) +[\d.]+$/m)![1]);
    const counts = (...names: string[]) => Promise.all(names.map(count));
    // The kernel takes frames from the other end of a veth when it comes to it.
    await expect.poll(() => counts('UdpNoPorts', 'Udp6NoPorts', 'TcpInSegs')).toEqual([50, 50, 100]);
    expect(await counts('UdpInCsumErrors', 'Udp6InCsumErrors', 'TcpInCsumErrors')).toEqual([0, 0, 0]);
    // Without wishes 0xdead goes out: the judge does count.
    side.send([...datagrams, ...segments], F_TX_IPCSUM);
    await expect.poll(() => counts('UdpInCsumErrors', 'Udp6InCsumErrors', 'TcpInCsumErrors')).toEqual([50, 50, 100]);
    expect(side.link.stats()[QSTAT.tx_packets]).toBe(400);
  });

  test('stamps each frame with its arrival time, not with that of the batch', async () => {
    await setUp();
    const port = rig.open({ netns: nsPath(lab.nearNs), exclusive: true });
    const side = rig.serve(port);
    await lab.far('ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 dev peer0');
    await farUdp('192.0.2.5', 9, 5000, 10);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await farUdp('192.0.2.5', 9, 5000, 10);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const [first, second] = side.poll().filter(isIp);
    const now = rig.page[0]!;
    expect((second!.time - first!.time) | 0).toBeGreaterThanOrEqual(100_000);
    expect((now - second!.time) | 0).toBeGreaterThanOrEqual(100_000);
    expect((now - first!.time) | 0).toBeLessThan(5_000_000);
    expect(side.link.stats()[QSTAT.rx_no_timestamp]).toBe(0);
  });

  test('refuses frames longer than maxFrame and packets of several frames, counts them and loses no frame of its own', async () => {
    await setUp({ mtu: 9000 });
    const port = rig.open({ netns: nsPath(lab.nearNs), exclusive: true, maxFrame: 1518 });
    const side = rig.serve(port, 0, 1024);
    await lab.far('ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 dev peer0');
    await farUdp('192.0.2.5', 9, 5000, 2000);
    await farUdp('192.0.2.5', 9, 5000, 8900, 1500);
    expect(side.poll().filter(isIp)).toEqual([]);
    await farUdp('192.0.2.5', 9, 5000, 1400);
    const frames = await side.collect(1, isIp);
    expect(frames[0]!.bytes.length).toBe(1442);
    const stats = side.link.stats();
    expect(stats[QSTAT.rx_oversize]! + stats[QSTAT.rx_dropped]! + stats[QSTAT.rx_ring_full]!).toBeGreaterThanOrEqual(1);
    expect(stats[QSTAT.rx_oversize_max]).toBe(8942);
    // In the fill ring or free: all but those that a partly served fill ring holds are back.
    const rings = side.link.rings();
    expect(rings[FILL + 3]! + side.pool.available).toBe(1024);
  });

  test('a GSO frame of the peer, which generic mode does not split, is refused and counted whole', async () => {
    await setUp();
    const port = rig.open({ netns: nsPath(lab.nearNs), exclusive: true, xdp: 'generic' });
    const side = rig.serve(port, 0, 1024);
    await lab.far('ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 dev peer0');
    // UDP_SEGMENT (udp(7)): one datagram of 20 segments leaves the socket as one frame.
    const code = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(17, 103, 1400); s.sendto(bytes(28000), ("192.0.2.5", 9))`;
    await lab.far(['python3', '-c', code]);
    await farUdp('192.0.2.5', 9, 5000, 100);
    expect((await side.collect(1, isIp))[0]!.bytes.length).toBe(142);
    const stats = side.link.stats();
    expect([stats[QSTAT.rx_oversize], stats[QSTAT.rx_oversize_max]]).toEqual([1, 28042]);
  });

  test('the rings are told as the kernel sees them', async () => {
    await setUp();
    const side = rig.serve(rig.open({ netns: nsPath(lab.nearNs) }), 0, 4096);
    expect(Array.from(side.link.rings())).toEqual([2048, 0, 0, 0, 2048, 0, 0, 0, 2048, 2048, 0, 2048, 2048, 0, 0, 0]);
    side.send([packet(await outward(), UDP, udp(1, 9, Buffer.alloc(10)))], SUMS);
    side.reclaim();
    expect(Array.from(side.link.rings())).toEqual([2048, 0, 0, 0, 2048, 1, 1, 0, 2048, 2048, 0, 2048, 2048, 1, 1, 0]);
  });

  test('a row that is not within one frame is not taken, and ends the batch', async () => {
    await setUp();
    const side = rig.serve(rig.open({ netns: nsPath(lab.nearNs) }));
    const good = [4000, 128, 60, 1, 0, -1, 0, 0];
    for (const bad of [
      [8192, 128, 60],
      [-1, 128, 60],
      [0, 4096, 60],
      [0, -1, 60],
      [0, 128, 3969],
      [0, 128, 13],
    ]) {
      expect(side.link.transmit(Int32Array.of(...bad, 1, 0, -1, 0, 0), 1)).toBe(0);
      expect(side.link.transmit(Int32Array.of(...good, ...bad, 1, 0, -1, 0, 0), 2)).toBe(1);
    }
    expect(side.link.transmit(Int32Array.of(...good), 5)).toBe(1);
    expect(side.link.transmit(Int32Array.of(...good), 0)).toBe(0);
    expect(() => side.link.transmit(new Float64Array(8) as unknown as Int32Array, 1)).toThrow(TypeError);
  });
});

describe.skipIf(missing)('two ports of one process over one UMEM', () => {
  let near: ReturnType<Rig['serve']>;
  let far: ReturnType<Rig['serve']>;
  beforeEach(async () => {
    await setUp({ address: false }, 8192);
    near = rig.serve(rig.open({ netns: nsPath(lab.nearNs), exclusive: true }), 0, 4096);
    far = rig.serve(
      rig.open({ ifname: 'peer0', netns: nsPath(lab.farNs), exclusive: true, rxcsum: 'strict' }),
      0,
      4096,
    );
    await lab.near('ip neigh flush all');
    near.poll();
    far.poll();
  });

  test('every frame sent on one end comes in on the other, in order, whatever the ring size', async () => {
    const ends = await outward('198.51.100.1', '198.51.100.2');
    const got: Received[] = [];
    for (let round = 0; round < 20; round++) {
      const packets = Array.from({ length: 500 }, (_, i) => packet(ends, UDP, udp(round, i, Buffer.alloc(i % 900, i))));
      near.send(packets, SUMS);
      got.push(...(await far.collect(500, isIp)));
      near.reclaim();
    }
    expect(got.map((r) => r.bytes.readUInt16BE(34) * 500 + r.bytes.readUInt16BE(36))).toEqual(
      Array.from({ length: 10_000 }, (_, i) => i),
    );
    expect(got.every((r) => l4Flags(r) === F_L4CSUM_GOOD && (r.flags & F_IPCSUM_GOOD) !== 0)).toBe(true);
    expect(far.link.stats()[QSTAT.rx_packets]).toBe(near.link.stats()[QSTAT.tx_packets]);
    // No frame is lost: what is not free lies in the fill ring.
    expect(near.pool.available + near.link.rings()[FILL + 3]!).toBe(4096);
    expect(far.pool.available + far.link.rings()[FILL + 3]!).toBe(4096);
  });

  test('one transmit call drains a whole ring, and asks the kernel no more often than it must', async () => {
    const ends = await outward('198.51.100.1', '198.51.100.2');
    const bytes = packet(ends, UDP, udp(1, 2, Buffer.alloc(20)));
    const table = new Int32Array(2000 * ROW);
    for (let i = 0; i < 2000; i++) {
      const m = near.pool.get()!;
      near.pool.u8.set(bytes, m.pos);
      table.set([m.frame, TX_HEADROOM, bytes.length, 1 | SUMS, 0, -1, 0, 0], i * ROW);
    }
    expect(near.link.transmit(table, 2000)).toBe(2000);
    expect(near.link.rings()[TX + 3]).toBe(0);
    await far.collect(2000, isIp);
    const stats = near.link.stats();
    expect(stats[QSTAT.tx_wakeups]! - stats[QSTAT.tx_kick_again]!).toBe(1);
    expect(stats[QSTAT.tx_kick_errors]).toBe(0);
    near.reclaim();
    expect(near.pool.available + near.link.rings()[FILL + 3]!).toBe(4096);
  });

  test('the sender thread sends what large batches post, in order, and every frame comes back', async () => {
    const ends = await outward('198.51.100.1', '198.51.100.2');
    near.link.useSender(16);
    const got: Received[] = [];
    for (let round = 0; round < 40; round++) {
      // Of several batches, the last ones smaller than what is handed over.
      const packets = Array.from({ length: 405 }, (_, i) => packet(ends, UDP, udp(round, i, Buffer.alloc(i % 900, i))));
      near.send(packets, SUMS);
      near.send(packets.slice(0, 3), SUMS);
      got.push(...(await far.collect(408, isIp)));
    }
    expect(got.map((r) => r.bytes.readUInt16BE(34) * 1000 + r.bytes.readUInt16BE(36))).toEqual(
      Array.from({ length: 40 }, (_, round) =>
        Array.from({ length: 408 }, (_, i) => round * 1000 + (i < 405 ? i : i - 405)),
      ).flat(),
    );
    expect(got.every((r) => l4Flags(r) === F_L4CSUM_GOOD)).toBe(true);
    // What it has sent can be here before it has said so.
    await expect.poll(() => near.link.senderBacklog()).toBe(0);
    expect(near.link.rings()[TX + 3]).toBe(0);
    const stats = near.link.stats();
    expect(stats[QSTAT.tx_handed_over]).toBeGreaterThan(0);
    expect(stats[QSTAT.tx_packets]).toBe(40 * 408);
    expect(stats[QSTAT.tx_kick_errors]).toBe(0);
    near.reclaim();
    expect(near.pool.available + near.link.rings()[FILL + 3]!).toBe(4096);
    expect(() => near.link.useSender(-1)).toThrow(RangeError);
  });

  test('a queue that is closed while the sender thread works on it waits for its end', async () => {
    const ends = await outward('198.51.100.1', '198.51.100.2');
    const bytes = packet(ends, UDP, udp(1, 2, Buffer.alloc(1000)));
    near.link.useSender(16);
    near.send(Array<Buffer>(1500).fill(bytes), SUMS);
    near.link.close();
    expect(near.link.stats()[QSTAT.tx_handed_over]).toBeGreaterThan(0);
    expect(near.link.rings()[TX + 3]).toBe(0);
    await far.collect(1500, isIp);
  });

  test('hash and hash type are those of Microsoft for the tuple that the packet carries', async () => {
    const v4 = await outward('198.51.100.1', '203.0.113.2');
    const v6 = await outward('2001:db8::1', '2001:db8::2');
    const fragment = packet(v4, UDP, udp(7, 9, Buffer.alloc(24)));
    fragment.writeUInt16BE(0x2000, 20);
    near.send(
      [
        packet(v4, TCP, tcp(1000, 80, 1, 2, Buffer.alloc(0))),
        packet(v4, UDP, udp(1000, 53, Buffer.alloc(3))),
        packet(v4, ICMP, icmp(8, Buffer.alloc(5))),
        fragment,
        packet(v6, TCP, tcp(1000, 80, 1, 2, Buffer.alloc(0))),
        packet(v6, UDP, udp(1000, 53, Buffer.alloc(3))),
        packet(v6, ICMP6, icmp(128, Buffer.alloc(5))),
        Buffer.concat([v4.dstMac, v4.srcMac, Buffer.from('0806', 'hex'), Buffer.alloc(28)]),
      ],
      SUMS,
    );
    const got = await far.collect(8);
    const a = ipv4('198.51.100.1').readInt32BE();
    const b = ipv4('203.0.113.2').readInt32BE();
    const six = [0x20010db8, 0, 0, 1, 0x20010db8, 0, 0, 2] as const;
    expect(got.map((r) => [hashType(r), r.hash])).toEqual([
      [HashType.RSS_TCP_IPV4, toeplitzV4(a, b, 1000, 80)],
      [HashType.RSS_UDP_IPV4, toeplitzV4(a, b, 1000, 53)],
      [HashType.RSS_IPV4, toeplitzV4Pair(a, b)],
      [HashType.RSS_IPV4, toeplitzV4Pair(a, b)],
      [HashType.RSS_TCP_IPV6, toeplitzV6(...six, 1000, 80)],
      [HashType.RSS_UDP_IPV6, toeplitzV6(...six, 1000, 53)],
      [HashType.RSS_IPV6, toeplitzV6(...six, 0, 0)],
      [HashType.NONE, 0],
    ]);
    expect(got.map(l4Flags)).toEqual([
      F_L4CSUM_GOOD,
      F_L4CSUM_GOOD,
      F_L4CSUM_GOOD,
      0, // a fragment's cannot be looked at
      F_L4CSUM_GOOD,
      F_L4CSUM_GOOD,
      F_L4CSUM_GOOD,
      0,
    ]);
  });

  test('any single flipped byte of header or payload is found, UDP without a checksum passes unlooked (RFC 768)', async () => {
    const ends = await outward('198.51.100.1', '198.51.100.2');
    for (const l4 of [tcp(1, 2, 3, 0x10, Buffer.alloc(31, 5)), icmp(8, Buffer.alloc(31, 5))]) {
      near.send([packet(ends, l4.length === 39 ? ICMP : TCP, l4)], SUMS);
      const good = (await far.collect(1))[0]!.bytes;
      const flipped: Buffer[] = [];
      for (let at = 34; at < good.length; at++) {
        const bad = Buffer.from(good);
        bad[at]! ^= 0x40;
        flipped.push(bad);
      }
      near.send(flipped);
      expect((await far.collect(flipped.length)).map(l4Flags)).toEqual(flipped.map(() => F_L4CSUM_BAD));
    }
    near.send([packet(ends, UDP, udp(1, 2, Buffer.alloc(8)))], SUMS);
    const good = (await far.collect(1))[0]!.bytes;
    const header = Buffer.from(good);
    header[22] = 63;
    const none = Buffer.from(good);
    none.writeUInt16BE(0, 40);
    near.send([header, none]);
    const [ttl, unsummed] = await far.collect(2);
    expect(ttl!.flags & (F_IPCSUM_GOOD | F_IPCSUM_BAD)).toBe(F_IPCSUM_BAD);
    expect(l4Flags(unsummed!)).toBe(0);
  });

  test('malformed frames get no verdict and do no harm', async () => {
    const ends = await outward('198.51.100.1', '198.51.100.2');
    const base = packet(ends, TCP, tcp(1, 2, 3, 0x10, Buffer.alloc(10)));
    const variants = [base.subarray(0, 14), base.subarray(0, 20), base.subarray(0, 33), base.subarray(0, 40)];
    const set = (at: number, value: number) => {
      const b = Buffer.from(base);
      b[at] = value;
      return b;
    };
    variants.push(
      set(14, 0x44),
      set(14, 0x4f),
      set(14, 0x65),
      set(16, 0xff),
      set(17, 19),
      set(20, 0x3f),
      set(12, 0x86),
    );
    near.send(variants, SUMS);
    const got = await far.collect(variants.length);
    expect(got.map(l4Flags).every((flags) => (flags & F_L4CSUM_PARTIAL) === 0)).toBe(true);
    let seed = 1;
    for (let round = 0; round < 20; round++) {
      const noise = Array.from({ length: 100 }, (_, i) => {
        const b = Buffer.alloc(14 + ((i * 37 + round) % 200));
        for (let k = 0; k < b.length; k++) b[k] = (seed = (Math.imul(seed, 1103515245) + 12345) | 0) >>> 16;
        if (i & 1) b.writeUInt16BE(i & 2 ? 0x0800 : 0x86dd, 12);
        if (i & 4 && b.length > 15) b[14] = i & 2 ? 0x45 : 0x60;
        return b;
      });
      near.send(noise, SUMS);
      await far.collect(100);
    }
  });
});
