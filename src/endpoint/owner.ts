/** Which sockets of the endpoint the connections of a stack belong to, for those who list them. */
import type { Socket } from '../stack/socket/socket.ts';
import { Sock } from './sock.ts';

/** No socket of the endpoint's. */
export const NOT_OURS = 0;
/** The endpoint's, and in the queue of a listening socket: nobody has it yet. */
export const WAITING = -1;
/** The endpoint's, but its socket has left it: closed, or on to another connection while this one is in TIME_WAIT. */
export const LEFT = -2;

/** The id of the endpoint's socket that has the connection `so`, above 0, or one of the above. */
export function ownerOf(so: Socket): number {
  const sock = so.ctx;
  if (!(sock instanceof Sock)) return NOT_OURS;
  if (sock.waiting) return WAITING;
  return sock.so === so && !sock.closed ? sock.sid : LEFT;
}
