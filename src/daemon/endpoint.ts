import { createServer, type Server, type Socket } from 'node:net';
import { Endpoint, type EndpointOptions } from '../endpoint/endpoint.ts';
import { eps } from '../metrics/layout.ts';
import { listenUnix } from './control.ts';

/** Clients at most. */
const MAX_CLIENTS = 4096;

/** The Unix socket of the endpoint (`--sockets`): connections are clients of `Endpoint` once there is one. */
export class EndpointServer {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** Came before the shards were there. */
  #early: Socket[] = [];
  #endpoint: Endpoint | null = null;

  constructor() {
    this.#server = createServer((s) => this.#connected(s));
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
