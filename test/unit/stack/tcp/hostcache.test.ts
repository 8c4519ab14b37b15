import { describe, expect, it } from 'vitest';
import { HC_LIST_HEAD } from '../../../../src/stack/sysctl-tcp-path.ts';
import { TCP_MAXWINDOW } from '../../../../src/stack/tcp/cc/cc.ts';
import { TCP_RTT_SHIFT, type Tcpcb } from '../../../../src/stack/tcp/tcpcb.ts';
import { needfrag } from '../../../lab/needfrag.ts';
import type { Out, Seg } from '../../../lab/segments.ts';
import { MS, Sender, type SenderOptions } from '../../../lab/sender.ts';

/**
 * A host that has served a connection of `s` and serves more. `sport` is another port of the same peer; another `src` another host, which answers
 * to the same station address.
 */
function again(s: Sender, sport: number, o: { src?: string; loseSyn?: boolean } = {}): Tcpcb {
  const { p } = s;
  const from = { sport, ...(o.src === undefined ? {} : { src: o.src }) };
  if (o.src !== undefined) {
    const [a, b, c, d] = o.src.split('.').map(Number);
    p.host.st.arp.learn(p.host.ifp, (a! << 24) | (b! << 16) | (c! << 8) | d!, 0x0200, 2);
  }
  p.out();
  p.send({ flags: 'S', mss: 1460, wscale: 7, sackok: true, ...from });
  if (o.loseSyn === true) p.advance(1100 * MS);
  const synack: Out = p.out().at(-1)!;
  expect(synack.flags).toBe('SA');
  p.advance(100 * MS);
  p.send({ flags: 'A', seq: 1, ack: 1, ...from } as Seg);
  p.out();
  return p.accepted.at(-1)!.so!.tp!;
}

/** `n` round trips of 100 ms of one segment each. */
function rounds(s: Sender, n: number, from = 0): Sender {
  for (let i = from; i < from + n; i++)
    s.write(1)
      .wait(100)
      .ack(i + 1);
  return s;
}

/** Both sides close. */
function close(s: Sender, acked: number): void {
  s.so.close();
  s.wait(100);
  s.p.send({ flags: 'FA', seq: 1, ack: 2 + acked * 1460, win: 65535 });
  // TIME-WAIT is over.
  s.wait(61_000);
  s.p.out();
}

/** A connection that was there for `n` segments and has lost one when `lossy`. */
function served(n: number, o: SenderOptions & { lossy?: boolean } = {}): Sender {
  const s = new Sender(o);
  rounds(s, n);
  let total = n;
  if (o.lossy === true) {
    s.write(8).wait(100);
    s.ack(n, [[n + 1, n + 8]]);
    s.wait(100).ack(n + 8);
    total += 8;
  }
  close(s, total);
  return s;
}

describe('the host cache, net.inet.tcp.hostcache', () => {
  it('keeps the path MTU: the next connection begins with it (RFC 1191 section 6.1)', () => {
    const s = new Sender();
    s.write(1);
    needfrag(s.p, { seq: 1, mtu: 1400 });
    const tp = again(s, 40001);
    expect([tp.t_maxseg, tp.t_pmtu]).toEqual([1360, 1400]);
    // Of another host nothing is known.
    expect(again(s, 40001, { src: '192.0.2.7' }).t_maxseg).toBe(1460);
  });

  it('forgets a path MTU after net.inet.ip.mtudisctimeout, also where the host is in use (RFC 1191 section 6.3)', () => {
    const s = new Sender({ tune: { tcp_always_keepalive: 0 } });
    s.write(1);
    needfrag(s.p, { seq: 1, mtu: 1400 });
    s.p.send({ flags: 'A', seq: 1, ack: 1461, win: 65535 });
    s.wait(590_000);
    expect(again(s, 40001).t_maxseg).toBe(1360);
    s.wait(11_000);
    expect(again(s, 40002).t_maxseg).toBe(1460);
    // It was not even tried.
    expect(s.count('tcps_pmtu_raised')).toBe(0);
  });

  it('takes round trip and variation of a connection that ends with four samples or more, and of no other', () => {
    const s = served(4);
    expect(
      ['tcps_hc_added', 'tcps_cachedrtt', 'tcps_cachedrttvar', 'tcps_cachedssthresh'].map((c) => s.count(c)),
    ).toEqual([1, 1, 1, 0]);
    // Handshake and FIN are samples too.
    expect(served(1).count('tcps_cachedrtt')).toBe(0);
  });

  it('gives them to a connection whose handshake gave none', () => {
    const s = served(4);
    const had = again(s, 40001);
    expect([s.count('tcps_usedrtt'), had.srtt]).toEqual([0, 100 * MS]);
    const tp = again(s, 40002, { loseSyn: true });
    expect([s.count('tcps_usedrtt'), s.count('tcps_usedrttvar')]).toEqual([1, 1]);
    expect(tp.srtt).toBeGreaterThan(90 * MS);
    expect(tp.srtt).toBeLessThan(110 * MS);
  });

  it('takes ssthresh where a loss has set it, in whole segments of the line, and the next connection begins with it', () => {
    const s = served(4, { lossy: true });
    expect(s.count('tcps_cachedssthresh')).toBe(1);
    const tp = again(s, 40001);
    expect(s.count('tcps_usedssthresh')).toBe(1);
    // Half of eight segments, each 40 bytes longer on the line.
    expect(tp.snd_ssthresh).toBe(4 * 1500);
  });

  it('takes none that is no limit: half of the send buffer or more', () => {
    const s = served(4, { lossy: true, tune: { tcp_sendspace: 8 * 1460, tcp_sendbuf_auto: 0 } });
    expect(s.count('tcps_cachedssthresh')).toBe(0);
  });

  it('averages what it had with what comes', () => {
    const s = served(4);
    const tp = again(s, 40001);
    tp.t_rttsamples = 4;
    tp.t_srtt = (300 * MS) << TCP_RTT_SHIFT;
    tp.t_socket!.abort();
    expect(s.p.host.st.tcp.hostcache.list()).toContain('   200ms');
  });
});

