import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { counter } from '../lab/counters.ts';
import { arp, BROADCAST_MAC, ether, icmp, ipv4, ramp, tcp } from '../lab/frames.ts';
import { Lab, labMissing, pingReplies, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { nsPath, Rig, type Side } from './xsk-rig.ts';

const US = '192.0.2.1';
const PEER = '192.0.2.2';

/** mulberry32: the same damage in every run. */
function random(seed: number): () => number {
  let s = seed;
  return () => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

describe.skipIf(labMissing('ping') !== '')(`packets of a Linux peer ${labMissing('ping')}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  let rig: Rig;
  let side: Side;
  let frame: (type: number, payload: readonly number[], dst?: string) => Buffer;

  beforeAll(async () => {
    lab = await Lab.create('packets', { queues: 2 });
    x = await startXsiftr(lab, ['--sysctl', 'net.inet.icmp.icmplim=0']);
    const address = async (link: string, where: 'near' | 'far') =>
      (await lab[where](`cat /sys/class/net/${link}/address`)).stdout.trim();
    const our = await address('ix1', 'near');
    const peer = await address('peer0', 'far');
    frame = (type, payload, dst = our) => Buffer.from(ether({ dst, src: peer, type }, payload));
    // The peer's kernel goes on as it is: this port claims nothing and only sends.
    rig = new Rig(4096, 1024);
    side = rig.serve(rig.open({ ifname: 'peer0', queues: 1, netns: nsPath(lab.farNs) }), 0, 4096);
  });
  afterAll(async () => {
    rig?.close();
    await x?.stop();
    await lab?.remove();
  });

  /** Lines of `netstat -ss` that changed since the last call, as label to difference. */
  let before = new Map<string, number>();
  async function moved(): Promise<Map<string, number>> {
    const text = (await x.command(['netstat', '-s', '-s'])).stdout;
    const now = new Map<string, number>();
    for (const line of text.split('\n')) {
      const m = /^\t+(\d+) (.*)$/.exec(line);
      // Singular and plural are one label.
      if (m !== null)
        now.set(
          m[2]!.replace(/^(packet|frame|fragment|message|datagram|call|bad header checksum)s\b/, '$1'),
          Number(m[1]),
        );
    }
    const diff = new Map([...now].map(([k, n]) => [k, n - (before.get(k) ?? 0)] as const).filter(([, n]) => n !== 0));
    before = now;
    return diff;
  }

  test.each([0, 1, 7, 8, 16, 17, 56, 511, 1000, 1471, 1472])('ping of %i bytes is answered', async (size) => {
    const r = await lab.far(`ping -c 3 -i 0.05 -w 10 -s ${size} ${US}`);
    expect(pingReplies(r.stdout)).toBeGreaterThanOrEqual(3);
    expect(r.stdout).not.toMatch(/wrong data|DUP/);
  });

  test.each(['-b 192.0.2.255', '-I peer0 224.0.0.1'])('a ping to %s is not answered', async (where) => {
    expect((await lab.far(`ping -c 1 -W 1 ${where}`, { check: false })).stdout).toContain(' 0 received');
  });

  test('a protocol that nobody takes is answered by "protocol unreachable", which the peer understands', async () => {
    await moved();
    side.send([frame(0x0800, ipv4({ proto: 132, src: PEER, dst: US }, ramp(32)))]);
    await expect
      .poll(async () => (await lab.far("nstat -asz IcmpInDestUnreachs | awk '/Icmp/{print $2}'")).stdout.trim())
      .toBe('1');
    const m = await moved();
    expect(m.get('packet for unknown/unsupported protocol')).toBe(1);
  });

  test('wrong checksums are counted and not answered', async () => {
    await moved();
    side.send([
      frame(0x0800, ipv4({ src: PEER, dst: US, sum: 0x1111 }, icmp(8, 0, ramp(12)))),
      frame(0x0800, ipv4({ src: PEER, dst: US }, icmp(8, 0, ramp(12), 0x1111))),
      frame(
        0x0800,
        ipv4({ src: PEER, dst: US, proto: 6 }, tcp({ src: '192.0.2.3', dst: US, sport: 4000, dport: 80, flags: 2 })),
      ),
    ]);
    await expect
      .poll(async () => before.get('bad header checksum') ?? (await moved()).get('bad header checksum'))
      .toBe(1);
    const text = (await x.command(['netstat', '-s', '-s'])).stdout;
    expect(text).toMatch(/1 bad checksum/);
    expect(text).toMatch(/1 discarded for bad checksum/);
  });

  test('ten thousand malformed frames move nothing but counters', async () => {
    const next = random(20260101);
    const seeds = [
      ipv4({ src: PEER, dst: US }, icmp(8, 0, ramp(40))),
      ipv4({ src: PEER, dst: US }, icmp(3, 4, [0, 0, 5, 0, ...ipv4({ proto: 6, src: US, dst: PEER }, ramp(12))])),
      ipv4({ src: PEER, dst: US, proto: 6 }, tcp({ src: PEER, dst: US, sport: 4000, dport: 80, flags: 2 })),
      ipv4({ src: PEER, dst: US, proto: 6 }, tcp({ src: PEER, dst: US, sport: 4000, dport: 80, flags: 16 }, ramp(30))),
      ipv4({ src: PEER, dst: US, proto: 17, options: [7, 7, 4, 0, 0, 0, 0, 0] }, ramp(24)),
      ipv4({ src: PEER, dst: US, proto: 17, off: 0x2000 }, ramp(24)),
    ];
    const ask = arp({ op: 1, sha: '02:00:00:00:00:77', spa: '192.0.2.77', tpa: US });
    const frames = Array.from({ length: 10_000 }, (_, i) => {
      const isArp = i % 8 === 7;
      const bytes = isArp ? [...ask] : [...seeds[i % seeds.length]!];
      for (let k = next() % 4; k >= 0; k--) bytes[next() % bytes.length]! ^= next() & 0xff;
      // Destination address and type stay, so that the frame is claimed and not left to the kernel.
      const at = isArp ? 24 : 16;
      bytes.splice(at, 4, 192, 0, 2, 1);
      const cut = next() % 4 === 0 ? Math.max(24, next() % bytes.length) : bytes.length;
      return isArp ? frame(0x0806, bytes.slice(0, cut), BROADCAST_MAC) : frame(0x0800, bytes.slice(0, cut));
    });
    await moved();
    const said = x.lines.length;
    for (let i = 0; i < frames.length; i += 500) {
      side.send(frames.slice(i, i + 500));
      // No more than the receive rings hold, should xsiftr not get to run for a moment.
      await expect.poll(() => counter(x, 'ring_occupancy:rx'), { interval: 5 }).toBe(0);
    }
    expect(pingReplies((await lab.far(`ping -c 3 -i 0.1 -w 10 ${US}`)).stdout)).toBeGreaterThanOrEqual(3);
    const diff = await moved();
    expect(diff.get('bad header checksum')).toBeGreaterThan(100);
    expect(diff.size).toBeGreaterThan(15);
    expect(x.lines.slice(said).filter((l) => !/duplicate IP/.test(l))).toEqual([]);
    // No connection came of it.
    expect((await x.command(['netstat', '-an'])).stdout).not.toMatch(/ESTABLISHED|SYN_R/);
  });
});
