import { describe, expect, it } from 'vitest';
import { IDEAL_PIPE, PipeConfigError } from '../../../src/impair/config.ts';
import { DROP_LOSS, DROP_OVERFLOW, DROP_PURGE } from '../../../src/impair/pipe.ts';
import { parseTrace } from '../../../src/impair/trace.ts';
import fc from '../../lab/property.ts';
import { Rig } from './harness.ts';

describe('rate and delay', () => {
  it('delivers at once when nothing is configured', () => {
    const rig = new Rig({});
    rig.offer(1, 5);
    rig.run();
    expect(rig.out).toEqual([[5, 1]]);
    expect(rig.pipe.nextDue()).toBe(Number.POSITIVE_INFINITY);
  });

  it('sends 1500 bytes at 10 Mbit/s in 1.2 ms, one after the other, and delays each', () => {
    const rig = new Rig({ rate: 10e6, delayUs: 20_000 });
    for (let i = 1; i <= 3; i++) rig.offer(i, 0);
    rig.run();
    expect(rig.out).toEqual([
      [21_200, 1],
      [22_400, 2],
      [23_600, 3],
    ]);
  });

  it('keeps fractions of a microsecond, so that a rate is met over many packets', () => {
    const rig = new Rig({ rate: 7e6 });
    for (let i = 1; i <= 7000; i++) rig.offer(i, 0, 100);
    rig.run();
    // 7000 packets of 800 bits at 7 Mbit/s take 0.8 s.
    expect(rig.out.at(-1)![0]).toBeCloseTo(800_000, 4);
  });

  it('starts anew after an idle time instead of saving up the rate', () => {
    const rig = new Rig({ rate: 12e6 });
    rig.offer(1, 0);
    rig.offer(2, 10_000);
    rig.offer(3, 10_000);
    rig.run();
    expect(rig.times).toEqual([1000, 11_000, 12_000]);
  });

  it('does what was due in the meantime at its own time when it is called late', () => {
    const rig = new Rig({ rate: 12e6, limitPackets: 1 });
    const p = { name: 1, ce: false, flipped: false, copy: false };
    rig.pipe.offer(p, 1500, false, 0);
    rig.pipe.offer({ ...p, name: 2 }, 1500, false, 10);
    // The queue had room again from 1000 µs on, when 2 came to be served, whether or not anybody called.
    rig.pipe.offer({ ...p, name: 3 }, 1500, false, 1500);
    expect(rig.dropped).toEqual([]);
    rig.run();
    expect(rig.out).toEqual([
      [1000, 1],
      [2000, 2],
      [3000, 3],
    ]);
  });
});

describe('the queue', () => {
  it('holds so many packets besides the one in service, and drops the rest', () => {
    const rig = new Rig({ rate: 12e6, limitPackets: 2 });
    for (let i = 1; i <= 5; i++) rig.offer(i, 0);
    expect(rig.pipe.queuePackets).toBe(2);
    rig.run();
    expect(rig.names).toEqual([1, 2, 3]);
    expect(rig.dropped).toEqual([
      [4, DROP_OVERFLOW],
      [5, DROP_OVERFLOW],
    ]);
    expect(rig.pipe.stats).toMatchObject({ offered: 5, delivered: 3, overflow: 2, maxPackets: 2, maxBytes: 3000 });
  });

  it('holds so many bytes: a small packet may fit where a large one does not', () => {
    const rig = new Rig({ rate: 12e6, limitBytes: 2000 });
    rig.offer(1, 0);
    rig.offer(2, 0);
    rig.offer(3, 0);
    rig.offer(4, 0, 500);
    rig.run();
    expect(rig.names).toEqual([1, 2, 4]);
  });

  it('takes any packet when the server is idle', () => {
    const rig = new Rig({ rate: 12e6, limitBytes: 100 });
    rig.offer(1, 0);
    rig.run();
    expect(rig.names).toEqual([1]);
  });

  it('sums what waits over time', () => {
    const rig = new Rig({ rate: 12e6 });
    for (let i = 1; i <= 3; i++) rig.offer(i, 0);
    rig.run();
    rig.pipe.account(4000);
    // Two wait for 1 ms, one for another.
    expect(rig.pipe.stats.packetUs).toBe(3000);
    expect(rig.pipe.stats.byteUs).toBe(3000 * 1500);
  });

  it('marks ECN-capable packets that find more than the threshold waiting, and no others (RFC 8257 section 3.1)', () => {
    const rig = new Rig({ rate: 12e6, ecnPackets: 1 });
    const able = Array.from({ length: 5 }, (_, i) => rig.offer(i, 0, 1500, true));
    const not = rig.offer(9, 0, 1500, false);
    expect(able.map((p) => p.ce)).toEqual([false, false, false, true, true]);
    expect(not.ce).toBe(false);
    expect(rig.dropped).toEqual([]);
    expect(rig.pipe.stats.marked).toBe(2);
  });

  it('marks by bytes too', () => {
    const rig = new Rig({ rate: 12e6, ecnBytes: 1500 });
    const able = Array.from({ length: 4 }, (_, i) => rig.offer(i, 0, 1500, true));
    expect(able.map((p) => p.ce)).toEqual([false, false, false, true]);
  });
});

