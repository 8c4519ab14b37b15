import { expect, test } from 'vitest';
import { Bbr, bbr, PROBE_RTT_INTERVAL } from '../../../../src/stack/tcp/cc/bbr.ts';
import {
  DRAIN,
  PROBE_BW_CRUISE,
  PROBE_BW_DOWN,
  PROBE_BW_REFILL,
  PROBE_BW_UP,
  PROBE_RTT,
  STARTUP,
} from '../../../../src/stack/tcp/cc/bbr-base.ts';
import { CC_ECN, CC_NDUPACK, CC_RTO, CC_RTO_ERR, CcLost } from '../../../../src/stack/tcp/cc/cc.ts';
import { ToyPath } from '../../../lab/cc-path.ts';

const RATE = 2.5e6;
const RTT = 40_000;
const BDP = (RATE * RTT) / 1e6;

interface Change {
  time: number;
  from: number;
  to: number;
}

/** The path with a record of when the state changed. */
function path(o: Partial<ConstructorParameters<typeof ToyPath>[1]> = {}) {
  const p = new ToyPath(bbr, { rate: RATE, rtt: RTT, ...o });
  const cc = p.cc as Bbr;
  const changes: Change[] = [];
  let state = cc.state;
  p.onAck = () => {
    if (cc.state !== state) changes.push({ time: p.time, from: state, to: cc.state });
    state = cc.state;
  };
  return { p, cc, changes };
}

test('the model finds bandwidth and round-trip time of the path (draft-ietf-ccwg-bbr-06 sections 5.5.2 and 5.5.7)', () => {
  for (const [rate, rtt] of [
    [125e3, 200_000],
    [2.5e6, 40_000],
    [50e6, 10_000],
  ] as const) {
    const p = new ToyPath(bbr, { rate, rtt });
    p.run(100 * rtt);
    const cc = p.cc as Bbr;
    expect(Math.abs(cc.maxBw - rate) / rate, `${rate} B/s`).toBeLessThan(0.1);
    expect(Math.abs(cc.minRtt - rtt) / rtt, `${rtt} us`).toBeLessThan(0.1);
  }
});

test('Startup doubles each round, ends on three rounds without growth and is followed by Drain (sections 5.3.1.2 and A.1)', () => {
  const { p, cc, changes } = path();
  p.run(40 * RTT);
  expect(changes[0]).toMatchObject({ from: STARTUP, to: DRAIN });
  // DOWN may be over with the ACK that began it: what is in flight is low enough.
  expect(changes[1]!.from).toBe(DRAIN);
  expect([PROBE_BW_DOWN, PROBE_BW_CRUISE]).toContain(changes[1]!.to);
  expect(cc.fullBwReached).toBe(true);
  expect(Math.abs(cc.maxBw - RATE) / RATE).toBeLessThan(0.02);
  // The first round, doublings from 10 segments to the BDP, then three rounds to be sure and the one they began in; with a window of two
  // BDPs a round of these takes two propagation times.
  expect(changes[0]!.time).toBeLessThan((1 + Math.ceil(Math.log2(BDP / 14480)) + 4 * 2) * RTT);
});

test('Drain leaves no more than the bandwidth-delay product in flight (sections 5.3.2 and A.3)', () => {
  const { p, changes, cc } = path();
  let at = Number.NaN;
  const watch = p.onAck!;
  p.onAck = (q, a) => {
    watch(q, a);
    if (Number.isNaN(at) && changes.length === 2) at = q.c.pipe;
  };
  p.run(40 * RTT);
  expect(at).toBeLessThanOrEqual(Math.max(cc.bw * cc.minRtt * 1e-6, 3 * cc.sendQuantum) + 1448);
});

test('ProbeBW goes through DOWN, CRUISE, REFILL, UP with pacing gains 0.9, 1, 1, 1.25 (sections 5.3.3 and 5.6.1)', () => {
  const { p, cc, changes } = path();
  const gains = new Map<number, Set<number>>();
  const watch = p.onAck!;
  p.onAck = (q, a) => {
    watch(q, a);
    if (!gains.has(cc.state)) gains.set(cc.state, new Set());
    gains.get(cc.state)!.add(cc.pacingGain);
  };
  p.run(20e6);
  const next: Record<number, number[]> = {
    [PROBE_BW_DOWN]: [PROBE_BW_CRUISE, PROBE_BW_REFILL, PROBE_RTT],
    [PROBE_BW_CRUISE]: [PROBE_BW_REFILL, PROBE_RTT],
    [PROBE_BW_REFILL]: [PROBE_BW_UP, PROBE_RTT],
    [PROBE_BW_UP]: [PROBE_BW_DOWN, PROBE_RTT],
  };
  for (const c of changes) if (next[c.from] !== undefined) expect(next[c.from]).toContain(c.to);
  expect([...gains.get(PROBE_BW_DOWN)!]).toEqual([0.9]);
  expect([...gains.get(PROBE_BW_CRUISE)!]).toEqual([1]);
  expect([...gains.get(PROBE_BW_REFILL)!]).toEqual([1]);
  expect([...gains.get(PROBE_BW_UP)!]).toEqual([1.25]);
  expect([...gains.get(STARTUP)!]).toEqual([2.77]);
  expect([...gains.get(DRAIN)!]).toEqual([0.5]);
});

