import { describe, expect, it } from 'vitest';
import { range, Sender, type SenderOptions } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

/** `n` segments written and, as far as the window of ten goes, in flight; the round trip is 100 ms, the timeout 3 * 100 + 200 ms. */
function sender(n: number, o: SenderOptions = {}) {
  const s = new Sender(o);
  s.write(n);
  s.sent();
  return s;
}

describe('the tail loss probe (RFC 8985 section 7)', () => {
  it('goes after two smoothed round trips (section 7.2)', () => {
    const s = sender(5);
    s.wait(199);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([4]);
    expect(s.count('tcps_tlp_probes')).toBe(1);
  });

  it('allows for a delayed ACK of 200 ms where one segment only is in flight (section 7.2)', () => {
    const s = sender(1);
    s.wait(399);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([0]);
  });

  it('allows for it as well where small segments in flight make up no more than a full one (section 7.2)', () => {
    // An ACK is due for every second full-sized segment (RFC 9293 section 3.8.6.3): that of two small ones may be delayed.
    const s = new Sender({ rtt: 1 });
    s.so.setNoDelay(true);
    const half = s.mss / 2;
    for (let i = 0; i < 2; i++) s.so.send(pattern(half), 0, half);
    s.p.host.pass();
    expect(s.out().map((o) => o.len)).toEqual([half, half]);
    s.wait(201);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toHaveLength(1);
    expect(s.count('tcps_tlp_probes')).toBe(1);
  });

  it('takes no longer than the retransmission timeout, and goes in its place (section 7.2)', () => {
    // Timeout 300 ms, without the slop; PTO of one segment 400 ms.
    const s = sender(1, { tune: { tcp_rexmit_slop: 0 } });
    s.wait(299);
    expect(s.sent()).toEqual([]);
    s.wait(2);
    expect(s.sent()).toEqual([0]);
    expect(s.count('tcps_tlp_probes')).toBe(1);
    expect(s.count('tcps_rexmttimeo')).toBe(0);
  });

  it('does not go sooner than net.inet.tcp.rexmit_min', () => {
    const s = sender(5, { rtt: 1 });
    s.wait(29);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([4]);
  });

  it('starts anew with each ACK that advances, and with new data (section 7.2)', () => {
    const s = sender(5).wait(100);
    s.ack(2);
    s.wait(199);
    expect(s.sent()).toEqual([]);
    s.write(1);
    expect(s.sent()).toEqual([5]);
    s.wait(199);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([5]);
  });

  it('sends new data where there is some and the window of the peer takes it (section 7.3)', () => {
    const s = sender(20);
    s.wait(200);
    expect(s.sent()).toEqual([10]);
  });

  it('sends the last segment again where the window of the peer takes no more (section 7.3)', () => {
    // 88 * 128 bytes are seven segments and a piece.
    const s = new Sender({ win: 88 });
    s.write(20);
    expect(s.sent()).toEqual(range(0, 7));
    s.wait(200);
    expect(s.sent()).toEqual([6]);
  });

  it('leaves the congestion window as it is (section 7.3)', () => {
    const s = sender(20);
    s.wait(200);
    expect(s.segs(s.tp.snd_cwnd)).toBe(10);
    expect(s.tp.inRecovery).toBe(false);
  });

  it('is one a flight: the timeout follows, counted from the probe (section 7.3)', () => {
    const s = sender(5);
    s.wait(200);
    expect(s.sent()).toEqual([4]);
    s.wait(499);
    expect(s.sent()).toEqual([]);
    s.wait(1);
    expect(s.sent()).toEqual([0]);
    expect(s.count('tcps_rexmttimeo')).toBe(1);
  });

  it('shows losses by the SACK that answers it (section 7.4.1)', () => {
    const s = sender(20);
    s.wait(200);
    expect(s.sent()).toEqual([10]);
    s.wait(100).ack(5, [[10, 11]]);
    expect(s.sent()[0]).toBe(5);
    expect(s.tp.inRecovery).toBe(true);
  });

  it('does not go in recovery', () => {
    const s = sender(10).wait(100);
    s.write(5);
    s.ack(0, [[1, 4]]);
    s.wait(10).ack(0, [[1, 9]]);
    expect(s.sent()).toContain(10);
    const probes = s.count('tcps_tlp_probes');
    s.wait(400);
    expect(s.count('tcps_tlp_probes')).toBe(probes);
  });

  it('does not go while something is SACKed (section 7.2)', () => {
    const s = sender(12).wait(100);
    s.ack(0, [[1, 2]]);
    expect(s.sent()).toEqual([10]);
    // The reordering window of 25 ms is what runs.
    s.wait(25);
    expect(s.tp.inRecovery).toBe(true);
    s.wait(350);
    expect(s.count('tcps_tlp_probes')).toBe(0);
  });

  it('does not go without SACK, nor with net.inet.tcp.tlp or net.inet.tcp.rack 0', () => {
    for (const o of [{ sack: false }, { tune: { tcp_tlp: 0 } }, { tune: { tcp_rack: 0 } }]) {
      const s = sender(5, o);
      s.wait(499);
      expect(s.sent()).toEqual([]);
      s.wait(2);
      expect(s.sent()).toEqual([0]);
    }
  });
});

describe('a loss that the probe has repaired (RFC 8985 section 7.4.2)', () => {
  /** The last of five segments sent again as a probe. */
  function probed() {
    const s = sender(5).wait(100);
    s.ack(4);
    s.wait(400);
    expect(s.sent()).toEqual([4]);
    return s;
  }

  it('reduces the window once, when data after it is acknowledged', () => {
    const s = probed();
    s.wait(100).ack(5);
    expect(s.count('tcps_tlp_repaired')).toBe(0);
    const cwnd = s.tp.snd_cwnd;
    s.write(3).wait(100);
    s.ack(8);
    expect(s.count('tcps_tlp_repaired')).toBe(1);
    expect(s.tp.snd_cwnd).toBeLessThan(cwnd);
    const reduced = s.tp.snd_cwnd;
    s.write(1).wait(100);
    s.ack(9);
    expect(s.tp.snd_cwnd).toBeGreaterThanOrEqual(reduced);
    expect(s.count('tcps_tlp_repaired')).toBe(1);
  });

  it('is none when a DSACK tells that the probe was not needed (case 1)', () => {
    const s = probed();
    s.ack(5);
    s.wait(100).ack(5, [[4, 5]]);
    const cwnd = s.tp.snd_cwnd;
    s.write(3).wait(100);
    s.ack(8);
    expect(s.count('tcps_tlp_repaired')).toBe(0);
    expect(s.tp.snd_cwnd).toBeGreaterThanOrEqual(cwnd);
  });

  it('is none when a duplicate ACK answers the probe where the peer sends no DSACK (case 2)', () => {
    const s = probed();
    s.ack(5);
    s.write(3);
    s.wait(100).ack(5);
    s.ack(8);
    expect(s.count('tcps_tlp_repaired')).toBe(0);
  });

  it('is none when the probe was new data (section 7.4.2)', () => {
    const s = sender(20);
    s.wait(200);
    expect(s.sent()).toEqual([10]);
    s.wait(100).ack(5);
    expect(s.sent()).toContain(13);
    s.ack(13);
    expect(s.count('tcps_tlp_repaired')).toBe(0);
    expect(s.tp.inRecovery).toBe(false);
  });
});
