import { describe, expect, test } from 'vitest';
import type { Mbuf } from '../../../../src/rings/mbuf.ts';
import { EHOSTUNREACH, ENOBUFS } from '../../../../src/stack/errno.ts';
import { ARP_MAXENTRIES } from '../../../../src/stack/net/arp.ts';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../../src/stack/net/ip-output.ts';
import { RouteCache } from '../../../../src/stack/net/route.ts';
import type { Stack } from '../../../../src/stack/stack.ts';
import {
  type ArpFields,
  arp,
  arpReply,
  BROADCAST_MAC,
  ether,
  OUR_MAC,
  PEER_MAC,
  parseArp,
  parseIp,
} from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';

const SECOND = 1_000_000;
const PROTO = 99;

/** Sends `n` bytes of protocol 99 to `dst`; returns the errno. */
function send(h: TestHost, dst = '192.0.2.2', ro: RouteCache | null = null, n = 8): number {
  const m = h.pool.get()!;
  m.len = n;
  return ipOutput(h.st, m, 0, inetAton(dst), PROTO, 0, 0, true, null, ro);
}

const arpFrame = (a: ArpFields, dst = BROADCAST_MAC, src = a.sha) => ether({ type: 0x0806, dst, src }, arp(a));
const whoHas = (tpa = '192.0.2.1', spa = '192.0.2.2', sha = PEER_MAC) => arpFrame({ op: 1, sha, spa, tpa });
const arps = (frames: Uint8Array[]) => frames.filter((f) => f[12] === 8 && f[13] === 6).map(parseArp);
const ips = (frames: Uint8Array[]) => frames.filter((f) => f[12] === 8 && f[13] === 0).map(parseIp);

