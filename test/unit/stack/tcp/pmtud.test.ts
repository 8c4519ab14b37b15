import { describe, expect, it } from 'vitest';
import { CONN_FIELDS } from '../../../../src/stack/tcp/conn-fields.ts';
import { nextPlateau } from '../../../../src/stack/tcp/tcp-pmtu.ts';
import { TCPCB_FIELDS } from '../../../../src/stack/tcp/tcpcb-fields.ts';
import { ipHeaders, needfrag } from '../../../lab/needfrag.ts';
import { Sender, type SenderOptions } from '../../../lab/sender.ts';

/** A sender with `n` full segments of 1460 bytes in flight, none acknowledged yet. */
function flight(n: number, o: SenderOptions = {}): Sender {
  const s = new Sender(o);
  s.write(n);
  s.out();
  return s;
}

/** Payload lengths of what was sent since the last call. */
const lengths = (s: Sender): number[] => s.out().map((o) => o.len);

describe('fragmentation needed', () => {
  it('makes segments as large as the MTU that it names allows (RFC 1191 section 4)', () => {
    const s = flight(4);
    needfrag(s.p, { seq: 1, mtu: 1400 });
    expect(s.tp.maxseg).toBe(1360);
    expect(lengths(s)).toEqual([1360]);
    expect(s.count('tcps_mtudisc')).toBe(1);
  });

  it('leaves room for timestamps in them', () => {
    const s = flight(4, { ts: true });
    needfrag(s.p, { seq: 1, mtu: 1400 });
    expect(ipHeaders(s.p).map((h) => h.total)).toEqual([1400]);
  });

  it('sends what was too big again at once, one segment first and the rest when it is acknowledged (RFC 1191 section 6.4)', () => {
    const s = flight(10);
    needfrag(s.p, { seq: 1, mtu: 1400 });
    expect(s.out().map((o) => [o.seq, o.len])).toEqual([[1, 1360]]);
    s.p.send({ flags: 'A', seq: 1, ack: 1361, win: 65535 });
    const again = s.out();
    // The other 13 240 bytes.
    expect(again.map((o) => o.len)).toEqual([...Array(9).fill(1360), 1000]);
    expect(again[0]!.seq).toBe(1361);
  });

  it('is no congestion: windows stay, nothing counts as lost, no recovery begins (RFC 1191 section 6.4)', () => {
    for (const cc of ['newreno', 'cubic', 'bbr']) {
      const s = flight(10, { cc });
      const { snd_cwnd, snd_ssthresh } = s.tp;
      needfrag(s.p, { seq: 1, mtu: 1400 });
      expect([s.tp.snd_cwnd, s.tp.snd_ssthresh, s.tp.t_lost]).toEqual([snd_cwnd, snd_ssthresh, 0]);
      s.p.send({ flags: 'A', seq: 1, ack: 1361, win: 65535 });
      s.wait(10);
      s.p.send({ flags: 'A', seq: 1, ack: 1 + 14600, win: 65535 });
      expect(s.tp.snd_cwnd).toBeGreaterThanOrEqual(snd_cwnd);
      expect(s.tp.snd_ssthresh).toBeGreaterThanOrEqual(snd_ssthresh);
      expect([s.count('tcps_fastrecovery'), s.count('tcps_rexmttimeo'), s.tp.t_lost]).toEqual([0, 0, 0]);
    }
  });

  it('still lets a loss among the smaller segments be one', () => {
    const s = flight(10);
    needfrag(s.p, { seq: 1, mtu: 1400 });
    s.out();
    s.p.send({ flags: 'A', seq: 1, ack: 1361, win: 65535 });
    s.wait(150);
    // All of it arrives but the segment behind the first.
    s.p.send({ flags: 'A', seq: 1, ack: 1361, win: 65535, sack: [[2721, 14601]] });
    expect(s.count('tcps_fastrecovery')).toBe(1);
  });

  it('does not send again what is small enough, or SACKed', () => {
    const s = flight(4);
    s.ack(0, [[2, 3]]);
    s.out();
    needfrag(s.p, { seq: 1, mtu: 1400 });
    // Invariants of the scoreboard are checked at each step of time.
    s.wait(1);
    s.p.send({ flags: 'A', seq: 1, ack: 1361, win: 65535, sack: [[2921, 4381]] });
    expect(s.out().map((o) => [o.seq, o.len])).toEqual([
      [1, 1360],
      [1361, 1360],
      [2721, 200],
      [4381, 1360],
      [5741, 100],
    ]);
  });

  it('keeps the scoreboard whole where segments are cut, with RACK and without, and without SACK', () => {
    for (const o of [{}, { tune: { tcp_rack: 0 } }, { sack: false }] as SenderOptions[]) {
      const s = flight(8, o);
      needfrag(s.p, { seq: 1 + 1460, mtu: 1300 });
      let una = 1;
      // Each ACK covers one segment of the new size; invariants are checked at each.
      for (let i = 0; i < 40 && una < 1 + 8 * 1460; i++) {
        s.wait(20);
        una = Math.min(una + 1260, 1 + 8 * 1460);
        s.p.send({ flags: 'A', seq: 1, ack: una, win: 65535 });
        s.wait(0);
      }
      expect([s.tp.snd_una, s.tp.pipe, s.tp.snd_lost]).toEqual([s.tp.snd_max, 0, 0]);
      expect(s.count('tcps_rexmttimeo')).toBe(0);
    }
  });

  it('does not take duplicate ACKs of what went before for a loss, without SACK (RFC 6582 section 3.2)', () => {
    const s = flight(8, { sack: false });
    needfrag(s.p, { seq: 1, mtu: 1400 });
    s.out();
    for (let i = 0; i < 4; i++) s.ack(0);
    expect(s.count('tcps_fastrecovery')).toBe(0);
  });

  it('never raises the segment size (RFC 1191 section 3)', () => {
    const s = flight(4);
    for (const mtu of [1500, 1501, 9000, 65535]) needfrag(s.p, { seq: 1, mtu });
    expect([s.tp.maxseg, s.count('tcps_mtudisc'), s.count('tcps_icmpmtuignored')]).toEqual([1460, 0, 4]);
    needfrag(s.p, { seq: 1, mtu: 1300 });
    needfrag(s.p, { seq: 1, mtu: 1400 });
    expect(s.tp.maxseg).toBe(1260);
  });

  it.each([
    [1499, 1499 - 40],
    [256, 216],
    [255, 216],
    [68, 216],
    [1, 216],
  ])('of MTU %i gives segments of %i bytes: not less than net.inet.tcp.minmss', (mtu, mss) => {
    const s = flight(4);
    needfrag(s.p, { seq: 1, mtu });
    expect(s.tp.maxseg).toBe(mss);
  });

  it('does nothing while net.inet.tcp.path_mtu_discovery is 0', () => {
    const s = flight(4, { tune: { tcp_path_mtu_discovery: 0 } });
    needfrag(s.p, { seq: 1, mtu: 1400 });
    expect([s.tp.maxseg, s.count('tcps_icmpmtuignored')]).toEqual([1460, 1]);
    expect(s.out()).toEqual([]);
  });

  it('is believed only when the sequence number that it quotes is in flight (RFC 5927 section 4.1)', () => {
    const s = flight(4);
    s.ack(2);
    for (const seq of [0, 1, 1 + 2 * 1460 - 1, 1 + 4 * 1460, 1 << 30]) needfrag(s.p, { seq, mtu: 1400 });
    expect([s.tp.maxseg, s.count('tcps_icmpbadseq')]).toEqual([1460, 5]);
    needfrag(s.p, { seq: 1 + 2 * 1460, mtu: 1459 });
    expect(s.count('tcps_icmpbadseq')).toBe(5);
  });
});

