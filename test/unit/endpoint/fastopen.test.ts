import { beforeEach, describe, expect, test } from 'vitest';
import * as C from '../../../src/endpoint/codec.ts';
import * as L from '../../../src/endpoint/linux.ts';
import { sockaddrIn } from '../../../src/endpoint/sockaddr.ts';
import { slotOf } from '../../../src/metrics/layout.ts';
import { bytes, type EpClient, EpLab, text } from '../../lab/epclient.ts';
import { ADDR_A, ADDR_B } from '../../lab/twostacks.ts';

// errno(3) of Linux; the answers expected are those that Linux 6.18 gives (test/lab/endpoint/scripts.py, the scripts with Fast Open).
const EAGAIN = 11;
const EPIPE = 32;
const EINVAL = 22;
const ECONNRESET = 104;
const EISCONN = 106;
const ENOTCONN = 107;
const ECONNREFUSED = 111;
const OUT = L.POLLOUT | L.POLLWRNORM;
const SYN = 0x02;

let lab: EpLab;
let ca: EpClient;
let cb: EpClient;
let listener: number;
/** What a sends: [flags, bytes of data] of each segment. */
let sent: [number, number][];

beforeEach(() => {
  lab = new EpLab({ tune: { tcp_fastopen_server_enable: 1 } });
  ca = lab.ca;
  cb = lab.cb;
  listener = cb.socket();
  cb.setInt(listener, L.SOL_TCP, L.TCP_FASTOPEN, 16);
  cb.do(C.OP_BIND, listener, 0, 0, 0, sockaddrIn(0, 80));
  cb.do(C.OP_LISTEN, listener, 16);
  sent = [];
  lab.net.filter = (f, to) => {
    // Ethernet and IPv4 without options, then TCP: data offset and flags.
    if (to === 1 && f[12] === 8 && f[13] === 0) sent.push([f[47]!, ((f[16]! << 8) | f[17]!) - 20 - 4 * (f[46]! >> 4)]);
    return [0];
  };
});

const PEER = sockaddrIn(ADDR_B, 80);
const count = (name: string): number => lab.net.a.st.cnt[slotOf.get(name)!]!;
const connect = (fd: number, sa = PEER): number => ca.do(C.OP_CONNECT, fd, 0, 0, 0, sa);
const send = (fd: number, what: string, flags = 0): number => ca.do(C.OP_SEND, fd, flags, 0, 0, bytes(what));
const recv = (fd: number, flags = 0): string | number => {
  const r = ca.call(C.OP_RECV, fd, 100, flags);
  return r.ret < 0 ? -r.errno : text(r.payload);
};

function message(what: string | Uint8Array, sa: Uint8Array): Uint8Array {
  const data = typeof what === 'string' ? bytes(what) : what;
  const all = new Uint8Array(sa.length + data.length);
  all.set(sa);
  all.set(data, sa.length);
  return all;
}

/** sendto(2) with MSG_FASTOPEN. */
const fast = (fd: number, what: string | Uint8Array, sa = PEER): number =>
  ca.do(C.OP_SEND, fd, L.MSG_FASTOPEN, sa.length, 0, message(what, sa));

/** What the next connection of the listener has received, up to now. */
function received(): string {
  const fd = cb.do(C.OP_ACCEPT, listener);
  lab.run(10_000);
  return text(cb.call(C.OP_RECV, fd, 1 << 20, L.MSG_DONTWAIT).payload);
}

/** A connection after which the cookie is known. */
function learn(): void {
  const fd = ca.socket();
  expect(fast(fd, 'first')).toBe(5);
  expect(received()).toBe('first');
  ca.do(C.OP_CLOSE, fd);
  lab.run(10_000);
  sent.length = 0;
}

/** A connect that waits for the first write. */
function putOff(flags = L.SOCK_NONBLOCK): number {
  const fd = ca.socket(flags);
  expect(ca.setInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT, 1)).toBe(0);
  expect(connect(fd)).toBe(0);
  return fd;
}

