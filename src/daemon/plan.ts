import { fileURLToPath } from 'node:url';
import { checkMtu, type KernelNeighbour, type Netdev, readNeighbours, readNetdev } from '../driver/netdev.ts';
import { checkFree, type Finding, preflight, refused } from '../driver/preflight.ts';
import { type Account, checkPrivileges, checkReadableBy, lookupUser } from '../driver/privileges.ts';
import { checkQueues, type NarrowPlan, planNarrow } from '../driver/rss.ts';
import { checkServerPath } from '../driver/unix/socket-file.ts';
import { DummynetControl } from '../dummynet/control.ts';
import { formatRule } from '../dummynet/rule.ts';
import type { LoadedCc } from '../load/cc-load.ts';
import { parseIPv4 } from '../net/address.ts';
import { FRAME_SIZE } from '../rings/link.ts';
import { PREFIX, writeKnobs } from '../siftr/knobs.ts';
import { SiftrError } from '../siftr/logfile.ts';
import { createSiftrShared } from '../siftr/shared.ts';
import { inetNtoa, prefixMask } from '../stack/net/in-addr.ts';
import { parseAssignment, SYSCTLS, type SysctlAssignment, SysctlError } from '../stack/sysctl.ts';
import { UserError } from './errors.ts';
import type { AddressOption } from './option-values.ts';
import { MAX_MTU, type RunOptions } from './options.ts';
import { controlPath, trustedDir, USER_RUN_DIR, userControlPath } from './paths.ts';
import type { ShardRoute } from './shard-setup.ts';
import { CC_ALGORITHM } from './tuning.ts';
import { formatSize, nearest } from './units.ts';
import type { UnixLinkSpec } from './unix-option.ts';

/** A route of the stack that no interface address implies. */
export interface PlanRoute {
  /** First address of the destination, int32; 0 with prefix length 0 is the default route. */
  readonly dst: number;
  readonly prefixLen: number;
  /** Next hop, or 0 for a destination on the link. */
  readonly gateway: number;
  /** Source address for new flows, or 0 for the interface's best. */
  readonly src: number;
}

/** What every start has: decided before anything is touched. */
interface PlanBase {
  readonly options: RunOptions;
  /** Name of the instance, that of its first interface. */
  readonly name: string;
  /** Network namespace that was asked for. */
  readonly netns: string | null;
  /** Shards, one a queue. */
  readonly queues: number;
  /** Frames, all queues together. */
  readonly frames: number;
  readonly controlPath: string;
  readonly sysctls: readonly SysctlAssignment[];
  /** Congestion-control modules that were loaded. */
  readonly cc: LoadedCc;
  readonly account: Account | null;
}

/** Everything that a start on Unix links will do. */
export interface UnixPlan extends PlanBase {
  readonly kind: 'unix';
  readonly links: readonly UnixLinkSpec[];
  readonly routes: readonly ShardRoute[];
}

export type Plan = NicPlan | UnixPlan;

/** Everything that a start on a network interface will do. */
export interface NicPlan extends PlanBase {
  readonly kind: 'nic';
  readonly dev: Netdev;
  readonly narrow: NarrowPlan;
  readonly addrs: readonly AddressOption[];
  /** The addresses are the kernel's. */
  readonly adopted: boolean;
  readonly routes: readonly PlanRoute[];
  readonly neighbours: readonly KernelNeighbour[];
  readonly mtu: number;
  readonly rxcsum: 'strict' | 'accept-partial' | 'ignore';
  /** What speaks against it, forced or not. */
  readonly findings: readonly Finding[];
}

/**
 * Frames of the UMEM that each queue gets: its fill ring full, as many for transmission, and the rest for what waits behind gaps. Of all a quarter
 * may (tcp-reass.ts): with the default ring 4096, almost three whole windows of net.inet.tcp.recvbuf_max.
 */
export function framesPerQueue(ringSize: number): number {
  return 8 * ringSize;
}

