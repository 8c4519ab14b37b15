/** The retransmission timer (RFC 6298): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const timerMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'const v = us * (1 << (shift > 9 ? 9 : shift));',
    replace: 'const v = us;',
    kills: [
      'unit/stack/tcp/rto.test.ts › sends the earliest segment and doubles (5.4, 5.5, 5.6)',
      'unit/stack/tcp/congestion.test.ts › falls back to one segment on a timeout, doubling the timeout each time (RFC 5681 section 3.1, RFC 6298 section 5)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'if (rto < floor) rto = floor;',
    replace: '',
    kills: [
      'unit/stack/tcp/rto.test.ts › is not less than net.inet.tcp.rexmit_min, and by net.inet.tcp.rexmit_slop more (2.4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'rto += tune.tcp_rexmit_slop * 1000;',
    replace: '',
    kills: [
      'unit/stack/tcp/rto.test.ts › is not less than net.inet.tcp.rexmit_min, and by net.inet.tcp.rexmit_slop more (2.4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'const TCPTV_REXMTMAX = 64_000_000;',
    replace: 'const TCPTV_REXMTMAX = 30_000_000;',
    kills: ['unit/stack/tcp/rto.test.ts › is sixty seconds at most, or more (2.5)'],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'tp.t_srtt += delta;',
    replace: 'tp.t_srtt += delta << 1;',
    kills: [
      'unit/stack/tcp/rto.test.ts › takes 7/8 of the old mean and 3/4 of the old deviation with each sample (2.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'tp.t_rttvar += dev - (tp.t_rttvar >> TCP_RTTVAR_SHIFT);',
    replace: 'tp.t_rttvar += dev;',
    kills: [
      'unit/stack/tcp/rto.test.ts › takes 7/8 of the old mean and 3/4 of the old deviation with each sample (2.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'tp.t_rttvar = (rtt >> 1) << TCP_RTTVAR_SHIFT;',
    replace: 'tp.t_rttvar = rtt << TCP_RTTVAR_SHIFT;',
    kills: [
      'unit/stack/tcp/congestion.test.ts › takes the first sample as RFC 6298 (2.2) says and later ones as (2.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'tp.t_rxtcur = TCPTV_AFTER_SYN_TIMEOUT;',
    replace: 'tp.t_rxtcur = 1_000_000;',
    kills: [
      'unit/stack/tcp/rto.test.ts › is three seconds for data after a handshake that %s and that gave no sample (5.7)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'export const TCP_MAXRXTSHIFT = 12;',
    replace: 'export const TCP_MAXRXTSHIFT = 6;',
    kills: [
      'unit/stack/tcp/rto.test.ts › gives up after twelve retransmissions, more than 100 s (RFC 9293 section 3.8.3: R2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '  if (!tp.t_rexmt.armed) {\n',
    replace: '  {\n',
    kills: ['unit/stack/tcp/rto.test.ts › is not set anew by more data (5.1)'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '    wheel.arm(tp.t_rexmt, tp.t_rxtcur);\n  }\n  if (moved > 0)',
    replace: '  }\n  if (moved > 0)',
    kills: ['unit/stack/tcp/rto.test.ts › begins to run with data when it does not run (5.1)'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '    st.wheel.cancel(tp.t_rexmt);\n    st.wheel.cancel(tp.t_rack);',
    replace: '    st.wheel.cancel(tp.t_rack);',
    kills: ['unit/stack/tcp/rto.test.ts › stops when all is acknowledged (5.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '    st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);\n',
    replace: '',
    kills: ['unit/stack/tcp/rto.test.ts › starts anew with an ACK of new data (5.3), and not with one of nothing new'],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'if (resent) ack.rtt = rttBySack;',
    replace: '',
    kills: ['unit/stack/tcp/rto.test.ts › takes no sample of what waited behind a lost segment (section 3)'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (ms >= 0 && ms < 64000) tcpXmitTimer',
    replace: 'if (false) tcpXmitTimer',
    kills: [
      'unit/stack/tcp/rto.test.ts › takes a sample of a retransmission where a timestamp tells which one was answered (section 3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '  tp.t_rxtshift = 0;\n  return fin;',
    replace: '  tp.t_rxtshift = 0;\n  tp.t_rxtcur = 300_000;\n  return fin;',
    kills: [
      'unit/stack/tcp/rto.test.ts › keeps the doubled value until a sample of something new (section 5, last paragraphs; Karn, section 3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcpcb.ts',
    find: 'this.t_rxtcur = st.tune.tcp_rexmit_initial * 1000;',
    replace: 'this.t_rxtcur = st.tune.tcp_rexmit_initial * 3000;',
    kills: ['unit/stack/tcp/rto.test.ts › is one second before the first sample (2.1)'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (!ccOwnsRecovery(tp)) tp.snd_cwnd = tp.maxseg;',
    replace: '',
    kills: [
      'unit/stack/tcp/rto.test.ts › sets the window to one segment and the threshold to half the flight, once for a row of timeouts (RFC 5681 section 3.1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: '  if (tp.t_rxtshift === 1) {\n',
    replace: '  {\n',
    kills: [
      'unit/stack/tcp/rto.test.ts › sets the window to one segment and the threshold to half the flight, once for a row of timeouts (RFC 5681 section 3.1)',
    ],
  },
];