describe('order, copies and damage', () => {
  it('keeps the order under jitter', () => {
    const rig = new Rig({ delayUs: 1000, jitterUs: 900 });
    for (let i = 0; i < 500; i++) rig.offer(i, i * 10);
    rig.run();
    expect(rig.names).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(rig.pipe.stats.reordered).toBe(0);
  });

  it('lets jitter change the order when asked, within its bounds', () => {
    const rig = new Rig({ delayUs: 1000, jitterUs: 900, jitterReorder: true });
    for (let i = 0; i < 500; i++) rig.offer(i, i * 10);
    rig.run();
    expect(rig.out).toHaveLength(500);
    for (const [at, i] of rig.out) {
      expect(at - i * 10).toBeGreaterThanOrEqual(100);
      expect(at - i * 10).toBeLessThanOrEqual(1900);
    }
    // RFC 4737 section 3.3: reordered is what comes after a later one.
    let latest = -1;
    let reordered = 0;
    for (const n of rig.names) {
      if (n < latest) reordered++;
      else latest = n;
    }
    expect(reordered).toBeGreaterThan(100);
    expect(rig.pipe.stats.reordered).toBe(reordered);
  });

  it('sends every fifth packet ahead with gap 5, as tc-netem(8) has it', () => {
    const rig = new Rig({ delayUs: 10_000, reorder: { probability: 1, gap: 5, extraUs: 0 } });
    for (let i = 1; i <= 10; i++) rig.offer(i, i);
    rig.run();
    expect(rig.names).toEqual([5, 10, 1, 2, 3, 4, 6, 7, 8, 9]);
  });

  it('holds the chosen packets back when an extra delay is given', () => {
    const rig = new Rig({ delayUs: 1000, reorder: { probability: 1, gap: 3, extraUs: 15 } });
    for (let i = 1; i <= 6; i++) rig.offer(i, i * 10);
    rig.run();
    expect(rig.names).toEqual([1, 2, 4, 3, 5, 6]);
    expect(rig.pipe.stats.reordered).toBe(1);
  });

  it('doubles packets, and the copy waits in the queue like any other', () => {
    const rig = new Rig({ rate: 12e6, duplicate: 1 });
    rig.offer(1, 0);
    rig.offer(2, 0);
    rig.run();
    expect(rig.names).toEqual([1, 1, 2, 2]);
    expect(rig.times).toEqual([1000, 2000, 3000, 4000]);
    expect(rig.pipe.stats).toMatchObject({ offered: 2, duplicated: 2, delivered: 4 });
  });

  it('damages about the share of packets that was asked for, the copy never', () => {
    const rig = new Rig({ corrupt: 0.25, duplicate: 0.5 });
    for (let i = 0; i < 4000; i++) rig.offer(i, i);
    rig.run();
    const flipped = rig.parcels.filter((p) => p.flipped);
    expect(flipped.filter((p) => p.copy)).toEqual([]);
    expect(flipped).toHaveLength(rig.pipe.stats.corrupted);
    // 4000 trials of 1/4: 1000 ± 5 times the deviation of 27.4.
    expect(Math.abs(flipped.length - 1000)).toBeLessThan(137);
  });
});

