import {
  KIND_FLOWTYPE_SHIFT,
  KIND_OUT,
  R_CWND,
  R_FLAGS,
  R_FLAGS2,
  R_FLOWID,
  R_INFLIGHT,
  R_KIND,
  R_MAXSEG,
  R_RCV_CC,
  R_RCV_HIWAT,
  R_RCV_SCALE,
  R_RCV_WND,
  R_RXTCUR,
  R_SEC,
  R_SEGQLEN,
  R_SND_CC,
  R_SND_HIWAT,
  R_SND_SCALE,
  R_SND_WND,
  R_SRTT,
  R_SSTHRESH,
  R_STATE,
  R_USEC,
} from './record.ts';

/**
 * The three lines of a SIFTR 1.3.0 log, written digit by digit into a byte array (spec/siftr.md sections 2, 3 and 9). The data
 * line makes no string; the other two are written once a cycle.
 */

/** Room that a data line may need: 301 bytes at the worst (spec/siftr.md section 11). */
export const DATA_LINE_MAX = 320;

/** `TF_SACK_PERMIT`, the bit of t_flags behind field 17. */
const TF_SACK_PERMIT = 0x200;

const ZERO = 0x30;
const COMMA = 0x2c;
const DOT = 0x2e;
const LF = 0x0a;

/** The two digits of 0..99. */
const TENS = new Uint8Array(100);
const ONES = new Uint8Array(100);
for (let i = 0; i < 100; i++) {
  TENS[i] = ZERO + Math.floor(i / 10);
  ONES[i] = ZERO + (i % 10);
}

function put2(u8: Uint8Array, p: number, n: number): number {
  u8[p] = TENS[n]!;
  u8[p + 1] = ONES[n]!;
  return p + 2;
}

function put4(u8: Uint8Array, p: number, n: number): number {
  const hi = (n / 100) | 0;
  put2(u8, p, hi);
  return put2(u8, p + 2, n - hi * 100);
}

/** 0..9999 without padding. */
function putSmall(u8: Uint8Array, p: number, n: number): number {
  if (n < 10) {
    u8[p] = ZERO + n;
    return p + 1;
  }
  if (n < 100) return put2(u8, p, n);
  const hi = (n / 100) | 0;
  const lo = n - hi * 100;
  if (hi < 10) {
    u8[p] = ZERO + hi;
    return put2(u8, p + 1, lo);
  }
  put2(u8, p, hi);
  return put2(u8, p + 2, lo);
}

/** Writes a uint32 as unsigned decimal without padding at `p`; returns the position after it. */
export function putU32(u8: Uint8Array, p: number, n: number): number {
  if (n < 10000) return putSmall(u8, p, n);
  const hi = (n / 10000) | 0;
  const lo = n - hi * 10000;
  if (hi < 10000) return put4(u8, putSmall(u8, p, hi), lo);
  const top = (hi / 10000) | 0;
  return put4(u8, put4(u8, putSmall(u8, p, top), hi - top * 10000), lo);
}

/** Writes 0..999999 as exactly six digits. */
export function put6(u8: Uint8Array, p: number, n: number): number {
  const hi = (n / 10000) | 0;
  return put4(u8, put2(u8, p, hi), n - hi * 10000);
}

/** Copies a short text; a loop, because `set` costs more than its bytes. */
function putBytes(u8: Uint8Array, p: number, text: Uint8Array): number {
  const n = text.length;
  for (let i = 0; i < n; i++) u8[p + i] = text[i]!;
  return p + n;
}

function putField(u8: Uint8Array, p: number, n: number): number {
  const q = putU32(u8, p, n);
  u8[q] = COMMA;
  return q + 1;
}

/**
 * Writes one data line, 27 fields and LF.
 * @param u8   output; DATA_LINE_MAX bytes are free at `p`
 * @param rec  a ring's words
 * @param r    first word of the record
 * @param flow fields 3 to 6 with a comma before and after: `,192.0.2.1,5201,192.0.2.2,40000,`
 * @returns position after the LF
 */
export function putDataLine(u8: Uint8Array, p: number, rec: Uint32Array, r: number, flow: Uint8Array): number {
  const kind = rec[r + R_KIND]!;
  u8[p] = (kind & KIND_OUT) !== 0 ? 0x6f : 0x69;
  u8[p + 1] = COMMA;
  p = putU32(u8, p + 2, rec[r + R_SEC]!);
  u8[p] = DOT;
  p = put6(u8, p + 1, rec[r + R_USEC]!);
  p = putBytes(u8, p, flow);
  p = putField(u8, p, rec[r + R_SSTHRESH]!);
  p = putField(u8, p, rec[r + R_CWND]!);
  p = putField(u8, p, rec[r + R_FLAGS2]!);
  p = putField(u8, p, rec[r + R_SND_WND]!);
  p = putField(u8, p, rec[r + R_RCV_WND]!);
  p = putField(u8, p, rec[r + R_SND_SCALE]!);
  p = putField(u8, p, rec[r + R_RCV_SCALE]!);
  p = putField(u8, p, rec[r + R_STATE]!);
  p = putField(u8, p, rec[r + R_MAXSEG]!);
  p = putField(u8, p, rec[r + R_SRTT]!);
  const flags = rec[r + R_FLAGS]!;
  u8[p] = (flags & TF_SACK_PERMIT) !== 0 ? ZERO + 1 : ZERO;
  u8[p + 1] = COMMA;
  p = putField(u8, p + 2, flags);
  p = putField(u8, p, rec[r + R_RXTCUR]!);
  p = putField(u8, p, rec[r + R_SND_HIWAT]!);
  p = putField(u8, p, rec[r + R_SND_CC]!);
  p = putField(u8, p, rec[r + R_RCV_HIWAT]!);
  p = putField(u8, p, rec[r + R_RCV_CC]!);
  p = putField(u8, p, rec[r + R_INFLIGHT]!);
  p = putField(u8, p, rec[r + R_SEGQLEN]!);
  p = putField(u8, p, rec[r + R_FLOWID]!);
  p = putU32(u8, p, (kind >>> KIND_FLOWTYPE_SHIFT) & 0xff);
  u8[p] = LF;
  return p + 1;
}

