/** ECN (RFC 3168, 8257): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const ecnMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'return enable !== 0 && bits',
    replace: 'return bits',
    kills: [
      'unit/stack/tcp/ecn.test.ts › answers an ECN-setup SYN, which has ECE and CWR, with ECE alone where net.inet.tcp.ecn.enable is 1 or 2',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'bits === (flags & TH_ACK ? TH_ECE : TH_ECE | TH_CWR);',
    replace: 'bits !== 0;',
    kills: [
      'unit/stack/tcp/ecn.test.ts › takes a SYN with one of the two flags for one that does not ask',
      'unit/stack/tcp/ecn.test.ts › is settled by a SYN,ACK with ECE and without CWR',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'tune.tcp_ecn_enable === ECN_OUT &&',
    replace: 'tune.tcp_ecn_enable !== 0 &&',
    kills: [
      'unit/stack/tcp/ecn.test.ts › asks with ECE and CWR in its own SYN where net.inet.tcp.ecn.enable is 1, and only there',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: '&& tp.t_rxtshift <= tune.tcp_ecn_maxretries)',
    replace: ')',
    kills: [
      'unit/stack/tcp/ecn.test.ts › gives up asking after net.inet.tcp.ecn.maxretries retransmissions of the SYN (section 6.1.1.1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'if (newData && tp.t_flags2 & TF2_ECN_PERMIT) tos',
    replace: 'if (tp.t_flags2 & TF2_ECN_PERMIT) tos',
    kills: [
      'unit/stack/tcp/ecn.test.ts › does not mark an ACK without data (section 6.1.4), nor a window probe (section 6.1.6)',
      'unit/stack/tcp/ecn.test.ts › marks new data with ECT(0), and not retransmissions (section 6.1.5)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'if (newData && tp.t_flags2 & TF2_ECN_PERMIT) tos',
    replace: 'if (false) tos',
    kills: ['unit/stack/tcp/ecn.test.ts › marks new data with ECT(0), and not retransmissions (section 6.1.5)'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'if (newData && tp.t_flags2 & TF2_ECN_PERMIT) tos',
    replace: 'tos',
    kills: ['unit/stack/tcp/ecn.test.ts › sends SYN and SYN,ACK without ECT (section 6.1.1)'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '  if (tp.t_flags2 & TF2_ECN_PERMIT || isSyn) {\n',
    replace: '  if (true) {\n    if (newData) tos |= IPTOS_ECN_ECT0;\n',
    kills: ['unit/stack/tcp/ecn.test.ts › marks nothing where ECN was not agreed'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'tp.t_flags2 &= ~TF2_ECN_SND_CWR;',
    replace: '',
    kills: ['unit/stack/tcp/ecn.test.ts › halves on ECE, and tells so with CWR in the next new segment only'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'tp.t_flags2 |= TF2_ECN_SND_CWR;',
    replace: '',
    kills: ['unit/stack/tcp/ecn.test.ts › halves on ECE, and tells so with CWR in the next new segment only'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'if (!seqGt(ack, tp.ecn_recover) || (tp.t_flags & TF_FASTRECOVERY) !== 0) return;',
    replace: 'if ((tp.t_flags & TF_FASTRECOVERY) !== 0) return;',
    kills: ['unit/stack/tcp/ecn.test.ts › does so once for a window of data'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'if (!seqGt(ack, tp.ecn_recover) || (tp.t_flags & TF_FASTRECOVERY) !== 0) return;',
    replace: 'if (!seqGt(ack, tp.ecn_recover)) return;',
    kills: ['unit/stack/tcp/ecn.test.ts › does not reduce for ECE in the recovery from a loss of the same window'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (seqGt(ack, tp.ecn_recover)) tp.ecn_recover = (ack - 1) | 0;',
    replace: '',
    kills: [
      'unit/stack/tcp/ecn.test.ts › keeps the mark of its last answer near, however long no mark comes (sequence numbers wrap)',
    ],
  },
  {
    file: 'src/stack/tcp/syncache-entry.ts',
    find: 'tp.ecn_recover = e.iss;',
    replace: 'tp.ecn_recover = tp.snd_max;',
    kills: ['unit/stack/tcp/ecn.test.ts › reacts to an ECE on a duplicate ACK as well'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (ece && (tp.t_flags2 & TF2_ECN_PERMIT) !== 0) eceReceived',
    replace: 'if (ece) eceReceived',
    kills: ['unit/stack/tcp/ecn.test.ts › takes no notice of ECE where ECN was not agreed'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'if (ce) tp.t_flags2 |= TF2_ECN_SND_ECE;',
    replace: '',
    kills: ['unit/stack/tcp/ecn.test.ts › echoes a mark in every ACK until CWR comes'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'tp.t_flags2 &= ~TF2_ECN_SND_ECE;',
    replace: '',
    kills: ['unit/stack/tcp/ecn.test.ts › echoes a mark in every ACK until CWR comes'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'if (ce) tp.t_flags2 |= TF2_ECN_SND_ECE;',
    replace: 'if (ce && (flags & TH_CWR) === 0) tp.t_flags2 |= TF2_ECN_SND_ECE;',
    kills: ['unit/stack/tcp/ecn.test.ts › goes on where the segment with CWR is marked itself'],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'inside ? st.pool.dv.getUint8(m.l3 + IP_TOS) : 0',
    replace: 'st.pool.dv.getUint8(m.l3 + IP_TOS)',
    kills: ['unit/stack/tcp/ecn.test.ts › takes no mark of a segment that lies outside of the window (section 6.1.5)'],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'e.ecn = ecnWanted(flags, tune.tcp_ecn_enable);',
    replace: 'e.ecn = true;',
    kills: ['unit/stack/tcp/ecn.test.ts › echoes nothing where ECN was not agreed'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: 'if (tp.rcv_nxt !== tp.last_ack_sent) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/ecn.test.ts › acknowledges what came before at once when the mark changes, with the old state, and goes on with the new',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: '    if (tlen === 0) return;\n',
    replace: '',
    kills: ['unit/stack/tcp/ecn.test.ts › does not change its state for a segment without data'],
  },
  {
    file: 'src/stack/tcp/tcp-ecn.ts',
    find: '  if (tp.t_cc.wantsExactEcn === true) {\n    if (tlen',
    replace: '  if (false) {\n    if (tlen',
    kills: ['unit/stack/tcp/ecn.test.ts › does not take CWR for an end of the marks'],
  },
];
