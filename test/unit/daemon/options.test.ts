import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/daemon/errors.ts';
import { optionMetas, parseRunOptions, readConfig } from '../../../src/daemon/options.ts';

const run = (given: Record<string, unknown>) => parseRunOptions({ iface: 'ix1', ...given });

/** The one-line refusal of these options. */
function refusal(given: Record<string, unknown>): string {
  try {
    run(given);
  } catch (err) {
    expect((err as { exitCode?: number }).exitCode).toBe(2);
    expect((err as Error).message).not.toContain('\n');
    return (err as Error).message;
  }
  throw new Error('was accepted');
}

describe('options of a run', () => {
  it('needs nothing but an interface and has the defaults of the manual', () => {
    expect(run({})).toMatchObject({
      iface: 'ix1',
      addr: [],
      serve: ['http', 'iperf3', 'discard'],
      siftrLog: '/var/log/siftr.log',
      siftr: true,
      metrics: { host: '127.0.0.1', port: 9464 },
      xdp: 'auto',
      zeroCopy: 'auto',
      rxcsum: 'auto',
      force: [],
      dryRun: false,
      logLevel: 'info',
    });
    expect(run({}).queues).toBeUndefined();
  });

  it('refuses to start without an interface', () => {
    expect(() => parseRunOptions({})).toThrow(/^--iface is missing: name the interface to take over/);
  });

  it.each(['0', '-1', '1.5', 'four', '', '1e1'])('refuses --queues %j and says what is allowed', (queues) => {
    expect(refusal({ queues })).toMatch(/^--queues.*: allowed is a whole number from 1 up to the receive queues/);
  });

  it.each([
    ['192.0.2.1', /^--addr 192\.0\.2\.1: the prefix length is missing; write 192\.0\.2\.1\/24$/],
    ['192.0.2.256/24', /not an IPv4 address/],
    ['192.0.2.1/33', /prefix length must be 1 to 32/],
    ['192.0.2.1/', /prefix length must be 1 to 32/],
    ['192.0.2.0/24', /address of the network itself/],
    ['192.0.2.255/24', /broadcast address/],
    ['224.0.0.1/24', /no unicast address/],
    ['127.0.0.1/8', /no unicast address/],
    ['2001:db8::1/64', /IPv6 addresses are not supported yet/],
  ])('refuses --addr %s', (addr, message) => {
    expect(refusal({ addr: [addr] })).toMatch(message);
  });

  it('reads addresses, and takes both ends of a /31 (RFC 3021)', () => {
    expect(run({ addr: ['192.0.2.1/24', '198.51.100.0/31'] }).addr).toEqual([
      { addr: 0xc0000201 | 0, prefixLen: 24 },
      { addr: 0xc6336400 | 0, prefixLen: 31 },
    ]);
  });

  it('refuses a gateway off the networks of --addr', () => {
    expect(refusal({ addr: ['192.0.2.1/24'], gateway: '198.51.100.1' })).toMatch(
      /^--gateway 198\.51\.100\.1: lies on no network/,
    );
    expect(run({ addr: ['192.0.2.1/24'], gateway: '192.0.2.254' }).gateway).toBe(0xc00002fe | 0);
  });

  it('names the allowed services when one is unknown', () => {
    expect(refusal({ serve: 'http,ecco' })).toBe(
      '--serve http,ecco: unknown service ecco (echo?); allowed are http, iperf3, discard, echo, chargen, daytime, or none alone',
    );
    expect(refusal({ serve: 'none,http' })).toMatch(/unknown service none/);
    expect(run({ serve: 'none' }).serve).toEqual([]);
    expect(run({ serve: 'echo,daytime,echo' }).serve).toEqual(['echo', 'daytime']);
  });

  it.each(['9464', 'localhost', '127.0.0.1:0', '127.0.0.1:65536', ':9464', 'a b:1'])(
    'refuses --metrics %s',
    (metrics) => {
      expect(refusal({ metrics })).toMatch(/allowed is HOST:PORT/);
    },
  );

  it('takes --metrics none, a host name and an IPv6 literal in brackets', () => {
    expect(run({ metrics: 'none' }).metrics).toBeNull();
    expect(run({ metrics: '[::1]:9464' }).metrics).toEqual({ host: '::1', port: 9464 });
    expect(run({ metrics: 'localhost:80' }).metrics).toEqual({ host: 'localhost', port: 80 });
  });

  it('takes drv and skb for the XDP modes', () => {
    expect([run({ xdp: 'drv' }).xdp, run({ xdp: 'skb' }).xdp]).toEqual(['native', 'generic']);
    expect(refusal({ xdp: 'hw' })).toBe('--xdp hw: allowed are auto, native, generic');
  });

  it('overrides single reasons with --force=LIST, and all but ssh with --force alone', () => {
    expect(run({ force: true }).force).toEqual(['default-route', 'connections', 'listeners']);
    expect(run({ force: 'listeners' }).force).toEqual(['listeners']);
    expect(refusal({ force: 'all' })).toBe(
      '--force all: unknown reason all; allowed are default-route, connections, listeners, ssh',
    );
  });

  it('takes --force=ssh only together with --duration', () => {
    expect(refusal({ force: 'ssh' })).toMatch(/needs --duration too/);
    expect(run({ force: 'ssh', duration: '60s' }).duration).toBe(60_000);
  });

  it.each([
    [{ ringSize: '1000' }, /^--ring-size 1000: allowed is a power of two/],
    [{ duration: 'soon' }, /^--duration soon: allowed is a time/],
    [{ duration: '0' }, /^--duration 0: allowed is a time/],
    [{ siftrLimit: '1' }, /^--siftr-limit 1: allowed is a size/],
    [{ siftrPpl: '0' }, /^--siftr-ppl 0: allowed is a whole number from 1/],
    [{ siftrPortFilter: '65536' }, /^--siftr-port-filter 65536: allowed is a port/],
    [{ sysctl: ['keepidle'] }, /^--sysctl keepidle: allowed is name=value/],
    [{ iface: 'a/b' }, /^--iface a\/b: allowed is the name of one interface/],
    [{ iface: 'ix1,ix2' }, /allowed is the name of one interface/],
    [{ mtu: '100' }, /^--mtu 100: allowed is a whole number from 576/],
    [{ control: 'x'.repeat(108) }, /at most 107 bytes/],
    [{ nice: '20' }, /^--nice 20: allowed is a whole number from -20 to 19/],
    [{ nice: '-1.5' }, /^--nice -1\.5: allowed is a whole number/],
    [{ logLevel: 'loud' }, /^--log-level loud: allowed are debug, info, warn, error, silent/],
  ])('refuses %j', (given, message) => {
    expect(refusal(given)).toMatch(message);
  });
});

