import { describe, expect, test } from 'vitest';
import * as C from '../../../src/endpoint/codec.ts';
import { silent } from '../../../src/endpoint/connect.ts';
import * as L from '../../../src/endpoint/linux.ts';
import { sockaddrIn } from '../../../src/endpoint/sockaddr.ts';
import { eps } from '../../../src/metrics/layout.ts';
import { connect } from '../../../src/stack/socket/socket.ts';
import { EpLab, pollfds } from '../../lab/epclient.ts';
import fc from '../../lab/property.ts';

/** A request as spec/endpoint.md writes it: u32 len, u16 op, u16 0, i32 fd, a, b, c, payload. */
function request(op: number, fd: number, a: number, b: number, c: number, payload: readonly number[] = []): number[] {
  const head = Buffer.alloc(24);
  head.writeUInt32BE(20 + payload.length, 0);
  head.writeUInt16BE(op, 4);
  [fd, a, b, c].forEach((v, i) => void head.writeInt32BE(v, 8 + 4 * i));
  return [...head, ...payload];
}

describe('requests and replies (spec/endpoint.md)', () => {
  test('a request is read however it is cut into pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(255), { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (data, cuts) => {
          const bytes = Uint8Array.from([...request(7, 5, 64, 0, 0, data), ...request(1, -1, 2, 1, 0)]);
          const r = new C.RequestReader();
          const found: unknown[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const n = cuts[i % cuts.length]!;
            r.push(bytes.subarray(at, at + n));
            at += n;
            for (let q = r.next(); q !== 'more'; q = r.next()) found.push(q);
          }
          expect(found).toEqual([
            { op: 7, fd: 5, a: 64, b: 0, c: 0, payload: Uint8Array.from(data) },
            { op: 1, fd: -1, a: 2, b: 1, c: 0, payload: new Uint8Array(0) },
          ]);
          expect(r.buffered).toBe(0);
        },
      ),
    );
  });

  test('a reply is u32 len, i32 ret, i32 errno, i32 aux, payload', () => {
    expect([...C.encodeReply({ ret: -1, errno: 11, aux: 2, payload: Uint8Array.from([9]) })]).toEqual([
      ...[0, 0, 0, 13, 255, 255, 255, 255, 0, 0, 0, 11, 0, 0, 0, 2, 9],
    ]);
  });

  test.each([
    ['an operation that there is none of', request(19, 0, 0, 0, 0)],
    ['operation 0', request(0, 0, 0, 0, 0)],
    ['a payload where there is to be none', request(C.OP_LISTEN, 3, 1, 0, 0, [1])],
    ['less than a request has', [0, 0, 0, 3, 0, 1, 0]],
    ['a reserved word that is not zero', request(1, -1, 2, 1, 0).with(7, 1)],
    ['an address longer than the payload', request(C.OP_SEND, 3, 0, 16, 0, [1, 2])],
    ['another number of pollfds than there are', request(C.OP_POLL, -1, 2, 0, 0, [...pollfds([[3, 1]])])],
  ])('%s is EPROTO, counted, and the client goes on', (_, bytes) => {
    const lab = new EpLab();
    lab.ca.socket();
    lab.ca.client.feed(Uint8Array.from(bytes));
    expect(lab.ca.answer()).toMatchObject({ ret: -1, errno: L.EPROTO });
    expect(lab.a.cnt[eps.eps_malformed]).toBe(1);
    expect(lab.ca.socket()).toBe(4);
    expect(lab.ca.cut).toBe(false);
  });

  test('a length beyond all bounds ends the connection, and closes what it had', () => {
    const lab = new EpLab();
    lab.ca.socket();
    lab.ca.client.feed(Uint8Array.from([0x7f, 0, 0, 0]));
    expect(lab.ca.cut).toBe(true);
    expect(lab.a.cnt[eps.eps_oversize]).toBe(1);
    expect(lab.a.cnt[eps.eps_vanished]).toBe(1);
    expect(lab.a.fds.size).toBe(0);
  });

  test('who sends ahead without end is cut off', () => {
    const lab = new EpLab();
    const fd = lab.ca.socket();
    lab.ca.do(C.OP_LISTEN, fd, 1);
    lab.ca.send(C.OP_ACCEPT, fd);
    const more = new Uint8Array(1 << 20);
    for (let i = 0; i < 3; i++) lab.ca.client.feed(more);
    expect(lab.ca.cut).toBe(true);
    expect(lab.a.clients).toBe(1 - 1);
  });

  test('any bytes are answered or cut off, and never throw', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 60 }),
            fc
              .tuple(
                fc.nat(23),
                fc.integer({ min: -1, max: 6 }),
                fc.integer(),
                fc.integer(),
                fc.integer({ min: -1, max: 20 }),
                fc.array(fc.nat(255), { maxLength: 20 }),
              )
              .map(([op, fd, a, b, c, data]) => Uint8Array.from(request(op, fd, a % 100, b % 100, c, data))),
          ),
          { maxLength: 20 },
        ),
        (pieces) => {
          const lab = new EpLab();
          for (const p of pieces) {
            lab.ca.client.feed(p);
            lab.run(1000);
          }
          lab.ca.client.end();
          expect(lab.a.fds.size).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('descriptors have an end: EMFILE, counted', () => {
    const lab = new EpLab({});
    const max = 65536;
    for (let i = 0; i < max; i++) lab.a.reserve();
    expect(lab.ca.socket()).toBe(-L.EMFILE);
    expect(lab.a.cnt[eps.eps_nodescriptor]).toBe(1);
  });

  test('CLOCK and LINKSYNC without a clock or links of ours are EOPNOTSUPP', () => {
    const { ca } = new EpLab();
    expect(ca.do(C.OP_CLOCK, -1, 1)).toBe(-L.EOPNOTSUPP);
    expect(ca.do(C.OP_LINKSYNC, -1, 1)).toBe(-L.EOPNOTSUPP);
  });
});

