import type { Link } from '../rings/link.ts';

/** A link as the loop of a shard has it. */
export interface ShardLink extends Link {
  /**
   * There is work that no descriptor and no callback will announce, so the shard should not sleep.
   * @param queued packets on the interface queue
   */
  hasWork(queued: number): boolean;
}
