/**
 * Numbers written digit by digit into a byte array, for the data lines of a SIFTR 1.3.0 log (`DataLines`); and the enable and
 * disable lines, made once a cycle (spec/siftr.md sections 2, 3 and 9).
 */
import { siftrs } from '../metrics/layout.ts';

/** Room that a data line needs: 301 bytes at the worst (spec/siftr.md section 11), in whole groups of eight, and some to spare. */
export const DATA_LINE_MAX = 320;

const ZERO = 0x30;
const COMMA = 0x2c;
/** A digit's code and a comma behind it, as a little-endian pair of bytes. */
const DIGIT_COMMA = 0x2c30;

/** The two digits of 0..99 and the four of 0..9999, as little-endian groups of bytes: one store writes several digits. */
const DIGITS2 = new Uint16Array(100);
for (let i = 0; i < 100; i++) DIGITS2[i] = (ZERO + Math.floor(i / 10)) | ((ZERO + (i % 10)) << 8);
const DIGITS4 = new Uint32Array(10000);
for (let i = 0; i < 10000; i++) DIGITS4[i] = DIGITS2[Math.floor(i / 100)]! | (DIGITS2[i % 100]! << 16);

/** 0..9999 without padding. */
function putSmall(dv: DataView, p: number, n: number): number {
  if (n < 10) {
    dv.setUint8(p, ZERO + n);
    return p + 1;
  }
  if (n < 100) {
    dv.setUint16(p, DIGITS2[n]!, true);
    return p + 2;
  }
  if (n < 1000) {
    const hi = (n / 100) | 0;
    dv.setUint8(p, ZERO + hi);
    dv.setUint16(p + 1, DIGITS2[n - hi * 100]!, true);
    return p + 3;
  }
  dv.setUint32(p, DIGITS4[n]!, true);
  return p + 4;
}

/** Writes a uint32 as unsigned decimal without padding at `p`; returns the position after it. */
export function putU32(dv: DataView, p: number, n: number): number {
  if (n < 10000) return putSmall(dv, p, n);
  const hi = (n / 10000) | 0;
  const lo = n - hi * 10000;
  if (hi < 10000) {
    p = putSmall(dv, p, hi);
    dv.setUint32(p, DIGITS4[lo]!, true);
    return p + 4;
  }
  const top = (hi / 10000) | 0;
  p = putSmall(dv, p, top);
  dv.setUint32(p, DIGITS4[hi - top * 10000]!, true);
  dv.setUint32(p + 4, DIGITS4[lo]!, true);
  return p + 8;
}

/** Writes 0..999999 as exactly six digits. */
export function put6(dv: DataView, p: number, n: number): number {
  const hi = (n / 10000) | 0;
  dv.setUint16(p, DIGITS2[hi]!, true);
  dv.setUint32(p + 2, DIGITS4[n - hi * 10000]!, true);
  return p + 6;
}

/** Writes a uint32 and a comma; returns the position after them. */
export function putField(dv: DataView, p: number, n: number): number {
  if (n < 10) {
    dv.setUint16(p, DIGIT_COMMA + n, true);
    return p + 2;
  }
  p = putU32(dv, p, n);
  dv.setUint8(p, COMMA);
  return p + 1;
}

/** What the enable line says about the system: at most 7 characters each (spec/siftr.md 13.3). */
export interface SiftrIdent {
  /** `xsiftr`. */
  readonly sysname: string;
  /** Unsigned decimal, see `sysverOf`. */
  readonly sysver: string;
  readonly ipmode: 4 | 6;
  /** Value of the key `xsiftr`, none where there is none or it is empty: the modes that change what a field means (section 14). */
  readonly modes?: string;
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

/** The enable line (section 2; with a mode on, one key more at the end, section 13 rule 2). @param us wall time in µs since the epoch */
export function enableLine(us: number, ident: SiftrIdent): string {
  const { secs, usecs } = timeParts(us);
  return (
    `enable_time_secs=${secs}\tenable_time_usecs=${usecs}\tsiftrver=1.3.0\tsysname=${ident.sysname}` +
    `\tsysver=${ident.sysver}\tipmode=${ident.ipmode}${ident.modes ? `\txsiftr=${ident.modes}` : ''}\n`
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

/** What the counters stand at, over all their blocks (one a shard). */
export function cycleCounts(blocks: readonly Float64Array[]): CycleCounts {
  const sum = (slot: number): number => blocks.reduce((n, cnt) => n + cnt[slot]!, 0);
  return {
    numIn: sum(siftrs.siftrs_n_in),
    numOut: sum(siftrs.siftrs_n_out),
    skippedMallocIn: sum(siftrs.siftrs_nskip_in_malloc),
    skippedMallocOut: sum(siftrs.siftrs_nskip_out_malloc),
    skippedTcpcbIn: sum(siftrs.siftrs_nskip_in_tcpcb),
    skippedTcpcbOut: sum(siftrs.siftrs_nskip_out_tcpcb),
    skippedInpcbIn: sum(siftrs.siftrs_nskip_in_inpcb),
    skippedInpcbOut: sum(siftrs.siftrs_nskip_out_inpcb),
  };
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
