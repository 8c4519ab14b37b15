/**
 * What the `net` API and the services need of a TCP, as interfaces: the callback API of src/stack/socket fits them as it is, and so do
 * the fakes of the tests. All calls are synchronous and single-threaded.
 */

import type { SockOptName, SockOptValues } from '../stack/socket/sockopt.ts';

/** A connection. Events reach the `handler`; `ctx` is the user's own. */
export interface StreamSocket {
  handler: StreamHandler;
  ctx: unknown;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Bytes that `send` would take now. */
  readonly sendSpace: number;
  /** Bytes in the send buffer: unsent and unacknowledged. */
  readonly sendQueued: number;
  /** Copies bytes u8[off, off+len) into the send buffer; returns how many it took (0..len), or -EPIPE after `shutdown`. */
  send(u8: Uint8Array, off: number, len: number): number;
  /** Offers bytes that `data` left behind again. */
  resume(): void;
  /** FIN after what is queued; receiving goes on. */
  shutdown(): void;
  /** FIN after what is queued; data that arrives later is answered with RST. */
  close(): void;
  /** RST now. */
  abort(): void;
  setNoDelay(on: boolean): void;
  /** Name of the congestion control, empty when the connection is gone. */
  readonly congestion?: string;
  /** Changes over to a loaded congestion-control module; false when there is none of that name. */
  setCongestion?(name: string): boolean;
  setKeepAlive(on: boolean, idleMs: number): void;
  /** Options of the stack's own (src/stack/socket/sockopt.ts). Throws an Error with `code` EINVAL, and changes nothing then. */
  setOptions?(changes: Partial<SockOptValues>): void;
  /** The value of one that is in force. */
  getOption?<N extends SockOptName>(name: N): SockOptValues[N];
  /** Sizes of send and receive buffer in bytes. */
  setBuffers(snd: number, rcv: number): void;
  /** Microseconds, int32, wrapping, on a clock that the process's shards share: when the peer's SYN was answered. */
  readonly startUs?: number;
  /** The control block while there is one. */
  readonly tp: { readonly snd_rexmitpack: number } | null;
}

/** Receiver of a connection's events. */
export interface StreamHandler {
  /** The active open completed, or a passive one was accepted. */
  connected(so: StreamSocket): void;
  /** In-sequence bytes u8[off, off+len), valid only during the call; returns how many were taken. The rest waits for `resume()`. */
  data(so: StreamSocket, u8: Uint8Array, off: number, len: number): number;
  /** There is send space again after `send` took less than it was offered. */
  writable(so: StreamSocket): void;
  /** The peer's FIN; everything before it was taken. */
  end(so: StreamSocket): void;
  /** The last event, exactly once: 0 for an orderly end, else an errno. */
  closed(so: StreamSocket, errno: number): void;
}

/** A listening port. */
export interface StreamListener {
  readonly port: number;
  close(): void;
}

/** Local end of a listener; `addr` is int32 in host order (192.0.2.1 is 0xc0000201 | 0), 0 any. */
export interface ListenOptions {
  addr: number;
  port: number;
  backlog?: number;
  reuse?: boolean;
  /** Clients may open with data in their SYN (RFC 7413), where net.inet.tcp.fastopen.server_enable allows it. */
  fastOpen?: boolean;
  /** Options of the connections, set before they are accepted. */
  options?: Partial<SockOptValues>;
}

/** Ends of an active open; the address and port that are left out are chosen by the stack. */
export interface ConnectOptions {
  faddr: number;
  fport: number;
  laddr?: number;
  lport?: number;
  /** What is sent before the turn of the event loop ends rides on the SYN, where the server's cookie is known (RFC 7413). */
  fastOpen?: boolean;
  /** With `fastOpen`: 16 bytes that the server knows too (FreeBSD's net.inet.tcp.fastopen.psk_enable). */
  fastOpenPsk?: Uint8Array;
  /** Options that hold from the SYN on. */
  options?: Partial<SockOptValues>;
}

/** A TCP to build on: a shard's stack, or a test's fake. */
export interface Transport {
  /** Throws an Error with `code` EADDRINUSE or EADDRNOTAVAIL. */
  listen(opts: ListenOptions, accept: (so: StreamSocket) => StreamHandler): StreamListener;
  /** Throws an Error with `code` EADDRINUSE, EADDRNOTAVAIL or ENETUNREACH; later failures reach `closed`. */
  connect(opts: ConnectOptions, handler: StreamHandler): StreamSocket;
  /**
   * To be called before socket calls that are made outside of a socket event (from the event loop: a timer, a message, a stream's
   * tick): brings the stack's clock up to date and sees to it that what the calls queue is sent. Cheap, and harmless inside an event.
   */
  enter(): void;
}
