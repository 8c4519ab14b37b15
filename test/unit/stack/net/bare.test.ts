import { expect, test } from 'vitest';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../../src/stack/net/ip-output.ts';
import { icmp, ipv4, ramp } from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';

/** An interface without a link header (spec/endpoint.md, "Link", mode=ip). */

const echo = Uint8Array.from(ipv4({ src: '192.0.2.2', dst: '192.0.2.1', proto: 1 }, icmp(8, 0, ramp(12))));

test('an IPv4 packet is taken as it is, and the echo reply to it leaves as it is (RFC 792)', () => {
  const h = new TestHost({ bare: true });
  const sent = h.exchange(echo);
  expect(sent).toHaveLength(1);
  const reply = sent[0]!;
  expect(reply).toHaveLength(echo.length);
  expect(reply[0]).toBe(0x45);
  expect([...reply.subarray(12, 20)]).toEqual([192, 0, 2, 1, 192, 0, 2, 2]);
  // Type 0: echo reply.
  expect(reply[20]).toBe(0);
  expect(h.moved()).toMatchObject({ stks_bare_in: 1, stks_bare_out: 1, ips_total: 1 });
  expect(h.leaked()).toBe(0);
});

test('nobody is asked for an address: a packet to any next hop is sent at once', () => {
  const h = new TestHost({ bare: true });
  h.st.routes.add({ dst: 0, prefixLen: 0, gateway: inetAton('192.0.2.254'), ifp: h.ifp });
  const m = h.pool.get()!;
  m.len = 8;
  expect(ipOutput(h.st, m, 0, inetAton('198.51.100.7'), 99, 0, 0, true, null, null)).toBe(0);
  expect(h.run()).toHaveLength(1);
  expect(h.moved()).not.toHaveProperty('arps_txrequests');
});

test('IPv6 is counted and dropped until the stack has it', () => {
  const h = new TestHost({ bare: true });
  expect(h.exchange(Uint8Array.of(0x60, ...new Array<number>(39).fill(0)))).toEqual([]);
  expect(h.moved()).toEqual({ stks_bare_in: 1, stks_bare_noip6: 1 });
  expect(h.leaked()).toBe(0);
});

test.each([
  ['another version', Uint8Array.of(0x50, 0, 0, 20)],
  ['an Ethernet frame', Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)],
])('%s is counted and dropped', (_, bytes) => {
  const h = new TestHost({ bare: true });
  expect(h.exchange(bytes)).toEqual([]);
  expect(h.moved()).toEqual({ stks_bare_in: 1, stks_bare_badvers: 1 });
  expect(h.leaked()).toBe(0);
});

test('an IPv4 packet that is cut short is dropped by IP input (RFC 1122 section 3.2.1.1)', () => {
  const h = new TestHost({ bare: true });
  expect(h.exchange(echo.subarray(0, 10))).toEqual([]);
  expect(h.moved()).toEqual({ stks_bare_in: 1, ips_total: 1, ips_toosmall: 1 });
  expect(h.leaked()).toBe(0);
});
