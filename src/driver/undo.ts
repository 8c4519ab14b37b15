import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DriverError } from './driver-error.ts';
import { loadNative } from './native.ts';
import type { NativeUndoResult } from './native-sys.ts';
import type { VethPeer } from './netdev.ts';
import { netnsHandle, withNetns } from './netns.ts';

/** Folder of undo files, control sockets and the like. */
export type RunDir = string;

/** `/run/xsiftr`, or what XSIFTR_RUN_DIR says. */
export function defaultRunDir(): RunDir {
  return process.env['XSIFTR_RUN_DIR'] || '/run/xsiftr';
}

/** A setting as it was, or a file to take away. `table` null means the driver's default indirection table. */
export type UndoAction =
  | { kind: 'mtu'; mtu: number }
  | { kind: 'indir'; table: readonly number[] | null }
  | { kind: 'channels'; rx: number; tx: number; other: number; combined: number }
  | { kind: 'peer'; peer: VethPeer }
  | { kind: 'unlink'; path: string };

/** What must be known of an interface to give it back. */
export interface UndoTarget {
  name: string;
  netns: string | null;
  index: number;
  /** Far end of a veth, which narrowing may set too: the guard must be able to reach it. Null where there is none to be seen. */
  peer: VethPeer | null;
}

/** Head of an undo file. */
export interface UndoHeader {
  iface: string;
  index: number;
  /** Path of the network namespace, null for one without a name. */
  netns: string | null;
  netnsInode: number;
  pid: number;
  /** Start time of the owner in clock ticks since boot (field 22 of proc_pid_stat(5)): a reused pid has another. */
  startTime: string;
}

const VERSION_LINE = 'xsiftr-undo 1';

/** Name of the undo file of an interface in `runDir`. */
export function undoPath(ifname: string, netns: string | null, runDir: RunDir = defaultRunDir()): string {
  const resolved = netnsHandle(netns).name;
  // An interface name may itself hold an @.
  return join(
    runDir,
    `${ifname.replaceAll('%', '%25').replaceAll('@', '%40')}${resolved === null ? '' : `@${resolved}`}.undo`,
  );
}

/** Start time of process `pid` as in /proc/PID/stat, or null when there is none. */
export function processStartTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command name stands in brackets and may itself hold blanks and brackets: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/**
 * The undo file of a running xsiftr, which is also its claim on the interface: one process at a time can have it. Every `record` puts the
 * whole file in place at once (new file, fsync, rename), before the change that it undoes is made.
 *
 * ```
 * xsiftr-undo 1
 * netns /run/netns/lab 4026532301        (path or -, inode)
 * iface ix1 3                            (name, index)
 * owner 4711 123456                      (pid, start time)
 * mtu 1500
 * channels 4 4 0 0                       (rx, tx, other, combined)
 * indir 0 1 2 3 …                        (or: indir default)
 * peer - 0 peer0 4 4 4 0 0               (namespace as above or - for the same, interface, channels)
 * unlink /run/xsiftr/ix1.sock
 * end
 * ```
 * native/undo.c reads it, and undoes from the last line to the first.
 */
export class UndoFile {
  readonly path: string;
  readonly runDir: RunDir;
  readonly target: UndoTarget;
  readonly actions: UndoAction[] = [];
  readonly #header: string;

