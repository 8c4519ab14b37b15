/** The event table of RFC 9293 section 3.10 (test/events): clauses to switch off. */
import type { Mutant } from './mutants.ts';

const FILE = 'unit/stack/tcp/events.test.ts';
const of = (title: string): readonly string[] => [`${FILE} › ${title}: \${name}`];

export const eventMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-usrreq.ts',
    find: '    case TCPS_CLOSE_WAIT:\n      tp.t_state = TCPS_LAST_ACK;\n      break;\n',
    replace: '',
    kills: of('user calls (3.10.1 to 3.10.6)'),
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'const end = (seq + tlen + (flags & TH_SYN ? 1 : 0) + (flags & TH_FIN ? 1 : 0)) | 0;',
    replace: 'const end = (seq + tlen) | 0;',
    kills: of('segment in CLOSED'),
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: '    tcp.syncache.chkrst(k, seq);\n    st.pool.put(m);\n    return;\n',
    replace: '    tcp.syncache.chkrst(k, seq);\n',
    kills: of('segment in LISTEN'),
  },
  {
    file: 'src/stack/tcp/tcp-syn-sent.ts',
    find: 'seqLeq(ack, tp.iss) ||',
    replace: '',
    kills: of('segment in SYN-SENT'),
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'if (inside) return false;',
    replace: 'return false;',
    kills: of('segment in SYN-RECEIVED'),
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '    st.cnt[tcps.tcps_badsyn]!++;\n    tcpChallengeAck(tp);\n',
    replace: '    st.cnt[tcps.tcps_badsyn]!++;\n',
    kills: of('segment in SYN-RECEIVED'),
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '  st.cnt[tcps.tcps_rcvoutwin]!++;\n  tp.t_flags |= TF_ACKNOW;\n',
    replace: '  st.cnt[tcps.tcps_rcvoutwin]!++;\n',
    kills: of('sequence number'),
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (tp.t_state === TCPS_CLOSING || tp.t_state === TCPS_LAST_ACK) tcpClose(tp, 0);\n    else ',
    replace: '',
    kills: of('RST'),
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'if (!twReusable(st, tp, seq) || st.tcp.listeners.lookup(inp.l3, inp.lport) === null) {',
    replace: 'if (!twReusable(st, tp, seq)) {',
    kills: of('SYN'),
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (st.tune.tcp_insecure_syn !== 0 && ',
    replace: 'if (false && ',
    kills: of('SYN'),
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: ' && st.tune.tcp_insecure_ack === 0) {',
    replace: ') {',
    kills: of('ACK'),
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '  if (haveRcvdFin(tp.t_state) || !haveEstablished(tp.t_state)) {\n    st.pool.put(m);\n    return;\n  }\n',
    replace: '',
    kills: of('text'),
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '      tp.t_state = TCPS_CLOSING;\n      so.cantRcvMore();\n',
    replace: '      tcpTwstart(tp);\n      so.cantRcvMore();\n',
    kills: of('FIN'),
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '  else if (tp.t_state !== TCPS_TIME_WAIT && tp.t_state <= TCPS_CLOSE_WAIT) return;\n',
    replace: '  else return;\n',
    kills: of('timeouts (3.10.8)'),
  },
];
