/**
 * The host cache: what connections to a host have measured, kept for the next one (temporal sharing, RFC 9040 section 4.1). Rules of when it is read
 * and written are FreeBSD's: path MTU at the handshake, round trip and ssthresh when a connection is established, all of it when one ends that
 * has at least four round-trip samples. cwnd is kept and shown but begins no connection.
 *
 * Each shard has its own, so nothing is locked: two connections to one host in different shards do not share.
 */
import { tcps } from '../../metrics/layout.ts';
import { inetNtoa } from '../net/in-addr.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';
import { sipHash } from './siphash.ts';
import type { Inpcb } from './tcb.ts';
import { tcpRexmtval } from './tcp-timer.ts';
import { TCP_RTT_SHIFT, TCP_RTTVAR_SHIFT, type Tcpcb } from './tcpcb.ts';

/** Round-trip samples that a connection must have taken for its measures to be kept. */
const SAMPLES = 4;
/** What an ssthresh kept for segments counts more than its payload. */
const HDRS = 40;

/** What is known of a host; 0 for nothing. Bytes, and times as in the control block. */
class HcEntry {
  f0 = 0;
  f1 = 0;
  f2 = 0;
  f3 = 0;
  zone = 0;
  bucket = 0;
  mtu = 0;
  /** clock.ms when the MTU was learnt. */
  mtuMs = 0;
  ssthresh = 0;
  srtt = 0;
  rttvar = 0;
  cwnd = 0;
  /** Seconds until it is forgotten, as of the last pruning. */
  expire = 0;
  next: HcEntry | null = null;
}

export class HostCache {
  readonly #st: Stack;
  /** Chains, the entry updated last first. */
  readonly #heads: (HcEntry | null)[];
  readonly #lengths: Int32Array;
  readonly #words: Int32Array;
  readonly #timer: Timer;
  /** What net.inet.tcp.hostcache.prune was when the timer was armed last. */
  #interval: number;
  #free: HcEntry | null;
  /** Entries now. */
  count: number;

  constructor(st: Stack) {
    const { tcp_hc_hashsize: n } = st.tune;
    this.#st = st;
    this.#heads = new Array<HcEntry | null>(n).fill(null);
    this.#lengths = new Int32Array(n);
    this.#words = new Int32Array(6);
    this.#timer = new Timer((hc: HostCache) => hc.#prune(), this);
    this.#interval = st.tune.tcp_hc_prune;
    this.#free = null;
    this.count = 0;
  }

  #bucket(inp: Inpcb): number {
    const w = this.#words;
    w[0] = inp.f3;
    w[1] = inp.f0;
    w[2] = inp.f1;
    w[3] = inp.f2;
    w[4] = inp.zone;
    // Another use of the secret than for sequence numbers.
    w[5] = 2;
    return (sipHash(this.#st.tcp.secret, w, 6) >>> 0) % this.#heads.length;
  }

  /** The entry of the host of `inp`, or null; its time to be forgotten begins anew. */
  #find(inp: Inpcb, bucket: number): HcEntry | null {
    let e: HcEntry | null = this.#heads[bucket]!;
    while (
      e !== null &&
      !(e.f3 === inp.f3 && e.f2 === inp.f2 && e.f1 === inp.f1 && e.f0 === inp.f0 && e.zone === inp.zone)
    )
      e = e.next;
    if (e !== null) e.expire = this.#st.tune.tcp_hc_expire;
    return e;
  }

  #get(inp: Inpcb): HcEntry | null {
    if (this.#st.tune.tcp_hc_enable === 0 || this.count === 0) return null;
    return this.#find(inp, this.#bucket(inp));
  }

