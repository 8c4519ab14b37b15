import { mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import { SiftrControl, type SiftrControlOptions } from '../../../src/siftr/control.ts';
import { cycleCounts, siftrIdent } from '../../../src/siftr/format.ts';
import { createRing, RecordProducer } from '../../../src/siftr/record.ts';
import { createSiftrShared } from '../../../src/siftr/shared.ts';
import { type CycleEnd, SiftrWriter } from '../../../src/siftr/writer.ts';
import type { WriterPort } from '../../../src/siftr/writer-port.ts';
import { push, type RecordValues, tuple } from './records.ts';

/** The writer without its thread: passes happen when a command comes or a test asks. */
export class DirectPort implements WriterPort {
  onLimit: ((fd: number) => void) | null = null;
  onWriteError: ((text: string | null) => void) | null = null;
  onDeath: ((err: Error) => void) | null = null;
  readonly #writer: SiftrWriter;
  #fd = -1;
  #told = false;

  constructor(writer: SiftrWriter) {
    this.#writer = writer;
  }

  async begin(fd: number, limit: number): Promise<void> {
    this.#fd = fd;
    this.#writer.begin({ write: (buf, off, len) => writeSync(fd, buf, off, len) }, limit);
  }

  async switchTo(fd: number, limit: number, oldIsGone: boolean): Promise<void> {
    this.#fd = fd;
    this.#writer.switchTo({ write: (buf, off, len) => writeSync(fd, buf, off, len) }, limit, oldIsGone);
    this.#tell();
  }

  async hold(why: string): Promise<void> {
    this.#writer.hold(new Error(why));
    this.#tell();
  }

  async setRings(rings: readonly SharedArrayBuffer[]): Promise<void> {
    this.#writer.setRings(rings);
  }

  async end(): Promise<CycleEnd> {
    return this.#writer.end(() => false);
  }

  async close(): Promise<void> {}

  pass(): void {
    this.#writer.pass();
    if (this.#writer.limitReached) this.onLimit?.(this.#fd);
    this.#tell();
  }

  #tell(): void {
    const failing = this.#writer.state === 'error';
    if (failing === this.#told) return;
    this.#told = failing;
    this.onWriteError?.(failing ? this.#writer.error!.message : null);
  }
}

/** A control over one shard that tests play, with the log `siftr.log` in a folder. */
export function controlRig(dir: string, over: Partial<SiftrControlOptions> = {}, records = 64) {
  const cfg = createSiftrShared();
  const buf = createRing(records);
  let ring = new RecordProducer(buf);
  const shard = new Float64Array(COUNTER_SLOTS);
  const cnt = new Float64Array(COUNTER_SLOTS);
  const writerCnt = new Float64Array(COUNTER_SLOTS);
  const port = new DirectPort(new SiftrWriter([buf], cfg, writerCnt));
  const events: string[] = [];
  const said: string[] = [];
  const log = join(dir, 'siftr.log');
  let now = 1685191807160752;
  const control = new SiftrControl({
    shards: [
      {
        hook: async (us) => void events.push(`hook ${us} ${readFileSync(log, 'utf8').split('\t')[0]}`),
        unhook: async () => void events.push('unhook'),
        cut: async (us) => {
          events.push(`cut ${us}`);
          ring.cut();
          return cycleCounts([shard]);
        },
      },
    ],
    counters: [shard],
    cnt,
    cfg,
    writer: port,
    makeRings: async (n) => {
      const next = createRing(n);
      ring = new RecordProducer(next);
      return [next];
    },
    nowUs: () => now++,
    lockFile: () => true,
    ident: siftrIdent('0.1.0'),
    logfile: log,
    limit: null,
    meta: null,
    warn: (line) => said.push(`warn ${line}`),
    error: (line) => said.push(`error ${line}`),
    ...over,
  });
  /** What the hook does with one packet that has a control block. */
  const packet = (values: RecordValues = {}): void => {
    const out = ((values.kind ?? 0) & 1) !== 0;
    shard[out ? siftrs.siftrs_n_out : siftrs.siftrs_n_in]!++;
    const ok = push(ring, { ...tuple('192.0.2.1', 1, '192.0.2.2', 5001), flowid: 7, sec: 1685191808, ...values });
    if (!ok) shard[out ? siftrs.siftrs_nskip_out_malloc : siftrs.siftrs_nskip_in_malloc]!++;
  };
  /** What the hook leaves beside packets. */
  const note = (values: RecordValues): void => void push(ring, values);
  return { control, cfg, cnt, writerCnt, shard, port, events, said, log, packet, note };
}

/** Gives each test of a file a folder of its own, and a control with its log there. */
export function controlRigs() {
  const rigs = {
    dir: '',
    setUp: (over: Partial<SiftrControlOptions> = {}, records = 64) => controlRig(rigs.dir, over, records),
  };
  beforeEach(() => {
    rigs.dir = mkdtempSync(join(tmpdir(), 'xsiftr-siftr-'));
  });
  afterEach(() => {
    rmSync(rigs.dir, { recursive: true });
  });
  return rigs;
}

export const read = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);
/** What each line of a file is: `en`, `di`, `i,` or `o,`. */
export const kinds = (path: string): string[] => read(path).map((l) => l.slice(0, 2));
export const ENABLE =
  'enable_time_secs=1685191807\tenable_time_usecs=160752\tsiftrver=1.3.0\tsysname=xsiftr\tsysver=1000100\tipmode=4';

/** Lines, total and skipped of the last cycle in a file. */
export const figures = (path: string) => {
  const lines = read(path);
  const last = Object.fromEntries(
    lines
      .at(-1)!
      .split('\t')
      .map((p) => p.split('=') as [string, string]),
  );
  return {
    data: lines.filter((l) => /^[io],/.test(l)).length,
    total: Number(last['total_tcp_pkts']),
    skipped: Number(last['total_skipped_tcp_pkts']),
    malloc: [Number(last['num_inbound_skipped_pkts_malloc']), Number(last['num_outbound_skipped_pkts_malloc'])],
  };
};
