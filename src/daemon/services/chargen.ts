import type { StreamHandler, StreamSocket } from '../../net/transport.ts';
import { Connections } from './connections.ts';
import type { Service } from './host.ts';

/** Characters of a line without its CR LF (RFC 864, "Data Syntax"). */
const LINE = 72;
/** The 95 printing characters, space first. */
const CHARS = 95;
/** After this many bytes the pattern begins anew: 95 lines, each one character further on. */
const PERIOD = CHARS * (LINE + 2);

function pattern(periods: number): Uint8Array {
  const u8 = new Uint8Array(PERIOD * periods);
  let at = 0;
  for (let line = 0; line < CHARS * periods; line++) {
    for (let i = 0; i < LINE; i++) u8[at++] = 0x20 + ((line + i) % CHARS);
    u8[at++] = 0x0d;
    u8[at++] = 0x0a;
  }
  return u8;
}

/** Character Generator Protocol (RFC 864, TCP): the ring of printing characters without end, until the user closes. */
export const chargen: Service = {
  name: 'chargen',
  port: 19,
  start(host) {
    const open = new Connections();
    const u8 = pattern(16);
    // ctx is the connection's place in the pattern
    const fill = (so: StreamSocket): void => {
      let pos = so.ctx as number;
      for (;;) {
        const want = u8.length - pos;
        const n = so.send(u8, pos, want);
        if (n <= 0) break;
        pos = (pos + n) % PERIOD;
        if (n < want) break;
      }
      so.ctx = pos;
    };
    const handler: StreamHandler = {
      connected: fill,
      data: (_so, _u8, _off, len) => len,
      writable: fill,
      end: (so) => so.close(),
      closed: (so) => open.delete(so),
    };
    const listener = host.transport.listen({ addr: 0, port: chargen.port, fastOpen: true }, (so) => {
      so.ctx = 0;
      open.add(so);
      return handler;
    });
    return open.running(listener, () => host.transport.enter());
  },
};
