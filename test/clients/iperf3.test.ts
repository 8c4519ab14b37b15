import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import type { Result } from '../lab/process.ts';
import { faults, RUNS, readIperf3 } from './iperf3-json.ts';

const missing = labMissing('iperf3');

describe.skipIf(missing).each([1, 4])('the iperf3 client against xsiftr on %i queues', (queues) => {
  let lab: Lab;
  let xsiftr: Xsiftr;

  beforeAll(async () => {
    lab = await Lab.create('viperf', { queues });
    xsiftr = await startXsiftr(lab, ['--serve', 'iperf3']);
  });

  afterAll(async () => {
    await xsiftr?.stop();
    await lab?.remove();
  });

  function client(args: string): Promise<Result> {
    return lab.far(`exec iperf3 -c 192.0.2.1 -J ${args}`, { check: false });
  }

  const established = async (): Promise<number> =>
    (await xsiftr.command(['netstat', '-an', '-p', 'tcp'])).stdout.split('ESTABLISHED').length - 1;

  test.each(RUNS)('$args', async (spec) => {
    const result = await client(spec.args);
    expect(faults(readIperf3(result), spec)).toEqual([]);
    expect(result.code).toBe(0);
  });

  test('UDP is refused in words', async () => {
    expect(readIperf3(await client('-u -t 1')).error).toMatch(
      /unable to start stream listener: Protocol not supported/,
    );
  });

  test('a second client is told that the server is busy, whichever queue it comes to', async () => {
    const first = client('-t 5 -b 1M');
    // Its control connection, and the stream.
    await expect.poll(established).toBe(2);
    const others = await Promise.all([1, 2, 3, 4].map(() => client('-t 1')));
    for (const other of others) expect(readIperf3(other).error).toMatch(/the server is busy running a test/);
    expect((await first).code).toBe(0);
  });

  test('a client that is killed in the middle frees the server', async () => {
    const killed = lab.spawnFar('iperf3 -c 192.0.2.1 -t 60 -P 4 --bidir'.split(' '));
    await expect.poll(established).toBe(9);
    await killed.stop('SIGKILL');
    await expect.poll(established).toBe(0);
    const result = await client('-n 1M');
    expect(result.code).toBe(0);
  });

  test('every connection is gone when the tests are over', async () => {
    await expect.poll(established).toBe(0);
  });
});
