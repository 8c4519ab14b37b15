import { describe, expect, test } from 'vitest';
import { F_EOP, F_IPCSUM_GOOD, F_L4CSUM_BAD } from '../../../../src/rings/link.ts';
import type { Mbuf } from '../../../../src/rings/mbuf.ts';
import { icmpError } from '../../../../src/stack/net/icmp.ts';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import type { Stack } from '../../../../src/stack/stack.ts';
import { checksum, ether, type IpFields, icmp, ipv4, parseIp, ramp, sum16, tcp } from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';

function setup(o: ConstructorParameters<typeof TestHost>[0] = {}) {
  const h = new TestHost(o);
  h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
  h.moved();
  return h;
}

const echo = (n: number, o: IpFields = {}, frame: { dst?: string } = {}) =>
  ether(frame, ipv4({ proto: 1, ...o }, icmp(8, 0, [0xab, 0xcd, 0, 7, ...ramp(n)])));

describe('echo (RFC 792, RFC 1122 section 3.2.2.6)', () => {
  test.each([0, 1, 17, 56, 1000, 1472])(
    'a request with %i bytes of data comes back with the same data and right checksums',
    (n) => {
      const h = setup();
      const sent = h.exchange(echo(n, { tos: 0x28 }));
      expect(sent).toHaveLength(1);
      const p = parseIp(sent[0]!);
      expect(p).toMatchObject({
        dstMac: '02:00:00:00:00:02',
        srcMac: '02:00:00:00:00:01',
        src: '192.0.2.1',
        dst: '192.0.2.2',
        proto: 1,
        ttl: 64,
        tos: 0x28,
        off: 0,
        headerSum: 0xffff,
        len: 28 + n,
        trailer: 0,
      });
      expect([...p.payload]).toEqual(icmp(0, 0, [0xab, 0xcd, 0, 7, ...ramp(n)]));
      expect(sum16(p.payload)).toBe(0xffff);
      expect(h.count('icps_reflect')).toBe(1);
      expect(h.leaked()).toBe(0);
    },
  );

  test('a link that inserts checksums is asked for the IP one only: the ICMP one is adjusted (RFC 1624)', () => {
    const h = setup({ csum: true });
    h.exchange(echo(56));
    expect(h.link.sent[0]).toMatchObject({ ipcsum: true, l4csum: false });
    expect(sum16(h.link.sent[0]!.bytes.subarray(34))).toBe(0xffff);
    expect(h.count('ips_outswcsum')).toBe(0);
  });

  test('the reply uses the frame of the request', () => {
    const h = setup({ frames: 1 });
    expect(h.exchange(echo(56))).toHaveLength(1);
    expect(h.leaked()).toBe(0);
  });

  test.each([
    ['255.255.255.255', 'ff:ff:ff:ff:ff:ff'],
    ['192.0.2.255', 'ff:ff:ff:ff:ff:ff'],
    ['224.0.0.1', '01:00:5e:00:00:01'],
    ['192.0.2.1', 'ff:ff:ff:ff:ff:ff'],
  ])('a request to %s in a frame for %s is refused, and answered from our address with bmcastecho', (dst, mac) => {
    const h = setup();
    expect(h.exchange(echo(8, { dst }, { dst: mac }))).toHaveLength(0);
    expect(h.count('icps_bmcastecho')).toBe(1);
    h.st.tune.icmp_bmcastecho = 1;
    const sent = h.exchange(echo(8, { dst }, { dst: mac }));
    expect(parseIp(sent[0]!)).toMatchObject({ src: '192.0.2.1', dst: '192.0.2.2' });
  });

  test('replies beyond net.inet.icmp.icmplim_echo a second are not sent, and the next second has its own', () => {
    const h = setup();
    h.st.tune.icmp_icmplim_echo = 200;
    for (let i = 0; i < 250; i++) h.link.inject(echo(8));
    expect(h.run()).toHaveLength(200);
    expect(h.count('icps_echolimited')).toBe(50);
    h.clock.advance(1_000_000);
    expect(h.exchange(echo(8))).toHaveLength(1);
    h.st.tune.icmp_icmplim_echo = 0;
    for (let i = 0; i < 250; i++) h.link.inject(echo(8));
    expect(h.run()).toHaveLength(250);
    expect(h.leaked()).toBe(0);
  });

  test('a source without a route back is counted and not answered', () => {
    const h = setup();
    expect(h.exchange(echo(8, { src: '198.51.100.7' }))).toHaveLength(0);
    expect(h.count('ips_noroute_reply')).toBe(1);
  });

  test('a class E source is not answered', () => {
    const h = setup();
    expect(h.exchange(echo(8, { src: '240.0.0.1' }))).toHaveLength(0);
    expect(h.count('icps_badsource')).toBe(1);
  });
});

