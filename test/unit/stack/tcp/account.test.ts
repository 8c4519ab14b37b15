import { describe, expect, it } from 'vitest';
import type { Tcpcb } from '../../../../src/stack/tcp/tcpcb.ts';
import { open, pattern, Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../../lab/twostacks.ts';

/** What a connection counts of itself. Header of a frame here: Ethernet 14, IP 20. */
const tcpFlags = (frame: Uint8Array): number => frame[14 + 20 + 13]!;
const payload = (frame: Uint8Array): number => {
  const total = (frame[16]! << 8) | frame[17]!;
  return total - 20 - (frame[14 + 20 + 12]! >> 4) * 4;
};

interface Pair {
  readonly net: TwoStacks;
  readonly a: Recorder;
  readonly b: Recorder;
  readonly ta: Tcpcb;
  readonly tb: Tcpcb;
}

function pair(net: TwoStacks, make = () => new Recorder()): Pair {
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted, make);
  const a = open(net.a, ADDR_B, 80);
  net.run(2_000_000, () => a.has('connected') && accepted[0]?.has('connected') === true);
  const b = accepted[0]!;
  return { net, a, b, ta: a.so!.tp!, tb: b.so!.tp! };
}

describe('a connection counts', () => {
  it('what it sends and what arrives alike on both ends, the SYN of the active one as acknowledged (RFC 4898 ThruOctetsAcked)', () => {
    const p = pair(new TwoStacks());
    p.a.sendAll(pattern(100_000));
    p.net.run(5_000_000, () => p.b.received === 100_000);
    p.b.sendAll(pattern(777));
    p.net.run(2_000_000);
    expect([p.ta.snd_bytes, p.ta.snd_rexmitbytes, p.ta.snd_acked, p.ta.rcv_bytes]).toEqual([100_000, 0, 100_001, 777]);
    expect([p.tb.snd_bytes, p.tb.snd_rexmitbytes, p.tb.snd_acked, p.tb.rcv_bytes]).toEqual([777, 0, 777, 100_000]);
    expect([p.tb.rcv_segs, p.ta.rcv_segs]).toEqual([p.ta.snd_segs, p.tb.snd_segs]);
    expect([p.tb.rcv_datasegs, p.ta.rcv_datasegs]).toEqual([p.ta.snd_datasegs, p.tb.snd_datasegs]);
    expect([p.ta.rcv_maxlen, p.tb.rcv_maxlen]).toEqual([777, 1448]);
  });

  it('every segment that leaves, the handshake and keepalive probes included', () => {
    const net = new TwoStacks({ tune: { tcp_keepidle: 1000, tcp_keepintvl: 1000 } });
    const p = pair(net);
    p.a.so!.setKeepAlive(true, 1000);
    net.run(3_500_000);
    expect(net.sent).toEqual([p.ta.snd_segs, p.tb.snd_segs]);
    expect(p.ta.snd_segs).toBeGreaterThan(4);
  });

  it('payload that goes again apart from what goes first, byte for byte as the wire saw it', () => {
    const net = new TwoStacks({ seed: 3 });
    const p = pair(net);
    let sent = 0;
    let nth = 0;
    net.filter = (frame, to) => {
      if (to !== 1 || payload(frame) === 0) return [0];
      sent += payload(frame);
      return ++nth % 17 === 5 ? [] : [0];
    };
    p.a.sendAll(pattern(300_000));
    net.run(60_000_000, () => p.b.received === 300_000);
    net.run(2_000_000);
    expect(p.ta.snd_bytes).toBe(300_000);
    expect(p.ta.snd_rexmitbytes).toBe(sent - 300_000);
    expect(p.ta.snd_datasegs).toBe(nth);
    expect(p.tb.rcv_oopack).toBeGreaterThan(0);
    expect(p.tb.rcv_bytes).toBe(300_000);
  });

  it('a window probe as new data once, and what follows from behind it not as sent again (RFC 9293 section 3.8.6.1)', () => {
    const net = new TwoStacks({ tuneB: { tcp_recvspace: 8000, tcp_recvbuf_auto: 0 } });
    const p = pair(net, () => {
      const r = new Recorder();
      r.appetite = 0;
      return r;
    });
    p.a.sendAll(pattern(50_000));
    net.run(20_000_000);
    p.b.appetite = Number.POSITIVE_INFINITY;
    p.b.so!.resume();
    net.run(60_000_000, () => p.b.received === 50_000);
    net.run(2_000_000);
    expect(p.b.received).toBe(50_000);
    expect(p.ta.snd_bytes).toBe(50_000);
    expect(p.ta.snd_acked).toBe(50_001);
  });

  it("nearly all of the time at a shut window as limited by the peer's window, and none at rest", () => {
    const net = new TwoStacks({ tuneB: { tcp_recvspace: 8000, tcp_recvbuf_auto: 0 } });
    const p = pair(net, () => {
      const r = new Recorder();
      r.appetite = 0;
      return r;
    });
    net.run(3_000_000);
    expect([p.ta.t_busytime, p.ta.t_rwndtime, p.ta.t_sndbuftime, p.ta.t_chrono]).toEqual([0, 0, 0, 0]);
    p.a.sendAll(pattern(9000));
    net.run(10_000_000);
    p.b.appetite = Number.POSITIVE_INFINITY;
    p.b.so!.resume();
    net.run(10_000_000, () => p.b.received === 9000);
    net.run(5_000_000);
    expect(p.ta.t_chrono).toBe(0);
    expect(p.ta.t_rwndtime).toBeGreaterThan(9_900);
    expect(p.ta.t_rwndtime + p.ta.t_busytime).toBeLessThan(10_200);
  });

  it('the time in which the send buffer held too little for the window as limited by it', () => {
    const net = new TwoStacks({ delayUs: 50_000, tune: { tcp_sendspace: 8000, tcp_sendbuf_auto: 0 } });
    const p = pair(net);
    p.a.sendAll(pattern(100_000));
    net.run(60_000_000, () => p.b.received === 100_000);
    net.run(2_000_000);
    // A buffer's worth each 100 ms; in slow start the congestion window held it back at first, if at all.
    expect(p.ta.t_sndbuftime).toBeGreaterThan(0.8 * (p.ta.t_busytime + p.ta.t_sndbuftime));
    expect(p.ta.t_rwndtime).toBe(0);
  });

  it('no reordering where everything arrives in order, whatever the initial sequence number is (RFC 8985 section 6.2)', () => {
    const net = new TwoStacks();
    const accepted: Recorder[] = [];
    serve(net.b, 80, accepted);
    const both = { below: 0, above: 0 };
    for (let i = 0; i < 24; i++) {
      const a = open(net.a, ADDR_B, 80);
      net.run(1_000_000, () => a.has('connected'));
      a.sendAll(pattern(20_000));
      net.run(1_000_000);
      const tp = a.so!.tp!;
      if (tp.iss < 0) both.below++;
      else both.above++;
      expect([tp.iss, tp.rack_reordering, tp.t_reord_seen]).toEqual([tp.iss, false, 0]);
    }
    expect(Math.min(both.below, both.above)).toBeGreaterThan(0);
  });

  it('segments that arrive late as reordering (RFC 8985 section 6.2 step 3)', () => {
    const net = new TwoStacks({ delayUs: 5000 });
    const p = pair(net);
    let n = 0;
    // The last but one of the first flight comes 1 ms late, within the reordering window of a quarter of 10 ms.
    net.filter = (frame, to) => {
      if (to !== 1 || payload(frame) === 0) return [0];
      n++;
      return n === 9 ? [1000] : [0];
    };
    p.a.sendAll(pattern(30_000));
    net.run(5_000_000, () => p.b.received === 30_000);
    net.run(2_000_000);
    expect(p.ta.t_reord_seen).toBe(1);
  });

  it('marks that came, and what was delivered by ACKs that echoed some (RFC 3168 section 6.1)', () => {
    const net = new TwoStacks({ tune: { tcp_ecn_enable: 1 } });
    const p = pair(net);
    let n = 0;
    net.filter = (frame, to) => {
      // CE on one data segment: the IP header's checksum is brought up to date (RFC 1624).
      if (to === 1 && payload(frame) > 0 && ++n === 3) mark(frame);
      return [0];
    };
    p.a.sendAll(pattern(60_000));
    net.run(5_000_000, () => p.b.received === 60_000);
    net.run(1_000_000);
    expect([p.ta.t_ecnseen, p.tb.t_ecnseen]).toEqual([false, true]);
    expect(p.ta.t_delivered_ce).toBeGreaterThan(0);
    expect(p.ta.t_delivered_ce).toBeLessThan(60_000);
    expect(p.tb.t_delivered_ce).toBe(0);
  });
});

function mark(frame: Uint8Array): void {
  const was = frame[15]!;
  frame[15] = was | 3;
  let sum = ((frame[24]! << 8) | frame[25]!) ^ 0xffff;
  sum += (~was & 0xffff) + frame[15]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum ^= 0xffff;
  frame[24] = sum >>> 8;
  frame[25] = sum & 0xff;
  expect(tcpFlags(frame)).toBeGreaterThan(0);
}
