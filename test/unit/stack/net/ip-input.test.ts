import { describe, expect, test } from 'vitest';
import { F_EOP, F_IPCSUM_BAD, F_IPCSUM_GOOD } from '../../../../src/rings/link.ts';
import { M_BCAST, M_MCAST, type Mbuf } from '../../../../src/rings/mbuf.ts';
import { ifaddrAdd } from '../../../../src/stack/ifnet.ts';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import type { Stack } from '../../../../src/stack/stack.ts';
import { ether, type IpFields, ipv4, ramp } from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';

const UDP = 17;

/** A host that notes what reaches protocol 17. */
function setup(o: ConstructorParameters<typeof TestHost>[0] = {}) {
  const h = new TestHost(o);
  const got: { off: number; len: number; l3: number; bytes: Uint8Array; mflags: number }[] = [];
  h.st.protosw[UDP] = (st: Stack, m: Mbuf) => {
    expect(m.l4).toBe(m.pos);
    got.push({
      off: m.pos - m.l3,
      len: m.len,
      l3: m.l3 - m.l2,
      bytes: st.pool.u8.slice(m.pos, m.pos + m.len),
      mflags: m.mflags,
    });
    st.pool.put(m);
  };
  const send = (f: IpFields, payload: number[] = ramp(16), frame: { dst?: string } = {}, flags?: number) => {
    h.moved();
    h.exchange(ether(frame, ipv4({ proto: UDP, ...f }, payload)), flags === undefined ? {} : { flags });
    const moved = h.moved();
    delete moved.stks_ether_in;
    return moved;
  };
  return { h, got, send };
}