describe('--config', () => {
  const dir = mkdtempSync(join(tmpdir(), 'xsiftr-options-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  const file = async (text: string): Promise<{ name: string; values: Record<string, unknown> }> => {
    const name = join(dir, 'c.yaml');
    writeFileSync(name, text);
    return { name, values: await readConfig(name) };
  };

  it('takes the names of the command line, and the command line wins', async () => {
    const f = await file(
      'iface: ix1\nqueues: 2\naddr: [192.0.2.1/24]\nno-siftr: true\nxdp: generic\nzero-copy: off\nserve: [echo, http]\nsysctl:\n  - net.inet.tcp.keepidle=5\n',
    );
    const opts = parseRunOptions({ queues: '3' }, f);
    expect(opts).toMatchObject({
      iface: 'ix1',
      queues: 3,
      siftr: false,
      xdp: 'generic',
      zeroCopy: 'off',
      serve: ['echo', 'http'],
    });
    expect(opts.addr).toHaveLength(1);
    expect(opts.sysctl).toEqual([{ name: 'net.inet.tcp.keepidle', value: '5' }]);
  });

  it('names the file and the option of a wrong value', async () => {
    const f = await file('iface: ix1\nqueues: 1.5\n');
    expect(() => parseRunOptions({}, f)).toThrow(`--config ${f.name}: queues 1.5: allowed is a whole number`);
  });

  it.each([
    ['queues: {n: 4}', 'queues { n: 4 }: allowed is a whole number from 1 up to the receive queues'],
    ['queues: [4]', 'queues [ 4 ]: allowed is a whole number from 1 up'],
    ['queues:', 'queues: allowed is a whole number from 1 up'],
    ['addr: {a: 192.0.2.1/24}', "addr { a: '192.0.2.1/24' }: not an IPv4 address; write A.B.C.D/LEN"],
    ['addr: [192.0.2.1/24, [192.0.2.2/24]]', "addr [ '192.0.2.1/24', [ '192.0.2.2/24' ] ]: not an IPv4 address"],
    ['gateway: {a: 1}', 'gateway { a: 1 }: not an IPv4 address; write A.B.C.D'],
    ['serve: {http: 80}', 'serve { http: 80 }: allowed are http, iperf3, discard, echo, chargen, daytime, or none'],
    ['serve: [http, [echo]]', "serve [ 'http', [ 'echo' ] ]: allowed are http, iperf3"],
    ['force: [{ssh: true}]', 'force [ { ssh: true } ]: allowed are default-route, connections, listeners, ssh'],
    ['xdp: {mode: native}', "xdp { mode: 'native' }: allowed are auto, native, generic"],
    ['xdp: [native]', "xdp [ 'native' ]: allowed are auto, native, generic"],
    ['sysctl: {net.inet.ip.ttl: 5}', "sysctl { 'net.inet.ip.ttl': 5 }: allowed is name=value, for example"],
    ['siftr-log: {a: {b: {c: {d: 1}}}}', 'siftr-log { a: { b: { c: { d: 1 } } } }: allowed is a path'],
    ['siftr-limit: {a: 1}', 'siftr-limit { a: 1 }: allowed is a size of at least 4K'],
    ['duration: [10, 20]', 'duration [ 10, 20 ]: allowed is a time up to 24 days'],
    ['no-siftr: {a: 1}', 'no-siftr { a: 1 }: allowed are true and false'],
    ['metrics: {host: 127.0.0.1}', "metrics { host: '127.0.0.1' }: allowed is HOST:PORT"],
    ['user: &u [*u]', 'user <ref *1> [ [Circular *1] ]: allowed is the name of a user'],
    [`siftr-log: [{a: ${'b'.repeat(100)}}]`, `siftr-log [ { a: '${'b'.repeat(72)}…: allowed is a path`],
  ])('shows what %s gave, and what is allowed, in one line', async (text, message) => {
    const f = await file(`${text}\niface: ix1\n`);
    const err = (() => {
      try {
        return parseRunOptions({}, f);
      } catch (thrown) {
        return thrown as Error;
      }
    })();
    expect(err).toBeInstanceOf(UserError);
    expect((err as Error).message).toContain(`--config ${f.name}: ${message}`);
    expect((err as Error).message).not.toContain('\n');
  });

  it('refuses an unknown option, a list and broken YAML in one line', async () => {
    await expect(file('quues: 1')).rejects.toThrow(/unknown option quues \(queues\?\); allowed are iface, /);
    await expect(file('- a')).rejects.toThrow(/allowed is a map of options/);
    await expect(file('a: [')).rejects.toThrow(/not YAML/);
  });

  it('is a failure of the system when the file cannot be read', async () => {
    try {
      await readConfig(join(dir, 'missing.yaml'));
      expect.unreachable();
    } catch (err) {
      expect((err as { exitCode: number }).exitCode).toBe(1);
      expect((err as Error).message).toMatch(/cannot be read \(ENOENT\)/);
    }
  });
});

describe('help', () => {
  it('describes every option of the schema', () => {
    for (const o of optionMetas()) {
      expect(o.meta.help, o.name).not.toBe('');
      expect(o.meta.flags, o.name).toContain(`--${o.key === 'siftr' ? 'no-' : ''}${o.name}`);
    }
  });
});
