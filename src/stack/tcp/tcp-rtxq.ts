/**
 * The sender's scoreboard: what was sent and is not acknowledged, a piece for what left at one time (RFC 6675 section 3, RFC 8985
 * section 5.1). The pieces cover [snd_una, snd_nxt) without a gap, in order of sequence numbers; those in flight are also on a
 * list in order of sending. Pieces are split where a SACK block or a retransmission ends inside one.
 *
 *   rtx_head                                     rtx_tail
 *   | sent again  | SACKED | LOST | SACKED       |     |
 *   snd_una                                            snd_nxt
 */
import { tcps } from '../../metrics/layout.ts';
import type { CcAck } from './cc/cc.ts';
import { ccLost } from './cc/glue.ts';
import { seqGt, seqLeq, seqLt } from './seq.ts';
import type { Tcp } from './tcp.ts';
import { plpAcked, plpLost } from './tcp-plpmtud.ts';
import type { Tcpcb } from './tcpcb.ts';

export const SEG_SACKED = 0x01;
/** Believed lost; with SEG_REXMIT it is under way again. */
export const SEG_LOST = 0x02;
/** A retransmission is in flight. */
export const SEG_REXMIT = 0x04;
/** Was sent more than once. */
export const SEG_EVER = 0x08;
/** Its last number is the FIN. */
export const SEG_FIN = 0x10;
/** Sent while the application had no more. */
export const SEG_APPLIMITED = 0x20;
/** A probe of the path MTU, sent once (tcp-plpmtud.ts). */
export const SEG_PROBE = 0x40;

/** Pieces grow to this much, so that splitting one stays cheap. */
const SEG_MAX = 64 * 1024;

/** What a piece costs beside its data, bytes, as an estimate: the object and its links. */
const SEG_COST = 192;

/**
 * The pieces cost as much as the send buffer may hold: an application that sends without Nagle, or a peer that splits the scoreboard, must
 * not make it larger. Then only full segments go until some are acknowledged, as with Nagle.
 */
export function rtxFull(tp: Tcpcb): boolean {
  return tp.snd_numsegs * SEG_COST >= tp.t_socket!.so_snd.sb_hiwat;
}

/** `n` runs of SACKed data more. */
function addHoles(tp: Tcpcb, n: number): void {
  tp.snd_numholes += n;
  tp.st.tcp.sackHoles += n;
}

/** No further run of SACKed data is noted (net.inet.tcp.sack.maxholes and globalmaxholes). */
function holesFull(tp: Tcpcb): boolean {
  const { tune, tcp } = tp.st;
  return tp.snd_numholes >= tune.tcp_sack_maxholes || tcp.sackHoles >= tune.tcp_sack_globalmaxholes;
}

/** A piece of the scoreboard. Times are clock.us. */
export class SndSeg {
  start = 0;
  end = 0;
  flags = 0;
  /** Last sent at. */
  xmit = 0;
  /** State of the connection when it was last sent (draft-ietf-ccwg-bbr section 4.1.1.2). */
  delivered = 0;
  deliveredUs = 0;
  firstSentUs = 0;
  txInFlight = 0;
  lostBefore = 0;
  next: SndSeg | null = null;
  prev: SndSeg | null = null;
  tnext: SndSeg | null = null;
  tprev: SndSeg | null = null;
  /** On the list in order of sending. */
  timed = false;
}

function timeUnlink(tp: Tcpcb, s: SndSeg): void {
  if (!s.timed) return;
  if (s.tprev === null) tp.ts_head = s.tnext;
  else s.tprev.tnext = s.tnext;
  if (s.tnext === null) tp.ts_tail = s.tprev;
  else s.tnext.tprev = s.tprev;
  s.tnext = null;
  s.tprev = null;
  s.timed = false;
}

/** Puts `s` back where its time of sending belongs. */
function timeInsert(tp: Tcpcb, s: SndSeg): void {
  let after = tp.ts_tail;
  while (after !== null && sentAfter(after.xmit, after.end, s.xmit, s.end)) after = after.tprev;
  if (after === tp.ts_tail) {
    timeAppend(tp, s);
    return;
  }
  const before = after === null ? tp.ts_head! : after.tnext!;
  s.tprev = after;
  s.tnext = before;
  before.tprev = s;
  if (after === null) tp.ts_head = s;
  else after.tnext = s;
  s.timed = true;
}

