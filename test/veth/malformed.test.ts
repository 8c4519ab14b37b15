import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changes, counter, framesHome, readCounters, sumOf } from '../lab/counters.ts';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peer, raw } from '../lab/peer.ts';

const COUNT = 500;

/** How far a frame of a kind comes before it is dropped. */
const AT_ETHER = { stack_ether_in: COUNT };
const AT_IP = { ...AT_ETHER, ip_total: COUNT };
const AT_L4 = { ...AT_IP, ip_delivered: COUNT };
const AT_TCP = { ...AT_L4, tcp_rcvtotal: COUNT };
const AT_ARP = { ...AT_ETHER, arp_received: COUNT };

/** Kinds of frames that raw.py makes, and all that may count them. */
const KINDS: Record<string, Record<string, number>> = {
  ether_not_ours: { ...AT_ETHER, stack_ether_notours: COUNT },
  ether_group_src: { ...AT_ETHER, stack_ether_badsrc: COUNT },
  ether_vlan: { ...AT_ETHER, stack_ether_vlan: COUNT },
  ether_llc: { ...AT_ETHER, stack_ether_llc: COUNT },
  ether_type: { ...AT_ETHER, stack_ether_unktype: COUNT },
  ether_ip6: { ...AT_ETHER, stack_ether_noip6: COUNT },
  arp_truncated: { ...AT_ARP, arp_short: COUNT },
  arp_type: { ...AT_ARP, arp_badtype: COUNT },
  arp_op: { ...AT_ARP, arp_badop: COUNT },
  arp_sender: { ...AT_ARP, arp_rxrequests: COUNT, arp_badsender: COUNT },
  ip_truncated: { ...AT_IP, ip_toosmall: COUNT },
  ip_badvers: { ...AT_IP, ip_badvers: COUNT },
  ip_badhlen_small: { ...AT_IP, ip_badhlen: COUNT },
  ip_badhlen_long: { ...AT_IP, ip_badhlen: COUNT },
  ip_badlen: { ...AT_IP, ip_inswcsum: COUNT, ip_badlen: COUNT },
  ip_tooshort: { ...AT_IP, ip_inswcsum: COUNT, ip_tooshort: COUNT },
  ip_badsum: { ...AT_IP, ip_badsum: COUNT },
  ip_loopback_src: { ...AT_IP, ip_badaddr_src: COUNT },
  ip_loopback_dst: { ...AT_IP, ip_badaddr_dst: COUNT },
  ip_group_src: { ...AT_IP, ip_src_group: COUNT },
  ip_broadcast_src: { ...AT_IP, ip_src_group: COUNT },
  ip_zero_src: { ...AT_IP, ip_src_zero: COUNT },
  ip_own_src: { ...AT_IP, ip_src_own: COUNT },
  ip_not_ours: { ...AT_IP, ip_notours: COUNT },
  ip_group_dst: { ...AT_IP, ip_notmember_routed: COUNT },
  fragment_first: { ...AT_IP, ip_fragments: COUNT, ip_noreass: COUNT },
  fragment_last: { ...AT_IP, ip_fragments: COUNT, ip_noreass: COUNT },
  fragment_bad: { ...AT_IP, ip_fragments: COUNT, ip_badfrags: COUNT },
  tcp_short: { ...AT_TCP, tcp_rcvshort: COUNT },
  tcp_badoff: { ...AT_TCP, tcp_rcvbadoff: COUNT },
  tcp_badsum: { ...AT_TCP, tcp_rcvbadsum: COUNT },
  tcp_group_src: { ...AT_TCP, tcp_rcvmulticast: COUNT },
  icmp_short: { ...AT_L4, icmp_tooshort: COUNT },
  icmp_badsum: { ...AT_L4, icmp_checksum: COUNT },
  icmp_type: { ...AT_L4, icmp_unhandled: COUNT },
  icmp_error_short: { ...AT_L4, 'icmp_in_messages:3': COUNT, icmp_badlen: COUNT },
  icmp_error_code: { ...AT_L4, 'icmp_in_messages:3': COUNT, icmp_badcode: COUNT },
};

/** Where a frame that entered Ethernet input may end below TCP: each counts one frame, and no frame two of them. */
const ENDS = [
  ...['short', 'notours', 'badsrc', 'unktype', 'llc', 'noip6', 'vlan', 'multiframe'].map((n) => `stack_ether_${n}`),
  ...['toosmall', 'badvers', 'badhlen', 'badaddr_src', 'badaddr_dst', 'badsum', 'badlen', 'tooshort'].map(
    (n) => `ip_${n}`,
  ),
  ...['src_group', 'src_zero', 'src_own', 'notmember_local', 'notmember_routed', 'wrongif', 'notours'].map(
    (n) => `ip_${n}`,
  ),
  ...['notours_bmcast', 'noreass', 'badfrags', 'badoptions', 'noproto'].map((n) => `ip_${n}`),
  'ip_delivered',
  'arp_received',
];

