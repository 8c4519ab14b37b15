/**
 * Half-open passive connections (RFC 4987 section 3.4): a small entry a handshake, no control block until the last ACK. Bounded
 * in all and a bucket. A SYN,ACK is sent again by a timer, a fixed number of times. What finds no room is answered by a cookie and
 * leaves nothing here (tcp-syncookies.ts), or with net.inet.tcp.syncookies 0 takes the place of the oldest.
 */
import { tcps } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import { type FlowKey, flowHash } from '../flow.ts';
import { RouteCache } from '../net/route.ts';
import type { Listener } from '../socket/listener.ts';
import type { Stack } from '../stack.ts';
import { TCP_MAXWIN, TOF_MSS, TOF_SACKPERM, TOF_SCALE, TOF_TS, tcpCheckLen } from '../wire/tcp.ts';
import { seqGeq, seqGt, seqLeq, seqLt } from './seq.ts';
import { SyncacheEntry, syncacheChallenge, syncacheSocket, syncacheTransmit } from './syncache-entry.ts';
import { ecnWanted } from './tcp-ecn.ts';
import { TFO_ACCEPT, TFO_GIVE, tfoOpened } from './tcp-fastopen.ts';
import { tcpNewIss, tcpNewTsOffset } from './tcp-subr.ts';
import { SYNCOOKIE_VALID_MS, Syncookies } from './tcp-syncookies.ts';
import { TCPTV_REXMTMAX, tcpXmitTimer } from './tcp-timer.ts';
import { type Tcpcb, TF_RCVD_SCALE, TF_RCVD_TSTMP, TF_SACK_PERMIT } from './tcpcb.ts';

/** How far beyond the numbers of the connection that it replaces a new one begins (RFC 1122 section 4.2.2.13 (1): beyond them). */
const TCP_ISSINCR = 64_000;

/** Chain of one bucket, oldest first. */
interface Bucket {
  first: SyncacheEntry | null;
  last: SyncacheEntry | null;
  length: number;
  /** A cookie was given because the bucket or the cache was full, last at this clock.ms. */
  overflowed: boolean;
  overflowMs: number;
}

export class Syncache {
  readonly #st: Stack;
  readonly #buckets: Bucket[];
  readonly #seed: number;
  readonly #ro = new RouteCache();
  readonly #cookies: Syncookies;
  /** Stands for the handshake of a cookie while its SYN or its ACK is processed. */
  readonly #scratch: SyncacheEntry;
  /** The SYN,ACK that goes next brings the Fast Open cookie that was asked for, the first time only. */
  #giveTfo: boolean;
  #free: SyncacheEntry | null = null;
  count = 0;

