import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PeerCred } from '../../../src/daemon/peer-cred.ts';
import { loadNative } from '../../../src/driver/native.ts';
import type { NativeSys } from '../../../src/driver/native-sys.ts';
import { socketDir } from '../../lab/unix-peer.ts';

// SO_PEERCRED of unix(7), comm of proc(5).
describe('who connects to the endpoint', () => {
  const dir = socketDir();
  const server = createServer();
  let s: Socket;
  let far: Socket;

  beforeEach(async () => {
    await new Promise<void>((done) => server.listen(dir.path('sockets'), done));
    const came = new Promise<Socket>((done) => server.once('connection', done));
    far = connect(dir.path('sockets'));
    s = await came;
  });
  afterEach(async () => {
    far.destroy();
    s.destroy();
    await new Promise((done) => server.close(done));
  });
  afterAll(() => dir.remove());

  it('is told by the kernel, with the names of user and process; nothing of a socket that is closed', () => {
    const cred = new PeerCred(loadNative());
    expect(cred.of(s)).toEqual({
      uid: process.getuid?.(),
      user: userInfo().username,
      pid: process.pid,
      command: readFileSync(`/proc/${process.pid}/comm`, 'utf8').trim(),
    });
    s.destroy();
    expect(cred.of(s)).toBeNull();
  });

  it('is known as far as the kernel knows it; the name of a user is asked for once', () => {
    let asked = 0;
    let pid = 0;
    const native = {
      sysPeerCred: () => ({ pid, uid: 4_000_000 }),
      sysUserName: () => {
        asked++;
        return null;
      },
    } as Partial<NativeSys> as NativeSys;
    const cred = new PeerCred(native);
    const none = { uid: 4_000_000, user: null, command: null };
    // 0: of another PID namespace. 2 ** 22 is above the highest one (PID_MAX_LIMIT), so that nothing runs there.
    expect(cred.of(s)).toEqual({ ...none, pid: null });
    pid = 2 ** 22 + 1;
    expect(cred.of(s)).toEqual({ ...none, pid });
    expect(asked).toBe(1);
  });

  it('is not known where the kernel refuses to tell', () => {
    const native = {
      sysPeerCred: () => {
        throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
      },
    } as Partial<NativeSys> as NativeSys;
    expect(new PeerCred(native).of(s)).toBeNull();
  });
});
