import { describe, expect, it } from 'vitest';
import { SockBuf } from '../../../../src/stack/socket/sockbuf.ts';
import type { Socket } from '../../../../src/stack/socket/socket.ts';
import { ScriptedPeer, type Seg } from '../../../lab/segments.ts';
import { pattern, type Recorder } from '../../../lab/tcpuser.ts';

/** What peers and applications can make the stack hold: bounded, counted, and given back. */

const MS = 1000;
const MSS = 1460;
/** Frames of a ScriptedPeer's pool, a quarter of which may wait out of order. */
const QUARTER = 1024 / 4;
/** A queue that has waited for so long, µs, may be given up. */
const PATIENCE = 1e6;

/** One of several connections of a peer: its segments, with its own port and numbers. */
interface Flow {
  readonly rec: Recorder;
  readonly so: Socket;
  send(s: Seg): void;
}

/** Opens a connection from port `sport`. */
function flow(p: ScriptedPeer, sport: number, syn: Partial<Seg> = {}): Flow {
  if (p.listener === null) p.listen();
  p.send({ flags: 'S', mss: MSS, sport, ...syn });
  p.out();
  const { iss } = p;
  const send = (s: Seg): void => {
    p.iss = iss;
    p.send({ ...s, sport });
  };
  send({ flags: 'A', seq: 1, ack: 1, win: syn.win });
  p.out();
  const rec = p.accepted.at(-1)!;
  return { rec, so: rec.so!, send };
}

/** Segments of one byte behind a gap, every second byte. */
function dust(f: Flow, n: number): void {
  for (let i = 0; i < n; i++) f.send({ flags: 'A', seq: 3 + 2 * i, ack: 1, data: [1] });
}

