import { describe, expect, it } from 'vitest';
import { CONN_FIELDS } from '../../../../src/stack/tcp/conn-fields.ts';
import { ipHeaders, needfrag } from '../../../lab/needfrag.ts';
import { Sender, type SenderOptions } from '../../../lab/sender.ts';

const BASE = 1;
const SEARCH = 2;
const COMPLETE = 3;
const ERROR = 4;

/** A sender that probes from the beginning, with plenty to send; its peer acknowledges by bytes. */
class Prober extends Sender {
  una = 1;

  constructor(o: SenderOptions = {}) {
    super({ ...o, tune: { tcp_plpmtud_enable: 2, tcp_plpmtud_probe_interval: 0, ...(o.tune ?? {}) } });
    this.write(600);
  }

  /** [number, length] of the data segments sent since the last call. */
  data(): [number, number][] {
    return this.out()
      .filter((o) => o.len > 0)
      .map((o) => [o.seq, o.len]);
  }

  to(ack: number, sack: [number, number][] = []): this {
    this.p.send({ flags: 'A', seq: 1, ack, win: 65535, ...(sack.length > 0 ? { sack } : {}) });
    this.una = ack;
    return this.wait(0);
  }

  /** All that waits goes, and is acknowledged. */
  drain(): this {
    for (let i = 0; i < 300 && (i === 0 || this.tp.snd_una !== this.tp.snd_max); i++) {
      const end = Math.max(this.una, ...this.data().map(([seq, n]) => seq + n));
      this.wait(100).to(end);
    }
    return this;
  }

  /**
   * Round trips over a path that takes packets of `mtu` bytes and drops larger ones: each flight is answered as a whole, until the search has ended or
   * `rounds` are over. Returns the sizes probed, as MTUs.
   */
  overPath(mtu: number, rounds = 60): number[] {
    const probed: number[] = [];
    const done = (): boolean => this.tp.plp_state === COMPLETE;
    for (let i = 0; i < rounds && !done(); i++) {
      const small = this.tp.t_maxseg;
      const flight = this.data();
      for (const [, len] of flight) if (len > small) probed.push(len + 40);
      this.wait(100);
      const lost = flight.filter(([, len]) => len + 40 > mtu);
      const end = flight.length === 0 ? this.una : Math.max(...flight.map(([seq, len]) => seq + len));
      if (lost.length === 0) {
        this.to(Math.max(end, this.una));
        continue;
      }
      const [at, len] = lost[0]!;
      this.to(Math.max(at, this.una), end > at + len ? [[at + len, end]] : []);
      this.wait(100);
      for (const [seq, n] of this.data()) if (seq + n > end) this.una = seq + n;
      this.to(Math.max(end, this.una));
    }
    return probed;
  }
}

