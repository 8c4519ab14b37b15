import { type Middle, withMiddle } from './middle.ts';
import type { LabOptions } from './netns.ts';
import { run } from './process.ts';

/** The next hop of xsiftr, and the peer beyond it. */
export const ROUTER_ADDRESS = '192.0.2.254';
export const BEYOND_ADDRESS = '198.51.100.2';

/**
 * A lab whose middle is a router of the kernel's, with a second link that takes smaller packets. The peer announces all the same what fits the first, as a host
 * beyond a tunnel does.
 *
 *   near                 middle, forwards                      far
 *   ix1  192.0.2.1 --- mid0 .254    mid1 198.51.100.1 --- peer0  198.51.100.2
 *        MTU 1500                        MTU `mtu`
 */
export class Router {
  readonly middle: Middle;

  constructor(middle: Middle) {
    this.middle = middle;
  }

  async setUp(mtu: number): Promise<void> {
    const { middle: m } = this;
    await m.in(`ip addr add ${ROUTER_ADDRESS}/24 dev mid0 && ip addr add 198.51.100.1/24 dev mid1`);
    await m.in(`ip link set mid1 mtu ${mtu} && sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0`);
    await m.lab.far(
      `ip addr flush dev peer0 && ip addr add ${BEYOND_ADDRESS}/24 dev peer0 && ip link set peer0 mtu ${mtu}`,
    );
    await m.lab.far('ip route add 192.0.2.0/24 via 198.51.100.1 advmss 1460');
  }

  /** From now on the router's ICMP errors do not leave it. */
  async hush(): Promise<void> {
    const rules = `table ip hush {
  chain out {
    type filter hook output priority 0; policy accept;
    icmp type destination-unreachable counter drop
  }
}
`;
    await run(['ip', 'netns', 'exec', this.middle.ns, 'nft', '-f', '-'], { input: rules });
  }

  /** Packets that the router would have had to fragment, by its own count (Ip: FragFails of /proc/net/snmp). */
  async tooBig(): Promise<number> {
    const { stdout } = await this.middle.in("awk '/^Ip:/ {l[++n] = $0} END {print l[1]; print l[2]}' /proc/net/snmp");
    const [names, values] = stdout.split('\n').map((line) => line.trim().split(/\s+/));
    return Number(values![names!.indexOf('FragFails')]);
  }
}

/** Builds it, runs `body` and removes it, whatever happens. */
export function withRouter<T>(
  name: string,
  options: LabOptions & { readonly pathMtu: number },
  body: (r: Router) => Promise<T>,
): Promise<T> {
  return withMiddle(name, { ...options, bridge: false }, async (middle) => {
    const router = new Router(middle);
    await router.setUp(options.pathMtu);
    return await body(router);
  });
}
