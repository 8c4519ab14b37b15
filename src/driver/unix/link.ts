import type { Socket } from 'node:net';
import { UL, ULINK_WORDS } from '../../metrics/ulinkkv.ts';
import type { Clock } from '../../rings/clock.ts';
import {
  COL_FLAGS,
  COL_FRAME,
  COL_HASH,
  COL_LENGTH,
  COL_OFFSET,
  COL_TIME,
  COL_VLAN,
  F_EOP,
  FRAME_SHIFT,
  type LinkCaps,
  ROW_SHIFT,
} from '../../rings/link.ts';
import type { FramePool } from '../../rings/mbuf.ts';
import type { ShardLink } from '../shard-link.ts';
import { BAD_LENGTH, FrameStream, INCOMPLETE, LENGTH_BYTES } from './frame-stream.ts';

const { copy } = Buffer.prototype;

/** Where a received packet begins in its frame: room for outer headers, as behind XDP. */
const RX_OFFSET = 256;
/** Bytes that came in and wait for the stack before the peer has to wait: more than the kernel gives at once. */
const HIGH_WATER = 1 << 20;

/** What a link is made of. */
export interface UnixLinkOptions {
  readonly pool: FramePool;
  /** The shard's. */
  readonly clock: Clock;
  /** Counter block, ULINK_WORDS words in the order of `UL`; this link is its one writer. */
  readonly counters: Float64Array;
  /** Longest frame taken, bytes. */
  readonly maxFrame: number;
  /** Frames that the kernel may have yet to take: the transmit ring, so to say. */
  readonly slots: number;
  /** Frames that reception leaves for transmission; default an eighth of the pool. */
  readonly reserve?: number;
}

/** A connection with what came in on it. */
interface Peer {
  readonly socket: Socket;
  readonly stream: FrameStream;
  /** Nothing more will come; what is there is still taken in. */
  ended: boolean;
  paused: boolean;
}

/** Somebody who waits for the receive count (LINKSYNC). */
interface Waiter {
  readonly count: number;
  readonly done: () => void;
}

/**
 * A link over a connected Unix socket (docs/unix-link.md). It behaves as a NIC does: without free memory a received frame is dropped, a
 * full transmit ring leaves packets on the interface queue, and without a peer what is sent is lost, each with a counter. It offers no
 * offloads: checksums are the stack's work.
 */
export class UnixLink implements ShardLink {
  readonly caps: LinkCaps = { csum: false, rss: false, timestamp: true, sg: false, tso: false, vlan: false };
  onReadable: (() => void) | null;
  /** Told when the peer's connection is no longer of use, with the reason. */
  onDown: ((why: string) => void) | null;
  readonly #pool: FramePool;
  readonly #clock: Clock;
  readonly #kv: Float64Array;
  readonly #maxFrame: number;
  readonly #slots: number;
  readonly #reserve: number;
  /** Who sends to us, the present peer last; before it those that ended and left frames behind. */
  readonly #peers: Peer[];
  /** The present peer, to whom we send. */
  #peer: Peer | null;
  #queued: number;
  readonly #done: number[];
  /** Frames taken from the stream. */
  #taken: number;
  readonly #waiters: Set<Waiter>;
  readonly #drained: Set<() => void>;

  constructor(o: UnixLinkOptions) {
    if (o.counters.length < ULINK_WORDS) throw new RangeError(`a Unix link has ${ULINK_WORDS} counter words`);
    this.onReadable = null;
    this.onDown = null;
    this.#pool = o.pool;
    this.#clock = o.clock;
    this.#kv = o.counters;
    this.#maxFrame = o.maxFrame;
    this.#slots = o.slots;
    this.#reserve = o.reserve ?? o.pool.count >>> 3;
    this.#peers = [];
    this.#peer = null;
    this.#queued = 0;
    this.#done = [];
    this.#taken = 0;
    this.#waiters = new Set();
    this.#drained = new Set();
  }

