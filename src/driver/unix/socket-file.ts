import { accessSync, chmodSync, constants, lstatSync, renameSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { DriverError } from '../driver-error.ts';

/** Socket files: who is behind one, and how one is made and taken away. */

/** Bytes of a temporary name in the directory of the socket, its slash included. */
const TEMP_NAME = 10;
/** Bytes of a path in struct sockaddr_un, without the closing zero (unix(7)). */
const SUN_PATH = 107;

/** Longest path on which `socketFile` can listen, bytes: its temporary name must fit as well. */
export const PATH_MAX: number = SUN_PATH - TEMP_NAME;

/** What lies at a path: nothing, a socket that somebody listens on or that nobody does, or another file. */
export async function lookAt(path: string): Promise<'nothing' | 'live' | 'stale' | 'file'> {
  try {
    if (!lstatSync(path).isSocket()) return 'file';
  } catch {
    // What else is wrong with the path, listening tells.
    return 'nothing';
  }
  return new Promise((resolve) => {
    const s = connect(path);
    s.on('connect', () => {
      s.destroy();
      resolve('live');
    });
    // Only this says that nobody listens: a process that is too busy to accept answers with EAGAIN (unix(7)).
    s.on('error', (err: NodeJS.ErrnoException) => resolve(err.code === 'ECONNREFUSED' ? 'stale' : 'live'));
  });
}

/**
 * Refuses a path on which a server cannot be. Changes nothing.
 * @throws DriverError ELIVE, EBADNAME, ELISTEN
 */
export async function checkServerPath(path: string): Promise<void> {
  const found = await lookAt(path);
  if (found === 'live') {
    throw new DriverError(
      'ELIVE',
      `--iface unix:${path}: another process listens there; give the link a path of its own, or connect to it with role=client`,
    );
  }
  if (found === 'file') {
    throw new DriverError('EBADNAME', `--iface unix:${path}: that file is no socket; give a path that is free`);
  }
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (err) {
    throw cannotListen(path, (err as Error).message);
  }
}

function cannotListen(path: string, why: string): DriverError {
  return new DriverError('ELISTEN', `--iface unix:${path}: cannot listen there: ${why}`);
}

/** A socket file of ours. */
export interface SocketFile {
  /** Takes it away, if it is still ours: another process may have taken the path since. */
  remove(): void;
}

/**
 * Has `server` listen at `path`, with mode 0600. The file gets its name when it is ready: nobody finds one that does not accept, or that
 * has other rights than it is to have, and what a dead process left goes in the same step.
 * @throws DriverError what `checkServerPath` throws, and ELISTEN when the system refuses
 */
export async function socketFile(server: Server, path: string): Promise<SocketFile> {
  await checkServerPath(path);
  const temp = `${dirname(path)}/.${Math.random().toString(36).slice(2, TEMP_NAME)}`;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(temp, () => {
        server.off('error', reject);
        resolve();
      });
    });
    chmodSync(temp, 0o600);
    const id = fileId(temp);
    renameSync(temp, path);
    return {
      remove: () => {
        if (fileId(path) === id) rmSync(path, { force: true });
      },
    };
  } catch (err) {
    server.close();
    throw cannotListen(path, (err as Error).message.replaceAll(temp, path));
  }
}

/** Device and inode of the file at `path`; empty when there is none. */
function fileId(path: string): string {
  const st = lstatSync(path, { throwIfNoEntry: false });
  return st === undefined ? '' : `${st.dev}:${st.ino}`;
}
