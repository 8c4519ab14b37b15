/**
 * Writes that open the connection with TCP Fast Open (RFC 7413): send(2) with MSG_FASTOPEN, and the first one after a connect(2) that
 * TCP_FASTOPEN_CONNECT has put off. The answers are those of Linux, by observation (docs/endpoint.md).
 */
import { EINVAL } from '../stack/errno.ts';
import { failure, type Reply, success } from './codec.ts';
import { AF_INET, AF_UNSPEC, EALREADY, EINPROGRESS, EOPNOTSUPP } from './linux.ts';
import type { Sock } from './sock.ts';
import { type Operation, Send } from './sock-io.ts';
import { SOCKADDR_IN_LEN, saAddr, saFamily, saPort } from './sockaddr.ts';

/**
 * Connects, and sends what fits with the SYN where the server's cookie is known. Who may wait then waits for the handshake and sends the rest;
 * who may not is told what the SYN took, or EINPROGRESS when that is nothing.
 */
export class FastSend implements Operation {
  readonly #sock: Sock;
  /** The address as it was given, empty for none. */
  readonly #sa: Uint8Array;
  readonly #data: Uint8Array;
  readonly #flags: number;
  /** Bytes that the SYN took along. */
  #syn = 0;
  /** What is said while the handshake goes on; 0 before the first step. */
  #pending = 0;
  /** What follows the handshake. */
  #rest: Send | null = null;

  constructor(sock: Sock, sa: Uint8Array, data: Uint8Array, flags: number) {
    this.#sock = sock;
    this.#sa = sa;
    this.#data = data;
    this.#flags = flags;
  }

  step(wait: boolean): Reply | null {
    if (this.#rest !== null) return this.#rest.step(wait);
    const sock = this.#sock;
    let e: number;
    if (this.#pending === 0) {
      e = this.#open();
      if (this.#pending !== 0) sock.fastOpening = true;
    } else {
      e = sock.connectResult(this.#pending);
    }
    if (this.#pending !== 0) {
      if (e === this.#pending) return wait ? null : this.late();
      sock.fastOpening = false;
    }
    if (e !== 0) return failure(e);
    this.#rest = new Send(sock, this.#data, this.#flags, this.#syn);
    return this.#rest.step(wait);
  }

  late(): Reply {
    if (this.#rest !== null) return this.#rest.late();
    this.#sock.fastOpening = false;
    return this.#syn > 0 ? success(this.#syn) : failure(this.#pending);
  }

  /** @returns 0 when it is connected, or an errno, which is `#pending` when the handshake is under way */
  #open(): number {
    const sock = this.#sock;
    const sa = this.#sa;
    const family = sa.length < 2 ? AF_INET : saFamily(sa);
    if (sock.host.st.tune.tcp_fastopen_client_enable === 0 || family === AF_UNSPEC) return EOPNOTSUPP;
    if (sock.fastOpening) return EALREADY;
    let e = 0;
    if (!sock.deferred) {
      if (sa.length === 1) return EINVAL;
      const long = sa.length >= SOCKADDR_IN_LEN;
      e = sock.connect(family, long ? saAddr(sa) : 0, long ? saPort(sa) : 0, long, true);
    }
    if (sock.deferred) {
      this.#syn = sock.so!.sendSyn(this.#data, 0, this.#data.length);
      e = EINPROGRESS;
    }
    if (e === EINPROGRESS || e === EALREADY) this.#pending = e;
    return e;
  }
}
