import { describe, expect, it } from 'vitest';
import { slotOf } from '../../../../src/metrics/layout.ts';
import { connect } from '../../../../src/stack/socket/socket.ts';
import type { Tunables } from '../../../../src/stack/sysctl.ts';
import { tcpOutput } from '../../../../src/stack/tcp/tcp-output.ts';
import { cookieOf, FAST_OPEN, withCookie } from '../../../lab/fastopen.ts';
import { ether, icmp, ipv4 } from '../../../lab/frames.ts';
import { type Out, PEER_ISS, ScriptedPeer } from '../../../lab/segments.ts';
import { pattern, Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_B, SeededRandom, TwoStacks } from '../../../lab/twostacks.ts';

/** TCP Fast Open (RFC 7413), the client's side: our stack opens, the server's segments are written out. */

const S = 1_000_000;
const MSS = 1460;
const PEER = 0xc0000202 | 0;
const COOKIE = [11, 12, 13, 14, 15, 16, 17, 18];
const DATA = pattern(100);

/** Opens with Fast Open and gives `data` at once; the SYN is what this returns. Each connection has a port of its own. */
function open(p: ScriptedPeer, data: Uint8Array | null = DATA, fport = p.sport): { rec: Recorder; syn: Out } {
  const rec = new Recorder();
  const lport = 5000 + p.host.count('tcps_connattempt');
  rec.so = connect(p.host.st, { faddr: PEER, fport, lport, fastOpen: true }, rec);
  if (data !== null) rec.sendAll(data);
  p.host.pass();
  const syn = p.one();
  lports.set(rec, lport);
  return { rec, syn };
}

const slot = (name: string): number => slotOf.get(name)!;

const lports = new Map<Recorder, number>();

/** The peer's answer to the SYN of `rec`. */
function answer(
  p: ScriptedPeer,
  rec: Recorder,
  s: { ack: number; opts?: number[]; mss?: number; flags?: string },
): Out[] {
  dport(p, rec);
  p.send({ flags: 'SA', mss: MSS, ...s });
  return p.out();
}

function dport(p: ScriptedPeer, rec: Recorder): void {
  (p as { dport: number }).dport = lports.get(rec)!;
}

/** A stack that has a cookie of the peer. */
function knowing(o: { tune?: Partial<Tunables>; mss?: number; cookie?: number[] } = {}): ScriptedPeer {
  const p = new ScriptedPeer({ tune: o.tune ?? {} });
  const { rec } = open(p, null);
  answer(p, rec, { ack: 1, mss: o.mss ?? MSS, opts: withCookie(o.cookie ?? COOKIE) });
  rec.so!.abort();
  p.host.pass();
  p.out();
  return p;
}

describe('a connection that wants Fast Open and has no cookie (RFC 7413 section 4.2.1)', () => {
  it('asks for one with its SYN, which takes no data', () => {
    const p = new ScriptedPeer();
    const { rec, syn } = open(p);
    expect([syn.flags, syn.len, cookieOf(syn)]).toEqual(['S', 0, []]);
    const out = answer(p, rec, { ack: 1, opts: withCookie(COOKIE) });
    expect(out.map((o) => [o.seq, o.len])).toEqual([[1, 100]]);
    expect(p.host.count('tcps_tfo_active')).toBe(0);
  });

  it('asks on each port of a server, which may take it on one and not on another (section 4.1.3.1)', () => {
    const p = knowing();
    expect(cookieOf(open(p).syn)).toEqual(COOKIE);
    expect(cookieOf(open(p, DATA, 40_001).syn)).toEqual([]);
  });

  it('does not ask where net.inet.tcp.fastopen.client_enable is 0, and forgets what it had', () => {
    const p = knowing();
    p.host.st.tune.tcp_fastopen_client_enable = 0;
    const { syn } = open(p);
    expect([syn.len, cookieOf(syn)]).toEqual([0, undefined]);
    p.host.st.tune.tcp_fastopen_client_enable = 1;
    expect(cookieOf(open(p).syn)).toEqual([]);
  });

  it('is the only one that does: others have no such option', () => {
    const p = new ScriptedPeer();
    p.connect();
    expect(cookieOf(p.one())).toBeUndefined();
  });
});

