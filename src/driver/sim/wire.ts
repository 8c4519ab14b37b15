import type { PipeConfig } from '../../impair/config.ts';
import { type DropReason, Pipe, type PipeOutput } from '../../impair/pipe.ts';
import type { SimFrame } from './frame.ts';
import type { SimNetwork, SimSource } from './network.ts';
import { SimRandom } from './random.ts';

/** Sees frames at one end of a wire; not to keep them. */
export type WireTap = (f: SimFrame) => void;

/** One way between two places of a simulated network: a pipe with a place where its frames come out. */
export class Wire implements PipeOutput<SimFrame>, SimSource {
  readonly name: string;
  readonly id: number;
  readonly pipe: Pipe<SimFrame>;
  /** Takes the frames that come out; to be set before the first does. */
  sink: (f: SimFrame) => void;
  /** Called for each frame that goes in, before anything happens to it, and for each that comes out. */
  tapIn: WireTap | null;
  tapOut: WireTap | null;
  readonly #net: SimNetwork;

  /** @internal made by SimNetwork.addWire */
  constructor(net: SimNetwork, id: number, name: string, config: PipeConfig) {
    this.name = name;
    this.id = id;
    this.sink = () => {
      throw new Error(`wire ${name} leads nowhere`);
    };
    this.tapIn = null;
    this.tapOut = null;
    this.#net = net;
    this.pipe = new Pipe<SimFrame>(config, new SimRandom(net.seed, `wire/${name}`), this);
  }

  /** Puts a frame in; it is the wire's from here on. */
  send(f: SimFrame): void {
    if (this.tapIn !== null) this.tapIn(f);
    this.pipe.offer(f, f.packetBytes, f.ect, this.#net.clock.now);
    this.#net.due(this.id, this.pipe.nextDue());
  }

  /** Changes the pipe in the middle of a run (`Pipe.reconfigure`). @throws PipeConfigError; nothing has changed then */
  reconfigure(config: PipeConfig): void {
    this.pipe.reconfigure(config, this.#net.clock.now);
    this.#net.due(this.id, this.pipe.nextDue());
  }

  dueAt(): number {
    return this.pipe.nextDue();
  }

  run(now: number): void {
    this.pipe.advance(now);
  }

  deliver(f: SimFrame): void {
    if (this.tapOut !== null) this.tapOut(f);
    this.sink(f);
  }

  drop(f: SimFrame, _why: DropReason): void {
    this.#net.frames.give(f);
  }

  mark(f: SimFrame): void {
    f.markCe();
  }

  duplicate(f: SimFrame): SimFrame {
    const copy = this.#net.frames.take();
    copy.copyFrom(f.u8, 0, f.len);
    return copy;
  }

  corrupt(f: SimFrame, random: number): void {
    f.flipBit(random);
  }
}
