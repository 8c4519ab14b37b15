import { expect, test } from 'vitest';
import { CcAck } from '../../../../src/stack/tcp/cc/cc.ts';
import { FakeConn } from '../../../../src/stack/tcp/cc/fake.ts';
import { HYSTART_CSS, HYSTART_OFF, HYSTART_SLOW_START, HyStart } from '../../../../src/stack/tcp/cc/hystart.ts';

const MSS = 1000;

class Run {
  readonly c = new FakeConn(MSS);
  readonly h = new HyStart();
  readonly a = new CcAck();

  constructor() {
    this.c.snd_max = (this.c.snd_una + 20 * MSS) | 0;
    this.h.start(this.c);
  }

  /** A round of `n` ACKs with these samples; the next window is in flight when it ends. Gives the bytes that it would add. */
  round(rtt: number, n = 20, paced = true): number {
    const end = this.c.snd_max;
    let grown = 0;
    for (let i = 0; i < n; i++) {
      this.c.snd_una = i === n - 1 ? end : (this.c.snd_una + 1) | 0;
      this.c.snd_max = (end + 20 * MSS) | 0;
      this.a.rtt = rtt;
      grown += this.h.ack(this.c, this.a, MSS, paced);
    }
    return grown;
  }
}

test('round trips that grow by an eighth, within 4 to 16 ms, lead to conservative slow start (RFC 9406 section 4.2)', () => {
  // Last round, growth that is just not enough, and just enough.
  for (const [last, less, enough] of [
    [10_000, 13_999, 14_000],
    [80_000, 89_999, 90_000],
    [400_000, 415_999, 416_000],
  ] as const) {
    const r = new Run();
    r.round(last);
    r.round(less);
    expect(r.h.phase, `${last} to ${less}`).toBe(HYSTART_SLOW_START);
    const s = new Run();
    s.round(last);
    s.round(enough);
    expect(s.h.phase, `${last} to ${enough}`).toBe(HYSTART_CSS);
  }
});

test('seven samples are too few to judge a round (RFC 9406 section 4.3: N_RTT_SAMPLE is 8)', () => {
  const r = new Run();
  r.round(20_000);
  r.round(60_000, 7);
  expect(r.h.phase).toBe(HYSTART_SLOW_START);
  const s = new Run();
  s.round(20_000);
  s.round(60_000, 8);
  expect(s.h.phase).toBe(HYSTART_CSS);
});

test('conservative slow start grows a quarter as fast and ends after five rounds, the partial one counted (RFC 9406 sections 4.2 and 4.3)', () => {
  const r = new Run();
  expect(r.round(20_000)).toBe(20 * MSS);
  r.round(40_000);
  expect(r.h.phase).toBe(HYSTART_CSS);
  for (let i = 0; i < 3; i++) {
    expect(r.round(40_000)).toBe((20 * MSS) / 4);
    expect(r.h.phase).toBe(HYSTART_CSS);
  }
  r.round(40_000);
  expect(r.h.phase).toBe(HYSTART_OFF);
});

test('a round trip below the baseline shows a false alarm and slow start goes on (RFC 9406 section 4.2)', () => {
  const r = new Run();
  r.round(20_000);
  r.round(40_000);
  r.round(39_999, 20);
  expect(r.h.phase).toBe(HYSTART_SLOW_START);
  expect(r.round(39_999)).toBe(20 * MSS);
});

test('an ACK adds eight segments at most, and without limit when the sender paces (RFC 9406 section 4.2: L)', () => {
  const r = new Run();
  r.a.rtt = 20_000;
  expect(r.h.ack(r.c, r.a, 30 * MSS, false)).toBe(8 * MSS);
  expect(r.h.ack(r.c, r.a, 30 * MSS, true)).toBe(30 * MSS);
});

test('ACKs without a sample count for nothing', () => {
  const r = new Run();
  r.round(20_000);
  r.round(-1);
  expect(r.h.rttSampleCount).toBe(0);
  expect(r.h.phase).toBe(HYSTART_SLOW_START);
});
