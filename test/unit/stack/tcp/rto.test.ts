import { describe, expect, it } from 'vitest';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { MS, Sender } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const quiet = { tcp_tlp: 0, tcp_rexmit_slop: 0, tcp_rexmit_min: 1 };

describe('the retransmission timer (RFC 6298)', () => {
  it('is one second before the first sample (2.1)', () => {
    const p = new ScriptedPeer();
    p.connect();
    p.out();
    p.advance(999 * MS);
    expect(p.out()).toEqual([]);
    p.advance(MS);
    expect(p.one().flags).toBe('S');
  });

  it('is not less than net.inet.tcp.rexmit_min, and by net.inet.tcp.rexmit_slop more (2.4)', () => {
    const s = new Sender({ rtt: 1, tune: { tcp_tlp: 0, tcp_rexmit_min: 200, tcp_rexmit_slop: 50 } });
    s.write(1);
    s.sent();
    s.wait(249);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([0]);
  });

  it('is sixty seconds at most, or more (2.5)', () => {
    const s = new Sender({ tune: quiet });
    s.write(1);
    let last = 0;
    let longest = 0;
    for (let t = 0; t < 400; t++) {
      s.wait(1000);
      if (s.sent().length === 0) continue;
      if (last > 0) longest = Math.max(longest, t - last);
      last = t;
    }
    expect(longest).toBeGreaterThanOrEqual(60);
    expect(longest).toBeLessThanOrEqual(64);
  });

  it('takes 7/8 of the old mean and 3/4 of the old deviation with each sample (2.3)', () => {
    const s = new Sender({ tune: quiet });
    for (let i = 0; i < 2; i++) {
      s.write(1);
      s.wait(180).ack(i + 1);
    }
    // 100/50 ms: |100-180| = 80: 57.5, 110; then |110-180| = 70: 60.625, 118.75.
    expect(s.tp.srtt / MS).toBeCloseTo(118.75, 1);
    expect(s.tp.t_rxtcur / MS).toBeCloseTo(118.75 + 4 * 60.625, 1);
  });

  it('begins to run with data when it does not run (5.1)', () => {
    const s = new Sender({ tune: quiet });
    s.wait(1000);
    s.write(1);
    s.sent();
    // 100 + 4 * 50 ms.
    s.wait(299);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([0]);
  });

  it('is not set anew by more data (5.1)', () => {
    const s = new Sender({ tune: quiet });
    s.write(1).wait(200);
    s.write(1);
    s.sent();
    s.wait(100);
    expect(s.sent()).toEqual([0]);
  });

  it('stops when all is acknowledged (5.2)', () => {
    const s = new Sender({ tune: quiet });
    s.write(2).wait(100);
    s.ack(2);
    expect(s.tp.t_rexmt.armed).toBe(false);
  });

  it('starts anew with an ACK of new data (5.3), and not with one of nothing new', () => {
    const s = new Sender({ tune: quiet });
    s.write(3).wait(100);
    s.ack(1);
    s.sent();
    const rto = s.tp.t_rxtcur / MS;
    s.wait(100);
    s.ack(1, [], { win: 60_000 });
    s.wait(rto - 101);
    expect(s.sent()).toEqual([]);
    s.wait(2);
    expect(s.sent()).toEqual([1]);
  });

  it('sends the earliest segment and doubles (5.4, 5.5, 5.6)', () => {
    const s = new Sender({ tune: quiet });
    s.write(3);
    s.sent();
    s.wait(300);
    expect(s.sent()).toEqual([0]);
    s.wait(599);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([0]);
    s.wait(1200);
    expect(s.sent()).toEqual([0]);
  });

  it('keeps the doubled value until a sample of something new (section 5, last paragraphs; Karn, section 3)', () => {
    const s = new Sender({ tune: quiet });
    s.write(1);
    s.wait(300);
    s.sent();
    s.wait(100).ack(1);
    s.write(1);
    s.sent();
    s.wait(599);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([1]);
  });

  it('takes a sample of a retransmission where a timestamp tells which one was answered (section 3)', () => {
    const s = new Sender({ ts: true, tune: { ...quiet, tcp_frto: 0 } });
    s.write(1);
    s.sent();
    const samples = s.tp.t_rttsamples;
    s.wait(300);
    expect(s.sent()).toEqual([0]);
    s.wait(100).ack(1);
    expect(s.tp.t_rttsamples).toBe(samples + 1);
    expect(s.tp.srtt / MS).toBeCloseTo(100, 0);
  });

  it('takes no sample of what waited behind a lost segment (section 3)', () => {
    const s = new Sender({ tune: quiet });
    s.write(5);
    s.wait(100).ack(0, [[1, 4]]);
    s.wait(100).ack(5);
    expect(s.tp.srtt / MS).toBeCloseTo(100, 0);
  });

  it.each([
    ['we accept', true],
    ['we open', false],
  ])('is three seconds for data after a handshake that %s and that gave no sample (5.7)', (_name, passive) => {
    const p = new ScriptedPeer();
    if (passive) {
      p.listen().send({ flags: 'S', mss: 1460 });
      p.out();
      p.advance(1000 * MS);
      p.out();
      p.send({ flags: 'A', seq: 1, ack: 1 });
      p.accepted[0]!.sendAll(pattern(100));
    } else {
      const { rec } = p.connect();
      p.out();
      p.advance(1000 * MS);
      p.out();
      p.send({ flags: 'SA', ack: 1, mss: 1460 });
      rec.sendAll(pattern(100));
    }
    p.host.pass();
    p.out();
    p.advance(2999 * MS);
    expect(p.out().filter((o) => o.len > 0)).toEqual([]);
    p.advance(MS);
    expect(p.out().filter((o) => o.len > 0).length).toBe(1);
  });

  it('gives up after twelve retransmissions, more than 100 s (RFC 9293 section 3.8.3: R2)', () => {
    const s = new Sender({ tune: quiet });
    s.write(1);
    s.wait(100_000);
    expect(s.rec.events.some((e) => e.startsWith('closed'))).toBe(false);
    s.wait(600_000);
    expect(s.rec.events.at(-1)).toBe('closed 110');
    expect(s.count('tcps_timeoutdrop')).toBe(1);
  });

  it('sets the window to one segment and the threshold to half the flight, once for a row of timeouts (RFC 5681 section 3.1)', () => {
    const s = new Sender({ tune: quiet });
    s.write(10);
    s.sent();
    s.wait(300);
    expect(s.segs(s.tp.snd_cwnd)).toBe(1);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
    s.wait(600);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
    s.sent();
    // Slow start up to it: one, then two.
    s.wait(100).ack(1);
    expect(s.sent()).toEqual([1, 2]);
  });
});
