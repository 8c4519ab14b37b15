import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import type { Socket, SocketHandler } from '../../../../src/stack/socket/socket.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { Recorder } from '../../../lab/tcpuser.ts';

/** Calls back into the socket from every event, and connections that end while nobody looks. */

const FRAMES = (p: ScriptedPeer): number => p.host.st.pool.available;

type Verb = 'close' | 'abort' | 'shutdown' | 'resume';

/** Does `verb` at `event` and notes what it is told. */
class Meddler implements SocketHandler {
  readonly told: string[] = [];
  readonly event: string;
  readonly verb: Verb;
  #done = false;

  constructor(event: string, verb: Verb) {
    this.event = event;
    this.verb = verb;
  }
  #at(event: string, so: Socket): void {
    this.told.push(event);
    if (event !== this.event || this.#done) return;
    this.#done = true;
    so[this.verb]();
  }
  connected(so: Socket): void {
    this.#at('connected', so);
    so.send(new Uint8Array(100_000), 0, 100_000);
    so.send(new Uint8Array(1_000_000), 0, 1_000_000);
  }
  data(so: Socket, _u8: Uint8Array, _off: number, len: number): number {
    this.#at('data', so);
    return len;
  }
  writable(so: Socket): void {
    this.#at('writable', so);
  }
  end(so: Socket): void {
    this.#at('end', so);
  }
  closed(so: Socket, errno: number): void {
    this.#at(`closed ${errno}`, so);
    for (const verb of ['resume', 'shutdown', 'close', 'abort'] as const) so[verb]();
    expect(so.send(new Uint8Array(1), 0, 1)).toBeLessThan(0);
  }
}

describe('calls into the socket from its own events', () => {
  for (const event of ['connected', 'data', 'writable', 'end']) {
    for (const verb of ['close', 'abort', 'shutdown', 'resume'] as const) {
      it(`${verb}() in ${event}() leaves a connection that ends once and frees all`, () => {
        const p = new ScriptedPeer();
        const before = FRAMES(p);
        const h = new Meddler(event, verb);
        listen(p.host.st, { port: 80 }, () => h);
        p.send({ flags: 'S', mss: 1460 });
        p.one();
        p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3] });
        // All that was sent so far is acknowledged, as long as something comes.
        for (let ack = 1, idle = 0; idle < 3; ) {
          const out = p.out();
          for (const o of out) if (o.seq + o.len > ack && !o.flags.includes('R')) ack = o.seq + o.len;
          if (out.length === 0) idle++;
          p.send({ flags: 'A', seq: 4, ack });
          if (ack > 900_000) break;
        }
        p.send({ flags: 'FA', seq: 4, ack: 1 });
        p.send({ flags: 'R', seq: 5 });
        p.send({ flags: 'R', seq: 4 });
        p.advance(1_000_000);
        p.out();
        expect(h.told.filter((t) => t.startsWith('closed'))).toHaveLength(1);
        expect(h.told.at(-1)).toMatch(/^closed/);
        expect(p.host.count('tcps_active')).toBe(0);
        expect(FRAMES(p)).toBe(before);
      });
    }
  }

  it('resume() inside data() does not show the same bytes twice', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    rec.appetite = 0;
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3, 4, 5, 6] });
    const seen: number[] = [];
    so.handler = {
      ...new Recorder(),
      connected() {},
      writable() {},
      end() {},
      closed() {},
      data(s: Socket, u8: Uint8Array, off: number) {
        seen.push(u8[off]!, u8[off + 1]!);
        s.resume();
        return 2;
      },
    };
    so.resume();
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
    p.send({ flags: 'A', seq: 7, ack: 1, data: [7, 8, 9, 10] });
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('close() in data() is a FIN, also when the bytes came from the receive buffer', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    rec.appetite = 0;
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3] });
    p.advance(50_000);
    p.out();
    so.handler = {
      connected() {},
      writable() {},
      end() {},
      closed() {},
      data(s: Socket, _u8: Uint8Array, _off: number, len: number) {
        s.close();
        return len;
      },
    };
    so.resume();
    p.host.pass();
    expect(p.one().flags).toBe('FA');
  });

  it('tells a user who aborts after the end, with data unread, that the connection is closed', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    rec.appetite = 0;
    p.send({ flags: 'FA', seq: 1, ack: 1, data: [1, 2, 3] });
    so.shutdown();
    p.host.pass();
    p.out();
    p.send({ flags: 'A', seq: 5, ack: 2 });
    expect(rec.events).toEqual(['connected']);
    so.abort();
    expect(rec.events).toEqual(['connected', 'closed 0']);
  });

  it('does not tell of writable() after shutdown()', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    const told: string[] = [];
    so.handler = { ...new Recorder(), writable: () => told.push('writable') } as never;
    so.send(new Uint8Array(2_000_000), 0, 2_000_000);
    so.shutdown();
    p.host.pass();
    for (let i = 0; i < 50; i++) {
      const last = p.out().at(-1);
      if (last !== undefined) p.send({ flags: 'A', seq: 1, ack: last.seq + last.len });
    }
    expect(told).toEqual([]);
  });
});

