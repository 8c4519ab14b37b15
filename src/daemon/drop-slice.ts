import { ECONNABORTED } from '../stack/errno.ts';
import { inetNtoa } from '../stack/net/in-addr.ts';
import type { Stack } from '../stack/stack.ts';
import type { Inpcb } from '../stack/tcp/tcb.ts';
import { tcpDrop } from '../stack/tcp/tcp-subr.ts';
import { CONN_SLICE } from './conn-slice.ts';

/** Dropping connections by order of an operator, as `net.inet.tcp.drop` of FreeBSD does: RST to the peer, ECONNABORTED to the user. */

/** Both ends of a connection: addresses as dotted quads, ports 1..65535. */
export interface Flow {
  readonly laddr: string;
  readonly lport: number;
  readonly faddr: string;
  readonly fport: number;
}

/** Which connections: absent parts are true of all. */
export interface DropWanted {
  /** TCPS_*. */
  readonly state?: number | undefined;
  /** Name of the congestion control. */
  readonly cc?: string | undefined;
  /** Only tell which they are. */
  readonly list?: boolean | undefined;
}

/** What a slice of the walk dropped, or would have. */
export interface DropSlice {
  /** Where the next slice begins; -1 when this was the last. */
  readonly next: number;
  readonly flows: readonly Flow[];
}

/** False when it has ended meanwhile: a handler may close others of its own when it is told of the end of one. */
function drop(inp: Inpcb): boolean {
  if (inp.tp === null) return false;
  tcpDrop(inp.tp, ECONNABORTED);
  return true;
}

function flowOf(inp: Inpcb): Flow {
  return { laddr: inetNtoa(inp.l3), lport: inp.lport, faddr: inetNtoa(inp.f3), fport: inp.fport };
}

/**
 * Drops what is wanted of at most CONN_SLICE connections from `cursor` on (0 at first, then `next` of the slice before). Listening sockets
 * are none.
 */
export function dropSlice(st: Stack, cursor: number, wanted: DropWanted): DropSlice {
  const hit: Inpcb[] = [];
  const next = st.tcp.tcb.scan(cursor, CONN_SLICE, (inp) => {
    const { tp } = inp;
    if (tp === null) return;
    if (wanted.state !== undefined && tp.t_state !== wanted.state) return;
    if (wanted.cc !== undefined && tp.t_ccmod?.name !== wanted.cc) return;
    hit.push(inp);
  });
  return { next, flows: (wanted.list ? hit : hit.filter(drop)).map(flowOf) };
}

/** Drops the connection between these ends (int32 addresses); false when there is none here. */
export function dropFlow(st: Stack, laddr: number, lport: number, faddr: number, fport: number): boolean {
  const { tcb, key } = st.tcp;
  key.setV4(laddr, lport, faddr, fport);
  const inp = tcb.lookup(key);
  return inp !== null && drop(inp);
}
