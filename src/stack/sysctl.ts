import { SYSCTLS, type SysctlDecl, type SysctlNumber } from './sysctl-decl.ts';

export { SYSCTLS, type SysctlDecl, type SysctlNumber, type SysctlString } from './sysctl-decl.ts';

/**
 * The numbers that the stack reads, one field a knob, written out so that the object has one shape and every read is a plain
 * load. Defaults repeat SYSCTLS; test/unit/stack/sysctl.test.ts keeps the two in step. Units as declared there.
 */
export class Tunables {
  ip_ttl = 64;
  ip_mtudisctimeout = 600;
  icmp_icmplim = 200;
  icmp_icmplim_echo = 10000;
  icmp_bmcastecho = 0;
  arp_max_age = 1200;
  arp_maxtries = 5;
  arp_wait = 20;
  arp_maxhold = 16;
  tcp_mssdflt = 536;
  tcp_v6mssdflt = 1220;
  tcp_minmss = 216;
  tcp_sendspace = 32768;
  tcp_recvspace = 65536;
  tcp_sendbuf_auto = 1;
  tcp_sendbuf_inc = 8192;
  tcp_sendbuf_max = 2097152;
  tcp_recvbuf_auto = 1;
  tcp_recvbuf_max = 2097152;
  tcp_delayed_ack = 1;
  tcp_delacktime = 40;
  tcp_keepidle = 7200000;
  tcp_keepintvl = 75000;
  tcp_keepinit = 75000;
  tcp_keepcnt = 8;
  tcp_always_keepalive = 1;
  tcp_maxunacktime = 0;
  tcp_msl = 30000;
  tcp_finwait2_timeout = 60000;
  tcp_rexmit_initial = 1000;
  tcp_rexmit_min = 30;
  tcp_rexmit_slop = 200;
  tcp_persmin = 5000;
  tcp_persmax = 60000;
  tcp_rfc1323 = 1;
  tcp_sack_enable = 1;
  tcp_initcwnd_segments = 10;
  tcp_rfc3042 = 1;
  tcp_rack = 1;
  tcp_tlp = 1;
  tcp_frto = 1;
  tcp_idle_reduce = 1;
  tcp_newcwv = 0;
  tcp_pacing = 0;
  tcp_pacing_ss = 200;
  tcp_pacing_ca = 120;
  tcp_ecn_enable = 2;
  tcp_ecn_maxretries = 1;
  tcp_blackhole = 0;
  tcp_drop_synfin = 0;
  tcp_insecure_rst = 0;
  tcp_insecure_syn = 0;
  tcp_insecure_ack = 0;
  tcp_tolerate_missing_ts = 1;
  tcp_ack_war_timewindow = 1000;
  tcp_ack_war_cnt = 5;
  tcp_path_mtu_discovery = 1;
  tcp_pmtud_blackhole_detection = 0;
  tcp_pmtud_blackhole_mss = 1200;
  tcp_v6pmtud_blackhole_mss = 1220;
  tcp_plpmtud_enable = 0;
  tcp_plpmtud_base = 1200;
  tcp_plpmtud_max_probes = 3;
  tcp_plpmtud_probe_interval = 1000;
  tcp_plpmtud_raise_interval = 600;
  tcp_plpmtud_threshold = 8;
  tcp_hc_enable = 1;
  tcp_hc_cachelimit = 15360;
  tcp_hc_hashsize = 512;
  tcp_hc_bucketlimit = 30;
  tcp_hc_count = 0;
  tcp_hc_expire = 3600;
  tcp_hc_prune = 300;
  tcp_hc_purge = 0;
  tcp_hc_purgenow = 0;
  tcp_reass_maxqueuelen = 1536;
  tcp_syncookies = 1;
  tcp_syncookies_only = 0;
  tcp_fastopen_server_enable = 0;
  tcp_fastopen_client_enable = 1;
  tcp_fastopen_acceptany = 0;
  tcp_fastopen_autokey = 120;
  tcp_fastopen_keylen = 16;
  tcp_fastopen_maxkeys = 2;
  tcp_fastopen_numkeys = 0;
  tcp_fastopen_psk_enable = 0;
  tcp_fastopen_maxpsks = 2;
  tcp_fastopen_numpsks = 0;
  tcp_fastopen_ccache_buckets = 2048;
  tcp_fastopen_ccache_bucket_limit = 16;
  tcp_fastopen_path_disable_time = 900;
  tcp_syncache_hashsize = 512;
  tcp_syncache_bucketlimit = 30;
  tcp_syncache_cachelimit = 15360;
  tcp_syncache_rexmtlimit = 3;
  ipc_soacceptqueue = 128;
  ipc_maxsockbuf = 2097152;
  tcp_fast_finwait2_recycle = 0;
  tcp_reass_maxsegments = 0;
  tcp_sack_maxholes = 1024;
  tcp_sack_globalmaxholes = 65536;
  ipc_sockbuf_waste_factor = 8;
  ipc_maxmbufmem = 268435456;
  siftr_enabled = 0;
  siftr_ppl = 1;
  siftr_ppl_first = 0;
  siftr_ppl_dir = 0;
  siftr_port_filter = 0;
  siftr_cwnd_filter = 0;
  siftr_strict = 0;
  siftr_logfile_markers = 1;
  siftr_qlen = 65536;
  siftr_flow_max = 1048576;
  siftr_flow_list_max_bytes = 0;
}

