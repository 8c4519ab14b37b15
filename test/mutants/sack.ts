/** SACK, DSACK and loss by counting (RFC 2018, 2883, 3708, 6675, 6582, 3042): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const sackMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (tlen > 0) noteDsack(tp, seq, (seq + tlen) | 0);',
    replace: '',
    kills: [
      'unit/stack/tcp/sack.test.ts › reports what came twice below the acknowledgment, once (section 4.1.1)',
      'unit/stack/tcp/sack.test.ts › reports it in front of what is held beyond a gap (section 4.1.1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'noteDsack(tp, seq, tp.rcv_nxt);',
    replace: '',
    kills: ['unit/stack/tcp/sack.test.ts › reports the part of a segment that came before (section 4.1.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: 'noteDsack(tp, seq, (seq + m.len) | 0);',
    replace: '',
    kills: [
      'unit/stack/tcp/sack.test.ts › reports what came twice beyond a gap, and behind it the block that holds it (section 4.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: '  if ((tp.t_flags & TF_SACK_PERMIT) === 0) return;\n',
    replace: '',
    kills: ['unit/stack/tcp/sack.test.ts › reports none to a peer that did not permit SACK'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '      tp.dsack_due = false;\n',
    replace: '',
    kills: ['unit/stack/tcp/sack.test.ts › reports what came twice below the acknowledgment, once (section 4.1.1)'],
  },
  {
    file: 'src/stack/tcp/tcp-outopt.ts',
    find: 'if (tp.t_flags & TF_SACK_PERMIT) to.flags |= TOF_SACKPERM;',
    replace: '',
    kills: ['unit/stack/tcp/sack.test.ts › permits SACK in its SYN and in no other segment (section 2)'],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'if (to.flags & TOF_SACKPERM && tune.tcp_sack_enable !== 0) e.flags |= TF_SACK_PERMIT;',
    replace: 'e.flags |= TF_SACK_PERMIT;',
    kills: ['unit/stack/tcp/sack.test.ts › reports blocks only to a peer whose SYN permitted it (section 3)'],
  },
  {
    file: 'src/stack/tcp/syncache-entry.ts',
    find: 'if (e.flags & TF_SACK_PERMIT) to.flags |= TOF_SACKPERM;',
    replace: 'to.flags |= TOF_SACKPERM;',
    kills: [
      'unit/stack/tcp/rfc9293.test.ts › offers only what the peer offered (RFC 7323 section 2.2 and 3.2, RFC 2018 section 2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: '  b.copyWithin(2, 0, 2 * kept);\n  b[0] = start;\n  b[1] = end;',
    replace: '  b[2 * kept] = start;\n  b[2 * kept + 1] = end;',
    kills: [
      'unit/stack/tcp/sack.test.ts › names first the block that the segment just received belongs to, then the latest others (section 4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: 'if (seqLeq(e, tp.rcv_nxt)) continue;',
    replace: 'continue;',
    kills: ['unit/stack/tcp/sack.test.ts › goes on with the option in every ACK until the gap is closed (section 4)'],
  },
  {
    file: 'src/stack/wire/tcp.ts',
    find: 'let n = to.nsacks;',
    replace: 'let n = Math.min(to.nsacks, 2);',
    kills: ['unit/stack/tcp/sack.test.ts › names as many blocks as fit: four, or three beside timestamps (section 3)'],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '      s.flags = (s.flags & ~(SEG_LOST | SEG_REXMIT)) | SEG_SACKED;\n',
    replace: '',
    kills: ['unit/stack/tcp/sack.test.ts › does not send again what is SACKed'],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'const reneged = tp.rtx_head !== null && (tp.rtx_head.flags & SEG_SACKED) !== 0;',
    replace: 'const reneged = false;',
    kills: [
      'unit/stack/tcp/sack.test.ts › sends SACKed data again after a timeout when the peer has thrown it away (section 8)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'if (seqGt(end, tp.snd_max)) {',
    replace: 'if (false) {',
    kills: ['unit/stack/tcp/sack.test.ts › takes no block that names what was never sent, or is empty'],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'if (seqLeq(end, th_ack)) return true;',
    replace: '',
    kills: ['unit/stack/tcp/sack.test.ts › is a first block below the cumulative ACK (section 4)'],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'return n > 1 && seqGeq(start, v.getInt32(at + 8)) && seqLeq(end, v.getInt32(at + 12));',
    replace: 'return false;',
    kills: ['unit/stack/tcp/sack.test.ts › is a first block inside the second (section 4.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'return n > 1 && seqGeq(start, v.getInt32(at + 8)) && seqLeq(end, v.getInt32(at + 12));',
    replace: 'return n > 1;',
    kills: ['unit/stack/tcp/sack.test.ts › is no block that is only repeated in another order'],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'dsack = seqLt(start, end) && seqLeq(end, tp.snd_max) && seqGeq(start, (tp.snd_una - tp.max_sndwnd) | 0);',
    replace: 'dsack = true;',
    kills: [
      'unit/stack/tcp/sack.test.ts › is not believed when it names what was never sent or was sent longer than a window ago',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'if (tp.undo_valid && seqGt(end, tp.undo_una)) tp.undo_rexmits -= segs;',
    replace: '',
    kills: [
      'unit/stack/tcp/frto-undo.test.ts › gives the window back when each retransmission was reported as a duplicate',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'tp.undo_rexmits -= segs;',
    replace: 'tp.undo_rexmits = 0;',
    kills: ['unit/stack/tcp/frto-undo.test.ts › does not when one of two was needed'],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'if (tp.undo_valid && seqGt(end, tp.undo_una))',
    replace: 'if (tp.undo_valid)',
    kills: ['unit/stack/tcp/frto-undo.test.ts › does not for a duplicate of what was sent before the reduction'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'const enough = (DUPTHRESH - 1) * tp.maxseg;',
    replace: 'const enough = DUPTHRESH * tp.maxseg;',
    kills: [
      'unit/stack/tcp/sack.test.ts › does not take a segment for lost with two above it, and does with three (section 4, IsLost)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'const enough = (DUPTHRESH - 1) * tp.maxseg;',
    replace: 'const enough = tp.maxseg;',
    kills: [
      'unit/stack/tcp/sack.test.ts › does not take a segment for lost with two above it, and does with three (section 4, IsLost)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'blocks >= DUPTHRESH',
    replace: 'blocks > DUPTHRESH',
    kills: [
      'unit/stack/tcp/sack.test.ts › takes a segment for lost below three separate blocks, however small (section 4, IsLost)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if ((above > enough || blocks >= DUPTHRESH) &&',
    replace: 'if (tp.snd_sacked > enough &&',
    kills: ['unit/stack/tcp/sack.test.ts › takes for lost only what has enough above it'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: '(s.flags & (SEG_LOST | SEG_REXMIT)) === 0) rtxLost',
    replace: 'true) rtxLost',
    kills: [
      'unit/stack/tcp/sack.test.ts › does not time retransmissions by their count when RACK is off: a retransmission is not found lost before the timeout',
    ],
  },
  {
    file: 'src/stack/tcp/tcpcb.ts',
    find: '- this.snd_sacked - this.snd_lost;',
    replace: '- this.snd_sacked;',
    kills: [
      'unit/stack/tcp/sack.test.ts › estimates what is in the pipe: sent, and neither acknowledged, SACKed nor lost (section 4, SetPipe)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'let s = tp.rtx_hint ?? tp.rtx_head;',
    replace: 'let s = tp.rtx_tail;',
    kills: [
      'unit/stack/tcp/sack.test.ts › sends the lowest lost segment first and new data when none is left (section 4, NextSeg 1 and 2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (lost > 0 && (tp.t_flags & TF_FASTRECOVERY) === 0 && !tp.t_rtorecovery) recoveryEnter',
    replace: 'if (lost > 0 && !tp.t_rtorecovery) recoveryEnter',
    kills: ['unit/stack/tcp/sack.test.ts › halves once for all losses of one flight (section 5)'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '} else if ((tp.t_flags & TF_FASTRECOVERY) !== 0 && seqGeq(ack, tp.snd_recover)) {',
    replace: '} else if ((tp.t_flags & TF_FASTRECOVERY) !== 0 && advanced) {',
    kills: [
      'unit/stack/tcp/sack.test.ts › ends recovery when all that was sent before it is acknowledged (section 5 step A)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'const cwndRoom = tp.t_ecnhold ? 0 : tp.snd_cwnd - tp.pipe;',
    replace: 'const cwndRoom = tp.snd_cwnd - off;',
    kills: [
      'unit/stack/tcp/sack.test.ts › sends a new segment for each of the first two SACKed (limited transmit, section 5 step 3; RFC 3042)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'tp.t_dupacks !== TCP_REXMTTHRESH || seqLeq(tp.snd_una, tp.snd_recover)',
    replace: 'tp.t_dupacks !== TCP_REXMTTHRESH',
    kills: [
      'unit/stack/tcp/window.test.ts › do not enter recovery below the mark of the last one (RFC 6582 section 3.2 step 1)',
      'unit/stack/tcp/congestion.test.ts › does not enter recovery twice for one window (RFC 6582 section 3.2 step 1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'const TCP_REXMTTHRESH = 3;',
    replace: 'const TCP_REXMTTHRESH = 4;',
    kills: [
      'unit/stack/tcp/congestion.test.ts › retransmits the first segment on the third duplicate ACK and halves (RFC 5681 section 3.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if ((head.flags & SEG_LOST) === 0 || advanced) rtxLost(tp, head, a);',
    replace: 'if (!advanced) rtxLost(tp, head, a);',
    kills: [
      'unit/stack/tcp/congestion.test.ts › retransmits the next hole on a partial ACK and leaves recovery with cwnd at ssthresh (RFC 6582 section 3.2, RFC 9937)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'const dup = tlen === 0 && (flags & TH_FIN) === 0 && tiwin === tp.snd_wnd && ack === tp.snd_una;',
    replace: 'const dup = ack === tp.snd_una;',
    kills: ['unit/stack/tcp/window.test.ts › are none when they bring data, or another window'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (!inRecovery && tp.st.tune.tcp_rfc3042 === 0 && tp.t_dupacks < TCP_REXMTTHRESH) return;',
    replace: 'if (!inRecovery && tp.t_dupacks < TCP_REXMTTHRESH) return;',
    kills: [
      'unit/stack/tcp/window.test.ts › sends a new segment for each of the first two duplicate ACKs, and leaves the window',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (!inRecovery && tp.st.tune.tcp_rfc3042 === 0 && tp.t_dupacks < TCP_REXMTTHRESH) return;',
    replace: '',
    kills: ['unit/stack/tcp/window.test.ts › sends none with net.inet.tcp.rfc3042 0'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'let room = tp.snd_wnd - off;',
    replace: 'let room = 1 << 30;',
    kills: ['unit/stack/tcp/window.test.ts › sends none that the window of the peer does not take'],
  },
  {
    file: 'src/stack/tcp/cc/window.ts',
    find: 'return flight < c.snd_cwnd ? flight : c.snd_cwnd;',
    replace: 'return flight;',
    kills: [
      'unit/stack/tcp/window.test.ts › does not count what it sent when the window is reduced (RFC 5681 section 3.2 step 2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-outopt.ts',
    find: '    } else if (tp.t_flags & TF_SACK_PERMIT && tp.rcv_numsacks > 0) {\n      to.flags |= TOF_SACK;\n      to.nsacks = tp.rcv_numsacks;',
    replace: '    } else if (tp.t_flags & TF_SACK_PERMIT) {\n      to.flags |= TOF_SACK;\n      to.nsacks = 1;',
    kills: ['unit/stack/tcp/sack.test.ts › reports nothing while nothing is missing (section 4)'],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '      s = joinSacked(tp, s);\n',
    replace: '      s = joinSacked(tp, s);\n      tp.t_socket!.so_snd.drop(len);\n',
    kills: [
      'unit/stack/tcp/sack.test.ts › keeps SACKed data in its buffer until the cumulative ACK covers it (section 8)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: 'tp.t_segqlen >= st.tune.tcp_reass_maxqueuelen',
    replace: 'tp.t_segqlen >= 2',
    kills: ['unit/stack/tcp/sack.test.ts › keeps what it has reported until the gap closes (section 8)'],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: '        if (tp.t_flags & TF_SACK_PERMIT) updateSackList(tp, seq, (seq + m.len) | 0);\n        st.pool.put(m);',
    replace: '        st.pool.put(m);',
    kills: [
      'unit/stack/tcp/sack.test.ts › reports what came twice beyond a gap, and behind it the block that holds it (section 4.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 's.flags = (s.flags & ~(SEG_LOST | SEG_REXMIT)) | SEG_SACKED;',
    replace: 's.flags |= SEG_SACKED;',
    kills: ['unit/stack/tcp/sack.test.ts › sends what was lost, then SACKed, then thrown away by the peer (section 8)'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'dsack = sackReceived(st, tp, ack, a);',
    replace: 'dsack = sackReceived(st, tp, advanced ? ack : una, a);',
    kills: [
      'unit/stack/tcp/sack.test.ts › is no block of an ACK that later ones have overtaken (section 4: below its own acknowledgment)',
    ],
  },
];
