import { beforeEach, describe, expect, test } from 'vitest';
import * as C from '../../../src/endpoint/codec.ts';
import * as L from '../../../src/endpoint/linux.ts';
import { sockaddrIn } from '../../../src/endpoint/sockaddr.ts';
import { bytes, type EpClient, EpLab, pollfds, text } from '../../lab/epclient.ts';
import { ADDR_A, ADDR_B } from '../../lab/twostacks.ts';

// errno(3) of Linux; the expected values of this file are those of its manual pages, and of test/veth/endpoint.test.ts's comparison.
const EAGAIN = 11;
const EINVAL = 22;
const EPIPE = 32;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const ENETUNREACH = 101;
const ECONNRESET = 104;
const EISCONN = 106;
const ENOTCONN = 107;
const ETIMEDOUT = 110;
const ECONNREFUSED = 111;
const HUP = L.POLLHUP | L.POLLOUT | L.POLLWRNORM;
const IN = L.POLLIN | L.POLLRDNORM;
const OUT = L.POLLOUT | L.POLLWRNORM;

let lab: EpLab;
let ca: EpClient;
let cb: EpClient;

beforeEach(() => {
  lab = new EpLab();
  ca = lab.ca;
  cb = lab.cb;
});

const connect = (c: EpClient, fd: number, port = 80, addr = ADDR_B): number =>
  c.do(C.OP_CONNECT, fd, 0, 0, 0, sockaddrIn(addr, port));
const bind = (c: EpClient, fd: number, port: number, addr = 0): number =>
  c.do(C.OP_BIND, fd, 0, 0, 0, sockaddrIn(addr, port));
const recv = (c: EpClient, fd: number, len = 1000, flags = 0): string | number => {
  const r = c.call(C.OP_RECV, fd, len, flags);
  return r.ret < 0 ? -r.errno : text(r.payload);
};
const send = (c: EpClient, fd: number, what: string, flags = 0): number =>
  c.do(C.OP_SEND, fd, flags, 0, 0, bytes(what));

describe('socket(2)', () => {
  test('descriptors are the lowest that are free, from 3 on', () => {
    expect([ca.socket(), ca.socket(), ca.socket()]).toEqual([3, 4, 5]);
    ca.do(C.OP_CLOSE, 4);
    expect(ca.socket()).toBe(4);
    expect(ca.socket()).toBe(6);
  });

  test('what the stack does not have answers as Linux does without it', () => {
    const socket = (domain: number, type: number, proto = 0) => ca.do(C.OP_SOCKET, -1, domain, type, proto);
    expect(socket(10, 1)).toBe(-L.EAFNOSUPPORT);
    expect(socket(1, 1)).toBe(-L.EAFNOSUPPORT);
    expect(socket(99, 1)).toBe(-L.EAFNOSUPPORT);
    expect(socket(2, 2)).toBe(-L.EPROTONOSUPPORT);
    expect(socket(2, 1, 17)).toBe(-L.EPROTONOSUPPORT);
    expect(socket(2, 5)).toBe(-L.ESOCKTNOSUPPORT);
    expect(socket(2, 11)).toBe(-EINVAL);
    expect(socket(2, 1 | 0o10000)).toBe(-EINVAL);
    expect(socket(2, 1, 6)).toBe(3);
  });

  test('SOCK_NONBLOCK and SOCK_CLOEXEC show in F_GETFL and F_GETFD', () => {
    const fd = ca.socket(L.SOCK_NONBLOCK | L.SOCK_CLOEXEC);
    expect(ca.do(C.OP_FCNTL, fd, L.F_GETFL)).toBe(L.O_RDWR | L.O_NONBLOCK);
    expect(ca.do(C.OP_FCNTL, fd, L.F_GETFD)).toBe(L.FD_CLOEXEC);
    expect(ca.do(C.OP_FCNTL, fd, L.F_SETFL, 0)).toBe(0);
    expect(ca.do(C.OP_FCNTL, fd, L.F_GETFL)).toBe(L.O_RDWR);
  });

  test('a fresh socket is hung up, and reads and writes nothing', () => {
    const fd = ca.socket();
    expect(ca.poll(fd)).toBe(HUP);
    expect(recv(ca, fd)).toBe(-ENOTCONN);
    expect(send(ca, fd, 'x')).toBe(-EPIPE);
    expect(ca.do(C.OP_SHUTDOWN, fd, 2)).toBe(-ENOTCONN);
    expect(ca.do(C.OP_GETPEERNAME, fd)).toBe(-ENOTCONN);
    expect([...ca.call(C.OP_GETSOCKNAME, fd).payload]).toEqual([...sockaddrIn(0, 0)]);
    expect(ca.do(C.OP_ACCEPT, fd)).toBe(-EINVAL);
  });
});