  private constructor(target: UndoTarget, runDir: RunDir) {
    const ns = netnsHandle(target.netns);
    this.target = target;
    this.runDir = runDir;
    this.path = undoPath(target.name, target.netns, runDir);
    this.#header = [
      VERSION_LINE,
      `netns ${ns.path ?? '-'} ${ns.inode}`,
      `iface ${target.name} ${target.index}`,
      `owner ${process.pid} ${processStartTime(process.pid)}`,
    ].join('\n');
  }

  /**
   * Claims the interface for this process. Run `restore` for it before reading its facts: what a dead process left is undone here too, but
   * then those facts are stale. Throws DriverError EINUSE when a living process holds it, EUNDO when the folder cannot be written or an old
   * file cannot be undone.
   */
  static open(target: UndoTarget, runDir: RunDir = defaultRunDir()): UndoFile {
    const file = new UndoFile(target, runDir);
    const temp = file.#writeTemp();
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          // link(2) fails where the name is taken: of two that start at once, one gets it.
          linkSync(temp, file.path);
          break;
        } catch (err) {
          if ((err as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 3) throw err;
          const owner = liveOwner(target.name, target.netns, runDir);
          if (owner !== null) {
            throw new DriverError(
              'EINUSE',
              `--iface ${target.name}: xsiftr (pid ${owner}) runs on it already; stop that one first, or choose another interface`,
            );
          }
          const old = restoreFile(file.path, target.name, readHeader(file.path), runDir);
          if (old.state === 'failed') throw new DriverError('EUNDO', `a dead xsiftr left ${old.text}`);
        }
      }
    } catch (err) {
      throw err instanceof DriverError ? err : file.#unwritable(err);
    } finally {
      removeIfThere(temp);
    }
    return file;
  }

  /** Writes `action` down. Call it before making the change. Throws DriverError EUNDO: make no change then. */
  record(action: UndoAction): void {
    this.actions.push(action);
    try {
      renameSync(this.#writeTemp(), this.path);
      syncDir(this.runDir);
    } catch (err) {
      this.actions.pop();
      throw err instanceof DriverError ? err : this.#unwritable(err);
    }
  }

  /** Undoes everything and removes the file, while this process still has the right to (before privileges are dropped). */
  apply(): NativeUndoResult {
    return withNetns(this.target.netns, () => loadNative().sysUndoApply(this.path, this.runDir));
  }

  /** The file's text. */
  toString(): string {
    return `${[this.#header, ...this.actions.map(formatAction), 'end'].join('\n')}\n`;
  }

  #writeTemp(): string {
    const temp = `${this.path}.${process.pid}.tmp`;
    try {
      mkdirSync(this.runDir, { recursive: true, mode: 0o755 });
      removeIfThere(temp);
      const fd = openSync(temp, 'wx', 0o600);
      try {
        writeSync(fd, this.toString());
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    } catch (err) {
      throw this.#unwritable(err);
    }
    return temp;
  }

  #unwritable(err: unknown): DriverError {
    return new DriverError(
      'EUNDO',
      `cannot write the undo file ${this.path}, so nothing is changed: ${(err as Error).message}`,
    );
  }
}

function formatAction(a: UndoAction): string {
  switch (a.kind) {
    case 'mtu':
      return `mtu ${a.mtu}`;
    case 'indir':
      return `indir ${a.table === null ? 'default' : a.table.join(' ')}`;
    case 'channels':
      return `channels ${a.rx} ${a.tx} ${a.other} ${a.combined}`;
    case 'peer': {
      const c = a.peer.channels;
      const ns = a.peer.netns === null ? null : netnsHandle(a.peer.netns);
      return `peer ${ns?.path ?? '-'} ${ns?.inode ?? 0} ${a.peer.name} ${a.peer.index} ${c.rx} ${c.tx} ${c.other} ${c.combined}`;
    }
    case 'unlink':
      return `unlink ${a.path}`;
  }
}

/** Head of the undo file at `path`; null when there is none or it is malformed. */
export function readHeader(path: string): UndoHeader | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  const m = /^xsiftr-undo 1\nnetns (\S+) (\d+)\niface (\S+) (\d+)\nowner (\d+) (\d+)\n/.exec(text);
  if (m === null) return null;
  return {
    iface: m[3]!,
    index: Number(m[4]),
    netns: m[1] === '-' ? null : m[1]!,
    netnsInode: Number(m[2]),
    pid: Number(m[5]),
    startTime: m[6]!,
  };
}

