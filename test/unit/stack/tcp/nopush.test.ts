import { describe, expect, it } from 'vitest';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const MS = 1000;
const MSS = 1460;

/** A corked connection; `write` queues bytes and gives the lengths of what was sent for it. */
function corked(options: object = {}) {
  const p = new ScriptedPeer();
  const { rec, so } = p.establish();
  so.setOptions({ noPush: true, ...options });
  const lens = (): number[] => p.out().map((o) => o.len);
  const write = (n: number): number[] => {
    so.send(pattern(n), 0, n);
    p.host.pass();
    return lens();
  };
  return { p, rec, so, write, lens };
}

describe('TCP_NOPUSH, TCP_CORK', () => {
  it('holds back what is no full segment, also with nothing in flight, and sends full ones', () => {
    const { write } = corked();
    expect(write(100)).toEqual([]);
    expect(write(MSS)).toEqual([MSS]);
    expect(write(MSS - 101)).toEqual([]);
    expect(write(1)).toEqual([MSS]);
  });

  it('holds back with TCP_NODELAY too', () => {
    const { write } = corked({ noDelay: true });
    expect(write(100)).toEqual([]);
  });

  it('set off, it lets go what waits', () => {
    const { p, so, write, lens } = corked();
    write(100);
    so.setOptions({ noPush: false });
    p.host.pass();
    expect(lens()).toEqual([100]);
  });

  it('set off with data in flight, it leaves what waits to Nagle, and to nobody with TCP_NODELAY', () => {
    const nagle = corked();
    expect(nagle.write(MSS + 100)).toEqual([MSS]);
    nagle.so.setOptions({ noPush: false });
    nagle.p.host.pass();
    expect(nagle.lens()).toEqual([]);
    nagle.p.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    expect(nagle.lens()).toEqual([100]);

    const nodelay = corked({ noDelay: true });
    expect(nodelay.write(MSS + 100)).toEqual([MSS]);
    nodelay.so.setOptions({ noPush: false });
    nodelay.p.host.pass();
    expect(nodelay.lens()).toEqual([100]);
  });

  it('lets go what waits when TCP_NODELAY is set, and holds back what follows (tcp(7) of Linux)', () => {
    const { p, so, write, lens } = corked();
    write(100);
    so.setNoDelay(true);
    p.host.pass();
    expect(lens()).toEqual([100]);
    expect(write(100)).toEqual([]);
  });

  it('holds nothing back for more than 200 ms', () => {
    const { p, write, lens } = corked();
    write(100);
    p.advance(100 * MS);
    // What is added does not put it off.
    expect(write(100)).toEqual([]);
    p.advance(99 * MS);
    expect(lens()).toEqual([]);
    p.advance(2 * MS);
    expect(lens()).toEqual([200]);
    // The next part waits its own 200 ms, though there is something in flight.
    expect(write(50)).toEqual([]);
    p.advance(198 * MS);
    expect(p.out().filter((o) => o.seq === 201)).toEqual([]);
    p.advance(3 * MS);
    expect(
      p
        .out()
        .filter((o) => o.seq === 201)
        .map((o) => o.len),
    ).toEqual([50]);
  });

  it('counts the 200 ms anew for what begins to wait after a full segment took the rest along', () => {
    const { p, write, lens } = corked();
    write(100);
    p.advance(150 * MS);
    expect(write(MSS - 100)).toEqual([MSS]);
    p.send({ flags: 'A', seq: 1, ack: 1 + MSS });
    expect(write(10)).toEqual([]);
    p.advance(190 * MS);
    expect(lens()).toEqual([]);
    p.advance(20 * MS);
    expect(lens()).toEqual([10]);
  });

  it('lets all go with a FIN', () => {
    const { p, so, write } = corked();
    write(100);
    so.shutdown();
    p.host.pass();
    expect(p.out().map((o) => [o.flags, o.len])).toEqual([['FPA', 100]]);
  });

  it('does not hold back retransmissions', () => {
    const { p, write } = corked();
    write(100);
    p.advance(201 * MS);
    p.out();
    p.advance(5000 * MS);
    expect(p.out().some((o) => o.seq === 1 && o.len === 100)).toBe(true);
  });

  it('does not take the probe of a closed window for its own wait', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish({ win: 0 });
    so.setOptions({ noPush: true });
    so.send(pattern(100), 0, 100);
    p.host.pass();
    p.advance(4900 * MS);
    expect(p.out()).toEqual([]);
    p.advance(200 * MS);
    expect(p.one().len).toBe(1);
  });

  it('holds back what was written before the connection was there', () => {
    const p = new ScriptedPeer();
    const { so } = p.connect();
    p.out();
    so.setOptions({ noPush: true });
    so.send(pattern(100), 0, 100);
    p.send({ flags: 'SA', mss: MSS, seq: 0, ack: 1 });
    expect(p.out().map((o) => o.len)).toEqual([0]);
    p.advance(201 * MS);
    expect(p.out().map((o) => o.len)).toEqual([100]);
  });
});
