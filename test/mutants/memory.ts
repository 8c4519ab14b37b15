/** Limits on memory: clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const memoryMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: 'tcp_reass_maxqueuelen || costsTooMuch(tp)) {',
    replace: 'tcp_reass_maxqueuelen) {',
    kills: [
      'unit/stack/tcp/memory.test.ts › hold no more frames than eight times the receive buffer (kern.ipc.sockbuf_waste_factor), and the gap still closes',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: 'if (st.tcp.reassFrames >= reassLimit(st) && !makeRoom(tp)) {',
    replace: 'if (false) {',
    kills: ['unit/stack/tcp/memory.test.ts › are bounded over all connections by net.inet.tcp.reass.maxsegments'],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: '  if (fresh || victim.t_segqlen < share || tp.t_segqlen >= share) {',
    replace: '  if (true) {',
    kills: [
      'unit/stack/tcp/memory.test.ts › of many connections hold a quarter of the frames, and give way to one that holds less',
      'unit/stack/tcp/memory.test.ts › that gave way may come again, and are taken',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-reass.ts',
    find: 'if (fresh || ',
    replace: 'if (',
    kills: [
      'unit/stack/tcp/memory.test.ts › are not given up before they have waited for a second, in which every sender repairs what it has lost',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (tp.t_ackquick > 0) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/memory.test.ts › that were not kept are acknowledged at once when they come again, one by one (RFC 5681 section 4.2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: 'tp.snd_numholes >= tune.tcp_sack_maxholes ||',
    replace: '',
    kills: [
      'unit/stack/tcp/memory.test.ts › has no more than net.inet.tcp.sack.maxholes holes; what is beyond is counted, and the rest goes on',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-rtxq.ts',
    find: '|| tcp.sackHoles >= tune.tcp_sack_globalmaxholes',
    replace: '',
    kills: [
      'unit/stack/tcp/memory.test.ts › has holes within net.inet.tcp.sack.globalmaxholes, all connections together, and gives them back when it ends',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '((tp.t_flags & TF_NODELAY) !== 0 && !rtxFull(tp))',
    replace: '(tp.t_flags & TF_NODELAY) !== 0',
    kills: [
      'unit/stack/tcp/memory.test.ts › cannot make the scoreboard cost more than its send buffer: then small segments wait as with Nagle',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '    if (!so.canTake(tlen)) {',
    replace: '    if (false) {',
    kills: [
      'unit/stack/tcp/memory.test.ts › are bounded when nobody reads; what is dropped was not acknowledged, and comes again',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'if (head === null || seqGt(head.seq, tp.rcv_nxt) || so.canTake(head.len)) return',
    replace: 'if (head !== undefined) return',
    kills: ['unit/stack/tcp/memory.test.ts › give up what waits behind a gap where what closes it finds no memory'],
  },
  {
    file: 'src/stack/socket/sockbuf.ts',
    find: 'this.#mem !== null && this.#mem.tight ? this.#owned : this.sb_hiwat',
    replace: 'this.sb_hiwat',
    kills: [
      'unit/stack/tcp/memory.test.ts › let a sender queue its own part and no more, and go on as it is acknowledged',
      'unit/stack/tcp/memory.test.ts › bound what applications queue for a peer that does not read',
    ],
  },
  {
    file: 'src/stack/socket/sockbuf.ts',
    find: 'const least = cap > FIRST_ALLOC ? cap : FIRST_ALLOC;',
    replace: 'const least = cap;',
    kills: [
      'unit/stack/tcp/memory.test.ts › let a sender queue its own part and no more, and go on as it is acknowledged',
    ],
  },
];
