import { expect, test } from 'vitest';
import { F_EOP, F_IPCSUM_GOOD, F_L4CSUM_GOOD } from '../../../../src/rings/link.ts';
import { arp, ether, icmp, ipv4, PEER_MAC, ramp, tcp } from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';
import fc from '../../../lab/property.ts';

const quoted = ipv4({ proto: 6, src: '192.0.2.1', dst: '192.0.2.2' }, ramp(12));
const seeds = [
  ether({}, ipv4({ proto: 1 }, icmp(8, 0, ramp(20)))),
  ether({}, ipv4({ proto: 1 }, icmp(3, 4, [0, 0, 5, 0, ...quoted]))),
  ether({}, ipv4({ proto: 6 }, tcp({ src: '192.0.2.2', dst: '192.0.2.1', sport: 1, dport: 2, flags: 2 }))),
  ether({}, ipv4({ proto: 17, options: [7, 7, 4, 0, 0, 0, 0, 0] }, ramp(24))),
  ether({}, ipv4({ proto: 17, off: 0x2000 }, ramp(24))),
  ether({ type: 0x0806 }, arp({ op: 1, sha: PEER_MAC, spa: '192.0.2.2', tpa: '192.0.2.1' })),
  ether({ type: 0x0806 }, arp({ op: 2, sha: PEER_MAC, spa: '192.0.2.2', tpa: '192.0.2.1' })),
];

const ETHER_DROPS = ['short', 'notours', 'badsrc', 'unktype', 'noip6', 'llc', 'vlan'].map((n) => `stks_ether_${n}`);
const ARP_DROPS = ['short', 'badtype', 'badop', 'badsender', 'own'].map((n) => `arps_${n}`);
const IP_ENDS = [
  ...['toosmall', 'badvers', 'badhlen', 'badaddr_src', 'badaddr_dst', 'badsum', 'badlen', 'tooshort'],
  ...['src_group', 'src_zero', 'src_own', 'badoptions', 'notmember_local', 'notmember_routed', 'wrongif'],
  ...['notours', 'notours_bmcast', 'badfrags', 'noreass', 'noproto', 'delivered'],
].map((n) => `ips_${n}`);
const ICMP_ENDS = [
  ...['tooshort', 'checksum', 'badcode', 'badlen', 'badquote', 'redirect', 'echoreply', 'unhandled'],
  ...['bmcastecho', 'badsource', 'echolimited', 'reflect'],
].map((n) => `icps_${n}`);

/** ICMP errors of our own that had no route back: they count in the same place as echo replies, but were never delivered. */
function errorsWithoutRoute(h: TestHost): number {
  const refused = ['toofreq', 'oldicmp', 'fragerror', 'bmcasterror'].reduce(
    (n, name) => n + h.count(`icps_${name}`),
    0,
  );
  const built = [3, 11, 12].reduce((n, type) => n + h.st.cnt[h.slot('icps_outhist') + type]!, 0);
  return h.count('icps_error') - refused - built;
}

test('whatever arrives is counted once where it ends, nothing throws, and no frame is lost', () => {
  const mutation = fc.record({
    seed: fc.nat(seeds.length - 1),
    flips: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    cut: fc.option(fc.nat(80), { nil: undefined }),
    /** The link says that all checksums are right, so that deeper code sees the damage. */
    trusted: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 40 }), (list) => {
      const h = new TestHost({ frames: 128 });
      h.st.tune.icmp_icmplim = 0;
      h.st.tune.icmp_icmplim_echo = 0;
      let tcpSeen = 0;
      h.st.protosw[6] = (st, m) => {
        tcpSeen++;
        st.pool.put(m);
      };
      let told = 0;
      h.st.ctlinput[6] = () => told++;
      for (const { seed, flips, cut, trusted } of list) {
        const bytes = seeds[seed]!.slice(0, cut);
        for (const [at, x] of flips) if (at < bytes.length) bytes[at]! ^= x;
        h.link.inject(bytes, { flags: F_EOP | (trusted ? F_IPCSUM_GOOD | F_L4CSUM_GOOD : 0) });
      }
      h.run();
      const sum = (names: string[]) => names.reduce((n, name) => n + h.count(name), 0);
      const n = list.length;
      expect(h.rxq[0]).toBe(n);
      expect(h.count('stks_ether_in')).toBe(n);
      expect(sum(ETHER_DROPS) + h.count('ips_total') + h.count('arps_received')).toBe(n);
      expect(sum(IP_ENDS)).toBe(h.count('ips_total'));
      expect(sum(ARP_DROPS) + h.count('arps_rxrequests') + h.count('arps_rxreplies')).toBe(
        h.count('arps_received') + h.count('arps_badsender') + h.count('arps_own'),
      );
      // A reply without a route back ends there, after ICMP took it.
      expect(tcpSeen + told + sum(ICMP_ENDS) + h.count('ips_noroute_reply')).toBe(
        h.count('ips_delivered') + errorsWithoutRoute(h),
      );
      h.run(60_000_000, 1_000_000);
      expect(h.st.arp.held).toBe(0);
      expect(h.pool.held).toBe(0);
      expect(h.leaked()).toBe(0);
    }),
    { numRuns: 400 },
  );
});
