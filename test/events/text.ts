/** Segments in ESTABLISHED and the states after it: ACK, text and FIN (RFC 9293 section 3.10.7.4, fifth, seventh and eighth check). */
import { type EventRow, RECEIVING, SYNCHRONISED, WHERE_WE_ARE } from './row.ts';

const NOT_TIME_WAIT = SYNCHRONISED.filter((s) => s !== 'TIME-WAIT');

export const ack: readonly EventRow[] = [
  {
    clause: '3.10.7.4 fifth: the ACK bit is off',
    states: SYNCHRONISED,
    event: '<SEQ=RCV.NXT><CTL=>',
    expect: {},
  },
  {
    clause: '3.10.7.4 fifth: the ACK bit is off, with text and FIN',
    states: SYNCHRONISED,
    event: '<SEQ=RCV.NXT><CTL=FIN><LEN=5>',
    expect: {},
  },
  {
    clause: '3.10.7.4 fifth: what is in flight is acknowledged',
    states: ['ESTABLISHED', 'CLOSE-WAIT'],
    given: 'in flight',
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=ACK>',
    expect: { queued: 0 },
  },
  {
    clause: '3.10.7.4 fifth: a part of it',
    states: ['ESTABLISHED', 'CLOSE-WAIT', 'FIN-WAIT-1', 'CLOSING', 'LAST-ACK'],
    given: 'in flight',
    event: '<SEQ=RCV.NXT><ACK=SND.UNA+4><CTL=ACK>',
    expect: { queued: 6 },
  },
  {
    clause: '3.10.7.4 fifth: all but the FIN',
    states: ['FIN-WAIT-1', 'CLOSING', 'LAST-ACK'],
    given: 'in flight',
    event: '<SEQ=RCV.NXT><ACK=SND.NXT-1><CTL=ACK>',
    expect: { queued: 0 },
  },
  {
    clause: '3.10.7.4 fifth: a duplicate is ignored',
    states: ['ESTABLISHED', 'CLOSE-WAIT', 'FIN-WAIT-1', 'CLOSING', 'LAST-ACK'],
    given: 'in flight',
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK>',
    expect: {},
  },
  {
    clause: '3.10.7.4 fifth: an old one, not older than a window, is ignored',
    states: NOT_TIME_WAIT,
    event: '<SEQ=RCV.NXT><ACK=SND.UNA-MAX.SND.WND><CTL=ACK>',
    expect: {},
  },
  {
    clause: '3.10.7.4 fifth: what comes with an old one, not older than a window, counts',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT><ACK=SND.UNA-MAX.SND.WND><CTL=ACK><LEN=5>',
    expect: { delivers: 5, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+5><CTL=ACK>'] },
  },
  {
    clause: '3.10.7.4 fifth, RFC 5961 section 5.2: SEG.ACK < SND.UNA - MAX.SND.WND',
    states: SYNCHRONISED,
    event: '<SEQ=RCV.NXT><ACK=SND.UNA-MAX.SND.WND-1><CTL=ACK>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 fifth, RFC 5961 section 5.2: what comes with it does not count',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT><ACK=SND.UNA-MAX.SND.WND-1><CTL=ACK><LEN=5>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 fifth, as RFC 793 had it (net.inet.tcp.insecure_ack 1): SEG.ACK < SND.UNA - MAX.SND.WND',
    states: RECEIVING,
    knobs: { tcp_insecure_ack: 1 },
    event: '<SEQ=RCV.NXT><ACK=SND.UNA-MAX.SND.WND-1><CTL=ACK><LEN=5>',
    expect: { delivers: 5, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+5><CTL=ACK>'] },
  },
  {
    clause: '3.10.7.4 fifth: SEG.ACK > SND.NXT',
    states: SYNCHRONISED,
    event: '<SEQ=RCV.NXT><ACK=SND.NXT+1><CTL=ACK>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 fifth: what comes with SEG.ACK > SND.NXT does not count',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT><ACK=SND.NXT+1><CTL=FIN,ACK><LEN=5>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 fifth, FIN-WAIT-1: our FIN is acknowledged',
    states: ['FIN-WAIT-1'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=ACK>',
    expect: { state: 'FIN-WAIT-2' },
  },
  {
    clause: '3.10.7.4 fifth, CLOSING: our FIN is acknowledged',
    states: ['CLOSING'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=ACK>',
    expect: { state: 'TIME-WAIT', signals: ['closed'] },
  },
  {
    clause: '3.10.7.4 fifth, LAST-ACK: our FIN is acknowledged',
    states: ['LAST-ACK'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=ACK>',
    expect: { state: 'CLOSED', signals: ['closed'] },
  },
  {
    clause: '3.10.7.4 fifth, TIME-WAIT: the last ACK comes again',
    states: ['TIME-WAIT'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=ACK>',
    expect: {},
  },
  {
    clause: '3.10.7.4 fifth, TIME-WAIT: the FIN comes again',
    states: ['TIME-WAIT'],
    event: '<SEQ=RCV.NXT-1><ACK=SND.NXT><CTL=FIN,ACK>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 fifth: the window of a newer segment',
    states: ['ESTABLISHED', 'CLOSE-WAIT'],
    given: 'SND.WND=0',
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><WND=10>',
    expect: { sends: ['<SEQ=SND.UNA><ACK=RCV.NXT><CTL=ACK><LEN=10>'] },
  },
  {
    clause: '3.10.7.4 fifth: no more than the window takes',
    states: ['ESTABLISHED', 'CLOSE-WAIT'],
    given: 'SND.WND=0',
    event: ['<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><WND=4>', 'wait 5.1'],
    expect: { sends: ['<SEQ=SND.UNA><ACK=RCV.NXT><CTL=ACK><LEN=4>'] },
    choice: 'Silly windows',
  },
  {
    clause: '3.10.7.4 fifth: a smaller window in a segment with the same numbers as the last',
    states: ['ESTABLISHED'],
    opened: 'passive',
    event: ['<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><WND=4>', 'send 10'],
    expect: { sends: ['<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK><LEN=10>'] },
    choice: 'Window updates',
  },
];

export const urgent: readonly EventRow[] = [
  {
    clause: '3.10.7.4 sixth: the user is told before the text',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=URG,ACK><UP=5><LEN=5>',
    expect: { signals: ['urgent 5'], delivers: 5, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+5><CTL=ACK>'] },
  },
  {
    clause: '3.10.7.4 sixth: the pointer goes before its text (MUST-62), and is told once',
    states: RECEIVING,
    event: [
      '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=URG,ACK><UP=15>',
      '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=URG,ACK><UP=15><LEN=5>',
      '<SEQ=RCV.NXT+5><ACK=SND.UNA><CTL=URG,ACK><UP=10><LEN=10>',
    ],
    expect: { signals: ['urgent 15'], delivers: 15, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+15><CTL=ACK>'] },
  },
  {
    clause: '3.10.7.4 sixth: a pointer further ahead of a user who reads urgent data already',
    states: ['ESTABLISHED'],
    event: ['<SEQ=RCV.NXT><ACK=SND.UNA><CTL=URG,ACK><UP=15>', '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=URG,ACK><UP=20>'],
    expect: { signals: ['urgent 15'] },
  },
  {
    clause: '3.10.7.4 sixth: a pointer that is not in advance of what was received',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT-5><ACK=SND.UNA><CTL=URG,ACK><UP=5><LEN=5>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 sixth, MUST-66: with the window shut',
    states: RECEIVING,
    given: 'RCV.WND=0',
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=URG,ACK><UP=5>',
    expect: { signals: ['urgent 1005'] },
  },
  {
    clause: '3.10.7.4 sixth: of a segment behind a gap',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT+5><ACK=SND.UNA><CTL=URG,ACK><UP=5><LEN=5>',
    expect: { signals: ['urgent 10'], sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 sixth: ignored after the FIN',
    states: ['CLOSE-WAIT', 'CLOSING', 'LAST-ACK'],
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=URG,ACK><UP=5>',
    expect: {},
  },
  {
    clause: '3.10.7.4 fifth: ignored with an ACK of what was not sent',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT><ACK=SND.NXT+1><CTL=URG,ACK><UP=5>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.3 fourth: with text, which goes on at the sixth step',
    states: ['SYN-SENT'],
    event: '<SEQ=0><ACK=SND.NXT><CTL=SYN,URG,ACK><UP=6><LEN=5>',
    expect: {
      state: 'ESTABLISHED',
      signals: ['connected', 'urgent 5'],
      delivers: 5,
      sends: ['<SEQ=SND.NXT><ACK=SEG.SEQ+6><CTL=ACK>'],
    },
  },
  {
    clause: '3.10.2 SEND: the pointer is that of the byte behind what is urgent (MUST-62)',
    states: ['ESTABLISHED', 'CLOSE-WAIT'],
    event: 'urgent 10',
    expect: { returns: 10, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><LEN=10><UP=10>'] },
  },
  {
    clause: '3.10.2 SEND: queued until ESTABLISHED',
    states: ['SYN-SENT'],
    event: ['urgent 10', '<SEQ=0><ACK=SND.NXT><CTL=SYN,ACK>'],
    expect: {
      state: 'ESTABLISHED',
      signals: ['connected'],
      sends: ['<SEQ=SND.NXT><ACK=SEG.SEQ+1><CTL=URG,ACK><LEN=10><UP=10>'],
    },
  },
  {
    clause: '3.8.5: Nagle does not hold it back',
    states: ['ESTABLISHED'],
    given: 'in flight',
    event: ['send 1', 'urgent 4'],
    expect: { sends: ['<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><LEN=5><UP=5>'] },
  },
  {
    clause: '3.8.5: over several segments (MUST-31)',
    states: ['ESTABLISHED'],
    event: 'urgent 1200',
    expect: {
      sends: [
        '<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><LEN=500><UP=1200>',
        '<SEQ=SND.NXT+500><ACK=RCV.NXT><CTL=URG,ACK><LEN=500><UP=700>',
        '<SEQ=SND.NXT+1000><ACK=RCV.NXT><CTL=URG,ACK><LEN=200><UP=200>',
      ],
    },
  },
  {
    clause: '3.8.5: what follows is not urgent',
    states: ['ESTABLISHED'],
    event: ['urgent 10', '<SEQ=RCV.NXT><ACK=SND.NXT+10><CTL=ACK>', 'send 5'],
    expect: {
      sends: [
        '<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><LEN=10><UP=10>',
        '<SEQ=SND.NXT+10><ACK=RCV.NXT><CTL=ACK><LEN=5>',
      ],
    },
  },
  {
    clause: '3.8.5: into a window that is shut the pointer goes alone, and with the probe',
    states: ['ESTABLISHED'],
    given: 'SND.WND=0',
    event: ['urgent 5', 'wait 5.1'],
    expect: {
      sends: [
        '<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><UP=15>',
        '<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><LEN=1><UP=15>',
      ],
    },
  },
  {
    clause: '3.8.5: it goes again with the pointer',
    states: ['ESTABLISHED'],
    knobs: { tcp_tlp: 0 },
    event: ['urgent 10', 'wait 0.8'],
    expect: {
      sends: [
        '<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><LEN=10><UP=10>',
        '<SEQ=SND.NXT><ACK=RCV.NXT><CTL=URG,ACK><LEN=10><UP=10>',
      ],
    },
  },
];

export const text: readonly EventRow[] = [
  {
    clause: '3.10.7.4 seventh: text in sequence',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><LEN=5>',
    expect: { delivers: 5, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+5><CTL=ACK>'] },
  },
  {
    clause: '3.10.7.4 seventh: text with the ACK of our FIN',
    states: ['FIN-WAIT-1'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=ACK><LEN=5>',
    expect: { state: 'FIN-WAIT-2', delivers: 5, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+5><CTL=ACK>'] },
  },
  {
    clause: '3.10.7.4 seventh: two segments are answered as one (MUST-58)',
    states: RECEIVING,
    event: ['<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><LEN=5>', '<SEQ=RCV.NXT+5><ACK=SND.UNA><CTL=ACK><LEN=5>'],
    expect: { delivers: 10, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+10><CTL=ACK>'] },
    choice: 'Delayed ACKs',
  },
  {
    clause: '3.10.7.4 seventh: text after the FIN is ignored',
    states: ['CLOSE-WAIT', 'CLOSING', 'LAST-ACK'],
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><LEN=5>',
    expect: {},
    choice: 'Text after the FIN',
  },
  {
    clause: '3.10.7.4 seventh: text in TIME-WAIT is ignored',
    states: ['TIME-WAIT'],
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><LEN=5>',
    expect: { sends: [WHERE_WE_ARE] },
    choice: 'Text after the FIN',
  },
  {
    clause: '3.6.1, RFC 2525 section 2.17: text that nobody will read',
    states: ['FIN-WAIT-1', 'FIN-WAIT-2'],
    given: 'gone',
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><LEN=5>',
    expect: { state: 'CLOSED', sends: ['<SEQ=SEG.ACK><CTL=RST>'], signals: ['closed'] },
  },
  {
    clause: '3.8.6.2.2: the window opens when the user reads',
    states: RECEIVING,
    given: 'RCV.WND=0',
    event: 'receive',
    expect: { delivers: 1000, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK><WND=1000>'] },
  },
];

export const fin: readonly EventRow[] = [
  {
    clause: '3.10.7.4 eighth, ESTABLISHED',
    states: ['ESTABLISHED'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=FIN,ACK>',
    expect: { state: 'CLOSE-WAIT', sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+1><CTL=ACK>'], signals: ['end'] },
  },
  {
    clause: '3.10.7.4 eighth, FIN-WAIT-1: our FIN is not acknowledged',
    states: ['FIN-WAIT-1'],
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=FIN,ACK>',
    expect: { state: 'CLOSING', sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+1><CTL=ACK>'], signals: ['end'] },
  },
  {
    clause: '3.10.7.4 eighth, FIN-WAIT-1: our FIN is acknowledged by the same segment',
    states: ['FIN-WAIT-1'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=FIN,ACK>',
    expect: { state: 'TIME-WAIT', sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+1><CTL=ACK>'], signals: ['end', 'closed'] },
  },
  {
    clause: '3.10.7.4 eighth, FIN-WAIT-2',
    states: ['FIN-WAIT-2'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=FIN,ACK>',
    expect: { state: 'TIME-WAIT', sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+1><CTL=ACK>'], signals: ['end', 'closed'] },
  },
  {
    clause: '3.10.7.4 eighth: with text, which comes first',
    states: ['ESTABLISHED'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=FIN,ACK><LEN=5>',
    expect: { state: 'CLOSE-WAIT', delivers: 5, sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+6><CTL=ACK>'], signals: ['end'] },
  },
  {
    clause: '3.10.7.4 eighth: behind a gap it waits',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT+5><ACK=SND.UNA><CTL=FIN,ACK><LEN=5>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 eighth: alone behind a gap it waits',
    states: RECEIVING,
    event: '<SEQ=RCV.NXT+5><ACK=SND.UNA><CTL=FIN,ACK>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 eighth: until the gap closes',
    states: ['ESTABLISHED'],
    event: ['<SEQ=RCV.NXT+5><ACK=SND.UNA><CTL=FIN,ACK><LEN=5>', '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=ACK><LEN=5>'],
    expect: {
      state: 'CLOSE-WAIT',
      delivers: 10,
      sends: [WHERE_WE_ARE, '<SEQ=SND.NXT><ACK=RCV.NXT+11><CTL=ACK>'],
      signals: ['end'],
    },
  },
  {
    clause: '3.10.7.4 eighth: at the edge of a window that the text before it fills',
    states: ['ESTABLISHED'],
    event: '<SEQ=RCV.NXT><ACK=SND.NXT><CTL=FIN,ACK><LEN=RCV.WND>',
    expect: {
      state: 'CLOSE-WAIT',
      delivers: 1000,
      sends: ['<SEQ=SND.NXT><ACK=RCV.NXT+RCV.WND+1><CTL=ACK>'],
      signals: ['end'],
    },
    choice: 'The right edge of the window',
  },
  {
    clause: '3.10.7.4 first and eighth: the FIN comes again',
    states: ['CLOSE-WAIT', 'CLOSING', 'LAST-ACK'],
    event: '<SEQ=RCV.NXT-1><ACK=SND.UNA><CTL=FIN,ACK>',
    expect: { sends: [WHERE_WE_ARE] },
  },
  {
    clause: '3.10.7.4 eighth, CLOSE-WAIT, CLOSING, LAST-ACK: a second FIN at another number',
    states: ['CLOSE-WAIT', 'CLOSING', 'LAST-ACK'],
    event: '<SEQ=RCV.NXT><ACK=SND.UNA><CTL=FIN,ACK>',
    expect: {},
    choice: 'Text after the FIN',
  },
  {
    clause: '3.10.7.4 eighth, TIME-WAIT: the 2 MSL begin again',
    states: ['TIME-WAIT'],
    event: ['wait 50', '<SEQ=RCV.NXT-1><ACK=SND.NXT><CTL=FIN,ACK>', 'wait 50'],
    expect: { sends: [WHERE_WE_ARE] },
  },
];
