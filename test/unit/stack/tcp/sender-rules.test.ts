import { describe, expect, it } from 'vitest';
import { Sender } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

/** Six segments of 100 bytes in flight, far less than three full ones; RACK is off. */
function small(): Sender {
  const s = new Sender({ tune: { tcp_rack: 0, tcp_tlp: 0 } });
  s.so.setNoDelay(true);
  for (let i = 0; i < 6; i++) {
    s.so.send(pattern(100), 0, 100);
    s.wait(1);
  }
  expect(s.out().length).toBe(6);
  return s;
}

/** A duplicate ACK of `ack` that SACKs `n` of the small segments behind the one that is missing. */
function dup(s: Sender, ack: number, n: number): number[] {
  s.p.send({ flags: 'A', seq: 1, ack, win: 65535, sack: [[ack + 100, ack + 100 + n * 100]] });
  return s.out().map((o) => o.seq);
}

describe('SACK recovery by duplicate ACKs (RFC 6675 section 5 (2))', () => {
  it('begins recovery on the third duplicate ACK though less than three segments worth is SACKed', () => {
    const s = small();
    expect(dup(s, 1, 1)).toEqual([]);
    expect(dup(s, 1, 2)).toEqual([]);
    expect(dup(s, 1, 3)).toEqual([1]);
    expect([s.tp.inRecovery, s.count('tcps_sack_recovery_episode')]).toEqual([true, 1]);
    expect(dup(s, 1, 4)).toEqual([]);
  });

  it('does not for data sent before the last recovery ended', () => {
    const s = small();
    for (let n = 1; n <= 3; n++) dup(s, 1, n);
    // It ends; three old ACKs that were under way tell of nothing new.
    s.p.send({ flags: 'A', seq: 1, ack: 601, win: 65535 });
    expect(s.tp.inRecovery).toBe(false);
    for (let i = 0; i < 3; i++) s.p.send({ flags: 'A', seq: 1, ack: 601, win: 65535 });
    expect([s.out(), s.tp.inRecovery, s.count('tcps_sack_recovery_episode')]).toEqual([[], false, 1]);
  });
});

describe('a spurious timeout (RFC 4015)', () => {
  it('sets the estimators from what came late, and not below what they were (section 3.4)', () => {
    // The handshake took 100 ms: SRTT 100, RTTVAR 50, so that the timer runs out after 100 + 4 * 50 and the slop of 200 ms.
    const s = new Sender({ tune: { tcp_tlp: 0 } });
    s.write(4);
    s.out();
    s.wait(1000);
    expect(s.sent()).toEqual([0]);
    s.write(4);
    // The originals arrive after all, a second late.
    s.ack(1);
    s.ack(2);
    expect(s.count('tcps_undo')).toBe(1);
    // SRTT max (100, 1000), RTTVAR max (50, 500): the next timeout is 1000 + 4 * 500 and the slop.
    expect([s.tp.srtt / 1000, s.tp.t_rxtcur / 1000]).toEqual([1000, 3200]);
  });
});