describe('a connection that has the cookie of its server (RFC 7413 section 4.2.1)', () => {
  it.each([4, 8, 16])('sends it, of %i bytes, and its data with the SYN', (n) => {
    const cookie = Array.from({ length: n }, (_, i) => i + 1);
    const p = knowing({ cookie });
    const { rec, syn } = open(p);
    expect([syn.flags, syn.seq, cookieOf(syn)]).toEqual(['S', 0, cookie]);
    expect([...syn.data]).toEqual([...DATA]);
    expect(answer(p, rec, { ack: 101 }).map((o) => [o.flags, o.seq, o.len])).toEqual([['A', 101, 0]]);
    expect(rec.events).toEqual(['connected']);
    expect(rec.so!.sendQueued).toBe(0);
    expect(p.host.count('tcps_tfo_active')).toBe(1);
    expect(p.host.count('tcps_sndrexmitpack')).toBe(0);
    rec.sendAll(pattern(10));
    p.host.pass();
    expect(p.out().map((o) => [o.seq, o.len])).toEqual([[101, 10]]);
  });

  it('sends it without data where the user gives none', () => {
    const p = knowing();
    const { rec, syn } = open(p, null);
    expect([syn.len, cookieOf(syn)]).toEqual([0, COOKIE]);
    answer(p, rec, { ack: 1 });
    expect(rec.events).toEqual(['connected']);
    // That says nothing of whether data would have been taken.
    expect(cookieOf(open(p).syn)).toEqual(COOKIE);
  });

  it.each([
    [536, 536],
    [MSS, MSS],
    [9000, MSS],
  ])(
    'sends no more than fits the MSS that the server told, %i, and our own, less options (section 4.1.3)',
    (mss, most) => {
      const p = knowing({ mss });
      const { rec, syn } = open(p, pattern(20_000));
      const options = (syn.raw[12]! >> 4) * 4 - 20;
      expect(syn.len).toBeLessThanOrEqual(most - options);
      expect(syn.len).toBeGreaterThanOrEqual(most - 40);
      // What was left follows when the handshake is over.
      const [next] = answer(p, rec, { ack: 1 + syn.len, mss });
      expect(next!.seq).toBe(1 + syn.len);
    },
  );

  it('keeps a SYN that is held back until it is told to send it', () => {
    const p = knowing();
    const rec = new Recorder();
    const so = connect(p.host.st, { faddr: PEER, fport: p.sport, lport: 6000, fastOpen: true, holdSyn: true }, rec);
    expect(so.synHeld).toBe(true);
    expect(so.send(DATA, 0, 40)).toBe(40);
    tcpOutput(so.tp!);
    p.advance(200 * S);
    expect(p.out()).toEqual([]);
    expect(so.sendSyn(DATA, 40, 60)).toBe(60);
    p.host.pass();
    const syn = p.one();
    expect([syn.flags, syn.seq, cookieOf(syn), ...syn.data]).toEqual(['S', 0, COOKIE, ...DATA]);
    expect([so.synHeld, so.sendSyn(DATA, 0, 1)]).toEqual([false, 0]);
  });

  it('sends a SYN at once that has nothing to wait for, held back or not', () => {
    const p = new ScriptedPeer();
    const to = { faddr: PEER, fport: p.sport, lport: 6000, fastOpen: true, holdSyn: true };
    expect(connect(p.host.st, to, new Recorder()).synHeld).toBe(false);
    p.host.pass();
    const syn = p.one();
    expect([syn.flags, syn.len, cookieOf(syn)]).toEqual(['S', 0, []]);
  });

  it('sends the data again at once that the SYN,ACK does not cover', () => {
    const p = knowing();
    const { rec } = open(p);
    const [again] = answer(p, rec, { ack: 41, opts: withCookie(COOKIE) });
    expect([again!.seq, ...again!.data]).toEqual([41, ...DATA.subarray(40)]);
    expect(rec.so!.sendQueued).toBe(60);
  });

  it('takes a new cookie where its own was refused, and goes on', () => {
    const p = knowing();
    const { rec } = open(p);
    const [again] = answer(p, rec, { ack: 1, opts: withCookie([1, 2, 3, 4]) });
    expect([again!.seq, ...again!.data]).toEqual([1, ...DATA]);
    expect(p.host.count('tcps_tfo_activefail')).toBe(1);
    expect(p.host.count('tcps_tfo_pathdisabled')).toBe(0);
    expect(cookieOf(open(p).syn)).toEqual([1, 2, 3, 4]);
  });

  it('tells the user of room that the SYN made', () => {
    const p = knowing();
    const rec = new Recorder();
    const so = connect(p.host.st, { faddr: PEER, fport: p.sport, lport: 6000, fastOpen: true }, rec);
    so.setBuffers(2048, 65536);
    rec.so = so;
    lports.set(rec, 6000);
    rec.sendAll(pattern(10_000));
    p.host.pass();
    const syn = p.one();
    let sent = syn.len;
    let out = answer(p, rec, { ack: 1 + sent });
    while (out.some((o) => o.len > 0)) {
      sent += out.reduce((sum, o) => sum + o.len, 0);
      p.send({ flags: 'A', seq: 1, ack: 1 + sent });
      out = p.out();
    }
    expect(sent).toBe(10_000);
  });

  it('is refused by RST as any other, and resets what acknowledges more than was sent', () => {
    const p = knowing();
    const { rec } = open(p);
    expect(answer(p, rec, { ack: 102 }).map((o) => o.flags)).toEqual(['R']);
    dport(p, rec);
    p.send({ flags: 'RA', ack: 101 });
    expect(rec.events).toEqual(['closed 111']);
  });

  it('keeps no more paths in a bucket than net.inet.tcp.fastopen.ccache_bucket_limit: the oldest goes', () => {
    const p = new ScriptedPeer({
      tune: { tcp_fastopen_ccache_buckets: 1, tcp_fastopen_ccache_bucket_limit: 2 },
    });
    for (const fport of [101, 102, 103]) {
      const { rec } = open(p, null, fport);
      dport(p, rec);
      p.send({ flags: 'SA', mss: MSS, ack: 1, sport: fport, opts: withCookie(COOKIE) });
      p.out();
    }
    expect(p.host.st.tcp.tfo.cache.count).toBe(2);
    expect([101, 102, 103].map((fport) => cookieOf(open(p, DATA, fport).syn)!.length)).toEqual([0, 8, 8]);
    p.host.st.tune.tcp_fastopen_ccache_bucket_limit = 1;
    const { rec } = open(p, null, 104);
    dport(p, rec);
    p.send({ flags: 'SA', mss: MSS, ack: 1, sport: 104, opts: withCookie(COOKIE) });
    expect(p.host.st.tcp.tfo.cache.count).toBe(1);
  });
});