describe('traces in the format of Mahimahi', () => {
  it('sends 1500 bytes an opportunity, and begins anew after the last', () => {
    const rig = new Rig({ trace: parseTrace('2\n5\n5\n10\n') });
    for (let i = 1; i <= 6; i++) rig.offer(i, 0);
    rig.run();
    expect(rig.times).toEqual([2000, 5000, 5000, 10_000, 12_000, 15_000]);
  });

  it('spreads a large packet over opportunities and lets small ones share one', () => {
    const rig = new Rig({ trace: parseTrace('1\n2\n3\n4\n') });
    rig.offer(1, 0, 2000);
    rig.offer(2, 0, 500);
    rig.offer(3, 0, 500);
    rig.offer(4, 0, 1000);
    rig.run();
    expect(rig.out).toEqual([
      [2000, 1],
      [2000, 2],
      [2000, 3],
      [3000, 4],
    ]);
  });

  it('loses opportunities, and what is left of one, while nothing waits', () => {
    const rig = new Rig({ trace: parseTrace('1\n2\n3\n') });
    rig.offer(1, 0, 500);
    rig.offer(2, 1500, 500);
    rig.offer(3, 2000, 500);
    rig.run();
    expect(rig.out).toEqual([
      [1000, 1],
      [2000, 2],
      [3000, 3],
    ]);
  });

  it('holds packets of a slow trace in the queue until their opportunity', () => {
    const rig = new Rig({ trace: parseTrace('100\n'), limitPackets: 2 });
    for (let i = 1; i <= 4; i++) rig.offer(i, 0);
    expect(rig.pipe.queuePackets).toBe(2);
    rig.run();
    expect(rig.times).toEqual([100_000, 200_000]);
  });

  it('knows its mean rate', () => {
    expect(parseTrace('1\n').rate).toBe(12e6);
  });

  it.each([
    ['1\nx\n', 'line 2: x: a whole number of milliseconds'],
    ['5\n3\n', 'line 2: 3: not before the 5 of an earlier line'],
    ['', 'an empty trace: lines of milliseconds, the last above 0'],
    ['0\n0\n', 'an empty trace: lines of milliseconds, the last above 0'],
  ])('refuses %j', (text, message) => {
    expect(() => parseTrace(text)).toThrow(message);
  });
});

describe('a pipe that changes', () => {
  it('keeps what is inside and serves what waits at the new rate', () => {
    const rig = new Rig({ rate: 12e6 });
    for (let i = 1; i <= 3; i++) rig.offer(i, 0);
    rig.pipe.reconfigure({ ...IDEAL_PIPE, rate: 120e6 }, 500);
    rig.run();
    expect(rig.out).toEqual([
      [1000, 1],
      [1100, 2],
      [1200, 3],
    ]);
  });

  it('takes nothing above a smaller limit until the queue is below it', () => {
    const rig = new Rig({ rate: 12e6 });
    for (let i = 1; i <= 4; i++) rig.offer(i, 0);
    rig.pipe.reconfigure({ ...IDEAL_PIPE, rate: 12e6, limitPackets: 1 }, 0);
    rig.offer(5, 0);
    rig.offer(6, 3500);
    rig.run();
    expect(rig.names).toEqual([1, 2, 3, 4, 6]);
  });

  it('turns to a trace', () => {
    const rig = new Rig({ rate: 12e6 });
    for (let i = 1; i <= 3; i++) rig.offer(i, 0);
    rig.pipe.reconfigure({ ...IDEAL_PIPE, trace: parseTrace('2\n') }, 500);
    rig.run();
    expect(rig.times).toEqual([1000, 3000, 5000]);
  });

  it('keeps its configuration when the new one makes no sense', () => {
    const rig = new Rig({ rate: 12e6 });
    expect(() => rig.pipe.reconfigure({ ...IDEAL_PIPE, loss: 2 }, 0)).toThrow(PipeConfigError);
    expect(rig.pipe.config.rate).toBe(12e6);
  });

  it('drops everything inside when it is purged', () => {
    const rig = new Rig({ rate: 12e6, delayUs: 5000 });
    for (let i = 1; i <= 4; i++) rig.offer(i, 0);
    rig.run(2500);
    expect(rig.pipe.inside).toBe(4);
    rig.pipe.purge(2500);
    expect(rig.pipe.inside).toBe(0);
    expect(rig.dropped.map(([n]) => n).sort()).toEqual([1, 2, 3, 4]);
    expect(rig.dropped.every(([, why]) => why === DROP_PURGE)).toBe(true);
    rig.run();
    expect(rig.out).toEqual([]);
  });

  it('may be given a packet from inside a delivery', () => {
    const rig = new Rig({ rate: 12e6, delayUs: 100 });
    rig.onDeliver = (p) => {
      if (p.name < 3) rig.pipe.offer({ ...p, name: p.name + 1 }, 1500, false, rig.now);
    };
    rig.offer(1, 0);
    rig.run();
    expect(rig.out).toEqual([
      [1100, 1],
      [2200, 2],
      [3300, 3],
    ]);
  });
});

describe('configurations', () => {
  it.each([
    [{ rate: -1 }, 'rate -1: a number from 0 on'],
    [{ delayUs: Number.NaN }, 'delay NaN: a number from 0 on'],
    [{ loss: 1.5 }, 'loss 1.5: a probability from 0 to 1'],
    [{ drop: [5, 5] }, 'drop 5: packet numbers from 1 on, each larger than the one before'],
    [{ drop: [0] }, 'drop 0: packet numbers from 1 on, each larger than the one before'],
    [{ reorder: { probability: 0.1, gap: 0, extraUs: 0 } }, 'reorder gap 0: a whole number from 1 on'],
    [{ gilbert: { p: 2, r: 0, lossBad: 1, lossGood: 0 } }, 'gilbert p 2: a probability from 0 to 1'],
    [{ aqm: { kind: 'codel', targetUs: 0, intervalUs: 1, ecn: false } }, 'codel 0/1 µs: target and interval above 0'],
  ] as const)('refuses %j', (config, message) => {
    expect(() => new Rig(config)).toThrow(message);
  });
});

