import { describe, expect, test } from 'vitest';
import { COUNTER_SLOTS, stks } from '../../../src/metrics/layout.ts';
import { FlowDirectory } from '../../../src/rings/flowdir.ts';
import { HandoverRing } from '../../../src/rings/handover.ts';
import { FRAME_SIZE, ROW } from '../../../src/rings/link.ts';
import { FramePool, type Mbuf } from '../../../src/rings/mbuf.ts';
import { toeplitzV4 } from '../../../src/rings/toeplitz.ts';
import { inetAton } from '../../../src/stack/net/in-addr.ts';
import { Stack } from '../../../src/stack/stack.ts';
import { Steering } from '../../../src/stack/steer.ts';
import { Tunables } from '../../../src/stack/sysctl.ts';
import { arp, ether, icmp, ipv4, PEER_MAC, ramp, tcp } from '../../lab/frames.ts';
import { TestClock, TestHost, TestRandom } from '../../lab/memlink.ts';

const NSHARDS = 4;
const PEER = '192.0.2.2';
const US = '192.0.2.1';
const SYN = 2;
const ACK = 16;

/** Shard 0 of four, whose packets to the others stay in the rings. */
function setup() {
  const h = new TestHost({ nshards: NSHARDS });
  const dir = new FlowDirectory(new SharedArrayBuffer(FlowDirectory.bytes(64)));
  const rings = Array.from({ length: NSHARDS }, (_, k) =>
    k === 0 ? null : new HandoverRing(new SharedArrayBuffer(HandoverRing.bytes(8))),
  );
  const woken: number[] = [];
  const steering = new Steering(h.st, { dir, rings, wake: (k) => woken.push(k) });
  const local: string[] = [];
  h.st.protosw[6] = (st: Stack, m: Mbuf) => {
    local.push(`${st.pool.dv.getUint16(m.pos)} ${m.flowid} ${m.hashType}`);
    st.pool.put(m);
  };
  const table = new Int32Array(8 * ROW);
  const out = () =>
    rings.flatMap((r, k) => {
      const n = r?.drain(table, 8) ?? 0;
      return Array.from({ length: n }, (_, i) => ({ to: k, row: [...table.subarray(i * ROW, i * ROW + ROW)] }));
    });
  return { h, dir, rings, woken, steering, local, out };
}

const segment = (sport: number, flags: number, dst = US) =>
  ether({}, ipv4({ proto: 6, src: PEER, dst }, tcp({ src: PEER, dst, sport, dport: 80, flags })));
const hashOf = (sport: number) => toeplitzV4(inetAton(PEER), inetAton(US), sport, 80);
const homeOf = (sport: number) => (hashOf(sport) >>> 0) % NSHARDS;
/** A source port whose flow has the given default shard. */
const portOf = (home: number) => {
  let p = 1024;
  while (homeOf(p) !== home) p++;
  return p;
};

describe('TCP', () => {
  test('a SYN that nobody owns is claimed and handled where it arrives, and so is what follows', () => {
    const { h, dir, local, out } = setup();
    const port = portOf(2);
    h.exchange(segment(port, SYN));
    h.exchange(segment(port, ACK));
    expect(local).toEqual([`${port} ${hashOf(port)} 130`, `${port} ${hashOf(port)} 130`]);
    expect(dir.lookup(hashOf(port))).toBe(0);
    expect(out()).toEqual([]);
  });

  test('a flow of another shard goes there by index, counted, and the shard is woken once at the end of the pass', () => {
    const { h, dir, woken, steering, local, out } = setup();
    const port = portOf(1);
    dir.insert(hashOf(port), 3);
    h.link.inject(segment(port, ACK), { time: 42 });
    h.link.inject(segment(port, SYN), { time: 43 });
    h.pass();
    expect(local).toEqual([]);
    expect(woken).toEqual([3]);
    const rows = out();
    expect(rows.map((r) => [r.to, r.row[2], r.row[4], r.row[6], r.row[7]])).toEqual([
      [3, 54, hashOf(port), 42, 0],
      [3, 54, hashOf(port), 43, 0],
    ]);
    expect(h.moved()).toMatchObject({ stks_handover_out: 2 });
    expect(h.count('ips_total')).toBe(0);
    // The frames are on their way; they come home by another ring.
    expect(steering.abroad).toBe(2);
    for (const r of rows) h.pool.putFrame(r.row[0]!);
    expect(h.leaked()).toBe(0);
  });

  test('a stranger that is no SYN goes to the shard of its hash (SYN-cookie ACKs find their way)', () => {
    const { h, local, out } = setup();
    h.exchange(segment(portOf(2), ACK));
    h.exchange(segment(portOf(0), ACK));
    h.exchange(segment(portOf(3), SYN | ACK));
    expect(out().map((r) => r.to)).toEqual([2, 3]);
    expect(local).toHaveLength(1);
  });

  test('a connection of this shard is found before the directory is asked', () => {
    const { h, dir, local, out } = setup();
    const port = portOf(1);
    dir.insert(hashOf(port), 3);
    h.st.hasLocalFlow = (m) => h.pool.dv.getUint16(m.l4) === port && h.pool.dv.getUint8(m.l3) === 0x45;
    h.exchange(segment(port, ACK));
    expect(local).toHaveLength(1);
    expect(out()).toEqual([]);
  });

  test('when the directory is full, a SYN goes to the shard of its hash', () => {
    const { h, dir, out } = setup();
    for (let n = 1; dir.count() < 512 && n < 100_000; n++) dir.insert(n, 1);
    const port = portOf(2);
    for (let n = 1; dir.claim(hashOf(port), 0) >= 0; n++) {
      dir.remove(hashOf(port));
      dir.insert(n * 977, 1);
    }
    h.exchange(segment(port, SYN));
    expect(out().map((r) => r.to)).toEqual([2]);
    expect(h.count('stks_flowdir_full')).toBe(1);
  });

  test('a full ring drops the frame with a counter of its own', () => {
    const { h, dir, out } = setup();
    const port = portOf(1);
    dir.insert(hashOf(port), 1);
    for (let i = 0; i < 10; i++) h.link.inject(segment(port, ACK));
    h.pass();
    expect(h.moved()).toMatchObject({ stks_handover_out: 8, stks_handover_full: 2 });
    for (const r of out()) h.pool.putFrame(r.row[0]!);
    expect(h.leaked()).toBe(0);
  });

  test('a packet that got as far as TCP is handed over from its Ethernet header on', () => {
    const { h, out } = setup();
    h.st.protosw[6] = (st, m) => st.handOver!(m, 2);
    const frame = segment(portOf(0), ACK);
    h.exchange(frame);
    const [r] = out();
    expect(r).toMatchObject({ to: 2 });
    const at = r!.row[0]! * 4096 + r!.row[1]!;
    expect([...h.pool.u8.subarray(at, at + r!.row[2]!)]).toEqual([...frame]);
  });
});

