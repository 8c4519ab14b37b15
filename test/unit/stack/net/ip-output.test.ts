import { describe, expect, test } from 'vitest';
import { F_TX_L4CSUM } from '../../../../src/rings/link.ts';
import {
  EACCES,
  EADDRNOTAVAIL,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENOBUFS,
} from '../../../../src/stack/errno.ts';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../../src/stack/net/ip-output.ts';
import { RouteCache } from '../../../../src/stack/net/route.ts';
import { ip4, parseIp, ramp, sum16, tcp, u16 } from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';

function setup(o: ConstructorParameters<typeof TestHost>[0] = {}) {
  const h = new TestHost(o);
  h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
  h.moved();
  const send = (
    dst: string,
    o: {
      payload?: number[];
      src?: string;
      proto?: number;
      df?: boolean;
      flags?: number;
      tos?: number;
      ttl?: number;
    } = {},
  ) => {
    const m = h.pool.get()!;
    const payload = o.payload ?? ramp(8);
    h.pool.u8.set(payload, m.pos);
    m.len = payload.length;
    m.flags = o.flags ?? 0;
    return ipOutput(
      h.st,
      m,
      o.src === undefined ? 0 : inetAton(o.src),
      inetAton(dst),
      o.proto ?? 99,
      o.tos ?? 0,
      o.ttl ?? 0,
      o.df ?? true,
      null,
      null,
    );
  };
  return { h, send };
}

test('the header that is written (RFC 791 section 3.1)', () => {
  const { h, send } = setup();
  expect(send('192.0.2.2', { tos: 0x02, ttl: 3, payload: ramp(100) })).toBe(0);
  expect(parseIp(h.run()[0]!)).toMatchObject({
    dstMac: '02:00:00:00:00:02',
    srcMac: '02:00:00:00:00:01',
    type: 0x0800,
    version: 4,
    hlen: 20,
    tos: 2,
    len: 120,
    id: 0,
    off: 0x4000,
    ttl: 3,
    proto: 99,
    headerSum: 0xffff,
    src: '192.0.2.1',
    dst: '192.0.2.2',
    trailer: 0,
  });
  expect(h.moved()).toMatchObject({ ips_localout: 1, ips_outswcsum: 1, stks_ether_out: 1 });
});

test('without DF the identification is random (RFC 6864 section 4.3), and the default TTL is net.inet.ip.ttl', () => {
  const { h, send } = setup();
  h.st.tune.ip_ttl = 77;
  for (let i = 0; i < 20; i++) send('192.0.2.2', { df: false });
  const sent = h.link.sent.concat().map((f) => f.bytes);
  const all = [...sent, ...h.run()].map(parseIp);
  expect(new Set(all.map((p) => p.id)).size).toBeGreaterThan(15);
  expect(new Set(all.map((p) => p.ttl))).toEqual(new Set([77]));
  expect(new Set(all.map((p) => p.off))).toEqual(new Set([0]));
});

describe('checksums', () => {
  const segment = tcp({ src: '192.0.2.1', dst: '192.0.2.2', sport: 80, dport: 1024, flags: 0x18 }, ramp(33));
  const blank = segment.map((b, i) => (i === 16 || i === 17 ? 0x55 : b));

  test('a link that cannot gets frames whose TCP checksum is right, whatever stood in the field', () => {
    const { h, send } = setup();
    send('192.0.2.2', { payload: blank, proto: 6, flags: F_TX_L4CSUM });
    expect([...parseIp(h.run()[0]!).payload]).toEqual(segment);
    expect(h.link.sent[0]).toMatchObject({ ipcsum: false, l4csum: false });
    expect(h.moved()).toMatchObject({ tcps_outswcsum: 1, ips_outswcsum: 1 });
  });

  test('a link that can is asked to', () => {
    const { h, send } = setup({ csum: true });
    send('192.0.2.2', { payload: blank, proto: 6, flags: F_TX_L4CSUM });
    expect([...parseIp(h.run()[0]!).payload]).toEqual(blank);
    expect(h.link.sent[0]).toMatchObject({ ipcsum: true, l4csum: true });
    expect(h.count('ips_outswcsum') + h.count('tcps_outswcsum')).toBe(0);
  });

  test('without the wish the field is left alone', () => {
    const { h, send } = setup();
    send('192.0.2.2', { payload: blank, proto: 6 });
    expect([...parseIp(h.run()[0]!).payload]).toEqual(blank);
  });

  test('UDP and ICMP too; a UDP sum of 0 is sent as ffff (RFC 768)', () => {
    const { h, send } = setup();
    const udp = [...u16(1000), ...u16(2000), ...u16(10), 0, 0, 0, 0];
    // The last two bytes make the sum over pseudo-header and datagram ffff, whose complement is 0.
    const pseudo = [...ip4('192.0.2.1'), ...ip4('192.0.2.2'), 0, 17, ...u16(10)];
    const rest = 0xffff - sum16([...pseudo, ...udp]);
    udp.splice(8, 2, ...u16(rest));
    send('192.0.2.2', { payload: udp, proto: 17, flags: F_TX_L4CSUM });
    send('192.0.2.2', { payload: [8, 0, 0, 0, ...ramp(9)], proto: 1, flags: F_TX_L4CSUM });
    const [a, b] = h.run().map(parseIp);
    expect([...a!.payload.subarray(6, 8)]).toEqual([0xff, 0xff]);
    expect(sum16(b!.payload)).toBe(0xffff);
  });
});

