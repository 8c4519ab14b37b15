/**
 * Socket addresses in Linux's layout (linux/in.h), the port and address in network order, the family in the host's (x86-64):
 *
 *   | u16 family | u16 port | u32 address | 8 bytes of zeros |      struct sockaddr_in
 */
import { AF_INET } from './linux.ts';

export const SOCKADDR_IN_LEN = 16;

/** Family of an address, -1 for one that is too short to have one. */
export function saFamily(sa: Uint8Array): number {
  return sa.length < 2 ? -1 : sa[0]! | (sa[1]! << 8);
}

/** Port of a sockaddr_in of at least 4 bytes. */
export function saPort(sa: Uint8Array): number {
  return (sa[2]! << 8) | sa[3]!;
}

/** Address of a sockaddr_in of at least 8 bytes, int32. */
export function saAddr(sa: Uint8Array): number {
  return (sa[4]! << 24) | (sa[5]! << 16) | (sa[6]! << 8) | sa[7]!;
}

/** A sockaddr_in. */
export function sockaddrIn(addr: number, port: number): Uint8Array {
  const sa = new Uint8Array(SOCKADDR_IN_LEN);
  sa[0] = AF_INET;
  sa[2] = port >>> 8;
  sa[3] = port & 0xff;
  sa[4] = addr >>> 24;
  sa[5] = (addr >>> 16) & 0xff;
  sa[6] = (addr >>> 8) & 0xff;
  sa[7] = addr & 0xff;
  return sa;
}
