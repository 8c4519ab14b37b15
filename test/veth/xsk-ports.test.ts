import { afterEach, describe, expect, test } from 'vitest';
import { CLAIMED_WORDS, QSTAT } from '../../src/driver/native.ts';
import { Lab, type LabOptions, labMissing, ROOT } from '../lab/netns.ts';
import { ipv4, mac, nsPath, packet, Rig, udp } from './xsk-rig.ts';

const missing = labMissing('python3');
const UDP = 17;

let lab: Lab;
let rig: Rig;
afterEach(async () => {
  rig?.close();
  await lab?.remove();
});

async function setUp(options: LabOptions = {}): Promise<void> {
  lab = await Lab.create('xskp', options);
  rig = new Rig();
}

async function program(): Promise<string> {
  const link = await lab.near('ip -d link show ix1');
  return / (xdp(?:generic)?)[ /]/.exec(link.stdout)?.[1] ?? 'none';
}

async function stationOf(ns: 'near' | 'far'): Promise<Buffer> {
  return mac((await lab[ns](`cat /sys/class/net/${ns === 'near' ? 'ix1' : 'peer0'}/address`)).stdout.trim());
}

/** A child that takes ix1 over, claims 192.0.2.1 and waits. */
async function child(): Promise<{ kill(): Promise<unknown> }> {
  const code = `
    import { loadNative } from ${JSON.stringify(`${ROOT}/src/driver/native.ts`)};
    const native = loadNative();
    native.createUmem(4096, 2048);
    const port = native.openPort({ ifname: 'ix1', queues: 1, netns: ${JSON.stringify(nsPath(lab.nearNs))}, xdp: process.argv[1], zeroCopy: 'auto',
      exclusive: false, rxcsum: 'strict', maxFrame: 1518, busyPoll: false, timestamp: true });
    native.setAddresses(port.port, Int32Array.of(0xc0000201 | 0), new Uint8Array(0));
    console.log('claimed ' + port.mode);
    setInterval(() => {}, 1000);`;
  const running = lab.spawnNear([process.execPath, '--input-type=module', '-e', code, childMode]);
  await running.waitLine(/^claimed/);
  return { kill: () => running.stop('SIGKILL') };
}
let childMode = 'native';

