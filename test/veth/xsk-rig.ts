import { CLOCK_WORDS, loadNative, type Native, type PortInfo, type PortOptions } from '../../src/driver/native.ts';
import { XskLink } from '../../src/driver/xsk.ts';
import { COL_FRAME, COL_LENGTH, COL_OFFSET, FRAME_SIZE, ROW, TX_HEADROOM } from '../../src/rings/link.ts';
import { FramePool } from '../../src/rings/mbuf.ts';

/** A frame as it came: its bytes and its row. */
export interface Received {
  readonly bytes: Buffer;
  readonly flags: number;
  readonly hash: number;
  readonly time: number;
}

/** Where a namespace of the lab is mounted. */
export function nsPath(ns: string): string {
  return `/run/netns/${ns}`;
}

export const DEFAULTS = {
  ifname: 'ix1',
  queues: 1,
  xdp: 'auto',
  zeroCopy: 'auto',
  exclusive: false,
  rxcsum: 'accept-partial',
  maxFrame: 1518,
  busyPoll: false,
  timestamp: true,
} as const satisfies PortOptions;

const BATCH = 64;

/** Ports and queues of the test's own process, over one UMEM, without a stack above. */
export class Rig {
  readonly native: Native;
  readonly page = new Float64Array(CLOCK_WORDS);
  readonly #links: XskLink[] = [];
  readonly #ports: PortInfo[] = [];
  #frames = 0;

  /** @param frames of the whole UMEM */
  constructor(frames = 8192, ringSize = 2048) {
    this.native = loadNative();
    this.native.createUmem(frames, ringSize);
  }

  open(options: Partial<PortOptions>): PortInfo {
    const port = this.native.openPort({ ...DEFAULTS, ...options });
    this.#ports.push(port);
    return port;
  }

