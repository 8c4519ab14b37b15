import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../../src/driver/sim/clock.ts';
import { DueHeap } from '../../../../src/driver/sim/due-heap.ts';
import { Dumbbell } from '../../../../src/driver/sim/dumbbell.ts';
import { SimFrame } from '../../../../src/driver/sim/frame.ts';
import { SimNetwork } from '../../../../src/driver/sim/network.ts';
import { SimRandom } from '../../../../src/driver/sim/random.ts';
import { IDEAL_PIPE, type PipeConfig } from '../../../../src/impair/config.ts';
import { ips, tcps } from '../../../../src/metrics/layout.ts';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { connect, type SocketHandler } from '../../../../src/stack/socket/socket.ts';
import { checksum } from '../../../lab/frames.ts';
import fc from '../../../lab/property.ts';

describe('the random numbers of a simulation', () => {
  const draw = (seed: number, name: string, n = 8): number[] => {
    const r = new SimRandom(seed, name);
    return Array.from({ length: n }, () => r.next32());
  };

  it('are the same for the same seed and name, and unlike for any other', () => {
    expect(draw(1, 'wire/data')).toEqual(draw(1, 'wire/data'));
    const streams = [
      draw(1, 'wire/data'),
      draw(2, 'wire/data'),
      draw(1, 'wire/ack'),
      draw(2 ** 32 + 1, 'wire/data'),
      draw(0, 'wire/data'),
    ];
    expect(new Set(streams.flat()).size).toBe(40);
  });

  it('have every bit set half of the time', () => {
    const r = new SimRandom(7, 'bits');
    const ones = new Array<number>(32).fill(0);
    const n = 20_000;
    for (let i = 0; i < n; i++) {
      const word = r.next32();
      expect(word).toBe(word | 0);
      for (let b = 0; b < 32; b++) ones[b] = ones[b]! + ((word >>> b) & 1);
    }
    // 5 deviations of sqrt(n)/2
    for (const count of ones) expect(Math.abs(count - n / 2)).toBeLessThan(354);
  });
});

describe('the virtual clock', () => {
  it('shows whole microseconds that wrap, milliseconds of the same source, and wall time from 0', () => {
    const clock = new VirtualClock();
    const us = clock.us;
    const ms = clock.ms;
    clock.set(2500.75);
    expect((clock.us - us) | 0).toBe(2500);
    expect((clock.ms - ms) | 0).toBe(2);
    expect(clock.wallUs()).toBe(2500);
    clock.set(3 * 2 ** 31);
    expect(clock.us).toBe((us + 3 * 2 ** 31) | 0);
    expect(clock.wallUs()).toBe(3 * 2 ** 31);
  });
});

describe('the heap of due times', () => {
  it('gives what is due first, at the same time the lower number', () => {
    const change = fc.tuple(fc.nat(11), fc.oneof(fc.nat(6), fc.constant(Number.POSITIVE_INFINITY)));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 100 }), (changes) => {
        const heap = new DueHeap();
        const times: number[] = [];
        for (let i = 0; i < 12; i++) {
          expect(heap.add()).toBe(i);
          times.push(Number.POSITIVE_INFINITY);
        }
        for (const [id, time] of changes) {
          heap.set(id, time);
          times[id] = time;
          const least = Math.min(...times);
          expect(heap.time).toBe(least);
          if (least < Number.POSITIVE_INFINITY) expect(heap.first).toBe(times.indexOf(least));
        }
      }),
    );
  });
});

describe('a network', () => {
  it('does things at their times, and at one time in the order in which they were given', () => {
    const net = new SimNetwork(1, 1500);
    const done: [string, number][] = [];
    const note = (name: string) => () => {
      done.push([name, net.clock.now]);
    };
    net.at(30, note('c'));
    net.at(10, note('a'));
    net.at(30, note('d'));
    net.at(20, () => net.at(20, note('b')));
    net.run(25);
    expect(net.clock.now).toBe(25);
    expect(done).toEqual([
      ['a', 10],
      ['b', 20],
    ]);
    net.run(100, () => done.length === 3);
    expect(done.slice(2)).toEqual([
      ['c', 30],
      ['d', 30],
    ]);
  });
});

describe('a frame', () => {
  const ipFrame = (tos: number): SimFrame => {
    const f = new SimFrame(64);
    const bytes = Uint8Array.of(
      ...[2, 0, 192, 0, 2, 1, 2, 0, 192, 0, 2, 101, 8, 0],
      ...[0x45, tos, 0, 20, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 101, 192, 0, 2, 1],
    );
    f.copyFrom(bytes, 0, bytes.length);
    const sum = checksum(f.u8.subarray(14, 34));
    f.u8[24] = sum >> 8;
    f.u8[25] = sum & 0xff;
    return f;
  };

  it.each([0, 1, 2, 3, 0xfd, 0xfe])('with TOS %i is ECN-capable as RFC 3168 section 5 says', (tos) => {
    expect(ipFrame(tos).ect).toBe((tos & 3) !== 0);
  });

  it.each([1, 2, 3, 0xb9])('with TOS %i carries CE and a good header checksum after a mark', (tos) => {
    const f = ipFrame(tos);
    f.markCe();
    expect(f.u8[15]).toBe(tos | 3);
    // RFC 1071: the sum over a good header is 0.
    expect(checksum(f.u8.subarray(14, 34))).toBe(0);
  });

  it('has exactly one bit of its packet flipped', () => {
    for (const random of [0, 1, -1, 0x7fffffff, 12345]) {
      const a = ipFrame(0);
      const b = ipFrame(0);
      b.flipBit(random);
      const bits = [...b.u8].map((x, i) => (x ^ a.u8[i]!).toString(2).replaceAll('0', '').length);
      expect(bits.reduce((n, x) => n + x)).toBe(1);
      expect(bits.slice(0, 14).every((x) => x === 0)).toBe(true);
      expect(bits.slice(34).every((x) => x === 0)).toBe(true);
    }
  });
});

