import { describe, expect, it } from 'vitest';
import { PEER_ISS, ScriptedPeer, type Seg } from '../../../lab/segments.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';
import { SeededRandom } from '../../../lab/twostacks.ts';

/**
 * A peer that sends nearly right segments at random, a user who does anything at any time, and what must hold whatever they do.
 * Every byte of either stream is known by its number, so what arrives can be checked without knowing what was lost.
 */

const MINE = pattern(400_000);
const THEIRS = pattern(400_000).reverse();

class Life {
  readonly rnd: SeededRandom;
  readonly p: ScriptedPeer;
  readonly rec = new Recorder();
  readonly frames: number;
  /** Bytes given to send() so far. */
  queued = 0;
  /** Our highest acknowledgment and right window edge so far, relative to the peer's initial number. */
  ack = 0;
  edge = 0;
  /** Right edge that the peer has offered us, the end of what it has sent, and where its FIN is. */
  peerEdge = 0;
  sentTo = 1;
  finAt = Number.POSITIVE_INFINITY;
  readonly shift: number;
  readonly ts: boolean;
  tsval = 1000;

  constructor(seed: number) {
    this.rnd = new SeededRandom(seed);
    this.p = new ScriptedPeer({ tune: { tcp_recvspace: this.pick([2048, 20_000, 200_000]), tcp_msl: 1000 } });
    this.frames = this.p.host.st.pool.available;
    this.ts = this.chance(0.3);
    this.shift = this.chance(0.5) ? 6 : 0;
  }
  n(below: number): number {
    return Math.floor(this.rnd.unit() * below);
  }
  chance(p: number): boolean {
    return this.rnd.unit() < p;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.n(list.length)]!;
  }

  begin(): void {
    const { so } = this.p.establish({
      mss: this.pick([536, 1460]),
      ...(this.shift > 0 ? { wscale: 3 } : {}),
      sackok: this.chance(0.5),
      ...(this.ts ? { ts: [this.tsval, 0] as [number, number] } : {}),
    });
    this.rec.so = so;
    so.handler = this.rec;
    this.peerEdge = 1 + 65_535 * (this.shift > 0 ? 8 : 1);
    this.tsval = 1001;
    this.watch();
  }

  /** A segment about where the connection is. */
  segment(): void {
    const tp = this.rec.so!.tp;
    const rcv = tp === null ? this.ack : (tp.rcv_nxt - PEER_ISS) | 0;
    const una = tp === null ? 1 : (tp.snd_una - tp.iss) | 0;
    const max = tp === null ? 1 : (tp.snd_max - tp.iss) | 0;
    let flags = 'A';
    // A SYN after the end would open another connection.
    const odd = tp === null || tp.t_state === 10 ? ['', 'SA', 'R'] : ['', 'S', 'SA', 'R', 'RA', 'SF'];
    if (this.chance(0.01)) flags = this.pick(odd);
    else if (this.chance(0.02)) flags = 'FA';
    let seq = Math.max(1, rcv + this.pick([0, 0, 0, 0, -1, -500, 700, this.n(3000) - 1000]));
    let data = this.chance(0.6) ? this.pick([1, 100, 536, 1400]) : 0;
    if (seq + data > this.finAt) data = Math.max(0, this.finAt - seq);
    // What carries nothing is numbered with what comes next.
    if (data === 0) seq = Math.min(seq, this.finAt < this.sentTo ? this.finAt + 1 : this.sentTo);
    if (flags === 'FA') {
      // One FIN has one place, behind all data.
      if (this.finAt === Number.POSITIVE_INFINITY && seq + data >= this.sentTo) this.finAt = seq + data;
      else if (seq + data !== this.finAt) flags = 'A';
    }
    this.sentTo = Math.max(this.sentTo, seq + data + (flags === 'FA' ? 1 : 0));
    const win = this.pick([65_535, 65_535, 30_000, 3000, 0]);
    const ack = this.pick([una, una, max, una + this.n(max - una + 1), una - 1, max + 1]);
    const s: Seg = { flags, seq, ack, win, data: THEIRS.subarray(seq - 1, seq - 1 + data) };
    if (this.chance(0.05)) {
      s.flags += 'U';
      s.up = this.chance(0.5) ? data : this.pick([0, 1, 3000, 65535]);
    }
    if (this.ts && this.chance(0.97)) s.ts = [this.tsval - (this.chance(0.03) ? 5 : 0), 0];
    if (this.ts) this.tsval += this.n(2);
    this.peerEdge = Math.max(this.peerEdge, ack + win * (this.shift > 0 ? 8 : 1));
    this.p.inject(s);
    if (this.chance(0.7)) this.p.host.pass();
  }

  user(): void {
    const so = this.rec.so!;
    const what = this.n(100);
    if (what < 50) {
      const n = this.pick([1, 100, 1000, 20_000]);
      if (this.queued + n > MINE.length) return;
      const took = so.send(MINE, this.queued, n, this.chance(0.1));
      if (took > 0) this.queued += took;
    } else if (what < 70) {
      this.rec.appetite = this.pick([0, 10, 3000, Number.POSITIVE_INFINITY]);
      so.resume();
    } else if (what < 72) {
      so.shutdown();
    } else if (what === 72) {
      so.close();
    } else if (what === 73 && this.chance(0.3)) {
      so.abort();
    }
    this.p.host.pass();
  }

  /** Everything that left us since the last look, and the state of the block. */
  watch(): void {
    for (const o of this.p.out()) {
      if (o.flags.includes('R')) continue;
      if (o.len > 0) {
        expect(o.seq, 'data before the first byte').toBeGreaterThanOrEqual(1);
        expect(o.seq + o.len, 'data that nobody gave us').toBeLessThanOrEqual(1 + this.queued);
        expect(Buffer.compare(o.data, MINE.subarray(o.seq - 1, o.seq - 1 + o.len)), 'our bytes').toBe(0);
        // One byte beyond is a probe.
        if (o.len > 1) expect(o.seq + o.len, 'beyond the window').toBeLessThanOrEqual(this.peerEdge);
      }
      if (o.flags.includes('S')) continue;
      expect(o.ack, 'acknowledgment goes back').toBeGreaterThanOrEqual(this.ack);
      this.ack = o.ack;
      const tp = this.rec.so!.tp;
      const scale = this.shift > 0 ? (tp?.rcv_scale ?? 5) : 0;
      const edge = o.ack + o.win * 2 ** scale;
      // What is scaled is rounded down.
      if (tp !== null) expect(edge, 'window taken back').toBeGreaterThan(this.edge - 2 ** scale);
      this.edge = Math.max(this.edge, edge);
    }
    const so = this.rec.so!;
    const tp = so.tp;
    if (tp !== null) {
      const flight = (tp.snd_max - tp.snd_una) | 0;
      expect(flight, 'snd_una beyond snd_max').toBeGreaterThanOrEqual(0);
      expect((tp.snd_nxt - tp.snd_una) | 0, 'snd_nxt before snd_una').toBeGreaterThanOrEqual(0);
      expect((tp.snd_max - tp.snd_nxt) | 0, 'snd_nxt beyond snd_max').toBeGreaterThanOrEqual(0);
      if (tp.t_state < 10) expect(flight, 'more in flight than there is').toBeLessThanOrEqual(so.so_snd.sb_cc + 1);
      expect(tp.snd_cwnd).toBeGreaterThan(0);
      // What is not acknowledged, data or FIN, is waited for by some timer: nothing stalls for want of a segment of the peer.
      const timer = tp.t_rexmt.armed || tp.t_persist.armed;
      if (flight > 0 && tp.t_state < 10) expect(timer, 'no timer for what is in flight').toBe(true);
      if (so.so_snd.sb_cc > 0) expect(timer, 'no timer for what waits').toBe(true);
      if (tp.t_state >= 6 && tp.t_state <= 8) expect(timer, 'no timer for the FIN').toBe(true);
      if (so.so_snd.sb_cc === 0 && flight === 0) expect(timer, 'a timer for nothing').toBe(false);
      expect(so.so_rcv.sb_cc).toBeLessThanOrEqual(so.so_rcv.sb_hiwat);
    }
    expect(Buffer.compare(this.rec.bytes, THEIRS.subarray(0, this.rec.received)), 'their bytes').toBe(0);
    expect(this.rec.events.filter((e) => e.startsWith('closed')).length).toBeLessThanOrEqual(1);
  }

  /** The peer comes to its senses: it acknowledges what it gets, sends what is missing and its FIN; all must end in order. */
  heal(): void {
    const so = this.rec.so!;
    this.rec.appetite = Number.POSITIVE_INFINITY;
    so.resume();
    so.shutdown();
    let tp = so.tp;
    if (tp === null || so.noFdRef) return;
    const last = this.finAt === Number.POSITIVE_INFINITY ? this.sentTo + 5000 : this.finAt;
    let got = (tp.snd_una - tp.iss) | 0;
    // FIN_WAIT_2 and TIME_WAIT: it was acknowledged before
    let fin = tp.t_state >= 9;
    for (let i = 0; i < 2000 && tp !== null && tp.t_state !== 10; i++) {
      this.p.host.pass();
      for (const o of this.p.out()) {
        expect(o.flags, 'a peer in its senses is reset').not.toContain('R');
        if (o.seq <= got && o.seq + o.len > got) got = o.seq + o.len;
        if (o.flags.includes('F') && o.seq + o.len === got) {
          got++;
          fin = true;
        }
      }
      const next = (tp.rcv_nxt - PEER_ISS) | 0;
      const n = Math.max(0, Math.min(last - next, tp.rcv_wnd, 500));
      const s: Seg = { flags: next + n >= last ? 'FA' : 'A', seq: next, ack: got, win: 65_535 };
      s.data = THEIRS.subarray(next - 1, next - 1 + n);
      if (next > last) {
        s.flags = 'A';
        s.data = [];
      }
      if (this.ts) s.ts = [this.tsval, 0];
      this.p.send(s);
      this.p.advance(100_000);
      tp = so.tp;
    }
    expect(fin, 'our FIN').toBe(true);
    expect(got, 'all that was given to send()').toBe(2 + this.queued);
    expect(this.rec.received, 'all that the peer sent').toBe(last - 1);
    expect(this.rec.events.at(-1)).toBe('closed 0');
  }

  end(): void {
    const so = this.rec.so!;
    if (this.rec.appetite === 0) this.rec.appetite = Number.POSITIVE_INFINITY;
    so.resume();
    so.close();
    // Nobody answers any more.
    this.p.advance(900_000_000);
    this.p.out();
    expect(this.rec.events.filter((e) => e.startsWith('closed'))).toHaveLength(1);
    expect(this.rec.events.at(-1)).toMatch(/^closed/);
    expect(this.p.host.count('tcps_active')).toBe(0);
    expect(this.p.host.st.pool.available).toBe(this.frames);
    const { tcp } = this.p.host.st;
    expect([tcp.reassFrames, tcp.reassHolders, tcp.sackHoles, tcp.sockMem.used]).toEqual([0, 0, 0, 0]);
    expect(this.p.host.st.wheel.size).toBeLessThanOrEqual(2);
  }
}

describe('whatever a peer sends and a user does', () => {
  for (let block = 0; block < 10; block++) {
    it(`numbers, bytes, windows and timers stay consistent (seeds ${block * 30} to ${block * 30 + 29})`, () => {
      for (let seed = block * 30; seed < block * 30 + 30; seed++) {
        const life = new Life(seed);
        try {
          life.begin();
          for (let i = 0; i < 150; i++) {
            if (life.chance(0.75)) life.segment();
            else life.user();
            if (life.chance(0.1)) life.p.advance(life.pick([1000, 50_000, 300_000, 6_000_000]));
            life.p.host.pass();
            life.watch();
          }
          if (seed % 2 === 0) life.heal();
          life.end();
        } catch (e) {
          throw new Error(`seed ${seed}: ${(e as Error).message}`, { cause: e });
        }
      }
    });
  }
});
