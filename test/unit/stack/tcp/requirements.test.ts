import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { connect } from '../../../../src/stack/socket/socket.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { Sender } from '../../../lab/sender.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';

describe('options (RFC 9293 section 3.1)', () => {
  it('that nobody knows are skipped by their length, in a SYN and in any other segment (MUST-5, MUST-6)', () => {
    const p = new ScriptedPeer().listen();
    // Kind 254 with three bytes, which are no options, before the MSS.
    p.send({ flags: 'S', opts: [254, 5, 7, 7, 7, 2, 4, 2, 0, 1, 1, 1] });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1, opts: [254, 4, 0, 0], data: pattern(10) });
    expect(p.accepted[0]!.received).toBe(10);
    expect(p.accepted[0]!.so!.tp!.t_maxseg).toBe(512);
  });

  it('with an impossible length end the list; what was read before stands, and the stack goes on (MUST-7)', () => {
    for (const bad of [
      [254, 0, 0, 0],
      [254, 1, 0, 0],
      [254, 40, 0, 0],
      [1, 1, 1, 254],
    ]) {
      const p = new ScriptedPeer().listen();
      p.send({ flags: 'S', mss: 1000, opts: bad });
      expect(p.one().flags).toBe('SA');
      p.send({ flags: 'A', seq: 1, ack: 1, opts: bad, data: pattern(10) });
      expect(p.accepted[0]!.received).toBe(10);
      expect(p.accepted[0]!.so!.tp!.t_maxseg).toBe(1000);
    }
  });

  it('are read wherever they begin (MUST-64)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', opts: [1, 2, 4, 2, 88, 1, 1, 1] });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted[0]!.so!.tp!.t_maxseg).toBe(600);
  });

  it('of ours: the MSS is in SYN and SYN,ACK and in nothing else (MUST-14, MUST-65)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460 });
    expect(p.one().mss).toBe(1460);
    p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(10) });
    p.accepted[0]!.sendAll(pattern(10));
    p.host.pass();
    expect(p.one().optionKinds).toEqual([]);
  });
});

describe('the size of segments (RFC 9293 section 3.7.1)', () => {
  it('is no more than what the peer takes, less the options that each carries (MUST-16)', () => {
    const s = new Sender({ mss: 700, ts: true });
    s.write(5);
    expect(new Set(s.out().map((o) => o.len))).toEqual(new Set([688]));
  });

  it('is no more than what the route carries (MUST-16)', () => {
    const p = new ScriptedPeer({ mtu: 1000 });
    const { rec, so } = p.establish({ mss: 1460 });
    // from the handshake on, and not when the first full segment turns out too long
    expect(so.tp!.t_maxseg).toBe(960);
    rec.sendAll(pattern(3000));
    p.host.pass();
    expect(Math.max(...p.out().map((o) => o.len))).toBe(960);
  });
});