  /** The entry of the host of `inp`, made if need be, at the head of its chain; null where there is no room in a chain without entries. */
  #entry(inp: Inpcb): HcEntry | null {
    const { tune } = this.#st;
    if (tune.tcp_hc_enable === 0) return null;
    const b = this.#bucket(inp);
    const old = this.#find(inp, b);
    if (old !== null) {
      this.#unlink(old);
      this.#link(old, b);
      return old;
    }
    if (this.#lengths[b]! >= tune.tcp_hc_bucketlimit || this.count >= tune.tcp_hc_cachelimit) {
      let last: HcEntry | null = this.#heads[b]!;
      if (last === null) return null;
      while (last.next !== null) last = last.next;
      this.#st.cnt[tcps.tcps_hc_bucketoverflow]!++;
      this.#remove(last);
    }
    const e = this.#free ?? new HcEntry();
    this.#free = e.next;
    e.f0 = inp.f0;
    e.f1 = inp.f1;
    e.f2 = inp.f2;
    e.f3 = inp.f3;
    e.zone = inp.zone;
    e.mtu = 0;
    e.mtuMs = 0;
    e.ssthresh = 0;
    e.srtt = 0;
    e.rttvar = 0;
    e.cwnd = 0;
    e.expire = tune.tcp_hc_expire;
    this.#link(e, b);
    this.#st.cnt[tcps.tcps_hc_added]!++;
    if (!this.#timer.armed) this.#arm();
    return e;
  }

