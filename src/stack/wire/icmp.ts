/**
 * ICMP header (RFC 792).
 *
 *    0                   1                   2                   3
 *   |     Type      |     Code      |          Checksum             |
 *   |   depends on the type: identifier and sequence number, unused and next-hop MTU (RFC 1191), …
 *   |   data, or the quoted IP header and what follows it
 */

/** Header with the word that depends on the type. */
export const ICMP_MINLEN = 8;

export const ICMP_ECHOREPLY = 0;
export const ICMP_UNREACH = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIMXCEED = 11;
export const ICMP_PARAMPROB = 12;

export const ICMP_UNREACH_HOST = 1;
export const ICMP_UNREACH_PROTOCOL = 2;
export const ICMP_UNREACH_NEEDFRAG = 4;
export const ICMP_UNREACH_SRCFAIL = 5;
/** Largest code of destination unreachable (RFC 1812 section 5.2.7.1). */
export const ICMP_UNREACH_MAXCODE = 15;

/** Largest code of time exceeded and of parameter problem that is known here. */
export const ICMP_TIMXCEED_MAXCODE = 1;
export const ICMP_PARAMPROB_MAXCODE = 1;

const OFF_TYPE = 0;
const OFF_CODE = 1;
const OFF_SUM = 2;
const OFF_VOID = 4;
const OFF_NEXTMTU = 6;

/** A message long enough for the accessors. */
export const icmpCheckLen = (len: number): boolean => len >= ICMP_MINLEN;

export const icmpType = (v: DataView, at: number): number => v.getUint8(at + OFF_TYPE);
export const icmpCode = (v: DataView, at: number): number => v.getUint8(at + OFF_CODE);
/** Next-hop MTU of "fragmentation needed" (RFC 1191 section 4); 0 from a router that does not know it. */
export const icmpNextMtu = (v: DataView, at: number): number => v.getUint16(at + OFF_NEXTMTU);

/** Writes type and code, checksum 0, and the second word. */
export function icmpEmit(v: DataView, at: number, type: number, code: number, word: number): void {
  v.setUint8(at + OFF_TYPE, type);
  v.setUint8(at + OFF_CODE, code);
  v.setUint16(at + OFF_SUM, 0);
  v.setInt32(at + OFF_VOID, word);
}

/** An error message: one that is never answered by another (RFC 1122 section 3.2.2). Unknown types count as errors, to be safe. */
export function icmpIsError(type: number): boolean {
  return !(type === ICMP_ECHOREPLY || type === ICMP_ECHO || (type >= 13 && type <= 18) || type === 9 || type === 10);
}