describe('Fast Open that fails (RFC 7413 section 4.1.3.1)', () => {
  const isPlain = (p: ScriptedPeer): boolean => {
    const { syn } = open(p);
    return syn.len === 0 && cookieOf(syn) === undefined;
  };

  it('because the SYN is not answered: it goes again without data and without the option, and the path is not used again for a while', () => {
    const p = knowing();
    const { rec } = open(p);
    p.advance(1 * S);
    const again = p.one();
    expect([again.flags, again.seq, again.len, cookieOf(again)]).toEqual(['S', 0, 0, undefined]);
    expect(p.host.count('tcps_tfo_pathdisabled')).toBe(1);
    const [data] = answer(p, rec, { ack: 1 });
    expect([data!.seq, ...data!.data]).toEqual([1, ...DATA]);
    expect(isPlain(p)).toBe(true);
    p.out();
    p.advance(899 * S);
    p.out();
    expect(isPlain(p)).toBe(true);
    p.advance(2 * S);
    p.out();
    // After net.inet.tcp.fastopen.path_disable_time it begins anew, with a request.
    expect(cookieOf(open(p).syn)).toEqual([]);
  });

  it('for net.inet.tcp.fastopen.path_disable_time', () => {
    const p = knowing({ tune: { tcp_fastopen_path_disable_time: 10 } });
    open(p).rec.so!.abort();
    p.host.pass();
    open(p);
    p.advance(1 * S);
    p.out();
    p.advance(8 * S);
    p.out();
    expect(isPlain(p)).toBe(true);
    p.advance(2 * S);
    p.out();
    expect(cookieOf(open(p).syn)).toEqual([]);
  });

  it('although the first SYN arrived in the end: what its SYN,ACK covers is not sent again', () => {
    const p = knowing();
    const { rec } = open(p);
    p.advance(1 * S);
    p.out();
    expect(answer(p, rec, { ack: 101 }).map((o) => [o.seq, o.len])).toEqual([[101, 0]]);
    expect(rec.so!.sendQueued).toBe(0);
  });

  it('because the server takes no data and has no new cookie', () => {
    const p = knowing();
    const { rec } = open(p);
    const [again] = answer(p, rec, { ack: 1 });
    expect([again!.seq, again!.len]).toEqual([1, 100]);
    expect(p.host.count('tcps_tfo_pathdisabled')).toBe(1);
    expect(isPlain(p)).toBe(true);
  });

  it('because a server that was asked has no cookie', () => {
    const p = new ScriptedPeer();
    const { rec } = open(p);
    answer(p, rec, { ack: 1 });
    expect(isPlain(p)).toBe(true);
  });

  it.each([
    ['of odd length', [FAST_OPEN, 7, 1, 2, 3, 4, 5, 1]],
    ['of 2 bytes', [FAST_OPEN, 4, 1, 2]],
    ['of 18 bytes', withCookie(Array.from({ length: 18 }, () => 5))],
    ['that is cut off', [FAST_OPEN, 18, 1, 2]],
    ['of no length', [FAST_OPEN, 0, 1, 1]],
    ['that is empty', [FAST_OPEN, 2, 1, 1]],
  ])('because the cookie is one %s', (_what, opts) => {
    const p = new ScriptedPeer();
    const { rec } = open(p);
    answer(p, rec, { ack: 1, opts });
    expect(rec.events).toEqual(['connected']);
    expect(isPlain(p)).toBe(true);
  });

  it('by an ICMP error about the SYN', () => {
    const p = knowing();
    const { syn } = open(p);
    const quoted = ipv4({ proto: 6, src: '192.0.2.1', dst: '192.0.2.2' }, [...syn.raw]);
    const error = ipv4(
      { proto: 1, src: '192.0.2.2', dst: '192.0.2.1' },
      icmp(3, 1, [0, 0, 0, 0, ...quoted.slice(0, 28)]),
    );
    p.host.link.inject(ether({}, error));
    p.host.pass();
    expect(p.host.count('tcps_rcvicmp')).toBe(1);
    expect(isPlain(p)).toBe(true);
  });

  it('when both open at once: the data goes when the handshake is over', () => {
    const p = knowing();
    const { rec } = open(p);
    dport(p, rec);
    p.send({ flags: 'S', mss: MSS });
    expect(p.out().map((o) => [o.flags, o.seq, o.len])).toEqual([['SA', 0, 0]]);
    p.send({ flags: 'SA', ack: 1, mss: MSS });
    const sent = p.out().filter((o) => o.len > 0);
    expect(sent.map((o) => [o.seq, o.len])).toEqual([[1, 100]]);
    expect(rec.events).toEqual(['connected']);
    expect(PEER_ISS).toBe(1000);
  });
});

