import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type CycleCounts, totalSkipped } from './format.ts';
import type { CycleEnd } from './writer.ts';

/**
 * What stands beside a log, in `FILE.meta.json`: how the log came about, enough to repeat it and to publish it. Written when a cycle begins and
 * completed when it ends, each time as a whole. The log itself is the same with and without it.
 */

/** An interface that packets came and went by. */
export interface MetaInterface {
  readonly name: string;
  /** Linux's name of the driver (`ixgbe`, `veth`), `unix` for a Unix link, `sim` for a host of a simulation. */
  readonly driver: string;
  /** Place on its bus, null where there is none. */
  readonly bus: string | null;
  readonly mtu: number;
  /** How it is driven: `native copy`. */
  readonly mode: string;
  /** Names of the offloads that are on, as ethtool -k has them; null where that cannot be known. */
  readonly offloads: readonly string[] | null;
}

/** How the packets of a log were made. */
export interface RunMeta {
  readonly program: {
    readonly name: 'xsiftr';
    readonly version: string;
    /** Full hash; null where it is not known. */
    readonly commit: string | null;
    readonly node: string;
  };
  /** `Linux 6.18.5 x64`; null in a simulation, which does not depend on it. */
  readonly kernel: string | null;
  readonly interfaces: readonly MetaInterface[];
  /** Options as they hold, defaults included. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Every sysctl that is not at its default. */
  readonly sysctls: Readonly<Record<string, number | string>>;
  /** Congestion control of new connections. */
  readonly congestion_control: string;
  /** Seed of a simulation, else null. */
  readonly seed: number | null;
}

/** A cycle of a log. Times are as in the log, `s.µs`. */
export interface MetaCycle extends RunMeta {
  readonly enable_time: string;
  /** Null while the cycle runs, and for ever when the program was killed. */
  readonly disable_time: string | null;
  /** Figures of the disable line, and those that it has no field for. */
  readonly counts: MetaCounts | null;
  /** The cycle goes on in another file; null when it does not. */
  readonly continued_in: string | null;
}

/** Those of the disable line under its names; `data_lines + total_skipped_tcp_pkts + suppressed + lost` is `total_tcp_pkts`. */
export interface MetaCounts {
  readonly num_inbound_tcp_pkts: number;
  readonly num_outbound_tcp_pkts: number;
  readonly total_tcp_pkts: number;
  readonly num_inbound_skipped_pkts_malloc: number;
  readonly num_outbound_skipped_pkts_malloc: number;
  readonly num_inbound_skipped_pkts_tcpcb: number;
  readonly num_outbound_skipped_pkts_tcpcb: number;
  readonly num_inbound_skipped_pkts_inpcb: number;
  readonly num_outbound_skipped_pkts_inpcb: number;
  readonly total_skipped_tcp_pkts: number;
  readonly data_lines: number;
  /** Records that ppl kept out. */
  readonly suppressed: number;
  /** Records that could not be written. */
  readonly lost: number;
}

export interface MetaFile {
  /** Number of this format. */
  readonly meta: 1;
  /** Name of the log. */
  readonly log: string;
  /** In the order of the log. */
  readonly cycles: readonly MetaCycle[];
}

/** Where a log's description lies. */
export function metaPath(log: string): string {
  return `${log}.meta.json`;
}

/** Wall time in µs since the epoch as the log spells it. */
export function metaTime(us: number): string {
  const secs = Math.floor(us / 1e6);
  return `${secs}.${String(Math.floor(us - secs * 1e6)).padStart(6, '0')}`;
}

export function metaCounts(c: CycleCounts, end: CycleEnd): MetaCounts {
  return {
    num_inbound_tcp_pkts: c.numIn,
    num_outbound_tcp_pkts: c.numOut,
    total_tcp_pkts: c.numIn + c.numOut,
    num_inbound_skipped_pkts_malloc: c.skippedMallocIn,
    num_outbound_skipped_pkts_malloc: c.skippedMallocOut,
    num_inbound_skipped_pkts_tcpcb: c.skippedTcpcbIn,
    num_outbound_skipped_pkts_tcpcb: c.skippedTcpcbOut,
    num_inbound_skipped_pkts_inpcb: c.skippedInpcbIn,
    num_outbound_skipped_pkts_inpcb: c.skippedInpcbOut,
    total_skipped_tcp_pkts: totalSkipped(c),
    data_lines: end.lines,
    suppressed: end.suppressed,
    lost: end.lost,
  };
}

/**
 * Writes that a cycle has begun in a log. Of what the description says already, cycles that are in the file stay.
 * @param fresh the log was empty before
 * @throws what the file system refuses with
 */
export function metaBegin(log: string, fresh: boolean, enableUs: number, run: RunMeta): void {
  const cycle: MetaCycle = {
    enable_time: metaTime(enableUs),
    disable_time: null,
    continued_in: null,
    counts: null,
    ...run,
  };
  write(log, [...(fresh ? [] : read(log)), cycle]);
}

/**
 * Completes the last cycle of a log's description; one that is gone is not made again.
 * @throws what the file system refuses with
 */
export function metaEnd(
  log: string,
  enableUs: number,
  end: Pick<MetaCycle, 'disable_time' | 'counts'> | Pick<MetaCycle, 'continued_in'>,
): void {
  const cycles = read(log);
  const last = cycles.at(-1);
  if (last === undefined || last.enable_time !== metaTime(enableUs)) return;
  write(log, [...cycles.slice(0, -1), { ...last, ...end }]);
}

/** Cycles of a log's description; none when there is no such file, or something else in it. */
function read(log: string): MetaCycle[] {
  try {
    const file = JSON.parse(readFileSync(metaPath(log), 'utf8')) as Partial<MetaFile>;
    return file.meta === 1 && Array.isArray(file.cycles) ? [...file.cycles] : [];
  } catch {
    return [];
  }
}

/** By a rename, so that a reader finds the old text or the new one. */
function write(log: string, cycles: readonly MetaCycle[]): void {
  const path = metaPath(log);
  const file: MetaFile = { meta: 1, log: basename(log), cycles };
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, `${JSON.stringify(file, null, 2)}\n`, { flag: 'wx', mode: 0o644 });
    renameSync(temporary, path);
  } catch (err) {
    // One that a process of our number left behind would be in the way for ever.
    rmSync(temporary, { force: true });
    throw err;
  }
}
