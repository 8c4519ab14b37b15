import { describe, expect, it } from 'vitest';
import { checkMtu, rxQueues, validIfname } from '../../../src/driver/netdev.ts';
import { checkQueues, planNarrow } from '../../../src/driver/rss.ts';
import { channelsOf, netdevOf } from './netdev-of.ts';

const thrown = (fn: () => unknown): { message: string; exitCode?: number } => {
  try {
    fn();
  } catch (err) {
    return err as Error;
  }
  throw new Error('nothing was thrown');
};

describe('the number of queues', () => {
  it('is all that the interface has when none is given', () => {
    expect(checkQueues(netdevOf(), undefined)).toBe(4);
    expect(checkQueues(netdevOf(), 4)).toBe(4);
    expect(checkQueues(netdevOf(), 1)).toBe(1);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses %d in one line that says what is allowed', (given) => {
    const err = thrown(() => checkQueues(netdevOf(), given));
    expect(err.message).toBe(`--queues ${given}: ix1 has 4 receive queues; use a whole number from 1 to 4`);
    expect(err.exitCode).toBe(2);
  });

  it('refuses more than there are and names the ethtool line where the driver can have them (DESIGN.md, "Bad input")', () => {
    const channels = { ...channelsOf({ combined: 1 }), maxCombined: 8 };
    const err = thrown(() => checkQueues(netdevOf({ queues: 1, channels }), 4));
    expect(err.message).toBe(
      '--queues 4: ix1 has 1 receive queue; use --queues 1, or give it more with ethtool -L ix1 combined 4',
    );
    expect(err.exitCode).toBe(2);
  });

  it('names receive channels where the driver keeps them apart', () => {
    const channels = { ...channelsOf({ rx: 2, tx: 4 }), maxRx: 4 };
    expect(thrown(() => checkQueues(netdevOf({ queues: 2, channels }), 3)).message).toContain('ethtool -L ix1 rx 3');
  });

  it('says that it is the most where the driver has no more', () => {
    for (const channels of [channelsOf({ combined: 1 }), null]) {
      const err = thrown(() => checkQueues(netdevOf({ queues: 1, channels }), 4));
      expect(err.message).toBe('--queues 4: ix1 has 1 receive queue; use --queues 1, which is all it can have');
    }
  });

  it('counts receiving channels first, then RSS rings, then what the device was made with', () => {
    expect(rxQueues(channelsOf({ rx: 1, combined: 3 }), 2, 8)).toBe(4);
    expect(rxQueues(null, 2, 8)).toBe(2);
    expect(rxQueues(channelsOf({ tx: 1 }), 0, 8)).toBe(8);
    expect(rxQueues(null, 0, 0)).toBe(1);
  });
});

describe('the narrowing plan', () => {
  it('is nothing when all queues are served', () => {
    expect(planNarrow(netdevOf(), 4)).toMatchObject({ how: 'none', undo: [], commands: [], shown: '' });
  });

  it('takes the indirection table where there is one and undoes to the default when it was the default', () => {
    const dev = netdevOf({ driver: 'ixgbe', indir: [0, 1, 2, 3, 0, 1, 2, 3], channels: channelsOf({ combined: 4 }) });
    expect(planNarrow(dev, 2)).toMatchObject({
      how: 'indir',
      undo: [{ kind: 'indir', table: null }],
      commands: ['ethtool -X ix1 equal 2'],
      shown: 'of 4 (RSS narrowed)',
    });
  });

  it('undoes to the very table where somebody had set one', () => {
    const indir = [3, 3, 1, 0];
    expect(planNarrow(netdevOf({ driver: 'ixgbe', indir }), 2).undo).toEqual([{ kind: 'indir', table: indir }]);
  });

  it('is nothing when the table names served queues only', () => {
    expect(planNarrow(netdevOf({ driver: 'ixgbe', indir: [0, 1, 1, 0] }), 2).how).toBe('none');
  });

  it('takes fewer combined channels where there is no table', () => {
    const dev = netdevOf({ driver: 'virtio_net', channels: channelsOf({ combined: 4 }) });
    expect(planNarrow(dev, 1)).toMatchObject({
      how: 'channels',
      undo: [{ kind: 'channels', rx: 0, tx: 0, other: 0, combined: 4 }],
      commands: ['ethtool -L ix1 combined 1'],
    });
  });

  it('has the far end of a veth send on as many queues, first, since it chooses the queue', () => {
    const peer = { name: 'peer0', index: 7, netns: 'far', channels: channelsOf({ rx: 4, tx: 4 }) };
    const plan = planNarrow(netdevOf({ peer }), 2);
    expect(plan.undo.map((a) => a.kind)).toEqual(['peer', 'channels']);
    expect(plan.commands).toEqual(['ip netns exec far ethtool -L peer0 tx 2', 'ethtool -L ix1 rx 2']);
    expect(plan.hint).toBeNull();
  });

  it('leaves a far end alone that sends on few enough, and hints where it cannot see it', () => {
    const peer = { name: 'peer0', index: 7, netns: null, channels: channelsOf({ rx: 1, tx: 1 }) };
    expect(planNarrow(netdevOf({ peer }), 2).undo.map((a) => a.kind)).toEqual(['channels']);
    expect(planNarrow(netdevOf(), 2).hint).toMatch(/on its side, ethtool -L PEER tx 2$/);
  });

  it('refuses with --keep-channels and names the ethtool lines', () => {
    const dev = netdevOf({ driver: 'ixgbe', indir: [0, 1, 2, 3] });
    const err = thrown(() => planNarrow(dev, 1, true));
    expect(err.message).toBe(
      '--queues 1 --keep-channels: ix1 spreads frames over 4 queues; use --queues 4, or narrow it first with ethtool -X ix1 equal 1',
    );
    expect(planNarrow(dev, 4, true).how).toBe('none');
  });

  it('refuses where the driver lets nobody change the spread', () => {
    const err = thrown(() => planNarrow(netdevOf({ driver: 'odd', channels: null }), 1));
    expect(err).toMatchObject({ exitCode: 1 });
    expect(err.message).toMatch(/^--queues 1: ix1 \(odd\) .*; use --queues 4$/);
  });
});

describe('names and MTUs', () => {
  it.each(['', '.', '..', 'a/b', 'a b', 'a:b', 'sixteen-bytes-16', 'ä'.repeat(8)])(
    '%j is no interface name',
    (name) => {
      expect(validIfname(name)).toBe(false);
    },
  );

  it.each(['ix1', 'enp3s0f1', 'br-lan.100', 'fifteen-bytes15'])('%j is one', (name) => {
    expect(validIfname(name)).toBe(true);
  });

  it.each([67, 65536, 1500.5, Number.NaN])('refuses an MTU of %d naming the range of the driver', (mtu) => {
    const err = thrown(() => checkMtu(netdevOf(), mtu));
    expect(err.message).toBe(`--mtu ${mtu}: ix1 takes whole numbers from 68 to 65535`);
    expect(err.exitCode).toBe(2);
  });
});