describe('fragmentation needed below a size that was acknowledged', () => {
  /** Ten segments of 1460 have arrived, two more are in flight. */
  function proved(): Sender {
    const s = flight(10);
    s.wait(100).ack(10).write(2);
    s.out();
    needfrag(s.p, { seq: 1 + 10 * 1460, mtu: 600 });
    return s;
  }

  it('is put off, and believed when a timeout shows that the path has changed (RFC 5927 section 7.2)', () => {
    const s = proved();
    expect([s.tp.maxseg, s.count('tcps_icmpmtupending')]).toEqual([1460, 1]);
    expect(s.out()).toEqual([]);
    // TLP's probe, then the timeout.
    s.wait(3000);
    expect(s.tp.maxseg).toBe(560);
    expect(s.count('tcps_mtudisc')).toBe(1);
    expect(s.out().at(-1)!.len).toBe(560);
  });

  it('is forgotten when the segment that it quotes is acknowledged (RFC 5927 section 7.2)', () => {
    const s = proved();
    s.wait(100).ack(12).write(1);
    s.wait(5000);
    expect([s.tp.maxseg, s.count('tcps_mtudisc')]).toEqual([1460, 0]);
    expect(s.count('tcps_rexmttimeo')).toBeGreaterThan(0);
  });

  it('is believed at once where it names a size that none was acknowledged above', () => {
    const s = flight(4);
    needfrag(s.p, { seq: 1, mtu: 1400 });
    s.wait(100);
    s.p.send({ flags: 'A', seq: 1, ack: 1361, win: 65535 });
    needfrag(s.p, { seq: 1361, mtu: 1300 });
    expect(s.tp.maxseg).toBe(1360);
    needfrag(s.p, { seq: 1361, mtu: 1399 });
    expect([s.count('tcps_icmpmtupending'), s.count('tcps_mtudisc')]).toEqual([2, 1]);
  });
});

