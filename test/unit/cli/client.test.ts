import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ask,
  askLines,
  type ClientOptions,
  call,
  describe as describeInstance,
  findInstance,
  type InstanceInfo,
  instances,
  lookUp,
  probe,
} from '../../../src/cli/client.ts';
import { controlServer, listenControl } from '../../../src/daemon/control.ts';
import { SystemError, UserError } from '../../../src/daemon/errors.ts';

const info: InstanceInfo = {
  version: '0.1.0',
  pid: 1,
  user: 'root',
  uid: 0,
  command: 'xsiftr',
  iface: 'ix1',
  netns: null,
  queues: 1,
  addresses: ['192.0.2.1/24'],
  uptime: 1,
  ready: true,
};

describe('the control socket and its client', () => {
  let dir: string;
  const open: { close(): Promise<unknown> }[] = [];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'xsiftr-ctl-'));
  });
  afterEach(async () => {
    for (const app of open.splice(0)) await app.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** A server that answers for an instance of the given facts. */
  async function serve(name: string, facts: Partial<InstanceInfo> = {}): Promise<string> {
    const app = await controlServer({
      info: () => ({ ...info, ...facts }),
      sysctlList: () => [{ name: 'a.b', value: '1', description: 'A knob' }],
      sysctlSet: async (n, value) => ({ name: n, old: '1', new: value }),
      kstat: (selectors) => {
        if (selectors.includes('bad')) throw new UserError('bad: no such thing');
        if (selectors.includes('worse')) throw new SystemError('worse');
        return `${selectors.join('+')}\n`;
      },
      dnctl: async (words, quiet, files) => ({
        text: `${words.join(' ')} ${quiet} ${Object.keys(files)}\n`,
        notes: [],
      }),
      ss: (words, wanted) => {
        if (words.includes('bad')) throw new UserError('bad: no such filter');
        return (async function* () {
          yield `${JSON.stringify({ words, wanted })}\n{"a":`;
          yield '1}\n';
          if (words.includes('broken')) throw new SystemError('shard 0 does not answer');
        })();
      },
      tcpstats: (columns, words, wanted) =>
        (async function* () {
          yield `${JSON.stringify({ columns, words, wanted })}\n`;
        })(),
      tcpdrop: (wanted) =>
        (async function* () {
          yield `${JSON.stringify(wanted)}\n`;
        })(),
      tcpdropOne: async (flow) => flow.lport === 80,
      netstat: async (s, a, p) => `${s} ${a} ${p}\n`,
    });
    open.push(app);
    const path = join(dir, 'sub', `${name}.sock`);
    await listenControl(app, path);
    return path;
  }

  it('is for its owner alone, in a folder that everybody may list', async () => {
    const path = await serve('ix1');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, 'sub')).mode & 0o777).toBe(0o755);
  });

  it('gives lines as they come, refusals in one line, and says so when an answer breaks off', async () => {
    const i = (await probe(await serve('ix1')))!;
    const lines = async (url: string) => {
      const got: string[] = [];
      for await (const line of askLines(i, url)) got.push(line);
      return got;
    };
    expect(await lines('/ss?w=state&w=established&a=1')).toEqual([
      '{"words":["state","established"],"wanted":{"all":true,"listening":false}}',
      '{"a":1}',
    ]);
    await expect(lines('/ss?w=bad')).rejects.toThrow(new UserError('bad: no such filter'));
    await expect(lines('/ss?w=broken')).rejects.toThrow(/^ix1: the instance at \S+ does not answer: /);
  });

  it('passes selectors and flags on', async () => {
    const i = await probe(await serve('ix1'));
    expect(await ask(i!, 'GET', '/kstat?sel=rxq&sel=ix1::txq:0')).toBe('rxq+ix1::txq:0\n');
    expect(await ask(i!, 'GET', '/kstat')).toBe('\n');
    expect(await ask(i!, 'GET', '/netstat?s=2&a=1&p=tcp')).toBe('2 true tcp\n');
    expect(JSON.parse(await ask(i!, 'POST', '/sysctl', { name: 'a.b', value: '2' }))).toEqual({
      name: 'a.b',
      old: '1',
      new: '2',
    });
  });

  it('makes a refusal of the instance the refusal of the command', async () => {
    const i = await probe(await serve('ix1'));
    await expect(ask(i!, 'GET', '/kstat?sel=bad')).rejects.toEqual(new UserError('bad: no such thing'));
    await expect(ask(i!, 'GET', '/kstat?sel=worse')).rejects.toEqual(new SystemError('worse'));
    await expect(ask(i!, 'GET', '/netstat?s=9')).rejects.toThrow(UserError);
    await expect(ask(i!, 'POST', '/sysctl', { name: 'a.b', value: '2', more: 1 })).rejects.toThrow(UserError);
    expect((await call(i!.path, 'GET', '/nosuch')).status).toBe(404);
  });

  it('refuses more words than a request takes, before it is sent', async () => {
    const i = (await probe(await serve('ix1')))!;
    const url = `/kstat?sel=${'a'.repeat(20_000)}`;
    await expect(ask(i, 'GET', url)).rejects.toEqual(new UserError('20011 bytes of words; at most 15000 are taken'));
    await expect(askLines(i, `/ss?w=${'a'.repeat(20_000)}`).next()).rejects.toThrow(UserError);
  });

  it('asks with a body, whose every part is checked', async () => {
    const i = (await probe(await serve('ix1')))!;
    const got: string[] = [];
    for await (const line of askLines(i, '/tcpdrop', { state: 4, list: true })) got.push(line);
    expect(got).toEqual(['{"state":4,"list":true}']);
    for (const body of [
      { state: 1 },
      { state: 11 },
      { state: 4.5 },
      { laddr: '192.0.2.1' },
      { cc: 1 },
      { more: 1 },
      [],
      'x',
    ]) {
      await expect(askLines(i, '/tcpdrop', body).next()).rejects.toThrow(UserError);
    }
    const flow = { laddr: '192.0.2.1', lport: 80, faddr: '192.0.2.2', fport: 4 };
    expect(await ask(i, 'POST', '/tcpdrop', flow)).toBe('{"dropped":true}');
    for (const wrong of [{ laddr: '2001:db8::1' }, { lport: 0 }, { fport: 65536 }, { faddr: 'x' }, { more: 1 }]) {
      await expect(ask(i, 'POST', '/tcpdrop', { ...flow, ...wrong })).rejects.toThrow(UserError);
    }
  });

  it('refuses the path of a living process', async () => {
    const path = await serve('ix1');
    const second = await controlServer({} as never);
    open.push(second);
    await expect(listenControl(second, path)).rejects.toThrow(
      /another process listens there; give this instance a path of its own/,
    );
    expect(await probe(path)).not.toBeNull();
  });

  it('replaces the socket of a dead process', async () => {
    const path = await serve('ix1');
    // Closing a server removes its socket: under another name it is what a killed process leaves.
    renameSync(path, `${path}.kept`);
    await open.pop()!.close();
    renameSync(`${path}.kept`, path);
    expect(await probe(path)).toBeNull();
    await serve('ix1', { pid: 2 });
    expect((await probe(path))?.info.pid).toBe(2);
  });

  it('refuses the path of a file that is no socket, and leaves it alone', async () => {
    const path = join(dir, 'precious');
    writeFileSync(path, 'text');
    const app = await controlServer({} as never);
    open.push(app);
    await expect(listenControl(app, path)).rejects.toThrow(
      new UserError(`--control ${path}: that file is no socket; give a path that is free`),
    );
    expect(readFileSync(path, 'utf8')).toBe('text');
  });

  it('finds every instance of a folder, by name of the interface, and none that does not answer', async () => {
    await serve('b', { iface: 'ix2' });
    await serve('a', { iface: 'ix1' });
    const found = await instances(join(dir, 'sub'));
    expect(found.map((i) => i.info.iface)).toEqual(['ix1', 'ix2']);
    expect(describeInstance(found[0]!)).toMatch(/^ix1: pid 1, 1 queue, 192\.0\.2\.1\/24, control /);
    expect(await instances(join(dir, 'nosuch'))).toEqual([]);
    expect(await probe(join(dir, 'nosuch.sock'))).toBeNull();
  });

  it('finds an instance elsewhere by its link, once, and passes over a link that leads nowhere', async () => {
    const elsewhere = await serve('other', { iface: 'ix7' });
    const run = mkdtempSync(join(dir, 'run-'));
    symlinkSync(elsewhere, join(run, 'ix7.control'));
    symlinkSync(elsewhere, join(run, 'ix7@lab.control'));
    symlinkSync(join(dir, 'nosuch.sock'), join(run, 'ix8.control'));
    writeFileSync(join(run, 'ix9.control'), '');
    expect(await instances(run)).toMatchObject([{ path: elsewhere, info: { iface: 'ix7' } }]);
  });

  it('takes --control before XSIFTR_CONTROL, and --iface before the environment', async () => {
    const one = await serve('one', { pid: 11 });
    const two = await serve('two', { pid: 22 });
    expect((await findInstance({ control: one }, { XSIFTR_CONTROL: two })).info.pid).toBe(11);
    expect((await findInstance({}, { XSIFTR_CONTROL: two })).info.pid).toBe(22);
    await expect(findInstance({ iface: 'nosuch9' }, { XSIFTR_CONTROL: two })).rejects.toThrow(
      /--iface nosuch9: no running xsiftr serves it/,
    );
    await expect(findInstance({ control: join(dir, 'x') }, {})).rejects.toThrow(/no xsiftr answers there \(ENOENT\)/);
  });

  describe('finds the instance that --iface and --netns name', () => {
    const sub = (): string => join(dir, 'sub');
    const pid = async (opts: ClientOptions): Promise<number | undefined> => (await lookUp(opts, {}, sub()))?.info.pid;

    it('by both, by either where that is enough, and none where nothing fits', async () => {
      await serve('a', { iface: 'ix1', netns: 'a', pid: 11 });
      await serve('b', { iface: 'ix1', netns: 'b', pid: 22 });
      await serve('c', { iface: 'ix2', netns: 'b', pid: 33 });
      expect(await pid({ iface: 'ix1', netns: 'a' })).toBe(11);
      expect(await pid({ iface: 'ix1', netns: 'b' })).toBe(22);
      expect(await pid({ netns: 'a' })).toBe(11);
      expect(await pid({ iface: 'ix2' })).toBe(33);
      expect(await pid({ iface: 'ix2', netns: 'a' })).toBeUndefined();
    });

    it('the only one without options, ready or not', async () => {
      expect(await pid({})).toBeUndefined();
      await serve('a', { ready: false, pid: 11 });
      expect(await pid({})).toBe(11);
    });

    it('and refuses when several fit, with the least that tells each apart', async () => {
      await serve('a', { iface: 'ix1', netns: 'a', pid: 11 });
      await serve('b', { iface: 'ix1', netns: 'b', pid: 22 });
      const refusal = (opts: ClientOptions): Promise<unknown> => lookUp(opts, {}, sub()).catch((err) => err);
      expect(await refusal({ iface: 'ix1' })).toEqual(
        new UserError('--iface ix1: 2 instances are running; choose one with --netns a (pid 11) or --netns b (pid 22)'),
      );
      await serve('c', { iface: 'ix2', netns: 'b', pid: 33 });
      await serve('d', { iface: 'ix1', pid: 44 });
      expect(await refusal({ netns: 'b' })).toEqual(
        new UserError(
          '--netns b: 2 instances are running; choose one with --iface ix1 (pid 22) or --iface ix2 (pid 33)',
        ),
      );
      expect(await refusal({})).toEqual(
        new UserError(
          `4 instances are running; choose one with --control ${sub()}/d.sock (pid 44), --netns a (pid 11), --iface ix1 --netns b (pid 22) or --iface ix2 (pid 33)`,
        ),
      );
    });

    it('but not another one than --control leads to', async () => {
      const path = await serve('a', { iface: 'ix1', netns: 'a', pid: 11 });
      expect(await pid({ control: path, iface: 'ix1', netns: 'a' })).toBe(11);
      await expect(lookUp({ control: path, netns: 'b' }, {})).rejects.toEqual(
        new UserError(`--netns b: ix1 in namespace a is what runs at ${path}; leave out what does not fit it`),
      );
    });
  });
});
