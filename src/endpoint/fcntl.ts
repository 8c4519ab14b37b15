/** fcntl(2) and ioctl(2) of a socket. */
import { EINVAL } from '../stack/errno.ts';
import { failure, type Reply, success } from './codec.ts';
import * as L from './linux.ts';
import type { Sock } from './sock.ts';

/** Flags of a file that F_SETFL changes; it leaves the others alone. */
const SETTABLE = L.O_APPEND | L.O_NONBLOCK | L.O_ASYNC;

export function fcntl(sock: Sock, cmd: number, arg: number): Reply {
  switch (cmd) {
    case L.F_GETFD:
      return success(sock.fdFlags);
    case L.F_SETFD:
      sock.fdFlags = arg & L.FD_CLOEXEC;
      return success();
    case L.F_GETFL:
      return success(L.O_RDWR | sock.fileFlags);
    case L.F_SETFL:
      if (arg & L.O_DIRECT) return failure(EINVAL);
      sock.fileFlags = arg & SETTABLE;
      return success();
    default:
      return failure(EINVAL);
  }
}

export function ioctl(sock: Sock, request: number): Reply {
  const { state } = sock;
  const opening = state === L.LX_SYN_SENT || state === L.LX_SYN_RECV;
  const tp = sock.so?.tp;
  switch (request) {
    case L.FIONREAD:
      if (state === L.LX_LISTEN) return failure(EINVAL);
      return success(0, undefined, opening ? 0 : sock.readable);
    case L.SIOCATMARK:
      return success(0, undefined, sock.so?.atMark === true ? 1 : 0);
    case L.SIOCOUTQ:
    case L.SIOCOUTQNSD: {
      if (state === L.LX_LISTEN) return failure(EINVAL);
      if (opening || tp === null || tp === undefined) return success();
      // Linux counts the FIN as a byte until it is acknowledged.
      const flight = (tp.snd_max - tp.snd_una) | 0;
      const fin = state === L.LX_FIN_WAIT1 || state === L.LX_CLOSING || state === L.LX_LAST_ACK ? 1 : 0;
      const queued = sock.so!.so_snd.sb_cc + fin;
      return success(0, undefined, request === L.SIOCOUTQ ? queued : Math.max(0, queued - flight));
    }
    default:
      return failure(L.ENOTTY);
  }
}
