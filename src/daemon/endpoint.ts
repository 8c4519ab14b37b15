import { createServer, type Server, type Socket } from 'node:net';
import type { NativeSys } from '../driver/native-sys.ts';
import { Endpoint, type EndpointOptions, type Holder } from '../endpoint/endpoint.ts';
import { eps } from '../metrics/layout.ts';
import { listenUnix } from './control.ts';
import { PeerCred } from './peer-cred.ts';

/** Clients at most. */
const MAX_CLIENTS = 4096;

/** The Unix socket of the endpoint (`--sockets`): connections are clients of `Endpoint` once there is one. */
export class EndpointServer {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  readonly #cred: PeerCred;
  /** Came before the shards were there. */
  #early: Socket[] = [];
  #endpoint: Endpoint | null = null;

  constructor(native: NativeSys) {
    this.#cred = new PeerCred(native);
    this.#server = createServer((s) => this.#connected(s));
    // What goes wrong with one accept says nothing about the next.
    this.#server.on('error', () => {});
  }

  /** Listens, see `listenUnix`. Who connects waits until `start`. */
  listen(path: string): Promise<void> {
    return listenUnix(
      '--sockets',
      path,
      () =>
        new Promise<void>((resolve, reject) => {
          this.#server.once('error', reject);
          this.#server.listen({ path, backlog: MAX_CLIENTS }, () => resolve());
        }),
    );
  }

  /** Begins to answer. */
  start(options: EndpointOptions): void {
    this.#endpoint = new Endpoint(options);
    for (const s of this.#early.splice(0)) this.#serve(this.#endpoint, s);
  }

  /** Who has socket `sid` of a shard; null when it was closed. */
  holder(shard: number, sid: number): Holder | null {
    return this.#endpoint?.holder(shard, sid) ?? null;
  }

  #connected(s: Socket): void {
    this.#open.add(s);
    s.on('error', () => {});
    s.on('close', () => this.#open.delete(s));
    if (this.#endpoint === null) this.#early.push(s);
    else this.#serve(this.#endpoint, s);
  }

  #serve(endpoint: Endpoint, s: Socket): void {
    if (s.destroyed) return;
    if (endpoint.clients >= MAX_CLIENTS) {
      endpoint.cnt[eps.eps_clients_refused]!++;
      s.destroy();
      return;
    }
    const client = endpoint.connect(
      (bytes) => {
        if (!s.write(bytes)) client.writable = false;
      },
      () => s.destroy(),
      this.#cred.of(s),
    );
    s.on('data', (bytes) => client.feed(bytes));
    s.on('drain', () => {
      client.writable = true;
    });
    s.on('close', () => client.end());
  }

  /** Cuts off every client and removes the socket. */
  close(): Promise<void> {
    for (const s of this.#open) s.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
