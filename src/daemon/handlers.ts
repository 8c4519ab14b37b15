import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { netnsHandle } from '../driver/netns.ts';
import { inetNtoa } from '../stack/net/in-addr.ts';
import { ccNames } from '../stack/tcp/cc/registry.ts';
import { TCP_STATE_NAMES } from '../stack/tcp/tcp-fsm.ts';
import { renderKstat } from '../views/kstat.ts';
import { type Connection, renderConnections, renderStatistics } from '../views/netstat.ts';
import { parseStatNames } from '../views/tcpstats.ts';
import { connLines, ssFilter } from './conns.ts';
import type { ControlHandlers } from './control.ts';
import type { Daemon } from './daemon.ts';
import { SystemError, UserError } from './errors.ts';
import type { AddressOption } from './option-values.ts';
import type { Plan } from './plan.ts';
import { statLines } from './stats.ts';
import { dropLines, dropOne } from './tcpdrop.ts';
import { VERSION } from './version.ts';

function addresses(plan: Plan): readonly AddressOption[] {
  return plan.kind === 'unix' ? plan.links.flatMap((l) => l.addrs) : plan.addrs;
}

/** Name of the user that this process runs as; its number where it has none. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.geteuid?.() ?? 0);
  }
}

/** The name that `ps` and the like show for this process. */
function commandName(): string {
  try {
    return readFileSync('/proc/self/comm', 'utf8').trim();
  } catch {
    return 'xsiftr';
  }
}

/** What the control server answers with. */
export function controlHandlers(d: Daemon): ControlHandlers {
  const counters = () => {
    if (d.counters === null) throw new SystemError('the interface is being set up; try again');
    return d.counters;
  };
  // Started by `ip netns exec lab`, it is in lab as much as with --netns lab.
  const netns = d.plan.kind === 'unix' ? null : (d.plan.netns ?? netnsHandle(null).name);
  return {
    info: () => ({
      version: VERSION,
      pid: process.pid,
      user: userName(),
      uid: process.geteuid?.() ?? 0,
      command: commandName(),
      iface: d.plan.name,
      ifaces: d.plan.kind === 'unix' ? d.plan.links.map((l) => l.name) : [d.plan.name],
      netns,
      queues: d.plan.queues,
      addresses: addresses(d.plan).map((a) => `${inetNtoa(a.addr)}/${a.prefixLen}`),
      uptime: (Date.now() - d.startedAt) / 1000,
      ready: d.ready,
    }),
    sysctlList: async () => {
      d.tuning.showTables(await Promise.all(d.shards.map((s) => s.request({ op: 'tables' }))));
      return d.tuning.rows();
    },
    sysctlSet: async (name, value) => {
      if (!d.ready) throw new SystemError('the interface is being set up; try again');
      const change = await d.tuning.set(name, value);
      if (change.error === undefined) d.log.info(`sysctl ${change.name}: ${change.old} -> ${change.new}`);
      return change;
    },
    dnctl: (words, quiet, files) => d.dummynet.run(words, quiet, (name) => files[name] ?? ''),
    kstat: (selectors) => renderKstat(counters().kstat(), selectors),
    ss: (words, wanted) => connLines(d.shards, ssFilter(words, wanted), (shard, sid) => d.socketHolder(shard, sid)),
    tcpstats: (columns, words, wanted) =>
      statLines(d.shards, ssFilter(words, wanted), parseStatNames(columns.join() || 'default')),
    tcpdrop: (wanted) => {
      if (wanted.cc !== undefined && !ccNames().includes(wanted.cc)) {
        throw new UserError(`tcpdrop: -C ${wanted.cc}: not loaded; allowed are ${ccNames().join(', ')}`);
      }
      return dropLines(d.shards, wanted, (n) => {
        if (!wanted.list) d.log.info(`tcpdrop: ${n} connection${n === 1 ? '' : 's'} dropped`);
      });
    },
    tcpdropOne: async (flow) => {
      const there = await dropOne(d.shards, flow);
      if (there) d.log.info(`tcpdrop: ${flow.laddr} ${flow.lport} ${flow.faddr} ${flow.fport} dropped`);
      return there;
    },
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
