import { describe, expect, it } from 'vitest';
import { CcAck, type CcModule } from '../../../../src/stack/tcp/cc/cc.ts';
import { ccRegister } from '../../../../src/stack/tcp/cc/registry.ts';
import { MS, Sender } from '../../../lab/sender.ts';

/** What the module was told of each ACK. */
const acks: CcAck[] = [];
const probe = (name: string, recovery: 'prr' | 'own'): CcModule => ({
  name,
  create: () => ({
    recovery,
    init() {},
    ackReceived(_c, ack) {
      acks.push(Object.assign(new CcAck(), ack));
    },
    congestionSignal() {},
  }),
});
ccRegister(probe('probe', 'prr'));
ccRegister(probe('probe-own', 'own'));

function sender(n: number, cc = 'probe') {
  acks.length = 0;
  const s = new Sender({ cc, tune: { tcp_tlp: 0 } });
  s.write(n);
  s.sent();
  return s;
}

const last = () => acks.at(-1)!;

describe('delivery-rate samples (draft-ietf-ccwg-bbr section 4.1)', () => {
  it('are what was delivered since the segment left, over the time since then (section 4.1.1)', () => {
    const s = sender(30).wait(100);
    s.ack(10);
    expect(last().rateBytes).toBe(10 * s.mss);
    expect(last().rateInterval).toBe(100 * MS);
    expect(last().deliveryRate).toBe((10 * s.mss * 10) | 0);
  });

  it('count what is SACKed as delivered', () => {
    const s = sender(30).wait(100);
    s.ack(0, [[4, 6]]);
    expect(last().delivered).toBe(2 * s.mss);
    expect(last().rateBytes).toBe(2 * s.mss);
  });

  it('count nothing twice: not when the cumulative ACK covers what was SACKed', () => {
    const s = sender(30).wait(100);
    s.ack(0, [[1, 3]]);
    s.wait(10).ack(4);
    expect(last().delivered).toBe(2 * s.mss);
    expect(s.tp.t_delivered).toBe(4 * s.mss);
  });

  it('are of the segment sent last among those delivered (section 4.1.2.3)', () => {
    const s = sender(5).wait(100);
    s.ack(2);
    s.write(5);
    s.wait(100).ack(10);
    // Two were delivered when it left, 100 ms ago; the others of this ACK left before it.
    expect(last().rateBytes).toBe(8 * s.mss);
    expect(last().rateInterval).toBe(100 * MS);
  });

  it('take the longer of the time to send and the time to be acknowledged (section 4.1.1.2)', () => {
    // Two segments, 90 ms apart, both acknowledged 10 ms after the second left, as far as the ACKs tell.
    const s = sender(1).wait(90);
    s.write(1);
    s.wait(10).ack(1);
    s.wait(90).ack(2);
    // The second left 90 ms after the first: nothing was delivered then. 190 ms to be acknowledged.
    expect(last().rateInterval).toBe(190 * MS);
    expect(last().rateBytes).toBe(2 * s.mss);
  });

  it('are marked where the application had no more to send (section 4.1.2.4)', () => {
    const s = sender(3).wait(100);
    s.ack(3);
    expect(last().isAppLimited).toBe(true);
  });

  it('are not marked where the window was the limit', () => {
    const s = sender(30).wait(100);
    // The first flight follows the silence of a new connection; the second does not.
    s.ack(10);
    s.wait(100).ack(20);
    expect(last().isAppLimited).toBe(false);
  });

  it('are not marked any more once what was in flight then is delivered', () => {
    const s = sender(3);
    s.write(37).sent();
    s.wait(100).ack(3);
    s.sent();
    s.wait(100).ack(10);
    expect(s.tp.t_app_limited).toBe(0);
  });

  it('tell of what was in flight and lost meanwhile', () => {
    const s = sender(30, 'probe-own').wait(100);
    s.ack(0, [[3, 6]]);
    // Of what was delivered the sixth was sent last: with it, six were in flight.
    expect(last().txInFlight).toBe(6 * s.mss);
    expect(last().priorInFlight).toBe(10 * s.mss);
    expect(last().lost).toBe(3 * s.mss);
    expect(last().rateLost).toBe(3 * s.mss);
  });

  it('begin anew after a pause: the idle time does not count (section 4.1.2.2)', () => {
    const s = sender(3).wait(100);
    s.ack(3);
    s.wait(3000);
    s.write(3);
    s.wait(100).ack(6);
    expect(last().rateInterval).toBe(100 * MS);
    expect(last().rateBytes).toBe(3 * s.mss);
  });
});
