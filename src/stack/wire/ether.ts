/**
 * Ethernet header (IEEE 802.3).
 *
 *    0                   6                   12     14
 *   | destination        | source            | type | payload …
 *
 * A station address travels as two numbers: `hi` is bytes 0..1 (0..65535), `lo` bytes 2..5 (int32).
 */

export const ETHER_HDR_LEN = 14;

export const ETHERTYPE_IP = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_QINQ = 0x88a8;
export const ETHERTYPE_IPV6 = 0x86dd;
/** Smaller values of the type field are a length (IEEE 802.3 clause 3.2.6). */
export const ETHERTYPE_MIN = 0x0600;

/** Group bit of a station address, in `hi`. */
export const ETHER_GROUP = 0x0100;

const OFF_DST = 0;
const OFF_SRC = 6;
const OFF_TYPE = 12;

/** A frame that can hold a header. */
export const etherCheckLen = (len: number): boolean => len >= ETHER_HDR_LEN;

export const ethDstHi = (v: DataView, at: number): number => v.getUint16(at + OFF_DST);
export const ethDstLo = (v: DataView, at: number): number => v.getInt32(at + OFF_DST + 2);
export const ethSrcHi = (v: DataView, at: number): number => v.getUint16(at + OFF_SRC);
export const ethSrcLo = (v: DataView, at: number): number => v.getInt32(at + OFF_SRC + 2);
export const ethType = (v: DataView, at: number): number => v.getUint16(at + OFF_TYPE);

/** Writes a header at `at`. */
export function ethEmit(
  v: DataView,
  at: number,
  dstHi: number,
  dstLo: number,
  srcHi: number,
  srcLo: number,
  type: number,
): void {
  v.setUint16(at + OFF_DST, dstHi);
  v.setInt32(at + OFF_DST + 2, dstLo);
  v.setUint16(at + OFF_SRC, srcHi);
  v.setInt32(at + OFF_SRC + 2, srcLo);
  v.setUint16(at + OFF_TYPE, type);
}

/** `02:00:5e:00:00:01`. Not for the packet path. */
export function macToString(hi: number, lo: number): string {
  const bytes = [hi >> 8, hi & 0xff, lo >>> 24, (lo >>> 16) & 0xff, (lo >>> 8) & 0xff, lo & 0xff];
  return bytes.map((b) => b.toString(16).padStart(2, '0')).join(':');
}

/** The two numbers of `02:00:5e:00:00:01`; throws a TypeError when the text is no station address. */
export function macFromString(text: string): { hi: number; lo: number } {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) throw new TypeError(`not an Ethernet address: ${text}`);
  const b = text.split(':').map((x) => Number.parseInt(x, 16));
  return { hi: (b[0]! << 8) | b[1]!, lo: (b[2]! << 24) | (b[3]! << 16) | (b[4]! << 8) | b[5]! };
}
