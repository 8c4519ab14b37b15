import { describe, expect, test } from 'vitest';
import { FlowFilter, parseFlowFilter, storeFlowFilter } from '../../../src/siftr/flow-filter.ts';
import { CFG_FLOWS_VERSION, createSiftrShared } from '../../../src/siftr/shared.ts';
import { inetPton } from '../../../src/stack/net/in6-addr.ts';
import { v4 } from './records.ts';

describe('a flow filter (spec/siftr.md section 14 item 2)', () => {
  const filterOf = (spec: string): FlowFilter => {
    const cfg = createSiftrShared();
    storeFlowFilter(cfg, parseFlowFilter(spec)!);
    const filter = new FlowFilter(cfg);
    expect(filter.on).toBe(true);
    return filter;
  };
  const passes = (f: FlowFilter, laddr: string, lport: number, faddr: string, fport: number): boolean =>
    f.passesV4(v4(laddr), lport, v4(faddr), fport);

  test('names a flow as flow_list spells it, and that one alone', () => {
    const f = filterOf('192.0.2.1;5201-192.0.2.2;40000');
    expect(passes(f, '192.0.2.1', 5201, '192.0.2.2', 40000)).toBe(true);
    expect(passes(f, '192.0.2.2', 40000, '192.0.2.1', 5201)).toBe(false);
    expect(passes(f, '192.0.2.3', 5201, '192.0.2.2', 40000)).toBe(false);
    expect(passes(f, '192.0.2.1', 5202, '192.0.2.2', 40000)).toBe(false);
    expect(passes(f, '192.0.2.1', 5201, '192.0.2.3', 40000)).toBe(false);
    expect(passes(f, '192.0.2.1', 5201, '192.0.2.2', 40001)).toBe(false);
  });

  test('* stands for any part', () => {
    expect(passes(filterOf('*;*-*;*'), '192.0.2.1', 1, '203.0.113.9', 65535)).toBe(true);
    const f = filterOf('*;5201-*;*');
    expect(passes(f, '192.0.2.1', 5201, '203.0.113.9', 1)).toBe(true);
    expect(passes(f, '192.0.2.1', 1, '203.0.113.9', 5201)).toBe(false);
  });

  test('/len takes the first bits of an address', () => {
    const f = filterOf('*;*-198.51.100.128/25;*');
    expect(passes(f, '192.0.2.1', 1, '198.51.100.128', 2)).toBe(true);
    expect(passes(f, '192.0.2.1', 1, '198.51.100.255', 2)).toBe(true);
    expect(passes(f, '192.0.2.1', 1, '198.51.100.127', 2)).toBe(false);
    expect(passes(filterOf('0.0.0.0/0;*-*;*'), '203.0.113.1', 1, '192.0.2.1', 2)).toBe(true);
  });

  test('IPv6 addresses and lengths are compared over all four words, and 0.0.0.0/0 is IPv4 alone', () => {
    const f = filterOf('2001:db8:0:1::/64;*-2001:db8::2;443');
    const of = (l: string, r: string): boolean => {
      const a = inetPton(l)!;
      const b = inetPton(r)!;
      return f.passes(a[0]!, a[1]!, a[2]!, a[3]!, 1, b[0]!, b[1]!, b[2]!, b[3]!, 443);
    };
    expect(of('2001:db8:0:1:ffff::9', '2001:db8::2')).toBe(true);
    expect(of('2001:db8:0:2::9', '2001:db8::2')).toBe(false);
    expect(of('2001:db8:0:1::9', '2001:db8::3')).toBe(false);
    const four = filterOf('0.0.0.0/0;*-*;*');
    const b = inetPton('2001:db8::1')!;
    expect(four.passes(b[0]!, b[1]!, b[2]!, b[3]!, 1, 0, 0, 0xffff, 1, 1)).toBe(false);
  });

  test('one of several is enough, 64 at most; a comma at the end, as in flow_list, is nothing', () => {
    const flows = Array.from({ length: 64 }, (_, i) => `192.0.2.1;${i + 1}-*;*`);
    const f = filterOf(`${flows.join(',')},`);
    expect(passes(f, '192.0.2.1', 1, '192.0.2.2', 9)).toBe(true);
    expect(passes(f, '192.0.2.1', 64, '192.0.2.2', 9)).toBe(true);
    expect(passes(f, '192.0.2.1', 65, '192.0.2.2', 9)).toBe(false);
    expect(parseFlowFilter([...flows, '*;*-*;1'].join(','))).toBeNull();
  });

  test.each([
    '192.0.2.1',
    '192.0.2.1;1',
    '192.0.2.1;1-192.0.2.2',
    '192.0.2.1;1-192.0.2.2;2;3',
    '192.0.2.1:1-192.0.2.2:2',
    '192.0.2.1/33;*-*;*',
    '192.0.2.1/;*-*;*',
    '192.0.2.1/8/8;*-*;*',
    '2001:db8::/129;*-*;*',
    '192.0.2;1-*;*',
    '*;65536-*;*',
    '*;-1-*;*',
    '*;01-*;*',
    ';1-*;*',
    ',*;*-*;*',
    '*/8;*-*;*',
  ])('%s is refused', (spec) => {
    expect(parseFlowFilter(spec)).toBeNull();
  });

  test('a change reaches a shard at its next packet; while one is being made the old filter holds', () => {
    const cfg = createSiftrShared();
    const f = new FlowFilter(cfg);
    expect(f.on).toBe(false);
    storeFlowFilter(cfg, parseFlowFilter('*;1-*;*')!);
    cfg[CFG_FLOWS_VERSION]!++;
    expect(f.on).toBe(false);
    cfg[CFG_FLOWS_VERSION]!++;
    expect(f.on).toBe(true);
    expect(passes(f, '192.0.2.1', 1, '192.0.2.2', 2)).toBe(true);
    storeFlowFilter(cfg, []);
    expect(f.on).toBe(false);
  });
});