describe('a router that does not say its MTU', () => {
  it('is answered with the next plateau of RFC 1191 table 7-1', () => {
    expect([65535, 32001, 32000, 9000, 4352, 1500, 1492, 1006, 508, 296, 100].map(nextPlateau)).toEqual([
      32000, 32000, 17914, 8166, 2002, 1492, 1006, 508, 296, 68, 68,
    ]);
  });

  it('takes a connection down the plateaus, one message a step (RFC 1191 section 7.1)', () => {
    const s = flight(4);
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) {
      const total = s.tp.t_maxseg + 40;
      needfrag(s.p, { seq: 1, mtu: 0, total });
      seen.push(s.tp.t_maxseg + 40);
    }
    // The last plateau, 68, leaves less than net.inet.tcp.minmss.
    expect(seen).toEqual([1492, 1006, 508, 296]);
    needfrag(s.p, { seq: 1, mtu: 0, total: 296 });
    expect(s.tp.t_maxseg).toBe(216);
  });

  it('and adds the header to the length, as 4.2BSD did, is understood where that is seen (RFC 1191 section 5)', () => {
    const s = flight(4);
    needfrag(s.p, { seq: 1, mtu: 1492 });
    // A packet of 1492 bytes, told as 1512: not 1492 again.
    needfrag(s.p, { seq: 1, mtu: 0, total: 1512 });
    expect(s.tp.t_maxseg + 40).toBe(1006);
  });
});

describe("don't-fragment", () => {
  it('is set on every segment while net.inet.tcp.path_mtu_discovery is 1, the default (RFC 1191 section 3)', () => {
    const s = new Sender();
    s.p.host.link.sent.length = 0;
    s.write(3);
    s.so.close();
    s.wait(3000);
    const seen = ipHeaders(s.p);
    expect(seen.length).toBeGreaterThan(3);
    expect(seen.every((h) => h.df)).toBe(true);
  });

  it('is set on none while it is 0', () => {
    const s = new Sender({ tune: { tcp_path_mtu_discovery: 0 } });
    s.p.host.link.sent.length = 0;
    s.write(3);
    s.wait(3000);
    const seen = ipHeaders(s.p);
    expect(seen.length).toBeGreaterThan(3);
    expect(seen.some((h) => h.df)).toBe(false);
  });

  it('is not set on segments of net.inet.tcp.minmss: a path that takes less still may cut them (BSD)', () => {
    const s = flight(4);
    needfrag(s.p, { seq: 1, mtu: 100 });
    expect(ipHeaders(s.p)).toMatchObject([{ total: 256, df: false }]);
  });
});

