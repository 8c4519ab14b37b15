import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadNative } from '../../../src/driver/native.ts';
import { netnsHandle } from '../../../src/driver/netns.ts';
import { liveOwner, processStartTime, readHeader, restore, UndoFile, undoPath } from '../../../src/driver/undo.ts';

/** No interface has this index: every setting counts as undone, so nothing of this machine is touched. */
const GONE = { name: 'xsgone0', netns: null, index: 2147483647, peer: null };

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'xsiftr-undo-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const ours = `${netnsHandle(null).path ?? '-'} ${netnsHandle(null).inode}`;
/** A file of a process that ended: pid 1 never had this start time. */
const dead = (actions: string, head = ''): string =>
  `${head || 'xsiftr-undo 1'}\nnetns ${ours}\niface xsgone0 2147483647\nowner 1 99999999999\n${actions}end\n`;
const write = (text: string): string => {
  const path = undoPath('xsgone0', null, dir);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

describe('the undo file', () => {
  it('stands with its whole content after every record, readable by its owner only, with nothing beside it', () => {
    const undo = UndoFile.open(GONE, dir);
    undo.record({ kind: 'mtu', mtu: 1500 });
    undo.record({ kind: 'channels', rx: 4, tx: 4, other: 0, combined: 0 });
    undo.record({ kind: 'indir', table: [0, 1, 2] });
    undo.record({ kind: 'indir', table: null });
    undo.record({ kind: 'unlink', path: `${dir}/ix1.sock` });
    expect(readFileSync(undo.path, 'utf8')).toBe(
      [
        'xsiftr-undo 1',
        `netns ${ours}`,
        'iface xsgone0 2147483647',
        `owner ${process.pid} ${processStartTime(process.pid)}`,
        'mtu 1500',
        'channels 4 4 0 0',
        'indir 0 1 2',
        'indir default',
        `unlink ${dir}/ix1.sock`,
        'end',
        '',
      ].join('\n'),
    );
    expect(statSync(undo.path).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toHaveLength(1);
  });

  it('is a claim: a second process is refused while the owner lives, with its pid', () => {
    const undo = UndoFile.open(GONE, dir);
    expect(liveOwner('xsgone0', null, dir)).toBe(process.pid);
    expect(() => UndoFile.open(GONE, dir)).toThrow(`--iface xsgone0: xsiftr (pid ${process.pid}) runs on it already`);
    undo.apply();
    expect(liveOwner('xsgone0', null, dir)).toBeNull();
    UndoFile.open(GONE, dir);
  });

  it('of a dead process is undone when the next one opens it', () => {
    writeFileSync(`${dir}/left.sock`, '');
    write(dead(`unlink ${dir}/left.sock\n`));
    const undo = UndoFile.open(GONE, dir);
    expect(existsSync(`${dir}/left.sock`)).toBe(false);
    expect(readHeader(undo.path)?.pid).toBe(process.pid);
  });

  it('keeps interfaces apart whose names hold an @', () => {
    expect(undoPath('a@b', null, dir)).not.toBe(undoPath('a', null, dir));
    expect(undoPath('a@b', null, dir)).toContain('/a%40b');
  });

  it('knows a reused pid by its start time', () => {
    write(dead(''));
    expect(liveOwner('xsgone0', null, dir)).toBeNull();
    write(dead('').replace(/owner .*/, `owner ${process.pid} ${processStartTime(process.pid)}`));
    expect(liveOwner('xsgone0', null, dir)).toBe(process.pid);
  });
});

describe('restore', () => {
  it('is quiet where there is nothing, even no folder', () => {
    expect(restore({ runDir: dir })).toEqual([]);
    expect(restore({ runDir: `${dir}/none` })).toEqual([]);
  });

  it('leaves a running one alone', () => {
    const undo = UndoFile.open(GONE, dir);
    expect(restore({ runDir: dir })).toMatchObject([{ state: 'running' }]);
    expect(existsSync(undo.path)).toBe(true);
  });

  it('takes away files and the undo file itself, and counts settings of an interface that is gone as undone', () => {
    writeFileSync(`${dir}/ix1.sock`, '');
    const path = write(dead(`mtu 1500\nunlink ${dir}/ix1.sock\nunlink ${dir}/never-was\n`));
    expect(restore({ runDir: dir })).toMatchObject([
      { state: 'restored', done: [], failed: [], text: 'xsgone0: nothing was changed' },
    ]);
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('touches the named interface only', () => {
    const path = write(dead(''));
    expect(restore({ runDir: dir, ifname: 'other0' })).toEqual([]);
    expect(existsSync(path)).toBe(true);
    expect(restore({ runDir: dir, ifname: 'xsgone0' })).toMatchObject([{ state: 'restored' }]);
  });

  it('removes the file of a namespace that is gone', () => {
    const path = write(dead('mtu 1500\n').replace(`netns ${ours}`, 'netns /run/netns/xsiftr-no-such 4026531999'));
    expect(restore({ runDir: dir })).toMatchObject([{ state: 'gone' }]);
    expect(existsSync(path)).toBe(false);
  });

  it('keeps the file of a nameless namespace that is not ours and says so', () => {
    const path = write(dead('').replace(`netns ${ours}`, 'netns - 1'));
    expect(restore({ runDir: dir })).toMatchObject([{ state: 'failed' }]);
    expect(existsSync(path)).toBe(true);
  });

  it('reports a file that is none', () => {
    write('something else\n');
    expect(restore({ runDir: dir })).toMatchObject([{ state: 'failed' }]);
  });
});

describe('the reader of undo files', () => {
  const apply = (path: string) => loadNative().sysUndoApply(path, dir);

  it.each([
    ['another version', dead('', 'xsiftr-undo 2')],
    ['no end', dead('').replace('end\n', '')],
    ['an end before the last line', dead('').replace('end\n', 'end\nend\n')],
    ['half a line', dead('mtu 15').slice(0, -4)],
    ['an unknown action', dead('route add\n')],
    ['an action without its argument', dead('mtu\n')],
    ['a number that is none', dead('mtu 15x\n')],
    ['a number past 32 bits', dead('mtu 4294967296\n')],
    ['three channel counts', dead('channels 1 2 3\n')],
    ['five channel counts', dead('channels 1 2 3 4 5\n')],
    ['an empty table', dead('indir \n')],
    ['a table too long', dead(`indir ${'0 '.repeat(4096)}0\n`)],
    ['a peer without counts', dead('peer - 0 peer0 4\n')],
    ['a name too long', dead('').replace('iface xsgone0', 'iface sixteen-bytes-16')],
    ['a file outside of the run folder', dead('unlink /etc/passwd\n')],
    ['a file below the run folder', dead('unlink RUN/a/b\n')],
    ['the way up', dead('unlink RUN/..\n')],
    ['a NUL', dead('mtu 1500\0\n')],
    ['more actions than it holds', dead('mtu 1500\n'.repeat(65))],
    ['nothing', ''],
  ])('does nothing at all with %s', (_what, text) => {
    writeFileSync(`${dir}/keep`, '');
    const path = write(text.replaceAll('RUN', dir));
    expect(apply(path)).toEqual({ ok: false, done: [], failed: [] });
    expect(existsSync(path)).toBe(true);
    expect(existsSync(`${dir}/keep`)).toBe(true);
  });

  it('checks every line before it undoes the first', () => {
    writeFileSync(`${dir}/a`, '');
    expect(apply(write(dead(`nonsense\nunlink ${dir}/a\n`))).ok).toBe(false);
    expect(existsSync(`${dir}/a`)).toBe(true);
  });

  it('does not trust a file that others can write, nor a link', () => {
    const path = write(dead(''));
    chmodSync(path, 0o666);
    expect(apply(path).ok).toBe(false);
    chmodSync(path, 0o600);
    symlinkSync(path, `${dir}/link`);
    expect(apply(`${dir}/link`).ok).toBe(false);
    expect(apply(path).ok).toBe(true);
  });

  it('has nothing to do where there is no file', () => {
    expect(apply(`${dir}/none.undo`)).toEqual({ ok: true, done: [], failed: [] });
  });

  it('keeps the file when a line could not be undone, and says why', () => {
    mkdirSync(`${dir}/folder`);
    const path = write(dead(`unlink ${dir}/folder\n`));
    expect(apply(path)).toEqual({ ok: true, done: [], failed: [`${dir}/folder: Is a directory`] });
    expect(existsSync(path)).toBe(true);
  });

  it('reads a table of 4096 slots', () => {
    expect(apply(write(dead(`indir ${Array.from({ length: 4096 }, (_, i) => i % 64).join(' ')}\n`))).ok).toBe(true);
  });
});