/** An assignment of `--sysctl`, checked. Throws UserError with the option and, for a misspelt name, the one that is meant. */
function bootSysctl(text: string, name: string): SysctlAssignment {
  try {
    return parseAssignment(text, 'boot');
  } catch (err) {
    if (!(err instanceof SysctlError)) throw err;
    const names = SYSCTLS.map((s) => s.name);
    const near = err.code === 'ENOENT' ? nearest(name, names) : null;
    const what = err.message.startsWith(text) ? err.message.slice(text.length + 2) : err.message;
    throw new UserError(`--sysctl ${text}: ${what}${near === null ? '' : ` (${near}?)`}`);
  }
}

/**
 * Reads the interface and decides. Changes nothing.
 * @param cc what `--cc` loaded
 * @throws UserError, SystemError, DriverError or SysctlError, each with one line
 */
export function makePlan(options: RunOptions, cc: LoadedCc): Plan {
  const base = planBase(options, cc);
  return options.links.length > 0 ? planLinks(options, base) : planNic(options, base);
}

/** SIFTR's knobs as they will be at the start, some of which are right or wrong together. Throws UserError. */
function checkSiftr(options: RunOptions, sysctls: readonly SysctlAssignment[]): void {
  const values = new Map(sysctls.map((a) => [a.decl.name, a.value]));
  if (options.siftrPpl !== undefined) values.set(`${PREFIX}ppl`, options.siftrPpl);
  try {
    writeKnobs(createSiftrShared(), values);
  } catch (err) {
    if (!(err instanceof SiftrError)) throw err;
    throw new UserError(`--sysctl ${err.message}`);
  }
}

type CommonPlan = Pick<PlanBase, 'options' | 'sysctls' | 'cc' | 'account'>;

/** What does not depend on the interface. */
function planBase(options: RunOptions, cc: LoadedCc): CommonPlan {
  const sysctls = options.sysctl.map((a) => bootSysctl(`${a.name}=${a.value}`, a.name));
  if (cc.first !== null && !options.sysctl.some((a) => a.name === CC_ALGORITHM)) {
    sysctls.push(parseAssignment(`${CC_ALGORITHM}=${cc.first}`, 'boot'));
  }
  checkSiftr(options, sysctls);
  const account = options.user === undefined ? null : lookupUser(options.user);
  if (account !== null) {
    checkReadableBy(account, import.meta.filename);
    for (const url of cc.urls) checkReadableBy(account, fileURLToPath(url), 'which --cc names');
  }
  return { options, sysctls, cc, account };
}

function planLinks(options: RunOptions, base: CommonPlan): UnixPlan {
  const { links } = options;
  const name = options.iface;
  return {
    ...base,
    kind: 'unix',
    name,
    netns: null,
    queues: 1,
    frames: framesPerQueue(options.ringSize),
    controlPath: options.control ?? userControlPath(name),
    links,
    routes: links.flatMap((l, ifIndex) =>
      l.gateway === 0 ? [] : [{ ifIndex, dst: 0, prefixLen: 0, gateway: l.gateway, src: 0 }],
    ),
  };
}

