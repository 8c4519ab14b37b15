import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import type { Tunables } from '../../../../src/stack/sysctl.ts';
import { TCPS_ESTABLISHED, TCPS_SYN_RECEIVED } from '../../../../src/stack/tcp/tcp-fsm.ts';
import { ASK, cookieOf, FAST_OPEN, withCookie } from '../../../lab/fastopen.ts';
import { type Out, ScriptedPeer, type Seg } from '../../../lab/segments.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';
import { SeededRandom } from '../../../lab/twostacks.ts';

/** TCP Fast Open (RFC 7413), the server's side: our stack listens, the segments of the client are written out. */

const S = 1_000_000;
const MSS = 1460;
const ON = { tcp_fastopen_server_enable: 1 };
function server(tune: Partial<Tunables> = {}, host = {}): ScriptedPeer {
  const p = new ScriptedPeer({ tune: { ...ON, ...tune }, host }).listen();
  p.listener!.fastOpen = true;
  return p;
}

/** Asks for a cookie on a port that nothing else uses, and forgets the handshake. */
function askCookie(p: ScriptedPeer, o: Partial<Seg> = {}): number[] {
  p.send({ flags: 'S', mss: MSS, sport: 39_999, opts: ASK, ...o });
  const cookie = cookieOf(p.one());
  p.send({ flags: 'R', seq: 1, sport: 39_999 });
  if (cookie === undefined) throw new Error('no cookie');
  return cookie;
}

/** SYN with a good cookie and `data`. Returns what it was answered with. */
function openFast(p: ScriptedPeer, data: number[], o: Partial<Seg> = {}): Out[] {
  const cookie = askCookie(p);
  p.send({ flags: 'S', mss: MSS, opts: withCookie(cookie), data, ...o });
  return p.out();
}

describe('a SYN that asks for a cookie (RFC 7413 sections 4.1.1 and 4.1.2)', () => {
  it('gets one of 8 bytes with the SYN,ACK, the first time only, and opens as any other', () => {
    const p = server();
    p.send({ flags: 'S', mss: MSS, opts: ASK });
    const synack = p.one();
    expect(synack.flags).toBe('SA');
    expect(cookieOf(synack)).toHaveLength(8);
    expect(p.host.count('tcps_tfo_cookiereqd')).toBe(1);
    p.advance(1 * S);
    const again = p.one();
    expect(again.flags).toBe('SA');
    expect(cookieOf(again)).toBeUndefined();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted).toHaveLength(1);
    expect(p.host.count('tcps_tfo_passive')).toBe(0);
  });

  it('gets the same one each time, and another address another one', () => {
    const p = server();
    p.host.st.arp.learn(p.host.ifp, 0xc0000203 | 0, 0x0200, 3);
    const [a, b] = [askCookie(p), askCookie(p)];
    p.send({ flags: 'S', mss: MSS, src: '192.0.2.3', opts: ASK });
    const c = cookieOf(p.one());
    expect(b).toEqual(a);
    expect(c).not.toEqual(a);
  });

  it.each([
    ['net.inet.tcp.fastopen.server_enable 0', { tcp_fastopen_server_enable: 0 }, true],
    ['a listener that does not offer it', ON, false],
  ])('gets none with %s, and its data is not taken', (_what, tune, offered) => {
    const p = server(tune);
    p.listener!.fastOpen = offered;
    p.send({ flags: 'S', mss: MSS, opts: ASK, data: [1, 2, 3] });
    const synack = p.one();
    expect([synack.ack, cookieOf(synack)]).toEqual([1, undefined]);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted[0]!.received).toBe(0);
  });

  it('is answered by an SYN,ACK with a cookie where SYN cookies are used as well', () => {
    const p = server({ tcp_syncookies_only: 1 });
    p.send({ flags: 'S', mss: MSS, opts: ASK });
    expect(cookieOf(p.one())).toHaveLength(8);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted).toHaveLength(1);
  });
});

