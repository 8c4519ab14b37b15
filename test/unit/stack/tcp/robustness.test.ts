import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';

const MS = 1000;

describe('blind attacks (RFC 5961)', () => {
  it('resets only on the exact next number (section 3.2)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish();
    p.send({ flags: 'R', seq: 100 });
    expect(p.one().flags).toBe('A');
    expect(p.host.count('tcps_badrstack')).toBe(1);
    p.send({ flags: 'R', seq: 3_000_000 });
    expect(p.out()).toEqual([]);
    expect(p.host.count('tcps_badrst')).toBe(1);
    p.send({ flags: 'R', seq: 1 });
    expect(rec.events).toEqual(['connected', 'closed 104']);
  });

  it('answers a SYN in a synchronised state with a challenge ACK, whatever its number (section 4.2)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish();
    p.send({ flags: 'S', seq: 50 });
    expect(p.one().flags).toBe('A');
    p.send({ flags: 'S', seq: -70_000 });
    expect(p.one().flags).toBe('A');
    expect(p.host.count('tcps_synchallenge')).toBe(2);
    expect(rec.events).toEqual(['connected']);
  });

  it('does not take an ACK older than any window or newer than what was sent (section 5.2)', () => {
    const p = new ScriptedPeer();
    p.establish();
    p.send({ flags: 'A', seq: 1, ack: 1000, data: [1] });
    expect(p.one().ack).toBe(1);
    expect(p.host.count('tcps_rcvacktoomuch')).toBe(1);
    p.send({ flags: 'A', seq: 1, ack: -200_000, data: [1] });
    expect(p.one().ack).toBe(1);
    expect(p.host.count('tcps_rcvacktooold')).toBe(1);
  });

  it('sends at most net.inet.tcp.ack_war_cnt challenge ACKs in a time window (section 7)', () => {
    const p = new ScriptedPeer();
    p.establish();
    for (let i = 0; i < 8; i++) p.send({ flags: 'S', seq: 50 });
    expect(p.out().length).toBe(5);
    expect(p.host.count('tcps_challengelimited')).toBe(3);
    p.advance(1100 * MS);
    p.send({ flags: 'S', seq: 50 });
    expect(p.out().length).toBe(1);
  });

  it('counts them anew after net.inet.tcp.ack_war_timewindow', () => {
    const p = new ScriptedPeer({ tune: { tcp_ack_war_timewindow: 5000 } });
    p.establish();
    const answers = (): number => {
      for (let i = 0; i < 8; i++) p.send({ flags: 'S', seq: 50 });
      return p.out().length;
    };
    p.advance(6000 * MS);
    expect(answers()).toBe(5);
    p.advance(4900 * MS);
    expect(answers()).toBe(0);
    p.advance(200 * MS);
    expect(answers()).toBe(5);
  });

  it('limits the challenge ACKs of a handshake in the same way (section 7)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460, wscale: 7, ts: [1000, 0] });
    const synack = p.one();
    for (let i = 0; i < 8; i++) p.send({ flags: 'R', seq: 50 });
    const out = p.out();
    expect(out.map((o) => o.flags)).toEqual(['A', 'A', 'A', 'A', 'A']);
    // What a peer that negotiated timestamps and scaling takes: an echo, and the window that the SYN,ACK offered.
    expect(out[0]!.ts).toEqual([synack.ts![0], 1000]);
    expect(out[0]!.win << synack.wscale!).toBeGreaterThan(65535 - (1 << synack.wscale!));
    expect(out[0]!.win << synack.wscale!).toBeLessThanOrEqual(65535);
    expect(p.host.count('tcps_challengelimited')).toBe(3);
  });

  it('sends any number of them with net.inet.tcp.ack_war_cnt 0', () => {
    const p = new ScriptedPeer({ tune: { tcp_ack_war_cnt: 0 } });
    p.establish();
    for (let i = 0; i < 20; i++) p.send({ flags: 'S', seq: 50 });
    expect(p.out().length).toBe(20);
  });
});

describe('timestamps (RFC 7323)', () => {
  it('drops a segment whose timestamp is older than the last one, and acknowledges it (section 5.3 R1)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish({ ts: [1000, 0] });
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1], ts: [2000, 0] });
    p.send({ flags: 'A', seq: 2, ack: 1, data: [2], ts: [1500, 0] });
    expect([...rec.bytes]).toEqual([1]);
    expect(p.out().at(-1)!.ack).toBe(2);
    expect(p.host.count('tcps_pawsdrop')).toBe(1);
  });

  it('drops a segment without the negotiated timestamp (section 3.2)', () => {
    const p = new ScriptedPeer({ tune: { tcp_tolerate_missing_ts: 0 } });
    const { rec } = p.establish({ ts: [1000, 0] });
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1] });
    expect(rec.received).toBe(0);
    expect(p.host.count('tcps_rcvnots')).toBe(1);
  });

  it('does not believe ts_recent after 24 days without a segment (section 5.5)', () => {
    const p = new ScriptedPeer({ tune: { tcp_always_keepalive: 0 } });
    const { rec } = p.establish({ ts: [1000, 0] });
    p.host.clock.advance(24 * 86_400 * 1_000_000 + 1_000_000);
    p.host.pass();
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1], ts: [500, 0] });
    expect(rec.received).toBe(1);
  });

  it('echoes the timestamp of the segment that it acknowledges first (section 4.3)', () => {
    const p = new ScriptedPeer();
    p.establish({ ts: [1000, 0] });
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1], ts: [2000, 0] });
    p.send({ flags: 'A', seq: 2, ack: 1, data: [2], ts: [2010, 0] });
    expect(p.out().at(-1)!.ts![1]).toBe(2000);
  });

  it('scales the windows by the shifts of the SYNs, those of the SYNs themselves not (section 2.2)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish({ wscale: 2, win: 100 });
    // 100 in the handshake's ACK means 400.
    rec.sendAll(pattern(1000));
    p.host.pass();
    expect(p.out().reduce((n, o) => n + o.len, 0)).toBe(400);
  });
});