function planNic(options: RunOptions, base: CommonPlan): NicPlan {
  const netns = options.netns ?? null;
  const dev = readNetdev(options.iface, netns);
  if (dev.loopback || !dev.ethernet) {
    throw new UserError(
      `--iface ${dev.name}: is no Ethernet interface (${dev.driver}); choose one that ip -br link shows with a hardware address`,
    );
  }
  const queues = checkQueues(dev, options.queues);
  const narrow = planNarrow(dev, queues, options.keepChannels);
  if (options.mtu !== undefined) checkMtu(dev, options.mtu);
  const mtu = options.mtu ?? dev.mtu;
  if (mtu > MAX_MTU) {
    throw new UserError(`--iface ${dev.name}: its MTU is ${mtu}; at most ${MAX_MTU} fits a frame, so add --mtu 1500`);
  }
  const adopted = options.addr.length === 0;
  const addrs = adopted ? kernelAddresses(dev) : options.addr;
  checkPrivileges(netns);
  if (!dev.up) {
    const enter = netns === null ? '' : `ip netns exec ${netns} `;
    throw new UserError(
      `--iface ${dev.name}: the interface is down; bring it up with ${enter}ip link set ${dev.name} up`,
    );
  }
  checkFree(dev);
  return {
    ...base,
    kind: 'nic',
    name: dev.name,
    netns: dev.netns,
    dev,
    queues,
    narrow,
    addrs,
    adopted,
    routes: planRoutes(dev, addrs, adopted, options.gateway ?? null),
    neighbours: adopted ? readNeighbours(dev.name, netns) : [],
    mtu,
    rxcsum: options.rxcsum === 'auto' ? (dev.driver === 'veth' ? 'accept-partial' : 'strict') : options.rxcsum,
    frames: queues * framesPerQueue(options.ringSize),
    controlPath: options.control ?? controlPath(dev.name, netns),
    findings: preflight({ dev, claimed: addrs.map((a) => inetNtoa(a.addr)), exclusive: options.exclusive }),
  };
}

/** Refuses Unix links whose place is taken, and a place for their control socket that is not ours. @throws DriverError, UserError */
export async function checkLinks(options: RunOptions): Promise<void> {
  if (options.links.length > 0 && options.control === undefined && !trustedDir(USER_RUN_DIR)) {
    throw new UserError(
      `${USER_RUN_DIR} belongs to another user, so the control socket cannot lie there; name a place of your own with --control or XDG_RUNTIME_DIR`,
    );
  }
  for (const l of options.links) if (l.role === 'server') await checkServerPath(l.path);
}

/** The findings that stand in the way. */
export function obstacles(plan: Plan): Finding[] {
  if (plan.kind === 'unix') return [];
  return refused(plan.findings, new Set(plan.options.force), plan.options.duration ?? null);
}

function kernelAddresses(dev: Netdev): AddressOption[] {
  const out: AddressOption[] = [];
  for (const a of dev.addresses) {
    const addr = parseIPv4(a.address);
    if (addr !== undefined) out.push({ addr, prefixLen: a.prefix });
  }
  if (out.length === 0) {
    throw new UserError(
      `--iface ${dev.name}: it has no IPv4 address to adopt; give the stack one of its own, as --addr 192.0.2.1/24`,
    );
  }
  return out;
}

function planRoutes(
  dev: Netdev,
  addrs: readonly AddressOption[],
  adopted: boolean,
  gateway: number | null,
): PlanRoute[] {
  const routes: PlanRoute[] = [];
  if (adopted) {
    const best = [...dev.routes].sort((a, b) => a.metric - b.metric);
    for (const r of best) {
      const dst = parseIPv4(r.network);
      const gw = r.gateway === null ? 0 : parseIPv4(r.gateway);
      if (dst === undefined || gw === undefined) continue;
      const connected =
        gw === 0 && addrs.some((a) => a.prefixLen === r.prefix && ((a.addr ^ dst) & prefixMask(r.prefix)) === 0);
      if (connected || routes.some((known) => known.dst === dst && known.prefixLen === r.prefix)) continue;
      routes.push({ dst, prefixLen: r.prefix, gateway: gw, src: r.prefsrc === null ? 0 : (parseIPv4(r.prefsrc) ?? 0) });
    }
  }
  if (gateway !== null) {
    const others = routes.filter((r) => r.prefixLen !== 0);
    return [...others, { dst: 0, prefixLen: 0, gateway, src: 0 }];
  }
  return routes;
}

/**
 * What a start would do, a line each, for --dry-run.
 * @param undoFile of a network interface
 */
export function planLines(plan: Plan, undoFile: string): string[] {
  return plan.kind === 'nic' ? nicLines(plan, undoFile) : linkLines(plan);
}