describe('what is wrong with a header, each with its counter (spec/packetflow.md R9)', () => {
  const good = { ips_total: 1, ips_inswcsum: 1 };
  const cases: [string, IpFields, number[], Record<string, number>][] = [
    ['version 5', { version: 5 }, ramp(16), { ips_total: 1, ips_badvers: 1 }],
    ['header length of 16', { ihl: 4 }, ramp(16), { ips_total: 1, ips_badhlen: 1 }],
    ['header length beyond the packet', { ihl: 15 }, ramp(16), { ips_total: 1, ips_badhlen: 1 }],
    ['source in 127/8', { src: '127.0.0.1' }, ramp(16), { ips_total: 1, ips_badaddr_src: 1 }],
    ['destination in 127/8', { dst: '127.9.9.9' }, ramp(16), { ips_total: 1, ips_badaddr_dst: 1 }],
    ['wrong checksum', { sum: 0x1234 }, ramp(16), { ...good, ips_badsum: 1 }],
    ['total length shorter than the header', { len: 19 }, ramp(16), { ...good, ips_badlen: 1 }],
    ['total length beyond the packet', { len: 37 }, ramp(16), { ...good, ips_tooshort: 1 }],
    ['multicast source', { src: '224.0.0.5' }, ramp(16), { ...good, ips_src_group: 1 }],
    ['limited broadcast source', { src: '255.255.255.255' }, ramp(16), { ...good, ips_src_group: 1 }],
    ['directed broadcast source', { src: '192.0.2.255' }, ramp(16), { ...good, ips_src_group: 1 }],
    ['source in 0/8', { src: '0.0.0.0' }, ramp(16), { ...good, ips_src_zero: 1 }],
    ['our own source (land)', { src: '192.0.2.1' }, ramp(16), { ...good, ips_src_own: 1 }],
    ['destination of another host', { dst: '192.0.2.77' }, ramp(16), { ...good, ips_notours: 1 }],
    ['group of routing protocols', { dst: '224.0.0.5' }, ramp(16), { ...good, ips_notmember_local: 1 }],
    ['group of the wide area', { dst: '233.252.0.1' }, ramp(16), { ...good, ips_notmember_routed: 1 }],
    ['first fragment', { off: 0x2000 }, ramp(16), { ...good, ips_fragments: 1, ips_noreass: 1 }],
    ['last fragment', { off: 3 }, ramp(13), { ...good, ips_fragments: 1, ips_noreass: 1 }],
    ['middle fragment of 12 bytes', { off: 0x2003 }, ramp(12), { ...good, ips_fragments: 1, ips_badfrags: 1 }],
    ['middle fragment without data', { off: 0x2003 }, [], { ...good, ips_fragments: 1, ips_badfrags: 1 }],
  ];
  test.each(cases)('%s', (_name, fields, payload, expected) => {
    const { h, got, send } = setup();
    expect(send(fields, payload)).toEqual(expected);
    expect(got).toHaveLength(0);
    expect(h.link.sent).toHaveLength(0);
    expect(h.leaked()).toBe(0);
  });

  test('fewer than 20 bytes', () => {
    const { h } = setup();
    h.exchange(ether({}, ipv4({ proto: UDP }).slice(0, 19)));
    expect(h.count('ips_toosmall')).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('a link broadcast for another IP address is counted apart', () => {
    const { send } = setup();
    expect(send({ dst: '192.0.2.77' }, ramp(16), { dst: 'ff:ff:ff:ff:ff:ff' })).toMatchObject({
      ips_notours_bmcast: 1,
    });
  });

  test('an address of another interface of ours is refused: received on wrong interface', () => {
    const { h, send } = setup();
    const other = h.st.ifAttach({ ...h.ifp, name: 'mem1', queue: 0 });
    ifaddrAdd(h.st, other, inetAton('198.51.100.1'), 24);
    expect(send({ dst: '198.51.100.1' })).toMatchObject({ ips_wrongif: 1 });
  });
});

describe('delivery', () => {
  test('a whole datagram reaches its protocol with the positions of its headers', () => {
    const { got, send, h } = setup();
    expect(send({})).toEqual({ ips_total: 1, ips_inswcsum: 1, ips_delivered: 1 });
    expect(got).toEqual([{ off: 20, len: 16, l3: 14, bytes: Uint8Array.from(ramp(16)), mflags: 0 }]);
    expect(h.leaked()).toBe(0);
  });

  test('link padding is trimmed by the total length', () => {
    const { h, got } = setup();
    h.exchange(ether({}, [...ipv4({ proto: UDP }, ramp(4)), ...ramp(22)]));
    expect(got[0]).toMatchObject({ len: 4 });
  });

  test('DF is no fragment', () => {
    const { got, send } = setup();
    send({ off: 0x4000 });
    expect(got).toHaveLength(1);
  });

  test.each(['192.0.2.255', '255.255.255.255', '0.0.0.0'])('broadcast to %s is ours, marked M_BCAST', (dst) => {
    const { got, send } = setup();
    send({ dst });
    expect(got.map((g) => g.mflags)).toEqual([M_BCAST]);
  });

  test('224.0.0.1 is ours, marked M_MCAST (RFC 1112 section 4)', () => {
    const { got, send } = setup();
    send({ dst: '224.0.0.1' }, ramp(8), { dst: '01:00:5e:00:00:01' });
    expect(got.map((g) => g.mflags)).toEqual([M_MCAST]);
  });

  test('a link that verified the checksum saves the software sum, and its verdict counts', () => {
    const { got, send } = setup();
    expect(send({ sum: 1 }, ramp(16), {}, F_EOP | F_IPCSUM_GOOD)).toEqual({ ips_total: 1, ips_delivered: 1 });
    expect(send({}, ramp(16), {}, F_EOP | F_IPCSUM_BAD)).toEqual({ ips_total: 1, ips_badsum: 1 });
    expect(got).toHaveLength(1);
  });
});

describe('options (RFC 791 section 3.1)', () => {
  test.each([
    ['end of options', [0, 9, 9, 9]],
    ['no operation', [1, 1, 1, 0]],
    ['record route', [7, 7, 4, 0, 0, 0, 0, 0]],
    ['timestamp', [68, 8, 5, 0, 0, 0, 0, 0]],
    ['an unknown option', [0x9e, 4, 0, 0]],
  ])('%s passes', (_name, options) => {
    const { got, send } = setup();
    expect(send({ options })).toMatchObject({ ips_delivered: 1 });
    expect(got[0]).toMatchObject({ off: 20 + options.length, len: 16 });
  });

  test.each([
    ['a length of 0', [7, 0, 0, 0], 21],
    ['a length of 1', [7, 1, 0, 0], 21],
    ['a length beyond the header', [1, 1, 7, 9], 23],
    ['no room for a length', [1, 1, 1, 7], 23],
    ['a record route pointer below 4', [7, 7, 3, 0, 0, 0, 0, 0], 22],
    ['a record route without a pointer', [1, 7, 2, 0], 22],
  ])('%s is answered by a parameter problem that names the byte', (_name, options, pointer) => {
    const { h, got } = setup();
    h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
    const sent = h.exchange(ether({}, ipv4({ proto: UDP, options }, ramp(16))));
    expect(h.count('ips_badoptions')).toBe(1);
    expect(got).toHaveLength(0);
    expect(sent).toHaveLength(1);
    // Type 12, code 0, pointer in the first byte of the second word (RFC 792).
    expect([...sent[0]!.subarray(34, 36), sent[0]![38]]).toEqual([12, 0, pointer]);
    expect(h.leaked()).toBe(0);
  });

  test.each([131, 137])('a source route (%i) is refused with "source route failed"', (opt) => {
    const { h, got } = setup();
    h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
    const sent = h.exchange(ether({}, ipv4({ proto: UDP, options: [opt, 7, 4, 192, 0, 2, 9, 0] }, ramp(16))));
    expect(h.count('ips_badoptions')).toBe(1);
    expect(got).toHaveLength(0);
    expect([...sent[0]!.subarray(34, 36)]).toEqual([3, 5]);
  });
});

describe('what Ethernet input drops, each with its counter (spec/packetflow.md R7 and 7)', () => {
  const ip = ipv4({ proto: UDP }, ramp(16));
  const cases: [string, Uint8Array, { vlan?: number }, string][] = [
    ['a frame of 13 bytes', ether({}, []).subarray(0, 13), {}, 'stks_ether_short'],
    ['another station', ether({ dst: '02:00:00:00:00:99' }, ip), {}, 'stks_ether_notours'],
    ['a group source address', ether({ src: '01:00:5e:00:00:01' }, ip), {}, 'stks_ether_badsrc'],
    ['a tag taken off by the link', ether({}, ip), { vlan: 5 }, 'stks_ether_vlan'],
    ['802.1Q', ether({ type: 0x8100 }, [0, 5, 8, 0, ...ip]), {}, 'stks_ether_vlan'],
    ['802.1ad', ether({ type: 0x88a8 }, [0, 5, 8, 0, ...ip]), {}, 'stks_ether_vlan'],
    ['IPv6', ether({ type: 0x86dd }, ip), {}, 'stks_ether_noip6'],
    ['an 802.3 length', ether({ type: 0x0026 }, ip), {}, 'stks_ether_llc'],
    ['LLDP', ether({ type: 0x88cc }, ip), {}, 'stks_ether_unktype'],
  ];
  test.each(cases)('%s', (_name, frame, options, counter) => {
    const { h, got } = setup();
    h.exchange(frame, options);
    expect(h.moved()).toEqual({ stks_ether_in: 1, [counter]: 1 });
    expect(got).toHaveLength(0);
    expect(h.leaked()).toBe(0);
  });

  test('a packet of several frames counts once and gives all of them back', () => {
    const { h } = setup();
    h.link.inject(ether({}, ip), { flags: 0 });
    h.link.inject(ether({}, ip), { flags: 0 });
    h.link.inject(ether({}, ip), { flags: F_EOP });
    h.link.inject(ether({}, ip));
    h.run();
    expect(h.moved()).toMatchObject({ stks_ether_multiframe: 1, stks_ether_in: 1, ips_delivered: 1 });
    expect(h.leaked()).toBe(0);
  });
});