function timeAppend(tp: Tcpcb, s: SndSeg): void {
  s.tprev = tp.ts_tail;
  s.tnext = null;
  if (tp.ts_tail === null) tp.ts_head = s;
  else tp.ts_tail.tnext = s;
  tp.ts_tail = s;
  s.timed = true;
}

/** Notes the state of the connection with a piece that is sent now; `pipe` does not hold it yet. */
function stamp(tp: Tcpcb, s: SndSeg, bytes: number): void {
  const now = tp.st.clock.us;
  const pipe = tp.pipe;
  if (pipe === 0) {
    // A flight begins: what was before says nothing about its rate.
    tp.t_first_sent_us = now;
    tp.t_delivered_us = now;
  }
  s.xmit = now;
  s.delivered = tp.t_delivered;
  s.deliveredUs = tp.t_delivered_us;
  s.firstSentUs = tp.t_first_sent_us;
  s.txInFlight = pipe + bytes;
  s.lostBefore = tp.t_lost;
  if (tp.t_app_limited !== 0) s.flags |= SEG_APPLIMITED;
  else s.flags &= ~SEG_APPLIMITED;
}

/**
 * New data [snd_nxt, snd_nxt + len) goes out now; to be called before snd_nxt moves.
 * @param fin the last number of it is the FIN
 * @param again it was sent before a time when the scoreboard was given up
 */
export function rtxAppend(tp: Tcpcb, len: number, fin: boolean, again: boolean): void {
  const tail = tp.rtx_tail;
  const now = tp.st.clock.us;
  if (
    tail !== null &&
    tail.xmit === now &&
    (tail.flags & ~SEG_APPLIMITED) === 0 &&
    !again &&
    tail.timed &&
    ((tail.end - tail.start) | 0) < SEG_MAX
  ) {
    tail.end = (tail.end + len) | 0;
    tail.txInFlight += len;
    if (fin) tail.flags |= SEG_FIN;
    return;
  }
  const s = tp.st.tcp.takeSeg();
  tp.snd_numsegs++;
  s.start = tp.snd_nxt;
  s.end = (tp.snd_nxt + len) | 0;
  s.flags = (fin ? SEG_FIN : 0) | (again ? SEG_EVER : 0);
  stamp(tp, s, len);
  s.next = null;
  s.prev = tail;
  if (tail === null) tp.rtx_head = s;
  else tail.next = s;
  tp.rtx_tail = s;
  timeAppend(tp, s);
}

/** Cuts `s` in two at `at`, which lies inside it; `s` stays the first part. */
export function rtxSplit(tp: Tcpcb, s: SndSeg, at: number): void {
  const n = tp.st.tcp.takeSeg();
  tp.snd_numsegs++;
  if (s.flags & SEG_SACKED) addHoles(tp, 1);
  n.start = at;
  n.end = s.end;
  n.flags = s.flags;
  n.xmit = s.xmit;
  n.delivered = s.delivered;
  n.deliveredUs = s.deliveredUs;
  n.firstSentUs = s.firstSentUs;
  n.txInFlight = s.txInFlight;
  n.lostBefore = s.lostBefore;
  // The first part went before the second.
  s.txInFlight -= (n.end - at) | 0;
  s.end = at;
  s.flags &= ~SEG_FIN;
  n.prev = s;
  n.next = s.next;
  if (s.next === null) tp.rtx_tail = n;
  else s.next.prev = n;
  s.next = n;
  if (!s.timed) return;
  n.tprev = s;
  n.tnext = s.tnext;
  if (s.tnext === null) tp.ts_tail = n;
  else s.tnext.tprev = n;
  s.tnext = n;
  n.timed = true;
}

/** `s` goes out again now. */
export function rtxResent(tp: Tcpcb, s: SndSeg): void {
  const len = (s.end - s.start) | 0;
  // Its loss took it out of the pipe; a probe's original is in there still and stands for both.
  const waiting = (s.flags & (SEG_LOST | SEG_REXMIT)) === SEG_LOST;
  stamp(tp, s, len);
  if (waiting) tp.snd_lost -= len;
  s.flags = (s.flags & ~SEG_PROBE) | SEG_REXMIT | SEG_EVER;
  timeUnlink(tp, s);
  timeAppend(tp, s);
}

