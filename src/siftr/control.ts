import { siftrs } from '../metrics/layout.ts';
import { type CycleCounts, cycleCounts, disableLine, enableLine, type SiftrIdent, totalSkipped } from './format.ts';
import {
  FLOW_FILTER,
  findKnob,
  PREFIX,
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
import { identOf } from './modes.ts';
import type { CycleEnd } from './writer.ts';
import type { WriterPort } from './writer-port.ts';

/** A shard as SIFTR's control reaches it: each call is settled when the shard has done it. */
export interface SiftrShard {
  /** `SiftrHook.hook(enableUs)`. */
  hook(enableUs: number): Promise<void>;
  /** `SiftrHook.unhook()`. */
  unhook(): Promise<void>;
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
  /** Wall time, µs since the epoch: the clock that the shards' wall time is derived from. */
  readonly nowUs: () => number;
  /** flock(2) LOCK_EX | LOCK_NB: false when another holds the lock. */
  readonly lockFile: (fd: number) => boolean;
  readonly ident: SiftrIdent;
  /** `net.inet.siftr.logfile` at start; `-` is standard output. */
  readonly logfile: string;
  /** Bytes that one opening of a log may take; null: see `defaultLimit`. */
  readonly limit: number | null;
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
   * `net.inet.siftr.logfile = path` (spec/siftr.md section 10.1): while enabled, what was recorded before goes to the old file, what
   * comes after to the new one, and neither gets an enable or disable line. Throws SiftrError, and the old file stays.
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
      if (log.size > 0) {
        o.warn(
          `SIFTR log ${log.path} already holds ${log.size} bytes: a further enable/disable cycle is appended, and some programs read one cycle a file only`,
        );
      }
      this.#enableUs = o.nowUs();
      const text = (atLineStart(log) ? '' : '\n') + enableLine(this.#enableUs, identOf(o.ident, o.cfg));
      writeText(log, text);
      this.#start = this.#read();
      this.#limit = this.#limitOf(log);
      await o.writer.begin(log.fd, this.#limit - text.length);
    } catch (err) {
      closeLog(log);
      throw err;
    }
    this.#use(log);
    try {
      await Promise.all(o.shards.map((s) => s.hook(this.#enableUs)));
    } catch (err) {
      await this.#disable();
      throw err;
    }
  }

  async #disable(): Promise<void> {
    const log = this.#log;
    if (log === null) return;
    const o = this.#o;
    // A shard that died leaves its ring and counters behind; the log is finished all the same.
    await Promise.allSettled(o.shards.map((s) => s.unhook()));
    try {
      const end = await o.writer.end();
      const counts = withSkipped(difference(this.#read(), this.#start), end);
      this.#check(counts, end);
      writeText(log, disableLine(o.nowUs(), counts, end.flowList));
    } catch (err) {
      o.error(`SIFTR log ${log.path} ends without a disable line: ${(err as Error).message}`);
    } finally {
      closeLog(log);
      this.#log = null;
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
    if (path === this.#logfile || fileIdAt(path) === old.id) {
      this.#logfile = path;
      return;
    }
    await this.#switch(old, this.#open(path), 0);
    this.#logfile = path;
  }

  async #reopen(): Promise<void> {
    const old = this.#log;
    if (old === null || fileIdAt(this.#logfile) === old.id) return;
    const log = this.#open(this.#logfile);
    const text = log.size === 0 ? enableLine(this.#enableUs, identOf(this.#o.ident, this.#o.cfg)) : '';
    try {
      writeText(log, text);
    } catch (err) {
      closeLog(log);
      throw err;
    }
    await this.#switch(old, log, text.length);
  }

  /** @param taken bytes that `log` has got already since it was opened */
  async #switch(old: LogFile, log: LogFile, taken: number): Promise<void> {
    try {
      const limit = this.#limitOf(log);
      await this.#o.writer.switchTo(log.fd, limit - taken);
      this.#limit = limit;
    } catch (err) {
      closeLog(log);
      throw err;
    }
    this.#use(log);
    closeLog(old);
  }

  #use(log: LogFile): void {
    this.#log = log;
    this.#written.add(log.path);
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

function difference(now: CycleCounts, start: CycleCounts): CycleCounts {
  return {
    numIn: now.numIn - start.numIn,
    numOut: now.numOut - start.numOut,
    skippedMallocIn: now.skippedMallocIn - start.skippedMallocIn,
    skippedMallocOut: now.skippedMallocOut - start.skippedMallocOut,
    skippedTcpcbIn: now.skippedTcpcbIn - start.skippedTcpcbIn,
    skippedTcpcbOut: now.skippedTcpcbOut - start.skippedTcpcbOut,
    skippedInpcbIn: now.skippedInpcbIn - start.skippedInpcbIn,
    skippedInpcbOut: now.skippedInpcbOut - start.skippedInpcbOut,
  };
}

/** With the records that found no room in the file, which have no fields of their own: like those that found none in the ring. */
function withSkipped(c: CycleCounts, end: CycleEnd): CycleCounts {
  return {
    ...c,
    skippedMallocIn: c.skippedMallocIn + end.skippedIn,
    skippedMallocOut: c.skippedMallocOut + end.skippedOut,
  };
}

function busy(name: string, value: number | string): SiftrError {
  return new SiftrError('EBUSY', `${name}=${value}: holds for whole cycles; set ${PREFIX}enabled=0 first`);
}