describe('MSG_FASTOPEN', () => {
  test('without a cookie a send that may not wait is EINPROGRESS, its data is not taken, and the SYN asks for a cookie', () => {
    const fd = ca.socket(L.SOCK_NONBLOCK);
    expect(fast(fd, 'abc')).toBe(-L.EINPROGRESS);
    expect(fast(fd, 'abc')).toBe(-L.EALREADY);
    expect(connect(fd)).toBe(-L.EALREADY);
    lab.run(10_000);
    expect(sent.map(([, len]) => len)).toEqual([0, 0]);
    expect(ca.poll(fd)).toBe(OUT);
    expect(fast(fd, 'def')).toBe(3);
    expect(fast(fd, 'x')).toBe(-EISCONN);
    expect(received()).toBe('def');
  });

  test('without a cookie a send that may wait connects, and sends all', () => {
    const fd = ca.socket();
    expect(fast(fd, 'abc')).toBe(3);
    expect(sent[0]).toEqual([SYN, 0]);
    expect(received()).toBe('abc');
    expect(send(fd, 'x', L.MSG_FASTOPEN)).toBe(-EISCONN);
  });

  test('with the cookie the SYN takes the data, and a send that may not wait is told how much of it', () => {
    learn();
    const fd = ca.socket(L.SOCK_NONBLOCK);
    expect(fast(fd, 'abc')).toBe(3);
    expect(ca.poll(fd)).toBe(0);
    expect(send(fd, 'x')).toBe(-EAGAIN);
    lab.run(10_000);
    expect(sent[0]).toEqual([SYN, 3]);
    expect(received()).toBe('abc');
    expect(connect(fd)).toBe(0);
    expect(connect(fd)).toBe(-EISCONN);
    expect(count('tcps_tfo_active')).toBe(1);
    const big = ca.socket(L.SOCK_NONBLOCK);
    // A segment of 1460 bytes less 40 for options (RFC 7413 section 4.2.1).
    expect(fast(big, new Uint8Array(100_000))).toBe(1420);
    lab.run(10_000);
    expect(received().length).toBe(1420);
  });

  test('with the cookie a send that may wait sends the rest after the handshake', () => {
    learn();
    const fd = ca.socket();
    expect(fast(fd, new Uint8Array(20_000))).toBe(20_000);
    expect(sent[0]).toEqual([SYN, 1420]);
    lab.run(100_000);
    expect(received().length).toBe(20_000);
  });

  test('nothing to send is EINPROGRESS for who may not wait, and 0 for who may', () => {
    learn();
    expect(fast(ca.socket(L.SOCK_NONBLOCK), '')).toBe(-L.EINPROGRESS);
    expect(fast(ca.socket(), '')).toBe(0);
    expect(sent[0]).toEqual([SYN, 0]);
  });

  test('a refused connection is ECONNREFUSED, with and without a cookie', () => {
    const at81 = sockaddrIn(ADDR_B, 81);
    expect(fast(ca.socket(), 'x', at81)).toBe(-ECONNREFUSED);
    learn();
    cb.do(C.OP_CLOSE, listener);
    expect(fast(ca.socket(), 'x')).toBe(-ECONNREFUSED);
    const fd = ca.socket(L.SOCK_NONBLOCK);
    expect(fast(fd, 'x')).toBe(1);
    lab.run(10_000);
    expect(ca.poll(fd) & L.POLLERR).toBe(L.POLLERR);
    expect(send(fd, 'x')).toBe(-ECONNREFUSED);
  });

  test('what cannot begin: no address, a short one, AF_UNSPEC, another family, a listening socket', () => {
    const fd = ca.socket();
    expect(send(fd, 'x', L.MSG_FASTOPEN)).toBe(-EINVAL);
    expect(fast(fd, 'x', PEER.slice(0, 1))).toBe(-EINVAL);
    expect(fast(fd, 'x', PEER.slice(0, 8))).toBe(-EINVAL);
    expect(fast(fd, 'x', new Uint8Array(16))).toBe(-L.EOPNOTSUPP);
    expect(fast(fd, 'x', new Uint8Array([10, ...PEER.slice(1)]))).toBe(-L.EAFNOSUPPORT);
    ca.do(C.OP_LISTEN, fd, 1);
    expect(fast(fd, 'x')).toBe(-EISCONN);
    expect(ca.setInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT, 1)).toBe(-EINVAL);
  });

  test('net.inet.tcp.fastopen.client_enable 0 is EOPNOTSUPP, of the flag and of the option', () => {
    lab.net.a.st.tune.tcp_fastopen_client_enable = 0;
    const fd = ca.socket();
    expect(fast(fd, 'x')).toBe(-L.EOPNOTSUPP);
    expect(ca.setInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT, 1)).toBe(-L.EOPNOTSUPP);
    expect(ca.setInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT, 2)).toBe(-EINVAL);
    expect(connect(fd)).toBe(0);
    expect(fast(fd, 'x')).toBe(-L.EOPNOTSUPP);
  });
});

