import { describe, expect, test } from 'vitest';
import { changes, readCounters } from '../lab/counters.ts';
import { labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peer } from '../lab/peer.ts';
import { ROUTER_ADDRESS, type Router, withRouter } from '../lab/router.ts';

const PATH_MTU = 1400;
const SIZE = 3_000_000;

/** xsiftr with a peer beyond a router whose second link takes 1400 bytes. */
function beyond<T>(sysctls: readonly string[], body: (x: Xsiftr, r: Router) => Promise<T>): Promise<T> {
  return withRouter('vpmtu', { pathMtu: PATH_MTU }, async (router) => {
    const { lab } = router.middle;
    const words = sysctls.flatMap((s) => ['--sysctl', s]);
    const x = await startXsiftr(lab, ['--gateway', ROUTER_ADDRESS, '--serve', 'http,discard,chargen', ...words]);
    await lab.far('ping -c 1 -W 2 192.0.2.1');
    const done = await body(x, router);
    await x.stop();
    return done;
  });
}

/** The largest IP packet of TCP that reached the peer, as its own kernel saw them. */
async function largest(r: Router, during: () => Promise<void>): Promise<number> {
  const { lab } = r.middle;
  await lab.far('nft -f -', {
    input: `table inet sizes {
  set seen {
    typeof ip length
    size 65535
    flags dynamic
  }
  chain in {
    type filter hook input priority 0; policy accept;
    meta l4proto tcp update @seen { ip length }
  }
}
`,
  });
  await during();
  const { nftables } = JSON.parse((await lab.far('nft -j list set inet sizes seen')).stdout) as {
    nftables: { set?: { elem: number[] } }[];
  };
  await lab.far('nft delete table inet sizes');
  return Math.max(...nftables.flatMap(({ set }) => set?.elem ?? []));
}

describe.skipIf(labMissing('python3', 'nft'))(
  'a path with a smaller second link, a router of the kernel between',
  () => {
    test('that tells is followed: one reduction, data whole in both directions, full packets of the path (RFC 1191)', async () => {
      await beyond([], async (x, r) => {
        const before = await readCounters(x);
        const most = await largest(r, async () => {
          expect(await peer(r.middle.lab, 'http_bytes', SIZE)).toEqual([{ status: 200, bytes: SIZE, same: true }]);
        });
        expect(most).toBe(PATH_MTU);
        const diff = changes(before, await readCounters(x));
        expect(diff).toMatchObject({ tcp_mtudisc: 1, tcp_hc_added: 1 });
        expect([diff.tcp_fastrecovery, diff.tcp_rexmttimeo, diff.tcp_icmpmtupending]).toEqual([
          undefined,
          undefined,
          undefined,
        ]);
        expect(await r.tooBig()).toBeGreaterThan(0);
        // The next connection knows, and the other direction is Linux's.
        const told = await r.tooBig();
        expect(await peer(r.middle.lab, 'http_bytes', SIZE)).toEqual([{ status: 200, bytes: SIZE, same: true }]);
        expect(await r.tooBig()).toBe(told);
        expect(await peer(r.middle.lab, 'discard', SIZE)).toEqual({ back: 0 });
        // As sysctl(8) shows the host cache, and empties it.
        const hc = 'net.inet.tcp.hostcache';
        expect((await x.command(['sysctl', '-n', `${hc}.count`])).stdout.trim()).toBe('1');
        expect((await x.command(['sysctl', `${hc}.list`])).stdout).toMatch(/\n198\.51\.100\.2 +1400 /);
        expect((await x.command(['sysctl', hc])).stdout).not.toContain('hostcache.list');
        await x.command(['sysctl', `${hc}.purgenow=1`]);
        expect((await x.command(['sysctl', '-n', `${hc}.count`, `${hc}.purgenow`])).stdout.trim()).toBe('0\n0');
      });
    });

    test('that is silent is a black hole, which pmtud_blackhole_detection gets through (RFC 2923 section 2.1)', async () => {
      await beyond(['net.inet.tcp.pmtud_blackhole_detection=1'], async (x, r) => {
        await r.hush();
        const before = await readCounters(x);
        const most = await largest(r, async () => {
          expect(await peer(r.middle.lab, 'http_bytes', SIZE)).toEqual([{ status: 200, bytes: SIZE, same: true }]);
        });
        expect(most).toBe(1240);
        expect(changes(before, await readCounters(x))).toMatchObject({ tcp_pmtud_blackhole_activated: 1 });
      });
    });

    test.each([1, 2])(
      'that is silent is measured by probing, net.inet.tcp.plpmtud.enable %i (RFC 4821)',
      async (mode) => {
        await beyond([`net.inet.tcp.plpmtud.enable=${mode}`, 'net.inet.tcp.plpmtud.probe_interval=0'], async (x, r) => {
          await r.hush();
          const before = await readCounters(x);
          const most = await largest(r, async () => {
            expect(await peer(r.middle.lab, 'http_bytes', 20_000_000)).toEqual([
              { status: 200, bytes: 20_000_000, same: true },
            ]);
          });
          expect(most).toBeGreaterThan(PATH_MTU - 8);
          expect(most).toBeLessThanOrEqual(PATH_MTU);
          const diff = changes(before, await readCounters(x));
          expect(diff.tcp_mtudisc).toBeUndefined();
          expect(diff.tcp_plpmtud_successes).toBeGreaterThan(0);
          expect(diff.tcp_plpmtud_blackholes).toBe(mode === 1 ? 1 : undefined);
        });
      },
    );
  },
);
