import { LIMIT_SYSCTLS } from './sysctl-limits.ts';
import { SIFTR_SYSCTLS } from './sysctl-siftr.ts';
import { TCP_SYSCTLS } from './sysctl-tcp.ts';

/** A knob with a number: `bool` is 0 or 1, as sysctl(8) shows it. */
export interface SysctlNumber {
  /** The FreeBSD name, where FreeBSD has such a knob. */
  readonly name: string;
  /** Field of `Tunables`. */
  readonly field: string;
  readonly type: 'int' | 'uint' | 'bool';
  /** Smallest and largest value, both allowed. */
  readonly min: number;
  readonly max: number;
  readonly default: number;
  /** rw: at any time; boot: only before the stack starts; ro: never. */
  readonly rw: 'rw' | 'ro' | 'boot';
  readonly unit?: string;
  /** Writing 1 does something, once; it holds nothing and reads 0. */
  readonly action?: true;
  readonly descr: string;
}

/** A knob with a text. It has no field in `Tunables`: no packet needs it. */
export interface SysctlString {
  readonly name: string;
  readonly field: string;
  readonly type: 'string';
  /** Most bytes in UTF-8; at least one. */
  readonly maxLength: number;
  /** An empty text is a value. */
  readonly empty?: true;
  /** The only texts allowed, at the time of asking. */
  readonly allowed?: () => readonly string[];
  readonly default: string;
  readonly rw: 'rw' | 'ro' | 'boot';
  /** Shown only where it is named. */
  readonly skip?: boolean;
  /** A key of so many bytes, in hexadecimal digits. It can be written and never read. */
  readonly keyBytes?: number;
  readonly unit?: string;
  readonly descr: string;
}

export type SysctlDecl = SysctlNumber | SysctlString;

/**
 * Every knob, declared once. Names and units are FreeBSD 14's where it has the knob, and so are the
 * defaults unless the description says otherwise. Values are kept as declared here:
 * milliseconds stay milliseconds.
 */
export const SYSCTLS = [
  {
    name: 'net.inet.ip.ttl',
    field: 'ip_ttl',
    type: 'int',
    min: 1,
    max: 255,
    default: 64,
    rw: 'rw',
    descr: 'Time to live of packets that this host originates',
  },
  {
    name: 'net.inet.ip.mtudisctimeout',
    field: 'ip_mtudisctimeout',
    type: 'uint',
    min: 0,
    max: 86400,
    default: 600,
    rw: 'rw',
    unit: 's',
    descr: 'Age at which a path MTU that ICMP told is given up and a larger one tried; 0 is never (an OpenBSD name)',
  },
  {
    name: 'net.inet.icmp.icmplim',
    field: 'icmp_icmplim',
    type: 'uint',
    min: 0,
    max: 1000000,
    default: 200,
    rw: 'rw',
    unit: 'messages/s',
    descr: 'Limit of ICMP errors and of TCP resets, each, per second and shard; 0 is no limit',
  },
  {
    name: 'net.inet.icmp.icmplim_echo',
    field: 'icmp_icmplim_echo',
    type: 'uint',
    min: 0,
    max: 1000000,
    default: 10000,
    rw: 'rw',
    unit: 'messages/s',
    descr:
      'Echo replies a second and shard, 0 = no limit (ours: FreeBSD counts them into icmplim, which a ping -f exceeds)',
  },
  {
    name: 'net.inet.icmp.bmcastecho',
    field: 'icmp_bmcastecho',
    type: 'bool',
    min: 0,
    max: 1,
    default: 0,
    rw: 'rw',
    descr: 'Answer echo requests to broadcast and multicast addresses',
  },
  {
    name: 'net.link.ether.inet.max_age',
    field: 'arp_max_age',
    type: 'int',
    min: 1,
    max: 86400,
    default: 1200,
    rw: 'rw',
    unit: 's',
    descr: 'Life of a resolved ARP entry',
  },
  {
    name: 'net.link.ether.inet.maxtries',
    field: 'arp_maxtries',
    type: 'int',
    min: 1,
    max: 100,
    default: 5,
    rw: 'rw',
    descr: 'ARP requests sent before the packets that wait are dropped',
  },
  {
    name: 'net.link.ether.inet.wait',
    field: 'arp_wait',
    type: 'int',
    min: 1,
    max: 3600,
    default: 20,
    rw: 'rw',
    unit: 's',
    descr: 'How long an address that did not answer is held to be down',
  },
  {
    name: 'net.link.ether.inet.maxhold',
    field: 'arp_maxhold',
    type: 'int',
    min: 1,
    max: 1024,
    default: 16,
    rw: 'rw',
    unit: 'packets',
    descr: 'Packets that wait for one ARP answer',
  },
  ...TCP_SYSCTLS,
  ...LIMIT_SYSCTLS,
  {
    name: 'kern.ipc.soacceptqueue',
    field: 'ipc_soacceptqueue',
    type: 'uint',
    min: 1,
    max: 65535,
    default: 128,
    rw: 'rw',
    unit: 'connections',
    descr: 'Longest queue of connections to accept that a listener may ask for',
  },
  {
    name: 'kern.ipc.maxsockbuf',
    field: 'ipc_maxsockbuf',
    type: 'uint',
    min: 2048,
    max: 1073725440,
    default: 2097152,
    rw: 'rw',
    unit: 'bytes',
    descr: 'Largest socket buffer',
  },
  ...SIFTR_SYSCTLS,
] as const satisfies readonly SysctlDecl[];