describe('initial sequence numbers (RFC 6528)', () => {
  it('differ between flows by more than the clock, and move with the clock on one flow', () => {
    const iss = (sport: number, ms: number): number => {
      const p = new ScriptedPeer({ sport }).listen();
      p.host.clock.advance(ms * MS);
      p.host.pass();
      p.out();
      p.send({ flags: 'S', mss: 1460 });
      p.one();
      return p.iss;
    };
    expect((iss(40000, 1000) - iss(40000, 0)) >>> 0).toBe(250_000);
    expect(Math.abs((iss(40001, 0) - iss(40000, 0)) | 0)).toBeGreaterThan(1_000_000);
  });
});

describe('keepalive (RFC 9293 section 3.8.4)', () => {
  it('probes after keepidle with the number before the window, and drops after keepcnt probes without an answer', () => {
    const p = new ScriptedPeer({ tune: { tcp_keepidle: 10_000, tcp_keepintvl: 1000, tcp_keepcnt: 3 } });
    const { rec } = p.establish();
    p.advance(9_900 * MS);
    expect(p.out()).toEqual([]);
    p.advance(200 * MS);
    const probe = p.one();
    expect([probe.seq, probe.ack, probe.len]).toEqual([0, 1, 0]);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    p.advance(9_000 * MS);
    expect(p.out()).toEqual([]);
    p.advance(5_000 * MS);
    expect(p.out().filter((o) => o.flags === 'A').length).toBe(3);
    expect(rec.events).toEqual(['connected', 'closed 110']);
    expect(p.host.count('tcps_keepdrops')).toBe(1);
  });

  it('answers a probe of the peer', () => {
    const p = new ScriptedPeer();
    p.establish();
    p.send({ flags: 'A', seq: 0, ack: 1 });
    expect(p.one().ack).toBe(1);
  });
});

describe('the total of segments sent, as OpenBSD counts it', () => {
  it('leaves out RSTs, keepalive probes and SYN,ACKs that the timer sends again, which have counters of their own', () => {
    const closed = new ScriptedPeer();
    closed.send({ flags: 'S' });
    expect(closed.one().flags).toBe('RA');
    expect(closed.host.count('tcps_sndtotal')).toBe(0);
    expect(closed.host.count('tcps_sndrst')).toBe(1);

    const idle = new ScriptedPeer({ tune: { tcp_keepidle: 10_000 } });
    idle.establish();
    const before = [idle.host.count('tcps_sndtotal'), idle.host.count('tcps_sndacks')];
    idle.advance(10_100 * MS);
    expect(idle.host.count('tcps_keepprobe')).toBe(1);
    expect([idle.host.count('tcps_sndtotal'), idle.host.count('tcps_sndacks')]).toEqual(before);

    const silent = new ScriptedPeer({ tune: { tcp_rexmit_initial: 1000 } }).listen();
    silent.send({ flags: 'S', mss: 1460 });
    silent.advance(1_500 * MS);
    expect(silent.out().map((s) => s.flags)).toEqual(['SA', 'SA']);
    expect(silent.host.count('tcps_sc_retransmitted')).toBe(1);
    expect([silent.host.count('tcps_sndtotal'), silent.host.count('tcps_sndacks')]).toEqual([1, 1]);
  });
});

describe('limits', () => {
  it('keeps no more segments out of order than net.inet.tcp.reass.maxqueuelen and counts the rest', () => {
    const p = new ScriptedPeer({ tune: { tcp_reass_maxqueuelen: 4 } });
    p.establish();
    for (let i = 0; i < 6; i++) p.send({ flags: 'A', seq: 11 + 20 * i, ack: 1, data: [1] });
    expect(p.host.count('tcps_reassfull')).toBe(2);
    expect(p.host.count('tcps_rcvoopack')).toBe(4);
  });

  it('lets connections wait for a listener that is not ready, and hands them over with what they sent meanwhile', () => {
    const p = new ScriptedPeer();
    let ready = false;
    const recs: Recorder[] = [];
    p.listener = listen(p.host.st, { port: 80, backlog: 1 }, (so) => {
      if (!ready) return null;
      const r = new Recorder();
      r.so = so;
      recs.push(r);
      return r;
    });
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [7] });
    expect(p.listener.qlen).toBe(1);
    ready = true;
    p.listener.resume();
    expect(recs.length).toBe(1);
    expect([...recs[0]!.bytes]).toEqual([7]);
  });

  it('answers at most net.inet.icmp.icmplim closed-port segments a second with RST', () => {
    const p = new ScriptedPeer({ tune: { icmp_icmplim: 3 } });
    for (let i = 0; i < 5; i++) p.send({ flags: 'S', seq: i });
    expect(p.out().length).toBe(3);
    expect(p.host.count('tcps_rstlimited')).toBe(2);
  });

  it('raises an MSS offer under net.inet.tcp.minmss (216)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish({ mss: 10 });
    rec.sendAll(pattern(400));
    p.host.pass();
    expect(p.out()[0]!.len).toBe(216);
    expect(p.host.count('tcps_minmss')).toBe(1);
  });

  it('uses 536 bytes when the peer offers no MSS (RFC 9293 section 3.7.1)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S' });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    p.accepted[0]!.sendAll(pattern(2000));
    p.host.pass();
    expect(p.out()[0]!.len).toBe(536);
  });
});
