import { closeSync, openSync, readdirSync, statSync } from 'node:fs';
import { DriverError } from './driver-error.ts';
import { loadNative } from './native.ts';

const NETNS_DIRS = ['/run/netns', '/var/run/netns'];

/**
 * Path of the network namespace that `ip netns add NAME` made. Throws DriverError EBADNAME for a name that is no file name and
 * ENONETNS when there is none of that name.
 */
export function netnsPath(name: string): string {
  if (!/^[^/\0\s]{1,255}$/.test(name) || name === '.' || name === '..') {
    throw new DriverError(
      'EBADNAME',
      `--netns ${JSON.stringify(name)}: a namespace name has no slash or blank; see ip netns list`,
    );
  }
  for (const dir of NETNS_DIRS) {
    const path = `${dir}/${name}`;
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return path;
  }
  throw new DriverError(
    'ENONETNS',
    `--netns ${name}: no such network namespace; see ip netns list, or: ip netns add ${name}`,
  );
}

/** Inode of the namespace `name` on nsfs, or of the calling thread's own for null: the same number means the same namespace. */
export function netnsInode(name: string | null): number {
  return statSync(name === null ? '/proc/thread-self/ns/net' : netnsPath(name)).ino;
}

/**
 * Runs `fn` with the calling thread in network namespace `name` (null: where it is) and comes back, whatever `fn` does. `fn` must be
 * synchronous: what it starts for later runs outside. Sockets opened and children started inside stay in the namespace.
 *
 * Entering needs CAP_SYS_ADMIN. Throws ENOPERM without, ENONETNS when the namespace is gone.
 */
export function withNetns<T>(name: string | null, fn: () => T): T {
  if (name === null) return fn();
  const path = netnsPath(name);
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const there = openSync(path, 'r');
    try {
      loadNative().sysSetNetns(there);
    } catch (err) {
      throw enterError(name, err as NodeJS.ErrnoException);
    } finally {
      closeSync(there);
    }
    try {
      return fn();
    } finally {
      loadNative().sysSetNetns(home);
    }
  } finally {
    closeSync(home);
  }
}

function enterError(name: string, err: NodeJS.ErrnoException): DriverError {
  if (err.code === 'EPERM') {
    return new DriverError('ENOPERM', `--netns ${name}: entering a network namespace needs root (CAP_SYS_ADMIN)`);
  }
  if (err.code === 'EINVAL') {
    return new DriverError('ENONETNS', `--netns ${name}: that file is no network namespace; see ip netns list`);
  }
  return new DriverError('ENONETNS', `--netns ${name}: cannot enter it: ${err.message}`);
}

/** A network namespace as others can find it again. */
export interface NetnsHandle {
  /** Name under /run/netns, null where it has none. */
  name: string | null;
  path: string | null;
  inode: number;
}

/**
 * Handle of namespace `name`. For null it is that of the calling thread, under its name if it has one (a process started by
 * `ip netns exec`), so that somebody outside can enter it later.
 */
export function netnsHandle(name: string | null): NetnsHandle {
  if (name !== null) {
    const path = netnsPath(name);
    return { name, path, inode: statSync(path).ino };
  }
  const inode = netnsInode(null);
  for (const dir of NETNS_DIRS) {
    let names: string[];
    try {
      names = readdirSync(dir);
    } catch {
      continue;
    }
    for (const n of names) {
      const path = `${dir}/${n}`;
      if (statSync(path, { throwIfNoEntry: false })?.ino === inode) return { name: n, path, inode };
    }
  }
  return { name: null, path: null, inode };
}
