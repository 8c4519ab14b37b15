/** The socket endpoint of a process: its clients, its descriptors, and the shards on which the sockets live. */

import { eps } from '../metrics/layout.ts';
import { Client } from './client.ts';
import { OP_CLOSE, type Reply } from './codec.ts';
import type { CoreRequest } from './core.ts';
import { Descriptors } from './descriptors.ts';
import type { CoreReply } from './operations.ts';

/** The endpoint of one shard (core.ts), in this thread or another. Answers come in the order of the requests but for those that wait. */
export interface CorePort {
  request(id: number, r: CoreRequest, done: (reply: CoreReply) => void): void;
  poll(id: number, items: readonly { sid: number; events: number }[], us: number, done: (r: CoreReply) => void): void;
  cancel(id: number): void;
  /** LINKSYNC: answers once link `index`, in the order of --iface, has finished with `count` frames. Absent: there are no such links. */
  linkSync?(id: number, index: number, count: number, done: (r: Reply) => void): void;
  /** CLOCK: the time in µs, 8 bytes, after it was read (0), stopped (1), or moved on by `us` (2). Absent: there is no clock to be seen. */
  clock?(id: number, what: number, us: number, done: (r: Reply) => void): void;
}

export interface EndpointOptions {
  readonly cores: readonly CorePort[];
  /** Counters of this thread. */
  readonly cnt: Float64Array;
  /** Descriptors at most (default 65536). */
  readonly maxDescriptors?: number;
}

/** The process that connected to the endpoint. */
export interface Peer {
  readonly uid: number;
  /** Name of the user; null for one without. */
  readonly user: string | null;
  /** Null where it is in a PID namespace that is not ours. */
  readonly pid: number | null;
  /** As `ps` shows it; null where that is hidden. */
  readonly command: string | null;
}

/** Who has a socket of the endpoint. */
export interface Holder {
  readonly fd: number;
  /** Null where it is not known. */
  readonly peer: Peer | null;
}

const MAX_DESCRIPTORS = 65536;

export class Endpoint {
  readonly cores: readonly CorePort[];
  readonly cnt: Float64Array;
  readonly fds: Descriptors;
  readonly #clients = new Set<Client>();
  #id = 0;

  constructor(o: EndpointOptions) {
    this.cores = o.cores;
    this.cnt = o.cnt;
    this.fds = new Descriptors(o.maxDescriptors ?? MAX_DESCRIPTORS);
  }

  /** Clients connected now. */
  get clients(): number {
    return this.#clients.size;
  }

  /** A new connection; see Client. @param peer whose it is, null where that is not known */
  connect(send: (bytes: Uint8Array) => void, cut: () => void, peer: Peer | null = null): Client {
    const client = new Client(this, send, cut, peer);
    this.#clients.add(client);
    this.cnt[eps.eps_accepts]!++;
    this.cnt[eps.eps_clients] = this.#clients.size;
    return client;
  }

  /** A number for an operation of a shard. */
  nextId(): number {
    return ++this.#id;
  }

  /** Sets a descriptor aside; -1 when none is free. */
  reserve(): number {
    const fd = this.fds.reserve();
    if (fd < 0) this.cnt[eps.eps_nodescriptor]!++;
    this.cnt[eps.eps_descriptors] = this.fds.size;
    return fd;
  }

  /** The descriptor is free; what was behind it is somebody else's business. */
  forget(fd: number): void {
    this.fds.free(fd);
    this.cnt[eps.eps_descriptors] = this.fds.size;
  }

  /** Who has socket `sid` of a shard; null when it has no descriptor: it was closed. */
  holder(shard: number, sid: number): Holder | null {
    const fd = this.fds.find(shard, sid);
    return fd < 0 ? null : { fd, peer: this.fds.get(fd)!.client.peer };
  }

  /** Closes a descriptor, without waiting. */
  close(fd: number): void {
    const d = this.fds.get(fd);
    if (d === null) return;
    this.forget(fd);
    const request = { op: OP_CLOSE, sid: d.sid, a: 0, b: 0, c: 0, payload: new Uint8Array(0) };
    this.cores[d.shard]!.request(this.nextId(), request, () => {});
  }

  /** A client has gone. */
  closeAll(client: Client): void {
    if (!this.#clients.delete(client)) return;
    this.cnt[eps.eps_clients] = this.#clients.size;
    for (const fd of this.fds.of(client)) {
      this.cnt[eps.eps_vanished]!++;
      this.close(fd);
    }
  }
}