  /** A peer is connected. */
  get up(): boolean {
    return this.#peer !== null;
  }

  /** Frames written that the kernel has yet to take. */
  get backlog(): number {
    return this.#queued;
  }

  /** Frames that came in and went out so far. */
  get frames(): number {
    return this.#kv[UL.RX_PACKETS]! + this.#kv[UL.TX_PACKETS]!;
  }

  /** The receive count: frames that input has finished with, whatever became of them, over all peers. */
  get received(): number {
    return this.#kv[UL.RX_DONE]!;
  }

  /** Takes a connection over as the peer's. There must be none. */
  connect(socket: Socket): void {
    if (this.#peer !== null) throw new Error('the link has a peer');
    const peer: Peer = { socket, stream: new FrameStream(), ended: false, paused: false };
    this.#peer = peer;
    this.#peers.push(peer);
    this.#count(UL.UPS, 1);
    this.#kv[UL.UP] = 1;
    socket.on('data', (chunk: Buffer) => {
      if (peer.ended) return;
      peer.stream.push(chunk);
      if (peer.stream.buffered >= HIGH_WATER) {
        peer.paused = true;
        socket.pause();
      }
      this.onReadable?.();
    });
    socket.on('error', (err: NodeJS.ErrnoException) => this.#disconnect(peer, err.code ?? err.message));
    socket.on('end', () => this.#disconnect(peer, 'the peer closed the connection'));
    socket.on('close', () => this.#disconnect(peer, 'the connection was closed'));
  }

  /** Ends the peer's connection. */
  disconnect(why: string): void {
    if (this.#peer !== null) this.#disconnect(this.#peer, why);
  }

  receive(table: Int32Array, max: number): number {
    let n = 0;
    while (n < max && this.#peers.length > 0) {
      const peer = this.#peers[0]!;
      const length = peer.stream.peek();
      if (length >= 0) {
        if (this.#take(peer.stream, length, table, n << ROW_SHIFT)) n++;
        continue;
      }
      if (length === BAD_LENGTH) {
        this.#count(UL.RX_BADLEN, 1);
        this.#disconnect(peer, 'a length that no frame has came in');
      } else if (!peer.ended) {
        if (peer.paused) {
          peer.paused = false;
          peer.socket.resume();
        }
        break;
      }
      if (length === INCOMPLETE && peer.stream.partial) this.#count(UL.RX_TRUNCATED, 1);
      this.#peers.shift();
    }
    return n;
  }

  /** What `receive` gave so far is through: the stack has done with it all that it does at once. */
  finished(): void {
    if (this.#kv[UL.RX_DONE] === this.#taken) return;
    this.#kv[UL.RX_DONE] = this.#taken;
    for (const w of this.#waiters) {
      if (w.count > this.#taken) continue;
      this.#waiters.delete(w);
      w.done();
    }
  }

  /** Calls `done` once the receive count is at least `count`. Returns what takes the request back. */
  whenReceived(count: number, done: () => void): () => void {
    const w: Waiter = { count, done };
    if (this.received >= count) done();
    else this.#waiters.add(w);
    return () => void this.#waiters.delete(w);
  }

  /** Settles when the kernel has taken every frame that was sent, or the peer is gone. */
  drained(): Promise<void> {
    if (this.#queued === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.add(resolve));
  }

  transmit(table: Int32Array, n: number): number {
    const peer = this.#peer;
    let bytes = 0;
    for (let i = 0; i < n; i++) {
      const row = i << ROW_SHIFT;
      this.#done.push(table[row + COL_FRAME]!);
      bytes += table[row + COL_LENGTH]!;
    }
    if (peer === null) {
      this.#count(UL.TX_NOPEER, n);
      return n;
    }
    // The kernel may take it later, so the frames are copied out of the pool; one piece a batch.
    const out = Buffer.allocUnsafe(bytes + n * LENGTH_BYTES);
    let at = 0;
    for (let i = 0; i < n; i++) {
      const row = i << ROW_SHIFT;
      const length = table[row + COL_LENGTH]!;
      const from = (table[row + COL_FRAME]! << FRAME_SHIFT) + table[row + COL_OFFSET]!;
      at = out.writeUInt32BE(length, at);
      at += copy.call(this.#pool.u8, out, at, from, from + length);
    }
    this.#count(UL.TX_PACKETS, n);
    this.#count(UL.TX_BYTES, bytes);
    this.#setQueued(this.#queued + n);
    peer.socket.write(out, (err) => this.#written(peer, n, err ?? null));
    return n;
  }

  reclaim(out: Int32Array): number {
    const n = Math.min(this.#done.length, out.length);
    for (let i = 0; i < n; i++) out[i] = this.#done.pop()!;
    return n;
  }

  txRoom(): number {
    return Math.max(0, this.#slots - this.#queued);
  }

  hasWork(queued: number): boolean {
    if (queued > 0 && this.txRoom() > 0) return true;
    const first = this.#peers[0];
    return first !== undefined && (first.ended || first.stream.peek() !== INCOMPLETE);
  }

  close(): void {
    this.onReadable = null;
    this.onDown = null;
    this.disconnect('closed');
    this.#peers.length = 0;
    this.#waiters.clear();
  }

  /** Puts the frame that stands next into the table; false when it was dropped. */
  #take(stream: FrameStream, length: number, table: Int32Array, row: number): boolean {
    const pool = this.#pool;
    this.#taken++;
    this.#count(UL.RX_PACKETS, 1);
    this.#count(UL.RX_BYTES, length);
    const top = pool.top[0]! - 1;
    if (length === 0) this.#count(UL.RX_EMPTY, 1);
    else if (length > this.#maxFrame) this.#oversize(length);
    else if (top < this.#reserve) this.#count(UL.RX_NOBUFS, 1);
    else {
      pool.top[0] = top;
      const frame = pool.free[top]!;
      stream.read(pool.u8, (frame << FRAME_SHIFT) + RX_OFFSET);
      table[row + COL_FRAME] = frame;
      table[row + COL_OFFSET] = RX_OFFSET;
      table[row + COL_LENGTH] = length;
      table[row + COL_FLAGS] = F_EOP;
      table[row + COL_HASH] = 0;
      table[row + COL_VLAN] = -1;
      table[row + COL_TIME] = this.#clock.us;
      return true;
    }
    stream.skip();
    return false;
  }

  #oversize(length: number): void {
    this.#count(UL.RX_OVERSIZE, 1);
    if (length > this.#kv[UL.RX_OVERSIZE_MAX]!) this.#kv[UL.RX_OVERSIZE_MAX] = length;
  }

  #written(peer: Peer, n: number, err: Error | null): void {
    const wasFull = this.#queued >= this.#slots;
    // A socket that is destroyed calls back without an error for what it was about to write.
    if (err !== null || peer.ended) this.#count(UL.TX_LOST, n);
    this.#setQueued(this.#queued - n);
    // Packets that wait on the interface queue are sent by the next pass.
    if (wasFull) this.onReadable?.();
    if (this.#queued > 0) return;
    for (const done of this.#drained) done();
    this.#drained.clear();
  }

  #setQueued(n: number): void {
    this.#queued = n;
    this.#kv[UL.TX_QUEUE] = n;
  }

  #disconnect(peer: Peer, why: string): void {
    if (peer.ended) return;
    peer.ended = true;
    if (this.#peer === peer) {
      this.#peer = null;
      this.#kv[UL.UP] = 0;
    }
    // Writes that are left fail, and are counted in their callbacks.
    peer.socket.destroy();
    this.onReadable?.();
    this.onDown?.(why);
  }

  #count(word: number, n: number): void {
    this.#kv[word] = this.#kv[word]! + n;
  }
}
