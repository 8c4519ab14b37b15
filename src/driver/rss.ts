import { DriverError } from './driver-error.ts';
import { loadNative } from './native.ts';
import type { Netdev } from './netdev.ts';
import { withNetns } from './netns.ts';
import type { UndoAction, UndoFile } from './undo.ts';

/** How frames are kept off the queues that no socket serves. */
export interface NarrowPlan {
  /** `none`: nothing to do; `indir`: RSS indirection table; `channels`: fewer queues. */
  how: 'none' | 'indir' | 'channels';
  ifname: string;
  netns: string | null;
  /** Receive queues in use before and after. */
  from: number;
  to: number;
  /** What it was, for the undo file; null for `none`. */
  undo: UndoAction | null;
  /** The ethtool line that does the same; empty for `none`. */
  command: string;
  /** What the attach line says of it (`of 4, RSS narrowed`); empty for `none`. */
  shown: string;
  /**
   * Why native XDP cannot be attached after it, and what helps; null when nothing is known against it. A veth takes a native program only
   * while it receives on as many queues as its peer sends on (drivers/net/veth.c, veth_xdp_set).
   */
  nativeBlocked: string | null;
}

/**
 * The number of queues to serve: `given`, or all of them. Throws DriverError EQUEUES for what is no whole number from 1 to the number
 * of receive queues in use.
 */
export function checkQueues(dev: Netdev, given: number | undefined): number {
  if (given === undefined) return dev.queues;
  const has = `${dev.name} has ${dev.queues} receive queue${dev.queues === 1 ? '' : 's'}`;
  if (!Number.isInteger(given) || given < 1) {
    throw new DriverError('EQUEUES', `--queues ${given}: ${has}; use a whole number from 1 to ${dev.queues}`);
  }
  if (given > dev.queues) {
    const more = widenCommand(dev, given);
    const help = more === null ? ', which is all it can have' : `, or give it more with ${more}`;
    throw new DriverError('EQUEUES', `--queues ${given}: ${has}; use --queues ${dev.queues}${help}`);
  }
  return given;
}

/** `ethtool -L ix1 combined 4` for a driver that can have `n` receive queues, else null. */
function widenCommand(dev: Netdev, n: number): string | null {
  const c = dev.channels;
  if (c === null) return null;
  if (c.maxCombined >= n) return `ethtool -L ${dev.name} combined ${n}`;
  return c.maxRx >= n ? `ethtool -L ${dev.name} rx ${n}` : null;
}

/**
 * How to have frames on queues 0..`queues`-1 only: by the RSS indirection table, else by fewer channels. Changes nothing.
 *
 * Throws DriverError ENARROW where the driver has neither, or where `keepChannels` forbids a change that is needed.
 */
export function planNarrow(dev: Netdev, queues: number, keepChannels = false): NarrowPlan {
  const plan: NarrowPlan = {
    how: 'none',
    ifname: dev.name,
    netns: dev.netns,
    from: dev.queues,
    to: queues,
    undo: null,
    command: '',
    shown: '',
    nativeBlocked: null,
  };
  if (queues >= dev.queues) return plan;
  if (dev.indir !== null && dev.indir.length > 0) {
    if (dev.indir.every((q) => q < queues)) return plan;
    plan.how = 'indir';
    plan.undo = { kind: 'indir', table: isDefaultTable(dev.indir, dev.queues) ? null : dev.indir };
    plan.command = `ethtool -X ${dev.name} equal ${queues}`;
    plan.shown = `of ${dev.queues}, RSS narrowed`;
  } else if (dev.channels !== null) {
    const c = dev.channels;
    plan.how = 'channels';
    plan.undo = { kind: 'channels', rx: c.rx, tx: c.tx, other: c.other, combined: c.combined };
    plan.command = `ethtool -L ${dev.name} ${c.combined > 0 ? 'combined' : 'rx'} ${queues}`;
    plan.shown = `of ${dev.queues}, channels narrowed`;
    plan.nativeBlocked = vethBlock(dev, queues);
  } else {
    throw new DriverError(
      'ENARROW',
      `--queues ${queues}: ${dev.name} (${dev.driver}) spreads frames over ${dev.queues} queues and lets nobody change that; use --queues ${dev.queues}`,
    );
  }
  if (keepChannels) {
    throw new DriverError(
      'ENARROW',
      `--queues ${queues} --keep-channels: ${dev.name} spreads frames over ${dev.queues} queues; use --queues ${dev.queues}, or narrow it first with ${plan.command}`,
    );
  }
  return plan;
}

function vethBlock(dev: Netdev, queues: number): string | null {
  const peer = dev.peer;
  if (peer === null || peer.txQueues === null || peer.txQueues <= queues) return null;
  const prefix = peer.netns === null ? '' : `ip netns exec ${peer.netns} `;
  return `native XDP on a veth needs a peer that sends on at most ${queues} queue${queues === 1 ? '' : 's'}: ${prefix}ethtool -L ${peer.name} tx ${queues}`;
}

/** ethtool_rxfh_indir_default: slot i goes to queue i modulo the number of queues. */
function isDefaultTable(table: readonly number[], queues: number): boolean {
  return table.every((q, i) => q === i % queues);
}

/** Carries the plan out, the undo file first. Do it before the XDP program is attached. Throws DriverError ENARROW, ENOPERM or EUNDO. */
export function applyNarrow(plan: NarrowPlan, dev: Netdev, undo: UndoFile): void {
  if (plan.how === 'none' || plan.undo === null) return;
  undo.record(plan.undo);
  try {
    withNetns(plan.netns, () => {
      if (plan.how === 'indir') {
        loadNative().sysSetIndir(
          plan.ifname,
          Uint32Array.from(dev.indir!, (_, i) => i % plan.to),
        );
      } else {
        const c = dev.channels!;
        const combined = c.combined > 0;
        // Receive-only channels beside combined ones would be queues past the ones wanted.
        loadNative().sysSetChannels(plan.ifname, combined ? 0 : plan.to, c.tx, c.other, combined ? plan.to : 0);
      }
    });
  } catch (err) {
    const code = (err as NodeJS.ErrnoException).code;
    if (code === 'EPERM')
      throw new DriverError('ENOPERM', `--queues ${plan.to}: narrowing ${plan.ifname} needs root (CAP_NET_ADMIN)`);
    throw new DriverError(
      'ENARROW',
      `--queues ${plan.to}: ${plan.ifname} (${dev.driver}) refuses ${plan.command}: ${code}; use --queues ${plan.from}`,
    );
  }
}
