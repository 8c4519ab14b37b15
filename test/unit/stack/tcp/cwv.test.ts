/** RFC 7661 with net.inet.tcp.newcwv 1, in whole segments; the round trip is 100 ms, so that the sampling period is one second. */
import { describe, expect, it } from 'vitest';
import { Sender, type SenderOptions } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

class Cwv extends Sender {
  /** Segments written so far, all acknowledged between rounds. */
  at = 0;

  constructor(o: SenderOptions = {}) {
    super({ ...o, tune: { tcp_newcwv: 1, ...(o.tune ?? {}) } });
  }

  /** `n` segments go and are acknowledged, by one ACK a round trip later. */
  round(n: number, rtt = 100): this {
    this.write(n);
    this.at += n;
    this.sent();
    return this.wait(rtt).ack(this.at) as this;
  }

  /** Past the first round, of which there is no sample; the window is then `cwnd` segments, and `used` of them have been used. */
  static with(cwnd: number, used: number, o: SenderOptions = {}): Cwv {
    const s = new Cwv(o);
    s.round(1, o.rtt);
    s.set(cwnd);
    s.round(used, o.rtt);
    s.set(cwnd);
    return s;
  }

  set(cwnd: number): void {
    this.tp.snd_cwnd = cwnd * this.mss;
    this.tp.snd_ssthresh = cwnd * this.mss;
  }

  get cwnd(): number {
    return this.segs(this.tp.snd_cwnd);
  }

  get ssthresh(): number {
    return this.segs(this.tp.snd_ssthresh);
  }

  /** `n` segments go, the first `lost` of them are lost; the others are SACKed and the repair acknowledged. */
  lose(n: number, lost: number): this {
    this.write(n);
    this.sent();
    this.wait(100).ack(this.at, [[this.at + lost, this.at + n]]);
    this.wait(50);
    this.during = this.ssthresh;
    this.at += n;
    this.wait(50).ack(this.at);
    return this;
  }

  during = 0;
}

describe('pipeACK (RFC 7661 section 4.2)', () => {
  it('is undefined at first, and the window grows as ever (section 4.1)', () => {
    const s = new Cwv();
    s.round(2);
    expect(s.cwnd).toBe(12);
  });

  it('is what was acknowledged in a round trip: half of the window lets it grow (section 4.3)', () => {
    const s = new Cwv();
    s.round(1);
    s.tp.snd_cwnd = 20 * s.mss;
    s.round(10);
    expect(s.cwnd).toBe(22);
  });

  it('freezes the window where it is less than half of it (section 4.3)', () => {
    const s = new Cwv();
    s.round(1);
    s.tp.snd_cwnd = 20 * s.mss;
    s.round(9).round(9);
    expect(s.cwnd).toBe(20);
  });

  /** Segments by which a window of 20 grows with a round of one, whose ACK comes `ms` after that of a round of twelve. */
  const growth = (ms: number, rtt: number) => {
    const s = Cwv.with(20, 12, { rtt });
    s.tp.snd_ssthresh = 100 * s.mss;
    s.wait(ms - rtt).round(1, rtt);
    return s.cwnd - 20;
  };

  it('is the largest sample of the last second', () => {
    expect(growth(900, 100)).toBe(1);
    expect(growth(1100, 100)).toBe(0);
  });

  it('is the largest of three round trips where these are more', () => {
    expect(growth(1100, 500)).toBe(1);
    expect(growth(1700, 500)).toBe(0);
  });

  it('is zero after an idle time longer than that', () => {
    const s = new Cwv();
    s.round(10);
    s.tp.snd_cwnd = 20 * s.mss;
    s.wait(5000).round(1);
    expect(s.cwnd).toBe(20);
  });

  it('is not measured where a module has the window in recovery too', () => {
    const s = new Cwv({ cc: 'bbr' });
    s.round(4).round(4).round(4);
    expect(s.tp.cwv.defined).toBe(false);
  });

  it('is not measured with net.inet.tcp.newcwv 0', () => {
    const s = new Cwv({ tune: { tcp_newcwv: 0 } });
    s.round(4).round(4).round(4);
    expect(s.tp.cwv.defined).toBe(false);
    expect(s.cwnd).toBe(10);
  });
});

