import { describe, expect, test } from 'vitest';
import { ifaddrAdd, ifaddrDel } from '../../../../src/stack/ifnet.ts';
import { inetAton, inetNtoa, prefixMask } from '../../../../src/stack/net/in-addr.ts';
import { RouteCache, RouteTable, routeLookup } from '../../../../src/stack/net/route.ts';
import { TestHost } from '../../../lab/memlink.ts';
import fc from '../../../lab/property.ts';

const { ifp } = new TestHost();

describe('routing table', () => {
  test('the longest prefix wins whatever the order of insertion', () => {
    const t = new RouteTable();
    const add = (p: string, gw: string) => {
      const [dst, len] = p.split('/');
      t.add({ dst: inetAton(dst!), prefixLen: Number(len), gateway: inetAton(gw), ifp });
    };
    add('0.0.0.0/0', '192.0.2.254');
    add('198.51.100.128/25', '192.0.2.3');
    add('198.51.100.0/24', '192.0.2.2');
    add('198.51.100.200/32', '192.0.2.4');
    const via = (dst: string) => inetNtoa(t.lookup(inetAton(dst))!.gateway);
    expect(['203.0.113.1', '198.51.100.1', '198.51.100.129', '198.51.100.200'].map(via)).toEqual([
      '192.0.2.254',
      '192.0.2.2',
      '192.0.2.3',
      '192.0.2.4',
    ]);
  });

  test('a table without a default route has no answer for the rest', () => {
    const t = new RouteTable();
    expect(t.lookup(inetAton('192.0.2.1'))).toBeNull();
  });

  test('refuses prefix lengths outside 0..32 and destinations with host bits', () => {
    const t = new RouteTable();
    expect(() => t.add({ dst: 0, prefixLen: 33, gateway: 0, ifp })).toThrow(RangeError);
    expect(() => t.add({ dst: 0, prefixLen: -1, gateway: 0, ifp })).toThrow(RangeError);
    expect(() => t.add({ dst: inetAton('192.0.2.1'), prefixLen: 24, gateway: 0, ifp })).toThrow(
      '192.0.2.1/24 has host bits set',
    );
  });

  test('agrees with a scan over all prefixes for any set of routes, removals included', () => {
    // Few distinct bits, so that prefixes nest and collide.
    const bits = fc
      .constantFrom(0x00000000, 0xc0000200, 0xc0000280, 0xc00002ff, 0xff000001, 0x80000000)
      .map((x) => x | 0);
    const route = fc.record({ addr: bits, len: fc.integer({ min: 0, max: 32 }), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(route, { maxLength: 40 }), fc.array(bits, { minLength: 1, maxLength: 5 }), (ops, dsts) => {
        const t = new RouteTable();
        const model = new Map<string, { dst: number; len: number; n: number }>();
        let n = 1;
        for (const o of ops) {
          const dst = o.addr & (o.len === 0 ? 0 : ~(2 ** (32 - o.len) - 1));
          const key = `${dst}/${o.len}`;
          if (o.remove) {
            expect(t.remove(dst, o.len)).toBe(model.delete(key));
          } else {
            model.set(key, { dst, len: o.len, n });
            t.add({ dst, prefixLen: o.len, gateway: n, ifp });
            n++;
          }
        }
        for (const d of dsts) {
          const hits = [...model.values()]
            .filter((r) => r.len === 0 || d >>> (32 - r.len) === r.dst >>> (32 - r.len))
            .sort((a, b) => b.len - a.len);
          expect(t.lookup(d)?.gateway).toBe(hits[0]?.n);
        }
        expect(t.list()).toHaveLength(model.size);
      }),
      { numRuns: 200 },
    );
  });

  test('masks of all prefix lengths', () => {
    expect([0, 1, 8, 24, 31, 32].map((l) => prefixMask(l) >>> 0)).toEqual([
      0, 0x80000000, 0xff000000, 0xffffff00, 0xfffffffe, 0xffffffff,
    ]);
  });
});

