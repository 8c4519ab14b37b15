/** IPv4 addresses as int32 in network order: 192.0.2.1 is `0xc0000201 | 0`. */

export const INADDR_ANY = 0;
export const INADDR_BROADCAST = -1;
/** 224.0.0.1, the group that every host belongs to (RFC 1112 section 4). */
export const INADDR_ALLHOSTS_GROUP = 0xe0000001 | 0;

/** 224.0.0.0/4. */
export const inMulticast = (a: number): boolean => a >>> 28 === 0xe;
/** 224.0.0.0/24, which no router forwards. */
export const inLocalGroup = (a: number): boolean => a >>> 8 === 0xe00000;
/** 127.0.0.0/8. */
export const inLoopback = (a: number): boolean => a >>> 24 === 127;
/** 0.0.0.0/8. */
export const inZeroNet = (a: number): boolean => a >>> 24 === 0;
/** 240.0.0.0/4 without the limited broadcast address. */
export const inExperimental = (a: number): boolean => a >>> 28 === 0xf && a !== INADDR_BROADCAST;

/** Netmask of a prefix length 0..32. */
export const prefixMask = (len: number): number => (len === 0 ? 0 : (-1 << (32 - len)) | 0);

/** `192.0.2.1`. Not for the packet path. */
export function inetNtoa(a: number): string {
  return `${a >>> 24}.${(a >>> 16) & 0xff}.${(a >>> 8) & 0xff}.${a & 0xff}`;
}

/** The address of a dotted quad; throws a TypeError when the text is none (no short forms, no octal). */
export function inetAton(text: string): number {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((p) => /^(0|[1-9]\d{0,2})$/.test(p) && Number(p) <= 255)) {
    throw new TypeError(`not an IPv4 address: ${text}`);
  }
  return parts.reduce((a, p) => (a << 8) | Number(p), 0);
}
