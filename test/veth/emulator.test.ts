import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type EmulatorCounters,
  type EmulatorSettings,
  emulatorFaults,
  type Impairment,
  withEmulator,
} from '../lab/emulator.ts';
import { FAR_ADDRESS, labMissing } from '../lab/netns.ts';

/** test/lab/emulator.c between Linux and Linux: what it says that it does, judged by what arrives. */

const NUMBERED = join(import.meta.dirname, '../lab/numbered.py');
/** Bytes of a frame beside a UDP payload: Ethernet, IPv4, UDP. */
const HEADERS = 14 + 20 + 8;

interface Burst {
  readonly count: number;
  /** Payload, bytes. */
  readonly size?: number;
  /** Seconds between two; 0 sends them all at once. */
  readonly gap?: number;
  /** IPv4's TOS byte; its lowest two bits are ECN's. */
  readonly tos?: number;
}

interface Outcome {
  /** The numbers as they arrived. */
  readonly got: readonly number[];
  /** Those of them with CE set. */
  readonly ce: readonly number[];
  /** From before the first was sent until after the last was received, s. */
  readonly seconds: number;
  readonly counters: EmulatorCounters;
}

/** Sends numbered packets from near to far. */
function through(settings: EmulatorSettings, burst: Burst): Promise<Outcome> {
  return withEmulator('vemu', {}, settings, async (m, emulator) => {
    await m.lab.near(`ping -c 1 -W 1 ${FAR_ADDRESS}`, { check: false });
    const receiver = m.lab.spawnFar(['python3', NUMBERED, 'recv', '7777']);
    await receiver.waitLine(/listening/);
    const { count, size = 100, gap = 0.0005, tos = 0 } = burst;
    const send = ['python3', NUMBERED, 'send', FAR_ADDRESS, '7777', ...[count, size, gap, tos].map(String)];
    const start = Number((await m.lab.near(send)).stdout);
    // The echo request is a data packet besides. Where the emulator itself was at fault, nothing more is to be waited for.
    await expect
      .poll(async () => {
        const c = await emulator.counters();
        return emulatorFaults(c).length > 0 || (c.toPeer.data > count && c.toPeer.waiting === 0);
      })
      .toBe(true);
    expect(await receiver.stop('SIGTERM')).toBe(0);
    const counters = await emulator.stop();
    expect(emulatorFaults(counters)).toEqual([]);
    for (const c of [counters.toPeer, counters.toUs]) {
      expect(c.data + c.bare + c.duplicated).toBe(c.lost_data + c.lost_bare + c.queue_drops + c.sent + c.waiting);
    }
    const seen = JSON.parse(receiver.lines.at(-1)!) as { got: number[]; ce: number[]; end: number };
    return { got: seen.got, ce: seen.ce, seconds: seen.end - start, counters };
  });
}

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const sorted = (list: readonly number[]) => [...list].sort((a, b) => a - b);
/** How often a packet came before one that was sent earlier. */
const inversions = (list: readonly number[]) => list.filter((n, i) => i > 0 && n < list[i - 1]!).length;

