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
  /** What it was, for the undo file, in the order of the changes; empty for `none`. */
  undo: UndoAction[];
  /** The ethtool lines that do the same; none for `none`. */
  commands: string[];
  /** What the attach line says of it (`of 4 (RSS narrowed)`); empty for `none`. */
  shown: string;
  /** Why native XDP may be refused afterwards, and what helps; null when nothing is known against it. */
  hint: string | null;
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
    undo: [],
    commands: [],
    shown: '',
    hint: null,
  };
  if (queues >= dev.queues) return plan;
  const enter = dev.netns === null ? '' : `ip netns exec ${dev.netns} `;
  if (dev.indir !== null && dev.indir.length > 0) {
    if (dev.indir.every((q) => q < queues)) return plan;
    plan.how = 'indir';
    plan.undo.push({ kind: 'indir', table: isDefaultTable(dev.indir, dev.queues) ? null : dev.indir });
    plan.commands.push(`${enter}ethtool -X ${dev.name} equal ${queues}`);
    plan.shown = `of ${dev.queues} (RSS narrowed)`;
  } else if (dev.channels !== null) {
    const c = dev.channels;
    plan.how = 'channels';
    planPeer(plan, dev, queues);
    plan.undo.push({ kind: 'channels', rx: c.rx, tx: c.tx, other: c.other, combined: c.combined });
    plan.commands.push(`${enter}ethtool -L ${dev.name} ${c.combined > 0 ? 'combined' : 'rx'} ${queues}`);
    plan.shown = `of ${dev.queues} (channels narrowed)`;
  } else {
    throw new DriverError(
      'ENARROW',
      `--queues ${queues}: ${dev.name} (${dev.driver}) spreads frames over ${dev.queues} queues and lets nobody change that; use --queues ${dev.queues}`,
    );
  }
  if (keepChannels) {
    throw new DriverError(
      'EQUEUES',
      `--queues ${queues} --keep-channels: ${dev.name} spreads frames over ${dev.queues} queues; use --queues ${dev.queues}, or narrow it first with ${plan.commands.join(' and ')}`,
    );
  }
  return plan;
}

/**
 * A veth receives on queue k what its peer sends on queue k, so what spreads the frames is the peer's number of transmit queues; and a native
 * XDP program is refused while the peer has more of them than we receive on (drivers/net/veth.c, veth_xdp_set).
 */
function planPeer(plan: NarrowPlan, dev: Netdev, queues: number): void {
  if (dev.driver !== 'veth') return;
  const peer = dev.peer;
  if (peer === null) {
    plan.hint = `native XDP on a veth needs a peer that sends on at most ${queues} queue${queues === 1 ? '' : 's'}, and the peer of ${dev.name} cannot be seen from here: on its side, ethtool -L PEER tx ${queues}`;
  } else if (peer.channels.tx > queues) {
    plan.undo.push({ kind: 'peer', peer });
    plan.commands.push(
      `${peer.netns === null ? '' : `ip netns exec ${peer.netns} `}ethtool -L ${peer.name} tx ${queues}`,
    );
  }
}

/** ethtool_rxfh_indir_default: slot i goes to queue i modulo the number of queues. */
function isDefaultTable(table: readonly number[], queues: number): boolean {
  return table.every((q, i) => q === i % queues);
}

/**
 * Carries the plan out, each step written to the undo file first. Do it before the XDP program is attached. Throws DriverError ENARROW,
 * ENOPERM or EUNDO; what was done until then stands in the undo file.
 */
export function applyNarrow(plan: NarrowPlan, dev: Netdev, undo: UndoFile): void {
  for (const [i, action] of plan.undo.entries()) {
    undo.record(action);
    try {
      narrowStep(action, plan, dev);
    } catch (err) {
      const code = (err as NodeJS.ErrnoException).code;
      if (code === 'EPERM') {
        throw new DriverError('ENOPERM', `--queues ${plan.to}: narrowing ${plan.ifname} needs root (CAP_NET_ADMIN)`);
      }
      throw new DriverError(
        'ENARROW',
        `--queues ${plan.to}: ${plan.ifname} (${dev.driver}) cannot be narrowed, ${plan.commands[i]} fails with ${code ?? (err as Error).message}; use --queues ${plan.from}`,
      );
    }
  }
}

function narrowStep(action: UndoAction, plan: NarrowPlan, dev: Netdev): void {
  const native = loadNative();
  const { to } = plan;
  if (action.kind === 'peer') {
    const { name, netns, channels: c } = action.peer;
    withNetns(netns ?? plan.netns, () => native.sysSetChannels(name, c.rx, to, c.other, c.combined));
  } else if (action.kind === 'indir') {
    const table = Uint32Array.from(dev.indir!, (_, i) => i % to);
    withNetns(plan.netns, () => native.sysSetIndir(plan.ifname, table));
  } else if (action.kind === 'channels') {
    const combined = action.combined > 0;
    // Receive-only channels beside combined ones would be queues past the ones wanted.
    withNetns(plan.netns, () =>
      native.sysSetChannels(plan.ifname, combined ? 0 : to, action.tx, action.other, combined ? to : 0),
    );
  }
}
