import { describe, expect, it } from 'vitest';
import { dropRequest } from '../../../src/cli/tcpdrop.ts';
import { UserError } from '../../../src/daemon/errors.ts';

const one = { one: { laddr: '192.0.2.1', lport: 80, faddr: '192.0.2.2', fport: 40000 } };

// usr.sbin/tcpdrop/tcpdrop.c and tcpdrop(8) of FreeBSD 14.
describe('the words of tcpdrop', () => {
  it.each([
    ['192.0.2.1 80 192.0.2.2 40000'],
    ['192.0.2.1:80 192.0.2.2:40000'],
    ['192.0.2.1.80 192.0.2.2.40000'],
    ['192.0.2.1.80 192.0.2.2:40000'],
    ['192.0.2.1 http 192.0.2.2 40000'],
    ['192.0.2.1:http 192.0.2.2:40000'],
  ])('%s is one connection', (words) => {
    expect(dropRequest(words.split(' '), {})).toEqual(one);
  });

  it('-a is all, -s, -S and -C together are some, -l alone lists all', () => {
    expect(dropRequest([], { all: true })).toEqual({ one: null });
    expect(dropRequest([], { list: true })).toEqual({ one: null });
    expect(dropRequest([], { all: true, list: true })).toEqual({ one: null });
    expect(dropRequest([], { state: 'ESTABLISHED' })).toEqual({ one: null, state: 4 });
    expect(dropRequest([], { state: 'TIME_WAIT', cc: 'cubic', stack: 'xsiftr', list: true })).toEqual({
      one: null,
      state: 10,
      cc: 'cubic',
    });
  });

  it.each([
    [
      '',
      {},
      /^tcpdrop: no connection: allowed are LADDR LPORT FADDR FPORT, LADDR:LPORT FADDR:FPORT, -a, or some of -C, -S and -s$/,
    ],
    ['192.0.2.1', {}, /^tcpdrop: 192\.0\.2\.1: allowed are LADDR/],
    ['192.0.2.1 80 192.0.2.2', {}, /: allowed are LADDR/],
    ['192.0.2.1 80 192.0.2.2 40000 5', {}, /: allowed are LADDR/],
    ['host 192', {}, /: allowed are LADDR/],
    ['192.0.2.1: 192.0.2.2:40000', {}, /^tcpdrop: port : allowed is 1 to 65535, or a service of \/etc\/services$/],
    ['192.0.2.1:80 192.0.2.2', {}, /^tcpdrop: 192\.0\.2: not an IPv4 address/],
    ['192.0.2.1 0 192.0.2.2 40000', {}, /^tcpdrop: port 0: /],
    ['192.0.2.1 80 192.0.2.2 65536', {}, /^tcpdrop: port 65536: /],
    ['192.0.2.1 80 192.0.2.2 -1', {}, /^tcpdrop: port -1: /],
    ['192.0.2.1 80 192.0.2.2 nosuchservice', {}, /^tcpdrop: port nosuchservice: /],
    ['192.0.2.256 80 192.0.2.2 40000', {}, /^tcpdrop: 192\.0\.2\.256: not an IPv4 address, as 192\.0\.2\.1/],
    ['* 80 192.0.2.2 40000', {}, /^tcpdrop: \*: not an IPv4 address/],
    [
      '2001:db8::1 80 2001:db8::2 40000',
      {},
      /^tcpdrop: 2001:db8::1: not an IPv4 address, as 192\.0\.2\.1 \(no names; connections are IPv4\)$/,
    ],
    ['example.org 80 192.0.2.2 40000', {}, /^tcpdrop: example\.org: not an IPv4 address/],
    ['192.0.2.1 80 192.0.2.2 40000', { all: true }, /allowed is one of LADDR .*; -l with -a, -C, -S or -s$/],
    ['192.0.2.1 80 192.0.2.2 40000', { list: true }, /-l with -a, -C, -S or -s$/],
    ['192.0.2.1 80 192.0.2.2 40000', { cc: 'cubic' }, /-l with -a, -C, -S or -s$/],
    ['', { all: true, cc: 'cubic' }, /^tcpdrop: -a takes all connections; leave it out, or -C, -S and -s$/],
    ['', { all: true, state: 'TIME_WAIT' }, /^tcpdrop: -a takes all/],
    ['', { state: 'LISTEN' }, /^tcpdrop: -s LISTEN: allowed are SYN_SENT, SYN_RCVD, ESTABLISHED, CLOSE_WAIT, /],
    ['', { state: 'CLOSED' }, /^tcpdrop: -s CLOSED: allowed are /],
    ['', { state: 'established' }, /^tcpdrop: -s established: allowed are /],
    ['', { state: '' }, /^tcpdrop: -s : allowed are /],
    ['', { stack: 'rack' }, /^tcpdrop: -S rack: allowed is xsiftr, the only stack$/],
  ])('%s %j is refused', (words, flags, line) => {
    const act = () => dropRequest(words === '' ? [] : words.split(' '), flags);
    expect(act).toThrow(line);
    expect(act).toThrow(UserError);
  });
});
