import { describe, expect, it } from 'vitest';
import { Sender, type SenderOptions } from '../../../lab/sender.ts';

/** `n` segments in flight, sent now; the round trip is 100 ms. */
function sender(n: number, o: SenderOptions = {}) {
  const s = new Sender({ ...o, tune: { tcp_tlp: 0, tcp_initcwnd_segments: 20, ...(o.tune ?? {}) } });
  s.write(n);
  s.sent();
  return s;
}

/** min_RTT / 4 of a round trip of 100 ms (RFC 8985 section 6.2 step 4), ms. */
const REO_WND = 25;

describe('RACK loss detection (RFC 8985 section 6.2)', () => {
  it('takes for lost at once what was sent before three segments that are SACKed (step 4)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 4]]);
    expect(s.sent()).toEqual([0]);
  });

  it('waits a quarter of the least round trip where fewer are SACKed (steps 4 and 5)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 2]]);
    expect(s.sent()).toEqual([]);
    s.wait(REO_WND - 1);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([0]);
    expect(s.tp.inRecovery).toBe(true);
  });

  it('does not wait for what was sent a reordering window before the latest delivered one (step 5)', () => {
    const s = sender(5).wait(50);
    s.write(5);
    s.sent();
    s.wait(100).ack(0, [[5, 6]]);
    // 0 to 4 left 150 ms ago, 50 ms before 5 did; 6 to 9 left after it. The first goes now, the others as the window allows.
    expect(s.sent()[0]).toBe(0);
    expect(s.segs(s.tp.t_lost)).toBe(5);
  });

  it('does not take for lost what was sent later than the latest delivered segment, however far below (step 5)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 4]]);
    expect(s.sent()).toEqual([0]);
    // The retransmission of 0 is younger than 4 to 9.
    s.wait(40).ack(0, [[1, 10]]);
    s.wait(59);
    expect(s.sent()).toEqual([]);
  });

  it('orders segments of one instant by their sequence numbers (section 6.2 step 2)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[3, 6]]);
    // 0, 1 and 2 are before it; 6 to 9 of the same time are not.
    expect(s.segs(s.tp.t_lost)).toBe(3);
  });

  it('finds a retransmission lost when something sent after it arrives (section 3.1)', () => {
    const s = sender(20).wait(100);
    s.write(10);
    s.ack(0, [[1, 12]]);
    const sent = s.sent();
    expect(sent[0]).toBe(0);
    const fresh = sent.filter((n) => n >= 20);
    s.wait(10).ack(0, [[1, 14]]);
    fresh.push(...s.sent().filter((n) => n >= 20));
    s.wait(10).ack(0, [[1, 20]]);
    fresh.push(...s.sent().filter((n) => n >= 20));
    expect(fresh.length).toBeGreaterThan(0);
    // A round trip after the new data left, it is SACKed; the retransmission, sent before it, is not.
    s.wait(100).ack(0, [[1, 20 + fresh.length]]);
    expect(s.sent()).toContain(0);
  });

  it('does not take the answer to an original for one to its retransmission (step 2)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 4]]);
    expect(s.sent()).toEqual([0]);
    // 10 ms, where no round trip was under 100: 4 to 9 were not sent before something that has arrived.
    s.wait(10).ack(4);
    expect(s.segs(s.tp.t_lost)).toBe(1);
    s.wait(20);
    expect(s.sent().filter((n) => n < 10)).toEqual([]);
  });

  it('keeps the window once an original has arrived that was overtaken (steps 3 and 4)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 2]]);
    s.wait(5).ack(2);
    expect(s.tp.rack_reordering).toBe(true);
    // Three are SACKed, but this path reorders.
    s.ack(2, [[3, 6]]);
    expect(s.sent()).not.toContain(2);
    s.wait(REO_WND);
    expect(s.sent()).toContain(2);
  });

  it('does not take what is delivered in order for reordering (step 3)', () => {
    const s = sender(10).wait(100);
    s.ack(1)
      .ack(3)
      .ack(5, [[6, 7]]);
    expect(s.tp.rack_reordering).toBe(false);
  });

  it('does so wherever the sequence numbers begin', () => {
    const halves = [0, 8590].map((uptime) => {
      const s = sender(10, { uptime }).wait(100);
      s.ack(1).ack(2);
      expect(s.tp.rack_reordering).toBe(false);
      return s.tp.iss >>> 31;
    });
    // 2^31 steps of the clock of initial numbers lie between the two (RFC 6528 section 3).
    expect(halves[0]).not.toBe(halves[1]);
  });

  it('does not take a retransmission that arrives below others for reordering (step 3)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 4]]);
    s.sent();
    s.wait(100).ack(10);
    expect(s.tp.rack_reordering).toBe(false);
  });

  /** A connection that has seen reordering, with `n` segments in flight from segment 2 on and one DSACK a call to `dsack`. */
  function reordering() {
    const s = sender(12).wait(100);
    s.ack(0, [[1, 2]]);
    s.wait(5).ack(2);
    s.sent();
    return s;
  }

  it('widens the window by a quarter of the least round trip with a DSACK (step 4)', () => {
    const s = reordering();
    s.ack(2, [[0, 1]]);
    s.ack(2, [[3, 4]]);
    // 3 took 105 ms: 2, sent with it, has 50 more.
    s.wait(49);
    expect(s.sent()).not.toContain(2);
    s.wait(1);
    expect(s.sent()).toContain(2);
  });

  it('widens it once a round (step 4)', () => {
    const s = reordering();
    s.ack(2, [[0, 1]]);
    s.ack(2, [[1, 2]]);
    expect(s.tp.rack_reo_mult).toBe(2);
    s.write(2);
    s.ack(12, [[1, 2]]);
    expect(s.tp.rack_reo_mult).toBe(3);
  });

  it('does not wait longer than the smoothed round trip (step 4)', () => {
    const s = reordering();
    for (let i = 0; i < 6; i++) {
      s.write(1);
      s.wait(100).ack(12 + i, [[0, 1]]);
    }
    s.sent();
    expect(s.tp.rack_reo_mult).toBeGreaterThan(4);
    s.write(10).sent();
    s.wait(100).ack(18, [[19, 20]]);
    const srtt = s.tp.srtt / 1000;
    s.wait(srtt - 2);
    expect(s.tp.inRecovery).toBe(false);
    s.wait(4);
    expect(s.tp.inRecovery).toBe(true);
  });

  it('is narrow again after sixteen recoveries without a DSACK (step 4)', () => {
    const s = reordering();
    s.ack(2, [[0, 1]]);
    s.ack(12);
    expect(s.tp.rack_reo_mult).toBe(2);
    let at = 12;
    for (let i = 0; i < 16; i++) {
      expect(s.tp.rack_reo_mult).toBe(2);
      s.tp.rack_reordering = false;
      s.tp.snd_cwnd = 10 * s.mss;
      s.write(4);
      s.wait(100).ack(at, [[at + 1, at + 4]]);
      expect(s.tp.inRecovery).toBe(true);
      s.wait(100).ack(at + 4);
      expect(s.tp.inRecovery).toBe(false);
      at += 4;
    }
    expect(s.tp.rack_reo_mult).toBe(1);
  });

  it('lets the window go when what was missing arrives in it (step 5)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 2]]);
    s.wait(10).ack(2);
    s.wait(60);
    expect(s.tp.inRecovery).toBe(false);
    expect(s.tp.t_lost).toBe(0);
  });

  it('counts a segment lost by the timer as a loss like another: one reduction (step 5)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[1, 2]]);
    s.wait(REO_WND);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
    expect(s.count('tcps_fastrecovery')).toBe(1);
  });

  it('takes everything that is not SACKed for lost at a timeout (section 6.3 allows less)', () => {
    const s = sender(10).wait(100);
    s.ack(0, [[8, 9]]);
    s.tp.st.wheel.cancel(s.tp.t_rack);
    s.wait(500);
    expect(s.segs(s.tp.t_lost)).toBe(9);
    expect(s.sent()[0]).toBe(0);
  });

  it('does not work without SACK (section 4): three duplicate ACKs decide', () => {
    const s = sender(10, { sack: false }).wait(100);
    s.ack(0).ack(0);
    s.wait(60);
    expect(s.sent()).not.toContain(0);
    s.ack(0);
    expect(s.sent()).toContain(0);
  });
});