describe('abort (RFC 9293 section 3.10.5)', () => {
  it('sends no RST in TIME-WAIT', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.shutdown();
    p.host.pass();
    p.out();
    rec.appetite = 0;
    p.send({ flags: 'A', seq: 1, ack: 2, data: [1] });
    p.send({ flags: 'FA', seq: 2, ack: 2 });
    p.out();
    so.abort();
    p.host.pass();
    expect(p.out()).toEqual([]);
    expect(rec.events.at(-1)).toBe('closed 0');
    expect(p.host.count('tcps_active')).toBe(0);
  });

  it('sends no RST in LAST-ACK', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    p.send({ flags: 'FA', seq: 1, ack: 1 });
    so.shutdown();
    p.host.pass();
    p.out();
    so.abort();
    p.host.pass();
    expect(p.out()).toEqual([]);
    expect(p.host.count('tcps_active')).toBe(0);
  });
});

describe('a connection that waits to be accepted', () => {
  function waiting() {
    const p = new ScriptedPeer();
    let ready = false;
    const recs: Recorder[] = [];
    const l = listen(p.host.st, { port: 80, backlog: 1 }, (so) => {
      if (!ready) return null;
      const r = new Recorder();
      r.so = so;
      recs.push(r);
      return r;
    });
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    return {
      p,
      l,
      recs,
      allow() {
        ready = true;
        l.resume();
      },
    };
  }

  it('leaves the queue when the peer resets it, and is counted', () => {
    const { p, l, recs, allow } = waiting();
    expect(l.qlen).toBe(1);
    p.send({ flags: 'R', seq: 1 });
    expect(l.qlen).toBe(0);
    expect(p.host.count('tcps_acceptaborted')).toBe(1);
    expect(p.host.count('tcps_active')).toBe(0);
    allow();
    expect(recs).toEqual([]);
  });

  it('is handed over with its data and its FIN', () => {
    const { p, recs, allow } = waiting();
    p.send({ flags: 'FA', seq: 1, ack: 1, data: [1, 2] });
    allow();
    expect(recs[0]!.events).toEqual(['connected', 'end']);
    expect([...recs[0]!.bytes]).toEqual([1, 2]);
  });

  it('is reset when the listener closes', () => {
    const { p, l } = waiting();
    p.out();
    l.close();
    p.host.pass();
    expect(p.out().map((o) => o.flags)).toEqual(['RA']);
    expect(p.host.count('tcps_active')).toBe(0);
    expect(p.host.count('tcps_acceptaborted')).toBe(0);
  });

  it('survives an accept function that closes the listener', () => {
    const p = new ScriptedPeer();
    const r = new Recorder();
    const l = listen(p.host.st, { port: 80 }, () => {
      l.close();
      return r;
    });
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [5] });
    expect(r.events).toEqual(['connected']);
    expect([...r.bytes]).toEqual([5]);
  });

  it('that the accept function aborts is told as closed and not as connected', () => {
    const p = new ScriptedPeer();
    const r = new Recorder();
    listen(p.host.st, { port: 80 }, (so) => {
      so.abort();
      return r;
    });
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [5] });
    expect(r.events).toEqual(['closed 0']);
    expect(p.out().map((o) => o.flags)).toEqual(['RA']);
  });
});

describe('RST (RFC 5961 section 3.2)', () => {
  it('at the next number resets while the ACK of the data before it is still delayed', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3] });
    expect(p.out()).toEqual([]);
    p.send({ flags: 'R', seq: 4 });
    expect(rec.events.at(-1)).toBe('closed 104');
    expect(p.host.count('tcps_badrstack')).toBe(0);
  });
});

describe('FIN', () => {
  it('waits behind data that a closed window holds back, and goes with its last byte (RFC 9293 section 3.8.6.1)', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish({ win: 10 });
    so.send(new Uint8Array(25), 0, 25);
    so.shutdown();
    p.host.pass();
    p.advance(6_000_000);
    const first = p.out();
    expect(first.every((o) => !o.flags.includes('F'))).toBe(true);
    p.send({ flags: 'A', seq: 1, ack: 11, win: 0 });
    p.out();
    p.advance(6_000_000);
    const probe = p.out();
    expect(probe.map((o) => [o.seq, o.len, o.flags.includes('F')])).toEqual([[11, 1, false]]);
    p.send({ flags: 'A', seq: 1, ack: 12, win: 0 });
    p.send({ flags: 'A', seq: 1, ack: 12, win: 1000 });
    const rest = p.out();
    expect(rest.map((o) => [o.seq, o.len, o.flags])).toEqual([[12, 14, 'FPA']]);
    p.send({ flags: 'A', seq: 1, ack: 27 });
    p.send({ flags: 'FA', seq: 1, ack: 27 });
    expect(p.one().ack).toBe(2);
  });

  it('is not waited for for ever: keepalive finds out that a peer in FIN-WAIT-2 is gone (RFC 9293 section 3.8.4)', () => {
    const p = new ScriptedPeer({ tune: { tcp_keepidle: 10_000, tcp_keepintvl: 1000, tcp_keepcnt: 3 } });
    const { rec, so } = p.establish();
    so.shutdown();
    p.host.pass();
    p.send({ flags: 'A', seq: 1, ack: 2 });
    p.out();
    p.advance(20_000_000);
    expect(rec.events.at(-1)).toBe('closed 110');
    expect(p.host.count('tcps_keepprobe')).toBe(3);
    expect(p.host.count('tcps_active')).toBe(0);
  });
});