describe('whatever is configured', () => {
  const config = fc.record({
    rate: fc.constantFrom(0, 1e6, 12e6, 33e6),
    delayUs: fc.nat(5000),
    jitterUs: fc.nat(3000),
    jitterReorder: fc.boolean(),
    limitPackets: fc.constantFrom(0, 1, 5),
    limitBytes: fc.constantFrom(0, 1500, 10_000),
    aqm: fc.constantFrom(
      null,
      { kind: 'codel' as const, targetUs: 500, intervalUs: 5000, ecn: true },
      {
        kind: 'red' as const,
        minTh: 1,
        maxTh: 3,
        wq: 0.2,
        maxP: 0.2,
        gentle: true,
        bytes: false,
        ecn: false,
        hardDrop: true,
      },
    ),
    ecnPackets: fc.constantFrom(0, 1),
    loss: fc.constantFrom(0, 0.1),
    gilbert: fc.constantFrom(null, { p: 0.05, r: 0.3, lossBad: 0.8, lossGood: 0 }),
    drop: fc.constantFrom([], [2, 7]),
    reorder: fc.constantFrom(
      null,
      { probability: 0.3, gap: 2, extraUs: 0 },
      { probability: 0.3, gap: 1, extraUs: 700 },
    ),
    duplicate: fc.constantFrom(0, 0.2),
    corrupt: fc.constantFrom(0, 0.2),
    trace: fc.constantFrom(null, parseTrace('1\n1\n4\n7\n')),
  });
  const load = fc.array(fc.tuple(fc.nat(4000), fc.integer({ min: 40, max: 4000 }), fc.boolean()), { maxLength: 60 });

  it('every packet is delivered or dropped exactly once', () => {
    fc.assert(
      fc.property(config, load, fc.integer(), (c, packets, seed) => {
        const rig = new Rig(c, seed);
        let at = 0;
        packets.forEach(([gap, bytes, ect], i) => {
          at += gap;
          rig.offer(i, at, bytes, ect);
        });
        rig.run();
        const s = rig.pipe.stats;
        expect(rig.pipe.inside).toBe(0);
        expect(rig.pipe.queueBytes).toBe(0);
        expect(s.offered + s.duplicated).toBe(s.delivered + s.lost + s.overflow + s.aqm);
        expect(s.delivered).toBe(rig.out.length);
        expect(rig.dropped).toHaveLength(s.lost + s.overflow + s.aqm);
        expect(rig.dropped.filter(([, why]) => why === DROP_LOSS)).toHaveLength(s.lost);
      }),
      { numRuns: 300 },
    );
  });

  it('packets leave in order and never faster than the rate, unless reordering was asked for', () => {
    fc.assert(
      fc.property(config, load, fc.integer(), (c, packets, seed) => {
        const rig = new Rig({ ...c, jitterUs: 0, reorder: null, trace: null, duplicate: 0 }, seed);
        let at = 0;
        packets.forEach(([gap, bytes, ect], i) => {
          at += gap;
          rig.offer(i, at, bytes, ect);
        });
        rig.run();
        expect(rig.names).toEqual([...rig.names].sort((a, b) => a - b));
        for (let i = 1; i < rig.out.length && c.rate > 0; i++) {
          const bits = packets[rig.out[i]![1]]![1] * 8;
          expect(rig.out[i]![0] - rig.out[i - 1]![0]).toBeGreaterThan((bits / c.rate) * 1e6 - 1e-6);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('it is the same whether the pipe is called at each due time or only now and then', () => {
    fc.assert(
      fc.property(config, load, fc.integer(), (c, packets, seed) => {
        const exact = new Rig(c, seed);
        const late = new Rig(c, seed);
        let at = 0;
        packets.forEach(([gap, bytes, ect], i) => {
          at += gap;
          exact.offer(i, at, bytes, ect);
          late.pipe.offer({ name: i, ce: false, flipped: false, copy: false }, bytes, ect, at);
        });
        exact.run();
        late.pipe.advance(1e9);
        exact.pipe.account(1e9);
        late.pipe.account(1e9);
        expect(late.names).toEqual(exact.names);
        expect(late.dropped).toEqual(exact.dropped);
        expect(late.pipe.stats).toEqual(exact.pipe.stats);
      }),
      { numRuns: 300 },
    );
  });
});
