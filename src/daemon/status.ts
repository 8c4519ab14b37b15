import { stks, tcps } from '../metrics/layout.ts';
import type { KstatEntry } from '../metrics/queuekv.ts';
import type { Counters } from './counters.ts';
import { formatSi } from './units.ts';

/** Totals of one moment, over all queues. */
export interface Totals {
  /** Wall clock, ms. */
  readonly at: number;
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  /** Packets lost at a queue, a ring or for want of a frame; what a protocol refused is in `netstat -s`. */
  readonly drops: number;
  /** Connections now, and since start. */
  readonly connections: number;
  readonly accepted: number;
  readonly connected: number;
}

const QUEUE_DROPS: Readonly<Record<string, readonly string[]>> = {
  rxq: ['fdrops', 'qdrops'],
  txq: ['qdrops', 'errors'],
  xsk: ['rx_oversize', 'claimed_dropped', 'rx_dropped', 'rx_ring_full', 'rx_fill_empty'],
};

/** Reads all counters once. */
export function readTotals(counters: Counters, now: number = Date.now()): Totals {
  const kstat = counters.kstat();
  const sum = (name: string, keys: readonly string[]): number => sumKeys(kstat, name, keys);
  const cnt = counters.total();
  let drops = cnt[stks.stks_handover_full]! + cnt[stks.stks_nobufs]!;
  for (const [name, keys] of Object.entries(QUEUE_DROPS)) drops += sum(name, keys);
  return {
    at: now,
    rxPackets: sum('rxq', ['packets']),
    rxBytes: sum('rxq', ['bytes']),
    txPackets: sum('txq', ['packets']),
    txBytes: sum('txq', ['bytes']),
    drops,
    connections: cnt[tcps.tcps_active]!,
    accepted: cnt[tcps.tcps_accepts]!,
    connected: cnt[tcps.tcps_connects]!,
  };
}

function sumKeys(kstat: readonly KstatEntry[], name: string, keys: readonly string[]): number {
  let sum = 0;
  for (const entry of kstat) {
    if (entry.name !== name) continue;
    for (const kv of entry.kvs) if (keys.includes(kv.key)) sum += kv.value;
  }
  return sum;
}

/** The status line of a terminal: rates between two moments. */
export function statusLine(name: string, before: Totals, now: Totals): string {
  const s = Math.max(0.001, (now.at - before.at) / 1000);
  const rate = (a: number, b: number): string => formatSi((b - a) / s);
  return (
    `${name}  in ${rate(before.rxPackets, now.rxPackets)}pps ${rate(before.rxBytes * 8, now.rxBytes * 8)}bps` +
    `  out ${rate(before.txPackets, now.txPackets)}pps ${rate(before.txBytes * 8, now.txBytes * 8)}bps` +
    `  ${now.connections} connection${now.connections === 1 ? '' : 's'}  ${formatSi(now.drops)} dropped`
  );
}
