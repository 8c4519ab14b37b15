import { expect, test } from 'vitest';
import {
  checkWritable,
  findSysctl,
  getTunable,
  parseAssignment,
  parseSysctl,
  SYSCTLS,
  type SysctlNumber,
  selectSysctls,
  setTunable,
  sysctlRange,
  Tunables,
} from '../../../src/stack/sysctl.ts';

const numbers: readonly SysctlNumber[] = SYSCTLS.filter((d) => d.type !== 'string');

test('Tunables has a field for each declared number, no other, and each begins with its declared default', () => {
  const tune: Record<string, unknown> = { ...new Tunables() };
  expect(tune).toEqual(Object.fromEntries(numbers.map((d) => [d.field, d.default])));
});

test('names and fields are declared once, and defaults are in range', () => {
  expect(new Set(SYSCTLS.map((d) => d.name)).size).toBe(SYSCTLS.length);
  expect(new Set(SYSCTLS.map((d) => d.field)).size).toBe(SYSCTLS.length);
  for (const d of SYSCTLS) {
    expect(parseSysctl(d, String(d.default)), d.name).toBe(d.default);
    expect(d.descr, d.name).toMatch(/^[A-Z].*[^.]$/);
  }
});

// Defaults of FreeBSD 14 (tcp(4), icmp(4), arp(4), siftr(4), syncache(4)).
test.each([
  ['net.inet.ip.ttl', 64],
  ['net.inet.icmp.icmplim', 200],
  ['net.inet.icmp.bmcastecho', 0],
  ['net.link.ether.inet.max_age', 1200],
  ['net.link.ether.inet.maxtries', 5],
  ['net.link.ether.inet.wait', 20],
  ['net.inet.tcp.mssdflt', 536],
  ['net.inet.tcp.path_mtu_discovery', 1],
  ['net.inet.tcp.pmtud_blackhole_detection', 0],
  ['net.inet.tcp.pmtud_blackhole_mss', 1200],
  ['net.inet.tcp.v6pmtud_blackhole_mss', 1220],
  ['net.inet.tcp.v6mssdflt', 1220],
  ['net.inet.tcp.hostcache.enable', 1],
  ['net.inet.tcp.hostcache.cachelimit', 15360],
  ['net.inet.tcp.hostcache.hashsize', 512],
  ['net.inet.tcp.hostcache.bucketlimit', 30],
  ['net.inet.tcp.hostcache.expire', 3600],
  ['net.inet.tcp.hostcache.prune', 300],
  ['net.inet.tcp.delacktime', 40],
  ['net.inet.tcp.keepidle', 7200000],
  ['net.inet.tcp.keepintvl', 75000],
  ['net.inet.tcp.keepcnt', 8],
  ['net.inet.tcp.msl', 30000],
  ['net.inet.tcp.finwait2_timeout', 60000],
  ['net.inet.tcp.rexmit_initial', 1000],
  ['net.inet.tcp.rexmit_min', 30],
  ['net.inet.tcp.rexmit_slop', 200],
  ['net.inet.tcp.initcwnd_segments', 10],
  ['net.inet.tcp.newcwv', 0],
  ['net.inet.tcp.ack_war_timewindow', 1000],
  ['net.inet.tcp.ack_war_cnt', 5],
  ['net.inet.tcp.syncache.cachelimit', 15360],
  ['net.inet.tcp.maxunacktime', 0],
  ['net.inet.tcp.fast_finwait2_recycle', 0],
  ['net.inet.tcp.insecure_rst', 0],
  ['net.inet.tcp.insecure_syn', 0],
  ['net.inet.tcp.tolerate_missing_ts', 1],
  ['net.inet.tcp.drop_synfin', 0],
  ['net.inet.tcp.blackhole', 0],
  ['net.inet.tcp.rfc1323', 1],
  ['net.inet.tcp.sack.enable', 1],
  ['net.inet.tcp.sack.globalmaxholes', 65536],
  ['net.inet.tcp.keepinit', 75000],
  ['kern.ipc.maxsockbuf', 2097152],
  ['kern.ipc.sockbuf_waste_factor', 8],
  ['net.inet.tcp.syncookies', 1],
  ['net.inet.tcp.syncookies_only', 0],
  ['net.inet.tcp.fastopen.server_enable', 0],
  ['net.inet.tcp.fastopen.client_enable', 1],
  ['net.inet.tcp.fastopen.acceptany', 0],
  ['net.inet.tcp.fastopen.autokey', 120],
  ['net.inet.tcp.fastopen.keylen', 16],
  ['net.inet.tcp.fastopen.maxkeys', 2],
  ['net.inet.tcp.fastopen.ccache_buckets', 2048],
  ['net.inet.tcp.fastopen.ccache_bucket_limit', 16],
  ['net.inet.tcp.fastopen.path_disable_time', 900],
  ['kern.ipc.soacceptqueue', 128],
  ['net.inet.siftr.ppl', 1],
  ['net.inet.siftr.logfile', '/var/log/siftr.log'],
])('%s has the default of FreeBSD, %s', (name, value) => {
  expect(findSysctl(name).default).toBe(value);
});

