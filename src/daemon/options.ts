import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { z } from 'zod';
import { parseIPv4 } from '../net/address.ts';
import { inetNtoa, prefixMask } from '../stack/net/in-addr.ts';
import { SystemError, UserError } from './errors.ts';
import {
  address,
  assignment,
  Bad,
  FORCE_REASONS,
  flag,
  force,
  hostPort,
  iface,
  items,
  oneOf,
  path,
  pipe,
  serveList,
  socketPath,
  text,
  unicast,
  whole,
  word,
} from './option-values.ts';
import { NICE_DEFAULT } from './priority.ts';
import { defaultServices, services } from './services/index.ts';
import { nearest, parseDuration, parseSize } from './units.ts';
import { parseUnixLink, UNIX_PREFIX, type UnixLinkSpec } from './unix-option.ts';

/**
 * The options of `xsiftr --iface …`, declared once: this schema checks the command line and the YAML file of `--config` alike, and
 * its metadata makes the help text (src/cli/program.ts). Every refusal is one line: what was given, what is allowed, what to do.
 */

const CC_ALLOWED = 'allowed is the name of a congestion control, a file or a package';

/** Longest packet that fits a frame of 4096 bytes behind the kernel's headroom of 256, with an Ethernet header and one VLAN tag. */
export const MAX_MTU = 3822;

/** What the help text shows about an option; `group` is its heading. */
export interface OptionMeta {
  readonly flags: string;
  readonly help: string;
  readonly group: 'Interface' | 'Addresses and services' | 'Emulated links' | 'SIFTR' | 'Watching' | 'Running';
  readonly repeat?: boolean;
}

/** One option: its help and the parser of its value, which gets a string from the command line and any YAML value from a file. */
function option<T>(meta: OptionMeta, parse: (given: unknown) => T) {
  return z
    .unknown()
    .transform((given, ctx): T => {
      try {
        return parse(given);
      } catch (err) {
        if (!(err instanceof Bad)) throw err;
        ctx.addIssue({ code: 'custom', message: err.message, params: { given } });
        return z.NEVER;
      }
    })
    .meta({ ...meta });
}

