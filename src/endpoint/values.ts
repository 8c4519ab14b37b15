import type { SockOptValues } from '../stack/socket/sockopt.ts';

/** What options have been set to, as plain values that any thread can be handed: a connection begins with those of its listener. */
export interface OptValues {
  debug: number;
  reuseAddr: number;
  reusePort: number;
  broadcast: number;
  oobInline: number;
  keepAlive: number;
  lingerOn: number;
  /** Seconds. */
  lingerTime: number;
  rcvLowat: number;
  /** µs, 0 for ever. */
  rcvTimeo: number;
  sndTimeo: number;
  /** As SO_SNDBUF shows them, twice what was asked for; 0 not set. */
  sndBuf: number;
  rcvBuf: number;
  noDelay: number;
  cork: number;
  /** 0 not set. */
  maxSeg: number;
  /** Seconds, seconds and probes; 0 takes the sysctl. */
  keepIdle: number;
  keepIntvl: number;
  keepCnt: number;
  deferAccept: number;
  /** -1 not set. */
  quickAck: number;
  /** Name of the module; empty for the default. */
  congestion: string;
  /** ms */
  userTimeout: number;
  fastOpen: number;
  /** Key of active opens with Fast Open; null for none. */
  fastOpenPsk: Uint8Array | null;
  fastOpenConnect: number;
  notsentLowat: number;
  tos: number;
  /** -1 takes the sysctl. */
  ttl: number;
  mtuDiscover: number;
  recvErr: number;
}

/**
 * The same as options of the stack. Linux doubles what it is asked for as a buffer; lingering, and the least that is to be read, are
 * the endpoint's own affair.
 */
export function stackOptions(o: OptValues): Partial<SockOptValues> {
  return {
    noDelay: o.noDelay !== 0,
    noPush: o.cork !== 0,
    keepAlive: o.keepAlive !== 0,
    keepIdle: o.keepIdle * 1000,
    keepIntvl: o.keepIntvl * 1000,
    keepCnt: o.keepCnt,
    userTimeout: o.userTimeout,
    maxSeg: o.maxSeg,
    sndBuf: o.sndBuf >> 1,
    rcvBuf: o.rcvBuf >> 1,
    notsentLowat: Math.max(0, o.notsentLowat),
    quickAck: o.quickAck === 1,
    deferAccept: o.deferAccept * 1000,
    tos: o.tos,
    ttl: o.ttl < 0 ? 0 : o.ttl,
    mtuDiscover: o.mtuDiscover,
  };
}

export function optDefaults(): OptValues {
  return {
    debug: 0,
    reuseAddr: 0,
    reusePort: 0,
    broadcast: 0,
    oobInline: 0,
    keepAlive: 0,
    lingerOn: 0,
    lingerTime: 0,
    rcvLowat: 1,
    rcvTimeo: 0,
    sndTimeo: 0,
    sndBuf: 0,
    rcvBuf: 0,
    noDelay: 0,
    cork: 0,
    maxSeg: 0,
    keepIdle: 0,
    keepIntvl: 0,
    keepCnt: 0,
    deferAccept: 0,
    quickAck: -1,
    congestion: '',
    userTimeout: 0,
    fastOpen: 0,
    fastOpenPsk: null,
    fastOpenConnect: 0,
    notsentLowat: 0,
    tos: 0,
    ttl: -1,
    mtuDiscover: 1,
    recvErr: 0,
  };
}
