import { inetNtoa } from '../stack/net/in-addr.ts';
import type { CountedPort } from './counters.ts';
import type { UnixPlan } from './plan.ts';
import type { ShardInterface, ShardRoute, ShardSetup } from './shard-setup.ts';
import type { GivenBack, Taken } from './take.ts';

/**
 * The Unix links of a run. There is nothing to take, so nothing to undo: their sockets are the shard's, and go with it; packet memory is
 * the thread's own.
 */
export class TakenLinks implements Taken {
  readonly mode = 'unix';
  readonly counted: readonly CountedPort[];
  readonly routes: readonly ShardRoute[];
  readonly neighbours = [];
  readonly #plan: UnixPlan;

  constructor(plan: UnixPlan) {
    this.#plan = plan;
    this.counted = plan.links.map((l) => ({ name: l.name, port: null, queues: 1, present: 1 }));
    this.routes = plan.routes;
  }

  frames(): ShardSetup['frames'] {
    return { first: null, count: this.#plan.frames };
  }

  interfaces(): ShardInterface[] {
    return this.#plan.links.map((l) => ({
      name: l.name,
      queue: 0,
      link: { kind: 'unix', path: l.path, role: l.role, mode: l.mode },
      mtu: l.mtu,
      mac: l.mac,
      addrs: l.addrs,
    }));
  }

  attachLines(): string[] {
    return this.#plan.links.map((l, i) => {
      const what = l.mode === 'ip' ? 'bare IP packets' : `address ${l.mac}`;
      const addrs = l.addrs.map((a) => `${inetNtoa(a.addr)}/${a.prefixLen}`).join(', ');
      return `${l.name} at unix dev ${i} "${l.path}", ${l.role}, ${l.mode}, 1 queue, ${what}, ${addrs}, MTU ${l.mtu}`;
    });
  }

  watch(): { look(): void } {
    return { look: () => {} };
  }

  claim(): void {}

  gone(): boolean {
    return false;
  }

  async giveBack(): Promise<GivenBack> {
    return { done: [], failed: [] };
  }
}
