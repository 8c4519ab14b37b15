import { describe, expect, it } from 'vitest';
import { Codel, type CodelQueue } from '../../../src/impair/codel.ts';
import type { RedConfig } from '../../../src/impair/config.ts';
import { RED_EARLY, RED_FORCED, RED_PASS, Red } from '../../../src/impair/red.ts';
import { TestRandom } from '../../lab/memlink.ts';
import { Rig } from './harness.ts';

const RED: RedConfig = {
  kind: 'red',
  minTh: 5,
  maxTh: 15,
  wq: 1,
  maxP: 0.1,
  gentle: true,
  bytes: false,
  ecn: false,
  hardDrop: false,
};

/** Share of packets chosen while `queued` wait, and the mean number of packets from one chosen to the next. */
function share(config: Partial<RedConfig>, queued: number, bytes = 1500, packets = 200_000): number {
  const red = new Red({ ...RED, ...config });
  const random = new TestRandom(7);
  let chosen = 0;
  for (let i = 0; i < packets; i++) if (red.arrive(queued, bytes, 0, 1000, random) !== RED_PASS) chosen++;
  return chosen / packets;
}

describe('RED (Floyd and Jacobson 1993)', () => {
  it('averages the queue with weight w_q', () => {
    const red = new Red({ ...RED, wq: 0.25 });
    const random = new TestRandom(1);
    for (const q of [4, 4, 0]) red.arrive(q, 1500, 0, 1000, random);
    // 0 → 1 → 1.75 → 1.3125
    expect(red.avg).toBe(1.3125);
  });

  it('ages the average over an idle time as if so many small packets had come (section 4)', () => {
    const red = new Red({ ...RED, wq: 0.5 });
    const random = new TestRandom(1);
    red.arrive(4, 1500, 0, 1000, random);
    red.arrive(0, 1500, 3000, 1000, random);
    expect(red.avg).toBe(2 * 0.5 ** 3);
  });

  it('chooses nothing below min_th', () => {
    expect(share({}, 4)).toBe(0);
  });

  it('spaces the chosen packets uniformly: (1/p_b + 1)/2 from one to the next on average (section 7)', () => {
    // Half way between the thresholds p_b is 0.05: 10.5 packets, where a geometric gap would have 20.
    expect(Math.abs(1 / share({}, 10) - 10.5)).toBeLessThan(0.2);
  });

  it('scales the probability by the length of the packet when it counts bytes', () => {
    // p_b = 0.05 * 750/1500: (40 + 1)/2
    expect(Math.abs(1 / share({ bytes: true, minTh: 5000, maxTh: 15_000 }, 10_000, 750) - 20.5)).toBeLessThan(0.6);
  });

  it('goes on rising from max_p to 1 between max_th and twice that when gentle', () => {
    // Half way p_b is 0.55: gaps of 1 (0.55) and of 2 (the rest), 1.45 on average.
    expect(1 / share({}, 22.5)).toBeCloseTo(1.45, 1);
    expect(share({}, 30)).toBe(1);
  });

  it('chooses every packet from max_th on when not gentle', () => {
    const red = new Red({ ...RED, gentle: false });
    expect(red.arrive(15, 1500, 0, 1000, new TestRandom(1))).toBe(RED_FORCED);
    expect(new Red({ ...RED, maxP: 1, minTh: 0, maxTh: 1 }).arrive(0.99, 1500, 0, 1000, new TestRandom(1))).toBe(
      RED_EARLY,
    );
  });

  it('drops in a pipe, or marks what is ECN-capable when asked', () => {
    for (const ecn of [false, true]) {
      const rig = new Rig({ rate: 12e6, aqm: { ...RED, maxTh: 6, maxP: 1, ecn } });
      const parcels = Array.from({ length: 12 }, (_, i) => rig.offer(i, 0, 1500, true));
      expect(parcels.filter((p) => p.ce)).toHaveLength(ecn ? rig.pipe.stats.marked : 0);
      expect(rig.pipe.stats.marked + rig.pipe.stats.aqm).toBeGreaterThan(3);
      expect(rig.pipe.stats.aqm > 0).toBe(!ecn);
    }
  });

  it('drops ECN-capable packets too where every packet is chosen, with the hard limit', () => {
    const rig = new Rig({ rate: 12e6, aqm: { ...RED, gentle: false, minTh: 2, maxTh: 3, ecn: true, hardDrop: true } });
    for (let i = 0; i < 10; i++) rig.offer(i, 0, 1500, true);
    expect(rig.pipe.stats.aqm).toBeGreaterThan(0);
  });
});