describe('a SYN with a good cookie (RFC 7413 section 4.2.2)', () => {
  it('delivers its data at once, and the SYN,ACK acknowledges it', () => {
    const p = server();
    const out = openFast(p, [1, 2, 3]);
    expect(out.map((o) => [o.flags, o.seq, o.ack, o.len])).toEqual([['SA', 0, 4, 0]]);
    expect(cookieOf(out[0]!)).toBeUndefined();
    const rec = p.accepted[0]!;
    expect([...rec.bytes]).toEqual([1, 2, 3]);
    expect(rec.events).toEqual(['connected']);
    expect(rec.so!.tp!.t_state).toBe(TCPS_SYN_RECEIVED);
    expect(p.host.count('tcps_tfo_passive')).toBe(1);
    p.send({ flags: 'A', seq: 4, ack: 1, data: [4, 5] });
    expect(rec.so!.tp!.t_state).toBe(TCPS_ESTABLISHED);
    expect([...rec.bytes]).toEqual([1, 2, 3, 4, 5]);
    expect(rec.events).toEqual(['connected']);
  });

  it('lets the server answer before the handshake is over', () => {
    const p = server();
    const cookie = askCookie(p);
    p.send({ flags: 'S', mss: MSS, opts: withCookie(cookie), data: [1] });
    p.accepted[0]!.sendAll(pattern(2000));
    p.host.pass();
    const out = p.out();
    expect(out.map((o) => [o.flags.replace('P', ''), o.seq, o.len])).toEqual([
      ['SA', 0, 0],
      ['A', 1, MSS],
      ['A', 1 + MSS, 540],
    ]);
    p.send({ flags: 'A', seq: 2, ack: 2001 });
    expect(p.accepted[0]!.so!.sendQueued).toBe(0);
    p.advance(5 * S);
    expect(p.out()).toEqual([]);
    expect(p.host.count('tcps_sndrexmitpack')).toBe(0);
  });

  it('lets it send no more than the initial window, nor than the window of the SYN', () => {
    const p = server();
    const cookie = askCookie(p);
    for (const [win, most, sport] of [
      [65535, 14_600, 2000],
      [5000, 5000, 2001],
    ] as const) {
      p.send({ flags: 'S', mss: MSS, win, sport, opts: withCookie(cookie), data: [1] });
      p.accepted.at(-1)!.sendAll(pattern(30_000));
      p.host.pass();
      const sent = p.out().reduce((sum, o) => sum + o.len, 0);
      expect(sent).toBeLessThanOrEqual(most);
      expect(sent).toBeGreaterThan(most - MSS);
    }
  });

  it('opens at once without data too', () => {
    const p = server();
    expect(openFast(p, []).map((o) => [o.flags, o.ack])).toEqual([['SA', 1]]);
    expect(p.accepted[0]!.events).toEqual(['connected']);
    expect(p.accepted[0]!.so!.tp!.t_tfo).toBeGreaterThan(0);
  });

  it('agrees to what its options ask for, ECN included', () => {
    const p = server({ tcp_ecn_enable: 1 });
    const [synack] = openFast(p, [1], { flags: 'SEW', wscale: 7, sackok: true, ts: [100, 0] });
    expect(synack!.flags).toBe('SAE');
    expect([synack!.mss, synack!.wscale, synack!.ts![1]]).toEqual([MSS, 6, 100]);
    expect(synack!.optionKinds).toContain(4);
    p.send({ flags: 'A', seq: 2, ack: 1, win: 100, ts: [101, synack!.ts![0]] });
    const tp = p.accepted[0]!.so!.tp!;
    expect([tp.snd_wnd, tp.snd_scale]).toEqual([100 << 7, 7]);
  });

  it('lets data wait where nobody accepts yet', () => {
    const p = new ScriptedPeer({ tune: ON });
    let ready = false;
    const recs: Recorder[] = [];
    p.listener = listen(p.host.st, { port: 80, fastOpen: true }, (so) => {
      if (!ready) return null;
      const r = new Recorder();
      r.so = so;
      recs.push(r);
      return r;
    });
    expect(openFast(p, [1, 2]).map((o) => o.ack)).toEqual([3]);
    expect(p.listener.qlen).toBe(1);
    ready = true;
    p.listener.resume();
    expect([...recs[0]!.bytes]).toEqual([1, 2]);
  });

  it('has a FIN that is not taken with it: it comes again', () => {
    const p = server();
    expect(openFast(p, [1, 2], { flags: 'SF' }).map((o) => o.ack)).toEqual([3]);
    p.send({ flags: 'FA', seq: 3, ack: 1 });
    expect(p.accepted[0]!.events).toEqual(['connected', 'end']);
  });

  it('is answered again when it comes again, and delivers once', () => {
    const p = server();
    const cookie = askCookie(p);
    const syn = { flags: 'S', mss: MSS, opts: withCookie(cookie), data: [1, 2] };
    p.send(syn);
    p.out();
    for (const again of [syn, { flags: 'S', mss: MSS }]) {
      p.send(again);
      const o = p.one();
      expect([o.flags, o.seq, o.ack, cookieOf(o)]).toEqual(['SA', 0, 3, undefined]);
    }
    expect([...p.accepted[0]!.bytes]).toEqual([1, 2]);
  });

  it('has its SYN,ACK sent again until it is answered, and then what was sent behind it', () => {
    const p = server();
    const cookie = askCookie(p);
    p.send({ flags: 'S', mss: MSS, opts: withCookie(cookie), data: [1] });
    p.accepted[0]!.sendAll(pattern(100));
    p.host.pass();
    expect(p.out()).toHaveLength(2);
    // Without the SYN,ACK the data behind it was nothing to the client.
    p.advance(1 * S);
    expect(p.out().map((o) => [o.flags, o.seq, o.ack, o.len])).toEqual([['SA', 0, 2, 0]]);
    p.advance(2 * S);
    expect(p.out().map((o) => o.flags)).toEqual(['SA']);
    p.send({ flags: 'A', seq: 2, ack: 1 });
    const [data] = p.out();
    expect([data!.seq, data!.len]).toEqual([1, 100]);
    p.send({ flags: 'A', seq: 2, ack: 101 });
    expect(p.accepted[0]!.so!.sendQueued).toBe(0);
    p.advance(10 * S);
    expect(p.out()).toEqual([]);
  });

  it('is given up after net.inet.tcp.keepinit without an answer', () => {
    const p = server({ tcp_keepinit: 10_000 });
    openFast(p, [1]);
    p.advance(11 * S);
    expect(p.accepted[0]!.events).toEqual(['connected', 'closed 110']);
    expect(p.host.st.tcp.tcb.count).toBe(0);
    expect(p.listener!.tfoPending(p.host.clock.ms)).toBe(0);
  });

  it('that the client resets tells the user of a reset, as there was a connection', () => {
    const p = server();
    openFast(p, [1]);
    p.send({ flags: 'R', seq: 2 });
    expect(p.accepted[0]!.events).toEqual(['connected', 'closed 104']);
  });

  it('has the FIN of a server that has said all follow when the handshake is over', () => {
    const p = server();
    const cookie = askCookie(p);
    p.send({ flags: 'S', mss: MSS, opts: withCookie(cookie), data: [1] });
    p.accepted[0]!.sendAll(pattern(10), true);
    p.host.pass();
    expect(p.out().map((o) => o.flags)).toEqual(['SA', 'PA']);
    p.send({ flags: 'A', seq: 2, ack: 11 });
    expect(p.one().flags).toBe('FA');
  });

  it('is taken where SYN cookies alone are used', () => {
    const p = server({ tcp_syncookies_only: 1 });
    openFast(p, [1, 2]);
    expect([...p.accepted[0]!.bytes]).toEqual([1, 2]);
  });
});