describe('answering (RFC 826)', () => {
  test('a request for our address is answered to the asker, who is learned', () => {
    const h = new TestHost();
    const sent = h.exchange(whoHas());
    expect(arps(sent)).toEqual([
      {
        dstMac: PEER_MAC,
        srcMac: OUR_MAC,
        type: 0x0806,
        head: [0, 1, 8, 0, 6, 4],
        op: 2,
        sha: OUR_MAC,
        spa: '192.0.2.1',
        tha: PEER_MAC,
        tpa: '192.0.2.2',
      },
    ]);
    expect(h.moved()).toMatchObject({ arps_received: 1, arps_rxrequests: 1, arps_txreplies: 1, arps_resolved: 1 });
    send(h);
    expect(ips(h.run())).toMatchObject([{ dstMac: PEER_MAC, dst: '192.0.2.2' }]);
    expect(h.count('arps_txrequests')).toBe(0);
    expect(h.leaked()).toBe(0);
  });

  test('the reply uses the frame of the request', () => {
    const h = new TestHost({ frames: 1 });
    expect(h.exchange(whoHas())).toHaveLength(1);
  });

  test('an address probe (RFC 5227 section 2.1.1, sender 0.0.0.0) is answered and not learned', () => {
    const h = new TestHost();
    expect(arps(h.exchange(whoHas('192.0.2.1', '0.0.0.0')))).toMatchObject([
      { op: 2, spa: '192.0.2.1', tpa: '0.0.0.0' },
    ]);
    expect(h.st.arp.size).toBe(0);
  });

  test('a request for another address makes no entry and gets no answer', () => {
    const h = new TestHost();
    expect(h.exchange(whoHas('192.0.2.3'))).toHaveLength(0);
    expect(h.st.arp.size).toBe(0);
    expect(h.count('arps_notours')).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('an asker that is not on our link is answered and not learned', () => {
    const h = new TestHost();
    expect(h.exchange(whoHas('192.0.2.1', '203.0.113.5'))).toHaveLength(1);
    expect(h.st.arp.size).toBe(0);
    expect(h.count('arps_offlink')).toBe(1);
  });

  test('an unsolicited reply makes no entry', () => {
    const h = new TestHost();
    h.exchange(arpReply());
    expect(h.st.arp.size).toBe(0);
    expect(h.leaked()).toBe(0);
  });

  test('replies are limited to 1000 a second', () => {
    const h = new TestHost({ frames: 2048 });
    for (let i = 0; i < 1100; i++) h.link.inject(whoHas());
    expect(h.run()).toHaveLength(1000);
    expect(h.count('arps_ratelimited')).toBe(100);
    expect(h.leaked()).toBe(0);
  });

  test.each([
    [
      '27 bytes',
      ether({ type: 0x0806 }, arp({ op: 1, sha: PEER_MAC, spa: '192.0.2.2', tpa: '192.0.2.1' }).slice(0, 27)),
      'arps_short',
    ],
    [
      'another hardware type',
      arpFrame({ op: 1, sha: PEER_MAC, spa: '192.0.2.2', tpa: '192.0.2.1', hrd: 6 }),
      'arps_badtype',
    ],
    [
      'another protocol type',
      arpFrame({ op: 1, sha: PEER_MAC, spa: '192.0.2.2', tpa: '192.0.2.1', pro: 0x86dd }),
      'arps_badtype',
    ],
    [
      'another address length',
      arpFrame({ op: 1, sha: PEER_MAC, spa: '192.0.2.2', tpa: '192.0.2.1', pln: 16 }),
      'arps_badtype',
    ],
    ['operation 3', arpFrame({ op: 3, sha: PEER_MAC, spa: '192.0.2.2', tpa: '192.0.2.1' }), 'arps_badop'],
    [
      'a group sender station',
      arpFrame({ op: 1, sha: '01:00:5e:00:00:01', spa: '192.0.2.2', tpa: '192.0.2.1' }, BROADCAST_MAC, PEER_MAC),
      'arps_badsender',
    ],
    [
      'a multicast sender address',
      arpFrame({ op: 1, sha: PEER_MAC, spa: '224.0.0.1', tpa: '192.0.2.1' }),
      'arps_badsender',
    ],
    [
      'a broadcast sender address',
      arpFrame({ op: 1, sha: PEER_MAC, spa: '192.0.2.255', tpa: '192.0.2.1' }),
      'arps_badsender',
    ],
    [
      'a loopback sender address',
      arpFrame({ op: 1, sha: PEER_MAC, spa: '127.0.0.1', tpa: '192.0.2.1' }),
      'arps_badsender',
    ],
    ['our own station as sender', arpFrame({ op: 1, sha: OUR_MAC, spa: '192.0.2.2', tpa: '192.0.2.1' }), 'arps_own'],
  ])('%s is dropped with a counter of its own', (_name, frame, counter) => {
    const h = new TestHost();
    expect(h.exchange(frame)).toHaveLength(0);
    expect(h.count(counter)).toBe(1);
    expect(h.st.arp.size).toBe(0);
    expect(h.leaked()).toBe(0);
  });
});

describe('resolving', () => {
  test('the first packet waits for the answer and then goes', () => {
    const h = new TestHost();
    expect(send(h)).toBe(0);
    const asked = h.run();
    expect(arps(asked)).toMatchObject([
      { dstMac: BROADCAST_MAC, op: 1, sha: OUR_MAC, spa: '192.0.2.1', tha: '00:00:00:00:00:00', tpa: '192.0.2.2' },
    ]);
    expect(ips(asked)).toHaveLength(0);
    const sent = h.exchange(arpReply());
    expect(ips(sent)).toMatchObject([{ dstMac: PEER_MAC, src: '192.0.2.1', dst: '192.0.2.2', proto: PROTO }]);
    expect(h.moved()).toMatchObject({ arps_queued: 1, arps_txrequests: 1, arps_rxreplies: 1, arps_resolved: 1 });
    expect(h.leaked()).toBe(0);
  });

  test('up to 16 packets wait, in order; a further one displaces the oldest (RFC 1122 section 2.3.2.2)', () => {
    const h = new TestHost();
    for (let i = 0; i < 18; i++) expect(send(h, '192.0.2.2', null, i + 1)).toBe(0);
    const sent = ips([...h.run(), ...h.exchange(arpReply())]);
    expect(sent.map((p) => p.payload.length)).toEqual(Array.from({ length: 16 }, (_, i) => i + 3));
    expect(h.count('arps_queuefull')).toBe(2);
    expect(h.leaked()).toBe(0);
  });

  test('net.link.ether.inet.maxhold is how many wait, maxtries how often is asked, wait how long a host is held to be down', () => {
    const h = new TestHost();
    Object.assign(h.st.tune, { arp_maxhold: 3, arp_maxtries: 2, arp_wait: 7 });
    for (let i = 0; i < 5; i++) expect(send(h, '192.0.2.2', null, i + 1)).toBe(0);
    expect(h.count('arps_queuefull')).toBe(2);
    const asked = Array.from({ length: 4 }, () => arps(h.run(SECOND)).length);
    expect(asked.reduce((a, b) => a + b)).toBe(2);
    expect(send(h)).not.toBe(0);
    // Given up after the second second, the host is asked for again 7 s later.
    for (let i = 0; i < 8; i++) h.run(SECOND);
    expect(send(h)).toBe(0);
    expect(arps(h.run())).toHaveLength(1);
  });

  test('one request a second, five of them, then the waiting packets are given up and their protocol is told', () => {
    const h = new TestHost();
    const told: string[] = [];
    h.st.ctlinput[PROTO] = (st: Stack, type: number, code: number, m: Mbuf) => {
      told.push(`${type}/${code} dst ${[...st.pool.u8.subarray(m.pos + 16, m.pos + 20)].join('.')}`);
    };
    send(h);
    send(h);
    const requests: number[] = [];
    for (let s = 0; s < 30; s++) {
      const n = arps(h.run(SECOND)).length;
      if (n > 0) requests.push(s);
    }
    // The first goes out at once, then one a second (RFC 1122 section 2.3.2.1).
    expect(h.count('arps_txrequests')).toBe(5);
    expect(requests).toEqual([0, 1, 2, 3]);
    expect(told).toEqual(['3/1 dst 192.0.2.2', '3/1 dst 192.0.2.2']);
    expect(h.count('arps_dropped')).toBe(2);
    expect(h.leaked()).toBe(0);
  });

  test('for 20 seconds after that the host counts as down: EHOSTUNREACH without a request; then it is asked again', () => {
    const h = new TestHost();
    send(h);
    h.run(5 * SECOND);
    expect(send(h)).toBe(EHOSTUNREACH);
    h.run(19 * SECOND);
    expect(send(h)).toBe(EHOSTUNREACH);
    expect(h.count('arps_hostdown')).toBe(2);
    h.run(2 * SECOND);
    expect(send(h)).toBe(0);
    expect(h.count('arps_txrequests')).toBe(6);
    h.exchange(arpReply());
    expect(h.leaked()).toBe(0);
  });

  test('a host that is down and speaks up is used at once', () => {
    const h = new TestHost();
    send(h);
    h.run(6 * SECOND);
    h.exchange(arpReply());
    expect(send(h)).toBe(0);
    expect(ips(h.run())).toHaveLength(1);
  });

  test('the table is bounded: idle entries make room, and with none left packets are refused with ENOBUFS', () => {
    const h = new TestHost({ addrs: ['198.51.100.1/16'], frames: 2048 });
    const mac = (i: number) => h.st.arp.learn(h.ifp, (inetAton('198.51.0.0') + 1 + i) | 0, 0x0200, i);
    for (let i = 0; i < ARP_MAXENTRIES + 10; i++) mac(i);
    expect(h.st.arp.size).toBe(ARP_MAXENTRIES);
    expect(h.count('arps_evicted')).toBe(10);
    for (const e of h.st.arp.list()) e.used = true;
    expect(send(h, '198.51.200.1')).toBe(ENOBUFS);
    expect(h.count('arps_tablefull')).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('a scan ties up no more than 512 frames and sends no more than 200 requests a second', () => {
    const h = new TestHost({ addrs: ['198.51.100.1/16'], frames: 1024 });
    for (let i = 0; i < 600; i++) send(h, `198.51.${i >> 8}.${i & 255 || 1}`);
    expect(h.st.arp.held).toBe(512);
    expect(h.count('arps_holdfull')).toBe(88);
    h.run();
    expect(h.count('arps_txrequests')).toBe(200);
    h.run(30 * SECOND);
    expect(h.st.arp.held).toBe(0);
    expect(h.st.arp.size).toBe(0);
    expect(h.leaked()).toBe(0);
  });

  test('a gateway is resolved in place of the destination', () => {
    const h = new TestHost();
    h.st.routes.add({ dst: 0, prefixLen: 0, gateway: inetAton('192.0.2.254'), ifp: h.ifp });
    send(h, '203.0.113.9');
    expect(arps(h.run())).toMatchObject([{ tpa: '192.0.2.254' }]);
    expect(ips(h.exchange(arpReply('192.0.2.254')))).toMatchObject([{ dst: '203.0.113.9', dstMac: PEER_MAC }]);
  });
});

describe('ageing (RFC 1122 section 2.3.2.1)', () => {
  test('an entry that nobody uses goes after 20 minutes, without a request', () => {
    const h = new TestHost();
    h.exchange(whoHas());
    h.run(1199 * SECOND, SECOND);
    expect(h.st.arp.size).toBe(1);
    h.run(2 * SECOND, SECOND);
    expect(h.st.arp.size).toBe(0);
    expect(h.moved()).toMatchObject({ arps_timeouts: 1 });
    expect(h.count('arps_txrequests')).toBe(0);
  });

  test('an entry in use is asked about by unicast before it expires, and lives on when it answers', () => {
    const h = new TestHost();
    const ro = new RouteCache();
    h.exchange(whoHas());
    send(h, '192.0.2.2', ro);
    const sent = arps(h.run(1196 * SECOND, SECOND));
    expect(sent[0]).toMatchObject({ dstMac: PEER_MAC, op: 1, tpa: '192.0.2.2' });
    h.exchange(arpReply());
    send(h, '192.0.2.2', ro);
    h.run(1190 * SECOND, SECOND);
    expect(h.st.arp.size).toBe(1);
    expect(send(h, '192.0.2.2', ro)).toBe(0);
    expect(ips(h.run())).toHaveLength(1);
  });

  test('an entry in use whose host has gone expires, and the cached route notices', () => {
    const h = new TestHost();
    const ro = new RouteCache();
    h.exchange(whoHas());
    send(h, '192.0.2.2', ro);
    h.run(1201 * SECOND, SECOND);
    expect(h.count('arps_txrequests')).toBe(5);
    expect(h.st.arp.size).toBe(0);
    send(h, '192.0.2.2', ro);
    const sent = h.run();
    expect(ips(sent)).toHaveLength(0);
    expect(arps(sent)).toMatchObject([{ dstMac: BROADCAST_MAC }]);
    h.exchange(arpReply());
    expect(h.leaked()).toBe(0);
  });

  test('a changed station address replaces the old one and is counted', () => {
    const h = new TestHost();
    h.exchange(whoHas());
    h.exchange(arpFrame({ op: 1, sha: '02:00:00:00:00:33', spa: '192.0.2.2', tpa: '192.0.2.2' }));
    expect(h.count('arps_updates')).toBe(1);
    send(h);
    expect(ips(h.run())).toMatchObject([{ dstMac: '02:00:00:00:00:33' }]);
  });
});

describe('our own address (RFC 5227)', () => {
  test('is announced twice, two seconds apart (section 2.3)', () => {
    const h = new TestHost();
    h.st.arp.announce(h.ifp, inetAton('192.0.2.1'));
    const first = arps(h.run(1_900_000));
    expect(first).toMatchObject([
      { dstMac: BROADCAST_MAC, op: 1, sha: OUR_MAC, spa: '192.0.2.1', tpa: '192.0.2.1', tha: '00:00:00:00:00:00' },
    ]);
    expect(arps(h.run(200_000))).toHaveLength(1);
    expect(arps(h.run(10 * SECOND))).toHaveLength(0);
    expect(h.count('arps_announced')).toBe(2);
  });

  test('another station that uses it is warned about and answered by one announcement in 10 seconds (section 2.4 (b))', () => {
    const h = new TestHost();
    const warnings: string[] = [];
    h.st.onWarning = (text) => warnings.push(text);
    const conflict = arpFrame({ op: 1, sha: '02:00:00:00:00:66', spa: '192.0.2.1', tpa: '192.0.2.9' });
    expect(arps(h.exchange(conflict))).toMatchObject([{ op: 1, spa: '192.0.2.1', tpa: '192.0.2.1' }]);
    expect(h.exchange(conflict)).toHaveLength(0);
    expect(warnings).toEqual(['mem0: duplicate IP address 192.0.2.1 sent from ethernet address 02:00:00:00:00:66']);
    h.clock.advance(10 * SECOND);
    expect(h.exchange(conflict)).toHaveLength(1);
    expect(h.count('arps_dupips')).toBe(3);
    expect(h.st.arp.size).toBe(0);
    expect(h.leaked()).toBe(0);
  });
});

describe('several shards', () => {
  test('a reply that this shard did not ask for is passed on and not learned here', () => {
    const h = new TestHost({ nshards: 4 });
    const told: string[] = [];
    h.st.onArpResolved = (ifp, addr, hi, lo) => told.push(`${ifp.name} ${addr === inetAton('192.0.2.2')} ${hi} ${lo}`);
    h.exchange(arpReply());
    expect(told).toEqual(['mem0 true 512 2']);
    expect(h.st.arp.size).toBe(0);
  });

  test('what another shard learned completes an entry here, and what waited goes', () => {
    const h = new TestHost({ nshards: 4 });
    send(h);
    h.run();
    h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
    expect(ips(h.run())).toMatchObject([{ dstMac: PEER_MAC }]);
  });

  test('no more than 1000 a second are passed on', () => {
    const h = new TestHost({ nshards: 2, frames: 2048 });
    let told = 0;
    h.st.onArpResolved = () => told++;
    for (let i = 0; i < 1200; i++) h.link.inject(arpReply());
    h.run();
    expect(told).toBe(1000);
    expect(h.count('arps_unpublished')).toBe(200);
  });
});
