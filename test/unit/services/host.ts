import type { ServiceHost, ShardBus } from '../../../src/daemon/services/host.ts';
import type { Transport } from '../../../src/net/transport.ts';

type Listener = (msg: unknown) => void;

/** A bus between `n` shards of one test; messages take up to `delayMs` and stay in order for a pair of shards. */
export function makeBuses(n: number, delayMs = 0): ShardBus[] {
  const subs: Map<string, Listener[]>[] = Array.from({ length: n }, () => new Map());
  const last: number[][] = Array.from({ length: n }, () => Array.from({ length: n }, () => 0));
  return subs.map((mine, from) => ({
    publish(topic, msg) {
      for (let to = 0; to < n; to++) {
        if (to === from) continue;
        const at = Math.max(last[from]![to]!, performance.now() + Math.random() * delayMs);
        last[from]![to] = at;
        const copy = structuredClone(msg);
        const deliver = (): void => {
          for (const fn of subs[to]!.get(topic) ?? []) fn(copy);
        };
        if (delayMs === 0) setImmediate(deliver);
        else setTimeout(deliver, Math.ceil(at - performance.now()));
      }
    },
    subscribe(topic, fn) {
      mine.set(topic, [...(mine.get(topic) ?? []), fn]);
      return () => mine.delete(topic);
    },
  }));
}

/** A host for a service under test; what it logs is gathered in `lines`. */
export function makeHost(
  transport: Transport,
  shard = 0,
  buses: ShardBus[] = makeBuses(1),
): ServiceHost & { lines: string[] } {
  const lines: string[] = [];
  return {
    transport,
    shard,
    nshards: buses.length,
    bus: buses[shard]!,
    lines,
    log: (text) => lines.push(text),
    status: () => ({ version: '1.2.3', iface: 'ix<1>', uptime: 93784, counters: [['packets received', 1234567]] }),
  };
}
