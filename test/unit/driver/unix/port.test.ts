import { spawn } from 'node:child_process';
import { existsSync, lstatSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { UnixLink } from '../../../../src/driver/unix/link.ts';
import { UnixPort } from '../../../../src/driver/unix/port.ts';
import { PATH_MAX } from '../../../../src/driver/unix/socket-file.ts';
import { UL, ULINK_WORDS } from '../../../../src/metrics/ulinkkv.ts';
import { FRAME_SIZE } from '../../../../src/rings/link.ts';
import { FramePool } from '../../../../src/rings/mbuf.ts';
import { TestClock } from '../../../lab/memlink.ts';
import { listenAt, socketDir, UnixPeer } from '../../../lab/unix-peer.ts';

const dir = socketDir();
const open: { close(): void }[] = [];

function port(path: string, role: 'server' | 'client' = 'server') {
  const counters = new Float64Array(ULINK_WORDS);
  const link = new UnixLink({
    pool: new FramePool(new ArrayBuffer(8 * FRAME_SIZE), 0, 8),
    clock: new TestClock(),
    counters,
    maxFrame: 1518,
    slots: 8,
  });
  const changes: string[] = [];
  const p = new UnixPort({
    name: 'unix0',
    path,
    role,
    link,
    counters,
    changed: (up, why) => changes.push(up ? 'up' : why),
  });
  open.push(p);
  const count = (word: keyof typeof UL): number => counters[UL[word]]!;
  return { port: p, link, changes, count };
}

async function peer(path: string): Promise<UnixPeer> {
  const p = await UnixPeer.connect(path);
  open.push(p);
  return p;
}

/** The line that a start on `path` is refused with. */
const refusal = (path: string): Promise<unknown> =>
  port(path)
    .port.open()
    .then(
      () => 'none',
      (err) => err,
    );

afterEach(() => {
  for (const o of open.splice(0)) o.close();
});
afterAll(() => dir.remove());

describe('the socket file of a server', () => {
  test('is for its user only, and goes with it', async () => {
    const path = dir.path('mode');
    const { port: p } = port(path);
    await p.open();
    expect(lstatSync(path).isSocket()).toBe(true);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    p.close();
    expect(existsSync(path)).toBe(false);
  });

  test('that a killed process left is replaced', async () => {
    const path = dir.path('stale');
    const child = spawn(
      'python3',
      [
        '-c',
        `import socket,os\ns=socket.socket(socket.AF_UNIX)\ns.bind(${JSON.stringify(path)})\ns.listen()\nos.kill(os.getpid(),9)`,
      ],
      { stdio: 'ignore' },
    );
    await new Promise((resolve) => child.on('close', resolve));
    expect(lstatSync(path).isSocket()).toBe(true);
    const r = port(path);
    await r.port.open();
    await peer(path);
    await vi.waitFor(() => expect(r.changes).toEqual(['up']), 5000);
  });

  test('of a process that lives is left alone', async () => {
    const path = dir.path('live');
    const first = port(path);
    await first.port.open();
    await peer(path);
    await vi.waitFor(() => expect(first.changes).toEqual(['up']), 5000);
    expect(await refusal(path)).toMatchObject({
      code: 'ELIVE',
      exitCode: 2,
      message: `--iface unix:${path}: another process listens there; give the link a path of its own, or connect to it with role=client`,
    });
    expect(first.changes).toEqual(['up']);
  });

  test('that is another kind of file is left alone', async () => {
    const path = dir.path('file');
    writeFileSync(path, 'mine');
    expect(await refusal(path)).toMatchObject({
      exitCode: 2,
      message: `--iface unix:${path}: that file is no socket; give a path that is free`,
    });
    expect(lstatSync(path).isFile()).toBe(true);
  });

  test('is not taken away when it is no longer ours', async () => {
    const path = dir.path('replaced');
    const { port: p } = port(path);
    await p.open();
    rmSync(path);
    writeFileSync(path, 'another');
    p.close();
    expect(existsSync(path)).toBe(true);
  });

  test('in a directory that does not exist is refused in one line, exit status 1', async () => {
    const path = dir.path('no/such/dir');
    const err = (await refusal(path)) as Error;
    expect(err).toMatchObject({ code: 'ELISTEN', exitCode: 1 });
    expect(err.message).toMatch(/^--iface unix:\S+: cannot listen there: ENOENT: /);
    expect(err.message).not.toContain('\n');
  });

  test('may have the longest path that there can be', async () => {
    const path = dir.path('x'.repeat(PATH_MAX - Buffer.byteLength(dir.path('')) - 1));
    expect(Buffer.byteLength(path)).toBe(PATH_MAX);
    await port(path).port.open();
    await peer(path);
  });
});

describe('one peer at a time', () => {
  test('a second connection is closed without a word and counted; the first goes on', async () => {
    const path = dir.path('second');
    const r = port(path);
    await r.port.open();
    const first = await peer(path);
    await vi.waitFor(() => expect(r.link.up).toBe(true), 5000);
    const second = await peer(path);
    await second.until(() => second.ended);
    expect(second.frames).toEqual([]);
    expect(r.count('REFUSED')).toBe(1);
    expect(first.ended).toBe(false);
    expect(r.changes).toEqual(['up']);
  });

  test('a peer that is gone is replaced, and one that comes before its end is seen waits for it', async () => {
    const path = dir.path('heir');
    const r = port(path);
    await r.port.open();
    const first = await peer(path);
    await vi.waitFor(() => expect(r.link.up).toBe(true), 5000);
    const second = await peer(path);
    first.close();
    await vi.waitFor(() => expect(r.changes).toEqual(['up', 'the peer closed the connection', 'up']), 5000);
    expect(second.ended).toBe(false);
    expect(r.count('REFUSED')).toBe(0);
  });
});

describe('a client', () => {
  test('tries again until somebody listens, and again when that peer has gone', async () => {
    const path = dir.path('client');
    const r = port(path, 'client');
    await r.port.open();
    await vi.waitFor(() => expect(r.count('CONNECT_ERRORS')).toBeGreaterThan(0), 5000);
    const peers: UnixPeer[] = [];
    const server = await listenAt(path, (p) => peers.push(p));
    open.push({ close: () => void server.close() });
    await vi.waitFor(() => expect(peers).toHaveLength(1), 5000);
    peers[0]!.close();
    await vi.waitFor(() => expect(peers).toHaveLength(2), 5000);
    expect(r.changes).toEqual(['up', 'the peer closed the connection', 'up']);
    expect(r.count('UPS')).toBe(2);
    peers[1]!.close();
  });
});
