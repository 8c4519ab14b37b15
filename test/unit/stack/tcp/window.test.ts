import { describe, expect, it } from 'vitest';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { range, Sender, type SenderOptions } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

describe('the initial window (RFC 6928 section 2)', () => {
  it('is ten segments where they are small', () => {
    const s = new Sender({ mss: 536 });
    s.write(30);
    expect(s.sent()).toEqual(range(0, 10));
  });

  it('is 14600 bytes where ten segments are more', () => {
    const s = new Sender({ ts: true });
    s.tp.t_maxseg = 4000;
    expect(s.tp.initcwnd).toBe(14_600);
  });

  it('is two segments where these are more than 14600 bytes', () => {
    const s = new Sender();
    s.tp.t_maxseg = 9000;
    expect(s.tp.initcwnd).toBe(18_000);
  });

  it('is what net.inet.tcp.initcwnd_segments says', () => {
    const s = new Sender({ tune: { tcp_initcwnd_segments: 3 } });
    s.write(30);
    expect(s.sent()).toEqual(range(0, 3));
  });

  /** A handshake whose SYN,ACK goes `times` more. */
  const afterLoss = (times: number) => {
    const p = new ScriptedPeer({ tune: { tcp_sendspace: 1 << 20 } }).listen();
    p.send({ flags: 'S', mss: 1460, wscale: 7 });
    p.advance((2 ** times - 1) * 1_000_000);
    expect(p.out().length).toBe(1 + times);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    p.accepted[0]!.sendAll(pattern(30 * 1460));
    p.host.pass();
    return p.out().length;
  };

  it('stays where one SYN,ACK was lost, and is one segment where more were', () => {
    expect(afterLoss(1)).toBe(10);
    expect(afterLoss(2)).toBe(1);
  });

  it('does not grow by the ACK of the SYN,ACK (RFC 5681 section 3.1)', () => {
    expect(new Sender().segs(new Sender().tp.snd_cwnd)).toBe(10);
  });
});

describe('limited transmit (RFC 3042 section 2)', () => {
  const sender = (o: SenderOptions) => {
    const s = new Sender({ ...o, tune: { tcp_tlp: 0, ...(o.tune ?? {}) } });
    s.write(30);
    s.sent();
    return s.wait(100);
  };

  it('sends a new segment for each of the first two duplicate ACKs, and leaves the window', () => {
    const s = sender({ sack: false });
    s.ack(0);
    expect(s.sent()).toEqual([10]);
    s.ack(0);
    expect(s.sent()).toEqual([11]);
    expect(s.segs(s.tp.snd_cwnd)).toBe(10);
  });

  it('sends none with net.inet.tcp.rfc3042 0', () => {
    const s = sender({ sack: false, tune: { tcp_rfc3042: 0 } });
    s.ack(0).ack(0);
    expect(s.sent()).toEqual([]);
    s.ack(0);
    expect(s.sent()).toEqual([0]);
  });

  it('sends none that the window of the peer does not take', () => {
    // 115 * 128 bytes: ten segments and a piece.
    const s = sender({ sack: false, win: 115 });
    s.ack(0).ack(0);
    expect(s.sent()).toEqual([]);
  });

  it('does not count what it sent when the window is reduced (RFC 5681 section 3.2 step 2)', () => {
    const s = sender({ sack: false });
    s.ack(0).ack(0).ack(0);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
  });
});

describe('duplicate ACKs without SACK (RFC 5681 section 2, RFC 6582)', () => {
  const sender = () => {
    const s = new Sender({ sack: false, tune: { tcp_tlp: 0 } });
    s.write(30);
    s.sent();
    return s.wait(100);
  };

  it('are none when they bring data, or another window', () => {
    const s = sender();
    s.ack(0).ack(0);
    s.p.send({ flags: 'A', seq: 1, ack: 1, win: 65535, data: pattern(10) });
    s.ack(0, [], { win: 65000 });
    s.sent();
    expect(s.tp.inRecovery).toBe(false);
    expect(s.tp.t_dupacks).toBe(0);
  });

  it('do not enter recovery below the mark of the last one (RFC 6582 section 3.2 step 1)', () => {
    const s = sender();
    s.ack(0).ack(0).ack(0);
    s.sent();
    const recover = s.segs((s.tp.snd_recover - s.tp.iss - 1) | 0);
    s.wait(100).ack(recover);
    s.sent();
    const before = s.count('tcps_fastrecovery');
    s.ack(recover).ack(recover).ack(recover).ack(recover);
    expect(s.count('tcps_fastrecovery')).toBe(before);
  });
});

describe('a window after an idle time (RFC 5681 section 4.1)', () => {
  const idle = (ms: number, tune = {}) => {
    const s = new Sender({ tune });
    s.write(10);
    s.wait(100).ack(10);
    s.tp.snd_cwnd = 40 * s.mss;
    s.tp.snd_ssthresh = 20 * s.mss;
    s.sent();
    s.wait(ms);
    s.write(60);
    return s;
  };

  it('is the initial one after more than a retransmission timeout', () => {
    expect(idle(2000).sent().length).toBe(10);
  });

  it('is the old one after less', () => {
    expect(idle(200).sent().length).toBe(40);
  });

  it('is the old one with net.inet.tcp.idle_reduce 0', () => {
    expect(idle(2000, { tcp_idle_reduce: 0 }).sent().length).toBe(40);
  });

  it('leaves three quarters of the old one as the slow start threshold (RFC 7661 section 4.4)', () => {
    const s = idle(2000);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(30);
  });
});

describe('a window that is not used (RFC 7661 section 4.3)', () => {
  it('does not grow where the application is the limit', () => {
    const s = new Sender();
    for (let i = 0; i < 8; i++) {
      s.write(2);
      s.wait(100).ack(2 * (i + 1));
    }
    expect(s.segs(s.tp.snd_cwnd)).toBe(10);
  });

  it('does not grow where the window of the peer is the limit', () => {
    // Four segments and a piece.
    const s = new Sender({ win: 50 });
    s.write(40);
    let at = 0;
    for (let i = 0; i < 8; i++) {
      at += s.sent().length;
      s.wait(100).ack(at);
    }
    expect(s.segs(s.tp.snd_cwnd)).toBe(10);
  });

  it('grows in slow start where half of it is used', () => {
    const s = new Sender();
    s.write(6);
    s.wait(100).ack(6);
    s.write(6);
    s.wait(100).ack(12);
    expect(s.segs(s.tp.snd_cwnd)).toBeGreaterThan(10);
  });

  it('grows where it is the limit', () => {
    const s = new Sender();
    s.write(40);
    s.wait(100).ack(10);
    // Ten acknowledged by one ACK: two segments (RFC 3465 section 2.2).
    expect(s.segs(s.tp.snd_cwnd)).toBe(12);
  });
});
