/**
 * Segments that came before the ones they follow: kept as the frames they arrived in, sorted by sequence number, and given to
 * the user once the gap closes (RFC 9293 section 3.10.7.4). Bounded by segments (net.inet.tcp.reass.maxqueuelen), by the
 * frames that the receive buffer may cost and, over all connections, by a share of them. Also the SACK blocks that tell the sender (RFC 2018 section 4).
 */
import { tcps } from '../../metrics/layout.ts';
import { FRAME_SIZE } from '../../rings/link.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Stack } from '../stack.ts';
import { seqGeq, seqGt, seqLeq, seqLt } from './seq.ts';
import { MAX_SACK_BLKS, type Tcpcb, TF_SACK_PERMIT } from './tcpcb.ts';

/** How long the first segment of a queue waits at the least before the queue may be given up for another, µs: several timeouts of a sender. */
const PATIENCE_US = 1e6;
/** Most segments that `t_ackquick` counts. */
const ACKQUICK_MAX = 65535;

/**
 * Queues the segment `m` (`m.pos` and `m.len` are its payload, `seq` its first byte). Overlaps are cut from the newcomer; what
 * is wholly held already is freed. Takes `m` in every case.
 */
export function tcpReassInsert(tp: Tcpcb, m: Mbuf, seqIn: number): void {
  const st = tp.st;
  const cnt = st.cnt;
  let seq = seqIn;
  if (tp.t_segqlen >= st.tune.tcp_reass_maxqueuelen || costsTooMuch(tp)) {
    cnt[tcps.tcps_reassfull]!++;
    notKept(tp, 1);
    st.pool.put(m);
    return;
  }
  if (st.tcp.reassFrames >= reassLimit(st) && !makeRoom(tp)) {
    cnt[tcps.tcps_rcvmemdrop]!++;
    notKept(tp, 1);
    st.pool.put(m);
    return;
  }
  // What comes behind a gap mostly follows what came last.
  let prev: Mbuf | null = tp.t_seglast;
  if (prev !== null && seqGt(prev.seq, seq)) prev = null;
  let q = prev === null ? tp.t_segq : prev.nextpkt;
  while (q !== null && seqLeq(q.seq, seq)) {
    prev = q;
    q = q.nextpkt;
  }
  if (prev !== null) {
    const overlap = (prev.seq + prev.seglen - seq) | 0;
    if (overlap > 0) {
      if (overlap >= m.len) {
        dup(tp, m.len, m.len);
        noteDsack(tp, seq, (seq + m.len) | 0);
        // The block that it lies in comes second (RFC 2883 section 4.2).
        if (tp.t_flags & TF_SACK_PERMIT) updateSackList(tp, seq, (seq + m.len) | 0);
        st.pool.put(m);
        return;
      }
      dup(tp, overlap, m.len);
      noteDsack(tp, seq, (seq + overlap) | 0);
      m.pos += overlap;
      m.len -= overlap;
      seq = (seq + overlap) | 0;
    }
  }
  // Followers that the newcomer covers go; one that it overlaps loses its head.
  while (q !== null) {
    const overlap = (seq + m.len - q.seq) | 0;
    if (overlap <= 0) break;
    noteDsack(tp, q.seq, (q.seq + (overlap < q.seglen ? overlap : q.seglen)) | 0);
    if (overlap < q.seglen) {
      q.seq = (q.seq + overlap) | 0;
      q.seglen -= overlap;
      q.pos += overlap;
      q.len -= overlap;
      tp.t_segqbytes -= overlap;
      cnt[tcps.tcps_rcvpartduppack]!++;
      cnt[tcps.tcps_rcvpartdupbyte]! += overlap;
      break;
    }
    const next: Mbuf | null = q.nextpkt;
    if (prev === null) tp.t_segq = next;
    else prev.nextpkt = next;
    if (--tp.t_segqlen === 0) delist(tp);
    st.tcp.reassFrames--;
    tp.t_segqbytes -= q.seglen;
    cnt[tcps.tcps_rcvduppack]!++;
    cnt[tcps.tcps_rcvdupbyte]! += q.seglen;
    st.pool.put(q);
    q = next;
  }
  m.seq = seq;
  m.seglen = m.len;
  m.time = st.clock.us;
  m.nextpkt = q;
  if (prev === null) tp.t_segq = m;
  else prev.nextpkt = m;
  tp.t_seglast = m;
  if (tp.t_segqlen++ === 0) enlist(tp);
  st.tcp.reassFrames++;
  tp.t_segqbytes += m.len;
  tp.rcv_oopack++;
  cnt[tcps.tcps_rcvoopack]!++;
  cnt[tcps.tcps_rcvoobyte]! += m.len;
  if (tp.t_flags & TF_SACK_PERMIT) updateSackList(tp, seq, (seq + m.len) | 0);
}

