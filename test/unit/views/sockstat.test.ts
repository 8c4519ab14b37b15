import { describe, expect, it } from 'vitest';
import { ssFilter } from '../../../src/daemon/conns.ts';
import { CONN_ROW, CONN_SLOT } from '../../../src/stack/tcp/conninfo.ts';
import type { ConnRecord } from '../../../src/views/conn.ts';
import {
  hasPort,
  joined,
  parsePorts,
  parseProtocols,
  portWords,
  type SockHolder,
  sockstatHeader,
  sockstatLine,
  sockstatRecord,
} from '../../../src/views/sockstat.ts';

const who: SockHolder = { user: 'root', uid: 0, command: 'xsiftr', pid: 1010 };
const listening: ConnRecord = { state: 'LISTEN', laddr: '0.0.0.0', lport: 80, faddr: '0.0.0.0', cc: 'cubic' };
const estab: ConnRecord = {
  state: 'ESTAB',
  laddr: '192.0.2.1',
  lport: 80,
  faddr: '192.0.2.2',
  fport: 40000,
  cc: 'newreno',
  orphan: false,
  queued: false,
};
const waiting: ConnRecord = { ...estab, state: 'TIME-WAIT', fport: 40001, orphan: true };

/**
 * Expected texts are laid out by the formats of usr.bin/sockstat/sockstat.c of FreeBSD 14: header "%-8s %-10s %-5s %-3s %-6s %-21s %-21s", a user
 * up to column 9, command up to 20, pid as %5lu up to 26, FD as %-3d, protocol from 30, local address from 37, foreign from 59.
 */
describe('sockstat', () => {
  it('has the columns of FreeBSD 14, filled up to the end of the last one', () => {
    expect(sockstatHeader({})).toBe(
      'USER     COMMAND    PID   FD  PROTO  LOCAL ADDRESS         FOREIGN ADDRESS      \n',
    );
    expect(sockstatHeader({ state: true, stack: true, cc: true })).toBe(
      'USER     COMMAND    PID   FD  PROTO  LOCAL ADDRESS         FOREIGN ADDRESS       PATH STATE   CONN STATE   STACK                            CC\n',
    );
    expect(sockstatHeader({ wide: true })).toBe(
      `USER     COMMAND    PID   FD  PROTO  LOCAL ADDRESS${' '.repeat(33)}FOREIGN ADDRESS${' '.repeat(30)}\n`,
    );
  });

  it('lists a listening socket with *: for any address and :* for any port', () => {
    expect(sockstatLine(listening, who, {})).toBe('root     xsiftr      1010 ?   tcp4   *:80                  *:*\n');
    expect(sockstatLine({ ...listening, laddr: '192.0.2.1' }, who, {})).toBe(
      'root     xsiftr      1010 ?   tcp4   192.0.2.1:80          *:*\n',
    );
  });

  it('lists a connection with both ends; one that nobody holds has ? in the first four columns', () => {
    expect(sockstatLine(estab, who, {})).toBe(
      'root     xsiftr      1010 ?   tcp4   192.0.2.1:80          192.0.2.2:40000\n',
    );
    const none = '?        ?          ?     ?   tcp4   192.0.2.1:80          192.0.2.2:40001\n';
    expect(sockstatLine(waiting, who, {})).toBe(none);
    expect(sockstatLine({ ...estab, fport: 40001, queued: true }, who, {})).toBe(none);
  });

  it('puts states at column 94, the stack at 107 and congestion control at 140, -w moves them by 48', () => {
    const line = sockstatLine(estab, who, { state: true, stack: true, cc: true });
    expect(line.indexOf('ESTABLISHED')).toBe(94);
    expect(line.indexOf('xsiftr', 30)).toBe(107);
    expect(line.indexOf('newreno')).toBe(140);
    expect(sockstatLine(waiting, who, { state: true, wide: true }).indexOf('TIME_WAIT')).toBe(142);
    expect(sockstatLine(estab, who, { cc: true }).indexOf('newreno')).toBe(81);
  });

  it('keeps a blank between columns that overflow, and cuts the command at 10', () => {
    const long = { user: 'systemd-network', uid: 998, command: 'averylongcommand', pid: 4194303 };
    expect(sockstatLine(estab, long, {})).toMatch(
      /^systemd-network averylongc 4194303 \? {2}tcp4 {1,}192\.0\.2\.1:80 /,
    );
    expect(sockstatLine(estab, long, { numeric: true })).toBe(
      '998      averylongc 4194303 ?  tcp4  192.0.2.1:80          192.0.2.2:40000\n',
    );
    const far = { ...estab, laddr: '198.51.100.100', lport: 65535, faddr: '203.0.113.100', fport: 65535 };
    expect(sockstatLine(far, who, { cc: true })).toBe(
      'root     xsiftr      1010 ?   tcp4   198.51.100.100:65535  203.0.113.100:65535   newreno\n',
    );
  });

  it('lists a socket of the endpoint with its descriptor and the program that has it; what is not known is ?', () => {
    const held = { ...estab, fd: 3, pid: 77, command: 'python3', uid: 1000, user: 'ann' };
    const ends = 'tcp4   192.0.2.1:80          192.0.2.2:40000\n';
    expect(sockstatLine(held, who, {})).toBe(`ann      python3       77 3   ${ends}`);
    expect(sockstatLine(held, who, { numeric: true })).toBe(`1000     python3       77 3   ${ends}`);
    expect(sockstatLine({ ...held, fd: 128 }, who, {})).toBe(`ann      python3       77 128 ${ends}`);
    // A blank stays between columns.
    expect(sockstatLine({ ...held, fd: 65538 }, who, {})).toBe(
      'ann      python3       77 65538 tcp4 192.0.2.1:80          192.0.2.2:40000\n',
    );
    expect(sockstatLine({ ...estab, fd: 5, uid: 1000 }, who, {})).toBe(`1000     ?          ?     5   ${ends}`);
    expect(sockstatLine({ ...estab, fd: 5 }, who, {})).toBe(`?        ?          ?     5   ${ends}`);
    expect(sockstatLine({ ...held, orphan: true }, who, {})).toBe(`?        ?          ?     ?   ${ends}`);
    expect(sockstatRecord(held, who)).toMatchObject({ user: 'ann', uid: 1000, command: 'python3', pid: 77, fd: 3 });
    expect(Object.keys(sockstatRecord({ ...estab, fd: 5 }, who)).slice(0, 2)).toEqual(['fd', 'proto']);
  });

  it('names states as tcp_fsm.h does', () => {
    const states = ['SYN-SENT', 'SYN-RECV', 'CLOSE-WAIT', 'FIN-WAIT-1', 'CLOSING', 'LAST-ACK', 'FIN-WAIT-2', 'LISTEN'];
    expect(states.map((state) => sockstatRecord({ ...estab, state }, who).state)).toEqual([
      'SYN_SENT',
      'SYN_RCVD',
      'CLOSE_WAIT',
      'FIN_WAIT_1',
      'CLOSING',
      'LAST_ACK',
      'FIN_WAIT_2',
      'LISTEN',
    ]);
  });

  it('--json has a key for each thing that is known', () => {
    expect(sockstatRecord(listening, who)).toEqual({
      user: 'root',
      uid: 0,
      command: 'xsiftr',
      pid: 1010,
      proto: 'tcp4',
      laddr: '0.0.0.0',
      lport: 80,
      state: 'LISTEN',
      stack: 'xsiftr',
      cc: 'cubic',
    });
    expect(sockstatRecord(waiting, who)).toEqual({
      proto: 'tcp4',
      laddr: '192.0.2.1',
      lport: 80,
      faddr: '192.0.2.2',
      fport: 40001,
      state: 'TIME_WAIT',
      stack: 'xsiftr',
      cc: 'newreno',
    });
  });
});

