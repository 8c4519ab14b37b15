import { expect, test } from 'vitest';
import { DRAIN, PROBE_BW, PROBE_RTT, STARTUP } from '../../../../src/stack/tcp/cc/bbr-base.ts';
import { type Bbr1, bbr1 } from '../../../../src/stack/tcp/cc/bbr1.ts';
import { ToyPath } from '../../../lab/cc-path.ts';

// Sections are those of draft-cardwell-iccrg-bbr-congestion-control-00.
const RATE = 2.5e6;
const RTT = 40_000;

test('BBRv1 finds bandwidth and round-trip time within a tenth (section 4.1)', () => {
  const p = new ToyPath(bbr1, { rate: RATE, rtt: RTT });
  p.run(100 * RTT);
  const cc = p.cc as Bbr1;
  expect(Math.abs(cc.bw - RATE) / RATE).toBeLessThan(0.1);
  expect(Math.abs(cc.minRtt - RTT) / RTT).toBeLessThan(0.1);
});

test('gains go Startup 2.89, Drain 0.35, then 1.25, 0.75 and six rounds of 1 (sections 4.3.1.1, 4.3.2.1 and 4.3.3.1)', () => {
  const p = new ToyPath(bbr1, { rate: RATE, rtt: RTT });
  const cc = p.cc as Bbr1;
  const phases: { state: number; gain: number; time: number }[] = [];
  p.onAck = () => {
    const last = phases.at(-1);
    if (last?.state !== cc.state || last.gain !== cc.pacingGain)
      phases.push({ state: cc.state, gain: cc.pacingGain, time: p.time });
  };
  p.run(5e6);
  expect(phases[0]).toMatchObject({ state: STARTUP });
  expect(phases[0]!.gain).toBeCloseTo(2.885, 3);
  expect(phases[1]).toMatchObject({ state: DRAIN });
  expect(phases[1]!.gain).toBeCloseTo(0.3466, 3);
  const cycle = phases.slice(2);
  expect(cycle.every((c) => c.state === PROBE_BW)).toBe(true);
  const ups = cycle.filter((c) => c.gain === 1.25);
  expect(ups.length).toBeGreaterThan(5);
  for (let i = 0; i + 1 < cycle.length; i++) {
    if (cycle[i]!.gain === 1.25) expect(cycle[i + 1]!.gain).toBe(0.75);
    if (cycle[i]!.gain === 0.75) expect(cycle[i + 1]!.gain).toBe(1);
  }
  const periods = ups.slice(1).map((u, i) => u.time - ups[i]!.time);
  for (const t of periods) {
    expect(t).toBeGreaterThan(6 * RTT);
    expect(t).toBeLessThan(12 * RTT);
  }
});

test('ProbeRTT comes after 10 s without a smaller sample and leaves four segments in flight (section 4.3.4)', () => {
  const p = new ToyPath(bbr1, { rate: RATE, rtt: RTT });
  const cc = p.cc as Bbr1;
  let least = Infinity;
  const ins: number[] = [];
  let state = cc.state;
  p.onAck = () => {
    if (cc.state === PROBE_RTT) {
      least = Math.min(least, p.c.pipe);
      if (state !== PROBE_RTT) ins.push(p.time);
    }
    state = cc.state;
  };
  p.run(45e6);
  expect(ins.length).toBeGreaterThanOrEqual(3);
  for (let i = 1; i < ins.length; i++) {
    expect(ins[i]! - ins[i - 1]!).toBeGreaterThan(10e6);
    expect(ins[i]! - ins[i - 1]!).toBeLessThan(11e6);
  }
  expect(least).toBeLessThanOrEqual(4 * 1448);
});

test('loss of a tenth hardly slows it: there is no reaction but packet conservation (section 4.2.3.4)', () => {
  const p = new ToyPath(bbr1, { rate: RATE, rtt: RTT, drop: (n) => n % 10 === 0 });
  p.run(5e6);
  const before = p.c.delivered;
  p.run(15e6);
  expect(p.c.delivered - before).toBeGreaterThan(0.8 * 10 * RATE);
});
