import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FifoDevice } from '../../../src/cli/fifo-device.ts';

const HEAD = 'n,text\n';

function mkfifo(path: string, mode: number): void {
  const r = spawnSync('mkfifo', ['-m', mode.toString(8), path], { encoding: 'utf8' });
  if (r.status !== 0) throw new Error(r.stderr.trim());
}

describe('a FIFO that is read as a device is (spec/siftr.md section 15)', () => {
  let dir: string;
  let path: string;
  const devices: FifoDevice[] = [];
  const children: ChildProcess[] = [];
  const never = new AbortController().signal;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'xsiftr-fifo-'));
    path = join(dir, 'tcpstats');
  });
  afterEach(async () => {
    for (const c of children.splice(0)) c.kill('SIGKILL');
    for (const d of devices.splice(0)) await d.close();
    rmSync(dir, { recursive: true });
  });

  function serve(): FifoDevice {
    const d = new FifoDevice({ path, head: HEAD, mkfifo });
    devices.push(d);
    return d;
  }

  /** `cat PATH > FILE`, so that a reader takes whatever comes. */
  function cat(name: string): { child: ChildProcess; text: () => string } {
    const file = join(dir, name);
    const fd = openSync(file, 'w');
    const child = spawn('cat', [path], { stdio: ['ignore', fd, 'inherit'] });
    closeSync(fd);
    children.push(child);
    return { child, text: () => readFileSync(file, 'utf8') };
  }

  /** A reader that opens and then takes nothing. */
  async function sleeper(): Promise<ChildProcess> {
    const child = spawn('sh', ['-c', 'exec < "$0"; echo open; exec sleep 60', path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    return child;
  }

  const readers = (d: FifoDevice, n: number): Promise<void> => expect.poll(() => d.readers).toBe(n);

  test('has mode 0600 and is taken away at the end', async () => {
    const d = serve();
    expect(statSync(path).isFIFO()).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await d.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('gives each of two readers the header and every sample from its opening on, each in whole', async () => {
    const d = serve();
    const one = cat('one');
    await d.reader(never);
    d.write('0,a\n');
    const two = cat('two');
    await readers(d, 2);
    d.write('1,b\n');
    d.write('2,c\n');
    await d.close();
    // What is in a pipe stays there for its reader when the writer has gone.
    await expect.poll(one.text).toBe(`${HEAD}0,a\n1,b\n2,c\n`);
    await expect.poll(two.text).toBe(`${HEAD}1,b\n2,c\n`);
    expect([d.served, d.dropped]).toEqual([2, 0]);
    expect(existsSync(path)).toBe(false);
  });

  test('gives a sample larger than a pipe in whole, and drops the next one while it is not taken', async () => {
    const d = serve();
    const stuck = await sleeper();
    await readers(d, 1);
    const large = `${'x'.repeat(99)}\n`.repeat(2000);
    d.write(large);
    for (let i = 0; i < 50; i++) d.write(large);
    expect(d.dropped).toBe(50);
    const quick = cat('quick');
    await readers(d, 2);
    d.write('1,a\n');
    expect(d.dropped).toBe(51);
    expect(stuck.exitCode).toBe(null);
    await expect.poll(quick.text).toBe(`${HEAD}1,a\n`);
    d.write(large);
    await expect.poll(() => quick.text().length).toBe(HEAD.length + 4 + large.length);
    expect(quick.text()).toBe(`${HEAD}1,a\n${large}`);
    expect(d.dropped).toBe(52);
  });

  test('forgets a reader that was killed, and serves the next', async () => {
    const d = serve();
    const one = cat('one');
    await readers(d, 1);
    one.child.kill('SIGKILL');
    await expect
      .poll(() => {
        d.write('0,a\n');
        return d.readers;
      })
      .toBe(0);
    const two = cat('two');
    await readers(d, 1);
    d.write('1,b\n');
    await expect.poll(two.text).toBe(`${HEAD}1,b\n`);
  });

  test('notices that a reader left although there was nothing to give it, and that a stuck one was killed', async () => {
    const d = serve();
    const one = cat('one');
    await readers(d, 1);
    d.write('');
    await expect.poll(one.text).toBe(HEAD);
    one.child.kill('SIGKILL');
    await expect
      .poll(() => {
        d.write('');
        return d.readers;
      })
      .toBe(0);
    const stuck = await sleeper();
    await readers(d, 1);
    d.write('x\n'.repeat(100_000));
    stuck.kill('SIGKILL');
    await readers(d, 0);
  });

  test('keeps the rights that somebody gave it, for the next reader too', async () => {
    const d = serve();
    chmodSync(path, 0o640);
    cat('one');
    await readers(d, 1);
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test('that was there before is used and left there; its readers share what comes', async () => {
    mkfifo(path, 0o644);
    const { ino } = statSync(path);
    const d = serve();
    const one = cat('one');
    await readers(d, 1);
    d.write('0,a\n');
    await d.close();
    await expect.poll(one.text).toBe(`${HEAD}0,a\n`);
    expect(statSync(path).ino).toBe(ino);
  });

  test('a path with another file is refused in one line and the file left as it was', () => {
    writeFileSync(path, 'mine');
    expect(serve).toThrow(`tcpstats: --device ${path}: that file is no FIFO; give a path that is free, or a FIFO`);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    path = dir;
    expect(serve).toThrow(/that file is no FIFO/);
    path = join(dir, 'no', 'where');
    expect(serve).toThrow(/^tcpstats: --device \S+where: cannot serve a FIFO there: /);
  });

  test('never replaces or removes a file that took its place', async () => {
    const d = serve();
    renameSync(path, join(dir, 'moved'));
    writeFileSync(path, 'mine');
    const fd = openSync(join(dir, 'moved'), constants.O_RDONLY | constants.O_NONBLOCK);
    await expect(d.reader(never)).rejects.toThrow(/: another file has taken its place, or none$/);
    closeSync(fd);
    await d.close();
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });

  test('a wait for a reader ends with the signal', async () => {
    const d = serve();
    const stop = new AbortController();
    setImmediate(() => stop.abort());
    await d.reader(stop.signal);
    expect(d.readers).toBe(0);
  });
});
