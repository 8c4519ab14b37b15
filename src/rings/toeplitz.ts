/**
 * The RSS hash of Microsoft's specification ("RSS hashing types", "Verifying the RSS hash calculation"): the Toeplitz matrix of a 40-byte
 * key, applied to source address, destination address, source port and destination port as the packet carries them. It is the hash that
 * a NIC with the default key computes and the one that our own receive path computes, so that an active open can tell
 * which shard the peer's answers will come to.
 */

/** The well-known key of Microsoft's verification suite. */
// biome-ignore format: eight bytes a line, as the specification prints it
const KEY = [
  0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2,
  0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
  0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
  0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
  0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/** Bytes of input that the key covers: two IPv6 addresses and two ports. */
const INPUT_BYTES = 36;

/** The 32 key bits that start at bit `bit`. */
function keyWindow(bit: number): number {
  let w = 0;
  for (let i = 0; i < 32; i++) {
    const b = bit + i;
    w = (w << 1) | ((KEY[b >> 3]! >> (7 - (b & 7))) & 1);
  }
  return w;
}

/** `tables[256 * i + v]`: what byte value `v` at input byte `i` adds (by exclusive or) to the hash. */
const tables = new Int32Array(INPUT_BYTES * 256);
for (let i = 0; i < INPUT_BYTES; i++) {
  for (let bit = 0; bit < 8; bit++) {
    const w = keyWindow(i * 8 + bit);
    for (let v = 0; v < 256; v++) {
      if ((v & (0x80 >> bit)) !== 0) tables[i * 256 + v]! ^= w;
    }
  }
}

function word(at: number, w: number): number {
  return (
    tables[at + (w >>> 24)]! ^
    tables[at + 256 + ((w >>> 16) & 0xff)]! ^
    tables[at + 512 + ((w >>> 8) & 0xff)]! ^
    tables[at + 768 + (w & 0xff)]!
  );
}

/**
 * Hash of an IPv4 packet with ports (types RSS_TCP_IPV4 and RSS_UDP_IPV4).
 * @param src,dst     addresses as the packet carries them, int32 in host order (192.0.2.1 is 0xc0000201 | 0)
 * @param sport,dport ports, 0..65535
 * @returns signed int32
 */
export function toeplitzV4(src: number, dst: number, sport: number, dport: number): number {
  return word(0, src) ^ word(1024, dst) ^ word(2048, (sport << 16) | dport);
}

/** Hash of an IPv4 packet without ports: ICMP, fragments, other protocols (type RSS_IPV4). Signed int32. */
export function toeplitzV4Pair(src: number, dst: number): number {
  return word(0, src) ^ word(1024, dst);
}

/**
 * Hash of an IPv6 packet; addresses as four words each, in the order of the packet. With ports it is of type
 * RSS_TCP_IPV6 or RSS_UDP_IPV6; the pair alone (RSS_IPV6) is the same with both ports 0. Signed int32.
 */
export function toeplitzV6(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  sport: number,
  dport: number,
): number {
  return (
    word(0, s0) ^
    word(1024, s1) ^
    word(2048, s2) ^
    word(3072, s3) ^
    word(4096, d0) ^
    word(5120, d1) ^
    word(6144, d2) ^
    word(7168, d3) ^
    word(8192, (sport << 16) | dport)
  );
}
