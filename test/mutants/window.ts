/** Congestion windows and modules (RFC 5681, 6928, 7661, 9438, 9406, 8257): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const windowMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcpcb.ts',
    find: 'const floor = 2 * maxseg > 14600 ? 2 * maxseg : 14600;',
    replace: 'const floor = 14600;',
    kills: ['unit/stack/tcp/window.test.ts › is two segments where these are more than 14600 bytes'],
  },
  {
    file: 'src/stack/tcp/tcpcb.ts',
    find: 'return iw > floor ? floor : iw;',
    replace: 'return iw;',
    kills: ['unit/stack/tcp/window.test.ts › is 14600 bytes where ten segments are more'],
  },
  {
    file: 'src/stack/tcp/tcpcb.ts',
    find: 'const iw = segs * maxseg;',
    replace: 'const iw = 4 * maxseg;',
    kills: [
      'unit/stack/tcp/window.test.ts › is ten segments where they are small',
      'unit/stack/tcp/congestion.test.ts › starts with ten segments (RFC 6928 section 2)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: 'tp.snd_cwnd = tp.t_rxtshift > 1 &&',
    replace: 'tp.snd_cwnd = tp.t_rxtshift > 0 &&',
    kills: ['unit/stack/tcp/window.test.ts › stays where one SYN,ACK was lost, and is one segment where more were'],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: 'tp.snd_cwnd = tp.t_rxtshift > 1 && tp.t_rttsamples === 0 ? tp.maxseg : tp.initcwnd;',
    replace: 'tp.snd_cwnd = tp.initcwnd;',
    kills: ['unit/stack/tcp/window.test.ts › stays where one SYN,ACK was lost, and is one segment where more were'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '    tp.snd_cwnd = tp.initcwnd;\n',
    replace: '',
    kills: ['unit/stack/tcp/window.test.ts › is the initial one after more than a retransmission timeout'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '  if (idleUs < tp.t_rxtcur) return;\n',
    replace: '',
    kills: ['unit/stack/tcp/window.test.ts › is the old one after less'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'tp.st.tune.tcp_idle_reduce !== 0 &&',
    replace: '',
    kills: ['unit/stack/tcp/window.test.ts › is the old one with net.inet.tcp.idle_reduce 0'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'if (tp.snd_ssthresh < (tp.snd_cwnd >> 2) * 3) tp.snd_ssthresh = (tp.snd_cwnd >> 2) * 3;',
    replace: '',
    kills: [
      'unit/stack/tcp/window.test.ts › leaves three quarters of the old one as the slow start threshold (RFC 7661 section 4.4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'return tp.snd_cwnd < tp.snd_ssthresh && tp.snd_cwnd < 2 * tp.max_inflight;',
    replace: 'return false;',
    kills: ['unit/stack/tcp/window.test.ts › grows in slow start where half of it is used'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'return tp.snd_cwnd < tp.snd_ssthresh && tp.snd_cwnd < 2 * tp.max_inflight;',
    replace: 'return true;',
    kills: [
      'unit/stack/tcp/window.test.ts › does not grow where the application is the limit',
      'unit/stack/tcp/window.test.ts › does not grow where the window of the peer is the limit',
    ],
  },
  {
    file: 'src/stack/tcp/cc/newreno.ts',
    find: 'const ABC_L = 2;',
    replace: 'const ABC_L = 8;',
    kills: [
      'unit/stack/cc/newreno.test.ts › slow start adds what an ACK acknowledges, two segments at most (RFC 3465 section 2.2)',
      'unit/stack/tcp/congestion.test.ts › grows by what each ACK covers in slow start, two segments at most (RFC 5681 section 3.1, RFC 3465)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/newreno.ts',
    find: 'const BETA = 0.5;',
    replace: 'const BETA = 0.8;',
    kills: [
      'unit/stack/cc/newreno.test.ts › loss and timeout set ssthresh to half the flight, at least two segments (RFC 5681 equation 4)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/newreno.ts',
    find: 'c.snd_cwnd += c.maxseg;',
    replace: 'c.snd_cwnd += 2 * c.maxseg;',
    kills: [
      'unit/stack/cc/newreno.test.ts › congestion avoidance adds one segment for a window of acknowledged bytes (RFC 5681 section 3.1, RFC 3465 section 2.1)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/newreno.ts',
    find: 'const BETA_ECN = 0.8;',
    replace: 'const BETA_ECN = 0.5;',
    kills: [
      'unit/stack/cc/newreno.test.ts › a mark halves the window, and takes a fifth with ABE (RFC 3168 section 6.1.2, RFC 8511 section 3.1)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: 'export const BETA_CUBIC = 0.7;',
    replace: 'export const BETA_CUBIC = 0.5;',
    kills: [
      'unit/stack/cc/cubic.test.ts › loss leaves 0.7 of the flight, two segments at least (RFC 9438 section 4.6)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: 'export const C_CUBIC = 0.4;',
    replace: 'export const C_CUBIC = 0.2;',
    kills: [
      'unit/stack/cc/cubic.test.ts › the window follows C (t - K)³ + W_max through plateau and probing (RFC 9438 equation 1 and section 4.2)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: 'const TARGET_MAX = 1.5;',
    replace: 'const TARGET_MAX = 3;',
    kills: ['unit/stack/cc/cubic.test.ts › a round adds no more than half the window (RFC 9438 section 4.2)'],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: 'this.wMax = cwnd < this.wMax ? (cwnd * (1 + BETA_CUBIC)) / 2 : cwnd;',
    replace: 'this.wMax = cwnd;',
    kills: [
      'unit/stack/cc/cubic.test.ts › a second loss below W_max lowers it by fast convergence (RFC 9438 section 4.7)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: 'this.#flat = type === CC_RTO;',
    replace: 'this.#flat = false;',
    kills: [
      'unit/stack/cc/cubic.test.ts › after a timeout the first stage starts on its plateau: K is 0, W_max the window (RFC 9438 section 4.8)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: '    this.wMax = this.#undoWMax;\n',
    replace: '',
    kills: [
      'unit/stack/cc/cubic.test.ts › a spurious loss puts W_max, K, t and W_est back, the time since then counted (RFC 9438 section 4.9)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/hystart.ts',
    find: 'export const N_RTT_SAMPLE = 8;',
    replace: 'export const N_RTT_SAMPLE = 4;',
    kills: [
      'unit/stack/cc/hystart.test.ts › seven samples are too few to judge a round (RFC 9406 section 4.3: N_RTT_SAMPLE is 8)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/hystart.ts',
    find: 'export const CSS_ROUNDS = 5;',
    replace: 'export const CSS_ROUNDS = 8;',
    kills: [
      'unit/stack/cc/hystart.test.ts › conservative slow start grows a quarter as fast and ends after five rounds, the partial one counted (RFC 9406 sections 4.2 and 4.3)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/hystart.ts',
    find: 'export const HYSTART_L = 8;',
    replace: 'export const HYSTART_L = 64;',
    kills: [
      'unit/stack/cc/hystart.test.ts › an ACK adds eight segments at most, and without limit when the sender paces (RFC 9406 section 4.2: L)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/hystart.ts',
    find: '        this.phase = HYSTART_SLOW_START;\n      }',
    replace: '      }',
    kills: [
      'unit/stack/cc/hystart.test.ts › a round trip below the baseline shows a false alarm and slow start goes on (RFC 9406 section 4.2)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/dctcp.ts',
    find: 'export const DCTCP_G = 1 / 16;',
    replace: 'export const DCTCP_G = 1 / 4;',
    kills: [
      'unit/stack/cc/dctcp.test.ts › alpha begins at 1 and moves by a sixteenth towards the share of marked bytes (RFC 8257 section 3.3 steps 1 and 6, section 4.2)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/dctcp.ts',
    find: '(1 - this.alpha / 2)',
    replace: '(1 - this.alpha)',
    kills: ['unit/stack/cc/dctcp.test.ts › a window with marks shrinks by alpha/2, once (RFC 8257 section 3.3 step 9)'],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: '    tp.t_cc.init(tp);\n',
    replace: '    tp.t_cc.init(tp);\n    tp.snd_cwnd += tp.maxseg;\n',
    kills: ['unit/stack/tcp/window.test.ts › does not grow by the ACK of the SYN,ACK (RFC 5681 section 3.1)'],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: 'if (this.wEst > cwnd) c.snd_cwnd = Math.floor(this.wEst);',
    replace: '',
    kills: [
      'unit/stack/cc/cubic.test.ts › a short round trip keeps to the Reno-friendly window: 0.53 segments a round, 1 from cwnd_prior on (RFC 9438 section 4.3)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: '      c.snd_ssthresh = c.snd_cwnd;\n      this.cwndPrior',
    replace: '      this.cwndPrior',
    kills: [
      'unit/stack/cc/cubic.test.ts › HyStart++ leaves the first slow start without a loss, and avoidance starts on its plateau (RFC 9438 section 4.10)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/cubic.ts',
    find: 'if (!ack.cwndLimited) {',
    replace: 'if (false) {',
    kills: ['unit/stack/cc/cubic.test.ts › time that the application held back does not count (RFC 9438 section 5.8)'],
  },
  {
    file: 'src/stack/tcp/cc/dctcp.ts',
    find: 'if (type !== CC_ECN) super.congestionSignal(c, type);',
    replace: '',
    kills: [
      'unit/stack/cc/dctcp.test.ts › loss halves as for Reno (RFC 8257 section 3.5), and echoes must be exact (section 3.2)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr-base.ts',
    find: 'const FULL_BW_ROUNDS = 3;',
    replace: 'const FULL_BW_ROUNDS = 8;',
    kills: [
      'unit/stack/cc/bbr.test.ts › Startup doubles each round, ends on three rounds without growth and is followed by Drain (sections 5.3.1.2 and A.1)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr.ts',
    find: 'const DRAIN_PACING_GAIN = 0.5;',
    replace: 'const DRAIN_PACING_GAIN = 2;',
    kills: [
      'unit/stack/cc/bbr.test.ts › Drain leaves no more than the bandwidth-delay product in flight (sections 5.3.2 and A.3)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr.ts',
    find: 'this.pacingGain = 1.25;',
    replace: 'this.pacingGain = 1.1;',
    kills: [
      'unit/stack/cc/bbr.test.ts › ProbeBW goes through DOWN, CRUISE, REFILL, UP with pacing gains 0.9, 1, 1, 1.25 (sections 5.3.3 and 5.6.1)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr-base.ts',
    find: 'const PROBE_RTT_DURATION = 200e3;',
    replace: 'const PROBE_RTT_DURATION = 2e6;',
    kills: [
      'unit/stack/cc/bbr.test.ts › ProbeRTT comes every 5 s, lasts 200 ms and a round, and halves the flight (sections 2.16.2 and 5.3.4)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr.ts',
    find: 'export const LOSS_THRESH = 0.02;',
    replace: 'export const LOSS_THRESH = 0.9;',
    kills: ['unit/stack/cc/bbr.test.ts › a shallow queue sets inflight_hi, and loss stays bounded (section 5.5.10.2)'],
  },
  {
    file: 'src/stack/tcp/cc/bbr.ts',
    find: 'const PACING_MARGIN = 0.99;',
    replace: 'const PACING_MARGIN = 0.3;',
    kills: [
      'unit/stack/cc/bbr.test.ts › the model finds bandwidth and round-trip time of the path (draft-ietf-ccwg-bbr-06 sections 5.5.2 and 5.5.7)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr.ts',
    find: '      case CC_RTO_ERR:\n        this.#undo(c);\n',
    replace: '      case CC_RTO_ERR:\n',
    kills: [
      'unit/stack/cc/bbr.test.ts › a spurious recovery in Startup goes back to Startup (sections 5.5.11.2 and A.18)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr.ts',
    find: '      case CC_RTO:\n        this.#saveUponLoss(c);\n        this.enterLoss(c, type);\n',
    replace: '      case CC_RTO:\n',
    kills: [
      'unit/stack/cc/bbr.test.ts › a timeout lets one segment out, and the saved window comes back (section 5.6.4.4)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/bbr1.ts',
    find: 'const CWND_GAIN = 2;',
    replace: 'const CWND_GAIN = 0.2;',
    kills: ['unit/stack/cc/bbr1.test.ts › BBRv1 finds bandwidth and round-trip time within a tenth (section 4.1)'],
  },
];