describe('route cache', () => {
  test('hits while nothing changes and misses after a change of the table or of the destination', () => {
    const h = new TestHost();
    const ro = new RouteCache();
    const dst = inetAton('192.0.2.9');
    const look = (d = dst) => {
      h.moved();
      const r = routeLookup(h.st, d, ro);
      return [r?.prefixLen, h.moved()];
    };
    expect(look()).toEqual([24, { ips_rtcachemiss: 1 }]);
    expect(look()).toEqual([24, { ips_rtcachehit: 1 }]);
    h.st.routes.add({ dst, prefixLen: 32, gateway: inetAton('192.0.2.7'), ifp: h.ifp });
    expect(look()).toEqual([32, { ips_rtcachemiss: 1 }]);
    expect(look(inetAton('192.0.2.10'))).toEqual([24, { ips_rtcachemiss: 1 }]);
  });
});

describe('interface addresses', () => {
  test('an address brings a route to its subnet and one to itself, and takes them with it', () => {
    const h = new TestHost({ addrs: [] });
    ifaddrAdd(h.st, h.ifp, inetAton('192.0.2.1'), 24);
    ifaddrAdd(h.st, h.ifp, inetAton('192.0.2.5'), 24);
    ifaddrAdd(h.st, h.ifp, inetAton('192.0.2.5'), 24);
    const list = () => h.st.routes.list().map((r) => `${inetNtoa(r.dst)}/${r.prefixLen}${r.local ? ' local' : ''}`);
    expect(list()).toEqual(['192.0.2.1/32 local', '192.0.2.5/32 local', '192.0.2.0/24']);
    ifaddrDel(h.st, h.ifp, inetAton('192.0.2.1'));
    expect(list()).toEqual(['192.0.2.5/32 local', '192.0.2.0/24']);
    ifaddrDel(h.st, h.ifp, inetAton('192.0.2.5'));
    ifaddrDel(h.st, h.ifp, inetAton('192.0.2.5'));
    expect(list()).toEqual([]);
  });

  test('/31 and /32 have no broadcast address (RFC 3021 section 2.2)', () => {
    const h = new TestHost({ addrs: ['192.0.2.0/31', '198.51.100.1/32', '203.0.113.9/24'] });
    expect(h.ifp.addrs.map((a) => inetNtoa(a.broadcast))).toEqual(['0.0.0.0', '0.0.0.0', '203.0.113.255']);
    expect(h.ifp.isBroadcast(inetAton('192.0.2.1'))).toBe(false);
    expect(h.ifp.isBroadcast(0)).toBe(false);
  });

  test('the source for a destination is the address of its subnet, else that of the gateway, else what the route says', () => {
    const h = new TestHost({ addrs: ['198.51.100.1/24', '192.0.2.1/24'] });
    h.st.routes.add({ dst: 0, prefixLen: 0, gateway: inetAton('192.0.2.254'), ifp: h.ifp });
    h.st.routes.add({
      dst: inetAton('203.0.113.0'),
      prefixLen: 24,
      gateway: inetAton('192.0.2.254'),
      ifp: h.ifp,
      src: inetAton('198.51.100.1'),
    });
    const source = (d: string) => inetNtoa(h.st.sourceFor(inetAton(d)));
    expect(['192.0.2.77', '198.51.100.77', '203.0.114.1', '203.0.113.1'].map(source)).toEqual([
      '192.0.2.1',
      '198.51.100.1',
      '192.0.2.1',
      '198.51.100.1',
    ]);
    expect(new TestHost().st.sourceFor(inetAton('203.0.113.1'))).toBe(0);
  });
});

test.each(['1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', 'a.b.c.d', '', '1.2.3.-4'])('%j is no address', (text) => {
  expect(() => inetAton(text)).toThrow(TypeError);
});

test('addresses survive the way to text and back', () => {
  fc.assert(fc.property(fc.integer(), (a) => inetAton(inetNtoa(a)) === a));
});