/** The schema. Keys are the option names in camelCase, as commander gives them; a YAML file has the names of the command line. */
export const runSchema = z.strictObject({
  iface: option(
    {
      flags: '-i, --iface <IF>',
      help: 'the interface to take over; or a link over a Unix socket, which needs no rights: unix:PATH,addr=A/LEN[,mode=ether|ip,role=server|client,gw=A,mac=MAC,mtu=N,name=NAME], repeatable (docs/unix-link.md)',
      group: 'Interface',
      repeat: true,
    },
    interfaces,
  ),
  queues: option(
    {
      flags: '-q, --queues <N>',
      help: 'serve its receive queues 0 to N-1, one thread each (default: all it has); fewer than all narrows its RSS while we run',
      group: 'Interface',
    },
    (g) =>
      whole(
        g,
        1,
        256,
        'allowed is a whole number from 1 up to the receive queues of the interface; leave it out to use all of them',
      ),
  ).optional(),
  netns: option(
    {
      flags: '--netns <NAME>',
      help: 'network namespace that the interface lives in; metrics and control stay here',
      group: 'Interface',
    },
    (g) => {
      const allowed = 'allowed is a name that ip netns list shows';
      const s = text(g, allowed);
      if (s.includes('/') || s === '.' || s === '..') throw new Bad(allowed);
      return s;
    },
  ).optional(),
  xdp: option(
    {
      flags: '--xdp <MODE>',
      help: 'auto, native or generic (drv and skb are accepted); auto tries native first',
      group: 'Interface',
    },
    (g) => oneOf(g, ['auto', 'native', 'generic'] as const, { drv: 'native', skb: 'generic' }),
  ).default('auto'),
  zeroCopy: option(
    { flags: '--zero-copy <MODE>', help: 'auto, on or off; auto tries zero-copy first', group: 'Interface' },
    (g) => oneOf(g, ['auto', 'on', 'off'] as const),
  ).default('auto'),
  exclusive: option(
    {
      flags: '--exclusive',
      help: 'claim every frame of the interface, not only those for our addresses',
      group: 'Interface',
    },
    flag,
  ).default(false),
  ringSize: option(
    { flags: '--ring-size <N>', help: 'descriptors in each ring, a power of two (default 2048)', group: 'Interface' },
    (g) => {
      const allowed = 'allowed is a power of two from 64 to 16384';
      const n = whole(g, 64, 16384, allowed);
      if ((n & (n - 1)) !== 0) throw new Bad(allowed);
      return n;
    },
  ).default(2048),
  mtu: option(
    {
      flags: '--mtu <BYTES>',
      help: 'set the MTU of the interface while we run (default: as it is)',
      group: 'Interface',
    },
    (g) =>
      whole(
        g,
        576,
        MAX_MTU,
        `allowed is a whole number from 576 to ${MAX_MTU} (a packet must fit one frame with its headroom)`,
      ),
  ).optional(),
  rxcsum: option(
    {
      flags: '--rxcsum <RULE>',
      help: 'what to do with received checksums: auto, strict, accept-partial or ignore; auto accepts partial ones on a veth only',
      group: 'Interface',
    },
    (g) => oneOf(g, ['auto', 'strict', 'accept-partial', 'ignore'] as const),
  ).default('auto'),
  keepChannels: option(
    {
      flags: '--keep-channels',
      help: 'refuse to narrow RSS for fewer queues; name the ethtool line instead',
      group: 'Interface',
    },
    flag,
  ).default(false),
  force: option(
    {
      flags: '--force [REASONS]',
      help: `take the interface although it carries ${FORCE_REASONS.join(', ')} (a list; alone: all but ssh, which needs --duration too)`,
      group: 'Interface',
    },
    force,
  ).default([]),

  addr: option(
    {
      flags: '-a, --addr <A/LEN>',
      help: "an address of our own, repeatable; the kernel's stay reachable (default: adopt the kernel's addresses, MTU and routes)",
      group: 'Addresses and services',
      repeat: true,
    },
    (g) => items(g, false).map(address),
  ).default([]),
  gateway: option(
    { flags: '-g, --gateway <A>', help: 'default route of our stack', group: 'Addresses and services' },
    (g) => {
      const wrong = 'not an IPv4 address; write A.B.C.D';
      const addr = parseIPv4(word(g, wrong));
      if (addr === undefined) throw new Bad(wrong);
      unicast(addr);
      return addr;
    },
  ).optional(),
  serve: option(
    {
      flags: '-s, --serve <LIST>',
      help: `built-in services, or none: ${services.map((v) => `${v.name} ${v.port}`).join(', ')} (default ${defaultServices.join(',')})`,
      group: 'Addresses and services',
    },
    serveList,
  ).default([...defaultServices]),
  cc: option(
    {
      flags: '--cc <NAME|FILE>',
      help: 'congestion control of new connections; a file or package is loaded; repeatable, the first is the default (default cubic)',
      group: 'Addresses and services',
      repeat: true,
    },
    (g) => items(g, false).map((v) => word(v, CC_ALLOWED)),
  ).default([]),
  sysctl: option(
    {
      flags: '--sysctl <NAME=VALUE>',
      help: 'set a sysctl before the first packet, repeatable; xsiftr sysctl -ad lists and describes them',
      group: 'Addresses and services',
      repeat: true,
    },
    (g) => items(g, false).map(assignment),
  ).default([]),
  sockets: option(
    {
      flags: '--sockets <PATH>',
      help: 'Unix socket over which other programs open sockets on this stack (docs/endpoint.md)',
      group: 'Addresses and services',
    },
    socketPath,
  ).optional(),

  pipe: option(
    {
      flags: '--pipe <PIPE>',
      help: 'an emulated link on the way in or out, repeatable, as out,bw=10Mbit/s,delay=20ms,queue=50,plr=0.01 (docs/dummynet.md)',
      group: 'Emulated links',
      repeat: true,
    },
    (g) => items(g, false).map(pipe),
  ).default([]),

  siftrLog: option(
    {
      flags: '--siftr-log <FILE>',
      help: 'where SIFTR writes; - is standard output (default /var/log/siftr.log)',
      group: 'SIFTR',
    },
    path,
  ).default('/var/log/siftr.log'),
  siftrLimit: option(
    {
      flags: '--siftr-limit <SIZE>',
      help: 'stop logging after SIZE has been added to the file, as 500M or 2G (default: the lesser of 4G and a tenth of the free space)',
      group: 'SIFTR',
    },
    (g) => {
      const allowed = 'allowed is a size of at least 4K, as 500M or 2G';
      const n = typeof g === 'number' ? Math.floor(g) : parseSize(word(g, allowed));
      if (n === null || n < 4096) throw new Bad(allowed);
      return n;
    },
  ).optional(),
  siftr: option(
    {
      flags: '--no-siftr',
      help: 'start with SIFTR off, as Unix links do without --siftr-log; xsiftr sysctl net.inet.siftr.enabled=1 turns it on',
      group: 'SIFTR',
    },
    flag,
  ).default(true),
  siftrPpl: option(
    { flags: '--siftr-ppl <N>', help: 'log every N-th packet of a connection (default 1)', group: 'SIFTR' },
    (g) => whole(g, 1, 0xffffffff, 'allowed is a whole number from 1 to 4294967295'),
  ).optional(),
  siftrPortFilter: option(
    {
      flags: '--siftr-port-filter <P>',
      help: 'log only packets from or to TCP port P (default 0: all)',
      group: 'SIFTR',
    },
    (g) => whole(g, 0, 65535, 'allowed is a port from 1 to 65535, or 0 for all'),
  ).optional(),

  metrics: option(
    {
      flags: '--metrics <HOST:PORT>',
      help: 'serve /metrics and /healthz there, or none (default 127.0.0.1:9464)',
      group: 'Watching',
    },
    hostPort,
  ).default({
    host: '127.0.0.1',
    port: 9464,
  }),
  control: option(
    { flags: '--control <PATH>', help: 'control socket (default /run/xsiftr/IF.sock)', group: 'Watching' },
    socketPath,
  ).optional(),
  logLevel: option(
    {
      flags: '--log-level <LEVEL>',
      help: 'diagnostics on standard error: debug, info, warn, error or silent (default info)',
      group: 'Watching',
    },
    (g) => oneOf(g, ['debug', 'info', 'warn', 'error', 'silent'] as const, { off: 'silent' }),
  ).default('info'),
  json: option(
    { flags: '--json', help: 'print the summary at the end as one JSON object', group: 'Watching' },
    flag,
  ).default(false),

  busyPoll: option(
    { flags: '--busy-poll', help: 'never sleep: each queue keeps a core busy', group: 'Running' },
    flag,
  ).default(false),
  nice: option(
    {
      flags: '--nice <N>',
      help: `priority of the threads, from -20 (first) to 19 (default ${NICE_DEFAULT}: packets before programs)`,
      group: 'Running',
    },
    (g) => {
      const allowed = 'allowed is a whole number from -20 to 19';
      const text = word(g, allowed);
      const n = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
      if (!(n >= -20 && n <= 19)) throw new Bad(allowed);
      return n;
    },
  ).optional(),
  duration: option(
    {
      flags: '-t, --duration <TIME>',
      help: 'stop after TIME, as 10s, 5m or 1h30m (a bare number is seconds)',
      group: 'Running',
    },
    (g) => {
      const allowed = 'allowed is a time up to 24 days, as 10s, 5m or 1h30m';
      const ms = parseDuration(word(g, allowed));
      if (ms === null || ms <= 0 || ms > 0x7fffffff) throw new Bad(allowed);
      return ms;
    },
  ).optional(),
  user: option(
    {
      flags: '-u, --user <NAME>',
      help: 'run as this user after set-up (capabilities are dropped either way)',
      group: 'Running',
    },
    (g) => {
      const s = text(g, 'allowed is the name of a user');
      if (/[:\s]/.test(s)) throw new Bad('allowed is the name of a user');
      return s;
    },
  ).optional(),
  dryRun: option(
    { flags: '-n, --dry-run', help: 'print all that would change and touch nothing', group: 'Running' },
    flag,
  ).default(false),
});

