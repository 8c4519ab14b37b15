import type { StreamHandler } from '../../net/transport.ts';
import { Connections } from './connections.ts';
import type { Service } from './host.ts';

/** Discard Protocol (RFC 863, TCP): throws away what it gets until the user closes. */
export const discard: Service = {
  name: 'discard',
  port: 9,
  start(host) {
    const open = new Connections();
    const handler: StreamHandler = {
      connected() {},
      data: (_so, _u8, _off, len) => len,
      writable() {},
      end: (so) => so.close(),
      closed: (so) => open.delete(so),
    };
    const listener = host.transport.listen({ addr: 0, port: discard.port, fastOpen: true }, (so) => {
      open.add(so);
      return handler;
    });
    return open.running(listener, () => host.transport.enter());
  },
};
