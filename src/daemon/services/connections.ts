import type { StreamListener, StreamSocket } from '../../net/transport.ts';
import type { RunningService } from './host.ts';

/** The open connections of a service, so that stopping it leaves none behind. */
export class Connections {
  readonly #open = new Set<StreamSocket>();

  add(so: StreamSocket): void {
    this.#open.add(so);
  }

  delete(so: StreamSocket): void {
    this.#open.delete(so);
  }

  abortAll(): void {
    for (const so of [...this.#open]) so.abort();
    this.#open.clear();
  }

  /** What `start` of a service returns when the listener and these connections are all it has. */
  running(listener: StreamListener, enter: () => void): RunningService {
    return {
      stop: () => {
        enter();
        listener.close();
        this.abortAll();
      },
    };
  }
}