describe('options take effect on the connection', () => {
  test('TCP_CORK keeps a part of a segment back, and MSG_MORE does for one call (tcp(7), send(2))', () => {
    const lab = new EpLab();
    const { a, b } = lab.pair();
    const arrives = (): number => {
      lab.run(50_000);
      return lab.cb.call(C.OP_IOCTL, b, L.FIONREAD).aux;
    };
    lab.ca.setInt(a, L.SOL_TCP, L.TCP_CORK, 1);
    lab.ca.do(C.OP_SEND, a, 0, 0, 0, new Uint8Array(100));
    expect(arrives()).toBe(0);
    lab.ca.setInt(a, L.SOL_TCP, L.TCP_CORK, 0);
    expect(arrives()).toBe(100);
    lab.ca.do(C.OP_SEND, a, L.MSG_MORE, 0, 0, new Uint8Array(10));
    expect(arrives()).toBe(100);
    lab.ca.do(C.OP_SEND, a, 0, 0, 0, new Uint8Array(5));
    expect(arrives()).toBe(115);
  });

  test('TCP_USER_TIMEOUT ends a connection whose peer is silent with ETIMEDOUT (tcp(7))', () => {
    const lab = new EpLab();
    const { a } = lab.pair();
    lab.ca.setInt(a, L.SOL_TCP, L.TCP_USER_TIMEOUT, 3000);
    lab.net.filter = (frame) => (frame[13] === 6 ? [0] : []);
    lab.ca.do(C.OP_SEND, a, 0, 0, 0, new Uint8Array(10));
    lab.run(2_900_000);
    expect(lab.ca.getInt(a, 1, L.SO_ERROR)).toBe(0);
    lab.run(1_000_000);
    expect(lab.ca.getInt(a, 1, L.SO_ERROR)).toBe(110);
  });

  test('a connection has the options of its listener, and IP_TTL and IP_TOS are in its packets', () => {
    const lab = new EpLab();
    const { ca, cb } = lab;
    const listener = cb.socket();
    cb.setInt(listener, L.SOL_IP, L.IP_TTL, 33);
    cb.do(C.OP_BIND, listener, 0, 0, 0, sockaddrIn(0, 80));
    cb.do(C.OP_LISTEN, listener, 5);
    cb.setInt(listener, L.SOL_IP, L.IP_TOS, 0x13);
    const a = ca.socket();
    ca.do(C.OP_CONNECT, a, 0, 0, 0, sockaddrIn(lab.net.b.addr, 80));
    const b = cb.do(C.OP_ACCEPT, listener);
    expect([cb.getInt(b, L.SOL_IP, L.IP_TTL), cb.getInt(b, L.SOL_IP, L.IP_TOS)]).toEqual([33, 0x10]);
    const seen: number[][] = [];
    lab.net.filter = (frame, to) => {
      if (to === 0) seen.push([frame[15]!, frame[22]!]);
      return [0];
    };
    lab.cb.do(C.OP_SEND, b, 0, 0, 0, new Uint8Array(10));
    lab.run(10_000);
    expect(seen[0]).toEqual([0x10, 33]);
    expect(lab.ca.poll(a)).toBeGreaterThan(0);
  });

  test('TCP_INFO has the layout of struct tcp_info (linux/tcp.h): state at 0, rto at 8, mss at 16, rtt at 68, bytes sent at 200', () => {
    const lab = new EpLab();
    const { a } = lab.pair();
    lab.ca.do(C.OP_SEND, a, 0, 0, 0, new Uint8Array(3000));
    lab.run(100_000);
    const { payload } = lab.ca.call(C.OP_GETSOCKOPT, a, L.SOL_TCP, L.TCP_INFO, 400);
    const v = new DataView(payload.buffer, payload.byteOffset);
    expect(payload).toHaveLength(248);
    expect(v.getUint8(0)).toBe(1);
    // Timestamps, SACK and window scaling.
    expect(v.getUint8(5) & 7).toBe(7);
    // RFC 6298 (2.4) asks for a second; FreeBSD's net.inet.tcp.rexmit_min is less.
    expect(v.getUint32(8, true)).toBeGreaterThanOrEqual(30_000);
    expect(v.getUint32(16, true)).toBe(1448);
    expect(v.getUint32(60, true)).toBe(1500);
    // The path takes 500 µs each way.
    expect(v.getUint32(68, true)).toBeGreaterThanOrEqual(1000);
    expect(v.getUint32(68, true)).toBeLessThan(60_000);
    expect(v.getBigUint64(120, true)).toBe(3001n);
    expect(v.getBigUint64(200, true)).toBe(3000n);
    expect(lab.ca.call(C.OP_GETSOCKOPT, a, L.SOL_TCP, L.TCP_INFO, 104).payload).toHaveLength(104);
  });

  test('TCP_FASTOPEN on a listener: data of a SYN can be read, and answered, before the handshake has ended (RFC 7413)', () => {
    const lab = new EpLab({ tune: { tcp_fastopen_server_enable: 1, tcp_fastopen_client_enable: 1 } });
    const { cb } = lab;
    const listener = cb.socket(L.SOCK_NONBLOCK);
    cb.setInt(listener, L.SOL_TCP, L.TCP_FASTOPEN, 5);
    cb.do(C.OP_BIND, listener, 0, 0, 0, sockaddrIn(0, 80));
    cb.do(C.OP_LISTEN, listener, 5);
    const open = (): void => {
      const so = connect(lab.net.a.st, { faddr: lab.net.b.addr, fport: 80, fastOpen: true }, silent);
      so.send(new Uint8Array(7), 0, 7);
    };
    // The first one asks for the cookie.
    open();
    lab.run(100_000);
    cb.do(C.OP_ACCEPT, listener);
    open();
    // Half a round trip, in which only the SYN can have come.
    lab.run(700);
    const fd = cb.do(C.OP_ACCEPT, listener);
    expect(fd).toBeGreaterThan(0);
    expect(cb.call(C.OP_GETSOCKOPT, fd, L.SOL_TCP, L.TCP_INFO, 1).payload[0]).toBe(L.LX_SYN_RECV);
    expect(cb.poll(fd)).toBe(L.POLLIN | L.POLLRDNORM | L.POLLOUT | L.POLLWRNORM);
    expect(cb.do(C.OP_RECV, fd, 100)).toBe(7);
    expect(cb.do(C.OP_SEND, fd, 0, 0, 0, new Uint8Array(3))).toBe(3);
  });

  test('urgent data stands in line: POLLPRI, reading stops before its last byte, SIOCATMARK (RFC 6093 section 6)', () => {
    const lab = new EpLab();
    const { a, b } = lab.pair();
    lab.ca.do(C.OP_SEND, a, L.MSG_OOB, 0, 0, new Uint8Array(3));
    lab.ca.do(C.OP_SEND, a, 0, 0, 0, new Uint8Array(4));
    lab.run(100_000);
    expect(lab.cb.poll(b) & L.POLLPRI).toBe(L.POLLPRI);
    expect(lab.cb.do(C.OP_RECV, b, 100)).toBe(2);
    expect(lab.cb.call(C.OP_IOCTL, b, L.SIOCATMARK).aux).toBe(1);
    expect(lab.cb.do(C.OP_RECV, b, 100)).toBe(5);
    expect(lab.cb.poll(b) & L.POLLPRI).toBe(0);
  });
});
