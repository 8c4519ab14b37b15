import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import type { Socket, SocketHandler } from '../../../../src/stack/socket/socket.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { open, pattern, type Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../../lab/twostacks.ts';

const SECOND = 1_000_000;

/** A user who notes each call: what it showed, how far the urgent data went before and whether it began at the mark. */
class Reader implements SocketHandler {
  readonly calls: { bytes: number[]; ahead: number; atMark: boolean }[] = [];
  readonly told: number[] = [];
  so: Socket | null = null;
  open = true;

  connected(so: Socket): void {
    this.so = so;
  }
  data(so: Socket, u8: Uint8Array, off: number, len: number): number {
    if (!this.open) return 0;
    this.calls.push({ bytes: [...u8.subarray(off, off + len)], ahead: so.urgentAhead, atMark: so.atMark });
    return len;
  }
  writable(): void {}
  urgent(so: Socket): void {
    this.told.push(so.urgentAhead);
  }
  end(): void {}
  closed(): void {}
}

function reading(): { p: ScriptedPeer; r: Reader } {
  const p = new ScriptedPeer();
  const r = new Reader();
  p.listener = listen(p.host.st, { port: p.dport }, () => r);
  p.send({ flags: 'S', mss: 1460 });
  p.out();
  p.send({ flags: 'A', seq: 1, ack: 1 });
  return { p, r };
}

describe('urgent data that comes (RFC 9293 section 3.8.5, RFC 6093)', () => {
  it('is in line, and a call stops before its last byte, where sockatmark(3) is true', () => {
    const { p, r } = reading();
    p.send({ flags: 'AU', seq: 1, ack: 1, up: 3, data: [1, 2, 3, 4, 5] });
    expect(r.told).toEqual([3]);
    expect(r.calls).toEqual([
      { bytes: [1, 2], ahead: 3, atMark: false },
      { bytes: [3, 4, 5], ahead: 1, atMark: true },
    ]);
    expect([r.so!.urgentAhead, r.so!.atMark]).toEqual([0, false]);
  });

  it('tells how much of it is still to be read, in the buffer and on its way (MUST-33)', () => {
    const { p, r } = reading();
    r.open = false;
    p.send({ flags: 'AU', seq: 1, ack: 1, up: 8, data: [1, 2, 3, 4] });
    expect([r.told, r.so!.urgentAhead]).toEqual([[8], 8]);
    r.open = true;
    r.so!.resume();
    expect([r.calls.map((c) => c.bytes), r.so!.urgentAhead]).toEqual([[[1, 2, 3, 4]], 4]);
    p.send({ flags: 'A', seq: 5, ack: 1, data: [5, 6, 7, 8, 9] });
    expect(r.calls.slice(1).map((c) => [c.bytes, c.atMark])).toEqual([
      [[5, 6, 7], false],
      [[8, 9], true],
    ]);
  });

  it('is told again when it has all been read and there is more, of any length (MUST-31, MUST-32)', () => {
    const { p, r } = reading();
    p.send({ flags: 'AU', seq: 1, ack: 1, up: 1000 });
    p.send({ flags: 'AU', seq: 1, ack: 1, up: 1000, data: pattern(1000) });
    expect(r.told).toEqual([1000]);
    p.send({ flags: 'AU', seq: 1001, ack: 1, up: 1, data: [1] });
    expect(r.told).toEqual([1000, 1]);
  });

  it('of a connection that waits to be accepted is told when it is', () => {
    const p = new ScriptedPeer();
    const r = new Reader();
    let ready = false;
    p.listener = listen(p.host.st, { port: p.dport }, () => (ready ? r : null));
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    p.send({ flags: 'AU', seq: 1, ack: 1, up: 2, data: [1, 2] });
    expect(r.told).toEqual([]);
    ready = true;
    p.listener.resume();
    expect(r.told).toEqual([2]);
  });
});

describe('urgent data that is sent', () => {
  it('comes through whatever is lost, with its mark where it was set', () => {
    const net = new TwoStacks();
    const readers: Reader[] = [];
    listen(net.b.st, { port: 80 }, () => {
      readers.push(new Reader());
      return readers.at(-1)!;
    });
    const client = open(net.a, ADDR_B, 80);
    net.run(SECOND, () => client.has('connected') && readers.length > 0);
    // Every third frame is lost.
    net.filter = (_frame, _to, i) => (i % 3 === 0 ? [] : [0]);
    const bytes = pattern(20_000);
    client.so!.send(bytes, 0, 10_000);
    client.so!.send(bytes, 10_000, 5000, true);
    client.so!.send(bytes, 15_000, 5000);
    const r = (): Reader => readers[0]!;
    net.run(600 * SECOND, () => r().calls.reduce((n, c) => n + c.bytes.length, 0) === 20_000);
    expect(r().calls.flatMap((c) => c.bytes)).toEqual([...bytes]);
    expect(r().told.length).toBe(1);
    let at = 0;
    const marks: number[] = [];
    for (const c of r().calls) {
      if (c.atMark) marks.push(at);
      at += c.bytes.length;
    }
    expect(marks).toEqual([14_999]);
  });

  it('counts a segment that is sent for the pointer alone', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1] });
    p.send({ flags: 'A', seq: 2, ack: 1, win: 0, data: [1] });
    p.advance(SECOND / 10);
    p.out();
    so.send(pattern(5), 0, 5, true);
    p.host.pass();
    const o = p.one();
    expect([o.flags, o.len, o.up, p.host.count('tcps_sndurg')]).toEqual(['AU', 0, 5, 1]);
  });

  it('has no pointer when the user asks for none', () => {
    const net = new TwoStacks();
    const accepted: Recorder[] = [];
    serve(net.b, 80, accepted);
    const client = open(net.a, ADDR_B, 80);
    let urgent = 0;
    net.filter = (frame) => {
      if (frame[12] === 8 && frame[13] === 0 && (frame[47]! & 0x20) !== 0) urgent++;
      return [0];
    };
    client.sendAll(pattern(5000), true);
    net.run(5 * SECOND, () => accepted[0]?.has('end') === true);
    expect(accepted[0]!.received).toBe(5000);
    expect(urgent).toBe(0);
  });
});
