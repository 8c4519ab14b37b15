import { describe, expect, it } from 'vitest';
import { tcps } from '../../../../src/metrics/layout.ts';
import { setCcDefault } from '../../../../src/stack/tcp/cc/registry.ts';
import { checkStack } from '../../../lab/invariants.ts';
import fc from '../../../lab/property.ts';
import { open, pattern, Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_B, SeededRandom, TwoStacks } from '../../../lab/twostacks.ts';

const SECOND = 1_000_000;

describe('transfer between two stacks', () => {
  it('carries bytes both ways and closes both sides in order (RFC 9293 section 3.6)', () => {
    const net = new TwoStacks();
    const accepted: Recorder[] = [];
    serve(net.b, 80, accepted);
    const client = open(net.a, ADDR_B, 80);
    net.run(SECOND, () => client.has('connected') && accepted.length === 1);
    const server = accepted[0]!;
    const request = pattern(3000);
    const reply = pattern(200_000);
    server.onEnd = () => server.sendAll(reply, true);
    client.sendAll(request, true);
    expect(net.run(5 * SECOND, () => server.has('closed 0'))).toBe(true);
    expect(server.bytes).toEqual(request);
    expect(client.bytes).toEqual(reply);
    expect(client.events).toEqual(['connected', 'end', 'closed 0']);
    expect(server.events).toEqual(['connected', 'end', 'closed 0']);
    expect(net.a.st.cnt[tcps.tcps_sndrexmitpack]).toBe(0);
    expect(net.b.st.cnt[tcps.tcps_sndrexmitpack]).toBe(0);
    // The client closed first, so it waits 2 MSL = 60 s; then nothing is left of either.
    expect(net.a.st.tcp.tcb.count).toBe(1);
    net.run(61 * SECOND);
    expect(net.a.st.tcp.tcb.count).toBe(0);
    expect(net.b.st.tcp.tcb.count).toBe(0);
    expect(net.leaked(net.a)).toBe(0);
    expect(net.leaked(net.b)).toBe(0);
  });

  it('refuses a connection to a closed port with ECONNREFUSED (RFC 9293 section 3.10.7.3)', () => {
    const net = new TwoStacks();
    const client = open(net.a, ADDR_B, 81);
    net.run(SECOND, () => client.has('closed 111'));
    expect(client.events).toEqual(['closed 111']);
    expect(net.b.st.cnt[tcps.tcps_noport]).toBe(1);
    expect(net.leaked(net.a)).toBe(0);
  });

  it('gives up on a silent peer with ETIMEDOUT after the handshake limit of 75 s', () => {
    const net = new TwoStacks();
    // Its interface answers, its TCP does not.
    net.filter = (frame) => (frame[13] === 6 ? [0] : []);
    const client = open(net.a, ADDR_B, 80);
    net.run(74 * SECOND);
    expect(client.events).toEqual([]);
    net.run(2 * SECOND);
    expect(client.events).toEqual(['closed 110']);
  });

  it('opens from both sides at once into one connection (RFC 9293 section 3.5, figure 7)', () => {
    const net = new TwoStacks();
    const a = open(net.a, ADDR_B, 4000, 5000);
    const b = open(net.b, net.a.addr, 5000, 4000);
    net.run(5 * SECOND, () => a.has('connected') && b.has('connected'));
    expect(a.events).toEqual(['connected']);
    expect(b.events).toEqual(['connected']);
    const bytes = pattern(50_000);
    a.sendAll(bytes, true);
    b.sendAll(bytes, true);
    net.run(10 * SECOND, () => a.has('closed 0') && b.has('closed 0'));
    expect(a.bytes).toEqual(bytes);
    expect(b.bytes).toEqual(bytes);
    net.run(61 * SECOND);
    expect(net.a.st.tcp.tcb.count + net.b.st.tcp.tcb.count).toBe(0);
  });

  it('stops at a closed window, probes it, and goes on when it opens (RFC 9293 section 3.8.6.1)', () => {
    const net = new TwoStacks({ tuneB: { tcp_recvspace: 23_360 } });
    const accepted: Recorder[] = [];
    serve(net.b, 80, accepted, () => {
      const r = new Recorder();
      r.appetite = 0;
      return r;
    });
    const client = open(net.a, ADDR_B, 80);
    const bytes = pattern(60_000);
    client.sendAll(bytes, true);
    net.run(30 * SECOND);
    const server = accepted[0]!;
    expect(server.received).toBe(0);
    expect(net.a.st.cnt[tcps.tcps_sndprobe]).toBeGreaterThan(1);
    expect(net.b.st.cnt[tcps.tcps_rcvwinprobe]).toBeGreaterThan(0);
    server.appetite = Number.POSITIVE_INFINITY;
    server.so!.resume();
    expect(net.run(20 * SECOND, () => server.has('end'))).toBe(true);
    expect(server.bytes).toEqual(bytes);
  });

  it('delivers exactly what was sent, or reports an error, whatever the wire does (40 networks)', () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.integer({ min: 1, max: 1 << 30 }),
          loss: fc.constantFrom(0, 0.01, 0.05, 0.2),
          reorder: fc.constantFrom(0, 0.05, 0.3),
          dup: fc.constantFrom(0, 0.05),
          corrupt: fc.constantFrom(0, 0.02),
          mtu: fc.constantFrom(1500, 576, 296),
          rcv: fc.constantFrom(2048, 20000, 524288),
          size: fc.integer({ min: 0, max: 60_000 }),
          delay: fc.constantFrom(50, 5000, 60_000),
          sack: fc.constantFrom(0, 1),
          ts: fc.constantFrom(0, 1),
          ecn: fc.constantFrom(0, 1),
          cc: fc.constantFrom('newreno', 'cubic', 'dctcp', 'bbr', 'bbr1'),
        }),
        (c) => {
          const net = new TwoStacks({
            seed: c.seed,
            delayUs: c.delay,
            mtu: c.mtu,
            tune: { tcp_sack_enable: c.sack, tcp_rfc1323: c.ts, tcp_ecn_enable: c.ecn },
            tuneB: { tcp_recvspace: c.rcv },
          });
          for (const s of [net.a, net.b]) setCcDefault(s.st, c.cc);
          const rnd = new SeededRandom(c.seed ^ 0x5bd1e995);
          net.filter = (frame) => {
            if (rnd.unit() < c.loss) return [];
            if (rnd.unit() < c.corrupt) {
              const at = 14 + Math.floor(rnd.unit() * (frame.length - 14));
              frame[at] = frame[at]! ^ (1 << Math.floor(rnd.unit() * 8));
            }
            const extra = rnd.unit() < c.reorder ? Math.floor(rnd.unit() * 4 * c.delay) : 0;
            return rnd.unit() < c.dup ? [extra, extra + 100] : [extra];
          };
          const accepted: Recorder[] = [];
          serve(net.b, 80, accepted, () => {
            const r = new Recorder();
            r.onEnd = () => r.sendAll(pattern(c.size >> 1), true);
            return r;
          });
          const client = open(net.a, ADDR_B, 80);
          client.sendAll(pattern(c.size), true);
          net.run(1200 * SECOND, () => {
            checkStack(net.a.st);
            checkStack(net.b.st);
            return (
              client.events.some((e) => e.startsWith('closed')) &&
              (accepted.length === 0 || accepted[0]!.events.some((e) => e.startsWith('closed')))
            );
          });
          const server = accepted[0];
          if (client.has('closed 0') && server?.has('closed 0')) {
            expect(server.bytes).toEqual(pattern(c.size));
            expect(client.bytes).toEqual(pattern(c.size >> 1));
          } else {
            expect(client.events.concat(server?.events ?? []).some((e) => /^closed [1-9]/.test(e))).toBe(true);
          }
          net.filter = null;
          net.run(
            400 * SECOND,
            () => net.a.st.tcp.tcb.count + net.b.st.tcp.tcb.count + net.b.st.tcp.syncache.count === 0,
          );
          expect(net.a.st.tcp.tcb.count + net.b.st.tcp.tcb.count).toBe(0);
          expect(net.leaked(net.a)).toBe(0);
          expect(net.leaked(net.b)).toBe(0);
        },
      ),
      { numRuns: 40, seed: 1 },
    );
  }, 120_000);
});