describe('bind(2) and listen(2)', () => {
  test('an address that is not ours, a second bind, a port in use', () => {
    const x = ca.socket();
    expect(bind(ca, x, 80, ADDR_B)).toBe(-EADDRNOTAVAIL);
    expect(bind(ca, x, 80, ADDR_A)).toBe(0);
    expect(bind(ca, x, 81)).toBe(-EINVAL);
    const y = ca.socket();
    expect(bind(ca, y, 80)).toBe(-EADDRINUSE);
    expect(bind(ca, y, 0)).toBe(0);
  });

  test('SO_REUSEADDR on both shares a port until one of them listens', () => {
    const [x, y] = [ca.socket(), ca.socket()];
    for (const fd of [x, y]) ca.setInt(fd, 1, L.SO_REUSEADDR, 1);
    expect(bind(ca, x, 80)).toBe(0);
    expect(bind(ca, y, 80)).toBe(0);
    expect(ca.do(C.OP_LISTEN, x, 1)).toBe(0);
    expect(ca.do(C.OP_LISTEN, y, 1)).toBe(-EADDRINUSE);
    const z = ca.socket();
    ca.setInt(z, 1, L.SO_REUSEADDR, 1);
    expect(bind(ca, z, 80)).toBe(-EADDRINUSE);
  });

  test('listen without bind takes a port, and a listening socket does nothing else', () => {
    const fd = ca.socket();
    expect(ca.do(C.OP_LISTEN, fd, 1)).toBe(0);
    const name = ca.call(C.OP_GETSOCKNAME, fd).payload;
    expect((name[2]! << 8) | name[3]!).toBeGreaterThan(0);
    expect(connect(ca, fd)).toBe(-EISCONN);
    expect(recv(ca, fd)).toBe(-ENOTCONN);
    expect(send(ca, fd, 'x')).toBe(-EPIPE);
    expect(ca.poll(fd)).toBe(0);
    expect(ca.getInt(fd, 1, L.SO_ACCEPTCONN)).toBe(1);
    expect(ca.do(C.OP_LISTEN, fd, 9)).toBe(0);
  });

  test('an address of another family, and one that is too short', () => {
    const fd = ca.socket();
    const sa = sockaddrIn(0, 80);
    expect(ca.do(C.OP_BIND, fd, 0, 0, 0, sa.slice(0, 8))).toBe(-EINVAL);
    sa[0] = 10;
    expect(ca.do(C.OP_BIND, fd, 0, 0, 0, sa)).toBe(-L.EAFNOSUPPORT);
    sa[0] = 0;
    expect(ca.do(C.OP_BIND, fd, 0, 0, 0, sa)).toBe(0);
  });
});

