/**
 * A network in virtual time: nodes with real stacks, wires with emulated impairments, and a list of things to do at given times, all under
 * one clock and one seed. The next thing to happen is always the one that is due first; time jumps there. Nothing reads the machine's clock or
 * its randomness, so the same network does the same, byte for byte.
 */
import type { PipeConfig } from '../../impair/config.ts';
import { ETHER_HDR_LEN } from '../../stack/wire/ether.ts';
import { VirtualClock } from './clock.ts';
import { DueHeap } from './due-heap.ts';
import { FrameStore } from './frame.ts';
import { type NodeOptions, SimNode } from './node.ts';
import { Wire } from './wire.ts';

/** Something that has things to do at times of its own. */
export interface SimSource {
  /** Virtual µs of the next thing, Infinity when there is none. */
  dueAt(): number;
  /** Does what is due at `now`, the present time. */
  run(now: number): void;
}

/** Things to do once, in the order of their times, equal ones in the order in which they were given. */
class Agenda implements SimSource {
  readonly #entries: { at: number; fn: () => void }[] = [];

  add(at: number, fn: () => void): void {
    let i = this.#entries.length;
    while (i > 0 && this.#entries[i - 1]!.at > at) i--;
    this.#entries.splice(i, 0, { at, fn });
  }

  dueAt(): number {
    return this.#entries[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  run(now: number): void {
    while (this.dueAt() <= now) this.#entries.shift()!.fn();
  }
}

export class SimNetwork {
  readonly seed: number;
  readonly clock: VirtualClock;
  readonly frames: FrameStore;
  readonly nodes: SimNode[];
  readonly wires: Wire[];
  /** Events done so far. */
  events: number;
  readonly #heap: DueHeap;
  readonly #sources: SimSource[];
  readonly #agenda: Agenda;

  /**
   * @param seed whole number, 0 to 2^53
   * @param mtu  the largest of any node
   */
  constructor(seed: number, mtu: number) {
    this.seed = seed;
    this.clock = new VirtualClock();
    this.frames = new FrameStore(mtu + ETHER_HDR_LEN);
    this.nodes = [];
    this.wires = [];
    this.events = 0;
    this.#heap = new DueHeap();
    this.#sources = [];
    this.#agenda = new Agenda();
    this.#add(this.#agenda);
  }

  /**
   * Adds a wire. At one time, what is due on the agenda comes first, then sources in the order in which they were added: add wires before nodes, so
   * that a node finds everything that arrives at a time in one pass.
   * @param name chooses its stream of random numbers
   * @throws PipeConfigError
   */
  addWire(name: string, config: PipeConfig): Wire {
    const wire = new Wire(this, this.#sources.length, name, config);
    this.wires.push(wire);
    this.#add(wire);
    return wire;
  }

  /** Adds a node; its name chooses its stream of random numbers. */
  addNode(options: NodeOptions): SimNode {
    const node = new SimNode(this, this.#sources.length, options);
    this.nodes.push(node);
    this.#add(node);
    return node;
  }

  /** Calls `fn` at virtual time `us`. When it uses the stack of a node, it is to call that node's `wake`. */
  at(us: number, fn: () => void): void {
    this.#agenda.add(us, fn);
    this.#heap.set(0, this.#agenda.dueAt());
  }

  /** The source `id` is due at `us`. */
  due(id: number, us: number): void {
    this.#heap.set(id, us);
  }

  /**
   * Lets virtual time go on to `until`, Float64 µs, and does everything due up to then.
   * @param stop looked at after each event; true ends the run there
   * @returns whether `stop` ended it
   */
  run(until: number, stop: (() => boolean) | null = null): boolean {
    const heap = this.#heap;
    for (let t = heap.time; t <= until; t = heap.time) {
      const id = heap.first;
      const source = this.#sources[id]!;
      if (t > this.clock.now) this.clock.set(t);
      source.run(this.clock.now);
      heap.set(id, source.dueAt());
      this.events++;
      if (stop?.()) return true;
    }
    if (until > this.clock.now && until < Number.POSITIVE_INFINITY) this.clock.set(until);
    for (const w of this.wires) w.pipe.account(this.clock.now);
    return false;
  }

  #add(source: SimSource): void {
    this.#sources.push(source);
    this.#heap.add();
  }
}
