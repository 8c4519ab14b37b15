import { CcAck, type CongestionControl } from '../../src/stack/tcp/cc/cc.ts';
import { FakeConn } from '../../src/stack/tcp/cc/fake.ts';

export const MSS = 1000;

/** A module driven by hand: a connection with its whole window in flight, and ACKs as the test says. */
export class Driver {
  readonly c: FakeConn;
  readonly cc: CongestionControl;
  readonly a = new CcAck();

  constructor(cc: CongestionControl, rtt = 100_000) {
    this.c = new FakeConn(MSS);
    this.cc = cc;
    this.c.srtt = rtt;
    this.c.rttmin = rtt;
    cc.init(this.c);
    this.fill();
  }

  /** Window in segments. */
  get segs(): number {
    return this.c.snd_cwnd / MSS;
  }

  /** Puts a whole window in flight. */
  fill(): void {
    this.c.snd_max = (this.c.snd_una + Math.floor(this.c.snd_cwnd)) | 0;
    this.c.pipe = Math.floor(this.c.snd_cwnd);
  }

  /** One ACK for `bytes`, after `us` µs. */
  ack(bytes = MSS, us = 0, o: Partial<CcAck> = {}): void {
    const { c, a } = this;
    c.now = (c.now + us) | 0;
    c.snd_una = (c.snd_una + bytes) | 0;
    c.delivered += bytes;
    Object.assign(a, new CcAck(), { acked: bytes, delivered: bytes, rtt: c.srtt, cwndLimited: true }, o);
    this.cc.ackReceived(c, a);
    this.fill();
  }

  /** A round trip: one ACK a segment of the window, evenly spread over `us`. */
  round(us = this.c.srtt, o: Partial<CcAck> = {}): void {
    const n = Math.max(1, Math.floor(this.c.snd_cwnd / MSS));
    let spent = 0;
    for (let i = 1; i <= n; i++) {
      const t = Math.round((us * i) / n);
      this.ack(MSS, t - spent, o);
      spent = t;
    }
  }
}
