import { netnsHandle } from '../driver/netns.ts';
import { inetNtoa } from '../stack/net/in-addr.ts';
import { TCP_STATE_NAMES } from '../stack/tcp/tcp-fsm.ts';
import { renderKstat } from '../views/kstat.ts';
import { type Connection, renderConnections, renderStatistics } from '../views/netstat.ts';
import { connLines, ssFilter } from './conns.ts';
import type { ControlHandlers } from './control.ts';
import type { Daemon } from './daemon.ts';
import { SystemError } from './errors.ts';
import { VERSION } from './version.ts';

/** What the control server answers with. */
export function controlHandlers(d: Daemon): ControlHandlers {
  const counters = () => {
    if (d.counters === null) throw new SystemError('the interface is being set up; try again');
    return d.counters;
  };
  // Started by `ip netns exec lab`, it is in lab as much as with --netns lab.
  const netns = d.plan.dev.netns ?? netnsHandle(null).name;
  return {
    info: () => ({
      version: VERSION,
      pid: process.pid,
      iface: d.plan.dev.name,
      netns,
      queues: d.plan.queues,
      addresses: d.plan.addrs.map((a) => `${inetNtoa(a.addr)}/${a.prefixLen}`),
      uptime: (Date.now() - d.startedAt) / 1000,
      ready: d.ready,
    }),
    sysctlList: async () => {
      const lists = await Promise.all(d.shards.map((s) => s.request({ op: 'hostCache' })));
      d.tuning.showHostCache(lists.join(''));
      return d.tuning.rows();
    },
    sysctlSet: (name, value) => d.tuning.set(name, value),
    dnctl: (words, quiet, files) => d.dummynet.run(words, quiet, (name) => files[name] ?? ''),
    kstat: (selectors) => renderKstat(counters().kstat(), selectors),
    ss: (words, wanted) => connLines(d.shards, ssFilter(words, wanted)),
    netstat: async (statistics, all, protocol) => {
      if (statistics > 0) return renderStatistics(counters().total(), statistics === 2, protocol);
      const rows = (await Promise.all(d.shards.map((s) => s.request({ op: 'pcbs' })))).flat();
      // Every shard listens on the same ports: one line says it for all.
      const seen = new Set<string>();
      const shown: Connection[] = [];
      for (const r of rows) {
        const state = TCP_STATE_NAMES[r.state] ?? 'CLOSED';
        if (state === 'LISTEN') {
          const key = `${r.laddr}.${r.lport}`;
          if (seen.has(key)) continue;
          seen.add(key);
        }
        shown.push({
          laddr: r.laddr,
          lport: r.lport,
          faddr: r.faddr,
          fport: r.fport,
          recvq: r.recvq,
          sendq: r.sendq,
          state,
        });
      }
      return renderConnections(shown, all, protocol);
    },
  };
}
