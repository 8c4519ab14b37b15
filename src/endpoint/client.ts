/** One connection to the endpoint: its requests in their order, one at a time, and the answers. Knows nothing of the transport. */
import { eps } from '../metrics/layout.ts';
import * as C from './codec.ts';
import { encodeReply, failure, malformed, type Reply, type Request, RequestReader } from './codec.ts';
import type { Endpoint, Peer } from './endpoint.ts';
import * as L from './linux.ts';
import type { CoreReply } from './operations.ts';
import { pollDescriptors } from './poll.ts';

export class Client {
  /** The process at the other end, null where it is not known. */
  readonly peer: Peer | null;
  readonly #ep: Endpoint;
  readonly #send: (bytes: Uint8Array) => void;
  readonly #cut: () => void;
  readonly #reader = new RequestReader();
  /** A request is being worked on. */
  #busy = false;
  /** The transport takes no more for the moment. */
  #full = false;
  #gone = false;
  #looping = false;
  /** Ends what is being worked on. */
  #cancel: (() => void) | null = null;

  /**
   * @param send takes the bytes of a reply
   * @param cut  closes the connection
   */
  constructor(ep: Endpoint, send: (bytes: Uint8Array) => void, cut: () => void, peer: Peer | null) {
    this.peer = peer;
    this.#ep = ep;
    this.#send = send;
    this.#cut = cut;
  }

  /** Bytes from the client. */
  feed(bytes: Uint8Array): void {
    if (this.#gone) return;
    if (!this.#reader.push(bytes)) {
      this.#oversize();
      return;
    }
    this.#next();
  }

  /** Whether the transport takes replies; while it does not, no request is begun. */
  set writable(on: boolean) {
    this.#full = !on;
    if (on) this.#next();
  }

  /** The client has gone: what it waits for ends, and its sockets are closed as those of a process that ended. */
  end(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#cancel?.();
    this.#ep.closeAll(this);
  }

  #oversize(): void {
    this.#ep.cnt[eps.eps_oversize]!++;
    this.#cut();
    this.end();
  }

  #next(): void {
    // An answer given at once comes back here: the loop that is running goes on.
    if (this.#looping) return;
    this.#looping = true;
    this.#work();
    this.#looping = false;
  }

  #work(): void {
    while (!this.#busy && !this.#full && !this.#gone) {
      const req = this.#reader.next();
      if (req === 'more') return;
      if (req === 'oversize') {
        this.#oversize();
        return;
      }
      this.#busy = true;
      if (req === 'malformed') {
        this.#reply(this.#counted(malformed()));
        continue;
      }
      this.#ep.cnt[eps.eps_requests]!++;
      this.#begin(req);
    }
  }

  #counted(r: Reply): Reply {
    if (r.malformed === true) this.#ep.cnt[eps.eps_malformed]!++;
    return r;
  }

  #reply(r: Reply): void {
    this.#cancel = null;
    this.#busy = false;
    if (!this.#gone) this.#send(encodeReply(r));
  }

  /** The answer of an operation that was begun; more requests may wait behind it. */
  readonly #done = (r: Reply): void => {
    if (!this.#busy) return;
    this.#reply(this.#counted(r));
    this.#next();
  };

  #begin(req: Request): void {
    const ep = this.#ep;
    const done = this.#done;
    switch (req.op) {
      case C.OP_SOCKET:
        this.#making(req, 0, -1);
        return;
      case C.OP_POLL:
        this.#cancel = pollDescriptors(ep, req, done);
        return;
      case C.OP_LINKSYNC:
        this.#shardOnly(ep.cores[0]!.linkSync?.bind(ep.cores[0], ep.nextId(), req.b, req.a));
        return;
      case C.OP_CLOCK:
        this.#shardOnly(ep.cores[0]!.clock?.bind(ep.cores[0], ep.nextId(), req.a, req.b));
        return;
    }
    const d = ep.fds.get(req.fd);
    if (d === null) {
      done(failure(L.EBADF));
      return;
    }
    if (req.op === C.OP_ACCEPT) {
      this.#making(req, d.shard, d.sid);
      return;
    }
    if (req.op === C.OP_CLOSE) ep.forget(req.fd);
    this.#ask(req, d.shard, d.sid, done);
  }

  /** Time and links are those of the first shard; a stack that has several of its own has none that can be set. */
  #shardOnly(ask: ((done: (r: Reply) => void) => void) | undefined): void {
    if (ask === undefined) this.#done(failure(L.EOPNOTSUPP));
    else ask(this.#done);
  }

  #ask(req: Request, shard: number, sid: number, done: (r: CoreReply) => void): void {
    const core = this.#ep.cores[shard]!;
    const id = this.#ep.nextId();
    const { op, a, b, c, payload } = req;
    this.#cancel = () => core.cancel(id);
    core.request(id, { op, sid, a, b, c, payload }, done);
  }

  /** SOCKET and ACCEPT: a descriptor is set aside before, as there may be none afterwards. */
  #making(req: Request, shard: number, sid: number): void {
    const ep = this.#ep;
    const fd = ep.reserve();
    if (fd < 0) {
      this.#done(failure(L.EMFILE));
      return;
    }
    this.#ask(req, shard, sid, (r) => {
      if (r.made === undefined) {
        ep.forget(fd);
        this.#done(r);
        return;
      }
      ep.fds.set(fd, { ...r.made, client: this });
      if (this.#gone) ep.close(fd);
      this.#done({ ...r, ret: fd });
    });
  }
}