const ICMP_ENDS = [
  ...['tooshort', 'checksum', 'bmcastecho', 'badsource', 'echolimited', 'reflect', 'badcode', 'badlen', 'badquote'],
  ...['redirect', 'echoreply', 'unhandled'],
].map((n) => `icmp_${n}`);

/** The counters of every answer to a segment without a connection, and of the drops before that. */
const TCP_ENDS = [
  ...['rcvshort', 'rcvmulticast', 'rcvbadsum', 'rcvbadoff', 'rcvsynfin', 'noport', 'badsyn', 'badrst', 'badrstack'],
  ...['sc_added', 'sc_dropped', 'sc_dupesyn', 'sc_reset', 'dropsyn'],
].map((n) => `tcp_${n}`);

describe.skipIf(labMissing('ping', 'python3'))('malformed frames', () => {
  let lab: Lab;
  let x: Xsiftr;

  beforeAll(async () => {
    lab = await Lab.create('vmal', { peerOffloads: false });
    // All frames come to us, RSTs and echo replies are not limited, and a half-open connection is forgotten soon.
    const sysctls = ['icmp.icmplim=0', 'tcp.syncache.rexmtlimit=0', 'tcp.rexmit_initial=100'];
    x = await startXsiftr(lab, [
      ...['--exclusive', '--rxcsum', 'strict', '--serve', 'echo,discard,http'],
      ...sysctls.flatMap((s) => ['--sysctl', `net.inet.${s}`]),
    ]);
    // The peer's kernel stays silent about what we answer, so that all that comes in is what a test sends.
    await lab.far('nft -f -', {
      input: `table inet quiet {
  chain out {
    type filter hook output priority 0; policy accept;
    tcp flags rst drop
    icmp type { destination-unreachable, parameter-problem } drop
  }
}
`,
    });
    await lab.far('ping -c 1 -W 2 192.0.2.1');
  });

  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  async function aliveAndWhole(): Promise<void> {
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1')).stdout).toContain(' 1 received');
    await framesHome(x);
  }

  test('our address is announced twice, two seconds apart, before anything else is tested (RFC 5227 section 2.3)', async () => {
    await expect.poll(() => counter(x, 'arp_announced'), { timeout: 5000 }).toBe(2);
  });

  test.each(Object.entries(KINDS))(
    `${COUNT} frames of the kind %s are counted by their counter and no other`,
    async (kind, expected) => {
      const before = await readCounters(x);
      expect(await raw(lab, 'malformed', COUNT, kind)).toEqual({ sent: COUNT });
      // A frame is counted where it comes in before it is where it ends: all of them are right at one moment, and what else had counted would stay.
      await expect
        .poll(async () => {
          const diff = changes(before, await readCounters(x));
          for (const name of Object.keys(diff)) if (name.startsWith('icmp_in_messages:4')) delete diff[name];
          return diff;
        })
        .toEqual(expected);
      await framesHome(x);
    },
  );

  test.each([1, 2, 3, 4])(
    '3000 frames of noise (seed %i) are accounted for one by one, layer by layer',
    async (seed) => {
      const before = await readCounters(x);
      // In portions that a ring holds, should xsiftr not get to run for a moment.
      for (let from = 0; from < 3000; from += 1000) {
        await raw(lab, 'noise', seed, from, from + 1000);
        await expect
          .poll(async () => changes(before, await readCounters(x)).stack_ether_in)
          .toBeGreaterThanOrEqual(from + 1000);
      }
      // Half-open connections of random SYNs go by themselves, and what a frame is counted by at its end is told when its shard sleeps.
      await expect.poll(() => counter(x, 'tcp_sc_entries'), { timeout: 5000 }).toBe(0);
      await framesHome(x);
      const after = await readCounters(x);
      const diff = changes(before, after);
      const delta = (name: string): number => diff[name] ?? 0;
      expect((after.get('rxq_packets') ?? 0) - (before.get('rxq_packets') ?? 0)).toBe(delta('stack_ether_in'));
      expect(delta('stack_ether_in')).toBeGreaterThanOrEqual(3000);
      expect(sumOf(diff, ENDS)).toBe(delta('stack_ether_in'));
      const icmp = sumOf(diff, ICMP_ENDS);
      const tcp = delta('tcp_rcvtotal');
      expect(icmp + tcp).toBe(delta('ip_delivered'));
      expect(sumOf(diff, TCP_ENDS), JSON.stringify(diff)).toBe(tcp);
      await aliveAndWhole();
    },
  );

  test('afterwards the services work as before', async () => {
    expect(await peer(lab, 'echo', 200_000)).toEqual({ bytes: 200_000, same: true });
    await aliveAndWhole();
  });
});
