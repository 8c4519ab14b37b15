/** What one shard's TCP holds besides its connections, and how it is joined to the stack. */
import { FlowKey } from '../flow.ts';
import { RouteCache } from '../net/route.ts';
import { SockMem } from '../socket/sockmem.ts';
import type { Stack } from '../stack.ts';
import { Timer } from '../timers.ts';
import { TcpOpt } from '../wire/tcp.ts';
import { CcAck, CcLost, type CcModule } from './cc/cc.ts';
import { CC_DEFAULT, ccFind } from './cc/registry.ts';
import { ListenTable } from './listen-table.ts';
import { SipKey, sipKeyOf } from './siphash.ts';
import { Syncache } from './syncache.ts';
import { type Inpcb, TcbTable } from './tcb.ts';
import { tcpCtlinput } from './tcp-ctlinput.ts';
import { FastOpen } from './tcp-fastopen.ts';
import { HostCache } from './tcp-hostcache.ts';
import { tcpHasLocalFlow, tcpInput } from './tcp-input.ts';
import { tcpOutput } from './tcp-output.ts';
import { RateSample } from './tcp-rate.ts';
import { SndSeg } from './tcp-rtxq.ts';
import { tcpDrop } from './tcp-subr.ts';
import type { TcpTap, TcpTraceFn } from './tcp-trace.ts';
import { MAX_SACK_BLKS, type Tcpcb } from './tcpcb.ts';

const IPPROTO_TCP = 6;
/** How long a connection that found no free frame waits before it tries again. */
const NOBUFS_RETRY_US = 1000;

export class Tcp {
  readonly st: Stack;
  readonly tcb: TcbTable;
  readonly listeners: ListenTable;
  readonly syncache: Syncache;
  /** Fast Open: keys of our cookies, cookies of others. */
  readonly tfo: FastOpen;
  readonly hostcache: HostCache;
  /** Secret of initial sequence numbers and timestamp offsets (RFC 6528, RFC 7323 section 5.4), and root of those of cookies. */
  readonly secret: SipKey;
  /** Listeners of the trace point (tcp-trace.ts): what connections made from now on call. */
  trace: TcpTraceFn | null;
  readonly tracers: TcpTraceFn[];
  /** Who hears of every segment that comes, or null. */
  tap: TcpTap | null;
  /** Connections made, int32, wrapping. */
  gencnt: number;
  /** Who hears of every connection that ends, or null. */
  gone: ((inp: Inpcb) => void) | null;
  /** Options of the segment being read, and of the one being written; the block list of the latter. */
  readonly optIn: TcpOpt;
  readonly optOut: TcpOpt;
  readonly noSacks: Int32Array;
  /** Blocks of an ACK that begins with a DSACK. */
  readonly dsackBlks: Int32Array;
  /** What the ACK being read tells congestion control, and the segment that its rate is sampled of. */
  readonly ccAck: CcAck;
  /** What was marked lost last, as a module is told of it. */
  readonly ccLost: CcLost;
  readonly rate: RateSample;
  /** Congestion control of connections that name none. */
  ccDefault: CcModule;
  /** A key for look-ups outside the input path. */
  readonly key: FlowKey;
  /** Flow ids in use (spec/siftr.md section 13 rule 5). */
  readonly flowids: Set<number>;
  /** Route of segments that belong to no connection. */
  readonly respondRo: RouteCache;
  /** Frames in reassembly queues, all connections together. */
  reassFrames: number;
  /** Connections with such a queue, the one that has had it longest first. */
  reassHead: Tcpcb | null;
  reassTail: Tcpcb | null;
  reassHolders: number;
  /** Runs of SACKed data in all scoreboards together. */
  sackHoles: number;
  /** What the socket buffers take. */
  readonly sockMem: SockMem;
  /** RSTs sent in the second that began at `rstSecond` (clock.ms), for their rate limit. */
  rstCount: number;
  rstSecond: number;
  /** Next ephemeral port, before randomisation is added. */
  nextPort: number;

  /** Connections whose ACK goes out at the end of the pass. */
  readonly #ackq: Tcpcb[];
  #ackqLen: number;
  /** Connections that found the interface queue half full or no free frame. */
  readonly #waitq: Tcpcb[];
  #waitqLen: number;
  readonly #retry: Timer;
  /** Connections to drop at the end of the pass, each with its errno. */
  readonly #dropq: { tp: Tcpcb; errno: number }[];
  #freeSegs: SndSeg | null;
  /** Closed in this pass; their blocks are used again from the next pass on, since callers up the stack may still look. */
  #dead: Tcpcb | null;
  #free: Tcpcb | null;

