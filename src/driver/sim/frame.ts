import { ETHER_HDR_LEN } from '../../stack/wire/ether.ts';

const { copy } = Buffer.prototype;

/** Offsets in an Ethernet frame with an IPv4 packet. */
const ETHERTYPE = 12;
const IP = ETHER_HDR_LEN;
const IP_TOS = IP + 1;
const IP_SUM = IP + 10;
const ETHERTYPE_IP = 0x0800;
const ECN_MASK = 3;

/** A frame on its way between two stacks, with its bytes. Reused. */
export class SimFrame {
  readonly u8: Uint8Array;
  len: number;

  constructor(bytes: number) {
    this.u8 = new Uint8Array(bytes);
    this.len = 0;
  }

  /** The frame goes to a group address. */
  get isGroup(): boolean {
    return (this.u8[0]! & 1) !== 0;
  }

  /** Last four bytes of the destination's station address, int32. */
  get dstLo(): number {
    const u8 = this.u8;
    return (u8[2]! << 24) | (u8[3]! << 16) | (u8[4]! << 8) | u8[5]!;
  }

  /** Bytes of the packet without the Ethernet header: what counts for rates and queues. */
  get packetBytes(): number {
    return this.len - ETHER_HDR_LEN;
  }

  /** The packet is IPv4 and says that it may be marked (RFC 3168 section 5). */
  get ect(): boolean {
    return this.#isIp && (this.u8[IP_TOS]! & ECN_MASK) !== 0;
  }

  get #isIp(): boolean {
    return this.len > IP_SUM && ((this.u8[ETHERTYPE]! << 8) | this.u8[ETHERTYPE + 1]!) === ETHERTYPE_IP;
  }

  /** Sets CE and brings the header checksum up to date (RFC 1624 equation 3). */
  markCe(): void {
    const u8 = this.u8;
    const old = (u8[IP]! << 8) | u8[IP_TOS]!;
    u8[IP_TOS] = u8[IP_TOS]! | ECN_MASK;
    const fresh = (u8[IP]! << 8) | u8[IP_TOS]!;
    let sum = (~((u8[IP_SUM]! << 8) | u8[IP_SUM + 1]!) & 0xffff) + (~old & 0xffff) + fresh;
    sum = (sum & 0xffff) + (sum >>> 16);
    sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
    u8[IP_SUM] = sum >> 8;
    u8[IP_SUM + 1] = sum & 0xff;
  }

  /** Flips one bit of the packet; the Ethernet header is spared, as the card of the next hop would see that. */
  flipBit(random: number): void {
    const bits = this.packetBytes * 8;
    if (bits <= 0) return;
    const bit = (random >>> 0) % bits;
    const at = IP + (bit >> 3);
    this.u8[at] = this.u8[at]! ^ (0x80 >> (bit & 7));
  }

  /** Takes the bytes of another frame. */
  copyFrom(u8: Uint8Array, at: number, len: number): void {
    copy.call(u8, this.u8, 0, at, at + len);
    this.len = len;
  }

  /** Writes the frame to `u8[at…]`. */
  copyTo(u8: Uint8Array, at: number): void {
    copy.call(this.u8, u8, at, 0, this.len);
  }
}

/** The frames of a simulation: as many as were ever under way at once. */
export class FrameStore {
  readonly #bytes: number;
  readonly #free: SimFrame[];
  #count: number;
  /** Made so far. */
  made: number;

  /** @param bytes room in a frame */
  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#free = [];
    this.#count = 0;
    this.made = 0;
  }

  take(): SimFrame {
    if (this.#count === 0) {
      this.made++;
      return new SimFrame(this.#bytes);
    }
    return this.#free[--this.#count]!;
  }

  give(f: SimFrame): void {
    this.#free[this.#count++] = f;
  }

  /** Frames that are under way. */
  get out(): number {
    return this.made - this.#count;
  }
}
