import { describe, expect, it } from 'vitest';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { range, Sender, type SenderOptions } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const NOT_ECT = 0;
const ECT0 = 2;
const CE = 3;

describe('the negotiation of ECN (RFC 3168 section 6.1.1)', () => {
  const synack = (flags: string, enable: number) => {
    const p = new ScriptedPeer({ tune: { tcp_ecn_enable: enable } }).listen();
    p.send({ flags, mss: 1460 });
    return p.one();
  };

  it('answers an ECN-setup SYN, which has ECE and CWR, with ECE alone where net.inet.tcp.ecn.enable is 1 or 2', () => {
    expect(synack('SEW', 1).flags).toBe('SAE');
    expect(synack('SEW', 2).flags).toBe('SAE');
    expect(synack('SEW', 0).flags).toBe('SA');
  });

  it('takes a SYN with one of the two flags for one that does not ask', () => {
    expect(synack('S', 1).flags).toBe('SA');
    expect(synack('SE', 1).flags).toBe('SA');
    expect(synack('SW', 1).flags).toBe('SA');
  });

  it('asks with ECE and CWR in its own SYN where net.inet.tcp.ecn.enable is 1, and only there', () => {
    for (const [enable, flags] of [
      [0, 'S'],
      [1, 'SEW'],
      [2, 'S'],
    ] as const) {
      const p = new ScriptedPeer({ tune: { tcp_ecn_enable: enable } });
      p.connect();
      expect(p.one().flags).toBe(flags);
    }
  });

  const opened = (flags: string, enable = 1) => {
    const p = new ScriptedPeer({ tune: { tcp_ecn_enable: enable } });
    const { rec } = p.connect();
    p.out();
    p.send({ flags, ack: 1, mss: 1460 });
    p.out();
    rec.sendAll(pattern(100));
    p.host.pass();
    return p.one().ecn;
  };

  it('is settled by a SYN,ACK with ECE and without CWR', () => {
    expect(opened('SAE')).toBe(ECT0);
    expect(opened('SA')).toBe(NOT_ECT);
    expect(opened('SAEW')).toBe(NOT_ECT);
    expect(opened('SAE', 2)).toBe(NOT_ECT);
  });

  it('gives up asking after net.inet.tcp.ecn.maxretries retransmissions of the SYN (section 6.1.1.1)', () => {
    const p = new ScriptedPeer({ tune: { tcp_ecn_enable: 1, tcp_ecn_maxretries: 1 } });
    p.connect();
    expect(p.one().flags).toBe('SEW');
    p.advance(1_000_000);
    expect(p.one().flags).toBe('SEW');
    p.advance(2_000_000);
    expect(p.one().flags).toBe('S');
  });

  it('sends SYN and SYN,ACK without ECT (section 6.1.1)', () => {
    const p = new ScriptedPeer({ tune: { tcp_ecn_enable: 1 } });
    p.connect();
    expect(p.one().ecn).toBe(NOT_ECT);
    expect(synack('SEW', 1).ecn).toBe(NOT_ECT);
  });
});

function sender(o: SenderOptions = {}) {
  const s = new Sender({ ecn: true, ...o, tune: { tcp_tlp: 0, ...(o.tune ?? {}) } });
  s.write(60);
  return s;
}

