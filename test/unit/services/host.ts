import type { ServiceHost, ShardBus } from '../../../src/daemon/services/host.ts';
import type { Transport } from '../../../src/net/transport.ts';

type Listener = (msg: unknown) => void;

/** A bus between `n` shards of one test; messages take up to `delayMs` and stay in order for a pair of shards. */
export function makeBuses(n: number, delayMs = 0): ShardBus[] {
  const subs: Map<string, Listener[]>[] = Array.from({ length: n }, () => new Map());
  const queues = Array.from({ length: n }, () => Array.from({ length: n }, (): [string, unknown][] => []));
  return subs.map((mine, from) => ({
    publish(topic, msg) {
      for (let to = 0; to < n; to++) {
        if (to === from) continue;
        const queue = queues[from]![to]!;
        queue.push([topic, structuredClone(msg)]);
        // each timer takes the oldest message, so that they stay in order whichever timer is first
        setTimeout(() => {
          const [t, m] = queue.shift()!;
          for (const fn of subs[to]!.get(t) ?? []) fn(m);
        }, Math.random() * delayMs);
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
