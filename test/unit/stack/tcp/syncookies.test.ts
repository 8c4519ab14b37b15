import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { TCPS_ESTABLISHED } from '../../../../src/stack/tcp/tcp-fsm.ts';
import { TF_SACK_PERMIT, TF2_ECN_PERMIT } from '../../../../src/stack/tcp/tcpcb.ts';
import { checksum, ether, ip4, ipv4, mac, u16 } from '../../../lab/frames.ts';
import { ScriptedPeer, type Seg } from '../../../lab/segments.ts';
import { open, pattern, Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../../lab/twostacks.ts';

/**
 * SYN cookies (RFC 4987 section 3.6). What a cookie holds and how long it is good are FreeBSD's figures: tcp_sc_msstab, tcp_sc_wstab and the
 * comment above them in sys/netinet/tcp_syncache.c.
 */

const S = 1_000_000;
const MSS = 1460;
const ONLY = { tcp_syncookies_only: 1 };
/** A cache of one handshake. */
const ONE = { tcp_syncache_bucketlimit: 1, tcp_syncache_hashsize: 1 };

/** SYN and the answer to it: the peer knows our number then. */
function syn(p: ScriptedPeer, o: Partial<Seg> = {}) {
  p.send({ flags: 'S', mss: MSS, ...o });
  return p.one();
}

describe('a SYN cookie', () => {
  it('leaves nothing behind until its ACK comes: no entry, no block, no timer (net.inet.tcp.syncookies_only)', () => {
    const p = new ScriptedPeer({ tune: ONLY }).listen();
    const timers = p.host.st.wheel.size;
    expect(syn(p).flags).toBe('SA');
    expect(p.host.st.tcp.syncache.count).toBe(0);
    expect(p.host.st.tcp.tcb.count).toBe(0);
    expect(p.host.st.wheel.size).toBe(timers);
    p.advance(10 * S);
    expect(p.out()).toEqual([]);
    p.send({ flags: 'A', seq: 1, ack: 1, data: [7, 8, 9] });
    expect([...p.accepted[0]!.bytes]).toEqual([7, 8, 9]);
    expect(p.accepted[0]!.so!.tp!.t_state).toBe(TCPS_ESTABLISHED);
    expect(p.host.count('tcps_sc_sendcookie')).toBe(1);
    expect(p.host.count('tcps_sc_recvcookie')).toBe(1);
    expect(p.host.count('tcps_sc_added')).toBe(0);
    expect(p.host.count('tcps_sc_completed')).toBe(1);
    expect(p.host.count('tcps_accepts')).toBe(1);
  });

  it.each([
    [9000, 1460],
    [1460, 1460],
    [1459, 1452],
    [1440, 1440],
    [1439, 1400],
    [1399, 1360],
    [1300, 1200],
    [1199, 536],
    [535, 216],
    [undefined, 536],
  ])('of a peer whose MSS is %s remembers %i', (mss, kept) => {
    const p = new ScriptedPeer({ tune: ONLY, mtu: 3000 }).listen();
    p.send({ flags: 'S', ...(mss === undefined ? {} : { mss }) });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted[0]!.so!.tp!.t_maxseg).toBe(kept);
  });

  it.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 4],
    [5, 4],
    [6, 6],
    [7, 7],
    [8, 8],
    [14, 8],
  ])('of a peer that shifts its window by %i remembers %i', (wscale, kept) => {
    const p = new ScriptedPeer({ tune: ONLY }).listen();
    expect(syn(p, { wscale }).wscale).toBe(6);
    p.send({ flags: 'A', seq: 1, ack: 1, win: 1000 });
    const tp = p.accepted[0]!.so!.tp!;
    expect([tp.snd_scale, tp.rcv_scale, tp.snd_wnd]).toEqual([kept, 6, 1000 << kept]);
  });

  it('remembers that the peer did not offer window scaling nor SACK, and that it did', () => {
    for (const [o, scale, sack] of [
      [{}, 0, 0],
      [{ sackok: true }, 0, TF_SACK_PERMIT],
      [{ wscale: 7 }, 6, 0],
    ] as const) {
      const p = new ScriptedPeer({ tune: ONLY }).listen();
      syn(p, o);
      p.send({ flags: 'A', seq: 1, ack: 1 });
      const tp = p.accepted[0]!.so!.tp!;
      expect([tp.rcv_scale, tp.t_flags & TF_SACK_PERMIT]).toEqual([scale, sack]);
    }
  });

  it('goes on with timestamps where the ACK shows them, on the clock that its SYN,ACK showed', () => {
    const p = new ScriptedPeer({ tune: ONLY }).listen();
    const ours = syn(p, { ts: [100, 0], wscale: 7 }).ts!;
    expect(ours[1]).toBe(100);
    p.advance(3 * S);
    p.send({ flags: 'A', seq: 1, ack: 1, ts: [3100, ours[0]], data: [1] });
    p.accepted[0]!.sendAll(pattern(10));
    p.host.pass();
    expect(p.out().at(-1)!.ts).toEqual([ours[0] + 3000, 3100]);
    const none = new ScriptedPeer({ tune: ONLY }).listen();
    expect(syn(none).ts).toBeUndefined();
    none.send({ flags: 'A', seq: 1, ack: 1, data: [1] });
    none.accepted[0]!.sendAll(pattern(10));
    none.host.pass();
    expect(none.out().at(-1)!.ts).toBeUndefined();
  });

  it('agrees to no ECN, which it could not remember: the SYN,ACK is without ECE, and the connection without marks', () => {
    const p = new ScriptedPeer({ tune: { ...ONLY, tcp_ecn_enable: 1 } }).listen();
    expect(syn(p, { flags: 'SEW' }).flags).toBe('SA');
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted[0]!.so!.tp!.t_flags2 & TF2_ECN_PERMIT).toBe(0);
    p.accepted[0]!.sendAll(pattern(10));
    p.host.pass();
    expect(p.out().map((o) => o.ecn)).toEqual([0]);
  });

  it.each([
    ['another number than the one given', { ack: 2 }],
    ['a number off in the bits that are not signed', { ack: 1 + 4 }],
    ['another first number of the peer', { seq: 2 }],
    ['another port', { sport: 40001 }],
    ['another address', { src: '192.0.2.3' }],
  ])('is refused, with a RST, for %s', (_what, o) => {
    const p = new ScriptedPeer({ tune: ONLY }).listen();
    p.host.st.arp.learn(p.host.ifp, 0xc0000203 | 0, 0x0200, 3);
    syn(p);
    p.send({ flags: 'A', seq: 1, ack: 1, ...o });
    expect(p.one().flags).toBe('R');
    expect(p.accepted).toHaveLength(0);
    expect(p.host.count('tcps_sc_failcookie')).toBe(1);
    expect(p.host.count('tcps_sc_recvcookie')).toBe(0);
  });

  it('is good for the rest of its 15 s and for the next 15 s, and not after', () => {
    // The clock of the test begins at 1 s.
    for (const [made, answered, good] of [
      [0, 28.9, true],
      [0, 29.1, false],
      [13.9, 28.9, true],
      [13.9, 29.1, false],
      [14.1, 43.9, true],
      [14.1, 44.1, false],
    ] as const) {
      const p = new ScriptedPeer({ tune: ONLY }).listen();
      p.advance(made * S);
      syn(p);
      p.advance((answered - made) * S);
      p.send({ flags: 'A', seq: 1, ack: 1 });
      expect([made, answered, p.accepted.length]).toEqual([made, answered, good ? 1 : 0]);
    }
  });

  it('opens one connection: a copy of the ACK is refused when that has ended', () => {
    const p = new ScriptedPeer({ tune: ONLY }).listen();
    syn(p);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    p.send({ flags: 'R', seq: 1 });
    expect(p.host.st.tcp.tcb.count).toBe(0);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.one().flags).toBe('R');
    expect(p.host.count('tcps_sc_failcookie')).toBe(1);
    expect(p.accepted).toHaveLength(1);
  });

  it('is not looked at where none was given lately: it cannot be guessed', () => {
    const p = new ScriptedPeer({ tune: ONLY }).listen();
    syn(p);
    p.host.st.tune.tcp_syncookies_only = 0;
    // Given under the other setting: that bucket counts as one that was full.
    p.advance(31 * S);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.one().flags).toBe('R');
    expect(p.host.count('tcps_sc_spurcookie')).toBe(1);
    expect(p.host.count('tcps_sc_failcookie')).toBe(0);
  });

  it('waits for room in the accept queue, as a handshake of the cache does', () => {
    const p = new ScriptedPeer({ tune: ONLY });
    let ready = false;
    const recs: Recorder[] = [];
    const l = serveLater(p, () => ready, recs);
    const iss: number[] = [];
    for (let i = 0; i < 3; i++) {
      syn(p, { sport: 2000 + i });
      iss.push(p.iss);
    }
    for (let i = 0; i < 3; i++) {
      p.iss = iss[i]!;
      p.send({ flags: 'A', seq: 1, ack: 1, sport: 2000 + i });
    }
    // A backlog of one holds one and a half, and one more.
    expect(l.qlen).toBe(2);
    expect(p.out()).toEqual([]);
    expect(p.host.count('tcps_listen_overflow')).toBe(1);
    ready = true;
    l.resume();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [5], sport: 2002 });
    expect([...recs[2]!.bytes]).toEqual([5]);
  });

  it('of one shard is good at another, which has the same secret', () => {
    const secret = [1, 2, 3, 4];
    const shard = (seed: number) =>
      new ScriptedPeer({ tune: { ...ONLY }, host: { nshards: 2, secret, seed } }).listen();
    const [a, b, stranger] = [shard(1), shard(2), new ScriptedPeer({ tune: ONLY, host: { seed: 3 } }).listen()];
    const ours = syn(a, { ts: [100, 0], wscale: 7 }).ts!;
    for (const [p, n] of [
      [b, 1],
      [stranger, 0],
    ] as const) {
      p.iss = a.iss;
      p.send({ flags: 'A', seq: 1, ack: 1, ts: [101, ours[0]] });
      expect(p.accepted).toHaveLength(n);
    }
    // Timestamps go on as well.
    expect(b.accepted[0]!.so!.tp!.ts_offset).toBe((ours[0] - 1000) | 0);
  });
});

