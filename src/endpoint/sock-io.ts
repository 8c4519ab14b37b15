/** Reading and writing: recv(2) and send(2) of a TCP socket, step by step as tcp_recvmsg and tcp_sendmsg of Linux decide. */
import { EAGAIN, EINVAL, ENOTCONN, EPIPE } from '../stack/errno.ts';
import { failure, PAYLOAD_MAX, type Reply, success } from './codec.ts';
import {
  LX_CLOSE,
  LX_CLOSE_WAIT,
  LX_ESTABLISHED,
  LX_LISTEN,
  LX_SYN_RECV,
  LX_SYN_SENT,
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
} from './linux.ts';
import { RCV_SHUTDOWN, SEND_SHUTDOWN, type Sock } from './sock.ts';

const EMPTY = new Uint8Array(0);

/** An operation that may have to wait: `step` is called again whenever the socket has changed, and `late` when the time is up. */
export interface Operation {
  /** What it gives, or null while it must wait. @param wait false: it must answer now */
  step(wait: boolean): Reply | null;
  /** The answer when there is no time left. */
  late(): Reply;
}

/** recv(2), recvmsg(2). Asked for more than PAYLOAD_MAX it gives no more than that. */
export class Receive implements Operation {
  readonly #sock: Sock;
  readonly #flags: number;
  readonly #len: number;
  #buf: Uint8Array;
  #copied = 0;

  constructor(sock: Sock, len: number, flags: number) {
    this.#sock = sock;
    this.#flags = flags;
    this.#len = Math.min(len, PAYLOAD_MAX);
    this.#buf = EMPTY;
  }

  step(wait: boolean): Reply | null {
    const sock = this.#sock;
    const flags = this.#flags;
    if (flags & MSG_ERRQUEUE) return failure(EAGAIN);
    if (sock.state === LX_LISTEN) return failure(ENOTCONN);
    // Urgent data stands in line here, as with SO_OOBINLINE (RFC 6093 section 6): there is nothing to be read out of band.
    if (flags & MSG_OOB) return failure(EINVAL);
    const len = this.#len;
    const lowat = flags & MSG_WAITALL ? len : Math.min(sock.lowat, len);
    const target = lowat === 0 ? 1 : lowat;
    const skip = flags & MSG_PEEK ? this.#copied : 0;
    const room = Math.min(sock.readable - skip, len - this.#copied);
    const n = sock.so === null || flags & MSG_PEEK ? room : sock.so.urgentLimit(room);
    if (n > 0) this.#take(skip, n);
    else if (len === 0 && sock.readable > 0) return this.#done();
    if (n < room || this.#copied >= target || (len > 0 && this.#copied === len)) return this.#done();
    const ended = sock.state === LX_CLOSE || (sock.shut & RCV_SHUTDOWN) !== 0;
    if (this.#copied > 0) {
      return !wait || ended || sock.err !== 0 ? this.#done() : null;
    }
    if (sock.done) return this.#done();
    if (sock.err !== 0) return failure(sock.takeError());
    if (sock.shut & RCV_SHUTDOWN) return this.#done();
    if (ended) return failure(ENOTCONN);
    return wait ? null : failure(EAGAIN);
  }

  late(): Reply {
    return this.#copied > 0 ? this.#done() : failure(EAGAIN);
  }

  #take(skip: number, n: number): void {
    const sock = this.#sock;
    const discard = (this.#flags & MSG_TRUNC) !== 0;
    if (!discard) {
      const need = this.#copied + n;
      if (need > this.#buf.length) {
        // All of a read that waits for all; of another as much as there is.
        const grown = new Uint8Array(this.#flags & MSG_WAITALL ? this.#len : need);
        grown.set(this.#buf.subarray(0, this.#copied));
        this.#buf = grown;
      }
    }
    const at = this.#copied;
    this.#copied += n;
    sock.so!.receive(skip, discard ? null : this.#buf, at, n, (this.#flags & MSG_PEEK) !== 0);
  }

  /** The bytes; with MSG_TRUNC only their number (tcp(7)). */
  #done(): Reply {
    const n = this.#copied;
    if (this.#flags & MSG_TRUNC) return success(n);
    return success(n, n === this.#buf.length ? this.#buf : this.#buf.slice(0, n));
  }
}

/** send(2), sendmsg(2): all of it, unless it must not wait. */
export class Send implements Operation {
  readonly #sock: Sock;
  readonly #data: Uint8Array;
  readonly #more: boolean;
  readonly #urgent: boolean;
  #sent: number;

  /**
   * @param flags MSG_MORE: what is no full segment waits for what follows; MSG_OOB: the last byte ends urgent data
   * @param sent  so many bytes are under way already
   */
  constructor(sock: Sock, data: Uint8Array, flags: number, sent = 0) {
    this.#sock = sock;
    this.#data = data;
    this.#more = (flags & MSG_MORE) !== 0;
    this.#urgent = (flags & MSG_OOB) !== 0;
    this.#sent = sent;
  }

  step(wait: boolean): Reply | null {
    const sock = this.#sock;
    const { state } = sock;
    const early = sock.passive && state === LX_SYN_RECV;
    if (this.#sent === 0 && state !== LX_ESTABLISHED && state !== LX_CLOSE_WAIT && !early) {
      if (sock.err !== 0) return failure(sock.takeError());
      if (state !== LX_SYN_SENT && state !== LX_SYN_RECV) return failure(EPIPE);
      return wait ? null : failure(EAGAIN);
    }
    if (sock.err !== 0 || (sock.shut & SEND_SHUTDOWN) !== 0) {
      return this.#sent > 0 ? success(this.#sent) : failure(sock.takeError() || EPIPE);
    }
    const left = this.#data.length - this.#sent;
    if (left > 0) {
      const n = this.#push(sock, left);
      if (n < 0) return this.#sent > 0 ? success(this.#sent) : failure(sock.takeError() || -n);
      this.#sent += n;
    }
    if (this.#sent === this.#data.length) return success(this.#sent);
    return wait ? null : this.late();
  }

  #push(sock: Sock, left: number): number {
    const so = sock.so!;
    if (this.#more && !sock.more && sock.o.cork === 0) so.setOptions({ noPush: true });
    const n = so.send(this.#data, this.#sent, left, this.#urgent && left <= so.sendSpace);
    // What was kept back goes together with what follows it.
    if (!this.#more && sock.more && sock.o.cork === 0) so.setOptions({ noPush: false });
    sock.more = this.#more;
    return n;
  }

  late(): Reply {
    return this.#sent > 0 ? success(this.#sent) : failure(EAGAIN);
  }
}

/** A reply of recvmsg(2): the lengths of address and control data, of which a TCP socket gives none, before the bytes. */
export function withHead(r: Reply): Reply {
  if (r.ret < 0) return r;
  const payload = new Uint8Array(4 + r.payload.length);
  payload.set(r.payload, 4);
  return { ...r, payload };
}
