import type { StreamHandler } from '../../net/transport.ts';
import { Connections } from './connections.ts';
import type { Service } from './host.ts';

/**
 * Echo Protocol (RFC 862, TCP): sends back what it gets. It takes only what the send buffer took, so a user who does not read is
 * stopped by the receive window.
 */
export const echo: Service = {
  name: 'echo',
  port: 7,
  start(host) {
    const open = new Connections();
    const handler: StreamHandler = {
      connected() {},
      data(so, u8, off, len) {
        const n = so.send(u8, off, len);
        return n < 0 ? len : n;
      },
      writable: (so) => so.resume(),
      end: (so) => so.close(),
      closed: (so) => open.delete(so),
    };
    const listener = host.transport.listen({ addr: 0, port: echo.port, fastOpen: true }, (so) => {
      open.add(so);
      return handler;
    });
    return open.running(listener, () => host.transport.enter());
  },
};
