import { constants } from 'node:os';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';

/** An error as Node's own `net` raises it: `errno` is negative, `code` its name. */
export interface NetError extends Error {
  code: string;
  errno: number;
  syscall: string;
  address?: string;
  port?: number;
}

function name(errno: number): string {
  return getSystemErrorName(-errno);
}

function make(message: string, errno: number, syscall: string): NetError {
  return Object.assign(new Error(message), { code: name(errno), errno: -errno, syscall });
}

/** `read ECONNRESET`: a failed operation of an established connection. `errno` is positive. */
export function ioError(syscall: string, errno: number): NetError {
  return make(`${syscall} ${name(errno)}`, errno, syscall);
}

/** `connect ECONNREFUSED 192.0.2.2:80`, with the local end behind it when the call failed at once. */
export function connectError(errno: number, address: string, port: number, local?: string): NetError {
  const details = local === undefined ? '' : ` - Local (${local})`;
  const err = make(`connect ${name(errno)} ${address}:${port}${details}`, errno, 'connect');
  return Object.assign(err, { address, port });
}

/** `listen EADDRINUSE: address already in use 0.0.0.0:80`. */
export function listenError(errno: number, address: string, port: number): NetError {
  const code = name(errno);
  const err = make(`listen ${code}: ${getSystemErrorMessage(-errno)} ${address}:${port}`, errno, 'listen');
  return Object.assign(err, { address, port });
}

/** An error of wrong use (`ERR_…`), which has a code and no errno. */
export function usageError(code: string, message: string): Error & { code: string } {
  return Object.assign(new Error(message), { code });
}

/** The (positive) errno behind an error that carries a `code`; 0 when it carries none. */
export function errnoOf(err: unknown): number {
  const code = (err as { code?: unknown }).code;
  return typeof code === 'string' ? ((constants.errno as Record<string, number>)[code] ?? 0) : 0;
}