/**
 * A queue of segments that carry next to nothing holds whole frames: their cost is bounded by the receive buffer's size, times
 * kern.ipc.sockbuf_waste_factor (BSD's sb_mbmax).
 */
function costsTooMuch(tp: Tcpcb): boolean {
  const most = tp.t_socket!.so_rcv.sb_hiwat * tp.st.tune.ipc_sockbuf_waste_factor;
  return (tp.t_segqlen + 1) * FRAME_SIZE > most;
}

/** Frames that all queues of the shard may hold: a quarter, so that what waits for a gap does not starve what closes it, or fewer. */
function reassLimit(st: Stack): number {
  const quarter = st.pool.count >> 2;
  const set = st.tune.tcp_reass_maxsegments;
  return set !== 0 && set < quarter ? set : quarter;
}

/**
 * The frames for queues are used up. The connection whose gap has been open longest gives its queue up, which the peer has to send again
 * (RFC 2018 section 8 allows it), if it has its share and the one that asks has not, and its first segment has waited longer than any repair
 * takes: who keeps gaps open on purpose is the first to lose them. Of what a peer in the middle of a repair knows to be here nothing is given up: it
 * would have to begin anew, with a window of one segment.
 */
function makeRoom(tp: Tcpcb): boolean {
  const { tcp, clock } = tp.st;
  const victim = tcp.reassHead;
  if (victim === null || victim === tp) return false;
  const share = tcp.reassFrames / tcp.reassHolders;
  const fresh = ((clock.us - victim.t_segq!.time) | 0) < PATIENCE_US;
  if (fresh || victim.t_segqlen < share || tp.t_segqlen >= share) {
    // Not this one, then; next time another is looked at.
    delist(victim);
    enlist(victim);
    return false;
  }
  tcpReassPrune(victim);
  return true;
}

/** Gives the queue up, to be sent again. */
export function tcpReassPrune(tp: Tcpcb): void {
  tp.st.cnt[tcps.tcps_reasspruned]! += tp.t_segqlen;
  notKept(tp, tp.t_segqlen);
  tcpReassFlush(tp);
}

/**
 * `n` segments behind a gap were not kept. They come again in order, when nothing shows the gap any more, and are to be acknowledged at once as what
 * closes one is (RFC 5681 section 4.2): the sender may have fallen back to one segment at a time.
 */
function notKept(tp: Tcpcb, n: number): void {
  tp.t_ackquick = Math.min(tp.t_ackquick + n, ACKQUICK_MAX);
}

function enlist(tp: Tcpcb): void {
  const { tcp } = tp.st;
  tcp.reassHolders++;
  tp.t_reassprev = tcp.reassTail;
  tp.t_reassnext = null;
  if (tcp.reassTail === null) tcp.reassHead = tp;
  else tcp.reassTail.t_reassnext = tp;
  tcp.reassTail = tp;
}

function delist(tp: Tcpcb): void {
  const { tcp } = tp.st;
  const { t_reassprev: prev, t_reassnext: next } = tp;
  tcp.reassHolders--;
  if (prev === null) tcp.reassHead = next;
  else prev.t_reassnext = next;
  if (next === null) tcp.reassTail = prev;
  else next.t_reassprev = prev;
  tp.t_reassprev = null;
  tp.t_reassnext = null;
}

