/**
 * The classic capture file (draft-ietf-opsawg-pcap), with times in µs or ns and in either byte order.
 *
 *   magic | version | zone, accuracy (not used) | snaplen | link type     24 bytes, once
 *   seconds | µs or ns | bytes kept | bytes of the packet | packet …      each packet
 */
import { BrokenRecord, type FrameSink, RECORD_MAX, type RecordDecoder } from './records.ts';

const MAGIC_US = 0xa1b2c3d4;
const MAGIC_NS = 0xa1b23c4d;
const FILE_HEADER = 24;
const PACKET_HEADER = 16;
/** The link type shares its word with what is known of the frame check sequence. */
const LINK_MASK = 0xffff;

/** Whether a file that begins like this (4 bytes at least) is of this format. */
export function isPcap(head: Buffer): boolean {
  return [head.readUInt32LE(0), head.readUInt32BE(0)].some((magic) => magic === MAGIC_US || magic === MAGIC_NS);
}

export class PcapDecoder implements RecordDecoder {
  readonly interfaces: readonly string[] = ['0'];
  #begun = false;
  #le = false;
  /** ns of one unit of a packet's time. */
  #unit = 0;
  #link = 0;

  record(buf: Buffer, at: number, sink: FrameSink): number {
    const left = buf.length - at;
    if (!this.#begun) {
      if (left < FILE_HEADER) return 0;
      this.#le = [MAGIC_US, MAGIC_NS].includes(buf.readUInt32LE(at));
      this.#unit = this.#u32(buf, at) === MAGIC_NS ? 1 : 1000;
      this.#link = this.#u32(buf, at + 20) & LINK_MASK;
      this.#begun = true;
      return FILE_HEADER;
    }
    if (left < PACKET_HEADER) return 0;
    const caplen = this.#u32(buf, at + 8);
    if (caplen > RECORD_MAX) throw new BrokenRecord(`a packet of ${caplen} bytes`);
    if (left < PACKET_HEADER + caplen) return 0;
    const nsec = this.#u32(buf, at + 4) * this.#unit;
    if (nsec >= 1e9) throw new BrokenRecord('a packet whose time has more than a second of fractions');
    const len = this.#u32(buf, at + 12);
    sink.frame(buf, at + PACKET_HEADER, caplen, len, this.#link, 0, this.#u32(buf, at), nsec);
    return PACKET_HEADER + caplen;
  }

  #u32(buf: Buffer, at: number): number {
    return this.#le ? buf.readUInt32LE(at) : buf.readUInt32BE(at);
  }
}