describe('probing for the path MTU (RFC 4821, RFC 8899)', () => {
  it('begins with the base size, and probes no larger one before that is confirmed (RFC 8899 section 5.2)', () => {
    const s = new Prober();
    expect(new Set(s.data().map(([, n]) => n))).toEqual(new Set([1160]));
    expect(s.tp.plp_state).toBe(BASE);
    s.wait(100).to(1161);
    expect(s.tp.plp_state).toBe(SEARCH);
  });

  it('probes with new data in one segment, first for the MTU of the interface, while others stay small (RFC 4821 sections 6.2, 7.3)', () => {
    const s = new Prober();
    const flight = s.data();
    const end = flight.at(-1)![0] + 1160;
    s.wait(100).to(end);
    const next = s.data();
    expect(next[0]).toEqual([end, 1460]);
    expect(next.slice(1).every(([, n]) => n === 1160)).toBe(true);
    expect([s.tp.plp_size, s.count('tcps_plpmtud_probes')]).toEqual([1500, 1]);
  });

  it('sets DF on a probe', () => {
    const s = new Prober();
    const end = s.data().at(-1)![0] + 1160;
    s.wait(100).to(end);
    expect(ipHeaders(s.p)[0]).toMatchObject({ total: 1500, df: true });
  });

  it('makes all segments as large as a probe that arrives (RFC 4821 section 7.6.1)', () => {
    const s = new Prober();
    expect(s.overPath(1500)).toEqual([1500]);
    expect([s.tp.plp_state, s.tp.t_maxseg, s.count('tcps_plpmtud_successes')]).toEqual([COMPLETE, 1460, 1]);
    expect(s.data().every(([, n]) => n === 1460)).toBe(true);
  });

  it('takes a lost probe for no congestion: the window stays, nothing is called lost, its data goes again (RFC 4821 section 7.6.2)', () => {
    for (const tune of [{}, { tcp_rack: 0 }]) {
      const s = new Prober({ tune });
      const end = s.data().at(-1)![0] + 1160;
      s.wait(100).to(end);
      const next = s.data();
      const { snd_ssthresh, snd_cwnd } = s.tp;
      s.wait(100).to(end, [[end + 1460, next.at(-1)![0] + 1160]]);
      s.wait(1);
      const again = s.data();
      expect(again.slice(0, 2)).toEqual([
        [end, 1160],
        [end + 1160, 300],
      ]);
      expect([s.tp.snd_ssthresh, s.tp.t_lost]).toEqual([snd_ssthresh, 0]);
      expect(s.tp.snd_cwnd).toBeGreaterThanOrEqual(snd_cwnd);
      expect([s.count('tcps_fastrecovery'), s.count('tcps_plpmtud_failures')]).toEqual([0, 1]);
    }
  });

  it('answers the loss of others as ever, and learns nothing from a probe that was lost with them (RFC 4821 section 7.6.4)', () => {
    const s = new Prober();
    const end = s.data().at(-1)![0] + 1160;
    // The last of the first flight is lost too.
    s.wait(100).to(end - 1160);
    s.wait(100).to(end);
    const next = s.data();
    const probe = next.find(([, n]) => n > 1160)!;
    expect(probe[1]).toBe(1460);
    const tail = next.at(-1)!;
    // Lost: the segment before the probe's end and the one behind it.
    s.wait(100).to(probe[0], [[probe[0] + 1460 + 1160, tail[0] + tail[1]]]);
    s.wait(50);
    expect(s.count('tcps_fastrecovery')).toBe(1);
    expect(s.tp.t_lost).toBe(1160);
  });

  it('needs MAX_PROBES losses of a size to call it too large (RFC 8899 section 5.1.2, net.inet.tcp.plpmtud.max_probes)', () => {
    const s = new Prober();
    expect(s.overPath(1400).slice(0, 4)).toEqual([1500, 1500, 1500, 1350]);
    const t = new Prober({ tune: { tcp_plpmtud_max_probes: 1 } });
    expect(t.overPath(1400).slice(0, 2)).toEqual([1500, 1350]);
  });

  it.each([1499, 1492, 1480, 1400, 1301, 1208])(
    'finds a path MTU of %i to within net.inet.tcp.plpmtud.threshold, and never sends a full segment beyond it (RFC 4821 section 7.3)',
    (mtu) => {
      const s = new Prober({ tune: { tcp_plpmtud_max_probes: 1 } });
      s.overPath(mtu);
      expect(s.tp.plp_state).toBe(COMPLETE);
      expect(s.tp.t_maxseg + 40).toBeLessThanOrEqual(mtu);
      expect(s.tp.t_maxseg + 40).toBeGreaterThan(mtu - 8);
      expect(s.count('tcps_fastrecovery') + s.count('tcps_rexmttimeo')).toBe(0);
      const t = new Prober({ tune: { tcp_plpmtud_max_probes: 1, tcp_plpmtud_threshold: 200 } });
      t.overPath(mtu);
      expect(t.count('tcps_plpmtud_probes')).toBeLessThan(s.count('tcps_plpmtud_probes'));
    },
  );

  it('waits after a loss for net.inet.tcp.plpmtud.probe_interval (RFC 4821 section 7.4 (2))', () => {
    const s = new Prober({ tune: { tcp_plpmtud_probe_interval: 1000 } });
    const end = s.data().at(-1)![0] + 1160;
    s.wait(100).to(end);
    const behind = s.data().at(-1)![0] + 1160;
    s.wait(100).to(end, [[end + 1460, behind]]);
    let una = Math.max(...s.data().map(([q, n]) => q + n));
    const at = s.count('tcps_plpmtud_probes');
    for (let i = 0; i < 9; i++) {
      s.wait(100).to(una);
      una = Math.max(...s.data().map(([q, n]) => q + n));
    }
    expect(s.count('tcps_plpmtud_probes')).toBe(at);
    for (let i = 0; i < 3; i++) {
      s.wait(100).to(una);
      una = Math.max(...s.data().map(([q, n]) => q + n));
    }
    expect(s.count('tcps_plpmtud_probes')).toBe(at + 1);
  });

  it('does not probe without data for the segments behind the probe, or a window for them (RFC 4821 section 7.4 (3), (4))', () => {
    const few = new Sender({ tune: { tcp_plpmtud_enable: 2 } });
    for (let i = 0; i < 10; i++)
      few
        .write(3)
        .wait(100)
        .p.send({ flags: 'A', seq: 1, ack: 1 + 3 * 1460 * (i + 1), win: 65535 });
    expect([few.tp.plp_state, few.count('tcps_plpmtud_probes')]).toEqual([SEARCH, 0]);
    const narrow = new Sender({ tune: { tcp_plpmtud_enable: 2 }, win: 40 });
    narrow.write(100);
    let una = 1;
    for (let i = 0; i < 10; i++) {
      una = Math.max(una, ...narrow.out().map((o) => o.seq + o.len));
      narrow.wait(100).p.send({ flags: 'A', seq: 1, ack: una, win: 40 });
    }
    expect(narrow.count('tcps_plpmtud_probes')).toBe(0);
  });

  it('does not probe without SACK', () => {
    const s = new Sender({ sack: false, tune: { tcp_plpmtud_enable: 2 } });
    expect([s.tp.plp_state, s.tp.maxseg]).toEqual([0, 1460]);
  });

  it('is off by default, and net.inet.tcp.plpmtud.base is where it begins', () => {
    const off = new Sender();
    expect([off.tp.plp_state, off.tp.maxseg]).toEqual([0, 1460]);
    const s = new Prober({ tune: { tcp_plpmtud_base: 1024 } });
    expect(s.data()[0]).toEqual([1, 984]);
  });

  it('looks for a larger MTU again after PMTU_RAISE_TIMER, 600 s (RFC 8899 section 5.1.1, net.inet.tcp.plpmtud.raise_interval)', () => {
    for (const [tune, s600] of [
      [{}, 600],
      [{ tcp_plpmtud_raise_interval: 60 }, 60],
    ] as const) {
      const s = new Prober({ tune: { tcp_plpmtud_max_probes: 1, tcp_always_keepalive: 0, ...tune } });
      s.overPath(1400);
      const known = s.tp.t_maxseg;
      s.drain();
      const from = s.count('tcps_plpmtud_probes');
      s.p.host.st.tune.arp_max_age = 86400;
      s.wait((s600 - 60) * 1000).write(20);
      expect([s.count('tcps_plpmtud_probes'), s.tp.plp_state]).toEqual([from, COMPLETE]);
      s.drain().wait(61_000).write(20);
      expect([s.count('tcps_plpmtud_probes'), s.tp.t_maxseg]).toEqual([from + 1, known]);
      s.wait(100).to(Math.max(...s.data().map(([q, n]) => q + n)));
      expect(s.tp.t_maxseg).toBe(1460);
    }
  });

  it('is told by ICMP about a probe without making segments smaller (RFC 8899 section 4.6.1)', () => {
    const s = new Prober();
    const end = s.data().at(-1)![0] + 1160;
    s.wait(100).to(end);
    s.data();
    needfrag(s.p, { seq: end, mtu: 1400 });
    expect([s.tp.t_maxseg, s.tp.plp_high, s.tp.plp_out]).toEqual([1160, 1400, false]);
    expect(s.data()[0]).toEqual([end, 1160]);
    expect([s.count('tcps_mtudisc'), s.count('tcps_plpmtud_failures'), s.tp.t_lost]).toEqual([0, 1, 0]);
  });

  it('ends with what ICMP tells of other segments', () => {
    const s = new Prober();
    needfrag(s.p, { seq: 1, mtu: 900 });
    expect([s.tp.plp_state, s.tp.t_maxseg]).toEqual([COMPLETE, 860]);
  });

  it('keeps what it has found for the next connection (RFC 4821 section 5.2)', () => {
    const s = new Prober({ tune: { tcp_plpmtud_max_probes: 1 } });
    s.overPath(1400);
    const { p } = s;
    p.send({ flags: 'S', mss: 1460, wscale: 7, sackok: true, sport: 40001 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 40001 });
    const tp = p.accepted.at(-1)!.so!.tp!;
    expect(tp).not.toBe(s.tp);
    expect([tp.t_maxseg, tp.plp_state]).toEqual([s.tp.t_maxseg, COMPLETE]);
  });

  it('shows its state and range in a snapshot', () => {
    const s = new Prober();
    const shown = (name: string): number =>
      CONN_FIELDS.find((f) => f.name === name)!.get!(s.tp, s.so, s.tp.t_inpcb!) as number;
    expect(['plpmtud_state', 'plpmtud_low_bytes', 'plpmtud_high_bytes', 'pmtu_bytes'].map(shown)).toEqual([
      BASE,
      1200,
      1500,
      1200,
    ]);
  });
});