describe('an old estimate', () => {
  const MIN = 60 * 1000;

  /** A path of 1400 bytes, known since time 0, over which ten segments went. */
  function limited(tune: SenderOptions['tune'] = {}): Sender {
    const s = flight(1, { tune: { tcp_always_keepalive: 0, ...tune } });
    needfrag(s.p, { seq: 1, mtu: 1400 });
    s.p.send({ flags: 'A', seq: 1, ack: 1461, win: 65535 });
    s.out();
    return s;
  }

  it('is given up after net.inet.ip.mtudisctimeout, 10 minutes, and not earlier (RFC 1191 section 6.3)', () => {
    const s = limited();
    s.wait(10 * MIN - 1000).write(1);
    expect(lengths(s)).toEqual([1360, 100]);
    s.p.send({ flags: 'A', seq: 1, ack: 2921, win: 65535 });
    s.wait(2000).write(1);
    expect(lengths(s)).toEqual([1460]);
    expect(s.count('tcps_pmtu_raised')).toBe(1);
  });

  it('lasts as long as the knob says, and for ever with 0', () => {
    const s = limited({ ip_mtudisctimeout: 60 });
    s.wait(MIN + 1).write(1);
    expect(lengths(s)).toEqual([1460]);
    const t = limited({ ip_mtudisctimeout: 0 });
    t.wait(15 * MIN).write(1);
    expect(lengths(t)).toEqual([1360, 100]);
  });

  it('is learnt anew at once where the path is as it was', () => {
    const s = limited();
    s.wait(10 * MIN).write(1);
    expect(lengths(s)).toEqual([1460]);
    needfrag(s.p, { seq: 1461, mtu: 1400 });
    expect(lengths(s)).toEqual([1360]);
    expect(s.count('tcps_icmpmtupending')).toBe(0);
  });
});

describe('the MSS option', () => {
  it('tells what the interface takes, whatever the path does (RFC 1191 section 3.1, RFC 6691 section 2)', () => {
    const s = flight(2);
    needfrag(s.p, { seq: 1, mtu: 1000 });
    s.out();
    s.p.send({ flags: 'S', sport: 40001, mss: 1460 });
    expect(s.out().find((o) => o.flags.includes('S'))!.mss).toBe(1460);
  });

  it('of the peer still bounds segments when the estimate is given up', () => {
    const s = flight(1, { mss: 1200, tune: { tcp_always_keepalive: 0 } });
    needfrag(s.p, { seq: 1, mtu: 1000 });
    s.p.send({ flags: 'A', seq: 1, ack: 1201, win: 65535 });
    s.out();
    s.wait(601 * 1000).write(2);
    expect(lengths(s)).toEqual([1200, 1200]);
  });
});

describe('what is known of the path', () => {
  it('is shown as pmtu and mss of ss, and as field 15 of SIFTR (spec/siftr.md section 3)', () => {
    const s = flight(4);
    const shown = (name: string): number =>
      CONN_FIELDS.find((f) => f.name === name)!.get!(s.tp, s.so, s.tp.t_inpcb!) as number;
    const all = (): number[] => ['pmtu_bytes', 'mss_bytes', 'advmss_bytes'].map(shown);
    expect(all()).toEqual([1500, 1460, 1460]);
    needfrag(s.p, { seq: 1, mtu: 1400 });
    expect(all()).toEqual([1400, 1360, 1460]);
    expect(TCPCB_FIELDS.find((f) => f.siftr === 15)!.name).toBe('t_maxseg');
  });
});

describe('an interface whose MTU shrinks', () => {
  it('cuts the segments of its connections, without loss', () => {
    const s = flight(2);
    const { st, ifp } = s.p.host;
    st.routes.add({ dst: 0xc0000200 | 0, prefixLen: 24, gateway: 0, ifp, mtu: 1300 });
    s.write(1);
    expect(lengths(s)).toEqual([1260]);
    expect(s.count('tcps_rexmttimeo')).toBe(0);
  });
});
