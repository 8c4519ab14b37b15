/** PRR, F-RTO and undo (RFC 9937, 5682, 3522, 4015): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const recoveryMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'limit = Math.ceil((tp.prr_delivered * ssthresh) / fs) - tp.prr_out;',
    replace: 'limit = tp.prr_delivered - tp.prr_out;',
    kills: ['unit/stack/tcp/prr.test.ts › sends in proportion: one for each two delivered, where the window halves'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (advanced && ack.lost === 0) limit += maxseg;',
    replace: '',
    kills: ['unit/stack/tcp/prr.test.ts › sends one more where snd_una advances and no loss is found (SSRB)'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (advanced && ack.lost === 0) limit += maxseg;',
    replace: 'if (advanced) limit += maxseg;',
    kills: ['unit/stack/tcp/prr.test.ts › does not send the one more where the ACK tells of another loss (SafeACK)'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (limit > ssthresh - inflight) limit = ssthresh - inflight;',
    replace: '',
    kills: ['unit/stack/tcp/prr.test.ts › grows no further than ssthresh'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (tp.prr_out === 0 && limit < maxseg) limit = maxseg;',
    replace: '',
    kills: ['unit/stack/tcp/prr.test.ts › sends the first lost segment at once whatever the proportion'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (fast && !ccOwnsRecovery(tp)) tp.snd_cwnd = tp.snd_ssthresh;',
    replace: '',
    kills: ['unit/stack/tcp/prr.test.ts › leaves the window at ssthresh at the end'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tp.prr_recover_fs = ((tp.snd_nxt - tp.snd_una) | 0) - tp.snd_sacked + ack.delivered;',
    replace: 'tp.prr_recover_fs = ((tp.snd_nxt - tp.snd_una) | 0) + ack.delivered;',
    kills: ['unit/stack/tcp/prr.test.ts › counts what was SACKed before recovery as delivered before it'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: '    limit = tp.prr_delivered - tp.prr_out;\n',
    replace: '    limit = ssthresh;\n',
    kills: [
      'unit/stack/tcp/prr.test.ts › sends no more than what is delivered while less than ssthresh is in flight (CRB)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '  tp.snd_sacked += n;\n  tp.t_delivered += n;\n  a.delivered += n;\n',
    replace: '',
    kills: [
      'unit/stack/tcp/prr.test.ts › takes each duplicate ACK for a segment delivered where there is no SACK (section 6.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tp.t_frto = st.tune.tcp_frto !== 0 && !again && tp.t_rxtshift === 1 ? 1 : 0;',
    replace: 'tp.t_frto = st.tune.tcp_frto !== 0 ? 1 : 0;',
    kills: ['unit/stack/tcp/frto-undo.test.ts › is not begun by a timeout that hits the repair of another (step 1)'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tp.t_frto = st.tune.tcp_frto !== 0 && !again && tp.t_rxtshift === 1 ? 1 : 0;',
    replace: 'tp.t_frto = !again && tp.t_rxtshift === 1 ? 1 : 0;',
    kills: ['unit/stack/tcp/frto-undo.test.ts › does the usual repair with net.inet.tcp.frto 0'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (rs.original && seqGeq(tp.snd_recover, rs.origEnd)) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › takes the timeout for spurious when the second ACK advances over what was not sent again (step 3b)',
      'unit/stack/tcp/frto-undo.test.ts › of what was sent before it and not again makes it spurious',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (rs.original && seqGeq(tp.snd_recover, rs.origEnd)) {',
    replace: 'if (rs.original) {',
    kills: ['unit/stack/tcp/frto-undo.test.ts › of new data does not'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tp.t_frto = advanced && so_snd.sb_cc > off && tp.snd_wnd > off ? 2 : 0;',
    replace: 'tp.t_frto = 0;',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › sends two new segments on the first ACK that advances, and nothing again (step 2b)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tp.t_frto = advanced && so_snd.sb_cc > off && tp.snd_wnd > off ? 2 : 0;',
    replace: 'tp.t_frto = so_snd.sb_cc > off && tp.snd_wnd > off ? 2 : 0;',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › goes back to the usual repair when the first ACK is a duplicate (step 2a)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tp.t_frto = advanced && so_snd.sb_cc > off && tp.snd_wnd > off ? 2 : 0;',
    replace: 'tp.t_frto = advanced ? 2 : 0;',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › does the usual repair where the application has no more to send (step 2b)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (!ccOwnsRecovery(tp) && tp.snd_cwnd < 3 * tp.maxseg) tp.snd_cwnd = 3 * tp.maxseg;',
    replace: '',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › goes back to the usual repair when the second ACK is a duplicate (step 3a)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tstmpLt(to.tsecr, tp.undo_ts);',
    replace: 'true;',
    kills: ['unit/stack/tcp/frto-undo.test.ts › leaves it when the echo is that of the retransmission'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (!eifel && tp.undo_rexmits > 0) return false;',
    replace: 'if (tp.undo_rexmits > 0) return false;',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › undoes the reduction when the first ACK that advances echoes a timestamp of before the retransmission',
      'unit/stack/tcp/frto-undo.test.ts › undoes a timeout by the echo of the original (RFC 4015 section 3.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'tp.undo_eifel = !rtxAnyResent(tp);',
    replace: 'tp.undo_eifel = true;',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › does not take an answer to an older retransmission for one to an original',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (!tp.undo_valid || !tp.undo_sent) return false;\n',
    replace: 'if (!tp.undo_valid || !tp.undo_sent) return false;\n  tp.undo_rexmits = 0;\n',
    kills: ['unit/stack/tcp/frto-undo.test.ts › does not without any DSACK: the loss was real'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: '  tp.snd_ssthresh = tp.undo_ssthresh;\n',
    replace: '',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › undoes the reduction when the first ACK that advances echoes a timestamp of before the retransmission',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (tp.undo_cwnd > tp.snd_cwnd) tp.snd_cwnd = tp.undo_cwnd;',
    replace: '',
    kills: ['unit/stack/tcp/frto-undo.test.ts › of what was sent before it and not again makes it spurious'],
  },
  {
    file: 'src/stack/tcp/tcp-recovery.ts',
    find: 'if (ccOwnsRecovery(tp) || (ack.delivered === 0 && tp.prr_out !== 0)) return;',
    replace: 'if (ccOwnsRecovery(tp)) return;\n  if (ack.delivered === 0) ack.delivered = tp.maxseg;',
    kills: ['unit/stack/tcp/prr.test.ts › does not move the window with an ACK that delivers nothing'],
  },
];
