import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readNetdev } from '../../src/driver/netdev.ts';
import { netnsInode, withNetns } from '../../src/driver/netns.ts';
import { processStartTime, restore, undoPath } from '../../src/driver/undo.ts';
import { Lab, labMissing } from '../lab/netns.ts';
import { Running, run } from '../lab/process.ts';

const CHILD = join(import.meta.dirname, 'children/guarded.ts');
const missing = labMissing();
if (missing !== '') console.log(`undo: skipped: ${missing}`);

/** What a veth of four queues has at the start, on both ends. */
const UNTOUCHED = { rx: 4, peerTx: 4, mtu: 1500 };
const NARROWED = { rx: 2, peerTx: 2, mtu: 1400 };

describe.skipIf(missing !== '')('giving an interface back', () => {
  let lab: Lab;
  let runDir: string;
  beforeEach(async () => {
    lab = await Lab.create('undo', { queues: 4 });
    runDir = join(lab.dir, 'run');
    mkdirSync(runDir);
  });
  afterEach(() => lab.remove());

  const state = () => {
    const dev = readNetdev('ix1', lab.nearNs);
    return { rx: dev.channels!.rx, peerTx: dev.peer!.channels.tx, mtu: dev.mtu };
  };

  /** Starts the child and waits until everything is changed. */
  const start = async (user = '-') => {
    const child = new Running([process.execPath, CHILD, lab.nearNs, runDir, user]);
    lab.keep(child);
    const guard = Number((await child.waitLine(/^ready \d+/)).split(' ')[1]);
    return { child, guard };
  };

  const gone = async (pid: number): Promise<void> => {
    // An ended process without a parent stays a zombie until init looks: that counts as gone.
    for (let i = 0; processStartTime(pid) !== null; i++) {
      if (i === 200) throw new Error(`process ${pid} is still there`);
      await sleep(20);
    }
  };

  it('reads queues, MTU and the far end of a veth as ip and ethtool made them', () => {
    expect(state()).toEqual(UNTOUCHED);
    expect(readNetdev('ix1', lab.nearNs)).toMatchObject({
      driver: 'veth',
      queues: 4,
      up: true,
      addresses: [{ address: '192.0.2.1', prefix: 24 }],
      routes: [{ network: '192.0.2.0', prefix: 24, gateway: null }],
      peer: { name: 'peer0', netns: lab.farNs },
      xdpProgram: null,
    });
  });

  it('comes back out of a namespace, also past an exception', () => {
    const home = netnsInode(null);
    const there = netnsInode(lab.nearNs);
    expect(there).not.toBe(home);
    expect(withNetns(lab.nearNs, () => netnsInode(null))).toBe(there);
    expect(() =>
      withNetns(lab.nearNs, () => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(netnsInode(null)).toBe(home);
  });

  it('changes only what it has written down, and the guard undoes it at a clean end, though the process has no right to', async () => {
    const { child, guard } = await start();
    expect(state()).toEqual(NARROWED);
    expect(readFileSync(undoPath('ix1', lab.nearNs, runDir), 'utf8')).toMatch(
      /unlink .*ix1\.sock\npeer \/run\/netns\/\S+ \d+ peer0 \d+ 4 4 0 0\nchannels 4 4 0 0\nmtu 1500\nend\n$/,
    );
    child.signal('SIGINT');
    expect(await child.exited).toBe(0);
    const result = JSON.parse(child.lines.at(-1)!);
    expect(result.failed).toEqual([]);
    expect(result.done).toEqual([
      'mtu 1500',
      'channels rx 4 tx 4 other 0 combined 0',
      'peer peer0 channels rx 4 tx 4 other 0 combined 0',
    ]);
    expect(state()).toEqual(UNTOUCHED);
    expect(readdirSync(runDir)).toEqual([]);
    await gone(guard);
  });

  it('is done by the guard when the process is killed with SIGKILL', async () => {
    const { child, guard } = await start('nobody');
    expect(state()).toEqual(NARROWED);
    child.signal('SIGKILL');
    await gone(guard);
    expect(state()).toEqual(UNTOUCHED);
    expect(readdirSync(runDir)).toEqual([]);
    await child.exited;
    expect(child.errorLines).toContain('xsiftr-guard: xsiftr is gone; undone: mtu 1500');
  });

  it('survives the signals that a terminal or a service manager sends to all', async () => {
    const { child, guard } = await start();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGPIPE', 'SIGTSTP'] as const)
      process.kill(guard, signal);
    await sleep(50);
    expect(state()).toEqual(NARROWED);
    child.signal('SIGKILL');
    await gone(guard);
    expect(state()).toEqual(UNTOUCHED);
  });

  it('is done by restore when the guard died too, and the living process had said so', async () => {
    const { child, guard } = await start();
    process.kill(guard, 'SIGKILL');
    expect(await child.waitLine(/^lost/)).toMatch(
      /^lost the guard \(pid \d+\) ended by SIGKILL; .* run xsiftr restore$/,
    );
    expect(restore({ runDir })).toMatchObject([{ state: 'running', iface: `ix1@${lab.nearNs}` }]);
    child.signal('SIGKILL');
    await child.exited;
    expect(state()).toEqual(NARROWED);
    expect(restore({ runDir, ifname: 'ix1', netns: lab.farNs })).toEqual([]);
    expect(restore({ runDir, ifname: 'ix1', netns: lab.nearNs })).toMatchObject([
      { state: 'restored', failed: [], text: expect.stringContaining('put back mtu 1500; channels rx 4') },
    ]);
    expect(state()).toEqual(UNTOUCHED);
    expect(readdirSync(runDir)).toEqual([]);
  });

  it('leaves an interface alone that another one has replaced under its name', async () => {
    const { child, guard } = await start();
    process.kill(guard, 'SIGKILL');
    child.signal('SIGKILL');
    await child.exited;
    await lab.near('ip link del ix1');
    await lab.near('ip link add ix1 mtu 1300 numrxqueues 4 numtxqueues 4 type veth peer name other0');
    await lab.near('ethtool -L ix1 rx 3');
    expect(restore({ runDir })).toMatchObject([{ state: 'restored' }]);
    const dev = readNetdev('ix1', lab.nearNs);
    expect([dev.mtu, dev.channels!.rx]).toEqual([1300, 3]);
  });

  it('says that it needs root when somebody else asks for it', async () => {
    const { child, guard } = await start();
    const undo = join(import.meta.dirname, '../../src/driver/undo.ts');
    // Imported as root: the checkout may be closed to others.
    const script = `import('${undo}').then((u) => {
      process.setuid('nobody');
      console.log(u.restore({ runDir: '${runDir}' })[0].text);
    })`;
    await run(['chmod', '755', lab.dir]);
    const asNobody = await run([process.execPath, '-e', script]);
    child.signal('SIGKILL');
    await gone(guard);
    expect(asNobody.stdout).toMatch(/: reading \S+\.undo needs root; run it with sudo$/);
  });

  it('has the guard hold CAP_NET_ADMIN and nothing else', async () => {
    const { child, guard } = await start();
    const status = readFileSync(`/proc/${guard}/status`, 'utf8');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)![1]!;
    // CAP_NET_ADMIN is bit 12 (capability.h).
    expect(['CapPrm', 'CapEff', 'CapInh', 'CapBnd', 'CapAmb', 'NoNewPrivs'].map(field)).toEqual([
      '0000000000001000',
      '0000000000001000',
      '0000000000000000',
      '0000000000000000',
      '0000000000000000',
      '1',
    ]);
    // 0..2, and the socket in the peer's namespace.
    expect(readdirSync(`/proc/${guard}/fd`)).toHaveLength(4);
    child.signal('SIGKILL');
    await gone(guard);
  });
});
