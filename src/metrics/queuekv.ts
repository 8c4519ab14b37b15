import { ulinkDecl } from './ulinkkv.ts';

/**
 * What kstat knows of an interface's queues (spec/counters.md 2). OpenBSD's rxq and txq lie in shared memory, one block a queue
 * with one writer; the AF_XDP socket and its four rings are read from the kernel and the rings themselves when somebody asks.
 *
 *   | rxq: 8 float64 | txq: 8 float64 | next queue …      QUEUE_BLOCK_BYTES apart
 */

/** Kinds of struct kstat_kv; the counters only go up, counter32 wraps at 2^32. */
export type KvType = 'bool' | 'counter64' | 'counter32' | 'uint64' | 'uint32';
export type KvUnit = 'none' | 'packets' | 'bytes';

/** One key of a kstat entry. */
export interface KvDecl {
  /** At most 16 bytes, as in struct kstat_kv. */
  readonly key: string;
  readonly type: KvType;
  readonly unit: KvUnit;
  readonly help: string;
  /** The full name where `key` had to be shortened: what values are looked up by and what Prometheus shows. */
  readonly full?: string;
}

/** Entries of one name: `<interface>:0:<name>:<queue>`. */
export interface ProviderDecl {
  /** Third part of the entry's name. */
  readonly name: string;
  /** Middle part of the metric's name. */
  readonly prom: string;
  /** A further label, beside `iface` and `queue`. */
  readonly ring?: 'rx' | 'tx' | 'fill' | 'completion';
  readonly kvs: readonly KvDecl[];
}

/** A value of a kstat entry as renderers take it. Booleans are 0 or 1. */
export interface Kv {
  readonly key: string;
  readonly type: KvType;
  readonly unit: KvUnit;
  readonly value: number;
}

/** A kstat entry as renderers take it. */
export interface KstatEntry {
  /** Interface. */
  readonly provider: string;
  /** Always 0 for interfaces. */
  readonly instance: number;
  readonly name: string;
  /** Queue. */
  readonly unit: number;
  readonly kvs: readonly Kv[];
  /** Why the values could not be read; then `kvs` is empty. */
  readonly error?: string;
}

/** The classes of a histogram of times as an entry of kstat: how many were at most so many microseconds, and above the class before. */
export function histogramEntry(
  provider: string,
  name: string,
  unit: number,
  bounds: readonly number[],
  value: { readonly counts: readonly number[]; readonly sum: number },
): KstatEntry {
  const counts = value.counts.map((n, i): Kv => {
    const bound = bounds[i];
    return { key: bound === undefined ? 'more' : `${bound} us`, type: 'counter64', unit: 'packets', value: n };
  });
  const sum: Kv = { key: 'sum in us', type: 'counter64', unit: 'none', value: Math.round(value.sum) };
  return { provider, instance: 0, name, unit, kvs: [...counts, sum] };
}

export const rxqDecl: ProviderDecl = {
  name: 'rxq',
  prom: 'rxq',
  kvs: [
    { key: 'packets', type: 'counter64', unit: 'packets', help: 'Packets received, those dropped afterwards included' },
    { key: 'bytes', type: 'counter64', unit: 'bytes', help: 'Bytes received' },
    {
      key: 'fdrops',
      type: 'counter64',
      unit: 'packets',
      help: 'Packets that a packet capture with a drop filter took',
    },
    { key: 'qdrops', type: 'counter64', unit: 'packets', help: 'Packets dropped because the input queue was too long' },
    { key: 'errors', type: 'counter64', unit: 'packets', help: 'Never counted' },
    { key: 'qlen', type: 'uint32', unit: 'packets', help: 'Packets on the input queue now' },
    { key: 'enqueues', type: 'counter64', unit: 'none', help: 'Lists of packets put on the input queue' },
    { key: 'dequeues', type: 'counter64', unit: 'none', help: 'Times that the whole input queue was taken' },
  ],
};

