import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';

/** Four queues, four shards (DESIGN.md, "Shards"). */
describe.skipIf(labMissing('curl', 'iperf3') !== '')(`four queues ${labMissing('curl', 'iperf3')}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  beforeEach(async () => {
    lab = await Lab.create('q4', { queues: 4 });
  });
  afterEach(async () => {
    await x?.running.stop();
    await lab.remove();
  });

  /** Values of a metric by one of its labels. */
  async function metric(name: string, label: string): Promise<Map<string, number>> {
    const text = await (await fetch(`${x.metrics}/metrics`)).text();
    const found = new Map<string, number>();
    for (const m of text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, 'gm'))) {
      const value = new RegExp(`${label}="([^"]*)"`).exec(m[1]!)?.[1];
      if (value !== undefined) found.set(value, Number(m[2]));
    }
    return found;
  }

  const sum = (values: Map<string, number>): number => [...values.values()].reduce((a, b) => a + b, 0);

  /** The body of /bytes/N: byte p is p modulo 251. */
  function bodyHash(n: number): string {
    const body = Buffer.alloc(n);
    for (let i = 0; i < n; i++) body[i] = i % 251;
    return createHash('sha256').update(body).digest('hex');
  }

  it('serves connections on every shard, each frame on the queue that the peer chose', async () => {
    x = await startXsiftr(lab);
    await lab.far('for i in $(seq 60); do curl -s -m 10 -o /dev/null http://192.0.2.1/bytes/20000 & done; wait');
    const accepts = await metric('xsiftr_tcp_accepts_total', 'shard');
    expect([...accepts.keys()].sort()).toEqual(['0', '1', '2', '3']);
    expect(sum(accepts)).toBe(60);
    for (const [shard, n] of accepts) expect(n, `shard ${shard}`).toBeGreaterThan(0);
    const frames = await metric('xsiftr_rxq_packets_total', 'queue');
    for (const [queue, n] of frames) expect(n, `queue ${queue}`).toBeGreaterThan(0);
    expect(await x.stop()).toBe(0);
  });

  it('hands every frame over that arrives on the wrong queue, counts it, and loses none', async () => {
    x = await startXsiftr(lab);
    const n = 40_000_000;
    const transfers = Array.from({ length: 8 }, () =>
      lab.far(`curl -s -m 60 --limit-rate 15M http://192.0.2.1/bytes/${n} | sha256sum`),
    );
    // The connections live on the shards of the queues that their SYNs came on ...
    await expect
      .poll(async () => [...(await metric('xsiftr_tcp_accepts_total', 'shard')).values()].filter((v) => v > 0).length)
      .toBeGreaterThan(1);
    // ... and from now on everything comes on queue 0.
    await lab.far('ethtool -L peer0 tx 1');
    // What came on the others before is received by now.
    await expect
      .poll(async () => {
        const text = await (await fetch(`${x.metrics}/metrics`)).text();
        return [...text.matchAll(/^xsiftr_ring_occupancy\{.*queue="[123]",ring="rx"\} (\d+)$/gm)].map((m) =>
          Number(m[1]),
        );
      })
      .toEqual([0, 0, 0]);
    const before = await metric('xsiftr_rxq_packets_total', 'queue');
    const wanted = bodyHash(n);
    for (const t of await Promise.all(transfers)) expect(t.stdout).toBe(`${wanted}  -`);
    const after = await metric('xsiftr_rxq_packets_total', 'queue');
    const onZero = after.get('0')! - before.get('0')!;
    expect(onZero).toBeGreaterThan(1000);
    for (const queue of ['1', '2', '3']) expect(after.get(queue)! - before.get(queue)!).toBeLessThan(onZero / 10);
    expect((await metric('xsiftr_stack_handover_out_total', 'shard')).get('0')).toBeGreaterThan(1000);
    // The last ACKs are still on their way when curl has gone.
    await expect
      .poll(async () => {
        const out = await metric('xsiftr_stack_handover_out_total', 'shard');
        return sum(out) - sum(await metric('xsiftr_stack_handover_in_total', 'shard'));
      })
      .toBe(0);
    expect(sum(await metric('xsiftr_stack_handover_full_total', 'shard'))).toBe(0);
    expect(await x.stop()).toBe(0);
  });

  it("keeps the kernel's address on the same interface reachable under full load on an address of its own", async () => {
    x = await startXsiftr(lab, ['--addr', '192.0.2.7/24', '--siftr-ppl', '1000']);
    const load = lab.spawnFar(['iperf3', '-c', '192.0.2.7', '-P', '4', '-t', '6', '-J']);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const ping = await lab.far('ping -c 20 -i 0.1 -W 2 192.0.2.1');
    expect(ping.stdout).toContain('20 received');
    expect(await load.exited).toBe(0);
    expect(await x.stop()).toBe(0);
  });

  it('keeps the heaps of all shards flat over millions of packets', { timeout: 200_000 }, async () => {
    x = await startXsiftr(lab, ['--siftr-ppl', '1000']);
    const packets = async (): Promise<number> =>
      sum(await metric('xsiftr_rxq_packets_total', 'queue')) + sum(await metric('xsiftr_txq_packets_total', 'queue'));
    /** Seconds under load; the least that each shard's heap held in them, in bytes and summed: what had been collected by then. */
    const load = async (): Promise<number> => {
      const least: number[] = [];
      const iperf = lab.spawnFar(['iperf3', '-c', '192.0.2.1', '-P', '4', '-t', '5']);
      let running = true;
      const ended = iperf.exited.finally(() => {
        running = false;
      });
      while (running) {
        const health = (await (await fetch(`${x.metrics}/healthz`)).json()) as { shards: { heapBytes: number }[] };
        for (const [k, { heapBytes }] of health.shards.entries()) least[k] = Math.min(least[k] ?? Infinity, heapBytes);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      expect(await ended).toBe(0);
      return least.reduce((a, b) => a + b, 0);
    };
    // Two million packets in, everything is compiled and every pool has its size.
    while ((await packets()) < 2_000_000) await load();
    const first = await load();
    const from = await packets();
    let last = first;
    do last = await load();
    while ((await packets()) < from + 4_000_000);
    // Two bytes a packet would be 8 MB; heap.test.ts looks closer at one shard.
    expect(last - first).toBeLessThan(8_000_000);
    expect(await x.stop()).toBe(0);
  });
});