/** Marks `s` lost: it waits to be sent again. Nothing happens when it is SACKed, or waits already. */
export function rtxLost(tp: Tcpcb, s: SndSeg, ack: CcAck): void {
  if ((s.flags & SEG_SACKED) !== 0 || (s.flags & (SEG_LOST | SEG_REXMIT)) === SEG_LOST) return;
  rtxWaits(tp, s);
  if ((s.flags & SEG_PROBE) !== 0) {
    s.flags &= ~SEG_PROBE;
    plpLost(tp, ack.lost > 0);
    return;
  }
  const len = (s.end - s.start) | 0;
  tp.t_lost += len;
  ack.lost += len;
  if (tp.t_cc.lost === undefined) return;
  const l = tp.st.tcp.ccLost;
  l.start = s.start;
  l.bytes = len;
  l.txInFlight = s.txInFlight;
  l.rateLost = tp.t_lost - s.lostBefore;
  l.priorDelivered = s.delivered;
  l.isAppLimited = (s.flags & SEG_APPLIMITED) !== 0;
  ccLost(tp, l);
}

/** `s`, which is in flight, waits to be sent again; whether it is lost is not said. */
export function rtxWaits(tp: Tcpcb, s: SndSeg): void {
  const len = (s.end - s.start) | 0;
  s.flags = (s.flags | SEG_LOST) & ~SEG_REXMIT;
  tp.snd_lost += len;
  timeUnlink(tp, s);
  if (tp.rtx_hint === null || seqLt(s.start, tp.rtx_hint.start)) tp.rtx_hint = s;
}

/** The first piece that waits to be sent again, or null. */
export function rtxNextLost(tp: Tcpcb): SndSeg | null {
  if (tp.snd_lost === 0) return null;
  let s = tp.rtx_hint ?? tp.rtx_head;
  while (s !== null && (s.flags & (SEG_LOST | SEG_REXMIT | SEG_SACKED)) !== SEG_LOST) s = s.next;
  tp.rtx_hint = s;
  return s;
}

/** RACK's order of sending: later, or at the same time and further on (RFC 8985 section 6.2). */
export function sentAfter(xmit1: number, end1: number, xmit2: number, end2: number): boolean {
  const d = (xmit1 - xmit2) | 0;
  return d > 0 || (d === 0 && seqGt(end1, end2));
}

/** `s`, `len` bytes, is delivered (it was not SACKed before): takes it into the rate sample and RACK's state. */
function delivered(tp: Tcpcb, s: SndSeg, len: number, ack: CcAck): void {
  const now = tp.st.clock.us;
  tp.t_delivered += len;
  tp.t_delivered_us = now;
  ack.delivered += len;
  if ((s.flags & SEG_PROBE) !== 0) {
    s.flags &= ~SEG_PROBE;
    plpAcked(tp);
  }
  const rs = tp.st.tcp.rate;
  if (!rs.valid || sentAfter(s.xmit, s.end, rs.xmit, rs.end)) {
    rs.valid = true;
    rs.xmit = s.xmit;
    rs.end = s.end;
    rs.delivered = s.delivered;
    rs.deliveredUs = s.deliveredUs;
    rs.firstSentUs = s.firstSentUs;
    rs.txInFlight = s.txInFlight;
    rs.lostBefore = s.lostBefore;
    rs.appLimited = (s.flags & SEG_APPLIMITED) !== 0;
  }
  const rtt = (now - s.xmit) | 0;
  if ((s.flags & SEG_EVER) === 0) {
    // Karn: of what was sent once only. The latest sent of them is the freshest sample.
    if (ack.rtt < 0 || rtt < ack.rtt) ack.rtt = rtt;
    if (!rs.original || seqGt(s.end, rs.origEnd)) rs.origEnd = s.end;
    rs.original = true;
    // RFC 8985 section 6.2 step 3: an original that arrives below what arrived before was overtaken. What one ACK reports has no order.
    if (seqLt(s.end, rs.priorFack)) {
      tp.rack_reordering = true;
      tp.t_reord_seen++;
    }
  } else if (rtt < tp.t_rttmin) {
    // The answer is too early to be that to the retransmission (section 6.2 step 2).
    return;
  }
  if (seqGt(s.end, tp.rack_fack)) tp.rack_fack = s.end;
  if (tp.rack_rtt === 0 || sentAfter(s.xmit, s.end, tp.rack_xmit_us, tp.rack_end_seq)) {
    tp.rack_rtt = rtt < 1 ? 1 : rtt;
    tp.rack_xmit_us = s.xmit;
    tp.rack_end_seq = s.end;
  }
}

