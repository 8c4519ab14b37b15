import type { Native } from '../driver/native.ts';
import { stks } from '../metrics/layout.ts';
import { FlowDirectory } from '../rings/flowdir.ts';
import { FrameRing, HandoverRing, SleepFlags } from '../rings/handover.ts';
import { ROW } from '../rings/link.ts';
import type { Stack } from '../stack/stack.ts';
import { Steering } from '../stack/steer.ts';
import type { ShardJoint } from './shard-setup.ts';

/**
 * Rows of a hand-over ring: what several windows of ACKs come to while the shard that they are for waits for a processor. And of a
 * batch taken from one.
 */
const HANDOVER_ROWS = 4096;
const BATCH = 256;
/** Flows that the directory has room for. */
const FLOWS = 65536;

/** A ring for each ordered pair of shards. */
function pairs(nshards: number, bytes: number): (SharedArrayBuffer | null)[][] {
  return Array.from({ length: nshards }, (_, from) =>
    Array.from({ length: nshards }, (_, to) => (from === to ? null : new SharedArrayBuffer(bytes))),
  );
}

/**
 * The shared memory and eventfds that join `nshards` shards. Made in the main thread, which closes the eventfds by `closeJoint` when the
 * shards have ended.
 * @param frames frames of the UMEM that each shard owns, shard k those from k * frames on
 */
export function createJoint(native: Native, nshards: number, frames: number): ShardJoint {
  return {
    rings: pairs(nshards, HandoverRing.bytes(HANDOVER_ROWS)),
    home: pairs(nshards, FrameRing.bytes(frames)),
    sleeping: new SharedArrayBuffer(SleepFlags.bytes(nshards)),
    eventfds: Array.from({ length: nshards }, () => native.eventfd()),
    directory: new SharedArrayBuffer(FlowDirectory.bytes(FLOWS)),
    frames,
  };
}

/** Closes what `createJoint` opened. */
export function closeJoint(native: Native, joint: ShardJoint): void {
  for (const fd of joint.eventfds) native.closeFd(fd);
}

/**
 * One shard's end of everything that it shares with the others: steering, frames handed over and frames that come home, and the flag that
 * says that it sleeps.
 */
export class Joint {
  /** Eventfd by which the others wake this shard. */
  readonly eventfd: number;
  readonly #native: Native;
  readonly #st: Stack;
  readonly #shard: number;
  readonly #steering: Steering;
  readonly #flags: SleepFlags;
  readonly #eventfds: readonly number[];
  /** What comes in from each other shard, and what goes out; null at the own place. */
  readonly #in: readonly HandoverRing[];
  readonly #homeIn: readonly FrameRing[];
  readonly #homeOut: readonly (FrameRing | null)[];
  readonly #table = new Int32Array(BATCH * ROW);
  readonly #frames = new Int32Array(BATCH);
  /** Frames each shard owns, and so many on their way home are worth waking it for. */
  readonly #perShard: number;

  constructor(native: Native, st: Stack, shard: number, joint: ShardJoint) {
    this.eventfd = joint.eventfds[shard]!;
    this.#native = native;
    this.#st = st;
    this.#shard = shard;
    this.#flags = new SleepFlags(joint.sleeping);
    this.#eventfds = joint.eventfds;
    this.#perShard = joint.frames;
    const others = joint.rings.map((_, k) => k).filter((k) => k !== shard);
    this.#in = others.map((from) => new HandoverRing(joint.rings[from]![shard]!));
    this.#homeIn = others.map((from) => new FrameRing(joint.home[from]![shard]!));
    this.#homeOut = joint.home[shard]!.map((sab) => (sab === null ? null : new FrameRing(sab)));
    this.#steering = new Steering(st, {
      dir: new FlowDirectory(joint.directory),
      rings: joint.rings[shard]!.map((sab) => (sab === null ? null : new HandoverRing(sab))),
      wake: (k) => this.#wake(k),
    });
    st.pool.sendHome = (frame) => this.#sendHome(frame);
  }

  /** Takes in what the other shards sent; true when there was something. */
  drain(): boolean {
    let worked = false;
    for (let i = 0; i < this.#in.length; i++) {
      const n = this.#in[i]!.drain(this.#table, BATCH);
      if (n > 0) {
        this.#st.inputHandedOverRows(this.#table, n);
        worked = true;
      }
      if (this.#takeHome(this.#homeIn[i]!)) worked = true;
    }
    return worked;
  }

  /** Something lies in a ring for this shard. */
  hasWork(): boolean {
    for (let i = 0; i < this.#in.length; i++) {
      if (this.#in[i]!.length > 0 || this.#homeIn[i]!.length > 0) return true;
    }
    return false;
  }

  /** Frames of this shard's that others have, or that lie on their way home. */
  get abroad(): number {
    return this.#steering.abroad;
  }

  setSleeping(on: boolean): void {
    this.#flags.set(this.#shard, on);
  }

  #takeHome(ring: FrameRing): boolean {
    const { pool, cnt } = this.#st;
    const n = ring.drain(this.#frames);
    for (let i = 0; i < n; i++) pool.putFrame(this.#frames[i]!);
    cnt[stks.stks_home_in]! += n;
    this.#steering.abroad -= n;
    return n > 0;
  }

  #sendHome(frame: number): void {
    const owner = Math.floor(frame / this.#perShard);
    const ring = this.#homeOut[owner]!;
    ring.push(frame);
    this.#st.cnt[stks.stks_home_out]!++;
    // A sleeper that has given most of its frames away would not notice packets that find no frame.
    if (ring.length > this.#perShard >>> 2) this.#wake(owner);
  }

  #wake(shard: number): void {
    if (!this.#flags.mustWake(shard)) return;
    this.#st.cnt[stks.stks_kicks]!++;
    this.#native.kick(this.#eventfds[shard]!);
  }
}
