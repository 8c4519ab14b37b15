import { COUNTER_SLOTS } from '../../metrics/layout.ts';
import { Ifiqueue, RXQ_WORDS } from '../../rings/ifiqueue.ts';
import { Ifqueue, TXQ_WORDS } from '../../rings/ifqueue.ts';
import { FRAME_SIZE, ROW } from '../../rings/link.ts';
import { FramePool } from '../../rings/mbuf.ts';
import { type Ifnet, ifaddrAdd } from '../../stack/ifnet.ts';
import { setByteCopier } from '../../stack/socket/sockbuf.ts';
import { Stack } from '../../stack/stack.ts';
import { Tunables } from '../../stack/sysctl.ts';
import { tcpInit } from '../../stack/tcp/tcp.ts';
import type { SimFrame } from './frame.ts';
import { SimLink } from './link.ts';
import type { SimNetwork, SimSource } from './network.ts';
import { SimRandom } from './random.ts';

// The pure stack knows no Buffer; its byte loop is many times slower than this on whole segments.
const { copy } = Buffer.prototype;
setByteCopier((src, from, dst, to, len) => {
  copy.call(src, dst, to, from, from + len);
});

/** Rows of a receive batch. */
const RX_BATCH = 256;
/** Packets that the interface queue holds: one less than a ring of 1024, as ix(4) sets it. */
const IFQ_LEN = 1023;
/** Bytes 0 and 1 of every station address: locally administered. */
export const MAC_HI = 0x0200;

export interface NodeOptions {
  readonly name: string;
  /** IPv4 address, int32; the last word of the station address is the same. */
  readonly addr: number;
  readonly prefixLen: number;
  readonly mtu: number;
  /** Fields of Tunables that differ from the defaults. */
  readonly tune: Partial<Tunables>;
  /** Frames of the pool. */
  readonly frames: number;
}

/**
 * A host: the very stack that runs on a NIC, built as a shard builds it, with one interface. It runs only when a frame has arrived, a timer is
 * due or the application has done something.
 */
export class SimNode implements SimSource {
  readonly name: string;
  readonly id: number;
  readonly addr: number;
  readonly st: Stack;
  readonly ifp: Ifnet;
  readonly link: SimLink;
  readonly pool: FramePool;
  /** Takes the frames that the node sends; to be set before it sends any. */
  sink: (f: SimFrame) => void;
  /** Called after each pass, for logs that are to be written out. */
  onPass: (() => void) | null;
  /** Passes so far. */
  passes: number;
  readonly #net: SimNetwork;
  readonly #table: Int32Array;
  #again: boolean;

  /** @internal made by SimNetwork.addNode */
  constructor(net: SimNetwork, id: number, o: NodeOptions) {
    this.name = o.name;
    this.id = id;
    this.addr = o.addr;
    this.#net = net;
    this.#table = new Int32Array(RX_BATCH * ROW);
    this.#again = false;
    this.onPass = null;
    this.passes = 0;
    this.sink = () => {
      throw new Error(`node ${o.name} is not connected`);
    };
    this.pool = new FramePool(new ArrayBuffer(o.frames * FRAME_SIZE), 0, o.frames);
    this.st = new Stack({
      clock: net.clock,
      random: new SimRandom(net.seed, `node/${o.name}`),
      cnt: new Float64Array(COUNTER_SLOTS),
      pool: this.pool,
      tune: Object.assign(new Tunables(), o.tune),
      shard: 0,
      nshards: 1,
    });
    tcpInit(this.st);
    this.link = new SimLink(this.pool, net.clock, net.frames, (f) => this.sink(f));
    this.ifp = this.st.ifAttach({
      name: 'sim0',
      queue: 0,
      mtu: o.mtu,
      macHi: MAC_HI,
      macLo: o.addr,
      ifq: new Ifqueue(new Float64Array(TXQ_WORDS), IFQ_LEN),
      ifiq: new Ifiqueue(new Float64Array(RXQ_WORDS)),
      link: this.link,
    });
    ifaddrAdd(this.st, this.ifp, o.addr, o.prefixLen);
  }

  /** A frame arrives: the node runs before virtual time goes on. */
  arrive(f: SimFrame): void {
    this.link.arrive(f);
    this.wake();
  }

  /** To be called when the stack was used from outside: what it queued is sent before virtual time goes on. */
  wake(): void {
    this.#net.due(this.id, this.#net.clock.now);
  }

  /** Knows the station address of `other` without asking. */
  learn(other: SimNode): void {
    this.st.arp.learn(this.ifp, other.addr, MAC_HI, other.addr);
  }

  dueAt(): number {
    const { clock } = this.#net;
    if (this.#again || this.link.pending > 0) return clock.now;
    const us = this.st.wheel.nextDeadline();
    return us < 0 ? Number.POSITIVE_INFINITY : Math.floor(clock.now) + (us < 1 ? 1 : us);
  }

  /** One pass of a shard's loop. */
  run(): void {
    const { st, link, ifp } = this;
    this.passes++;
    for (let n = link.receive(this.#table, RX_BATCH); n > 0; n = link.receive(this.#table, RX_BATCH)) {
      st.input(ifp, this.#table, n);
    }
    st.runTimers();
    this.#again = st.flush();
    if (this.onPass !== null) this.onPass();
  }
}
