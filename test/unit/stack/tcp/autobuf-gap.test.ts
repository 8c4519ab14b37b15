import { describe, expect, it } from 'vitest';
import type { Tunables } from '../../../../src/stack/sysctl.ts';
import { recvbufAutosize, sendbufAutosize } from '../../../../src/stack/tcp/tcp-autobuf.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern } from '../../../lab/tcpuser.ts';

/** Buffers that grow with the path (tcp(4): sendbuf_auto, recvbuf_auto). */

const MSS = 1460;
const RTT = 100_000;

/** An established connection without timestamps; round trips are told by the clock. */
function connection(tune: Partial<Tunables> = {}) {
  const p = new ScriptedPeer({ tune });
  const { rec, so } = p.establish({ wscale: 7, mss: MSS, win: 60_000 });
  return { p, rec, so, tp: so.tp! };
}

describe('the receive buffer', () => {
  /** Limit after some round trips in each of which `share` of it came, with a segment missing or not. */
  function limit(share: number, gap: boolean): { before: number; after: number } {
    const { p, so, tp } = connection();
    const before = so.so_rcv.sb_hiwat;
    if (gap) p.send({ flags: 'A', seq: 1 + MSS, ack: 1, data: pattern(MSS) });
    p.out();
    for (let i = 0; i < 4; i++) {
      p.advance(2 * RTT);
      recvbufAutosize(tp, Math.round(share * before));
    }
    return { before, after: so.so_rcv.sb_hiwat };
  }

  it('grows when nearly all of it comes within a round trip', () => {
    const { before, after } = limit(0.95, false);
    expect(after).toBeGreaterThan(before);
  });

  it('holds what comes until a gap is closed: two round trips and more, as a retransmission may be lost too', () => {
    const { before, after } = limit(0.5, true);
    expect(after).toBeGreaterThanOrEqual(4 * Math.round(0.5 * before));
    expect(after).toBeLessThan(4 * (0.5 * before + 2 * MSS));
  });

  it('does not grow for less where nothing is missing', () => {
    const { before, after } = limit(0.5, false);
    expect(after).toBe(before);
  });
});

describe('the send buffer', () => {
  it('has room for a window beside what is kept because of a gap', () => {
    const { rec, so, tp } = connection();
    rec.sendAll(pattern(200_000));
    const { so_snd } = so;
    // Twice the window is in flight or SACKed, and the buffer is full of it.
    tp.snd_cwnd = so_snd.sb_hiwat >> 1;
    tp.snd_wnd = 4 * so_snd.sb_hiwat;
    const held = so_snd.sb_cc;
    tp.snd_nxt = (tp.snd_una + held) | 0;
    sendbufAutosize(tp);
    expect(so_snd.sb_hiwat).toBeGreaterThanOrEqual(held + tp.snd_cwnd);
  });

  it('tells its user of room at once where all it holds is in flight, and of a quarter where enough waits', () => {
    for (const [cwnd, acks] of [
      [100, 1],
      [10, 8],
    ] as const) {
      const { p, so, tp } = connection({ tcp_sendbuf_auto: 0 });
      let told = false;
      const writable = () => {
        told = true;
      };
      so.handler = { connected() {}, data: () => 0, writable, end() {}, closed() {} };
      so.so_snd.sb_hiwat = 30 * MSS;
      tp.snd_cwnd = cwnd * MSS;
      tp.snd_wnd = 100 * MSS;
      expect(so.send(pattern(40 * MSS), 0, 40 * MSS)).toBe(30 * MSS);
      p.host.pass();
      expect(p.out()).toHaveLength(cwnd < 30 ? cwnd : 30);
      let n = 0;
      while (!told && n < 20) {
        n++;
        p.send({ flags: 'A', seq: 1, ack: 1 + n * MSS, win: 1000 });
        p.out();
      }
      expect(n, `window of ${cwnd}`).toBe(acks);
    }
  });
});
