/**
 * TCP header (RFC 9293 section 3.1) and the options that we know.
 *
 *    0                   1                   2                   3
 *   |          Source Port          |       Destination Port        |
 *   |                        Sequence Number                        |
 *   |                    Acknowledgment Number                      |
 *   | DOff  | Rsrvd | Control Bits  |            Window             |
 *   |           Checksum            |         Urgent Pointer        |
 *   |                           [Options]                           |
 *
 * Accessors take the UMEM's view and the absolute position of the header; one `tcpCheckLen` first, infallible after that.
 */

export const TCP_HDR_LEN = 20;
/** Most bytes of options that a header can carry. */
export const TCP_MAXOLEN = 40;

export const TH_FIN = 0x01;
export const TH_SYN = 0x02;
export const TH_RST = 0x04;
export const TH_PUSH = 0x08;
export const TH_ACK = 0x10;
export const TH_URG = 0x20;
export const TH_ECE = 0x40;
export const TH_CWR = 0x80;
/** The flags of RFC 793, without those of ECN. */
export const TH_BASE = 0x3f;

/** Largest window that fits the header unscaled. */
export const TCP_MAXWIN = 65535;
/** Largest window shift (RFC 7323 section 2.3). */
export const TCP_MAX_WINSHIFT = 14;

const OFF_SPORT = 0;
const OFF_DPORT = 2;
const OFF_SEQ = 4;
const OFF_ACK = 8;
const OFF_DOFF = 12;
const OFF_FLAGS = 13;
const OFF_WIN = 14;
const OFF_SUM = 16;
const OFF_URP = 18;

/** Length of the header with options, or -1 when the data offset is under 5 words or beyond `len`. */
export function tcpCheckLen(v: DataView, at: number, len: number): number {
  const off = (v.getUint8(at + OFF_DOFF) >> 4) << 2;
  return off < TCP_HDR_LEN || off > len ? -1 : off;
}

export const thSport = (v: DataView, at: number): number => v.getUint16(at + OFF_SPORT);
export const thDport = (v: DataView, at: number): number => v.getUint16(at + OFF_DPORT);
/** Sequence number as int32. */
export const thSeq = (v: DataView, at: number): number => v.getInt32(at + OFF_SEQ);
/** Acknowledgment number as int32. */
export const thAck = (v: DataView, at: number): number => v.getInt32(at + OFF_ACK);
export const thFlags = (v: DataView, at: number): number => v.getUint8(at + OFF_FLAGS);
/** Window as it stands in the header, unscaled. */
export const thWin = (v: DataView, at: number): number => v.getUint16(at + OFF_WIN);
/** Urgent pointer, of a segment with URG. */
export const thUrp = (v: DataView, at: number): number => v.getUint16(at + OFF_URP);
export const thSetUrp = (v: DataView, at: number, urp: number): void => v.setUint16(at + OFF_URP, urp);

/**
 * Writes a header of `hlen` bytes (options included in the length, not written here) with checksum and urgent pointer 0.
 * @param win  window as it goes into the header, 0..65535
 */
export function tcpEmit(
  v: DataView,
  at: number,
  sport: number,
  dport: number,
  seq: number,
  ack: number,
  hlen: number,
  flags: number,
  win: number,
): void {
  v.setUint16(at + OFF_SPORT, sport);
  v.setUint16(at + OFF_DPORT, dport);
  v.setInt32(at + OFF_SEQ, seq);
  v.setInt32(at + OFF_ACK, ack);
  v.setUint8(at + OFF_DOFF, (hlen >> 2) << 4);
  v.setUint8(at + OFF_FLAGS, flags);
  v.setUint16(at + OFF_WIN, win);
  v.setUint32(at + OFF_SUM, 0);
}

const TCPOPT_EOL = 0;
const TCPOPT_NOP = 1;
const TCPOPT_MAXSEG = 2;
const TCPOPT_WINDOW = 3;
const TCPOPT_SACK_PERMITTED = 4;
const TCPOPT_SACK = 5;
const TCPOPT_TIMESTAMP = 8;
const TCPOPT_FAST_OPEN = 34;
/** Lengths of a Fast Open option with a cookie (RFC 7413 section 4.1.1). */
const TCPOLEN_FAST_OPEN_MIN = 6;
const TCPOLEN_FAST_OPEN_MAX = 18;

/** NOP NOP TS 10, the layout that RFC 7323 appendix A recommends: lets most segments skip the option loop. */
const TS_WORD = 0x0101080a;
export const TCPOLEN_TSTAMP_APPA = 12;

/** Bits of `TcpOpt.flags`: which options the segment carried. */
export const TOF_MSS = 0x01;
export const TOF_SCALE = 0x02;
export const TOF_SACKPERM = 0x04;
export const TOF_TS = 0x08;
export const TOF_SACK = 0x10;
export const TOF_FASTOPEN = 0x20;

const NO_COOKIE = new Uint8Array(0);

/** Parsed options of one segment (`struct tcpopt`); one object, reused. */
export class TcpOpt {
  flags = 0;
  mss = 0;
  wscale = 0;
  tsval = 0;
  tsecr = 0;
  /** Blocks in the SACK option, and the absolute position of the first. */
  nsacks = 0;
  sackAt = 0;
  /** Bytes of the Fast Open cookie, 0 for a request of one; where it is in a segment that was read, and what is written. */
  tfoLen = 0;
  tfoAt = 0;
  tfoCookie: Uint8Array = NO_COOKIE;
}