export const txqDecl: ProviderDecl = {
  name: 'txq',
  prom: 'txq',
  kvs: [
    { key: 'packets', type: 'counter64', unit: 'packets', help: 'Packets that the output queue accepted' },
    { key: 'bytes', type: 'counter64', unit: 'bytes', help: 'Bytes that the output queue accepted' },
    {
      key: 'qdrops',
      type: 'counter64',
      unit: 'packets',
      help: 'Packets refused, displaced or purged by the output queue',
    },
    { key: 'errors', type: 'counter64', unit: 'packets', help: 'Packets that could not be put on the transmit ring' },
    { key: 'qlen', type: 'uint32', unit: 'packets', help: 'Packets on the output queue now' },
    { key: 'maxqlen', type: 'uint32', unit: 'packets', help: 'Limit of the output queue' },
    { key: 'oactive', type: 'bool', unit: 'none', help: 'Whether the transmit ring is full and output waits' },
    { key: 'oactives', type: 'counter32', unit: 'none', help: 'Times that the transmit ring became full' },
  ],
};

/** The AF_XDP socket of a queue: what the driver side counts, then XDP_STATISTICS of the kernel. */
export const xskDecl: ProviderDecl = {
  name: 'xsk',
  prom: 'xsk',
  kvs: [
    { key: 'rx_packets', type: 'counter64', unit: 'packets', help: 'Frames taken from the receive ring' },
    { key: 'rx_bytes', type: 'counter64', unit: 'bytes', help: 'Bytes taken from the receive ring' },
    { key: 'tx_packets', type: 'counter64', unit: 'packets', help: 'Frames put on the transmit ring' },
    { key: 'tx_bytes', type: 'counter64', unit: 'bytes', help: 'Bytes put on the transmit ring' },
    {
      key: 'rx_csum_partial',
      type: 'counter64',
      unit: 'packets',
      help: 'Frames whose checksum field held only the sum of the pseudo header',
    },
    { key: 'rx_csum_bad', type: 'counter64', unit: 'packets', help: 'Frames with a wrong checksum' },
    {
      key: 'rx_oversize',
      type: 'counter64',
      unit: 'packets',
      help: 'Frames refused: longer than the MTU allows, or of several buffers (peer with segmentation offload)',
    },
    { key: 'rx_oversize_max', type: 'uint32', unit: 'bytes', help: 'Length of the longest frame so refused' },
    {
      key: 'rx_wakeups',
      type: 'counter64',
      unit: 'none',
      help: 'System calls that woke the receive side of the kernel',
    },
    {
      key: 'tx_wakeups',
      type: 'counter64',
      unit: 'none',
      help: 'System calls that woke the transmit side of the kernel',
    },
    {
      key: 'tx_kick_again',
      type: 'counter64',
      unit: 'none',
      help: 'Those of them that were needed because the call before had sent only a part',
    },
    {
      key: 'tx_kick_errors',
      type: 'counter64',
      unit: 'none',
      help: 'Transmit wake-ups that the kernel refused',
    },
    {
      key: 'rx_no_timestamp',
      type: 'counter64',
      unit: 'packets',
      help: 'Frames without a time stamp of their own, which got that of their batch',
    },
    {
      key: 'rx_no_frames',
      type: 'counter64',
      unit: 'none',
      help: 'Receive calls that found no free frame to refill the fill ring with',
    },
    {
      key: 'tx_handed_over',
      type: 'counter64',
      unit: 'none',
      help: 'Times that the sender thread took the transmit calls of this queue over',
    },
    {
      key: 'claimed_dropped',
      type: 'counter64',
      unit: 'packets',
      help: 'Frames for our addresses that the XDP program dropped because no socket served the queue',
    },
    { key: 'rx_dropped', type: 'counter64', unit: 'packets', help: 'Kernel: frames dropped for another reason' },
    { key: 'rx_invalid_descs', type: 'counter64', unit: 'none', help: 'Kernel: invalid descriptors in the fill ring' },
    {
      key: 'tx_invalid_descs',
      type: 'counter64',
      unit: 'none',
      help: 'Kernel: invalid descriptors in the transmit ring',
    },
    {
      key: 'rx_ring_full',
      type: 'counter64',
      unit: 'packets',
      help: 'Kernel: frames dropped because the receive ring was full',
    },
    {
      key: 'rx_fill_empty',
      full: 'rx_fill_ring_empty_descs',
      type: 'counter64',
      unit: 'none',
      help: 'Kernel: times that the fill ring was empty when a frame came',
    },
    {
      key: 'tx_ring_empty',
      full: 'tx_ring_empty_descs',
      type: 'counter64',
      unit: 'none',
      help: 'Kernel: times that the transmit ring was empty when the kernel looked',
    },
  ],
};

