/**
 * A pcapng file (draft-ietf-opsawg-pcapng) of both ends of a bottleneck: what tcpdump on either side of it would have seen.
 *
 *   Section Header | Interface "left" | Interface "right" | Enhanced Packet …
 *
 * Times are virtual µs. Direction flags are those of the end's host: outbound goes into the bottleneck.
 */
import type { VirtualClock } from '../driver/sim/clock.ts';
import type { SimFrame } from '../driver/sim/frame.ts';
import type { Wire } from '../driver/sim/wire.ts';
import { OutputFile } from './output.ts';

const BLOCK_SHB = 0x0a0d0d0a;
const BLOCK_IDB = 1;
const BLOCK_EPB = 6;
const BYTE_ORDER = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
const OPT_END = 0;
const OPT_IF_NAME = 2;
const OPT_EPB_FLAGS = 2;
const INBOUND = 1;
const OUTBOUND = 2;

const LEFT = 0;
const RIGHT = 1;
/** Words of an Enhanced Packet Block besides the packet: header, flags option, end of options, trailer. */
const EPB_FIXED = 32 + 12;

const padded = (n: number): number => (n + 3) & ~3;

export class PcapngWriter {
  readonly #out: OutputFile;
  readonly #dv: DataView;
  readonly #clock: VirtualClock;
  readonly #snaplen: number;

  /** @param snaplen bytes kept of each frame, 0 for all @throws SimError when the file cannot be written */
  constructor(path: string, clock: VirtualClock, snaplen: number) {
    this.#out = new OutputFile('--pcap', path);
    this.#dv = new DataView(this.#out.bytes.buffer);
    this.#clock = clock;
    this.#snaplen = snaplen === 0 ? 262144 : snaplen;
    this.#section();
    this.#interface('left');
    this.#interface('right');
  }

  /** Records what goes into and comes out of the two ways of a bottleneck. */
  watch(data: Wire, ack: Wire): void {
    data.tapIn = (f) => this.#packet(f, LEFT, OUTBOUND);
    data.tapOut = (f) => this.#packet(f, RIGHT, INBOUND);
    ack.tapIn = (f) => this.#packet(f, RIGHT, OUTBOUND);
    ack.tapOut = (f) => this.#packet(f, LEFT, INBOUND);
  }

  close(): void {
    this.#out.close();
  }

  #section(): void {
    const at = this.#block(BLOCK_SHB, 28);
    const dv = this.#dv;
    dv.setUint32(at + 8, BYTE_ORDER, true);
    dv.setUint16(at + 12, 1, true);
    dv.setUint16(at + 14, 0, true);
    // Length of the section: not given.
    dv.setUint32(at + 16, 0xffffffff, true);
    dv.setUint32(at + 20, 0xffffffff, true);
  }

  #interface(name: string): void {
    const text = Buffer.from(name, 'latin1');
    const at = this.#block(BLOCK_IDB, 16 + 4 + padded(text.length) + 4 + 4);
    const dv = this.#dv;
    dv.setUint16(at + 8, LINKTYPE_ETHERNET, true);
    dv.setUint16(at + 10, 0, true);
    dv.setUint32(at + 12, this.#snaplen, true);
    dv.setUint16(at + 16, OPT_IF_NAME, true);
    dv.setUint16(at + 18, text.length, true);
    const bytes = this.#out.bytes;
    bytes.fill(0, at + 20, at + 20 + padded(text.length));
    bytes.set(text, at + 20);
    dv.setUint32(at + 20 + padded(text.length), OPT_END, true);
  }

  #packet(f: SimFrame, end: number, direction: number): void {
    const len = Math.min(f.len, this.#snaplen);
    const room = padded(len);
    const at = this.#block(BLOCK_EPB, EPB_FIXED + room);
    const dv = this.#dv;
    const us = Math.floor(this.#clock.now);
    dv.setUint32(at + 8, end, true);
    dv.setUint32(at + 12, Math.floor(us / 4294967296), true);
    dv.setUint32(at + 16, us >>> 0, true);
    dv.setUint32(at + 20, len, true);
    dv.setUint32(at + 24, f.len, true);
    const bytes = this.#out.bytes;
    if (room > len) dv.setUint32(at + 28 + room - 4, 0, true);
    Buffer.prototype.copy.call(f.u8, bytes, at + 28, 0, len);
    const options = at + 28 + room;
    dv.setUint16(options, OPT_EPB_FLAGS, true);
    dv.setUint16(options + 2, 4, true);
    dv.setUint32(options + 4, direction, true);
    dv.setUint32(options + 8, OPT_END, true);
  }

  /** A block of `bytes` with its type and both lengths; returns its place. */
  #block(type: number, bytes: number): number {
    const at = this.#out.reserve(bytes);
    this.#dv.setUint32(at, type, true);
    this.#dv.setUint32(at + 4, bytes, true);
    this.#dv.setUint32(at + bytes - 4, bytes, true);
    return at;
  }
}