describe('sending (RFC 9293 sections 3.8 and 3.9)', () => {
  it('sets PSH on the segment that empties the buffer (MUST-61)', () => {
    const s = new Sender();
    s.write(3);
    expect(s.out().map((o) => o.flags.includes('P'))).toEqual([false, false, true]);
  });

  it('sends no small segment into a window that opens by little (SWS, MUST-38)', () => {
    // 20 * 128 bytes: a segment and three quarters of one.
    const s = new Sender({ win: 20 });
    s.write(20);
    const first = s.out();
    expect(first.map((o) => o.len)).toEqual([1460]);
    s.ack(1);
    expect(s.out().map((o) => o.len)).toEqual([1460]);
  });

  it('offers no window that opens by little (SWS, MUST-39)', () => {
    const p = new ScriptedPeer({ tune: { tcp_recvbuf_auto: 0 } });
    const { rec, so } = p.establish();
    rec.appetite = 0;
    const size = so.so_rcv.sb_hiwat;
    for (let at = 0; at < size; at += 1460) {
      p.send({ flags: 'A', seq: 1 + at, ack: 1, data: pattern(Math.min(1460, size - at)) });
    }
    p.advance(50_000);
    expect(p.out().at(-1)!.win).toBe(0);
    // The user takes a hundred bytes, less than a segment and a quarter of the buffer.
    rec.appetite = 100;
    so.resume();
    p.host.pass();
    expect(p.out()).toEqual([]);
    // An ACK that goes for another reason does not tell of them either.
    p.send({ flags: 'A', seq: 1, ack: 1, data: [0] });
    expect(p.one().win).toBe(0);
    rec.appetite = Number.POSITIVE_INFINITY;
    so.resume();
    p.host.pass();
    expect(p.one().win).toBeGreaterThan(1460);
  });

  it('holds a window for unsigned: 65535 is no negative number (MUST-1)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish();
    rec.sendAll(pattern(14_600));
    p.host.pass();
    expect(p.out().reduce((n, o) => n + o.len, 0)).toBe(14_600);
  });

  it('goes on when the peer takes its window back, and sends what was refused again (MUST-34, SHLD-16)', () => {
    const s = new Sender({ tune: { tcp_tlp: 0 } });
    s.write(10);
    s.sent();
    // Five acknowledged, and the window ends where the sixth would: the right edge has moved left.
    s.wait(100).ack(5, [], { win: 0 });
    expect(s.sent()).toEqual([]);
    s.wait(10_000);
    expect(s.rec.events).toEqual(['connected']);
    s.ack(5, [], { win: 65535 });
    s.wait(3000);
    expect(s.sent()).toContain(5);
  });
});

describe('addresses (RFC 9293 section 3.9.2.3)', () => {
  it('a SYN to or from a broadcast or multicast address is dropped without an answer (MUST-57, MUST-63)', () => {
    const p = new ScriptedPeer().listen();
    for (const dst of ['192.0.2.255', '255.255.255.255', '224.0.0.1']) p.send({ flags: 'S', dst });
    for (const src of ['192.0.2.255', '255.255.255.255', '224.0.0.1', '0.0.0.0', '127.0.0.1', '192.0.2.1']) {
      p.send({ flags: 'S', src });
    }
    expect(p.out()).toEqual([]);
    expect(p.host.st.tcp.syncache.count).toBe(0);
  });

  it.each([0xc00002ff, 0xffffffff, 0xe0000001, 0, 0x7f000001])(
    '%i is no address to open a connection to (MUST-46)',
    (a) => {
      const p = new ScriptedPeer();
      expect(() => connect(p.host.st, { faddr: a | 0, fport: 80 }, new Recorder())).toThrow();
    },
  );

  it('the local one is chosen where none is given, and refused where it is not ours (MUST-43, MUST-44, MUST-45)', () => {
    const p = new ScriptedPeer();
    const open = (laddr: number) => connect(p.host.st, { laddr, faddr: 0xc0000202 | 0, fport: 80 }, new Recorder());
    expect(() => open(0xc0000209 | 0)).toThrow();
    open(0);
    p.host.pass();
    expect([...p.host.link.sent[0]!.bytes.subarray(26, 30)]).toEqual([192, 0, 2, 1]);
  });

  it('a port may be listened on while a connection of ours opens from it, and takes others (MUST-41, MUST-42)', () => {
    const p = new ScriptedPeer();
    const { so } = p.connect();
    p.out();
    const accepted = new Recorder();
    listen(p.host.st, { port: 80 }, () => accepted);
    p.send({ flags: 'S', mss: 1460, sport: 40001 });
    expect(p.one().flags).toBe('SA');
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 40001 });
    expect(accepted.events).toEqual(['connected']);
    expect(so.tp!.t_inpcb).not.toBeNull();
  });

  it('segments have the time to live of net.inet.ip.ttl (MUST-49)', () => {
    const p = new ScriptedPeer({ tune: { ip_ttl: 17 } });
    p.connect();
    expect(p.host.link.sent.at(-1)!.bytes[22]).toBe(17);
  });
});