/** What the enable line says about the system: at most 7 characters each (spec/siftr.md 13.3). */
export interface SiftrIdent {
  /** `xsiftr`. */
  readonly sysname: string;
  /** Unsigned decimal, see `sysverOf`. */
  readonly sysver: string;
  readonly ipmode: 4 | 6;
}

/** Our own names and version; RangeError for a version that is not three numbers from 0 to 99. */
export function siftrIdent(version: string, ipmode: 4 | 6 = 4): SiftrIdent {
  return { sysname: 'xsiftr', sysver: String(sysverOf(version)), ipmode };
}

/** Seven digits for version `a.b.c`: a one, then two digits for each part; 0.1.0 is 1000100. A suffix (`-rc.1`) is not shown. */
export function sysverOf(version: string): number {
  const m = /^(\d{1,2})\.(\d{1,2})\.(\d{1,2})(?:[-+].*)?$/.exec(version);
  if (m === null) throw new RangeError(`version "${version}": three numbers from 0 to 99 are needed for sysver`);
  return 1000000 + Number(m[1]) * 10000 + Number(m[2]) * 100 + Number(m[3]);
}

/** Wall time in µs since the epoch as `secs` and six-digit `usecs`. */
function timeParts(us: number): { secs: string; usecs: string } {
  const secs = Math.floor(us / 1e6);
  return {
    secs: String(secs),
    usecs: String(Math.floor(us - secs * 1e6)).padStart(6, '0'),
  };
}

/** The enable line (section 2). @param us wall time in µs since the epoch */
export function enableLine(us: number, ident: SiftrIdent): string {
  const { secs, usecs } = timeParts(us);
  return (
    `enable_time_secs=${secs}\tenable_time_usecs=${usecs}\tsiftrver=1.3.0\tsysname=${ident.sysname}` +
    `\tsysver=${ident.sysver}\tipmode=${ident.ipmode}\n`
  );
}

/** Counters of one enable/disable cycle, summed over the shards. */
export interface CycleCounts {
  readonly numIn: number;
  readonly numOut: number;
  readonly skippedMallocIn: number;
  readonly skippedMallocOut: number;
  readonly skippedTcpcbIn: number;
  readonly skippedTcpcbOut: number;
  readonly skippedInpcbIn: number;
  readonly skippedInpcbOut: number;
}

/** The sum of the six skip counters: `total_skipped_tcp_pkts`. */
export function totalSkipped(c: CycleCounts): number {
  return (
    c.skippedMallocIn + c.skippedMallocOut + c.skippedTcpcbIn + c.skippedTcpcbOut + c.skippedInpcbIn + c.skippedInpcbOut
  );
}

/**
 * The disable line (section 9). Skip counters print as 32-bit numbers, packet counters as 64-bit ones.
 * @param flowList entries `laddr;lport-faddr;fport,`, or '' when there was no flow
 */
export function disableLine(us: number, c: CycleCounts, flowList: string): string {
  const { secs, usecs } = timeParts(us);
  return (
    `disable_time_secs=${secs}\tdisable_time_usecs=${usecs}` +
    `\tnum_inbound_tcp_pkts=${c.numIn}\tnum_outbound_tcp_pkts=${c.numOut}\ttotal_tcp_pkts=${c.numIn + c.numOut}` +
    `\tnum_inbound_skipped_pkts_malloc=${c.skippedMallocIn >>> 0}` +
    `\tnum_outbound_skipped_pkts_malloc=${c.skippedMallocOut >>> 0}` +
    `\tnum_inbound_skipped_pkts_tcpcb=${c.skippedTcpcbIn >>> 0}` +
    `\tnum_outbound_skipped_pkts_tcpcb=${c.skippedTcpcbOut >>> 0}` +
    `\tnum_inbound_skipped_pkts_inpcb=${c.skippedInpcbIn >>> 0}` +
    `\tnum_outbound_skipped_pkts_inpcb=${c.skippedInpcbOut >>> 0}` +
    `\ttotal_skipped_tcp_pkts=${totalSkipped(c) >>> 0}\tflow_list=${flowList}\n`
  );
}
