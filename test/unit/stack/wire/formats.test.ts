import { expect, test } from 'vitest';
import * as A from '../../../../src/stack/wire/arp.ts';
import * as E from '../../../../src/stack/wire/ether.ts';
import * as C from '../../../../src/stack/wire/icmp.ts';
import * as I from '../../../../src/stack/wire/ipv4.ts';
import { arp, ether, icmp, ip4, ipv4, ramp } from '../../../lab/frames.ts';

/** The bytes three places into a buffer: positions are absolute. */
const AT = 3;
const view = (bytes: ArrayLike<number>) => new DataView(Uint8Array.from([9, 9, 9, ...Array.from(bytes), 9, 9]).buffer);
const int = (text: string) => ip4(text).reduce((a, b) => (a << 8) | b, 0);
const read = (v: DataView, n: number) => [...new Uint8Array(v.buffer, AT, n)];

test('Ethernet header fields are read and written where IEEE 802.3 has them', () => {
  const bytes = ether({ dst: '01:23:45:67:89:ab', src: 'fe:dc:ba:98:76:54', type: 0x86dd });
  const v = view(bytes);
  expect([E.ethDstHi(v, AT), E.ethDstLo(v, AT) >>> 0]).toEqual([0x0123, 0x456789ab]);
  expect([E.ethSrcHi(v, AT), E.ethSrcLo(v, AT) >>> 0]).toEqual([0xfedc, 0xba987654]);
  expect(E.ethType(v, AT)).toBe(0x86dd);
  const w = view(new Uint8Array(14));
  E.ethEmit(w, AT, 0x0123, 0x456789ab, 0xfedc, 0xba987654 | 0, 0x86dd);
  expect(read(w, 14)).toEqual([...bytes]);
  expect([13, 14].map(E.etherCheckLen)).toEqual([false, true]);
});

test('station addresses as text', () => {
  expect(E.macToString(0x0200, 0x5e00_0001)).toBe('02:00:5e:00:00:01');
  expect(E.macFromString('02:00:5e:0:0:1')).toEqual({ hi: 0x0200, lo: 0x5e000001 });
  for (const bad of ['', '02:00:5e:00:00', '02:00:5e:00:00:01:02', '02-00-5e-00-00-01', '0g:00:00:00:00:00']) {
    expect(() => E.macFromString(bad)).toThrow(TypeError);
  }
});

test('ARP fields are read and written where RFC 826 has them', () => {
  const bytes = arp({
    op: 2,
    sha: '01:23:45:67:89:ab',
    spa: '192.0.2.1',
    tha: 'fe:dc:ba:98:76:54',
    tpa: '198.51.100.2',
  });
  const v = view(bytes);
  expect(A.arpCheckType(v, AT)).toBe(true);
  expect(A.arpOp(v, AT)).toBe(A.ARPOP_REPLY);
  expect([A.arpShaHi(v, AT), A.arpShaLo(v, AT) >>> 0]).toEqual([0x0123, 0x456789ab]);
  expect([A.arpThaHi(v, AT), A.arpThaLo(v, AT) >>> 0]).toEqual([0xfedc, 0xba987654]);
  expect([A.arpSpa(v, AT), A.arpTpa(v, AT)]).toEqual([int('192.0.2.1'), int('198.51.100.2')]);
  const w = view(new Uint8Array(28));
  A.arpEmit(w, AT, 2, 0x0123, 0x456789ab, int('192.0.2.1'), 0xfedc, 0xba987654 | 0, int('198.51.100.2'));
  expect(read(w, 28)).toEqual(bytes);
  expect([27, 28].map(A.arpCheckLen)).toEqual([false, true]);
});

test('IPv4 fields are read and written where RFC 791 section 3.1 has them', () => {
  const f = { tos: 0xb8, id: 0xbeef, off: 0x6123, ttl: 7, proto: 17, src: '192.0.2.1', dst: '198.51.100.2' };
  const bytes = ipv4({ ...f, options: [1, 1, 1, 0] }, ramp(8));
  const v = view(bytes);
  expect([I.ipVersion(v, AT), I.ipHlen(v, AT), I.ipTos(v, AT), I.ipLen(v, AT)]).toEqual([4, 24, 0xb8, 32]);
  expect([I.ipId(v, AT), I.ipOff(v, AT), I.ipTtl(v, AT), I.ipProto(v, AT)]).toEqual([0xbeef, 0x6123, 7, 17]);
  expect([I.ipSrc(v, AT), I.ipDst(v, AT)]).toEqual([int('192.0.2.1'), int('198.51.100.2')]);
  expect(I.ipSum(v, AT)).toBe(bytes[10]! * 256 + bytes[11]!);
  const w = view(new Uint8Array(20));
  I.ipEmit(w, AT, 0xb8, 28, 0xbeef, 0x6123, 7, 17, int('192.0.2.1'), int('198.51.100.2'));
  expect(read(w, 20)).toEqual(ipv4({ ...f, sum: 0 }, ramp(8)).slice(0, 20));
  expect([19, 20].map(I.ipCheckLen)).toEqual([false, true]);
});

test('single IPv4 fields can be changed', () => {
  const w = view(ipv4({ sum: 0 }));
  I.setIpTos(w, AT, 3);
  I.setIpTtl(w, AT, 9);
  I.setIpLen(w, AT, 1234);
  I.setIpSum(w, AT, 0xabcd);
  I.setIpSrc(w, AT, int('203.0.113.1'));
  I.setIpDst(w, AT, int('203.0.113.2'));
  expect(read(w, 20)).toEqual(ipv4({ tos: 3, ttl: 9, len: 1234, sum: 0xabcd, src: '203.0.113.1', dst: '203.0.113.2' }));
});

test('ICMP fields are read and written where RFC 792 and RFC 1191 section 4 have them', () => {
  const v = view(icmp(3, 4, [0, 0, 0x05, 0x14]));
  expect([C.icmpType(v, AT), C.icmpCode(v, AT), C.icmpNextMtu(v, AT)]).toEqual([3, 4, 1300]);
  const w = view(new Uint8Array(8).fill(7));
  C.icmpEmit(w, AT, 12, 1, 0x14 << 24);
  expect(read(w, 8)).toEqual([12, 1, 0, 0, 0x14, 0, 0, 0]);
  expect([7, 8].map(C.icmpCheckLen)).toEqual([false, true]);
});

test('errors are told from questions and answers (RFC 1122 section 3.2.2); a type that nobody knows counts as an error', () => {
  const questions = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];
  expect(Array.from({ length: 256 }, (_, t) => t).filter((t) => !C.icmpIsError(t))).toEqual(questions);
});
