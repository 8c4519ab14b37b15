import { describe, expect, test } from 'vitest';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import { inetNtop, inetPton } from '../../../../src/stack/net/in6-addr.ts';

const ntop = (addr: string): string => inetNtop(...inetPton(addr)!);

describe('addresses of either family', () => {
  test('IPv4 is a dotted quad, never mapped (spec/siftr.md section 4)', () => {
    expect(inetNtop(0, 0, 0xffff, inetAton('192.0.2.1'))).toBe('192.0.2.1');
    expect(ntop('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(ntop('255.255.255.255')).toBe('255.255.255.255');
  });

  test.each([
    // RFC 5952 section 1 and 2.
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8::1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8:0:0:1::1', '2001:db8::1:0:0:1'],
    ['2001:db8:aaaa:bbbb:cccc:dddd::1', '2001:db8:aaaa:bbbb:cccc:dddd:0:1'],
    // 4.2.1: to the utmost; 4.2.2: not for one group; 4.2.3: the longest run, the first of several.
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:0:2:0:3:0:0:5', '1:0:2:0:3::5'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['fe80:0:0:0:0:0:0:1', 'fe80::1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is written %s (RFC 5952)', (given, wanted) => {
    expect(ntop(given)).toBe(wanted);
  });

  test.each([
    '',
    '1.2.3',
    '192.0.2.256',
    '::1%eth0',
    ':::',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '12345::',
    '192.0.2.01',
    '192.0.2.1.',
    '::192.0.2.1.',
    '::1.2.3',
    '1.2.3.4:',
    'host',
  ])('%j is none', (given) => {
    expect(inetPton(given)).toBeNull();
  });
});
