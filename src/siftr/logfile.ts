import { closeSync, constants, fstatSync, openSync, readSync, statfsSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** A refusal or failure of SIFTR's control: the message is one line for the user. */
export class SiftrError extends Error {
  override readonly name = 'SiftrError';
  /** errno name: EINVAL, EACCES, ENOENT, ELOOP, EWOULDBLOCK … */
  readonly code: string;
  /** 2 for a mistake of the user, 1 for what the system refused. */
  readonly exitCode: 1 | 2;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
    this.exitCode = code === 'EINVAL' ? 2 : 1;
  }
}

/** An open log. The path `-` is standard output, which is not locked. */
export interface LogFile {
  readonly path: string;
  readonly fd: number;
  /** Bytes that were in it when it was opened. */
  readonly size: number;
  /** Device and inode, `dev:ino`: two paths of one file agree. */
  readonly id: string;
  /** A plain file: has a size and a file system that can fill up. */
  readonly regular: boolean;
}

const STDOUT = '-';
const STDOUT_FD = 1;
/** O_NONBLOCK so that a FIFO without a reader is an error and not a wait; it means nothing for a plain file. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const GIB = 2 ** 30;
/** Default size limit: the lesser of this and a tenth of the free space. */
const LIMIT_MAX = 4 * GIB;

function refusal(path: string, err: unknown): SiftrError {
  const code = (err as NodeJS.ErrnoException).code ?? 'EIO';
  const why =
    code === 'ELOOP'
      ? 'is a symbolic link, which is not followed'
      : (err as Error).message.replace(/, \w+( '.*')?$/s, '');
  return new SiftrError(code, `SIFTR log ${path}: ${why}`);
}

/**
 * Opens a log as FreeBSD does (spec/siftr.md section 1): for appending, made with mode 0644 when missing, never truncated, a symbolic
 * link as last component refused.
 * @param lock flock(2) LOCK_EX | LOCK_NB on a descriptor: false when another holds the lock
 * @throws SiftrError with the errno's name; EWOULDBLOCK when another process writes to the file
 */
export function openLog(path: string, lock: (fd: number) => boolean): LogFile {
  if (path === STDOUT) return { path, fd: openStdout(), size: 0, id: STDOUT, regular: false };
  let fd: number;
  try {
    fd = openSync(path, FLAGS, 0o644);
  } catch (err) {
    throw refusal(path, err);
  }
  try {
    const st = fstatSync(fd);
    const log = { path, fd, size: st.isFile() ? st.size : 0, id: `${st.dev}:${st.ino}`, regular: st.isFile() };
    if (log.regular && !lock(fd)) {
      throw new SiftrError(
        'EWOULDBLOCK',
        `SIFTR log ${path}: another process writes to it; choose another file with --siftr-log or net.inet.siftr.logfile`,
      );
    }
    return log;
  } catch (err) {
    closeSync(fd);
    throw err instanceof SiftrError ? err : refusal(path, err);
  }
}

/**
 * Standard output opened a second time, so that a reader who stops reading cannot block the writer thread, and through it our exit:
 * O_NONBLOCK on the descriptor itself would hold for everybody who shares it. A socket cannot be opened again; there it is
 * the descriptor itself, which Node's stream has made non-blocking.
 */
function openStdout(): number {
  try {
    return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK);
  } catch {
    return process.stdout.fd;
  }
}

/** Identity of the file that a path leads to now; null when there is none. Throws SiftrError when that may not be known. */
export function fileIdAt(path: string): string | null {
  if (path === STDOUT) return STDOUT;
  try {
    const st = statSync(path, { throwIfNoEntry: false });
    return st === undefined ? null : `${st.dev}:${st.ino}`;
  } catch (err) {
    throw refusal(path, err);
  }
}

export function closeLog(log: LogFile): void {
  if (log.fd !== STDOUT_FD) closeSync(log.fd);
}

/**
 * Whether the next byte begins a line. A writer that was killed in the middle of one, or met a full disk, leaves a part of a line. True
 * where that cannot be read.
 */
export function atLineStart(log: LogFile): boolean {
  if (log.size === 0) return true;
  const last = Buffer.alloc(1);
  try {
    // Opened again for reading, by descriptor, so that it is this very file.
    const fd = openSync(`/proc/self/fd/${log.fd}`, constants.O_RDONLY);
    try {
      readSync(fd, last, 0, 1, log.size - 1);
    } finally {
      closeSync(fd);
    }
  } catch {
    return true;
  }
  return last[0] === 0x0a;
}

/** Writes a whole text. Throws SiftrError. @param tries attempts while a pipe is full */
export function writeText(log: LogFile, text: string, tries = 1000): void {
  const bytes = Buffer.from(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(log.fd, bytes, done, bytes.length - done);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EAGAIN' || --tries <= 0) throw refusal(log.path, err);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** Bytes that a log may take when no limit is given: for a plain file the lesser of 4 GiB and a tenth of the free space. */
export function defaultLimit(log: LogFile): number {
  if (!log.regular) return Infinity;
  const fs = statfsSync(dirname(log.path));
  return Math.min(LIMIT_MAX, Math.floor((fs.bavail * fs.bsize) / 10));
}