describe('a SYN with a cookie that is not good (RFC 7413 section 4.2.2)', () => {
  it.each([
    ['of another address', [1, 2, 3, 4, 5, 6, 7, 8]],
    ['of 4 bytes', [1, 2, 3, 4]],
    ['of 16 bytes', Array.from({ length: 16 }, () => 7)],
  ])('%s gets a plain handshake and a new one; its data comes again', (_what, cookie) => {
    const p = server();
    const good = askCookie(p);
    p.send({ flags: 'S', mss: MSS, opts: withCookie(cookie), data: [1, 2, 3] });
    const synack = p.one();
    expect([synack.flags, synack.ack, cookieOf(synack)]).toEqual(['SA', 1, good]);
    expect(p.accepted).toHaveLength(0);
    expect(p.host.count('tcps_tfo_passivefail')).toBe(1);
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3] });
    expect([...p.accepted[0]!.bytes]).toEqual([1, 2, 3]);
  });

  it('is good with net.inet.tcp.fastopen.acceptany 1, unless it is empty', () => {
    const p = server({ tcp_fastopen_acceptany: 1 });
    p.send({ flags: 'S', mss: MSS, opts: withCookie([9, 9, 9, 9]), data: [1] });
    expect(p.one().ack).toBe(2);
    p.send({ flags: 'S', mss: MSS, sport: 2000, opts: ASK, data: [1] });
    expect(p.one().ack).toBe(1);
  });

  /** Options that RFC 7413 section 4.1.1 does not know: each is ignored. */
  it.each([0, 1, 3, 4, 5, 7, 9, 17, 19, 20, 22, 40, 255])(
    'or an option whose length says %i is as a SYN without',
    (olen) => {
      const p = server();
      const opts = [FAST_OPEN, olen, ...Array.from({ length: 18 }, () => 1)];
      p.send({ flags: 'S', mss: MSS, opts, data: [1, 2] });
      const synack = p.one();
      expect([synack.flags, synack.ack, cookieOf(synack)]).toEqual(['SA', 1, undefined]);
      p.send({ flags: 'A', seq: 1, ack: 1 });
      expect(p.accepted).toHaveLength(1);
    },
  );

  it('or the option on other segments, which is ignored', () => {
    const p = server();
    const cookie = askCookie(p);
    p.send({ flags: 'S', mss: MSS });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, opts: withCookie(cookie), data: [1] });
    expect([...p.accepted[0]!.bytes]).toEqual([1]);
    expect(p.host.count('tcps_tfo_passive')).toBe(0);
  });
});

