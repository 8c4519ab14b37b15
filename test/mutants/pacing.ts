/** Pacing, rate samples, buffers, modules that fail: clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const pacingMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-pacing.ts',
    find: 'if (tp.t_pacing_credit >= 0) return true;',
    replace: 'return true;',
    kills: [
      'unit/stack/tcp/pacing.test.ts › spreads the window at twice its rate in slow start, after two segments that a pause leaves (net.inet.tcp.pacing_ss 200)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-pacing.ts',
    find: 'tp.t_pacing_credit = credit > most ? most : credit;',
    replace: 'tp.t_pacing_credit = credit;',
    kills: ['unit/stack/tcp/pacing.test.ts › saves no more than two segments up, or a millisecond'],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: '? st.tune.tcp_pacing_ss : st.tune.tcp_pacing_ca',
    replace: '? st.tune.tcp_pacing_ca : st.tune.tcp_pacing_ca',
    kills: [
      'unit/stack/tcp/pacing.test.ts › spreads the window at twice its rate in slow start, after two segments that a pause leaves (net.inet.tcp.pacing_ss 200)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: '? st.tune.tcp_pacing_ss : st.tune.tcp_pacing_ca',
    replace: '? st.tune.tcp_pacing_ss : st.tune.tcp_pacing_ss',
    kills: [
      'unit/stack/tcp/pacing.test.ts › goes a fifth faster than the window in congestion avoidance (net.inet.tcp.pacing_ca 120)',
    ],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: '} else if (st.tune.tcp_pacing !== 0 && tp.t_srtt !== 0) {',
    replace: '} else if (tp.t_srtt !== 0) {',
    kills: ['unit/stack/tcp/pacing.test.ts › is off unless net.inet.tcp.pacing is on: the window leaves at once'],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: 'if (cc.pacingRate !== undefined) {',
    replace: 'if (false) {',
    kills: ['unit/stack/tcp/pacing.test.ts › goes at the rate that a module names, whatever the sysctl says'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '  paceSent(tp, len);\n  ccSent(tp, all);',
    replace: '  ccSent(tp, all);',
    kills: ['unit/stack/tcp/pacing.test.ts › paces what is sent again as well'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '        send = false;\n        flags &= ~TH_FIN;\n        sendalot = false;\n',
    replace: '        return 0;\n',
    kills: ['unit/stack/tcp/pacing.test.ts › holds no ACK back'],
  },
  {
    file: 'src/stack/tcp/tcp-rate.ts',
    find: 'const interval = send > acked ? send : acked;',
    replace: 'const interval = send;',
    kills: [
      'unit/stack/tcp/rate-sample.test.ts › take the longer of the time to send and the time to be acknowledged (section 4.1.1.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rate.ts',
    find: 'ack.rateBytes = tp.t_delivered - rs.delivered;',
    replace: 'ack.rateBytes = ack.delivered;',
    kills: [
      'unit/stack/tcp/rate-sample.test.ts › take the longer of the time to send and the time to be acknowledged (section 4.1.1.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rate.ts',
    find: 'if (tp.t_app_limited !== 0 && tp.t_delivered > tp.t_app_limited) tp.t_app_limited = 0;',
    replace: '',
    kills: [
      'unit/stack/tcp/rate-sample.test.ts › are not marked any more once what was in flight then is delivered',
      'unit/stack/tcp/rate-sample.test.ts › are not marked where the window was the limit',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rate.ts',
    find: '  tp.t_app_limited = mark === 0 ? 1 : mark;\n  const tail = tp.rtx_tail;\n  if (tail !== null && tail.xmit === tp.st.clock.us) tail.flags |= SEG_APPLIMITED;\n',
    replace: '',
    kills: [
      'unit/stack/tcp/rate-sample.test.ts › are marked where the application had no more to send (section 4.1.2.4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rate.ts',
    find: 'ack.rateLost = tp.t_lost - rs.lostBefore;',
    replace: 'ack.rateLost = 0;',
    kills: ['unit/stack/tcp/rate-sample.test.ts › tell of what was in flight and lost meanwhile'],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '  if (pipe === 0) {\n',
    replace: '  if (false) {\n',
    kills: [
      'unit/stack/tcp/rate-sample.test.ts › begin anew after a pause: the idle time does not count (section 4.1.2.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'if (!rs.valid || sentAfter(s.xmit, s.end, rs.xmit, rs.end)) {',
    replace: 'if (!rs.valid) {',
    kills: [
      'unit/stack/tcp/rate-sample.test.ts › are of the segment sent last among those delivered (section 4.1.2.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '      addHoles(tp, -1);\n    } else {\n',
    replace: '      addHoles(tp, -1);\n    }\n    {\n',
    kills: [
      'unit/stack/tcp/rate-sample.test.ts › count nothing twice: not when the cumulative ACK covers what was SACKed',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: 'if (tune.tcp_sendbuf_auto === 0) return;',
    replace: '',
    kills: ['unit/stack/tcp/autobuf.test.ts › stays with net.inet.tcp.sendbuf_auto 0'],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: 'snd.sb_hiwat = Math.min(grown, tune.tcp_sendbuf_max);',
    replace: 'snd.sb_hiwat = grown;',
    kills: ['unit/stack/tcp/autobuf.test.ts › grows no further than net.inet.tcp.sendbuf_max'],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: 'snd.sb_hiwat = Math.min(grown, tune.tcp_sendbuf_max);',
    replace: '',
    kills: ['unit/stack/tcp/autobuf.test.ts › grows where the congestion window needs more than it holds'],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: 'tp.snd_wnd + (tp.snd_wnd >> 2) < hiwat',
    replace: 'false',
    kills: ['unit/stack/tcp/autobuf.test.ts › stays where the window of the peer is what holds the sender'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'if (so.autoSnd && synced) sendbufAutosize(tp);',
    replace: 'if (synced) sendbufAutosize(tp);',
    kills: ['unit/stack/tcp/autobuf.test.ts › stays where the application has set it'],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: 'if (tune.tcp_recvbuf_auto === 0) return;',
    replace: '',
    kills: ['unit/stack/tcp/autobuf.test.ts › stays with net.inet.tcp.recvbuf_auto 0'],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: '(rcv.sb_hiwat >> 3) * 7',
    replace: 'rcv.sb_hiwat >> 1',
    kills: ['unit/stack/tcp/autobuf.test.ts › stays when less comes'],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: '(rcv.sb_hiwat >> 3) * 7',
    replace: 'rcv.sb_hiwat',
    kills: ['unit/stack/tcp/autobuf.test.ts › grows when more than seven eighths of it come in a round trip'],
  },
  {
    file: 'src/stack/tcp/tcp-autobuf.ts',
    find: ' && rcv.sb_cc < rcv.sb_hiwat >> 1',
    replace: '',
    kills: ['unit/stack/tcp/autobuf.test.ts › stays when the user does not take what has come'],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: 'if (Number.isNaN(cwnd) || Number.isNaN(ssthresh)) {',
    replace: 'if (false) {',
    kills: ['unit/stack/tcp/ccfail.test.ts › %s: ends its own connection with ECONNABORTED, a counter and one line'],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: 'st.cnt[tcps.tcps_ccfail]!++;',
    replace: '',
    kills: [
      'unit/stack/tcp/ccfail.test.ts › %s: ends its own connection with ECONNABORTED, a counter and one line',
      'unit/stack/tcp/ccfail.test.ts › %s: does so at the handshake',
    ],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: 'st.tcp.dropLater(tp, ECONNABORTED);',
    replace: '',
    kills: [
      'unit/stack/tcp/ccfail.test.ts › %s: ends its own connection with ECONNABORTED, a counter and one line',
      'unit/stack/tcp/ccfail.test.ts › leaves the other connections of the stack alone, also those of the same module',
    ],
  },
  {
    file: 'src/stack/tcp/cc/glue.ts',
    find: 'tp.snd_cwnd = cwnd < maxseg ? maxseg : cwnd > TCP_MAXWINDOW ? TCP_MAXWINDOW : Math.trunc(cwnd);',
    replace: 'tp.snd_cwnd = cwnd;',
    kills: [
      'unit/stack/tcp/ccfail.test.ts › may set any number: the window stays within a segment and the largest window',
    ],
  },
];
