/** A connection made up for modules under test: what `CcVar` reads, as plain fields that a test or the conformance kit sets. */
import { type CcVar, TCP_MAXWINDOW } from './cc.ts';

export class FakeConn implements CcVar {
  snd_cwnd: number;
  snd_ssthresh = TCP_MAXWINDOW;
  snd_wnd = TCP_MAXWINDOW;
  snd_una: number;
  snd_max: number;
  maxseg: number;
  initcwnd: number;
  pipe = 0;
  srtt = 0;
  rttmin = 0;
  delivered = 0;
  lost = 0;
  inRecovery = false;
  now: number;
  #seed: number;

  /** `iss` and `now` wrap as the real ones do: begin shortly before the wrap to see that a module bears it. */
  constructor(maxseg = 1448, seed = 1, iss = 1000, now = 0) {
    this.maxseg = maxseg;
    this.initcwnd = 10 * maxseg;
    this.snd_cwnd = this.initcwnd;
    this.snd_una = iss | 0;
    this.snd_max = iss | 0;
    this.now = now | 0;
    this.#seed = seed | 0;
  }

  /** Mulberry32: the same seed, the same words. */
  random32(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) | 0;
  }
}