describe('a sender with ECN (RFC 3168 section 6.1.2)', () => {
  it('marks new data with ECT(0), and not retransmissions (section 6.1.5)', () => {
    const s = sender();
    expect(s.out().map((o) => o.ecn)).toEqual(range(0, 10).map(() => ECT0));
    s.wait(100).ack(0, [[1, 4]]);
    const again = s.out()[0]!;
    expect((again.seq - 1) / s.mss).toBe(0);
    expect(again.ecn).toBe(NOT_ECT);
  });

  it('marks nothing where ECN was not agreed', () => {
    const s = sender({ ecn: false });
    expect(s.out().map((o) => o.ecn)).toEqual(range(0, 10).map(() => NOT_ECT));
  });

  it('does not mark an ACK without data (section 6.1.4), nor a window probe (section 6.1.6)', () => {
    const s = new Sender({ ecn: true, win: 0 });
    s.write(1);
    s.wait(6000);
    const probe = s.out().filter((o) => o.len === 1);
    expect(probe[0]!.ecn).toBe(NOT_ECT);
    s.p.send({ flags: 'A', seq: 1, ack: 1, win: 0, data: pattern(10) });
    s.wait(50);
    const acks = s.out().filter((o) => o.len === 0);
    expect(acks.length).toBeGreaterThan(0);
    expect(acks.every((o) => o.ecn === NOT_ECT)).toBe(true);
  });

  it('halves on ECE, and tells so with CWR in the next new segment only', () => {
    const s = sender();
    s.out();
    s.wait(100).ack(2, [], { flags: 'AE' });
    // Two slow-start segments came first, or none: half the flight of ten.
    expect(s.segs(s.tp.snd_ssthresh)).toBeLessThanOrEqual(5);
    expect(s.tp.snd_cwnd).toBeLessThanOrEqual(s.tp.snd_ssthresh + 2 * s.mss);
    expect(s.sent()).toEqual([]);
    s.ack(8);
    const flags = s.out().map((o) => o.flags.includes('W'));
    expect(flags.length).toBeGreaterThan(1);
    expect(flags).toEqual([true, ...flags.slice(1).map(() => false)]);
    expect(s.count('tcps_ecn_sndcwr')).toBe(1);
  });

  it('does so once for a window of data', () => {
    const s = sender();
    s.out();
    s.wait(100).ack(1, [], { flags: 'AE' });
    const ssthresh = s.tp.snd_ssthresh;
    for (let n = 2; n <= 10; n++) s.ack(n, [], { flags: 'AE' });
    expect(s.tp.snd_ssthresh).toBe(ssthresh);
    expect(s.count('tcps_cwr_ecn')).toBe(1);
    // What was sent after the answer is acknowledged, and marked as well.
    s.wait(100).ack(11, [], { flags: 'AE' });
    expect(s.count('tcps_cwr_ecn')).toBe(2);
  });

  it('does not reduce for ECE in the recovery from a loss of the same window', () => {
    const s = sender();
    s.out();
    s.wait(100).ack(0, [[1, 4]]);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
    s.ack(0, [[1, 5]], { flags: 'AE' });
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
    expect(s.count('tcps_cwr_ecn')).toBe(0);
  });

  it('reacts to an ECE on a duplicate ACK as well', () => {
    const s = sender();
    s.out();
    s.wait(100).ack(0, [[1, 2]], { flags: 'AE' });
    expect(s.count('tcps_cwr_ecn')).toBe(1);
  });

  it('keeps the mark of its last answer near, however long no mark comes (sequence numbers wrap)', () => {
    const s = sender();
    s.wait(100).ack(10);
    expect((s.tp.snd_una - s.tp.ecn_recover) | 0).toBe(1);
  });

  it.each(['newreno', 'cubic'])(
    'of a window of one segment waits for the retransmission timer (%s; section 6.1.2)',
    (cc) => {
      const s = new Sender({ ecn: true, cc, tune: { tcp_tlp: 0, tcp_frto: 0 } });
      s.write(3);
      s.out();
      // All is lost: the window is one segment.
      while (s.sent().length === 0) s.wait(10);
      s.write(5);
      expect(s.sent()).toEqual([]);
      s.ack(3, [], { flags: 'AE' });
      // Nothing is in flight, and nothing goes for a timeout of 230 ms at least (net.inet.tcp.rexmit_min and rexmit_slop).
      s.wait(220);
      expect(s.sent()).toEqual([]);
      while (s.p.host.link.sent.length === 0) s.wait(10);
      expect(s.out().map((o) => [(o.seq - 1) / s.mss, o.flags.includes('W')])).toEqual([[3, true]]);
      expect(s.count('tcps_rexmttimeo')).toBe(1);
      // An ACK without a mark ends it.
      s.ack(4);
      expect(s.sent()[0]).toBe(4);
    },
  );

  it('of a window that shuts meanwhile lets it be probed', () => {
    const s = new Sender({ ecn: true, cc: 'cubic', tune: { tcp_tlp: 0, tcp_frto: 0 } });
    s.write(3);
    s.out();
    while (s.sent().length === 0) s.wait(10);
    s.write(5);
    s.out();
    s.ack(3, [], { flags: 'AE', win: 0 });
    s.ack(3, [], { win: 0 });
    s.wait(5500);
    const probe = s.out()[0]!;
    expect([(probe.seq - 1) / s.mss, probe.len]).toEqual([3, 1]);
  });

  it('takes no notice of ECE where ECN was not agreed', () => {
    const s = sender({ ecn: false });
    s.out();
    s.wait(100).ack(2, [], { flags: 'AE' });
    expect(s.tp.snd_ssthresh).toBeGreaterThan(1 << 20);
    expect(s.count('tcps_cwr_ecn')).toBe(0);
  });
});

