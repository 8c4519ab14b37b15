/**
 * A byte FIFO of bounded size (`struct sockbuf`): so_snd holds what is unsent or unacknowledged, so_rcv what the user has not
 * taken yet. The store is a ring that starts small and doubles up to the limit, so that an idle connection costs little.
 */
import type { SockMem } from './sockmem.ts';

const FIRST_ALLOC = 8192;
/** A store of no more than this is kept when it is empty, so that an exchange of messages does not make one for each. */
const KEEP_ALLOC = 262144;
const EMPTY = new Uint8Array(0);

export class SockBuf {
  /** Limit in bytes (high water mark). */
  sb_hiwat: number;
  /** Bytes held. */
  sb_cc: number;
  #buf: Uint8Array;
  /** Index of the first byte held. */
  #head: number;
  /** The account of the shard; null for a buffer by itself. */
  readonly #mem: SockMem | null;

  constructor(hiwat: number, mem: SockMem | null = null) {
    this.#mem = mem;
    this.sb_hiwat = hiwat;
    this.sb_cc = 0;
    this.#buf = EMPTY;
    this.#head = 0;
  }

  /** Bytes that `append` would take; where the shard's memory is short, without a larger store. */
  get space(): number {
    const most = this.#mem !== null && this.#mem.tight ? this.#owned : this.sb_hiwat;
    const n = most - this.sb_cc;
    return n > 0 ? n : 0;
  }

  /** The store as it is, or the part of one that each buffer may have in any case. */
  get #owned(): number {
    const cap = this.#buf.length;
    const least = cap > FIRST_ALLOC ? cap : FIRST_ALLOC;
    return least < this.sb_hiwat ? least : this.sb_hiwat;
  }

  /** Whether the shard's memory is enough to hold `len` bytes more. What was offered to a peer may be more than `space`. */
  fits(len: number): boolean {
    const need = this.sb_cc + len;
    return this.#mem === null || need <= this.#owned || this.#mem.has(this.#capFor(need) - this.#buf.length);
  }

  /** Copies `len` bytes of `src` from `off` in; the caller has checked `space`. */
  append(src: Uint8Array, off: number, len: number): void {
    if (this.sb_cc + len > this.#buf.length) this.#grow(this.sb_cc + len);
    const buf = this.#buf;
    const cap = buf.length;
    let at = this.#head + this.sb_cc;
    if (at >= cap) at -= cap;
    const first = len < cap - at ? len : cap - at;
    copyBytes(src, off, buf, at, first);
    if (first < len) copyBytes(src, off + first, buf, 0, len - first);
    this.sb_cc += len;
  }

  /** Copies `len` bytes starting `skip` bytes into the buffer to `dst` at `at`; all of it must be held. */
  peek(skip: number, dst: Uint8Array, at: number, len: number): void {
    const buf = this.#buf;
    const cap = buf.length;
    let from = this.#head + skip;
    if (from >= cap) from -= cap;
    const first = len < cap - from ? len : cap - from;
    copyBytes(buf, from, dst, at, first);
    if (first < len) copyBytes(buf, 0, dst, at + first, len - first);
  }

  /** Drops the first `len` bytes (`sbdrop`). */
  drop(len: number): void {
    let h = this.#head + len;
    if (h >= this.#buf.length) h -= this.#buf.length;
    this.#head = h;
    this.sb_cc -= len;
    if (this.sb_cc > 0) return;
    this.#head = 0;
    const cap = this.#buf.length;
    if (cap > KEEP_ALLOC || (cap > FIRST_ALLOC && this.#mem !== null && this.#mem.tight)) this.release();
  }

  /** The store; with `contiguous` and `headAt` it gives a view of the first bytes without a copy. */
  get store(): Uint8Array {
    return this.#buf;
  }

  get headAt(): number {
    return this.#head;
  }

  /** Bytes from `headAt` on that are held without a wrap. */
  get contiguous(): number {
    const n = this.#buf.length - this.#head;
    return this.sb_cc < n ? this.sb_cc : n;
  }

  /** Gives the store back. */
  release(): void {
    if (this.#mem !== null && this.#buf.length > 0) this.#mem.add(-this.#buf.length);
    this.#buf = EMPTY;
    this.#head = 0;
    this.sb_cc = 0;
  }

  /** Size of a store for `need` bytes. */
  #capFor(need: number): number {
    let cap = this.#buf.length === 0 ? FIRST_ALLOC : this.#buf.length * 2;
    while (cap < need) cap *= 2;
    // The limit is seldom a power of two: no more than it, nor less than what must go in.
    if (cap > this.sb_hiwat) cap = need > this.sb_hiwat ? need : this.sb_hiwat;
    return cap;
  }

  #grow(need: number): void {
    const cap = this.#capFor(need);
    const fresh = new Uint8Array(cap);
    if (this.#mem !== null) this.#mem.add(cap - this.#buf.length);
    const held = this.sb_cc;
    if (held > 0) this.peek(0, fresh, 0, held);
    this.#buf = fresh;
    this.#head = 0;
  }
}

/**
 * Copies without making a view. Short runs go byte by byte; for long ones `copyWithin` serves when both sides are one array,
 * else words are moved through the target's own `set` by the copier that the embedder installed.
 */
let copier: (src: Uint8Array, from: number, dst: Uint8Array, to: number, len: number) => void = (
  src,
  from,
  dst,
  to,
  len,
) => {
  for (let i = 0; i < len; i++) dst[to + i] = src[from + i]!;
};

/** Replaces the byte copier (the pure stack knows no `Buffer`; a shard installs one that is a native memmove). */
export function setByteCopier(fn: typeof copier): void {
  copier = fn;
}

export function copyBytes(src: Uint8Array, from: number, dst: Uint8Array, to: number, len: number): void {
  copier(src, from, dst, to, len);
}
