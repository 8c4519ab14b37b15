import { expect, test } from 'vitest';
import { CC_ECN, CC_NDUPACK } from '../../../../src/stack/tcp/cc/cc.ts';
import { Dctcp, dctcp } from '../../../../src/stack/tcp/cc/dctcp.ts';
import { Driver, MSS } from '../../../lab/cc-drive.ts';
import { ToyPath } from '../../../lab/cc-path.ts';

test('alpha begins at 1 and moves by a sixteenth towards the share of marked bytes (RFC 8257 section 3.3 steps 1 and 6, section 4.2)', () => {
  const d = new Driver(new Dctcp());
  d.c.snd_ssthresh = d.c.snd_cwnd;
  const cc = d.cc as Dctcp;
  expect(cc.alpha).toBe(1);
  let n = 0;
  for (let i = 0; i < 400; i++) {
    const before = cc.alpha;
    d.ack(MSS);
    if (cc.alpha !== before) {
      expect(cc.alpha / before).toBeCloseTo(15 / 16, 12);
      n++;
    }
  }
  // 400 segments in windows that grow by one from 10 on.
  expect(n).toBeGreaterThan(15);
  expect(n).toBeLessThan(30);
});

test('alpha settles at the share of marked bytes (RFC 8257 section 3.3)', () => {
  const d = new Driver(new Dctcp());
  d.c.snd_cwnd = 100 * MSS;
  d.c.snd_ssthresh = d.c.snd_cwnd;
  d.fill();
  let n = 0;
  for (let i = 0; i < 20_000; i++) {
    d.c.snd_cwnd = 100 * MSS;
    d.ack(MSS, 0, { ece: n++ % 5 === 0 });
  }
  expect(Math.abs((d.cc as Dctcp).alpha - 0.2)).toBeLessThan(0.01);
});

test('a window with marks shrinks by alpha/2, once (RFC 8257 section 3.3 step 9)', () => {
  const d = new Driver(new Dctcp());
  d.c.snd_cwnd = 100 * MSS;
  d.c.snd_ssthresh = d.c.snd_cwnd;
  d.fill();
  (d.cc as Dctcp).alpha = 0.5;
  d.cc.congestionSignal(d.c, CC_ECN);
  expect(d.segs).toBe(100);
  d.ack(10 * MSS);
  const cwnd = d.c.snd_cwnd;
  for (let i = 0; i < 99; i++) d.ack(MSS, 0, { ece: true });
  const { alpha } = d.cc as Dctcp;
  expect(d.c.snd_cwnd).toBeLessThan(cwnd + 2 * MSS);
  d.ack(MSS, 0, { ece: true });
  expect(alpha).toBeGreaterThan(0.4);
  expect(d.c.snd_ssthresh).toBeLessThan(0.8 * cwnd);
  expect(d.c.snd_ssthresh).toBeGreaterThan(0.7 * cwnd);
});

test('loss halves as for Reno (RFC 8257 section 3.5), and echoes must be exact (section 3.2)', () => {
  const d = new Driver(new Dctcp());
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  expect(d.c.snd_ssthresh).toBe(5 * MSS);
  expect(d.cc.wantsExactEcn).toBe(true);
});

test('a queue that marks at 30 kB stays near the mark without loss (RFC 8257 section 1)', () => {
  const p = new ToyPath(dctcp, { rate: 12.5e6, rtt: 1000, mark: 30_000, queue: 200_000 });
  p.run(1e6);
  const seen: number[] = [];
  p.onAck = () => seen.push(p.queued);
  const before = p.c.delivered;
  p.run(3e6);
  expect(p.c.lost).toBe(0);
  expect(p.c.delivered - before).toBeGreaterThan(0.95 * 2 * 12.5e6);
  seen.sort((a, b) => a - b);
  expect(seen[Math.floor(seen.length * 0.9)]).toBeLessThan(45_000);
});