/** A receiver of ours; `data(ecn, flags)` sends it the next ten bytes and gives the flags of the ACKs that come of it. */
function receiver(cc?: string) {
  const p = new ScriptedPeer(cc === undefined ? {} : { cc });
  p.establish({ flags: 'SEW' });
  let n = 0;
  return {
    p,
    data(ecn: number, flags = 'A', at = n) {
      p.send({ flags, seq: 1 + 10 * at, ack: 1, data: pattern(10), ecn });
      if (at === n) n++;
      return p.out().map((o) => [(o.ack - 1) / 10, o.flags] as [number, string]);
    },
    /** The ACK that the timer sends. */
    later() {
      p.advance(50_000);
      return p.out().map((o) => [(o.ack - 1) / 10, o.flags] as [number, string]);
    },
  };
}

describe('a receiver with ECN (RFC 3168 section 6.1.3)', () => {
  it('echoes a mark in every ACK until CWR comes', () => {
    const r = receiver();
    r.data(CE);
    expect(r.later()).toEqual([[1, 'AE']]);
    r.data(ECT0);
    expect(r.data(ECT0)).toEqual([[3, 'AE']]);
    const cwr = r.data(ECT0, 'AW');
    expect(cwr).toEqual([[4, 'A']]);
    r.data(ECT0);
    expect(r.later()).toEqual([[5, 'A']]);
  });

  it('goes on where the segment with CWR is marked itself', () => {
    const r = receiver();
    r.data(CE);
    r.later();
    expect(r.data(CE, 'AW')).toEqual([[2, 'AE']]);
  });

  it('takes no mark of a segment that lies outside of the window (section 6.1.5)', () => {
    const r = receiver();
    r.data(ECT0);
    r.data(ECT0);
    expect(r.data(CE, 'A', 0)).toEqual([[2, 'A']]);
    expect(r.data(CE, 'A', 900_000)).toEqual([[2, 'A']]);
  });

  it('echoes nothing where ECN was not agreed', () => {
    const p = new ScriptedPeer();
    p.establish();
    p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(10), ecn: CE });
    p.advance(50_000);
    expect(p.one().flags).toBe('A');
  });
});

describe('a receiver of DCTCP (RFC 8257 section 3.2)', () => {
  it('acknowledges what came before at once when the mark changes, with the old state, and goes on with the new', () => {
    const r = receiver('dctcp');
    expect(r.data(ECT0)).toEqual([]);
    expect(r.data(CE)).toEqual([[1, 'A']]);
    expect(r.data(CE)).toEqual([[3, 'AE']]);
    expect(r.data(CE)).toEqual([]);
    expect(r.data(ECT0)).toEqual([[4, 'AE']]);
    expect(r.later()).toEqual([[5, 'A']]);
  });

  it('does not take CWR for an end of the marks', () => {
    const r = receiver('dctcp');
    r.data(CE);
    r.later();
    r.data(CE, 'AW');
    expect(r.later()).toEqual([[2, 'AE']]);
  });

  it('does not change its state for a segment without data', () => {
    const r = receiver('dctcp');
    r.data(CE);
    r.p.send({ flags: 'A', seq: 11, ack: 1, ecn: NOT_ECT });
    r.p.out();
    expect(r.later()).toEqual([[1, 'AE']]);
  });
});
