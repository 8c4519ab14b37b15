import { describe, expect, it } from 'vitest';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { Sender } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const MSS = 1460;
/** Defaults of net.inet.tcp.sendspace and recvspace, rounded up to whole segments. */
const SNDSPACE = Math.ceil(32768 / MSS) * MSS;
const RCVSPACE = Math.ceil(65536 / MSS) * MSS;

describe('the send buffer (net.inet.tcp.sendbuf_auto)', () => {
  const sender = (tune = {}) => {
    const s = new Sender({ tune: { tcp_tlp: 0, tcp_sendspace: 32768, ...tune } });
    s.write(200);
    s.sent();
    return s;
  };

  it('grows where the congestion window needs more than it holds', () => {
    const s = sender();
    // Twice ten segments are less than the 23 that it holds.
    expect(s.so.so_snd.sb_hiwat).toBe(SNDSPACE);
    s.wait(100).ack(2).ack(4).ack(6).ack(8);
    s.p.host.pass();
    expect(s.so.so_snd.sb_hiwat).toBeGreaterThan(SNDSPACE);
    expect(s.so.so_snd.sb_hiwat).toBeGreaterThanOrEqual(2 * s.tp.snd_cwnd - 2 * MSS);
  });

  it('grows by net.inet.tcp.sendbuf_inc at least', () => {
    const s = sender({ tcp_sendbuf_inc: 500_000 });
    s.wait(100).ack(2).ack(4).ack(6).ack(8);
    s.p.host.pass();
    expect(s.so.so_snd.sb_hiwat).toBe(SNDSPACE + 500_000);
  });

  it('grows no further than net.inet.tcp.sendbuf_max', () => {
    const s = sender({ tcp_sendbuf_max: 40_000 });
    for (let n = 1; n <= 20; n++) s.wait(10).ack(n);
    expect(s.so.so_snd.sb_hiwat).toBe(40_000);
  });

  it('stays with net.inet.tcp.sendbuf_auto 0', () => {
    const s = sender({ tcp_sendbuf_auto: 0 });
    for (let n = 1; n <= 20; n++) s.wait(10).ack(n);
    expect(s.so.so_snd.sb_hiwat).toBe(SNDSPACE);
  });

  it('stays where the application has set it', () => {
    const s = new Sender({ tune: { tcp_tlp: 0, tcp_sendspace: 32768 } });
    s.so.setBuffers(32768, 65536);
    s.write(200);
    for (let n = 1; n <= 20; n++) s.wait(10).ack(n);
    expect(s.so.so_snd.sb_hiwat).toBe(32768);
  });

  it('stays where the window of the peer is what holds the sender', () => {
    // 200 * 128 bytes: 17 segments.
    const s = new Sender({ win: 200, tune: { tcp_tlp: 0, tcp_sendspace: 60_000 } });
    const hiwat = s.so.so_snd.sb_hiwat;
    s.write(200);
    for (let n = 1; n <= 30; n++) s.wait(10).ack(n);
    expect(s.so.so_snd.sb_hiwat).toBe(hiwat);
  });
});

describe('the receive buffer (net.inet.tcp.recvbuf_auto)', () => {
  /** A connection with a round trip of 100 ms; `burst(n)` receives n segments at once. */
  const receiver = (tune = {}) => {
    const p = new ScriptedPeer({ tune });
    p.listen().send({ flags: 'S', mss: MSS, wscale: 7 });
    p.advance(100_000);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    const rec = p.accepted[0]!;
    let seq = 1;
    const burst = (n: number) => {
      for (let i = 0; i < n; i++) {
        p.send({ flags: 'A', seq, ack: 1, data: pattern(MSS) });
        seq += MSS;
      }
      p.advance(101_000);
    };
    return { p, rec, burst, rcv: rec.so!.so_rcv };
  };

  it('grows when more than seven eighths of it come in a round trip', () => {
    const r = receiver();
    expect(r.rcv.sb_hiwat).toBe(RCVSPACE);
    // 57488 of 65700 bytes are seven eighths.
    r.burst(40);
    r.burst(1);
    expect(r.rcv.sb_hiwat).toBeGreaterThanOrEqual(2 * RCVSPACE);
  });

  it('stays when less comes', () => {
    const r = receiver();
    for (let i = 0; i < 10; i++) r.burst(35);
    expect(r.rcv.sb_hiwat).toBe(RCVSPACE);
  });

  it('stays when the user does not take what has come', () => {
    const r = receiver();
    r.rec.appetite = 0;
    r.burst(42);
    r.burst(1);
    expect(r.rcv.sb_hiwat).toBe(RCVSPACE);
  });

  it('grows no further than net.inet.tcp.recvbuf_max', () => {
    const r = receiver({ tcp_recvbuf_max: 100_000 });
    for (let i = 0; i < 4; i++) r.burst(42);
    expect(r.rcv.sb_hiwat).toBe(100_000);
  });

  it('stays with net.inet.tcp.recvbuf_auto 0', () => {
    const r = receiver({ tcp_recvbuf_auto: 0 });
    for (let i = 0; i < 4; i++) r.burst(42);
    expect(r.rcv.sb_hiwat).toBe(RCVSPACE);
  });

  it('does not take back what was offered (RFC 9293 section 3.8.6, SHLD-14)', () => {
    const r = receiver();
    r.rec.appetite = 0;
    let edge = 0;
    // 700 bytes of 65700 are left at the end: less than a segment, but they were offered.
    for (let i = 0; i < 65; i++) {
      r.p.send({ flags: 'A', seq: 1 + 1000 * i, ack: 1, data: pattern(1000) });
      r.p.advance(50_000);
      for (const o of r.p.out()) {
        // The shift is that which lets 2 MiB be offered: 6.
        const right = o.ack + (o.win << 6);
        expect(right + 64).toBeGreaterThan(edge);
        edge = Math.max(edge, right);
      }
    }
    expect(edge).toBeGreaterThan(65_000);
  });
});