describe('connect(2)', () => {
  test('blocks until the handshake is done; a second one is EISCONN', () => {
    const { a } = lab.pair();
    expect(connect(ca, a)).toBe(-EISCONN);
    expect(ca.poll(a)).toBe(OUT);
  });

  test('without blocking: EINPROGRESS, EALREADY, 0 once, EISCONN', () => {
    const l = cb.socket();
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    const fd = ca.socket(L.SOCK_NONBLOCK);
    expect(connect(ca, fd)).toBe(-L.EINPROGRESS);
    expect(connect(ca, fd)).toBe(-L.EALREADY);
    expect(ca.poll(fd)).toBe(0);
    expect(ca.poll(fd, L.POLLOUT, 1000)).toBe(L.POLLOUT);
    expect(connect(ca, fd)).toBe(0);
    expect(connect(ca, fd)).toBe(-EISCONN);
    expect(ca.getInt(fd, 1, L.SO_ERROR)).toBe(0);
  });

  test('a closed port is ECONNREFUSED, told once', () => {
    const fd = ca.socket();
    expect(connect(ca, fd, 81)).toBe(-ECONNREFUSED);
    expect(ca.getInt(fd, 1, L.SO_ERROR)).toBe(0);
    const nb = ca.socket(L.SOCK_NONBLOCK);
    connect(ca, nb, 81);
    lab.run(10_000);
    expect(ca.poll(nb)).toBe(L.POLLERR | HUP | IN | L.POLLRDHUP);
    expect(ca.getInt(nb, 1, L.SO_ERROR)).toBe(ECONNREFUSED);
    expect(ca.getInt(nb, 1, L.SO_ERROR)).toBe(0);
    // The error was told already: connect says that the attempt was ended, and the next one begins anew.
    expect(connect(ca, nb, 81)).toBe(-103);
    expect(connect(ca, nb, 81)).toBe(-L.EINPROGRESS);
  });

  test('no answer is ETIMEDOUT after net.inet.tcp.keepinit; SO_SNDTIMEO stops waiting and the attempt goes on', () => {
    // ARP is answered: whoever is silent is there.
    lab.net.filter = (frame) => (frame[13] === 6 ? [0] : []);
    const fd = ca.socket();
    expect(connect(ca, fd)).toBe(-ETIMEDOUT);
    const y = ca.socket();
    const tv = new Uint8Array(16);
    tv[0] = 1;
    ca.do(C.OP_SETSOCKOPT, y, 1, L.SO_SNDTIMEO, 0, tv);
    expect(connect(ca, y)).toBe(-L.EINPROGRESS);
    expect(connect(ca, y)).toBe(-L.EALREADY);
  });

  test('a network without a route is ENETUNREACH, and so is a group', () => {
    const fd = ca.socket();
    expect(connect(ca, fd, 80, 0xcb007101 | 0)).toBe(-ENETUNREACH);
    expect(connect(ca, fd, 80, 0xe0000001 | 0)).toBe(-ENETUNREACH);
    expect(ca.do(C.OP_CONNECT, fd, 0, 0, 0, new Uint8Array(1))).toBe(-EINVAL);
    expect(ca.do(C.OP_CONNECT, fd, 0, 0, 0, new Uint8Array([2, 0, 0, 80]))).toBe(-EINVAL);
  });

  test('AF_UNSPEC dissolves the association with RST, and the socket can connect again', () => {
    const { a, b } = lab.pair();
    expect(ca.do(C.OP_CONNECT, a, 0, 0, 0, new Uint8Array(16))).toBe(0);
    expect(ca.poll(a)).toBe(HUP | L.POLLERR);
    lab.run(10_000);
    expect(recv(cb, b)).toBe(-ECONNRESET);
    expect(connect(ca, a)).toBe(0);
  });

  test('from a bound port it is that port', () => {
    const fd = ca.socket();
    bind(ca, fd, 4000);
    const l = cb.socket();
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    expect(connect(ca, fd)).toBe(0);
    expect([...ca.call(C.OP_GETSOCKNAME, fd).payload]).toEqual([...sockaddrIn(ADDR_A, 4000)]);
    expect([...ca.call(C.OP_GETPEERNAME, fd).payload]).toEqual([...sockaddrIn(ADDR_B, 80)]);
    const r = cb.call(C.OP_ACCEPT, l);
    expect([...r.payload]).toEqual([...sockaddrIn(ADDR_A, 4000)]);
  });
});