/** The checked options of a run. */
export type RunOptions = Omit<z.output<typeof runSchema>, 'iface'> & {
  /** Name of the network interface, or of the first link. */
  readonly iface: string;
  /** The Unix links; none where it is a network interface. */
  readonly links: readonly UnixLinkSpec[];
};

/** One network interface, or any number of Unix links. */
function interfaces(given: unknown): { nic: string | null; links: UnixLinkSpec[] } {
  const list = items(given, false);
  const isLink = (v: unknown): v is string => typeof v === 'string' && v.startsWith(UNIX_PREFIX);
  const links = list.filter(isLink).map((v, i) => parseUnixLink(v.slice(UNIX_PREFIX.length), i, MAX_MTU));
  if (links.length > 0 && links.length < list.length) {
    throw new Bad('a network interface and Unix links do not mix in one process; start one for each');
  }
  if (links.length === 0) {
    if (list.length !== 1) throw new Bad('allowed is one network interface, or any number of Unix links (unix:PATH)');
    return { nic: iface(list[0]), links };
  }
  links.forEach((l, i) => {
    if (links.findIndex((o) => o.name === l.name) < i) {
      throw new Bad(`two links are called ${l.name}; give each a name of its own with name=`);
    }
    if (l.role === 'server' && links.findIndex((o) => o.role === 'server' && o.path === l.path) < i) {
      throw new Bad(`two links listen at ${l.path}; give each a path of its own`);
    }
  });
  return { nic: null, links };
}