function serveLater(p: ScriptedPeer, ready: () => boolean, recs: Recorder[]) {
  return listen(p.host.st, { port: 80, backlog: 1 }, (so) => {
    if (!ready()) return null;
    const r = new Recorder();
    r.so = so;
    recs.push(r);
    return r;
  });
}

describe('the SYN cache with SYN cookies (net.inet.tcp.syncookies 1)', () => {
  it('keeps the handshakes that it has and answers the next with a cookie when a bucket is full', () => {
    const p = new ScriptedPeer({ tune: ONE }).listen();
    syn(p, { sport: 2000 });
    const first = p.iss;
    expect(p.host.count('tcps_sc_added')).toBe(1);
    syn(p, { sport: 2001 });
    const second = p.iss;
    expect(p.host.st.tcp.syncache.count).toBe(1);
    expect(p.host.moved()).toMatchObject({ tcps_sc_sendcookie: 1 });
    for (const [iss, sport] of [
      [second, 2001],
      [first, 2000],
    ] as const) {
      p.iss = iss;
      p.send({ flags: 'A', seq: 1, ack: 1, sport });
    }
    expect(p.accepted).toHaveLength(2);
    expect(p.host.count('tcps_sc_bucketoverflow')).toBe(0);
  });

  it('does so when the cache is full (net.inet.tcp.syncache.cachelimit)', () => {
    const p = new ScriptedPeer({ tune: { tcp_syncache_cachelimit: 1 } }).listen();
    syn(p, { sport: 2000 });
    syn(p, { sport: 2001 });
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 2001 });
    expect(p.accepted).toHaveLength(1);
    expect(p.host.count('tcps_sc_overflowed')).toBe(0);
    expect(p.host.count('tcps_sc_recvcookie')).toBe(1);
  });

  it('uses none while there is room, and takes none: initial numbers stay those of RFC 6528', () => {
    const p = new ScriptedPeer().listen();
    syn(p);
    expect(p.host.count('tcps_sc_sendcookie')).toBe(0);
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 40001 });
    expect(p.one().flags).toBe('R');
    expect(p.host.count('tcps_sc_spurcookie')).toBe(1);
  });

  it('uses none with net.inet.tcp.syncookies 0, whatever net.inet.tcp.syncookies_only says: the oldest goes', () => {
    const p = new ScriptedPeer({ tune: { ...ONE, ...ONLY, tcp_syncookies: 0 } }).listen();
    syn(p, { sport: 2000 });
    const first = p.iss;
    syn(p, { sport: 2001 });
    expect(p.host.count('tcps_sc_bucketoverflow')).toBe(1);
    expect(p.host.count('tcps_sc_sendcookie')).toBe(0);
    p.iss = first;
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 2000 });
    expect(p.one().flags).toBe('R');
    expect(p.host.count('tcps_sc_spurcookie')).toBe(1);
  });
});

