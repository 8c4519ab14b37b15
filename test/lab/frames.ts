/**
 * Frames for tests, built byte by byte and checked with a checksum of their own: nothing here comes from src/.
 */

export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff';
export const PEER_MAC = '02:00:00:00:00:02';
export const OUR_MAC = '02:00:00:00:00:01';

export const mac = (text: string): number[] => text.split(':').map((b) => Number.parseInt(b, 16));
export const ip4 = (text: string): number[] => text.split('.').map(Number);
export const u16 = (n: number): number[] => [(n >> 8) & 0xff, n & 0xff];

/** RFC 1071 section 1: the ones' complement sum of 16-bit words, word by word; the last odd byte is padded with zero. */
export function sum16(bytes: readonly number[] | Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (i + 1 < bytes.length ? bytes[i + 1]! : 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

export const checksum = (bytes: readonly number[] | Uint8Array): number => 0xffff - sum16(bytes);

export function ether(o: { dst?: string; src?: string; type?: number }, payload: readonly number[] = []): Uint8Array {
  return Uint8Array.from([...mac(o.dst ?? OUR_MAC), ...mac(o.src ?? PEER_MAC), ...u16(o.type ?? 0x0800), ...payload]);
}

export interface ArpFields {
  op: number;
  sha: string;
  spa: string;
  tha?: string;
  tpa: string;
  hrd?: number;
  pro?: number;
  hln?: number;
  pln?: number;
}

/** RFC 826. */
export function arp(a: ArpFields): number[] {
  return [
    ...u16(a.hrd ?? 1),
    ...u16(a.pro ?? 0x0800),
    a.hln ?? 6,
    a.pln ?? 4,
    ...u16(a.op),
    ...mac(a.sha),
    ...ip4(a.spa),
    ...mac(a.tha ?? '00:00:00:00:00:00'),
    ...ip4(a.tpa),
  ];
}

export interface IpFields {
  src?: string;
  dst?: string;
  proto?: number;
  ttl?: number;
  tos?: number;
  id?: number;
  off?: number;
  options?: readonly number[];
  /** Replace what a right header would have. */
  version?: number;
  ihl?: number;
  len?: number;
  sum?: number;
}

/** RFC 791. */
export function ipv4(f: IpFields, payload: readonly number[] = []): number[] {
  const options = f.options ?? [];
  const hlen = 20 + options.length;
  const head = [
    ((f.version ?? 4) << 4) | (f.ihl ?? hlen / 4),
    f.tos ?? 0,
    ...u16(f.len ?? hlen + payload.length),
    ...u16(f.id ?? 0x1234),
    ...u16(f.off ?? 0),
    f.ttl ?? 64,
    f.proto ?? 1,
    0,
    0,
    ...ip4(f.src ?? '192.0.2.2'),
    ...ip4(f.dst ?? '192.0.2.1'),
    ...options,
  ];
  [head[10], head[11]] = u16(f.sum ?? checksum(head)) as [number, number];
  return [...head, ...payload];
}

/** RFC 792. */
export function icmp(type: number, code: number, rest: readonly number[], sum?: number): number[] {
  const m = [type, code, 0, 0, ...rest];
  [m[2], m[3]] = u16(sum ?? checksum(m)) as [number, number];
  return m;
}

/** A TCP segment with a right checksum (RFC 9293 section 3.1). */
export function tcp(
  o: {
    src: string;
    dst: string;
    sport: number;
    dport: number;
    seq?: number;
    ack?: number;
    flags: number;
    win?: number;
  },
  payload: readonly number[] = [],
): number[] {
  const seq = o.seq ?? 0;
  const ack = o.ack ?? 0;
  const s = [
    ...u16(o.sport),
    ...u16(o.dport),
    ...u16(seq >>> 16),
    ...u16(seq),
    ...u16(ack >>> 16),
    ...u16(ack),
    0x50,
    o.flags,
    ...u16(o.win ?? 65535),
    0,
    0,
    0,
    0,
    ...payload,
  ];
  const pseudo = [...ip4(o.src), ...ip4(o.dst), 0, 6, ...u16(s.length)];
  [s[16], s[17]] = u16(checksum([...pseudo, ...s])) as [number, number];
  return s;
}

/** The payload bytes 0, 1, 2, … */
export const ramp = (n: number): number[] => Array.from({ length: n }, (_, i) => i & 0xff);

/** An IPv4 packet in a frame, taken apart. */
export function parseIp(frame: Uint8Array) {
  const b = frame.subarray(14);
  const hlen = (b[0]! & 15) * 4;
  const len = b[2]! * 256 + b[3]!;
  return {
    dstMac: hex(frame.subarray(0, 6)),
    srcMac: hex(frame.subarray(6, 12)),
    type: frame[12]! * 256 + frame[13]!,
    version: b[0]! >> 4,
    hlen,
    tos: b[1]!,
    len,
    id: b[4]! * 256 + b[5]!,
    off: b[6]! * 256 + b[7]!,
    ttl: b[8]!,
    proto: b[9]!,
    headerSum: sum16(b.subarray(0, hlen)),
    src: [...b.subarray(12, 16)].join('.'),
    dst: [...b.subarray(16, 20)].join('.'),
    payload: b.subarray(hlen, len),
    /** Bytes behind the datagram. */
    trailer: b.length - len,
  };
}

export function parseArp(frame: Uint8Array) {
  const b = frame.subarray(14);
  return {
    dstMac: hex(frame.subarray(0, 6)),
    srcMac: hex(frame.subarray(6, 12)),
    type: frame[12]! * 256 + frame[13]!,
    head: [...b.subarray(0, 6)],
    op: b[6]! * 256 + b[7]!,
    sha: hex(b.subarray(8, 14)),
    spa: [...b.subarray(14, 18)].join('.'),
    tha: hex(b.subarray(18, 24)),
    tpa: [...b.subarray(24, 28)].join('.'),
  };
}

export const hex = (b: Uint8Array): string => [...b].map((x) => x.toString(16).padStart(2, '0')).join(':');

/** The peer at 192.0.2.2 answers `who has 192.0.2.2` of TestHost. */
export const arpReply = (spa = '192.0.2.2', sha = PEER_MAC): Uint8Array =>
  ether({ type: 0x0806, src: sha }, arp({ op: 2, sha, spa, tha: OUR_MAC, tpa: '192.0.2.1' }));
