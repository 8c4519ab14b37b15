import { beforeEach, describe, expect, test } from 'vitest';
import * as C from '../../../src/endpoint/codec.ts';
import * as L from '../../../src/endpoint/linux.ts';
import { sockaddrIn } from '../../../src/endpoint/sockaddr.ts';
import { eps } from '../../../src/metrics/layout.ts';
import { bytes, type EpClient, EpLab, text } from '../../lab/epclient.ts';
import { icmp, ipv4, u16 } from '../../lab/frames.ts';
import { ADDR_B } from '../../lab/twostacks.ts';

// IP_RECVERR of a TCP socket: ip(7), and tcp_v4_err of Linux; test/lab/endpoint/scripts.py compares all codes with it. errno(3) of Linux.
const EAGAIN = 11;
const ENOPROTOOPT = 92;
const ETIMEDOUT = 110;
const EHOSTUNREACH = 113;
const EINPROGRESS = 115;
const UNREACH = 3;
const PARAMETER_PROBLEM = 12;
const HOST = 1;
const PROTOCOL = 2;
const NEEDFRAG = 4;
const OUT = L.POLLOUT | L.POLLWRNORM;

let lab: EpLab;
let ca: EpClient;
/** What a has sent last that did not get through. */
let lost: Uint8Array;

beforeEach(() => {
  lab = new EpLab();
  ca = lab.ca;
});

/** From now on nothing gets through. */
function mute(): void {
  lab.net.filter = (f, to) => {
    if (to === 1 && f[12] === 8 && f[23] === 6) lost = f.slice();
    return [];
  };
}

/** An ICMP error of b's host about what was lost. */
function fault(type: number, code: number, mtu = 0): void {
  lab.run(1000);
  const error = icmp(type, code, [0, 0, ...u16(mtu), ...lost.subarray(14, 14 + 28)]);
  const mac = [...lost.subarray(6, 12)];
  lab.net.inject(lab.net.a, Uint8Array.from([...mac, ...mac, 8, 0, ...ipv4({ proto: 1 }, error)]));
  lab.run(1000);
}

/** A connection whose byte was lost, with IP_RECVERR as given. */
function losing(recvErr: number): { a: number; b: number } {
  const { a, b } = lab.pair();
  ca.setInt(a, L.SOL_IP, L.IP_RECVERR, recvErr);
  mute();
  expect(ca.do(C.OP_SEND, a, 0, 0, 0, bytes('x'))).toBe(1);
  return { a, b };
}

const recv = (fd: number, flags = L.MSG_DONTWAIT): number => ca.do(C.OP_RECV, fd, 1, flags);

describe('IP_RECVERR', () => {
  test('off: an ICMP error is told by SO_ERROR, once, and by nothing else', () => {
    const { a } = losing(0);
    fault(UNREACH, HOST);
    expect(ca.poll(a)).toBe(OUT);
    expect([recv(a), ca.do(C.OP_SEND, a, 0, 0, 0, bytes('y'))]).toEqual([-EAGAIN, 1]);
    expect([1, 2].map(() => ca.getInt(a, L.SOL_SOCKET, L.SO_ERROR))).toEqual([EHOSTUNREACH, 0]);
  });

  test('on: it is the error of the next call, and the connection goes on; the error queue has nothing', () => {
    const { a, b } = losing(1);
    fault(UNREACH, PROTOCOL);
    expect(ca.poll(a)).toBe(OUT | L.POLLERR);
    expect(recv(a, L.MSG_ERRQUEUE | L.MSG_DONTWAIT)).toBe(-EAGAIN);
    expect(ca.do(C.OP_SEND, a, 0, 0, 0, bytes('y'))).toBe(-ENOPROTOOPT);
    expect([recv(a), ca.getInt(a, L.SOL_SOCKET, L.SO_ERROR), ca.poll(a)]).toEqual([-EAGAIN, 0, OUT]);
    lab.net.filter = null;
    expect(text(lab.cb.call(C.OP_RECV, b, 9).payload)).toBe('x');
  });

  test('on: EPROTO of a parameter problem is an error as any other, and no malformed request', () => {
    const { a } = losing(1);
    fault(PARAMETER_PROBLEM, 0);
    expect(recv(a)).toBe(-L.EPROTO);
    expect(lab.a.cnt[eps.eps_malformed]).toBe(0);
  });

  test('on: a call that waits is told at once', () => {
    const { a } = losing(1);
    ca.send(C.OP_RECV, a, 1);
    fault(UNREACH, HOST);
    expect(ca.answer(0)).toMatchObject({ ret: -1, errno: EHOSTUNREACH });
  });

  test('on: the end of a connection that no packet reaches is ETIMEDOUT; off it is what ICMP said', () => {
    const ends = [1, 0].map((on) => {
      lab = new EpLab();
      ca = lab.ca;
      const { a } = losing(on);
      ca.setInt(a, L.SOL_TCP, L.TCP_USER_TIMEOUT, 3000);
      fault(UNREACH, HOST);
      if (on === 1) expect(recv(a)).toBe(-EHOSTUNREACH);
      return -recv(a, 0);
    });
    expect(ends).toEqual([ETIMEDOUT, EHOSTUNREACH]);
  });

  test('is what the connections of a listener begin with', () => {
    const { cb } = lab;
    const listener = cb.socket();
    cb.setInt(listener, L.SOL_IP, L.IP_RECVERR, 1);
    cb.do(C.OP_BIND, listener, 0, 0, 0, sockaddrIn(0, 80));
    cb.do(C.OP_LISTEN, listener, 5);
    ca.do(C.OP_CONNECT, ca.socket(), 0, 0, 0, sockaddrIn(ADDR_B, 80));
    expect(cb.getInt(cb.do(C.OP_ACCEPT, listener), L.SOL_IP, L.IP_RECVERR)).toBe(1);
  });

  test('on while it connects: the attempt goes on (RFC 9293 section 3.9.2.2), and SO_ERROR tells', () => {
    const fd = ca.socket(L.SOCK_NONBLOCK);
    ca.setInt(fd, L.SOL_IP, L.IP_RECVERR, 1);
    mute();
    expect(ca.do(C.OP_CONNECT, fd, 0, 0, 0, sockaddrIn(ADDR_B, 80))).toBe(-EINPROGRESS);
    fault(UNREACH, HOST);
    expect(ca.poll(fd)).toBe(0);
    expect(ca.getInt(fd, L.SOL_SOCKET, L.SO_ERROR)).toBe(EHOSTUNREACH);
  });
});

describe('IP_MTU', () => {
  test('is the MTU of the path, also to a socket whose segments stay as they are (IP_PMTUDISC_DONT)', () => {
    const seen = [0, 1].map((how) => {
      lab = new EpLab();
      ca = lab.ca;
      const { a } = lab.pair();
      ca.setInt(a, L.SOL_IP, L.IP_MTU_DISCOVER, how);
      mute();
      ca.do(C.OP_SEND, a, 0, 0, 0, bytes('x'));
      fault(UNREACH, NEEDFRAG, 1400);
      return [L.IP_MTU, L.TCP_MAXSEG].map((name, i) => ca.getInt(a, i === 0 ? L.SOL_IP : L.SOL_TCP, name));
    });
    // 12 bytes of timestamps in each segment.
    expect(seen).toEqual([
      [1400, 1448],
      [1400, 1348],
    ]);
  });
});
