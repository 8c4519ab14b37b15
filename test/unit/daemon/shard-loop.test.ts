import { describe, expect, it } from 'vitest';
import { ShardClock } from '../../../src/daemon/shard-clock.ts';
import { ShardLoop, type ShardWork } from '../../../src/daemon/shard-loop.ts';
import { CLK, type Native, WAKE } from '../../../src/driver/native.ts';

/** A poll and a clock in memory: every look at the clock and every pass take 10 µs. */
class FakeNative {
  now = 0;
  armed = false;
  closed = false;
  timer: number | null = null;
  wake: (mask: number) => void = () => {};

  openPoll(_queues: Int32Array, _eventfd: number, _page: Float64Array, wake: (mask: number) => void): number {
    this.wake = wake;
    return 7;
  }
  pollStart(): void {
    this.armed = true;
  }
  pollStop(): void {
    this.armed = false;
  }
  armTimer(_poll: number, us: number): void {
    this.timer = us;
  }
  closePoll(): void {
    this.closed = true;
  }
  naps: number[] = [];
  nap(us: number): void {
    this.naps.push(us);
    this.now += us + 50;
  }
  readClock(page: Float64Array): void {
    this.now += 10;
    page[CLK.US] = this.now;
  }
}

class FakeWork implements ShardWork {
  passes = 0;
  /** Passes that still find something. */
  todo = 0;
  ring = false;
  due = -1;
  sleeping: boolean[] = [];
  inPass: () => void = () => {};
  readonly native: FakeNative;
  readonly clock: ShardClock;

  constructor(native: FakeNative, clock: ShardClock) {
    this.native = native;
    this.clock = clock;
  }
  pass(): boolean {
    this.passes++;
    this.clock.read(this.native as unknown as Native);
    this.inPass();
    return this.todo > 0 && this.todo-- > 0;
  }
  untilTimer(): number {
    return this.due;
  }
  release = -1;
  untilRelease(): number {
    return this.release;
  }
  setSleeping(on: boolean): void {
    this.sleeping.push(on);
  }
  hasWork(): boolean {
    return this.ring;
  }
  /** Looks that still find another thread at sending. */
  sends = 0;
  sending(): boolean {
    return this.sends > 0 && this.sends-- > 0;
  }
}