/**
 * Parses the options between the fixed header and `at + hlen` (`tcp_dooptions`). Options that only belong on a SYN are ignored
 * elsewhere; a malformed length ends the parse, what was read before stands (RFC 9293 MUST-7, RFC 1122 4.2.2.5).
 */
export function tcpDooptions(v: DataView, at: number, hlen: number, isSyn: boolean, to: TcpOpt): void {
  to.flags = 0;
  to.nsacks = 0;
  let p = at + TCP_HDR_LEN;
  const end = at + hlen;
  if (hlen === TCP_HDR_LEN + TCPOLEN_TSTAMP_APPA && !isSyn && v.getInt32(p) === TS_WORD) {
    to.flags = TOF_TS;
    to.tsval = v.getInt32(p + 4);
    to.tsecr = v.getInt32(p + 8);
    return;
  }
  while (p < end) {
    const opt = v.getUint8(p);
    if (opt === TCPOPT_EOL) break;
    if (opt === TCPOPT_NOP) {
      p++;
      continue;
    }
    if (p + 1 >= end) break;
    const olen = v.getUint8(p + 1);
    if (olen < 2 || p + olen > end) break;
    switch (opt) {
      case TCPOPT_MAXSEG:
        if (olen === 4 && isSyn) {
          to.flags |= TOF_MSS;
          to.mss = v.getUint16(p + 2);
        }
        break;
      case TCPOPT_WINDOW:
        if (olen === 3 && isSyn) {
          to.flags |= TOF_SCALE;
          const shift = v.getUint8(p + 2);
          to.wscale = shift > TCP_MAX_WINSHIFT ? TCP_MAX_WINSHIFT : shift;
        }
        break;
      case TCPOPT_SACK_PERMITTED:
        if (olen === 2 && isSyn) to.flags |= TOF_SACKPERM;
        break;
      case TCPOPT_TIMESTAMP:
        if (olen === 10) {
          to.flags |= TOF_TS;
          to.tsval = v.getInt32(p + 2);
          to.tsecr = v.getInt32(p + 6);
        }
        break;
      case TCPOPT_SACK:
        if (olen > 2 && (olen - 2) % 8 === 0 && !isSyn) {
          to.flags |= TOF_SACK;
          to.nsacks = (olen - 2) >> 3;
          to.sackAt = p + 2;
        }
        break;
      case TCPOPT_FAST_OPEN:
        // RFC 7413 section 4.1.1: what is of another length, or not on a SYN, is ignored.
        if (
          isSyn &&
          (olen === 2 || (olen >= TCPOLEN_FAST_OPEN_MIN && olen <= TCPOLEN_FAST_OPEN_MAX && olen % 2 === 0))
        ) {
          to.flags |= TOF_FASTOPEN;
          to.tfoLen = olen - 2;
          to.tfoAt = p + 2;
        }
        break;
    }
    p += olen;
  }
}

/**
 * Writes the options that `to` names behind the fixed header at `at`, in FreeBSD's order (mss, nop, wscale, sackOK, TS, SACK, Fast Open),
 * padded to whole words. `to.nsacks` blocks are taken from `blks` (pairs start, end).
 * @returns bytes of options, a multiple of 4, at most 40
 */
export function tcpAddoptions(v: DataView, at: number, to: TcpOpt, blks: Int32Array): number {
  const start = at + TCP_HDR_LEN;
  let p = start;
  if (to.flags & TOF_MSS) {
    v.setUint16(p, (TCPOPT_MAXSEG << 8) | 4);
    v.setUint16(p + 2, to.mss);
    p += 4;
  }
  if (to.flags & TOF_SCALE) {
    v.setUint32(p, (TCPOPT_NOP << 24) | (TCPOPT_WINDOW << 16) | (3 << 8) | to.wscale);
    p += 4;
  }
  if (to.flags & TOF_SACKPERM) {
    v.setUint16(p, (TCPOPT_SACK_PERMITTED << 8) | 2);
    p += 2;
  }
  if (to.flags & TOF_TS) {
    while ((p - start) % 4 !== 2) v.setUint8(p++, TCPOPT_NOP);
    v.setUint16(p, (TCPOPT_TIMESTAMP << 8) | 10);
    v.setInt32(p + 2, to.tsval);
    v.setInt32(p + 6, to.tsecr);
    p += 10;
  }
  if (to.flags & TOF_SACK) {
    let n = to.nsacks;
    const room = (TCP_MAXOLEN - (p - start) - 4) >> 3;
    if (n > room) n = room;
    to.nsacks = n;
    if (n > 0) {
      while ((p - start) % 4 !== 2) v.setUint8(p++, TCPOPT_NOP);
      v.setUint16(p, (TCPOPT_SACK << 8) | (2 + 8 * n));
      p += 2;
      for (let i = 0; i < 2 * n; i++) {
        v.setInt32(p, blks[i]!);
        p += 4;
      }
    }
  }
  if (to.flags & TOF_FASTOPEN) {
    v.setUint8(p++, TCPOPT_FAST_OPEN);
    v.setUint8(p++, 2 + to.tfoLen);
    for (let i = 0; i < to.tfoLen; i++) v.setUint8(p++, to.tfoCookie[i]!);
  }
  if ((p - start) % 4 !== 0) {
    v.setUint8(p++, TCPOPT_EOL);
    while ((p - start) % 4 !== 0) v.setUint8(p++, 0);
  }
  return p - start;
}