/** A refused name or value: one line that says what was given and what is allowed. */
export class SysctlError extends Error {
  override readonly name = 'SysctlError';
  /** ENOENT: no such name; EPERM: may not be written (now); EINVAL: not a value for it. */
  readonly code: 'ENOENT' | 'EPERM' | 'EINVAL';
  /** A mistake of the user: commands end with this status. */
  readonly exitCode = 2;

  constructor(code: 'ENOENT' | 'EPERM' | 'EINVAL', message: string) {
    super(message);
    this.code = code;
  }
}

const byName: ReadonlyMap<string, SysctlDecl> = new Map(SYSCTLS.map((d) => [d.name, d]));

/** The declaration of a full name. Throws ENOENT, or EINVAL for a node that has names below it. */
export function findSysctl(name: string): SysctlDecl {
  const decl = byName.get(name);
  if (decl !== undefined) return decl;
  if (SYSCTLS.some((d) => d.name.startsWith(`${name}.`))) {
    throw new SysctlError('EINVAL', `oid '${name}' isn't a leaf node`);
  }
  throw new SysctlError('ENOENT', `unknown oid '${name}'`);
}

/**
 * The knobs that a name stands for: itself, or everything below a node (`net.inet.tcp`), in declared order; all without a name.
 * Throws ENOENT when there is none.
 */
export function selectSysctls(name = ''): readonly SysctlDecl[] {
  if (name === '') return SYSCTLS;
  const exact = byName.get(name);
  if (exact !== undefined) return [exact];
  const below = SYSCTLS.filter((d) => d.name.startsWith(`${name}.`));
  if (below.length === 0) throw new SysctlError('ENOENT', `unknown oid '${name}'`);
  return below;
}

/** What values a knob takes, for refusals and documents: `1..255`, `0 or 1`, `1 to 1023 bytes of text`. */
export function sysctlRange(decl: SysctlDecl): string {
  if (decl.type === 'string' && decl.allowed !== undefined) return decl.allowed().join(', ');
  if (decl.type === 'string' && decl.keyBytes !== undefined) return `${2 * decl.keyBytes} hexadecimal digits`;
  if (decl.type === 'string') return `${decl.empty === true ? 0 : 1} to ${decl.maxLength} bytes of text`;
  if (decl.type === 'bool') return '0 or 1';
  return `${decl.min}..${decl.max}`;
}

