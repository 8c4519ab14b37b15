import type { KvDecl, ProviderDecl } from './queuekv.ts';

/**
 * What kstat knows of a Unix link beside its queues: the entry `IF:0:ulink:0`. The words lie in shared memory in the order of the keys,
 * one block a link, written by the shard that serves it.
 */

const frames = (key: string, help: string): KvDecl => ({ key, type: 'counter64', unit: 'packets', help });
const bytes = (key: string, help: string): KvDecl => ({ key, type: 'counter64', unit: 'bytes', help });
const times = (key: string, help: string): KvDecl => ({ key, type: 'counter64', unit: 'none', help });

export const ulinkDecl: ProviderDecl = {
  name: 'ulink',
  prom: 'ulink',
  kvs: [
    frames('rx_packets', 'Frames taken from the stream, those dropped afterwards included'),
    bytes('rx_bytes', 'Bytes of these frames'),
    frames('rx_done', 'Frames that input has finished with, whatever became of them'),
    frames('rx_nobufs', 'Frames dropped because no memory for received frames was free'),
    frames('rx_oversize', 'Frames dropped because they were longer than the MTU allows'),
    { key: 'rx_oversize_max', type: 'uint32', unit: 'bytes', help: 'Length of the longest of them' },
    frames('rx_empty', 'Frames of length 0, dropped'),
    times('rx_badlen', 'Connections ended because of a length that no frame has'),
    times('rx_truncated', 'Connections that ended in the middle of a frame'),
    frames('tx_packets', 'Frames written to the stream'),
    bytes('tx_bytes', 'Bytes of these frames'),
    frames('tx_nopeer', 'Frames dropped because nobody was connected'),
    frames('tx_lost', 'Frames written to the stream of a peer that went away before the kernel had taken them'),
    { key: 'tx_queue', type: 'uint32', unit: 'packets', help: 'Frames that the kernel has yet to take' },
    { key: 'up', type: 'bool', unit: 'none', help: 'Whether a peer is connected' },
    times('ups', 'Times that a peer connected, or was connected to'),
    times('refused', 'Connections refused because another peer was connected'),
    times('connect_errors', 'Attempts to connect that failed'),
  ],
};

/** Words of a block by key. */
export const UL = {
  RX_PACKETS: 0,
  RX_BYTES: 1,
  RX_DONE: 2,
  RX_NOBUFS: 3,
  RX_OVERSIZE: 4,
  RX_OVERSIZE_MAX: 5,
  RX_EMPTY: 6,
  RX_BADLEN: 7,
  RX_TRUNCATED: 8,
  TX_PACKETS: 9,
  TX_BYTES: 10,
  TX_NOPEER: 11,
  TX_LOST: 12,
  TX_QUEUE: 13,
  UP: 14,
  UPS: 15,
  REFUSED: 16,
  CONNECT_ERRORS: 17,
} as const;

export const ULINK_WORDS = 24;
export const ULINK_BLOCK_BYTES = ULINK_WORDS * 8;

/** The words of link `index`. */
export function ulinkBlock(sab: SharedArrayBuffer | ArrayBuffer, index: number): Float64Array {
  return new Float64Array(sab, index * ULINK_BLOCK_BYTES, ULINK_WORDS);
}
