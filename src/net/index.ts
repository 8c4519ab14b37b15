import { Server, type ServerOptions } from './server.ts';
import { type ConnectTo, Socket, type SocketOptions } from './socket.ts';
import type { Transport } from './transport.ts';

export type { DropInfo, ListenTo, ServerOptions } from './server.ts';
export { Server } from './server.ts';
export type { AddressInfo, ConnectTo, Lookup, SocketOptions } from './socket.ts';
export { Socket } from './socket.ts';
export type { Transport } from './transport.ts';

/** `node:net` on a stack. */
export interface NetApi {
  /** `createServer([options], [connectionListener])` */
  createServer(
    options?: ServerOptions | ((socket: Socket) => void),
    connectionListener?: (socket: Socket) => void,
  ): Server;
  /** `connect(port, host?, cb?)` or `connect(options, cb?)` */
  connect(to: ConnectTo | number | string, host?: string | (() => void), cb?: () => void): Socket;
  /** An unconnected socket, as `new net.Socket(options)`. */
  socket(options?: SocketOptions): Socket;
}

/** The `net` API bound to one shard's TCP. */
export function netApi(transport: Transport): NetApi {
  return {
    createServer(options, connectionListener) {
      if (typeof options === 'function') return new Server(transport, {}, options);
      return new Server(transport, options, connectionListener);
    },
    connect(to, host, cb) {
      const target: ConnectTo = typeof to === 'object' ? to : { port: to };
      if (typeof host === 'string') target.host = host;
      return new Socket(transport, target).connect(target, typeof host === 'function' ? host : cb);
    },
    socket: (options) => new Socket(transport, options),
  };
}