/** Options that say something about a network interface, which Unix links have nothing of. */
const NIC_ONLY = [
  'queues',
  'netns',
  'xdp',
  'zeroCopy',
  'exclusive',
  'mtu',
  'rxcsum',
  'keepChannels',
  'force',
  'addr',
  'gateway',
] as const;

/** What goes with Unix links. */
function checkLinkOptions(merged: Readonly<Record<string, unknown>>, links: readonly UnixLinkSpec[]): void {
  for (const key of NIC_ONLY) {
    if (merged[key] === undefined) continue;
    const name = optionMetas().find((o) => o.key === key)!.name;
    throw new UserError(
      `--${name}: is for a network interface; what a Unix link has stands behind its path, as unix:PATH,addr=192.0.2.1/24,gw=192.0.2.254,mtu=1500`,
    );
  }
  for (const l of links) {
    if (l.addrs.length > 0) continue;
    throw new UserError(`--iface unix:${l.path}: it has no address; give it one, as unix:${l.path},addr=192.0.2.1/24`);
  }
}

/** What help and the readers of names need of each option, in the order of declaration. */
export function optionMetas(): { key: string; name: string; meta: OptionMeta }[] {
  return Object.entries(runSchema.shape).map(([key, field]) => {
    // `.optional()` and `.default()` wrap the schema that carries the metadata.
    const inner = 'unwrap' in field ? field.unwrap() : field;
    const meta = inner.meta() as unknown as OptionMeta;
    return { key, name: /--(?:no-)?([a-z-]+)/.exec(meta.flags)![1]!, meta };
  });
}

/** Options of the command line that are no part of the schema because they say where to find the rest. */
export const CONFIG_FLAGS = '-c, --config <FILE>';

/**
 * Reads a YAML file of options. The names are those of the command line (`siftr-log: /tmp/a.log`, `no-siftr: true`).
 * @returns values by the schema's camelCase keys, unchecked
 * @throws UserError for a file that is not YAML, not a map or names an unknown option; SystemError for one that cannot be read
 */
export async function readConfig(file: string): Promise<Record<string, unknown>> {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (err) {
    throw new SystemError(
      `--config ${file}: cannot be read (${(err as NodeJS.ErrnoException).code}); give a readable YAML file`,
    );
  }
  const { parse } = await import('yaml');
  let doc: unknown;
  try {
    doc = parse(source);
  } catch (err) {
    throw new UserError(`--config ${file}: not YAML: ${(err as Error).message.split('\n')[0]}`);
  }
  if (doc === null || doc === undefined) return {};
  if (typeof doc !== 'object' || Array.isArray(doc))
    throw new UserError(`--config ${file}: allowed is a map of options, as "iface: ix1"`);
  const keys = new Map(optionMetas().map((o) => [o.name, o.key]));
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(doc)) {
    if (name === 'no-siftr') {
      out.siftr = value === true ? false : value === false ? true : value;
      continue;
    }
    const key = keys.get(name);
    if (key === undefined) throw new UserError(`--config ${file}: ${unknownOption(name, false)}`);
    out[key] = value;
  }
  return out;
}

