import { spawnSync } from 'node:child_process';
import { DriverError } from './driver-error.ts';
import { loadNative } from './native.ts';
import type { NativeChannels } from './native-sys.ts';
import { withNetns } from './netns.ts';

/** An IPv4 address of an interface with the length of its network's prefix (0..32). */
export interface KernelAddress {
  address: string;
  prefix: number;
}

/** One next hop of a unicast IPv4 route of the kernel's main table. */
export interface KernelRoute {
  /** Network in dotted form; `0.0.0.0` with prefix 0 is the default route. */
  network: string;
  prefix: number;
  /** Next hop, or null for a network on the link. */
  gateway: string | null;
  /** Source address that the kernel prefers, or null. */
  prefsrc: string | null;
  metric: number;
}

/** An IPv4 neighbour that the kernel knows. */
export interface KernelNeighbour {
  address: string;
  mac: string;
}

/** The other end of a veth pair, where it could be found. */
export interface VethPeer {
  name: string;
  index: number;
  /** Name of its network namespace, null for the one of the interface itself. */
  netns: string | null;
  /** Its queue counts; the kernel receives on queue k what it sends on its queue k. */
  channels: NativeChannels;
}

/** Everything that set-up wants to know of an interface, read at one moment. */
export interface Netdev {
  name: string;
  netns: string | null;
  index: number;
  /** Linux driver name (`ixgbe`, `veth`), or the link kind, or `unknown`. */
  driver: string;
  /** `0000:03:00.1` for PCI; empty for virtual devices. */
  busInfo: string;
  mac: string;
  mtu: number;
  minMtu: number;
  maxMtu: number;
  up: boolean;
  /** IFF_LOOPBACK. */
  loopback: boolean;
  /** Ethernet framing (ARPHRD_ETHER). */
  ethernet: boolean;
  /** Receive queues in use now: the most that `--queues` may be. */
  queues: number;
  /** ETHTOOL_GCHANNELS, null where the driver has none. */
  channels: NativeChannels | null;
  /** RSS indirection table, null where the driver has none. */
  indir: readonly number[] | null;
  /** Id of the XDP program on it, null when there is none. */
  xdpProgram: number | null;
  addresses: KernelAddress[];
  /** Its IPv6 addresses, which the stack does not adopt but `--exclusive` takes from the kernel. */
  addresses6: string[];
  /** Routes through the interface, of the main table, IPv4. */
  routes: KernelRoute[];
  /** Whether an IPv6 default route leaves by it. */
  defaultRoute6: boolean;
  peer: VethPeer | null;
}

/** Linux's rule for an interface name (dev_valid_name): 1..15 bytes, no slash, colon or blank, neither `.` nor `..`. */
export function validIfname(name: string): boolean {
  return /^[^/:\s\0]+$/.test(name) && Buffer.byteLength(name) <= 15 && name !== '.' && name !== '..';
}

/** Runs a tool of iproute2 and gives its standard output. Throws DriverError ETOOL when it is missing or fails. */
export function runTool(tool: string, args: readonly string[]): string {
  const r = spawnSync(tool, args, { encoding: 'utf8', maxBuffer: 64 << 20, env: { ...process.env, LC_ALL: 'C' } });
  if (r.error !== undefined) {
    const missing = (r.error as NodeJS.ErrnoException).code === 'ENOENT';
    const why = missing ? 'is not installed (Debian package iproute2)' : r.error.message;
    throw new DriverError('ETOOL', `${tool} ${missing ? why : `failed: ${why}`}`);
  }
  if (r.status !== 0) {
    throw new DriverError('ETOOL', `${tool} ${args.join(' ')} failed: ${r.stderr.trim().split('\n')[0] ?? ''}`);
  }
  return r.stdout;
}

