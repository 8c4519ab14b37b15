import { createRequire } from 'node:module';
import type { NativeSys } from './native-sys.ts';

/**
 * The addon as TypeScript sees it. Set-up calls (`createUmem`, `openPort`, `setAddresses`, `closePort`) belong to the main thread and need privileges;
 * the calls that take a queue or a poll handle belong to the one thread that opened the handle. Counters and ring states may be read from any thread.
 *
 * Argument errors throw TypeError or RangeError before anything is touched; failures of the system throw an Error with `code`
 * (`EBUSY`, `EPERM`, …) and a one-line message that says what to do where that is known.
 */
export interface Native extends NativeSys {
  /**
   * Maps the one UMEM of this process: `frames` frames of 4096 bytes. Every ring of every socket has `ringSize` entries (a power of two,
   * 64..65536). The kernel learns of it when the first port is opened. Throws EEXIST when there is one already.
   */
  createUmem(frames: number, ringSize: number): void;
  /** Forgets the UMEM; its memory goes when the last buffer over it is collected. Throws EBUSY while a port is open. */
  destroyUmem(): void;
  /** The whole UMEM as this thread's own external ArrayBuffer (the same object at every call from one thread). */
  umem(): ArrayBuffer;

  /** Loads and attaches the XDP program and creates a socket for each of queues 0..queues-1. Nothing is claimed before `setAddresses` (unless exclusive). */
  openPort(options: PortOptions): PortInfo;
  /**
   * Says which frames the XDP program claims: `v4` as int32 in host order, `v6` 16 bytes an address. Replaces the former set. Neighbour solicitations for a
   * v6 address are claimed with it.
   */
  setAddresses(port: number, v4: Int32Array, v6: Uint8Array): void;
  /** Detaches the program and closes the sockets. Throws EBUSY while a thread holds one of its queues. Idempotent. */
  closePort(port: number): void;

  /**
   * Takes a queue for the calling thread and fills its fill ring from the frame stack. `stack.free` and `stack.top` stay bound to the queue:
   * `receive` pops frames for the fill ring directly, but leaves `reserve` frames for transmission. `page` (length CLOCK_WORDS) gets the time
   * at every `receive`. Returns the queue handle. Throws EBUSY when another thread has it.
   */
  openQueue(
    port: number,
    queue: number,
    free: Int32Array,
    top: Int32Array,
    reserve: number,
    page: Float64Array,
  ): number;
  /** Gives a queue back; the frames in its rings stay there for the next owner. Idempotent. A worker's end does it too. */
  closeQueue(handle: number): void;

  /** Drains the receive ring into rows of `table` (at most `max`, and what fits), then refills the fill ring. Returns how many rows. */
  receive(handle: number, table: Int32Array, max: number): number;
  /**
   * Inserts the wished checksums, posts the first `n` rows, wakes the kernel when it asks for it. Returns how many rows were taken: fewer
   * than `n` when the ring is full, or before a row that is shorter than 14 bytes or not within one frame of the UMEM.
   */
  transmit(handle: number, table: Int32Array, n: number): number;
  /** Takes completed transmissions; kicks the kernel again when frames still wait in the transmit ring. */
  reclaim(handle: number, out: Int32Array): number;
  txRoom(handle: number): number;
  /**
   * From now on, in copy mode, a `transmit` of at least `rows` rows only posts them, and the process's sender thread makes the system calls,
   * if it is not at work for another queue; so does every later one until it has sent all. 0: never, as at the beginning.
   */
  useSender(handle: number, rows: number): void;
  /** Frames that the sender thread has yet to send for this queue; 0 when it is not at work for it. */
  senderBacklog(handle: number): number;
  /** The calling thread sleeps for `us` microseconds, 0 to 10000, and whatever the kernel's timers add (50 by default). */
  nap(us: number): void;

  /** Writes counters by `QSTAT` index; `out.length >= QSTAT_WORDS`. Any thread. */
  queueStats(port: number, queue: number, out: Float64Array): void;
  /** Writes size, producer, consumer and occupancy of rx, tx, fill and completion ring; `out.length >= RING_WORDS`. Any thread. */
  queueRings(port: number, queue: number, out: Int32Array): void;
  /**
   * Writes how many frames for our addresses the XDP program dropped because no socket served their queue, by queue 0..63; the last word is
   * that of all further queues. `out.length >= CLAIMED_WORDS`. Any thread.
   */
  claimedDropped(port: number, out: Float64Array): void;
  /** IFF_* bits of netdevice(7) of the port's interface, -1 when it is no longer in its namespace. Needs no right. Any thread. */
  linkFlags(port: number): number;

  /** Writes the present time into a clock page (`CLK` index). */
  readClock(page: Float64Array): void;

  /** A new non-blocking eventfd, as a number that every thread of the process may use. */
  eventfd(): number;
  /** Wakes the poll that holds this eventfd. Any thread. */
  kick(eventfd: number): void;
  closeFd(fd: number): void;

