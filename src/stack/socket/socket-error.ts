import { errnoName } from '../errno.ts';

/** Error with the fields that Node's network errors carry. */
export class SocketError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(errno: number, syscall: string, detail: string) {
    super(`${syscall} ${errnoName(errno)} ${detail}`);
    this.name = 'SocketError';
    this.code = errnoName(errno);
    this.errno = -errno;
    this.syscall = syscall;
  }
}