/** The refusal of an option that does not exist. */
export function unknownOption(name: string, dashes = true): string {
  const d = dashes ? '--' : '';
  const names = optionMetas().map((o) => (o.key === 'siftr' ? 'no-siftr' : o.name));
  // A file cannot name a file.
  if (dashes) names.push('config');
  const near = nearest(name.replace(/^-+/, ''), names);
  return `unknown option ${d}${name.replace(/^-+/, '')}${near === null ? '' : ` (${d}${near}?)`}; allowed are ${names.map((n) => d + n).join(', ')}`;
}

/**
 * Checks the options of a run. What the command line says wins over the file.
 * @param given  values by camelCase key, as commander gives them
 * @param file   values of `--config` by camelCase key, and its name for messages
 * @throws UserError with one line for the first thing that is wrong
 */
export function parseRunOptions(
  given: Readonly<Record<string, unknown>>,
  file?: { name: string; values: Record<string, unknown> },
): RunOptions {
  const merged: Record<string, unknown> = { ...file?.values };
  for (const [key, value] of Object.entries(given)) if (value !== undefined) merged[key] = value;
  if (merged.iface === undefined) {
    throw new UserError(
      '--iface is missing: name the interface to take over, as in xsiftr --iface ix1; ip -br link lists them; or a Unix link, as in xsiftr --iface unix:/tmp/link.sock,addr=192.0.2.1/24',
    );
  }
  const result = runSchema.safeParse(merged);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const key = String(issue.path[0] ?? '');
    const found = optionMetas().find((o) => o.key === key);
    const fromFile = file !== undefined && given[key] === undefined;
    const name = key === 'siftr' ? 'no-siftr' : (found?.name ?? key);
    if (found === undefined) throw new UserError(unknownOption(name, !fromFile));
    const where = fromFile ? `--config ${file.name}: ${name}` : `--${name}`;
    throw new UserError(`${where}${show(merged[key], fromFile)}: ${issue.message}`);
  }
  const { nic, links } = result.data.iface;
  // The default log is root's to write, and a Unix link is anybody's: there SIFTR is off until it is asked for.
  const siftr = result.data.siftr && (nic !== null || merged.siftr !== undefined || merged.siftrLog !== undefined);
  const opts: RunOptions = { ...result.data, iface: nic ?? links[0]!.name, links, siftr };
  if (links.length > 0) checkLinkOptions(merged, links);
  if (opts.force.includes('ssh') && opts.duration === undefined) {
    throw new UserError(
      '--force=ssh: needs --duration too, so that the session comes back by itself; add for example --duration 60s',
    );
  }
  const gw = opts.gateway;
  if (
    gw !== undefined &&
    opts.addr.length > 0 &&
    !opts.addr.some((a) => ((gw ^ a.addr) & prefixMask(a.prefixLen)) === 0)
  ) {
    throw new UserError(
      `--gateway ${inetNtoa(gw)}: lies on no network of --addr; give an address that the gateway shares a network with`,
    );
  }
  return opts;
}

/** Longest value that a refusal repeats whole. */
const SHOWN_MAX = 80;

/**
 * A value for the refusal of it, with a blank before; nothing for what has no text of its own. A list of the command line is an option
 * that was repeated; what a file has is shown with its brackets.
 */
function show(given: unknown, fromFile: boolean): string {
  let words = given === true || given === null ? '' : String(given);
  if (typeof given === 'object' && given !== null && fromFile) {
    words = inspect(given, { breakLength: Infinity, compact: true, depth: Infinity });
  }
  const shown = words.length > SHOWN_MAX ? `${words.slice(0, SHOWN_MAX)}…` : words;
  return shown === '' ? '' : ` ${shown}`;
}