/** Everything below `ack` is acknowledged: its pieces go. To be called before snd_una moves. */
export function rtxAcked(tp: Tcpcb, upTo: number, ack: CcAck): void {
  const tcp = tp.st.tcp;
  const rttBySack = ack.rtt;
  let resent = false;
  let s = tp.rtx_head;
  while (s !== null && seqLt(s.start, upTo)) {
    if (seqGt(s.end, upTo)) rtxSplit(tp, s, upTo);
    if (s.flags & SEG_EVER) resent = true;
    const len = (s.end - s.start) | 0;
    if (s.flags & SEG_SACKED) {
      tp.snd_sacked -= len;
      addHoles(tp, -1);
    } else {
      if ((s.flags & (SEG_LOST | SEG_REXMIT)) === SEG_LOST) tp.snd_lost -= len;
      delivered(tp, s, len, ack);
    }
    timeUnlink(tp, s);
    if (tp.rtx_hint === s) tp.rtx_hint = s.next;
    const next: SndSeg | null = s.next;
    tp.snd_numsegs--;
    tcp.putSeg(s);
    s = next;
  }
  tp.rtx_head = s;
  if (s === null) tp.rtx_tail = null;
  else s.prev = null;
  // What came long ago waited behind the gap that a retransmission has closed: no sample of the path (Karn).
  if (resent) ack.rtt = rttBySack;
}

/** Marks [start, end) as held by the peer. */
export function rtxSacked(tp: Tcpcb, start: number, end: number, ack: CcAck): void {
  // Blocks report what is new near the end of the flight as often as near its start: from the nearer one.
  let s = tp.rtx_head;
  const tail = tp.rtx_tail;
  if (s !== null && tail !== null && ((tail.end - end) | 0) < ((start - s.start) | 0)) {
    s = tail;
    while (s.prev !== null && seqGt(s.start, start)) s = s.prev;
  }
  while (s !== null && seqLeq(s.end, start)) s = s.next;
  while (s !== null && seqLt(s.start, end)) {
    if ((s.flags & SEG_SACKED) === 0) {
      if (standsAlone(s, start, end) && holesFull(tp)) {
        tp.st.cnt[tcps.tcps_sack_drop_opts]!++;
        return;
      }
      if (seqLt(s.start, start)) {
        rtxSplit(tp, s, start);
        s = s.next!;
      }
      if (seqGt(s.end, end)) rtxSplit(tp, s, end);
      const len = (s.end - s.start) | 0;
      if ((s.flags & (SEG_LOST | SEG_REXMIT)) === SEG_LOST) tp.snd_lost -= len;
      delivered(tp, s, len, ack);
      // No longer lost, so that a peer who throws it away after all finds it in flight.
      s.flags = (s.flags & ~(SEG_LOST | SEG_REXMIT)) | SEG_SACKED;
      tp.snd_sacked += len;
      addHoles(tp, 1);
      timeUnlink(tp, s);
      s = joinSacked(tp, s);
    }
    s = s.next;
  }
}

/** What of `s` lies in [start, end) touches nothing that is SACKed: it would be a run of its own. */
function standsAlone(s: SndSeg, start: number, end: number): boolean {
  const { prev, next } = s;
  if (!seqLt(s.start, start) && prev !== null && prev.flags & SEG_SACKED) return false;
  return seqGt(s.end, end) || next === null || (next.flags & SEG_SACKED) === 0;
}

/** Makes one piece of `s` and the SACKed ones beside it, so that a long run is passed in one step. Returns the piece. */
function joinSacked(tp: Tcpcb, s: SndSeg): SndSeg {
  const { prev } = s;
  const joined = prev !== null && prev.flags & SEG_SACKED ? swallowNext(tp, prev) : s;
  const { next } = joined;
  return next !== null && next.flags & SEG_SACKED ? swallowNext(tp, joined) : joined;
}

/** The piece behind `s` becomes part of it; both are SACKed. */
function swallowNext(tp: Tcpcb, s: SndSeg): SndSeg {
  const gone = s.next!;
  s.end = gone.end;
  s.flags |= gone.flags & (SEG_EVER | SEG_FIN);
  s.next = gone.next;
  if (gone.next === null) tp.rtx_tail = s;
  else gone.next.prev = s;
  if (tp.rtx_hint === gone) tp.rtx_hint = s;
  tp.snd_numsegs--;
  addHoles(tp, -1);
  tp.st.tcp.putSeg(gone);
  return s;
}

