import { FRAME_SHIFT, FRAME_SIZE, type FrameStack, TX_HEADROOM } from './link.ts';

/**
 * A frame of the UMEM on its way through the stack. One object a frame, made once and reused for ever.
 *
 *   frame base            base + off                    base + off + len        base + 4096
 *   | headroom            | headers … payload           | tailroom              |
 *
 * `pos` is the absolute byte position of the packet's current first byte in the UMEM (`frame * 4096 + offset`); stripping a
 * header moves `pos` forward and shortens `len`, prepending does the reverse.
 */
export class Mbuf {
  readonly frame: number;
  /** Absolute position in the UMEM of the first byte. */
  pos: number;
  /** Bytes from `pos` to the end of the packet (in this frame). */
  len: number;
  /** Bits F_* of the link. */
  flags: number;
  /** RSS hash; 0 when `hashType` is 0. */
  flowid: number;
  hashType: number;
  /** 802.1Q tag, or -1. */
  vlan: number;
  /** Receive time (rx) or time of queuing (tx), int32 µs. */
  time: number;
  /** Absolute positions of the link, network and transport headers; -1 until known. */
  l2: number;
  l3: number;
  l4: number;
  /** M_BCAST (1), M_MCAST (2): how the link addressed it; M_SIFTR (4): seen by SIFTR, in the cycle that M_SIFTR_CYCLE tells. */
  mflags: number;
  /** Index of the receiving interface in the stack's table. */
  rcvif: number;
  /** Transmit queue priority 0..7 (default 3, "llprio 3"). */
  prio: number;
  /** Next packet on a queue (`m_nextpkt`). */
  nextpkt: Mbuf | null;
  /** Next frame of the same packet (`m_next`). */
  next: Mbuf | null;
  /** Scratch words of the holder: reassembly keeps sequence number, length and flags of the segment here. */
  seq: number;
  seglen: number;
  th_flags: number;
  /** In the pool (leak check and double-free check). */
  isFree: boolean;
  readonly pool: FramePool;

  constructor(frame: number, pool: FramePool) {
    this.frame = frame;
    this.pos = 0;
    this.len = 0;
    this.flags = 0;
    this.flowid = 0;
    this.hashType = 0;
    this.vlan = -1;
    this.time = 0;
    this.l2 = -1;
    this.l3 = -1;
    this.l4 = -1;
    this.mflags = 0;
    this.rcvif = 0;
    this.prio = 3;
    this.nextpkt = null;
    this.next = null;
    this.seq = 0;
    this.seglen = 0;
    this.th_flags = 0;
    this.isFree = true;
    this.pool = pool;
  }
}

export const M_BCAST = 1;
export const M_MCAST = 2;
export const M_SIFTR = 4;
/** Which of SIFTR's cycles has counted the packet and waits for its fate (1..255, then 1 again); 0 when none does. A copy has 0. */
export const M_SIFTR_CYCLE = 0xff00;
export const M_SIFTR_CYCLE_SHIFT = 8;

/**
 * The frames that one shard owns: a stack of free frame indexes (shared with the link, which fills its rings from it) and the
 * Mbuf of each frame. A frame of another shard that is freed here leaves through `sendHome`.
 */
export class FramePool implements FrameStack {
  readonly free: Int32Array;
  readonly top: Int32Array;
  readonly first: number;
  readonly count: number;
  /** Whole UMEM. */
  readonly u8: Uint8Array;
  readonly dv: DataView;
  /** By frame index of the whole UMEM. A frame gets its object at first sight: of most, the stack never sees one. */
  readonly #mbufs: (Mbuf | null)[];
  /** Takes a frame that another shard owns back to it; set by the shard when there is more than one. */
  sendHome: ((frame: number) => void) | null;

  /**
   * @param umem  the whole UMEM; its length is a multiple of FRAME_SIZE
   * @param first index of the first frame that this pool owns
   * @param count how many it owns
   */
  constructor(umem: ArrayBuffer | SharedArrayBuffer, first: number, count: number) {
    const total = umem.byteLength >>> FRAME_SHIFT;
    if (first < 0 || count <= 0 || first + count > total || umem.byteLength % FRAME_SIZE !== 0) {
      throw new RangeError(`frames ${first}..${first + count - 1} are not within a UMEM of ${total} frames`);
    }
    this.u8 = new Uint8Array(umem);
    this.dv = new DataView(umem);
    this.first = first;
    this.count = count;
    this.free = new Int32Array(count);
    this.top = new Int32Array(1);
    this.#mbufs = new Array(total).fill(null);
    for (let i = 0; i < count; i++) this.free[i] = first + count - 1 - i;
    this.top[0] = count;
    this.sendHome = null;
  }

  /** Free frames now. */
  get available(): number {
    return this.top[0]!;
  }

  /**
   * Leak check: how many of this pool's frames are with the stack, its queues, or on their way out. Frames that the link holds for
   * receiving do not count. Walks the pool: for tests and the end of a process.
   */
  get held(): number {
    let n = 0;
    for (let i = this.first; i < this.first + this.count; i++) if (this.#mbufs[i]?.isFree === false) n++;
    return n;
  }

  /** The Mbuf of a frame that is no longer free (received, or handed over from another shard). */
  mbufOf(frame: number): Mbuf {
    let m = this.#mbufs[frame]!;
    if (m === null) {
      m = new Mbuf(frame, this);
      this.#mbufs[frame] = m;
    }
    m.isFree = false;
    return m;
  }

  /** A fresh Mbuf whose `pos` leaves TX_HEADROOM and whose `len` is 0; null when no frame is free. */
  get(): Mbuf | null {
    const n = this.top[0]! - 1;
    if (n < 0) return null;
    this.top[0] = n;
    const m = this.mbufOf(this.free[n]!);
    m.pos = (m.frame << FRAME_SHIFT) + TX_HEADROOM;
    m.len = 0;
    m.flags = 0;
    m.flowid = 0;
    m.hashType = 0;
    m.vlan = -1;
    m.l2 = -1;
    m.l3 = -1;
    m.l4 = -1;
    m.mflags = 0;
    m.rcvif = 0;
    m.prio = 3;
    m.nextpkt = null;
    m.next = null;
    return m;
  }

  /** Frees a packet, all its frames (`m_freem`). A second free of the same frame is a bug and throws. */
  put(m: Mbuf): void {
    let p: Mbuf | null = m;
    while (p !== null) {
      const next: Mbuf | null = p.next;
      p.next = null;
      p.nextpkt = null;
      this.putFrame(p.frame);
      p = next;
    }
  }

  /** True for the frames that this pool owns. */
  owns(frame: number): boolean {
    return (frame - this.first) >>> 0 < this.count;
  }

  /** Returns a bare frame index, as `Link.reclaim` gives it. */
  putFrame(frame: number): void {
    const m = this.#mbufs[frame]!;
    if (m !== null) {
      if (m.isFree) throw new Error(`frame ${frame} freed twice`);
      m.isFree = true;
    }
    if (this.owns(frame)) {
      const n = this.top[0]!;
      this.free[n] = frame;
      this.top[0] = n + 1;
    } else if (this.sendHome !== null) {
      this.sendHome(frame);
    } else {
      throw new Error(`frame ${frame} belongs to no pool here`);
    }
  }
}
