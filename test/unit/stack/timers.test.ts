import { describe, expect, test } from 'vitest';
import { Timer, TimerWheel } from '../../../src/stack/timers.ts';
import { TestClock } from '../../lab/memlink.ts';
import fc from '../../lab/property.ts';

function setup(startUs = 1_000_000) {
  const clock = new TestClock();
  clock.us = startUs | 0;
  const wheel = new TimerWheel(clock);
  const fired: { id: number; at: number }[] = [];
  const timer = (id: number) => new Timer(() => fired.push({ id, at: clock.us }), null);
  const go = (us: number) => {
    clock.us = (clock.us + us) | 0;
    wheel.advance(clock.us);
  };
  return { clock, wheel, fired, timer, go };
}

describe('timing wheel', () => {
  test('a timer fires in the first advance at its deadline and not a microsecond before', () => {
    for (const us of [1, 2, 255, 256, 257, 65_535, 65_536, 16_777_216, 200_000, 0x3fffffff]) {
      const { wheel, fired, timer, go } = setup();
      wheel.arm(timer(1), us);
      go(us - 1);
      expect(fired).toHaveLength(0);
      go(1);
      expect(fired).toHaveLength(1);
      expect(wheel.size).toBe(0);
    }
  });

  test('a delay of zero or less fires one microsecond later, never inside the same advance', () => {
    const { wheel, fired, timer, go } = setup();
    wheel.arm(timer(1), 0);
    wheel.arm(timer(2), -5);
    go(0);
    expect(fired).toHaveLength(0);
    go(1);
    expect(fired.map((f) => f.id)).toEqual([1, 2]);
  });

  test('two hours of keepalive (RFC 1122 section 4.2.3.6) are kept although microseconds wrap after 71 minutes', () => {
    const { wheel, fired, timer, go } = setup(0x7fff0000);
    const t = timer(1);
    wheel.arm(t, 7.2e9);
    let elapsed = 0;
    for (; elapsed < 7.2e9 - 1e6; elapsed += 60e6) {
      go(60e6);
      if (elapsed + 60e6 < 7.2e9) expect(fired).toHaveLength(0);
    }
    go(7.2e9 - elapsed);
    expect(fired).toHaveLength(1);
  });

  test('remaining() tells the time left, also of a timer of several laps', () => {
    const { wheel, timer, go } = setup();
    const t = timer(1);
    expect(wheel.remaining(t)).toBe(-1);
    wheel.arm(t, 7.2e9);
    expect(wheel.remaining(t)).toBe(7.2e9);
    go(1e9);
    expect(wheel.remaining(t)).toBe(6.2e9);
  });

  test('arming an armed timer moves it', () => {
    const { wheel, fired, timer, go } = setup();
    const t = timer(1);
    wheel.arm(t, 100);
    wheel.arm(t, 300);
    go(200);
    expect(fired).toHaveLength(0);
    expect(wheel.size).toBe(1);
    go(100);
    expect(fired).toHaveLength(1);
  });

  test('a callback may cancel a timer of the same instant and arm itself again', () => {
    const clock = new TestClock();
    const wheel = new TimerWheel(clock);
    const log: string[] = [];
    const b = new Timer(() => log.push('b'), null);
    const a: Timer = new Timer(() => {
      log.push('a');
      wheel.cancel(b);
      if (log.length < 3) wheel.arm(a, 10);
    }, null);
    wheel.arm(a, 50);
    wheel.arm(b, 50);
    for (let i = 0; i < 10; i++) {
      clock.us += 25;
      wheel.advance(clock.us);
    }
    expect(log).toEqual(['a', 'a', 'a']);
    expect(b.armed).toBe(false);
  });

  test('nextDeadline is -1 when empty, exact for a near timer, and never late for a far one', () => {
    const { clock, wheel, fired, timer } = setup();
    expect(wheel.nextDeadline()).toBe(-1);
    wheel.arm(timer(1), 40);
    expect(wheel.nextDeadline()).toBe(40);
    const far = setup();
    far.wheel.arm(far.timer(1), 1_234_567);
    let slept = 0;
    let wakeups = 0;
    while (far.fired.length === 0) {
      const us = far.wheel.nextDeadline();
      expect(us).toBeGreaterThanOrEqual(0);
      expect(slept + us).toBeLessThanOrEqual(1_234_567);
      slept += us;
      far.go(us);
      wakeups++;
    }
    expect(slept).toBe(1_234_567);
    expect(wakeups).toBeLessThanOrEqual(4);
    clock.us += 100;
    expect(wheel.nextDeadline()).toBe(0);
    expect(fired).toHaveLength(0);
  });

  test('an empty wheel that nobody advanced for an hour takes a new timer at the right time', () => {
    const { clock, wheel, fired, timer, go } = setup();
    clock.us = (clock.us + 3_600_000_000) | 0;
    wheel.arm(timer(1), 1000);
    go(999);
    expect(fired).toHaveLength(0);
    go(1);
    expect(fired).toHaveLength(1);
  });

  test('a clock that a frame sets back a little neither fires early nor loses a timer', () => {
    const { clock, wheel, fired, timer } = setup();
    wheel.arm(timer(0), 1_000_000);
    wheel.advance((clock.us + 500) | 0);
    wheel.arm(timer(1), 100);
    wheel.advance((clock.us + 500) | 0);
    expect(fired).toHaveLength(0);
    wheel.advance((clock.us + 501) | 0);
    expect(fired.map((f) => f.id)).toEqual([1]);
  });

  test('agrees with a sorted list for any sequence of arm, cancel and advance, across the wrap of the clock', () => {
    const op = fc.oneof(
      fc.record({
        op: fc.constant('arm' as const),
        id: fc.nat(15),
        us: fc.oneof(fc.nat(300), fc.nat(100_000), fc.nat(50_000_000)),
      }),
      fc.record({ op: fc.constant('cancel' as const), id: fc.nat(15) }),
      fc.record({ op: fc.constant('advance' as const), us: fc.oneof(fc.nat(10), fc.nat(70_000), fc.nat(20_000_000)) }),
    );
    fc.assert(
      fc.property(fc.array(op, { maxLength: 80 }), fc.constantFrom(0, 0x7ffffff0, -300, 0x12345678), (ops, start) => {
        const { clock, wheel, fired, timer } = setup(start);
        const timers = Array.from({ length: 16 }, (_, i) => timer(i));
        // The model: absolute time as Float64, entries in order of arming.
        let now = 0;
        let model: { id: number; at: number; n: number }[] = [];
        let n = 0;
        for (const o of ops) {
          if (o.op === 'arm') {
            model = model.filter((e) => e.id !== o.id);
            model.push({ id: o.id, at: now + Math.max(1, o.us), n: n++ });
            wheel.arm(timers[o.id]!, o.us);
          } else if (o.op === 'cancel') {
            model = model.filter((e) => e.id !== o.id);
            wheel.cancel(timers[o.id]!);
          } else {
            now += o.us;
            clock.us = (clock.us + o.us) | 0;
            const due = model.filter((e) => e.at <= now).sort((a, b) => a.at - b.at || a.n - b.n);
            model = model.filter((e) => e.at > now);
            fired.length = 0;
            wheel.advance(clock.us);
            expect(fired.map((f) => f.id)).toEqual(due.map((e) => e.id));
          }
          expect(wheel.size).toBe(model.length);
          const next = wheel.nextDeadline();
          if (model.length === 0) expect(next).toBe(-1);
          else expect(next).toBeLessThanOrEqual(Math.min(...model.map((e) => e.at)) - now);
        }
      }),
      { numRuns: 300 },
    );
  });
});
