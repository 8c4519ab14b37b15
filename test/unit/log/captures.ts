/** Captures made by hand from draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng, and the frames in them. */
import { CaptureReader } from '../../../src/log/join/capture.ts';
import type { Segment } from '../../../src/log/join/segment.ts';

export interface Order {
  readonly le: boolean;
}

const u16 = (n: number, { le }: Order): Buffer => {
  const b = Buffer.alloc(2);
  if (le) b.writeUInt16LE(n);
  else b.writeUInt16BE(n);
  return b;
};
export const u32 = (n: number, { le }: Order): Buffer => {
  const b = Buffer.alloc(4);
  if (le) b.writeUInt32LE(n >>> 0);
  else b.writeUInt32BE(n >>> 0);
  return b;
};
const pad = (b: Buffer): Buffer => Buffer.concat([b, Buffer.alloc((4 - (b.length % 4)) % 4)]);

export interface PcapPacket {
  readonly sec: number;
  readonly frac: number;
  readonly data: Buffer;
  /** Length before it was cut. */
  readonly len?: number;
}

export function pcap(order: Order, nano: boolean, link: number, packets: readonly PcapPacket[]): Buffer {
  const head = [u32(nano ? 0xa1b23c4d : 0xa1b2c3d4, order), u16(2, order), u16(4, order)];
  const rest = [0, 0, 65535, link].map((n) => u32(n, order));
  const records = packets.flatMap(({ sec, frac, data, len }) => [
    ...[sec, frac, data.length, len ?? data.length].map((n) => u32(n, order)),
    data,
  ]);
  return Buffer.concat([...head, ...rest, ...records]);
}

export function block(type: number, body: Buffer, order: Order): Buffer {
  const padded = pad(body);
  const length = u32(12 + padded.length, order);
  return Buffer.concat([u32(type, order), length, padded, length]);
}

export function section(order: Order): Buffer {
  const body = [u32(0x1a2b3c4d, order), u16(1, order), u16(0, order), u32(-1, order), u32(-1, order)];
  return block(0x0a0d0d0a, Buffer.concat(body), order);
}

export function option(code: number, value: Buffer, order: Order): Buffer {
  return Buffer.concat([u16(code, order), u16(value.length, order), pad(value)]);
}

export function iface(link: number, snaplen: number, options: readonly Buffer[], order: Order): Buffer {
  return block(1, Buffer.concat([u16(link, order), u16(0, order), u32(snaplen, order), ...options]), order);
}

/** @param time in units of the interface */
export function enhanced(id: number, time: bigint, data: Buffer, order: Order): Buffer {
  const words = [id, Number(time >> 32n), Number(time & 0xffffffffn), data.length, data.length];
  return block(6, Buffer.concat([...words.map((n) => u32(n, order)), pad(data)]), order);
}

/** The obsolete Packet Block. */
export function obsolete(id: number, time: bigint, data: Buffer, order: Order): Buffer {
  const words = [Number(time >> 32n), Number(time & 0xffffffffn), data.length, data.length];
  return block(2, Buffer.concat([u16(id, order), u16(0, order), ...words.map((n) => u32(n, order)), pad(data)]), order);
}

export function simple(data: Buffer, order: Order): Buffer {
  return block(3, Buffer.concat([u32(data.length, order), pad(data)]), order);
}

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s+/g, ''), 'hex');

/** RFC 9293 section 3.1: ports 40000 to 80, seq 1000, ack 2000, ACK and PSH, window 512, timestamps 7 and 9, four bytes of data. */
export const TCP = hex('9c40 0050 000003e8 000007d0 8018 0200 0000 0000 0101 080a 00000007 00000009 61626364');
/** RFC 791: 192.0.2.1 to 198.51.100.2. */
export const IPV4 = Buffer.concat([hex('4500 0038 0000 4000 4006 0000 c0000201 c6336402'), TCP]);
/** RFC 8200: 2001:db8::1 to 2001:db8::2, hop-by-hop options and destination options before TCP. */
export const IPV6 = Buffer.concat([
  hex('60000000 0034 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002'),
  hex('3c00 0104 00000000 0600 0104 00000000'),
  TCP,
]);
export const MACS = hex('020000000001 020000000002');
export const ethernet = (type: string, packet: Buffer): Buffer => Buffer.concat([MACS, hex(type), packet]);

/** Reads a capture that comes in chunks of `size` bytes. */
export async function read(
  bytes: Buffer,
  name: string | null = null,
  size = 7,
): Promise<{ segments: Segment[]; reader: CaptureReader }> {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
  }
  const reader = new CaptureReader('x.pcap', chunks(), name);
  const segments: Segment[] = [];
  for await (const batch of reader.batches()) segments.push(...batch);
  return { segments, reader };
}
