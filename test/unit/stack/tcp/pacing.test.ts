import { describe, expect, it } from 'vitest';
import type { CcModule } from '../../../../src/stack/tcp/cc/cc.ts';
import { ccRegister } from '../../../../src/stack/tcp/cc/registry.ts';
import { range, Sender, type SenderOptions } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const fixed: CcModule = {
  name: 'fixed-rate',
  create: () => ({ init() {}, ackReceived() {}, congestionSignal() {}, pacingRate: () => 146_000 }),
};
ccRegister(fixed);

/** Ten segments of window and 100 ms: twice the window a round trip in slow start is a segment each 5 ms. */
function sender(n: number, o: SenderOptions = {}) {
  const s = new Sender({ ...o, tune: { tcp_tlp: 0, tcp_pacing: 1, ...(o.tune ?? {}) } });
  s.write(n);
  return s;
}

/** Numbers of segments sent in each of the next `n` steps of `ms`. */
function steps(s: Sender, n: number, ms: number): number[] {
  return range(0, n).map(() => s.wait(ms).sent().length);
}

describe('pacing', () => {
  it('is off unless net.inet.tcp.pacing is on: the window leaves at once', () => {
    const s = sender(10, { tune: { tcp_pacing: 0 } });
    expect(s.sent().length).toBe(10);
  });

  it('spreads the window at twice its rate in slow start, after two segments that a pause leaves (net.inet.tcp.pacing_ss 200)', () => {
    const s = sender(10);
    expect(s.sent()).toEqual([0, 1, 2]);
    s.wait(4.9);
    expect(s.sent()).toEqual([]);
    s.wait(0.1);
    expect(s.sent()).toEqual([3]);
    expect(steps(s, 6, 5)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('goes a fifth faster than the window in congestion avoidance (net.inet.tcp.pacing_ca 120)', () => {
    const s = sender(0);
    s.tp.snd_ssthresh = 10 * s.mss;
    s.write(1);
    s.wait(100).ack(1);
    s.sent();
    s.write(9);
    s.sent();
    // 120 segments a second: one each 8.3 ms.
    s.wait(8.2);
    expect(s.sent()).toEqual([]);
    s.wait(0.2);
    expect(s.sent().length).toBe(1);
  });

  it('saves no more than two segments up, or a millisecond', () => {
    const s = sender(0);
    s.wait(400);
    s.write(10);
    expect(s.sent().length).toBe(3);
  });

  it('holds no ACK back', () => {
    const s = sender(10);
    s.sent();
    s.p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(10) });
    s.p.send({ flags: 'A', seq: 11, ack: 1, data: pattern(10) });
    expect(s.out().some((o) => o.len === 0 && o.ack === 21)).toBe(true);
  });

  it('goes at the rate that a module names, whatever the sysctl says', () => {
    const s = sender(10, { cc: 'fixed-rate', tune: { tcp_pacing: 0 } });
    expect(s.sent()).toEqual([0, 1, 2]);
    // 146000 bytes a second: a segment each 10 ms.
    s.wait(9.9);
    expect(s.sent()).toEqual([]);
    s.wait(0.1);
    expect(s.sent()).toEqual([3]);
  });

  it('paces what is sent again as well', () => {
    const s = sender(10, { cc: 'fixed-rate' });
    s.wait(200);
    s.sent();
    s.ack(0, [[4, 10]]);
    expect(s.sent().length).toBeLessThan(4);
    s.wait(100);
    expect(s.sent()).toContain(3);
  });

  it('does not count time that it held back as limited by the application', () => {
    const s = sender(0);
    s.tp.t_app_limited = 0;
    s.write(10);
    s.wait(2);
    expect(s.tp.t_app_limited).toBe(0);
  });
});
