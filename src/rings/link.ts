/**
 * The driver boundary. A Link moves frames of a UMEM in batches; everything above it is independent of AF_XDP, of virtual
 * time and of Unix sockets. Batches travel as rows of a plain Int32Array, so a call across the native boundary is paid once a
 * batch and never once a packet (DESIGN.md, "The way of a packet").
 */

/** Words in a row. A power of two, so that a row's base is a shift. */
export const ROW = 8;
export const ROW_SHIFT = 3;

/** Frame index in the UMEM; its first byte is `frame * FRAME_SIZE`. */
export const COL_FRAME = 0;
/** Byte offset of the packet's first byte inside the frame. */
export const COL_OFFSET = 1;
/** Length in bytes, without FCS. */
export const COL_LENGTH = 2;
/** Bits `F_*`; the RSS hash type stands in bits 8..15 (values of mbuf(9), see `HashType`). */
export const COL_FLAGS = 3;
/** RSS (Toeplitz) hash as a signed int32; 0 when the type is 0. */
export const COL_HASH = 4;
/** 802.1Q tag, or -1. */
export const COL_VLAN = 5;
/** Receive time, int32 microseconds of CLOCK_MONOTONIC (wraps). */
export const COL_TIME = 6;

/** Last frame of the packet. */
export const F_EOP = 0x1;
/** IPv4 header checksum verified good / bad (neither: not looked at). */
export const F_IPCSUM_GOOD = 0x2;
export const F_IPCSUM_BAD = 0x4;
/** TCP/UDP/ICMP checksum state (rx): verified good / only the folded pseudo-header sum is in the field / bad; none of the three: not looked at. */
export const F_L4CSUM_GOOD = 0x10;
export const F_L4CSUM_PARTIAL = 0x20;
export const F_L4CSUM_BAD = 0x40;
/** Wishes (tx): the link writes the IPv4 header / the TCP, UDP or ICMP checksum. */
export const F_TX_IPCSUM = 0x10000;
export const F_TX_L4CSUM = 0x20000;

export const FLAGS_HASHTYPE_SHIFT = 8;

/** Flow types of FreeBSD's mbuf.h (spec/siftr.md 3.4). */
export const HashType = {
  NONE: 0,
  OPAQUE: 63,
  RSS_IPV4: 129,
  RSS_TCP_IPV4: 130,
  RSS_IPV6: 131,
  RSS_TCP_IPV6: 132,
  RSS_UDP_IPV4: 135,
  RSS_UDP_IPV6: 137,
  OPAQUE_HASH: 191,
} as const;

/** Bytes in a frame and its base-2 logarithm. */
export const FRAME_SIZE = 4096;
export const FRAME_SHIFT = 12;
/** Room kept free before a packet that we build, so that outer headers can be prepended. */
export const TX_HEADROOM = 128;

export interface LinkCaps {
  /** The link verifies (rx) and inserts (tx) IPv4, TCP, UDP and ICMP checksums. */
  readonly csum: boolean;
  /** The link computes or reads an RSS hash. */
  readonly rss: boolean;
  /** COL_TIME is the arrival time of each frame, not of the batch. */
  readonly timestamp: boolean;
  /** Packets of more than one frame. */
  readonly sg: boolean;
  readonly tso: boolean;
  readonly vlan: boolean;
}

/**
 * Source and sink of free frames, seen from the link: `free[0..top)` holds indexes of free frames (a stack). Native code pops
 * and pushes there directly, so filling costs no call a frame.
 */
export interface FrameStack {
  /** Indexes of free frames. */
  readonly free: Int32Array;
  /** One word: how many are valid. */
  readonly top: Int32Array;
}

export interface Link {
  readonly caps: LinkCaps;
  /**
   * Takes at most `max` received frames into rows of `table` and returns how many. Frames that go to the receive ring's fill
   * side come off the frame stack that the link was opened with. The caller owns the frames in the table.
   */
  receive(table: Int32Array, max: number): number;
  /**
   * Posts the first `n` rows of `table` and returns how many were taken (fewer when the transmit ring is full). Checksum
   * wishes are carried out. Frames of taken rows belong to the link until `reclaim` returns them.
   */
  transmit(table: Int32Array, n: number): number;
  /** Writes the frame indexes of at most `out.length` completed transmissions to `out` and returns how many. */
  reclaim(out: Int32Array): number;
  /** Free slots in the transmit ring now. */
  txRoom(): number;
  /** Called by the event loop when there is something to receive or reclaim while the shard sleeps. */
  onReadable: (() => void) | null;
  /** Gives sockets and memory back. Idempotent. */
  close(): void;
}
