import { CLAIMED_WORDS, type Native, QSTAT, QSTAT_WORDS, RING_WORDS } from '../driver/native.ts';
import { endpointGroup } from '../metrics/decl/endpoint.ts';
import { counterBlock, counterBytes, eps, groups } from '../metrics/layout.ts';
import {
  histogramEntry,
  type KstatEntry,
  kstatEntry,
  kstatFailure,
  type ProviderDecl,
  QUEUE_BLOCK_BYTES,
  ringDecls,
  rxqBlock,
  rxqDecl,
  txqBlock,
  txqDecl,
  xskDecl,
} from '../metrics/queuekv.ts';
import { combineCounters, counterValue, histogramValue } from '../metrics/read.ts';
import { ULINK_BLOCK_BYTES, ulinkBlock, ulinkDecl } from '../metrics/ulinkkv.ts';

/** An interface whose queues are counted. */
export interface CountedPort {
  readonly name: string;
  /** The addon's port; null for a Unix link. */
  readonly port: number | null;
  readonly queues: number;
  /** Receive queues that it had before some were left out; the same where none were. */
  readonly present: number;
}

/** Histograms that have an entry of kstat. */
const HISTOGRAMS = groups.flatMap((g) => g.decls.filter((d) => d.kstat !== undefined));

/** A queue without a socket has one counter: what the XDP program dropped there. */
const unservedDecl: ProviderDecl = { ...xskDecl, kvs: xskDecl.kvs.filter((kv) => kv.key === 'claimed_dropped') };

/**
 * The counters of a process: shared memory that shards, the log writer and the main thread write (one block each), and what the
 * addon knows of sockets and rings. Readers of every kind ask here.
 */
export class Counters {
  /** Blocks 0..nshards-1 are the shards', then the log writer's, then the main thread's. */
  readonly memory: SharedArrayBuffer;
  /** Queue blocks, `interface * nshards + queue`. */
  readonly queueMemory: SharedArrayBuffer;
  /** Blocks of the Unix links, by interface. */
  readonly ulinkMemory: SharedArrayBuffer;
  readonly nshards: number;
  readonly #blocks: readonly Float64Array[];
  readonly #native: Native;
  readonly #ports: readonly CountedPort[];
  readonly #qstat = new Float64Array(QSTAT_WORDS);
  readonly #rings = new Int32Array(RING_WORDS);
  readonly #claimed = new Float64Array(CLAIMED_WORDS);

  constructor(native: Native, ports: readonly CountedPort[], nshards: number) {
    this.nshards = nshards;
    this.memory = new SharedArrayBuffer(counterBytes(nshards + 2));
    this.queueMemory = new SharedArrayBuffer(ports.length * nshards * QUEUE_BLOCK_BYTES);
    this.ulinkMemory = new SharedArrayBuffer(ports.length * ULINK_BLOCK_BYTES);
    this.#blocks = Array.from({ length: nshards + 2 }, (_, i) => counterBlock(this.memory, i));
    this.#native = native;
    this.#ports = ports;
  }

  /** Block of shard `k`. */
  shard(k: number): Float64Array {
    return this.#blocks[k]!;
  }

  /** Blocks of all shards. */
  get shards(): readonly Float64Array[] {
    return this.#blocks.slice(0, this.nshards);
  }

  /** Block of the log writer. */
  get writer(): Float64Array {
    return this.#blocks[this.nshards]!;
  }

  /** Block of the main thread. */
  get main(): Float64Array {
    return this.#blocks[this.nshards + 1]!;
  }

  /** All blocks combined, by slot. */
  total(): Float64Array {
    return combineCounters(this.#blocks);
  }

  /** Every kstat entry now. What shards count beside their queues stands with the first interface. */
  kstat(): KstatEntry[] {
    return this.#ports.flatMap((p, i) => [
      ...(i === 0 ? this.#endpoint(p.name) : []),
      ...(i === 0 ? this.#histograms(p) : []),
      ...Array.from({ length: p.queues }, (_, q) => this.#queue(p, i, q)).flat(),
      ...this.#unserved(p),
    ]);
  }

  /** The socket endpoint, where it has had a client; it counts in the main thread. */
  #endpoint(provider: string): KstatEntry[] {
    if (this.main[eps.eps_accepts] === 0 && this.main[eps.eps_clients_refused] === 0) return [];
    const kvs = endpointGroup.decls.map((d) => ({
      key: d.name.slice(endpointGroup.prefix.length),
      type: d.gauge ? ('uint64' as const) : ('counter64' as const),
      unit: 'none' as const,
      value: counterValue(d, this.main),
    }));
    return [{ provider, instance: 0, name: 'endpoint', unit: 0, kvs }];
  }

  /** Measured times, of each shard that has some. */
  #histograms(p: CountedPort): KstatEntry[] {
    return HISTOGRAMS.flatMap((decl) =>
      this.shards.flatMap((block, k) => {
        const value = histogramValue(decl, block);
        return value.total === 0 ? [] : [histogramEntry(p.name, decl.kstat!, k, decl.bounds!, value)];
      }),
    );
  }

  /**
   * The queues that no socket serves: those that were left out, and any other on which frames for us were dropped all the same. The last
   * unit, 64, stands for all from there on.
   */
  #unserved(p: CountedPort): KstatEntry[] {
    if (p.port === null) return [];
    const claimed = this.#claimed;
    try {
      this.#native.claimedDropped(p.port, claimed);
    } catch {
      // The port is closed already: its sockets say so.
      return [];
    }
    const out: KstatEntry[] = [];
    for (let q = p.queues; q < CLAIMED_WORDS; q++) {
      if (q < p.present || claimed[q] !== 0) out.push(kstatEntry(unservedDecl, p.name, q, () => claimed[q]!));
    }
    return out;
  }

  /** Sum of one AF_XDP counter over all queues. */
  socketTotal(name: keyof typeof QSTAT): number {
    let sum = 0;
    for (const p of this.#ports) {
      if (p.port === null) continue;
      for (let q = 0; q < p.queues; q++) {
        this.#native.queueStats(p.port, q, this.#qstat);
        sum += this.#qstat[QSTAT[name]]!;
      }
    }
    return sum;
  }

  #queue(p: CountedPort, index: number, queue: number): KstatEntry[] {
    const block = index * this.nshards + queue;
    const rxq = rxqBlock(this.queueMemory, block);
    const txq = txqBlock(this.queueMemory, block);
    const entries = [
      kstatEntry(rxqDecl, p.name, queue, (_, i) => rxq[i]!),
      kstatEntry(txqDecl, p.name, queue, (_, i) => txq[i]!),
    ];
    if (p.port === null) {
      const words = ulinkBlock(this.ulinkMemory, index);
      return [...entries, kstatEntry(ulinkDecl, p.name, queue, (_, i) => words[i]!)];
    }
    try {
      const stats = this.#qstat;
      const rings = this.#rings;
      this.#native.queueStats(p.port, queue, stats);
      this.#native.queueRings(p.port, queue, rings);
      entries.push(kstatEntry(xskDecl, p.name, queue, (name) => stats[QSTAT[name as keyof typeof QSTAT]]!));
      ringDecls.forEach((decl, r) => {
        entries.push(kstatEntry(decl, p.name, queue, (_, i) => rings[r * 4 + i]! >>> 0));
      });
    } catch (err) {
      entries.push(kstatFailure(xskDecl, p.name, queue, (err as Error).message));
    }
    return entries;
  }
}