describe('segments out of order that carry next to nothing', () => {
  it('hold no more frames than eight times the receive buffer (kern.ipc.sockbuf_waste_factor), and the gap still closes', () => {
    const p = new ScriptedPeer();
    const f = flow(p, 2000, { sackok: true });
    dust(f, 3000);
    const most = Math.floor((8 * f.so.so_rcv.sb_hiwat) / 4096);
    expect(most).toBe(128);
    expect(f.so.tp!.t_segqlen).toBe(most);
    expect(p.host.count('tcps_reassfull')).toBe(3000 - most);
    f.send({ flags: 'A', seq: 1, ack: 1, data: pattern(2) });
    expect(f.rec.received).toBe(3);
    f.send({ flags: 'A', seq: 4, ack: 1, data: pattern(6000).slice(0, MSS) });
    expect(f.rec.received).toBe(3 + MSS);
    f.so.abort();
    p.host.pass();
    expect([p.host.st.tcp.reassFrames, p.host.leaked()]).toEqual([0, 0]);
  });

  it('of many connections hold a quarter of the frames, and give way to one that holds less', () => {
    const p = new ScriptedPeer();
    const hostile = [0, 1, 2, 3, 4].map((i) => flow(p, 2000 + i));
    const honest = flow(p, 3000, { sackok: true });
    for (const f of hostile) dust(f, 128);
    // Two of them hold all there is; nothing is left for the others.
    expect(p.host.st.tcp.reassFrames).toBe(QUARTER);
    expect(p.host.count('tcps_rcvmemdrop')).toBe(3 * 128);
    expect(p.host.count('tcps_reasspruned')).toBe(0);
    p.advance(PATIENCE);
    // The honest one has lost a segment: what follows is kept.
    for (let i = 1; i <= 10; i++) honest.send({ flags: 'A', seq: 1 + MSS * i, ack: 1, data: pattern(MSS) });
    expect(honest.so.tp!.t_segqlen).toBe(10);
    expect(p.host.count('tcps_reasspruned')).toBe(128);
    expect(p.host.st.tcp.reassFrames).toBeLessThanOrEqual(QUARTER);
    honest.send({ flags: 'A', seq: 1, ack: 1, data: pattern(MSS) });
    expect(honest.rec.received).toBe(11 * MSS);
    expect(p.host.pool.available).toBeGreaterThan(512);
    for (const f of [...hostile, honest]) f.so.abort();
    p.host.pass();
    expect([p.host.st.tcp.reassFrames, p.host.st.tcp.reassHolders, p.host.leaked()]).toEqual([0, 0, 0]);
  });

  it('that gave way may come again, and are taken', () => {
    const p = new ScriptedPeer({ tune: { tcp_reass_maxsegments: 8 } });
    const first = flow(p, 2000, { sackok: true });
    const second = flow(p, 2001, { sackok: true });
    dust(first, 8);
    p.advance(PATIENCE);
    dust(second, 1);
    expect([first.so.tp!.t_segqlen, second.so.tp!.t_segqlen]).toEqual([0, 1]);
    expect(first.so.tp!.rcv_numsacks).toBe(0);
    expect(p.host.count('tcps_reasspruned')).toBe(8);
    first.send({ flags: 'A', seq: 1, ack: 1, data: pattern(2) });
    dust(first, 1);
    expect(first.rec.received).toBe(3);
  });

  it('of one that has less than its share are not given up for another', () => {
    const p = new ScriptedPeer({ tune: { tcp_reass_maxsegments: 12 } });
    const [small, big, late] = [0, 1, 2].map((i) => flow(p, 2000 + i)) as [Flow, Flow, Flow];
    dust(small, 2);
    dust(big, 10);
    p.advance(PATIENCE);
    // The first asks in vain, as the oldest has two of twelve; then it is the turn of the other.
    dust(late, 1);
    expect(p.host.count('tcps_rcvmemdrop')).toBe(1);
    late.send({ flags: 'A', seq: 3, ack: 1, data: [1] });
    expect([small, big, late].map((f) => f.so.tp!.t_segqlen)).toEqual([2, 0, 1]);
    expect(p.host.st.tcp.reassHolders).toBe(2);
  });

  it('are not given up before they have waited for a second, in which every sender repairs what it has lost', () => {
    const p = new ScriptedPeer({ tune: { tcp_reass_maxsegments: 8 } });
    const first = flow(p, 2000, { sackok: true });
    const second = flow(p, 2001, { sackok: true });
    dust(first, 8);
    p.advance(PATIENCE - 1000);
    dust(second, 1);
    expect([first.so.tp!.t_segqlen, second.so.tp!.t_segqlen]).toEqual([8, 0]);
    expect([p.host.count('tcps_rcvmemdrop'), p.host.count('tcps_reasspruned')]).toEqual([1, 0]);
  });

  it('that were not kept are acknowledged at once when they come again, one by one (RFC 5681 section 4.2)', () => {
    const p = new ScriptedPeer({ tune: { tcp_reass_maxsegments: 1 } });
    const f = flow(p, 2000, { sackok: true });
    for (let i = 1; i <= 3; i++) f.send({ flags: 'A', seq: 1 + MSS * i, ack: 1, data: pattern(MSS) });
    expect(p.host.count('tcps_rcvmemdrop')).toBe(2);
    p.out();
    f.send({ flags: 'A', seq: 1, ack: 1, data: pattern(MSS) });
    expect(p.out().map((o) => o.ack)).toEqual([1 + 2 * MSS]);
    for (const i of [2, 3]) {
      f.send({ flags: 'A', seq: 1 + MSS * i, ack: 1, data: pattern(MSS) });
      expect(p.out().map((o) => o.ack)).toEqual([1 + MSS * (i + 1)]);
    }
    // After them the first of two waits again.
    f.send({ flags: 'A', seq: 1 + MSS * 4, ack: 1, data: pattern(MSS) });
    expect(p.out()).toEqual([]);
  });

  it('are bounded over all connections by net.inet.tcp.reass.maxsegments', () => {
    const p = new ScriptedPeer({ tune: { tcp_reass_maxsegments: 5 } });
    const f = flow(p, 2000);
    dust(f, 20);
    expect(f.so.tp!.t_segqlen).toBe(5);
    expect(p.host.count('tcps_rcvmemdrop')).toBe(15);
  });
});

