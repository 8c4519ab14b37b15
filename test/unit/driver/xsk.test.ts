import { Worker } from 'node:worker_threads';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CLK, CLOCK_WORDS, loadNative, type Native, type PortOptions, WAKE } from '../../../src/driver/native.ts';

const NATIVE_URL = new URL('../../../src/driver/native.ts', import.meta.url).href;

const OPTIONS: PortOptions = {
  ifname: 'ix1',
  queues: 1,
  xdp: 'auto',
  zeroCopy: 'auto',
  exclusive: false,
  rxcsum: 'strict',
  maxFrame: 1518,
  busyPoll: false,
  timestamp: true,
};

let native: Native;
beforeAll(() => {
  native = loadNative();
});
afterEach(() => native.destroyUmem());

/** Resolves when the worker has ended. */
function ended(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.on('exit', resolve);
    worker.on('error', reject);
  });
}

/** Runs `body` in a worker that has `native` and `data`; `post` sends a message here. */
function inWorker(body: string, data: unknown): Worker {
  const code = `
    const { parentPort, workerData: data } = require('node:worker_threads');
    const post = (message) => parentPort.postMessage(message);
    import(${JSON.stringify(NATIVE_URL)}).then(({ loadNative }) => { const native = loadNative(); ${body} });`;
  return new Worker(code, { eval: true, workerData: data });
}