describe.skipIf(missing)(`a port${missing && ` (${missing})`}`, () => {
  test.each(['native', 'generic'])('kill -9 in %s mode gives the interface back at once', async (mode) => {
    await setUp();
    childMode = mode;
    const owner = await child();
    expect(await program()).toBe(mode === 'native' ? 'xdp' : 'xdpgeneric');
    expect((await lab.far('ping -c 1 -W 1 192.0.2.1', { check: false })).code).not.toBe(0);
    await owner.kill();
    expect(await program()).toBe('none');
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1', { check: false })).stdout).toContain(' 1 received');
    const port = rig.open({ netns: nsPath(lab.nearNs) });
    rig.native.closePort(port.port);
  });

  test('closing detaches the program, and the same interface can be opened again, many times', async () => {
    await setUp();
    for (let i = 0; i < 10; i++) {
      const port = rig.open({ netns: nsPath(lab.nearNs), xdp: i % 2 === 0 ? 'native' : 'generic' });
      expect(await program()).toBe(i % 2 === 0 ? 'xdp' : 'xdpgeneric');
      rig.native.closePort(port.port);
      rig.native.closePort(port.port);
      expect(await program()).toBe('none');
    }
  });

  test('an interface with an XDP program is refused with EBUSY and the line that removes it', async () => {
    await setUp();
    rig.open({ netns: nsPath(lab.nearNs), xdp: 'native' });
    const again = () => rig.open({ netns: nsPath(lab.nearNs) });
    expect(again).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(again).toThrow(/^ix1: an XDP program \(id \d+\) is attached already; .*: ip link set ix1 xdp off$/);
  });

  test('all but opening works without privileges: addresses, queues, counters, closing', async () => {
    await setUp();
    const code = `
      import { loadNative, QSTAT } from ${JSON.stringify(`${ROOT}/src/driver/native.ts`)};
      const native = loadNative();
      native.createUmem(4096, 2048);
      const port = native.openPort({ ifname: 'ix1', queues: 1, xdp: 'auto', zeroCopy: 'auto', exclusive: false, rxcsum: 'strict', maxFrame: 1518,
        busyPoll: false, timestamp: true });
      process.setgroups([]);
      process.setgid(65534);
      process.setuid(65534);
      const top = Int32Array.of(4096);
      const queue = native.openQueue(port.port, 0, Int32Array.from({ length: 4096 }, (_, i) => i), top, 0, new Float64Array(4));
      native.setAddresses(port.port, Int32Array.of(0xc0000205 | 0), new Uint8Array(16));
      native.setAddresses(port.port, Int32Array.of(0xc0000206 | 0), new Uint8Array(0));
      const sent = native.transmit(queue, Int32Array.of(4000, 128, 60, 1, 0, -1, 0, 0), 1);
      const reclaimed = native.reclaim(queue, new Int32Array(8));
      native.receive(queue, new Int32Array(64), 8);
      const stats = new Float64Array(24);
      native.queueStats(port.port, 0, stats);
      native.closeQueue(queue);
      native.closePort(port.port);
      console.log(JSON.stringify({ uid: process.getuid(), sent, reclaimed, counted: stats[QSTAT.tx_packets] }));`;
    const done = await lab.near([process.execPath, '--input-type=module', '-e', code]);
    expect(JSON.parse(done.stdout)).toEqual({ uid: 65534, sent: 1, reclaimed: 1, counted: 1 });
    expect(await program()).toBe('none');
  });

  test('a queue that the interface has not is refused, and nothing stays attached', async () => {
    await setUp({ queues: 2 });
    expect(() => rig.open({ netns: nsPath(lab.nearNs), queues: 3 })).toThrow(
      expect.objectContaining({ code: 'EINVAL', message: expect.stringMatching(/^ix1: cannot open queue 2: /) }),
    );
    expect(await program()).toBe('none');
    expect(rig.open({ netns: nsPath(lab.nearNs), queues: 2 }).queues).toBe(2);
  });

  test('zero-copy that the driver has not is refused when it was demanded, else noted', async () => {
    await setUp();
    const netns = nsPath(lab.nearNs);
    expect(() => rig.open({ netns, zeroCopy: 'on' })).toThrow(
      /^ix1: zero-copy is not possible here \(.*\); use --zero-copy auto$/,
    );
    expect(() => rig.open({ netns, zeroCopy: 'on', xdp: 'generic' })).toThrow(/generic XDP has none/);
    expect(await program()).toBe('none');
    const port = rig.open({ netns, zeroCopy: 'auto' });
    expect(port.zeroCopy).toBe(false);
    expect(port.notes).toEqual(['zero-copy: Operation not supported']);
  });

  test('a queue has one owner, and its port cannot be closed before it is given back', async () => {
    await setUp();
    const port = rig.open({ netns: nsPath(lab.nearNs) });
    const side = rig.serve(port, 0, 2048);
    expect(() => rig.serve(port, 0, 2048)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(() => rig.native.closePort(port.port)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(() => rig.native.destroyUmem()).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    side.link.close();
    side.link.close();
    expect(() => side.link.receive(new Int32Array(8), 1)).toThrow(RangeError);
    rig.native.closePort(port.port);
  });

  test('frames for our address on a queue without a socket are dropped and counted there, never given to the kernel', async () => {
    await setUp({ queues: 4 });
    const port = rig.open({ netns: nsPath(lab.nearNs), queues: 1 });
    rig.claim(port, '192.0.2.1');
    const side = rig.serve(port);
    // The peer's end in our hands chooses the queue: veth hands a frame of transmit queue q to receive queue q.
    const far = rig.open({ ifname: 'peer0', netns: nsPath(lab.farNs), queues: 4 });
    const ends = {
      srcMac: await stationOf('far'),
      dstMac: await stationOf('near'),
      src: '192.0.2.2',
      dst: '192.0.2.1',
    };
    const before = (await lab.near('nstat -az UdpNoPorts')).stdout;
    for (let queue = 0; queue < 4; queue++) {
      const sender = rig.serve(far, queue, 1024);
      sender.send(
        Array.from({ length: 10 + queue }, () => packet(ends, UDP, udp(1, 9, Buffer.alloc(10)))),
        0x30000,
      );
    }
    await side.collect(10, (r) => r.bytes[23] === UDP);
    const claimed = new Float64Array(CLAIMED_WORDS);
    // The kernel takes frames from the other end of a veth when it comes to it.
    await expect
      .poll(() => {
        rig.native.claimedDropped(port.port, claimed);
        return Array.from(claimed.subarray(0, 5));
      })
      .toEqual([0, 11, 12, 13, 0]);
    expect(side.link.stats()[QSTAT.claimed_dropped]).toBe(0);
    expect((await lab.near('nstat -az UdpNoPorts')).stdout).toBe(before);
  });

  test('claims follow setAddresses, ARP for an address included; exclusive claims everything', async () => {
    await setUp();
    const netns = nsPath(lab.nearNs);
    const port = rig.open({ netns });
    const side = rig.serve(port, 0, 2048);
    const reaches = async (addr: string) => {
      side.poll();
      await lab.far(`ip neigh flush dev peer0; ping -c 1 -W 1 ${addr}`, { check: false });
      // Late requests for another address do not count.
      const frames = side.poll().filter((r) => r.bytes.includes(ipv4(addr)));
      return { arp: frames.some((r) => r.bytes.readUInt16BE(12) === 0x0806), all: frames.length };
    };
    expect(await reaches('192.0.2.1')).toEqual({ arp: false, all: 0 });
    rig.claim(port, '192.0.2.5', '192.0.2.6');
    expect((await reaches('192.0.2.5')).arp).toBe(true);
    expect((await reaches('192.0.2.6')).arp).toBe(true);
    expect((await reaches('192.0.2.1')).all).toBe(0);
    rig.claim(port, '192.0.2.6');
    expect((await reaches('192.0.2.5')).all).toBe(0);
    rig.claim(port);
    expect((await reaches('192.0.2.6')).all).toBe(0);
    side.link.close();
    rig.native.closePort(port.port);
    const all = rig.serve(rig.open({ netns, exclusive: true }), 0, 2048);
    await lab.far('ip neigh flush dev peer0; ping -c 1 -W 1 192.0.2.1', { check: false });
    expect(all.poll().length).toBeGreaterThan(0);
  });

  test('neighbour solicitations are claimed by their target, so a group shared with the kernel stays reachable', async () => {
    await setUp();
    await lab.near('sysctl -qw net.ipv6.conf.ix1.disable_ipv6=0 && ip addr add 2001:db8::1:1 dev ix1 nodad');
    await lab.far('sysctl -qw net.ipv6.conf.peer0.disable_ipv6=0 && ip addr add 2001:db8::2/64 dev peer0 nodad');
    await lab.near('ip route add 2001:db8::/64 dev ix1');
    const port = rig.open({ netns: nsPath(lab.nearNs) });
    rig.claim(port, '2001:db8::2:1:1');
    const side = rig.serve(port);
    // Both addresses end in 01:0001: one solicited-node group (RFC 4291, 2.7.1).
    expect((await lab.far('ping -c 1 -W 2 2001:db8::1:1', { check: false })).stdout).toContain(' 1 received');
    expect(side.poll()).toHaveLength(0);
    await lab.far('ping -c 1 -W 1 2001:db8::2:1:1', { check: false });
    const solicitations = side.poll().filter((r) => r.bytes.readUInt16BE(12) === 0x86dd && r.bytes[54] === 135);
    expect(solicitations.length).toBeGreaterThan(0);
  });
});
