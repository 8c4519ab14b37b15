import { describe, expect, it } from 'vitest';
import { type ShardTables, type TfoKey, Tuning } from '../../../src/daemon/tuning.ts';
import type { SiftrControl } from '../../../src/siftr/control.ts';
import { parseAssignment, SYSCTLS, type SysctlNumber } from '../../../src/stack/sysctl.ts';

describe('the sysctl tree of a process', () => {
  it('shows the host caches of the shards as net.inet.tcp.hostcache.count and list, the latter only where it is named', () => {
    const t = new Tuning();
    t.showTables([tables({ hostCache: '192.0.2.2 a\n' }), tables({ hostCache: '192.0.2.3 b\n' })]);
    const row = (leaf: string) => t.rows().find((r) => r.name === `net.inet.tcp.hostcache.${leaf}`);
    expect(row('count')!.value).toBe('2');
    expect(row('list')).toMatchObject({
      skip: true,
      value: expect.stringMatching(/^\nIP address .* EXP\n192\.0\.2\.2 a\n/),
    });
    t.showTables([tables()]);
    expect(row('count')!.value).toBe('0');
  });

  it('hands net.inet.tcp.hostcache.purge and purgenow to the shards and holds neither', async () => {
    const t = new Tuning();
    const sent: Record<string, number>[] = [];
    t.connect(null as never, async (fields) => void sent.push(fields));
    for (const leaf of ['purge', 'purgenow']) await t.set(`net.inet.tcp.hostcache.${leaf}`, '1');
    expect(sent).toEqual([{ tcp_hc_purge: 1 }, { tcp_hc_purgenow: 1 }]);
    expect([t.tune.tcp_hc_purge, t.tune.tcp_hc_purgenow]).toEqual([0, 0]);
  });

  it('starts with the assignments of --sysctl and hands every field to the shards', () => {
    const t = new Tuning();
    t.boot([parseAssignment('net.inet.ip.ttl=33', 'boot'), parseAssignment('net.inet.siftr.logfile=/tmp/a', 'boot')]);
    expect(t.fields().ip_ttl).toBe(33);
    expect(t.text('net.inet.siftr.logfile')).toBe('/tmp/a');
    expect(t.rows().find((r) => r.name === 'net.inet.ip.ttl')?.value).toBe('33');
  });

  it('publishes what changes to the shards, and nothing that was refused', async () => {
    const t = new Tuning();
    const sent: Record<string, number>[] = [];
    const values: Record<string, number | string> = {
      'net.inet.siftr.enabled': 1,
      'net.inet.siftr.ppl': 1,
      'net.inet.siftr.port_filter': 0,
      'net.inet.siftr.logfile': '/var/log/siftr.log',
    };
    const siftr = {
      getSysctl: (name: string) => values[name],
      setSysctl: async (name: string, value: number | string) => {
        if (value === '/nosuch/a')
          throw Object.assign(new Error('SIFTR log /nosuch/a: no such file'), { code: 'ENOENT' });
        values[name] = value;
      },
    } as unknown as SiftrControl;
    t.connect(siftr, async (fields) => void sent.push(fields));

    expect(await t.set('net.inet.ip.ttl', '0x20')).toEqual({ name: 'net.inet.ip.ttl', old: '64', new: '32' });
    expect(await t.set('net.inet.ip.ttl', '0')).toEqual({
      name: 'net.inet.ip.ttl',
      old: '32',
      error: 'out of range; allowed: 1..255',
    });
    expect(await t.set('net.inet.nosuch', '1')).toMatchObject({ old: '', error: "unknown oid 'net.inet.nosuch'" });
    expect((await t.set('net.inet.tcp.syncache.hashsize', '1024')).error).toMatch(/read only tunable/);
    expect(sent).toEqual([{ ip_ttl: 32 }]);

    expect(await t.set('net.inet.siftr.ppl', '10')).toMatchObject({ old: '1', new: '10' });
    expect(values['net.inet.siftr.ppl']).toBe(10);
    expect(await t.set('net.inet.siftr.logfile', '/nosuch/a')).toMatchObject({
      old: '/var/log/siftr.log',
      error: 'SIFTR log /nosuch/a: no such file',
    });
    expect(t.rows().find((r) => r.name === 'net.inet.siftr.ppl')?.value).toBe('10');
  });

  it('sets one after the other: shards, the shown value and each old one agree, however long a shard takes', async () => {
    const t = new Tuning();
    const sent: unknown[] = [];
    const waits = [30, 1, 15, 2];
    const siftr = { getSysctl: () => 0, setSysctl: async () => {} } as unknown as SiftrControl;
    const slow = async (what: unknown): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, waits.shift()));
      sent.push(what);
    };
    t.connect(siftr, slow, slow);
    const algorithm = 'net.inet.tcp.cc.algorithm';
    const changes = await Promise.all([
      t.set(algorithm, 'newreno'),
      t.set(algorithm, 'dctcp'),
      t.set('net.inet.ip.ttl', '10'),
      t.set('net.inet.ip.ttl', '20'),
    ]);
    expect(changes.map((c) => [c.old, c.new])).toEqual([
      ['cubic', 'newreno'],
      ['newreno', 'dctcp'],
      ['64', '10'],
      ['10', '20'],
    ]);
    expect(sent).toEqual(['newreno', 'dctcp', { ip_ttl: 10 }, { ip_ttl: 20 }]);
    expect(t.rows().find((r) => r.name === algorithm)?.value).toBe('dctcp');
  });

  it('goes on after an assignment that broke', async () => {
    const t = new Tuning();
    let broken = true;
    const siftr = { getSysctl: () => 0, setSysctl: async () => {} } as unknown as SiftrControl;
    t.connect(siftr, async () => {
      if (broken) throw new Error('shard 0 does not answer');
    });
    await expect(t.set('net.inet.ip.ttl', '10')).rejects.toThrow('shard 0 does not answer');
    broken = false;
    expect(await t.set('net.inet.ip.ttl', '20')).toMatchObject({ new: '20' });
  });

  const numbers = SYSCTLS.filter((d): d is (typeof SYSCTLS)[number] & SysctlNumber => d.type !== 'string');

  it.each(
    numbers.filter((d) => d.rw === 'rw' && !d.name.startsWith('net.inet.siftr.')).map((d) => [d.name, d] as const),
  )('%s takes both ends of its range, hands each to the shards, and refuses what lies beyond', async (name, decl) => {
    const t = new Tuning();
    const sent: Record<string, number>[] = [];
    const siftr = { getSysctl: () => 0, setSysctl: async () => {} } as unknown as SiftrControl;
    t.connect(siftr, async (fields) => void sent.push(fields));
    for (const value of [decl.min, decl.max]) {
      expect(await t.set(name, String(value))).toMatchObject({ name, new: String(value) });
      expect(sent.at(-1)).toEqual({ [decl.field]: value });
      expect(t.rows().find((r) => r.name === name)?.value).toBe(String(decl.action === true ? 0 : value));
    }
    for (const text of [String(decl.min - 1), String(decl.max + 1), '', 'x', '1 2', '1e3', '1.5']) {
      expect((await t.set(name, text)).error).toMatch(/; allowed: /);
    }
    expect(sent).toHaveLength(2);
  });

  it.each(numbers.filter((d) => d.rw !== 'rw').map((d) => [d.name]))(
    '%s is refused while the stack runs',
    async (name) => {
      const t = new Tuning();
      expect((await t.set(name, '1')).error).toMatch(/^oid '\S+' is (read only|a read only tunable)/);
    },
  );

  it.each(['setkey', 'setpsk'])(
    'gives the shards keys by net.inet.tcp.fastopen.%s, and never shows one',
    async (leaf) => {
      const NAME = `net.inet.tcp.fastopen.${leaf}`;
      const key = '000102030405060708090a0b0c0d0e0f';
      // As the SipHash paper's appendix A reads the key 00 01 … 0f.
      const words = [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c];
      const t = new Tuning();
      t.boot([parseAssignment(`${NAME}=${key}`, 'boot')]);
      expect(t.tfoKeys).toEqual([{ psk: leaf === 'setpsk', words }]);
      expect(t.rows().find((r) => r.name === NAME)?.value).toBe('unset');
      const keys: TfoKey[] = [];
      const siftr = { getSysctl: () => 0 } as unknown as SiftrControl;
      t.connect(
        siftr,
        async () => {},
        async () => {},
        async (k) => void keys.push(k),
      );
      expect(await t.set(NAME, key)).toEqual({ name: NAME, old: 'unset', new: 'set' });
      expect((await t.set(NAME, '00')).error).toBe('not a key; allowed: 32 hexadecimal digits');
      expect(keys).toEqual(t.tfoKeys);
      expect(t.rows().find((r) => r.name === NAME)).toMatchObject({ value: 'unset', skip: true });
    },
  );

  it('shows net.inet.tcp.fastopen.numkeys and numpsks, and as ccache_list, where it is named, the cookies of all shards', () => {
    const t = new Tuning();
    t.showTables([
      tables({ ccache: 'a\n', numKeys: 2, numPsks: 1 }),
      tables({ ccache: 'b\n', numKeys: 2, numPsks: 1 }),
    ]);
    const row = (leaf: string) => t.rows().find((r) => r.name === `net.inet.tcp.fastopen.${leaf}`);
    expect([row('numkeys')?.value, row('numpsks')?.value]).toEqual(['2', '1']);
    // The head of FreeBSD's tcp_fastopen.c.
    const head = '\nLocal IP address     Remote IP address     Port   MSS Disabled Cookie\n';
    expect(row('ccache_list')).toMatchObject({ value: `${head}a\nb\n`, skip: true });
  });
});

function tables(t: Partial<ShardTables> = {}): ShardTables {
  return { hostCache: '', ccache: '', numKeys: 0, numPsks: 0, ...t };
}
