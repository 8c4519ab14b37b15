import { Worker } from 'node:worker_threads';
import type { DummynetReport } from '../dummynet/dummynet.ts';
import type { CoreRequest } from '../endpoint/core.ts';
import type { CorePort } from '../endpoint/endpoint.ts';
import type { CoreReply } from '../endpoint/operations.ts';
import type { ConnSlice } from './conn-slice.ts';
import type { DropSlice } from './drop-slice.ts';
import { SystemError } from './errors.ts';
import type { Broadcast, FromShard, PcbRow, ShardRequest, ToShard } from './messages.ts';
import { workerFile } from './paths.ts';
import type { ShardSetup } from './shard-setup.ts';
import type { StatSlice } from './stat-slice.ts';
import type { ShardTables } from './tuning.ts';

/** What the daemon does with the messages of a shard. */
export interface ShardEvents {
  log(shard: number, level: 'debug' | 'info' | 'warn' | 'error', text: string): void;
  /** Goes to every other shard. */
  broadcast(from: number, msg: Broadcast): void;
  /** The thread ended without being told to. */
  died(shard: number, err: Error): void;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(err: Error): void;
}

/** Heap limits of a shard's thread: small connections' state lives in it, packets do not. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 1024 };
/** How long an answer may take before the shard is held to be stuck, ms. */
const ANSWER_MS = 10_000;

/** A shard in its worker thread, as the main thread sees it. */
export class ShardPort {
  /** The socket endpoint of the shard. What is asked of one that has died is never answered: the process ends. */
  readonly endpoint: CorePort = {
    request: (id: number, request: CoreRequest, done: (r: CoreReply) => void) => {
      this.#asked.set(id, done);
      this.post({ kind: 'socket', id, request });
    },
    poll: (id, items, us, done) => {
      this.#asked.set(id, done);
      this.post({ kind: 'poll', id, items, us });
    },
    cancel: (id) => this.post({ kind: 'cancel', id }),
    linkSync: (id, index, count, done) => {
      this.#asked.set(id, done);
      this.post({ kind: 'linksync', id, index, count });
    },
    clock: (id, what, us, done) => {
      this.#asked.set(id, done);
      this.post({ kind: 'clock', id, what, us });
    },
  };
  readonly shard: number;
  readonly #worker: Worker;
  readonly #events: ShardEvents;
  readonly #waiting = new Map<number, Waiting>();
  readonly #asked = new Map<number, (r: CoreReply) => void>();
  readonly #ready: Promise<void>;
  #seq = 0;
  #ended: Error | null = null;
  #stopping = false;

  constructor(setup: ShardSetup, events: ShardEvents) {
    this.shard = setup.shard;
    this.#events = events;
    this.#worker = new Worker(workerFile(import.meta.url, './shard-thread'), {
      workerData: setup,
      name: `shard-${setup.shard}`,
      resourceLimits: RESOURCE_LIMITS,
    });
    let isReady: () => void;
    let failed: (err: Error) => void;
    this.#ready = new Promise((resolve, reject) => {
      isReady = resolve;
      failed = reject;
    });
    // Whoever starts shards waits for all of them at once; a second failure is not to end the process by itself.
    this.#ready.catch(() => {});
    this.#worker.on('message', (msg: FromShard) => {
      if (msg.kind === 'ready') isReady();
      else this.#message(msg);
    });
    const end = (err: Error): void => {
      if (this.#ended !== null) return;
      this.#ended = err;
      failed(err);
      for (const w of this.#waiting.values()) w.reject(err);
      this.#waiting.clear();
      if (!this.#stopping) events.died(this.shard, err);
    };
    this.#worker.on('error', (err: Error) => end(err));
    this.#worker.on('exit', (code) => end(new SystemError(`shard ${this.shard} ended with status ${code}`)));
  }

  /** Settled when the shard forwards packets; rejected when it died before. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** The thread has not ended. */
  get alive(): boolean {
    return this.#ended === null;
  }

  request(req: { op: 'pcbs' }): Promise<PcbRow[]>;
  request(req: { op: 'tables' }): Promise<ShardTables>;
  request(req: { op: 'dummynetReport' }): Promise<DummynetReport>;
  request(req: ShardRequest & { op: 'conns' }): Promise<ConnSlice>;
  request(req: ShardRequest & { op: 'stats' }): Promise<StatSlice>;
  request(req: ShardRequest & { op: 'drop' }): Promise<DropSlice>;
  request(req: ShardRequest & { op: 'dropFlow' }): Promise<boolean>;
  request(req: ShardRequest): Promise<unknown>;
  /** Sends a request and waits for its answer. Rejects when the shard died or does not answer within 10 s. */
  request(req: ShardRequest): Promise<unknown> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const seq = ++this.#seq;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(seq);
        reject(new SystemError(`shard ${this.shard} does not answer`));
      }, ANSWER_MS);
      const settle = (then: () => void): void => {
        clearTimeout(late);
        then();
      };
      this.#waiting.set(seq, {
        resolve: (value) => settle(() => resolve(value)),
        reject: (err) => settle(() => reject(err)),
      });
      this.post({ kind: 'request', seq, ...req });
    });
  }

  /** Sends a message that has no answer. */
  post(msg: ToShard): void {
    if (this.#ended === null) this.#worker.postMessage(msg);
  }

  /** Tells the shard to stop forwarding, and ends its thread. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#ended === null) await this.request({ op: 'stop' }).catch(() => {});
    await this.#worker.terminate();
  }

  #message(msg: Exclude<FromShard, { kind: 'ready' }>): void {
    switch (msg.kind) {
      case 'reply': {
        const w = this.#waiting.get(msg.seq);
        this.#waiting.delete(msg.seq);
        if (msg.error === undefined) w?.resolve(msg.value);
        else w?.reject(new SystemError(msg.error));
        break;
      }
      case 'socketReply': {
        const done = this.#asked.get(msg.id);
        this.#asked.delete(msg.id);
        done?.(msg.reply);
        break;
      }
      case 'log':
        this.#events.log(this.shard, msg.level, msg.text);
        break;
      default:
        this.#events.broadcast(this.shard, msg);
    }
  }
}