  constructor(st: Stack) {
    this.#st = st;
    this.#seed = st.random.next32();
    this.#cookies = new Syncookies(st);
    this.#scratch = new SyncacheEntry(this);
    this.#giveTfo = false;
    const n = st.tune.tcp_syncache_hashsize;
    this.#buckets = Array.from({ length: n }, () => ({
      first: null,
      last: null,
      length: 0,
      overflowed: false,
      overflowMs: 0,
    }));
    st.cnt[tcps.tcps_sc_hash_size] = n;
    st.cnt[tcps.tcps_sc_entry_limit] = st.tune.tcp_syncache_cachelimit;
    st.cnt[tcps.tcps_sc_bucket_limit] = st.tune.tcp_syncache_bucketlimit;
  }

  #bucket(hash: number): Bucket {
    return this.#buckets[(hash >>> 0) % this.#buckets.length]!;
  }

  #find(k: FlowKey): SyncacheEntry | null {
    if (this.count === 0) return null;
    const h = flowHash(k, this.#seed);
    let e = this.#bucket(h).first;
    while (e !== null) {
      const o = e.key;
      if (
        e.hash === h &&
        o.f3 === k.f3 &&
        o.fport === k.fport &&
        o.lport === k.lport &&
        o.l3 === k.l3 &&
        o.f2 === k.f2 &&
        o.f1 === k.f1 &&
        o.f0 === k.f0 &&
        o.l2 === k.l2 &&
        o.l1 === k.l1 &&
        o.l0 === k.l0 &&
        o.zone === k.zone
      ) {
        return e;
      }
      e = e.next;
    }
    return null;
  }

  /** A handshake of this flow is under way here. */
  has(k: FlowKey): boolean {
    return this.#find(k) !== null;
  }

  /** The listener whose handshake with this flow is under way; null when none is. */
  listenerOf(k: FlowKey): Listener | null {
    return this.#find(k)?.listener ?? null;
  }

  /** An ACK with these numbers would end a handshake, one under way here or that of a cookie. */
  awaits(k: FlowKey, seq: number, ack: number): boolean {
    return this.#find(k) !== null || (this.#cookiesTaken(k) && this.#cookies.check(k, (seq - 1) | 0, (ack - 1) | 0));
  }

  /** Nothing is kept of any SYN (net.inet.tcp.syncookies_only; without cookies it says nothing, as in FreeBSD). */
  get #cookiesOnly(): boolean {
    return this.#st.tune.tcp_syncookies !== 0 && this.#st.tune.tcp_syncookies_only !== 0;
  }

  /** A new entry for this flow would cost an old one its place. */
  #full(k: FlowKey): boolean {
    const tune = this.#st.tune;
    return (
      this.count >= tune.tcp_syncache_cachelimit ||
      this.#bucket(flowHash(k, this.#seed)).length >= tune.tcp_syncache_bucketlimit
    );
  }

  /**
   * A cookie for this flow may be on its way: one that nobody can have been given is not looked at, so that it cannot be guessed. With
   * several shards another one may have given it.
   */
  #cookiesTaken(k: FlowKey): boolean {
    const st = this.#st;
    if (st.tune.tcp_syncookies === 0) return false;
    if (st.tune.tcp_syncookies_only !== 0 || st.nshards > 1) return true;
    const b = this.#bucket(flowHash(k, this.#seed));
    return b.overflowed && ((st.clock.ms - b.overflowMs) | 0) <= SYNCOOKIE_VALID_MS;
  }

  /**
   * A SYN for a listener: makes an entry and answers SYN,ACK, or answers again when the SYN is a repeat; where there is no room for an
   * entry answers with a cookie.
   * @param reuse the SYN takes the place of a connection in TIME_WAIT, whose numbers ended before `last`: it gets an entry in any case, as
   * much as was given up for it, since a cookie is no number that can be chosen
   * @returns true when another shard owns the flow and has been given `m`
   */
  add(
    l: Listener,
    k: FlowKey,
    m: Mbuf,
    seq: number,
    flags: number,
    win: number,
    reuse: boolean,
    last: number,
  ): boolean {
    const st = this.#st;
    const cnt = st.cnt;
    let e = this.#find(k);
    if (e !== null) {
      cnt[tcps.tcps_sc_dupesyn]!++;
      if (seq === e.irs) {
        e.rexmits = 0;
        this.#respond(e);
        return false;
      }
      // Another attempt of the peer on the same ports: the old handshake is no use to anyone.
      this.#drop(e);
    }
    if (l.full) {
      cnt[tcps.tcps_listen_overflow]!++;
      cnt[tcps.tcps_dropsyn]!++;
      return false;
    }
    const tfo = st.tcp.tfo.request(l, k, st.tcp.optIn);
    this.#giveTfo = tfo === TFO_GIVE;
    if (tfo < TFO_ACCEPT && !reuse && (this.#cookiesOnly || (st.tune.tcp_syncookies !== 0 && this.#full(k)))) {
      this.#sendCookie(l, k, m, seq, win);
      return false;
    }
    if (st.dir !== null) {
      const owner = st.dir.insert(m.flowid === 0 ? 1 : m.flowid, st.shard);
      if (owner >= 0 && owner !== st.shard) {
        st.dir.remove(m.flowid === 0 ? 1 : m.flowid);
        st.handOver!(m, owner);
        return true;
      }
    }
    if (tfo >= TFO_ACCEPT) {
      this.#openFast(l, k, m, seq, flags, win, tfo, reuse, last);
      return false;
    }
    e = this.#alloc(k);
    e.dirHash = st.dir === null ? 0 : m.flowid === 0 ? 1 : m.flowid;
    this.#fill(e, l, m, seq, flags, win);
    this.#number(e, k, reuse, last);
    if (this.#respond(e)) {
      cnt[tcps.tcps_sc_added]!++;
      cnt[tcps.tcps_sc_entry_count] = this.count;
    } else {
      cnt[tcps.tcps_sc_dropped]!++;
      this.#drop(e);
    }
    return false;
  }

  /** Our initial number: that of the clock, or beyond `last`. */
  #number(e: SyncacheEntry, k: FlowKey, reuse: boolean, last: number): void {
    e.iss = tcpNewIss(this.#st, k);
    if (reuse && seqLeq(e.iss, last)) e.iss = (last + TCP_ISSINCR) | 0;
  }

  /** A SYN with a good Fast Open cookie makes the connection (RFC 7413 section 4.2.2). */
  #openFast(
    l: Listener,
    k: FlowKey,
    m: Mbuf,
    seq: number,
    flags: number,
    win: number,
    how: number,
    reuse: boolean,
    last: number,
  ): void {
    const st = this.#st;
    const e = this.#scratch;
    e.key.copy(k);
    this.#fill(e, l, m, seq, flags, win);
    this.#number(e, k, reuse, last);
    e.sentUs = st.clock.us;
    const tp = syncacheSocket(this.#st, e, l, k);
    e.listener = null;
    // The connection's own entry in the flow directory has taken the place of the SYN's.
    if (st.dir !== null) st.dir.remove(m.flowid === 0 ? 1 : m.flowid);
    tfoOpened(tp, l, how, m, tcpCheckLen(st.pool.dv, m.pos, m.len));
  }

  /** What the SYN `m` tells of its sender, with its options in `optIn`. */
  #fill(e: SyncacheEntry, l: Listener, m: Mbuf, seq: number, flags: number, win: number): void {
    const st = this.#st;
    const to = st.tcp.optIn;
    const tune = st.tune;
    e.listener = l;
    e.flowid = m.flowid;
    e.flowtype = m.hashType;
    e.irs = seq;
    e.wnd = win;
    e.rexmits = 0;
    e.challenges = 0;
    e.challengeMs = st.clock.ms;
    e.flags = 0;
    e.ecn = ecnWanted(flags, tune.tcp_ecn_enable);
    if (tune.tcp_rfc1323 !== 0) {
      if (to.flags & TOF_SCALE) {
        e.flags |= TF_RCVD_SCALE;
        e.wscale = to.wscale;
      }
      if (to.flags & TOF_TS) {
        e.flags |= TF_RCVD_TSTMP;
        e.tsrecent = to.tsval;
        e.tsoff = tcpNewTsOffset(st, e.key);
      }
    }
    if (to.flags & TOF_SACKPERM && tune.tcp_sack_enable !== 0) e.flags |= TF_SACK_PERMIT;
    e.mss = to.flags & TOF_MSS ? to.mss : 0;
    e.rcvWnd = l.rcvBuf < TCP_MAXWIN ? l.rcvBuf : TCP_MAXWIN;
  }

  /**
   * Answers a SYN with SYN,ACK and forgets it. ECN is not agreed to, as no cookie could tell of it later; timestamps are, since every
   * segment shows them.
   */
  #sendCookie(l: Listener, k: FlowKey, m: Mbuf, seq: number, win: number): void {
    const st = this.#st;
    const b = this.#bucket(flowHash(k, this.#seed));
    b.overflowed = true;
    b.overflowMs = st.clock.ms;
    const e = this.#scratch;
    e.key.copy(k);
    this.#fill(e, l, m, seq, 0, win);
    const scaled = (e.flags & TF_RCVD_SCALE) !== 0;
    e.iss = this.#cookies.make(k, seq, e.mss, scaled ? e.wscale : -1, (e.flags & TF_SACK_PERMIT) !== 0);
    const sent = this.#transmit(e, false);
    e.listener = null;
    if (sent) st.cnt[tcps.tcps_sc_sendcookie]!++;
    else st.cnt[tcps.tcps_sc_dropped]!++;
  }

  /** The handshake that the cookie in an ACK stands for, or null. The options of the ACK are in `optIn`. */
  #recvCookie(l: Listener, k: FlowKey, seq: number, ack: number, m: Mbuf, win: number): SyncacheEntry | null {
    const st = this.#st;
    const irs = (seq - 1) | 0;
    const iss = (ack - 1) | 0;
    if (!this.#cookiesTaken(k)) {
      st.cnt[tcps.tcps_sc_spurcookie]!++;
      return null;
    }
    const c = this.#cookies;
    if (!c.take(k, irs, iss)) {
      st.cnt[tcps.tcps_sc_failcookie]!++;
      return null;
    }
    st.cnt[tcps.tcps_sc_recvcookie]!++;
    const e = this.#scratch;
    e.key.copy(k);
    this.#fill(e, l, m, irs, 0, win);
    e.iss = iss;
    e.sentUs = st.clock.us;
    // Of the options an ACK has timestamps alone; the cookie has the others.
    if (c.wscale >= 0 && st.tune.tcp_rfc1323 !== 0) {
      e.flags |= TF_RCVD_SCALE;
      e.wscale = c.wscale;
    }
    if (c.sack && st.tune.tcp_sack_enable !== 0) e.flags |= TF_SACK_PERMIT;
    e.mss = c.mss;
    return e;
  }

  /**
   * The last ACK of a handshake, `m`: makes the connection, in SYN_RECEIVED, for the segment to be processed by.
   * @param l that of the handshake (`listenerOf`), or of a cookie the one that would get a SYN
   * @returns null when it belongs to no handshake and has no cookie, or the listener cannot take it
   */
  expand(l: Listener, k: FlowKey, m: Mbuf, seq: number, ack: number, win: number): Tcpcb | null {
    const cnt = this.#st.cnt;
    const e = this.#find(k);
    if (e === null) {
      const c = this.#recvCookie(l, k, seq, ack, m, win);
      if (c === null) return null;
      const tp = syncacheSocket(this.#st, c, l, k);
      c.listener = null;
      return tp;
    }
    // RFC 9293 section 3.10.7.4, fifth: the ACK of our SYN and nothing else. `outside` has looked at the sequence number.
    if (ack !== ((e.iss + 1) | 0)) {
      cnt[tcps.tcps_sc_badack]!++;
      return null;
    }
    const tp = syncacheSocket(this.#st, e, l, k);
    if (e.rexmits === 0) tcpXmitTimer(tp, (this.#st.clock.us - e.sentUs) | 0);
    else tp.t_rxtshift = e.rexmits;
    this.#drop(e);
    return tp;
  }

  /**
   * A segment of a handshake that lies outside of the window (RFC 9293 section 3.10.7.4, first): it is told where we are, and goes no
   * further. One of no handshake does not.
   */
  outside(k: FlowKey, seq: number, len: number): boolean {
    const e = this.#find(k);
    if (e === null) return false;
    const next = (e.irs + 1) | 0;
    const edge = (next + e.rcvWnd) | 0;
    const inside = len === 0 ? seqGeq(seq, next) && seqLeq(seq, edge) : seqGt(seq + len, next) && seqLt(seq, edge);
    if (inside) return false;
    syncacheChallenge(this.#st, e, this.#ro);
    return true;
  }

  /** A RST for a handshake (RFC 5961 section 3 applied to the entry). */
  chkrst(k: FlowKey, seq: number): void {
    const e = this.#find(k);
    const { cnt, tune } = this.#st;
    if (e === null) {
      cnt[tcps.tcps_badrst]!++;
      return;
    }
    const next = (e.irs + 1) | 0;
    if (seqLt(seq, next) || seqGeq(seq, (next + e.rcvWnd) | 0)) {
      cnt[tcps.tcps_badrst]!++;
      return;
    }
    if (seq !== next && tune.tcp_insecure_rst === 0) {
      cnt[tcps.tcps_badrstack]!++;
      syncacheChallenge(this.#st, e, this.#ro);
      return;
    }
    cnt[tcps.tcps_sc_reset]!++;
    this.#drop(e);
  }

  /** ICMP unreachable about a SYN,ACK: given up when it comes again after three transmissions (BSD). */
  unreach(k: FlowKey, seq: number): void {
    const e = this.#find(k);
    if (e === null || seq !== e.iss || e.rexmits < 3) return;
    this.#st.cnt[tcps.tcps_sc_unreach]!++;
    this.#drop(e);
  }

  /** Drops every handshake of a listener that closes. */
  closeListener(l: Listener): void {
    for (const b of this.#buckets) {
      let e = b.first;
      while (e !== null) {
        const next: SyncacheEntry | null = e.next;
        if (e.listener === l) this.#drop(e);
        e = next;
      }
    }
  }

  /** The SYN,ACK was not answered in time. */
  timeout(e: SyncacheEntry): void {
    const cnt = this.#st.cnt;
    if (e.rexmits >= this.#st.tune.tcp_syncache_rexmtlimit) {
      cnt[tcps.tcps_sc_timed_out]!++;
      this.#drop(e);
      return;
    }
    e.rexmits++;
    cnt[tcps.tcps_sc_retransmitted]!++;
    this.#respond(e, true);
  }

  #alloc(k: FlowKey): SyncacheEntry {
    const st = this.#st;
    const cnt = st.cnt;
    const h = flowHash(k, this.#seed);
    const b = this.#bucket(h);
    if (b.length >= st.tune.tcp_syncache_bucketlimit) {
      cnt[tcps.tcps_sc_bucketoverflow]!++;
      this.#drop(b.first!);
    } else if (this.count >= st.tune.tcp_syncache_cachelimit) {
      cnt[tcps.tcps_sc_overflowed]!++;
      const victim = this.#buckets.find((o) => o.first !== null);
      if (victim !== undefined) this.#drop(victim.first!);
    }
    let e = this.#free;
    if (e === null) e = new SyncacheEntry(this);
    else this.#free = e.next;
    e.key.copy(k);
    e.hash = h;
    e.next = null;
    e.prev = b.last;
    if (b.last === null) b.first = e;
    else b.last.next = e;
    b.last = e;
    b.length++;
    this.count++;
    return e;
  }

  #drop(e: SyncacheEntry): void {
    const st = this.#st;
    st.wheel.cancel(e.timer);
    const b = this.#bucket(e.hash);
    if (e.prev === null) b.first = e.next;
    else e.prev.next = e.next;
    if (e.next === null) b.last = e.prev;
    else e.next.prev = e.prev;
    b.length--;
    this.count--;
    st.cnt[tcps.tcps_sc_entry_count] = this.count;
    if (e.dirHash !== 0 && st.dir !== null) st.dir.remove(e.dirHash);
    e.dirHash = 0;
    e.listener = null;
    e.prev = null;
    e.next = this.#free;
    this.#free = e;
  }

  /**
   * Sends SYN,ACK and arms the timer. False when it could not be sent.
   * @param byTimer the segment is counted as `tcps_sc_retransmitted` and not among those sent, as OpenBSD does
   */
  #respond(e: SyncacheEntry, byTimer = false): boolean {
    const st = this.#st;
    const us = st.tune.tcp_rexmit_initial * 1000 * (1 << e.rexmits);
    st.wheel.arm(e.timer, us < TCPTV_REXMTMAX ? us : TCPTV_REXMTMAX);
    return this.#transmit(e, byTimer);
  }

  #transmit(e: SyncacheEntry, byTimer: boolean): boolean {
    const st = this.#st;
    const cookie = this.#giveTfo ? st.tcp.tfo.cookie : null;
    this.#giveTfo = false;
    return syncacheTransmit(st, e, this.#ro, byTimer, cookie);
  }
}
