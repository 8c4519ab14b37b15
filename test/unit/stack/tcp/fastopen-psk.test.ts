import { describe, expect, it } from 'vitest';
import { connect } from '../../../../src/stack/socket/socket.ts';
import type { Tunables } from '../../../../src/stack/sysctl.ts';
import { sipKeyOfBytes } from '../../../../src/stack/tcp/siphash.ts';
import { tfoPskCookie } from '../../../../src/stack/tcp/tcp-fastopen-keys.ts';
import { ASK, cookieOf, withCookie } from '../../../lab/fastopen.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';

/**
 * Pre-shared keys and lists of TCP Fast Open, as FreeBSD has them: the comment at the head of its sys/netinet/tcp_fastopen.c says what each
 * knob does. A client with a key answers a cookie with SipHash-2-4 of it (siphash.test.ts has the vectors).
 */

const MSS = 1460;
const PEER = 0xc0000202 | 0;
const ON = { tcp_fastopen_server_enable: 1, tcp_fastopen_psk_enable: 1 };
/** As sysctl takes them: 00 01 … 0f, and others. */
const PSKS = [0, 0x10, 0x20].map((first) => Uint8Array.from({ length: 16 }, (_, i) => first + i));

function server(tune: Partial<Tunables> = ON): ScriptedPeer {
  const p = new ScriptedPeer({ tune }).listen();
  p.listener!.fastOpen = true;
  return p;
}

const keysOf = (p: ScriptedPeer) => p.host.st.tcp.tfo.keys;
const words = (psk: Uint8Array) => sipKeyOfBytes(psk)!.k;

function set(p: ScriptedPeer, tune: Partial<Tunables>): void {
  Object.assign(p.host.st.tune, tune);
  p.host.st.tcp.tfo.tuned();
}

let sport = 3000;

function cookie(p: ScriptedPeer): number[] {
  p.send({ flags: 'S', mss: MSS, opts: ASK, sport: ++sport });
  return cookieOf(p.one())!;
}

/** Whether data comes in with a SYN that has this in the place of a cookie. */
function takes(p: ScriptedPeer, shown: readonly number[]): boolean {
  p.send({ flags: 'S', mss: MSS, opts: withCookie(shown), data: [1], sport: ++sport });
  return p.one().ack === 2;
}

function answer(psk: Uint8Array, given: readonly number[]): number[] {
  const out = new Uint8Array(8);
  tfoPskCookie(sipKeyOfBytes(psk)!, Uint8Array.from(given), given.length, out);
  return [...out];
}

describe('net.inet.tcp.fastopen.psk_enable', () => {
  it('takes data of those who answer their cookie with a key (setpsk), and not of those who send it back', () => {
    const p = server();
    keysOf(p).setPsk(words(PSKS[0]!));
    const given = cookie(p);
    expect(given).toHaveLength(8);
    expect(takes(p, given)).toBe(false);
    expect(p.host.count('tcps_tfo_passivefail')).toBe(1);
    expect(takes(p, answer(PSKS[1]!, given))).toBe(false);
    expect(takes(p, answer(PSKS[0]!, given))).toBe(true);
  });

  it('off takes the cookie itself, and no answer', () => {
    const p = server({ tcp_fastopen_server_enable: 1 });
    keysOf(p).setPsk(words(PSKS[0]!));
    const given = cookie(p);
    expect([takes(p, given), takes(p, answer(PSKS[0]!, given))]).toEqual([true, false]);
  });

  it('without a key takes nothing', () => {
    const p = server();
    const given = cookie(p);
    expect([takes(p, given), takes(p, answer(PSKS[0]!, given))]).toEqual([false, false]);
  });

  it('has an answer to the cookie of the last key renewed as the cookie itself', () => {
    const p = server({ ...ON, tcp_fastopen_autokey: 0 });
    keysOf(p).setPsk(words(PSKS[0]!));
    keysOf(p).setKey([1, 2, 3, 4]);
    const given = cookie(p);
    keysOf(p).setKey([5, 6, 7, 8]);
    p.send({ flags: 'S', mss: MSS, opts: withCookie(answer(PSKS[0]!, given)), data: [1], sport: ++sport });
    const synack = p.one();
    expect([synack.ack, cookieOf(synack)]).toEqual([2, cookie(p)]);
  });
});

