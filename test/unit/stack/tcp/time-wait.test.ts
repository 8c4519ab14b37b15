import { describe, expect, it } from 'vitest';
import { TCPS_TIME_WAIT } from '../../../../src/stack/tcp/tcp-fsm.ts';
import { ScriptedPeer, type Seg } from '../../../lab/segments.ts';
import { pattern } from '../../../lab/tcpuser.ts';

/** A SYN for a connection in TIME-WAIT: what lets it take the place (RFC 6191 section 2; RFC 9293 section 3.6.1 MAY-2, SHLD-4). */

const S = 1_000_000;
/** The peer's last timestamp, and the number of its FIN. */
const TS = 500;
const FIN = 1;

/** A connection that has ended, ours in TIME-WAIT. With `ts` it used timestamps, the last one TS. */
function timeWait(o: { ts: boolean; tune?: ConstructorParameters<typeof ScriptedPeer>[0] }) {
  const p = new ScriptedPeer(o.tune ?? {}).listen();
  const ts = (n: number): Partial<Seg> => (o.ts ? { ts: [n, 1000] } : {});
  p.send({ flags: 'S', mss: 1460, ...ts(TS - 2) });
  p.one();
  p.send({ flags: 'A', seq: 1, ack: 1, ...ts(TS - 1) });
  const { so } = p.accepted[0]!;
  const { tp } = so!;
  so!.shutdown();
  p.host.pass();
  p.out();
  p.send({ flags: 'FA', seq: FIN, ack: 2, ...ts(TS) });
  p.out();
  expect(tp!.t_state).toBe(TCPS_TIME_WAIT);
  return p;
}

describe('a SYN in TIME-WAIT', () => {
  it.each([
    // Both use timestamps: the later one, or the same one and a number beyond the FIN.
    ['with a later timestamp, though its number is lower', true, { seq: -5000, ts: TS + 1 }, true],
    ['with a later timestamp that has wrapped', true, { seq: -5000, ts: (TS + 0x7fffffff) >>> 0 }, true],
    ['with the same timestamp and a number beyond the FIN', true, { seq: FIN + 1, ts: TS }, true],
    ['with the same timestamp and the number of the FIN', true, { seq: FIN, ts: TS }, false],
    ['with an earlier timestamp, though its number is higher', true, { seq: 5000, ts: TS - 1 }, false],
    // Only the old one did.
    ['without timestamps and with a number beyond the FIN, where the old one had some', true, { seq: FIN + 1 }, true],
    ['without timestamps and with the number of the FIN, where the old one had some', true, { seq: FIN }, false],
    // Only the new one does.
    ['with a timestamp where the old one had none, whatever its number', false, { seq: -5000, ts: 1 }, true],
    // Neither does.
    ['with a number beyond the FIN, where neither has timestamps', false, { seq: FIN + 1 }, true],
    ['with the number of the FIN, where neither has timestamps', false, { seq: FIN }, false],
    ['with a lower number, where neither has timestamps', false, { seq: -5000 }, false],
  ] as const)('%s', (_what, old, syn, honoured) => {
    const p = timeWait({ ts: old });
    const { ts, seq } = { ts: undefined, ...syn };
    p.send({ flags: 'S', seq, mss: 1460, ...(ts === undefined ? {} : { ts: [ts, 0] }) });
    const out = p.out();
    expect(p.host.count('tcps_tw_recycled')).toBe(honoured ? 1 : 0);
    expect(p.host.count('tcps_tw_synrefused')).toBe(honoured ? 0 : 1);
    if (honoured) {
      expect(out.map((o) => [o.flags, o.ack])).toEqual([['SA', seq + 1]]);
      p.send({ flags: 'A', seq: seq + 1, ack: 1, ...(ts === undefined ? {} : { ts: [ts, 0] }) });
      expect(p.accepted).toHaveLength(2);
    } else {
      // Silently: no answer, and TIME-WAIT goes on.
      expect(out).toEqual([]);
      expect(p.host.st.tcp.tcb.count).toBe(1);
    }
  });

  it('has no timestamps where we do not use them (net.inet.tcp.rfc1323 0): its number decides', () => {
    const p = timeWait({ ts: false, tune: { tune: { tcp_rfc1323: 0 } } });
    p.send({ flags: 'S', seq: -5000, mss: 1460, ts: [TS + 1, 0] });
    expect(p.out()).toEqual([]);
    expect(p.host.count('tcps_tw_synrefused')).toBe(1);
  });

  /** An old connection that sent faster than the clock of initial numbers ticks. */
  function fast(tune = {}) {
    const p = new ScriptedPeer({ tune });
    const { rec } = p.establish({ wscale: 7, mss: 1460 });
    const iss = p.iss;
    rec.sendAll(pattern(300_000), true);
    p.host.pass();
    for (let out = p.out(); out.length > 0; out = p.out()) {
      const end = Math.max(...out.map((o) => o.seq + o.len + (o.flags.includes('F') ? 1 : 0)));
      p.send({ flags: 'A', seq: 1, ack: end });
    }
    p.send({ flags: 'FA', seq: 1, ack: 300_002 });
    p.out();
    p.advance(0.1 * S);
    return { p, end: (iss + 300_002) | 0 };
  }

  it.each([
    ['from the SYN cache', {}],
    ['where SYNs are answered by cookies', { tcp_syncookies_only: 1 }],
  ])(
    'is answered with an initial number beyond all that the old connection used, %s (RFC 1122 section 4.2.2.13 (1))',
    (_how, tune) => {
      const { p, end } = fast(tune);
      p.send({ flags: 'S', seq: 5000, mss: 1460 });
      expect(p.one().flags).toBe('SA');
      // The clock of RFC 6528 would have given less: a tenth of a second is 25,000.
      expect((p.iss - end) | 0).toBeGreaterThan(0);
      expect((p.iss - end) | 0).toBeLessThan(1_000_000);
      p.send({ flags: 'A', seq: 5001, ack: 1 });
      expect(p.accepted).toHaveLength(2);
    },
  );

  it('is answered with the number of the clock where that is beyond', () => {
    const { p, end } = fast();
    const from = p.iss;
    p.advance(10 * S);
    p.send({ flags: 'S', seq: 5000, mss: 1460 });
    p.one();
    expect((p.iss - end) | 0).toBeGreaterThan(0);
    expect((p.iss - from) | 0).toBe(10_100 * 250);
  });
});