/** Something that was sent more than once is not yet acknowledged. */
export function rtxAnyResent(tp: Tcpcb): boolean {
  for (let s = tp.rtx_head; s !== null; s = s.next) if (s.flags & SEG_EVER) return true;
  return false;
}

/**
 * Marks all that is not SACKed lost (retransmission timeout). A head that is SACKed shows a peer that has thrown away what it held
 * (RFC 2018 section 8): then nothing of its reports is believed.
 */
export function rtxAllLost(tp: Tcpcb, ack: CcAck): void {
  const reneged = tp.rtx_head !== null && (tp.rtx_head.flags & SEG_SACKED) !== 0;
  for (let s = tp.rtx_head; s !== null; s = s.next) {
    if (reneged && s.flags & SEG_SACKED) {
      s.flags &= ~SEG_SACKED;
      tp.snd_sacked -= (s.end - s.start) | 0;
      addHoles(tp, -1);
    }
    rtxLost(tp, s, ack);
  }
  tp.rtx_hint = tp.rtx_head;
}

/**
 * What is in flight in segments of more than `maxseg` bytes waits to be sent again; it is not called lost (RFC 1191 section 6.4).
 * @returns whether there was any
 */
export function rtxTooBig(tp: Tcpcb, maxseg: number): boolean {
  let any = false;
  for (let s = tp.rtx_head; s !== null; s = s.next) {
    const len = ((s.end - s.start) | 0) - (s.flags & SEG_FIN ? 1 : 0);
    if ((s.flags & SEG_SACKED) !== 0 || len <= maxseg) continue;
    any = true;
    if ((s.flags & (SEG_LOST | SEG_REXMIT)) !== SEG_LOST) rtxWaits(tp, s);
  }
  return any;
}

/** Payload of the first segment that is not acknowledged, as it was sent last; 0 when there is none. */
export function rtxHeadLen(tp: Tcpcb): number {
  const s = tp.rtx_head;
  return s === null ? 0 : ((s.end - s.start) | 0) - (s.flags & SEG_FIN ? 1 : 0);
}

/** The last piece, from `seq` on, is a probe of the path MTU: it stays by itself. */
export function rtxMarkProbe(tp: Tcpcb, seq: number): void {
  const tail = tp.rtx_tail;
  if (tail === null) return;
  if (tail.start !== seq) rtxSplit(tp, tail, seq);
  tp.rtx_tail!.flags |= SEG_PROBE;
}

/** The probe is data like any other. */
export function rtxUnmarkProbe(tp: Tcpcb): void {
  for (let s = tp.rtx_head; s !== null; s = s.next) s.flags &= ~SEG_PROBE;
}

/** The probe did not get through, as is known without a loss: its data waits to be sent again. */
export function rtxProbeWaits(tp: Tcpcb): void {
  for (let s = tp.rtx_head; s !== null; s = s.next) {
    if ((s.flags & SEG_PROBE) === 0) continue;
    s.flags &= ~SEG_PROBE;
    rtxWaits(tp, s);
  }
}

/** What was marked lost is not: it is in flight as before (undo). */
export function rtxUnlose(tp: Tcpcb): void {
  for (let s = tp.rtx_head; s !== null; s = s.next) {
    if ((s.flags & (SEG_LOST | SEG_SACKED)) !== SEG_LOST) continue;
    if ((s.flags & SEG_REXMIT) === 0) {
      tp.snd_lost -= (s.end - s.start) | 0;
      tp.t_lost -= (s.end - s.start) | 0;
      timeInsert(tp, s);
    }
    s.flags &= ~SEG_LOST;
  }
  tp.rtx_hint = null;
}

/** Gives the scoreboard up: the pieces go, and the sequence numbers are as if not sent. */
export function rtxFlush(tp: Tcpcb): void {
  const tcp: Tcp = tp.st.tcp;
  let s = tp.rtx_head;
  while (s !== null) {
    const next: SndSeg | null = s.next;
    s.timed = false;
    tcp.putSeg(s);
    s = next;
  }
  tp.rtx_head = null;
  tp.rtx_tail = null;
  tp.ts_head = null;
  tp.ts_tail = null;
  tp.rtx_hint = null;
  tp.snd_sacked = 0;
  tp.snd_lost = 0;
  tp.snd_numsegs = 0;
  addHoles(tp, -tp.snd_numholes);
}
