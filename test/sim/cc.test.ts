import { describe, expect, test } from 'vitest';
import { tcps } from '../../src/metrics/layout.ts';
import type { Bbr } from '../../src/stack/tcp/cc/bbr.ts';
import type { CcVar } from '../../src/stack/tcp/cc/cc.ts';
import { NewReno } from '../../src/stack/tcp/cc/newreno.ts';
import { ccRegister } from '../../src/stack/tcp/cc/registry.ts';
import { Flows } from '../lab/cc-flow.ts';

/** The modules in the real stack, over an emulated bottleneck in virtual time. */

const BW = 20e6;
const RTT = 40_000;
const BDP = (BW * RTT) / 8e6;
/** Payload of a full frame, 1448 bytes, of what the link counts, with room for the ends of the run. */
const GOOD = 0.95;

describe('a flow alone, queue of one bandwidth-delay product', () => {
  test.each(['newreno', 'cubic', 'dctcp', 'bbr', 'bbr1'])('%s fills the path', (cc) => {
    const f = new Flows({ cc: [cc], bw: BW, rtt: RTT, data: { limitBytes: BDP } });
    f.run(3e6);
    const before = f.delivered[0]!;
    f.run(13e6);
    expect(((f.delivered[0]! - before) * 8) / 10 / BW).toBeGreaterThan(0.9 * GOOD);
  });
});

test('bbr knows bandwidth and round-trip time of the path within a tenth (draft-ietf-ccwg-bbr-06 sections 5.5.2 and 5.5.7)', () => {
  const f = new Flows({ cc: ['bbr'], bw: BW, rtt: RTT, data: { limitBytes: 4 * BDP } });
  f.run(4e6);
  const cc = f.cc() as Bbr;
  expect(Math.abs((cc.maxBw * 8) / BW - 1)).toBeLessThan(0.1);
  expect(Math.abs(cc.minRtt / RTT - 1)).toBeLessThan(0.1);
  // No standing queue: the smoothed round trip is near the least.
  expect(f.tp[0]!.srtt).toBeLessThan(1.25 * RTT);
});

test('bbr gets most of a path that loses 1 % at random (section 3.1), cubic what Reno would (RFC 9438 section 4.3)', () => {
  const share = (cc: string) => {
    const f = new Flows({ cc: [cc], bw: BW, rtt: RTT, data: { limitBytes: BDP, loss: 0.01 } });
    f.run(20e6);
    return (f.delivered[0]! * 8) / 20 / BW;
  };
  // The mean of what 62 rounds of CRUISE with 1 % loss leave (section 5.3.3.8.3), as in the unit test.
  expect(share('bbr')).toBeGreaterThan(((1 - 0.99 ** 62) / 0.62) * GOOD);
  // sqrt(1.5 / p) segments a round trip are 18 % of this path; as much again for the first slow start.
  expect(share('cubic')).toBeLessThan(0.36);
});

test('dctcp keeps the queue near the mark, without loss (RFC 8257 section 3.3)', () => {
  const mark = 20;
  const rtt = 2_000;
  const f = new Flows({
    cc: ['dctcp'],
    bw: 100e6,
    rtt,
    tune: { tcp_ecn_enable: 1 },
    data: { ecnPackets: mark, limitBytes: 1e6 },
  });
  f.run(1e6);
  const before = f.delivered[0]!;
  f.run(5e6);
  const { cnt } = f.d.senders[0]!.st;
  expect(cnt[tcps.tcps_sndrexmitpack]).toBe(0);
  expect(((f.delivered[0]! - before) * 8) / 4 / 100e6).toBeGreaterThan(0.9 * GOOD);
  // A queue of `mark` packets takes this long; half as much again for what is on its way when the mark is heard.
  const queueUs = (mark * 1514 * 8) / 100;
  expect(f.tp[0]!.srtt).toBeLessThan(rtt + 1.5 * queueUs);
});

test('a module that throws, or gives NaN, ends its connection and no other', () => {
  class Throws extends NewReno {
    override ackReceived(): void {
      throw new Error('no');
    }
  }
  class Nan extends NewReno {
    override ackReceived(c: CcVar): void {
      c.snd_cwnd = Number.NaN;
    }
  }
  ccRegister({ name: 'throws', create: () => new Throws() });
  ccRegister({ name: 'nan', create: () => new Nan() });
  const f = new Flows({ cc: ['throws', 'nan', 'cubic'], bw: BW, rtt: RTT, data: { limitBytes: BDP } });
  const lines: string[] = [];
  for (const s of f.d.senders) s.st.onWarning = (line) => lines.push(line);
  f.run(5e6);
  expect(f.d.senders.map((s) => s.st.cnt[tcps.tcps_ccfail])).toEqual([1, 1, 0]);
  expect(lines).toHaveLength(2);
  expect(lines.find((l) => l.startsWith('congestion control throws failed'))).toMatch(/: Error: no$/);
  expect(lines.find((l) => l.startsWith('congestion control nan failed'))).toMatch(/NaN/);
  expect((f.delivered[2]! * 8) / 5 / BW).toBeGreaterThan(0.6);
});
