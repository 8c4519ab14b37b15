import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, labMissing, startXsiftr, XSIFTR, type Xsiftr } from '../lab/netns.ts';
import { run } from '../lab/process.ts';

const GENTLE = join(import.meta.dirname, '../../docs/examples/gentle.ts');
const SIZE = 300_000;

/** Modules that a running instance loaded, and how it chooses among them. */
describe.skipIf(labMissing('curl') !== '')(`congestion control on a running instance ${labMissing('curl')}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'xsiftr-cc-'));
  const bad = join(dir, 'bad.ts');
  let lab: Lab;
  let x: Xsiftr;
  beforeAll(async () => {
    writeFileSync(
      bad,
      `import { newRenoModule } from 'xsiftr/cc';
       const { create } = newRenoModule('bad');
       export default { name: 'bad', create: () => Object.assign(create(), { ackReceived() { throw new Error('oh no'); } }) };`,
    );
    lab = await Lab.create('cc', { queues: 2 });
    x = await startXsiftr(lab, ['--serve', 'http', '--cc', GENTLE, '--cc', bad]);
  });
  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
    rmSync(dir, { recursive: true });
  });

  const sysctl = async (word: string, check = true) => x.command(['sysctl', word], { check });
  const fetch = async () =>
    lab.far(`curl -s -o /dev/null -w %{size_download} http://192.0.2.1/bytes/${SIZE}`, { check: false });

  it('the first of --cc is the default, and all are shown', async () => {
    expect((await sysctl('net.inet.tcp.cc.algorithm')).stdout).toBe('net.inet.tcp.cc.algorithm: gentle');
    expect((await sysctl('net.inet.tcp.cc.available')).stdout).toBe(
      'net.inet.tcp.cc.available: newreno, cubic, dctcp, bbr, bbr1, gentle, bad',
    );
    expect((await fetch()).stdout).toBe(String(SIZE));
  });

  it('the sysctl changes that of new connections, for each module that is loaded', async () => {
    for (const name of ['newreno', 'cubic', 'dctcp', 'bbr', 'bbr1']) {
      expect((await sysctl(`net.inet.tcp.cc.algorithm=${name}`)).stdout).toMatch(` -> ${name}`);
      expect((await fetch()).stdout, name).toBe(String(SIZE));
    }
    expect((await sysctl('net.inet.tcp.cc.algorithm=vegas', false)).stderr).toBe(
      'sysctl: net.inet.tcp.cc.algorithm=vegas: not loaded; allowed: newreno, cubic, dctcp, bbr, bbr1, gentle, bad',
    );
    expect((await sysctl('net.inet.tcp.cc.available=x', false)).stderr).toMatch(/read only/);
  });

  it('a module that throws ends its connections, in every shard, and no others', async () => {
    await sysctl('net.inet.tcp.cc.algorithm=bad');
    // Enough of them that both shards have one.
    for (let i = 0; i < 8; i++) expect((await fetch()).code).not.toBe(0);
    expect((await x.command(['netstat', '-s', '-s'])).stdout).toMatch(
      /\d+ connections? dropped by a failure of their congestion control/,
    );
    await sysctl('net.inet.tcp.cc.algorithm=cubic');
    for (let i = 0; i < 8; i++) expect((await fetch()).stdout).toBe(String(SIZE));
  });

  it('a file that is no module is refused before anything is touched, exit status 2', async () => {
    const none = join(dir, 'none.js');
    writeFileSync(none, 'export const a = 1;');
    const r = await run([XSIFTR, '--iface', 'nosuch0', '--cc', none], { check: false });
    expect(r.code).toBe(2);
    expect(r.stderr).toBe(`xsiftr: --cc ${none}: it has no default export; write export default { name, create() }`);
  });
});
