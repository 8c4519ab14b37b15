/** errno values as Linux numbers them; `errnoName` gives the code that Node's errors carry. */
export const EPERM = 1;
export const EAGAIN = 11;
export const EWOULDBLOCK = EAGAIN;
export const EACCES = 13;
export const EINVAL = 22;
export const EPIPE = 32;
export const EMSGSIZE = 90;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const EISCONN = 106;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;

const names: Readonly<Record<number, string>> = {
  1: 'EPERM',
  11: 'EAGAIN',
  13: 'EACCES',
  22: 'EINVAL',
  32: 'EPIPE',
  90: 'EMSGSIZE',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
  100: 'ENETDOWN',
  101: 'ENETUNREACH',
  103: 'ECONNABORTED',
  104: 'ECONNRESET',
  105: 'ENOBUFS',
  106: 'EISCONN',
  107: 'ENOTCONN',
  110: 'ETIMEDOUT',
  111: 'ECONNREFUSED',
  113: 'EHOSTUNREACH',
};

/** The symbolic name of an errno, `ECONNRESET` for 104; `E<n>` for one that the stack never raises. */
export function errnoName(errno: number): string {
  return names[errno] ?? `E${errno}`;
}
