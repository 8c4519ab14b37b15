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
    const first = client('-t 3 -b 1M');
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (let i = 0; i < 4; i++) {
      expect(readIperf3(await client('-t 1')).error).toMatch(/the server is busy running a test/);
    }
    expect((await first).code).toBe(0);
  });

  test('a client that is killed in the middle frees the server', async () => {
    await lab.far('timeout -s KILL 1 iperf3 -c 192.0.2.1 -t 20 -P 4 --bidir', { check: false });
    const result = await client('-n 1M');
    expect(result.code).toBe(0);
  });

  test('every connection is gone when the tests are over', async () => {
    await expect
      .poll(async () => (await xsiftr.command(['netstat', '-an', '-p', 'tcp'])).stdout.match(/ESTABLISHED/g), {
        timeout: 10_000,
      })
      .toBe(null);
  });
});