interface IpLink {
  ifindex: number;
  ifname: string;
  link?: string;
  link_index?: number;
  link_netnsid?: number;
  mtu: number;
  min_mtu?: number;
  max_mtu?: number;
  link_type?: string;
  num_rx_queues?: number;
  linkinfo?: { info_kind?: string };
  xdp?: { prog?: { id: number } };
}
interface IpAddr {
  addr_info: { family: string; local: string; prefixlen: number }[];
}
interface IpRoute {
  type?: string;
  dst: string;
  gateway?: string;
  dev?: string;
  prefsrc?: string;
  metric?: number;
  nexthops?: { gateway?: string; dev?: string }[];
}
interface IpNeigh {
  dst: string;
  lladdr?: string;
  state?: string[];
}

/** `ip -j …` in the calling thread's namespace; iproute2 prints nothing at all for an empty list. */
function ipJson<T>(args: readonly string[]): T[] {
  const text = runTool('ip', ['-j', ...args]).trim();
  return text === '' ? [] : (JSON.parse(text) as T[]);
}

/**
 * Facts of interface `name` in network namespace `netns` (null: the caller's). Needs no right but CAP_SYS_ADMIN for a namespace.
 *
 * Throws DriverError EBADNAME, ENOIFACE (with the names that there are), ENONETNS, ENOPERM or ETOOL.
 */
export function readNetdev(name: string, netns: string | null = null): Netdev {
  if (!validIfname(name)) {
    throw new DriverError(
      'EBADNAME',
      `--iface ${JSON.stringify(name)}: an interface name has 1 to 15 bytes, no slash, colon or blank`,
    );
  }
  return withNetns(netns, () => readHere(name, netns));
}

/** IPv4 neighbours that the kernel holds for `name` and has seen answer. */
export function readNeighbours(name: string, netns: string | null = null): KernelNeighbour[] {
  return withNetns(netns, () =>
    ipJson<IpNeigh>(['-4', 'neigh', 'show', 'dev', name])
      .filter((n) => n.lladdr !== undefined && !n.state?.includes('FAILED'))
      .map((n) => ({ address: n.dst, mac: n.lladdr! })),
  );
}

/** Names of the offloads of `name` that are on, as ethtool -k has them; null where that cannot be known. */
export function readOffloads(name: string, netns: string | null = null): readonly string[] | null {
  try {
    return withNetns(netns, () => loadNative().sysFeatures(name));
  } catch {
    return null;
  }
}

function readHere(name: string, netns: string | null): Netdev {
  if (loadNative().sysIfIndex(name) === 0) {
    const names = ipJson<IpLink>(['link', 'show']).map((l) => l.ifname);
    const where = netns === null ? '' : ` in network namespace ${netns}`;
    throw new DriverError(
      'ENOIFACE',
      `--iface ${name}: no such interface${where}; there is ${names.join(', ') || 'none'}`,
    );
  }
  const link = loadNative().sysLink(name);
  const detail = ipJson<IpLink>(['-d', 'link', 'show', 'dev', name])[0]!;
  const channels = loadNative().sysChannels(name);
  const indir = loadNative().sysIndir(name);
  return {
    name,
    netns,
    index: link.index,
    driver: link.driver || detail.linkinfo?.info_kind || 'unknown',
    // Virtual drivers answer with nothing, or with words that name no place ("tap", "N/A").
    busInfo: /[0-9a-f]:[0-9a-f]|^usb|^[a-z]+\d/i.test(link.busInfo) ? link.busInfo : '',
    mac: link.mac,
    mtu: link.mtu,
    minMtu: detail.min_mtu ?? 68,
    maxMtu: detail.max_mtu || 65535,
    up: (link.flags & 0x1) !== 0,
    loopback: (link.flags & 0x8) !== 0,
    ethernet: detail.link_type === 'ether',
    queues: rxQueues(channels, loadNative().sysRxRings(name), detail.num_rx_queues ?? 1),
    channels,
    indir: indir === null ? null : Array.from(indir),
    xdpProgram: detail.xdp?.prog?.id ?? null,
    addresses: ipJson<IpAddr>(['-4', 'addr', 'show', 'dev', name]).flatMap((a) =>
      // iproute2 prints {} for interfaces that the filter leaves out.
      (a.addr_info ?? []).map((i) => ({ address: i.local, prefix: i.prefixlen })),
    ),
    addresses6: ipJson<IpAddr>(['-6', 'addr', 'show', 'dev', name]).flatMap((a) =>
      (a.addr_info ?? []).map((i) => i.local),
    ),
    routes: routesThrough(ipJson<IpRoute>(['-4', 'route', 'show', 'table', 'main']), name),
    defaultRoute6: ipJson<IpRoute>(['-6', 'route', 'show', 'default']).some(
      (r) => r.dev === name || r.nexthops?.some((h) => h.dev === name),
    ),
    peer: detail.linkinfo?.info_kind === 'veth' ? vethPeer(detail) : null,
  };
}

