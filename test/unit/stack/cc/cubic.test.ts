import { expect, test } from 'vitest';
import { CC_ECN, CC_NDUPACK, CC_RTO, CC_RTO_ERR, TCP_MAXWINDOW } from '../../../../src/stack/tcp/cc/cc.ts';
import { Cubic } from '../../../../src/stack/tcp/cc/cubic.ts';
import { Driver, MSS } from '../../../lab/cc-drive.ts';

/** A connection of `segs` segments that has just come out of fast recovery. */
function afterLoss(segs: number, rtt: number): Driver {
  const d = new Driver(new Cubic(), rtt);
  d.c.snd_cwnd = segs * MSS;
  d.fill();
  lose(d);
  return d;
}

function lose(d: Driver): void {
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  d.c.snd_cwnd = d.c.snd_ssthresh;
  d.cc.postRecovery?.(d.c);
  d.ack(0);
  d.ack(MSS);
  d.fill();
}

test('the window follows C (t - K)³ + W_max through plateau and probing (RFC 9438 equation 1 and section 4.2)', () => {
  const d = afterLoss(1000, 100_000);
  const k = Math.cbrt((1000 - 700) / 0.4);
  expect((d.cc as Cubic).k).toBeCloseTo(k, 6);
  let t = 0;
  while (t < 1.6 * k) {
    d.round();
    t += 0.1;
    const w = 0.4 * (t - k) ** 3 + 1000;
    // The growth of a round aims at the window one round later.
    expect(Math.abs(d.segs - w), `t = ${t.toFixed(1)} s`).toBeLessThan(0.01 * w);
  }
});

test('a short round trip keeps to the Reno-friendly window: 0.53 segments a round, 1 from cwnd_prior on (RFC 9438 section 4.3)', () => {
  const d = afterLoss(20, 10_000);
  const alpha = (3 * (1 - 0.7)) / (1 + 0.7);
  const w0 = d.segs;
  expect(Math.floor(w0)).toBe(14);
  let rounds = 0;
  while (d.segs < 19) {
    d.round();
    rounds++;
  }
  expect(rounds).toBeGreaterThanOrEqual(Math.floor((19 - w0) / alpha) - 1);
  expect(rounds).toBeLessThanOrEqual(Math.ceil((19 - w0) / alpha) + 1);
  while ((d.cc as Cubic).wEst < 20 * MSS) d.round();
  const from = (d.cc as Cubic).wEst / MSS;
  for (let i = 0; i < 10; i++) d.round();
  const per = ((d.cc as Cubic).wEst / MSS - from) / 10;
  expect(per).toBeGreaterThan(0.9);
  expect(per).toBeLessThan(1.05);
});

test('a round adds no more than half the window (RFC 9438 section 4.2)', () => {
  const d = afterLoss(10, 2_000_000);
  // Far beyond the plateau the curve is steeper than the bound.
  for (let i = 0; i < 20; i++) {
    const before = d.segs;
    d.round();
    expect(d.segs).toBeLessThanOrEqual(before * Math.exp(0.5) + 1);
  }
});

test('loss leaves 0.7 of the flight, two segments at least (RFC 9438 section 4.6)', () => {
  const d = new Driver(new Cubic());
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  expect(d.c.snd_ssthresh).toBe(7 * MSS);
  d.c.snd_cwnd = 2 * MSS;
  d.fill();
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  expect(d.c.snd_ssthresh).toBe(2 * MSS);
});

test('a mark leaves 0.7 of the window, down to one segment (RFC 9438 section 4.6)', () => {
  const d = new Driver(new Cubic());
  d.cc.congestionSignal(d.c, CC_ECN);
  expect([d.c.snd_cwnd, d.c.snd_ssthresh]).toEqual([7 * MSS, 7 * MSS]);
  d.c.snd_cwnd = MSS;
  d.fill();
  d.cc.congestionSignal(d.c, CC_ECN);
  expect([d.c.snd_cwnd, d.c.snd_ssthresh]).toEqual([MSS, 2 * MSS]);
});