test('bandwidth is probed at the latest every 63 rounds or 3 s (section 5.3.3.8)', () => {
  for (const [rtt, until] of [
    [2_000, 2e6],
    [100_000, 30e6],
  ] as const) {
    const { p, changes } = path({ rtt });
    p.run(until);
    // From DOWN to REFILL; ProbeRTT starts the wait anew.
    const waits: number[] = [];
    let down = Number.NaN;
    for (const c of changes) {
      if (c.to === PROBE_RTT) down = Number.NaN;
      else if (c.from === DRAIN || c.from === PROBE_BW_UP || c.from === PROBE_RTT) down = c.time;
      else if (c.to === PROBE_BW_REFILL && !Number.isNaN(down)) waits.push(c.time - down);
    }
    expect(waits.length, `${rtt} us`).toBeGreaterThan(1);
    // A round takes twice the propagation time at most: the window is two bandwidth-delay products.
    for (const w of waits) expect(w, `${rtt} us`).toBeLessThan(Math.min(3e6, 63 * 2 * rtt) + 2 * rtt);
  }
});

test('ProbeRTT comes every 5 s, lasts 200 ms and a round, and halves the flight (sections 2.16.2 and 5.3.4)', () => {
  const { p, cc, changes } = path({ rtt: 50_000 });
  let least = Infinity;
  const watch = p.onAck!;
  p.onAck = (q, a) => {
    watch(q, a);
    if (cc.state === PROBE_RTT) least = Math.min(least, q.c.pipe);
  };
  p.run(22e6);
  const ins = changes.filter((c) => c.to === PROBE_RTT).map((c) => c.time);
  const outs = changes.filter((c) => c.from === PROBE_RTT).map((c) => c.time);
  expect(ins.length).toBeGreaterThanOrEqual(3);
  for (let i = 1; i < ins.length; i++) expect(ins[i]! - outs[i - 1]!).toBeGreaterThanOrEqual(PROBE_RTT_INTERVAL);
  for (let i = 1; i < ins.length; i++) expect(ins[i]! - outs[i - 1]!).toBeLessThan(PROBE_RTT_INTERVAL + 3e6);
  for (const [i, out] of outs.entries()) {
    expect(out - ins[i]!).toBeGreaterThan(200e3);
    expect(out - ins[i]!).toBeLessThan(200e3 + 4 * 50_000);
  }
  const bdp = (RATE * 50_000) / 1e6;
  expect(least).toBeLessThan(0.6 * bdp);
});

test('a loss after ProbeRTT does not pull the model down to what ProbeRTT let through (section 5.3.4.4)', () => {
  const rtt = 100_000;
  const { p, cc } = path({ rtt, drop: (n) => n % 100 === 0 });
  let inProbe = false;
  let until = 0;
  let probes = 0;
  let least = 1;
  const watch = p.onAck!;
  p.onAck = (q, a) => {
    watch(q, a);
    if (inProbe && cc.state !== PROBE_RTT) {
      until = q.time + 4 * rtt;
      probes++;
    }
    inProbe = cc.state === PROBE_RTT;
    if (!inProbe && q.time < until && cc.fullBwReached) least = Math.min(least, cc.bw / cc.maxBw);
  };
  p.run(30e6);
  expect(probes).toBeGreaterThanOrEqual(4);
  // What is paced at 99 % and loses 1 % in each of two rounds; half of it where the samples of ProbeRTT count.
  expect(least).toBeGreaterThan(0.99 ** 4 - 0.01);
});

test('a longer path is learnt after the filter of 10 s (section 2.16.1)', () => {
  const { p, cc } = path();
  p.run(6e6);
  expect(cc.minRtt).toBeLessThan(1.1 * RTT);
  p.rtt = 2 * RTT;
  p.run(24e6);
  expect(cc.minRtt).toBeGreaterThan(1.8 * RTT);
  expect(cc.minRtt).toBeLessThan(2.3 * RTT);
});

test('ten times the bandwidth is found, and a tenth is adapted to (sections A.15 and A.16)', () => {
  const { p, cc } = path({ rate: RATE / 10, queue: BDP });
  p.run(6e6);
  p.rate = RATE;
  p.run(30e6);
  expect(cc.maxBw).toBeGreaterThan(0.9 * RATE);
  p.rate = RATE / 10;
  p.run(60e6);
  expect(cc.bw).toBeLessThan((1.25 * RATE) / 10);
});

