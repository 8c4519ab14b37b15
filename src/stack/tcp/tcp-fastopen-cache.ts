/**
 * What a Fast Open client knows of its paths (RFC 7413 section 4.1.3): the server's cookie and MSS, or that Fast Open failed there and is
 * not tried for a while (section 4.1.3.1). A path is our address, the server's and its port. Bounded as FreeBSD's: so many buckets, and in
 * each so many paths, the oldest giving way.
 */
import { FlowKey, flowHash } from '../flow.ts';
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
  count: number;

  constructor(st: Stack) {
    this.#st = st;
    this.#heads = new Array<TfoPath | null>(st.tune.tcp_fastopen_ccache_buckets).fill(null);
    this.#key = new FlowKey();
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

  clear(): void {
    if (this.count === 0) return;
    this.#heads.fill(null);
    this.count = 0;
  }

  #bucket(laddr: number, faddr: number, fport: number): number {
    this.#key.setV4(laddr, 0, faddr, fport);
    return (flowHash(this.#key, this.#st.tcp.secret.k[0]!) >>> 0) % this.#heads.length;
  }

  /** Makes room for one in a bucket. Returns the path that gave way, if one had to. */
  #room(at: number): TfoPath | null {
    const most = this.#st.tune.tcp_fastopen_ccache_bucket_limit;
    let n = 0;
    let before: TfoPath | null = null;
    for (let p: TfoPath | null = this.#heads[at]!; p !== null; p = p.next) {
      n++;
      if (n < most) {
        before = p;
        continue;
      }
      // This one and what lies behind it go.
      if (before === null) this.#heads[at] = null;
      else before.next = null;
      for (let q: TfoPath | null = p; q !== null; q = q.next) this.count--;
      return p;
    }
    return null;
  }
}