describe('accept(2)', () => {
  test('EAGAIN without a connection, SOCK_NONBLOCK for the new one, wrong flags EINVAL', () => {
    const l = cb.socket(L.SOCK_NONBLOCK);
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    expect(cb.do(C.OP_ACCEPT, l)).toBe(-EAGAIN);
    expect(cb.do(C.OP_ACCEPT, l, 1)).toBe(-EINVAL);
    connect(ca, ca.socket());
    lab.run(1000);
    expect(cb.poll(l)).toBe(IN);
    const fd = cb.do(C.OP_ACCEPT, l, L.SOCK_NONBLOCK);
    expect(recv(cb, fd)).toBe(-EAGAIN);
  });

  test('a blocking one ends when the connection comes, and blocks nobody else', () => {
    const l = cb.socket();
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    cb.send(C.OP_ACCEPT, l);
    const other = lab.client('b');
    expect(other.socket()).toBeGreaterThan(0);
    expect(cb.answer(10_000)).toBeNull();
    connect(ca, ca.socket());
    expect(cb.answer()!.ret).toBeGreaterThan(0);
  });

  test('a connection that was reset before is accepted, and reads the reset', () => {
    const l = cb.socket();
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    const fd = ca.socket();
    connect(ca, fd);
    const ling = new Uint8Array(8);
    ling[0] = 1;
    ca.do(C.OP_SETSOCKOPT, fd, 1, L.SO_LINGER, 0, ling);
    ca.do(C.OP_CLOSE, fd);
    lab.run(10_000);
    const r = cb.call(C.OP_ACCEPT, l);
    expect(r.ret).toBeGreaterThan(0);
    expect([...r.payload.slice(4, 8)]).toEqual([192, 0, 2, 1]);
    expect(cb.do(C.OP_GETPEERNAME, r.ret)).toBe(-ENOTCONN);
    expect(recv(cb, r.ret)).toBe(-ECONNRESET);
    expect(recv(cb, r.ret)).toBe('');
  });

  test('a backlog of 1 has room for two; the third waits for its turn', () => {
    const l = cb.socket();
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    const fds = [0, 1, 2].map(() => ca.socket(L.SOCK_NONBLOCK));
    for (const fd of fds) {
      connect(ca, fd);
      lab.run(10_000);
    }
    expect(fds.map((fd) => ca.poll(fd))).toEqual([OUT, OUT, 0]);
    cb.do(C.OP_ACCEPT, l);
    lab.run(4_000_000);
    expect(ca.poll(fds[2]!)).toBe(OUT);
  });

  test('closing the listener resets those that wait', () => {
    const l = cb.socket();
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    const fd = ca.socket();
    connect(ca, fd);
    lab.run(10_000);
    cb.do(C.OP_CLOSE, l);
    lab.run(10_000);
    expect(recv(ca, fd)).toBe(-ECONNRESET);
  });

  test('an accept that waits while the listener is shut down is EINVAL', () => {
    const l = cb.socket();
    bind(cb, l, 80);
    cb.do(C.OP_LISTEN, l, 1);
    cb.send(C.OP_ACCEPT, l);
    const other = lab.client('b');
    expect(other.do(C.OP_SHUTDOWN, l, 0)).toBe(0);
    expect(cb.answer()!.errno).toBe(EINVAL);
    // It can listen again.
    expect(other.do(C.OP_LISTEN, l, 1)).toBe(0);
  });
});