/** A queue that always has a packet which has waited for `sojourn` µs. */
class Standing implements CodelQueue<number> {
  queueBytes = 100_000;
  delay: number;
  readonly drops: number[] = [];
  readonly marks: number[] = [];
  ect = false;
  #now = 0;

  constructor(delay: number) {
    this.delay = delay;
  }
  shift(now: number): number {
    this.#now = now;
    return now;
  }
  sojourn(): number {
    return this.delay;
  }
  discard(): void {
    this.drops.push(this.#now);
  }
  mark(): boolean {
    if (this.ect) this.marks.push(this.#now);
    return this.ect;
  }
}

const CODEL = { kind: 'codel', targetUs: 5000, intervalUs: 100_000, ecn: false } as const;

function drive(codel: Codel, q: Standing, from: number, to: number, step = 1): void {
  for (let t = from; t <= to; t += step) codel.dequeue(q, t);
}

describe('CoDel (RFC 8289)', () => {
  it('drops the first packet once the delay has been above the target for an interval (section 5.3)', () => {
    const q = new Standing(6000);
    const codel = new Codel(CODEL);
    drive(codel, q, 1000, 100_999);
    expect(q.drops).toEqual([]);
    drive(codel, q, 101_000, 101_000);
    expect(q.drops).toEqual([101_000]);
    expect(codel.dropping).toBe(true);
  });

  it('drops at intervals that shrink with the square root of the number of drops (section 5.5)', () => {
    const q = new Standing(6000);
    drive(new Codel(CODEL), q, 0, 500_000);
    // first at 100 ms; then +100/√1, +100/√2, …
    let next = 100_000;
    for (let n = 1; n <= 5; n++) {
      expect(q.drops[n - 1]).toBe(Math.ceil(next));
      next += 100_000 / Math.sqrt(n);
    }
  });

  it('leaves the dropping state at once when the delay is below the target', () => {
    const q = new Standing(6000);
    const codel = new Codel(CODEL);
    drive(codel, q, 0, 150_000);
    q.delay = 4999;
    drive(codel, q, 150_001, 150_001);
    expect(codel.dropping).toBe(false);
    drive(codel, q, 150_002, 400_000);
    expect(q.drops).toHaveLength(1);
  });

  it('takes the drop rate up again when the delay rises soon after (section 5.5)', () => {
    const q = new Standing(6000);
    const codel = new Codel(CODEL);
    drive(codel, q, 0, 600_000);
    const before = codel.count;
    expect(before).toBeGreaterThan(4);
    q.delay = 1000;
    drive(codel, q, 600_001, 700_000);
    q.delay = 6000;
    drive(codel, q, 700_001, 800_001);
    expect(codel.dropping).toBe(true);
    // count - lastcount: lastcount was 1 when the first dropping state began.
    expect(codel.count).toBe(before - 1);
  });

  it('begins with one drop an interval when the last dropping state is long ago', () => {
    const q = new Standing(6000);
    const codel = new Codel(CODEL);
    drive(codel, q, 0, 600_000);
    q.delay = 1000;
    drive(codel, q, 600_001, 4_000_000, 100);
    q.delay = 6000;
    drive(codel, q, 4_000_001, 4_100_001);
    expect(codel.count).toBe(1);
  });

  it('drops nothing while less than a full packet waits (section 5.3)', () => {
    const q = new Standing(50_000);
    q.queueBytes = 1500;
    drive(new Codel(CODEL), q, 0, 500_000);
    expect(q.drops).toEqual([]);
  });

  it('marks ECN-capable packets at the same times, and lets them go on', () => {
    const marked = new Standing(6000);
    marked.ect = true;
    drive(new Codel({ ...CODEL, ecn: true }), marked, 0, 500_000);
    const dropped = new Standing(6000);
    drive(new Codel(CODEL), dropped, 0, 500_000);
    expect(marked.drops).toEqual([]);
    expect(marked.marks.slice(0, 5)).toEqual(dropped.drops.slice(0, 5));
  });

  it('holds the delay of a pipe that is offered 10 % too much near its target', () => {
    const rig = new Rig({ rate: 12e6, aqm: CODEL });
    for (let i = 0; i < 60_000; i++) rig.offer(i, i * 909);
    const early = rig.pipe.stats.maxPackets;
    rig.pipe.account(rig.now);
    expect(rig.pipe.stats.aqm).toBeGreaterThan(1000);
    // Without drops 6000 packets would wait in the end.
    expect(early).toBeLessThan(1000);
    expect(rig.pipe.queuePackets).toBeLessThan(100);
  });
});