describe('the UMEM', () => {
  test('is one buffer a thread over one memory of 4096-byte frames', async () => {
    native.createUmem(64, 64);
    const here = native.umem();
    expect(here.byteLength).toBe(64 * 4096);
    expect(native.umem()).toBe(here);
    const words = new Int32Array(here);
    words[1024] = 0x1234;
    const worker = inWorker('const w = new Int32Array(native.umem()); w[2048] = w[1024] + 1; post(w.length);', null);
    const length = await new Promise((resolve) => worker.on('message', resolve));
    await ended(worker);
    expect(length).toBe(64 * 1024);
    expect(words[2048]).toBe(0x1235);
  });

  test('outlives its registry entry while a buffer over it lives', () => {
    native.createUmem(64, 64);
    const first = new Uint8Array(native.umem());
    first[0] = 7;
    native.destroyUmem();
    native.createUmem(128, 64);
    const second = new Uint8Array(native.umem());
    expect(second.length).toBe(128 * 4096);
    expect(second[0]).toBe(0);
    expect(first[0]).toBe(7);
  });

  test('is made only once, with a sane size and rings of a power of two', () => {
    for (const frames of [0, -1, 1.5, 2 ** 20, Number.NaN])
      expect(() => native.createUmem(frames, 2048)).toThrow(RangeError);
    for (const ring of [0, 63, 100, 131072]) expect(() => native.createUmem(64, ring)).toThrow(RangeError);
    expect(() => native.createUmem('64' as unknown as number, 64)).toThrow(TypeError);
    native.createUmem(64, 64);
    expect(() => native.createUmem(64, 64)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  });
});

describe('arguments are checked before anything is touched', () => {
  test.each([
    ['queues', 0, RangeError],
    ['queues', 65, RangeError],
    ['queues', 1.5, RangeError],
    ['queues', '4', TypeError],
    ['ifname', '', RangeError],
    ['ifname', 'a/b', RangeError],
    ['ifname', 'sixteen-bytes-00', RangeError],
    ['ifname', 7, TypeError],
    ['netns', '', RangeError],
    ['xdp', 'drv', TypeError],
    ['zeroCopy', true, TypeError],
    ['rxcsum', 'auto', TypeError],
    ['exclusive', 1, TypeError],
    ['maxFrame', 4096, RangeError],
    ['busyPoll', undefined, TypeError],
    ['timestamp', null, TypeError],
  ])('openPort refuses %s = %j', (name, value, error) => {
    native.createUmem(64, 64);
    expect(() => native.openPort({ ...OPTIONS, [name]: value } as PortOptions)).toThrow(error);
    expect(() => native.openPort({ ...OPTIONS, [name]: value } as PortOptions)).toThrow(name);
  });

  test('calls on queues, ports and polls that are not open throw RangeError', () => {
    const table = new Int32Array(64);
    const page = new Float64Array(CLOCK_WORDS);
    expect(() => native.receive(0, table, 1)).toThrow(RangeError);
    expect(() => native.receive(-1, table, 1)).toThrow(RangeError);
    expect(() => native.transmit(1 << 20, table, 1)).toThrow(RangeError);
    expect(() => native.reclaim(0, table)).toThrow(RangeError);
    expect(() => native.txRoom(0)).toThrow(RangeError);
    expect(() => native.openQueue(0, 0, table, table, 0, page)).toThrow(RangeError);
    expect(() => native.setAddresses(3, table, new Uint8Array(0))).toThrow(RangeError);
    expect(() => native.setAddresses(0, table, new Uint8Array(15))).toThrow(RangeError);
    expect(() => native.pollStart(99)).toThrow(RangeError);
    expect(() => native.openPoll(Int32Array.of(0), -1, page, () => {})).toThrow(RangeError);
    expect(() => native.openPoll(new Int32Array(0), -1, new Float64Array(1), () => {})).toThrow(TypeError);
    expect(() => native.kick('x' as unknown as number)).toThrow(TypeError);
    native.closePort(0);
    native.closeQueue(0);
    native.closePoll(99);
  });

  test('a system error carries the code and says which interface', () => {
    native.createUmem(64, 64);
    expect(() => native.openPort({ ...OPTIONS, ifname: 'nosuchif0' })).toThrow(
      expect.objectContaining({ code: 'ENODEV', message: 'nosuchif0: no such interface' }),
    );
    expect(() => native.openPort({ ...OPTIONS, netns: '/nonexistent' })).toThrow(
      expect.objectContaining({ code: 'ENOENT', message: expect.stringContaining('/nonexistent') }),
    );
  });
});

describe('the clock page', () => {
  test('agrees with the monotonic and the wall clock of Node', () => {
    const page = new Float64Array(CLOCK_WORDS);
    // Read before and after, as a busy machine may put any time between two lines.
    const [mono, wall] = [() => process.hrtime.bigint() / 1000n, () => Date.now() * 1000];
    const before = { mono: mono(), wall: wall() };
    native.readClock(page);
    const after = { mono: mono(), wall: wall() };
    const since = (word: number, us: bigint): number => (page[word]! - Number(BigInt.asIntN(32, us))) | 0;
    expect(Number.isInteger(page[CLK.US])).toBe(true);
    expect(since(CLK.US, before.mono)).toBeGreaterThanOrEqual(0);
    expect(since(CLK.US, after.mono)).toBeLessThanOrEqual(0);
    expect(since(CLK.MS, before.mono / 1000n)).toBeGreaterThanOrEqual(0);
    expect(since(CLK.MS, after.mono / 1000n)).toBeLessThanOrEqual(0);
    // Date.now is whole milliseconds; a wall clock that is being set may differ a little more.
    expect(page[CLK.WALL]! - before.wall).toBeGreaterThan(-50_000);
    expect(page[CLK.WALL]! - after.wall).toBeLessThan(50_000);
  });
});

describe('the poll', () => {
  test('wakes for a kick from another thread and for its timer, and not while stopped', async () => {
    const page = new Float64Array(CLOCK_WORDS);
    const eventfd = native.eventfd();
    const masks: number[] = [];
    let wake: () => void = () => {};
    const poll = native.openPoll(new Int32Array(0), eventfd, page, (mask) => {
      masks.push(mask);
      wake();
    });
    const woken = () => new Promise<void>((resolve) => (wake = resolve));
    try {
      const kicked = woken();
      native.pollStart(poll);
      await ended(inWorker('native.kick(data);', eventfd));
      await kicked;
      expect(masks).toEqual([WAKE.EVENT]);

      const fired = woken();
      native.readClock(page);
      const start = page[CLK.US]!;
      native.armTimer(poll, 1500);
      await fired;
      expect(masks).toEqual([WAKE.EVENT, WAKE.TIMER]);
      expect((page[CLK.US]! - start) | 0).toBeGreaterThanOrEqual(1500);

      native.pollStop(poll);
      native.kick(eventfd);
      native.armTimer(poll, 0);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(masks).toHaveLength(2);
      const both = woken();
      native.pollStart(poll);
      await both;
      expect(masks[2]).toBe(WAKE.EVENT | WAKE.TIMER);

      native.armTimer(poll, 2000);
      native.armTimer(poll, -1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(masks).toHaveLength(3);
    } finally {
      native.closePoll(poll);
      native.closePoll(poll);
      native.closeFd(eventfd);
    }
  });

  test('a worker that ends or is terminated with an armed poll leaves nothing behind and does not crash', async () => {
    const body = `
      const poll = native.openPoll(new Int32Array(0), -1, new Float64Array(4), () => {});
      native.pollStart(poll);
      native.armTimer(poll, data.us);
      post('armed');
      if (data.exit) setTimeout(() => process.exit(0), 5);`;
    for (const data of [
      { us: 1e9, exit: false },
      { us: 1e9, exit: true },
      { us: 0, exit: false },
    ]) {
      const worker = inWorker(body, data);
      const end = ended(worker);
      await new Promise((resolve) => worker.on('message', resolve));
      if (!data.exit) await worker.terminate();
      expect(await end).toBeTypeOf('number');
    }
  });
});