// struct tcp_fastopen of FreeBSD's netinet/tcp.h: an int, and a key of 16 bytes.
test("TCP_FASTOPEN with a key behind the int: who has the server's pre-shared key may send with the SYN", () => {
  const psk = (first: number) => Uint8Array.from({ length: 20 }, (_, i) => (i === 0 ? 1 : i < 4 ? 0 : first + i));
  const open = (option: Uint8Array | null): number => {
    const fd = ca.socket();
    if (option !== null) expect(ca.do(C.OP_SETSOCKOPT, fd, L.SOL_TCP, L.TCP_FASTOPEN, 0, option)).toBe(0);
    sent = [];
    expect(fast(fd, 'hello')).toBe(5);
    expect(received()).toBe('hello');
    return count('tcps_tfo_active');
  };
  learn();
  const { st } = lab.net.b;
  st.tune.tcp_fastopen_psk_enable = 1;
  st.tcp.tfo.keys.setPsk(new Int32Array(psk(0).slice(4).buffer));
  expect(open(null)).toBe(0);
  expect(open(psk(1))).toBe(0);
  expect(open(psk(0))).toBe(1);
});

describe('TCP_FASTOPEN_CONNECT', () => {
  test('without a cookie it is a connect as any other, which asks for one', () => {
    const fd = ca.socket(L.SOCK_NONBLOCK);
    ca.setInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT, 1);
    expect(connect(fd)).toBe(-L.EINPROGRESS);
    expect(fast(fd, 'x')).toBe(-L.EALREADY);
    lab.run(10_000);
    expect(connect(fd)).toBe(0);
    expect(fast(fd, 'x')).toBe(-L.EALREADY);
    expect(send(fd, 'x')).toBe(1);
    expect(count('tcps_tfo_pathdisabled')).toBe(0);
    putOff();
  });

  test('with the cookie connect is 0 and sends nothing, however long it takes; the first write goes with the SYN', () => {
    learn();
    const fd = putOff();
    lab.run(1_000_000_000);
    expect(sent).toEqual([]);
    expect(ca.poll(fd)).toBe(OUT);
    expect(send(fd, 'hello')).toBe(5);
    lab.run(10_000);
    expect(sent[0]).toEqual([SYN, 5]);
    expect(received()).toBe('hello');
    expect(connect(fd)).toBe(0);
    expect(connect(fd)).toBe(-EISCONN);
    expect(ca.setInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT, 0)).toBe(-EINVAL);
  });

  test('a write that may wait returns when all is sent', () => {
    learn();
    const fd = putOff(0);
    expect(send(fd, 'q'.repeat(5000))).toBe(5000);
    expect(sent[0]).toEqual([SYN, 1420]);
    lab.run(10_000);
    expect(received().length).toBe(5000);
    expect(connect(fd)).toBe(-EISCONN);
  });

  test('until then it is SYN_SENT, with a name and without a peer; a connect is EISCONN and a read EAGAIN', () => {
    learn();
    const fd = putOff();
    const name = ca.call(C.OP_GETSOCKNAME, fd).payload;
    expect([...name.slice(4, 8)]).toEqual([...sockaddrIn(ADDR_A, 0).slice(4, 8)]);
    expect((name[2]! << 8) | name[3]!).toBeGreaterThan(0);
    expect(ca.do(C.OP_GETPEERNAME, fd)).toBe(-ENOTCONN);
    expect(ca.call(C.OP_GETSOCKOPT, fd, L.SOL_TCP, L.TCP_INFO, 1).payload[0]).toBe(L.LX_SYN_SENT);
    expect(connect(fd)).toBe(-EISCONN);
    expect(recv(fd)).toBe(-EAGAIN);
    expect(ca.getInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT)).toBe(1);
    expect(ca.setInt(fd, L.SOL_TCP, L.TCP_FASTOPEN_CONNECT, 0)).toBe(-EINVAL);
    // Options that start a timer or let go what was kept back.
    for (const [level, name, v] of [
      [1, L.SO_KEEPALIVE, 1],
      [L.SOL_TCP, L.TCP_CORK, 1],
      [L.SOL_TCP, L.TCP_CORK, 0],
      [L.SOL_TCP, L.TCP_NODELAY, 1],
      [L.SOL_TCP, L.TCP_USER_TIMEOUT, 1000],
    ] as const) {
      expect(ca.setInt(fd, level, name, v)).toBe(0);
    }
    lab.run(1_000_000_000);
    expect(ca.poll(fd)).toBe(OUT);
    expect(ca.do(C.OP_SEND, fd, 0, 16, 0, new Uint8Array(17))).toBe(-L.EOPNOTSUPP);
    expect(sent).toEqual([]);
  });

  test('an empty write sends the SYN', () => {
    learn();
    const fd = putOff();
    expect(send(fd, '')).toBe(-L.EINPROGRESS);
    lab.run(10_000);
    expect(sent[0]).toEqual([SYN, 0]);
    expect(send(fd, 'after')).toBe(5);
    expect(received()).toBe('after');
  });

  test.each([0, 1, 2])('shutdown %i ends it without a segment: the socket is fresh, with ECONNRESET', (how) => {
    learn();
    const fd = putOff();
    expect(ca.do(C.OP_SHUTDOWN, fd, how)).toBe(0);
    expect(ca.poll(fd)).toBe(L.POLLERR | L.POLLHUP | OUT);
    expect(send(fd, 'x')).toBe(-ECONNRESET);
    expect(connect(fd)).toBe(0);
    expect(recv(fd)).toBe(-EAGAIN);
    lab.run(10_000);
    expect(sent).toEqual([]);
  });

  test('close ends it without a segment', () => {
    learn();
    expect(ca.do(C.OP_CLOSE, putOff())).toBe(0);
    lab.run(1_000_000);
    expect(sent).toEqual([]);
    expect(lab.net.a.st.tcp.tcb.count).toBe(1); // learn's, in TIME_WAIT
  });

  test('a refused write is ECONNREFUSED for who may wait', () => {
    learn();
    cb.do(C.OP_CLOSE, listener);
    const fd = putOff(0);
    expect(send(fd, 'x')).toBe(-ECONNREFUSED);
    expect(send(fd, 'x')).toBe(-EPIPE);
  });

  test('a cookie that is not to be used any more takes no data along (RFC 7413 section 4.1.3.1)', () => {
    learn();
    const fd = putOff();
    const other = putOff();
    // The SYN of the other is lost, which may be for its data.
    const { filter } = lab.net;
    lab.net.filter = () => [];
    send(other, 'lost');
    lab.run(2_000_000);
    lab.net.filter = filter;
    sent.length = 0;
    expect(count('tcps_tfo_pathdisabled')).toBe(1);
    expect(send(fd, 'hello')).toBe(-L.EINPROGRESS);
    expect(sent[0]).toEqual([SYN, 0]);
  });
});
