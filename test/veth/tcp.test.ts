import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changes, counter, framesHome, readCounters } from '../lab/counters.ts';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peer } from '../lab/peer.ts';

/** Timestamps are on, so a full segment carries 1448 bytes; 1460 is what the SYN announces. */
const SIZES = [0, 1, 1447, 1448, 1449, 1459, 1460, 1461, 65_536];
const BIG = 50_000_000;

/** TCP on a veth pair, Linux's own TCP as the peer, payloads checked at its end. */
describe.skipIf(labMissing('python3')).each([1, 2])('TCP with Linux as the peer, on %i queues', (queues) => {
  let lab: Lab;
  let x: Xsiftr;

  beforeAll(async () => {
    lab = await Lab.create('vtcp', { queues });
    x = await startXsiftr(lab, ['--serve', 'http,echo,discard,chargen,daytime', '--sysctl', 'net.inet.tcp.msl=500']);
    await lab.far('ping -c 1 -W 2 192.0.2.1');
  });

  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  /** Nothing is left of what a test did. */
  async function atRest(): Promise<void> {
    await expect.poll(() => counter(x, 'tcp_connections')).toBe(0);
    await framesHome(x);
  }

  test('echo gives back exactly what it got: nothing, a byte, around a segment, 64 KB', async () => {
    expect(await peer(lab, 'echo_sizes', ...SIZES)).toEqual(SIZES.map((bytes) => ({ bytes, same: true })));
    await atRest();
  });

  test('echo gives back 50 MB, both directions at once', async () => {
    expect(await peer(lab, 'echo', BIG)).toEqual({ bytes: BIG, same: true });
    await atRest();
  });

  test('http sends /bytes/N byte for byte: nothing, a byte, around a segment, 64 KB, 50 MB', async () => {
    const sizes = [...SIZES, BIG];
    expect(await peer(lab, 'http_bytes', ...sizes)).toEqual(sizes.map((bytes) => ({ status: 200, bytes, same: true })));
    await atRest();
  });

  test('discard takes 50 MB, counts every byte, says nothing and finishes after the peer', async () => {
    const before = await readCounters(x);
    expect(await peer(lab, 'discard', BIG)).toEqual({ back: 0 });
    await atRest();
    const diff = changes(before, await readCounters(x));
    expect((diff.tcp_rcvbyte ?? 0) + (diff.tcp_rcvoobyte ?? 0)).toBe(BIG);
  });

  test('chargen sends the pattern of RFC 864 for 50 MB', async () => {
    expect(await peer(lab, 'read_chargen', BIG)).toEqual({ bytes: BIG, same: true });
    await atRest();
  });

  test('1000 connections open at once are all served, and counted', async () => {
    const before = await readCounters(x);
    expect(await peer(lab, 'many_at_once', 1000)).toEqual({ opened: 1000, good: 1000, bad: [] });
    await atRest();
    const diff = changes(before, await readCounters(x));
    expect(diff).toMatchObject({
      tcp_accepts: 1000,
      tcp_connects: 1000,
      tcp_closed: 1000,
      tcp_sc_added: 1000,
      tcp_sc_completed: 1000,
    });
    expect(diff.tcp_drops).toBeUndefined();
  });

  test('1000 connections one after the other are all served, and counted', async () => {
    const before = await readCounters(x);
    expect(await peer(lab, 'many_in_sequence', 1000)).toEqual({ good: 2000 });
    await atRest();
    expect(changes(before, await readCounters(x))).toMatchObject({
      tcp_accepts: 1000,
      tcp_connects: 1000,
      tcp_closed: 1000,
    });
  });

  test('a peer that half-closes first still gets the whole answer (RFC 9293 section 3.6)', async () => {
    expect(await peer(lab, 'half_close_by_peer', 3_000_000)).toEqual({ bytes: 3_000_000 });
    await atRest();
  });

  test('after our FIN the data of the peer is still taken (RFC 9293 section 3.6, FIN-WAIT-2)', async () => {
    const before = await readCounters(x);
    const { line, error } = await peer<{ line: string; error: number }>(lab, 'half_close_by_us', 1_000_000);
    expect(line).toMatch(/UTC\r\n$/);
    expect(error).toBe(0);
    await expect
      .poll(async () => changes(before, await readCounters(x)), { timeout: 5000 })
      .toMatchObject({ tcp_rcvbyte: 1_000_000, tcp_timewait: 1 });
    const diff = changes(before, await readCounters(x));
    expect(diff.tcp_rcvafterclose).toBeUndefined();
    expect(diff.tcp_sndrst).toBeUndefined();
    await atRest();
  });
});
