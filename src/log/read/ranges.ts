import type { LogItem, Sample } from '../model.ts';

const U32_MAX = 0xffffffff;

/** Numbers that are whole and below 2^32 in every log. */
const WHOLE = [
  'cwnd',
  'sndWnd',
  'rcvWnd',
  'sndScale',
  'rcvScale',
  'mss',
  'sndHiwat',
  'sndCc',
  'rcvHiwat',
  'rcvCc',
  'inflight',
] as const satisfies readonly (keyof Sample)[];

/** Numbers that are not below 0 in any, and may have a fraction. */
const TIMES = ['srtt', 'rto'] as const satisfies readonly (keyof Sample)[];

/** The sample; or a broken line where a number of it can be none of TCP's. */
export function checked(s: Sample): LogItem {
  for (const name of WHOLE) {
    const x = s[name];
    if (x !== null && !(Number.isInteger(x) && x >= 0 && x <= U32_MAX)) {
      return { type: 'broken', line: s.line, why: `${name} ${x}: not a whole number below 2^32` };
    }
  }
  for (const name of TIMES) {
    const x = s[name];
    if (x !== null && !(x >= 0 && x < Infinity))
      return { type: 'broken', line: s.line, why: `${name} ${x}: not a time` };
  }
  if (s.ssthresh !== null && !(s.ssthresh >= 0)) {
    return { type: 'broken', line: s.line, why: `ssthresh ${s.ssthresh}: not a number of bytes` };
  }
  // More than any window can be: no limit.
  return s.ssthresh !== null && s.ssthresh > U32_MAX ? { ...s, ssthresh: Infinity } : s;
}