function linkLines(plan: UnixPlan): string[] {
  const lines = plan.links.map((l) => {
    const addrs = l.addrs.map((a) => `${inetNtoa(a.addr)}/${a.prefixLen}`).join(', ');
    const how = l.role === 'server' ? 'listen at' : 'connect to';
    return `${l.name}: would ${how} ${l.path}, ${l.mode === 'ip' ? 'for bare IP packets' : `with station address ${l.mac}`}, MTU ${l.mtu}, addresses ${addrs}`;
  });
  lines.push(...routeLines(plan.routes), `would listen on ${plan.controlPath}`, ...commonLines(plan));
  return lines;
}

function routeLines(routes: readonly PlanRoute[]): string[] {
  return routes.map(
    (r) =>
      `would route ${r.prefixLen === 0 ? 'default' : `${inetNtoa(r.dst)}/${r.prefixLen}`} ${r.gateway === 0 ? 'on the link' : `by ${inetNtoa(r.gateway)}`} (inside our stack only)`,
  );
}

function nicLines(plan: NicPlan, undoFile: string): string[] {
  const { options: o, dev } = plan;
  const where = dev.netns === null ? '' : ` in namespace ${dev.netns}`;
  const lines = [
    `${dev.name}${where}: ${dev.driver}${dev.busInfo === '' ? '' : ` at ${dev.busInfo}`}, ${dev.queues} receive queue${dev.queues === 1 ? '' : 's'}, MTU ${dev.mtu}, address ${dev.mac}`,
    `would attach an XDP program to it (${o.xdp === 'auto' ? 'native, else generic' : o.xdp}; zero-copy ${o.zeroCopy}) with sockets on ${plan.queues === 1 ? 'queue 0' : `queues 0 to ${plan.queues - 1}`}`,
    `would map ${formatSize(plan.frames * FRAME_SIZE)} of packet memory (${plan.frames} frames, rings of ${o.ringSize})`,
  ];
  if (o.exclusive) lines.push('would claim every frame: the kernel sees nothing of this interface');
  else {
    const names = plan.addrs.map((a) => `${inetNtoa(a.addr)}/${a.prefixLen}`).join(', ');
    lines.push(
      `would claim frames for ${names}, ARP included (${plan.adopted ? "the kernel's addresses, adopted" : "of its own; the kernel's stay reachable"}), and leave everything else to the kernel`,
    );
  }
  lines.push(...routeLines(plan.routes));
  if (plan.narrow.how !== 'none')
    lines.push(
      `would narrow ${dev.queues} receive queues to ${plan.queues}, as ${plan.narrow.commands.join(' and ')} does; undone at the end`,
    );
  if (plan.narrow.hint !== null && o.xdp !== 'generic') lines.push(`note: ${plan.narrow.hint}`);
  if (plan.mtu !== dev.mtu) lines.push(`would set its MTU to ${plan.mtu}; undone at the end`);
  lines.push(`would write ${undoFile} (what to undo, held by a guard process) and listen on ${plan.controlPath}`);
  return [...lines, ...commonLines(plan)];
}

function commonLines(plan: Plan): string[] {
  const { options: o } = plan;
  const lines = [];
  if (o.siftr)
    lines.push(
      `would ${o.siftrLog === '-' ? 'print SIFTR lines on standard output' : `append SIFTR lines to ${o.siftrLog}`}`,
    );
  if (o.metrics !== null) lines.push(`would serve metrics at http://${o.metrics.host}:${o.metrics.port}/metrics`);
  lines.push(o.serve.length === 0 ? 'would serve nothing' : `would serve ${o.serve.join(', ')}`);
  for (const { number, ...rule } of new DummynetControl(o.pipe).state.rules) {
    lines.push(`would emulate a link: rule ${number} ${formatRule({ number, ...rule })}`);
  }
  for (const s of plan.sysctls) lines.push(`would set ${s.decl.name}=${s.value}`);
  lines.push(
    `would give up every capability${plan.account === null ? '' : ` and run as ${plan.account.name}`} after set-up`,
  );
  if (o.duration !== undefined) lines.push(`would stop by itself after ${o.duration / 1000} s`);
  return lines;
}
