import { MachineRandom } from '../../src/daemon/random.ts';
import { ShardClock } from '../../src/daemon/shard-clock.ts';
import type { Native } from '../../src/driver/native.ts';
import type { XskLink } from '../../src/driver/xsk.ts';
import { COUNTER_SLOTS } from '../../src/metrics/layout.ts';
import { Ifiqueue } from '../../src/rings/ifiqueue.ts';
import { Ifqueue } from '../../src/rings/ifqueue.ts';
import { type Link, type LinkCaps, ROW } from '../../src/rings/link.ts';
import type { FramePool } from '../../src/rings/mbuf.ts';
import { type Ifnet, ifaddrAdd } from '../../src/stack/ifnet.ts';
import { inetAton } from '../../src/stack/net/in-addr.ts';
import { Stack } from '../../src/stack/stack.ts';
import { Tunables } from '../../src/stack/sysctl.ts';
import { tcpInit } from '../../src/stack/tcp/tcp.ts';
import { macFromString } from '../../src/stack/wire/ether.ts';

/** Several queues as one link that sends each frame on the next queue: on a veth it arrives on the queue of that number. */
class SprayLink implements Link {
  readonly caps: LinkCaps;
  onReadable: (() => void) | null = null;
  readonly #links: readonly XskLink[];
  readonly #row = new Int32Array(ROW);
  #next = 0;

  constructor(links: readonly XskLink[]) {
    this.#links = links;
    this.caps = links[0]!.caps;
  }

  receive(table: Int32Array, max: number): number {
    for (const link of this.#links) {
      const n = link.receive(table, max);
      if (n > 0) return n;
    }
    return 0;
  }

  transmit(table: Int32Array, n: number): number {
    for (let i = 0; i < n; i++) {
      this.#row.set(table.subarray(i * ROW, (i + 1) * ROW));
      const link = this.#links[this.#next++ % this.#links.length]!;
      if (link.transmit(this.#row, 1) === 0) return i;
    }
    return n;
  }

  reclaim(out: Int32Array): number {
    for (const link of this.#links) {
      const n = link.reclaim(out);
      if (n > 0) return n;
    }
    return 0;
  }

  txRoom(): number {
    return Math.min(...this.#links.map((l) => l.txRoom()));
  }

  close(): void {}
}

/** A peer of the test's own: our stack with one shard over all queues of an interface, every frame on another queue than the last. */
export class SprayPeer {
  readonly st: Stack;
  readonly ifp: Ifnet;
  readonly #clock = new ShardClock();
  readonly #native: Native;
  readonly #link: SprayLink;
  readonly #table = new Int32Array(256 * ROW);

  constructor(
    native: Native,
    links: readonly XskLink[],
    pool: FramePool,
    o: { addr: string; mac: string; name: string },
  ) {
    this.#native = native;
    this.#clock.read(native);
    this.#link = new SprayLink(links);
    this.st = new Stack({
      clock: this.#clock,
      random: new MachineRandom(),
      cnt: new Float64Array(COUNTER_SLOTS),
      pool,
      tune: new Tunables(),
      shard: 0,
      nshards: 1,
    });
    tcpInit(this.st);
    const { hi, lo } = macFromString(o.mac);
    this.ifp = this.st.ifAttach({
      name: o.name,
      queue: 0,
      mtu: 1500,
      macHi: hi,
      macLo: lo,
      ifq: new Ifqueue(new Float64Array(8), 1023),
      ifiq: new Ifiqueue(new Float64Array(8)),
      link: this.#link,
    });
    ifaddrAdd(this.st, this.ifp, inetAton(o.addr), 24);
  }

  /** Runs the stack until `done`, or throws after `ms` milliseconds. */
  async run(done: () => boolean, ms = 20_000): Promise<void> {
    const end = performance.now() + ms;
    while (!done()) {
      this.#clock.read(this.#native);
      for (let n = this.#link.receive(this.#table, 256); n > 0; n = this.#link.receive(this.#table, 256)) {
        this.st.input(this.ifp, this.#table, n);
      }
      this.st.runTimers();
      this.st.flush();
      if (performance.now() > end) throw new Error(`not done after ${ms} ms`);
      await new Promise((r) => setImmediate(r));
    }
  }
}
