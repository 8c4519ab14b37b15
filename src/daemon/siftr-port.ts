import { Worker } from 'node:worker_threads';
import { CFG_COMMAND, CFG_SLEEPING, CFG_WAKE } from '../siftr/shared.ts';
import type { CycleEnd } from '../siftr/writer.ts';
import type { WriterPort } from '../siftr/writer-port.ts';
import type { WriterCommand, WriterData, WriterReport } from './siftr-thread.ts';

interface Waiting {
  resolve(end: CycleEnd | null): void;
  reject(err: Error): void;
}

/** Starts the writer thread. @param data rings of all shards, shared settings, and a counter block for the writer alone */
export function startWriterThread(data: WriterData): WriterPort {
  return new ThreadPort(data);
}

class ThreadPort implements WriterPort {
  onLimit: ((fd: number) => void) | null = null;
  onWriteError: ((text: string | null) => void) | null = null;
  onDeath: ((err: Error) => void) | null = null;
  readonly #worker: Worker;
  readonly #cfg: Int32Array;
  readonly #waiting = new Map<number, Waiting>();
  #seq = 0;
  #dead: Error | null = null;

  constructor(data: WriterData) {
    this.#cfg = data.cfg;
    // The file has the ending of this one: .ts in a checkout, .js in the package.
    const file = import.meta.url.endsWith('.ts') ? './siftr-thread.ts' : './siftr-thread.js';
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: data, name: 'siftr-writer' });
    this.#worker.on('message', (r: WriterReport) => this.#report(r));
    this.#worker.on('error', (err: Error) => this.#died(err));
    this.#worker.on('exit', () => this.#died(new Error('the SIFTR writer thread has ended')));
  }

  async begin(fd: number, limit: number): Promise<void> {
    await this.#call((seq) => ({ op: 'begin', seq, fd, limit }));
  }

  async switchTo(fd: number, limit: number, oldIsGone: boolean): Promise<void> {
    await this.#call((seq) => ({ op: 'switch', seq, fd, limit, oldIsGone }));
  }

  async hold(why: string): Promise<void> {
    await this.#call((seq) => ({ op: 'hold', seq, why }));
  }

  async setRings(rings: readonly SharedArrayBuffer[]): Promise<void> {
    await this.#call((seq) => ({ op: 'rings', seq, rings }));
  }

  async end(): Promise<CycleEnd> {
    const end = await this.#call((seq) => ({ op: 'end', seq }));
    if (end === null) throw new Error('the SIFTR writer ended a cycle without a result');
    return end;
  }

  async close(): Promise<void> {
    if (this.#dead !== null) return;
    this.onDeath = null;
    await this.#call((seq) => ({ op: 'stop', seq }));
    await this.#worker.terminate();
  }

  #call(make: (seq: number) => WriterCommand): Promise<CycleEnd | null> {
    if (this.#dead !== null) return Promise.reject(this.#dead);
    const seq = ++this.#seq;
    return new Promise((resolve, reject) => {
      this.#waiting.set(seq, { resolve, reject });
      this.#worker.postMessage(make(seq));
      // The thread looks for messages when this number has changed, between two sleeps: end the current one.
      Atomics.store(this.#cfg, CFG_COMMAND, seq);
      Atomics.store(this.#cfg, CFG_SLEEPING, 0);
      Atomics.add(this.#cfg, CFG_WAKE, 1);
      Atomics.notify(this.#cfg, CFG_WAKE);
    });
  }

  #report(r: WriterReport): void {
    switch (r.kind) {
      case 'done':
        this.#waiting.get(r.seq)?.resolve(r.end);
        this.#waiting.delete(r.seq);
        break;
      case 'limit':
        this.onLimit?.(r.fd);
        break;
      case 'write-error':
        this.onWriteError?.(r.text);
        break;
      case 'write-ok':
        this.onWriteError?.(null);
        break;
    }
  }

  #died(err: Error): void {
    if (this.#dead !== null) return;
    this.#dead = err;
    for (const w of this.#waiting.values()) w.reject(err);
    this.#waiting.clear();
    this.onDeath?.(err);
  }
}
