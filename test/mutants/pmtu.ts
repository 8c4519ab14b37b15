/** Path MTU discovery (RFC 1191, RFC 5927): clauses to switch off. */
import type { Mutant } from './mutants.ts';

const FILE = 'src/stack/tcp/tcp-pmtu.ts';
const TESTS = 'unit/stack/tcp/pmtud.test.ts › ';

const HOLE = 'src/stack/tcp/tcp-blackhole.ts';
const HOLE_TESTS = 'unit/stack/tcp/blackhole.test.ts › ';
const LADDER = `${HOLE_TESTS}tries pmtud_blackhole_mss after two timeouts, mssdflt without DF after two more, and gives up after another two`;

export const pmtuMutants: readonly Mutant[] = [
  {
    file: FILE,
    find: '  st.cnt[tcps.tcps_mtudisc]!++;\n  pmtuSet(tp, mtu);',
    replace: '  st.cnt[tcps.tcps_mtudisc]!++;',
    kills: [`${TESTS}makes segments as large as the MTU that it names allows (RFC 1191 section 4)`],
  },
  {
    file: FILE,
    find: '  resendSmaller(tp);\n  tcpOutput(tp);\n',
    replace: '  tcpOutput(tp);\n',
    kills: [
      `${TESTS}sends what was too big again at once, one segment first and the rest when it is acknowledged (RFC 1191 section 6.4)`,
    ],
  },
  {
    file: FILE,
    find: '  tp.pmtu_hold = HOLD_ONE;\n',
    replace: '',
    kills: [
      `${TESTS}sends what was too big again at once, one segment first and the rest when it is acknowledged (RFC 1191 section 6.4)`,
    ],
  },
  {
    file: FILE,
    find: '  tp.pmtu_resend = true;\n',
    replace: '',
    kills: [
      `${TESTS}is no congestion: windows stay, nothing counts as lost, no recovery begins (RFC 1191 section 6.4)`,
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'const lost = tp.pmtu_resend ? a.lost : tp.snd_lost;',
    replace: 'const lost = tp.pmtu_resend ? 0 : tp.snd_lost;',
    kills: [`${TESTS}still lets a loss among the smaller segments be one`],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'if ((s.flags & SEG_SACKED) !== 0 || len <= maxseg) continue;',
    replace: 'if (len <= maxseg) continue;',
    kills: [`${TESTS}does not send again what is small enough, or SACKed`],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if ((head.flags & SEG_LOST) === 0 || advanced) rtxLost(tp, head, a);',
    replace: 'rtxLost(tp, head, a);',
    kills: [`${TESTS}does not take duplicate ACKs of what went before for a loss, without SACK (RFC 6582 section 3.2)`],
  },
  {
    file: FILE,
    find: 'if (st.tune.tcp_path_mtu_discovery === 0 || mss >= tp.t_maxseg) {',
    replace: 'if (st.tune.tcp_path_mtu_discovery === 0) {',
    kills: [`${TESTS}never raises the segment size (RFC 1191 section 3)`],
  },
  {
    file: FILE,
    find: 'if (st.tune.tcp_path_mtu_discovery === 0 || mss >= tp.t_maxseg) {',
    replace: 'if (mss >= tp.t_maxseg) {',
    kills: [`${TESTS}does nothing while net.inet.tcp.path_mtu_discovery is 0`],
  },
  {
    file: FILE,
    find: 'return claimed < least ? least : claimed;',
    replace: 'return claimed;',
    kills: [`${TESTS}of MTU %i gives segments of %i bytes: not less than net.inet.tcp.minmss`],
  },
  {
    file: 'src/stack/tcp/tcp-ctlinput.ts',
    find: 'if (seqLt(seq, tp.snd_una) || seqGeq(seq, tp.snd_max)) {',
    replace: 'if (seqGeq(seq, tp.snd_max)) {',
    kills: [`${TESTS}is believed only when the sequence number that it quotes is in flight (RFC 5927 section 4.1)`],
  },
  {
    file: FILE,
    find: 'if (mss < tp.pmtu_acked) {',
    replace: 'if (false) {',
    kills: [`${TESTS}is put off, and believed when a timeout shows that the path has changed (RFC 5927 section 7.2)`],
  },
  {
    file: FILE,
    find: 'if (tp.pmtu_pend !== 0 && seqGt(ack, tp.pmtu_pend_seq)) tp.pmtu_pend = 0;',
    replace: '',
    kills: [`${TESTS}is forgotten when the segment that it quotes is acknowledged (RFC 5927 section 7.2)`],
  },
  {
    file: FILE,
    find: 'if (PLATEAUS[i]! < len) return PLATEAUS[i]!;',
    replace: 'if (PLATEAUS[i]! <= len) return PLATEAUS[i]!;',
    kills: [`${TESTS}takes a connection down the plateaus, one message a step (RFC 1191 section 7.1)`],
  },
  {
    file: FILE,
    find: 'if (len > tp.t_maxseg + TCPIP_HDRS) len -= ipHlen(v, quote);',
    replace: '',
    kills: [
      `${TESTS}and adds the header to the length, as 4.2BSD did, is understood where that is seen (RFC 1191 section 5)`,
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'st.tune.tcp_path_mtu_discovery !== 0 && tp.t_maxseg > st.tune.tcp_minmss',
    replace: 'tp.t_maxseg > st.tune.tcp_minmss',
    kills: [`${TESTS}is set on none while it is 0`],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'st.tune.tcp_path_mtu_discovery !== 0 && tp.t_maxseg > st.tune.tcp_minmss',
    replace: 'st.tune.tcp_path_mtu_discovery === 0 && tp.t_maxseg > st.tune.tcp_minmss',
    kills: [
      `${TESTS}is set on every segment while net.inet.tcp.path_mtu_discovery is 1, the default (RFC 1191 section 3)`,
    ],
  },
  {
    file: FILE,
    find: 'age < most * 1000',
    replace: 'age < most * 500',
    kills: [`${TESTS}is given up after net.inet.ip.mtudisctimeout, 10 minutes, and not earlier (RFC 1191 section 6.3)`],
  },
  {
    file: 'src/stack/tcp/syncache-entry.ts',
    find: 'rt.mtu - 40;',
    replace: 'rt.mtu - 80;',
    kills: [
      `${TESTS}tells what the interface takes, whatever the path does (RFC 1191 section 3.1, RFC 6691 section 2)`,
    ],
  },
  {
    file: FILE,
    find: 'let mss = tp.t_peermss;',
    replace: 'let mss = 65535;',
    kills: [`${TESTS}of the peer still bounds segments when the estimate is given up`],
  },
  {
    file: HOLE,
    find: 'const ENTER = 2;',
    replace: 'const ENTER = 1;',
    kills: [LADDER],
  },
  {
    file: HOLE,
    find: '      tp.t_nodf = true;\n',
    replace: '',
    kills: [LADDER],
  },
  {
    file: HOLE,
    find: '    tp.t_maxseg = tp.t_saved_maxseg;\n',
    replace: '',
    kills: [LADDER],
  },
  {
    file: HOLE,
    find: 'if (mode === 0 || mode === (ip6 ? ONLY_IP4 : ONLY_IP6)) return;',
    replace: 'if (mode === ONLY_IP6) return;',
    kills: [`${HOLE_TESTS}is off by default, as in FreeBSD`],
  },
  {
    file: HOLE,
    find: 'if (mode === 0 || mode === (ip6 ? ONLY_IP4 : ONLY_IP6)) return;',
    replace: 'if (mode === 0) return;',
    kills: [`${HOLE_TESTS}set to %i tries packets of %i bytes here: 2 is IPv4 only, 3 IPv6 only`],
  },
  {
    file: HOLE,
    find: ' && rtxHeadLen(tp) > (toMid ? mid : least) - tp.t_optlen;',
    replace: ';',
    kills: [`${HOLE_TESTS}does not suspect a black hole where only a small segment is lost`],
  },
  {
    file: HOLE,
    find: 'const suspect = (tp.t_flags2 & TF2_PLPMTU_PMTUD) !== 0 &&',
    replace: 'const suspect =',
    kills: [`${HOLE_TESTS}does not without path MTU discovery: routers fragment then`],
  },
  {
    file: HOLE,
    find: ': tune.tcp_pmtud_blackhole_mss;',
    replace: ': 1200;',
    kills: [`${HOLE_TESTS}takes the sizes of net.inet.tcp.pmtud_blackhole_mss and net.inet.tcp.mssdflt`],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: ' && inp.inp_df && !tp.t_nodf;',
    replace: ' && !tp.t_nodf;',
    kills: [
      "unit/stack/tcp/mtu-discover.test.ts › %i: don't-fragment is set on data and on bare ACKs with 1 and 2 alone",
    ],
  },
  {
    file: 'src/stack/tcp/tcp-subr.ts',
    find: 'const df = st.tune.tcp_path_mtu_discovery !== 0 && (inp === null || inp.inp_df);',
    replace: 'const df = true;',
    kills: [
      "unit/stack/tcp/mtu-discover.test.ts › net.inet.tcp.path_mtu_discovery 0 is off for all: no segment has don't-fragment, not the SYN,ACK and not a RST",
    ],
  },
  {
    file: 'src/stack/tcp/tcp-pmtu.ts',
    find: '  if (!tp.t_inpcb!.inp_pmtu) {',
    replace: '  if (false) {',
    kills: [
      'unit/stack/tcp/mtu-discover.test.ts › %i: ICMP makes segments smaller with 1, 2 and 3; it is remembered for others in any case',
    ],
  },
  {
    file: 'src/stack/tcp/syncache-entry.ts',
    find: ' && sockOptDf(opt);',
    replace: ';',
    kills: ['unit/stack/tcp/mtu-discover.test.ts › %i of a listener holds for its SYN,ACK'],
  },
];