describe('-p of sockstat', () => {
  it('takes ports and ranges; a comma may stand at the end', () => {
    expect(parsePorts('22,80,5000-5010')).toEqual([
      [22, 22],
      [80, 80],
      [5000, 5010],
    ]);
    expect(parsePorts('80,')).toEqual([[80, 80]]);
    expect(parsePorts('0-65535')).toEqual([[0, 65535]]);
    expect(parsePorts('10-20,15-30,31,1-3')).toEqual([
      [1, 3],
      [10, 31],
    ]);
    expect(joined([])).toEqual([]);
  });

  it.each([
    ['', 'syntax error in port range'],
    [',', 'syntax error in port range'],
    [',80', 'syntax error in port range'],
    ['80,,81', 'syntax error in port range'],
    ['http', 'syntax error in port range'],
    ['80x', 'syntax error in port range'],
    ['80-', 'syntax error in port range'],
    ['-80', 'syntax error in port range'],
    ['1-2-3', 'syntax error in port range'],
    [' 80', 'syntax error in port range'],
    ['99999999999999999999', 'syntax error in port range'],
    ['65536', 'invalid port number'],
    ['80-70', 'invalid port number'],
    ['80-65536', 'invalid port number'],
  ])('refuses %j: %s', (text, why) => {
    expect(() => parsePorts(text)).toThrow(
      `sockstat: -p ${text}: ${why}; allowed are ports from 0 to 65535 and ranges, as 22,80,5000-5010`,
    );
  });

  it('looks at both ends; the other end of a listening socket has port 0', () => {
    expect(hasPort(estab, parsePorts('80'))).toBe(true);
    expect(hasPort(estab, parsePorts('40000'))).toBe(true);
    expect(hasPort(estab, parsePorts('81-39999,40001-65535'))).toBe(false);
    expect(hasPort(listening, parsePorts('0'))).toBe(true);
    expect(hasPort(estab, parsePorts('0'))).toBe(false);
  });

  it('asks the instance for no more than that where it can be said in words of a filter', () => {
    for (const text of ['80', '22,80', '40000-40010', '1-79,81-39999,40001-65535', '1-65535']) {
      const ranges = parsePorts(text);
      const words = portWords(ranges);
      expect(words.length).toBeGreaterThan(0);
      const { matches } = ssFilter(['state', 'all', ...words], {});
      for (const r of [estab, waiting, listening]) {
        const row = new Float64Array(CONN_ROW).fill(Number.NaN);
        row[CONN_SLOT.state] = r === listening ? 1 : 4;
        row[CONN_SLOT.lport] = r.lport as number;
        if (r.fport !== undefined) row[CONN_SLOT.fport] = r.fport as number;
        expect([text, r.state, matches(row, 0)]).toEqual([text, r.state, hasPort(r, ranges)]);
      }
    }
    expect(portWords(parsePorts('0-10'))).toEqual([]);
    expect(portWords(parsePorts(Array.from({ length: 1000 }, (_, i) => 2 * i + 1).join(',')))).toEqual([]);
  });
});

describe('-P of sockstat', () => {
  it('takes names with commas between, of which tcp alone has sockets', () => {
    expect([parseProtocols('tcp'), parseProtocols('udp,tcp'), parseProtocols('udp'), parseProtocols('sctp,')]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it.each(['', ',', 'foo', 'TCP', 'tcp,foo', 'tcp udp', '6'])('refuses %j', (text) => {
    expect(() => parseProtocols(text)).toThrow(
      `sockstat: -P ${text}: allowed are tcp, udp, sctp, divert, with commas between`,
    );
  });
});
