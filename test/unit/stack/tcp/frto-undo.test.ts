import { describe, expect, it } from 'vitest';
import { range, Sender, type SenderOptions } from '../../../lab/sender.ts';

/** Five segments in flight and as many more written; the round trip is 100 ms, the timeout 500 ms after the last ACK. */
function sender(o: SenderOptions = {}) {
  const s = new Sender({ ...o, tune: { tcp_tlp: 0, tcp_initcwnd_segments: 5, ...(o.tune ?? {}) } });
  s.write(10);
  expect(s.sent()).toEqual(range(0, 5));
  return s;
}

/** The timeout has run out and the first segment went again. */
function timedOut(o: SenderOptions = {}) {
  const s = sender(o);
  s.wait(500);
  expect(s.sent()).toEqual([0]);
  expect(s.segs(s.tp.snd_cwnd)).toBe(1);
  expect(s.tp.snd_ssthresh).toBeLessThan(5 * s.mss);
  return s;
}

describe.each([
  ['with SACK (RFC 5682 section 3.1)', true],
  ['without SACK (RFC 5682 section 2.1)', false],
])('F-RTO %s', (_name, sack) => {
  it('sends two new segments on the first ACK that advances, and nothing again (step 2b)', () => {
    const s = timedOut({ sack }).wait(100);
    s.ack(1);
    expect(s.sent()).toEqual([5, 6]);
  });

  it('takes the timeout for spurious when the second ACK advances over what was not sent again (step 3b)', () => {
    const s = timedOut({ sack }).wait(100);
    s.ack(1);
    s.sent();
    s.ack(2);
    expect(s.count('tcps_undo')).toBe(1);
    expect(s.tp.snd_cwnd).toBeGreaterThanOrEqual(5 * s.mss);
    expect(s.tp.snd_ssthresh).toBeGreaterThan(1 << 20);
    expect(s.sent().every((n) => n >= 7)).toBe(true);
  });

  it('goes back to the usual repair when the second ACK is a duplicate (step 3a)', () => {
    const s = timedOut({ sack }).wait(100);
    s.ack(1);
    s.sent();
    s.wait(100).ack(1, sack ? [[5, 6]] : []);
    expect(s.sent()[0]).toBe(1);
    expect(s.count('tcps_undo')).toBe(0);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(2.5);
  });

  it('goes back to the usual repair when the first ACK is a duplicate (step 2a)', () => {
    const s = timedOut({ sack }).wait(50);
    s.ack(0);
    s.wait(50).ack(1);
    expect(s.sent()).toEqual([1, 2]);
  });

  it('does the usual repair where the application has no more to send (step 2b)', () => {
    const s = new Sender({ sack, tune: { tcp_tlp: 0 } });
    s.write(5).sent();
    s.wait(500);
    expect(s.sent()).toEqual([0]);
    s.wait(100).ack(1);
    expect(s.sent()).toEqual([1, 2]);
  });

  it('does the usual repair with net.inet.tcp.frto 0', () => {
    const s = timedOut({ sack, tune: { tcp_frto: 0 } }).wait(100);
    s.ack(1);
    expect(s.sent()).toEqual([1, 2]);
    s.ack(3);
    expect(s.count('tcps_undo')).toBe(0);
  });

  it('is not begun by a timeout that hits the repair of another (step 1)', () => {
    const s = timedOut({ sack });
    s.wait(1000);
    expect(s.sent()).toEqual([0]);
    s.wait(100).ack(1);
    expect(s.sent()).toEqual([1, 2]);
  });
});

describe('a SACK after a timeout (RFC 5682 section 3.1)', () => {
  it('of what was sent before it and not again makes it spurious', () => {
    const s = timedOut().wait(50);
    s.ack(0, [[3, 4]]);
    expect(s.count('tcps_undo')).toBe(1);
    expect(s.segs(s.tp.snd_cwnd)).toBe(5);
  });

  it('of new data does not', () => {
    const s = timedOut().wait(100);
    s.ack(1);
    expect(s.sent()).toEqual([5, 6]);
    s.wait(100).ack(1, [[5, 7]]);
    expect(s.count('tcps_undo')).toBe(0);
  });
});

