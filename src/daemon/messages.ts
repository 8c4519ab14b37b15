import type { DummynetChange } from '../dummynet/control.ts';
import type { CoreRequest } from '../endpoint/core.ts';
import type { CoreReply } from '../endpoint/operations.ts';
import type { ConnName } from '../stack/tcp/conn-fields.ts';
import type { DropWanted } from './drop-slice.ts';
import type { TfoKey } from './tuning.ts';

/** What the main thread and a shard's worker say to each other. Every request gets exactly one reply with its `seq`. */

/** A connection or listener for `netstat -an`. Addresses are dotted quads, `*` for any. */
export interface PcbRow {
  readonly proto: 'tcp';
  readonly recvq: number;
  readonly sendq: number;
  readonly laddr: string;
  readonly lport: number;
  readonly faddr: string;
  readonly fport: number;
  /** FSM state 0..10 (spec/siftr.md 3.1). */
  readonly state: number;
  readonly shard: number;
}

export type ShardRequest =
  | { readonly op: 'pcbs' }
  /** A slice of the connections, or of the listening sockets, from `cursor` on (conn-slice.ts). */
  | { readonly op: 'conns'; readonly what: 'listen' | 'connected'; readonly cursor: number }
  /** The same of connections, with these fields alone (stat-slice.ts). */
  | { readonly op: 'stats'; readonly cursor: number; readonly fields: readonly ConnName[] }
  /** Drops connections of a slice (drop-slice.ts). */
  | ({ readonly op: 'drop'; readonly cursor: number } & DropWanted)
  /** Drops one connection, where it is here; addresses are int32. */
  | {
      readonly op: 'dropFlow';
      readonly laddr: number;
      readonly lport: number;
      readonly faddr: number;
      readonly fport: number;
    }
  /** Sets fields of `Tunables`. */
  | { readonly op: 'tune'; readonly fields: Readonly<Record<string, number>> }
  /** Answers with ShardTables. */
  | { readonly op: 'tables' }
  /** Connections made from now on have that congestion control, unless they name one. */
  | { readonly op: 'cc'; readonly name: string }
  /** Fast Open has that key from now on. */
  | { readonly op: 'tfoKey'; readonly key: TfoKey }
  /** Links or unlinks the SIFTR hook; `enableUs` is the wall time of the enable line, µs. */
  | { readonly op: 'siftr'; readonly on: boolean; readonly enableUs: number }
  /** `SiftrHook.cut(enableUs)`: answers with a CycleCounts. */
  | { readonly op: 'siftrCut'; readonly enableUs: number }
  /** SIFTR's records go to that ring; while unhooked. */
  | { readonly op: 'siftrRing'; readonly ring: SharedArrayBuffer }
  /** The link of interface `ifIndex` went down or came up. */
  | { readonly op: 'link'; readonly ifIndex: number; readonly up: boolean }
  /** Makes, changes or deletes pipes and rules. */
  | { readonly op: 'dummynet'; readonly change: DummynetChange }
  /** Answers with a DummynetReport. */
  | { readonly op: 'dummynetReport' }
  /** Stops the services, resets the connections that are left and sends what is queued. */
  | { readonly op: 'drain' }
  /** Ends the loop and closes the sockets; the shard forwards nothing afterwards. */
  | { readonly op: 'stop' }
  /** Answers with the bytes of the thread's heap in use. */
  | { readonly op: 'ping' };

/** A message of the services' bus, or a resolved neighbour, from one shard to all others through the main thread. */
export type Broadcast =
  | { readonly kind: 'bus'; readonly topic: string; readonly msg: unknown }
  | {
      readonly kind: 'arp';
      readonly ifIndex: number;
      readonly addr: number;
      readonly macHi: number;
      readonly macLo: number;
    };

/** What the socket endpoint asks of a shard. Answers may take for ever, so these are none of the requests above. */
export type EndpointAsks =
  | { readonly kind: 'socket'; readonly id: number; readonly request: CoreRequest }
  | {
      readonly kind: 'poll';
      readonly id: number;
      readonly items: readonly { sid: number; events: number }[];
      /** How long it may wait, -1 for ever. */
      readonly us: number;
    }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'linksync'; readonly id: number; readonly index: number; readonly count: number }
  | { readonly kind: 'clock'; readonly id: number; readonly what: number; readonly us: number };

export type ToShard = ({ readonly kind: 'request'; readonly seq: number } & ShardRequest) | EndpointAsks | Broadcast;

export type FromShard =
  | { readonly kind: 'reply'; readonly seq: number; readonly value?: unknown; readonly error?: string }
  /** The answer to one of `EndpointAsks`; a `cancel` has none. */
  | { readonly kind: 'socketReply'; readonly id: number; readonly reply: CoreReply }
  /** The shard forwards packets. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly text: string }
  | Broadcast;