describe('a black hole, with probing (RFC 4821 section 7.7, RFC 8899 section 4.3)', () => {
  /** Timeouts that nothing answers, `n` in a row. */
  function timeouts(s: Sender, n: number): void {
    const to = s.count('tcps_rexmttimeo') + n;
    while (s.count('tcps_rexmttimeo') < to) s.wait(20);
  }

  const hole = (o: SenderOptions = {}): Sender => {
    const s = new Sender({ ...o, tune: { tcp_plpmtud_enable: 1, tcp_tlp: 0, ...(o.tune ?? {}) } });
    s.write(100);
    s.out();
    return s;
  };

  it('is found by two timeouts of full segments in a row: down to the base size, with DF; mode 1 begins here', () => {
    const s = hole();
    expect([s.tp.plp_state, s.tp.maxseg]).toEqual([0, 1460]);
    timeouts(s, 1);
    expect(s.tp.maxseg).toBe(1460);
    s.out();
    timeouts(s, 1);
    expect([s.tp.plp_state, s.tp.maxseg, s.count('tcps_plpmtud_blackholes')]).toEqual([BASE, 1160, 1]);
    expect(ipHeaders(s.p)[0]).toMatchObject({ total: 1200, df: true });
    s.p.send({ flags: 'A', seq: 1, ack: 1161, win: 65535 });
    expect(s.tp.plp_state).toBe(SEARCH);
  });

  it('that swallows the base size too ends with segments of mssdflt without DF (RFC 8899 section 5.2, ERROR)', () => {
    const s = hole();
    timeouts(s, 4);
    expect([s.tp.plp_state, s.tp.maxseg]).toEqual([ERROR, 536]);
    expect(ipHeaders(s.p).at(-1)).toMatchObject({ total: 576, df: false });
  });

  it('is left alone with net.inet.tcp.plpmtud.enable 0', () => {
    const s = hole({ tune: { tcp_plpmtud_enable: 0 } });
    timeouts(s, 4);
    expect([s.tp.plp_state, s.tp.maxseg]).toEqual([0, 1460]);
  });

  it('tells nothing of a probe that was in flight (RFC 4821 section 7.6.4)', () => {
    const s = new Prober({ tune: { tcp_tlp: 0 } });
    const end = s.data().at(-1)![0] + 1160;
    s.wait(100).to(end);
    timeouts(s, 1);
    expect([s.tp.plp_out, s.tp.plp_count, s.count('tcps_plpmtud_failures')]).toEqual([false, 0, 0]);
    expect(s.tp.snd_cwnd).toBe(1160);
  });
});
