/**
 * The pcapng capture file (draft-ietf-opsawg-pcapng): blocks, of which sections, interfaces and packets are read.
 *
 *   type | total length | body … | total length
 *
 * Each section has a byte order and interfaces of its own.
 */
import { BrokenRecord, type FrameSink, RECORD_MAX, type RecordDecoder } from './records.ts';

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
/** The obsolete Packet Block. */
const PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const BYTE_ORDER = 0x1a2b3c4d;

/** Type and both lengths. */
const BLOCK_MIN = 12;
const SECTION_MIN = 28;

const OPT_END = 0;
const OPT_IF_NAME = 2;
const OPT_IF_TSRESOL = 9;
const OPT_IF_TSOFFSET = 14;

/** Units of a second without if_tsresol. */
const MICRO = 1_000_000n;
const NANO = 1_000_000_000n;

interface Interface {
  readonly link: number;
  /** Bytes that are kept of a frame at most; 0 for all. */
  readonly snaplen: number;
  /** Units of its times in a second. */
  readonly units: bigint;
  /** Seconds to add to its times. */
  readonly offset: number;
}

/** Whether a file that begins like this (4 bytes at least) is of this format. */
export function isPcapng(head: Buffer): boolean {
  return head.readUInt32LE(0) === SECTION;
}

export class PcapngDecoder implements RecordDecoder {
  readonly interfaces: string[] = [];
  /** Packets of an interface that the file does not describe; they are left out. */
  strays = 0;
  #le = true;
  /** Interfaces of this section, and how many there were before it. */
  #section: Interface[] = [];
  #before = 0;

  record(buf: Buffer, at: number, sink: FrameSink): number {
    if (buf.length - at < BLOCK_MIN) return 0;
    // The type of a section header reads the same in both orders; what follows its length says which one it is.
    const section = buf.readUInt32LE(at) === SECTION;
    if (section) this.#order(buf, at + 8);
    const type = section ? SECTION : this.#u32(buf, at);
    const length = this.#u32(buf, at + 4);
    if (length < (section ? SECTION_MIN : BLOCK_MIN) || length % 4 !== 0) {
      throw new BrokenRecord(`a block of ${length} bytes`);
    }
    const known =
      section || type === INTERFACE || type === PACKET || type === SIMPLE_PACKET || type === ENHANCED_PACKET;
    if (!known) return length;
    if (length > RECORD_MAX) throw new BrokenRecord(`a block of ${length} bytes`);
    if (buf.length - at < length) return 0;
    const end = at + length - 4;
    if (this.#u32(buf, end) !== length) throw new BrokenRecord('a block whose two lengths differ');
    if (section) this.#newSection(buf, at + 8);
    else if (type === INTERFACE) this.#interface(buf, at + 8, end);
    else if (type === ENHANCED_PACKET) this.#packet(buf, at + 8, end, this.#long(buf, at + 8, end), sink);
    else if (type === PACKET) this.#packet(buf, at + 8, end, this.#short(buf, at + 8, end), sink);
    else this.#simple(buf, at + 8, end, sink);
    return length;
  }

  #order(buf: Buffer, at: number): void {
    if (buf.readUInt32LE(at) === BYTE_ORDER) this.#le = true;
    else if (buf.readUInt32BE(at) === BYTE_ORDER) this.#le = false;
    else throw new BrokenRecord('a section without its byte-order magic');
  }

  #newSection(buf: Buffer, at: number): void {
    const major = this.#u16(buf, at + 4);
    if (major !== 1) throw new BrokenRecord(`a section of version ${major} (1 is known)`);
    this.#before = this.interfaces.length;
    this.#section = [];
  }

  #interface(buf: Buffer, at: number, end: number): void {
    if (end - at < 8) throw new BrokenRecord('an interface that is cut short');
    let name = String(this.interfaces.length);
    let units = MICRO;
    let offset = 0;
    for (let p = at + 8; p + 4 <= end; ) {
      const code = this.#u16(buf, p);
      const len = this.#u16(buf, p + 2);
      p += 4;
      if (code === OPT_END || p + len > end) break;
      if (code === OPT_IF_NAME && len > 0) name = buf.toString('utf8', p, p + len).replace(/\0+$/, '');
      else if (code === OPT_IF_TSRESOL && len === 1) units = unitsOf(buf[p]!);
      else if (code === OPT_IF_TSOFFSET && len === 8) {
        offset = Number(this.#le ? buf.readBigInt64LE(p) : buf.readBigInt64BE(p));
      }
      p += (len + 3) & ~3;
    }
    this.interfaces.push(name);
    this.#section.push({ link: this.#u16(buf, at), snaplen: this.#u32(buf, at + 4), units, offset });
  }

  /** Interface of an Enhanced Packet. */
  #long(buf: Buffer, at: number, end: number): number {
    return end - at < 20 ? -1 : this.#u32(buf, at);
  }

  /** Interface of a Packet; a count of drops follows it. */
  #short(buf: Buffer, at: number, end: number): number {
    return end - at < 20 ? -1 : this.#u16(buf, at);
  }

  #packet(buf: Buffer, at: number, end: number, id: number, sink: FrameSink): void {
    if (id < 0) throw new BrokenRecord('a packet that is cut short');
    const caplen = this.#u32(buf, at + 12);
    if (caplen > end - at - 20) throw new BrokenRecord('a packet that is longer than its block');
    const of = this.#section[id];
    if (of === undefined) {
      this.strays++;
      return;
    }
    const high = this.#u32(buf, at + 4);
    const low = this.#u32(buf, at + 8);
    const time = (BigInt(high) << 32n) | BigInt(low);
    const sec = Number(time / of.units) + of.offset;
    const nsec = Number(((time % of.units) * NANO) / of.units);
    sink.frame(buf, at + 20, caplen, this.#u32(buf, at + 16), of.link, this.#before + id, sec, nsec);
  }

  /** A Simple Packet is of the first interface and has no time. */
  #simple(buf: Buffer, at: number, end: number, sink: FrameSink): void {
    if (end - at < 4) throw new BrokenRecord('a packet that is cut short');
    const of = this.#section[0];
    if (of === undefined) {
      this.strays++;
      return;
    }
    const len = this.#u32(buf, at);
    const caplen = Math.min(len, end - at - 4, of.snaplen === 0 ? len : of.snaplen);
    sink.frame(buf, at + 4, caplen, len, of.link, this.#before, Number.NaN, 0);
  }

  #u16(buf: Buffer, at: number): number {
    return this.#le ? buf.readUInt16LE(at) : buf.readUInt16BE(at);
  }

  #u32(buf: Buffer, at: number): number {
    return this.#le ? buf.readUInt32LE(at) : buf.readUInt32BE(at);
  }
}

/** Units in a second: a power of ten, or with the upper bit a power of two (if_tsresol). */
function unitsOf(resolution: number): bigint {
  const power = BigInt(resolution & 0x7f);
  return (resolution & 0x80) !== 0 ? 2n ** power : 10n ** power;
}
