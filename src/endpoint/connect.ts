/** The active open of a socket of the endpoint: what is checked before the stack is asked, and its answers in Linux's terms. */
import { EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH } from '../stack/errno.ts';
import { inMulticast } from '../stack/net/in-addr.ts';
import { connect, type Socket, type SocketHandler } from '../stack/socket/socket.ts';
import { SocketError } from '../stack/socket/socket-error.ts';
import type { Sock } from './sock.ts';
import { stackOptions } from './values.ts';

/** Told nothing: the endpoint's sockets have an upcall. */
export const silent: SocketHandler = {
  connected() {},
  data() {
    return 0;
  },
  writable() {},
  end() {},
  closed() {},
};

/**
 * Sends a SYN.
 * @param fast with Fast Open: it asks for a cookie, or where there is one waits for the first write
 * @returns the stack's socket, or an errno
 */
export function tcpConnectSocket(sock: Sock, faddr: number, fport: number, fast: boolean): Socket | number {
  const { st } = sock.host;
  if (inMulticast(faddr) || faddr === -1 || st.ifnets.some((ifp) => ifp.isBroadcast(faddr))) return ENETUNREACH;
  try {
    const cc = sock.o.congestion === '' ? undefined : sock.o.congestion;
    const options = stackOptions(sock.o);
    const ends = { faddr, fport, laddr: sock.rcvAddr, lport: sock.num };
    const fastOpenPsk = sock.o.fastOpenPsk ?? undefined;
    return connect(st, { ...ends, cc, options, fastOpen: fast, fastOpenPsk, holdSyn: fast }, silent);
  } catch (err) {
    if (!(err instanceof SocketError)) throw err;
    // A flow that exists is for Linux an address that is not there to be had (inet_hash_connect).
    return -err.errno === EADDRINUSE ? EADDRNOTAVAIL : -err.errno;
  }
}
