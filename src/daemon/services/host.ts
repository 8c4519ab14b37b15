import type { Transport } from '../../net/transport.ts';

/** Messages between the shards of one process. Delivery is in order for a pair of shards; nothing comes back to its sender. */
export interface ShardBus {
  /** Sends `msg` (structured-clonable) to every other shard. */
  publish(topic: string, msg: unknown): void;
  /** Hears `topic`; returns the call that ends it. */
  subscribe(topic: string, fn: (msg: unknown) => void): () => void;
}

/** A few facts for the status page, asked for at each request. */
export interface StatusFacts {
  version: string;
  /** As the attach line names it, "ix1". */
  iface: string;
  /** Seconds since start. */
  uptime: number;
  /** Label and value in the order to be shown. */
  counters: readonly (readonly [label: string, value: number])[];
}

/** What a shard gives its services. */
export interface ServiceHost {
  /** The shard's TCP. */
  transport: Transport;
  /** 0 .. nshards-1. */
  shard: number;
  nshards: number;
  bus: ShardBus;
  /** One line for the process's log. */
  log(text: string): void;
  status(): StatusFacts;
}

/** A running service on one shard. */
export interface RunningService {
  /** Stops listening and aborts the connections that are left. */
  stop(): void;
}

/** A built-in service: every shard starts it, on the same port. */
export interface Service {
  readonly name: string;
  readonly port: number;
  /** Throws what `Transport.listen` throws. */
  start(host: ServiceHost): RunningService;
}