describe.skipIf(labMissing('python3', 'cmake', 'ping'))('the link emulator', () => {
  test('delays each way by at least what was asked for', async () => {
    const way: Impairment = { delayUs: 20_000 };
    await withEmulator('vemu', {}, { toPeer: way, toUs: way }, async (m, emulator) => {
      const { stdout } = await m.lab.near(`ping -c 10 -i 0.05 ${FAR_ADDRESS}`);
      const counters = await emulator.stop();
      expect(emulatorFaults(counters)).toEqual([]);
      const fastest = Number(/= ([\d.]+)\//.exec(stdout)![1]);
      console.log(`delay: RTT ${/= (.*)$/m.exec(stdout)![1]}, late by ${counters.toPeer.late_mean_us} µs in the mean`);
      expect(fastest).toBeGreaterThanOrEqual(40);
    });
  });

  test('without settings passes everything on, in order', async () => {
    const { got, counters } = await through({}, { count: 2000, size: 1400 });
    expect(got).toEqual(numbers(2000));
    // One data packet besides: the echo request that resolved the neighbour.
    expect(counters.toPeer).toMatchObject({ data: 2001, sent: 2001, lost_data: 0 });
  });

  test('loses the same ordinals for the same seed and others for another', async () => {
    const run = (seed: number, size: number) => through({ seed, toPeer: { loss: 0.1 } }, { count: 2000, size });
    const [a, b, c] = [await run(5, 100), await run(5, 1000), await run(6, 100)];
    expect(b.counters.toPeer.lost).toEqual(a.counters.toPeer.lost);
    expect(c.counters.toPeer.lost).not.toEqual(a.counters.toPeer.lost);
    for (const { got, counters } of [a, b, c]) {
      const { lost, data } = counters.toPeer;
      // Ordinal 1 is the echo request, so packet n has ordinal n + 1.
      expect(got).toEqual(numbers(2000).filter((n) => !lost.includes(n + 1)));
      // Within four standard deviations of a binomial count.
      const deviation = Math.sqrt(data * 0.1 * 0.9);
      expect(Math.abs(lost.length - data * 0.1)).toBeLessThan(4 * deviation);
    }
  });

  test('drops exactly the ordinals that it was given', async () => {
    const { got, counters } = await through({ toPeer: { drop: [3, 5, 8] } }, { count: 20 });
    expect(got).toEqual(numbers(20).filter((n) => ![2, 4, 7].includes(n)));
    expect(counters.toPeer.lost).toEqual([3, 5, 8]);
  });

  test('has a drop-tail queue in packets before its rate limiter', async () => {
    // 1000 bytes at 100 kbit/s take 80 ms each, and come all at once: the burst is over before the first has left.
    const { got, counters } = await through(
      { toPeer: { rate: 100_000, queuePackets: 20 } },
      { count: 60, size: 1000 - HEADERS, gap: 0 },
    );
    expect(got).toEqual(numbers(20));
    expect(counters.toPeer.queue_drops).toBe(40);
    expect(counters.toPeer.queue_bytes_max).toBe(20_000);
  });

  test('has one in bytes', async () => {
    const { got } = await through(
      { toPeer: { rate: 100_000, queueBytes: 10_999 } },
      { count: 60, size: 1000 - HEADERS, gap: 0 },
    );
    expect(got).toEqual(numbers(10));
  });

  test('lets nothing through faster than its rate', async () => {
    const rate = 2_000_000;
    const { got, seconds } = await through({ toPeer: { rate } }, { count: 300, size: 1000 - HEADERS, gap: 0 });
    expect(got).toEqual(numbers(300));
    console.log(`rate: ${(300 * 8000) / seconds / 1e6} Mbit/s of ${rate / 1e6}`);
    expect(seconds).toBeGreaterThanOrEqual((300 * 8000) / rate);
  });

  test('holds the chosen packets back and lets the others pass', async () => {
    const { got, counters } = await through(
      { toPeer: { delayUs: 5000, reorder: 0.05, reorderUs: 50_000 } },
      { count: 1000, gap: 0.001 },
    );
    expect(sorted(got)).toEqual(numbers(1000));
    expect(counters.toPeer.reordered).toBeGreaterThan(0);
    expect(inversions(got)).toBeGreaterThan(0);
    expect(inversions(got)).toBeLessThanOrEqual(counters.toPeer.reordered);
  });

  test('keeps the order under jitter, unless told otherwise', async () => {
    const jitter = { delayUs: 1000, jitterUs: 20_000 };
    const kept = await through({ toPeer: jitter }, { count: 1000 });
    expect(kept.got).toEqual(numbers(1000));
    const mixed = await through({ toPeer: { ...jitter, jitterReorders: true } }, { count: 1000 });
    expect(sorted(mixed.got)).toEqual(numbers(1000));
    expect(inversions(mixed.got)).toBeGreaterThan(0);
  });

  test.each([
    { name: 'ECT(0)', tos: 2 },
    { name: 'ECT(1)', tos: 1 },
  ])('marks $name packets with CE and leaves the header valid (RFC 3168 section 5)', async ({ tos }) => {
    const { got, ce, counters } = await through({ toPeer: { mark: 0.3 } }, { count: 1000, tos });
    expect(got).toEqual(numbers(1000));
    expect(ce.length).toBe(counters.toPeer.marked);
    expect(Math.abs(ce.length - 300)).toBeLessThan(4 * Math.sqrt(1000 * 0.3 * 0.7));
  });

  test('never marks a packet that is not ECT (RFC 3168 section 5)', async () => {
    const { got, ce, counters } = await through({ toPeer: { mark: 1 } }, { count: 100 });
    expect(got).toEqual(numbers(100));
    expect([ce, counters.toPeer.marked]).toEqual([[], 0]);
  });

  test('marks what finds more than the threshold waiting (RFC 8257 section 3.1)', async () => {
    // Each finds what was sent before it still there: the seventh is the first to find more than 5000 bytes.
    const { got, ce } = await through(
      { toPeer: { rate: 100_000, markBytes: 5000 } },
      { count: 10, size: 1000 - HEADERS, gap: 0, tos: 2 },
    );
    expect(got).toEqual(numbers(10));
    expect(ce).toEqual([7, 8, 9, 10]);
  });

  test('duplicates: each copy arrives behind its original', async () => {
    const { got, counters } = await through({ toPeer: { dup: 0.1, delayUs: 1000 } }, { count: 1000 });
    expect([...new Set(got)]).toEqual(numbers(1000));
    expect(got.filter((n, i) => i > 0 && n === got[i - 1]).length).toBe(got.length - 1000);
    expect(got.length - 1000).toBeGreaterThan(0);
    expect(counters.toPeer.sent).toBe(1001 + counters.toPeer.duplicated);
  });

  test('corrupts one bit, which a checksum always finds', async () => {
    const { got, counters } = await through({ toPeer: { corrupt: 0.1 } }, { count: 1000 });
    const { corrupted, sent } = counters.toPeer;
    expect(corrupted).toBeGreaterThan(0);
    // The echo request may be one of them.
    expect(1000 - got.length).toBeGreaterThanOrEqual(corrupted - 1);
    expect(1000 - got.length).toBeLessThanOrEqual(corrupted);
    expect(sent).toBe(1001);
  });

  test('lets ARP pass where everything else is lost', async () => {
    await withEmulator('vemu', {}, { toPeer: { loss: 1, lossBare: 1 } }, async (m, emulator) => {
      const { code } = await m.lab.near(`ping -c 2 -i 0.2 -W 1 ${FAR_ADDRESS}`, { check: false });
      expect(code).toBe(1);
      expect((await m.lab.near(`ip neigh show ${FAR_ADDRESS}`)).stdout).toMatch(/lladdr/);
      const { toPeer } = await emulator.counters();
      expect(toPeer).toMatchObject({ data: 2, lost_data: 2, sent: 0 });
      expect(toPeer.passed).toBeGreaterThan(0);
      await emulator.stop();
    });
  });
});