/** Pid of the living process that holds the interface, or null. */
export function liveOwner(ifname: string, netns: string | null, runDir: RunDir = defaultRunDir()): number | null {
  const head = readHeader(undoPath(ifname, netns, runDir));
  return head !== null && isAlive(head) ? head.pid : null;
}

function isAlive(head: UndoHeader): boolean {
  return processStartTime(head.pid) === head.startTime;
}

/** What became of one undo file. */
export interface RestoreReport {
  path: string;
  /** Interface and namespace as in the file's name: `ix1`, `ix1@lab`. */
  iface: string;
  /**
   * `restored`: undone and removed. `running`: its process lives, nothing done. `gone`: interface or namespace is no more, file removed.
   * `failed`: see `failed`; the file is kept.
   */
  state: 'restored' | 'running' | 'gone' | 'failed';
  done: string[];
  failed: string[];
  /** One line for people. */
  text: string;
}

export interface RestoreOptions {
  /** Only this interface; every one when absent. */
  ifname?: string;
  /** Only with `ifname`: its namespace; any namespace when absent. */
  netns?: string | null;
  runDir?: RunDir;
}

/** Undoes what dead processes left behind: one report a file, none when there is nothing. */
export function restore(options: RestoreOptions = {}): RestoreReport[] {
  const runDir = options.runDir ?? defaultRunDir();
  let names: string[];
  try {
    names = readdirSync(runDir).filter((n) => n.endsWith('.undo'));
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new DriverError('EUNDO', `cannot read ${runDir}: ${(err as Error).message}`);
  }
  const reports: RestoreReport[] = [];
  for (const name of names.sort()) {
    const path = join(runDir, name);
    const head = readHeader(path);
    if (head !== null && options.ifname !== undefined && head.iface !== options.ifname) continue;
    if (head !== null && options.netns !== undefined && path !== undoPath(head.iface, options.netns, runDir)) continue;
    if (head === null && options.ifname !== undefined && name.split(/@|\.undo$/)[0] !== options.ifname) continue;
    reports.push(restoreFile(path, name.slice(0, -'.undo'.length), head, runDir));
  }
  return reports;
}

function restoreFile(path: string, iface: string, head: UndoHeader | null, runDir: RunDir): RestoreReport {
  const report = (state: RestoreReport['state'], text: string, r?: NativeUndoResult): RestoreReport => ({
    path,
    iface,
    state,
    done: r?.done ?? [],
    failed: r?.failed ?? [],
    text: `${iface}: ${text}`,
  });
  if (head === null && !readable(path)) return report('failed', `reading ${path} needs root; run it with sudo`);
  if (head === null) return report('failed', `${path} is no undo file of this version; look at it and remove it`);
  if (isAlive(head)) return report('running', `xsiftr (pid ${head.pid}) is running on it, nothing to undo`);
  const name = head.netns === null ? null : head.netns.slice(head.netns.lastIndexOf('/') + 1);
  if (name !== null && inodeOf(head.netns!) !== head.netnsInode) {
    unlinkSync(path);
    return report('gone', `network namespace ${name} is gone, and the interface's settings with it`);
  }
  if (name === null && netnsHandle(null).inode !== head.netnsInode) {
    return report(
      'failed',
      `it was in another network namespace without a name: run this in that one, or remove ${path}`,
    );
  }
  const r = withNetns(name, () => loadNative().sysUndoApply(path, runDir));
  if (!r.ok) return report('failed', `${path} is malformed; look at it and remove it`, r);
  if (r.failed.length > 0) return report('failed', `could not undo: ${r.failed.join('; ')}`, r);
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return report('failed', `cannot remove ${path}`, r);
  return report('restored', r.done.length === 0 ? 'nothing was changed' : `put back ${r.done.join('; ')}`, r);
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? -1;
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err;
  }
}

function syncDir(dir: string): void {
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
