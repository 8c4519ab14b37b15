import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UnixLink, type UnixLinkOptions } from '../../../../src/driver/unix/link.ts';
import { UnixPort } from '../../../../src/driver/unix/port.ts';
import { UL, ULINK_WORDS, ulinkDecl } from '../../../../src/metrics/ulinkkv.ts';
import { COL_FLAGS, COL_FRAME, COL_LENGTH, COL_OFFSET, F_EOP, FRAME_SIZE, ROW } from '../../../../src/rings/link.ts';
import { FramePool } from '../../../../src/rings/mbuf.ts';
import { TestClock } from '../../../lab/memlink.ts';
import { framed, socketDir, UnixPeer } from '../../../lab/unix-peer.ts';

/** A link with its server, without a stack. */
class Rig {
  readonly pool: FramePool;
  readonly counters = new Float64Array(ULINK_WORDS);
  readonly link: UnixLink;
  readonly port: UnixPort;
  readonly table = new Int32Array(64 * ROW);
  readonly path: string;
  readonly changes: string[] = [];
  wakes = 0;

  constructor(path: string, o: Partial<UnixLinkOptions> & { frames?: number } = {}) {
    this.path = path;
    const frames = o.frames ?? 64;
    this.pool = new FramePool(new ArrayBuffer(frames * FRAME_SIZE), 0, frames);
    this.link = new UnixLink({
      pool: this.pool,
      clock: new TestClock(),
      counters: this.counters,
      maxFrame: 1518,
      slots: 8,
      ...o,
    });
    this.link.onReadable = () => this.wakes++;
    this.port = new UnixPort({
      name: 'unix0',
      path,
      role: 'server',
      link: this.link,
      counters: this.counters,
      changed: (up, why) => this.changes.push(up ? 'up' : why),
    });
  }

  /** What comes in until `n` frames have been looked at, as bytes; the frames go back. */
  async receive(n: number): Promise<number[][]> {
    const out: number[][] = [];
    await vi.waitFor(() => {
      out.push(...this.take());
      expect(this.counters[UL.RX_PACKETS]).toBeGreaterThanOrEqual(n);
    }, 5000);
    return out;
  }

  take(): number[][] {
    const out: number[][] = [];
    const rows = this.link.receive(this.table, 64);
    for (let i = 0; i < rows; i++) {
      const frame = this.table[i * ROW + COL_FRAME]!;
      const at = frame * FRAME_SIZE + this.table[i * ROW + COL_OFFSET]!;
      expect(this.table[i * ROW + COL_FLAGS]).toBe(F_EOP);
      out.push([...this.pool.u8.subarray(at, at + this.table[i * ROW + COL_LENGTH]!)]);
      this.pool.mbufOf(frame);
      this.pool.putFrame(frame);
    }
    return out;
  }

  /** Sends frames of these bytes; how many the link took. */
  transmit(...frames: number[][]): number {
    frames.forEach((bytes, i) => {
      const m = this.pool.get()!;
      this.pool.u8.set(bytes, m.pos);
      this.table.fill(0, i * ROW, (i + 1) * ROW);
      this.table[i * ROW + COL_FRAME] = m.frame;
      this.table[i * ROW + COL_OFFSET] = m.pos % FRAME_SIZE;
      this.table[i * ROW + COL_LENGTH] = bytes.length;
    });
    const taken = this.link.transmit(this.table, frames.length);
    const done = new Int32Array(64);
    const n = this.link.reclaim(done);
    for (let i = 0; i < n; i++) this.pool.putFrame(done[i]!);
    return taken;
  }

  count(word: keyof typeof UL): number {
    return this.counters[UL[word]]!;
  }
}

const dir = socketDir();
const rigs: Rig[] = [];
const peers: UnixPeer[] = [];
let made = 0;

async function rig(o: Partial<UnixLinkOptions> & { frames?: number } = {}): Promise<Rig> {
  const r = new Rig(dir.path(`l${made++}`), o);
  rigs.push(r);
  await r.port.open();
  return r;
}

