/** The TCP segment in a captured frame: link header (some kinds), IPv4 or IPv6 with its extension headers, TCP header and options. */
import { TH_ACK } from '../../stack/wire/tcp.ts';
import { AddressTexts } from './address.ts';

/** Link types (the registry of pcap link types) that are read. */
const LINK_NULL = 0;
const LINK_ETHERNET = 1;
const LINK_RAW_BSD = 12;
const LINK_RAW_OPENBSD = 14;
const LINK_RAW = 101;
const LINK_LOOP = 108;
const LINK_SLL = 113;
const LINK_IPV4 = 228;
const LINK_IPV6 = 229;
const LINK_SLL2 = 276;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
/** Tags that an Ethernet type can stand behind: 802.1Q, 802.1ad, and what was used before that. */
const VLAN_TAGS = new Set([0x8100, 0x88a8, 0x9100]);
/** Hop-by-hop options, routing, destination options, mobility, HIP, shim6: each with its length in units of eight bytes (RFC 6564 section 4). */
const EXTENSIONS = new Set([0, 43, 60, 135, 139, 140]);
const EXT_FRAGMENT = 44;
const EXT_AH = 51;
const IPPROTO_TCP = 6;

/** One captured TCP segment. */
export interface Segment {
  /** Number of its frame in the file, from 1, all frames counted. */
  readonly frame: number;
  readonly iface: number;
  /** Time of the capture: seconds since the epoch, and ns. */
  readonly sec: number;
  readonly nsec: number;
  /** The same in µs, to a quarter of one: what is compared with the log. */
  readonly timeUs: number;
  readonly saddr: string;
  readonly sport: number;
  readonly daddr: string;
  readonly dport: number;
  readonly seq: number;
  /** 0 without the ACK flag. */
  readonly ack: number;
  /** Control bits, CWR to FIN in the lower eight, and AE (RFC 9768) above them. */
  readonly flags: number;
  /** Window as it stands in the header, unscaled. */
  readonly win: number;
  /** Bytes of data, from the lengths in the headers: what was cut from the capture is counted. */
  readonly len: number;
  /** Bytes of options. */
  readonly optlen: number;
  /** Timestamps option (RFC 7323), null without one. */
  readonly tsval: number | null;
  readonly tsecr: number | null;
  /** Left and right edges of the SACK blocks (RFC 2018), in turn; null without the option. */
  readonly sack: readonly number[] | null;
  readonly mss: number | null;
  readonly wscale: number | null;
}

/** Why a frame is no segment that can be used. */
export interface FrameCounts {
  frames: number;
  segments: number;
  /** Not TCP over IP, or over a link type that is not known. */
  other: number;
  /** Fragments of a datagram but its first. */
  fragments: number;
  /** TCP, but cut before the end of the fixed header. */
  cut: number;
  /** Without a time (Simple Packet Blocks). */
  timeless: number;
}

/** Reads frames, and counts those that are none of ours. */
export class SegmentParser {
  readonly counts: FrameCounts = { frames: 0, segments: 0, other: 0, fragments: 0, cut: 0, timeless: 0 };
  /** Link types that are not known, of frames that were left out. */
  readonly unknownLinks = new Set<number>();
  readonly #texts = new AddressTexts();

  /** The segment of a frame, or null, counted. Parameters: `FrameSink.frame`. */
  parse(
    buf: Buffer,
    at: number,
    caplen: number,
    len: number,
    link: number,
    iface: number,
    sec: number,
    nsec: number,
  ): Segment | null {
    this.counts.frames++;
    const ip = this.#network(buf, at, at + caplen, link);
    if (ip < 0) {
      this.counts.other++;
      return null;
    }
    const version = buf[ip]! >> 4;
    const wire = at + len;
    if (version === 4) return this.#ipv4(buf, ip, at + caplen, wire, iface, sec, nsec);
    if (version === 6) return this.#ipv6(buf, ip, at + caplen, wire, iface, sec, nsec);
    this.counts.other++;
    return null;
  }