function dup(tp: Tcpcb, bytes: number, of: number): void {
  const cnt = tp.st.cnt;
  if (bytes >= of) {
    cnt[tcps.tcps_rcvduppack]!++;
    cnt[tcps.tcps_rcvdupbyte]! += bytes;
  } else {
    cnt[tcps.tcps_rcvpartduppack]!++;
    cnt[tcps.tcps_rcvpartdupbyte]! += bytes;
  }
}

/** The first queued segment if it continues the stream at rcv_nxt, taken off the queue; null when there is still a gap. */
export function tcpReassNext(tp: Tcpcb): Mbuf | null {
  const st = tp.st;
  for (;;) {
    const q = tp.t_segq;
    if (q === null || seqGt(q.seq, tp.rcv_nxt)) return null;
    tp.t_segq = q.nextpkt;
    if (tp.t_seglast === q) tp.t_seglast = null;
    q.nextpkt = null;
    if (--tp.t_segqlen === 0) delist(tp);
    st.tcp.reassFrames--;
    tp.t_segqbytes -= q.seglen;
    const skip = (tp.rcv_nxt - q.seq) | 0;
    if (skip < q.seglen) {
      q.pos += skip;
      q.len -= skip;
      return q;
    }
    st.pool.put(q);
  }
}

/** Frees the queue. */
export function tcpReassFlush(tp: Tcpcb): void {
  let q = tp.t_segq;
  while (q !== null) {
    const next: Mbuf | null = q.nextpkt;
    tp.st.pool.put(q);
    q = next;
  }
  tp.st.tcp.reassFrames -= tp.t_segqlen;
  if (tp.t_segqlen > 0) delist(tp);
  tp.t_segq = null;
  tp.t_seglast = null;
  tp.t_segqlen = 0;
  tp.t_segqbytes = 0;
  tp.rcv_numsacks = 0;
}

/**
 * Puts the block that holds `start..end` first, joined with those it touches, the others behind it in the order they were
 * (RFC 2018 section 4: the first block is the one that the latest segment belongs to).
 */
export function updateSackList(tp: Tcpcb, startIn: number, endIn: number): void {
  const b = tp.sackblks;
  let start = startIn;
  let end = endIn;
  let kept = 0;
  const n = tp.rcv_numsacks;
  for (let i = 0; i < n; i++) {
    const s = b[2 * i]!;
    const e = b[2 * i + 1]!;
    if (seqGeq(s, e) || seqLeq(e, tp.rcv_nxt)) continue;
    if (seqLeq(s, end) && seqGeq(e, start)) {
      if (seqLt(s, start)) start = s;
      if (seqGt(e, end)) end = e;
    } else {
      b[2 * kept] = s;
      b[2 * kept + 1] = e;
      kept++;
    }
  }
  if (kept === MAX_SACK_BLKS) kept--;
  b.copyWithin(2, 0, 2 * kept);
  b[0] = start;
  b[1] = end;
  tp.rcv_numsacks = kept + 1;
}

/**
 * [start, end) came twice: the first block of the next ACK says so (RFC 2883 section 4). One ACK reports one such range, the first,
 * with what follows it without a gap.
 */
export function noteDsack(tp: Tcpcb, start: number, end: number): void {
  if ((tp.t_flags & TF_SACK_PERMIT) === 0) return;
  if (!tp.dsack_due) {
    tp.dsack_due = true;
    tp.dsack_start = start;
    tp.dsack_end = end;
  } else if (start === tp.dsack_end) {
    tp.dsack_end = end;
  }
}

/** Forgets the blocks that rcv_nxt has passed. */
export function cleanSackReport(tp: Tcpcb): void {
  const b = tp.sackblks;
  let kept = 0;
  for (let i = 0; i < tp.rcv_numsacks; i++) {
    const e = b[2 * i + 1]!;
    if (seqLeq(e, tp.rcv_nxt)) continue;
    b[2 * kept] = b[2 * i]!;
    b[2 * kept + 1] = e;
    kept++;
  }
  tp.rcv_numsacks = kept;
}
