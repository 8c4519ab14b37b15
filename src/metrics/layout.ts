import { arpGroup } from './decl/arp.ts';
import { dummynetGroup } from './decl/dummynet.ts';
import { endpointGroup } from './decl/endpoint.ts';
import { icmpGroup } from './decl/icmp.ts';
import { ipGroup } from './decl/ip.ts';
import { pfilGroup } from './decl/pfil.ts';
import { siftrGroup } from './decl/siftr.ts';
import { stackGroup } from './decl/stack.ts';
import { tcpGroup } from './decl/tcp.ts';
import { type Group, slotsOf } from './declare.ts';

/**
 * Where each counter lies. Slots are absolute and consecutive in the order below, so every thread of a process computes the same
 * layout from the declarations alone. A writer (a shard, the log writer, the daemon) has a block of its own:
 *
 *   | block 0: COUNTER_SLOTS float64, padding | block 1 … |      COUNTER_BLOCK_BYTES apart
 *
 * The hot path writes `st.cnt[tcps.tcps_sndtotal]!++`; readers add up the blocks.
 */
let next = 0;

/**
 * The slot table of a group. Built by Object.fromEntries because properties added one by one would leave the object in V8's
 * dictionary mode, where a slot lookup on the hot path costs a hash lookup.
 */
function assign<N extends string>(group: Group<N>): Readonly<Record<N, number>> {
  const slots: [string, number][] = [];
  for (const d of group.decls) {
    if (d.dead || d.sum) continue;
    slots.push([d.name, next]);
    next += slotsOf(d);
  }
  return Object.freeze(Object.fromEntries(slots)) as Readonly<Record<N, number>>;
}

/** Absolute slots by BSD name, group by group. The order of these lines is the layout. */
export const ips = assign(ipGroup);
export const icps = assign(icmpGroup);
export const tcps = assign(tcpGroup);
export const arps = assign(arpGroup);
export const stks = assign(stackGroup);
export const pfils = assign(pfilGroup);
export const siftrs = assign(siftrGroup);
export const dns = assign(dummynetGroup);
export const eps = assign(endpointGroup);

/** Slots in use. */
export const COUNTER_SLOTS = next;

/** Bytes from one writer's block to the next: no two writers share a pair of cache lines. */
export const COUNTER_BLOCK_BYTES = Math.ceil((COUNTER_SLOTS * 8) / 128) * 128;

/** Every group, in the order that `netstat -s` prints them. */
export const groups: readonly Group[] = [
  ipGroup,
  icmpGroup,
  tcpGroup,
  arpGroup,
  stackGroup,
  pfilGroup,
  siftrGroup,
  dummynetGroup,
  endpointGroup,
];

/** Slot by name over all groups. */
export const slotOf: ReadonlyMap<string, number> = new Map(
  [ips, icps, tcps, arps, stks, pfils, siftrs, dns, eps].flatMap((slots) => Object.entries<number>(slots)),
);

/** Bytes to allocate for `writers` blocks. */
export function counterBytes(writers: number): number {
  return writers * COUNTER_BLOCK_BYTES;
}

/** The block of writer `index` in a mapping of `counterBytes(n)` bytes that starts at `byteOffset`. */
export function counterBlock(sab: SharedArrayBuffer | ArrayBuffer, index: number, byteOffset = 0): Float64Array {
  return new Float64Array(sab, byteOffset + index * COUNTER_BLOCK_BYTES, COUNTER_SLOTS);
}