describe('a scoreboard that the peer splits by odd SACK blocks', () => {
  /** Ten segments in flight; the peer SACKs single bytes. */
  const sending = (p: ScriptedPeer, sport: number): Flow => {
    const f = flow(p, sport, { sackok: true, win: 65535 });
    f.rec.sendAll(pattern(10 * MSS));
    p.host.pass();
    p.out();
    return f;
  };
  const oddBlocks = (f: Flow, n: number): void => {
    for (let i = 0; i < n; i++) {
      const at = 3 + 2 * i;
      f.send({ flags: 'A', seq: 1, ack: 1, sack: [[at, at + 1]] });
    }
  };

  it('has no more than net.inet.tcp.sack.maxholes holes; what is beyond is counted, and the rest goes on', () => {
    const p = new ScriptedPeer({ tune: { tcp_sack_maxholes: 128 } });
    const f = sending(p, 2000);
    const tp = f.so.tp!;
    oddBlocks(f, 7000);
    expect(tp.snd_numholes).toBe(128);
    expect(tp.snd_numsegs).toBeLessThan(2 * 128 + 20);
    expect(p.host.count('tcps_sack_drop_opts')).toBe(7000 - 128);
    // A block that joins others needs no further hole.
    f.send({ flags: 'A', seq: 1, ack: 1, sack: [[3, 400]] });
    expect(tp.snd_numholes).toBe(1);
    f.send({ flags: 'A', seq: 1, ack: 1 + 10 * MSS });
    expect([tp.snd_numholes, tp.snd_numsegs, tp.snd_sacked, p.host.st.tcp.sackHoles]).toEqual([0, 0, 0, 0]);
    expect(f.so.sendQueued).toBe(0);
  });

  it('has holes within net.inet.tcp.sack.globalmaxholes, all connections together, and gives them back when it ends', () => {
    const p = new ScriptedPeer({ tune: { tcp_sack_globalmaxholes: 30 } });
    const one = sending(p, 2000);
    const two = sending(p, 2001);
    oddBlocks(one, 20);
    oddBlocks(two, 20);
    expect([one.so.tp!.snd_numholes, two.so.tp!.snd_numholes]).toEqual([20, 10]);
    one.so.abort();
    expect(p.host.st.tcp.sackHoles).toBe(10);
    two.send({ flags: 'A', seq: 1, ack: 1, sack: [[101, 102]] });
    expect(two.so.tp!.snd_numholes).toBe(11);
  });

  it('keeps its count when the peer throws away what it reported', () => {
    const p = new ScriptedPeer();
    const f = sending(p, 2000);
    f.send({ flags: 'A', seq: 1, ack: 1, sack: [[1 + MSS, 1 + 2 * MSS]] });
    f.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    p.advance(3000 * MS);
    expect([f.so.tp!.snd_numholes, p.host.st.tcp.sackHoles]).toEqual([0, 0]);
  });
});

describe('an application that sends single bytes without Nagle', () => {
  it('cannot make the scoreboard cost more than its send buffer: then small segments wait as with Nagle', () => {
    const p = new ScriptedPeer();
    const f = flow(p, 2000);
    f.so.setOptions({ noDelay: true, sndBuf: 19_200 });
    const tp = f.so.tp!;
    for (let i = 0; i < 1000; i++) {
      p.host.clock.advance(10);
      f.so.send(Uint8Array.of(i), 0, 1);
      p.host.pass();
    }
    // 192 bytes are reckoned for a piece.
    expect(tp.snd_numsegs).toBeLessThanOrEqual(Math.ceil(f.so.so_snd.sb_hiwat / 192));
    const before = tp.snd_numsegs;
    p.out();
    f.send({ flags: 'A', seq: 1, ack: 1 + before });
    expect(p.out().at(-1)!.len).toBe(1000 - before);
  });
});