test.each([
  ['net.inet.tcp.sendspace', 32768],
  ['net.inet.tcp.recvspace', 65536],
  ['net.inet.tcp.sendbuf_max', 2097152],
  ['net.inet.tcp.recvbuf_max', 2097152],
  ['net.inet.tcp.ecn.enable', 2],
])('%s begins as in FreeBSD 14 (tcp(4))', (name, value) => {
  expect(findSysctl(name).default).toBe(value);
});

test('numbers are read with the bases of sysctl(8): 0x hexadecimal, 0 octal, else decimal', () => {
  const ttl = findSysctl('net.inet.ip.ttl');
  expect(parseSysctl(ttl, '64')).toBe(64);
  expect(parseSysctl(ttl, '0x40')).toBe(64);
  expect(parseSysctl(ttl, '0100')).toBe(64);
  expect(parseSysctl(ttl, '+64')).toBe(64);
  expect(parseSysctl(ttl, ' 64 ')).toBe(64);
  const slop = findSysctl('net.inet.tcp.rexmit_slop');
  expect(Object.is(parseSysctl(slop, '-0'), 0)).toBe(true);
});

test.each([
  ['net.inet.ip.ttl', '0', 'net.inet.ip.ttl=0: out of range; allowed: 1..255'],
  ['net.inet.ip.ttl', '256', 'net.inet.ip.ttl=256: out of range; allowed: 1..255'],
  ['net.inet.ip.ttl', '-1', 'net.inet.ip.ttl=-1: out of range; allowed: 1..255'],
  ['net.inet.ip.ttl', '', 'net.inet.ip.ttl=: empty numeric value; allowed: 1..255'],
  ['net.inet.ip.ttl', 'x', "net.inet.ip.ttl=x: invalid integer 'x'; allowed: 1..255"],
  ['net.inet.ip.ttl', '1.5', "net.inet.ip.ttl=1.5: invalid integer '1.5'; allowed: 1..255"],
  ['net.inet.ip.ttl', '09', "net.inet.ip.ttl=09: invalid integer '09'; allowed: 1..255"],
  ['net.inet.ip.ttl', '64ms', "net.inet.ip.ttl=64ms: invalid integer '64ms'; allowed: 1..255"],
  ['net.inet.ip.ttl', '1e2', "net.inet.ip.ttl=1e2: invalid integer '1e2'; allowed: 1..255"],
  ['net.inet.siftr.ppl', 'x', "net.inet.siftr.ppl=x: invalid unsigned integer 'x'; allowed: 0..4294967295 packets"],
  ['net.inet.siftr.ppl', '4294967296', 'net.inet.siftr.ppl=4294967296: out of range; allowed: 0..4294967295 packets'],
  ['net.inet.siftr.port_filter', '70000', 'net.inet.siftr.port_filter=70000: out of range; allowed: 0..65535'],
  ['net.inet.siftr.enabled', '2', 'net.inet.siftr.enabled=2: out of range; allowed: 0 or 1'],
  ['net.inet.siftr.enabled', 'yes', "net.inet.siftr.enabled=yes: invalid switch 'yes'; allowed: 0 or 1"],
  ['net.inet.siftr.logfile', '', 'net.inet.siftr.logfile=: empty value; allowed: 1 to 1023 bytes of text'],
  ['net.inet.tcp.delacktime', '0', 'net.inet.tcp.delacktime=0: out of range; allowed: 1..500 ms'],
])('%s=%s is refused in one line and not cut to the width', (name, text, message) => {
  expect(() => parseSysctl(findSysctl(name), text)).toThrow(
    expect.objectContaining({ name: 'SysctlError', code: 'EINVAL', message, exitCode: 2 }),
  );
});