describe('congestion while the window is not validated (RFC 7661 section 4.4.1)', () => {
  it('leaves half of pipeACK for the repair, and at its end less by half of what was sent again', () => {
    const s = Cwv.with(40, 12);
    s.lose(10, 1);
    expect(s.during).toBe(6);
    expect(s.cwnd).toBe(5.5);
    expect(s.ssthresh).toBe(5.5);
  });

  it('takes the flight of the loss where that is more', () => {
    const s = Cwv.with(40, 4);
    s.lose(12, 2);
    expect(s.during).toBe(6);
    expect(s.cwnd).toBe(5);
  });

  it('counts what had to be sent more than once a single time', () => {
    const s = Cwv.with(40, 12);
    s.write(10);
    s.sent();
    const at = s.at;
    s.wait(100).ack(at, [[at + 1, at + 10]]);
    expect(s.sent()).toEqual([at]);
    // The repair is lost too: RACK sees it by what was sent after it.
    s.write(4);
    expect(s.sent()).toEqual([at + 10, at + 11, at + 12, at + 13]);
    s.wait(110).ack(at, [[at + 1, at + 14]]);
    expect(s.sent()).toEqual([at]);
    s.wait(60).ack(at + 14);
    expect(s.count('tcps_cwr_timeout')).toBe(0);
    expect(s.tp.inRecovery).toBe(false);
    expect(s.cwnd).toBe(5.5);
  });

  it('leaves one segment at least', () => {
    const s = Cwv.with(40, 1);
    s.wait(1100).round(1);
    s.lose(2, 1);
    expect(s.cwnd).toBe(1);
  });

  it('leaves pipeACK undefined once repaired', () => {
    const s = Cwv.with(40, 12);
    s.lose(10, 1);
    expect(s.tp.cwv.defined).toBe(false);
  });

  it('is answered as ever where half of the window is used', () => {
    const s = Cwv.with(20, 12);
    s.lose(20, 1);
    expect(s.cwnd).toBe(10);
  });

  it('is answered with half of pipeACK where it is a mark', () => {
    const s = Cwv.with(40, 12, { ecn: true });
    s.write(10);
    s.wait(100).ack(s.at + 2, [], { flags: 'AE' });
    expect(s.cwnd).toBe(6);
    expect(s.ssthresh).toBe(6);
  });

  it('is answered as ever where it is a timeout: one segment, and half the flight (section 4.4)', () => {
    const s = Cwv.with(40, 16, { tune: { tcp_tlp: 0 } });
    s.write(10);
    s.wait(450);
    expect(s.cwnd).toBe(1);
    expect(s.ssthresh).toBe(5);
  });

  it('gives the window back where it was none', () => {
    const s = Cwv.with(40, 12);
    s.write(10);
    s.sent();
    const at = s.at;
    s.wait(100).ack(at, [[at + 1, at + 10]]);
    s.sent();
    s.wait(50).ack(at + 10);
    s.ack(at + 10, [[at, at + 1]]);
    expect(s.cwnd).toBe(40);
  });
});

describe('a window that is not used for five minutes (RFC 7661 section 4.4.3)', () => {
  const idle = (ms: number, cwnd = 80) => {
    const s = Cwv.with(cwnd, 12);
    s.tp.snd_ssthresh = 20 * s.mss;
    s.wait(ms).write(100);
    return s;
  };

  it('is kept for less than that, in the place of the restart of RFC 5681', () => {
    const s = idle(290_000);
    expect(s.sent().length).toBe(80);
    expect(s.ssthresh).toBe(20);
  });

  it('is halved, and three quarters of it are the slow start threshold', () => {
    const s = idle(302_000);
    expect(s.sent().length).toBe(40);
    expect(s.ssthresh).toBe(60);
  });

  it('leaves a slow start threshold that is more', () => {
    const s = Cwv.with(80, 12);
    s.tp.snd_ssthresh = 70 * s.mss;
    s.wait(302_000).write(1);
    expect(s.ssthresh).toBe(70);
  });

  it('is not less than the initial window', () => {
    expect(idle(302_000, 16).sent().length).toBe(10);
  });

  it('is halved also where the peer has sent all the time', () => {
    const s = Cwv.with(80, 40);
    for (let i = 0; i < 31; i++) {
      s.wait(10_000);
      s.p.send({ flags: 'A', seq: 1 + 10 * i, ack: 1 + s.at * s.mss, win: 65535, data: pattern(10) });
    }
    s.write(1);
    expect(s.cwnd).toBe(40);
  });

  it('is halved also where a little of it is used all the time, and again after five minutes more', () => {
    const s = Cwv.with(80, 12);
    const use = (n: number) => {
      for (let i = 0; i < n; i++) s.wait(9_900).round(1);
    };
    use(29);
    expect(s.cwnd).toBe(80);
    use(2);
    expect(s.cwnd).toBe(40);
    use(30);
    expect(s.cwnd).toBe(20);
  });
});
