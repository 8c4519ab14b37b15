import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { counter } from '../lab/counters.ts';
import { Lab, labMissing, startXsiftr, XSIFTR, type Xsiftr } from '../lab/netns.ts';
import { peerWords } from '../lab/peer.ts';
import { type Running, run } from '../lab/process.ts';

/** FreeBSD's commands for sockets on a running instance, with Linux at the other end. */
describe.skipIf(labMissing('python3', 'curl') !== '')(`sockstat and tcpdrop ${labMissing('python3', 'curl')}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  const HEADER = 'USER     COMMAND    PID   FD  PROTO  LOCAL ADDRESS         FOREIGN ADDRESS';

  beforeAll(async () => {
    lab = await Lab.create('ops', { queues: 2 });
    x = await startXsiftr(lab, ['--serve', 'http,echo,discard', '--no-siftr']);
  });
  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  afterEach(async () => {
    await x.command(['tcpdrop', '-a']);
  });

  const refused = (words: string[]) => x.command(words, { check: false });
  const lines = async (...words: string[]): Promise<string[]> =>
    (await x.command(words)).stdout.split('\n').flatMap((l) => l.trimEnd() || []);

  /** Connections of the peer to a service, until `ends` has how each ended. */
  async function held(
    port: number,
    count: number,
  ): Promise<{ ports: number[]; ends: () => Promise<Record<string, string>> }> {
    const before = await counter(x, 'tcp_accepts');
    const p: Running = lab.spawnFar(peerWords('endings', port, count));
    const ports = JSON.parse(await p.waitLine(/^\[/)) as number[];
    // The peer's connect returns before its last ACK has made a connection of it here.
    await expect.poll(() => counter(x, 'tcp_accepts')).toBe(before + count);
    const ends = async (): Promise<Record<string, string>> => {
      await p.exited;
      return JSON.parse(p.lines.at(-1)!) as Record<string, string>;
    };
    return { ports, ends };
  }

  /** The row of sockstat, in its columns. */
  const row = (local: string, foreign: string, owned = true): string => {
    const who = owned
      ? `${userInfo().username.padEnd(8)} xsiftr     ${String(x.running.pid).padStart(5)} ?  `
      : '?        ?          ?     ?  ';
    return `${who} tcp4   ${local.padEnd(21)} ${foreign}`;
  };

  it('sockstat lists what listens, one line for all shards, and connections, with who has them', async () => {
    const { ports, ends } = await held(7, 3);
    const all = await lines('sockstat', '-P', 'tcp');
    expect(all[0]).toBe(HEADER);
    expect(all.slice(1, 4)).toEqual(['*:7', '*:9', '*:80'].map((local) => row(local, '*:*')));
    expect(all.slice(4).sort()).toEqual(ports.map((p) => row('192.0.2.1:7', `192.0.2.2:${p}`)).sort());
    expect(await lines('sockstat', '-l')).toEqual(all.slice(0, 4));
    expect((await lines('sockstat', '-c', '-q')).sort()).toEqual(all.slice(4).sort());
    expect(await lines('sockstat', '-46lc')).toHaveLength(all.length);
    expect(await lines('sockstat', '-6')).toEqual([HEADER]);
    expect(await lines('sockstat', '-P', 'udp,sctp')).toEqual([HEADER]);
    await x.command(['tcpdrop', '-a']);
    expect(new Set(Object.values(await ends()))).toEqual(new Set(['ECONNRESET']));
  });

  it('sockstat -p chooses by ports of either end, ranges included', async () => {
    const echo = await held(7, 2);
    const discard = await held(9, 1);
    const of = async (...words: string[]): Promise<string[]> =>
      (await lines('sockstat', '-q', ...words)).map((l) => l.slice(37).replace(/ +/, ' ')).sort();
    const echoes = echo.ports.map((p) => `192.0.2.1:7 192.0.2.2:${p}`).sort();
    expect(await of('-c', '-p', '7')).toEqual(echoes);
    expect(await of('-c', '-p', String(echo.ports[0]))).toEqual([`192.0.2.1:7 192.0.2.2:${echo.ports[0]}`]);
    expect(await of('-p', '8-79')).toEqual(['*:9 *:*', `192.0.2.1:9 192.0.2.2:${discard.ports[0]}`]);
    expect(await of('-p', '9', '-p', '7', '-c')).toHaveLength(3);
    expect(await of('-l', '-p', '0')).toHaveLength(3);
    expect(await of('-c', '-p', Array.from({ length: 3000 }, (_, i) => 2 * i + 1).join(','))).toEqual(
      await of('-c', '-p', '1-1024'),
    );
    expect(await of('-p', '1')).toEqual([]);
    await x.command(['tcpdrop', '-a']);
    await Promise.all([echo.ends(), discard.ends()]);
  });

  it('sockstat -s shows states, TIME_WAIT without a holder; -C and -S what runs it; --json the same as objects', async () => {
    await lab.far('curl -s -o /dev/null -H "Connection: close" http://192.0.2.1/bytes/100');
    // curl has gone before its last segments are seen here.
    await expect.poll(() => lines('sockstat', '-sq', '-p', '80')).toContainEqual(expect.stringMatching(/TIME_WAIT$/));
    const { ports, ends } = await held(9, 1);
    const all = await lines('sockstat', '-s', '-p', '80,9');
    expect(all[0]).toBe(`${HEADER}       PATH STATE   CONN STATE`);
    expect(all).toContain(`${row('*:80', '*:*').padEnd(94)}LISTEN`);
    expect(all).toContain(`${row('192.0.2.1:9', `192.0.2.2:${ports[0]}`).padEnd(94)}ESTABLISHED`);
    const waiting = all.filter((l) => l.endsWith('TIME_WAIT'));
    expect(waiting).toHaveLength(1);
    expect(waiting[0]).toMatch(/^\? {8}\? {10}\? {5}\? {3}tcp4 {3}192\.0\.2\.1:80 {10}192\.0\.2\.2:\d+ +TIME_WAIT$/);
    expect((await lines('sockstat', '-SCc', '-p', String(ports[0])))[1]!.slice(81)).toBe(
      `xsiftr${' '.repeat(27)}cubic`,
    );
    const objects = (await lines('sockstat', '--json', '-p', '9')).map((l) => JSON.parse(l) as Record<string, unknown>);
    const holder = { user: userInfo().username, uid: process.getuid?.(), command: 'xsiftr', pid: x.running.pid };
    const rest = { proto: 'tcp4', lport: 9, stack: 'xsiftr', cc: 'cubic' };
    expect(objects).toEqual([
      { ...holder, ...rest, laddr: '0.0.0.0', state: 'LISTEN' },
      { ...holder, ...rest, laddr: '192.0.2.1', faddr: '192.0.2.2', fport: ports[0], state: 'ESTABLISHED' },
    ]);
    // Dropped in TIME_WAIT too.
    expect(await lines('tcpdrop', '-s', 'TIME_WAIT')).toEqual([
      expect.stringMatching(/^192\.0\.2\.1 80 192\.0\.2\.2 \d+: dropped$/),
    ]);
    expect(await lines('sockstat', '-q', '-p', '80')).toEqual([row('*:80', '*:*')]);
    await x.command(['tcpdrop', '-a']);
    await ends();
  });

  it('tcpdrop resets one connection: its peer reads ECONNRESET, the others go on, it is counted and logged', async () => {
    const one = await held(7, 1);
    const other = await held(7, 1);
    const drops = await counter(x, 'tcp_drops');
    const words = ['tcpdrop', '192.0.2.1', '7', '192.0.2.2', String(one.ports[0])];
    expect(await x.command(words)).toMatchObject({
      stdout: `192.0.2.1 7 192.0.2.2 ${one.ports[0]}: dropped`,
      stderr: '',
    });
    expect(Object.values(await one.ends())).toEqual(['ECONNRESET']);
    expect((await counter(x, 'tcp_drops')) - drops).toBe(1);
    expect(await refused(words)).toEqual({
      code: 1,
      stdout: '',
      stderr: `tcpdrop: 192.0.2.1 7 192.0.2.2 ${one.ports[0]}: No such process`,
    });
    expect(await lines('sockstat', '-cq')).toEqual([row('192.0.2.1:7', `192.0.2.2:${other.ports[0]}`)]);
    const pair = ['tcpdrop', '192.0.2.1:echo', `192.0.2.2.${other.ports[0]}`];
    expect(await lines(...pair)).toEqual([`192.0.2.1 7 192.0.2.2 ${other.ports[0]}: dropped`]);
    expect(Object.values(await other.ends())).toEqual(['ECONNRESET']);
    const told = x.running.errorLines.map((l) => (JSON.parse(l) as { msg: string }).msg);
    expect(told).toContain(`tcpdrop: 192.0.2.1 7 192.0.2.2 ${one.ports[0]} dropped`);
  });

  it('tcpdrop -l prints commands that a shell can run, and drops nothing', async () => {
    const { ports, ends } = await held(7, 3);
    const commands = await lines('tcpdrop', '-l', '-s', 'ESTABLISHED');
    expect(commands.map((l) => l.split(' ').slice(0, 6).join(' ')).sort()).toEqual(
      ports.map((p) => `xsiftr tcpdrop 192.0.2.1 7 192.0.2.2 ${p}`).sort(),
    );
    expect(await lines('tcpdrop', '-l')).toHaveLength(3);
    expect(await lines('tcpdrop', '-la', '-i', 'ix1')).toEqual(
      expect.arrayContaining([expect.stringMatching(/ --iface ix1 /)]),
    );
    const env = { ...process.env, PATH: `${dirname(XSIFTR)}:${process.env.PATH}` };
    const r = await run(['sh'], { input: commands.join('\n'), env });
    expect(r.stdout.split('\n').sort()).toEqual(ports.map((p) => `192.0.2.1 7 192.0.2.2 ${p}: dropped`).sort());
    expect(Object.values(await ends())).toEqual(Array(3).fill('ECONNRESET'));
    expect(await lines('tcpdrop', '-l', '-a')).toEqual([]);
  });

  it('tcpdrop -C and -s choose together; nothing to drop is no error', async () => {
    const cubic = await held(7, 1);
    await x.command(['sysctl', 'net.inet.tcp.cc.algorithm=newreno']);
    const newreno = await held(7, 2);
    await x.command(['sysctl', 'net.inet.tcp.cc.algorithm=cubic']);
    expect(await x.command(['tcpdrop', '-C', 'newreno', '-s', 'FIN_WAIT_2'])).toMatchObject({ stdout: '', stderr: '' });
    expect(await lines('tcpdrop', '-C', 'newreno', '-s', 'ESTABLISHED', '-S', 'xsiftr')).toHaveLength(2);
    expect(Object.values(await newreno.ends())).toEqual(['ECONNRESET', 'ECONNRESET']);
    expect(await lines('tcpdrop', '-C', 'cubic')).toEqual([`192.0.2.1 7 192.0.2.2 ${cubic.ports[0]}: dropped`]);
    await cubic.ends();
    expect(await x.command(['tcpdrop', '-a'])).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it('tcpdrop -a drops several slices of each shard, and the services take the next connection', async () => {
    const { ports, ends } = await held(7, 1200);
    const dropped = await lines('tcpdrop', '-a');
    expect(dropped.sort()).toEqual(ports.map((p) => `192.0.2.1 7 192.0.2.2 ${p}: dropped`).sort());
    expect(new Set(Object.values(await ends()))).toEqual(new Set(['ECONNRESET']));
    expect(await lines('sockstat', '-c', '-q')).toEqual([]);
    const told = x.running.errorLines.map((l) => (JSON.parse(l) as { msg: string }).msg);
    expect(told).toContain('tcpdrop: 1200 connections dropped');
    expect((await lab.far('curl -s http://192.0.2.1/bytes/10 | wc -c')).stdout).toBe('10');
  });

  it.each([
    [['sockstat', 'tcp'], /^xsiftr: sockstat: tcp: takes no words; see xsiftr sockstat --help$/],
    [['sockstat', '-p', ''], /^xsiftr: sockstat: -p : syntax error in port range; /],
    [['sockstat', '-u'], /^xsiftr: unknown option -u; xsiftr sockstat --help lists what there is$/],
    [['tcpdrop'], /^xsiftr: tcpdrop: no connection: allowed are LADDR LPORT FADDR FPORT, /],
    [['tcpdrop', '-C', 'vegsa'], /^xsiftr: tcpdrop: -C vegsa: not loaded; allowed are newreno, cubic, /],
    [['tcpdrop', '-l', '-C', ''], /^xsiftr: tcpdrop: -C : not loaded; allowed are newreno, cubic, /],
  ])('%j is refused in one line with exit status 2', async (words, line) => {
    const r = await refused(words);
    expect([r.code, r.stdout]).toEqual([2, '']);
    expect(r.stderr).toMatch(line);
  });

  it('nobody at the socket: one line, exit status 1', async () => {
    const none = join(lab.dir, 'none.sock');
    for (const words of [
      ['sockstat'],
      ['tcpdrop', '-a'],
      ['tcpdrop', '192.0.2.1:7', '192.0.2.2:9'],
      ['sysctl', 'a=1'],
    ]) {
      const r = await run([XSIFTR, ...words, '--control', none], { check: false });
      expect([r.code, r.stdout]).toEqual([1, '']);
      expect(r.stderr).toMatch(/^xsiftr: --control \S+: no xsiftr answers there \(ENOENT\); .*$/);
    }
  });

  it('a reader that goes away ends them quietly', async () => {
    const { ends } = await held(7, 400);
    for (const words of ['sockstat', 'sockstat --json', 'ss --json', 'tcpdrop -l', 'sysctl -a', 'tcpdrop -a']) {
      const script = `set -o pipefail; ${XSIFTR} ${words} --control ${x.control} | head -1`;
      const r = await run(['bash', '-c', script], { check: false });
      expect([words, r.code, r.stderr]).toEqual([words, 0, '']);
      expect(r.stdout.split('\n')).toHaveLength(1);
    }
    await x.command(['tcpdrop', '-a']);
    expect(new Set(Object.values(await ends()))).toEqual(new Set(['ECONNRESET']));
  });
});