test('independent loss of 1 % costs what the rounds of CRUISE give up, and no more (section 5.3.3.8.3)', () => {
  let x = 12345;
  const { p } = path({
    drop: () => {
      x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
      return (x >>> 8) % 1000 < 10;
    },
  });
  p.run(5e6);
  const before = p.c.delivered;
  p.run(25e6);
  // 62 rounds that lose 1 % each go down to 0.99^62 of the rate; the mean over them is this.
  const mean = (1 - 0.99 ** 62) / (62 * 0.01);
  expect(p.c.delivered - before).toBeGreaterThan(mean * 20 * RATE);
});

test('a shallow queue sets inflight_hi, and loss stays bounded (section 5.5.10.2)', () => {
  const { p, cc } = path({ queue: 0.1 * BDP });
  p.run(20e6);
  const lost = p.c.lost;
  const delivered = p.c.delivered;
  p.run(40e6);
  expect(cc.inflightLongterm).toBeLessThan(2 * BDP);
  expect((p.c.lost - lost) / (p.c.delivered - delivered)).toBeLessThan(0.03);
  expect(p.c.delivered - delivered).toBeGreaterThan(0.85 * 20 * RATE);
});

test('inflight_hi is what was in flight where losses crossed 2 % of it (section 5.5.10.2, InflightAtLoss)', () => {
  const { p, cc } = path();
  const until = p.onAck!;
  let probing = false;
  p.onAck = (q, a) => {
    until(q, a);
    if (cc.state !== PROBE_BW_UP || probing) return;
    probing = true;
    const mss = q.c.maxseg;
    const l = Object.assign(new CcLost(), { start: q.c.snd_una, bytes: 10 * mss, txInFlight: 300 * mss });
    l.priorDelivered = q.c.delivered;
    // Six of three hundred are 2 %, not more.
    l.rateLost = 6 * mss;
    cc.lost(q.c, l);
    expect(cc.state).toBe(PROBE_BW_UP);
    expect(cc.inflightLongterm).toBe(Number.POSITIVE_INFINITY);
    // Two were lost among 290 before it: (2 + x) / (290 + x) = 2 % at x = 3.8 / 0.98.
    l.rateLost = 12 * mss;
    cc.lost(q.c, l);
    expect(cc.state).toBe(PROBE_BW_DOWN);
    expect(cc.inflightLongterm / mss).toBeCloseTo(290 + 3.8 / 0.98, 9);
  };
  p.run(20e6);
  expect(probing).toBe(true);
});

test('a timeout lets one segment out, and the saved window comes back (section 5.6.4.4)', () => {
  const { p, cc } = path();
  p.run(2e6);
  const cwnd = p.c.snd_cwnd;
  p.c.pipe = 0;
  cc.congestionSignal(p.c, CC_RTO);
  expect(p.c.snd_cwnd).toBe(p.c.maxseg);
  cc.postRecovery(p.c);
  expect(p.c.snd_cwnd).toBe(cwnd);
});

test('a spurious recovery in Startup goes back to Startup (sections 5.5.11.2 and A.18)', () => {
  const { p, cc } = path();
  p.run(3 * RTT);
  expect(cc.state).toBe(STARTUP);
  const cwnd = p.c.snd_cwnd;
  cc.congestionSignal(p.c, CC_NDUPACK);
  cc.congestionSignal(p.c, CC_ECN);
  p.run(5 * RTT);
  expect(cc.state).not.toBe(STARTUP);
  cc.congestionSignal(p.c, CC_RTO_ERR);
  expect(cc.state).toBe(STARTUP);
  expect(cc.fullBwReached).toBe(false);
  expect(p.c.snd_cwnd).toBeGreaterThanOrEqual(cwnd);
});

test('a mark is congestion: in Startup it ends it, while probing it sets inflight_hi (section 3.7)', () => {
  const { p, cc } = path();
  p.run(3 * RTT);
  cc.congestionSignal(p.c, CC_ECN);
  expect(cc.fullBwReached).toBe(true);
  expect(cc.inflightLongterm).toBeLessThan(Infinity);
});

test('a silence of longer than the filter does not lead into ProbeRTT (sections 5.3.4.2 and A.11)', () => {
  const { p, changes, cc } = path();
  p.run(2e6);
  p.busy = false;
  p.run(3e6);
  p.run(14e6);
  changes.length = 0;
  cc.sent(p.c, 0, true);
  p.busy = true;
  p.run(14e6 + 3 * RTT);
  expect(changes.map((c) => c.to)).not.toContain(PROBE_RTT);
});

test('the fields say 0 for bounds that are not set', () => {
  const cc = new Bbr();
  const out = new Float64Array(bbr.fields!.length + 1).fill(-1);
  cc.readFields(out, 1);
  const at = (name: string) => out[1 + bbr.fields!.findIndex((f) => f.name === name)];
  expect([at('state'), at('min_rtt'), at('bw_lo'), at('inflight_lo'), at('inflight_hi')]).toEqual([0, 0, 0, 0, 0]);
  expect(out[0]).toBe(-1);
});
