import { expect } from 'vitest';
import { FRAME_SIZE } from '../../src/rings/link.ts';
import type { Xsiftr } from './netns.ts';

/** All counters of an instance at one moment, summed over shards and queues: `tcp_rcvbadsum`, `xsk_rx_oversize`, `icmp_in_messages:8`. */
export type Counters = ReadonlyMap<string, number>;

/** Scrapes /metrics: the name without `xsiftr_` and `_total`; what has a type or ring carries it behind a colon. */
export async function readCounters(x: Xsiftr): Promise<Counters> {
  const text = await (await fetch(`${x.metrics}/metrics`)).text();
  const all = new Map<string, number>();
  for (const line of text.split('\n')) {
    const found = /^xsiftr_(\w+?)(?:_total)?(?:\{(.*)\})? (\S+)$/.exec(line);
    if (found === null) continue;
    const kind = /(?:type|ring)="([^"]*)"/.exec(found[2] ?? '')?.[1];
    const name = kind === undefined ? found[1]! : `${found[1]}:${kind}`;
    all.set(name, (all.get(name) ?? 0) + Number(found[3]));
  }
  return all;
}

/** What one counter shows now; 0 when it was never counted. */
export async function counter(x: Xsiftr, name: string): Promise<number> {
  return (await readCounters(x)).get(name) ?? 0;
}

/**
 * Waits until every frame of the UMEM is free or waits in a fill ring to be received into: no connection, pipe, other shard or ring of the kernel has one.
 * A shard tells how many are free when it goes to sleep, so a number read at some moment may be short of those that are on their way.
 */
export async function framesHome(x: Xsiftr): Promise<void> {
  const frames = (Number(/UMEM (\d+) MiB/.exec(x.attachLine)![1]) * 2 ** 20) / FRAME_SIZE;
  await expect
    .poll(async () => {
      const c = await readCounters(x);
      return (c.get('stack_frames_free') ?? 0) + (c.get('ring_occupancy:fill') ?? 0);
    })
    .toBe(frames);
}

/** What has changed, without gauges and what the loop counts about itself. */
export function changes(before: Counters, after: Counters): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [name, value] of after) {
    if (/^(stack_(passes|sleeps|frames_free|kicks)|ring_|build_info|siftr_|xsk_|txq_|rxq_)/.test(name)) continue;
    const d = value - (before.get(name) ?? 0);
    if (d !== 0) out[name] = d;
  }
  return out;
}

/** Sum of some changes. */
export function sumOf(diff: Record<string, number>, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + (diff[name] ?? 0), 0);
}
