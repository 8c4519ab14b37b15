import { writeSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { loadNative } from '../driver/native.ts';
import { CFG_COMMAND, CFG_SLEEPING, CFG_WAKE } from '../siftr/shared.ts';
import { type CycleEnd, type SiftrOutput, SiftrWriter } from '../siftr/writer.ts';
import { trimHeap } from './heap.ts';

/**
 * The writer thread: a worker that runs SiftrWriter between sleeps. Between two passes it sleeps on a futex that the main thread
 * (a command) and the shards (a ring a quarter full) end, so a pass finds a batch and nobody is woken for each packet. Within a pass it
 * lets others run: where processors are short its turn is one that a shard, or the program at the other end, does not have.
 */

/** What the thread is started with. */
export interface WriterData {
  readonly rings: readonly SharedArrayBuffer[];
  readonly cfg: Int32Array;
  readonly cnt: Float64Array;
}

export type WriterCommand =
  | { readonly op: 'begin'; readonly seq: number; readonly fd: number; readonly limit: number }
  | {
      readonly op: 'switch';
      readonly seq: number;
      readonly fd: number;
      readonly limit: number;
      readonly oldIsGone: boolean;
    }
  | { readonly op: 'hold'; readonly seq: number; readonly why: string }
  | { readonly op: 'rings'; readonly seq: number; readonly rings: readonly SharedArrayBuffer[] }
  | { readonly op: 'end'; readonly seq: number }
  | { readonly op: 'stop'; readonly seq: number };

/** Answer to a command, or something that happened. */
export type WriterReport =
  | { readonly kind: 'done'; readonly seq: number; readonly end: CycleEnd | null }
  | { readonly kind: 'limit'; readonly fd: number }
  | { readonly kind: 'write-error'; readonly text: string }
  | { readonly kind: 'write-ok' };

/**
 * Pause between passes while records come, and the longest while none come, ms. Longer pauses are fewer wake-ups and cost less a line; but
 * where processors are short the thread that this one displaces is a shard, which must be back before the packets that come meanwhile fill a queue.
 */
const PAUSE_BUSY = 4;
const PAUSE_IDLE = 40;
/** Lines are written when so many bytes wait, after so many passes, or when nothing more came: few writes cost less a line. */
const WRITE_BYTES = 256 * 1024;
const WRITE_PASSES = 8;
/** Passes between two turns of the event loop, at most: commands end them sooner, an inspector is served by them. */
const PASSES_A_TURN = 32;
/** Pause after a failed write, and after one that a full pipe refused, ms. */
const PAUSE_ERROR = 1000;
const PAUSE_AGAIN = 1;
/**
 * Nice value of this thread, unless the process was given a greater one: where processors are short, packets come first. The rings
 * hold what waits meanwhile.
 */
const NICE = 5;
/** Pause between the tries of `end` while a pipe is full, ms, and how many there are. */
const PAUSE_END = 5;
const END_TRIES = 400;

class FdOutput implements SiftrOutput {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(buf: Uint8Array, offset: number, length: number): number {
    return writeSync(this.#fd, buf, offset, length);
  }
}

function run(): void {
  const port = parentPort;
  if (port === null) throw new Error('siftr-thread: to be started as a worker');
  const { rings, cfg, cnt } = workerData as WriterData;
  const writer = new SiftrWriter(rings, cfg, cnt);
  const { sysYield } = loadNative();
  let active = false;
  let looping = false;
  let fd = -1;
  let limitTold = false;
  let errorTold = false;
  let pause = PAUSE_BUSY;
  /** Passes since lines were written. */
  let passes = 0;
  /** Number of the last command. */
  let handled = 0;

  const report = (r: WriterReport): void => port.postMessage(r);

  const tellState = (): void => {
    if (writer.limitReached && !limitTold) {
      limitTold = true;
      report({ kind: 'limit', fd });
    }
    if (writer.state === 'error' && !errorTold) {
      errorTold = true;
      report({ kind: 'write-error', text: writer.error?.message ?? 'unknown error' });
    } else if (writer.state === 'ok' && errorTold) {
      errorTold = false;
      report({ kind: 'write-ok' });
    }
  };

  /** While nothing can be written, only the main thread ends the sleep: full rings are no reason to try again. */
  const sleep = (ms: number, forShards: boolean): void => {
    const seen = Atomics.load(cfg, CFG_WAKE);
    if (forShards) Atomics.store(cfg, CFG_SLEEPING, 1);
    Atomics.wait(cfg, CFG_WAKE, seen, ms);
    Atomics.store(cfg, CFG_SLEEPING, 0);
  };

  /** Not while a command waits: with others busy, each yield may take some ms, and a pass has hundreds of them. */
  const giveWay = (): void => {
    if (Atomics.load(cfg, CFG_COMMAND) === handled) sysYield();
  };

  /** Takes what the rings hold, writes if it is time to, and sleeps; gives the records taken. */
  const pass = (): number => {
    const n = writer.pass(false, giveWay);
    if (n === 0 || ++passes === WRITE_PASSES || writer.waiting >= WRITE_BYTES || writer.state !== 'ok') {
      passes = 0;
      writer.flush();
    }
    tellState();
    pause = n > 0 ? PAUSE_BUSY : Math.min(pause * 2, PAUSE_IDLE);
    if (writer.state === 'ok') sleep(pause, true);
    else sleep(writer.state === 'error' ? PAUSE_ERROR : PAUSE_AGAIN, false);
    return n;
  };

  const loop = (): void => {
    if (!active) {
      looping = false;
      return;
    }
    // Turns of the event loop showed in the profile of a busy thread: while records come there is one for commands, and now and then.
    for (let n = 1, i = 0; n > 0 && i < PASSES_A_TURN && Atomics.load(cfg, CFG_COMMAND) === handled; i++) n = pass();
    setImmediate(loop);
  };

  port.on('message', (cmd: WriterCommand) => {
    let end: CycleEnd | null = null;
    handled = cmd.seq;
    switch (cmd.op) {
      case 'begin':
        fd = cmd.fd;
        limitTold = false;
        // What the last cycle could not write is no matter of this one's file.
        errorTold = false;
        writer.begin(new FdOutput(fd), cmd.limit);
        active = true;
        if (!looping) {
          looping = true;
          setImmediate(loop);
        }
        break;
      case 'switch':
        fd = cmd.fd;
        limitTold = false;
        writer.switchTo(new FdOutput(fd), cmd.limit, cmd.oldIsGone);
        tellState();
        break;
      case 'hold':
        writer.hold(new Error(cmd.why));
        tellState();
        break;
      case 'rings':
        writer.setRings(cmd.rings);
        break;
      case 'end': {
        let tries = 0;
        active = false;
        end = writer.end(() => {
          Atomics.wait(cfg, CFG_WAKE, Atomics.load(cfg, CFG_WAKE), PAUSE_END);
          return ++tries < END_TRIES;
        });
        break;
      }
      case 'stop':
        active = false;
        break;
    }
    report({ kind: 'done', seq: cmd.seq, end });
    if (cmd.op === 'stop') port.close();
  });
}

// 0 is the calling thread on Linux, not the process (setpriority(2), NOTES). A thread without rights can only go down.
if (getPriority(0) < NICE) setPriority(0, NICE);
run();
trimHeap();
