import { parentPort, workerData } from 'node:worker_threads';
import { CLOCK_WORDS, loadNative, type PortInfo, WAKE } from '../../src/driver/native.ts';
import { XskLink } from '../../src/driver/xsk.ts';
import { COL_FRAME, ROW } from '../../src/rings/link.ts';
import { FramePool } from '../../src/rings/mbuf.ts';

/**
 * A worker that serves one queue of a port and sleeps in the event loop: it counts what it receives, tells it when its eventfd
 * is kicked, and ends when it is kicked a second time.
 */
const { port, queue, frames, eventfd } = workerData as {
  port: PortInfo;
  queue: number;
  frames: number;
  eventfd: number;
};

const native = loadNative();
const pool = new FramePool(native.umem(), queue * frames, frames);
const page = new Float64Array(CLOCK_WORDS);
const link = new XskLink(native, port, { queue, pool, page });
const table = new Int32Array(64 * ROW);
let received = 0;
let wakes = 0;
let kicks = 0;

const poll = native.openPoll(Int32Array.of(link.handle), eventfd, page, (mask) => {
  wakes++;
  if ((mask & WAKE.RX) !== 0) {
    for (let n = link.receive(table, 64); n > 0; n = link.receive(table, 64)) {
      for (let i = 0; i < n; i++) {
        pool.mbufOf(table[i * ROW + COL_FRAME]!);
        pool.putFrame(table[i * ROW + COL_FRAME]!);
      }
      received += n;
    }
  }
  if ((mask & WAKE.EVENT) !== 0) {
    parentPort!.postMessage({ queue, received, wakes });
    if (++kicks === 2) {
      native.closePoll(poll);
      link.close();
    }
  }
});
native.pollStart(poll);
parentPort!.postMessage('serving');
