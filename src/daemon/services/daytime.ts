import type { StreamHandler } from '../../net/transport.ts';
import { Connections } from './connections.ts';
import type { Service } from './host.ts';

const weekday = new Intl.DateTimeFormat('en-US', { weekday: 'long', timeZone: 'UTC' });
const month = new Intl.DateTimeFormat('en-US', { month: 'long', timeZone: 'UTC' });

/** The line of RFC 867's first syntax, `Tuesday, February 22, 1982 17:37:43-UTC` with CR LF. */
export function daytimeLine(now: Date): string {
  const time = now.toISOString().slice(11, 19);
  const date = `${month.format(now)} ${now.getUTCDate()}, ${now.getUTCFullYear()}`;
  return `${weekday.format(now)}, ${date} ${time}-UTC\r\n`;
}

/** Daytime Protocol (RFC 867, TCP): one line with date and time, then the connection is closed; what it gets is thrown away. */
export const daytime: Service = {
  name: 'daytime',
  port: 13,
  start(host) {
    const open = new Connections();
    const handler: StreamHandler = {
      connected(so) {
        const line = Buffer.from(daytimeLine(new Date()), 'latin1');
        so.send(line, 0, line.length);
        // no close() yet: what the user still sends would be answered by RST, which could overtake the line
        so.shutdown();
        so.setKeepAlive(true, 60_000);
      },
      data: (_so, _u8, _off, len) => len,
      writable() {},
      end: (so) => so.close(),
      closed: (so) => open.delete(so),
    };
    const listener = host.transport.listen({ addr: 0, port: daytime.port, fastOpen: true }, (so) => {
      open.add(so);
      return handler;
    });
    return open.running(listener, () => host.transport.enter());
  },
};
