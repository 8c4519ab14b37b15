/** Congestion window validation by pipeACK (RFC 7661): clauses to switch off. */
import type { Mutant } from './mutants.ts';

const TEST = 'unit/stack/tcp/cwv.test.ts';
const CWV = 'src/stack/tcp/tcp-cwv.ts';
const PIPEACK = 'src/stack/tcp/tcp-pipeack.ts';

const FROZEN = `${TEST} › freezes the window where it is less than half of it (section 4.3)`;
const HALF = `${TEST} › is what was acknowledged in a round trip: half of the window lets it grow (section 4.3)`;
const REPAIR = `${TEST} › leaves half of pipeACK for the repair, and at its end less by half of what was sent again`;
const UNUSED = `${TEST} › is halved, and three quarters of it are the slow start threshold`;
const LITTLE = `${TEST} › is halved also where a little of it is used all the time, and again after five minutes more`;

export const cwvMutants: readonly Mutant[] = [
  {
    file: CWV,
    find: 'return tp.cwv.defined && 2 * used < tp.snd_cwnd;',
    replace: 'return 2 * used < tp.snd_cwnd;',
    kills: [`${TEST} › is undefined at first, and the window grows as ever (section 4.1)`],
  },
  {
    file: CWV,
    find: '2 * used < tp.snd_cwnd;',
    replace: '2 * used <= tp.snd_cwnd;',
    kills: [HALF],
  },
  {
    file: CWV,
    find: 'a.cwndLimited = !cwv.nonvalidated;',
    replace: '',
    kills: [FROZEN, `${TEST} › is zero after an idle time longer than that`],
  },
  {
    file: CWV,
    find: 'const PERIOD_MIN_MS = 1000;',
    replace: 'const PERIOD_MIN_MS = 300;',
    kills: [`${TEST} › is the largest sample of the last second`],
  },
  {
    file: CWV,
    find: 'const ms = (3 * tp.srtt) / 1000;',
    replace: 'const ms = 0;',
    kills: [`${TEST} › is the largest of three round trips where these are more`],
  },
  {
    file: PIPEACK,
    find: '      this.#fourth = this.#third;\n',
    replace: '',
    kills: [`${TEST} › is the largest sample of the last second`],
  },
  {
    file: CWV,
    find: 'tp.st.tune.tcp_newcwv !== 0 && ',
    replace: '',
    kills: [`${TEST} › is not measured with net.inet.tcp.newcwv 0`],
  },
  {
    file: CWV,
    find: ' && !ccOwnsRecovery(tp);',
    replace: ';',
    kills: [`${TEST} › is not measured where a module has the window in recovery too`],
  },
  {
    file: CWV,
    find: '  const half = halfOf(tp, used);\n  tp.snd_ssthresh = half;\n',
    replace: '  const half = tp.snd_ssthresh;\n',
    kills: [`${TEST} › is answered with half of pipeACK where it is a mark`],
  },
  {
    file: CWV,
    find: 'const used = pipeAck > flight ? pipeAck : flight;',
    replace: 'const used = flight;',
    kills: [REPAIR],
  },
  {
    file: CWV,
    find: 'const used = pipeAck > flight ? pipeAck : flight;',
    replace: 'const used = pipeAck;',
    kills: [`${TEST} › takes the flight of the loss where that is more`],
  },
  {
    file: CWV,
    find: 'halfOf(tp, cwv.used - cwv.resent);',
    replace: 'halfOf(tp, cwv.used);',
    kills: [REPAIR],
  },
  {
    file: CWV,
    find: ' && (seg.flags & SEG_EVER) === 0',
    replace: '',
    kills: [`${TEST} › counts what had to be sent more than once a single time`],
  },
  {
    file: CWV,
    find: 'return half > tp.maxseg ? half : tp.maxseg;',
    replace: 'return half > 2 * tp.maxseg ? half : 2 * tp.maxseg;',
    kills: [`${TEST} › leaves one segment at least`],
  },
  {
    file: CWV,
    find: '  cwvForget(tp);\n  cwv.undefine(tp.t_delivered);\n',
    replace: '  cwvForget(tp);\n',
    kills: [`${TEST} › leaves pipeACK undefined once repaired`],
  },
  {
    file: CWV,
    find: 'if (!cwvOn(tp) || !isNonvalidated(tp)) {',
    replace: 'if (!cwvOn(tp)) {',
    kills: [`${TEST} › is answered as ever where half of the window is used`],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'ccCongSignal(tp, CC_RTO);',
    replace: 'cwvSignal(tp, CC_RTO);',
    kills: [`${TEST} › is answered as ever where it is a timeout: one segment, and half the flight (section 4.4)`],
  },
  {
    file: CWV,
    find: 'const NVP_MS = 300_000;',
    replace: 'const NVP_MS = 30_000;',
    kills: [`${TEST} › is kept for less than that, in the place of the restart of RFC 5681`],
  },
  {
    file: CWV,
    find: 'if (tp.snd_ssthresh < keep) tp.snd_ssthresh = keep;',
    replace: '',
    kills: [UNUSED],
  },
  {
    file: CWV,
    find: 'if (tp.snd_ssthresh < keep) tp.snd_ssthresh = keep;',
    replace: 'tp.snd_ssthresh = keep;',
    kills: [`${TEST} › leaves a slow start threshold that is more`],
  },
  {
    file: CWV,
    find: 'const most = half > least ? half : least;',
    replace: 'const most = half;',
    kills: [`${TEST} › is not less than the initial window`],
  },
  {
    file: CWV,
    find: 'if (tp.snd_cwnd > most) tp.snd_cwnd = most;',
    replace: '',
    kills: [UNUSED, LITTLE],
  },
  {
    file: CWV,
    find: 'const idleMs = (now - tp.t_acktime) >>> 0;',
    replace: 'const idleMs = (now - tp.t_rcvtime) >>> 0;',
    kills: [`${TEST} › is halved also where the peer has sent all the time`],
  },
  {
    file: CWV,
    find: '  // Five minutes more for what is left.\n  cwv.nonvalidatedMs = st.clock.ms;\n',
    replace: '',
    kills: [LITTLE],
  },
];