describe('socket buffers of all connections (kern.ipc.maxmbufmem)', () => {
  const LIMIT = 400_000;
  /** What a buffer may have in any case. */
  const OWN = 8192;
  const tune = { ipc_maxmbufmem: LIMIT };

  /** `n` connections whose applications do not read, filled by a peer that heeds no window but the first. */
  const stuffed = (p: ScriptedPeer, n: number): Flow[] => {
    const flows = Array.from({ length: n }, (_, i) => flow(p, 2000 + i));
    for (const f of flows) {
      f.rec.appetite = 0;
      for (let at = 0; at + MSS <= 65535; at += MSS) f.send({ flags: 'A', seq: 1 + at, ack: 1, data: pattern(MSS) });
    }
    return flows;
  };

  it('are bounded when nobody reads; what is dropped was not acknowledged, and comes again', () => {
    const p = new ScriptedPeer({ tune });
    const flows = stuffed(p, 20);
    const mem = p.host.st.tcp.sockMem;
    expect(mem.used).toBeLessThanOrEqual(LIMIT + 20 * OWN);
    expect(mem.used).toBe(p.host.count('tcps_sockbufmem'));
    expect(p.host.count('tcps_sockmemdrop')).toBeGreaterThan(0);
    for (const f of flows) expect(f.so.so_rcv.sb_cc).toBe((f.so.tp!.rcv_nxt - f.so.tp!.irs - 1) | 0);
    // The applications read: memory comes back, and with it the windows.
    for (const f of flows) {
      f.rec.appetite = Number.POSITIVE_INFINITY;
      f.so.resume();
    }
    expect(mem.tight).toBe(false);
    const last = flows.at(-1)!;
    const had = last.rec.received;
    expect(had).toBeLessThan(65535 - MSS);
    for (let at = had; at + MSS <= 65535; at += MSS) last.send({ flags: 'A', seq: 1 + at, ack: 1, data: pattern(MSS) });
    expect(last.rec.received).toBeGreaterThan(65535 - MSS);
    for (const f of flows) f.so.abort();
    p.host.pass();
    expect([mem.used, p.host.leaked()]).toEqual([0, 0]);
  });

  it('do not stop a connection whose application reads', () => {
    const p = new ScriptedPeer({ tune });
    stuffed(p, 20);
    const f = flow(p, 3000);
    const dropped = p.host.count('tcps_sockmemdrop');
    for (let i = 0; i < 200; i++) f.send({ flags: 'A', seq: 1 + MSS * i, ack: 1, data: pattern(MSS) });
    expect(f.rec.received).toBe(200 * MSS);
    expect(p.host.count('tcps_sockmemdrop')).toBe(dropped);
    // It is offered what each buffer may have, not more.
    const { ack, win } = p.out().at(-1)!;
    expect(ack).toBe(1 + 200 * MSS);
    expect(win).toBeGreaterThanOrEqual(4 * MSS);
  });

  it('let a sender queue its own part and no more, and go on as it is acknowledged', () => {
    const p = new ScriptedPeer({ tune });
    stuffed(p, 20);
    const f = flow(p, 3000, { win: 60_000 });
    f.rec.sendAll(pattern(100_000));
    expect(f.so.sendQueued).toBe(OWN);
    for (let acked = 0; acked < 100_000; ) {
      p.host.pass();
      p.advance(100 * MS);
      const last = p
        .out()
        .filter((o) => o.len > 0)
        .at(-1)!;
      acked = last.seq - 1 + last.len;
      f.send({ flags: 'A', seq: 1, ack: 1 + acked, win: 60_000 });
      expect(f.so.so_snd.store.length).toBeLessThanOrEqual(OWN);
    }
    expect(f.so.sendQueued).toBe(0);
  });

  it('bound what applications queue for a peer that does not read', () => {
    const p = new ScriptedPeer({ tune: { ...tune, tcp_sendspace: 100_000 } });
    const flows = Array.from({ length: 20 }, (_, i) => flow(p, 2000 + i, { win: 0 }));
    for (const f of flows) f.rec.sendAll(pattern(100_000));
    const mem = p.host.st.tcp.sockMem;
    expect(mem.used).toBeLessThanOrEqual(LIMIT + 20 * OWN);
    for (const f of flows) expect(f.so.sendQueued).toBeGreaterThanOrEqual(OWN);
  });

  it('give up what waits behind a gap where what closes it finds no memory', () => {
    const p = new ScriptedPeer({ tune });
    stuffed(p, 20);
    p.advance(PATIENCE);
    const late = flow(p, 3000, { sackok: true });
    late.rec.appetite = 0;
    const behind = (i: number): void => late.send({ flags: 'A', seq: 1 + MSS * i, ack: 1, data: pattern(MSS) });
    for (let i = 1; i <= 10; i++) behind(i);
    // The first asked one that has less than its share, in vain.
    behind(1);
    expect(late.so.tp!.t_segqlen).toBe(10);
    const before = p.host.count('tcps_reasspruned');
    late.send({ flags: 'A', seq: 1, ack: 1, data: pattern(MSS) });
    // Five segments are within its own part; the other six come again when there is room.
    expect(late.so.so_rcv.sb_cc).toBe(5 * MSS);
    expect(p.host.count('tcps_reasspruned')).toBe(before + 6);
    expect([late.so.tp!.t_segqlen, late.so.tp!.rcv_numsacks]).toEqual([0, 0]);
    expect(p.out().at(-1)!.ack).toBe(1 + 5 * MSS);
    late.rec.appetite = Number.POSITIVE_INFINITY;
    late.so.resume();
    for (let i = 5; i <= 10; i++) late.send({ flags: 'A', seq: 1 + MSS * i, ack: 1, data: pattern(MSS) });
    expect(late.rec.received).toBe(11 * MSS);
  });
});

describe('the store of a socket buffer', () => {
  it('goes when it is empty, if it is large; a small one stays for the next message', () => {
    const chunk = pattern(10_000);
    const b = new SockBuf(2_000_000);
    for (let i = 0; i < 100; i++) b.append(chunk, 0, chunk.length);
    b.drop(1_000_000);
    expect(b.store.length).toBe(0);
    b.append(chunk, 0, 10_000);
    b.drop(10_000);
    expect(b.store.length).toBe(16_384);
  });
});