describe('net.inet.tcp.fastopen.numpsks and maxpsks, numkeys and maxkeys', () => {
  it('tell how many are good: the newest two', () => {
    const p = server({ ...ON, tcp_fastopen_autokey: 0 });
    const keys = keysOf(p);
    const seen = PSKS.map((psk) => {
      keys.setPsk(words(psk));
      keys.setKey(words(psk));
      return [keys.numPsks, keys.numKeys];
    });
    expect(seen).toEqual([1, 2, 2].map((n) => [n, n]));
    const { tcp_fastopen_maxpsks, tcp_fastopen_maxkeys } = p.host.st.tune;
    expect([tcp_fastopen_maxpsks, tcp_fastopen_maxkeys]).toEqual([2, 2]);
    const given = cookie(p);
    expect(PSKS.map((psk) => takes(p, answer(psk, given)))).toEqual([false, true, true]);
  });

  it('are 0 for pre-shared keys when psk_enable goes off, and for both when server_enable does', () => {
    const p = server({ ...ON, tcp_fastopen_autokey: 0 });
    const keys = keysOf(p);
    const give = () => {
      keys.setPsk(words(PSKS[0]!));
      keys.setKey([1, 2, 3, 4]);
    };
    give();
    set(p, { tcp_fastopen_psk_enable: 0 });
    expect([keys.numPsks, keys.numKeys]).toEqual([0, 1]);
    set(p, { tcp_fastopen_psk_enable: 1 });
    const given = cookie(p);
    expect(takes(p, answer(PSKS[0]!, given))).toBe(false);
    give();
    set(p, { tcp_fastopen_server_enable: 0 });
    expect([keys.numPsks, keys.numKeys]).toEqual([0, 0]);
  });

  it('count keys that are given before the server may use them', () => {
    const p = server({ tcp_fastopen_autokey: 0 });
    const keys = keysOf(p);
    keys.setPsk(words(PSKS[0]!));
    keys.setKey([1, 2, 3, 4]);
    p.send({ flags: 'S', mss: MSS, opts: ASK, sport: ++sport });
    expect(cookieOf(p.one())).toBeUndefined();
    set(p, ON);
    expect([keys.numPsks, keys.numKeys]).toEqual([1, 1]);
    expect(takes(p, answer(PSKS[0]!, cookie(p)))).toBe(true);
  });
});

let lport = 5000;

/** Opens with Fast Open; the connection of the scripted server is the one that asks or answers last. */
function open(p: ScriptedPeer, fport = p.sport, psk: Uint8Array | null = PSKS[0]!, data = pattern(10)) {
  const rec = new Recorder();
  rec.so = connect(
    p.host.st,
    { faddr: PEER, fport, lport: ++lport, fastOpen: true, fastOpenPsk: psk ?? undefined },
    rec,
  );
  rec.sendAll(data);
  p.host.pass();
  (p as { dport: number }).dport = lport;
  return p.one();
}

/** Has the cookie of a server on port `fport`. */
function learn(p: ScriptedPeer, given: readonly number[], fport = p.sport, mss = MSS): void {
  open(p, fport);
  p.send({ flags: 'SA', mss, ack: 1, sport: fport, opts: withCookie(given) });
  p.out();
}