function rig(busyPoll = false) {
  const native = new FakeNative();
  const clock = new ShardClock();
  const work = new FakeWork(native, clock);
  const loop = new ShardLoop(native as unknown as Native, work, clock, {
    queues: Int32Array.of(1),
    eventfd: -1,
    busyPoll,
  });
  return { native, clock, work, loop };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function turns(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await turn();
}

describe('the loop of a shard', () => {
  it('spins while there is work and for 30 µs more, then sleeps on its poll', async () => {
    const { native, work, loop } = rig();
    work.todo = 40;
    loop.start();
    await turns(10);
    expect(work.todo).toBe(0);
    // 40 passes with work, and those until more than 30 µs were idle.
    expect(work.passes).toBe(44);
    expect(native.armed).toBe(true);
    expect(work.sleeping.at(-1)).toBe(true);
    loop.stop();
  });

  it('on a clock that stands still sleeps as soon as a pass finds nothing, and stays awake while passes have work', async () => {
    const { native, clock, work, loop } = rig();
    clock.freeze(native as unknown as Native);
    work.todo = 40;
    loop.start();
    await turns(10);
    expect(work.todo).toBe(0);
    expect(work.passes).toBe(41);
    expect(native.armed).toBe(true);
    loop.stop();
  });

  it('rests between passes that find nothing while another thread sends, and spins on when that has ended', async () => {
    const { native, work, loop } = rig();
    work.sends = 5;
    loop.start();
    await turns(4);
    expect(native.naps).toEqual([100, 100, 100, 100, 100]);
    // One before each nap, and those until more than 30 µs were idle.
    expect(work.passes).toBe(5 + 4);
    expect(native.armed).toBe(true);
    loop.stop();
  });

  it('never rests while there is something to do, nor with busy polling', async () => {
    const { native, work, loop } = rig();
    work.todo = 20;
    work.sends = 3;
    work.inPass = () => {
      if (work.todo === 1) work.sends = 0;
    };
    loop.start();
    await turns(10);
    expect(native.naps).toEqual([]);
    loop.stop();
    const busy = rig(true);
    busy.work.sends = 3;
    busy.loop.start();
    await turns(4);
    expect(busy.native.naps).toEqual([]);
    busy.loop.stop();
  });

  it("arms the timer for the wheel's next deadline, and disarms it when there is none", async () => {
    const { native, work, loop } = rig();
    work.due = 1234;
    loop.start();
    await turns(4);
    expect(native.timer).toBe(1234);
    work.due = -1;
    native.wake(WAKE.TIMER);
    await turns(4);
    expect(native.timer).toBe(-1);
    loop.stop();
  });

  it('wakes a little before a release of a pipe, whatever else is due, and spins from there on', async () => {
    const { native, work, loop } = rig();
    work.due = 5000;
    work.release = 5000;
    loop.start();
    await turns(4);
    expect(native.timer).toBe(5000 - 100);
    work.release = 90;
    native.wake(WAKE.TIMER);
    const before = work.passes;
    await turns(4);
    expect(native.armed).toBe(false);
    // Passes one after the other, and the event loop gets its turn all the same.
    expect(work.passes).toBeGreaterThan(before + 500);
    expect(work.passes).toBeLessThan(before + 4000);
    work.release = 9000;
    work.due = 100;
    await turns(4);
    expect(native.timer).toBe(100);
    loop.stop();
  });

  it('is up the earlier for a release the longer wake-ups take, and the later the shorter, within bounds', async () => {
    const { native, clock, work, loop } = rig();
    work.release = 5000;
    loop.start();
    await turns(4);
    expect(native.timer).toBe(4900);
    /** The timer fires, and the clock says that it does so `late` µs after it should. */
    const fire = async (late: number): Promise<void> => {
      native.now = clock.us + native.timer! + late;
      clock.page[CLK.US] = native.now;
      native.wake(WAKE.TIMER);
      await turns(4);
    };
    await fire(120);
    expect(native.timer).toBe(5000 - 120);
    await fire(50);
    expect(native.timer).toBe(5000 - 119);
    for (let i = 0; i < 40; i++) await fire(900);
    expect(native.timer).toBe(5000 - 500);
    // What another event wakes says nothing, nor does the timer of something else.
    native.wake(WAKE.RX);
    await turns(4);
    work.due = 100;
    await fire(0);
    await fire(0);
    work.due = -1;
    native.wake(WAKE.RX);
    await turns(4);
    expect(native.timer).toBe(5000 - 499);
    loop.stop();
  });

  it('does not rest while another thread sends when a release is near', async () => {
    const { native, work, loop } = rig();
    work.sends = 5;
    work.release = 200;
    loop.start();
    await turns(2);
    expect(native.naps).toEqual([]);
    loop.stop();
  });

  it('passes at once when a socket, the eventfd or the timer wakes it', async () => {
    const { native, work, loop } = rig();
    loop.start();
    await turns(4);
    const before = work.passes;
    native.wake(WAKE.RX);
    expect(work.passes).toBeGreaterThan(before);
    expect(work.sleeping).toContain(false);
    loop.stop();
  });

  it('says that it sleeps before it looks at the hand-over rings for the last time, and stays awake when they hold something', async () => {
    const { native, work, loop } = rig();
    work.ring = true;
    loop.start();
    await turns(6);
    expect(native.armed).toBe(false);
    expect(work.sleeping.slice(-2)).toEqual([true, false]);
    work.ring = false;
    await turns(6);
    expect(native.armed).toBe(true);
    loop.stop();
  });

  it('never sleeps with --busy-poll', async () => {
    const { native, work, loop } = rig(true);
    loop.start();
    await turns(20);
    expect(native.armed).toBe(false);
    expect(work.passes).toBeGreaterThan(60);
    loop.stop();
  });

  it('sets the clock and passes soon when the stack is used from outside, and not from inside, of a pass', async () => {
    const { native, clock, work, loop } = rig();
    loop.start();
    await turns(4);
    const before = work.passes;
    const us = clock.us;
    loop.wake();
    expect(clock.us).toBeGreaterThan(us);
    expect(native.armed).toBe(false);
    expect(work.passes).toBe(before);
    let inside = 0;
    work.inPass = () => {
      const now = native.now;
      loop.wake();
      inside += native.now - now;
    };
    await turns(4);
    expect(work.passes).toBeGreaterThan(before);
    expect(inside).toBe(0);
    loop.stop();
  });

  it('gives the event loop its turn while there is work without end', async () => {
    const { work, loop } = rig();
    work.todo = Number.POSITIVE_INFINITY;
    loop.start();
    await turns(5);
    expect(work.passes).toBeGreaterThan(16);
    expect(work.passes).toBeLessThan(200);
    loop.stop();
  });

  it('stops for good, also from within a pass, and closes the poll', async () => {
    const { native, work, loop } = rig();
    work.todo = 100;
    work.inPass = () => {
      if (work.passes === 3) loop.stop();
    };
    loop.start();
    await turns(5);
    expect(work.passes).toBe(3);
    expect(native.closed).toBe(true);
    loop.wake();
    native.wake(WAKE.RX);
    await turns(3);
    expect(work.passes).toBe(3);
  });

  it('stops and reports when a pass throws', async () => {
    const { native, work, loop } = rig();
    const seen: unknown[] = [];
    loop.onError = (err) => seen.push(err);
    const broken = new Error('broken');
    work.inPass = () => {
      throw broken;
    };
    loop.start();
    await turns(3);
    expect(seen).toEqual([broken]);
    expect(native.closed).toBe(true);
    expect(work.passes).toBe(1);
  });

  it('closes the poll when it is stopped before it was started', () => {
    const { native, loop } = rig();
    loop.stop();
    expect(native.closed).toBe(true);
  });
});
