import { describe, expect, it } from 'vitest';
import { ETIMEDOUT } from '../../../../src/stack/errno.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const MS = 1000;
const GIVEN_UP = `closed ${ETIMEDOUT}`;

/** A connection with a user timeout of `ms`, established, nothing in flight. */
function connection(ms: number, o: { tune?: object; win?: number } = {}) {
  const p = new ScriptedPeer({ tune: o.tune ?? {} });
  const { rec, so } = p.establish({ win: o.win ?? 65535 });
  so.setOptions({ userTimeout: ms });
  const write = (n: number): void => {
    so.send(pattern(n), 0, n);
    p.host.pass();
  };
  return { p, rec, so, write };
}

describe('the user timeout (RFC 9293 MUST-21, RFC 5482; TCP_USER_TIMEOUT)', () => {
  it('ends a connection whose data has found no answer for so long, with ETIMEDOUT and a RST', () => {
    const { p, rec, write } = connection(5000);
    write(100);
    p.out();
    p.advance(4990 * MS);
    expect(rec.events).toEqual(['connected']);
    expect(p.out().every((o) => o.len === 100)).toBe(true);
    p.advance(20 * MS);
    expect(rec.events).toEqual(['connected', GIVEN_UP]);
    expect(p.out().map((o) => o.flags)).toEqual(['RA']);
    expect(p.host.count('tcps_progdrops')).toBe(1);
    expect(p.host.count('tcps_timeoutdrop')).toBe(0);
  });

  it('counts from when the data was sent, not from when the connection was idle', () => {
    const { p, rec, write } = connection(5000);
    p.advance(60_000 * MS);
    write(100);
    p.advance(4990 * MS);
    expect(rec.events).toEqual(['connected']);
    p.advance(20 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('counts again from each acknowledgment of something new', () => {
    const { p, rec, write } = connection(5000);
    write(100);
    p.advance(4000 * MS);
    p.send({ flags: 'A', seq: 1, ack: 51 });
    p.advance(4900 * MS);
    expect(rec.events).toEqual(['connected']);
    // A duplicate says nothing new.
    p.send({ flags: 'A', seq: 1, ack: 51 });
    p.advance(200 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('does nothing to a connection that has nothing to send', () => {
    const { p, rec, write } = connection(5000);
    write(100);
    p.send({ flags: 'A', seq: 1, ack: 101 });
    p.advance(600_000 * MS);
    expect(rec.events).toEqual(['connected']);
  });

  it('lets a connection outlast the limit of twelve retransmissions when it is longer (RFC 9293 section 3.8.3, R2)', () => {
    const { p, rec, write } = connection(1_100_000);
    write(100);
    p.advance(1_090_000 * MS);
    expect(rec.events).toEqual(['connected']);
    expect(p.host.count('tcps_rexmttimeo')).toBeGreaterThan(20);
    p.advance(20_000 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('ends a connection whose window has stayed shut for so long, though each probe was answered', () => {
    const { p, rec, write } = connection(30_000);
    write(100);
    p.send({ flags: 'A', seq: 1, ack: 101, win: 0 });
    p.out();
    write(10);
    for (let ms = 0; ms < 29_000; ms += 500) {
      p.advance(500 * MS);
      for (const o of p.out()) if (o.len > 0) p.send({ flags: 'A', seq: 1, ack: 101, win: 0 });
    }
    expect(p.host.count('tcps_sndprobe')).toBeGreaterThan(1);
    expect(rec.events).toEqual(['connected']);
    p.advance(1500 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('ends one whose window never opened', () => {
    const { p, rec, write } = connection(30_000, { win: 0 });
    p.advance(60_000 * MS);
    write(100);
    p.advance(29_900 * MS);
    expect(rec.events).toEqual(['connected']);
    p.advance(200 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('counts anew when the window opens', () => {
    const { p, rec, write } = connection(30_000, { win: 0 });
    write(100);
    p.advance(29_000 * MS);
    p.send({ flags: 'A', seq: 1, ack: 1, win: 1000 });
    expect(p.out().at(-1)!.len).toBe(100);
    p.advance(29_000 * MS);
    expect(rec.events).toEqual(['connected']);
    p.advance(1500 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('holds for what waits already when it is set, and can be taken back', () => {
    const { p, rec, so, write } = connection(0);
    write(100);
    p.advance(10_000 * MS);
    so.setOptions({ userTimeout: 20_000 });
    so.setOptions({ userTimeout: 0 });
    p.advance(15_000 * MS);
    expect(rec.events).toEqual(['connected']);
    so.setOptions({ userTimeout: 20_000 });
    p.advance(1);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('ends an attempt to connect (the SYN is what waits)', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.connect();
    so.setOptions({ userTimeout: 2500 });
    p.advance(2400 * MS);
    expect(rec.events).toEqual([]);
    p.advance(200 * MS);
    expect(rec.events).toEqual([GIVEN_UP]);
  });

  it('takes the place of keepcnt: shorter, and longer (tcp(7) of Linux)', () => {
    for (const [ms, from, to] of [
      [11_000, 11_000, 11_200],
      [30_000, 29_900, 30_200],
    ] as const) {
      const p = new ScriptedPeer();
      const { rec, so } = p.establish();
      so.setOptions({ keepAlive: true, keepIdle: 10_000, keepIntvl: 1000, keepCnt: 3, userTimeout: ms });
      p.advance(from * MS - 100 * MS);
      expect(rec.events).toEqual(['connected']);
      p.advance((to - from) * MS + 100 * MS);
      expect(rec.events.at(-1)).toBe(GIVEN_UP);
      expect(p.host.count('tcps_keepdrops')).toBe(1);
    }
  });

  it('is net.inet.tcp.maxunacktime for connections that set none', () => {
    const { p, rec, write } = connection(0, { tune: { tcp_maxunacktime: 3000 } });
    write(100);
    p.advance(2990 * MS);
    expect(rec.events).toEqual(['connected']);
    p.advance(20 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });
});