test('a text is measured in bytes and may hold no zero byte', () => {
  const logfile = findSysctl('net.inet.siftr.logfile');
  expect(parseSysctl(logfile, `/${'é'.repeat(511)}`)).toHaveLength(512);
  expect(() => parseSysctl(logfile, `/${'é'.repeat(512)}`)).toThrow('too long');
  expect(() => parseSysctl(logfile, '/a\0b')).toThrow('a zero byte in it');
});

test('a name that is none is refused as sysctl(8) words it', () => {
  const refusal = expect.objectContaining({ code: 'ENOENT', message: "unknown oid 'net.inet.siftr.genhashes'" });
  expect(() => findSysctl('net.inet.siftr.genhashes')).toThrow(refusal);
  expect(() => selectSysctls('net.inet.siftr.genhashes')).toThrow(refusal);
});

test('a node stands for everything below it, nothing for all', () => {
  expect(selectSysctls('net.inet.icmp').map((d) => d.name)).toEqual([
    'net.inet.icmp.icmplim',
    'net.inet.icmp.icmplim_echo',
    'net.inet.icmp.bmcastecho',
  ]);
  expect(selectSysctls('net.inet.ip.ttl')).toHaveLength(1);
  expect(selectSysctls()).toBe(SYSCTLS);
  expect(() => selectSysctls('net.inet.tc')).toThrow("unknown oid 'net.inet.tc'");
});

test('an assignment is split at its first equals sign', () => {
  expect(parseAssignment('net.inet.siftr.logfile=/tmp/a=b', 'run').value).toBe('/tmp/a=b');
  expect(parseAssignment('net.inet.ip.ttl=32', 'boot')).toEqual({ decl: findSysctl('net.inet.ip.ttl'), value: 32 });
  expect(() => parseAssignment('net.inet.ip.ttl', 'boot')).toThrow('net.inet.ip.ttl: expected name=value');
  expect(() => parseAssignment('=1', 'boot')).toThrow('=1: expected name=value');
});

test('a tunable of the start can be set at start and not later', () => {
  const text = 'net.inet.tcp.syncache.hashsize=1024';
  expect(parseAssignment(text, 'boot').value).toBe(1024);
  expect(() => parseAssignment(text, 'run')).toThrow(
    expect.objectContaining({
      code: 'EPERM',
      message:
        "oid 'net.inet.tcp.syncache.hashsize' is a read only tunable; set it at start with --sysctl net.inet.tcp.syncache.hashsize=VALUE",
    }),
  );
  expect(() => checkWritable({ ...findSysctl('net.inet.ip.ttl'), rw: 'ro' }, 'boot')).toThrow(
    expect.objectContaining({ code: 'EPERM', message: "oid 'net.inet.ip.ttl' is read only" }),
  );
});

test('the field of a knob is set and read by its declaration', () => {
  const tune = new Tunables();
  const ttl = findSysctl('net.inet.ip.ttl') as SysctlNumber;
  setTunable(tune, ttl, 32);
  expect(tune.ip_ttl).toBe(32);
  expect(getTunable(tune, ttl)).toBe(32);
});

test('ranges are shown as a user would type them', () => {
  expect(sysctlRange(findSysctl('net.inet.ip.ttl'))).toBe('1..255');
  expect(sysctlRange(findSysctl('net.inet.tcp.rfc1323'))).toBe('0 or 1');
});

test('a key is so many hexadecimal digits', () => {
  const decl = findSysctl('net.inet.tcp.fastopen.setkey');
  const key = '00112233445566778899aabbccddeeff';
  expect(parseSysctl(decl, key)).toBe(key);
  for (const text of [key.slice(1), `${key}0`, `${key.slice(1)}g`, 'unset ', ` ${key.slice(1)}`]) {
    expect(() => parseSysctl(decl, text), text).toThrow(
      `net.inet.tcp.fastopen.setkey=${text}: not a key; allowed: 32 hexadecimal digits`,
    );
  }
});
