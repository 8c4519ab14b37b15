/**
 * The wire format of the socket endpoint. Integers are big-endian; a length counts everything after itself.
 *
 *   request  | u32 len | u16 op | u16 0 | i32 fd | i32 a | i32 b | i32 c | payload |
 *   reply    | u32 len | i32 ret | i32 errno | i32 aux | payload |
 */
import { EPROTO } from './linux.ts';

export const OP_SOCKET = 1;
export const OP_BIND = 2;
export const OP_LISTEN = 3;
export const OP_ACCEPT = 4;
export const OP_CONNECT = 5;
export const OP_RECV = 6;
export const OP_SEND = 7;
export const OP_FCNTL = 8;
export const OP_IOCTL = 9;
export const OP_CLOSE = 10;
export const OP_SHUTDOWN = 11;
export const OP_GETSOCKOPT = 12;
export const OP_SETSOCKOPT = 13;
export const OP_POLL = 14;
export const OP_GETSOCKNAME = 15;
export const OP_GETPEERNAME = 16;
export const OP_SENDMSG = 17;
export const OP_RECVMSG = 18;
export const OP_LINKSYNC = 20;
export const OP_CLOCK = 21;

/** Operations that carry a payload; of the others one is an error. */
const WITH_PAYLOAD: ReadonlySet<number> = new Set([OP_BIND, OP_CONNECT, OP_SEND, OP_SETSOCKOPT, OP_POLL, OP_SENDMSG]);

const KNOWN: ReadonlySet<number> = new Set([
  ...Array.from({ length: OP_RECVMSG }, (_, i) => i + 1),
  OP_LINKSYNC,
  OP_CLOCK,
]);

/** Bytes of a request after its length, without payload. */
export const REQUEST_HEAD = 20;
/** Largest payload of a request or of a reply. */
export const PAYLOAD_MAX = 1 << 20;
const REPLY_HEAD = 12;
const EMPTY = new Uint8Array(0);

export interface Request {
  readonly op: number;
  readonly fd: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly payload: Uint8Array;
}

/** What an operation gives: `ret` is -1 with an `errno`, else what the call returns. */
export interface Reply {
  readonly ret: number;
  readonly errno: number;
  readonly aux: number;
  readonly payload: Uint8Array;
  /** The request was none; EPROTO alone may be a connection's error. */
  readonly malformed?: true;
}

export function success(ret = 0, payload: Uint8Array = EMPTY, aux = 0): Reply {
  return { ret, errno: 0, aux, payload };
}

export function failure(errno: number): Reply {
  return { ret: -1, errno, aux: 0, payload: EMPTY };
}

/** The answer to a request that is none. */
export function malformed(): Reply {
  return { ...failure(EPROTO), malformed: true };
}

/** The bytes of a reply. */
export function encodeReply(r: Reply): Uint8Array {
  const bytes = new Uint8Array(4 + REPLY_HEAD + r.payload.length);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, REPLY_HEAD + r.payload.length);
  v.setInt32(4, r.ret);
  v.setInt32(8, r.errno);
  v.setInt32(12, r.aux);
  bytes.set(r.payload, 16);
  return bytes;
}

/** Reads the requests of one connection out of the bytes that come. What a peer can make it hold is bounded. */
export class RequestReader {
  #buf: Uint8Array = EMPTY;
  /** What has come and belongs to no request yet: `#len` bytes from `#at` on. */
  #at = 0;
  #len = 0;

  /** Bytes that came and belong to no request yet. */
  get buffered(): number {
    return this.#len;
  }

  /** Takes bytes in. False when more are held than any one request has: nobody waits for its answers. */
  push(bytes: Uint8Array): boolean {
    const need = this.#len + bytes.length;
    if (need > 2 * (4 + REQUEST_HEAD + PAYLOAD_MAX)) return false;
    if (need > this.#buf.length) {
      const grown = new Uint8Array(Math.max(need, 2 * this.#buf.length, 4096));
      grown.set(this.#buf.subarray(this.#at, this.#at + this.#len));
      this.#buf = grown;
      this.#at = 0;
    } else if (this.#at + need > this.#buf.length) {
      this.#buf.copyWithin(0, this.#at, this.#at + this.#len);
      this.#at = 0;
    }
    this.#buf.set(bytes, this.#at + this.#len);
    this.#len = need;
    return true;
  }

  /**
   * The next request; its payload is a copy.
   * @returns 'more' when it has not come whole, 'malformed' for one to answer with EPROTO (it is skipped), 'oversize' for one whose length
   *          is beyond all bounds: where the next one begins cannot be known then
   */
  next(): Request | 'more' | 'malformed' | 'oversize' {
    if (this.#len < 4) return 'more';
    const v = new DataView(this.#buf.buffer, this.#at);
    const len = v.getUint32(0);
    if (len > REQUEST_HEAD + PAYLOAD_MAX) return 'oversize';
    if (this.#len < 4 + len) return 'more';
    let req: Request | 'malformed' = 'malformed';
    if (len >= REQUEST_HEAD) {
      const op = v.getUint16(4);
      const payload = this.#buf.slice(this.#at + 4 + REQUEST_HEAD, this.#at + 4 + len);
      if (KNOWN.has(op) && v.getUint16(6) === 0 && (payload.length === 0 || WITH_PAYLOAD.has(op))) {
        req = { op, fd: v.getInt32(8), a: v.getInt32(12), b: v.getInt32(16), c: v.getInt32(20), payload };
      }
    }
    this.#at += 4 + len;
    this.#len -= 4 + len;
    if (this.#len === 0) {
      this.#at = 0;
      if (this.#buf.length > 65536) this.#buf = EMPTY;
    }
    return req;
  }
}
