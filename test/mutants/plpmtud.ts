/** Probing for the path MTU (RFC 4821, RFC 8899): clauses to switch off. */
import type { Mutant } from './mutants.ts';

const FILE = 'src/stack/tcp/tcp-plpmtud.ts';
const TESTS = 'unit/stack/tcp/plpmtud.test.ts › ';

export const plpmtudMutants: readonly Mutant[] = [
  {
    file: FILE,
    find: '  if (tp.plp_state === PLP_BASE) tp.plp_state = PLP_SEARCH;',
    replace: '  tp.plp_state = PLP_ERROR;',
    kills: [
      `${TESTS}begins with the base size, and probes no larger one before that is confirmed (RFC 8899 section 5.2)`,
    ],
  },
  {
    file: FILE,
    find: '    toBase(tp, max);\n  }',
    replace: '    complete(tp, max, max);\n  }',
    kills: [
      `${TESTS}begins with the base size, and probes no larger one before that is confirmed (RFC 8899 section 5.2)`,
    ],
  },
  {
    file: FILE,
    find: 'return tp.plp_high === tp.plp_max ? tp.plp_high : (tp.plp_low + tp.plp_high + 1) >> 1;',
    replace: 'return (tp.plp_low + tp.plp_high + 1) >> 1;',
    kills: [
      `${TESTS}probes with new data in one segment, first for the MTU of the interface, while others stay small (RFC 4821 sections 6.2, 7.3)`,
    ],
  },
  {
    file: FILE,
    find: 'return tp.plp_high === tp.plp_max ? tp.plp_high : (tp.plp_low + tp.plp_high + 1) >> 1;',
    replace: 'return tp.plp_high;',
    kills: [
      `${TESTS}finds a path MTU of %i to within net.inet.tcp.plpmtud.threshold, and never sends a full segment beyond it (RFC 4821 section 7.3)`,
    ],
  },
  {
    file: FILE,
    find: '  tp.plp_low = tp.plp_size;\n  pmtuSet(tp, tp.plp_size);',
    replace: '  tp.plp_low = tp.plp_size;',
    kills: [`${TESTS}makes all segments as large as a probe that arrives (RFC 4821 section 7.6.1)`],
  },
  {
    file: FILE,
    find: '  if (others || (tp.t_flags & TF_FASTRECOVERY) !== 0) return;',
    replace: '  return;',
    kills: [
      `${TESTS}needs MAX_PROBES losses of a size to call it too large (RFC 8899 section 5.1.2, net.inet.tcp.plpmtud.max_probes)`,
    ],
  },
  {
    file: FILE,
    find: 'if (++tp.plp_count < tp.st.tune.tcp_plpmtud_max_probes) return;',
    replace: '',
    kills: [
      `${TESTS}needs MAX_PROBES losses of a size to call it too large (RFC 8899 section 5.1.2, net.inet.tcp.plpmtud.max_probes)`,
    ],
  },
  {
    file: FILE,
    find: 'if (tp.plp_failed && ((clock.ms - tp.plp_ms) | 0) < tune.tcp_plpmtud_probe_interval) return 0;',
    replace: '',
    kills: [`${TESTS}waits after a loss for net.inet.tcp.plpmtud.probe_interval (RFC 4821 section 7.4 (2))`],
  },
  {
    file: FILE,
    find: 'unsent < need || wnd < need || ',
    replace: '',
    kills: [
      `${TESTS}does not probe without data for the segments behind the probe, or a window for them (RFC 4821 section 7.4 (3), (4))`,
    ],
  },
  {
    file: FILE,
    find: 'tune.tcp_plpmtud_enable !== ALWAYS || (tp.t_flags & TF_SACK_PERMIT) === 0',
    replace: 'tune.tcp_plpmtud_enable !== ALWAYS',
    kills: [`${TESTS}does not probe without SACK`],
  },
  {
    file: FILE,
    find: 'tune.tcp_plpmtud_enable !== ALWAYS || ',
    replace: '',
    kills: [`${TESTS}is off by default, and net.inet.tcp.plpmtud.base is where it begins`],
  },
  {
    file: FILE,
    find: 'tune.tcp_plpmtud_raise_interval * 1000',
    replace: 'tune.tcp_plpmtud_raise_interval * 100',
    kills: [
      `${TESTS}looks for a larger MTU again after PMTU_RAISE_TIMER, 600 s (RFC 8899 section 5.1.1, net.inet.tcp.plpmtud.raise_interval)`,
    ],
  },
  {
    file: FILE,
    find: '  tp.plp_high = mtu;\n  tp.plp_out = false;',
    replace: '  tp.plp_out = false;',
    kills: [`${TESTS}is told by ICMP about a probe without making segments smaller (RFC 8899 section 4.6.1)`],
  },
  {
    file: FILE,
    find: '  complete(tp, mtu, mtu);',
    replace: '  tp.plp_low = mtu;',
    kills: [`${TESTS}ends with what ICMP tells of other segments`],
  },
  {
    file: FILE,
    find: 'if (tp.plp_low < tp.plp_max) tp.st.tcp.hostcache.updateMtu(tp.t_inpcb!, tp.plp_low);',
    replace: '',
    kills: [`${TESTS}keeps what it has found for the next connection (RFC 4821 section 5.2)`],
  },
  {
    file: FILE,
    find: 'const HOLE_TIMEOUTS = 2;',
    replace: 'const HOLE_TIMEOUTS = 1;',
    kills: [
      `${TESTS}is found by two timeouts of full segments in a row: down to the base size, with DF; mode 1 begins here`,
    ],
  },
  {
    file: FILE,
    find: '    tp.t_nodf = true;\n',
    replace: '',
    kills: [
      `${TESTS}that swallows the base size too ends with segments of mssdflt without DF (RFC 8899 section 5.2, ERROR)`,
    ],
  },
  {
    file: FILE,
    find: '    tp.plp_out = false;\n    tp.plp_failed = true;\n    tp.plp_ms = tp.st.clock.ms;\n    rtxUnmarkProbe(tp);',
    replace: '',
    kills: [`${TESTS}tells nothing of a probe that was in flight (RFC 4821 section 7.6.4)`],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '    plpLost(tp, ack.lost > 0);\n    return;',
    replace: '    plpLost(tp, ack.lost > 0);',
    kills: [
      `${TESTS}takes a lost probe for no congestion: the window stays, nothing is called lost, its data goes again (RFC 4821 section 7.6.2)`,
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'if (st.tune.tcp_plpmtud_enable !== 0) plpTimeout(tp);',
    replace: 'plpTimeout(tp); if (false);',
    kills: [`${TESTS}is left alone with net.inet.tcp.plpmtud.enable 0`],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'const lost = tp.pmtu_resend ? a.lost : tp.snd_lost;',
    replace: 'const lost = tp.pmtu_resend ? 0 : tp.snd_lost;',
    kills: [
      `${TESTS}answers the loss of others as ever, and learns nothing from a probe that was lost with them (RFC 4821 section 7.6.4)`,
    ],
  },
];
