/** Knobs of tcp(4): effects to switch off. */
import type { Mutant } from './mutants.ts';

export const knobMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (st.tune.tcp_insecure_syn !== 0 && ',
    replace: 'if (false && ',
    kills: [
      'unit/stack/tcp/knobs.test.ts › net.inet.tcp.insecure_syn: a SYN in the window resets the connection (RFC 793), or is challenged (RFC 5961)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (seq === tp.rcv_nxt || st.tune.tcp_insecure_rst !== 0) {',
    replace: 'if (seq === tp.rcv_nxt) {',
    kills: [
      'unit/stack/tcp/knobs.test.ts › net.inet.tcp.insecure_rst: a RST ends the connection anywhere in the window (RFC 793), or at its edge only (RFC 5961)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'const tsOn = agreed && (to.flags & TOF_TS) !== 0;',
    replace: 'const tsOn = agreed;',
    kills: [
      'unit/stack/tcp/knobs.test.ts › net.inet.tcp.tolerate_missing_ts takes a segment without the timestamp that was agreed to, and keeps the last one seen',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'tune.tcp_fast_finwait2_recycle !== 0 ? tune.tcp_finwait2_timeout : maxIdle(tp)',
    replace: 'maxIdle(tp)',
    kills: [
      'unit/stack/tcp/knobs.test.ts › net.inet.tcp.fast_finwait2_recycle: FIN-WAIT-2 lasts finwait2_timeout, whatever comes',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '    if (st.tune.tcp_fast_finwait2_recycle === 0 && ',
    replace: '    if (false && ',
    kills: [
      'unit/stack/tcp/knobs.test.ts › without it, keepcnt times keepintvl of silence, looked for once every keepintvl',
    ],
  },
];
