import { existsSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { run } from '../lab/process.ts';

/** What becomes of xsiftr when its interface goes down or away. */
describe.skipIf(labMissing('curl') !== '')(`the link of an interface ${labMissing('curl')}`, () => {
  let lab: Lab;
  beforeEach(async () => {
    lab = await Lab.create('link', { queues: 2 });
  });
  afterEach(() => lab.remove());

  const fetched = async (): Promise<string> =>
    (await lab.far('curl -s -m 5 http://192.0.2.1/bytes/100000 | wc -c')).stdout;
  const linkLines = (x: Xsiftr): string[] => x.running.errorLines.filter((line) => line.includes('link state'));

  /** It ends by itself, with this one line, and everything is closed. */
  async function ends(x: Xsiftr, line: string): Promise<void> {
    const undoFile = `/run/xsiftr/ix1@${lab.nearNs}.undo`;
    expect(await x.running.exited).toBe(1);
    expect(x.running.errorLines.filter((l) => !l.startsWith('{'))).toEqual([`xsiftr: ${line}`]);
    expect(x.lines.join('\n')).toContain(`ix1: stopped (${line}) after`);
    expect(readFileSync(x.siftrLog, 'latin1')).toMatch(/\ndisable_time_secs=.*\n$/);
    expect(existsSync(undoFile)).toBe(false);
  }

  const gone = 'the interface ix1 is gone: it was removed, or moved to another network namespace';

  it('ends the process in order when the interface is removed in the middle of a transfer', async () => {
    const x = await startXsiftr(lab, ['--mtu', '1400', '--user', 'nobody']);
    const transfer = lab.spawnFar(['curl', '-s', '-o', '/dev/null', 'http://192.0.2.1/bytes/10000000000']);
    await expect.poll(async () => (await x.command(['netstat'])).stdout).toContain('ESTABLISHED');
    await lab.near('ip link del ix1');
    await ends(x, gone);
    expect(x.lines.at(-1)).toBe('ix1: gone, nothing was to be undone');
    await transfer.stop();
  });

  it.each([
    ['its veth peer is removed', (l: Lab) => l.far('ip link del peer0')],
    ["its peer's namespace is deleted", (l: Lab) => run(['ip', 'netns', 'del', l.farNs])],
    ['it is moved to another namespace', (l: Lab) => l.near(`ip link set ix1 netns ${l.farNs}`)],
  ])('ends the process when %s', async (_what, change) => {
    const x = await startXsiftr(lab);
    await change(lab);
    await ends(x, gone);
  });

  it('ends the process when its own namespace is deleted, or that of a peer whose queues it has changed', async () => {
    const x = await startXsiftr(lab, ['--mtu', '1400']);
    await run(['ip', 'netns', 'del', lab.nearNs]);
    await ends(x, `the network namespace ${lab.nearNs} was deleted, and ix1 goes with it`);
    expect(x.lines.at(-1)).toBe('ix1: given back to the kernel, undone: mtu 1500');
    // Nothing holds the namespace any more, so the pair is gone.
    await expect.poll(async () => (await lab.far('ip link show peer0', { check: false })).code).toBe(1);

    const other = await Lab.create('link', { queues: 2 });
    try {
      const y = await startXsiftr(other, ['--queues', '1']);
      await run(['ip', 'netns', 'del', other.farNs]);
      expect(await y.running.exited).toBe(1);
      expect(y.running.errorLines.at(-1)).toBe(
        `xsiftr: the network namespace ${other.farNs} was deleted, and ix1 goes with it`,
      );
      await expect.poll(async () => (await other.near('ip link show ix1', { check: false })).code).toBe(1);
    } finally {
      await other.remove();
    }
  });

  it.each([
    ['the interface was set down', (l: Lab, to: string) => l.near(`ip link set ix1 ${to}`)],
    ['no carrier', (l: Lab, to: string) => l.far(`ip link set peer0 ${to}`)],
  ])('tells once that the link went down (%s) and once that it came up, and traffic flows again', async (why, set) => {
    const x = await startXsiftr(lab, ['--user', 'nobody']);
    expect(await fetched()).toBe('100000');
    await set(lab, 'down');
    await expect.poll(() => linkLines(x).length, { timeout: 3000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    await set(lab, 'up');
    await expect.poll(() => linkLines(x).length, { timeout: 3000 }).toBe(2);
    expect(linkLines(x)).toEqual([
      expect.stringMatching(`"level":40.*"ix1: link state changed to DOWN \\(${why}\\)"`),
      expect.stringMatching('"level":30.*"ix1: link state changed to UP"'),
    ]);
    expect(await fetched()).toBe('100000');
    expect(await x.stop()).toBe(0);
  });

  it('does not ask a link that is down again and again to take what waits, and sends it when the link is up', async () => {
    const x = await startXsiftr(lab, ['--no-siftr']);
    const wakeups = async (): Promise<number> => {
      const text = (await x.command(['kstat', 'xsk'])).stdout;
      return [...text.matchAll(/tx_wakeups: (\d+)/g)].reduce((sum, m) => sum + Number(m[1]), 0);
    };
    const get = lab.spawnFar(['sh', '-c', 'curl -s -m 20 --limit-rate 4M http://192.0.2.1/bytes/12000000 | wc -c']);
    await expect.poll(async () => (await x.command(['netstat'])).stdout).toContain('ESTABLISHED');
    await lab.near('ip link set ix1 down');
    await x.running.waitLine(/changed to DOWN/);
    const before = await wakeups();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    // A retransmission or two.
    expect((await wakeups()) - before).toBeLessThan(1000);
    await lab.near('ip link set ix1 up');
    await get.exited;
    expect(get.lines[0]).toBe('12000000');
    expect(await x.stop()).toBe(0);
  });
});