  /** Serves a queue in this thread with `frames` frames of its own. */
  serve(port: PortInfo, queue = 0, frames = 4096): Side {
    const pool = new FramePool(this.native.umem(), this.#frames, frames);
    this.#frames += frames;
    const link = new XskLink(this.native, port, { queue, pool, page: this.page });
    this.#links.push(link);
    return new Side(link, pool);
  }

  /** Leaves the next `frames` frames to others, such as workers. */
  skipFrames(frames: number): void {
    this.#frames += frames;
  }

  claim(port: PortInfo, ...addresses: string[]): void {
    const words = addresses.filter((a) => !a.includes(':')).map((a) => ipv4(a).readInt32BE());
    const v6 = addresses.filter((a) => a.includes(':')).map(ipv6);
    this.native.setAddresses(port.port, Int32Array.from(words), Buffer.concat(v6));
  }

  close(): void {
    for (const link of this.#links) link.close();
    for (const port of this.#ports) this.native.closePort(port.port);
    this.native.destroyUmem();
  }
}

/** A queue with its frame pool: sends and receives whole packets as Buffers. */
export class Side {
  readonly link: XskLink;
  readonly pool: FramePool;
  readonly #table = new Int32Array(BATCH * ROW);
  readonly #done = new Int32Array(2048);

  constructor(link: XskLink, pool: FramePool) {
    this.link = link;
    this.pool = pool;
  }

  /** Takes what is there now. */
  poll(): Received[] {
    const table = this.#table;
    const out: Received[] = [];
    for (let n = this.link.receive(table, BATCH); n > 0; n = this.link.receive(table, BATCH)) {
      for (let at = 0; at < n * ROW; at += ROW) {
        const m = this.pool.mbufOf(table[at + COL_FRAME]!);
        const pos = m.frame * FRAME_SIZE + table[at + COL_OFFSET]!;
        const bytes = Buffer.from(this.pool.u8.subarray(pos, pos + table[at + COL_LENGTH]!));
        out.push({ bytes, flags: table[at + 3]!, hash: table[at + 4]!, time: table[at + 6]! });
        this.pool.put(m);
      }
    }
    return out;
  }

  /** Collects until `count` frames that `match` have come, or throws after `timeout` milliseconds. */
  async collect(count: number, match: (r: Received) => boolean = () => true, timeout = 5000): Promise<Received[]> {
    const out: Received[] = [];
    const end = performance.now() + timeout;
    while (out.length < count) {
      out.push(...this.poll().filter(match));
      if (out.length >= count) break;
      if (performance.now() > end) throw new Error(`${out.length} of ${count} frames came in ${timeout} ms`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return out;
  }

  /** Sends packets with the wishes `flags`; gives room by reclaiming. Throws when the ring stays full for a second. */
  send(packets: readonly Buffer[], flags = 0): void {
    const table = this.#table;
    let next = 0;
    const end = performance.now() + 1000;
    while (next < packets.length) {
      let n = 0;
      const limit = Math.min(BATCH, packets.length - next, this.link.txRoom());
      for (; n < limit; n++) {
        const m = this.pool.get();
        if (m === null) break;
        const bytes = packets[next + n]!;
        this.pool.u8.set(bytes, m.pos);
        table.set([m.frame, TX_HEADROOM, bytes.length, 1 | flags, 0, -1, 0, 0], n * ROW);
      }
      const taken = this.link.transmit(table, n);
      for (let i = taken; i < n; i++) this.pool.putFrame(table[i * ROW]!);
      next += taken;
      this.reclaim();
      if (performance.now() > end)
        throw new Error(`the transmit ring is stuck, ${next} of ${packets.length} were sent`);
    }
  }

  reclaim(): void {
    const n = this.link.reclaim(this.#done);
    for (let i = 0; i < n; i++) this.pool.putFrame(this.#done[i]!);
  }
}

export function mac(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

export function ipv4(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

export function ipv6(text: string): Buffer {
  const [head = '', tail = ''] = text.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail.split(':').filter(Boolean);
  const groups = [...left, ...Array(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

export interface Ends {
  readonly srcMac: Buffer;
  readonly dstMac: Buffer;
  readonly src: string;
  readonly dst: string;
}

/** An IPv4 or IPv6 packet with all checksum fields 0xdead, so that only an inserted one can be right. */
export function packet(ends: Ends, protocol: number, l4: Buffer): Buffer {
  const v6 = ends.src.includes(':');
  const ether = Buffer.concat([ends.dstMac, ends.srcMac, Buffer.from(v6 ? '86dd' : '0800', 'hex')]);
  if (v6) {
    const ip6 = Buffer.alloc(8);
    ip6[0] = 0x60;
    ip6.writeUInt16BE(l4.length, 4);
    ip6[6] = protocol;
    ip6[7] = 64;
    return Buffer.concat([ether, ip6, ipv6(ends.src), ipv6(ends.dst), l4]);
  }
  const ip = Buffer.alloc(12);
  ip[0] = 0x45;
  ip.writeUInt16BE(20 + l4.length, 2);
  ip[8] = 64;
  ip[9] = protocol;
  ip.writeUInt16BE(0xdead, 10);
  return Buffer.concat([ether, ip, ipv4(ends.src), ipv4(ends.dst), l4]);
}

export function udp(sport: number, dport: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(sport, 0);
  head.writeUInt16BE(dport, 2);
  head.writeUInt16BE(8 + payload.length, 4);
  head.writeUInt16BE(0xdead, 6);
  return Buffer.concat([head, payload]);
}

export function tcp(sport: number, dport: number, seq: number, flags: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt16BE(sport, 0);
  head.writeUInt16BE(dport, 2);
  head.writeUInt32BE(seq >>> 0, 4);
  head[12] = 0x50;
  head[13] = flags;
  head.writeUInt16BE(65535, 14);
  head.writeUInt16BE(0xdead, 16);
  return Buffer.concat([head, payload]);
}

export function icmp(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head[0] = type;
  head.writeUInt16BE(0xdead, 2);
  return Buffer.concat([head, payload]);
}