describe('recv(2) and send(2)', () => {
  test('parts, MSG_PEEK, MSG_DONTWAIT, MSG_TRUNC, FIONREAD', () => {
    const { a, b } = lab.pair();
    expect(send(ca, a, 'hello world')).toBe(11);
    lab.run(10_000);
    expect(cb.call(C.OP_IOCTL, b, L.FIONREAD).aux).toBe(11);
    expect(cb.poll(b)).toBe(IN | OUT);
    expect(recv(cb, b, 5, L.MSG_PEEK)).toBe('hello');
    expect(recv(cb, b, 5)).toBe('hello');
    expect(cb.do(C.OP_RECV, b, 1, L.MSG_TRUNC)).toBe(1);
    expect(recv(cb, b)).toBe('world');
    expect(recv(cb, b, 10, L.MSG_DONTWAIT)).toBe(-EAGAIN);
    expect(recv(cb, b, 10, L.MSG_OOB)).toBe(-EINVAL);
  });

  test('MSG_WAITALL waits for all, and has what came before the end', () => {
    const { a, b } = lab.pair();
    cb.send(C.OP_RECV, b, 8, L.MSG_WAITALL);
    send(ca, a, 'abc');
    expect(cb.answer(1_000_000)).toBeNull();
    send(ca, a, 'defghij');
    expect(text(cb.answer()!.payload)).toBe('abcdefgh');
    cb.send(C.OP_RECV, b, 8, L.MSG_WAITALL);
    ca.do(C.OP_SHUTDOWN, a, 1);
    expect(text(cb.answer()!.payload)).toBe('ij');
    expect(recv(cb, b)).toBe('');
  });

  test('SO_RCVTIMEO ends a wait with EAGAIN', () => {
    const { b } = lab.pair();
    const tv = new Uint8Array(16);
    new DataView(tv.buffer).setInt32(8, 250_000, true);
    cb.do(C.OP_SETSOCKOPT, b, 1, L.SO_RCVTIMEO, 0, tv);
    const from = lab.net.clock.now;
    expect(recv(cb, b)).toBe(-EAGAIN);
    expect(lab.net.clock.now - from).toBe(250_000);
    expect([...cb.call(C.OP_GETSOCKOPT, b, 1, L.SO_RCVTIMEO, 16).payload]).toEqual([...tv]);
  });

  test('a blocking send of more than the buffers ends when the peer reads; without blocking it takes a part', () => {
    const { a, b } = lab.pair();
    const big = new Uint8Array(1_000_000).map((_, i) => i * 7);
    ca.send(C.OP_SEND, a, 0, 0, 0, big);
    expect(ca.answer(1_000_000)).toBeNull();
    let got = 0;
    let ok = true;
    while (got < big.length) {
      const { payload } = cb.call(C.OP_RECV, b, 100_000);
      for (let i = 0; i < payload.length; i++) ok &&= payload[i] === big[got + i];
      got += payload.length;
    }
    expect(ok).toBe(true);
    expect(ca.answer()!.ret).toBe(big.length);
    const part = ca.do(C.OP_SEND, a, L.MSG_DONTWAIT, 0, 0, big);
    expect(part).toBeGreaterThan(0);
    expect(part).toBeLessThan(big.length);
    // The buffer grows while it is full; not for ever.
    for (let i = 0; i < 20; i++) if (ca.do(C.OP_SEND, a, L.MSG_DONTWAIT, 0, 0, big) === -EAGAIN) break;
    expect(ca.do(C.OP_SEND, a, L.MSG_DONTWAIT, 0, 0, big)).toBe(-EAGAIN);
    expect(ca.poll(a)).toBe(0);
    expect(ca.call(C.OP_IOCTL, a, L.SIOCOUTQ).aux).toBeGreaterThan(0);
    lab.run(1_000_000);
    cb.call(C.OP_RECV, b, 1_000_000);
    lab.run(1_000_000);
    expect(ca.poll(a)).toBe(OUT);
  });

  test('half close: the reader sees the end, and can still write', () => {
    const { a, b } = lab.pair();
    send(ca, a, 'last');
    expect(ca.do(C.OP_SHUTDOWN, a, 1)).toBe(0);
    expect(send(ca, a, 'x')).toBe(-EPIPE);
    lab.run(10_000);
    expect(cb.poll(b)).toBe(IN | OUT | L.POLLRDHUP);
    expect(recv(cb, b)).toBe('last');
    expect(recv(cb, b)).toBe('');
    expect(send(cb, b, 'answer')).toBe(6);
    lab.run(10_000);
    expect(recv(ca, a)).toBe('answer');
    expect(ca.poll(a)).toBe(OUT);
    cb.do(C.OP_CLOSE, b);
    lab.run(10_000);
    expect(ca.poll(a)).toBe(IN | OUT | L.POLLRDHUP | L.POLLHUP);
    expect(ca.do(C.OP_GETPEERNAME, a)).toBe(-ENOTCONN);
    expect(ca.do(C.OP_SHUTDOWN, a, 1)).toBe(-ENOTCONN);
  });

  test('SHUT_RD ends reading here; what comes can be read all the same', () => {
    const { a, b } = lab.pair();
    expect(cb.do(C.OP_SHUTDOWN, b, 0)).toBe(0);
    expect(cb.poll(b)).toBe(IN | OUT | L.POLLRDHUP);
    expect(recv(cb, b)).toBe('');
    send(ca, a, 'late');
    lab.run(10_000);
    expect(recv(cb, b)).toBe('late');
  });

  test('data after SHUT_RDWR is answered with RST', () => {
    const { a, b } = lab.pair();
    cb.do(C.OP_SHUTDOWN, b, 2);
    lab.run(10_000);
    send(ca, a, 'unwanted');
    lab.run(10_000);
    expect(recv(ca, a)).toBe('');
    expect(send(ca, a, 'x')).toBe(-EPIPE);
  });

  test('what came before SHUT_RDWR can be read after data that came later was refused', () => {
    const { a, b } = lab.pair();
    send(ca, a, 'early');
    lab.run(10_000);
    cb.do(C.OP_SHUTDOWN, b, 2);
    send(ca, a, 'late');
    lab.run(10_000);
    expect(recv(cb, b)).toBe('early');
    expect(recv(cb, b)).toBe(-ECONNRESET);
    expect(recv(cb, b)).toBe('');
  });

  test('data that came before a reset is read before the error; after both there is the end', () => {
    const { a, b } = lab.pair();
    send(ca, a, 'data');
    lab.run(10_000);
    const ling = new Uint8Array(8);
    ling[0] = 1;
    ca.do(C.OP_SETSOCKOPT, a, 1, L.SO_LINGER, 0, ling);
    ca.do(C.OP_CLOSE, a);
    lab.run(10_000);
    expect(cb.poll(b)).toBe(IN | OUT | L.POLLRDHUP | L.POLLHUP | L.POLLERR);
    expect(recv(cb, b)).toBe('data');
    expect(recv(cb, b)).toBe(-ECONNRESET);
    expect(recv(cb, b)).toBe('');
    expect(send(cb, b, 'x')).toBe(-EPIPE);
  });

  test('closing with unread data resets the peer', () => {
    const { a, b } = lab.pair();
    send(ca, a, 'unread');
    lab.run(10_000);
    cb.do(C.OP_CLOSE, b);
    lab.run(10_000);
    expect(ca.getInt(a, 1, L.SO_ERROR)).toBe(ECONNRESET);
  });

  test('a reset in CLOSE_WAIT is EPIPE for the writer', () => {
    const { a, b } = lab.pair();
    cb.do(C.OP_CLOSE, b);
    lab.run(10_000);
    expect(send(ca, a, 'x')).toBe(1);
    lab.run(10_000);
    expect(ca.getInt(a, 1, L.SO_ERROR)).toBe(EPIPE);
  });

  test('sendmsg and recvmsg carry what send and recv do', () => {
    const { a, b } = lab.pair();
    expect(ca.do(C.OP_SENDMSG, a, 0, 16, 0, new Uint8Array([...sockaddrIn(0, 9), ...bytes('hi')]))).toBe(2);
    lab.run(10_000);
    const r = cb.call(C.OP_RECVMSG, b, 100, 0, 100);
    expect([r.ret, r.aux, [...r.payload]]).toEqual([2, 0, [0, 0, 0, 0, 104, 105]]);
  });
});

