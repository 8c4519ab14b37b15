import { fstatSync } from 'node:fs';
import { siftrs } from '../metrics/layout.ts';
import { addCounts, NO_COUNTS, subtractCounts, withSkipped } from './counts.ts';
import { splitFlowList, writeFlows } from './flows-file.ts';
import { type CycleCounts, cycleCounts, disableLine, enableLine, type SiftrIdent, totalSkipped } from './format.ts';
import {
  checkQlen,
  FLOW_FILTER,
  findKnob,
  PREFIX,
  QLEN,
  readKnob,
  type SiftrKnob,
  wholeNumber,
  writeFlowFilter,
  writeKnob,
} from './knobs.ts';
import {
  atLineStart,
  closeLog,
  defaultLimit,
  fileIdAt,
  type LogFile,
  openLog,
  SiftrError,
  writeText,
} from './logfile.ts';
import { metaBegin, metaCounts, metaEnd, metaTime, type RunMeta } from './meta.ts';
import { identOf } from './modes.ts';
import { QLEN_DEFAULT } from './record.ts';
import { CFG_FLOW_LIST_MAX, CFG_LOGFILE_MARKERS, CFG_STRICT } from './shared.ts';
import type { CycleEnd } from './writer.ts';
import type { WriterPort } from './writer-port.ts';

/** A shard as SIFTR's control reaches it: each call is settled when the shard has done it. */
export interface SiftrShard {
  /** `SiftrHook.hook(enableUs)`. */
  hook(enableUs: number): Promise<void>;
  /** `SiftrHook.unhook()`. */
  unhook(): Promise<void>;
  /** `SiftrHook.cut(enableUs)`. */
  cut(enableUs: number): Promise<CycleCounts>;
}

export interface SiftrControlOptions {
  readonly shards: readonly SiftrShard[];
  /** Counter blocks of the shards, to read. */
  readonly counters: readonly Float64Array[];
  /** Counter block of the calling thread, to write. */
  readonly cnt: Float64Array;
  /** Shared settings, see `createSiftrShared`. */
  readonly cfg: Int32Array;
  readonly writer: WriterPort;
  /** Makes rings of so many records and hands them to the shards, which are not hooked; gives them for the writer. */
  readonly makeRings: (records: number) => Promise<readonly SharedArrayBuffer[]>;
  /** Wall time, µs since the epoch: the clock that the shards' wall time is derived from. */
  readonly nowUs: () => number;
  /** flock(2) LOCK_EX | LOCK_NB: false when another holds the lock. */
  readonly lockFile: (fd: number) => boolean;
  readonly ident: SiftrIdent;
  /** `net.inet.siftr.logfile` at start; `-` is standard output. */
  readonly logfile: string;
  /** Bytes that one opening of a log may take; null: see `defaultLimit`. */
  readonly limit: number | null;
  /** How the packets come about, for `FILE.meta.json`; null: no such files are written. */
  readonly meta: (() => RunMeta) | null;
  /** Diagnostics, a line each. */
  readonly warn: (line: string) => void;
  readonly error: (line: string) => void;
}

/** A knob that is more than a word of the shared settings. */
interface Handler {
  get(): number | string;
  set(value: number | string): Promise<void>;
}

/**
 * SIFTR's switchboard in the main thread: enable and disable cycles, the log file, the sysctls, and the check that every packet
 * seen is accounted for. Calls are carried out one after another.
 */
export class SiftrControl {
  readonly #o: SiftrControlOptions;
  #logfile: string;
  /** The open log; null while disabled. */
  #log: LogFile | null;
  /** Bytes that the open log may take. */
  #limit: number;
  /** Paths of the logs that were in use, in the order of the first time. */
  readonly #written: Set<string>;
  /** Records in a ring, `net.inet.siftr.qlen`. */
  #qlen: number;
  /** Why the log cannot be written, as the writer said; null while it can. */
  #failing: string | null;
  /** What became of the open log where its path could not be opened again, which was said; null while the path leads to it. */
  #astray: 'renamed' | 'removed' | null;
  /** A description that could not be written was told of. */
  #metaTold: boolean;
  #enableUs: number;
  /** Counters at the start of the cycle: the shards' counters never go back to 0. */
  #start: CycleCounts;
  /** The call that is being carried out, and all before it. */
  #last: Promise<unknown>;
  /** Knobs that are no words (src/siftr/knobs.ts has those that are), by name. */
  readonly #handlers: ReadonlyMap<string, Handler>;
  /** `net.inet.siftr.flow_filter`. */
  #flowFilter: string;

