import { IDEAL_PIPE, type PipeConfig } from '../../../src/impair/config.ts';
import { type DropReason, Pipe, type PipeOutput } from '../../../src/impair/pipe.ts';
import { TestRandom } from '../../lab/memlink.ts';

/** A packet of a test: its name, and what happened to it. */
export interface Parcel {
  readonly name: number;
  ce: boolean;
  flipped: boolean;
  copy: boolean;
}

/** A pipe that writes down what comes out of it and when. */
export class Rig implements PipeOutput<Parcel> {
  readonly pipe: Pipe<Parcel>;
  /** `[time, name]` of each delivery. */
  readonly out: [number, number][] = [];
  readonly dropped: [number, DropReason][] = [];
  readonly parcels: Parcel[] = [];
  now = 0;
  onDeliver: ((p: Parcel) => void) | null = null;

  constructor(config: Partial<PipeConfig>, seed = 1) {
    this.pipe = new Pipe<Parcel>({ ...IDEAL_PIPE, ...config }, new TestRandom(seed), this);
  }

  deliver(p: Parcel): void {
    this.out.push([this.now, p.name]);
    this.onDeliver?.(p);
  }

  drop(p: Parcel, why: DropReason): void {
    this.dropped.push([p.name, why]);
  }

  mark(p: Parcel): void {
    p.ce = true;
  }

  duplicate(p: Parcel): Parcel {
    const copy = { ...p, copy: true };
    this.parcels.push(copy);
    return copy;
  }

  corrupt(p: Parcel): void {
    p.flipped = true;
  }

  offer(name: number, at: number, bytes = 1500, ect = false): Parcel {
    this.run(at);
    this.now = at;
    const p = { name, ce: false, flipped: false, copy: false };
    this.parcels.push(p);
    this.pipe.offer(p, bytes, ect, at);
    return p;
  }

  /** Lets time go on to `until`, stopping at each thing that is due. */
  run(until = Number.MAX_SAFE_INTEGER): void {
    for (let t = this.pipe.nextDue(); t <= until; t = this.pipe.nextDue()) {
      if (t > this.now) this.now = t;
      this.pipe.advance(t);
    }
  }

  get names(): number[] {
    return this.out.map(([, name]) => name);
  }

  get times(): number[] {
    return this.out.map(([at]) => at);
  }
}
