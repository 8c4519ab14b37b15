import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lookupUser } from '../../src/driver/privileges.ts';
import { labMissing } from '../lab/netns.ts';
import { run } from '../lab/process.ts';

const CHILD = join(import.meta.dirname, 'children/poor.ts');
const missing = labMissing();
if (missing !== '') console.log(`privileges: skipped: ${missing}`);

const NONE = '0000000000000000';
const POOR = { CapInh: NONE, CapPrm: NONE, CapEff: NONE, CapBnd: NONE, CapAmb: NONE, NoNewPrivs: '1' };

interface Report {
  changed: number;
  again: number;
  threads: Record<string, string>[];
  child: string;
  refusals: string[];
}

const poor = async (user: string): Promise<Report> =>
  JSON.parse((await run([process.execPath, CHILD, user])).stdout.split('\n').at(-1)!);

describe.skipIf(missing !== '')('giving up privileges', () => {
  it('leaves no capability in any thread: pool, workers (a spinning one too), the engine and later ones', async () => {
    const report = await poor('-');
    // Main, four of the engine at least, four of the pool, two workers and the late one.
    expect(report.threads.length).toBeGreaterThanOrEqual(10);
    for (const thread of report.threads) expect(thread).toMatchObject({ ...POOR, Uid: '0 0 0 0' });
    expect(report.changed).toBeGreaterThanOrEqual(report.threads.length - 1);
  });

  it('leaves no way back: not for a program that is executed, not for a second call, not by setuid', async () => {
    const report = await poor('-');
    expect(report.child).toBe(`CapEff:\t${NONE}`);
    expect(report.refusals).toEqual(['EPERM', 'EPERM', 'ENOPERM']);
    expect(report.again).toBeGreaterThan(0);
  });

  it('becomes another user with its groups in every thread', async () => {
    const report = await poor('nobody');
    const nobody = lookupUser('nobody');
    for (const thread of report.threads) {
      expect(thread).toMatchObject({
        ...POOR,
        Uid: Array(4).fill(nobody.uid).join(' '),
        Gid: Array(4).fill(nobody.gid).join(' '),
        Groups: nobody.groups.join(' '),
      });
    }
    expect(report.refusals).toEqual(['EPERM', 'EPERM', 'ENOPERM']);
  });

  it('refuses an unknown user in one line', () => {
    expect(() => lookupUser('no-such-user-here')).toThrow(
      /^--user no-such-user-here: no such user; give a name that getent passwd lists$/,
    );
  });

  it('names the missing capability where set-up is tried without root', () => {
    const script = `import('${join(import.meta.dirname, '../../src/driver/privileges.ts')}').then((p) => p.checkPrivileges(null)).catch((e) => console.log(e.message, e.exitCode))`;
    const r = spawnSync('setpriv', ['--bounding-set=-net_admin', '--inh-caps=-all', process.execPath, '-e', script], {
      encoding: 'utf8',
    });
    expect(r.stdout.trim()).toBe('taking an interface over needs root: CAP_NET_ADMIN missing; run it with sudo 1');
  });
});
