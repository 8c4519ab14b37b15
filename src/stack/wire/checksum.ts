/**
 * The Internet checksum (RFC 1071), for links that neither verify nor insert it. A partial sum is a plain non-negative number in
 * the byte order of the wire; `cksumFold` makes the 16-bit sum of it, and the field holds the complement.
 */

/** Partial sum of `len` bytes at `at`, on top of `sum`. At most 64 KiB. */
export function cksumAdd(v: DataView, at: number, len: number, sum: number): number {
  const end = at + len;
  const end4 = at + (len & ~3);
  let hi = 0;
  let lo = 0;
  let i = at;
  while (i < end4) {
    const w = v.getInt32(i);
    hi += w >>> 16;
    lo += w & 0xffff;
    i += 4;
  }
  sum += hi + lo;
  if (end - i >= 2) {
    sum += v.getUint16(i);
    i += 2;
  }
  // A last odd byte is the upper half of a word whose lower half is zero.
  if (i < end) sum += v.getUint8(i) << 8;
  return sum;
}

/** Partial sum of the IPv4 pseudo-header (RFC 9293 section 3.1); `len` is that of the transport header and its data. */
export function cksumPseudo(src: number, dst: number, proto: number, len: number): number {
  return (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + proto + len;
}

/** Folds a partial sum (below 2^48) into 16 bits. */
export function cksumFold(sum: number): number {
  if (sum > 0x7fffffff) sum = Math.floor(sum / 0x10000) + (sum % 0x10000);
  sum = (sum >>> 16) + (sum & 0xffff);
  sum = (sum >>> 16) + (sum & 0xffff);
  return sum;
}

/** The value of a checksum field over `len` bytes in which the field is 0. */
export function cksum(v: DataView, at: number, len: number): number {
  return ~cksumFold(cksumAdd(v, at, len, 0)) & 0xffff;
}

/** True when `len` bytes that include their checksum field are intact. */
export function cksumOk(v: DataView, at: number, len: number): boolean {
  return cksumFold(cksumAdd(v, at, len, 0)) === 0xffff;
}

/** The same for a TCP or UDP segment of `len` bytes behind its pseudo-header. */
export function cksumPseudoOk(v: DataView, at: number, len: number, src: number, dst: number, proto: number): boolean {
  return cksumFold(cksumAdd(v, at, len, cksumPseudo(src, dst, proto, len))) === 0xffff;
}