  constructor(st: Stack) {
    this.st = st;
    this.tcb = new TcbTable(st.random);
    this.secret = st.secret === null ? new SipKey(st.random) : sipKeyOf(st.secret);
    this.listeners = new ListenTable(this.secret);
    this.syncache = new Syncache(st);
    this.tfo = new FastOpen(st);
    this.hostcache = new HostCache(st);
    this.trace = null;
    this.tracers = [];
    this.tap = null;
    this.gencnt = 0;
    this.gone = null;
    this.optIn = new TcpOpt();
    this.optOut = new TcpOpt();
    this.noSacks = new Int32Array(0);
    this.dsackBlks = new Int32Array(2 * MAX_SACK_BLKS + 2);
    this.ccAck = new CcAck();
    this.ccLost = new CcLost();
    this.rate = new RateSample();
    this.ccDefault = ccFind(CC_DEFAULT);
    this.key = new FlowKey();
    this.flowids = new Set();
    this.respondRo = new RouteCache();
    this.reassFrames = 0;
    this.reassHead = null;
    this.reassTail = null;
    this.reassHolders = 0;
    this.sackHoles = 0;
    this.sockMem = new SockMem(st.tune, st.cnt);
    this.rstCount = 0;
    this.rstSecond = st.clock.ms;
    this.nextPort = st.random.next32() & 0x3fff;
    this.#ackq = [];
    this.#ackqLen = 0;
    this.#waitq = [];
    this.#waitqLen = 0;
    this.#retry = new Timer((tcp: Tcp) => tcp.resumeOutput(), this);
    this.#dropq = [];
    this.#freeSegs = null;
    this.#dead = null;
    this.#free = null;
  }

  /** Puts a connection that owes an ACK on the list that `passEnd` works off: one ACK a pass, as after LRO. */
  ackLater(tp: Tcpcb): void {
    if (tp.onAckq) return;
    tp.onAckq = true;
    this.#ackq[this.#ackqLen++] = tp;
  }

  /** Parks a connection until the interface queue has room; with `noFrame` also until frames may have come back. */
  waitForRoom(tp: Tcpcb, noFrame: boolean): void {
    if (!tp.onWaitq) {
      tp.onWaitq = true;
      this.#waitq[this.#waitqLen++] = tp;
    }
    if (noFrame && !this.#retry.armed) this.st.wheel.arm(this.#retry, NOBUFS_RETRY_US);
  }

  /** Lets every parked connection send again; called when an interface queue falls below half. */
  resumeOutput(): void {
    const n = this.#waitqLen;
    this.#waitqLen = 0;
    for (let i = 0; i < n; i++) this.#waitq[i]!.onWaitq = false;
    for (let i = 0; i < n; i++) {
      const tp = this.#waitq[i]!;
      if (tp.t_inpcb !== null) tcpOutput(tp);
    }
  }

  /** End of a receive pass: sends the ACKs owed and releases what was closed. */
  passEnd(): void {
    for (let i = 0; i < this.#ackqLen; i++) {
      const tp = this.#ackq[i]!;
      tp.onAckq = false;
      if (tp.t_inpcb !== null) tcpOutput(tp);
    }
    this.#ackqLen = 0;
    while (this.#dropq.length > 0) {
      const { tp, errno } = this.#dropq.pop()!;
      tcpDrop(tp, errno);
    }
    let tp = this.#dead;
    this.#dead = null;
    while (tp !== null) {
      const next: Tcpcb | null = tp.nextFree;
      if (tp.onWaitq) {
        tp.nextFree = this.#dead;
        this.#dead = tp;
      } else {
        tp.nextFree = this.#free;
        this.#free = tp;
      }
      tp = next;
    }
  }

  /** Ends a connection at the end of the pass: its callers up the stack go on with it until then. */
  dropLater(tp: Tcpcb, errno: number): void {
    this.#dropq.push({ tp, errno });
  }

  /** A piece for a scoreboard; its owner sets every field. */
  takeSeg(): SndSeg {
    const s = this.#freeSegs;
    if (s === null) return new SndSeg();
    this.#freeSegs = s.next;
    return s;
  }

  putSeg(s: SndSeg): void {
    s.next = this.#freeSegs;
    this.#freeSegs = s;
  }

  /** A control block for reuse, or null. */
  takeFree(): Tcpcb | null {
    const tp = this.#free;
    if (tp !== null) this.#free = tp.nextFree;
    return tp;
  }

  /** A closed control block goes to the list of the dead. */
  bury(tp: Tcpcb): void {
    tp.nextFree = this.#dead;
    this.#dead = tp;
  }
}

/** Gives the stack its TCP. */
export function tcpInit(st: Stack): void {
  const tcp = new Tcp(st);
  st.tcp = tcp;
  st.protosw[IPPROTO_TCP] = tcpInput;
  st.ctlinput[IPPROTO_TCP] = tcpCtlinput;
  st.hasLocalFlow = (m) => tcpHasLocalFlow(st, m);
  st.ifqResume = () => tcp.resumeOutput();
  st.passEnd = () => tcp.passEnd();
}
