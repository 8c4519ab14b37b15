import type {
  ConnectOptions,
  ListenOptions,
  StreamHandler,
  StreamListener,
  StreamSocket,
  Transport,
} from '../net/transport.ts';
import { listen } from '../stack/socket/listener.ts';
import { connect, type Socket } from '../stack/socket/socket.ts';
import type { Stack } from '../stack/stack.ts';

/** A shard's TCP as `src/net` and the services use it. `enter` is the shard's, see `Transport.enter`. */
export class StackTransport implements Transport {
  readonly enter: () => void;
  readonly #st: Stack;

  constructor(st: Stack, enter: () => void) {
    this.#st = st;
    this.enter = enter;
  }

  listen(opts: ListenOptions, accept: (so: StreamSocket) => StreamHandler): StreamListener {
    return listen(this.#st, opts, accept as (so: Socket) => StreamHandler);
  }

  connect(opts: ConnectOptions, handler: StreamHandler): StreamSocket {
    this.enter();
    return connect(this.#st, opts, handler);
  }
}