  /** Where the IP header begins, with a byte of it at least; -1 when there is none. */
  #network(buf: Buffer, at: number, end: number, link: number): number {
    let ip = -1;
    switch (link) {
      case LINK_ETHERNET: {
        let type = at + 12;
        while (type + 6 <= end && VLAN_TAGS.has(buf.readUInt16BE(type))) type += 4;
        ip = isIp(buf, type, end) ? type + 2 : -1;
        break;
      }
      case LINK_SLL:
        ip = isIp(buf, at + 14, end) ? at + 16 : -1;
        break;
      case LINK_SLL2:
        ip = isIp(buf, at, end) ? at + 20 : -1;
        break;
      // The address family, in an order that does not matter: the version tells.
      case LINK_NULL:
      case LINK_LOOP:
        ip = at + 4;
        break;
      case LINK_RAW:
      case LINK_RAW_BSD:
      case LINK_RAW_OPENBSD:
      case LINK_IPV4:
      case LINK_IPV6:
        ip = at;
        break;
      default:
        this.unknownLinks.add(link);
    }
    return ip >= 0 && ip < end ? ip : -1;
  }

  #ipv4(buf: Buffer, ip: number, end: number, wire: number, iface: number, sec: number, nsec: number): Segment | null {
    const hlen = (buf[ip]! & 0x0f) << 2;
    if (ip + 20 > end || hlen < 20 || buf[ip + 9] !== IPPROTO_TCP) {
      this.counts.other++;
      return null;
    }
    if ((buf.readUInt16BE(ip + 6) & 0x1fff) !== 0) {
      this.counts.fragments++;
      return null;
    }
    // 0 in a packet that is longer than the field can say: the card is to cut it, or Linux has put it together.
    const total = buf.readUInt16BE(ip + 2);
    const stop = total === 0 ? wire : ip + total;
    const src = this.#texts.v4(buf, ip + 12);
    const dst = this.#texts.v4(buf, ip + 16);
    return this.#tcp(buf, ip + hlen, end, stop, src, dst, iface, sec, nsec);
  }

  #ipv6(buf: Buffer, ip: number, end: number, wire: number, iface: number, sec: number, nsec: number): Segment | null {
    if (ip + 40 > end) {
      this.counts.other++;
      return null;
    }
    // 0 in a jumbogram (RFC 2675).
    const payload = buf.readUInt16BE(ip + 4);
    const stop = payload === 0 ? wire : ip + 40 + payload;
    let next = buf[ip + 6]!;
    let p = ip + 40;
    while (next !== IPPROTO_TCP) {
      if (p + 8 > end || (!EXTENSIONS.has(next) && next !== EXT_FRAGMENT && next !== EXT_AH)) {
        this.counts.other++;
        return null;
      }
      if (next === EXT_FRAGMENT && (buf.readUInt16BE(p + 2) & 0xfff8) !== 0) {
        this.counts.fragments++;
        return null;
      }
      const size = next === EXT_FRAGMENT ? 8 : next === EXT_AH ? (buf[p + 1]! + 2) * 4 : (buf[p + 1]! + 1) * 8;
      next = buf[p]!;
      p += size;
    }
    const src = this.#texts.v6(buf, ip + 8);
    const dst = this.#texts.v6(buf, ip + 24);
    return this.#tcp(buf, p, end, stop, src, dst, iface, sec, nsec);
  }

  /** @param end where the capture ends @param stop where the datagram ends, which may be behind that */
  #tcp(
    buf: Buffer,
    th: number,
    end: number,
    stop: number,
    saddr: string,
    daddr: string,
    iface: number,
    sec: number,
    nsec: number,
  ): Segment | null {
    if (th + 20 > end) {
      this.counts.cut++;
      return null;
    }
    const hlen = (buf[th + 12]! >> 4) << 2;
    if (hlen < 20 || th + hlen > stop) {
      this.counts.other++;
      return null;
    }
    if (Number.isNaN(sec)) {
      this.counts.timeless++;
      return null;
    }
    this.counts.segments++;
    const flags = ((buf[th + 12]! & 1) << 8) | buf[th + 13]!;
    let tsval: number | null = null;
    let tsecr: number | null = null;
    let sack: number[] | null = null;
    let mss: number | null = null;
    let wscale: number | null = null;
    for (let p = th + 20, last = Math.min(th + hlen, end); p < last; ) {
      const kind = buf[p]!;
      if (kind === 0) break;
      if (kind === 1) {
        p++;
        continue;
      }
      const size = buf[p + 1]!;
      if (p + 1 >= last || size < 2 || p + size > last) break;
      if (kind === 2 && size === 4) mss = buf.readUInt16BE(p + 2);
      else if (kind === 3 && size === 3) wscale = buf[p + 2]!;
      else if (kind === 5) {
        sack ??= [];
        for (let q = p + 2; q + 8 <= p + size; q += 8) sack.push(buf.readUInt32BE(q), buf.readUInt32BE(q + 4));
      } else if (kind === 8 && size === 10) {
        tsval = buf.readUInt32BE(p + 2);
        tsecr = buf.readUInt32BE(p + 6);
      }
      p += size;
    }
    return {
      frame: this.counts.frames,
      iface,
      sec,
      nsec,
      timeUs: sec * 1e6 + nsec / 1e3,
      saddr,
      sport: buf.readUInt16BE(th),
      daddr,
      dport: buf.readUInt16BE(th + 2),
      seq: buf.readUInt32BE(th + 4),
      ack: (flags & TH_ACK) !== 0 ? buf.readUInt32BE(th + 8) : 0,
      flags,
      win: buf.readUInt16BE(th + 14),
      len: stop - th - hlen,
      optlen: hlen - 20,
      tsval,
      tsecr,
      sack,
      mss,
      wscale,
    };
  }
}

function isIp(buf: Buffer, type: number, end: number): boolean {
  if (type + 2 > end) return false;
  const value = buf.readUInt16BE(type);
  return value === ETHERTYPE_IPV4 || value === ETHERTYPE_IPV6;
}