async function join(r: Rig): Promise<UnixPeer> {
  const ups = r.count('UPS');
  const peer = await UnixPeer.connect(r.path);
  peers.push(peer);
  await vi.waitFor(() => expect(r.count('UPS')).toBe(ups + 1), 5000);
  return peer;
}

/** Sends until the kernel takes no more and the ring is full; how many frames that were. */
async function fill(r: Rig, frame: number[]): Promise<number> {
  let sent = 0;
  while (r.link.txRoom() > 0) {
    while (r.link.txRoom() > 0) sent += r.transmit(frame);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return sent;
}

beforeEach(() => {
  rigs.length = 0;
  peers.length = 0;
});

afterEach(() => {
  for (const p of peers) p.close();
  for (const r of rigs) {
    r.port.close();
    r.link.close();
    expect(r.pool.available).toBe(r.pool.count);
  }
});

afterAll(() => dir.remove());

test('the words of a link are its kstat keys in their order', () => {
  expect(Object.keys(UL).map((k) => k.toLowerCase())).toEqual(ulinkDecl.kvs.map((kv) => kv.key));
  expect(Object.values(UL)).toEqual(ulinkDecl.kvs.map((_, i) => i));
});

describe('what a peer sends', () => {
  test('comes in frame by frame, whole and in order, and counts when the stack has done with it (LINKSYNC)', async () => {
    const r = await rig();
    const peer = await join(r);
    peer.send([1, 2, 3], [4], new Array<number>(1518).fill(9));
    const frames = await r.receive(3);
    expect(frames).toEqual([[1, 2, 3], [4], new Array<number>(1518).fill(9)]);
    expect(r.count('RX_BYTES')).toBe(3 + 1 + 1518);
    expect(r.link.received).toBe(0);
    r.link.finished();
    expect(r.link.received).toBe(3);
  });

  test('longer than the MTU allows is dropped and counted, and what follows comes in', async () => {
    const r = await rig();
    const peer = await join(r);
    peer.send(new Uint8Array(1519), new Uint8Array(65536), [7]);
    expect(await r.receive(3)).toEqual([[7]]);
    expect([r.count('RX_OVERSIZE'), r.count('RX_OVERSIZE_MAX')]).toEqual([2, 65536]);
    r.link.finished();
    expect(r.link.received).toBe(3);
  });

  test('a length that no frame has ends the connection, after the frames before it', async () => {
    const r = await rig();
    const peer = await join(r);
    peer.socket.write(Buffer.concat([framed([5]), Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2])]));
    expect(await r.receive(1)).toEqual([[5]]);
    await vi.waitFor(() => {
      r.take();
      expect(r.count('RX_BADLEN')).toBe(1);
    }, 5000);
    await peer.until(() => peer.ended);
    expect(r.changes).toEqual(['up', 'a length that no frame has came in']);
    expect(r.count('UP')).toBe(0);
    // The place is free.
    const next = await join(r);
    next.send([6]);
    expect(await r.receive(2)).toEqual([[6]]);
  });

  test('of length 0 is dropped and counted', async () => {
    const r = await rig();
    const peer = await join(r);
    peer.send([], [1]);
    expect(await r.receive(2)).toEqual([[1]]);
    expect(r.count('RX_EMPTY')).toBe(1);
  });

  test('before it ends is taken in all the same; an end in the middle of a frame is counted', async () => {
    const r = await rig();
    const peer = await join(r);
    peer.socket.end(Buffer.concat([framed([1]), framed([2]), Buffer.from([0, 0, 0, 9, 1])]));
    await vi.waitFor(() => expect(r.count('UP')).toBe(0), 5000);
    expect(r.link.hasWork(0)).toBe(true);
    expect(await r.receive(2)).toEqual([[1], [2]]);
    expect(r.count('RX_TRUNCATED')).toBe(1);
    expect(r.link.hasWork(0)).toBe(false);
    expect(r.changes).toEqual(['up', 'the peer closed the connection']);
  });

  test('an end between two frames is none in the middle of one', async () => {
    const r = await rig();
    const peer = await join(r);
    peer.socket.end(framed([1]));
    expect(await r.receive(1)).toEqual([[1]]);
    await vi.waitFor(() => expect(r.count('UP')).toBe(0), 5000);
    r.take();
    expect(r.count('RX_TRUNCATED')).toBe(0);
  });

  test('is dropped and counted while no memory is free, as a NIC does, and transmission keeps its share', async () => {
    const r = await rig({ frames: 8, reserve: 6 });
    const peer = await join(r);
    peer.send([1], [2], [3], [4]);
    const kept: number[] = [];
    await vi.waitFor(() => {
      const rows = r.link.receive(r.table, 64);
      for (let i = 0; i < rows; i++) kept.push(r.table[i * ROW + COL_FRAME]!);
      expect(r.count('RX_PACKETS')).toBe(4);
    }, 5000);
    expect(kept).toHaveLength(2);
    expect(r.count('RX_NOBUFS')).toBe(2);
    expect(r.pool.available).toBe(6);
    r.link.finished();
    expect(r.link.received).toBe(4);
    for (const f of kept) {
      r.pool.mbufOf(f);
      r.pool.putFrame(f);
    }
  });

  test('faster than the stack takes it waits in the kernel: the link holds little more than a MiB', async () => {
    const r = await rig({ maxFrame: 70000 });
    const peer = await join(r);
    const frame = new Uint8Array(60000);
    let written = 0;
    const more = (): void => {
      if (written < 100) peer.socket.write(framed(frame), () => more());
      written++;
    };
    more();
    await vi.waitFor(() => expect(written).toBeGreaterThan((1 << 20) / 60000), 5000);
    // It stays there while nobody takes anything.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(written).toBeLessThan(50);
    await vi.waitFor(() => {
      for (let i = 0; i < 10; i++) {
        const n = r.link.receive(r.table, 1);
        if (n === 0) break;
        r.pool.mbufOf(r.table[COL_FRAME]!);
        r.pool.putFrame(r.table[COL_FRAME]!);
      }
      expect(r.count('RX_PACKETS')).toBe(100);
    }, 10_000);
  });
});

