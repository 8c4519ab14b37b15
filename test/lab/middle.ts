import { spawnSync } from 'node:child_process';
import { type Lab, type LabOptions, withLab } from './netns.ts';
import { Running, run } from './process.ts';

/**
 * A lab with a namespace in the middle that loses frames, so that neither end learns of a loss from its own kernel:
 *
 *   near                middle (bridge br0)            far
 *   ix1  192.0.2.1 --- mid0          mid1 ------- peer0  192.0.2.2
 *
 * A drop on mid1's ingress is a loss towards us, one on mid0's ingress a loss towards the peer. Instead of br0 an Emulator
 * (emulator.ts) may join mid0 and mid1.
 */
export class Middle {
  readonly lab: Lab;
  readonly ns: string;

  constructor(lab: Lab) {
    this.lab = lab;
    this.ns = `${lab.farNs}-m`;
  }

  in(command: string): Promise<{ stdout: string }> {
    return run(['ip', 'netns', 'exec', this.ns, 'sh', '-c', command]);
  }

  /** Starts a program in the middle. It is killed with the lab. */
  spawn(words: readonly string[]): Running {
    return this.lab.keep(new Running(['ip', 'netns', 'exec', this.ns, ...words]));
  }

  /** @param bridge whether the kernel's bridge joins the two pairs; without, nothing does yet, and all four ends have offloads off */
  async setUp(bridge = true): Promise<void> {
    const { farNs } = this.lab;
    await run(['ip', 'netns', 'add', this.ns]);
    await this.in('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1');
    await run(`ip -n ${farNs} link set peer0 down && ip -n ${farNs} link set peer0 name mid0 netns ${this.ns}`);
    await run(`ip link add peer0 netns ${farNs} type veth peer name mid1 netns ${this.ns}`);
    if (bridge) {
      await this.in('ip link add br0 type bridge && ip link set mid0 master br0 && ip link set mid1 master br0');
      await this.in('ip link set br0 up');
    } else {
      await this.lab.near('ethtool -K ix1 tx off tso off gso off gro off');
    }
    await this.in('for i in mid0 mid1; do ethtool -K $i tx off tso off gso off gro off; ip link set $i up; done');
    await this.lab.far('ip addr add 192.0.2.2/24 dev peer0 && ethtool -K peer0 tx off tso off gso off gro off');
    await this.lab.far('ip link set peer0 up');
  }

  /** Drops every `n`-th TCP frame (exactly) that enters the middle on `device`, from now on. */
  async loseEvery(device: 'mid0' | 'mid1', n: number): Promise<void> {
    const rules = `table netdev lose_${device} {
  chain in {
    type filter hook ingress device "${device}" priority 0; policy accept;
    meta l4proto tcp jump tcp_in
  }
  chain tcp_in {
    counter
    numgen inc mod ${n} == ${n - 1} counter drop
  }
}
`;
    await run(['ip', 'netns', 'exec', this.ns, 'nft', '-f', '-'], { input: rules });
  }

  /** TCP frames that entered on `device` since `loseEvery`, and how many of them were dropped. */
  async lost(device: 'mid0' | 'mid1'): Promise<{ seen: number; dropped: number }> {
    const { stdout } = await this.in(`nft list chain netdev lose_${device} tcp_in`);
    const [seen, dropped] = [...stdout.matchAll(/counter packets (\d+)/g)].map((m) => Number(m[1]));
    return { seen: seen!, dropped: dropped! };
  }

  async heal(device: 'mid0' | 'mid1'): Promise<void> {
    await this.in(`nft delete table netdev lose_${device}`);
  }

  remove(): void {
    spawnSync('ip', ['netns', 'del', this.ns], { stdio: 'ignore' });
  }
}

/** Builds the lab and its middle, runs `body` and removes both, whatever happens. */
export function withMiddle<T>(
  name: string,
  options: LabOptions & { readonly bridge?: boolean },
  body: (m: Middle) => Promise<T>,
): Promise<T> {
  return withLab(name, options, async (lab) => {
    const middle = new Middle(lab);
    try {
      await middle.setUp(options.bridge);
      return await body(middle);
    } finally {
      middle.remove();
    }
  });
}