describe('what is refused, each with its errno and counter', () => {
  const cases: [string, string, number, string][] = [
    ['no route', '203.0.113.1', EHOSTUNREACH, 'ips_noroute_dst'],
    ['0/8', '0.1.2.3', ENETUNREACH, 'ips_badaddr_out'],
    ['class E', '240.0.0.1', ENETUNREACH, 'ips_badaddr_out'],
    ['our own address', '192.0.2.1', EHOSTUNREACH, 'ips_selfdst'],
    ['directed broadcast', '192.0.2.255', EACCES, 'ips_noroute_bmcast'],
  ];
  test.each(cases)('%s', (_name, dst, errno, counter) => {
    const { h, send } = setup();
    expect(send(dst)).toBe(errno);
    expect(h.moved()).toMatchObject({ ips_localout: 1, [counter]: 1 });
    expect(h.run()).toHaveLength(0);
    expect(h.leaked()).toBe(0);
  });

  test.each(['255.255.255.255', '224.0.0.1'])('%s even with a default route', (dst) => {
    const { h, send } = setup();
    h.st.routes.add({ dst: 0, prefixLen: 0, gateway: inetAton('192.0.2.2'), ifp: h.ifp });
    expect(send(dst)).toBe(EACCES);
    expect(h.count('ips_noroute_bmcast')).toBe(1);
  });

  test('more than the MTU: EMSGSIZE, counted apart with and without DF; exactly the MTU passes', () => {
    const { h, send } = setup({ mtu: 600 });
    expect(send('192.0.2.2', { payload: ramp(580) })).toBe(0);
    expect(send('192.0.2.2', { payload: ramp(581) })).toBe(EMSGSIZE);
    expect(send('192.0.2.2', { payload: ramp(581), df: false })).toBe(EMSGSIZE);
    expect(h.moved()).toMatchObject({ ips_cantfrag: 1, ips_nofrag: 1 });
    h.st.routes.add({ dst: inetAton('192.0.2.2'), prefixLen: 32, gateway: 0, ifp: h.ifp, mtu: 300 });
    expect(send('192.0.2.2', { payload: ramp(281) })).toBe(EMSGSIZE);
    h.run();
    expect(h.leaked()).toBe(0);
  });

  test('an interface without an address has no source', () => {
    const { h, send } = setup({ addrs: [] });
    h.st.routes.add({ dst: 0, prefixLen: 0, gateway: 0, ifp: h.ifp });
    expect(send('192.0.2.2')).toBe(EADDRNOTAVAIL);
    expect(h.count('ips_noroute_src')).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('an interface that is down: ENETDOWN', () => {
    const { h, send } = setup();
    h.ifp.running = false;
    expect(send('192.0.2.2')).toBe(ENETDOWN);
    expect(h.count('stks_ether_netdown')).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('a full interface queue: ENOBUFS', () => {
    const { h, send } = setup({ maxlen: 4 });
    h.link.txSlots = 0;
    for (let i = 0; i < 4; i++) expect(send('192.0.2.2')).toBe(0);
    expect(send('192.0.2.2')).toBe(ENOBUFS);
    expect(h.count('ips_onobufs')).toBe(1);
    expect(h.ifp.ifq.purge()).toBe(4);
    expect(h.leaked()).toBe(0);
  });

  test('a packet that leaves no room for headers before it: ENOBUFS', () => {
    const { h } = setup();
    const m = h.pool.get()!;
    m.pos = m.frame * 4096 + 33;
    m.len = 8;
    expect(ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 99, 0, 0, true, null, null)).toBe(ENOBUFS);
    expect(h.count('stks_ether_nobufs')).toBe(1);
    expect(h.leaked()).toBe(0);
  });
});

test('a cached route and neighbour serve a flow without another lookup, until either changes', () => {
  const { h } = setup();
  const ro = new RouteCache();
  const send = () => {
    const m = h.pool.get()!;
    m.len = 8;
    ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 99, 0, 0, true, null, ro);
    return parseIp(h.run()[0]!).dstMac;
  };
  send();
  send();
  expect(h.moved()).toMatchObject({ ips_rtcachemiss: 1, ips_rtcachehit: 1 });
  h.st.arp.learn(h.ifp, inetAton('192.0.2.3'), 0x0200, 3);
  h.st.routes.add({ dst: inetAton('192.0.2.2'), prefixLen: 32, gateway: inetAton('192.0.2.3'), ifp: h.ifp });
  expect(send()).toBe('02:00:00:00:00:03');
});