describe('a flood of SYNs from addresses that never answer', () => {
  /** Twenty connections that are opened under it, 100 SYNs a millisecond against a cache of 64. */
  function flood(tune: { tcp_syncookies: 0 | 1 }) {
    const t = new TwoStacks({ delayUs: 5000, tune: { tcp_syncache_cachelimit: 64, ...tune } });
    const accepted: Recorder[] = [];
    serve(t.b, 80, accepted);
    const dst = '192.0.2.2';
    for (let i = 0; i < 100; i++) t.b.st.arp.learn(t.b.ifp, (0xc0000264 | 0) + i, 0x0200, 100 + i);
    let n = 0;
    const spoofed = (): Uint8Array => {
      const src = `192.0.2.${100 + (n % 100)}`;
      const port = 1024 + ((n / 100) | 0);
      n++;
      const seg = [...u16(port), ...u16(80), 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 255, 255, 0, 0, 0, 0, 2, 4, 5, 180];
      [seg[16], seg[17]] = u16(checksum([...ip4(src), ...ip4(dst), 0, 6, ...u16(seg.length), ...seg])) as [
        number,
        number,
      ];
      const frame = ether({ src: '02:00:00:00:00:64' }, ipv4({ proto: 6, src, dst }, seg));
      // The station of `b` is its address.
      frame.set(mac('02:00:c0:00:02:02'));
      return frame;
    };
    const real: Recorder[] = [];
    for (let ms = 0; ms < 200; ms++) {
      for (let i = 0; i < 100; i++) t.inject(t.b, spoofed());
      if (ms % 10 === 0) {
        const r = open(t.a, ADDR_B, 80);
        r.sendAll(pattern(5000), true);
        real.push(r);
      }
      t.run(1000);
    }
    t.run(300_000);
    const got = accepted.filter((r) => r.received === 5000 && r.has('end')).length;
    return { t, opened: real.filter((r) => r.has('connected')).length, got };
  }

  it('does not keep real ones from opening: all are served while it lasts, and the cache stays in its bounds', () => {
    const { t, opened, got } = flood({ tcp_syncookies: 1 });
    expect([opened, got]).toEqual([20, 20]);
    expect(t.b.st.tcp.syncache.count).toBe(64);
    // Nothing of it is left after the SYN,ACKs were given up.
    t.run(60_000_000);
    expect(t.b.st.tcp.syncache.count).toBe(0);
  });

  it('does without them: the handshakes are pushed out before they end', () => {
    // A client does not know it: its last ACK was answered by RST, so it connected and was reset.
    expect(flood({ tcp_syncookies: 0 }).got).toBe(0);
  });
});
