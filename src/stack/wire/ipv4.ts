/**
 * IPv4 header (RFC 791 section 3.1).
 *
 *    0                   1                   2                   3
 *   |Version|  IHL  |Type of Service|          Total Length         |
 *   |         Identification        |Flags|     Fragment Offset     |
 *   |  Time to Live |    Protocol   |        Header Checksum        |
 *   |                        Source Address                         |
 *   |                      Destination Address                      |
 *   |                           [Options]                           |
 *
 * Accessors take the UMEM's view and the absolute position of the header. Addresses are int32 in network order.
 */

export const IP_HDR_LEN = 20;
export const IPVERSION = 4;
/** Every host takes a datagram of this size whole, and every link carries one of 68 (RFC 791 section 3.1). */
export const IP_MSS = 576;

export const IP_DF = 0x4000;
export const IP_MF = 0x2000;
/** More fragments follow, or this is not the first: together "is a fragment". */
export const IP_FRAGMASK = 0x3fff;
export const IP_OFFMASK = 0x1fff;

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;

export const IPOPT_EOL = 0;
export const IPOPT_NOP = 1;
export const IPOPT_RR = 7;
export const IPOPT_TS = 68;
export const IPOPT_LSRR = 131;
export const IPOPT_SSRR = 137;
/** Positions inside an option: its length, its pointer. */
export const IPOPT_OLEN = 1;
export const IPOPT_OFFSET = 2;
/** Smallest legal pointer of RR, LSRR and SSRR (RFC 791). */
export const IPOPT_MINOFF = 4;

const OFF_VHL = 0;
const OFF_TOS = 1;
const OFF_LEN = 2;
const OFF_ID = 4;
const OFF_OFF = 6;
const OFF_TTL = 8;
const OFF_PROTO = 9;
const OFF_SUM = 10;
const OFF_SRC = 12;
const OFF_DST = 16;

/** A packet long enough for the accessors. */
export const ipCheckLen = (len: number): boolean => len >= IP_HDR_LEN;

export const ipVersion = (v: DataView, at: number): number => v.getUint8(at + OFF_VHL) >> 4;
/** Header length in bytes, 0..60. */
export const ipHlen = (v: DataView, at: number): number => (v.getUint8(at + OFF_VHL) & 15) << 2;
export const ipTos = (v: DataView, at: number): number => v.getUint8(at + OFF_TOS);
export const ipLen = (v: DataView, at: number): number => v.getUint16(at + OFF_LEN);
export const ipId = (v: DataView, at: number): number => v.getUint16(at + OFF_ID);
/** Flags and fragment offset as they stand in the header. */
export const ipOff = (v: DataView, at: number): number => v.getUint16(at + OFF_OFF);
export const ipTtl = (v: DataView, at: number): number => v.getUint8(at + OFF_TTL);
export const ipProto = (v: DataView, at: number): number => v.getUint8(at + OFF_PROTO);
export const ipSum = (v: DataView, at: number): number => v.getUint16(at + OFF_SUM);
export const ipSrc = (v: DataView, at: number): number => v.getInt32(at + OFF_SRC);
export const ipDst = (v: DataView, at: number): number => v.getInt32(at + OFF_DST);

export const setIpLen = (v: DataView, at: number, len: number): void => v.setUint16(at + OFF_LEN, len);
export const setIpTos = (v: DataView, at: number, tos: number): void => v.setUint8(at + OFF_TOS, tos);
export const setIpTtl = (v: DataView, at: number, ttl: number): void => v.setUint8(at + OFF_TTL, ttl);
export const setIpSum = (v: DataView, at: number, sum: number): void => v.setUint16(at + OFF_SUM, sum);
export const setIpSrc = (v: DataView, at: number, src: number): void => v.setInt32(at + OFF_SRC, src);
export const setIpDst = (v: DataView, at: number, dst: number): void => v.setInt32(at + OFF_DST, dst);

/** Writes a header of 20 bytes with checksum 0. `off` carries IP_DF, IP_MF and the offset. */
export function ipEmit(
  v: DataView,
  at: number,
  tos: number,
  len: number,
  id: number,
  off: number,
  ttl: number,
  proto: number,
  src: number,
  dst: number,
): void {
  v.setUint16(at + OFF_VHL, 0x4500 | (tos & 0xff));
  v.setUint16(at + OFF_LEN, len);
  v.setUint16(at + OFF_ID, id);
  v.setUint16(at + OFF_OFF, off);
  v.setUint8(at + OFF_TTL, ttl);
  v.setUint8(at + OFF_PROTO, proto);
  v.setUint16(at + OFF_SUM, 0);
  v.setInt32(at + OFF_SRC, src);
  v.setInt32(at + OFF_DST, dst);
}
