/** RACK-TLP (RFC 8985): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const rackMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '} else if (rtt < tp.t_rttmin) {',
    replace: '} else if (false) {',
    kills: [
      'unit/stack/tcp/rack.test.ts › does not take the answer to an original for one to its retransmission (step 2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'return d > 0 || (d === 0 && seqGt(end1, end2));',
    replace: 'return d > 0;',
    kills: [
      'unit/stack/tcp/rack.test.ts › orders segments of one instant by their sequence numbers (section 6.2 step 2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'if (seqLt(s.end, rs.priorFack)) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/rack.test.ts › keeps the window once an original has arrived that was overtaken (steps 3 and 4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'if (seqLt(s.end, rs.priorFack)) {',
    replace: 'if (seqLt(s.end, tp.rack_fack)) {',
    kills: ['unit/stack/tcp/rack.test.ts › does not take what is delivered in order for reordering (step 3)'],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '  if ((s.flags & SEG_EVER) === 0) {\n    // Karn',
    replace: '  if (true) {\n    // Karn',
    kills: [
      'unit/stack/tcp/rack.test.ts › does not take a retransmission that arrives below others for reordering (step 3)',
    ],
  },
  {
    file: 'src/stack/tcp/syncache-entry.ts',
    find: 'tp.rack_fack = e.iss;',
    replace: '',
    kills: ['unit/stack/tcp/rack.test.ts › does so wherever the sequence numbers begin'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (tp.snd_sacked >= DUPTHRESH * tp.maxseg) return 0;',
    replace: '',
    kills: [
      'unit/stack/tcp/rack.test.ts › takes for lost at once what was sent before three segments that are SACKed (step 4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'const wnd = (tp.rack_reo_mult * tp.t_rttmin) >> 2;',
    replace: 'const wnd = (tp.rack_reo_mult * tp.t_rttmin) >> 3;',
    kills: [
      'unit/stack/tcp/rack.test.ts › waits a quarter of the least round trip where fewer are SACKed (steps 4 and 5)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'return wnd < srtt ? wnd : srtt;',
    replace: 'return wnd;',
    kills: ['unit/stack/tcp/rack.test.ts › does not wait longer than the smoothed round trip (step 4)'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (tp.rack_reo_mult < 255) tp.rack_reo_mult++;',
    replace: '',
    kills: [
      'unit/stack/tcp/rack.test.ts › widens the window by a quarter of the least round trip with a DSACK (step 4)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (tp.rack_dsack_inround && seqGt(tp.rack_dsack_round, tp.snd_una)) return;',
    replace: '',
    kills: ['unit/stack/tcp/rack.test.ts › widens it once a round (step 4)'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (tp.rack_reo_persist > 0 && --tp.rack_reo_persist === 0) tp.rack_reo_mult = 1;',
    replace: '',
    kills: ['unit/stack/tcp/rack.test.ts › is narrow again after sixteen recoveries without a DSACK (step 4)'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (!sentAfter(tp.rack_xmit_us, tp.rack_end_seq, s.xmit, s.end)) break;',
    replace: '',
    kills: [
      'unit/stack/tcp/rack.test.ts › orders segments of one instant by their sequence numbers (section 6.2 step 2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (left <= 0) rtxLost(tp, s, ack);',
    replace: 'if (false) rtxLost(tp, s, ack);',
    kills: [
      'unit/stack/tcp/rack.test.ts › does not wait for what was sent a reordering window before the latest delivered one (step 5)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (left <= 0) rtxLost(tp, s, ack);',
    replace: 'if (left <= 0 && (s.flags & SEG_REXMIT) === 0) rtxLost(tp, s, ack);',
    kills: [
      'unit/stack/tcp/rack.test.ts › finds a retransmission lost when something sent after it arrives (section 3.1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'const limit = tp.rack_rtt + reoWnd(tp);',
    replace: 'const limit = reoWnd(tp);',
    kills: [
      'unit/stack/tcp/rack.test.ts › waits a quarter of the least round trip where fewer are SACKed (steps 4 and 5)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'tp.st.wheel.arm(tp.t_rack, us);',
    replace: '',
    kills: [
      'unit/stack/tcp/rack.test.ts › counts a segment lost by the timer as a loss like another: one reduction (step 5)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '  if (sackOn) {\n    if (rackOn(tp))',
    replace: '  if (true) {\n    if (rackOn(tp))',
    kills: [
      'unit/stack/tcp/congestion.test.ts › retransmits the next hole on a partial ACK and leaves recovery with cwnd at ssthresh (RFC 6582 section 3.2, RFC 9937)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '    rtxLost(tp, s, ack);\n  }\n  tp.rtx_hint = tp.rtx_head;',
    replace: '    if (s === tp.rtx_head) rtxLost(tp, s, ack);\n  }\n  tp.rtx_hint = tp.rtx_head;',
    kills: [
      'unit/stack/tcp/rack.test.ts › takes everything that is not SACKed for lost at a timeout (section 6.3 allows less)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'return (tp.t_flags & TF_SACK_PERMIT) !== 0 && tp.st.tune.tcp_rack !== 0;',
    replace: 'return (tp.t_flags & TF_SACK_PERMIT) !== 0;',
    kills: ['unit/stack/tcp/tlp.test.ts › does not go without SACK, nor with net.inet.tcp.tlp or net.inet.tcp.rack 0'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: '    tune.tcp_tlp === 0 ||\n',
    replace: '',
    kills: ['unit/stack/tcp/tlp.test.ts › does not go without SACK, nor with net.inet.tcp.tlp or net.inet.tcp.rack 0'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'pto = 2 * tp.srtt;',
    replace: 'pto = 3 * tp.srtt;',
    kills: ['unit/stack/tcp/tlp.test.ts › goes after two smoothed round trips (section 7.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'pto += tp.pipe <= tp.maxseg ? TLP_MAX_ACK_DELAY : 0;',
    replace: '',
    kills: [
      'unit/stack/tcp/tlp.test.ts › allows for a delayed ACK of 200 ms where one segment only is in flight (section 7.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'pto += tp.pipe <= tp.maxseg ? TLP_MAX_ACK_DELAY : 0;',
    replace: 'pto += tp.pipe < tp.maxseg >> 1 || tp.snd_datasegs === 1 ? TLP_MAX_ACK_DELAY : 0;',
    kills: [
      'unit/stack/tcp/tlp.test.ts › allows for it as well where small segments in flight make up no more than a full one (section 7.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (pto < floor) pto = floor;',
    replace: '',
    kills: ['unit/stack/tcp/tlp.test.ts › does not go sooner than net.inet.tcp.rexmit_min'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (pto >= rto) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/tlp.test.ts › takes no longer than the retransmission timeout, and goes in its place (section 7.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: '    (tp.t_flags & TF_FASTRECOVERY) !== 0 ||\n    tp.t_rtorecovery ||\n    tp.tlp_out ||\n    tp.snd_sacked !== 0 ||\n    tp.rtx_head === null ||\n    (tp.t_rack.armed && !tp.rack_tlp) ||',
    replace: '    tp.rtx_head === null ||',
    kills: [
      'unit/stack/tcp/tlp.test.ts › does not go in recovery',
      'unit/stack/tcp/tlp.test.ts › does not go while something is SACKed (section 7.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack-timer.ts',
    find: 'tp.tlp_rexmit = unsent <= 0 || tp.snd_wnd - off < Math.min(unsent, tp.maxseg);',
    replace: 'tp.tlp_rexmit = true;',
    kills: [
      'unit/stack/tcp/tlp.test.ts › sends new data where there is some and the window of the peer takes it (section 7.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack-timer.ts',
    find: 'tp.tlp_rexmit = unsent <= 0 || tp.snd_wnd - off < Math.min(unsent, tp.maxseg);',
    replace: 'tp.tlp_rexmit = unsent <= 0;',
    kills: [
      'unit/stack/tcp/tlp.test.ts › sends the last segment again where the window of the peer takes no more (section 7.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rack-timer.ts',
    find: '  st.wheel.arm(tp.t_rexmt, tp.t_rxtcur);\n}',
    replace: '}',
    kills: ['unit/stack/tcp/tlp.test.ts › is one a flight: the timeout follows, counted from the probe (section 7.3)'],
  },
  {
    file: 'src/stack/tcp/tcp-rack-timer.ts',
    find: '  tp.snd_cwnd = cwnd;\n',
    replace: '',
    kills: ['unit/stack/tcp/tlp.test.ts › leaves the congestion window as it is (section 7.3)'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'tp.st.cnt[tcps.tcps_tlp_repaired]!++;\n  return true;',
    replace: 'tp.st.cnt[tcps.tcps_tlp_repaired]!++;\n  return false;',
    kills: ['unit/stack/tcp/tlp.test.ts › reduces the window once, when data after it is acknowledged'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (!tp.tlp_rexmit || th_ack === tp.tlp_end_seq) return false;',
    replace: 'if (th_ack === tp.tlp_end_seq) return false;',
    kills: ['unit/stack/tcp/tlp.test.ts › is none when the probe was new data (section 7.4.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-sack.ts',
    find: 'if (tp.tlp_out && tp.tlp_rexmit && end === tp.tlp_end_seq) tp.tlp_out = false;',
    replace: '',
    kills: ['unit/stack/tcp/tlp.test.ts › is none when a DSACK tells that the probe was not needed (case 1)'],
  },
  {
    file: 'src/stack/tcp/tcp-rack.ts',
    find: 'if (tp.tlp_rexmit && th_ack === tp.tlp_end_seq && !dup) return false;',
    replace: 'if (tp.tlp_rexmit && th_ack === tp.tlp_end_seq) return false;',
    kills: [
      'unit/stack/tcp/tlp.test.ts › is none when a duplicate ACK answers the probe where the peer sends no DSACK (case 2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '    tlpSchedule(tp);\n',
    replace: '',
    kills: ['unit/stack/tcp/tlp.test.ts › starts anew with each ACK that advances, and with new data (section 7.2)'],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (rackOn(tp)) rackWait(tp, rackDetectLoss(tp, a));',
    replace: 'if (rackOn(tp)) rackWait(tp, 0);',
    kills: ['unit/stack/tcp/tlp.test.ts › shows losses by the SACK that answers it (section 7.4.1)'],
  },
];
