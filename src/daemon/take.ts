import type { Native } from '../driver/native.ts';
import type { CountedPort } from './counters.ts';
import type { SystemError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Plan } from './plan.ts';
import type { ShardInterface, ShardNeighbour, ShardRoute, ShardSetup } from './shard-setup.ts';
import { TakenInterface } from './taken.ts';
import { TakenLinks } from './taken-links.ts';

/** What was put back, and what could not be. */
export interface GivenBack {
  readonly done: string[];
  readonly failed: string[];
}

/** Whom to tell of what becomes of an interface. */
export interface Watcher {
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The link of interface `ifIndex` went down or came up. */
  readonly changed: (ifIndex: number, up: boolean) => void;
  /** The interface is no more. Called once. */
  readonly gone: (err: SystemError) => void;
}

/** What a run has taken for its stack: a network interface, or Unix links. */
export interface Taken {
  /** Its interfaces, as they are counted. */
  readonly counted: readonly CountedPort[];
  /** How it is driven, for the summary: `native copy`. */
  readonly mode: string;
  /** Frames of a shard. */
  frames(shard: number): ShardSetup['frames'];
  /** The interfaces as a shard sees them. */
  interfaces(shard: number): ShardInterface[];
  readonly routes: readonly ShardRoute[];
  readonly neighbours: readonly ShardNeighbour[];
  /** The first line or lines of a start: what was attached. */
  attachLines(): string[];
  /** What looks after it now and then. Throws DriverError where that cannot be. */
  watch(w: Watcher): { look(): void };
  /** From now on frames are taken from the kernel. */
  claim(): void;
  /** It is no longer there. */
  gone(): boolean;
  /** Never throws; goes on past what fails. The shards must have ended. */
  giveBack(): Promise<GivenBack>;
}

/** Takes what the plan says. Throws DriverError or SystemError, after everything that was changed is undone. */
export async function take(plan: Plan, native: Native, log: Logger): Promise<Taken> {
  return plan.kind === 'nic' ? TakenInterface.take(plan, native, log) : new TakenLinks(plan);
}

/** The parts of a shard's setup that come from what was taken. */
export function setupOf(
  taken: Taken,
  shard: number,
): Pick<ShardSetup, 'interfaces' | 'frames' | 'routes' | 'neighbours'> {
  return {
    interfaces: taken.interfaces(shard),
    frames: taken.frames(shard),
    routes: taken.routes,
    neighbours: taken.neighbours,
  };
}
