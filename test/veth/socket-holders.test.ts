import { chmod } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, labMissing, ROOT, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peerWords } from '../lab/peer.ts';

/** Another user's program: accepts one of two connections, waits for what it says, and tells how that ends. */
const PROGRAM = `
import errno, json, os, pwd, sys
sys.path.insert(0, sys.argv[2])
import xsiftr_sockets as xs
os.setuid(65534)
ep = xs.Endpoint(sys.argv[1])
spare, listener = ep.socket(), ep.socket()
listener.bind(("192.0.2.1", 8000))
listener.listen()
spare.close()
print(json.dumps([pwd.getpwuid(65534).pw_name, os.getpid(), open("/proc/self/comm").read().strip(), listener.fd]), flush=True)
s, where = listener.accept()
print(json.dumps([s.fd, where[1]]), flush=True)
ends = []
for _ in range(2):
    try:
        ends.append(len(s.recv(1000)))
    except OSError as e:
        ends.append(errno.errorcode[e.errno])
s.close()
try:
    s.recv(1)
except OSError as e:
    ends.append(errno.errorcode[e.errno])
print(json.dumps(ends + [ep.socket().fd]), flush=True)
listener.accept()
listener.accept()`;

const missing = labMissing('python3');
describe.skipIf(missing !== '')(`sockstat and tcpdrop with a program on the socket endpoint ${missing}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  let sockets: string;

  beforeAll(async () => {
    lab = await Lab.create('holders', { queues: 2 });
    sockets = join(lab.dir, 'sockets');
    x = await startXsiftr(lab, ['--sockets', sockets, '--serve', 'echo', '--no-siftr']);
    await chmod(lab.dir, 0o711);
    await chmod(sockets, 0o666);
  });
  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  const lines = async (...words: string[]): Promise<string[]> =>
    (await x.command(words)).stdout.split('\n').flatMap((l) => l.trimEnd() || []);

  it('sockstat has descriptor, user and process of that program, ? for what it has not accepted; a dropped recv ends with ECONNABORTED', async () => {
    const p = lab.spawnNear(['python3', '-B', '-c', PROGRAM, sockets, join(ROOT, 'docs/examples')]);
    const [user, pid, command, listener] = JSON.parse(await p.waitLine(/^\[/)) as [string, number, string, number];
    expect(listener).toBe(4);
    const far = lab.spawnFar(peerWords('endings', 8000, 2));
    const ports = JSON.parse(await far.waitLine(/^\[/)) as number[];
    const [fd, taken] = JSON.parse(await p.waitLine(/^\[3, /)) as [number, number];
    const queued = ports.find((n) => n !== taken)!;

    // usr.bin/sockstat of FreeBSD 14: user to column 9, command to 20, pid %5lu to 26, FD %-3d, protocol from 30, addresses from 37 and 59.
    const row = (holder: string, local: string, foreign: string): string =>
      `${holder.padEnd(30)}tcp4   ${local.padEnd(21)} ${foreign}`;
    const program = (n: number): string =>
      `${user.padEnd(8)} ${command.slice(0, 10).padEnd(10)} ${String(pid).padStart(5)} ${n}`;
    const own = `${userInfo().username.padEnd(8)} xsiftr     ${String(x.running.pid).padStart(5)} ?`;
    const rows = [
      row(own, '*:7', '*:*'),
      row(program(listener), '192.0.2.1:8000', '*:*'),
      row(program(fd), '192.0.2.1:8000', `192.0.2.2:${taken}`),
      row('?        ?          ?     ?', '192.0.2.1:8000', `192.0.2.2:${queued}`),
    ];
    // The peer's connect returns before its last ACK has made a connection of it here.
    await expect.poll(async () => (await lines('sockstat', '-q')).sort()).toEqual(rows.sort());
    const json = async (...words: string[]) => (await lines(...words)).map((l) => JSON.parse(l) as object);
    const held = { fd, pid, command, uid: 65534, user };
    const ends = { lport: 8000, fport: taken };
    expect(await json('sockstat', '--json', '-p', String(taken))).toEqual([
      expect.objectContaining({ ...held, ...ends }),
    ]);
    expect(await json('ss', '--json', 'dport', '=', `:${taken}`)).toEqual([
      expect.objectContaining({ ...held, ...ends, queued: false }),
    ]);
    const [waiting] = await json('ss', '--json', 'dport', '=', `:${queued}`);
    expect(waiting).toMatchObject({ queued: true, orphan: false });
    for (const key of Object.keys(held)) expect(waiting).not.toHaveProperty(key);

    await x.command(['tcpdrop', '192.0.2.1', '8000', '192.0.2.2', String(taken)]);
    // As after tcp_abort() of Linux: the error once, then the end of the stream; a closed descriptor is free.
    expect(JSON.parse(await p.waitLine(/^\["E/))).toEqual(['ECONNABORTED', 0, 'EBADF', fd]);
    await expect
      .poll(() => lines('sockstat', '-q', '-p', String(queued)))
      .toEqual([row(program(fd + 2), '192.0.2.1:8000', `192.0.2.2:${queued}`)]);
    p.child.kill('SIGKILL');
    await p.exited;
    await far.exited;
    expect(JSON.parse(far.lines.at(-1)!)).toEqual({ [taken]: 'ECONNRESET', [queued]: '' });
    await expect.poll(() => lines('sockstat', '-ql')).toEqual([row(own, '*:7', '*:*')]);
  });
});
