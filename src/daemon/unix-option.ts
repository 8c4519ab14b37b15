import { PATH_MAX } from '../driver/unix/socket-file.ts';
import { parseIPv4 } from '../net/address.ts';
import { prefixMask } from '../stack/net/in-addr.ts';
import { type AddressOption, address, Bad, unicast, whole } from './option-values.ts';
import { nearest } from './units.ts';

/** `--iface unix:PATH[,key=value…]`: a link over a Unix socket (docs/unix-link.md). */

export interface UnixLinkSpec {
  /** Interface in counters and commands: letters, digits and `-_.`, at most 15. */
  readonly name: string;
  readonly path: string;
  /** Ethernet frames, or bare IP packets. */
  readonly mode: 'ether' | 'ip';
  readonly role: 'server' | 'client';
  readonly addrs: readonly AddressOption[];
  /** Default route, or 0. */
  readonly gateway: number;
  /** Station address `02:00:00:00:00:01`. */
  readonly mac: string;
  readonly mtu: number;
}

export const UNIX_PREFIX = 'unix:';

const KEYS = ['mode', 'role', 'addr', 'mac', 'mtu', 'gw', 'name'] as const;
type Key = (typeof KEYS)[number];

const MTU_DEFAULT = 1500;
const MTU_MIN = 576;

function allowed(key: Key, maxMtu: number): string {
  switch (key) {
    case 'mode':
      return 'mode=ether (frames, as QEMU and passt have them) or mode=ip (bare packets)';
    case 'role':
      return 'role=server (we listen) or role=client (we connect)';
    case 'addr':
      return 'addr=A.B.C.D/LEN, for example addr=192.0.2.1/24';
    case 'mac':
      return 'mac=XX:XX:XX:XX:XX:XX, an address of one station (the first number even)';
    case 'mtu':
      return `mtu=N with a whole number from ${MTU_MIN} to ${maxMtu}`;
    case 'gw':
      return 'gw=A.B.C.D, an address on a network of addr=';
    case 'name':
      return 'name=NAME with 1 to 15 letters, digits or any of - _ .';
  }
}

/**
 * Parses the text behind `unix:`.
 * @param index place among the links, for the default name `unix0`, `unix1` …
 * @throws Bad with what is allowed
 */
export function parseUnixLink(text: string, index: number, maxMtu: number): UnixLinkSpec {
  const [path = '', ...words] = text.split(',');
  if (path === '') {
    throw new Bad('allowed is unix:PATH, as unix:/tmp/link.sock,addr=192.0.2.1/24; PATH is missing (and has no comma)');
  }
  if (Buffer.byteLength(path) > PATH_MAX || path.includes('\0')) {
    throw new Bad(`the path of a Unix link has at most ${PATH_MAX} bytes`);
  }
  const values = new Map<Key, string[]>();
  for (const word of words) {
    const eq = word.indexOf('=');
    const name = eq < 0 ? word : word.slice(0, eq);
    const key = KEYS.find((k) => k === name);
    if (key === undefined || eq < 0) {
      const near = key ?? nearest(name, KEYS);
      throw new Bad(
        `${word} is no setting of a Unix link${near === null ? '' : ` (${near}=?)`}; allowed are ${KEYS.map((k) => `${k}=`).join(', ')}`,
      );
    }
    const seen = values.get(key);
    if (seen !== undefined && key !== 'addr') throw new Bad(`${key}= stands there twice; allowed is once`);
    values.set(key, [...(seen ?? []), word.slice(eq + 1)]);
  }
  const refuse = (key: Key): never => {
    throw new Bad(`${key}=${values.get(key)!.join()}: allowed is ${allowed(key, maxMtu)}`);
  };
  const one = (key: Key): string | undefined => values.get(key)?.[0];
  const addrs = (values.get('addr') ?? []).map((a) => address(a));
  const mode = one('mode') ?? 'ether';
  const role = one('role') ?? 'server';
  if (mode !== 'ether' && mode !== 'ip') return refuse('mode');
  if (role !== 'server' && role !== 'client') return refuse('role');
  if (mode === 'ip' && values.has('mac'))
    throw new Bad('mac= has no meaning with mode=ip: bare packets have no station');
  const mac = one('mac') ?? defaultMac(addrs);
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac) || (Number.parseInt(mac, 16) & 1) === 1 || /^[0:]*$/.test(mac))
    refuse('mac');
  const name = one('name') ?? `unix${index}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/.test(name)) refuse('name');
  return {
    name,
    path,
    mode,
    role,
    addrs,
    gateway: one('gw') === undefined ? 0 : gateway(one('gw')!, addrs, () => refuse('gw')),
    mac: mac.toLowerCase(),
    mtu:
      one('mtu') === undefined
        ? MTU_DEFAULT
        : whole(one('mtu'), MTU_MIN, maxMtu, `mtu=${one('mtu')}: allowed is ${allowed('mtu', maxMtu)}`),
  };
}

function gateway(text: string, addrs: readonly AddressOption[], refuse: () => never): number {
  const gw = parseIPv4(text);
  if (gw === undefined) return refuse();
  unicast(gw);
  if (!addrs.some((a) => ((gw ^ a.addr) & prefixMask(a.prefixLen)) === 0)) refuse();
  return gw;
}

/** A locally administered station address (IEEE 802 section 8.4) that is as unlike its neighbours' as the first IP address is. */
export function defaultMac(addrs: readonly AddressOption[]): string {
  const a = addrs[0]?.addr ?? 0;
  const bytes = [0x02, 0, (a >>> 24) & 0xff, (a >>> 16) & 0xff, (a >>> 8) & 0xff, a & 0xff];
  return bytes.map((b) => b.toString(16).padStart(2, '0')).join(':');
}
