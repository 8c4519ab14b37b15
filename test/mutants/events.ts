/** The event table of RFC 9293 section 3.10 (test/events): clauses to switch off. */
import type { Mutant } from './mutants.ts';

const FILE = 'unit/stack/tcp/events.test.ts';
const of = (title: string): readonly string[] => [`${FILE} › ${title}: \${name}`];

const URGENT = 'unit/stack/tcp/urgent.test.ts';
const FIELDS = 'unit/stack/tcp/ip-fields.test.ts';

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
    find: 'if (!twReusable(st, tp, seq) || !st.tcp.listeners.has(inp.l3, inp.lport)) {',
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
    find: '  } else if (tp.t_state !== TCPS_TIME_WAIT && tp.t_state <= TCPS_CLOSE_WAIT) {\n',
    replace: '  } else {\n',
    kills: of('timeouts (3.10.8)'),
  },
  {
    file: 'src/stack/tcp/tcp-urgent.ts',
    find: '  if (urp === 0 || ahead <= 0) return;\n',
    replace: '  if (urp === 0 || ahead <= 1) return;\n',
    kills: [`${URGENT} › is told again when it has all been read and there is more, of any length (MUST-31, MUST-32)`],
  },
  {
    file: 'src/stack/tcp/tcp-urgent.ts',
    find: 'const n = (tp.snd_up - seq) | 0;',
    replace: 'const n = (tp.snd_up - seq - 1) | 0;',
    kills: [...of('urgent data'), `${URGENT} › comes through whatever is lost, with its mark where it was set`],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'send ||= tp.t_urgdue && synced;',
    replace: '',
    kills: [...of('urgent data'), `${URGENT} › counts a segment that is sent for the pointer alone`],
  },
  {
    file: 'src/stack/tcp/tcp-urgent.ts',
    find: 'so.urgent(ahead + so.so_rcv.sb_cc);',
    replace: 'so.urgent(ahead);',
    kills: of('urgent data'),
  },
  {
    file: 'src/stack/socket/oobmark.ts',
    find: '    this.ahead = n < this.ahead ? this.ahead - n : 0;\n',
    replace: '    if (n >= this.ahead) this.ahead = 0;\n',
    kills: [`${URGENT} › tells how much of it is still to be read, in the buffer and on its way (MUST-33)`],
  },
  {
    file: 'src/stack/socket/oobmark.ts',
    find: 'return this.ahead > 1 && len >= this.ahead ? this.ahead - 1 : len;',
    replace: 'return len;',
    kills: [`${URGENT} › is in line, and a call stops before its last byte, where sockatmark(3) is true`],
  },
  {
    file: 'src/stack/socket/socket.ts',
    find: 'if (urgent) urgentSend(tp);',
    replace: 'urgentSend(tp);',
    kills: [`${URGENT} › has no pointer when the user asks for none`],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '  if (rt !== null) st.arp.suspect(rt.gateway === 0 ? f3 : rt.gateway);\n',
    replace: '',
    kills: [
      `${FIELDS} › asks the neighbour whether it is still there, and looks for it anew where it is not (RFC 1122 section 3.3.1.4)`,
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'const TCP_R1 = 3;',
    replace: 'const TCP_R1 = 2;',
    kills: [`${FIELDS} › is told after three retransmissions without an answer, once (SHLD-9, SHLD-10)`],
  },
  {
    file: 'src/stack/tcp/tcp-ctlinput.ts',
    find: '  tp.t_softerror = errno;\n  const so = tp.t_socket!;\n  if (so.icmpUpcall !== null) so.icmpUpcall(so, type, code);\n  else so.softError(errno);\n',
    replace: '',
    kills: [
      `${FIELDS} › %s is told and does not end an established connection`,
      `${FIELDS} › is the reason of the timeout that follows (RFC 1122 section 4.2.3.9)`,
    ],
  },
  {
    file: 'src/stack/socket/sockopt.ts',
    find: 'inp.inp_tos = o.tos & ~IPTOS_ECN_MASK;',
    replace: 'inp.inp_tos = o.tos;',
    kills: [`${FIELDS} › leave the bits of ECN to ECN (RFC 3168 section 5)`],
  },
  {
    file: 'src/stack/socket/sockopt.ts',
    find: '  sockOptsToInp(now, tp.t_inpcb!, tune);\n',
    replace: '',
    kills: [`${FIELDS} › can be changed while the connection is open (SHLD-21)`],
  },
  {
    file: 'src/stack/tcp/tcp-subr.ts',
    find: '  sockOptsToInp(so.opt, inp, tune);\n',
    replace: '  inp.inp_ttl = tune.ip_ttl;\n',
    kills: [
      `${FIELDS} › go with every segment of a connection that is opened with them, from the SYN on (MUST-48, SHLD-22)`,
    ],
  },
  {
    file: 'src/stack/net/icmp.ts',
    find: '      drop(st, m, icps.icps_unhandled);\n',
    replace: '      errorInput(st, m, 0);\n',
    kills: [`${FIELDS} › source quench is not listened to (MUST-55)`],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'if (least) tp.t_ecnhold = true;',
    replace: '',
    kills: [
      'unit/stack/tcp/ecn.test.ts › of a window of one segment waits for the retransmission timer (%s; section 6.1.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (tp.t_dupacks < TCP_REXMTTHRESH || tp.snd_lost > 0 ||',
    replace: 'if (true ||',
    kills: [
      'unit/stack/tcp/sender-rules.test.ts › begins recovery on the third duplicate ACK though less than three segments worth is SACKed',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (tp.t_rtorecovery) tcpSpuriousRto(tp);',
    replace: '',
    kills: [
      'unit/stack/tcp/sender-rules.test.ts › sets the estimators from what came late, and not below what they were (section 3.4)',
    ],
  },
];
