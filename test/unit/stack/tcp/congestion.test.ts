import { describe, expect, it } from 'vitest';
import { CC_NDUPACK, CcLost, type CongestionControl } from '../../../../src/stack/tcp/cc/cc.ts';
import { ccRegister } from '../../../../src/stack/tcp/cc/registry.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const MS = 1000;
const MSS = 1460;

/** An established connection with a large peer window and `n` bytes queued; the first window's segments are in the output. */
function sender(n: number) {
  const p = new ScriptedPeer({ cc: 'newreno' });
  const { rec, so } = p.establish({ wscale: 7, mss: MSS });
  rec.sendAll(pattern(n));
  p.host.pass();
  return { p, rec, so, tp: so.tp! };
}

describe('congestion control', () => {
  it('starts with ten segments (RFC 6928 section 2)', () => {
    const { p } = sender(100_000);
    expect(p.out().map((o) => o.len)).toEqual(new Array(10).fill(MSS));
  });

  it('grows by what each ACK covers in slow start, two segments at most (RFC 5681 section 3.1, RFC 3465)', () => {
    const { p, tp } = sender(400_000);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    expect(tp.snd_cwnd).toBe(11 * MSS);
    p.send({ flags: 'A', seq: 1, ack: 1 + 5 * MSS });
    expect(tp.snd_cwnd).toBe(13 * MSS);
  });

  it('sends a new segment on each of the first two duplicate ACKs (limited transmit, RFC 3042 section 2)', () => {
    const { p, tp } = sender(400_000);
    p.out();
    const dup = { flags: 'A', seq: 1, ack: 1 };
    p.send(dup);
    expect(p.out().map((o) => [o.seq, o.len])).toEqual([[1 + 10 * MSS, MSS]]);
    p.send(dup);
    expect(p.out().map((o) => [o.seq, o.len])).toEqual([[1 + 11 * MSS, MSS]]);
    expect(tp.snd_cwnd).toBe(10 * MSS);
  });

  it('retransmits the first segment on the third duplicate ACK and halves (RFC 5681 section 3.2)', () => {
    const { p, tp } = sender(400_000);
    p.out();
    const dup = { flags: 'A', seq: 1, ack: 1 };
    p.send(dup);
    p.send(dup);
    p.out();
    p.send(dup);
    const o = p.out();
    expect(o.map((x) => [x.seq, x.len])).toEqual([[1, MSS]]);
    // What limited transmit sent does not count (section 3.2 step 2).
    expect(tp.snd_ssthresh).toBe(5 * MSS);
    expect(p.host.count('tcps_sndrexmitfast')).toBe(1);
    // Twelve in flight, one of them lost: a segment for each two that arrive beyond it, until five are in flight (RFC 9937 section 6).
    let sent = 0;
    for (let i = 0; i < 8; i++) {
      p.send(dup);
      sent += p.out().length;
    }
    expect(sent).toBeGreaterThanOrEqual(3);
    expect(sent).toBeLessThanOrEqual(5);
  });

  it('retransmits the next hole on a partial ACK and leaves recovery with cwnd at ssthresh (RFC 6582 section 3.2, RFC 9937)', () => {
    const { p, tp } = sender(400_000);
    p.out();
    for (let i = 0; i < 3; i++) p.send({ flags: 'A', seq: 1, ack: 1 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 + 3 * MSS });
    expect(p.host.count('tcps_newrenopartial')).toBe(1);
    // Seven are in flight where five may be: it goes once they are fewer (RFC 9937 section 6).
    for (let i = 0; i < 3; i++) p.send({ flags: 'A', seq: 1, ack: 1 + 3 * MSS });
    expect(p.out()[0]!.seq).toBe(1 + 3 * MSS);
    const recover = tp.snd_recover;
    p.send({ flags: 'A', seq: 1, ack: (recover - p.iss) | 0 });
    expect(tp.snd_cwnd).toBe(tp.snd_ssthresh);
    expect(tp.t_flags & 0x100000).toBe(0);
  });

  it('does not enter recovery twice for one window (RFC 6582 section 3.2 step 1)', () => {
    const { p, tp } = sender(400_000);
    p.out();
    for (let i = 0; i < 3; i++) p.send({ flags: 'A', seq: 1, ack: 1 });
    const recover = (tp.snd_recover - p.iss) | 0;
    p.send({ flags: 'A', seq: 1, ack: recover });
    p.out();
    for (let i = 0; i < 4; i++) p.send({ flags: 'A', seq: 1, ack: recover });
    expect(p.host.count('tcps_fastrecovery')).toBe(1);
  });

  it('falls back to one segment on a timeout, doubling the timeout each time (RFC 5681 section 3.1, RFC 6298 section 5)', () => {
    const { p, tp } = sender(400_000);
    p.out();
    const rto = tp.t_rxtcur;
    p.advance(rto + MS);
    const o = p.one();
    expect([o.seq, o.len]).toEqual([1, MSS]);
    expect(tp.snd_cwnd).toBe(MSS);
    expect(tp.snd_ssthresh).toBe(5 * MSS);
    expect(tp.t_rxtcur).toBe(2 * rto);
    p.advance(2 * rto + MS);
    expect(p.one().seq).toBe(1);
    expect(tp.t_rxtcur).toBe(4 * rto);
    expect(tp.snd_ssthresh).toBe(5 * MSS);
    expect(p.host.count('tcps_rexmttimeo')).toBe(2);
  });

  it('takes the first sample as RFC 6298 (2.2) says and later ones as (2.3)', () => {
    const p = new ScriptedPeer({ tune: { tcp_rexmit_slop: 0, tcp_rexmit_min: 1 } });
    p.listen();
    p.send({ flags: 'S', mss: MSS, wscale: 7 });
    p.out();
    p.host.clock.advance(100 * MS);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    const rec = p.accepted[0]!;
    const tp = rec.so!.tp!;
    // R = 100 ms: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR = 300 ms.
    expect(tp.t_srtt >> 3).toBe(100 * MS);
    expect(tp.t_rxtcur).toBe(300 * MS);
    rec.sendAll(pattern(MSS));
    p.host.pass();
    p.host.clock.advance(200 * MS);
    p.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    // RTTVAR = 3/4 * 50 + 1/4 * |100 - 200| = 62.5 ms, SRTT = 7/8 * 100 + 1/8 * 200 = 112.5 ms, RTO = 362.5 ms.
    expect(tp.t_srtt >> 3).toBe(112_500);
    expect(tp.t_rxtcur).toBe(362_500);
  });

  it('takes no sample from a retransmitted segment (Karn, RFC 6298 section 3)', () => {
    const { p, tp } = sender(MSS);
    p.out();
    const before = tp.t_rttsamples;
    p.advance(tp.t_rxtcur + MS);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    expect(tp.t_rttsamples).toBe(before);
  });

  it('restarts from the initial window after an idle time of more than an RTO (RFC 5681 section 4.1)', () => {
    const { p, rec, tp } = sender(10 * MSS);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 + 10 * MSS });
    tp.snd_cwnd = 100 * MSS;
    p.advance(5_000 * MS);
    rec.sendAll(pattern(100 * MSS));
    p.host.pass();
    expect(p.out().length).toBe(10);
  });

  it('does not grow a window that it does not use (RFC 7661 section 4.3: not validated)', () => {
    const { p, rec, tp } = sender(MSS);
    p.out();
    const cwnd = tp.snd_cwnd;
    let ack = 1 + MSS;
    p.send({ flags: 'A', seq: 1, ack });
    for (let i = 0; i < 20; i++) {
      rec.sendAll(pattern(MSS));
      p.host.pass();
      p.out();
      ack += MSS;
      p.send({ flags: 'A', seq: 1, ack });
    }
    expect(tp.snd_cwnd).toBe(cwnd);
  });
});

