import { parentPort, workerData } from 'node:worker_threads';
import { FlowDirectory } from '../../src/rings/flowdir.ts';
import { FrameRing, HandoverRing } from '../../src/rings/handover.ts';
import { ROW } from '../../src/rings/link.ts';

/** The other side of the shared-memory tests: `claim` fights for flows, `relay` sends what it is handed home. */
interface Work {
  readonly kind: 'claim' | 'relay';
  readonly shard: number;
  readonly hashes: number;
  readonly rounds: number;
  readonly dir: SharedArrayBuffer;
  readonly gate: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
  readonly home: SharedArrayBuffer;
  readonly frames: number;
}

const w = workerData as Work;

/** Every hash is claimed, looked up and given back again and again; the owner must be the same for as long as it is held. */
function claim(): { wrong: number; won: number } {
  const dir = new FlowDirectory(w.dir);
  const gate = new Int32Array(w.gate);
  Atomics.add(gate, 0, 1);
  while (Atomics.load(gate, 0) < 2) Atomics.wait(gate, 0, 1, 1);
  let wrong = 0;
  let won = 0;
  for (let r = 0; r < w.rounds; r++) {
    const hash = 1 + ((r * 7) % w.hashes);
    const owner = dir.insert(hash, w.shard);
    if (owner === w.shard) won++;
    if (owner < 0 || dir.lookup(hash) !== owner || dir.insert(hash, w.shard) !== owner) wrong++;
    dir.remove(hash);
    dir.remove(hash);
  }
  return { wrong, won };
}

/** Takes rows until all frames were seen in order, and sends each frame home. */
function relay(): { wrong: number; won: number } {
  const ring = new HandoverRing(w.ring);
  const home = new FrameRing(w.home);
  const table = new Int32Array(16 * ROW);
  let wrong = 0;
  let seen = 0;
  while (seen < w.rounds) {
    const n = ring.drain(table, 16);
    for (let i = 0; i < n; i++, seen++) {
      // Length carries the running number; offset and hash are made of it.
      const row = i * ROW;
      const ok = table[row + 2] === seen && table[row + 1] === (seen & 1023) && table[row + 4] === Math.imul(seen, 31);
      if (!ok) wrong++;
      home.push(table[row]!);
    }
  }
  return { wrong, won: seen };
}

parentPort!.postMessage(w.kind === 'claim' ? claim() : relay());
