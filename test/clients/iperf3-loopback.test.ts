import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunningService } from '../../src/daemon/services/host.ts';
import { iperf3 } from '../../src/daemon/services/iperf3.ts';
import { NodeTransport } from '../lab/nodesocket.ts';
import { type Result, run } from '../lab/process.ts';
import { makeBuses, makeHost } from '../unit/services/host.ts';
import { faults, RUNS, readIperf3 } from './iperf3-json.ts';

// The real client judges the protocol of our server over the kernel's TCP: what fails here is no fault of the stack.

const missing = spawnSync('iperf3', ['--version']).status === 0 ? '' : 'needs iperf3';
let running: RunningService[] = [];

async function start(shards: number): Promise<number> {
  const transport = new NodeTransport();
  const buses = makeBuses(shards, 2);
  running = buses.map((_b, k) => iperf3.start(makeHost(transport, k, buses)));
  return transport.port();
}

afterEach(() => {
  for (const r of running) r.stop();
});

function client(port: number, args: string): Promise<Result> {
  return run(`exec iperf3 -c 127.0.0.1 -p ${port} -J ${args}`, { check: false });
}

describe.skipIf(missing)('the iperf3 client over the kernel', () => {
  test.each(RUNS)('$args with the streams on one shard', async (spec) => {
    const result = await client(await start(1), spec.args);
    expect(faults(readIperf3(result), spec)).toEqual([]);
    expect(result.code).toBe(0);
  });

  test.each(RUNS.filter((r) => r.streams > 1))('$args with the streams on four shards', async (spec) => {
    const result = await client(await start(4), spec.args);
    expect(faults(readIperf3(result), spec)).toEqual([]);
    expect(result.code).toBe(0);
  });

  test('UDP and SCTP are refused in words', async () => {
    const port = await start(1);
    for (const args of ['-u -t 1', '--sctp -t 1']) {
      const { error } = readIperf3(await client(port, args));
      expect(error).toMatch(/unable to start stream listener: Protocol not supported/);
    }
  });

  test('a second client is told that the server is busy', async () => {
    const port = await start(2);
    const first = client(port, '-t 2');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(readIperf3(await client(port, '-t 1')).error).toMatch(/the server is busy running a test/);
    expect((await first).code).toBe(0);
  });

  test('a client that is killed frees the server', async () => {
    const port = await start(2);
    await run(`timeout -s KILL 1 iperf3 -c 127.0.0.1 -p ${port} -t 20 -P 2 --bidir`, { check: false });
    const result = await client(port, '-n 1M');
    expect(result.code).toBe(0);
  });
});
