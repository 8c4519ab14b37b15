/** The Fast Open option (RFC 7413 section 4.1.1) for scripted segments. */
import type { Out } from './segments.ts';

export const FAST_OPEN = 34;
/** Asks for a cookie. */
export const ASK = [FAST_OPEN, 2, 1, 1];

/** The cookie that a SYN or SYN,ACK has, empty when it asks for one; undefined without the option. */
export function cookieOf(o: Out): number[] | undefined {
  const end = (o.raw[12]! >> 4) * 4;
  for (let p = 20; p < end && o.raw[p] !== 0; p += o.raw[p] === 1 ? 1 : o.raw[p + 1]!) {
    if (o.raw[p] === FAST_OPEN) return [...o.raw.subarray(p + 2, p + o.raw[p + 1]!)];
  }
  return undefined;
}

/** The option with `cookie`, padded. */
export function withCookie(cookie: readonly number[]): number[] {
  const opt = [FAST_OPEN, 2 + cookie.length, ...cookie];
  while (opt.length % 4 !== 0) opt.push(1);
  return opt;
}