describe('a client with a pre-shared key (TCP_FASTOPEN of FreeBSD)', () => {
  it('asks for a cookie as any other', () => {
    const syn = open(new ScriptedPeer({}));
    expect([cookieOf(syn), syn.len]).toEqual([[], 0]);
  });

  // Key 00..0f, messages 00..05 and 00..07: the vectors of siphash.test.ts.
  it.each([
    [6, 'cee3fe586e46c9cb'],
    [8, '6224939a79f5f593'],
  ])('answers one of %i bytes with 8 bytes of SipHash, and data', (n, expected) => {
    const p = new ScriptedPeer({});
    learn(
      p,
      Array.from({ length: n }, (_, i) => i),
    );
    const syn = open(p);
    expect([Buffer.from(cookieOf(syn)!).toString('hex'), syn.len]).toEqual([expected, 10]);
    // Without a key the same cookie goes as it is.
    expect(cookieOf(open(p, p.sport, null))).toHaveLength(n);
  });

  it('has one of 16 bytes', () => {
    const p = new ScriptedPeer({});
    const fastOpenPsk = new Uint8Array(15);
    const go = () => connect(p.host.st, { faddr: PEER, fport: 80, fastOpen: true, fastOpenPsk }, new Recorder());
    expect(go).toThrow(/EINVAL fastOpenPsk of 15 bytes: 16/);
  });
});

describe('the cookies of servers', () => {
  it('are listed by net.inet.tcp.fastopen.ccache_list, the path that failed with the time for which it is not used', () => {
    const p = new ScriptedPeer({ tune: { tcp_fastopen_ccache_buckets: 1 } });
    learn(p, [0xa1, 2, 3, 4, 5, 6, 7, 8], 443, 1400);
    // A server without a cookie.
    open(p, 80);
    p.send({ flags: 'SA', mss: MSS, ack: 1, sport: 80 });
    p.out();
    p.advance(10_500_000);
    // By the formats of tcp_fastopen.c: "%-20s %-20s %5u %5u ", "%7ds " or "%8s ", and the cookie.
    expect(p.host.st.tcp.tfo.cache.list()).toBe(
      '192.0.2.1            192.0.2.2               80     0     889s \n' +
        '192.0.2.1            192.0.2.2              443  1400       No a102030405060708\n',
    );
    p.advance(900_000_000);
    expect(p.host.st.tcp.tfo.cache.list()).toMatch(/ 80 {5}0 {7}No \n/);
  });

  it('lie in net.inet.tcp.fastopen.ccache_buckets buckets: so many times the limit of one at most', () => {
    const kept = [1, 64].map((buckets) => {
      const p = new ScriptedPeer({
        tune: { tcp_fastopen_ccache_buckets: buckets, tcp_fastopen_ccache_bucket_limit: 1 },
      });
      for (let i = 0; i < 32; i++) learn(p, [1, 2, 3, 4], 100 + i);
      return p.host.st.tcp.tfo.cache.count;
    });
    expect(kept[0]).toBe(1);
    // 32 in 64 buckets at random: 25 are taken on average (64 * (1 - (63/64)**32)).
    expect(kept[1]).toBeGreaterThan(15);
  });

  it('beyond net.inet.tcp.fastopen.ccache_bucket_limit go as soon as that is set, and all with client_enable 0', () => {
    const p = new ScriptedPeer({ tune: { tcp_fastopen_ccache_buckets: 1 } });
    for (const fport of [101, 102, 103]) learn(p, [1, 2, 3, 4], fport);
    const ports = () => [...p.host.st.tcp.tfo.cache.list().matchAll(/ (\d+) {2}1460/g)].map((m) => Number(m[1]));
    expect(ports()).toEqual([103, 102, 101]);
    set(p, { tcp_fastopen_ccache_bucket_limit: 2 });
    expect([ports(), p.host.st.tcp.tfo.cache.count]).toEqual([[103, 102], 2]);
    set(p, { tcp_fastopen_client_enable: 0 });
    expect([ports(), p.host.st.tcp.tfo.cache.count]).toEqual([[], 0]);
  });
});
