/** The operations that may wait, besides reading and writing (sock-io.ts): accept(2), connect(2), poll(2), and close(2) with SO_LINGER. */
import { EAGAIN, EINVAL, EISCONN } from '../stack/errno.ts';
import { failure, type Reply, success } from './codec.ts';
import { EALREADY, EINPROGRESS, LX_LISTEN, POLLERR, POLLHUP } from './linux.ts';
import type { Sock, SockId } from './sock.ts';
import type { Operation } from './sock-io.ts';
import { sockaddrIn } from './sockaddr.ts';

/** A reply of the shard; `made` becomes a descriptor where the connection is served. */
export interface CoreReply extends Reply {
  readonly made?: SockId;
}

export class Accept implements Operation {
  readonly #sock: Sock;
  readonly #taken: (made: SockId) => void;

  /** @param taken told of the connection that the caller gets */
  constructor(sock: Sock, taken: (made: SockId) => void) {
    this.#sock = sock;
    this.#taken = taken;
  }

  step(wait: boolean): CoreReply | null {
    if (this.#sock.state !== LX_LISTEN) return failure(EINVAL);
    const child = this.#sock.queue.shift();
    if (child === undefined) return wait ? null : failure(EAGAIN);
    const made = { shard: child.shard, sid: child.sid };
    this.#taken(made);
    return { ...success(0, sockaddrIn(child.faddr, child.fport)), made };
  }

  late(): Reply {
    return failure(EAGAIN);
  }
}

export class Connect implements Operation {
  readonly #sock: Sock;
  readonly #family: number;
  readonly #addr: number;
  readonly #port: number;
  /** The address was long enough for one of IPv4. */
  readonly #long: boolean;
  /** What is said while the handshake goes on; 0 before the first step. */
  #pending = 0;

  constructor(sock: Sock, family: number, addr: number, port: number, long: boolean) {
    this.#sock = sock;
    this.#family = family;
    this.#addr = addr;
    this.#port = port;
    this.#long = long;
  }

  step(wait: boolean): Reply | null {
    const sock = this.#sock;
    let e: number;
    if (this.#pending === 0) {
      e = sock.connect(this.#family, this.#addr, this.#port, this.#long);
      if (e === EINPROGRESS || e === EALREADY || (e === EISCONN && sock.deferred)) this.#pending = e;
    } else {
      e = sock.connectResult(this.#pending);
    }
    if (e === 0) return success();
    return wait && this.#pending !== 0 && e === this.#pending ? null : failure(e);
  }

  late(): Reply {
    return failure(this.#pending);
  }
}

/** What a poll asks of one socket. */
export interface PollItem {
  readonly sock: Sock;
  readonly events: number;
}

/** poll(2) of sockets of one shard. The payload of its reply is the events found, an int16 of the host's order each. */
export class Poll implements Operation {
  readonly #items: readonly PollItem[];

  constructor(items: readonly PollItem[]) {
    this.#items = items;
  }

  step(wait: boolean): Reply | null {
    let n = 0;
    const found = new Int16Array(this.#items.length);
    this.#items.forEach(({ sock, events }, i) => {
      found[i] = sock.poll() & (events | POLLERR | POLLHUP);
      if (found[i] !== 0) n++;
    });
    if (n === 0 && wait) return null;
    return success(n, new Uint8Array(found.buffer));
  }

  late(): Reply {
    return this.step(false)!;
  }
}

/** A close that lingers: the socket is the stack's already. */
export class Linger implements Operation {
  readonly #sock: Sock;

  constructor(sock: Sock) {
    this.#sock = sock;
  }

  step(wait: boolean): Reply | null {
    return !wait || this.#sock.lingered ? success() : null;
  }

  late(): Reply {
    return success();
  }
}