describe('close(2)', () => {
  test('SO_LINGER with time waits until the peer has acknowledged all, or the time is up', () => {
    const { a } = lab.pair();
    const ling = new Uint8Array(8);
    ling[0] = 1;
    ling[4] = 3;
    ca.do(C.OP_SETSOCKOPT, a, 1, L.SO_LINGER, 0, ling);
    send(ca, a, 'x');
    lab.net.filter = () => [];
    const from = lab.net.clock.now;
    expect(ca.do(C.OP_CLOSE, a)).toBe(0);
    expect(lab.net.clock.now - from).toBe(3_000_000);
  });

  test('an operation of another client goes on although the descriptor is closed', () => {
    const { a, b } = lab.pair();
    cb.send(C.OP_RECV, b, 10);
    const other = lab.client('b');
    expect(other.do(C.OP_CLOSE, b)).toBe(0);
    expect(other.do(C.OP_CLOSE, b)).toBe(-L.EBADF);
    send(ca, a, 'data');
    expect(text(cb.answer()!.payload)).toBe('data');
    lab.run(10_000);
    expect(recv(ca, a)).toBe('');
  });

  test('a client that vanishes has its sockets closed, and what it waited for ends', () => {
    const { a, b } = lab.pair();
    cb.send(C.OP_RECV, b, 10);
    cb.client.end();
    lab.run(10_000);
    expect(recv(ca, a)).toBe('');
    expect(lab.b.fds.size).toBe(0);
    expect(lab.b.clients).toBe(0);
    expect(lab.net.b.st.tcp.listeners.all()).toEqual([]);
  });
});

describe('poll(2)', () => {
  test('several descriptors, one that is none, and one to be passed over', () => {
    const { a, b, listener } = lab.pair();
    const r = cb.call(
      C.OP_POLL,
      -1,
      4,
      1000,
      0,
      pollfds([
        [b, IN],
        [77, IN],
        [-1, IN],
        [listener, IN],
      ]),
    );
    const v = new DataView(r.payload.buffer, r.payload.byteOffset);
    expect(r.ret).toBe(1);
    expect([0, 1, 2, 3].map((i) => v.getInt16(8 * i + 6, true))).toEqual([0, L.POLLNVAL, 0, 0]);
    cb.send(
      C.OP_POLL,
      -1,
      2,
      -1,
      0,
      pollfds([
        [listener, IN],
        [b, L.POLLIN],
      ]),
    );
    expect(cb.answer(5_000_000)).toBeNull();
    send(ca, a, 'x');
    expect(cb.answer()!.ret).toBe(1);
  });

  test('the time is up: 0, and it has taken that long', () => {
    const from = lab.net.clock.now;
    expect(ca.do(C.OP_POLL, -1, 0, 20)).toBe(0);
    expect(lab.net.clock.now - from).toBe(20_000);
    expect(ca.do(C.OP_POLL, -1, 0, 0)).toBe(0);
    expect(ca.do(C.OP_POLL, -1, -1, 0)).toBe(-EINVAL);
  });
});