describe('what is sent', () => {
  test('goes as length and bytes, and the memory is free at once', async () => {
    const r = await rig();
    const peer = await join(r);
    expect(r.transmit([1, 2], [3])).toBe(2);
    expect(r.pool.available).toBe(r.pool.count);
    expect([...(await peer.next())]).toEqual([1, 2]);
    expect([...(await peer.next())]).toEqual([3]);
    await r.link.drained();
    expect([r.count('TX_PACKETS'), r.count('TX_BYTES'), r.count('TX_QUEUE')]).toEqual([2, 3, 0]);
  });

  test('without a peer is lost and counted, as on a cable that leads nowhere', async () => {
    const r = await rig();
    expect(r.transmit([1], [2])).toBe(2);
    expect([r.count('TX_NOPEER'), r.count('TX_PACKETS')]).toEqual([2, 0]);
    expect(r.link.txRoom()).toBe(8);
  });

  test('to a peer that does not read fills the ring and no more; when it reads there is room again, and the shard is woken', async () => {
    const r = await rig({ maxFrame: 4000, frames: 64 });
    const peer = await join(r);
    peer.socket.pause();
    const frame = new Array<number>(3000).fill(1);
    const sent = await fill(r, frame);
    expect(r.link.txRoom()).toBe(0);
    // Packets that wait on the interface queue are no reason to stay awake: the kernel will say when there is room.
    expect(r.link.hasWork(5)).toBe(false);
    const wakes = r.wakes;
    peer.socket.resume();
    await r.link.drained();
    expect(r.wakes).toBeGreaterThan(wakes);
    expect(r.link.txRoom()).toBe(8);
    await peer.until(() => peer.frames.length === sent);
    expect(r.count('TX_PACKETS')).toBe(sent);
  });

  test('to a peer that goes away with it unread is counted as lost', async () => {
    const r = await rig({ maxFrame: 4000 });
    const peer = await join(r);
    peer.socket.pause();
    const frame = new Array<number>(3000).fill(1);
    await fill(r, frame);
    peer.close();
    await r.link.drained();
    expect(r.count('TX_LOST')).toBe(8);
    expect(r.count('TX_QUEUE')).toBe(0);
    expect(r.link.up).toBe(false);
  });
});
