import type { Netdev } from '../../../src/driver/netdev.ts';

/** Facts of a veth with four queues and one address, for the decisions that need no interface. */
export function netdevOf(facts: Partial<Netdev> = {}): Netdev {
  return {
    name: 'ix1',
    netns: null,
    index: 3,
    driver: 'veth',
    busInfo: '',
    mac: '02:00:00:00:00:01',
    mtu: 1500,
    minMtu: 68,
    maxMtu: 65535,
    up: true,
    loopback: false,
    ethernet: true,
    queues: 4,
    channels: channelsOf({ rx: 4, tx: 4 }),
    indir: null,
    xdpProgram: null,
    addresses: [{ address: '192.0.2.1', prefix: 24 }],
    addresses6: [],
    routes: [],
    defaultRoute6: false,
    peer: null,
    ...facts,
  };
}

/** Queue counts where what is in use is also the most. */
export function channelsOf(now: { rx?: number; tx?: number; combined?: number }): NonNullable<Netdev['channels']> {
  const { rx = 0, tx = 0, combined = 0 } = now;
  return { maxRx: rx, maxTx: tx, maxOther: 0, maxCombined: combined, rx, tx, other: 0, combined };
}
