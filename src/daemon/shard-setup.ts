import type { PortInfo } from '../driver/native.ts';
import type { DummynetState } from '../dummynet/control.ts';
import type { AddressOption } from './option-values.ts';
import type { PlanRoute } from './plan.ts';
import type { TfoKey } from './tuning.ts';
import type { UnixLinkSpec } from './unix-option.ts';

/** Everything that a shard is started with: plain data and shared memory, so that it can go to a worker thread as it is. */
export interface ShardSetup {
  readonly shard: number;
  readonly nshards: number;
  readonly version: string;
  /** Four random words, the same for every shard (`StackOptions.secret`); null for a single one. */
  readonly secret: readonly number[] | null;
  /** Keys for Fast Open to begin with, the newest last. */
  readonly tfoKeys: readonly TfoKey[];
  readonly interfaces: readonly ShardInterface[];
  /** Frames that this shard owns: of the process's UMEM from `first` on, or, where that is null, memory of its own. */
  readonly frames: { readonly first: number | null; readonly count: number };
  /** Descriptors in each ring of a queue. */
  readonly ringSize: number;
  readonly routes: readonly ShardRoute[];
  readonly neighbours: readonly ShardNeighbour[];
  /** Fields of `Tunables`. */
  readonly tunables: Readonly<Record<string, number>>;
  /** Files of congestion-control modules that the thread loads before the shard is made, and the name of the default. */
  readonly cc: { readonly urls: readonly string[]; readonly algorithm: string };
  /** Counter blocks of all writers (src/metrics/layout.ts); this shard writes block `shard`. */
  readonly counters: SharedArrayBuffer;
  /** Queue blocks (src/metrics/queuekv.ts) of all interfaces: block `interface * nshards + shard` is this shard's. */
  readonly queues: SharedArrayBuffer;
  /** Blocks of the Unix links (src/metrics/ulinkkv.ts), by interface. */
  readonly ulinks: SharedArrayBuffer;
  /** SIFTR's record ring and the process's shared settings. */
  readonly siftr: {
    readonly ring: SharedArrayBuffer;
    readonly cfg: Int32Array;
    /** Time of the running cycle's enable line, wall µs: the shard starts hooked. Null while SIFTR is off. */
    readonly enableUs: number | null;
  };
  /** Pipes and rules to start with. */
  readonly dummynet: DummynetState;
  /** What joins several shards; null for a single one. */
  readonly joint: ShardJoint | null;
  /** Names of the services to start. */
  readonly services: readonly string[];
  /** The socket endpoint is served (src/endpoint/core.ts). */
  readonly endpoint: boolean;
  readonly busyPoll: boolean;
}

/** One interface as the shard's queue of it sees it. */
export interface ShardInterface {
  readonly name: string;
  readonly queue: number;
  /** What it is: a queue of a port of the addon, or a Unix link of this shard's own. */
  readonly link:
    | ({ readonly kind: 'xsk' } & Pick<PortInfo, 'port' | 'timestamp'>)
    | ({ readonly kind: 'unix' } & Pick<UnixLinkSpec, 'path' | 'role' | 'mode'>);
  readonly mtu: number;
  /** `02:00:00:00:00:01`. */
  readonly mac: string;
  readonly addrs: readonly AddressOption[];
}

/** A route through interface `ifIndex` of the setup. */
export interface ShardRoute extends PlanRoute {
  readonly ifIndex: number;
}

/** A neighbour that the kernel knew. */
export interface ShardNeighbour {
  readonly ifIndex: number;
  /** Dotted quads. */
  readonly addr: string;
  readonly mac: string;
}

/** Shared memory between shards (DESIGN.md, "Shards"). */
export interface ShardJoint {
  /** Hand-over rings, `rings[from][to]`; null on the diagonal. */
  readonly rings: readonly (readonly (SharedArrayBuffer | null)[])[];
  /** Frames on their way home, `home[from][to]`. */
  readonly home: readonly (readonly (SharedArrayBuffer | null)[])[];
  /** Word k is 1 while shard k sleeps. */
  readonly sleeping: SharedArrayBuffer;
  /** Eventfd by shard. */
  readonly eventfds: readonly number[];
  /** The flow directory. */
  readonly directory: SharedArrayBuffer;
  /** Frames that each shard owns, shard k those from k * frames on. */
  readonly frames: number;
}