  #link(e: HcEntry, b: number): void {
    e.bucket = b;
    e.next = this.#heads[b]!;
    this.#heads[b] = e;
    this.#lengths[b]!++;
    this.#st.cnt[tcps.tcps_hc_entry_count] = ++this.count;
  }

  #unlink(e: HcEntry): void {
    const b = e.bucket;
    let p: HcEntry | null = this.#heads[b]!;
    if (p === e) {
      this.#heads[b] = e.next;
    } else {
      while (p !== null && p.next !== e) p = p.next;
      if (p !== null) p.next = e.next;
    }
    this.#lengths[b]!--;
    this.#st.cnt[tcps.tcps_hc_entry_count] = --this.count;
  }

  #remove(e: HcEntry): void {
    this.#unlink(e);
    e.next = this.#free;
    this.#free = e;
  }

  /** A router said that packets to the host of `inp` may have `mtu` bytes, or a probe found it. */
  updateMtu(inp: Inpcb, mtu: number): void {
    const e = this.#entry(inp);
    if (e === null) return;
    e.mtu = mtu;
    e.mtuMs = this.#st.clock.ms;
  }

  /** A connection begins: the path MTU, while it is younger than net.inet.ip.mtudisctimeout (RFC 1191 section 6.3). */
  takeMtu(tp: Tcpcb): void {
    const e = this.#getMtu(tp.t_inpcb!);
    if (e === null) return;
    tp.t_pmtu = e.mtu;
    tp.t_pmtu_ms = e.mtuMs;
  }

  /** The MTU of the path to the host of `inp`, 0 where it is not known. */
  pathMtu(inp: Inpcb): number {
    return this.#getMtu(inp)?.mtu ?? 0;
  }

  #getMtu(inp: Inpcb): HcEntry | null {
    const e = this.#get(inp);
    if (e === null || e.mtu === 0) return null;
    const { clock, tune } = this.#st;
    const most = tune.ip_mtudisctimeout;
    if (most === 0 || ((clock.ms - e.mtuMs) | 0) < most * 1000) return e;
    e.mtu = 0;
    return null;
  }

  /** A connection is established: round trip where the handshake gave none, and ssthresh (BSD's cc_conn_init). */
  seed(tp: Tcpcb): void {
    const e = this.#get(tp.t_inpcb!);
    if (e === null) return;
    const { cnt } = this.#st;
    if (tp.t_srtt === 0 && e.srtt !== 0) {
      cnt[tcps.tcps_usedrtt]!++;
      tp.t_srtt = e.srtt;
      if (e.rttvar !== 0) {
        cnt[tcps.tcps_usedrttvar]!++;
        tp.t_rttvar = e.rttvar;
      } else {
        // As wide as the round trip itself.
        tp.t_rttvar = (e.srtt >> TCP_RTT_SHIFT) << TCP_RTTVAR_SHIFT;
      }
      tp.t_rxtcur = tcpRexmtval(tp);
    }
    if (e.ssthresh !== 0) {
      cnt[tcps.tcps_usedssthresh]!++;
      const least = 2 * tp.maxseg;
      tp.snd_ssthresh = e.ssthresh > least ? e.ssthresh : least;
    }
  }

  /** A connection ends: what it measured, averaged with what was known. */
  update(tp: Tcpcb): void {
    if (tp.t_rttsamples < SAMPLES) return;
    const e = this.#entry(tp.t_inpcb!);
    if (e === null) return;
    const { cnt } = this.#st;
    // Only where a loss has set it; in whole segments and as bytes on the line.
    let ssthresh = tp.snd_ssthresh;
    if (ssthresh < tp.t_socket!.so_snd.sb_hiwat / 2) {
      const segs = Math.floor((ssthresh + tp.t_maxseg / 2) / tp.t_maxseg);
      ssthresh = (segs < 2 ? 2 : segs) * (tp.t_maxseg + HDRS);
    } else {
      ssthresh = 0;
    }
    if (tp.t_srtt !== 0) {
      e.srtt = average(e.srtt, tp.t_srtt);
      cnt[tcps.tcps_cachedrtt]!++;
    }
    if (tp.t_rttvar !== 0) {
      e.rttvar = average(e.rttvar, tp.t_rttvar);
      cnt[tcps.tcps_cachedrttvar]!++;
    }
    if (ssthresh !== 0) {
      e.ssthresh = average(e.ssthresh, ssthresh);
      cnt[tcps.tcps_cachedssthresh]!++;
    }
    e.cwnd = average(e.cwnd, tp.snd_cwnd);
  }

  #arm(): void {
    this.#interval = this.#st.tune.tcp_hc_prune;
    this.#st.wheel.arm(this.#timer, this.#interval * 1e6);
  }

  /** Forgets what has expired, or all when net.inet.tcp.hostcache.purge is set. */
  #prune(): void {
    const { tune } = this.#st;
    this.#sweep(tune.tcp_hc_purge !== 0);
    tune.tcp_hc_purge = 0;
    if (this.count > 0) this.#arm();
  }

  #sweep(all: boolean): void {
    const { tcp_hc_prune } = this.#st.tune;
    for (let b = 0; b < this.#heads.length; b++) {
      let e: HcEntry | null = this.#heads[b]!;
      while (e !== null) {
        const next: HcEntry | null = e.next;
        if (all || e.expire <= 0) this.#remove(e);
        else e.expire -= tcp_hc_prune;
        e = next;
      }
    }
  }

  /** A knob of the stack was set from outside: net.inet.tcp.hostcache.purgenow takes effect, and a new interval of pruning. */
  tuned(): void {
    const { tune, wheel } = this.#st;
    if (tune.tcp_hc_purgenow !== 0) {
      tune.tcp_hc_purgenow = 0;
      this.#sweep(true);
    }
    if (tune.tcp_hc_prune === this.#interval) return;
    wheel.cancel(this.#timer);
    if (this.count > 0) this.#arm();
  }

  /** A line an entry, as `net.inet.tcp.hostcache.list` has them under HC_LIST_HEAD. Not for the packet path. */
  list(): string {
    let text = '';
    for (const head of this.#heads) {
      for (let e: HcEntry | null = head; e !== null; e = e.next) {
        const ms = (us: number): string => `${String(Math.round(us / 1000)).padStart(6)}ms`;
        const n = (v: number, width: number): string => String(v).padStart(width);
        text += `${inetNtoa(e.f3).padEnd(15)} ${n(e.mtu, 5)} ${n(e.ssthresh, 8)} ${ms(e.srtt >> TCP_RTT_SHIFT)} ${ms(e.rttvar >> TCP_RTTVAR_SHIFT)} `;
        // FreeBSD keeps no send and receive pipe either.
        text += `${n(e.cwnd, 8)} ${n(0, 8)} ${n(0, 8)} ${n(e.expire, 4)}\n`;
      }
    }
    return text;
  }
}

function average(old: number, now: number): number {
  return old === 0 ? now : Math.trunc((old + now) / 2);
}