describe('messages that are dropped, each with its counter', () => {
  const quoted = ipv4({ proto: 6, src: '192.0.2.1', dst: '192.0.2.2' }, ramp(8));
  const cases: [string, number[], string][] = [
    ['7 bytes', icmp(8, 0, [1, 2, 3, 4]).slice(0, 7), 'icps_tooshort'],
    ['a wrong checksum', icmp(8, 0, [0, 1, 0, 1], 0x1111), 'icps_checksum'],
    ['unreachable with code 16', icmp(3, 16, [0, 0, 0, 0, ...quoted]), 'icps_badcode'],
    ['time exceeded with code 2', icmp(11, 2, [0, 0, 0, 0, ...quoted]), 'icps_badcode'],
    ['unreachable without a quotation', icmp(3, 3, [0, 0, 0, 0]), 'icps_badlen'],
    [
      'unreachable that quotes 7 bytes behind the header',
      icmp(3, 3, [0, 0, 0, 0, ...quoted.slice(0, 27)]),
      'icps_badlen',
    ],
    ['unreachable that quotes a header of 16 bytes', icmp(3, 3, [0, 0, 0, 0, 0x44, ...quoted.slice(1)]), 'icps_badlen'],
    [
      'unreachable about a multicast packet',
      icmp(3, 3, [0, 0, 0, 0, ...ipv4({ proto: 6, src: '192.0.2.1', dst: '224.0.0.9' }, ramp(8))]),
      'icps_badcode',
    ],
    [
      'unreachable about a packet that is not ours',
      icmp(3, 3, [0, 0, 0, 0, ...ipv4({ proto: 6, src: '192.0.2.9' }, ramp(8))]),
      'icps_badquote',
    ],
    [
      'unreachable about a protocol that nobody here speaks',
      icmp(3, 3, [0, 0, 0, 0, ...ipv4({ proto: 17, src: '192.0.2.1' }, ramp(8))]),
      'icps_badquote',
    ],
    ['a redirect', icmp(5, 1, [192, 0, 2, 254, ...quoted]), 'icps_redirect'],
    ['an echo reply', icmp(0, 0, [0, 1, 0, 1]), 'icps_echoreply'],
    ['source quench (RFC 6633 section 3)', icmp(4, 0, [0, 0, 0, 0, ...quoted]), 'icps_unhandled'],
    ['a timestamp request', icmp(13, 0, ramp(16)), 'icps_unhandled'],
    ['type 200', icmp(200, 0, ramp(16)), 'icps_unhandled'],
  ];
  test.each(cases)('%s', (_name, message, counter) => {
    const h = setup();
    h.st.ctlinput[6] = () => expect.fail('not to be told');
    expect(h.exchange(ether({}, ipv4({ proto: 1 }, message)))).toHaveLength(0);
    expect(h.count(counter)).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('the verdict of the link on the ICMP checksum counts', () => {
    const h = setup({ csum: true });
    h.exchange(echo(8), { flags: F_EOP | F_IPCSUM_GOOD | F_L4CSUM_BAD });
    expect(h.count('icps_checksum')).toBe(1);
  });
});

describe('errors about packets of ours', () => {
  test('go to the protocol that sent them, with the quoted header, and the MTU of "fragmentation needed" (RFC 1191 section 4)', () => {
    const h = setup();
    const told: unknown[] = [];
    h.st.ctlinput[6] = (st: Stack, type: number, code: number, m: Mbuf, mtu: number) => {
      told.push([type, code, mtu, m.len, st.pool.dv.getUint8(m.pos), st.pool.dv.getUint16(m.pos + 20)]);
    };
    const quoted = ipv4(
      { proto: 6, src: '192.0.2.1', dst: '198.51.100.2' },
      tcp({ src: '192.0.2.1', dst: '198.51.100.2', sport: 8080, dport: 40000, flags: 0x10 }).slice(0, 8),
    );
    h.exchange(ether({}, ipv4({ proto: 1, src: '192.0.2.9' }, icmp(3, 4, [0, 0, 0x05, 0x14, ...quoted]))));
    h.exchange(ether({}, ipv4({ proto: 1, src: '192.0.2.9' }, icmp(11, 0, [0, 0, 0, 0, ...quoted]))));
    h.exchange(ether({}, ipv4({ proto: 1, src: '192.0.2.9' }, icmp(12, 1, [0, 0, 0, 0, ...quoted]))));
    expect(told).toEqual([
      [3, 4, 0x514, 28, 0x45, 8080],
      [11, 0, 0, 28, 0x45, 8080],
      [12, 1, 0, 28, 0x45, 8080],
    ]);
    expect(h.leaked()).toBe(0);
  });
});

describe('errors that we send (RFC 1122 section 3.2.2)', () => {
  test('a protocol that nobody takes is answered by "protocol unreachable", from the address that was asked, quoting the packet', () => {
    const h = setup();
    const packet = ipv4({ proto: 132, tos: 0x10 }, ramp(40));
    const sent = h.exchange(ether({}, packet));
    expect(sent).toHaveLength(1);
    const p = parseIp(sent[0]!);
    expect(p).toMatchObject({ src: '192.0.2.1', dst: '192.0.2.2', proto: 1, headerSum: 0xffff, tos: 0xc0 });
    expect([...p.payload.subarray(0, 2)]).toEqual([3, 2]);
    expect(sum16(p.payload)).toBe(0xffff);
    expect([...p.payload.subarray(8)]).toEqual(packet);
    expect(h.moved()).toMatchObject({ ips_noproto: 1, icps_error: 1 });
    expect(h.count('ips_delivered')).toBe(0);
  });

  test('no more than 576 bytes are sent (RFC 1812 section 4.3.2.3)', () => {
    const h = setup();
    const packet = ipv4({ proto: 132 }, ramp(1400));
    const p = parseIp(h.exchange(ether({}, packet))[0]!);
    expect(p.len).toBe(576);
    expect([...p.payload.subarray(8)]).toEqual(packet.slice(0, 548));
  });

  test('link padding is not quoted', () => {
    const h = setup();
    const packet = ipv4({ proto: 132 }, ramp(10));
    const p = parseIp(h.exchange(ether({}, [...packet, ...ramp(16)]))[0]!);
    expect([...p.payload.subarray(8)]).toEqual(packet);
  });

  test.each([
    ['an ICMP error', { proto: 1 }, icmp(3, 3, [0, 0, 0, 0]), {}, 'icps_oldicmp'],
    ['a broadcast', { proto: 132, dst: '192.0.2.255' }, ramp(8), {}, 'icps_bmcasterror'],
    ['a link broadcast', { proto: 132 }, ramp(8), { dst: 'ff:ff:ff:ff:ff:ff' }, 'icps_bmcasterror'],
    ['a class E source', { proto: 132, src: '240.0.0.1' }, ramp(8), {}, 'icps_bmcasterror'],
  ] as [string, IpFields, number[], { dst?: string }, string][])(
    'none about %s',
    (_name, fields, payload, frame, counter) => {
      const h = setup();
      // Whatever arrives, somebody asks for an error.
      h.st.protosw[1] = (st, m) => icmpError(st, m, 3, 3, 0);
      expect(h.exchange(ether(frame, ipv4(fields, payload)))).toHaveLength(0);
      expect(h.moved()).toMatchObject({ icps_error: 1, [counter]: 1 });
      expect(h.leaked()).toBe(0);
    },
  );

  test('none about a fragment other than the first', () => {
    const h = setup();
    const bytes = ether({}, ipv4({ proto: 132, off: 5 }, ramp(8)));
    const m = h.pool.get()!;
    h.pool.u8.set(bytes, m.pos);
    m.l2 = m.pos;
    m.l3 = m.pos + 14;
    m.pos = m.l3;
    m.len = bytes.length - 14;
    icmpError(h.st, m, 11, 0, 0);
    expect(h.run()).toHaveLength(0);
    expect(h.count('icps_fragerror')).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('an echo request may be the subject of an error', () => {
    const h = setup();
    h.st.protosw[1] = (st, m) => icmpError(st, m, 3, 3, 0);
    expect(h.exchange(echo(8))).toHaveLength(1);
  });

  test('no more than net.inet.icmp.icmplim a second are sent', () => {
    const h = setup();
    for (let i = 0; i < 230; i++) h.link.inject(ether({}, ipv4({ proto: 132 }, ramp(8))));
    expect(h.run()).toHaveLength(200);
    expect(h.count('icps_toofreq')).toBe(30);
    expect(h.leaked()).toBe(0);
  });

  test('a packet at the very beginning of its frame is moved to make room for the headers', () => {
    const h = setup();
    const packet = ipv4({ proto: 132 }, ramp(30));
    const m = h.pool.get()!;
    m.pos = m.frame * 4096;
    m.l3 = m.pos;
    m.len = packet.length;
    h.pool.u8.set(packet, m.pos);
    icmpError(h.st, m, 3, 2, 0);
    const p = parseIp(h.run()[0]!);
    expect([...p.payload.subarray(8)]).toEqual(packet);
    expect(checksum(p.payload)).toBe(0);
  });
});

test('histograms count received types after the checksum and sent types when built (spec/counters.md 5.2)', () => {
  const h = setup();
  h.exchange(echo(8));
  h.exchange(ether({}, ipv4({ proto: 1 }, icmp(8, 0, [0, 0, 0, 0], 1))));
  h.exchange(ether({}, ipv4({ proto: 132 }, ramp(8))));
  const hist = (name: string) => {
    const base = h.st.cnt;
    const slot = h.slot(name);
    return Object.fromEntries([...base.subarray(slot, slot + 41)].map((n, t) => [t, n]).filter(([, n]) => n !== 0));
  };
  expect(hist('icps_inhist')).toEqual({ 8: 1 });
  expect(hist('icps_outhist')).toEqual({ 0: 1, 3: 1 });
});
