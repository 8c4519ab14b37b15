/** Sequence number comparison modulo 2^32 (RFC 9293 section 3.4); numbers are int32. */
export const seqLt = (a: number, b: number): boolean => ((a - b) | 0) < 0;
export const seqLeq = (a: number, b: number): boolean => ((a - b) | 0) <= 0;
export const seqGt = (a: number, b: number): boolean => ((a - b) | 0) > 0;
export const seqGeq = (a: number, b: number): boolean => ((a - b) | 0) >= 0;
/** A timestamp compares alike (RFC 7323 section 5.2). */
export const tstmpLt = seqLt;