  constructor(options: SiftrControlOptions) {
    this.#o = options;
    this.#logfile = options.logfile;
    this.#log = null;
    this.#limit = Infinity;
    this.#written = new Set();
    this.#qlen = QLEN_DEFAULT;
    this.#failing = null;
    this.#astray = null;
    this.#metaTold = false;
    this.#enableUs = 0;
    this.#start = this.#read();
    this.#last = Promise.resolve();
    this.#flowFilter = '';
    this.#handlers = new Map<string, Handler>([
      [
        `${PREFIX}enabled`,
        {
          get: () => (this.enabled ? 1 : 0),
          set: async (value) =>
            await (wholeNumber(`${PREFIX}enabled`, value, 0, 1) === 1 ? this.enable() : this.disable()),
        },
      ],
      [FLOW_FILTER, { get: () => this.#flowFilter, set: async (value) => this.#setFlowFilter(String(value)) }],
      [QLEN, { get: () => this.#qlen, set: (value) => this.#inTurn(() => this.#setQlen(value)) }],
      [`${PREFIX}logfile`, { get: () => this.#logfile, set: (value) => this.setLogfile(String(value)) }],
    ]);
    options.writer.onLimit = (fd) => void this.#limitReached(fd);
    options.writer.onWriteError = (text) => this.#writeError(text);
  }

  get enabled(): boolean {
    return this.#log !== null;
  }

  /** Wall time of the running cycle's enable line, µs; null while disabled. For shards that start while it runs. */
  get enableUs(): number | null {
    return this.#log === null ? null : this.#enableUs;
  }

  /** `net.inet.siftr.logfile`. */
  get logfile(): string {
    return this.#logfile;
  }

  /** Every log that was in use since the start, in order. */
  get written(): readonly string[] {
    return [...this.#written];
  }

  /** Starts a cycle: opens the log, writes the enable line, then hooks. Nothing happens when one runs. Throws SiftrError. */
  enable(): Promise<void> {
    return this.#inTurn(() => this.#enable());
  }

  /** Ends the cycle: unhooks, writes out what is pending, then the disable line, closes the log. Nothing happens when none runs. */
  disable(): Promise<void> {
    return this.#inTurn(() => this.#disable());
  }

  /**
   * `net.inet.siftr.logfile = path`. While enabled the cycle ends in the old file and one begins in the new (spec/siftr.md section 14 item 9); with
   * `logfile_markers=0` or `strict=1` it goes on there without a line of its own (section 10.1). Either way no record is lost. The name
   * in use has the path opened again where it no longer leads to the open file. Throws SiftrError, and the old file stays.
   */
  setLogfile(path: string): Promise<void> {
    return this.#inTurn(() => this.#setLogfile(path));
  }

  /**
   * Opens the log's path again, for log rotation (SIGHUP). The new file, when it is empty, begins with an enable line that has the
   * enable time of the cycle. Nothing happens while disabled, or when the path still leads to the open file. Throws SiftrError.
   */
  reopen(): Promise<void> {
    return this.#inTurn(() => this.#reopen());
  }

  /**
   * Looks whether the log's path still leads to the open file, and opens it again where it does not (section 14 item 3). To be called each
   * second; also called after a failed write. What goes wrong is told once. With `strict=1` a log that is gone is not noticed.
   */
  look(): Promise<void> {
    return this.#inTurn(() => this.#look());
  }

  /** Ends the cycle and the writer thread. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#disable();
      await this.#o.writer.close();
    });
  }

  /** Value of a `net.inet.siftr.*` knob. */
  getSysctl(name: string): number | string {
    const knob = findKnob(name);
    return knob === undefined ? this.#handler(name).get() : readKnob(knob, this.#o.cfg);
  }

  /** Sets a `net.inet.siftr.*` knob. Those that are words hold from the next packet on. Throws SiftrError. */
  async setSysctl(name: string, value: number | string): Promise<void> {
    const knob = findKnob(name);
    if (knob === undefined) await this.#handler(name).set(value);
    else if (knob.idle === true) await this.#inTurn(async () => this.#setIdle(knob, value));
    else writeKnob(knob, this.#o.cfg, value);
  }

  #setIdle(knob: SiftrKnob, value: number | string): void {
    if (this.enabled && String(value) !== String(readKnob(knob, this.#o.cfg))) throw busy(knob.name, value);
    writeKnob(knob, this.#o.cfg, value);
  }

  #setFlowFilter(text: string): void {
    writeFlowFilter(this.#o.cfg, text);
    this.#flowFilter = text;
  }

  async #setQlen(value: number | string): Promise<void> {
    const n = checkQlen(value);
    if (n === this.#qlen) return;
    if (this.enabled) throw busy(QLEN, value);
    await this.#o.writer.setRings(await this.#o.makeRings(n));
    this.#qlen = n;
  }

  get #strict(): boolean {
    return this.#o.cfg[CFG_STRICT] === 1;
  }

  #handler(name: string): Handler {
    const handler = this.#handlers.get(name);
    if (handler === undefined) throw new SiftrError('ENOENT', `unknown oid '${name}'`);
    return handler;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work, work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #enable(): Promise<void> {
    if (this.#log !== null) return;
    const o = this.#o;
    const log = this.#open(this.#logfile);
    try {
      this.#warnHolds(log);
      this.#enableUs = o.nowUs();
      const text = this.#begin(log, this.#enableUs);
      this.#start = this.#read();
      this.#limit = this.#limitOf(log);
      await o.writer.begin(log.fd, this.#limit - text.length);
    } catch (err) {
      closeLog(log);
      throw err;
    }
    this.#use(log);
    this.#describe(log, (meta) => metaBegin(log.path, log.size === 0, this.#enableUs, meta));
    try {
      await Promise.all(o.shards.map((s) => s.hook(this.#enableUs)));
    } catch (err) {
      await this.#disable();
      throw err;
    }
  }

  #warnHolds(log: LogFile): void {
    if (log.size === 0) return;
    this.#o.warn(
      `SIFTR log ${log.path} already holds ${log.size} bytes: a further enable/disable cycle is appended, and some programs read one cycle a file only`,
    );
  }

  /** Writes the enable line of a cycle, on a line of its own; gives what was written. */
  #begin(log: LogFile, enableUs: number): string {
    const text = (atLineStart(log) ? '' : '\n') + enableLine(enableUs, identOf(this.#o.ident, this.#o.cfg));
    writeText(log, text);
    return text;
  }

  async #disable(): Promise<void> {
    const log = this.#log;
    if (log === null) return;
    // A shard that died leaves its ring and counters behind; the log is finished all the same.
    await Promise.allSettled(this.#o.shards.map((s) => s.unhook()));
    await this.#finish(log, null);
    this.#log = null;
  }

  /** Ends a cycle in the writer and closes its log with the disable line. @param now counters at the cut; null: as they stand */
  async #finish(log: LogFile, now: CycleCounts | null): Promise<void> {
    const o = this.#o;
    try {
      const end = await o.writer.end();
      const counts = withSkipped(subtractCounts(now ?? this.#read(), this.#start), end);
      this.#check(counts, end);
      const disableUs = o.nowUs();
      writeText(log, disableLine(disableUs, counts, this.#flowList(log, end.flowList)));
      const ended = { disable_time: metaTime(disableUs), counts: metaCounts(counts, end) };
      this.#describe(log, () => metaEnd(log.path, this.#enableUs, ended));
    } catch (err) {
      o.error(`SIFTR log ${log.path} ends without a disable line: ${(err as Error).message}`);
    } finally {
      closeLog(log);
      this.#failing = null;
      this.#astray = null;
    }
  }

  async #setLogfile(path: string): Promise<void> {
    if (path === '' || path.includes('\0')) {
      throw new SiftrError('EINVAL', `${PREFIX}logfile: the path of a file is needed, or - for standard output`);
    }
    const old = this.#log;
    if (old === null) {
      if (path === this.#logfile) return;
      closeLog(this.#open(path));
      this.#logfile = path;
      return;
    }
    if (path === this.#logfile) {
      if (!this.#strict) await this.#reopen();
      return;
    }
    if (fileIdAt(path) === old.id) {
      this.#logfile = path;
      return;
    }
    const log = this.#open(path);
    if (this.#strict || this.#o.cfg[CFG_LOGFILE_MARKERS] === 0) await this.#switch(old, log, 0);
    // A file that cannot take the waiting lines cannot take a disable line: the cycle goes on in the new one, and nothing is lost.
    else if (this.#failing !== null) await this.#carryOver(old, log, false);
    else await this.#restart(old, log);
    this.#logfile = path;
  }

  async #reopen(): Promise<void> {
    const old = this.#log;
    if (old === null || fileIdAt(this.#logfile) === old.id) return;
    await this.#carryOver(old, this.#open(this.#logfile), fate(old) === 'removed');
    this.#o.cnt[siftrs.siftrs_log_reopens]!++;
    this.#astray = null;
  }

  async #look(): Promise<void> {
    const log = this.#log;
    if (log === null || !log.regular || this.#strict) return;
    try {
      if (fileIdAt(this.#logfile) === log.id) return;
      const what = fate(log);
      await this.#reopen();
      this.#o.warn(
        `SIFTR log ${this.#logfile}: was ${what} while it was written; it goes on in a new file of that name`,
      );
    } catch (err) {
      await this.#notReopened(log, err as Error);
    }
  }

  /** What a renamed file gets is not lost; for one that nobody can read any more the lines wait. */
  async #notReopened(log: LogFile, err: Error): Promise<void> {
    const what = fate(log);
    if (this.#astray === what) return;
    this.#astray = what;
    const why = err.message.replace(`SIFTR log ${this.#logfile}: `, '');
    if (what === 'removed') await this.#o.writer.hold(`was removed, and cannot be made again (${why})`);
    else this.#o.error(`${err.message}; it goes on in the open file`);
  }

  /** The cycle goes on in another file, which begins with its enable line when it is empty. @param gone nobody can read the old file */
  async #carryOver(old: LogFile, log: LogFile, gone: boolean): Promise<void> {
    const text =
      log.size === 0 ? enableLine(this.#enableUs, identOf(this.#o.ident, this.#o.cfg)) : atLineStart(log) ? '' : '\n';
    try {
      writeText(log, text);
    } catch (err) {
      closeLog(log);
      throw err;
    }
    await this.#switch(old, log, text.length, gone);
  }

  /** @param taken bytes that `log` has got already since it was opened */
  async #switch(old: LogFile, log: LogFile, taken: number, gone = false): Promise<void> {
    try {
      const limit = this.#limitOf(log);
      await this.#o.writer.switchTo(log.fd, limit - taken, gone);
      this.#limit = limit;
    } catch (err) {
      closeLog(log);
      throw err;
    }
    this.#use(log);
    closeLog(old);
    if (old.path !== log.path) {
      this.#describe(old, () => metaEnd(old.path, this.#enableUs, { continued_in: log.path }));
    }
    this.#describe(log, (meta) => metaBegin(log.path, log.size === 0, this.#enableUs, meta));
  }

  /**
   * Ends the cycle in one file and begins the next in another, between two packets of each shard: every packet belongs to one of them, with
   * its record and in the counters.
   */
  async #restart(old: LogFile, log: LogFile): Promise<void> {
    const o = this.#o;
    let limit: number;
    let enableUs: number;
    let text: string;
    try {
      this.#warnHolds(log);
      limit = this.#limitOf(log);
      enableUs = o.nowUs();
      text = this.#begin(log, enableUs);
    } catch (err) {
      closeLog(log);
      throw err;
    }
    // The counters of a shard that died stand still.
    const cuts = await Promise.allSettled(o.shards.map((s) => s.cut(enableUs)));
    const now = cuts.map((c, i) => (c.status === 'fulfilled' ? c.value : cycleCounts([o.counters[i]!])));
    const counts = now.reduce(addCounts, NO_COUNTS);
    await this.#finish(old, counts);
    this.#start = counts;
    this.#enableUs = enableUs;
    this.#limit = limit;
    this.#use(log);
    await o.writer.begin(log.fd, limit - text.length);
    this.#describe(log, (meta) => metaBegin(log.path, log.size === 0, enableUs, meta));
  }

  #use(log: LogFile): void {
    this.#log = log;
    this.#written.add(log.path);
  }

  /** What of a flow list the disable line gets; the rest goes beside the log (spec/siftr.md section 14 item 16). It stays whole where it cannot. */
  #flowList(log: LogFile, list: string): string {
    if (this.#strict || !log.regular) return list;
    const { head, rest } = splitFlowList(list, this.#o.cfg[CFG_FLOW_LIST_MAX]!);
    if (rest === '') return list;
    try {
      writeFlows(log, rest);
      return head;
    } catch (err) {
      this.#o.error(`SIFTR log ${log.path}: its flow list stays whole: ${(err as Error).message}`);
      return list;
    }
  }

  /** Brings a log's description up to date. One that cannot be written is told of once, and never a failure of the log. */
  #describe(log: LogFile, work: (meta: RunMeta) => void): void {
    const { meta, cnt, warn } = this.#o;
    if (meta === null || !log.regular) return;
    try {
      work(meta());
    } catch (err) {
      cnt[siftrs.siftrs_meta_errors]!++;
      if (this.#metaTold) return;
      this.#metaTold = true;
      warn(`SIFTR log ${log.path}: its description ${log.path}.meta.json cannot be written: ${(err as Error).message}`);
    }
  }

  #open(path: string): LogFile {
    const log = openLog(path, this.#o.lockFile);
    this.#o.cnt[siftrs.siftrs_opened]!++;
    return log;
  }

  #limitOf(log: LogFile): number {
    return this.#o.limit ?? defaultLimit(log);
  }

  /** The shards go on until they are unhooked; the writer skips what they record, so that only the disable line is still to come. */
  #limitReached(fd: number): Promise<void> {
    return this.#inTurn(async () => {
      const log = this.#log;
      if (log === null || log.fd !== fd) return;
      this.#o.cnt[siftrs.siftrs_limit_reached]!++;
      await this.#disable();
      this.#o.warn(
        `SIFTR log ${log.path} has taken its limit of ${this.#limit} bytes and was closed; start again with ${PREFIX}enabled=1, allow more with --siftr-limit`,
      );
    });
  }

  #writeError(text: string | null): void {
    const path = this.#log?.path ?? this.#logfile;
    this.#failing = text;
    if (text !== null) void this.look();
    if (text === null) this.#o.warn(`SIFTR log ${path}: writing works again`);
    else this.#o.error(`SIFTR log ${path}: ${text}; records wait, and are skipped when the rings are full`);
  }

  /** Every packet seen is a line, or skipped, or suppressed by ppl, or lost with a failed write (spec/siftr.md section 7). */
  #check(c: CycleCounts, end: CycleEnd): void {
    if (end.lost > 0) this.#o.error(`SIFTR: ${end.lost} records were lost because the log could not be written`);
    const seen = c.numIn + c.numOut;
    const accounted = end.lines + totalSkipped(c) + end.suppressed + end.lost;
    if (seen === accounted) return;
    this.#o.cnt[siftrs.siftrs_sum_mismatch]!++;
    this.#o.error(
      `SIFTR: ${seen} packets seen, but ${end.lines} lines + ${totalSkipped(c)} skipped + ${end.suppressed} suppressed + ${end.lost} lost are ${accounted}`,
    );
  }

  #read(): CycleCounts {
    return cycleCounts(this.#o.counters);
  }
}

/** Of a log that its path no longer leads to: removed when no other name leads to it either. */
function fate(log: LogFile): 'renamed' | 'removed' {
  return fstatSync(log.fd).nlink === 0 ? 'removed' : 'renamed';
}

function busy(name: string, value: number | string): SiftrError {
  return new SiftrError('EBUSY', `${name}=${value}: holds for whole cycles; set ${PREFIX}enabled=0 first`);
}
