import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';

/** What happens at the bounds of queues and tables. */

const MSS = 1460;

describe('a fast retransmission that finds no room', () => {
  /** A connection with ten segments in flight and nothing but duplicate ACKs coming. */
  function sender() {
    const p = new ScriptedPeer({ tune: { tcp_rfc3042: 0 } });
    const { rec, so } = p.establish({ wscale: 7, mss: MSS });
    rec.sendAll(pattern(100_000));
    p.host.pass();
    expect(p.out()).toHaveLength(10);
    return { p, tp: so.tp! };
  }

  it('on a half full interface queue is made up for by the retransmission timer (RFC 6298 section 5.1)', () => {
    const { p, tp } = sender();
    p.host.link.txSlots = 0;
    for (let i = 0; i < 600; i++) {
      const m = p.host.pool.get()!;
      m.len = 60;
      p.host.ifp.ifq.enqueue(m, false);
    }
    for (let i = 0; i < 3; i++) p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.host.count('tcps_sndrexmitfast')).toBe(1);
    expect(p.host.count('tcps_ackretry_nobufs')).toBe(1);
    expect(tp.t_rexmt.armed).toBe(true);
    p.host.link.txSlots = 1024;
    p.host.pass();
    p.out();
    p.advance(1_500_000);
    expect(p.out().map((o) => [o.seq, o.len])).toContainEqual([1, MSS]);
  });

  it('is tried again when frames have come back, and the timer runs meanwhile', () => {
    const { p, tp } = sender();
    const held = [];
    p.host.pass();
    while (p.host.pool.available > 0) held.push(p.host.pool.get()!);
    p.advance(tp.t_rxtcur + 1000);
    expect(p.host.count('tcps_sndnobufs')).toBeGreaterThan(0);
    expect(tp.t_rexmt.armed).toBe(true);
    expect(p.out()).toEqual([]);
    for (const m of held) p.host.pool.put(m);
    p.advance(10_000);
    expect(p.out().map((o) => [o.seq, o.len])).toContainEqual([1, MSS]);
  });
});

describe('the accept queue', () => {
  it('holds one and a half backlogs; a handshake that ends beyond stays open and gets in later', () => {
    const p = new ScriptedPeer();
    let ready = false;
    const recs: Recorder[] = [];
    const l = listen(p.host.st, { port: 80, backlog: 2 }, (so) => {
      if (!ready) return null;
      const r = new Recorder();
      r.so = so;
      recs.push(r);
      return r;
    });
    // All SYNs come before any handshake ends.
    const iss: number[] = [];
    for (let i = 0; i < 6; i++) {
      p.send({ flags: 'S', mss: MSS, sport: 2000 + i });
      p.one();
      iss.push(p.iss);
    }
    for (let i = 0; i < 6; i++) {
      p.iss = iss[i]!;
      p.send({ flags: 'A', seq: 1, ack: 1, sport: 2000 + i });
    }
    // 2 * 1.5 = 3 and one more, as BSD counts.
    expect(l.qlen).toBe(4);
    expect(p.out()).toEqual([]);
    expect(p.host.count('tcps_listen_overflow')).toBe(2);
    expect(p.host.st.tcp.syncache.count).toBe(2);
    ready = true;
    l.resume();
    for (let i = 4; i < 6; i++) {
      p.iss = iss[i]!;
      p.send({ flags: 'A', seq: 1, ack: 1, data: [i], sport: 2000 + i });
    }
    expect(recs).toHaveLength(6);
    expect([...recs[5]!.bytes]).toEqual([5]);
    expect(p.host.count('tcps_accepts')).toBe(6);
  });
});

describe('the SYN cache (RFC 4987 section 3.4), without SYN cookies', () => {
  it('evicts the oldest handshake of a full bucket, and keeps the newest', () => {
    const p = new ScriptedPeer({ tune: { tcp_syncookies: 0, tcp_syncache_bucketlimit: 3 } });
    p.listen();
    for (let i = 0; i < 5000; i++) {
      p.send({ flags: 'S', mss: MSS, sport: 1024 + i });
      p.out();
    }
    const count = p.host.st.tcp.syncache.count;
    expect(count).toBeLessThanOrEqual(3 * p.host.st.tune.tcp_syncache_hashsize);
    expect(p.host.count('tcps_sc_bucketoverflow') + count).toBe(5000);
    // The last SYN,ACK can still be answered.
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 1024 + 4999 });
    expect(p.accepted).toHaveLength(1);
    // Of four in a bucket for three the first cannot be answered any more, the second can.
    const one = new ScriptedPeer({
      tune: { tcp_syncookies: 0, tcp_syncache_bucketlimit: 3, tcp_syncache_hashsize: 1 },
    }).listen();
    const iss = [0, 1, 2, 3].map((i) => {
      one.send({ flags: 'S', mss: MSS, sport: 2000 + i });
      one.out();
      return one.iss;
    });
    for (const [i, accepted] of [
      [0, 0],
      [1, 1],
    ] as const) {
      one.iss = iss[i]!;
      one.send({ flags: 'A', seq: 1, ack: 1, sport: 2000 + i });
      expect(one.accepted).toHaveLength(accepted);
    }
  });

  it('holds no more handshakes than net.inet.tcp.syncache.cachelimit', () => {
    const p = new ScriptedPeer({ tune: { tcp_syncookies: 0, tcp_syncache_cachelimit: 10 } }).listen();
    for (let i = 0; i < 100; i++) p.send({ flags: 'S', mss: MSS, sport: 1024 + i });
    expect(p.host.st.tcp.syncache.count).toBe(10);
    expect(p.host.count('tcps_sc_overflowed')).toBe(90);
    p.advance(30_000_000);
    expect(p.host.st.tcp.syncache.count).toBe(0);
    expect(p.host.count('tcps_sc_timed_out')).toBe(10);
  });
});
