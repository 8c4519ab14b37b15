import { readFileSync } from 'node:fs';
import { DriverError } from './driver-error.ts';
import { type Netdev, runTool } from './netdev.ts';
import { withNetns } from './netns.ts';
import { liveOwner, type RunDir } from './undo.ts';

/** Why taking addresses over from the kernel would hurt; each is also the word that `--force=` takes. */
export type Reason = 'default-route' | 'connections' | 'listeners' | 'ssh';

/** All reasons in the order in which they are reported. */
export const REASONS: readonly Reason[] = ['default-route', 'connections', 'listeners', 'ssh'];

/** One thing found: `text` is one line that says what, and which `--force=` overrides it. */
export interface Finding {
  reason: Reason;
  text: string;
}

export interface PreflightOptions {
  dev: Netdev;
  /** IPv4 addresses that the stack will claim on the wire; those that the kernel has on the interface are looked at. */
  claimed: readonly string[];
  /** `--exclusive`: every frame is claimed, so all addresses of the interface are. */
  exclusive?: boolean;
  /** Value of SSH_CONNECTION; default: of this process or of the nearest ancestor that has one (sudo takes it away). */
  sshConnection?: string | null;
}

/** A socket that the kernel has, of `ss -Htuanp`. */
export interface KernelSocket {
  proto: 'tcp' | 'udp';
  state: string;
  /** Address without zone; `*` for a wildcard of either family. */
  local: string;
  port: number;
  peer: string;
  peerPort: number;
  /** `sshd (pid 712)`, or empty where unknown. */
  process: string;
}

/**
 * What speaks against giving the addresses to the stack. Empty: nothing. Addresses of its own that the kernel has not are never a reason.
 */
export function preflight(options: PreflightOptions): Finding[] {
  const { dev } = options;
  const addresses = dev.addresses.map((a) => a.address);
  const taken =
    options.exclusive === true
      ? [...addresses, ...dev.addresses6]
      : addresses.filter((a) => options.claimed.includes(a));
  const out: Finding[] = [];
  if (taken.length === 0 && options.exclusive !== true) return out;
  const where = dev.netns === null ? '' : ` in ${dev.netns}`;

  const gateways = dev.routes.filter((r) => r.prefix === 0);
  if (gateways.length > 0 || (options.exclusive === true && dev.defaultRoute6)) {
    const via = gateways[0]?.gateway;
    out.push({
      reason: 'default-route',
      text: `${dev.name}${where} carries the default route${via ? ` (via ${via})` : ''}, which the kernel would lose; use another interface, --addr with an address of its own, or --force=default-route`,
    });
  }

  const sockets = kernelSockets(dev.netns);
  const live = sockets.filter((s) => s.proto === 'tcp' && isLive(s.state) && taken.includes(s.local));
  if (live.length > 0) {
    const list = someOf(live.map((s) => `${s.local}:${s.port} with ${s.peer}:${s.peerPort}${of(s.process)}`));
    out.push({
      reason: 'connections',
      text: `${count(live.length, 'live TCP connection')} of the kernel on ${dev.name}${where} would hang: ${list}; end them, use --addr, or --force=connections`,
    });
  }

  const listening = sockets.filter((s) => isListener(s) && (isWildcard(s.local, taken) || taken.includes(s.local)));
  if (listening.length > 0) {
    const list = someOf([...new Set(listening.map((s) => `${s.proto} ${s.local}:${s.port}${of(s.process)}`))]);
    out.push({
      reason: 'listeners',
      text: `${count(listening.length, 'kernel listener')} would no longer be reached at ${taken.join(', ')}: ${list}; stop them, use --addr, or --force=listeners`,
    });
  }

  const ssh = options.sshConnection === undefined ? callersSsh() : options.sshConnection;
  const server = ssh?.trim().split(/\s+/)[2];
  // A session of another namespace may have the same address; only the caller's own can be cut off.
  if (dev.netns === null && server !== undefined && taken.includes(unmapped(server))) {
    out.push({
      reason: 'ssh',
      text: `${unmapped(server)} on ${dev.name} carries your ssh session (from ${ssh!.trim().split(/\s+/)[0]}), which would hang; use --addr, or --force=ssh with --duration`,
    });
  }
  return out;
}

/**
 * The findings that `force` and `duration` do not override, with the text for what is missing. `durationMs` null: none given.
 * `ssh` needs both its word and a duration, so that the address comes back by itself.
 */