  /**
   * Makes the one poll of a worker: the sockets of `queues` (queue handles of this thread), an eventfd (-1: none) and a timerfd of its own.
   * `wake(mask)` gets the bits `WAKE`, after `page` has got the time. It starts stopped.
   */
  openPoll(queues: Int32Array, eventfd: number, page: Float64Array, wake: (mask: number) => void): number;
  /** Arms the poll: level triggered, so what came before is seen at once. It keeps the event loop alive while armed. */
  pollStart(poll: number): void;
  /** Disarms it and lets go of the sockets: while the thread spins it costs nothing, neither here nor in the kernel. */
  pollStop(poll: number): void;
  /** Fires WAKE.TIMER after `us` microseconds (0: at once; negative: disarms). */
  armTimer(poll: number, us: number): void;
  /** Idempotent. A worker's end does it too. */
  closePoll(poll: number): void;

  /** Toeplitz hash (Microsoft's key) as the receive path computes it, for tests and start-up checks. All in host order. */
  toeplitzV4(src: number, dst: number, sport: number, dport: number): number;
}

export interface PortOptions {
  readonly ifname: string;
  /** How many queues, 0..queues-1; at most 64. */
  readonly queues: number;
  /** Path of the network namespace in which the interface lives; absent: the caller's. */
  readonly netns?: string;
  readonly xdp: 'auto' | 'native' | 'generic';
  readonly zeroCopy: 'auto' | 'on' | 'off';
  /** Claim every frame, not only those for our addresses. */
  readonly exclusive: boolean;
  readonly rxcsum: 'strict' | 'accept-partial' | 'ignore';
  /** Longest frame taken (without FCS), normally MTU + 18; longer ones are dropped and counted in QSTAT.rx_oversize. At most 3840. */
  readonly maxFrame: number;
  /** Sets SO_PREFER_BUSY_POLL where the kernel has it. */
  readonly busyPoll: boolean;
  /** The XDP program stamps every frame; else the rows of a batch carry the time of the batch. */
  readonly timestamp: boolean;
}

export interface PortInfo {
  readonly port: number;
  readonly ifindex: number;
  /** What was got. */
  readonly mode: 'native' | 'generic';
  readonly zeroCopy: boolean;
  /** The program is `xdp.frags` and the sockets take packets of several frames (which are refused and counted). */
  readonly frags: boolean;
  readonly busyPoll: boolean;
  readonly timestamp: boolean;
  readonly queues: number;
  readonly ringSize: number;
  /** Why native mode or zero-copy was not got, for the log; empty when nothing was refused. */
  readonly notes: readonly string[];
}

/** Words of a clock page. */
export const CLK = {
  /** CLOCK_MONOTONIC microseconds as int32 (wraps). */
  US: 0,
  /** CLOCK_MONOTONIC milliseconds as int32 (wraps). */
  MS: 1,
  /** CLOCK_REALTIME in microseconds since the epoch, of the same instant as US. */
  WALL: 2,
} as const;
export const CLOCK_WORDS = 4;

/** Bits of the mask that `wake` gets. */
export const WAKE = { RX: 1, EVENT: 2, TIMER: 4 } as const;

/** Indexes of `queueStats`. All count since the queue's socket was made. */
export const QSTAT = {
  rx_packets: 0,
  rx_bytes: 1,
  tx_packets: 2,
  tx_bytes: 3,
  /** Frames whose TCP or UDP checksum field held only the folded pseudo-header sum. */
  rx_csum_partial: 4,
  /** Frames with a wrong IPv4, TCP, UDP or ICMP checksum (a partial one under `strict` included). */
  rx_csum_bad: 5,
  /** Frames refused because longer than `maxFrame` or of several descriptors (GSO, GRO). */
  rx_oversize: 6,
  /** Longest frame among them, bytes. */
  rx_oversize_max: 7,
  /** System calls that woke the kernel's receive side. */
  rx_wakeups: 8,
  /** System calls that woke the kernel's transmit side. */
  tx_wakeups: 9,
  /** Of them those that were needed because a call had sent only a part. */
  tx_kick_again: 10,
  /** Transmit wake-ups that the kernel refused for another reason than "try again" (link down). */
  tx_kick_errors: 11,
  /** Frames that lacked the XDP program's time stamp and got the batch's. */
  rx_no_timestamp: 12,
  /** Receive calls that could not fill the fill ring because no free frame was left. */
  rx_no_frames: 13,
  /** Times that the sender thread took over for this queue. */
  tx_handed_over: 14,
  /** Frames for our addresses that came on this queue while no socket served it, dropped by the XDP program. */
  claimed_dropped: 15,
  /** XDP_STATISTICS of the kernel. */
  rx_dropped: 16,
  rx_invalid_descs: 17,
  tx_invalid_descs: 18,
  rx_ring_full: 19,
  rx_fill_ring_empty_descs: 20,
  tx_ring_empty_descs: 21,
} as const;
export const QSTAT_WORDS = 24;

/** `queueRings`: four words for each ring, in this order. */
export const RINGS = ['rx', 'tx', 'fill', 'completion'] as const;
export const RING_WORDS = 16;
export const CLAIMED_WORDS = 65;

let loaded: Native | null = null;

/**
 * Loads the addon from build/Release of the package, in the checkout (src/driver) as in the published package (dist/driver).
 * Throws an Error with a line that says how to build it when it is not there.
 */
export function loadNative(): Native {
  if (loaded !== null) return loaded;
  const path = new URL('../../build/Release/xsiftr.node', import.meta.url).pathname;
  try {
    loaded = createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    throw new Error(
      `cannot load the addon ${path}: ${(cause as Error).message.split('\n')[0]} (build it with: make build)`,
      {
        cause,
      },
    );
  }
  return loaded;
}
