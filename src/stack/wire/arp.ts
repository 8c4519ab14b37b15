/**
 * ARP packet for IPv4 over Ethernet (RFC 826).
 *
 *    0      2      4   5   6      8                  14             18                 24             28
 *   | hrd  | pro  |hln|pln| op   | sender station   | sender addr. | target station   | target addr. |
 */

export const ARP_LEN = 28;

export const ARPHRD_ETHER = 1;
export const ARPOP_REQUEST = 1;
export const ARPOP_REPLY = 2;

const OFF_HRD = 0;
const OFF_PRO = 2;
const OFF_HLN = 4;
const OFF_PLN = 5;
const OFF_OP = 6;
const OFF_SHA = 8;
const OFF_SPA = 14;
const OFF_THA = 18;
const OFF_TPA = 24;

/** A packet long enough for the accessors. */
export const arpCheckLen = (len: number): boolean => len >= ARP_LEN;

/** IPv4 over Ethernet, with the address lengths of both. */
export const arpCheckType = (v: DataView, at: number): boolean =>
  v.getUint16(at + OFF_HRD) === ARPHRD_ETHER &&
  v.getUint16(at + OFF_PRO) === 0x0800 &&
  v.getUint8(at + OFF_HLN) === 6 &&
  v.getUint8(at + OFF_PLN) === 4;

export const arpOp = (v: DataView, at: number): number => v.getUint16(at + OFF_OP);
export const arpShaHi = (v: DataView, at: number): number => v.getUint16(at + OFF_SHA);
export const arpShaLo = (v: DataView, at: number): number => v.getInt32(at + OFF_SHA + 2);
export const arpSpa = (v: DataView, at: number): number => v.getInt32(at + OFF_SPA);
export const arpThaHi = (v: DataView, at: number): number => v.getUint16(at + OFF_THA);
export const arpThaLo = (v: DataView, at: number): number => v.getInt32(at + OFF_THA + 2);
export const arpTpa = (v: DataView, at: number): number => v.getInt32(at + OFF_TPA);

/** Writes a packet at `at`. */
export function arpEmit(
  v: DataView,
  at: number,
  op: number,
  shaHi: number,
  shaLo: number,
  spa: number,
  thaHi: number,
  thaLo: number,
  tpa: number,
): void {
  v.setUint16(at + OFF_HRD, ARPHRD_ETHER);
  v.setUint16(at + OFF_PRO, 0x0800);
  v.setUint8(at + OFF_HLN, 6);
  v.setUint8(at + OFF_PLN, 4);
  v.setUint16(at + OFF_OP, op);
  v.setUint16(at + OFF_SHA, shaHi);
  v.setInt32(at + OFF_SHA + 2, shaLo);
  v.setInt32(at + OFF_SPA, spa);
  v.setUint16(at + OFF_THA, thaHi);
  v.setInt32(at + OFF_THA + 2, thaLo);
  v.setInt32(at + OFF_TPA, tpa);
}