describe('knobs of the host cache', () => {
  it('enable 0 keeps and gives nothing', () => {
    const s = served(4, { lossy: true, tune: { tcp_hc_enable: 0 } });
    expect(s.count('tcps_hc_added')).toBe(0);
    const t = served(4, { lossy: true });
    t.p.host.st.tune.tcp_hc_enable = 0;
    again(t, 40001);
    expect(t.count('tcps_usedssthresh')).toBe(0);
  });

  /** Path MTUs of `n` hosts are learnt. */
  function hosts(n: number, tune: SenderOptions['tune']): Sender {
    const s = new Sender({ tune: { tcp_always_keepalive: 0, ...tune } });
    for (let i = 0; i < n; i++) {
      const tp = again(s, 40001, { src: `192.0.2.${10 + i}` });
      s.p.host.st.tcp.hostcache.updateMtu(tp.t_inpcb!, 1400);
    }
    return s;
  }
  const counted = (s: Sender): number[] => [
    s.p.host.st.tcp.hostcache.count,
    s.count('tcps_hc_entry_count'),
    s.count('tcps_hc_added'),
    s.count('tcps_hc_bucketoverflow'),
  ];

  it('bucketlimit bounds the entries of a bucket: the one unused longest goes', () => {
    const s = hosts(5, { tcp_hc_hashsize: 1, tcp_hc_bucketlimit: 3 });
    expect(counted(s)).toEqual([3, 3, 5, 2]);
    expect([10, 11, 12, 13, 14].map((h) => s.p.host.st.tcp.hostcache.list().includes(`192.0.2.${h} `))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
  });

  it('cachelimit bounds them all, and hashsize is the number of buckets', () => {
    const s = hosts(8, { tcp_hc_cachelimit: 4, tcp_hc_hashsize: 1 });
    expect(counted(s)).toEqual([4, 4, 8, 4]);
    // Where a bucket is empty and the cache is full nothing can make room.
    const t = hosts(40, { tcp_hc_cachelimit: 4, tcp_hc_hashsize: 4096 });
    expect(t.p.host.st.tcp.hostcache.count).toBe(4);
    expect(t.count('tcps_hc_added')).toBeLessThan(40);
  });

  it('expire and prune: an entry goes with the first pruning after it has not been used for so long', () => {
    const s = hosts(1, { tcp_hc_expire: 100, tcp_hc_prune: 60 });
    // Pruning at 60 s and 120 s takes 60 s each off, and at 180 s nothing is left of 100.
    s.wait(175_000);
    expect(counted(s)[0]).toBe(1);
    s.wait(10_000);
    expect(counted(s)[0]).toBe(0);
    // Use puts it off.
    const t = hosts(1, { tcp_hc_expire: 100, tcp_hc_prune: 60 });
    t.wait(175_000);
    again(t, 40002, { src: '192.0.2.10' });
    t.wait(60_000);
    expect(counted(t)[0]).toBe(1);
  });

  it('prune takes effect when it is set, and other knobs that are set put no pruning off', () => {
    const s = hosts(1, { tcp_hc_expire: 100, tcp_hc_prune: 3000 });
    const { st } = s.p.host;
    st.tune.tcp_hc_prune = 60;
    st.tcp.hostcache.tuned();
    for (let i = 0; i < 19; i++) {
      s.wait(10_000);
      st.tcp.hostcache.tuned();
    }
    expect(counted(s)[0]).toBe(0);
  });

  it('purge empties it with the next pruning, purgenow at once', () => {
    const s = hosts(3, { tcp_hc_prune: 60 });
    const { st } = s.p.host;
    st.tune.tcp_hc_purge = 1;
    expect(st.tcp.hostcache.count).toBe(3);
    s.wait(61_000);
    expect([st.tcp.hostcache.count, st.tune.tcp_hc_purge]).toEqual([0, 0]);
    const t = hosts(3, {});
    t.p.host.st.tune.tcp_hc_purgenow = 1;
    t.p.host.st.tcp.hostcache.tuned();
    expect([t.p.host.st.tcp.hostcache.count, t.p.host.st.tune.tcp_hc_purgenow]).toEqual([0, 0]);
  });

  it('list has a line an entry, in the columns of FreeBSD', () => {
    const s = served(4, { lossy: true });
    const [line] = s.p.host.st.tcp.hostcache.list().split('\n');
    // "IP address MTU SSTRESH RTT RTTVAR CWND SENDPIPE RECVPIPE EXP" of tcp_hostcache.c.
    expect(line).toMatch(/^192\.0\.2\.2 {11}0 {5}6000 {4}100ms +\d+ms +\d+ {8}0 {8}0 3[36]00$/);
    expect(HC_LIST_HEAD.trim().split(/ +/).length).toBe(10);
  });
});

describe('shards', () => {
  it('keep a cache each: what one has learnt the other does not know', () => {
    const one = served(4, { lossy: true });
    expect(again(one, 40001).snd_ssthresh).toBe(4 * 1500);
    const other = new Sender();
    expect([other.tp.snd_ssthresh, other.count('tcps_usedssthresh')]).toEqual([TCP_MAXWINDOW, 0]);
  });
});