describe('a module that asks for losses', () => {
  it('hears of each piece, with what was in flight when it was sent, before the signal (draft-ietf-ccwg-bbr-06 section 5.5.10.2)', () => {
    const told: (CcLost | number)[] = [];
    const cc: CongestionControl = {
      init() {},
      ackReceived() {},
      lost: (_c, l) => told.push(Object.assign(new CcLost(), l)),
      congestionSignal: (c, type) => {
        c.snd_ssthresh = 5 * MSS;
        told.push(type);
      },
    };
    ccRegister({ name: 'listens', create: () => cc });
    const p = new ScriptedPeer({ cc: 'listens', tune: { tcp_rfc3042: 0 } });
    const { rec, so } = p.establish({ wscale: 7, mss: MSS });
    rec.sendAll(pattern(100_000));
    p.host.pass();
    p.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    for (let i = 0; i < 3; i++) p.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    // The second of ten that left together: two of them are in flight with it. Before them there was nothing to send.
    const lost = Object.assign(new CcLost(), {
      start: (so.tp!.iss + 1 + MSS) | 0,
      bytes: MSS,
      txInFlight: 2 * MSS,
      rateLost: MSS,
      isAppLimited: true,
    });
    expect(told).toEqual([lost, CC_NDUPACK]);
  });
});