const NUMBER = /^([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/;

/** Number bases as strtol(3) with base 0 finds them, which sysctl(8) uses: 0x hexadecimal, 0 octal, else decimal. */
function parseNumber(text: string): number {
  const m = NUMBER.exec(text.trim());
  if (m === null) return Number.NaN;
  const digits = m[2]!;
  const octal = digits.length > 1 && digits[0] === '0' && /^[0-7]+$/.test(digits);
  const value = octal ? Number.parseInt(digits, 8) : Number(digits);
  return m[1] === '-' && value !== 0 ? -value : value;
}

/**
 * Checks a text for a knob and gives the value. Unlike sysctl(8), which cuts numbers to the width, a value out of range is refused.
 * Throws EINVAL; the message begins with `name=text`.
 */
export function parseSysctl(decl: SysctlDecl, text: string): number | string {
  const refuse = (why: string) => {
    const unit = decl.unit === undefined ? '' : ` ${decl.unit}`;
    return new SysctlError('EINVAL', `${decl.name}=${text}: ${why}; allowed: ${sysctlRange(decl)}${unit}`);
  };
  if (decl.type === 'string') {
    if (text === '' && decl.empty === true) return text;
    if (text === '') throw refuse('empty value');
    if (decl.keyBytes !== undefined && text !== decl.default) {
      if (text.length !== 2 * decl.keyBytes || !/^[0-9a-fA-F]*$/.test(text)) throw refuse('not a key');
      return text;
    }
    if (text.includes('\0')) throw refuse('a zero byte in it');
    if (utf8Length(text) > decl.maxLength) throw refuse('too long');
    if (decl.allowed !== undefined && !decl.allowed().includes(text))
      throw refuse(decl.name.startsWith('net.inet.tcp.cc.') ? 'not loaded' : 'no value of it');
    return text;
  }
  if (text.trim() === '') throw refuse('empty numeric value');
  const value = parseNumber(text);
  if (Number.isNaN(value)) throw refuse(`invalid ${typeNames[decl.type]} '${text}'`);
  if (value < decl.min || value > decl.max) throw refuse('out of range');
  return value;
}

const typeNames = { int: 'integer', uint: 'unsigned integer', bool: 'switch' } as const;

function utf8Length(text: string): number {
  let n = 0;
  for (const c of text) {
    const p = c.codePointAt(0)!;
    n += p < 0x80 ? 1 : p < 0x800 ? 2 : p < 0x10000 ? 3 : 4;
  }
  return n;
}

export interface SysctlAssignment {
  readonly decl: SysctlDecl;
  readonly value: number | string;
}

/**
 * Parses `name=value`. `when` is `boot` for `--sysctl` and configuration files, `run` for a running stack.
 * Throws ENOENT, EPERM or EINVAL.
 */
export function parseAssignment(text: string, when: 'boot' | 'run'): SysctlAssignment {
  const eq = text.indexOf('=');
  if (eq <= 0) throw new SysctlError('EINVAL', `${text}: expected name=value`);
  const decl = findSysctl(text.slice(0, eq).trim());
  checkWritable(decl, when);
  return { decl, value: parseSysctl(decl, text.slice(eq + 1)) };
}

/** Throws EPERM when a knob may not be written at that time. */
export function checkWritable(decl: SysctlDecl, when: 'boot' | 'run'): void {
  if (decl.rw === 'ro') throw new SysctlError('EPERM', `oid '${decl.name}' is read only`);
  if (decl.rw === 'boot' && when === 'run') {
    throw new SysctlError(
      'EPERM',
      `oid '${decl.name}' is a read only tunable; set it at start with --sysctl ${decl.name}=VALUE`,
    );
  }
}

/** Reads the field of a numeric knob. */
export function getTunable(tune: Tunables, decl: SysctlNumber): number {
  return tune[decl.field as keyof Tunables];
}

/** Sets the field of a numeric knob to a value that `parseSysctl` gave. */
export function setTunable(tune: Tunables, decl: SysctlNumber, value: number): void {
  tune[decl.field as keyof Tunables] = value;
}