describe('Fast Open between two stacks', () => {
  const REQUEST = pattern(200);
  const REPLY = pattern(20_000);

  /** A request and its reply. Returns when, in one-way delays after the first call, the reply began and ended. */
  function exchange(
    t: TwoStacks,
    accepted: Recorder[],
  ): { rec: Recorder; first: number; served: Recorder | undefined } {
    const from = t.clock.now;
    const n = accepted.length;
    const rec = new Recorder();
    rec.so = connect(t.a.st, { faddr: ADDR_B, fport: 80, fastOpen: true }, rec);
    rec.sendAll(REQUEST, true);
    t.run(300 * S, () => rec.received > 0);
    const first = (t.clock.now - from) / t.delayUs;
    t.run(300 * S, () => rec.has('end'));
    return { rec, first, served: accepted.slice(n).find((r) => r.received === REQUEST.length) };
  }

  function pair(o: { delayUs: number; seed?: number }): { t: TwoStacks; accepted: Recorder[] } {
    const t = new TwoStacks({ ...o, tune: { tcp_fastopen_server_enable: 1, tcp_msl: 100 } });
    const accepted: Recorder[] = [];
    const l = serve(t.b, 80, accepted, () => {
      const r = new Recorder();
      const { data } = Recorder.prototype;
      // Answers when it has the request, as a server does.
      r.data = (so, u8, off, len) => {
        const took = data.call(r, so, u8, off, len);
        if (r.received === REQUEST.length) r.sendAll(REPLY, true);
        return took;
      };
      return r;
    });
    l.fastOpen = true;
    return { t, accepted };
  }

  it('saves a round trip: the reply begins one after the call, and not two', () => {
    const { t, accepted } = pair({ delayUs: 10_000 });
    const plain = exchange(t, accepted);
    const fast = exchange(t, accepted);
    expect(plain.first).toBeGreaterThanOrEqual(4);
    expect(fast.first).toBeLessThan(2.2);
    for (const { rec, served } of [plain, fast]) {
      expect(Buffer.compare(rec.bytes, REPLY)).toBe(0);
      expect(Buffer.compare(served!.bytes, REQUEST)).toBe(0);
    }
    expect(t.b.st.cnt[slot('tcps_tfo_passive')]).toBe(1);
    expect(t.a.st.cnt[slot('tcps_tfo_active')]).toBe(1);
  });

  it('loses and repeats nothing whatever the wire drops, doubles and delays', () => {
    let active = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const { t, accepted } = pair({ delayUs: 5000, seed });
      const wire = new SeededRandom(seed);
      t.filter = () => {
        const r = wire.unit();
        return r < 0.15 ? [] : r < 0.25 ? [0, Math.floor(wire.unit() * 20_000)] : [Math.floor(wire.unit() * 10_000)];
      };
      for (let i = 0; i < 6; i++) {
        const { rec, served } = exchange(t, accepted);
        expect([seed, i, rec.has('end'), Buffer.compare(rec.bytes, REPLY)]).toEqual([seed, i, true, 0]);
        expect([seed, i, Buffer.compare(served!.bytes, REQUEST)]).toEqual([seed, i, 0]);
        // Failures on the way disable the path; here it is tried all the same.
        t.a.st.tune.tcp_fastopen_path_disable_time = 0;
      }
      active += t.a.st.cnt[slot('tcps_tfo_active')]!;
      t.filter = null;
      t.run(200 * S);
      expect([seed, t.leaked(t.a), t.leaked(t.b), t.a.st.tcp.tcb.count, t.b.st.tcp.tcb.count]).toEqual([
        seed,
        0,
        0,
        0,
        0,
      ]);
    }
    expect(active).toBeGreaterThan(40);
  });
});