/** A loss seen by three SACKed segments, and repaired: ten in flight, then five. */
function fast(o: SenderOptions = {}) {
  const s = new Sender({ ...o, tune: { tcp_tlp: 0, ...(o.tune ?? {}) } });
  s.write(30);
  s.sent();
  const first = s.lastTs;
  s.wait(100);
  s.ack(0, [[1, 4]], { ...(o.ts ? { ts: [2000, first] as [number, number] } : {}) });
  expect(s.sent()).toEqual([0]);
  expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
  return { s, first, again: s.lastTs };
}

describe('the Eifel algorithm (RFC 3522 section 3.2, RFC 4015 section 3)', () => {
  it('undoes the reduction when the first ACK that advances echoes a timestamp of before the retransmission', () => {
    const { s, first } = fast({ ts: true });
    s.wait(5).ack(4, [], { ts: [2001, first] });
    expect(s.count('tcps_undo')).toBe(1);
    expect(s.tp.snd_cwnd).toBeGreaterThanOrEqual(10 * s.mss);
    expect(s.tp.snd_ssthresh).toBeGreaterThan(1 << 20);
    expect(s.tp.inRecovery).toBe(false);
  });

  it('leaves it when the echo is that of the retransmission', () => {
    const { s, again } = fast({ ts: true });
    s.wait(100).ack(4, [], { ts: [2001, again] });
    expect(s.count('tcps_undo')).toBe(0);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
  });

  it('needs timestamps', () => {
    const { s } = fast();
    s.wait(100).ack(4);
    expect(s.count('tcps_undo')).toBe(0);
  });

  it('undoes a timeout by the echo of the original (RFC 4015 section 3.2)', () => {
    const s = sender({ ts: true, tune: { tcp_frto: 0 } });
    const first = s.lastTs;
    s.wait(500);
    expect(s.sent()).toEqual([0]);
    s.wait(10).ack(1, [], { ts: [2001, first] });
    expect(s.count('tcps_undo')).toBe(1);
    expect(s.segs(s.tp.snd_cwnd)).toBeGreaterThanOrEqual(5);
  });

  it('does not take an answer to an older retransmission for one to an original', () => {
    const s = new Sender({ ts: true, tune: { tcp_tlp: 0, tcp_frto: 0 } });
    s.write(10);
    s.sent();
    const first = s.lastTs;
    s.wait(100).ack(0, [[1, 4]], { ts: [2000, first] });
    expect(s.sent()).toEqual([0]);
    const again = s.lastTs;
    // Nothing more is heard: a timeout, and then the answer to the first retransmission.
    s.wait(1500);
    expect(s.sent()[0]).toBe(0);
    s.ack(4, [], { ts: [2001, again] });
    expect(s.count('tcps_undo')).toBe(0);
  });
});

describe('undo by DSACK (RFC 3708 section 3)', () => {
  it('gives the window back when each retransmission was reported as a duplicate', () => {
    const { s } = fast();
    s.wait(20).ack(4);
    s.sent();
    s.wait(80).ack(4, [[0, 1]]);
    expect(s.count('tcps_undo')).toBe(1);
    expect(s.tp.snd_cwnd).toBeGreaterThanOrEqual(10 * s.mss);
  });

  it('does not when one of two was needed', () => {
    const s = new Sender({ tune: { tcp_tlp: 0 } });
    s.write(30);
    s.sent();
    s.wait(100).ack(0, [[2, 9]]);
    expect(s.sent().slice(0, 2)).toEqual([0, 1]);
    s.wait(100).ack(9);
    s.ack(9, [[0, 1]]);
    expect(s.count('tcps_undo')).toBe(0);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
  });

  it('does not without any DSACK: the loss was real', () => {
    const { s } = fast();
    s.wait(100).ack(10);
    s.wait(100).ack(s.segs((s.tp.snd_max - s.tp.iss - 1) | 0));
    expect(s.count('tcps_undo')).toBe(0);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
  });

  it('does not for a duplicate of what was sent before the reduction', () => {
    const s = new Sender({ tune: { tcp_tlp: 0 } });
    s.write(30);
    s.wait(100).ack(5);
    s.sent();
    s.wait(100).ack(5, [[6, 9]]);
    expect(s.sent()[0]).toBe(5);
    s.ack(5, [
      [1, 2],
      [6, 9],
    ]);
    expect(s.count('tcps_undo')).toBe(0);
  });
});
