/** RFC 9293 and what belongs to it (RFC 5961, 6528, 7323, 4987): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const rfc9293Mutants: readonly Mutant[] = [
  {
    file: 'src/stack/wire/tcp.ts',
    find: '    p += olen;\n',
    replace: '    p += 2;\n',
    kills: [
      'unit/stack/tcp/requirements.test.ts › that nobody knows are skipped by their length, in a SYN and in any other segment (MUST-5, MUST-6)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-subr.ts',
    find: 'if (mss > ours) mss = ours;',
    replace: '',
    kills: ['unit/stack/tcp/requirements.test.ts › is no more than what the route carries (MUST-16)'],
  },
  {
    file: 'src/stack/tcp/tcp-subr.ts',
    find: 'let mss = offer === 0 ? tune.tcp_mssdflt : offer;',
    replace: 'let mss = offer === 0 ? 1460 : offer;',
    kills: ['unit/stack/tcp/robustness.test.ts › uses 536 bytes when the peer offers no MSS (RFC 9293 section 3.7.1)'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'if (off + len === snd.sb_cc) flags |= TH_PUSH;',
    replace: '',
    kills: ['unit/stack/tcp/requirements.test.ts › sets PSH on the segment that empties the buffer (MUST-61)'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: '(m.mflags & (M_BCAST | M_MCAST)) !== 0 ||\n    (dst',
    replace: '(dst',
    kills: [
      'unit/stack/tcp/requirements.test.ts › a SYN to or from a broadcast or multicast address is dropped without an answer (MUST-57, MUST-63)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-usrreq.ts',
    find: 'if (inZeroNet(addr) || inLoopback(addr) || inMulticast(addr) || inExperimental(addr)) return false;',
    replace: '',
    kills: ['unit/stack/tcp/requirements.test.ts › %i is no address to open a connection to (MUST-46)'],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (seq === tp.rcv_nxt || st.tune.tcp_insecure_rst !== 0) {',
    replace: 'if (inWindow) {',
    kills: ['unit/stack/tcp/robustness.test.ts › resets only on the exact next number (section 3.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (tp.t_challenges++ >= st.tune.tcp_ack_war_cnt) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/robustness.test.ts › sends at most net.inet.tcp.ack_war_cnt challenge ACKs in a time window (section 7)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (seqLt(ack, (tp.snd_una - tp.max_sndwnd) | 0)) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/robustness.test.ts › does not take an ACK older than any window or newer than what was sent (section 5.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (tsOn && (to.flags & TOF_TS) === 0) {',
    replace: 'if (false) {',
    kills: ['unit/stack/tcp/robustness.test.ts › drops a segment without the negotiated timestamp (section 3.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '> TCP_PAWS_IDLE)',
    replace: '< 0)',
    kills: [
      'unit/stack/tcp/robustness.test.ts › does not believe ts_recent after 24 days without a segment (section 5.5)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (tsOn && tp.ts_recent !== 0 && tstmpLt(to.tsval, tp.ts_recent)) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/robustness.test.ts › drops a segment whose timestamp is older than the last one, and acknowledges it (section 5.3 R1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'const tiwin = flags & TH_SYN ? win : win << tp.snd_scale;',
    replace: 'const tiwin = win;',
    kills: [
      'unit/stack/tcp/robustness.test.ts › scales the windows by the shifts of the SYNs, those of the SYNs themselves not (section 2.2)',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'if (e.rexmits >= this.#st.tune.tcp_syncache_rexmtlimit) {',
    replace: 'if (e.rexmits >= 1) {',
    kills: [
      'unit/stack/tcp/rfc9293.test.ts › repeats SYN,ACK after 1, 2 and 4 s and then forgets the handshake (net.inet.tcp.syncache.rexmtlimit 3)',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'this.#drop(b.first!);',
    replace: 'this.#drop(b.last!);',
    kills: ['unit/stack/tcp/limits.test.ts › evicts the oldest handshake of a full bucket, and keeps the newest'],
  },
  {
    file: 'src/stack/tcp/tcp-subr.ts',
    find: 'return (Math.imul(st.clock.ms, 250) + hashFlow(st, k, 0)) | 0;',
    replace: 'return hashFlow(st, k, 0);',
    kills: [
      'unit/stack/tcp/robustness.test.ts › differ between flows by more than the clock, and move with the clock on one flow',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: '  if (flags & TH_RST) {\n    cnt[tcps.tcps_tw_rst]!++;\n    return false;\n  }',
    replace: '  if (flags & TH_RST) {\n    tcpClose(tp, 0);\n    return false;\n  }',
    kills: [
      'unit/stack/tcp/rfc9293.test.ts › ignores a RST in TIME-WAIT (RFC 1337) and lets a newer SYN open a new connection (RFC 9293 section 3.6.1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '    tlen <= tp.t_maxseg &&\n    st.tune.tcp_delayed_ack !== 0',
    replace: '    false',
    kills: [
      'unit/stack/tcp/rfc9293.test.ts › delays the ACK of one segment by 40 ms and sends it at once for the second (RFC 9293 section 3.8.6.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '(idle || (tp.t_flags & TF_NODELAY) !== 0)',
    replace: 'true',
    kills: [
      'unit/stack/tcp/rfc9293.test.ts › holds a small segment back while data is unacknowledged (Nagle, RFC 9293 section 3.7.4), unless TCP_NODELAY',
    ],
  },
];