test('a second loss below W_max lowers it by fast convergence (RFC 9438 section 4.7)', () => {
  const d = afterLoss(1000, 100_000);
  expect((d.cc as Cubic).wMax).toBe(1000 * MSS);
  const cwnd = d.c.snd_cwnd;
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  expect((d.cc as Cubic).wMax).toBeCloseTo((cwnd * 1.7) / 2, 6);
});

test('after a timeout the first stage starts on its plateau: K is 0, W_max the window (RFC 9438 section 4.8)', () => {
  const d = new Driver(new Cubic(), 100_000);
  d.c.snd_cwnd = 100 * MSS;
  d.fill();
  d.cc.congestionSignal(d.c, CC_RTO);
  expect(d.c.snd_ssthresh).toBe(70 * MSS);
  d.c.snd_cwnd = MSS;
  d.fill();
  for (let i = 0; i < 200 && d.segs < 70; i++) d.ack(MSS, 1000);
  expect(d.segs).toBe(70);
  d.cc.postRecovery?.(d.c);
  d.ack(MSS, 1000);
  expect((d.cc as Cubic).k).toBe(0);
  expect((d.cc as Cubic).t).toBe(0);
  let t = 0;
  const w0 = d.segs;
  while (t < 6) {
    d.round();
    t += 0.1;
    const cubic = 0.4 * t ** 3 + w0;
    expect(d.segs).toBeGreaterThan(0.97 * cubic);
  }
});

test('time that the application held back does not count (RFC 9438 section 5.8)', () => {
  const a = afterLoss(1000, 100_000);
  const b = afterLoss(1000, 100_000);
  for (let i = 0; i < 10; i++) a.round();
  for (let i = 0; i < 5; i++) b.round();
  for (let i = 0; i < 50; i++) b.ack(MSS, 100_000, { cwndLimited: false });
  for (let i = 0; i < 5; i++) b.round();
  expect(Math.abs(b.segs - a.segs)).toBeLessThan(2);
  b.cc.afterIdle?.(b.c, 60e6);
  expect((b.cc as Cubic).t).toBeCloseTo((a.cc as Cubic).t, 1);
});

test('a spurious loss puts W_max, K, t and W_est back, the time since then counted (RFC 9438 section 4.9)', () => {
  const d = afterLoss(1000, 100_000);
  for (let i = 0; i < 20; i++) d.round();
  const cc = d.cc as Cubic;
  const { wMax, k, t, wEst, cwndPrior } = cc;
  const { snd_cwnd, snd_ssthresh } = d.c;
  cc.congestionSignal(d.c, CC_NDUPACK);
  d.c.now = (d.c.now + 300_000) | 0;
  d.c.snd_cwnd = snd_cwnd;
  d.c.snd_ssthresh = snd_ssthresh;
  cc.congestionSignal(d.c, CC_RTO_ERR);
  expect({ wMax: cc.wMax, k: cc.k, wEst: cc.wEst, cwndPrior: cc.cwndPrior }).toEqual({ wMax, k, wEst, cwndPrior });
  expect(cc.t).toBeCloseTo(t + 0.3, 6);
});

test('HyStart++ leaves the first slow start without a loss, and avoidance starts on its plateau (RFC 9438 section 4.10)', () => {
  const d = new Driver(new Cubic(), 50_000);
  d.round(50_000, { rtt: 50_000 });
  d.round(50_000, { rtt: 50_000 });
  for (let i = 0; i < 8 && d.c.snd_ssthresh === TCP_MAXWINDOW; i++) d.round(50_000, { rtt: 70_000 });
  expect(d.c.snd_ssthresh).toBeLessThan(TCP_MAXWINDOW);
  d.ack(MSS);
  expect((d.cc as Cubic).k).toBe(0);
  expect((d.cc as Cubic).cwndPrior).toBe(d.c.snd_ssthresh);
});