describe('other packets', () => {
  test('an ICMP error goes to the owner of the flow that it quotes', () => {
    const { h, dir, out } = setup();
    const port = portOf(1);
    dir.insert(hashOf(port), 2);
    const quoted = ipv4(
      { proto: 6, src: US, dst: PEER },
      tcp({ src: US, dst: PEER, sport: 80, dport: port, flags: ACK }).slice(0, 8),
    );
    h.exchange(ether({}, ipv4({ proto: 1, src: '192.0.2.77' }, icmp(3, 1, [0, 0, 0, 0, ...quoted]))));
    expect(out().map((r) => r.to)).toEqual([2]);
  });

  test('an ICMP error about a flow that nobody owns stays', () => {
    const { h, out } = setup();
    const quoted = ipv4({ proto: 6, src: US, dst: PEER }, ramp(8));
    h.exchange(ether({}, ipv4({ proto: 1 }, icmp(3, 1, [0, 0, 0, 0, ...quoted]))));
    expect(out()).toEqual([]);
    expect(h.count('ips_total')).toBe(1);
  });

  test.each([
    ['an echo request', ether({}, ipv4({ proto: 1 }, icmp(8, 0, ramp(12))))],
    ['ARP', ether({ type: 0x0806 }, arp({ op: 1, sha: PEER_MAC, spa: PEER, tpa: US }))],
    ['a TCP fragment', ether({}, ipv4({ proto: 6, off: 0x2000 }, ramp(24)))],
    ['a TCP packet for another host', segment(portOf(2), ACK, '192.0.2.9')],
    ['a TCP header of 13 bytes', ether({}, ipv4({ proto: 6 }, ramp(13)))],
    ['a bad header length', ether({}, ipv4({ proto: 6, ihl: 4 }, ramp(24)))],
    ['13 bytes', ether({}, []).subarray(0, 13)],
  ])('%s is handled where it arrives', (_name, frame) => {
    const { h, out } = setup();
    h.exchange(frame);
    expect(out()).toEqual([]);
    expect(h.count('stks_ether_in')).toBe(1);
  });
});

test('what another shard handed over enters at Ethernet input, and its frame goes home when it is freed', () => {
  const clock = new TestClock();
  const umem = new ArrayBuffer(8 * FRAME_SIZE);
  const pool = new FramePool(umem, 0, 4);
  const home: number[] = [];
  pool.sendHome = (frame) => home.push(frame);
  const st = new Stack({
    clock,
    random: new TestRandom(),
    cnt: new Float64Array(COUNTER_SLOTS),
    pool,
    tune: new Tunables(),
    shard: 0,
    nshards: 2,
  });
  const { ifp } = new TestHost();
  st.ifnets.push(ifp);
  const seen: number[] = [];
  st.protosw[6] = (s, m) => {
    seen.push(m.frame, m.flowid, m.hashType, m.time, m.len);
    s.pool.put(m);
  };
  // Frame 6 belongs to the other shard's half of the UMEM.
  const frame = segment(portOf(1), SYN);
  pool.u8.set(frame, 6 * FRAME_SIZE + 300);
  st.inputHandedOverRows(Int32Array.of(6, 300, frame.length, 1 | (130 << 8), 55, -1, 7, 0), 1);
  expect(seen).toEqual([6, 55, 130, 7, 20]);
  expect(home).toEqual([6]);
  expect(st.cnt[stks.stks_handover_in]).toBe(1);
  expect(pool.available).toBe(4);
});
