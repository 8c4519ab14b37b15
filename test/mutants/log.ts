/** What reads, sums up, exports and joins logs (spec/siftr.md sections 3, 7, 9, 13 and 16): rules to switch off. */
import type { Mutant } from './mutants.ts';

const LINES = 'unit/log/siftr-lines.test.ts';
const SUMMARY = 'unit/log/summary.test.ts';
const JOIN = 'unit/log/join.test.ts';

export const logMutants: readonly Mutant[] = [
  {
    file: 'src/log/read/siftr-lines.ts',
    find: 'ssthresh: v[0] === TCP_MAXWINDOW ? Infinity : v[0]!,',
    replace: 'ssthresh: v[0]!,',
    kills: [`${LINES} › the data line of siftr(4) gives its 27 fields under their names (spec section 3)`],
  },
  {
    file: 'src/log/read/siftr-lines.ts',
    find: '1e6 / hz / scale :',
    replace: '1e6 / hz :',
    kills: [`${LINES} › 1.2.2 and 1.2.3: 25 fields, srtt and rto become microseconds by hz and tcp_rtt_scale`],
  },
  {
    file: 'src/log/read/siftr-lines.ts',
    find: 'const cwnd = v[1] === TCP_MAXWINDOW && v[7]! < TCPS_ESTABLISHED ? null : v[1]!;',
    replace: 'const cwnd = v[1]!;',
    kills: [`${LINES} › the window of SYN_SENT, which congestion control has not set yet, is not known`],
  },
  {
    // TEACUP's ERTT is no flow id.
    file: 'src/log/read/siftr-lines.ts',
    find: 'k === NUMBERS ? v[19]! : null,',
    replace: 'v[19]!,',
    kills: [
      `${LINES} › 1.2.4: a 26th field, and a 27th and 28th for the flow; of 27 the last is the ERTT of TEACUP, which can be -1`,
    ],
  },
  {
    file: 'src/log/read/siftr-lines.ts',
    find: "if (!kv.has('flow_list')) return broken(n, 'a disable line without its flow_list');",
    replace: '',
    kills: [`${LINES} › a disable line that was cut before its flow_list is none: its last number may lack digits`],
  },
  {
    file: 'src/log/read/siftr-lines.ts',
    find: "Math.max(list + FLOW_LIST.length, text.lastIndexOf(',') + 1)",
    replace: 'text.length',
    kills: [`${LINES} › a last line that was cut is reported and not read; of a disable line what is there is`],
  },
  {
    file: 'src/log/read/lines.ts',
    find: 'const limit = isDisable(head, 0, head.length)',
    replace: 'const limit = isDisable(chunk, from, to)',
    kills: [`${LINES} › a long disable line is one wherever the text is cut into pieces, also within what tells it`],
  },
  {
    file: 'src/log/open.ts',
    find: "if (chunk !== null) items.push({ type: 'broken', line: this.#scanner.line, why: chunk.message });",
    replace: '',
    kills: ['unit/log/bytes.test.ts › that ends early gives what is there, and says where it ends'],
  },
  {
    // Linux does not tell the size of a segment.
    file: 'src/log/read/tcp-probe-lines.ts',
    find: "cwnd: known(n('snd_cwnd') * mss),",
    replace: "cwnd: known(n('snd_cwnd')),",
    kills: [
      'unit/log/linux-lines.test.ts › as tracefs has it: bytes and microseconds as the kernel prints them, windows in segments not without their size',
      'unit/log/linux-lines.test.ts › with the size of a segment, windows are bytes',
    ],
  },
  {
    file: 'src/log/read/ss-lines.ts',
    find: "inflight: known((words.has('unacked') ? n('unacked') : 0) * mss),",
    replace: "inflight: known(n('unacked') * mss),",
    kills: [
      'unit/log/linux-lines.test.ts › each socket of a poll is a sample at its time; windows in segments are times mss',
    ],
  },
  {
    // Section 7: lines = packets seen - packets skipped.
    file: 'src/log/summary/cycle-checks.ts',
    find: "if (rest < 0) return { result: 'failed',",
    replace: "if (rest < 0) return { result: 'unknown',",
    kills: [`${SUMMARY} › lines that are missing may have been left out by ppl; lines too many are a fault`],
  },
  {
    file: 'src/log/summary/cycle-checks.ts',
    find: 'meta.counts.suppressed + meta.counts.lost',
    replace: 'meta.counts.suppressed',
    kills: [`${SUMMARY} › with FILE.meta.json beside the log, what ppl left out is known`],
  },
  {
    file: 'src/log/summary/cycle-checks.ts',
    find: 'seen === c.total_tcp_pkts && ',
    replace: '',
    kills: [`${SUMMARY} › totals that are no sums, and flows that flow_list lacks, are faults`],
  },
  {
    file: 'src/log/summary/cycle-checks.ts',
    find: "result: disable.cut || this.#enable?.sysname === 'xsiftr'",
    replace: "result: this.#enable?.sysname === 'xsiftr'",
    kills: [`${SUMMARY} › where the log ends within flow_list, what the list lacks is no fault of it`],
  },
  {
    // Section 3: 0 is no sample yet.
    file: 'src/log/summary/flow-stats.ts',
    find: 's.srtt !== null && s.srtt > 0',
    replace: 's.srtt !== null',
    kills: [`${SUMMARY} › holds time, packets each way, least, mean and greatest values, thresholds, hints and states`],
  },
  {
    file: 'src/log/summary/flow-stats.ts',
    find: 'cwnd <= mss && this.#recovery !== 1;',
    replace: 'cwnd <= mss;',
    kills: [
      `${SUMMARY} › takes a window of one segment for a timeout where it is one: not in fast recovery, and not as the log begins`,
    ],
  },
  {
    file: 'src/log/export/columns.ts',
    find: '(s.ssthresh === Infinity ? null : s.ssthresh)',
    replace: '(s.ssthresh === Infinity ? 1073725440 : s.ssthresh)',
    kills: ['unit/log/export.test.ts › is read by DuckDB with the same values under the same names'],
  },
  {
    // Section 5.3: the handshake's ACK of a passive open finds no connection.
    file: 'src/log/join/flow.ts',
    find: "return role === 'plain' || role === 'early' || role === 'reset';",
    replace: "return role === 'plain' || role === 'early' || role === 'reset' || role === 'third';",
    kills: [
      `${JOIN} › are of what comes after the handshake, and of no reset that we send (spec/siftr.md section 5.3)`,
    ],
  },
  {
    file: 'src/log/join/flow.ts',
    find: 'this.#facts.first !== 0',
    replace: 'false',
    kills: [`${JOIN} › of a log that begins later than the connection, segments are not counted from the SYN`],
  },
  {
    // Section 5.3: the values of an `o` line are those before its segment.
    file: 'src/log/join/facts.ts',
    find: 'this.#after = modes',
    replace: 'this.#after = !modes',
    kills: [
      `${JOIN} › are of what comes after the handshake, and of no reset that we send (spec/siftr.md section 5.3)`,
      `${JOIN} › with hook:tcp begin with the ACK of the handshake, and say what they are themselves of (section 14 item 5)`,
    ],
  },
];