describe('keys of cookies', () => {
  it('follow each other every net.inet.tcp.fastopen.autokey seconds: the last one is good, and brings a new cookie', () => {
    // The clock of the test begins at 1 s.
    const p = server({ tcp_fastopen_autokey: 10 });
    const first = askCookie(p);
    p.advance(9.5 * S);
    p.send({ flags: 'S', mss: MSS, opts: withCookie(first), data: [1] });
    const synack = p.one();
    expect(synack.ack).toBe(2);
    const second = cookieOf(synack)!;
    expect(second).toHaveLength(8);
    expect(second).not.toEqual(first);
    // A repeated SYN,ACK is without.
    p.advance(1 * S);
    expect(cookieOf(p.one())).toBeUndefined();
    p.advance(9 * S);
    p.out();
    p.send({ flags: 'S', mss: MSS, sport: 2001, opts: withCookie(first), data: [1] });
    expect(p.one().ack).toBe(1);
    p.send({ flags: 'S', mss: MSS, sport: 2002, opts: withCookie(second), data: [1] });
    expect(p.one().ack).toBe(2);
  });

  it('are the same on all shards, and others elsewhere', () => {
    const secret = [1, 2, 3, 4];
    const [a, b] = [server({}, { nshards: 2, secret, seed: 1 }), server({}, { nshards: 2, secret, seed: 2 })];
    const cookie = askCookie(a);
    expect(askCookie(b)).toEqual(cookie);
    expect(askCookie(server({}, { seed: 3 }))).not.toEqual(cookie);
  });

  it('are not made with net.inet.tcp.fastopen.autokey 0: there are no cookies then', () => {
    const p = server({ tcp_fastopen_autokey: 0 });
    p.send({ flags: 'S', mss: MSS, opts: ASK });
    expect(cookieOf(p.one())).toBeUndefined();
  });

  it('can be given (net.inet.tcp.fastopen.setkey): the last two are good', () => {
    const p = server({ tcp_fastopen_autokey: 0 });
    const { tfo } = p.host.st.tcp;
    const cookies = [
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [9, 10, 11, 12],
    ].map((key) => {
      tfo.keys.setKey(key);
      return askCookie(p);
    });
    const acks = cookies.map((cookie, i) => {
      p.send({ flags: 'S', mss: MSS, sport: 2000 + i, opts: withCookie(cookie), data: [1] });
      return p.one().ack;
    });
    expect(acks).toEqual([1, 2, 2]);
  });
});