const ringKvs: readonly KvDecl[] = [
  { key: 'size', type: 'uint32', unit: 'none', help: 'Descriptors that the ring holds' },
  { key: 'producer', type: 'uint32', unit: 'none', help: 'Producer index, which wraps at 2^32' },
  { key: 'consumer', type: 'uint32', unit: 'none', help: 'Consumer index, which wraps at 2^32' },
  { key: 'occupancy', type: 'uint32', unit: 'none', help: 'Descriptors in the ring now' },
];

/** The rings of an AF_XDP socket, in the order in which the driver reports them, four words each. */
export const ringDecls: readonly ProviderDecl[] = [
  { name: 'rx-ring', prom: 'ring', ring: 'rx', kvs: ringKvs },
  { name: 'tx-ring', prom: 'ring', ring: 'tx', kvs: ringKvs },
  { name: 'fill-ring', prom: 'ring', ring: 'fill', kvs: ringKvs },
  { name: 'completion-ring', prom: 'ring', ring: 'completion', kvs: ringKvs },
];

/** Every provider. */
export const providers: readonly ProviderDecl[] = [rxqDecl, txqDecl, xskDecl, ...ringDecls, ulinkDecl];

/** Words of one queue's block in shared memory: rxq, then txq. */
export const RXQ_OFFSET = 0;
export const TXQ_OFFSET = 8;
export const QUEUE_BLOCK_WORDS = 16;
export const QUEUE_BLOCK_BYTES = QUEUE_BLOCK_WORDS * 8;

/** The rxq words of queue block `index` in a mapping whose blocks start at `byteOffset`. */
export function rxqBlock(sab: SharedArrayBuffer | ArrayBuffer, index: number, byteOffset = 0): Float64Array {
  return new Float64Array(sab, byteOffset + index * QUEUE_BLOCK_BYTES + RXQ_OFFSET * 8, rxqDecl.kvs.length);
}

/** The txq words of queue block `index`. */
export function txqBlock(sab: SharedArrayBuffer | ArrayBuffer, index: number, byteOffset = 0): Float64Array {
  return new Float64Array(sab, byteOffset + index * QUEUE_BLOCK_BYTES + TXQ_OFFSET * 8, txqDecl.kvs.length);
}

/**
 * Makes the entry `<iface>:0:<decl.name>:<queue>`.
 * @param value gives the value of the key at index `i`, or of the full name `name`
 */
export function kstatEntry(
  decl: ProviderDecl,
  iface: string,
  queue: number,
  value: (name: string, i: number) => number,
): KstatEntry {
  return {
    provider: iface,
    instance: 0,
    name: decl.name,
    unit: queue,
    kvs: decl.kvs.map((kv, i) => ({ key: kv.key, type: kv.type, unit: kv.unit, value: value(kv.full ?? kv.key, i) })),
  };
}

/** The entry of a queue whose values could not be read. */
export function kstatFailure(decl: ProviderDecl, iface: string, queue: number, error: string): KstatEntry {
  return { provider: iface, instance: 0, name: decl.name, unit: queue, kvs: [], error };
}
