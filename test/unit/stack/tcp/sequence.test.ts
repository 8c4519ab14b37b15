import { describe, expect, it } from 'vitest';
import { FlowKey } from '../../../../src/stack/flow.ts';
import { tcpNewIss } from '../../../../src/stack/tcp/tcp-subr.ts';
import { open, pattern, Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_A, ADDR_B, SeededRandom, type Side, TwoStacks } from '../../../lab/twostacks.ts';

/** Initial numbers follow the clock (RFC 6528), so a test waits until the one that it wants is due: at most 4.8 virtual hours. */
function waitForIss(
  net: TwoStacks,
  side: Side,
  laddr: number,
  lport: number,
  faddr: number,
  fport: number,
  target: number,
): void {
  const k = new FlowKey();
  k.setV4(laddr, lport, faddr, fport);
  const now = tcpNewIss(side.st, k);
  // 250 numbers a millisecond
  const ms = Math.floor(((target - now) >>> 0) / 250);
  net.run(ms * 1000);
  const off = (target - tcpNewIss(side.st, k)) | 0;
  if (off < 0 || off > 500) throw new Error(`initial number is ${off} away from the one that was wanted`);
}

const BYTES = pattern(300_000);

/** Sends BYTES both ways with losses, duplicates and reordering, and checks them. */
function exchange(net: TwoStacks, seed: number): void {
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted, () => {
    const r = new Recorder();
    r.onEnd = () => r.sendAll(BYTES, true);
    return r;
  });
  const rnd = new SeededRandom(seed);
  const c = open(net.a, ADDR_B, 80, 50_000);
  c.sendAll(BYTES, true);
  let handshake = 4;
  net.filter = () => {
    if (handshake-- > 0) return [0];
    const r = rnd.unit();
    if (r < 0.02) return [];
    if (r < 0.03) return [0, 700];
    return r < 0.06 ? [1500] : [0];
  };
  const done = net.run(120_000_000, () => c.has('closed 0') || c.received === BYTES.length);
  expect(done).toBe(true);
  const server = accepted[0]!;
  expect(Buffer.compare(server.bytes, BYTES)).toBe(0);
  expect(Buffer.compare(c.bytes, BYTES)).toBe(0);
  net.filter = null;
  net.run(70_000_000);
  expect(c.events.filter((e) => e.startsWith('closed'))).toEqual(['closed 0']);
  expect(server.events.filter((e) => e.startsWith('closed'))).toEqual(['closed 0']);
  expect([net.leaked(net.a), net.leaked(net.b)]).toEqual([0, 0]);
}

describe('sequence numbers wrap (RFC 9293 section 3.4)', () => {
  const places = [
    ['2^32', 0],
    ['2^31', 0x80000000],
  ] as const;
  for (const [name, place] of places) {
    for (const before of [1, 1000, 150_000]) {
      it(`at ${name}, ${before} bytes after the initial number of the one that opens`, () => {
        const net = new TwoStacks({ seed: 3 });
        waitForIss(net, net.a, ADDR_A, 50_000, ADDR_B, 80, (place - before) | 0);
        exchange(net, before);
      });
      it(`at ${name}, ${before} bytes after the initial number of the one that accepts`, () => {
        const net = new TwoStacks({ seed: 4 });
        waitForIss(net, net.b, ADDR_B, 80, ADDR_A, 50_000, (place - before) | 0);
        exchange(net, before + 1);
      });
    }
  }

  it('and so does the microsecond clock, in the middle of a transfer', () => {
    const net = new TwoStacks({ seed: 5 });
    // int32 µs turn negative after 35.8 minutes
    net.run(2 ** 31 - net.clock.now - 20_000);
    exchange(net, 6);
    expect(net.clock.us).toBeLessThan(0);
  });
});