describe('requests with Fast Open that are under way (RFC 7413 section 5.1)', () => {
  it('are at most half a backlog and one: the next gets a plain handshake, without a cookie', () => {
    const p = new ScriptedPeer({ tune: ON });
    p.listener = listen(p.host.st, { port: 80, backlog: 4, fastOpen: true }, (so) => {
      const r = new Recorder();
      r.so = so;
      p.accepted.push(r);
      return r;
    });
    const cookie = askCookie(p);
    const open = (sport: number): Out =>
      p.send({ flags: 'S', mss: MSS, sport, opts: withCookie(cookie), data: [1] }).one();
    const acks: number[] = [];
    const iss: number[] = [];
    for (let i = 0; i < 4; i++) {
      acks.push(open(2000 + i).ack);
      iss.push(p.iss);
    }
    expect(acks).toEqual([2, 2, 2, 1]);
    expect(p.host.count('tcps_tfo_listenoverflow')).toBe(1);
    // One that ends makes room.
    p.iss = iss[0]!;
    p.send({ flags: 'A', seq: 2, ack: 1, sport: 2000 });
    expect(open(2010).ack).toBe(2);
    // One that is reset does not, for a minute.
    p.iss = iss[1]!;
    p.send({ flags: 'R', seq: 2, sport: 2001 });
    expect(open(2011).ack).toBe(1);
    p.advance(61 * S);
    p.out();
    expect(open(2012).ack).toBe(2);
  });
});

describe('whatever a SYN claims', () => {
  it('is answered by SYN,ACK or not at all, and leaves nothing behind (seeds 1 to 60)', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const r = new SeededRandom(seed);
      const pick = (n: number): number => Math.floor(r.unit() * n);
      const p = server({ tcp_syncookies_only: pick(2), tcp_fastopen_acceptany: pick(2), tcp_keepinit: 5000 });
      const cookie = askCookie(p);
      for (let i = 0; i < 12; i++) {
        const opts = Array.from({ length: 4 * pick(11) }, () => pick(256));
        const kind = pick(4);
        // Half a good option, a good one, one of any length, noise.
        if (kind < 3)
          opts.splice(
            0,
            opts.length,
            FAST_OPEN,
            kind === 2 ? pick(45) : 10,
            ...cookie.slice(0, kind === 0 ? pick(9) : 8),
          );
        while (opts.length % 4 !== 0) opts.push(pick(2));
        const data = Array.from({ length: pick(3) * pick(700) }, () => i);
        const flags = ['S', 'S', 'S', 'SF', 'SP', 'SEW', 'SU'][pick(7)]!;
        const sport = 2000 + pick(6);
        p.send({ flags, sport, opts: opts.slice(0, 40), data, seq: pick(3) });
        for (const o of p.out()) expect([seed, i, /^(SA|R|A|PA)/.test(o.flags)]).toEqual([seed, i, true]);
        if (pick(3) === 0) p.send({ flags: ['A', 'FA', 'R'][pick(3)]!, sport, seq: pick(900), ack: pick(3) });
        p.out();
      }
      for (const a of p.accepted) if (pick(2) === 0) a.so?.close();
      p.listener!.close();
      p.advance(200 * S);
      for (const a of p.accepted) a.so?.abort();
      p.host.pass();
      expect([seed, p.host.st.tcp.tcb.count, p.host.st.tcp.syncache.count, p.host.leaked()]).toEqual([seed, 0, 0, 0]);
      expect([seed, p.listener!.tfoPending(p.host.clock.ms)]).toEqual([seed, 0]);
    }
  });
});