export function refused(
  findings: readonly Finding[],
  force: ReadonlySet<string>,
  durationMs: number | null,
): Finding[] {
  return findings.filter((f) => !force.has(f.reason) || (f.reason === 'ssh' && durationMs === null));
}

/** Throws DriverError EINUSE when another xsiftr or XDP program holds the interface already. */
export function checkFree(dev: Netdev, runDir?: RunDir): void {
  const where = dev.netns === null ? '' : ` in ${dev.netns}`;
  const owner = liveOwner(dev.name, dev.netns, runDir);
  if (owner !== null) {
    throw new DriverError(
      'EINUSE',
      `--iface ${dev.name}: xsiftr (pid ${owner}) runs on it already${where}; stop that one first, or choose another interface`,
    );
  }
  if (dev.xdpProgram !== null) {
    throw new DriverError(
      'EINUSE',
      `--iface ${dev.name}: XDP program ${dev.xdpProgram} is attached to it${where}; see bpftool prog show id ${dev.xdpProgram}, or take it off with ip link set ${dev.name} xdp off`,
    );
  }
}

/** Sockets of the namespace as the kernel lists them. Throws DriverError ETOOL when `ss` is missing. */
export function kernelSockets(netns: string | null): KernelSocket[] {
  return withNetns(netns, () => parseSs(runTool('ss', ['-H', '-t', '-u', '-a', '-n', '-p'])));
}

/** Reads the output of `ss -Htuanp`: a line a socket, sorted by port; lines of another shape are left out. */
export function parseSs(text: string): KernelSocket[] {
  const out: KernelSocket[] = [];
  for (const line of text.split('\n')) {
    const [proto, state, , , local, peer, ...rest] = line.trim().split(/\s+/);
    if ((proto !== 'tcp' && proto !== 'udp') || local === undefined || peer === undefined) continue;
    const l = splitPort(local);
    const p = splitPort(peer);
    const process = /\(\("([^"]+)",pid=(\d+)/.exec(rest.join(' '));
    out.push({
      proto,
      state: state!,
      local: l.address,
      port: l.port,
      peer: p.address,
      peerPort: p.port,
      process: process === null ? '' : `${process[1]} (pid ${process[2]})`,
    });
  }
  // ss lists by hash: a line must not change its wording from one look to the next.
  return out.sort((a, b) => a.port - b.port || a.peerPort - b.peerPort || (a.local < b.local ? -1 : 1));
}

/** `192.0.2.1%eth0:22`, `[::ffff:192.0.2.1]:22`, `*:22`, `[::]:22`, `0.0.0.0:*`. A v6-only wildcard stays `::`. */
function splitPort(text: string): { address: string; port: number } {
  const at = text.lastIndexOf(':');
  const address = unmapped(
    text
      .slice(0, at)
      .replace(/^\[|\]$/g, '')
      .replace(/\]?%.*$/, ''),
  );
  const port = text.slice(at + 1);
  return { address: address === '0.0.0.0' ? '*' : address, port: port === '*' ? 0 : Number(port) };
}

function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** Of use to somebody still: TIME-WAIT and CLOSED are the kernel's own business. */
function isLive(state: string): boolean {
  return state !== 'LISTEN' && state !== 'TIME-WAIT' && state !== 'UNCONN';
}

function isListener(s: KernelSocket): boolean {
  return s.proto === 'tcp' ? s.state === 'LISTEN' : s.state === 'UNCONN';
}

/** `::` is the wildcard of a socket for IPv6 alone, which only an IPv6 address that is taken concerns. */
function isWildcard(local: string, taken: readonly string[]): boolean {
  return local === '*' || (local === '::' && taken.some((a) => a.includes(':')));
}

function of(process: string): string {
  return process === '' ? '' : ` of ${process}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

/** At most four of them in the line. */
function someOf(items: readonly string[]): string {
  const shown = items.slice(0, 4).join(', ');
  return items.length <= 4 ? shown : `${shown} and ${items.length - 4} more`;
}

/** SSH_CONNECTION of this process, else of the nearest ancestor that has one: sudo and su take it out of the environment. */
export function callersSsh(): string | null {
  if (process.env['SSH_CONNECTION']) return process.env['SSH_CONNECTION'];
  let pid = process.ppid;
  for (let depth = 0; pid > 1 && depth < 32; depth++) {
    try {
      const found = /(?:^|\0)SSH_CONNECTION=([^\0]+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'));
      if (found !== null) return found[1]!;
      pid = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
    } catch {
      // Gone meanwhile, or another user's: the chain ends here.
      return null;
    }
  }
  return null;
}
