/**
 * Two stacks joined by a wire in virtual time: what the TCP unit tests run on. It is a network of src/driver/sim whose wire is a function:
 * every frame takes `delayUs`, and a filter may drop, change, hold or double it.
 */
import type { SimFrame } from '../../src/driver/sim/frame.ts';
import { SimNetwork } from '../../src/driver/sim/network.ts';
import type { SimNode } from '../../src/driver/sim/node.ts';
import { SimRandom } from '../../src/driver/sim/random.ts';
import type { Tunables } from '../../src/stack/sysctl.ts';

/** Seeded randomness for what a test chooses. */
export class SeededRandom extends SimRandom {
  constructor(seed: number) {
    super(seed, 'test');
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return (this.next32() >>> 0) / 4294967296;
  }
}

const NFRAMES = 2048;

/** What a filter may do with a frame: numbers are extra delays in µs, one a copy; an empty list drops it. */
export type WireFilter = (frame: Uint8Array, toSide: 0 | 1, index: number) => number[];

export type Side = SimNode;

/** 192.0.2.1 and 192.0.2.2. */
export const ADDR_A = 0xc0000201 | 0;
export const ADDR_B = 0xc0000202 | 0;

export class TwoStacks {
  readonly net: SimNetwork;
  readonly a: Side;
  readonly b: Side;
  filter: WireFilter | null = null;
  delayUs: number;
  /** Frames that left each side, counted. */
  readonly sent: [number, number] = [0, 0];

  constructor(
    o: { seed?: number; delayUs?: number; tune?: Partial<Tunables>; tuneB?: Partial<Tunables>; mtu?: number } = {},
  ) {
    const mtu = o.mtu ?? 1500;
    this.net = new SimNetwork(o.seed ?? 1, mtu);
    this.delayUs = o.delayUs ?? 500;
    const node = (name: string, addr: number, tune: Partial<Tunables>): SimNode =>
      this.net.addNode({ name, addr, prefixLen: 24, mtu, tune, frames: NFRAMES });
    this.a = node('a', ADDR_A, o.tune ?? {});
    this.b = node('b', ADDR_B, { ...o.tune, ...o.tuneB });
    this.a.learn(this.b);
    this.b.learn(this.a);
    this.a.sink = (f) => this.#onWire(0, f);
    this.b.sink = (f) => this.#onWire(1, f);
  }

  get clock(): SimNetwork['clock'] {
    return this.net.clock;
  }

  #onWire(from: 0 | 1, f: SimFrame): void {
    const { net } = this;
    const to = from === 0 ? 1 : 0;
    const index = this.sent[from]++;
    const copies = this.filter === null ? [0] : this.filter(f.u8.subarray(0, f.len), to, index);
    for (const extra of copies) {
      const copy = net.frames.take();
      copy.copyFrom(f.u8, 0, f.len);
      net.at(net.clock.now + this.delayUs + extra, () => (to === 0 ? this.a : this.b).arrive(copy));
    }
    net.frames.give(f);
  }

  /** A frame from somewhere else arrives at `side` now. */
  inject(side: Side, frame: Uint8Array): void {
    const f = this.net.frames.take();
    f.copyFrom(frame, 0, frame.length);
    side.arrive(f);
  }

  /** Lets virtual time go on for `us`, or until `until` is true. Returns whether `until` became true. */
  run(us: number, until: () => boolean = () => false): boolean {
    const { net } = this;
    const end = net.clock.now + us;
    // What the test did to the stacks since is sent first.
    this.a.wake();
    this.b.wake();
    net.run(net.clock.now);
    return until() || net.run(end, until);
  }

  /** Frames that neither the pool, nor a queue of TCP holds: must be zero when everything is at rest. */
  leaked(s: Side): number {
    // What the link has sent is taken back with the next pass.
    s.st.flush();
    return NFRAMES - s.st.pool.available;
  }
}
