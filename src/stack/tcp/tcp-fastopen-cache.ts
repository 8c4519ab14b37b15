/**
 * What a Fast Open client knows of its paths (RFC 7413 section 4.1.3): the server's cookie and MSS, or that Fast Open failed there and is
 * not tried for a while (section 4.1.3.1). A path is our address, the server's and its port. Bounded as FreeBSD's: so many buckets, and in
 * each so many paths, the oldest giving way.
 */
import { FlowKey, flowHash } from '../flow.ts';
import { inetNtoa } from '../net/in-addr.ts';
import type { Stack } from '../stack.ts';

/** Longest cookie, bytes (RFC 7413 section 4.1.1). */
export const TFO_MAX_COOKIE = 16;

export class TfoPath {
  readonly key = new FlowKey();
  readonly cookie = new Uint8Array(TFO_MAX_COOKIE);
  /** 0: none known. */
  cookieLen = 0;
  /** What the server offered in its SYN,ACK, bytes. */
  mss = 0;
  /** Fast Open failed here at `disabledMs` (clock.ms). */
  disabled = false;
  disabledMs = 0;
  next: TfoPath | null = null;
}

export class TfoCache {
  readonly #st: Stack;
  readonly #heads: (TfoPath | null)[];
  readonly #key: FlowKey;
  /** Paths in a bucket at most, as it was when paths were dropped for it. */
  #limit: number;
  count: number;

  constructor(st: Stack) {
    this.#st = st;
    this.#heads = new Array<TfoPath | null>(st.tune.tcp_fastopen_ccache_buckets).fill(null);
    this.#key = new FlowKey();
    this.#limit = st.tune.tcp_fastopen_ccache_bucket_limit;
    this.count = 0;
  }

  /** The path from `laddr` to a server, or null when nothing is known of it. */
  find(laddr: number, faddr: number, fport: number): TfoPath | null {
    let p: TfoPath | null = this.#heads[this.#bucket(laddr, faddr, fport)]!;
    while (p !== null && (p.key.l3 !== laddr || p.key.f3 !== faddr || p.key.fport !== fport)) p = p.next;
    return p;
  }

  /** The path, made if it is not there: nothing is known of it then. */
  get(laddr: number, faddr: number, fport: number): TfoPath {
    const known = this.find(laddr, faddr, fport);
    if (known !== null) return known;
    const at = this.#bucket(laddr, faddr, fport);
    const p = this.#room(at) ?? new TfoPath();
    p.key.setV4(laddr, 0, faddr, fport);
    p.cookieLen = 0;
    p.mss = 0;
    p.disabled = false;
    p.next = this.#heads[at]!;
    this.#heads[at] = p;
    this.count++;
    return p;
  }

  /** Knobs were set from outside: nothing is kept without net.inet.tcp.fastopen.client_enable, and no more than ccache_bucket_limit. */
  tuned(): void {
    const { tcp_fastopen_client_enable, tcp_fastopen_ccache_bucket_limit } = this.#st.tune;
    if (tcp_fastopen_client_enable === 0) this.clear();
    const more = tcp_fastopen_ccache_bucket_limit >= this.#limit;
    this.#limit = tcp_fastopen_ccache_bucket_limit;
    if (more || this.count === 0) return;
    for (let at = 0; at < this.#heads.length; at++) this.#keep(at, this.#limit);
  }

  /** A line a path, as `net.inet.tcp.fastopen.ccache_list` has them under CCACHE_LIST_HEAD. Not for the packet path. */
  list(): string {
    const { clock, tune } = this.#st;
    const limit = tune.tcp_fastopen_path_disable_time * 1000;
    let text = '';
    for (const head of this.#heads) {
      for (let p: TfoPath | null = head; p !== null; p = p.next) {
        const left = p.disabled ? limit - ((clock.ms - p.disabledMs) | 0) : 0;
        const disabled = left > 0 ? `${String(Math.floor(left / 1000)).padStart(7)}s` : '      No';
        const ends = `${inetNtoa(p.key.l3).padEnd(20)} ${inetNtoa(p.key.f3).padEnd(20)} ${String(p.key.fport).padStart(5)}`;
        let cookie = '';
        for (let i = 0; i < p.cookieLen; i++) cookie += p.cookie[i]!.toString(16).padStart(2, '0');
        text += `${ends} ${String(p.mss).padStart(5)} ${disabled} ${cookie}\n`;
      }
    }
    return text;
  }

  clear(): void {
    if (this.count === 0) return;
    this.#heads.fill(null);
    this.count = 0;
  }

  #bucket(laddr: number, faddr: number, fport: number): number {
    this.#key.setV4(laddr, 0, faddr, fport);
    return (flowHash(this.#key, this.#st.tcp.secret.k[0]!) >>> 0) % this.#heads.length;
  }

  /** Makes room for one in a bucket. Returns a path that gave way, if one had to. */
  #room(at: number): TfoPath | null {
    return this.#keep(at, this.#st.tune.tcp_fastopen_ccache_bucket_limit - 1);
  }

  /** Leaves no more than the `most` newest paths in a bucket. Returns the first of those that go, if any. */
  #keep(at: number, most: number): TfoPath | null {
    let before: TfoPath | null = null;
    let p: TfoPath | null = this.#heads[at]!;
    for (let n = 0; p !== null && n < most; n++) {
      before = p;
      p = p.next;
    }
    if (p === null) return null;
    if (before === null) this.#heads[at] = null;
    else before.next = null;
    for (let q: TfoPath | null = p; q !== null; q = q.next) this.count--;
    return p;
  }
}