/** Sends `total` bytes from each sender and returns what each receiver got. */
function transfer(d: Dumbbell, total: number, until: number): Buffer[] {
  const got = d.senders.map(() => [] as Buffer[]);
  const payload = Buffer.from(Array.from({ length: total }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
  const idle: SocketHandler = { connected() {}, data: () => 0, writable() {}, end() {}, closed() {} };
  for (const r of new Set(d.receivers)) {
    listen(r.st, { port: 5001 }, (so) => {
      const i = d.senders.findIndex((s) => s.addr === so.tp!.t_inpcb!.f3);
      return {
        ...idle,
        data(_so, u8, off, len) {
          got[i]!.push(Buffer.from(u8.slice(off, off + len)));
          return len;
        },
      };
    });
  }
  d.senders.forEach((s, i) => {
    d.net.at(0, () => {
      let sent = 0;
      const fill = (so: Parameters<SocketHandler['connected']>[0]): void => {
        while (sent < total) {
          const n = so.send(payload, sent, total - sent);
          sent += n;
          if (n === 0) break;
        }
      };
      connect(s.st, { faddr: d.receivers[i]!.addr, fport: 5001 }, { ...idle, connected: fill, writable: fill });
      s.wake();
    });
  });
  d.net.run(until);
  return got.map((pieces) => Buffer.concat(pieces));
}

function dumbbell(data: Partial<PipeConfig>, o: Partial<ConstructorParameters<typeof Dumbbell>[0]> = {}): Dumbbell {
  const ack = { ...IDEAL_PIPE, delayUs: 5000 };
  return new Dumbbell({
    seed: 1,
    mtu: 1500,
    data: { ...ack, rate: 10e6, ...data },
    ack,
    accessUs: [0],
    separateReceivers: false,
    tune: {},
    ...o,
  });
}

describe('a dumbbell', () => {
  it('carries a connection, and nothing is left behind in it', () => {
    const d = dumbbell({});
    const [got] = transfer(d, 100_000, 60e6);
    expect(got).toHaveLength(100_000);
    expect(got!.every((b, i) => b === ((i * 31 + (i >> 8)) & 0xff))).toBe(true);
    expect(d.net.frames.out).toBe(0);
    for (const n of d.net.nodes) {
      // Takes back what the link has sent since the last pass.
      n.st.flush();
      expect(n.pool.held).toBe(0);
    }
    expect(d.senders[0]!.st.cnt[tcps.tcps_sndrexmitpack]).toBe(0);
  });

  it('carries several flows to one receiver or to one each, with a round-trip time of their own', () => {
    for (const separateReceivers of [false, true]) {
      const d = dumbbell({}, { accessUs: [0, 10_000, 0], separateReceivers });
      for (const got of transfer(d, 20_000, 10e6)) expect(got).toHaveLength(20_000);
      expect(new Set(d.receivers).size).toBe(separateReceivers ? 3 : 1);
      const rttMin: number[] = [];
      for (const s of d.senders) s.st.tcp.tcb.forEach((inp) => void rttMin.push(inp.tp!.t_rttmin));
      // 10 ms and what a segment takes at 10 Mbit/s; 20 ms more through the access link.
      expect(rttMin[1]! - rttMin[0]!).toBeGreaterThan(15_000);
      expect(rttMin[0]).toBeGreaterThanOrEqual(10_000);
    }
  });

  it('resolves addresses when what it knew has aged, through the wires', () => {
    const d = dumbbell({}, { accessUs: [0, 0] });
    for (const n of d.net.nodes) for (const e of n.st.arp.list()) n.st.arp.remove(e);
    for (const got of transfer(d, 3000, 10e6)) expect(got).toHaveLength(3000);
  });

  it('has damaged packets found by the checksums of the stacks, and the data is whole all the same', () => {
    const d = dumbbell({ corrupt: 0.05 });
    const [got] = transfer(d, 500_000, 120e6);
    expect(got).toHaveLength(500_000);
    expect(got!.every((b, i) => b === ((i * 31 + (i >> 8)) & 0xff))).toBe(true);
    const { cnt } = d.receivers[0]!.st;
    const found = cnt[tcps.tcps_rcvbadsum]! + cnt[ips.ips_badsum]!;
    expect(d.data.pipe.stats.corrupted).toBeGreaterThan(5);
    // A bit of the version, header length or total length is found before the sum is looked at.
    const other = cnt[ips.ips_badvers]! + cnt[ips.ips_badhlen]! + cnt[ips.ips_badlen]! + cnt[ips.ips_tooshort]!;
    expect(found + other).toBe(d.data.pipe.stats.corrupted);
  });

  it('refuses more senders than there are addresses', () => {
    expect(() => dumbbell({}, { accessUs: [] })).toThrow('0 senders: allowed are 1 to 100');
    expect(() => dumbbell({}, { accessUs: new Array(101).fill(0) })).toThrow('101 senders: allowed are 1 to 100');
  });
});
