import { describe, expect, it } from 'vitest';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import { SockBuf } from '../../../../src/stack/socket/sockbuf.ts';
import { connect } from '../../../../src/stack/socket/socket.ts';
import { SocketError } from '../../../../src/stack/socket/socket-error.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { Recorder } from '../../../lab/tcpuser.ts';

describe('window updates (RFC 9293 section 3.10.7.4, fifth check)', () => {
  it('are not taken from a segment older than the one that told the window last', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    const tp = so.tp!;
    so.send(new Uint8Array(100), 0, 100);
    p.host.pass();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3], win: 20_000 });
    p.send({ flags: 'A', seq: 4, ack: 101, data: [4, 5, 6], win: 30_000 });
    expect(tp.snd_wnd).toBe(30_000);
    // The first of the two comes again, late.
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3], win: 0 });
    expect(tp.snd_wnd).toBe(30_000);
    // And again with the newest acknowledgment: its number still says that it is old.
    p.send({ flags: 'A', seq: 1, ack: 101, data: [1, 2, 3], win: 0 });
    expect(tp.snd_wnd).toBe(30_000);
    // A segment that overlaps but brings something new is the newest.
    p.send({ flags: 'A', seq: 4, ack: 101, data: [4, 5, 6, 7], win: 10_000 });
    expect(tp.snd_wnd).toBe(10_000);
    p.send({ flags: 'A', seq: 8, ack: 101, win: 40_000 });
    expect(tp.snd_wnd).toBe(40_000);
  });
});

describe('active open', () => {
  it.each([
    ['0.0.0.5', 'ENETUNREACH'],
    ['127.0.0.1', 'ENETUNREACH'],
    ['192.0.2.1', 'ENETUNREACH'],
    ['192.0.2.255', 'ENETUNREACH'],
    ['224.0.0.1', 'ENETUNREACH'],
    ['240.0.0.1', 'ENETUNREACH'],
    ['255.255.255.255', 'ENETUNREACH'],
    ['198.51.100.1', 'ENETUNREACH'],
  ])(
    'to %s, which is no host that can be reached, is refused with %s at once (RFC 9293 section 3.9.2.3, MUST-46)',
    (to, code) => {
      const p = new ScriptedPeer();
      const rec = new Recorder();
      for (const laddr of [0, inetAton('192.0.2.1')]) {
        let error: unknown = null;
        try {
          connect(p.host.st, { faddr: inetAton(to), fport: 80, laddr }, rec);
        } catch (e) {
          error = e;
        }
        expect(error).toBeInstanceOf(SocketError);
        expect((error as SocketError).code).toBe(code);
      }
      expect(rec.events).toEqual([]);
      expect(p.host.count('tcps_active')).toBe(0);
      expect(p.host.count('tcps_connattempt')).toBe(0);
    },
  );
});

describe('a closed window', () => {
  it('of a silent peer keeps a connection that has said FIN no longer than net.inet.tcp.persmax', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish({ win: 0 });
    so.send(new Uint8Array(100), 0, 100);
    so.shutdown();
    p.host.pass();
    p.advance(200_000_000);
    expect(rec.events.at(-1)).toBe('closed 110');
    expect(p.host.count('tcps_persistdrop')).toBe(1);
  });

  it('of a silent peer does not end a connection whose user may still send', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish({ win: 0 });
    so.send(new Uint8Array(100), 0, 100);
    p.host.pass();
    p.advance(200_000_000);
    expect(rec.events).toEqual(['connected']);
  });
});

describe('socket buffers', () => {
  it('take no more memory than their limit', () => {
    const b = new SockBuf(525_600);
    const chunk = Uint8Array.from({ length: 1460 }, (_, i) => i & 0xff);
    while (b.space >= chunk.length) b.append(chunk, 0, chunk.length);
    expect(b.sb_cc).toBe(525_600);
    expect(b.store.length).toBe(525_600);
    const out = new Uint8Array(1460);
    // The ring goes round at a length that is no power of two.
    for (let i = 0; i < 1000; i++) {
      b.peek(0, out, 0, 1460);
      expect(Buffer.compare(out, chunk)).toBe(0);
      b.drop(1460);
      b.append(chunk, 0, 1460);
    }
  });
});