/**
 * Receive queues in use: channels that receive (their own and the combined ones), else the rings of ETHTOOL_GRXRINGS, else what the
 * device was created with.
 */
export function rxQueues(channels: NativeChannels | null, rings: number, created: number): number {
  if (channels !== null && channels.rx + channels.combined > 0) return channels.rx + channels.combined;
  return rings > 0 ? rings : Math.max(1, created);
}

function routesThrough(routes: readonly IpRoute[], dev: string): KernelRoute[] {
  const out: KernelRoute[] = [];
  for (const r of routes) {
    // Blackhole and the like carry no device, and multicast or local routes are no way out.
    if (r.type !== undefined && r.type !== 'unicast') continue;
    const [network = '', length = '32'] = (r.dst === 'default' ? '0.0.0.0/0' : r.dst).split('/');
    for (const hop of r.nexthops ?? [r]) {
      if (hop.dev !== dev) continue;
      out.push({
        network,
        prefix: Number(length),
        gateway: hop.gateway ?? null,
        prefsrc: r.prefsrc ?? null,
        metric: r.metric ?? 0,
      });
    }
  }
  return out;
}

/** The other end of a veth: by name in the same namespace, else in the named one that the kernel numbers `link_netnsid`. */
function vethPeer(link: IpLink): VethPeer | null {
  try {
    if (link.link !== undefined) return peerHere(link.link, null);
    if (link.link_netnsid === undefined || link.link_index === undefined) return null;
    const ids = ipJson<{ nsid: number; name?: string }>(['netns', 'list-id']);
    const netns = ids.find((i) => i.nsid === link.link_netnsid)?.name;
    if (netns === undefined) return null;
    return withNetns(netns, () => {
      const name = ipJson<IpLink>(['link', 'show']).find((l) => l.ifindex === link.link_index)?.ifname;
      return name === undefined ? null : peerHere(name, netns);
    });
  } catch {
    // A peer that cannot be seen is one that cannot be set either: set-up does without.
    return null;
  }
}

function peerHere(name: string, netns: string | null): VethPeer | null {
  const channels = loadNative().sysChannels(name);
  return channels === null ? null : { name, index: loadNative().sysIfIndex(name), netns, channels };
}

/**
 * Sets the MTU. Write the former one to the undo file first. Throws DriverError EMTU outside the driver's range and ENOPERM.
 */
export function setMtu(dev: Netdev, mtu: number): void {
  checkMtu(dev, mtu);
  withNetns(dev.netns, () => {
    try {
      loadNative().sysSetMtu(dev.name, mtu);
    } catch (err) {
      const code = (err as NodeJS.ErrnoException).code;
      if (code === 'EPERM')
        throw new DriverError('ENOPERM', `--mtu ${mtu}: changing the MTU of ${dev.name} needs root (CAP_NET_ADMIN)`);
      throw new DriverError(
        'ENARROW',
        `--mtu ${mtu}: ${dev.name} (${dev.driver}) refuses it: ${code}; see ip -d link show ${dev.name}`,
      );
    }
  });
}

/** Throws DriverError EMTU unless the driver can have `mtu`; changes nothing. */
export function checkMtu(dev: Netdev, mtu: number): void {
  const min = Math.max(68, dev.minMtu);
  if (!Number.isInteger(mtu) || mtu < min || mtu > dev.maxMtu) {
    throw new DriverError('EMTU', `--mtu ${mtu}: ${dev.name} takes whole numbers from ${min} to ${dev.maxMtu}`);
  }
}
