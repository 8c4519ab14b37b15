/** The socket endpoint of a process: its clients, its descriptors, and the shards on which the sockets live. */

import { eps } from '../metrics/layout.ts';
import { EINVAL } from '../stack/errno.ts';
import { Client } from './client.ts';
import { failure, OP_CLOSE, type Reply, success } from './codec.ts';
import type { CoreRequest } from './core.ts';
import { Descriptors } from './descriptors.ts';
import { EOPNOTSUPP } from './linux.ts';
import type { CoreReply } from './operations.ts';

/** The endpoint of one shard (core.ts), in this thread or another. Answers come in the order of the requests but for those that wait. */
export interface CorePort {
  request(id: number, r: CoreRequest, done: (reply: CoreReply) => void): void;
  poll(id: number, items: readonly { sid: number; events: number }[], us: number, done: (r: CoreReply) => void): void;
  cancel(id: number): void;
}

/** The links by which packets come in (LINKSYNC). */
export interface EndpointLinks {
  /** Waits until link `index`, in the order of --iface, has taken `count` frames in. @returns 0 or an errno */
  sync(index: number, count: number): Promise<number>;
}

/** The time of the stack (CLOCK). */
export interface EndpointClock {
  /** µs */
  now(): number;
  /** Stops time, which moves by `advance` only from then on. @returns 0 or an errno */
  setVirtual(): Promise<number>;
  /** Lets `us` go by. @returns 0 or an errno */
  advance(us: number): Promise<number>;
}

export interface EndpointOptions {
  readonly cores: readonly CorePort[];
  /** Counters of this thread. */
  readonly cnt: Float64Array;
  readonly links?: EndpointLinks;
  readonly clock?: EndpointClock;
  /** Descriptors at most (default 65536). */
  readonly maxDescriptors?: number;
}

const MAX_DESCRIPTORS = 65536;

/** Links that count nothing a client could wait for. */
const noLinks: EndpointLinks = { sync: async () => EOPNOTSUPP };

export class Endpoint {
  readonly cores: readonly CorePort[];
  readonly cnt: Float64Array;
  readonly links: EndpointLinks;
  readonly fds: Descriptors;
  readonly #clock: EndpointClock | null;
  readonly #clients = new Set<Client>();
  #id = 0;

  constructor(o: EndpointOptions) {
    this.cores = o.cores;
    this.cnt = o.cnt;
    this.links = o.links ?? noLinks;
    this.#clock = o.clock ?? null;
    this.fds = new Descriptors(o.maxDescriptors ?? MAX_DESCRIPTORS);
  }

  /** Clients connected now. */
  get clients(): number {
    return this.#clients.size;
  }

  /** A new connection; see Client. */
  connect(send: (bytes: Uint8Array) => void, cut: () => void): Client {
    const client = new Client(this, send, cut);
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

  /** CLOCK: 0 read, 1 set virtual, 2 advance. */
  async clock(what: number, us: number): Promise<Reply> {
    const clock = this.#clock;
    if (clock === null) return failure(EOPNOTSUPP);
    let e = 0;
    if (what === 1) e = await clock.setVirtual();
    else if (what === 2) e = us < 0 ? EINVAL : await clock.advance(us);
    else if (what !== 0) e = EINVAL;
    if (e !== 0) return failure(e);
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setBigUint64(0, BigInt(Math.floor(clock.now())));
    return success(0, payload);
  }
}
